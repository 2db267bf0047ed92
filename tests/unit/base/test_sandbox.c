#include "../../lib/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/broker.h"
#include "base/fs.h"
#include "base/sandbox.h"

#define LONG 30000 /* ms that no test waits out */

static char *dir;
static struct sandbox_kernel kernel;
static int report = -1; /* of a child: what it found wrong */

static int setup(void **state)
{
	(void)state;
	clock_cancel_clear();
	sandbox_look(&kernel);
	dir = scratch_make();
	return clock_cancel_init(NULL);
}

static int teardown(void **state)
{
	(void)state;
	scratch_remove(dir);
	return 0;
}

/* In a child: -1 or an errno is what must come. */
#define WANT(call, wanted) want(#call, (call) < 0 ? errno : 0, wanted)

static void want(const char *call, int got, int wanted)
{
	if (got != wanted)
		dprintf(report, "%s: %s, not %s\n", call, got ? strerror(got) : "done", wanted ? strerror(wanted) : "done");
}

/* Do it in a child: what it says is wrong fails the test. */
static void in_child(void (*tries)(void))
{
	struct strbuf said = STRBUF_INIT(10000);
	char buf[1000];
	int fds[2], status;
	ssize_t n;
	pid_t pid;

	assert_int_equal(pipe(fds), 0);
	pid = fork();
	if (pid == 0) {
		report = fds[1];
		alarm(LONG / 1000);
		tries();
		_exit(0);
	}
	close(fds[1]);
	while ((n = read(fds[0], buf, sizeof(buf))) > 0)
		strbuf_put(&said, buf, (size_t)n);
	close(fds[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_string_equal(strbuf_str(&said), "");
	assert_int_equal(status, 0);
	strbuf_release(&said);
}

static void enter(const struct sandbox_path *paths, size_t n)
{
	struct err e = ERR_INIT;

	if (sandbox_enter(paths, n, &e) < 0)
		dprintf(report, "sandbox_enter: %s\n", e.text);
}

static int make_file(const char *name)
{
	int fd = open(scratch_path(dir, name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd >= 0)
		close(fd);
	return fd;
}

static int read_file(const char *name)
{
	int fd = open(scratch_path(dir, name), O_RDONLY | O_CLOEXEC);

	if (fd >= 0)
		close(fd);
	return fd;
}

static int list_dir(const char *name)
{
	int fd = open(scratch_path(dir, name), O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd >= 0)
		close(fd);
	return fd;
}

static int rename_file(const char *from, const char *to)
{
	return rename(scratch_path(dir, from), scratch_path(dir, to));
}

static int link_file(const char *from, const char *to)
{
	return link(scratch_path(dir, from), scratch_path(dir, to));
}

static void try_files(void)
{
	const struct sandbox_path paths[] = {
		{ scratch_path(dir, "mail"), SANDBOX_WRITE }, { scratch_path(dir, "read"), SANDBOX_READ }, { scratch_path(dir, "tmp"), SANDBOX_SCRATCH },
		{ "/nonexistent/path", SANDBOX_READ },
	};
	int fd;

	enter(paths, COUNT(paths));
	/* all that a store does */
	WANT(make_file("mail/cur/a"), 0);
	WANT(read_file("mail/cur/a"), 0);
	WANT(list_dir("mail/cur"), 0);
	WANT(rename_file("mail/cur/a", "mail/new/a"), 0);
	WANT(link_file("mail/new/a", "mail/cur/b"), 0);
	WANT(mkdir(scratch_path(dir, "mail/sub"), 0700), 0);
	WANT(rename_file("mail/sub", "mail/cur/sub"), 0);
	WANT(rmdir(scratch_path(dir, "mail/cur/sub")), 0);
	WANT(truncate(scratch_path(dir, "mail/cur/b"), 3), 0);
	WANT(unlink(scratch_path(dir, "mail/cur/b")), 0);
	fd = open(scratch_path(dir, "mail/cur"), O_TMPFILE | O_RDWR, 0600);
	if (fd >= 0) {
		char self[64];

		snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
		WANT(linkat(AT_FDCWD, self, AT_FDCWD, scratch_path(dir, "mail/cur/c"), AT_SYMLINK_FOLLOW), 0);
	}
	/* what may be read */
	WANT(read_file("read/a"), 0);
	WANT(list_dir("read"), 0);
	WANT(make_file("read/a"), EACCES);
	WANT(make_file("read/b"), EACCES);
	WANT(unlink(scratch_path(dir, "read/a")), EACCES);
	WANT(rename_file("read/a", "mail/cur/stolen"), kernel.landlock >= 2 ? EACCES : EXDEV);
	/* what is written once */
	WANT(make_file("tmp/a"), 0);
	WANT(read_file("tmp/a"), 0);
	WANT(unlink(scratch_path(dir, "tmp/a")), 0);
	WANT(list_dir("tmp"), EACCES);
	WANT(mkdir(scratch_path(dir, "tmp/d"), 0700), EACCES);
	/* all else */
	WANT(read_file("secret"), EACCES);
	WANT(make_file("secret"), EACCES);
	WANT(make_file("other"), EACCES);
	WANT(list_dir(""), EACCES);
	WANT(unlink(scratch_path(dir, "secret")), EACCES);
	WANT(symlink("/etc", scratch_path(dir, "mail/cur/link")), EACCES);
	WANT(mkfifo(scratch_path(dir, "mail/cur/fifo"), 0600), kernel.seccomp ? EPERM : EACCES);
	if (kernel.landlock >= 3)
		WANT(truncate(scratch_path(dir, "secret"), 0), EACCES);
}

/* The sandbox, or why it isn't tried. */
static void need_landlock(void)
{
	if (kernel.landlock < SANDBOX_LANDLOCK_MIN) {
		print_message("no Landlock here\n");
		skip();
	}
}

static void files(void **state)
{
	(void)state;
	need_landlock();
	for (const char *const *d = (const char *const[]){ "mail", "mail/cur", "mail/new", "read", "tmp", NULL }; *d; d++)
		assert_int_equal(mkdir(scratch_path(dir, *d), 0700), 0);
	assert_true(make_file("read/a") >= 0 && make_file("secret") >= 0);
	in_child(try_files);
}

static void try_missing(void)
{
	enter(&(const struct sandbox_path){ scratch_path(dir, "mail/deep/down"), SANDBOX_WRITE }, 1);
	WANT(mkdir(scratch_path(dir, "mail/deep"), 0700), 0);
	WANT(mkdir(scratch_path(dir, "mail/deep/down"), 0700), 0);
	WANT(make_file("mail/deep/down/a"), 0);
	WANT(make_file("a"), EACCES);
}

/* A store that is to be made is made where it is to be. */
static void missing(void **state)
{
	(void)state;
	need_landlock();
	assert_int_equal(mkdir(scratch_path(dir, "mail"), 0700), 0);
	in_child(try_missing);
}

static void try_single(void)
{
	const struct sandbox_path paths[] = { { scratch_path(dir, "link"), SANDBOX_READ } };

	enter(paths, COUNT(paths));
	WANT(read_file("link"), 0);
	WANT(read_file("target/a"), 0);
	WANT(read_file("target/b"), EACCES);
}

/* A single file, by a link as /etc/resolv.conf often is one. */
static void single(void **state)
{
	(void)state;
	need_landlock();
	assert_int_equal(mkdir(scratch_path(dir, "target"), 0700), 0);
	assert_true(make_file("target/a") >= 0 && make_file("target/b") >= 0);
	assert_int_equal(symlink("target/a", scratch_path(dir, "link")), 0);
	in_child(try_single);
}

static int run_true(void)
{
	char *const argv[] = { (char *)(uintptr_t)"true", NULL };

	return execv("/bin/true", argv); /* if it is run after all, the child ends well and what follows is never tried: see `reached` */
}

static void try_programs(void)
{
	static const char command[] = "echo sesame";
	const struct sandbox_path all = { "/", SANDBOX_WRITE };
	struct strbuf out = STRBUF_INIT(100);
	struct err e = ERR_INIT;

	want("broker_start", broker_start((const char *const[]){ command }, 1, &e), 0);
	enter(&all, 1);
	WANT(run_true(), kernel.seccomp ? EPERM : EACCES);
	want("the broker runs it", proc_output(command, &out, clock_in(LONG), &e), 0);
	want(strbuf_str(&out), strcmp(strbuf_str(&out), "sesame\n"), 0);
	broker_end();
	/* we ourselves can't */
	want("a command", proc_output(command, &out, clock_in(LONG), &e) < 0 ? EPERM : 0, EPERM);
	if (!strstr(e.text, "can't run /bin/sh"))
		dprintf(report, "%s\n", e.text);
	make_file("reached");
}

/* A valgrind of some age knows none of these calls, and lets a child that was refused one die. */
static void need_real_calls(void)
{
	const char *preloaded = getenv("LD_PRELOAD");

	if (preloaded && strstr(preloaded, "vgpreload"))
		skip();
}

/* No program is run, by us or by our children, but by the process that was forked before. */
static void programs(void **state)
{
	(void)state;
	need_real_calls();
	if (!kernel.seccomp && kernel.landlock < SANDBOX_LANDLOCK_MIN)
		skip();
	in_child(try_programs);
	assert_int_equal(access(scratch_path(dir, "reached"), F_OK), 0);
}

static int open_socket(int family, int type)
{
	int fd = socket(family, type | SOCK_CLOEXEC, 0);

	if (fd >= 0)
		close(fd);
	return fd;
}

static void try_calls(void)
{
	const struct sandbox_path etc = { "/etc", SANDBOX_READ };
	struct addrinfo *list = NULL;
	int status = -1;
	pid_t pid;

	enter(&etc, 1);
	enter(&etc, 1); /* a second time does no harm */
	WANT(ptrace(PTRACE_TRACEME, 0, NULL, NULL), EPERM);
	WANT(unshare(CLONE_NEWUSER), EPERM);
	WANT((int)syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, NULL, NULL, NULL, NULL), EPERM);
#ifdef SYS_clone3
	WANT((int)syscall(SYS_clone3, NULL, 0), ENOSYS);
#endif
	WANT((int)syscall(SYS_bpf, 0, NULL, 0), EPERM);
	WANT((int)syscall(SYS_keyctl, 0, 0, 0, 0, 0), EPERM);
	WANT((int)syscall(SYS_io_uring_setup, 1, NULL), EPERM);
	WANT(ioctl(report, TIOCSTI, "x"), EPERM);
	WANT(open_socket(AF_PACKET, SOCK_RAW), EAFNOSUPPORT);
	WANT(open_socket(AF_ALG, SOCK_SEQPACKET), EAFNOSUPPORT);
	WANT(open_socket(AF_VSOCK, SOCK_STREAM), EAFNOSUPPORT);
	WANT(open_socket(AF_BLUETOOTH, SOCK_STREAM), EAFNOSUPPORT);
	/* what is needed goes on */
	WANT(open_socket(AF_UNIX, SOCK_STREAM), 0);
	WANT(open_socket(AF_INET, SOCK_STREAM), 0);
	WANT(open_socket(AF_NETLINK, SOCK_RAW), 0);
	want("getaddrinfo", getaddrinfo("localhost", "993", NULL, &list), 0);
	pid = fork();
	if (pid == 0)
		_exit(7);
	WANT(waitpid(pid, &status, 0), 0);
	want("a child", status, 7 << 8);
	pid = fork();
	if (pid == 0) {
		pause();
		_exit(0);
	}
	WANT(kill(pid, SIGKILL), 0);
	WANT(waitpid(pid, &status, 0), 0);
}

/* What a hauler of mail has no use for is refused; processes, sockets and names work. */
static void calls(void **state)
{
	(void)state;
	need_real_calls();
	if (!kernel.seccomp) {
		print_message("no seccomp here\n");
		skip();
	}
	in_child(try_calls);
}

static void try_outside(void)
{
	struct sockaddr_in sin = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	enter(NULL, 0);
	if (kernel.landlock >= 4)
		WANT(bind(fd, (const struct sockaddr *)&sin, sizeof(sin)), EACCES);
	if (kernel.landlock >= 6)
		WANT(kill(getppid(), 0), EPERM);
	WANT(connect(fd, (const struct sockaddr *)&sin, sizeof(sin)) < 0 && errno == EACCES ? -1 : 0, 0);
}

static void outside(void **state)
{
	(void)state;
	need_landlock();
	in_child(try_outside);
}

static void what_is_said(void **state)
{
	static const struct {
		struct sandbox_kernel k;
		const char *said;
	} rows[] = {
		{ { 6, true, true }, "Landlock (version 6), seccomp" },
		{ { 0, true, true }, "seccomp; no Landlock: the kernel has none, or it is not enabled" },
		{ { 1, true, true }, "seccomp; no Landlock: the kernel's is too old" },
		{ { 3, false, false }, "Landlock (version 3); no seccomp: mailhaul was built without libseccomp" },
		{ { 0, false, true }, "none; no Landlock: the kernel has none, or it is not enabled; no seccomp: the kernel has no filters" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct strbuf b = STRBUF_INIT(1000);

		sandbox_say(&rows[i].k, &b);
		assert_string_equal(b.s, rows[i].said);
		strbuf_release(&b);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(files, setup, teardown),
		cmocka_unit_test_setup_teardown(missing, setup, teardown),
		cmocka_unit_test_setup_teardown(single, setup, teardown),
		cmocka_unit_test_setup_teardown(programs, setup, teardown),
		cmocka_unit_test_setup_teardown(calls, setup, teardown),
		cmocka_unit_test_setup_teardown(outside, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_said, setup, teardown),
	};

	setenv("LC_ALL", "C", 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
