#include "../../lib/unit.h"

#include "base/clock.h"
#include "base/fs.h"
#include "job/hooks.h"

static char *dir;
static struct strbuf said = STRBUF_INIT(1 << 20), note = STRBUF_INIT(64 << 20);
static size_t passed;

static int setup(void **state)
{
	(void)state;
	clock_cancel_clear();
	dir = scratch_make();
	setenv("NOTE", scratch_path(dir, "note"), 1);
	strbuf_clear(&said);
	passed = 0;
	clock_test_set(1772373907);
	return clock_cancel_init(NULL);
}

static int teardown(void **state)
{
	(void)state;
	clock_test_set(-1);
	scratch_remove(dir);
	strbuf_release(&said);
	strbuf_release(&note);
	return 0;
}

/* The worker's sink. */
static void hear(void *arg, const struct event *ev)
{
	(void)arg;
	passed++;
	if (ev->type == EVENT_WARNING) {
		assert_true(ev->trouble);
		strbuf_printf(&said, "%s: %s\n", ev->job, ev->text);
	}
}

static const struct event_sink sink = { .put = hear };

/* What the commands left; "" nothing. */
static const char *noted(void)
{
	strbuf_clear(&note);
	fs_read_file(getenv("NOTE"), &note, NULL);
	return strbuf_str(&note);
}

static void message(const struct event_sink *s, enum event_action action, const char *folder, const char *right)
{
	event_put(s, &(const struct event){ .type = EVENT_MESSAGE, .job = "work", .action = action, .folder = folder, .right = right, .to = action == ACTION_MOVE ? "Archive" : NULL,
					    .right_to = "Old", .uid = "7" });
}

#define HEAD(event) "{\"event\":\"" event "\",\"job\":\"work\",\"time\":\"2026-03-01T14:05:07Z\""

/* One line for each folder, by its names on both sides, whatever those are; then the sums. */
static void what_was_done(void **state)
{
	const struct config_job job = { .name = "work", .on_new = "echo new $MAILHAUL_JOB $MAILHAUL_NEW $MAILHAUL_CHANGED >> $NOTE; cat >> $NOTE",
					.on_change = "echo change $MAILHAUL_NEW $MAILHAUL_CHANGED >> $NOTE", .on_timeout = 60 };
	static const char want[] = "new work 2 9\n"
		HEAD("folder") ",\"action\":\"create\",\"folder\":\"Neu\",\"where\":\"local\"}\n"
		HEAD("changed") ",\"folder\":\"INBOX\",\"local\":\"INBOX\",\"pulled\":2,\"pushed\":0,\"deleted\":1,\"flagged\":1,\"moved\":1,\"restored\":0}\n"
		HEAD("changed") ",\"folder\":\"$(touch x); \\\"\\u001b\",\"local\":\"Sent\",\"pulled\":0,\"pushed\":1,\"deleted\":0,\"flagged\":0,\"moved\":0,\"restored\":0}\n"
		HEAD("changed") ",\"folder\":\"Archive\",\"local\":\"Old\",\"pulled\":0,\"pushed\":0,\"deleted\":0,\"flagged\":0,\"moved\":1,\"restored\":0}\n"
		HEAD("end") ",\"pulled\":2,";
	struct event end = { .type = EVENT_END, .job = "work", .two_way = true, .totals = { .pulled = 2, .pushed = 1, .deleted = 1, .flagged = 1, .moved = 1, .made = 1, .removed = 1, .renamed = 1 } };
	struct hooks h;
	struct event_sink s = hooks_listen(&h, &job, &sink);

	(void)state;
	message(&s, ACTION_PULL, "INBOX", "INBOX");
	message(&s, ACTION_PUSH, "$(touch x); \"\033", "Sent");
	message(&s, ACTION_PULL, "INBOX", "INBOX");
	message(&s, ACTION_DELETE, "INBOX", "INBOX");
	message(&s, ACTION_FLAGS, "INBOX", "INBOX");
	message(&s, ACTION_MOVE, "INBOX", "INBOX");
	message(&s, ACTION_SKIP, "Large", "Large");
	event_put(&s, &(const struct event){ .type = EVENT_MESSAGE, .job = "work", .action = ACTION_PULL, .folder = "Dry", .dry = true });
	event_put(&s, &(const struct event){ .type = EVENT_TREE, .job = "work", .action = ACTION_CREATE, .folder = "Neu", .at = AT_RIGHT });
	assert_int_equal(passed, 9); /* all go on to the parent */
	hooks_run(&h, &end);
	assert_memory_equal(noted(), want, sizeof(want) - 1);
	assert_non_null(strstr(noted(), "}\nchange 2 9\n"));
	assert_string_equal(strbuf_str(&said), "");
	hooks_release(&h);
}

