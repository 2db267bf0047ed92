#include "fake.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"

#define PATIENCE 20000

struct board *board;
struct fake fakes[FAKE_JOBS];
struct job_params fake_params[FAKE_JOBS];
struct strbuf fake_said;

static struct config_job jobs[FAKE_JOBS];
static struct config_end ends[FAKE_JOBS], local = { .kind = CONFIG_MAILDIR, .name = "a" };
static char hosts[FAKE_JOBS][8];
static char names[FAKE_JOBS][4];

void fake_begin(void)
{
	board = mmap(NULL, sizeof(*board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (board == MAP_FAILED)
		abort();
	fake_said = (struct strbuf)STRBUF_INIT(1 << 20);
	memset(fakes, 0, sizeof(fakes));
	for (int i = 0; i < FAKE_JOBS; i++) {
		names[i][0] = (char)('a' + i);
		ends[i] = (struct config_end){ .kind = CONFIG_POP3, .is_account = true, .connections = 1, .name = names[i] };
		jobs[i] = (struct config_job){ .name = names[i], .left = &ends[i], .right = &local };
		fake_params[i] = (struct job_params){ .job = &jobs[i] };
	}
}

void fake_end(void)
{
	munmap(board, sizeof(*board));
	strbuf_release(&fake_said);
}

struct config_job *fake_job(int i)
{
	return &jobs[i];
}

void fake_claims(void)
{
	for (int i = 0; i < FAKE_JOBS; i++) {
		ends[i].connections = fakes[i].connections;
		snprintf(hosts[i], sizeof(hosts[i]), "h%d", fakes[i].host);
		ends[i].pop3.pop3.dial.host = fakes[i].host ? hosts[i] : NULL;
	}
}

static void nap(void)
{
	struct timespec t = { .tv_nsec = 1000000 };

	nanosleep(&t, NULL);
}

bool fake_wait(const int *p, int n)
{
	msec_t until = clock_in(PATIENCE);

	while (__atomic_load_n(p, __ATOMIC_SEQ_CST) <= n && clock_now() < until)
		nap();
	return __atomic_load_n(p, __ATOMIC_SEQ_CST) > n;
}

static int add(int *p, int n)
{
	return __atomic_add_fetch(p, n, __ATOMIC_SEQ_CST);
}

int job_source(const struct config_end *end, struct strbuf *out)
{
	return strbuf_printf(out, "pop3:%d", fakes[end->name[0] - 'a'].account ? fakes[end->name[0] - 'a'].account : 1000 + end->name[0]);
}

/* Garbage into every pipe that we can write to; one of them is the parent's. */
static void write_garbage(void)
{
	for (int fd = 3; fd < 256; fd++) {
		struct stat st;

		if (fstat(fd, &st) == 0 && S_ISFIFO(st.st_mode) && (fcntl(fd, F_GETFL) & O_ACCMODE) == O_WRONLY && write(fd, "\377\377\377\377", 4) < 0)
			abort();
	}
}

static uint64_t readable_pipes(void)
{
	uint64_t n = 0;

	for (int fd = 3; fd < 256; fd++) {
		struct stat st;

		n += fd != clock_cancel_fd() && fstat(fd, &st) == 0 && S_ISFIFO(st.st_mode) && (fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDONLY;
	}
	return n;
}

/* Few descriptors, no core, and memory within bounds that are some; but not under a sanitizer, whose shadow is larger than any, and valgrind, which has limits of its own. */
static bool limits_hold(void)
{
	struct rlimit files, core, data;
	void *much;

	if (getenv("ASAN_OPTIONS") || getenv("TSAN_OPTIONS") || getenv("LD_PRELOAD")) /* valgrind has vgpreload there */
		return true;
	getrlimit(RLIMIT_NOFILE, &files);
	getrlimit(RLIMIT_CORE, &core);
	getrlimit(RLIMIT_DATA, &data);
	if (files.rlim_cur > 4096 || core.rlim_max != 0)
		return false;
	much = malloc((size_t)5 << 30);
	free(much);
	return !much && data.rlim_cur >= (rlim_t)512 << 20 && data.rlim_cur <= (rlim_t)4 << 30;
}

/* Die without a core, nor a sanitizer's report. */
static void die(int sig)
{
	struct rlimit none = { 0, 0 };

	setrlimit(RLIMIT_CORE, &none);
	signal(sig, SIG_DFL);
	raise(sig);
}

static void leave_helper(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		for (int i = 0; i < PATIENCE && !__atomic_load_n(&board->go, __ATOMIC_SEQ_CST); i++)
			nap();
		_exit(0);
	}
	board->helper = pid;
}

/* Two children: one in a group of its own, as a helper is, and one that made a session of its own. Both outlive us. */
static void leave_helpers(void)
{
	pid_t *where[] = { &board->helper, &board->daemon };

	for (int i = 0; i < 2; i++) {
		pid_t pid = fork();

		if (pid == 0) {
			if (i == 0)
				setpgid(0, 0);
			else
				setsid();
			*where[i] = getpid();
			signal(SIGTERM, i == 0 ? SIG_DFL : SIG_IGN);
			for (int k = 0; k < PATIENCE && !__atomic_load_n(&board->go, __ATOMIC_SEQ_CST); k++)
				nap();
			_exit(0);
		}
	}
	for (int k = 0; k < PATIENCE && (!board->helper || !board->daemon); k++)
		nap();
}

static void on_term(int sig)
{
	board->termed = sig;
}

/* What a helper leaves that has ended: it is in the helper's group. */
static void leave_background(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		setpgid(0, 0);
		if (fork() == 0) {
			signal(SIGTERM, on_term);
			board->background = getpid();
			for (int k = 0; k < PATIENCE && !__atomic_load_n(&board->stop, __ATOMIC_SEQ_CST); k++)
				nap();
		}
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	for (int k = 0; k < PATIENCE && !board->background; k++)
		nap();
}

/* What the job is there for. Returns its exit code. */
static int act(int i, const struct event_sink *sink, struct event *end)
{
	struct event ev = { .type = EVENT_MESSAGE, .job = end->job, .action = ACTION_PULL };
	struct err e = ERR_INIT;

	switch (fakes[i].kind) {
	case FAKE_OK:
	case FAKE_NO_END:
		break;
	case FAKE_FAILED_ITEMS:
		return 1;
	case FAKE_REFUSED:
		event_put(sink, &(struct event){ .type = EVENT_ERROR, .job = end->job, .kind = ERR_AUTH, .span = SPAN_ACCT, .text = "no such user" });
		return err_exit_code(ERR_AUTH);
	case FAKE_SEGV:
		die(SIGSEGV);
		break;
	case FAKE_HELPER:
		leave_helper();
		die(SIGKILL);
		break;
	case FAKE_KILLED:
		die(SIGKILL);
		break;
	case FAKE_EXIT:
		_exit(fakes[i].code);
	case FAKE_GARBAGE:
		write_garbage();
		fake_wait(&board->go, 0);
		break;
	case FAKE_UNTIL_SIGNAL:
		wait_until(clock_in(PATIENCE), &e);
		board->signal[i] = clock_cancel_signal();
		return board->signal[i] ? 128 + board->signal[i] : 0;
	case FAKE_STUBBORN:
		wait_until(clock_in(PATIENCE), &e);
		board->signal[i] = clock_cancel_signal();
		fake_wait(&board->go, 0);
		break;
	case FAKE_UNTIL_GO:
		fake_wait(&board->go, 0);
		break;
	case FAKE_TOGETHER:
		fake_wait(&board->most, board->go - 1);
		wait_until(clock_in(30), &e);
		break;
	case FAKE_CHATTER:
		for (int k = 0; k < 20000; k++) {
			ev.size = (uint64_t)k;
			event_put(sink, &ev);
		}
		break;
	case FAKE_SPINS:
		for (msec_t until = clock_in(PATIENCE); !__atomic_load_n(&board->go, __ATOMIC_SEQ_CST) && clock_now() < until && !clock_cancelled();)
			;
		break;
	case FAKE_HELPERS:
		leave_helpers();
		die(SIGKILL);
		break;
	case FAKE_LIMITS:
		end->totals.pulled = limits_hold();
		break;
	case FAKE_BACKGROUND:
		leave_background();
		fake_wait(&board->go, 0);
		break;
	case FAKE_FDS:
		end->totals.pulled = readable_pipes();
		break;
	}
	return 0;
}

int job_run(const struct job_params *p, const struct event_sink *sink)
{
	int i = p->job->name[0] - 'a', account = fakes[i].account, now;
	struct event start = { .type = EVENT_START, .job = p->job->name }, end = { .type = EVENT_END, .job = "a lie" };

	board->pid[i] = getpid();
	event_put(sink, &start);
	log_info("hello");
	log_debug("unwanted");
	now = add(&board->running, 1);
	if (now > board->most)
		board->most = now;
	if (account && add(&board->busy[account], 1) > 1)
		board->collisions++;
	board->started[i] = add(&board->starts, 1);
	end.exit_code = act(i, sink, &end);
	if (account)
		add(&board->busy[account], -1);
	add(&board->running, -1);
	board->ended[i] = add(&board->ends, 1);
	if (fakes[i].kind != FAKE_NO_END)
		event_put(sink, &end);
	return end.exit_code;
}

/* Nothing is noted of these runs. */
char *job_state_path(const char *state_dir, const char *job, struct err *e)
{
	(void)state_dir;
	(void)job;
	(void)e;
	return NULL;
}

int job_status(const struct job_params *p, struct job_status *out, struct err *e)
{
	(void)p;
	(void)out;
	return err_set(e, ERR_BUG, "a fake has no state");
}

static void say(void *arg, const struct event *ev)
{
	static uint64_t next;

	(void)arg;
	if (ev->type == EVENT_MESSAGE) {
		if (ev->size == 0)
			next = 0;
		if (ev->size == next++ && next == 20000)
			strbuf_printf(&fake_said, "%s: 20000 messages\n", ev->job);
	} else if (ev->type == EVENT_ERROR) {
		strbuf_printf(&fake_said, "%s: error %s: %s\n", ev->job, err_kind_name(ev->kind), ev->text);
	} else if (ev->type == EVENT_END && ev->totals.pulled) {
		strbuf_printf(&fake_said, "%s: pulled %d\n", ev->job, (int)ev->totals.pulled);
	} else if (ev->type == EVENT_END) {
		strbuf_printf(&fake_said, "%s: end %d\n", ev->job, ev->exit_code);
	} else {
		strbuf_printf(&fake_said, "%s: %s\n", ev->job, event_type_name(ev->type));
	}
}

static void say_log(void *arg, enum log_level level, const char *context, const char *text)
{
	(void)arg;
	strbuf_printf(&fake_said, "log %d %s%s\n", level, context, text);
}

struct wire_sink fake_sinks(void)
{
	return (struct wire_sink){ .events = { .put = say }, .log = say_log };
}
