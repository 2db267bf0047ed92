#include "base/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#ifdef HAVE_LINUX_LANDLOCK_H
#include <linux/landlock.h>
#endif

#include "base/sandbox_p.h"

#ifdef HAVE_LINUX_LANDLOCK_H

/* As the kernel has them; headers are often older than it. */
enum {
	FS_EXECUTE = 1 << 0, FS_WRITE_FILE = 1 << 1, FS_READ_FILE = 1 << 2, FS_READ_DIR = 1 << 3, FS_REMOVE_DIR = 1 << 4, FS_REMOVE_FILE = 1 << 5, FS_MAKE_DIR = 1 << 7,
	FS_MAKE_REG = 1 << 8, FS_REFER = 1 << 13, FS_TRUNCATE = 1 << 14, FS_IOCTL_DEV = 1 << 15,
	NET_BIND_TCP = 1 << 0, SCOPE_ABSTRACT_UNIX = 1 << 0, SCOPE_SIGNAL = 1 << 1,
};

struct ruleset {
	uint64_t fs, net, scoped;
};

/* Of which version each right is; what a kernel does not know must not be asked of it. */
static uint64_t known_to(int version)
{
	return version >= 5 ? 0xffff : version >= 3 ? 0x7fff : 0x3fff;
}

static int landlock_version(void)
{
	long v = syscall(SYS_landlock_create_ruleset, NULL, 0, 1U);

	return v > 0 ? (int)v : 0;
}

static uint64_t rights(enum sandbox_right right, bool is_dir)
{
	uint64_t file = FS_READ_FILE | (right == SANDBOX_READ ? 0 : FS_WRITE_FILE | FS_TRUNCATE);
	uint64_t dir = right == SANDBOX_READ ? FS_READ_DIR : right == SANDBOX_SCRATCH ? FS_MAKE_REG | FS_REMOVE_FILE :
		       FS_READ_DIR | FS_MAKE_REG | FS_MAKE_DIR | FS_REMOVE_FILE | FS_REMOVE_DIR | FS_REFER;

	return is_dir ? file | dir : file;
}

/* The path, or the directory in which it would be made: what the rule is to be of. -1: there is none */
static int open_path(const char *path, bool or_above)
{
	char above[PATH_MAX];
	int fd = open(path, O_PATH | O_CLOEXEC);

	if (fd >= 0 || !or_above || errno != ENOENT || strlen(path) >= sizeof(above))
		return fd;
	memcpy(above, path, strlen(path) + 1);
	while (fd < 0 && errno == ENOENT) {
		char *slash = strrchr(above, '/');

		if (!slash)
			return -1;
		slash[slash == above] = '\0';
		fd = open(above, O_PATH | O_CLOEXEC | O_DIRECTORY);
		if (slash == above)
			break;
	}
	return fd;
}

static int add_rule(int set, const struct sandbox_path *p, uint64_t known, struct err *e)
{
	struct landlock_path_beneath_attr rule = { .parent_fd = open_path(p->path, p->right == SANDBOX_WRITE) };
	struct stat st;
	int rc = 0;

	if (rule.parent_fd < 0)
		return 0;
	if (fstat(rule.parent_fd, &st) == 0) {
		rule.allowed_access = rights(p->right, S_ISDIR(st.st_mode)) & known;
		if (syscall(SYS_landlock_add_rule, set, LANDLOCK_RULE_PATH_BENEATH, &rule, 0U) < 0)
			rc = err_errno(e, "Landlock: %s", p->path);
	}
	close(rule.parent_fd);
	return rc;
}

static int enter_landlock(const struct sandbox_path *paths, size_t n, struct err *e)
{
	int version = landlock_version(), set, rc = 0;
	struct ruleset r = { .fs = known_to(version), .net = version >= 4 ? NET_BIND_TCP : 0, .scoped = version >= 6 ? SCOPE_ABSTRACT_UNIX | SCOPE_SIGNAL : 0 };

	if (version < SANDBOX_LANDLOCK_MIN)
		return 0;
	set = (int)syscall(SYS_landlock_create_ruleset, &r, sizeof(r), 0U);
	if (set < 0)
		return err_errno(e, "Landlock");
	for (size_t i = 0; rc == 0 && i < n; i++)
		rc = add_rule(set, &paths[i], r.fs, e);
	if (rc == 0 && syscall(SYS_landlock_restrict_self, set, 0U) < 0)
		rc = err_errno(e, "Landlock");
	close(set);
	return rc;
}

#else

static int landlock_version(void)
{
	return 0;
}

static int enter_landlock(const struct sandbox_path *paths, size_t n, struct err *e)
{
	(void)paths;
	(void)n;
	(void)e;
	return 0;
}

#endif

void sandbox_look(struct sandbox_kernel *k)
{
	*k = (struct sandbox_kernel){ .landlock = landlock_version(), .seccomp = sandbox_has_seccomp(), .built_seccomp = sandbox_built_seccomp() };
}

void sandbox_say(const struct sandbox_kernel *k, struct strbuf *out)
{
	const bool files = k->landlock >= SANDBOX_LANDLOCK_MIN;

	if (files)
		strbuf_printf(out, "Landlock (version %d)%s", k->landlock, k->seccomp ? ", seccomp" : "");
	else if (k->seccomp)
		strbuf_puts(out, "seccomp");
	else
		strbuf_puts(out, "none");
	if (!files)
		strbuf_printf(out, "; no Landlock: %s", k->landlock > 0 ? "the kernel's is too old" : "the kernel has none, or it is not enabled");
	if (!k->seccomp)
		strbuf_printf(out, "; no seccomp: %s", k->built_seccomp ? "the kernel has no filters" : "mailhaul was built without libseccomp");
}

int sandbox_enter(const struct sandbox_path *paths, size_t n, struct err *e)
{
	/* both mean it for good: nothing that is run later gets more rights than this process has */
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_errno(e, "PR_SET_NO_NEW_PRIVS");
	if (enter_landlock(paths, n, e) < 0)
		return -1;
	return sandbox_enter_seccomp(e);
}
