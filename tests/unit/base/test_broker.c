#include "../../lib/unit.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/broker.h"
#include "base/fs.h"

#define LONG 30000 /* ms that no test waits out */

static char *dir;

static int setup(void **state)
{
	(void)state;
	clock_cancel_clear();
	dir = scratch_make();
	setenv("DIR", dir, 1);
	return clock_cancel_init(NULL);
}

static int teardown(void **state)
{
	(void)state;
	broker_end();
	clock_cancel_clear();
	scratch_remove(dir);
	return 0;
}

/* Start one for these, NULL at the end. */
static void start(const char *const *commands)
{
	size_t n = 0;
	struct err e = ERR_INIT;

	while (commands[n])
		n++;
	if (broker_start(commands, n, &e) < 0)
		fail_msg("%s", e.text);
	assert_true(broker_stands());
}

/* The pid that a command has written to DIR/pid. */
static pid_t pid_of(void)
{
	struct strbuf b = STRBUF_INIT(100);
	msec_t end = clock_in(LONG);
	pid_t pid;

	while (fs_read_file(scratch_path(dir, "pid"), &b, NULL) < 0 || b.len == 0 || b.s[b.len - 1] != '\n') {
		strbuf_clear(&b);
		assert_true(clock_now() < end);
		usleep(2000);
	}
	pid = (pid_t)strtol(b.s, NULL, 10);
	strbuf_release(&b);
	assert_true(pid > 1);
	return pid;
}

/* It ends, whoever's child it is: we are the reaper of orphans. */
static void gone(pid_t pid)
{
	msec_t end = clock_in(LONG);

	while (waitpid(pid, NULL, WNOHANG) <= 0 && kill(pid, 0) == 0) {
		assert_true(clock_now() < end);
		usleep(2000);
	}
}

/* What stands in the table is run, by the process that was forked before; nothing else is. */
static void the_table(void **state)
{
	struct strbuf out = STRBUF_SECRET(1000);
	struct err e = ERR_INIT;

	(void)state;
	start((const char *const[]){ "echo sesame; echo $PPID >$DIR/pid", "echo first >&2; echo 'last word' >&2; exit 7", "head -c 1001 /dev/zero", "sleep 1000", NULL });
	assert_int_equal(proc_output("echo sesame; echo $PPID >$DIR/pid", &out, clock_in(LONG), &e), 0);
	assert_string_equal(out.s, "sesame\n");
	assert_int_not_equal(pid_of(), getpid());
	assert_int_equal(proc_output("echo sesame", &out, clock_in(LONG), &e), -1);
	assert_string_equal(e.text, "a command that was not foreseen is not run");
	assert_int_equal(proc_output("echo first >&2; echo 'last word' >&2; exit 7", &out, clock_in(LONG), &e), -1);
	assert_string_equal(e.text, "the command exited with status 7: last word");
	assert_int_equal(e.kind, ERR_LOCAL);
	assert_int_equal(proc_output("head -c 1001 /dev/zero", &out, clock_in(LONG), &e), -1);
	assert_string_equal(e.text, "the command printed more than 1000 bytes");
	assert_int_equal(out.len, 0);
	assert_int_equal(proc_output("sleep 1000", &out, clock_in(50), &e), -1);
	assert_int_equal(e.kind, ERR_TIMEOUT);
	assert_int_equal(proc_output("echo sesame; echo $PPID >$DIR/pid", &out, clock_in(LONG), &e), 0);
	broker_end();
	gone(pid_of());
	/* from now on we run them ourselves */
	assert_false(broker_stands());
	strbuf_clear(&out);
	assert_int_equal(proc_output("echo other", &out, clock_in(LONG), &e), 0);
	assert_string_equal(out.s, "other\n");
	strbuf_release(&out);
}

static void an_empty_table(void **state)
{
	struct strbuf out = STRBUF_INIT(1000);
	struct err e = ERR_INIT;

	(void)state;
	while (waitpid(-1, NULL, 0) > 0)
		;
	assert_int_equal(broker_start((const char *const[]){ NULL, NULL }, 2, &e), 0);
	assert_true(broker_stands());
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* nobody was forked */
	assert_int_equal(proc_output("true", &out, clock_in(LONG), &e), -1);
	assert_string_equal(e.text, "a command that was not foreseen is not run");
	strbuf_release(&out);
}

