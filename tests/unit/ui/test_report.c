#include "../../lib/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <unistd.h>

#include "base/clock.h"
#include "ui/report.h"

/* A report whose ends can be read. */
struct fixture {
	struct report *r;
	int out, err;         /* our ends */
	int out_far, err_far; /* its */
	char text[65536];
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	*state = f;
	setenv("TERM", "vt100", 1);
	clock_cancel_clear();
	return f ? clock_cancel_init(NULL) : -1;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	report_free(f->r);
	close(f->out);
	close(f->err);
	close(f->out_far);
	close(f->err_far);
	free(f);
	clock_cancel_clear();
	return 0;
}

/* Two pipes, or a terminal for stderr and, if so wished, stdout. */
static void begin(struct fixture *f, struct report_params p, bool err_tty, bool out_tty)
{
	struct winsize w = { .ws_row = 24, .ws_col = 200 };
	int fds[2];

	if (err_tty) {
		assert_int_equal(openpty(&f->err, &f->err_far, NULL, NULL, &w), 0);
		fcntl(f->err, F_SETFL, O_NONBLOCK);
	} else {
		assert_int_equal(pipe2(fds, O_NONBLOCK), 0);
		f->err = fds[0];
		f->err_far = fds[1];
		fcntl(fds[1], F_SETFL, 0);
	}
	if (out_tty) {
		f->out = dup(f->err);
		f->out_far = dup(f->err_far);
	} else {
		assert_int_equal(pipe2(fds, O_NONBLOCK), 0);
		f->out = fds[0];
		f->out_far = fds[1];
		fcntl(fds[1], F_SETFL, 0);
	}
	p.out = f->out_far;
	p.err = f->err_far;
	p.tty = err_tty;
	f->r = report_new(&p, NULL);
	assert_non_null(f->r);
}

static void put(struct fixture *f, struct event ev)
{
	struct event_sink sink = report_sink(f->r);

	ev.time = 1772373907;
	if (!ev.job)
		ev.job = "isp";
	event_put(&sink, &ev);
}

/* All that was written to one end so far. A terminal needs a moment. */
static const char *said(struct fixture *f, int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	size_t n = 0;

	while (n < sizeof(f->text) - 1 && poll(&p, 1, isatty(fd) ? 50 : 0) > 0) {
		ssize_t got = read(fd, f->text + n, sizeof(f->text) - 1 - n);

		if (got <= 0)
			break;
		n += (size_t)got;
	}
	f->text[n] = '\0';
	return f->text;
}

static const struct event_totals some = { .pulled = 12, .deleted = 11, .skipped = 2, .failed = 1, .bytes_in = 3400000, .round_trips = 7, .seconds = 1.24 };

/* A run with everything in it. */
static void whole_run(struct fixture *f)
{
	put(f, (struct event){ .type = EVENT_START });
	put(f, (struct event){ .type = EVENT_FOLDER, .folder = "", .total = 1200 });
	put(f, (struct event){ .type = EVENT_MESSAGE, .action = ACTION_PULL, .uid = "u\033[1", .size = 2100 });
	put(f, (struct event){ .type = EVENT_MESSAGE, .action = ACTION_SKIP, .folder = "Old", .uid = "u2", .size = 30100000 });
	put(f, (struct event){ .type = EVENT_PROGRESS, .done = 1, .total = 1200 });
	put(f, (struct event){ .type = EVENT_WARNING, .text = "odd\a" });
	put(f, (struct event){ .type = EVENT_ERROR, .kind = ERR_REFUSED, .span = SPAN_MSG, .uid = "u3\033", .folder = "F", .text = "\x9b" "no" });
	put(f, (struct event){ .type = EVENT_END, .exit_code = 1, .totals = some });
}

#define ERRORS "mailhaul: isp: F: message u3\\x1b: \\x9bno\n"
#define WARNINGS "mailhaul: isp: warning: odd\\x07\n"
#define SUMMARY "isp: 12 messages fetched, 11 deleted on the server, 2 left (larger than max-size), 1 failed; 3.4 MB, 1.2 s, 7 round trips\n"
#define ACTIONS "isp: started\nisp: 1,200 messages to copy\nisp: pull u\\x1b[1 (2.1 kB)\nisp: skip u2 in Old (30.1 MB): larger than max-size\n"

