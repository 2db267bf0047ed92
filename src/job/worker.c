#include "job/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "auth/secret.h"
#include "base/fs.h"
#include "job/limits.h"
#include "job/orphans.h"

#define OUT_FLUSH 8192   /* bytes that are written together */
#define OUT_MS 200       /* and how old they may get */
#define OUT_MAX (OUT_FLUSH + WIRE_MAX)
#define STALL_MS 5000    /* how long a cancelled worker waits for a parent that does not read */
#define POLL_MS 500
#define HEAP_SLACK (1 << 20) /* bytes */
#define PLANNED_DEATH 100 /* MAILHAUL_STOP_AT */
#define STAT_UTIME 14  /* fields of /proc/PID/stat, from 1: its own times and those of its children that have ended */
#define STAT_CSTIME 17

/* The child's end: records on their way to the parent. */
struct outbox {
	int fd; /* -1: nobody listens any more */
	struct strbuf buf;
	msec_t flushed;
	bool messages;
};

/*
 * Wait until the pipe takes something. Not by wait_fd: after a signal the last events must still get out, and the parent reads, so this ends; a parent that
 * does not read (stopped, stuck on its output) is left alone some seconds after the signal.
 */
static bool out_wait(int fd, msec_t *stalled)
{
	struct pollfd p = { .fd = fd, .events = POLLOUT };

	if (poll(&p, 1, POLL_MS) > 0)
		return true;
	if (!clock_cancelled())
		return true;
	if (*stalled == 0)
		*stalled = clock_in(STALL_MS);
	return clock_now() < *stalled;
}

/* Send what is buffered. The job goes on if nobody listens: what it does is worth more than the telling. */
static void out_flush(struct outbox *o)
{
	size_t at = 0;
	msec_t stalled = 0;

	while (o->fd >= 0 && at < o->buf.len) {
		ssize_t n = write(o->fd, o->buf.s + at, o->buf.len - at);

		if (n >= 0) {
			at += (size_t)n;
		} else if (errno == EINTR || (errno == EAGAIN && out_wait(o->fd, &stalled))) {
			continue;
		} else {
			close(o->fd);
			o->fd = -1;
		}
	}
	strbuf_clear(&o->buf);
	o->flushed = clock_now();
}

/* Is there no time to lose? Messages alone come so fast that each one's write would cost. */
static void out_added(struct outbox *o, bool now)
{
	if (now || o->buf.len >= OUT_FLUSH || clock_now() - o->flushed >= OUT_MS)
		out_flush(o);
}

static void out_event(void *arg, const struct event *ev)
{
	struct outbox *o = arg;

	if ((ev->type == EVENT_MESSAGE || ev->type == EVENT_TREE) && !o->messages)
		return;
	if (o->fd >= 0 && wire_put_event(&o->buf, ev) == 0)
		out_added(o, ev->type != EVENT_MESSAGE && ev->type != EVENT_COMPARED && ev->type != EVENT_DRIFT);
}

/* Who asked for the protocol wants to see the line after which nothing came. */
static void out_log(void *arg, enum log_level level, const char *context, const char *text)
{
	struct outbox *o = arg;

	if (o->fd >= 0 && wire_put_log(&o->buf, level, context, text) == 0)
		out_added(o, true);
}

/* Signals as a new process has them. Those that cancel are installed anew by clock_cancel_init. */
static void reset_signals(void)
{
	static const int sigs[] = { SIGCHLD, SIGALRM, SIGUSR1, SIGUSR2, SIGWINCH, SIGTSTP, SIGCONT, SIGQUIT };

	for (size_t i = 0; i < sizeof(sigs) / sizeof(sigs[0]); i++) {
		struct sigaction sa;

		if (sigaction(sigs[i], NULL, &sa) == 0 && sa.sa_handler != SIG_DFL && (sa.sa_handler != SIG_IGN || sigs[i] == SIGCHLD))
			signal(sigs[i], SIG_DFL);
	}
}

