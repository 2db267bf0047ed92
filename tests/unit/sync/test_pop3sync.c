/* Mail from a POP3 maildrop into a Maildir, one way: nothing lost, nothing doubled, whatever the server does and wherever the run ends. */
#include "rig.h"

#include <dirent.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "../../lib/maildrop.h"
#include "store/maildir.h"
#include "store/pop3store.h"
#include "sync/engine.h"

#define NOW 1700000000
#define FILES_MAX 64

struct fixture {
	struct maildrop d;
	char *dir;
	char db[4096], tree[4096];
	struct sync_params p;
	struct event_totals t;
	struct err e;
	unsigned errors;
	char text[1000];
};

/* A message of the Maildir. */
struct file {
	char path[4096];
	char text[MAILDROP_TEXT];
	time_t date;
};

static int setup(void **state)
{
	static struct fixture f;

	f = (struct fixture){ .dir = scratch_make() };
	snprintf(f.db, sizeof(f.db), "%s/job.db", f.dir);
	snprintf(f.tree, sizeof(f.tree), "%s/tree", f.dir);
	f.p = (struct sync_params){ .job = "job", .now = NOW, .right_name = "maildir:/x", .one_way = true };
	maildrop_start(&f.d);
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	maildrop_stop(&f->d);
	scratch_remove(f->dir);
	return 0;
}

/* As if nothing had ever been. */
static void fresh(struct fixture *f)
{
	scratch_remove(f->dir);
	f->dir = scratch_make();
	snprintf(f->db, sizeof(f->db), "%s/job.db", f->dir);
	snprintf(f->tree, sizeof(f->tree), "%s/tree", f->dir);
	memset(f->d.w, 0, sizeof(*f->d.w));
	f->p.stop_at = 0;
}

static void listen_to(void *arg, const struct event *ev)
{
	struct fixture *f = arg;

	f->errors += ev->type == EVENT_ERROR;
	if (ev->type == EVENT_ERROR || ev->type == EVENT_WARNING)
		snprintf(f->text, sizeof(f->text), "%s", ev->text);
}

static int run_here(struct fixture *f)
{
	const struct maildir_params right = { .path = f->tree, .layout = MAILDIR_NESTED };
	const struct pop3store_params left = { .pop3 = maildrop_params(&f->d) };
	struct event_sink sink = { listen_to, f };
	struct store *stores[2];
	struct db *db = NULL;
	int rc;

	f->errors = 0;
	f->text[0] = '\0';
	f->e = (struct err)ERR_INIT;
	stores[0] = pop3store_new(&left, &f->e);
	stores[1] = maildir_new(&right, &f->e);
	assert_true(stores[0] && stores[1]);
	rc = db_open(f->db, DB_RUN, "pop3:job", &db, &f->e);
	if (rc == 0)
		rc = engine_sync(&f->p, stores[0], stores[1], db, &sink, &f->t, &f->e);
	store_free(stores[0]);
	store_free(stores[1]);
	db_close(db);
	return rc;
}

static void run_clean(struct fixture *f)
{
	maildrop_forget(&f->d);
	f->p.stop_at = 0;
	if (run_here(f) < 0)
		fail_msg("%s: an undisturbed run failed: %s", where, f->e.text);
	if (f->errors)
		fail_msg("%s: an undisturbed run told an error: %s", where, f->text);
}

