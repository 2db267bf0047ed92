/* System calls that are refused: see sandbox.h. */
#include "base/sandbox_p.h"

#ifdef HAVE_SECCOMP

#include <errno.h>
#include <sched.h>
#include <seccomp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <linux/seccomp.h>

/* By name, as libseccomp knows more of them than the headers do. */
static const char *const refused[] = {
	/* other programs */
	"execve", "execveat",
	/* other processes */
	"ptrace", "process_vm_readv", "process_vm_writev", "kcmp", "pidfd_getfd", "process_madvise",
	/* other views of the file system, and files by number instead of by name */
	"mount", "umount", "umount2", "pivot_root", "chroot", "fsopen", "fsconfig", "fsmount", "fspick", "move_mount", "open_tree", "mount_setattr", "unshare", "setns",
	"open_by_handle_at", "name_to_handle_at", "mknod", "mknodat", "swapon", "swapoff", "quotactl", "quotactl_fd", "acct",
	/* the kernel, and doors to it that have often been left open */
	"bpf", "perf_event_open", "userfaultfd", "io_uring_setup", "io_uring_enter", "io_uring_register", "init_module", "finit_module", "delete_module", "kexec_load", "kexec_file_load",
	"add_key", "request_key", "keyctl", "personality", "modify_ldt", "iopl", "ioperm", "vm86", "vm86old", "lookup_dcookie", "nfsservctl", "uselib", "syslog", "reboot",
	"move_pages", "migrate_pages", "mbind", "set_mempolicy", "vhangup",
	/* the machine */
	"settimeofday", "clock_settime", "clock_settime64", "stime", "adjtimex", "clock_adjtime", "clock_adjtime64", "sethostname", "setdomainname",
};

/* Families of sockets that the resolver and a connection need; others have many doors. */
static const int families[] = { AF_UNIX, AF_INET, AF_INET6, AF_NETLINK };

static const unsigned long namespaces[] = { CLONE_NEWUSER, CLONE_NEWNS, CLONE_NEWNET, CLONE_NEWPID, CLONE_NEWIPC, CLONE_NEWUTS, 0x02000000 /* CLONE_NEWCGROUP */ };

static bool is_family(int af)
{
	for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++) {
		if (families[i] == af)
			return true;
	}
	return false;
}

/* Refuse the rest of the families. */
static int refuse_sockets(scmp_filter_ctx f)
{
	int rc = seccomp_rule_add(f, SCMP_ACT_ERRNO(EAFNOSUPPORT), SCMP_SYS(socket), 1, SCMP_A0(SCMP_CMP_GT, AF_NETLINK, 0));

	for (int af = 0; rc == 0 && af < AF_NETLINK; af++) {
		if (!is_family(af))
			rc = seccomp_rule_add(f, SCMP_ACT_ERRNO(EAFNOSUPPORT), SCMP_SYS(socket), 1, SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)af, 0));
	}
	return rc;
}

/* A child shares no new namespaces; clone3 tells its wishes in memory, where no filter sees them, and libraries go on with clone where there is none. */
static int refuse_namespaces(scmp_filter_ctx f)
{
	int clone3 = seccomp_syscall_resolve_name("clone3"), rc = 0;

	if (clone3 != __NR_SCMP_ERROR)
		rc = seccomp_rule_add(f, SCMP_ACT_ERRNO(ENOSYS), clone3, 0);
	for (size_t i = 0; rc == 0 && i < sizeof(namespaces) / sizeof(namespaces[0]); i++)
		rc = seccomp_rule_add(f, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1, SCMP_A0(SCMP_CMP_MASKED_EQ, namespaces[i], namespaces[i]));
	return rc;
}

/* What is put into a terminal's input is a command that its person seems to have typed. */
static int refuse_typing(scmp_filter_ctx f)
{
	static const unsigned asks[] = { TIOCSTI, TIOCLINUX };
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < 2; i++)
		rc = seccomp_rule_add(f, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(ioctl), 1, SCMP_A1(SCMP_CMP_MASKED_EQ, 0xffffffffU, asks[i]));
	return rc;
}

static int refuse_names(scmp_filter_ctx f)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < sizeof(refused) / sizeof(refused[0]); i++) {
		int nr = seccomp_syscall_resolve_name(refused[i]);

		if (nr != __NR_SCMP_ERROR)
			rc = seccomp_rule_add(f, SCMP_ACT_ERRNO(EPERM), nr, 0);
		if (rc == -EDOM) /* this processor has no such call */
			rc = 0;
	}
	return rc;
}

bool sandbox_built_seccomp(void)
{
	return true;
}

bool sandbox_has_seccomp(void)
{
	/* a filter at no address is refused as such, where there are filters */
	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, NULL, 0, 0) < 0 && errno == EFAULT;
}

int sandbox_enter_seccomp(struct err *e)
{
	scmp_filter_ctx f;
	int rc;

	if (!sandbox_has_seccomp())
		return 0;
	f = seccomp_init(SCMP_ACT_ALLOW);
	if (!f)
		return err_set(e, ERR_LOCAL, "seccomp: out of memory");
	rc = refuse_names(f);
	if (rc == 0)
		rc = refuse_sockets(f);
	if (rc == 0)
		rc = refuse_namespaces(f);
	if (rc == 0)
		rc = refuse_typing(f);
	if (rc == 0)
		rc = seccomp_load(f);
	seccomp_release(f);
	return rc < 0 ? err_set(e, ERR_LOCAL, "seccomp: %s", strerror(-rc)) : 0;
}

#else

bool sandbox_built_seccomp(void)
{
	return false;
}

bool sandbox_has_seccomp(void)
{
	return false;
}

int sandbox_enter_seccomp(struct err *e)
{
	(void)e;
	return 0;
}

#endif