static void without_terminal(void **state)
{
	static const struct { struct report_params p; const char *out, *err; } rows[] = {
		{ { .verbose = 0 }, "", ERRORS },
		{ { .quiet = true }, "", ERRORS },
		{ { .verbose = 1 }, ACTIONS SUMMARY, WARNINGS ERRORS },
		{ { .verbose = 1, .quiet = true }, "", ERRORS },
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct fixture *f = *state;

		begin(f, rows[i].p, false, false);
		whole_run(f);
		assert_string_equal(said(f, f->out), rows[i].out);
		assert_string_equal(said(f, f->err), rows[i].err);
		report_free(f->r);
		f->r = NULL;
		assert_string_equal(said(f, f->out), "");
		teardown(state);
		setup(state);
	}
	begin(*state, rows[0].p, false, false);
}

static void on_a_terminal(void **state)
{
	struct fixture *f = *state;

	begin(f, (struct report_params){ .verbose = 0 }, true, false);
	whole_run(f);
	assert_string_equal(said(f, f->out), SUMMARY);
	assert_string_equal(said(f, f->err), "mailhaul: isp: warning: odd\\x07\r\nmailhaul: isp: F: message u3\\x1b: \\x9bno\r\n");
}

static void quiet_on_a_terminal(void **state)
{
	struct fixture *f = *state;

	begin(f, (struct report_params){ .quiet = true }, true, true);
	whole_run(f);
	assert_string_equal(said(f, f->err), "mailhaul: isp: F: message u3\\x1b: \\x9bno\r\n");
}

/* The line comes after half a second, and is gone before anything else is written. */
static void progress_line_shown(void **state)
{
	struct fixture *f = *state;
	msec_t until = clock_in(10000);
	const char *seen = "";

	begin(f, (struct report_params){ .verbose = 0 }, true, true);
	put(f, (struct event){ .type = EVENT_START });
	for (uint64_t i = 1; !*seen && clock_now() < until; i++) {
		put(f, (struct event){ .type = EVENT_PROGRESS, .done = 1, .done_bytes = 1000, .total = 1200 });
		seen = said(f, f->err);
	}
	assert_memory_equal(seen, "\risp: 1 of 1,200 messages, 1.0 kB, ", 34);
	put(f, (struct event){ .type = EVENT_START, .job = "work" });
	for (seen = ""; !*seen && clock_now() < until; seen = said(f, f->err))
		put(f, (struct event){ .type = EVENT_PROGRESS, .job = "work", .done = 2, .done_bytes = 1000, .total = 300 });
	assert_memory_equal(seen, "\r2 jobs: 3 of 1,500 messages, 2.0 kB, ", 37);
	put(f, (struct event){ .type = EVENT_ERROR, .span = SPAN_ACCT, .folder = "F", .text = "no" });
	assert_string_equal(said(f, f->err), "\r\033[Kmailhaul: isp: no\r\n");
	put(f, (struct event){ .type = EVENT_END });
	assert_string_equal(said(f, f->err), "isp: nothing new\r\n");
	for (seen = ""; !*seen && clock_now() < until; seen = said(f, f->err))
		put(f, (struct event){ .type = EVENT_PROGRESS, .job = "work", .done = 3, .done_bytes = 1000, .total = 300 });
	assert_memory_equal(seen, "\rwork: 3 of 300 messages, 1.0 kB, ", 33);
	report_free(f->r);
	f->r = NULL;
	assert_string_equal(said(f, f->err), "\r\033[K");
}

/* What was deleted here can come back: how is told where it is told that it was; and who asks for it is told without a terminal. */
static void undo(void **state)
{
	static const struct event_totals t = { .deleted = 3, .quarantined = 2, .run = 12 };
	static const struct { struct report_params p; const char *out; } rows[] = {
		{ { .verbose = 1, .status = true }, "isp: 3 messages deleted; `mailhaul undo isp 12` brings 2 back; 0 bytes in, 0 bytes out, 0.0 s, 0 round trips\n" },
		{ { .verbose = 1 }, "isp: 3 messages deleted; `mailhaul undo A B 12` brings 2 back; 0 bytes in, 0 bytes out, 0.0 s, 0 round trips\n" },
		{ { .dry_run = true }, "isp: 3 messages to be deleted; nothing was changed\n" },
		{ { .verbose = 0 }, "" },
	};
	struct fixture *f;

	for (size_t i = 0; i < COUNT(rows); i++) {
		f = *state;
		begin(f, rows[i].p, false, false);
		put(f, (struct event){ .type = EVENT_END, .two_way = true, .totals = t });
		assert_string_equal(said(f, f->out), rows[i].out);
		teardown(state);
		setup(state);
	}
	f = *state;
	begin(f, (struct report_params){ .asked = true }, false, false);
	put(f, (struct event){ .type = EVENT_MESSAGE, .dry = true, .action = ACTION_RESTORE, .at = AT_RIGHT, .folder = "F", .uid = "u" });
	put(f, (struct event){ .type = EVENT_WARNING, .text = "gone" });
	put(f, (struct event){ .type = EVENT_END, .two_way = true, .totals = { .restored = 2, .pushed = 2 } });
	assert_string_equal(said(f, f->out), "isp: would put back u in F here\nisp: 2 messages put back, 2 sent; 0 bytes in, 0 bytes out, 0.0 s, 0 round trips\n");
	assert_string_equal(said(f, f->err), "mailhaul: isp: warning: gone\n");
}

