/* Helper commands: see proc.h. */
#include "base/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/broker.h"
#include "base/fs.h"

#define PROC_CHUNK 4096  /* bytes of one read; also what is kept of stderr */
#define PROC_GRACE 50    /* ms between TERM and KILL of a command that did not end well */
#define PROC_LOOK 250    /* ms between looks whether a child has stopped */
#define PROC_TICK 20     /* the same where the kernel has no pidfd, which tells its end */
#define PROC_FD_MAX 4096 /* descriptors closed one by one where the kernel has no close_range */

/* Close *fd once. */
static void close_end(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* A pipe, close-on-exec and above stderr, so that dup2 in the child never meets itself. */
static int make_pipe(int fds[2], struct err *e)
{
	int low[2];

	fds[0] = fds[1] = -1;
	if (pipe2(low, O_CLOEXEC) < 0)
		return err_errno(e, "can't make a pipe");
	for (int i = 0; i < 2; i++) {
		fds[i] = low[i] > 2 ? low[i] : fcntl(low[i], F_DUPFD_CLOEXEC, 3);
		if (fds[i] < 0)
			err_errno(e, "can't make a pipe");
		if (fds[i] != low[i])
			close(low[i]);
	}
	if (fds[0] >= 0 && fds[1] >= 0)
		return 0;
	close_end(&fds[0]);
	close_end(&fds[1]);
	return -1;
}

/* /dev/null, above stderr. */
static int open_null(struct err *e)
{
	int low = open("/dev/null", O_RDWR | O_CLOEXEC), fd = low;

	if (low >= 0 && low <= 2) {
		fd = fcntl(low, F_DUPFD_CLOEXEC, 3);
		close(low);
	}
	return fd < 0 ? err_errno(e, "can't open /dev/null") : fd;
}

void proc_close_from(int lowest)
{
#ifdef SYS_close_range
	if (syscall(SYS_close_range, (unsigned)lowest, ~0U, 0U) == 0)
		return;
#endif
	for (int fd = lowest; fd < PROC_FD_MAX; fd++)
		close(fd);
}

/* What the service manager told this process is not for others: a command could speak in its name. */
static const char *const private[] = { "NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES" };

/* In the child: the command's environment is ours, but for what is private, and with the numbers that are for it. */
static void set_environment(const struct proc_var *vars, size_t n)
{
	char value[32];

	for (size_t i = 0; i < sizeof(private) / sizeof(private[0]); i++)
		unsetenv(private[i]);
	for (size_t i = 0; i < n; i++) {
		snprintf(value, sizeof(value), "%llu", (unsigned long long)vars[i].value);
		if (setenv(vars[i].name, value, 1) < 0)
			_exit(127);
	}
}

/* Soft limits as they were before this program lowered them for itself. */
static struct {
	struct rlimit data, files;
	bool has_data, has_files;
} before;

/* Is there something to lower? */
static bool lowered(const struct rlimit *was, uint64_t most, struct rlimit *now)
{
	*now = *was;
	now->rlim_cur = (rlim_t)most;
	return most > 0 && (was->rlim_cur == RLIM_INFINITY || was->rlim_cur > (rlim_t)most);
}

void proc_limits(uint64_t data, uint64_t files)
{
	struct rlimit now;

	before.has_data = getrlimit(RLIMIT_DATA, &before.data) == 0 && lowered(&before.data, data, &now) && setrlimit(RLIMIT_DATA, &now) == 0;
	before.has_files = getrlimit(RLIMIT_NOFILE, &before.files) == 0 && lowered(&before.files, files, &now) && setrlimit(RLIMIT_NOFILE, &now) == 0;
}

/* In the child: what a command needs is the person's business. */
static void give_limits_back(void)
{
	if (before.has_data)
		setrlimit(RLIMIT_DATA, &before.data);
	if (before.has_files)
		setrlimit(RLIMIT_NOFILE, &before.files);
}

/* In the child: become the command. It is the copy of a process with one thread, so it may call anything. */
static void __attribute__((noreturn)) become(const struct proc_call *c, const int std[3])
{
	static const char failed[] = "can't run /bin/sh\n";
	ssize_t n;

	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGTERM); /* nobody would end it any more */
	set_environment(c->vars, c->n_vars);
	for (int i = 0; i < 3; i++)
		if (std[i] >= 0 && dup2(std[i], i) < 0)
			_exit(127);
	proc_close_from(3);
	give_limits_back();
	/* exec resets handlers, but what is ignored stays so */
	signal(SIGPIPE, SIG_DFL);
	signal(SIGXFSZ, SIG_DFL);
	execl("/bin/sh", "sh", "-c", c->command, (char *)NULL);
	n = write(2, failed, sizeof(failed) - 1);
	(void)n;
	_exit(127);
}

