#include "base/broker.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define VARS_MAX 4
#define VAR_NAME 32
#define RUNNING_MAX 32        /* commands that are talked with at once: a tunnel for each connection */
#define SLACK_MS 10000        /* an answer may come so much later than its command's deadline */
#define END_MS 1000
#define ASKED_MS INT64_C(172800000) /* what may be asked for, at most: twice what any key of the configuration allows */
#define LOOK_MS 3600000       /* between looks at nothing */
#define GRACE_MS 2000         /* for what still runs at the end */

enum asked { ASK_RUN = 1, ASK_START, ASK_STOP, ASK_ENDED };

/* A question is one message, and so is its answer. Both ends are the same program, so structs may travel; that they make sense is looked at all the same. */
struct ask {
	enum asked what;
	uint32_t command;       /* in the table */
	msec_t ms;              /* RUN: until its deadline, 0 none; STOP: grace */
	uint32_t room;          /* RUN: for its output; 0: nobody wants it */
	bool keep_stderr;       /* START */
	pid_t pid;              /* STOP, ENDED */
	uint32_t n_vars;        /* RUN */
	struct {
		char name[VAR_NAME];
		uint64_t value;
	} vars[VARS_MAX];
};

/* Behind it, of RUN: the output. With it, of START: the descriptors of its stdin and stdout. */
struct answer {
	int rc;                 /* 0, -1 with e; ENDED: 1 it has */
	int status;             /* STOP, ENDED */
	pid_t pid;              /* START */
	struct err e;
};

/* This process's end. The table stays here, too: commands are known by their text. */
static struct {
	bool stands;
	int fd;                 /* -1: it is gone, or there was no need of one */
	pid_t pid;
	const char *commands[BROKER_COMMANDS_MAX];
	size_t n;
} broker = { .fd = -1 };

/* ---- messages ---- */

/* Send one, with up to two descriptors (-1: none). */
static int send_message(int fd, struct iovec *parts, size_t n, const int fds[2])
{
	union {
		char room[CMSG_SPACE(2 * sizeof(int))];
		struct cmsghdr align;
	} control;
	struct msghdr m = { .msg_iov = parts, .msg_iovlen = n };
	size_t count = fds[0] < 0 ? 0 : fds[1] < 0 ? 1 : 2;
	ssize_t sent;

	memset(&control, 0, sizeof(control));
	if (count > 0) {
		struct cmsghdr *c;

		m.msg_control = control.room;
		m.msg_controllen = CMSG_SPACE(count * sizeof(int));
		c = CMSG_FIRSTHDR(&m);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(count * sizeof(int));
		memcpy(CMSG_DATA(c), fds, count * sizeof(int));
	}
	do {
		sent = sendmsg(fd, &m, MSG_NOSIGNAL);
	} while (sent < 0 && errno == EINTR);
	return sent < 0 ? -1 : 0;
}

/* Take one: its length, 0 at the end, -1. */
static ssize_t take_message(int fd, struct iovec *parts, size_t n, int fds[2])
{
	union {
		char room[CMSG_SPACE(2 * sizeof(int))];
		struct cmsghdr align;
	} control;
	struct msghdr m = { .msg_iov = parts, .msg_iovlen = n, .msg_control = control.room, .msg_controllen = sizeof(control.room) };
	ssize_t got;

	fds[0] = fds[1] = -1;
	do {
		got = recvmsg(fd, &m, MSG_CMSG_CLOEXEC);
	} while (got < 0 && errno == EINTR);
	if (got < 0)
		return -1;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
		if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS && c->cmsg_len <= CMSG_LEN(2 * sizeof(int)))
			memcpy(fds, CMSG_DATA(c), c->cmsg_len - CMSG_LEN(0));
	}
	return got;
}

static void close_both(int fds[2])
{
	for (int i = 0; i < 2; i++) {
		if (fds[i] >= 0)
			close(fds[i]);
		fds[i] = -1;
	}
}

/* ---- the broker ---- */

struct server {
	int fd;
	struct proc running[RUNNING_MAX];
	size_t n;
};