/* What nobody would know otherwise. */
static void trouble(void **state)
{
	static const struct { struct report_params p; const char *err; } rows[] = {
		{ { .verbose = 0 }, "mailhaul: isp: warning: F: lost\n" },
		{ { .verbose = 1 }, "mailhaul: isp: warning: F: lost\n" },
		{ { .quiet = true }, "" },
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct fixture *f = *state;

		begin(f, rows[i].p, false, false);
		put(f, (struct event){ .type = EVENT_WARNING, .folder = "F", .text = "lost", .trouble = true });
		assert_string_equal(said(f, f->err), rows[i].err);
		teardown(state);
		setup(state);
	}
}

/* What is of no job in particular: a configuration that was read again. */
static void of_no_job(void **state)
{
	struct fixture *f = *state;

	begin(f, (struct report_params){ .watch = true }, false, false);
	put(f, (struct event){ .type = EVENT_WARNING, .job = "", .text = "it stays", .trouble = true });
	assert_string_equal(said(f, f->err), "mailhaul: warning: it stays\n");
}

static void summaries(void **state)
{
	static const struct { struct event_totals t; int code; const char *out; } rows[] = {
		{ { .round_trips = 3 }, 0, "isp: nothing new\n" },
		{ { .pulled = 1, .bytes_in = 10, .round_trips = 1, .seconds = 0.04 }, 0, "isp: 1 message fetched; 10 bytes, 0.0 s, 1 round trip\n" },
		{ { .deleted = 1200, .kept = 3, .round_trips = 1000 }, 0,
		  "isp: 1,200 messages deleted on the server, 3 kept on the server; 0 bytes, 0.0 s, 1,000 round trips\n" },
		{ { .pulled = 2, .round_trips = 1 }, 75, "isp: stopped: 2 messages fetched; 0 bytes, 0.0 s, 1 round trip\n" },
		{ { .round_trips = 1 }, 77, "isp: stopped: nothing was done\n" },
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct fixture *f = *state;

		begin(f, (struct report_params){ .verbose = 0 }, true, false);
		put(f, (struct event){ .type = EVENT_START });
		put(f, (struct event){ .type = EVENT_END, .totals = rows[i].t, .exit_code = rows[i].code });
		assert_string_equal(said(f, f->out), rows[i].out);
		teardown(state);
		setup(state);
	}
	begin(*state, (struct report_params){ .verbose = 0 }, false, false);
}

static void several_jobs(void **state)
{
	static const struct { struct event_totals a, b; int code; const char *out; } rows[] = {
		{ { .pulled = 2, .failed = 1 }, { .pulled = 1 }, 0, "2 jobs: 3 messages fetched, 1 failed\n" },
		{ { .pulled = 2 }, { .pulled = 0 }, 69, "2 jobs: 2 messages fetched; 1 of them stopped\n" },
		{ { .pulled = 0 }, { .pulled = 0 }, 69, "2 jobs: 1 of them stopped\n" },
		{ { .pulled = 0 }, { .pulled = 0 }, 0, "2 jobs: nothing new\n" },
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct fixture *f = *state;

		begin(f, (struct report_params){ .verbose = 0 }, true, false);
		put(f, (struct event){ .type = EVENT_START, .job = "a" });
		put(f, (struct event){ .type = EVENT_START, .job = "b" });
		put(f, (struct event){ .type = EVENT_END, .job = "b", .totals = rows[i].b, .exit_code = rows[i].code });
		put(f, (struct event){ .type = EVENT_END, .job = "a", .totals = rows[i].a });
		said(f, f->out);
		report_free(f->r);
		f->r = NULL;
		assert_string_equal(said(f, f->out), rows[i].out);
		teardown(state);
		setup(state);
	}
	begin(*state, (struct report_params){ .verbose = 0 }, false, false);
}

/* n messages that fail, and the end of the job: after an error of its own if code says so. */
static void many_fail(struct fixture *f, unsigned n, int code)
{
	char uid[32];

	put(f, (struct event){ .type = EVENT_START });
	for (unsigned i = 1; i <= n; i++) {
		snprintf(uid, sizeof(uid), "u%u", i);
		put(f, (struct event){ .type = EVENT_ERROR, .kind = ERR_REFUSED, .span = SPAN_MSG, .uid = uid, .text = "no" });
	}
	if (code > 1)
		put(f, (struct event){ .type = EVENT_ERROR, .kind = ERR_TEMP, .span = SPAN_ACCT, .text = "closed" });
	put(f, (struct event){ .type = EVENT_END, .exit_code = code });
}