/* In a child that may die; its exit status. */
static int run_apart(struct fixture *f)
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0)
		_exit(run_here(f) < 0 ? 1 : 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

/* All messages of the Maildir, as a mail reader sees them. */
static size_t read_tree(struct fixture *f, struct file *out)
{
	static const char *const subs[] = { "cur", "new" };
	size_t n = 0;

	for (size_t i = 0; i < COUNT(subs); i++) {
		char path[4200];
		DIR *d;

		snprintf(path, sizeof(path), "%s/INBOX/%s", f->tree, subs[i]);
		d = opendir(path);
		for (struct dirent *x; d && (x = readdir(d));) {
			struct stat st;
			FILE *in;
			size_t len;

			if (x->d_name[0] == '.')
				continue;
			assert_true(n < FILES_MAX);
			assert_true(snprintf(out[n].path, sizeof(out[n].path), "%s/%s", path, x->d_name) < (int)sizeof(out[n].path));
			in = fopen(out[n].path, "r");
			assert_non_null(in);
			len = fread(out[n].text, 1, sizeof(out[n].text) - 1, in);
			out[n].text[len] = '\0';
			fclose(in);
			assert_int_equal(stat(out[n].path, &st), 0);
			out[n++].date = st.st_mtime;
		}
		if (d)
			closedir(d);
	}
	return n;
}

static size_t count_files(struct fixture *f)
{
	static struct file files[FILES_MAX];

	return read_tree(f, files);
}

/* Each message of the maildrop is in the Maildir, once, as it is, and nothing else is. */
static void check(struct fixture *f)
{
	static struct file files[FILES_MAX];
	size_t n = read_tree(f, files), there = 0;

	for (size_t i = 0; i < MAILDROP_MESSAGES; i++) {
		char text[MAILDROP_TEXT];
		size_t found = 0, same = 0, k = 0;

		if (!f->d.w->m[i].there)
			continue;
		there++;
		for (const char *p = f->d.w->m[i].text; *p; p++)
			if (*p != '\r')
				text[k++] = *p;
		text[k] = '\0';
		for (size_t x = 0; x < n; x++)
			found += strcmp(files[x].text, text) == 0;
		for (size_t x = 0; x < MAILDROP_MESSAGES; x++)
			same += f->d.w->m[x].there && strcmp(f->d.w->m[x].text, f->d.w->m[i].text) == 0;
		if (found != same)
			fail_msg("%s: message %zu is there %zu times, not %zu", where, i, found, same);
	}
	if (n != there)
		fail_msg("%s: %zu messages, not %zu", where, n, there);
}

static void fill(struct fixture *f, unsigned from, unsigned to)
{
	for (; from <= to; from++)
		maildrop_mail(&f->d, from);
}

/* Copied, with the dates of their headers; then a run without news: one login, no listing of sizes, no header, no message. */
static void copies(void **state)
{
	struct fixture *f = *state;
	static struct file files[FILES_MAX];

	fresh(f);
	fill(f, 1, 9);
	run_clean(f);
	check(f);
	assert_int_equal(f->t.pulled, 9);
	assert_int_equal(f->d.w->logins, 1);
	assert_int_equal(f->d.w->tops, 0);
	assert_int_equal(f->d.w->deles, 0);
	assert_int_equal(read_tree(f, files), 9);
	for (size_t i = 0; i < 9; i++)
		assert_int_equal(files[i].date % 86400, 43200);
	run_clean(f);
	check(f);
	assert_int_equal(f->t.pulled, 0);
	assert_int_equal(f->d.w->logins, 1);
	assert_int_equal(f->d.w->uidls, 1);
	assert_int_equal(f->d.w->lists + f->d.w->tops + f->d.w->retrs + f->d.w->deles, 0);
	fill(f, 10, 11);
	run_clean(f);
	check(f);
	assert_int_equal(f->t.pulled, 2);
	assert_int_equal(f->d.w->logins, 1);
	assert_int_equal(f->d.w->retrs, 2);
}

/* Copied in the order of the maildrop, whatever its names are. */
static void in_order(void **state)
{
	static const char *const uidls[] = { "f00", "9", "zz", "10", "a" };
	static struct file files[FILES_MAX];
	struct fixture *f = *state;
	unsigned long last = 0, nth;

	fresh(f);
	for (unsigned i = 0; i < COUNT(uidls); i++)
		snprintf(f->d.w->m[maildrop_mail(&f->d, i + 1)].uidl, 10, "%s", uidls[i]);
	run_clean(f);
	check(f);
	/* the Maildir's names rise in the order of delivery, all in one second and process */
	assert_int_equal(read_tree(f, files), 5);
	for (unsigned i = 1; i <= 5; i++) {
		char body[32];
		size_t k = 0;

		snprintf(body, sizeof(body), "body of %u\n", i);
		while (k < 5 && !strstr(files[k].text, body))
			k++;
		assert_true(k < 5);
		nth = strtoul(strchr(strrchr(files[k].path, '/'), 'Q') + 1, NULL, 10);
		assert_true(nth > last);
		last = nth;
	}
}

/* The state is lost: what is there is recognized, by its header, though the server's sizes are lies, or it can't show headers. */
static void recognized(void **state)
{
	struct fixture *f = *state;

	for (int way = 0; way < 5; way++) {
		fresh(f);
		snprintf(where, sizeof(where), "way %d", way);
		f->d.w->bare_sizes = way == 1;
		f->d.w->no_top = way == 2;
		f->d.w->no_uidl = way == 3;
		f->d.w->one_by_one = way == 4;
		fill(f, 1, 6);
		run_clean(f);
		check(f);
		lose_base(f->db);
		maildrop_mail(&f->d, 7);
		run_clean(f);
		check(f);
		assert_int_equal(f->t.pulled, 1);
		assert_int_equal(f->d.w->logins, 1);
		run_clean(f);
		check(f);
		assert_int_equal(f->t.pulled, 0);
	}
	where[0] = '\0';
}

/* The link breaks in the middle of a message: the same run goes on with the next session. */
static void breaks(void **state)
{
	struct fixture *f = *state;

	for (unsigned at = 1; at <= 6; at++) {
		fresh(f);
		snprintf(where, sizeof(where), "cut at %u", at);
		fill(f, 1, 6);
		f->d.w->cut_at = at;
		f->d.w->one_by_one = at % 2;
		if (run_here(f) < 0)
			assert_true(err_link_lost(&f->e));
		run_clean(f);
		check(f);
	}
	where[0] = '\0';
}

/* One at which the server always breaks off does not keep the others back for ever: after two tries it waits. */
static void breaking(void **state)
{
	struct fixture *f = *state;

	for (unsigned at = 0; at < 5; at++) {
		fresh(f);
		snprintf(where, sizeof(where), "message %u breaks", at);
		fill(f, 1, 5);
		f->d.w->m[at].breaks = true;
		for (int runs = 0; runs < 3; runs++)
			run_here(f);
		if (f->e.kind != ERR_NONE)
			fail_msg("%s: %s", where, f->e.text);
		assert_int_equal(count_files(f), 4);
		/* it comes when it can be had */
		f->d.w->m[at].breaks = false;
		f->p.now += 86400;
		run_clean(f);
		check(f);
		f->p.now = NOW;
	}
	where[0] = '\0';
}

/* At any command. */
static void hang_ups(void **state)
{
	struct fixture *f = *state;
	unsigned commands;

	fresh(f);
	fill(f, 1, 4);
	run_here(f);
	commands = f->d.w->commands;
	assert_true(commands > 8 && commands < 40);
	for (unsigned at = 1; at <= commands; at++) {
		fresh(f);
		snprintf(where, sizeof(where), "hang up at %u", at);
		fill(f, 1, 4);
		f->d.w->hang_up_at = at;
		run_here(f);
		run_clean(f);
		check(f);
	}
	where[0] = '\0';
}

/* One that is refused does not keep the others back, and comes when it can be had. */
static void refused(void **state)
{
	struct fixture *f = *state;

	fresh(f);
	fill(f, 1, 5);
	f->d.w->m[2].no_retr = true;
	assert_int_equal(run_here(f), 0);
	assert_int_equal(f->errors, 1);
	assert_int_equal(f->t.pulled, 4);
	f->d.w->m[2].no_retr = false;
	f->p.now += 86400;
	run_clean(f);
	check(f);
	/* or it is gone for good */
	fill(f, 6, 7);
	f->d.w->m[5].no_retr = true;
	assert_int_equal(run_here(f), 0);
	f->d.w->m[5].there = false;
	run_clean(f);
	check(f);
	f->p.now = NOW;
}

/* A server that stuffs no dots: the message that ends too early is not taken for whole, and the others come. */
static void unstuffed(void **state)
{
	static struct file files[FILES_MAX];
	struct fixture *f = *state;
	size_t bad, n;

	for (size_t place = 0; place < 3; place++) {
		fresh(f);
		fill(f, 1, (unsigned)place);
		bad = maildrop_add(&f->d, "bad", "Subject: bad\r\n\r\nbegins\r\n.\r\n+OK\r\nno more\r\n");
		f->d.w->m[bad].unstuffed = true;
		fill(f, 11, 11 + (unsigned)(2 - place));
		for (int i = 0; i < 6; i++) {
			run_here(f);
			n = read_tree(f, files);
			for (size_t k = 0; k < n; k++)
				assert_null(strstr(files[k].text, "begins"));
		}
		f->d.w->m[bad].unstuffed = false;
		f->p.now += 30 * 86400;
		run_clean(f);
		check(f);
		f->p.now = NOW;
	}
}

/* What is deleted here stays there, and does not come back. */
static void deleted_here(void **state)
{
	static struct file files[FILES_MAX];
	struct fixture *f = *state;

	fresh(f);
	fill(f, 1, 4);
	run_clean(f);
	assert_int_equal(read_tree(f, files), 4);
	assert_int_equal(unlink(files[0].path), 0);
	run_clean(f);
	maildrop_mail(&f->d, 5);
	run_clean(f);
	assert_int_equal(count_files(f), 4);
	assert_int_equal(maildrop_count(&f->d), 5);
	assert_int_equal(f->d.w->deles, 0);
}

/* And what is deleted there stays here. */
static void deleted_there(void **state)
{
	struct fixture *f = *state;

	fresh(f);
	fill(f, 1, 4);
	run_clean(f);
	f->d.w->m[1].there = false;
	run_clean(f);
	assert_int_equal(f->t.deleted, 0);
	for (size_t i = 0; i < 4; i++)
		f->d.w->m[i].there = false;
	run_clean(f);
	fill(f, 5, 5);
	run_clean(f);
	assert_int_equal(count_files(f), 5);
}

/* With delete_source: what is here is removed there, in the session in which it was copied, and nothing is asked twice for it. */
static void removals(void **state)
{
	struct fixture *f = *state;

	for (int lies = 0; lies < 2; lies++) {
		fresh(f);
		f->p.delete_source = true;
		f->d.w->bare_sizes = lies;
		fill(f, 1, 8);
		run_clean(f);
		assert_int_equal(f->t.deleted, 8);
		assert_int_equal(maildrop_count(&f->d), 0);
		assert_int_equal(count_files(f), 8);
		assert_int_equal(f->d.w->logins, 1);
		assert_int_equal(f->d.w->quits, 1);
		assert_int_equal(f->d.w->tops, 0);
		assert_int_equal(f->d.w->retrs, 8);
		/* a UIDL that is given again to other mail */
		snprintf(f->d.w->m[maildrop_mail(&f->d, 9)].uidl, 10, "u3");
		run_clean(f);
		assert_int_equal(count_files(f), 9);
		assert_int_equal(maildrop_count(&f->d), 0);
	}
	f->p.delete_source = false;
}

/* First without, then with it: by names, since the numbers are others by then; and only what is what was copied. */
static void removals_later(void **state)
{
	struct fixture *f = *state;

	fresh(f);
	fill(f, 1, 6);
	run_clean(f);
	f->d.w->m[0].there = false;
	fill(f, 7, 7);
	snprintf(f->d.w->m[3].uidl, 10, "u5");
	snprintf(f->d.w->m[4].uidl, 10, "u4"); /* the server has taken one for the other */
	f->p.delete_source = true;
	run_here(f);
	run_here(f);
	run_here(f);
	assert_int_equal(maildrop_count(&f->d), 0);
	assert_int_equal(count_files(f), 7);
	f->p.delete_source = false;
}

/* The session breaks at any command of such a run, or it ends at any step: all is here once in the end, and gone there. */
static void removals_broken(void **state)
{
	struct fixture *f = *state;
	unsigned commands, at;
	int status = 100;

	fresh(f);
	f->p.delete_source = true;
	fill(f, 1, 4);
	run_here(f);
	commands = f->d.w->commands;
	for (at = 1; at <= commands; at++) {
		fresh(f);
		snprintf(where, sizeof(where), "hang up at %u", at);
		fill(f, 1, 4);
		f->d.w->hang_up_at = at;
		run_here(f);
		assert_int_equal(count_files(f) < 4 ? maildrop_count(&f->d) : 4, 4);
		run_clean(f);
		assert_int_equal(count_files(f), 4);
		assert_int_equal(maildrop_count(&f->d), 0);
	}
	for (at = 1; status == 100 && at < 100; at++) {
		fresh(f);
		snprintf(where, sizeof(where), "step %u", at);
		fill(f, 1, 4);
		f->p.stop_at = (int)at;
		status = run_apart(f);
		assert_true(status == 100 || status == 0);
		assert_int_equal(count_files(f) < 4 ? maildrop_count(&f->d) : 4, 4);
		run_clean(f);
		assert_int_equal(count_files(f), 4);
		assert_int_equal(maildrop_count(&f->d), 0);
	}
	assert_int_equal(status, 0);
	f->p.delete_source = false;
	where[0] = '\0';
}

/* The server has named all anew: they are the same messages. */
static void renamed(void **state)
{
	struct fixture *f = *state;

	fresh(f);
	fill(f, 1, 5);
	run_clean(f);
	for (size_t i = 0; i < 5; i++)
		snprintf(f->d.w->m[i].uidl, sizeof(f->d.w->m[i].uidl), "new-%zu", i);
	run_clean(f);
	check(f);
	run_clean(f);
	check(f);
}

/* Ended before any of its steps, the next run brings all to the same end. */
static void steps(void **state)
{
	struct fixture *f = *state;
	int status = 100;

	for (int at = 1; status == 100 && at < 100; at++) {
		fresh(f);
		snprintf(where, sizeof(where), "step %d", at);
		fill(f, 1, 3);
		run_clean(f);
		fill(f, 4, 5);
		f->p.stop_at = at;
		status = run_apart(f);
		assert_true(status == 100 || status == 0);
		run_clean(f);
		check(f);
	}
	assert_int_equal(status, 0);
	where[0] = '\0';
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(copies),
		cmocka_unit_test(in_order),
		cmocka_unit_test(recognized),
		cmocka_unit_test(breaks),
		cmocka_unit_test(breaking),
		cmocka_unit_test(hang_ups),
		cmocka_unit_test(refused),
		cmocka_unit_test(unstuffed),
		cmocka_unit_test(deleted_here),
		cmocka_unit_test(deleted_there),
		cmocka_unit_test(removals),
		cmocka_unit_test(removals_later),
		cmocka_unit_test(removals_broken),
		cmocka_unit_test(renamed),
		cmocka_unit_test(steps),
	};

	return cmocka_run_group_tests_name("sync/pop3", tests, setup, teardown);
}