static struct proc *find_running(struct server *s, pid_t pid)
{
	for (size_t i = 0; i < s->n; i++) {
		if (s->running[i].pid == pid)
			return &s->running[i];
	}
	return NULL;
}

/* A variable that is ours: no other may change what a program does. */
static bool own_name(const char *name)
{
	static const char head[] = "MAILHAUL_";

	return memchr(name, '\0', VAR_NAME) && strncmp(name, head, sizeof(head) - 1) == 0 && name[strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_")] == '\0';
}

static int do_run(struct server *s, const struct ask *a, int input, struct strbuf *out, struct err *e)
{
	struct proc_var vars[VARS_MAX];
	struct proc_call c = { .command = broker.commands[a->command], .input_fd = input, .owner = s->fd, .vars = vars, .n_vars = a->n_vars, .out = a->room > 0 ? out : NULL };

	if (a->n_vars > VARS_MAX || a->room > BROKER_OUTPUT_MAX)
		return err_set(e, ERR_BUG, "the broker: what is asked makes no sense");
	for (size_t i = 0; i < a->n_vars; i++) {
		vars[i] = (struct proc_var){ a->vars[i].name, a->vars[i].value };
		if (!own_name(a->vars[i].name))
			return err_set(e, ERR_BUG, "the broker: what is asked makes no sense");
	}
	out->max = a->room;
	return proc_run(&c, a->ms > 0 ? clock_in(a->ms) : 0, e);
}

static int do_start(struct server *s, const struct ask *a, struct answer *out, int fds[2])
{
	struct proc *p = &s->running[s->n];

	if (s->n == RUNNING_MAX)
		return err_set(&out->e, ERR_LOCAL, "too many commands are running");
	if (proc_start(p, broker.commands[a->command], a->keep_stderr, &out->e) < 0)
		return -1;
	s->n++;
	out->pid = p->pid;
	fds[0] = p->in;
	fds[1] = p->out;
	p->in = p->out = -1;
	return 0;
}

static int do_stop(struct server *s, const struct ask *a, int *status)
{
	struct proc *p = find_running(s, a->pid);

	if (!p)
		return -1;
	*status = proc_stop(p, a->ms);
	*p = s->running[--s->n];
	return 0;
}

static int do_ended(struct server *s, const struct ask *a, int *status)
{
	struct proc *p = find_running(s, a->pid);

	return p && proc_ended(p, status) ? 1 : 0;
}

/* One question: 0, -1 when there will be none any more. */
static int serve_one(struct server *s)
{
	struct strbuf out = STRBUF_SECRET(BROKER_OUTPUT_MAX);
	struct answer answer = { .rc = -1 };
	struct ask a;
	struct iovec in = { &a, sizeof(a) };
	int given[2], fds[2] = { -1, -1 }, rc = -1;

	if (take_message(s->fd, &in, 1, given) != (ssize_t)sizeof(a))
		goto out;
	if (a.ms < 0 || a.ms > ASKED_MS)
		goto out;
	if ((a.what == ASK_RUN || a.what == ASK_START) && a.command >= broker.n) {
		err_set(&answer.e, ERR_BUG, "the broker: no such command");
	} else {
		switch (a.what) {
		case ASK_RUN: answer.rc = do_run(s, &a, given[0], &out, &answer.e); break;
		case ASK_START: answer.rc = do_start(s, &a, &answer, fds); break;
		case ASK_STOP: answer.rc = do_stop(s, &a, &answer.status); break;
		case ASK_ENDED: answer.rc = do_ended(s, &a, &answer.status); break;
		default: goto out;
		}
	}
	rc = send_message(s->fd, (struct iovec[]){ { &answer, sizeof(answer) }, { out.s, out.len } }, 2, fds);
out:
	close_both(given);
	close_both(fds);
	strbuf_release(&out);
	return rc;
}

/*
 * It answers until the other end is closed. What a terminal sends to all of its group is the other process's to hear; SIGTERM, also when that has died, ends it and all that it runs.
 */
static void __attribute__((noreturn)) serve(int fd, pid_t parent)
{
	struct server s = { .fd = 3 };
	struct err e = ERR_INIT;
	sigset_t deaf;

	sigemptyset(&deaf);
	sigaddset(&deaf, SIGINT);
	sigaddset(&deaf, SIGHUP);
	sigprocmask(SIG_BLOCK, &deaf, NULL);
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	prctl(PR_SET_CHILD_SUBREAPER, 1); /* what a command leaves comes here and is reaped, or a group would seem to live on */
	if (getppid() != parent || dup2(fd, s.fd) < 0 || fcntl(s.fd, F_SETFD, FD_CLOEXEC) < 0)
		_exit(0);
	clock_cancel_forget();
	proc_close_from(s.fd + 1);
	if (clock_cancel_init(&e) < 0)
		_exit(1);
	for (;;) {
		int ready = wait_fd(s.fd, WAIT_READ, clock_in(LOOK_MS), &e);

		if (ready < 0 && e.kind == ERR_TIMEOUT)
			continue;
		if (ready < 0 || serve_one(&s) < 0)
			break;
	}
	for (size_t i = 0; i < s.n; i++) {
		kill(-s.running[i].pid, SIGTERM);
		kill(-s.running[i].pid, SIGCONT);
	}
	for (size_t i = 0; i < s.n; i++)
		proc_stop(&s.running[i], GRACE_MS);
	_exit(0);
}

/* ---- this process ---- */

int broker_start(const char *const *commands, size_t n, struct err *e)
{
	pid_t parent = getpid();
	int fds[2];

	broker.n = 0;
	for (size_t i = 0; i < n; i++) {
		if (!commands[i])
			continue;
		if (broker.n == BROKER_COMMANDS_MAX)
			return err_set(e, ERR_BUG, "the broker: too many commands");
		broker.commands[broker.n++] = commands[i];
	}
	broker.fd = -1;
	broker.stands = broker.n == 0;
	if (broker.stands)
		return 0;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
		return err_errno(e, "can't make a pair of sockets");
	broker.pid = proc_fork();
	if (broker.pid == 0)
		serve(fds[1], parent);
	close(fds[1]);
	if (broker.pid < 0) {
		err_errno(e, "can't start a process");
		close(fds[0]);
		return -1;
	}
	broker.fd = fds[0];
	broker.stands = true;
	return 0;
}

bool broker_stands(void)
{
	return broker.stands;
}

static void hang_up(void)
{
	if (broker.fd >= 0)
		close(broker.fd);
	broker.fd = -1;
}

void broker_end(void)
{
	const msec_t until = clock_in(END_MS);
	struct pollfd p = { .fd = broker.fd, .events = POLLIN };

	broker.stands = false;
	broker.n = 0;
	if (broker.fd >= 0) {
		shutdown(broker.fd, SHUT_WR);
		/* it closes its end when it is done; not by wait_fd, which a signal would end */
		while (poll(&p, 1, (int)(until - clock_now() > 0 ? until - clock_now() : 0)) < 0 && errno == EINTR)
			;
	}
	hang_up();
	if (broker.pid > 0)
		waitpid(broker.pid, NULL, p.revents ? 0 : WNOHANG);
	broker.pid = 0;
}

/* What a command is called in the table; -1: it is none of it. */
static int number_of(const char *command, struct err *e)
{
	for (size_t i = 0; i < broker.n; i++) {
		if (strcmp(broker.commands[i], command) == 0)
			return (int)i;
	}
	return err_set(e, ERR_BUG, "a command that was not foreseen is not run");
}

/* Ask, and wait for the answer; output goes to out (NULL: none is expected), descriptors to fds. What can't be asked or understood ends the broker. */
static int ask(const struct ask *a, int input, msec_t deadline, bool deaf, struct answer *answer, struct strbuf *out, int fds[2], struct err *e)
{
	char *room = out && a->room > 0 ? strbuf_room(out, a->room) : NULL;
	struct iovec parts[] = { { answer, sizeof(*answer) }, { room, room ? a->room : 0 } };
	struct pollfd p = { .fd = broker.fd, .events = POLLIN };
	ssize_t got;

	fds[0] = fds[1] = -1;
	if (out && a->room > 0 && !room)
		return err_set(e, ERR_LOCAL, "out of memory");
	if (broker.fd < 0)
		return err_set(e, ERR_LOCAL, "the process that runs commands is gone");
	if (send_message(broker.fd, &(struct iovec){ (void *)(uintptr_t)a, sizeof(*a) }, 1, (const int[2]){ input, -1 }) < 0) {
		hang_up();
		return err_set(e, ERR_LOCAL, "the process that runs commands is gone");
	}
	if (deaf)
		while (poll(&p, 1, (int)(a->ms + SLACK_MS)) < 0 && errno == EINTR)
			;
	else if (wait_fd(broker.fd, WAIT_READ, deadline, e) < 0) {
		hang_up(); /* so it ends what it runs */
		return -1;
	}
	got = take_message(broker.fd, parts, 2, fds);
	if (got < (ssize_t)sizeof(*answer) || !memchr(answer->e.text, '\0', sizeof(answer->e.text))) {
		close_both(fds);
		hang_up();
		return err_set(e, ERR_LOCAL, "the process that runs commands is gone");
	}
	if (room)
		strbuf_added(out, (size_t)got - sizeof(*answer));
	if (answer->rc < 0 && e)
		*e = answer->e;
	return answer->rc;
}

int broker_run(const struct proc_call *c, msec_t deadline, struct err *e)
{
	struct ask a = { .what = ASK_RUN, .n_vars = (uint32_t)c->n_vars };
	int number = number_of(c->command, e), fds[2], input = -1, rc = -1;
	struct answer answer;
	size_t room = c->out ? c->out->max - c->out->len : 0;

	if (number < 0)
		return -1;
	if (c->n_vars > VARS_MAX)
		return err_set(e, ERR_BUG, "too many numbers for a command");
	a.command = (uint32_t)number;
	a.room = (uint32_t)(room < BROKER_OUTPUT_MAX ? room : BROKER_OUTPUT_MAX);
	if (deadline != 0)
		a.ms = deadline - clock_now() > ASKED_MS ? ASKED_MS : deadline > clock_now() ? deadline - clock_now() : 1;
	for (size_t i = 0; i < c->n_vars; i++) {
		snprintf(a.vars[i].name, VAR_NAME, "%s", c->vars[i].name);
		a.vars[i].value = c->vars[i].value;
	}
	if (c->input.n > 0 && (input = proc_file_of(c->input, e)) < 0)
		return -1;
	rc = ask(&a, input, deadline != 0 ? deadline + SLACK_MS : 0, false, &answer, c->out, fds, e);
	close_both(fds);
	if (input >= 0)
		close(input);
	if (rc < 0 && c->out)
		strbuf_clear(c->out);
	return rc;
}

int broker_start_command(struct proc *p, const char *command, bool keep_stderr, struct err *e)
{
	struct ask a = { .what = ASK_START, .keep_stderr = keep_stderr };
	int number = number_of(command, e), fds[2];
	struct answer answer;

	if (number < 0)
		return -1;
	a.command = (uint32_t)number;
	if (ask(&a, -1, clock_in(SLACK_MS), false, &answer, NULL, fds, e) < 0)
		return -1;
	*p = (struct proc){ .pid = answer.pid, .in = fds[0], .out = fds[1], .far = true };
	return 0;
}

int broker_stop_command(pid_t pid, msec_t grace)
{
	struct ask a = { .what = ASK_STOP, .pid = pid, .ms = grace };
	struct answer answer = { .rc = -1 };
	int fds[2], rc = ask(&a, -1, 0, true, &answer, NULL, fds, NULL);

	close_both(fds);
	return rc < 0 ? -1 : answer.status;
}

bool broker_command_ended(pid_t pid, int *status)
{
	struct ask a = { .what = ASK_ENDED, .pid = pid };
	struct answer answer = { .rc = -1 };
	int fds[2], rc = ask(&a, -1, clock_in(SLACK_MS), false, &answer, NULL, fds, NULL);

	close_both(fds);
	if (rc == 1)
		*status = answer.status;
	return rc == 1;
}