/* Input and numbers come through; a name that could change what a program does is refused by the other side. */
static void input_and_numbers(void **state)
{
	static const char command[] = "cat; echo $MAILHAUL_NEW$LD_PRELOAD";
	struct proc_var vars[] = { { "MAILHAUL_NEW", 12 } }, foreign[] = { { "LD_PRELOAD", 1 } }, cut[] = { { "MAILHAUL_WITH_A_NAME_THAT_IS_TOO_LONG", 1 } };
	struct strbuf out = STRBUF_INIT(BROKER_OUTPUT_MAX), big = STRBUF_INIT(1000000);
	struct proc_call c = { .command = command, .input = slice_str("a\n"), .vars = vars, .n_vars = 1, .out = &out };
	struct err e = ERR_INIT;

	(void)state;
	start((const char *const[]){ command, "wc -c >$DIR/pid; echo thrown away", "head -c 65536 /dev/zero", NULL });
	assert_int_equal(proc_run(&c, clock_in(LONG), &e), 0);
	assert_string_equal(out.s, "a\n12\n");
	c.vars = foreign;
	assert_int_equal(proc_run(&c, clock_in(LONG), &e), -1);
	assert_string_equal(e.text, "the broker: what is asked makes no sense");
	c.vars = cut;
	assert_int_equal(proc_run(&c, clock_in(LONG), &e), 0); /* cut, it is one of ours */
	c.n_vars = 0;
	while (big.len < 900000)
		strbuf_puts(&big, "0123456789");
	c.input = strbuf_slice(&big);
	c.command = "wc -c >$DIR/pid; echo thrown away";
	c.out = NULL;
	assert_int_equal(proc_run(&c, clock_in(LONG), &e), 0);
	assert_int_equal(pid_of(), 900000);
	strbuf_clear(&out);
	assert_int_equal(proc_output("head -c 65536 /dev/zero", &out, clock_in(LONG), &e), 0);
	assert_int_equal(out.len, 65536);
	strbuf_release(&out);
	strbuf_release(&big);
}

/* Read until these many bytes came. */
static void read_exactly(int fd, char *buf, size_t n)
{
	for (size_t got = 0; got < n;) {
		ssize_t r;

		assert_true(wait_fd(fd, WAIT_READ, clock_in(LONG), NULL) > 0);
		r = read(fd, buf + got, n - got);
		assert_true(r > 0);
		got += (size_t)r;
	}
}

/* Several that are talked with, each with pipes of its own; how they end is seen from here. */
static void conversations(void **state)
{
	struct err e = ERR_INIT;
	struct proc p, q;
	msec_t end = clock_in(LONG);
	char buf[4];
	int status = 0;

	(void)state;
	start((const char *const[]){ "cat; exit 5", "cat; exec sleep 1000", "exit 1", NULL });
	assert_int_equal(proc_start(&p, "cat; exit 5", false, &e), 0);
	assert_int_equal(proc_start(&q, "cat; exec sleep 1000", true, &e), 0);
	assert_int_equal(proc_start(&(struct proc){ 0 }, "cat;cat", false, &e), -1);
	assert_int_equal(write(p.in, "abc", 3), 3);
	assert_int_equal(write(q.in, "xyz", 3), 3);
	read_exactly(q.out, buf, 3);
	assert_memory_equal(buf, "xyz", 3);
	read_exactly(p.out, buf, 3);
	assert_memory_equal(buf, "abc", 3);
	assert_false(proc_ended(&p, &status));
	close(p.in); /* nobody else holds it: the command sees the end */
	p.in = -1;
	while (!proc_ended(&p, &status))
		assert_true(clock_now() < end);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 5);
	status = proc_stop(&p, LONG);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 5);
	assert_int_equal(proc_stop(&p, LONG), -1);
	assert_int_equal(write(q.in, "2", 1), 1);
	read_exactly(q.out, buf, 1);
	status = proc_stop(&q, LONG);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
}

/* A signal to this process ends the command, whatever that has started. */
static void cancellation(void **state)
{
	static const char command[] = "trap '' TERM; sleep 1000 & echo $! >$DIR/pid; wait; sleep 1000";
	struct strbuf out = STRBUF_INIT(1000);
	struct err e = ERR_INIT;
	pid_t killer;

	(void)state;
	start((const char *const[]){ command, NULL });
	killer = fork();
	if (killer == 0) {
		pid_of();
		kill(getppid(), SIGTERM);
		_exit(0);
	}
	assert_int_equal(proc_output(command, &out, clock_in(LONG), &e), -1);
	assert_int_equal(e.kind, ERR_CANCEL);
	gone(pid_of());
	assert_int_equal(waitpid(killer, NULL, 0), killer);
	assert_int_equal(proc_output(command, &out, clock_in(LONG), &e), -1);
	strbuf_release(&out);
}