/* The child. Signals are blocked until its own cancel pipe stands; one that came to the parent before the fork cancels the child, too. */
static void __attribute__((noreturn))
be_worker(int fd, pid_t parent, const struct job_params *p, const struct worker_wants *wants)
{
	struct outbox o = { .fd = fd, .buf = STRBUF_INIT(OUT_MAX), .messages = wants->messages };
	struct event_sink sink = { .put = out_event, .arg = &o };
	struct err e = ERR_INIT;
	sigset_t none;
	int code;

	for (size_t i = 0; i < wants->n_others; i++) {
		if (wants->others[i].fd >= 0)
			close(wants->others[i].fd);
	}
	setpgid(0, 0);
	log_set_sink(out_log, &o);
	log_set_level(wants->log);
	reset_signals();
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (!wants->run)
		orphans_adopt(); /* what helpers put into the background falls to our parent with us, and not before: so it knows whose it is */
	/* without slack the heap's end goes to and fro with each transaction: a thousand calls of brk in a run, each a flush of all processors' address caches */
	mallopt(M_TRIM_THRESHOLD, 2 * HEAP_SLACK);
	mallopt(M_TOP_PAD, HEAP_SLACK);
	if (getppid() != parent)
		_exit(128 + SIGTERM); /* it died before we could ask to be told */
	secret_harden();
	limits_set();
	if (clock_cancel_init(&e) < 0) {
		struct wire_sink own = { .events = sink };

		_exit(worker_mourn(p->job, &own, &e, err_exit_code(e.kind)));
	}
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	code = wants->run ? wants->run(p, &sink) : job_run(p, &sink);
	out_flush(&o);
	_exit(code);
}

int worker_start(struct worker *w, const struct job_params *p, const struct worker_wants *wants, struct err *e)
{
	struct sigaction chld;
	sigset_t all, old;
	pid_t parent = getpid();
	int fds[2];

	*w = (struct worker){ .pid = -1, .fd = -1, .in = STRBUF_INIT(2 * WIRE_MAX), .exit_code = -1, .job = p->job };
	if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0)
		return err_errno(e, "can't make a pipe");
	/* with SIGCHLD ignored, as some callers leave it, no child's end could be learned */
	if (sigaction(SIGCHLD, NULL, &chld) == 0 && chld.sa_handler == SIG_IGN)
		signal(SIGCHLD, SIG_DFL);
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &old);
	w->pid = fork();
	if (w->pid == 0) {
		close(fds[0]);
		be_worker(fds[1], parent, p, wants);
	}
	if (w->pid < 0) {
		err_errno(e, "can't start a process");
		if (e && errno == EAGAIN)
			e->kind = ERR_TEMP;
	}
	sigprocmask(SIG_SETMASK, &old, NULL);
	if (w->pid > 0)
		setpgid(w->pid, w->pid); /* whichever of the two comes first */
	close(fds[1]);
	if (w->pid < 0) {
		close(fds[0]);
		return -1;
	}
	w->fd = fds[0];
	return 0;
}

/* A worker's events on their way to the parent's sink. */
struct relay {
	struct worker *w;
	const struct wire_sink *to;
};

/* It says that a signal stopped it: what that means is ours to say. */
static void tell_doom(const struct relay *r, struct event *ev)
{
	struct worker *w = r->w;

	if (ev->type == EVENT_ERROR && ev->span == SPAN_ACCT && ev->kind == ERR_CANCEL) {
		ev->kind = w->doom.kind;
		ev->text = w->doom.text;
	} else if (ev->type == EVENT_END && ev->exit_code > 128) {
		struct event why = { .type = EVENT_ERROR, .job = ev->job, .kind = w->doom.kind, .span = SPAN_ACCT, .text = w->doom.text };

		if (w->failure.kind != w->doom.kind)
			event_put(&r->to->events, &why);
		w->failure = w->doom;
		ev->exit_code = err_exit_code(w->doom.kind);
	}
}

static void relay_event(void *arg, const struct event *ev)
{
	struct relay *r = arg;
	struct event own = *ev;

	own.job = r->w->job->name; /* whatever it says */
	if (r->w->doom.kind != ERR_NONE)
		tell_doom(r, &own);
	if (r->w->exit_code >= 0)
		return; /* nothing comes behind END */
	if (own.type == EVENT_END)
		r->w->exit_code = own.exit_code;
	if (own.type == EVENT_ERROR && own.span == SPAN_ACCT) {
		err_set(&r->w->failure, own.kind, "%s", own.text);
		r->w->failure.retry_after = own.retry_after;
	}
	event_put(&r->to->events, &own);
}

/* Close the pipe, forget half a record. */
static void stop_reading(struct worker *w)
{
	if (w->fd >= 0)
		close(w->fd);
	w->fd = -1;
	strbuf_release(&w->in);
}

/* One read. 1: something came, 2: nothing now, 0 the end, -1 with w->why. */
static int read_some(struct worker *w, const struct wire_sink *sinks)
{
	struct relay r = { .w = w, .to = sinks };
	struct wire_sink own = { .events = { .put = relay_event, .arg = &r }, .log = sinks->log, .log_arg = sinks->log_arg };
	void *room;
	ssize_t n;

	if (w->fd < 0)
		return 0;
	room = strbuf_room(&w->in, WIRE_MAX);
	if (!room) {
		err_set(&w->why, ERR_LOCAL, "out of memory");
		goto fail;
	}
	n = read(w->fd, room, WIRE_MAX);
	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return 2;
	if (n < 0) {
		err_errno(&w->why, "the worker's pipe");
		goto fail;
	}
	if (n == 0) {
		stop_reading(w);
		return 0;
	}
	strbuf_added(&w->in, (size_t)n);
	if (wire_take(&w->in, &own, &w->why) == 0)
		return 1;
fail:
	stop_reading(w);
	return -1;
}