/* Of many messages that fail ten are shown, and where the others are. */
static void many_failures(void **state)
{
	static const struct { struct report_params p; unsigned n; int code; const char *rest; unsigned lines; } rows[] = {
		{ { .status = true }, 10, 1, NULL, 10 },
		{ { .status = true }, 11, 1, "u10: no\nmailhaul: isp: and 1 more message failed; `mailhaul status isp` lists those that wait for another try, "
					     "with reasons; -v shows all\n", 11 },
		{ { .quiet = true }, 1234, 1, "u10: no\nmailhaul: isp: and 1,224 more messages failed; -v shows all\n", 11 },
		{ { .verbose = 0 }, 12, 75, "u10: no\nmailhaul: isp: and 2 more messages failed; -v shows all\nmailhaul: isp: closed\n", 12 },
		{ { .verbose = 1 }, 30, 1, "u30: no\n", 30 },
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct fixture *f = *state;
		unsigned lines = 0;
		const char *text;

		begin(f, rows[i].p, false, false);
		many_fail(f, rows[i].n, rows[i].code);
		text = said(f, f->err);
		for (const char *p = text; *p; p++)
			lines += *p == '\n';
		assert_int_equal(lines, rows[i].lines);
		if (rows[i].rest)
			assert_string_equal(strstr(text, rows[i].rest), rows[i].rest);
		/* the next job has its own */
		many_fail(f, 1, 1);
		assert_string_equal(said(f, f->err), "mailhaul: isp: message u1: no\n");
		teardown(state);
		setup(state);
	}
	/* in JSON all are there */
	begin(*state, (struct report_params){ .json = true }, false, false);
	many_fail(*state, 40, 1);
	assert_non_null(strstr(said(*state, ((struct fixture *)*state)->out), "\"u40\""));
	assert_string_equal(said(*state, ((struct fixture *)*state)->err), "");
}

/* Job and account are often called the same. */
static void name_once(void **state)
{
	static const struct { const char *text, *err; } rows[] = {
		{ "isp: no", "mailhaul: isp: no\n" }, { "isp2: no", "mailhaul: isp: isp2: no\n" }, { "isp:no", "mailhaul: isp: isp:no\n" },
		{ "isp", "mailhaul: isp: isp\n" }, { NULL, "mailhaul: isp: \n" },
	};
	struct fixture *f = *state;

	begin(f, (struct report_params){ .verbose = 0 }, false, false);
	for (size_t i = 0; i < COUNT(rows); i++) {
		put(f, (struct event){ .type = EVENT_ERROR, .span = SPAN_ACCT, .text = rows[i].text });
		assert_string_equal(said(f, f->err), rows[i].err);
	}
}

static void dry_run(void **state)
{
	struct fixture *f = *state;

	begin(f, (struct report_params){ .dry_run = true }, false, false);
	put(f, (struct event){ .type = EVENT_START });
	put(f, (struct event){ .type = EVENT_FOLDER, .total = 2 });
	put(f, (struct event){ .type = EVENT_MESSAGE, .dry = true, .action = ACTION_PULL, .uid = "u1", .size = 2100 });
	put(f, (struct event){ .type = EVENT_MESSAGE, .dry = true, .action = ACTION_PULL, .uid = "", .size = 900 });
	put(f, (struct event){ .type = EVENT_MESSAGE, .dry = true, .action = ACTION_DELETE, .uid = "u1" });
	put(f, (struct event){ .type = EVENT_MESSAGE, .dry = true, .action = ACTION_SKIP, .uid = "u3", .size = 4000 });
	put(f, (struct event){ .type = EVENT_MESSAGE, .dry = true, .action = ACTION_FORGET, .uid = "u4" });
	put(f, (struct event){ .type = EVENT_END, .totals = { .pulled = 2, .deleted = 1, .skipped = 1 } });
	assert_string_equal(said(f, f->out),
			    "isp: would fetch u1 (2.1 kB)\nisp: would fetch a message (900 bytes)\nisp: would delete u1\n"
			    "isp: would leave u3 (4.0 kB): larger than max-size\nisp: would forget u4: gone from the source\n"
			    "isp: 2 messages (3.0 kB) to be fetched, 1 to be deleted on the server, 1 left (larger than max-size); nothing was changed\n");
	put(f, (struct event){ .type = EVENT_START });
	put(f, (struct event){ .type = EVENT_END });
	assert_string_equal(said(f, f->out), "isp: nothing to do; nothing was changed\n");
	assert_string_equal(said(f, f->err), "");
}