/* Let the default happen to every signal that has a handler; what is ignored stays so. */
static void drop_handlers(void)
{
	struct sigaction sa;

	for (int sig = 1; sig < NSIG; sig++)
		if (sigaction(sig, NULL, &sa) == 0 && sa.sa_handler != SIG_IGN)
			signal(sig, SIG_DFL);
}

pid_t proc_fork(void)
{
	sigset_t all, old;
	pid_t pid;
	int saved;

	/* no handler of ours may run in the child */
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &old);
	pid = fork();
	saved = errno;
	if (pid == 0) {
		drop_handlers();
		sigemptyset(&old);
	}
	sigprocmask(SIG_SETMASK, &old, NULL);
	errno = saved;
	return pid;
}

/* Start a command on these descriptors (-1: ours). Returns its pid, its group's too, or -1. */
static pid_t spawn(const struct proc_call *c, const int std[3], struct err *e)
{
	struct sigaction sa;
	pid_t pid;

	/* with SIGCHLD ignored (inherited) nobody could learn the exit status */
	if (sigaction(SIGCHLD, NULL, &sa) == 0 && sa.sa_handler == SIG_IGN)
		signal(SIGCHLD, SIG_DFL);
	pid = proc_fork();
	if (pid == 0)
		become(c, std);
	if (pid < 0)
		return err_errno(e, "can't start a process");
	setpgid(pid, pid); /* whichever of the two comes first; after exec it fails and is done */
	return pid;
}

/* Start a command to talk with. */
int proc_start(struct proc *p, const char *command, bool keep_stderr, struct err *e)
{
	int in[2] = { -1, -1 }, out[2] = { -1, -1 }, null = -1, std[3];

	*p = (struct proc){ .pid = -1, .in = -1, .out = -1 };
	if (broker_stands())
		return broker_start_command(p, command, keep_stderr, e);
	if (make_pipe(in, e) < 0 || make_pipe(out, e) < 0)
		goto out;
	if (!keep_stderr) {
		null = open_null(e);
		if (null < 0)
			goto out;
	}
	/* each end is an open file of its own: the child's stay blocking */
	if (fcntl(in[1], F_SETFL, O_NONBLOCK) < 0 || fcntl(out[0], F_SETFL, O_NONBLOCK) < 0) {
		err_errno(e, "can't make a pipe non-blocking");
		goto out;
	}
	std[0] = in[0];
	std[1] = out[1];
	std[2] = null;
	p->pid = spawn(&(const struct proc_call){ .command = command }, std, e);
	if (p->pid > 0) {
		p->in = in[1];
		p->out = out[0];
		in[1] = out[0] = -1;
	}
out:
	close_end(&in[0]);
	close_end(&in[1]);
	close_end(&out[0]);
	close_end(&out[1]);
	close_end(&null);
	return p->pid > 0 ? 0 : -1;
}

/* Sleep a little; signals do not matter here, the end of a child is near in any case. */
static void nap(long ms)
{
	struct timespec t = { .tv_nsec = ms * 1000000 };

	nanosleep(&t, NULL);
}

/* Reap the leader if it has ended (or wait for it). True when there is nothing left to reap. */
static bool reap(pid_t pid, int flags, int *status)
{
	pid_t got;

	do {
		got = waitpid(pid, status, flags);
	} while (got < 0 && errno == EINTR);
	return got != 0;
}

/*
 * Whether the group of a reaped leader has no member left. Members that came to us as orphans
 * (in a container we may be the first process) are reaped, or they would count as members for ever.
 */
static bool group_gone(pid_t pid)
{
	while (waitpid(-pid, NULL, WNOHANG) > 0)
		;
	return kill(-pid, 0) < 0;
}

/* End it and all of its group. */
int proc_stop(struct proc *p, msec_t grace)
{
	msec_t until = clock_in(grace);
	bool reaped = false, gone = false;
	int status = -1;

	close_end(&p->in);
	close_end(&p->out);
	if (p->pid <= 0)
		return -1;
	if (p->far) {
		status = broker_stop_command(p->pid, grace);
		p->pid = -1;
		return status;
	}
	kill(-p->pid, SIGTERM);
	kill(-p->pid, SIGCONT); /* a stopped one would not hear it */
	for (;;) {
		reaped = reaped || reap(p->pid, WNOHANG, &status);
		/* the group's number is not given away while it has a member */
		gone = reaped && group_gone(p->pid);
		if (gone || clock_now() >= until)
			break;
		nap(2);
	}
	if (!gone)
		kill(-p->pid, SIGKILL);
	if (!reaped)
		reap(p->pid, 0, &status);
	p->pid = -1;
	return status;
}

