#include "../../lib/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/proc.h"

#define LONG 30000 /* ms that no test waits out */

static int setup(void **state)
{
	(void)state;
	clock_cancel_clear();
	return clock_cancel_init(NULL);
}

static int teardown(void **state)
{
	(void)state;
	clock_cancel_clear();
	return 0;
}

/* Reap an orphan, which came to us, and return its wait status. */
static int orphan_status(pid_t pid)
{
	int status = -1;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void output(void **state)
{
	static const struct {
		const char *command, *out, *error; /* one of the last two is NULL */
	} rows[] = {
		{ "echo hello", "hello\n", NULL },
		{ "printf 'a b'; echo loud >&2", "a b", NULL },
		{ "true", "", NULL },
		{ "cat; echo end", "end\n", NULL },               /* stdin is at its end */
		{ "readlink /proc/self/fd/0", "/dev/null\n", NULL },
		{ "false", NULL, "the command exited with status 1" },
		{ "echo out; echo first >&2; echo 'last word' >&2; echo >&2; exit 7", NULL,
		  "the command exited with status 7: last word" },
		{ "printf 'x\\033[31m\\n' >&2; exit 2", NULL,
		  "the command exited with status 2: x\\x1b[31m" },
		{ "kill -9 $$", NULL, "the command was killed by signal 9" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct strbuf out = STRBUF_SECRET(1000);
		struct err e = ERR_INIT;
		int rc = proc_output(rows[i].command, &out, clock_in(LONG), &e);

		assert_string_equal(e.text, rows[i].error ? rows[i].error : "");
		assert_int_equal(rc, rows[i].error ? -1 : 0);
		assert_string_equal(strbuf_str(&out), rows[i].out ? rows[i].out : "");
		if (rows[i].error)
			assert_int_equal(e.kind, ERR_LOCAL);
		strbuf_release(&out);
	}
}

/* Input, numbers in the environment, no output wanted, nothing of what a service manager said. */
static void a_call(void **state)
{
	const struct proc_var vars[] = { { "MAILHAUL_NEW", 3 }, { "MAILHAUL_CHANGED", UINT64_MAX } };
	struct strbuf out = STRBUF_INIT(3000000), big = STRBUF_INIT(3000000);
	struct proc_call c = { .command = "cat; echo $MAILHAUL_NEW $MAILHAUL_CHANGED", .input = slice_str("a\nb\n"), .vars = vars, .n_vars = COUNT(vars), .out = &out };
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(proc_run(&c, clock_in(LONG), &e), 0);
	assert_string_equal(out.s, "a\nb\n3 18446744073709551615\n");
	assert_null(getenv("MAILHAUL_NEW")); /* it is the command's */
	/* more than a pipe holds: read, not read, read in part */
	while (big.len < 2000000)
		strbuf_puts(&big, "0123456789");
	c.input = strbuf_slice(&big);
	c.command = "wc -c";
	strbuf_clear(&out);
	assert_int_equal(proc_run(&c, clock_in(LONG), &e), 0);
	assert_string_equal(out.s, "2000000\n");
	c.command = "head -c 3";
	strbuf_clear(&out);
	assert_int_equal(proc_run(&c, clock_in(LONG), &e), 0);
	assert_string_equal(out.s, "012");
	c.command = "true";
	assert_int_equal(proc_run(&c, clock_in(LONG), &e), 0);
	/* however much it prints, nobody wants it */
	c.out = NULL;
	c.command = "cat; out=$(readlink /proc/$$/fd/1); echo $out >&2; exit 4";
	assert_int_equal(proc_run(&c, clock_in(LONG), &e), -1);
	assert_string_equal(e.text, "the command exited with status 4: /dev/null");
	setenv("NOTIFY_SOCKET", "@x", 1);
	setenv("LISTEN_FDS", "1", 1);
	c.command = "exit ${NOTIFY_SOCKET:+1}${LISTEN_FDS:+2}0";
	assert_int_equal(proc_run(&c, clock_in(LONG), &e), 0);
	assert_string_equal(getenv("NOTIFY_SOCKET"), "@x");
	unsetenv("NOTIFY_SOCKET");
	unsetenv("LISTEN_FDS");
	/* it has none but the three descriptors */
	c.command = "exec ls /proc/self/fd";
	c.out = &out;
	strbuf_clear(&out);
	assert_int_equal(proc_run(&c, clock_in(LONG), &e), 0);
	assert_string_equal(out.s, "0\n1\n2\n3\n"); /* the last is of ls */
	strbuf_release(&out);
	strbuf_release(&big);
}

static void no_such_program(void **state)
{
	struct strbuf out = STRBUF_INIT(1000);
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(proc_output("/nonexistent/program sesame", &out, clock_in(LONG), &e), -1);
	assert_non_null(strstr(e.text, "exited with status 127"));
	assert_non_null(strstr(e.text, "/nonexistent/program"));
	assert_null(strstr(e.text, "sesame")); /* arguments may be secret */
	strbuf_release(&out);
}

static void limit_of_output(void **state)
{
	struct strbuf out = STRBUF_INIT(5000);
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(proc_output("head -c 5000 /dev/zero", &out, clock_in(LONG), &e), 0);
	assert_int_equal(out.len, 5000);
	strbuf_clear(&out);
	assert_int_equal(proc_output("head -c 5001 /dev/zero", &out, clock_in(LONG), &e), -1);
	assert_string_equal(e.text, "the command printed more than 5000 bytes");
	assert_int_equal(out.len, 0);
	/* one that never ends */
	assert_int_equal(proc_output("cat /dev/zero", &out, clock_in(LONG), &e), -1);
	assert_string_equal(e.text, "the command printed more than 5000 bytes");
	/* it is added to what is there */
	strbuf_puts(&out, "kept ");
	assert_int_equal(proc_output("printf new", &out, clock_in(LONG), &e), 0);
	assert_string_equal(out.s, "kept new");
	strbuf_release(&out);
}

static void much_on_stderr(void **state)
{
	static const char command[] =
		"yes chatter | head -c 1000000 >&2; echo out; echo end >&2; exit 3";
	struct strbuf out = STRBUF_INIT(1000);
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(proc_output(command, &out, clock_in(LONG), &e), -1);
	assert_string_equal(e.text, "the command exited with status 3: end");
	/* a line longer than what is kept */
	assert_int_equal(proc_output("head -c 100000 /dev/zero | tr '\\0' x >&2; exit 3", &out,
	                             clock_in(LONG), &e), -1);
	assert_non_null(strstr(e.text, "status 3: xxxx"));
	assert_int_equal(proc_output("yes chatter >&2", &out, clock_in(100), &e), -1);
	assert_int_equal(e.kind, ERR_TIMEOUT);
	strbuf_release(&out);
}

static void deadline_kills_the_group(void **state)
{
	char *dir = scratch_make();
	struct strbuf command = STRBUF_INIT(10000), out = STRBUF_INIT(1000), pid = STRBUF_INIT(100);
	struct err e = ERR_INIT;
	msec_t start = clock_now();
	pid_t background;
	int status;

	(void)state;
	strbuf_printf(&command, "trap '' TERM; cd %s; sleep 1000 & echo $! > tmp; mv tmp pid; "
	              "echo partial; while :; do sleep 1000; done", dir);
	/* until the background process has told its pid, deadlines pass */
	for (int ms = 100; pid.len == 0; ms *= 2) {
		assert_int_equal(proc_output(command.s, &out, clock_in(ms), &e), -1);
		assert_int_equal(e.kind, ERR_TIMEOUT);
		assert_int_equal(out.len, 0);
		fs_read_file(scratch_path(dir, "pid"), &pid, NULL);
	}
	assert_true(clock_now() - start < LONG);
	/* the background process ignored TERM, too: KILL reached it; its shell or we reaped it */
	background = (pid_t)strtol(pid.s, NULL, 10);
	assert_true(background > 1);
	if (waitpid(background, &status, 0) == background)
		assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	assert_int_equal(kill(background, 0), -1);
	assert_int_equal(errno, ESRCH);
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
	strbuf_release(&command);
	strbuf_release(&out);
	strbuf_release(&pid);
	scratch_remove(dir);
}

static void a_background_child(void **state)
{
	struct strbuf out = STRBUF_INIT(1000);
	struct err e = ERR_INIT;
	msec_t start = clock_now();
	pid_t pid;

	(void)state;
	/* it keeps stdout and stderr open, as a badly behaved agent does, and holds nothing up */
	assert_int_equal(proc_output("sleep 1000 & echo $!", &out, clock_in(LONG), &e), 0);
	assert_true(clock_now() - start < LONG / 2);
	pid = (pid_t)strtol(out.s, NULL, 10);
	assert_true(pid > 1);
	assert_int_equal(kill(pid, SIGKILL), 0); /* it still lives: it is not ours to end */
	orphan_status(pid);
	strbuf_release(&out);
}

static void cancellation(void **state)
{
	struct strbuf out = STRBUF_INIT(1000);
	struct err e = ERR_INIT;
	msec_t sent, now;
	int fds[2], status;
	pid_t pid;

	(void)state;
	assert_int_equal(pipe(fds), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		poll(NULL, 0, 50);
		sent = clock_now();
		if (write(fds[1], &sent, sizeof(sent)) != sizeof(sent))
			_exit(1);
		_exit(kill(getppid(), SIGINT) == 0 ? 0 : 1);
	}
	assert_int_equal(proc_output("sleep 1000", &out, clock_in(LONG), &e), -1);
	now = clock_now();
	assert_int_equal(e.kind, ERR_CANCEL);
	assert_int_equal(read(fds[0], &sent, sizeof(sent)), sizeof(sent));
	assert_true(now - sent < 2000);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	/* and none is run to its end after that */
	assert_int_equal(proc_output("sleep 1000", &out, clock_in(LONG), &e), -1);
	assert_int_equal(e.kind, ERR_CANCEL);
	strbuf_release(&out);
	close(fds[0]);
	close(fds[1]);
}

static void a_clean_child(void **state)
{
	static const char command[] = "grep -E '^Sig(Blk|Ign):' /proc/self/status | cut -f2; "
	                              "[ -e /proc/self/fd/77 ] && echo leaked; "
	                              "read pid name st parent group rest < /proc/$$/stat; "
	                              "[ $pid = $group ] && echo own group";
	struct strbuf out = STRBUF_INIT(1000);
	struct err e = ERR_INIT;
	sigset_t block, old;
	int leak = fcntl(0, F_DUPFD, 77);
	unsigned long long ignored;

	(void)state;
	assert_true(leak >= 77); /* not close-on-exec */
	sigemptyset(&block);
	sigaddset(&block, SIGTERM);
	sigaddset(&block, SIGUSR1);
	sigprocmask(SIG_BLOCK, &block, &old);
	assert_int_equal(proc_output(command, &out, clock_in(LONG), &e), 0);
	sigprocmask(SIG_SETMASK, &old, NULL);
	close(leak);
	assert_int_equal(strncmp(out.s, "0000000000000000\n", 17), 0);
	ignored = strtoull(out.s + 17, NULL, 16);
	assert_true((ignored & (1ULL << (SIGPIPE - 1))) == 0);
	assert_null(strstr(out.s, "leaked"));
	assert_non_null(strstr(out.s, "own group"));
	strbuf_release(&out);
}

static void sigchld_ignored(void **state)
{
	struct strbuf out = STRBUF_INIT(1000);
	struct err e = ERR_INIT;

	(void)state;
	signal(SIGCHLD, SIG_IGN);
	assert_int_equal(proc_output("exit 5", &out, clock_in(LONG), &e), -1);
	assert_string_equal(e.text, "the command exited with status 5");
	strbuf_release(&out);
}

static void without_standard_descriptors(void **state)
{
	struct strbuf out = STRBUF_INIT(1000);
	struct err e = ERR_INIT;
	int kept[3], rc;

	(void)state;
	for (int i = 0; i < 3; i++) {
		kept[i] = fcntl(i, F_DUPFD_CLOEXEC, 10);
		close(i);
	}
	rc = proc_output("echo out; echo err >&2; exit 4", &out, clock_in(LONG), &e);
	for (int i = 0; i < 3; i++) {
		dup2(kept[i], i);
		close(kept[i]);
	}
	assert_int_equal(rc, -1);
	assert_string_equal(e.text, "the command exited with status 4: err");
	strbuf_release(&out);
}

/* In a session with a terminal of its own: what a command that reads it comes to. */
static int on_a_terminal(const char *command, const char *expected)
{
	struct strbuf out = STRBUF_INIT(1000);
	struct err e = ERR_INIT;

	if (clock_cancel_init(&e) < 0)
		return 1;
	if (proc_output(command, &out, clock_in(LONG), &e) == 0)
		return strcmp(strbuf_str(&out), expected) == 0 ? 0 : 2;
	return strstr(e.text, expected) ? 0 : 3;
}

static void the_terminal(void **state)
{
	static const char *const rows[][2] = {
		{ "read line < /dev/tty; echo read", "wants to talk on the terminal" },
		{ "[ -w /dev/tty ] && : > /dev/tty && echo there", "there\n" },
	};
	int master, status;
	char buf[100];

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		pid_t pid = forkpty(&master, NULL, NULL, NULL);

		assert_true(pid >= 0);
		if (pid == 0)
			_exit(on_a_terminal(rows[i][0], rows[i][1]));
		while (read(master, buf, sizeof(buf)) > 0)
			;
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_int_equal(status, 0);
		close(master);
	}
}

/* Read until a newline has come. */
static void read_line(int fd, struct strbuf *b)
{
	while (b->len == 0 || b->s[b->len - 1] != '\n') {
		ssize_t n;

		assert_int_equal(wait_fd(fd, WAIT_READ, clock_in(LONG), NULL), WAIT_READ);
		n = read(fd, strbuf_room(b, 100), 100);
		assert_true(n > 0);
		strbuf_added(b, (size_t)n);
	}
}

static void conversation(void **state)
{
	static const char command[] = "while read x; do echo \"<$x>\"; done; exit 3";
	struct strbuf b = STRBUF_INIT(1000);
	struct err e = ERR_INIT;
	struct proc p;
	siginfo_t si;
	int status;
	char c;

	(void)state;
	assert_int_equal(proc_start(&p, command, false, &e), 0);
	assert_int_equal(read(p.out, &c, 1), -1); /* non-blocking */
	assert_int_equal(errno, EAGAIN);
	assert_int_equal(fs_write_all(p.in, "one\n", 4, "it", &e), 0);
	read_line(p.out, &b);
	assert_string_equal(b.s, "<one>\n");
	strbuf_clear(&b);
	assert_int_equal(fs_write_all(p.in, "two\n", 4, "it", &e), 0);
	read_line(p.out, &b);
	assert_string_equal(b.s, "<two>\n");
	/* its stdin closed, it ends by itself */
	close(p.in);
	p.in = -1;
	assert_int_equal(wait_fd(p.out, WAIT_READ, clock_in(LONG), &e), WAIT_READ);
	assert_int_equal(read(p.out, &c, 1), 0);
	assert_int_equal(waitid(P_PID, (id_t)p.pid, &si, WEXITED | WNOWAIT), 0);
	status = proc_stop(&p, LONG);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 3);
	assert_int_equal(p.pid, -1);
	assert_int_equal(p.out, -1);
	assert_int_equal(proc_stop(&p, LONG), -1); /* twice is nothing */
	strbuf_release(&b);
}