/* One code serves jobs of both kinds. */
static void two_way(void **state)
{
	static const struct event_totals t = { .pulled = 12, .pushed = 1, .deleted = 3, .flagged = 2, .failed = 1, .made = 2, .removed = 1, .bytes_in = 3400000,
					       .bytes_out = 1200, .round_trips = 7, .seconds = 1.24 };
	static const struct event plan[] = {
		{ .type = EVENT_TREE, .action = ACTION_CREATE, .at = AT_RIGHT, .folder = "F" },
		{ .type = EVENT_TREE, .action = ACTION_REMOVE, .at = AT_LEFT, .folder = "G\033" },
		{ .type = EVENT_MESSAGE, .action = ACTION_PULL, .at = AT_RIGHT, .folder = "F", .uid = "7", .size = 2100 },
		{ .type = EVENT_MESSAGE, .action = ACTION_PUSH, .at = AT_LEFT, .folder = "F", .uid = "x.y", .size = 900 },
		{ .type = EVENT_MESSAGE, .action = ACTION_DELETE, .at = AT_LEFT, .folder = "F", .uid = "8" },
		{ .type = EVENT_MESSAGE, .action = ACTION_DELETE, .at = AT_RIGHT, .folder = "F", .uid = "x.z" },
		{ .type = EVENT_MESSAGE, .action = ACTION_FLAGS, .at = AT_RIGHT, .folder = "F", .uid = "x.z" },
	};
	struct fixture *f = *state;

	begin(f, (struct report_params){ .dry_run = true }, false, false);
	for (size_t i = 0; i < COUNT(plan); i++) {
		struct event ev = plan[i];

		ev.dry = true;
		put(f, ev);
	}
	put(f, (struct event){ .type = EVENT_END, .two_way = true, .totals = { .pulled = 1, .pushed = 1, .deleted = 2, .made = 1, .removed = 1 } });
	assert_string_equal(said(f, f->out),
			    "isp: would make folder F here\nisp: would remove folder G\\x1b at the server\nisp: would fetch 7 in F (2.1 kB)\n"
			    "isp: would send x.y in F (900 bytes)\nisp: would delete 8 in F at the server\nisp: would delete x.z in F here\n"
			    "isp: would set the flags of x.z in F here\n"
			    "isp: 1 message (2.1 kB) to be fetched, 1 to be sent, 2 to be deleted, 1 folder to be made, 1 folder to be removed; nothing was changed\n");
	teardown(state);
	setup(state);
	f = *state;
	begin(f, (struct report_params){ .verbose = 1 }, false, false);
	for (size_t i = 0; i < COUNT(plan); i++)
		put(f, plan[i]);
	put(f, (struct event){ .type = EVENT_END, .two_way = true, .totals = t });
	put(f, (struct event){ .type = EVENT_END, .two_way = true, .totals = { .made = 1, .round_trips = 1 } });
	assert_string_equal(said(f, f->out),
			    "isp: create folder F here\nisp: remove folder G\\x1b at the server\nisp: pull 7 in F (2.1 kB)\nisp: push x.y in F (900 bytes)\n"
			    "isp: delete 8 in F at the server\nisp: delete x.z in F here\nisp: flags x.z in F here\n"
			    "isp: 12 messages fetched, 1 sent, 3 deleted, 2 with changed flags, 1 failed, 2 folders made, 1 folder removed; "
			    "3.4 MB in, 1.2 kB out, 1.2 s, 7 round trips\n"
			    "isp: 1 folder made; 0 bytes in, 0 bytes out, 0.0 s, 1 round trip\n");
	report_free(f->r);
	f->r = NULL;
	assert_string_equal(said(f, f->out), "2 jobs: 12 messages fetched, 1 sent, 3 deleted, 2 with changed flags, 1 failed, 3 folders made, 1 folder removed\n");
	teardown(state);
	setup(state);
	f = *state;
	begin(f, (struct report_params){ .verbose = 0 }, false, false);
	for (size_t i = 0; i < COUNT(plan); i++)
		put(f, plan[i]);
	put(f, (struct event){ .type = EVENT_END, .two_way = true, .totals = t });
	assert_string_equal(said(f, f->out), "");
	assert_string_equal(said(f, f->err), "");
}