/* Has it ended? It is not reaped. */
bool proc_ended(const struct proc *p, int *status)
{
	siginfo_t si = { .si_pid = 0 };

	if (p->far)
		return broker_command_ended(p->pid, status);
	if (waitid(P_PID, (id_t)p->pid, &si, WEXITED | WNOHANG | WNOWAIT) < 0 || si.si_pid != p->pid)
		return false;
	*status = si.si_code == CLD_EXITED ? si.si_status << 8 : si.si_status; /* as wait has it */
	return true;
}

/* One run of a command: what its pipes and its end are watched through. */
struct run {
	struct proc proc;
	int err;   /* our end of its stderr, -1 once closed */
	int owner; /* readable when nobody waits for it any more, -1 none */
	int pidfd; /* readable when it has ended; -1 where the kernel has none */
	size_t tail_len;
	char tail[PROC_CHUNK]; /* the last bytes of its stderr */
};

/* Read stderr, the last bytes of which are kept. Returns false when there is nothing (more) now. */
static bool drain_err(struct run *r)
{
	char buf[PROC_CHUNK];
	ssize_t got = r->err < 0 ? 0 : fs_read(r->err, buf, sizeof(buf), "stderr", NULL);
	size_t n, drop;

	if (got <= 0) {
		if (got == 0 || errno != EAGAIN)
			close_end(&r->err);
		return false;
	}
	n = (size_t)got;
	drop = r->tail_len + n > sizeof(r->tail) ? r->tail_len + n - sizeof(r->tail) : 0;
	memmove(r->tail, r->tail + drop, r->tail_len - drop);
	r->tail_len -= drop;
	memcpy(r->tail + r->tail_len, buf, n);
	r->tail_len += n;
	return true;
}

/* Read stdout straight into out, so that a secret is nowhere else. 1: read some, 0: nothing now. */
static int drain_out(struct run *r, struct strbuf *out, struct err *e)
{
	char one = 0;
	void *p = &one;
	size_t room;
	ssize_t got;

	if (r->proc.out < 0)
		return 0;
	room = out->max - out->len;
	if (room > PROC_CHUNK)
		room = PROC_CHUNK;
	if (room > 0 && !(p = strbuf_room(out, room)))
		return err_set(e, ERR_LOCAL, "out of memory");
	got = read(r->proc.out, p, room > 0 ? room : 1);
	explicit_bzero(&one, sizeof(one));
	if (got < 0) /* EINTR: we are asked again */
		return errno == EAGAIN || errno == EINTR ? 0
		     : err_errno(e, "can't read the command's output");
	if (got == 0) {
		close_end(&r->proc.out);
		return 0;
	}
	if (room == 0)
		return err_set(e, ERR_LOCAL, "the command printed more than %zu bytes", out->max);
	strbuf_added(out, (size_t)got);
	return 1;
}

/*
 * Whether the command has ended (1); it is not reaped, so that its group's number stays ours. One
 * that reads the terminal is stopped by the kernel, being no foreground job: an error.
 */
static int has_ended(const struct run *r, struct err *e)
{
	siginfo_t si = { .si_pid = 0 };

	if (waitid(P_PID, (id_t)r->proc.pid, &si, WEXITED | WSTOPPED | WNOHANG | WNOWAIT) < 0)
		return 1;
	if (si.si_pid == 0)
		return 0;
	if (si.si_code != CLD_STOPPED)
		return 1;
	if (si.si_status != SIGTTIN && si.si_status != SIGTTOU)
		return 0;
	err_set(e, ERR_LOCAL, "the command wants to talk on the terminal");
	return err_hint(e, "it must work without asking, or ask through an agent");
}

/* Wait until something happens: output, its end, a signal, the deadline, time to look again. */
static int wait_event(const struct run *r, msec_t deadline, struct err *e)
{
	struct wait_item w[] = {
		{ .fd = r->proc.out, .events = WAIT_READ },
		{ .fd = r->err, .events = WAIT_READ },
		{ .fd = r->pidfd, .events = WAIT_READ },
		{ .fd = r->owner, .events = WAIT_READ },
	};
	msec_t look = clock_in(r->pidfd < 0 ? PROC_TICK : PROC_LOOK);
	struct err why = ERR_INIT;

	/* looked at here as well: chatter that never ends would win over it in wait_fds */
	if (deadline != 0 && clock_now() >= deadline)
		return err_set(e, ERR_TIMEOUT, "the command did not end in time");
	if (deadline != 0 && deadline < look)
		look = deadline;
	if (wait_fds(w, sizeof(w) / sizeof(w[0]), look, &why) < 0 && why.kind != ERR_TIMEOUT) {
		if (e)
			*e = why;
		return -1;
	}
	return w[3].ready ? err_set(e, ERR_CANCEL, "nobody waits for the command any more") : 0;
}