/* Which of the two runs. */
static void when(void **state)
{
	static const struct {
		struct event_totals t;
		const char *both, *change; /* with both commands, with on-change alone */
	} rows[] = {
		{ { .skipped = 1, .kept = 1, .failed = 1, .bytes_in = 1 }, "", "" },
		{ { .pulled = 1 }, "new\nchange\n", "change\n" },
		{ { .pushed = 1 }, "change\n", "change\n" },
		{ { .deleted = 1 }, "change\n", "change\n" },
		{ { .flagged = 1 }, "change\n", "change\n" },
		{ { .moved = 1 }, "change\n", "change\n" },
		{ { .made = 1 }, "change\n", "change\n" },
		{ { .removed = 1 }, "change\n", "change\n" },
		{ { .renamed = 1 }, "change\n", "change\n" },
		{ { .restored = 1 }, "change\n", "change\n" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct config_job job = { .name = "work", .on_change = "echo change >> $NOTE", .on_timeout = 60 };
		struct event end = { .type = EVENT_END, .job = "work", .totals = rows[i].t };
		struct hooks h;

		hooks_listen(&h, &job, &sink);
		hooks_run(&h, &end);
		assert_string_equal(noted(), rows[i].change);
		remove(getenv("NOTE"));
		job.on_new = "echo new >> $NOTE";
		hooks_run(&h, &end);
		assert_string_equal(noted(), rows[i].both);
		remove(getenv("NOTE"));
		hooks_release(&h);
	}
	assert_string_equal(strbuf_str(&said), "");
}

/* One that fails, one that never ends (with what it started): a warning each, and the other runs all the same. */
static void failures(void **state)
{
	struct config_job job = { .name = "work", .on_new = "echo first >&2; echo last >&2; exit 3", .on_change = "sleep 1000 & echo $! > $NOTE; wait", .on_timeout = 1 };
	struct event end = { .type = EVENT_END, .job = "work", .totals = { .pulled = 1 } };
	struct hooks h;
	long pid;

	(void)state;
	hooks_listen(&h, &job, &sink);
	hooks_run(&h, &end);
	assert_string_equal(strbuf_str(&said), "work: on-new: the command exited with status 3: last\nwork: on-change: the command did not end in time\n");
	pid = strtol(noted(), NULL, 10);
	assert_true(pid > 1);
	snprintf(strbuf_room(&said, 64), 64, "/proc/%ld/cmdline", pid);
	strbuf_clear(&note);
	/* gone, or a zombie that init has yet to reap */
	assert_true(fs_read_file(said.s + said.len, &note, NULL) <= 0 || note.len == 0);
	hooks_release(&h);
}

/* However many folders there are, what is kept has a limit, and it is said. */
static void limits(void **state)
{
	const struct config_job job = { .name = "work", .on_new = "cat > $NOTE", .on_timeout = 60 };
	struct event end = { .type = EVENT_END, .job = "work", .totals = { .pulled = 1 } };
	struct hooks h;
	struct event_sink s = hooks_listen(&h, &job, &sink);
	char name[1200];
	size_t lines = 0, bytes = 0;

	(void)state;
	memset(name, '\001', sizeof(name)); /* six bytes each, as JSON has it */
	for (int i = 0; i < 1500; i++) {
		snprintf(name + 1100, 100, "%d", i);
		message(&s, ACTION_PULL, name, name);
		event_put(&s, &(const struct event){ .type = EVENT_TREE, .job = "work", .action = ACTION_CREATE, .folder = name });
	}
	hooks_run(&h, &end);
	for (const char *p = noted(); *p; p++, bytes++)
		lines += *p == '\n';
	assert_non_null(strstr(noted(), HEAD("omitted")));
	assert_non_null(strstr(noted(), HEAD("end")));
	assert_true(lines > 50 && lines < 1000 && bytes < 1 << 20 && bytes > 900000);
	assert_string_equal(strbuf_str(&said), "");
	hooks_release(&h);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_was_done, setup, teardown),
		cmocka_unit_test_setup_teardown(when, setup, teardown),
		cmocka_unit_test_setup_teardown(failures, setup, teardown),
		cmocka_unit_test_setup_teardown(limits, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