int worker_read(struct worker *w, const struct wire_sink *sinks, struct err *e)
{
	int rc = read_some(w, sinks);

	if (rc < 0 && e)
		*e = w->why;
	return rc > 0 ? 1 : rc;
}

void worker_signal(const struct worker *w, int sig)
{
	if (w->pid <= 0)
		return;
	if (sig != SIGKILL || kill(-w->pid, sig) < 0)
		kill(w->pid, sig);
}

void worker_doom(struct worker *w, const struct err *why)
{
	w->doom = *why;
	worker_signal(w, SIGTERM);
}

uint64_t worker_cpu(const struct worker *w)
{
	uint64_t used = 0, n;
	char path[64], buf[1024], *at, *save = NULL;
	ssize_t got = -1;
	int fd;

	snprintf(path, sizeof(path), "/proc/%ld/stat", (long)w->pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0)
		got = fs_read(fd, buf, sizeof(buf) - 1, path, NULL);
	if (fd >= 0)
		close(fd);
	buf[got > 0 ? got : 0] = '\0';
	at = strrchr(buf, ')'); /* behind its name, which may be anything */
	at = at ? strtok_r(at + 1, " ", &save) : NULL;
	for (int field = 3; at; at = strtok_r(NULL, " ", &save), field++)
		if (field >= STAT_UTIME && field <= STAT_CSTIME && slice_u64(slice_str(at), UINT64_MAX / 8, &n))
			used += n;
	return used;
}

bool worker_ended(const struct worker *w)
{
	siginfo_t si = { .si_pid = 0 };

	if (w->pid <= 0)
		return true;
	return waitid(P_PID, (id_t)w->pid, &si, WEXITED | WNOHANG | WNOWAIT) < 0 || si.si_pid != 0;
}

int worker_mourn(const struct config_job *job, const struct wire_sink *sinks, const struct err *why, int exit_code)
{
	struct event ev = { .type = EVENT_ERROR, .job = job->name, .kind = why->kind, .span = SPAN_ACCT, .text = why->text };

	event_put(&sinks->events, &ev);
	ev = (struct event){ .type = EVENT_END, .job = job->name, .two_way = config_two_way(job), .one_way = job->mode == CONFIG_MIGRATE, .exit_code = exit_code };
	event_put(&sinks->events, &ev);
	return exit_code;
}

/* How it ended, as an error and an exit code. */
static int judge(int status, struct err *e)
{
	int sig = WIFSIGNALED(status) ? WTERMSIG(status) : 0;

	if (sig == SIGTERM || sig == SIGINT || sig == SIGHUP) {
		err_set(e, ERR_CANCEL, "the worker was stopped by signal %d (%s)", sig, strsignal(sig));
		return 128 + sig;
	}
	if (sig != 0) {
		err_set(e, ERR_BUG, "the worker was killed by signal %d (%s)", sig, strsignal(sig));
		err_hint(e, "what was done is safe; the next run goes on from there");
	} else {
		err_set(e, ERR_BUG, "the worker ended with status %d before its job did", WEXITSTATUS(status));
		if (WEXITSTATUS(status) == PLANNED_DEATH)
			return PLANNED_DEATH;
	}
	return err_exit_code(ERR_BUG);
}

int worker_finish(struct worker *w, const struct wire_sink *sinks)
{
	struct err why = ERR_INIT;
	int status = 0, code;
	pid_t got;

	do {
		got = waitpid(w->pid, &status, 0);
	} while (got < 0 && errno == EINTR);
	w->pid = -1;
	/* all it wrote is in the pipe; a helper that it left behind may hold that open, so its end is not waited for */
	while (read_some(w, sinks) == 1)
		;
	stop_reading(w);
	if (w->exit_code >= 0) {
		if (w->exit_code <= 1)
			err_clear(&w->failure);
		return w->exit_code;
	}
	w->crashed = true;
	code = judge(status, &why);
	if (w->doom.kind != ERR_NONE) {
		why = w->doom;
		code = err_exit_code(why.kind);
	}
	if (w->why.kind != ERR_NONE) {
		why = w->why;
		code = err_exit_code(why.kind);
	}
	w->failure = why;
	w->exit_code = worker_mourn(w->job, sinks, &why, code);
	return w->exit_code;
}