/* Collect output until the command has ended; what its children print later is not waited for. */
static int collect(struct run *r, struct strbuf *out, msec_t deadline, struct err *e)
{
	for (;;) {
		int ended = has_ended(r, e); /* asked first: all it wrote is then in the pipes */
		int rc;

		if (ended < 0)
			return -1;
		/* one chunk of each in turn, so that chatter on one can't hide the deadline */
		drain_err(r);
		rc = drain_out(r, out, e);
		if (rc < 0)
			return -1;
		if (ended && rc == 0) {
			for (int i = 0; i < 64 && drain_err(r); i++)
				;
			return 0;
		}
		if (wait_event(r, deadline, e) < 0)
			return -1;
	}
}

/* The last line that the command left on stderr; empty when there is none. */
static struct slice last_line(const struct run *r)
{
	struct slice s = slice_trim(slice_of(r->tail, r->tail_len));
	size_t at = s.n;

	while (at > 0 && s.p[at - 1] != '\n' && s.p[at - 1] != '\r')
		at--;
	return slice_trim(slice_of(s.p + at, s.n - at));
}

/* What a wait status means. */
static int judge(const struct run *r, int status, struct err *e)
{
	struct slice line = last_line(r);
	char why[240], how[64];

	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	if (WIFEXITED(status))
		snprintf(how, sizeof(how), "exited with status %d", WEXITSTATUS(status));
	else if (WIFSIGNALED(status))
		snprintf(how, sizeof(how), "was killed by signal %d", WTERMSIG(status));
	else
		snprintf(how, sizeof(how), "ended in an unknown way");
	err_printable(why, sizeof(why), line.p, line.n);
	return err_set(e, ERR_LOCAL, "the command %s%s%s", how, why[0] ? ": " : "", why);
}

/* Bytes as a file that is nowhere, to be read from its beginning; above stderr. */
int proc_file_of(struct slice bytes, struct err *e)
{
	int low = memfd_create("input", MFD_CLOEXEC), fd = low > 2 || low < 0 ? low : fcntl(low, F_DUPFD_CLOEXEC, 3);

	if (fd != low)
		close(low);
	if (fd < 0)
		return err_errno(e, "can't make a file in memory");
	if (fs_write_all(fd, bytes.p, bytes.n, "a file in memory", e) == 0 && lseek(fd, 0, SEEK_SET) == 0)
		return fd;
	close(fd);
	return -1;
}

/* Run a command to its end. */
int proc_run(const struct proc_call *c, msec_t deadline, struct err *e)
{
	struct run r = { .proc = { .pid = -1, .in = -1, .out = -1 }, .err = -1, .owner = c->owner > 0 ? c->owner : -1, .pidfd = -1 };
	int po[2] = { -1, -1 }, pe[2] = { -1, -1 }, null, in = -1, std0, status, rc = -1;

	if (broker_stands())
		return broker_run(c, deadline, e);
	null = open_null(e);
	if (null < 0 || (c->out && make_pipe(po, e) < 0) || make_pipe(pe, e) < 0)
		goto out;
	if (c->input.n > 0 && (in = proc_file_of(c->input, e)) < 0)
		goto out;
	if ((c->out && fcntl(po[0], F_SETFL, O_NONBLOCK) < 0) || fcntl(pe[0], F_SETFL, O_NONBLOCK) < 0) {
		err_errno(e, "can't make a pipe non-blocking");
		goto out;
	}
	std0 = c->input_fd > 0 ? c->input_fd : in >= 0 ? in : null;
	r.proc.pid = spawn(c, (const int[3]){ std0, c->out ? po[1] : null, pe[1] }, e);
	if (r.proc.pid < 0)
		goto out;
	r.proc.out = po[0];
	r.err = pe[0];
	po[0] = pe[0] = -1;
	close_end(&po[1]);
	close_end(&pe[1]);
#ifdef SYS_pidfd_open
	r.pidfd = (int)syscall(SYS_pidfd_open, r.proc.pid, 0U);
#endif
	rc = collect(&r, c->out, deadline, e);
	if (rc == 0) {
		reap(r.proc.pid, 0, &status);
		close_end(&r.proc.out);
		rc = judge(&r, status, e);
	} else {
		proc_stop(&r.proc, PROC_GRACE);
	}
	close_end(&r.err);
	close_end(&r.pidfd);
out:
	close_end(&null);
	close_end(&in);
	close_end(&po[0]);
	close_end(&po[1]);
	close_end(&pe[0]);
	close_end(&pe[1]);
	if (rc < 0 && c->out)
		strbuf_clear(c->out);
	return rc;
}

/* Run a command for its output. */
int proc_output(const char *command, struct strbuf *out, msec_t deadline, struct err *e)
{
	return proc_run(&(const struct proc_call){ .command = command, .out = out }, deadline, e);
}