static void stopping(void **state)
{
	static const struct {
		const char *command;
		int grace, sig; /* sig 0: status 9 */
	} rows[] = {
		{ "echo ready; sleep 1000", LONG, SIGTERM },
		{ "trap 'exit 9' TERM; echo ready; while :; do sleep 0.02; done", LONG, 0 },
		{ "trap '' TERM; echo ready; while :; do sleep 1000; done", 50, SIGKILL },
		{ "echo ready; kill -STOP $$", LONG, SIGTERM },
	};
	struct err e = ERR_INIT;

	(void)state;
	/* orphans of the group come to us, and need not wait for a busy init */
	assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1L), 0);
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct strbuf b = STRBUF_INIT(1000);
		msec_t start = clock_now();
		struct proc p;
		siginfo_t si;
		int status;

		assert_int_equal(proc_start(&p, rows[i].command, true, &e), 0);
		read_line(p.out, &b);
		if (strstr(rows[i].command, "STOP"))
			assert_int_equal(waitid(P_PID, (id_t)p.pid, &si, WSTOPPED | WNOWAIT), 0);
		status = proc_stop(&p, rows[i].grace);
		if (rows[i].sig)
			assert_true(WIFSIGNALED(status) && WTERMSIG(status) == rows[i].sig);
		else
			assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 9);
		assert_true(clock_now() - start < LONG / 2);
		/* cancelled or not, it is reaped */
		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
		strbuf_release(&b);
	}
}