/* Where from and where to, whatever their names hold. */
/* Two sides that were compared. */
static void compared(void **state)
{
	struct fixture *f = *state;
	struct event_compared sent = { .folders = 1, .left = 1300, .right = 1299, .same = 1298, .missing = { 0, 2 }, .content = 1, .flags = 1, .refused = 1, .extra = 1 },
			      inbox = { .folders = 1, .left = 1, .right = 1, .same = 1, .left_out = 2 }, all = { 0 };

	event_compared_add(&all, &sent);
	event_compared_add(&all, &inbox);
	begin(f, (struct report_params){ .asked = true }, false, false);
	put(f, (struct event){ .type = EVENT_START, .verify = true });
	put(f, (struct event){ .type = EVENT_COMPARED, .sides = SIDES_ONE_WAY, .folder = "INBOX", .compared = inbox });
	put(f, (struct event){ .type = EVENT_COMPARED, .sides = SIDES_ONE_WAY, .folder = "Se\033nt", .compared = sent });
	put(f, (struct event){ .type = EVENT_DRIFT, .sides = SIDES_ONE_WAY, .drift = DRIFT_MISSING, .at = AT_RIGHT, .folder = "Se\033nt", .uid = "12\033", .to = "<1\033@x>", .size = 2048 });
	put(f, (struct event){ .type = EVENT_DRIFT, .sides = SIDES_ONE_WAY, .drift = DRIFT_REFUSED, .at = AT_RIGHT, .folder = "Se\033nt", .text = "too \033large" });
	put(f, (struct event){ .type = EVENT_DRIFT, .sides = SIDES_ONE_WAY, .drift = DRIFT_FLAGS, .folder = "Se\033nt", .uid = "14", .text = "()", .to = "(\\Seen)" });
	put(f, (struct event){ .type = EVENT_END, .verify = true, .sides = SIDES_ONE_WAY, .compared = all, .exit_code = 1, .totals = { .failed = 1 } });
	assert_string_equal(said(f, f->out),
			    "isp: Se\\x1bnt: 2 missing at the target, 1 missing that could not be copied, 1 with another content, 1 with other flags\n"
			    "isp:     message 12\\x1b (2.0 kB), <1\\x1b@x>: missing at the target\n"
			    "isp:     message without a name: missing at the target: too \\x1blarge\n"
			    "isp:     message 14: flags () at the source, (\\Seen) at the target\n"
			    "isp:     and 2 more; -v names all\n"
			    "isp: they differ: 2 missing at the target, 1 missing that could not be copied, 1 with another content, 1 with other flags; the same are 1,299 messages in 2 folders, "
			    "2 left out by the job, 1 more is at the target alone, 1 could not be compared\n");
	assert_string_equal(said(f, f->err), "");
}

/* And agree, as far as was seen. */
static void compared_alike(void **state)
{
	struct fixture *f = *state;
	struct event_compared all = { .folders = 12, .same = 1234 };
	struct event end = { .type = EVENT_END, .verify = true, .two_way = true, .compared = all };

	begin(f, (struct report_params){ .asked = true }, false, false);
	put(f, end);
	end.totals.failed = 1;
	end.exit_code = 1;
	put(f, end);
	end.exit_code = 77;
	put(f, end);
	assert_string_equal(said(f, f->out), "isp: both sides agree: 1,234 messages in 12 folders\n"
					     "isp: what could be compared agrees: 1,234 messages in 12 folders, 1 could not be compared\n"
					     "isp: stopped: not all was compared\n");
}

static void moves(void **state)
{
	static const struct event plan[] = {
		{ .type = EVENT_MESSAGE, .action = ACTION_MOVE, .at = AT_LEFT, .folder = "INBOX", .to = "Lists/b", .uid = "7" },
		{ .type = EVENT_MESSAGE, .action = ACTION_MOVE, .at = AT_RIGHT, .folder = "a\nb", .to = "\033[2J\x9b\xff", .uid = "" },
		{ .type = EVENT_MESSAGE, .action = ACTION_DELETE, .at = AT_LEFT, .folder = "F", .to = "", .uid = "8" },
	};
	static const struct { struct report_params p; const char *out; } rows[] = {
		{ { .dry_run = true }, "isp: would move 7 from INBOX to Lists/b at the server\nisp: would move a message from a\\x0ab to \\x1b[2J\\x9b\\xff here\n"
				       "isp: would delete 8 in F at the server\n"
				       "isp: 1,200 messages to be moved; nothing was changed\n" },
		{ { .verbose = 1 }, "isp: move 7 from INBOX to Lists/b at the server\nisp: move a message from a\\x0ab to \\x1b[2J\\x9b\\xff here\n"
				    "isp: delete 8 in F at the server\n"
				    "isp: 1,200 messages moved; 0 bytes in, 0 bytes out, 0.0 s, 1 round trip\n" },
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct fixture *f = *state;

		begin(f, rows[i].p, false, false);
		for (size_t k = 0; k < COUNT(plan); k++) {
			struct event ev = plan[k];

			ev.dry = rows[i].p.dry_run;
			put(f, ev);
		}
		put(f, (struct event){ .type = EVENT_END, .two_way = true, .totals = { .moved = 1200, .round_trips = 1 } });
		assert_string_equal(said(f, f->out), rows[i].out);
		assert_string_equal(said(f, f->err), "");
		teardown(state);
		setup(state);
	}
	begin(*state, (struct report_params){ .verbose = 0 }, false, false);
}