/* The process that has the broker is killed, in the midst of a command and with another running: nothing is left. */
static void death(void **state)
{
	static const char talk[] = "trap '' TERM; echo $$ >$DIR/talk; cat; sleep 1000", command[] = "sleep 1000 & echo $! >$DIR/tmp; mv $DIR/tmp $DIR/pid; wait";
	struct strbuf b = STRBUF_INIT(100);
	pid_t child = fork(), asleep;

	(void)state;
	if (child == 0) {
		struct strbuf out = STRBUF_INIT(1000);
		struct proc p;

		clock_cancel_init(NULL);
		if (broker_start((const char *const[]){ talk, command }, 2, NULL) < 0 || proc_start(&p, talk, false, NULL) < 0)
			_exit(1);
		proc_output(command, &out, clock_in(LONG), NULL);
		_exit(2);
	}
	asleep = pid_of();
	while (fs_read_file(scratch_path(dir, "talk"), &b, NULL) < 0 || b.len == 0)
		usleep(2000);
	kill(child, SIGKILL);
	assert_int_equal(waitpid(child, NULL, 0), child);
	gone(asleep);
	gone((pid_t)strtol(b.s, NULL, 10));
	while (waitpid(-1, NULL, 0) > 0)
		; /* the broker, too: it ends, or this hangs */
	strbuf_release(&b);
}

/* Our end of the socket. */
static int our_end(void)
{
	for (int fd = 3; fd < 100; fd++) {
		struct stat st;

		if (fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode))
			return fd;
	}
	fail();
	return -1;
}

/* Who has taken over the process that asks may send anything: then it is not answered any more, and nothing is run. */
static void nonsense(void **state)
{
	char text[512];
	struct strbuf out = STRBUF_INIT(100);
	struct err e = ERR_INIT;

	(void)state;
	for (size_t n = 8; n <= sizeof(text); n += 8) {
		for (int fill = 0; fill <= 0xff; fill += 0xff) {
			int fd;

			start((const char *const[]){ "echo $PPID >$DIR/pid", NULL });
			strbuf_clear(&out);
			assert_int_equal(proc_output("echo $PPID >$DIR/pid", &out, clock_in(LONG), &e), 0);
			fd = our_end();
			memset(text, fill, sizeof(text));
			assert_int_equal(send(fd, text, n, MSG_NOSIGNAL), n);
			assert_int_equal(proc_output("echo $PPID >$DIR/pid", &out, clock_in(LONG), &e), -1);
			assert_string_equal(e.text, "the process that runs commands is gone");
			gone(pid_of());
			broker_end();
		}
	}
	strbuf_release(&out);
}

/* It keeps nothing of ours open, and nothing of what it is asked stays open with it. */
static void descriptors(void **state)
{
	static const char command[] = "ls /proc/$PPID/fd | tr '\\n' ' '; cat >/dev/null";
	struct strbuf first = STRBUF_INIT(1000), out = STRBUF_INIT(1000);
	struct proc_call c = { .command = command, .input = slice_str("x"), .out = &first };
	int fds[2];
	char one;

	(void)state;
	assert_int_equal(pipe(fds), 0);
	start((const char *const[]){ command, "cat", NULL });
	close(fds[1]);
	assert_int_equal(read(fds[0], &one, 1), 0);
	close(fds[0]);
	assert_int_equal(proc_run(&c, clock_in(LONG), NULL), 0);
	for (int i = 0; i < 20; i++) {
		struct proc p;

		assert_int_equal(proc_start(&p, "cat", false, NULL), 0);
		proc_stop(&p, LONG);
	}
	c.out = &out;
	assert_int_equal(proc_run(&c, clock_in(LONG), NULL), 0);
	/* what it has for this command may come and go while it is looked at: twenty that are kept are more */
	assert_true(out.len < first.len + 20);
	strbuf_release(&first);
	strbuf_release(&out);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_table, setup, teardown),
		cmocka_unit_test_setup_teardown(an_empty_table, setup, teardown),
		cmocka_unit_test_setup_teardown(input_and_numbers, setup, teardown),
		cmocka_unit_test_setup_teardown(conversations, setup, teardown),
		cmocka_unit_test_setup_teardown(cancellation, setup, teardown),
		cmocka_unit_test_setup_teardown(death, setup, teardown),
		cmocka_unit_test_setup_teardown(nonsense, setup, teardown),
		cmocka_unit_test_setup_teardown(descriptors, setup, teardown),
	};

	/* orphans come to us, so that their end can be seen */
	prctl(PR_SET_CHILD_SUBREAPER, 1L, 0L, 0L, 0L);
	setenv("LC_ALL", "C", 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