static void stderr_kept_or_not(void **state)
{
	static const char command[] = "[ /dev/fd/2 -ef /proc/$PPID/fd/2 ] && echo same";
	struct strbuf b = STRBUF_INIT(1000);
	struct err e = ERR_INIT;
	struct proc p;

	(void)state;
	assert_int_equal(proc_start(&p, "readlink /proc/self/fd/2", false, &e), 0);
	read_line(p.out, &b);
	assert_string_equal(b.s, "/dev/null\n");
	proc_stop(&p, LONG);
	strbuf_clear(&b);
	assert_int_equal(proc_start(&p, command, true, &e), 0);
	read_line(p.out, &b);
	assert_string_equal(b.s, "same\n");
	proc_stop(&p, LONG);
	strbuf_release(&b);
}

/* What this program denies itself is no command's affair. */
static void limits(void **state)
{
	struct strbuf out = STRBUF_INIT(100), now = STRBUF_INIT(100);
	struct err e = ERR_INIT;
	struct rlimit was, rl;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &was), 0);
	assert_true(was.rlim_cur > 200);
	assert_int_equal(proc_output("ulimit -n", &out, clock_in(LONG), &e), 0);
	proc_limits(0, 200);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &rl), 0);
	assert_int_equal(rl.rlim_cur, 200);
	assert_int_equal(proc_output("ulimit -n", &now, clock_in(LONG), &e), 0);
	assert_string_equal(strbuf_str(&now), strbuf_str(&out));
	proc_limits(0, was.rlim_cur + 1); /* not raised */
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &rl), 0);
	assert_int_equal(rl.rlim_cur, 200);
	setrlimit(RLIMIT_NOFILE, &was);
	strbuf_release(&out);
	strbuf_release(&now);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(limits, setup, teardown),
		cmocka_unit_test_setup_teardown(output, setup, teardown),
		cmocka_unit_test_setup_teardown(a_call, setup, teardown),
		cmocka_unit_test_setup_teardown(no_such_program, setup, teardown),
		cmocka_unit_test_setup_teardown(limit_of_output, setup, teardown),
		cmocka_unit_test_setup_teardown(much_on_stderr, setup, teardown),
		cmocka_unit_test_setup_teardown(deadline_kills_the_group, setup, teardown),
		cmocka_unit_test_setup_teardown(a_background_child, setup, teardown),
		cmocka_unit_test_setup_teardown(cancellation, setup, teardown),
		cmocka_unit_test_setup_teardown(a_clean_child, setup, teardown),
		cmocka_unit_test_setup_teardown(sigchld_ignored, setup, teardown),
		cmocka_unit_test_setup_teardown(without_standard_descriptors, setup, teardown),
		cmocka_unit_test_setup_teardown(the_terminal, setup, teardown),
		cmocka_unit_test_setup_teardown(conversation, setup, teardown),
		cmocka_unit_test_setup_teardown(stopping, setup, teardown),
		cmocka_unit_test_setup_teardown(stderr_kept_or_not, setup, teardown),
	};

	/* orphans of the commands come to us, so that their end can be seen */
	prctl(PR_SET_CHILD_SUBREAPER, 1L, 0L, 0L, 0L);
	setenv("LC_ALL", "C", 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