static void json(void **state)
{
	struct fixture *f = *state;
	static const char *const types[] = { "start", "folder", "message", "message", "warning", "error", "end" };
	const char *p;

	begin(f, (struct report_params){ .json = true }, true, false);
	whole_run(f);
	p = said(f, f->out);
	for (size_t i = 0; i < COUNT(types); i++) {
		char want[64];

		snprintf(want, sizeof(want), "{\"event\":\"%s\",\"job\":\"isp\",\"time\":\"2026-03-01T14:05:07Z\"", types[i]);
		assert_memory_equal(p, want, strlen(want));
		p = strchr(p, '\n');
		assert_non_null(p);
		p++;
	}
	assert_string_equal(p, "");
	assert_string_equal(said(f, f->err), "");
}

static void json_quiet(void **state)
{
	struct fixture *f = *state;

	begin(f, (struct report_params){ .json = true, .quiet = true }, false, false);
	whole_run(f);
	assert_string_equal(said(f, f->out), "{\"event\":\"error\",\"job\":\"isp\",\"time\":\"2026-03-01T14:05:07Z\",\"kind\":\"refused\",\"scope\":\"message\","
					     "\"folder\":\"F\",\"uid\":\"u3\\u001b\",\"text\":\"\xef\xbf\xbdno\"}\n");
	assert_string_equal(said(f, f->err), "");
}

static void failures_of_no_job(void **state)
{
	struct err e = ERR_INIT;
	struct fixture *f = *state;

	err_set(&e, ERR_CONF, "x.conf:3: unknown key");
	begin(f, (struct report_params){ .quiet = true }, false, false);
	report_error(f->r, &e);
	assert_string_equal(said(f, f->err), "mailhaul: x.conf:3: unknown key\n");
	assert_string_equal(said(f, f->out), "");
	teardown(state);
	setup(state);
	f = *state;
	begin(f, (struct report_params){ .json = true }, false, false);
	clock_test_set(1772373907);
	report_error(f->r, &e);
	clock_test_set(-1);
	assert_string_equal(said(f, f->err), "mailhaul: x.conf:3: unknown key\n");
	assert_string_equal(said(f, f->out), "{\"event\":\"error\",\"job\":\"\",\"time\":\"2026-03-01T14:05:07Z\",\"kind\":\"conf\",\"scope\":\"account\","
					     "\"text\":\"x.conf:3: unknown key\"}\n");
}

static void log_records(void **state)
{
	static const struct { struct report_params p; bool tty; const char *err; } rows[] = {
		{ { .verbose = 0 }, false, "mailhaul: isp: e\n" },
		{ { .quiet = true }, false, "mailhaul: isp: e\n" },
		{ { .verbose = 0 }, true, "mailhaul: isp: e\r\nmailhaul: isp: warning: w\r\n" },
		{ { .verbose = 1 }, false, "mailhaul: isp: e\nmailhaul: isp: warning: w\nisp: i\n" },
		{ { .verbose = 2 }, false, "mailhaul: isp: e\nmailhaul: isp: warning: w\nisp: i\nisp: d\nisp: > PASS <secret>\n" },
		{ { .verbose = 2, .json = true }, false, "isp: i\nisp: d\nisp: > PASS <secret>\n" },
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct fixture *f = *state;

		begin(f, rows[i].p, rows[i].tty, false);
		report_log(f->r, LOG_ERROR, "isp", "e");
		report_log(f->r, LOG_WARN, "isp", "w");
		report_log(f->r, LOG_INFO, "isp", "i");
		report_log(f->r, LOG_DEBUG, "isp", "d");
		report_log(f->r, LOG_WIRE, "isp", "> PASS <secret>");
		assert_string_equal(said(f, f->err), rows[i].err);
		report_flush(f->r, NULL);
		assert_int_equal(strstr(said(f, f->out), "\"text\":\"w\"") != NULL, rows[i].p.json);
		teardown(state);
		setup(state);
	}
	begin(*state, rows[0].p, false, false);
	report_log(((struct fixture *)*state)->r, LOG_ERROR, "", "alone");
	assert_string_equal(said(*state, ((struct fixture *)*state)->err), "mailhaul: alone\n");
}

/* Lines are written in few pieces, each of whole lines, and none is lost. */
static void many_lines(void **state)
{
	struct fixture *f = *state;
	struct strbuf all = STRBUF_INIT(1 << 20), want = STRBUF_INIT(1 << 20);

	begin(f, (struct report_params){ .verbose = 1 }, false, false);
	for (int i = 0; i < 5000; i++) {
		char uid[32];

		snprintf(uid, sizeof(uid), "uid-%d", i);
		strbuf_printf(&want, "isp: pull %s (100 bytes)\n", uid);
		put(f, (struct event){ .type = EVENT_MESSAGE, .action = ACTION_PULL, .uid = uid, .size = 100 });
		if (i % 500 == 499) {
			const char *got = said(f, f->out);

			if (*got)
				assert_int_equal(got[strlen(got) - 1], '\n');
			strbuf_puts(&all, got);
		}
	}
	assert_int_equal(report_flush(f->r, NULL), 0);
	strbuf_puts(&all, said(f, f->out));
	assert_string_equal(strbuf_str(&all), strbuf_str(&want));
	strbuf_release(&all);
	strbuf_release(&want);
}

static void nobody_reads(void **state)
{
	struct fixture *f = *state;
	struct err e = ERR_INIT;

	begin(f, (struct report_params){ .verbose = 1 }, false, false);
	close(f->out);
	f->out = open("/dev/null", O_RDONLY);
	whole_run(f);
	whole_run(f);
	assert_string_equal(said(f, f->err), WARNINGS ERRORS WARNINGS ERRORS);
	assert_int_equal(report_flush(f->r, &e), 0); /* as `| head` does it: no error */
}

static void full_disk(void **state)
{
	struct fixture *f = *state;
	struct err e = ERR_INIT;

	begin(f, (struct report_params){ .verbose = 1 }, false, false);
	report_free(f->r);
	close(f->out_far);
	f->out_far = open("/dev/full", O_WRONLY);
	assert_true(f->out_far >= 0);
	f->r = report_new(&(struct report_params){ .out = f->out_far, .err = f->err_far, .verbose = 1 }, NULL);
	whole_run(f);
	assert_string_equal(said(f, f->err), WARNINGS ERRORS);
	assert_int_equal(report_flush(f->r, &e), -1);
	assert_int_equal(e.kind, ERR_LOCAL);
	assert_non_null(strstr(e.text, "standard output"));
	assert_non_null(strstr(e.text, strerror(ENOSPC)));
}

/* A reader that stands still does not keep a signal waiting. */
static void stuck_reader(void **state)
{
	struct fixture *f = *state;
	msec_t before;

	begin(f, (struct report_params){ .verbose = 1 }, false, false);
	raise(SIGTERM);
	alarm(60); /* a report that waits for ever is ended by it */
	before = clock_now();
	for (int i = 0; i < 20000; i++)
		put(f, (struct event){ .type = EVENT_MESSAGE, .action = ACTION_PULL, .uid = "0123456789", .size = 100 });
	whole_run(f);
	alarm(0);
	assert_true(clock_now() - before < 5000);
	assert_string_equal(said(f, f->err), WARNINGS ERRORS);
}

static void own_lines(void **state)
{
	struct strbuf line = STRBUF_INIT(1 << 20), want = STRBUF_INIT(1 << 20);
	struct fixture *f = *state;

	begin(f, (struct report_params){ .quiet = true }, false, false);
	report_line(f->r, "%s: %d", "x", 5);
	strbuf_puts(&line, "{}");
	report_json(f->r, &line);
	for (int i = 0; i < 4000; i++)
		strbuf_puts(&line, "0123456789");
	report_json(f->r, &line);
	report_flush(f->r, NULL);
	strbuf_printf(&want, "x: 5\n{}\n%s\n", strbuf_str(&line));
	assert_string_equal(said(f, f->out), strbuf_str(&want));
	strbuf_release(&line);
	strbuf_release(&want);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		TEST(without_terminal),
		TEST(on_a_terminal),
		TEST(quiet_on_a_terminal),
		TEST(progress_line_shown),
		TEST(undo),
		TEST(trouble),
		TEST(of_no_job), TEST(summaries),
		TEST(several_jobs),
		TEST(many_failures),
		TEST(name_once),
		TEST(dry_run),
		TEST(two_way),
		TEST(compared), TEST(compared_alike), TEST(moves),
		TEST(json),
		TEST(json_quiet),
		TEST(failures_of_no_job),
		TEST(log_records),
		TEST(many_lines),
		TEST(nobody_reads),
		TEST(full_disk),
		TEST(stuck_reader),
		TEST(own_lines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
