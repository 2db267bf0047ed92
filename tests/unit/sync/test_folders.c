/* What a migration's target calls the folders of the source: by rules, the base, roles, and what it can hold; and which of two that would be one is left out. */
#include "../state/base.h"

#include "sync/folders.h"

#define FOLDERS_MAX 12

/* A folder of a tree. */
struct node {
	const char *name;
	unsigned attrs;
};

/* A store that has a tree, and nothing else. */
struct tree {
	struct store s;
	const struct node *nodes;
	const char *bad; /* these characters it can't hold */
};

static int tree_folders(struct store *s, int (*cb)(void *arg, const struct folder_info *f, struct err *why), void *arg, struct err *why)
{
	const struct tree *t = (const struct tree *)s;

	for (size_t i = 0; i < FOLDERS_MAX && t->nodes[i].name; i++) {
		struct folder_info f = { .name = t->nodes[i].name, .attrs = t->nodes[i].attrs, .messages = UINT64_MAX };

		if (cb(arg, &f, why) < 0)
			return -1;
	}
	return 0;
}

static int tree_fit(struct store *s, const char *folder, struct strbuf *out, struct err *why)
{
	const struct tree *t = (const struct tree *)s;

	(void)why;
	if (!t->bad || strpbrk(folder, t->bad) == NULL)
		return 0;
	for (const char *p = folder; *p; p++)
		strbuf_putc(out, strchr(t->bad, *p) ? '_' : *p);
	return 1;
}

static const struct store_ops tree_ops = { .name = "tree", .caps = STORE_TREE, .folders = tree_folders, .fit = tree_fit };

static int no_right(void *arg, struct err *why)
{
	(void)arg;
	(void)why;
	return -1;
}

static unsigned warned;

static void warn(void *arg, const char *text)
{
	(void)arg;
	(void)text;
	warned++;
}

struct row {
	const char *label;
	struct node source[FOLDERS_MAX], target[FOLDERS_MAX];
	struct folder_rule rules[3];
	const char *known[3][2];     /* pairs of the base, in the order of their making */
	const char *take[3];         /* patterns; none: all */
	const char *bad;
	const char *want[FOLDERS_MAX][2]; /* {source, target}: in the table, of those that the source has */
	struct { const char *left, *why; } refused[3];
	unsigned warnings;
};

static const struct row table[] = {
	{ "names stay", .source = { { "INBOX", 0 }, { "Work", 0 }, { "Work/2026", 0 } }, .target = { { "INBOX", 0 }, { "Other", 0 } },
	  .want = { { "INBOX", "INBOX" }, { "Work", "Work" }, { "Work/2026", "Work/2026" } } },

	/* roles */
	{ "a role", .source = { { "INBOX", 0 }, { "Gesendet", FOLDER_SENT } }, .target = { { "INBOX", 0 }, { "Sent Items", FOLDER_SENT } },
	  .want = { { "INBOX", "INBOX" }, { "Gesendet", "Sent Items" } } },
	{ "all that are carried", .source = { { "a", FOLDER_ARCHIVE }, { "d", FOLDER_DRAFTS }, { "j", FOLDER_JUNK }, { "s", FOLDER_SENT }, { "t", FOLDER_TRASH } },
	  .target = { { "A", FOLDER_ARCHIVE }, { "D", FOLDER_DRAFTS }, { "J", FOLDER_JUNK }, { "S", FOLDER_SENT }, { "T", FOLDER_TRASH } },
	  .want = { { "a", "A" }, { "d", "D" }, { "j", "J" }, { "s", "S" }, { "t", "T" } } },
	{ "below it", .source = { { "Gesendet", FOLDER_SENT }, { "Gesendet/2025", 0 }, { "Gesendet/2025/May", 0 }, { "Gesendetes", 0 } }, .target = { { "Sent Items", FOLDER_SENT } },
	  .want = { { "Gesendet", "Sent Items" }, { "Gesendet/2025", "Sent Items/2025" }, { "Gesendet/2025/May", "Sent Items/2025/May" }, { "Gesendetes", "Gesendetes" } } },
	{ "below it, though it is only a level", .source = { { "Gesendet", FOLDER_SENT | FOLDER_NO_SELECT }, { "Gesendet/2025", 0 } }, .target = { { "Sent Items", FOLDER_SENT } },
	  .want = { { "Gesendet/2025", "Gesendet/2025" } } },
	{ "below it, though it is not taken", .source = { { "Gesendet", FOLDER_SENT }, { "Gesendet/2025", 0 } }, .target = { { "Sent Items", FOLDER_SENT } }, .take = { "Gesendet/*" },
	  .want = { { "Gesendet/2025", "Sent Items/2025" } } },
	{ "Gmail makes none below its own", .source = { { "Sent", FOLDER_SENT }, { "Sent/2025", 0 } }, .target = { { "[Gmail]/Sent Mail", FOLDER_SENT } },
	  .want = { { "Sent", "[Gmail]/Sent Mail" }, { "Sent/2025", "Sent/2025" } } },
	{ "a target without roles", .source = { { "Gesendet", FOLDER_SENT } }, .target = { { "Sent", 0 } }, .want = { { "Gesendet", "Gesendet" } } },
	{ "no folder of that role there", .source = { { "Gesendet", FOLDER_SENT } }, .target = { { "Papierkorb", FOLDER_TRASH } }, .want = { { "Gesendet", "Gesendet" } } },
	{ "two of one role", .source = { { "Sent", FOLDER_SENT }, { "Sent Items", FOLDER_SENT } }, .target = { { "Sent Items", FOLDER_SENT } },
	  .want = { { "Sent", "Sent" }, { "Sent Items", "Sent Items" } } },
	{ "two of one role, of other names", .source = { { "A", FOLDER_SENT }, { "B", FOLDER_SENT } }, .target = { { "Sent Items", FOLDER_SENT } },
	  .want = { { "A", "Sent Items" }, { "B", "B" } } },
	{ "the inbox keeps its name whatever it is", .source = { { "INBOX", FOLDER_ARCHIVE } }, .target = { { "INBOX", 0 }, { "Archiv", FOLDER_ARCHIVE } },
	  .want = { { "INBOX", "INBOX" } } },
	{ "and nothing becomes the inbox by a role", .source = { { "INBOX", 0 }, { "Archiv", FOLDER_ARCHIVE } }, .target = { { "INBOX", FOLDER_ARCHIVE } },
	  .want = { { "INBOX", "INBOX" }, { "Archiv", "Archiv" } } },

	/* views */
	{ "views stay behind", .source = { { "[Gmail]/All Mail", FOLDER_ALL }, { "[Gmail]/Starred", FOLDER_FLAGGED }, { "[Gmail]/Important", FOLDER_IMPORTANT }, { "Work", 0 } },
	  .target = { { "All", FOLDER_ALL } }, .want = { { "Work", "Work" } } },
	{ "unless named; and none becomes a view", .source = { { "All Mail", FOLDER_ALL } }, .target = { { "Everything", FOLDER_ALL } }, .take = { "All Mail" },
	  .want = { { "All Mail", "All Mail" } } },
	{ "nor a folder a view", .source = { { "Archiv", FOLDER_ARCHIVE } }, .target = { { "All Mail", FOLDER_ALL | FOLDER_ARCHIVE } }, .want = { { "Archiv", "Archiv" } } },
	{ "nor by its name", .source = { { "Important", 0 }, { "Work", 0 } }, .target = { { "Important", FOLDER_IMPORTANT } }, .want = { { "Work", "Work" } },
	  .refused = { { "Important", "only shows" } } },
	{ "but by a rule", .source = { { "Important", 0 } }, .target = { { "Important", FOLDER_IMPORTANT } }, .rules = { { .name = "Important", .local = "Important" } },
	  .want = { { "Important", "Important" } } },

	/* well-known names of a source that says no roles */
	{ "well-known names", .source = { { "Sent Messages", 0 }, { "DRAFTS", 0 }, { "Deleted Items", 0 }, { "spam", 0 }, { "Archive", 0 } },
	  .target = { { "Sent", FOLDER_SENT }, { "Entwürfe", FOLDER_DRAFTS }, { "Papierkorb", FOLDER_TRASH }, { "Junk-E-Mail", FOLDER_JUNK }, { "Archiv", FOLDER_ARCHIVE } },
	  .want = { { "Sent Messages", "Sent" }, { "DRAFTS", "Entwürfe" }, { "Deleted Items", "Papierkorb" }, { "spam", "Junk-E-Mail" }, { "Archive", "Archiv" } } },
	{ "not in part, nor below", .source = { { "Sent 2025", 0 }, { "Work/Sent", 0 }, { "INBOX/Trash", 0 } }, .target = { { "S", FOLDER_SENT }, { "T", FOLDER_TRASH } },
	  .want = { { "Sent 2025", "Sent 2025" }, { "Work/Sent", "Work/Sent" }, { "INBOX/Trash", "INBOX/Trash" } } },
	{ "several", .source = { { "Sent Items", 0 }, { "Sent", 0 } }, .target = { { "Gesendet", FOLDER_SENT } }, .want = { { "Sent Items", "Sent Items" }, { "Sent", "Gesendet" } } },
	{ "several, one as there", .source = { { "Sent", 0 }, { "Sent Items", 0 } }, .target = { { "Sent Items", FOLDER_SENT } },
	  .want = { { "Sent", "Sent" }, { "Sent Items", "Sent Items" } } },
	{ "a source that says some says all", .source = { { "Sent", 0 }, { "Papierkorb", FOLDER_TRASH } }, .target = { { "Gesendet", FOLDER_SENT }, { "Trash", FOLDER_TRASH } },
	  .want = { { "Sent", "Sent" }, { "Papierkorb", "Trash" } } },

	/* rules */
	{ "a rule before a role", .source = { { "Gesendet", FOLDER_SENT }, { "Gesendet/2025", 0 } }, .target = { { "Sent", FOLDER_SENT } },
	  .rules = { { .name = "Gesendet", .local = "Old/Sent" } }, .want = { { "Gesendet", "Old/Sent" }, { "Gesendet/2025", "Old/Sent/2025" } } },
	{ "of a role", .source = { { "Gesendet", FOLDER_SENT } }, .target = { { "Sent", FOLDER_SENT } }, .rules = { { .name = "@sent", .local = "Mine" } },
	  .want = { { "Gesendet", "Mine" } } },
	{ "that names none leaves the role", .source = { { "Gesendet", FOLDER_SENT } }, .target = { { "Sent", FOLDER_SENT } }, .rules = { { .name = "Gesendet", .max_size = 5 } },
	  .want = { { "Gesendet", "Sent" } } },
	{ "before the base", .source = { { "A", 0 } }, .target = { { "X", 0 } }, .rules = { { .name = "A", .local = "Y" } }, .known = { { "A", "X" } }, .want = { { "A", "Y" } } },

	/* the base */
	{ "decided once", .source = { { "Gesendet", FOLDER_SENT }, { "Gesendet/2025", 0 } }, .target = { { "Gesendet", 0 }, { "Sent", FOLDER_SENT } }, .known = { { "Gesendet", "Gesendet" } },
	  .want = { { "Gesendet", "Gesendet" }, { "Gesendet/2025", "Gesendet/2025" } } },
	{ "as a role says no more", .source = { { "Gesendet", 0 } }, .target = { { "Gesendet", 0 }, { "Sent", 0 } }, .known = { { "Gesendet", "Sent" } }, .want = { { "Gesendet", "Sent" } } },
	{ "decided anew", .source = { { "A", 0 } }, .target = { { "X", 0 }, { "Y", 0 } }, .known = { { "A", "X" }, { "A", "Y" } }, .want = { { "A", "Y" } } },

	/* two that would be one */
	{ "the role first", .source = { { "Sent", 0 }, { "Gesendet", FOLDER_SENT } }, .target = { { "Sent", FOLDER_SENT } }, .want = { { "Gesendet", "Sent" } },
	  .refused = { { "Sent", "'Gesendet' is copied to" } } },
	{ "a rule first", .source = { { "A", 0 }, { "B", 0 } }, .rules = { { .name = "B", .local = "A" } }, .want = { { "B", "A" } }, .refused = { { "A", "one of its own" } } },
	{ "two rules", .source = { { "A", 0 }, { "B", 0 }, { "C", 0 } }, .rules = { { .name = "B", .local = "X" }, { .name = "A", .local = "X" } }, .want = { { "A", "X" }, { "C", "C" } },
	  .refused = { { "B", "folder \"B\" { to = " } } },
	{ "not the inbox", .source = { { "A", 0 }, { "INBOX", 0 } }, .rules = { { .name = "A", .local = "INBOX" } }, .want = { { "A", "INBOX" } }, .refused = { { "INBOX", "'A'" } } },
	{ "what the base has stays", .source = { { "A", 0 }, { "B", 0 } }, .target = { { "B", 0 } }, .known = { { "A", "B" } }, .want = { { "A", "B" } }, .refused = { { "B", "'A'" } } },
	{ "of those that are taken", .source = { { "A", 0 }, { "B", 0 } }, .rules = { { .name = "B", .local = "A" } }, .take = { "A" }, .want = { { "A", "A" } } },

	/* what the target can't hold */
	{ "made to fit", .source = { { "a.b", 0 }, { "a.b/c", 0 } }, .bad = ".", .want = { { "a.b", "a_b" }, { "a.b/c", "a_b/c" } }, .warnings = 1 },
	{ "which is told once", .source = { { "a.b", 0 } }, .target = { { "a_b", 0 } }, .bad = ".", .known = { { "a.b", "a_b" } }, .want = { { "a.b", "a_b" } } },
	{ "but not what a rule says", .source = { { "a.b", 0 } }, .bad = ".", .rules = { { .name = "a.b", .local = "x.y" } }, .want = { { "a.b", "x.y" } } },
	{ "nor what another is called", .source = { { "a.b", 0 }, { "a_b", 0 } }, .bad = ".", .want = { { "a_b", "a_b" } }, .refused = { { "a.b", "'a_b'" } } },
};

/* The row of the table that the source has, by its name. */
static const struct sync_folder *find(const struct folders *fs, const char *left)
{
	for (size_t i = 0; i < fs->f.n; i++)
		if (fs->f.a[i].on_left && strcmp(fs->f.a[i].left, left) == 0)
			return &fs->f.a[i];
	return NULL;
}

static void note_known(const struct row *row)
{
	struct folder_row out;

	assert_int_equal(db_begin(db, &e), 0);
	for (size_t i = 0; i < COUNT(row->known) && row->known[i][0]; i++)
		assert_int_equal(folders_get(db, row->known[i][0], row->known[i][1], &out, &e), 0);
	assert_int_equal(db_commit(db, &e), 0);
}

static void forget_known(const struct row *row)
{
	struct folder_row out;

	assert_int_equal(db_begin(db, &e), 0);
	for (size_t i = 0; i < COUNT(row->known) && row->known[i][0]; i++) {
		assert_int_equal(folders_get(db, row->known[i][0], row->known[i][1], &out, &e), 0);
		assert_int_equal(folders_drop(db, out.id, &e), 0);
	}
	assert_int_equal(db_commit(db, &e), 0);
}

static bool has_node(const struct node *nodes, const char *name)
{
	for (size_t i = 0; i < FOLDERS_MAX && nodes[i].name; i++)
		if (strcmp(nodes[i].name, name) == 0)
			return true;
	return false;
}

static void check(const struct row *row, const struct folders *fs)
{
	size_t n = 0, there = 0;

	for (; n < FOLDERS_MAX && row->want[n][0]; n++) {
		const struct sync_folder *f = find(fs, row->want[n][0]);

		if (!f || strcmp(f->right, row->want[n][1]) != 0)
			fail_msg("%s: '%s' becomes '%s', not '%s'", row->label, row->want[n][0], f ? f->right : "(nothing)", row->want[n][1]);
		if (f->on_right != has_node(row->target, f->right))
			fail_msg("%s: is '%s' there?", row->label, f->right);
		for (size_t i = 0; i < COUNT(row->known) && row->known[i][0]; i++)
			if (strcmp(row->known[i][0], f->left) == 0 && strcmp(row->known[i][1], f->right) == 0 && f->base.id == 0)
				fail_msg("%s: the base's '%s' is not found", row->label, f->left);
	}
	for (size_t i = 0; i < fs->f.n; i++)
		there += fs->f.a[i].on_left;
	if (there != n)
		fail_msg("%s: %zu folders are taken, not %zu", row->label, there, n);
	for (n = 0; n < COUNT(row->refused) && row->refused[n].left; n++) {
		const struct folder_refused *f = n < fs->refused.n ? &fs->refused.a[n] : NULL;

		if (!f || strcmp(f->left, row->refused[n].left) != 0 || !strstr(f->why.text, row->refused[n].why) || f->why.span != SPAN_BOX)
			fail_msg("%s: refused '%s': %s", row->label, f ? f->left : "(nothing)", f ? f->why.text : "");
	}
	if (fs->refused.n != n)
		fail_msg("%s: %zu are refused", row->label, fs->refused.n);
	if (warned != row->warnings)
		fail_msg("%s: %u warnings", row->label, warned);
}

static void one_way(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(table); i++) {
		const struct row *row = &table[i];
		struct folders fs = FOLDERS_INIT;
		struct tree left = { .s = { .ops = &tree_ops }, .nodes = row->source }, right = { .s = { .ops = &tree_ops }, .nodes = row->target, .bad = row->bad };
		struct boxrule take[3];
		struct folders_params p = { .rules = row->rules, .take = take, .one_way = true };

		while (p.n_rules < COUNT(row->rules) && row->rules[p.n_rules].name)
			p.n_rules++;
		for (; p.n_take < COUNT(row->take) && row->take[p.n_take]; p.n_take++)
			assert_int_equal(boxrule_parse(slice_str(row->take[p.n_take]), &take[p.n_take], &e), 0);
		warned = 0;
		note_known(row);
		if (folders_read(&fs, &p, &left.s, &right.s, db, no_right, warn, NULL, &e) < 0)
			fail_msg("%s: %s", row->label, e.text);
		check(row, &fs);
		folders_release(&fs);
		forget_known(row);
	}
}

/* What the source has lost is still the pair that it was, whatever the target calls it. */
static void lost_at_the_source(void **state)
{
	static const struct row row = { .source = { { "INBOX", 0 } }, .target = { { "INBOX", 0 }, { "Sent Items", FOLDER_SENT } }, .known = { { "Gesendet", "Sent Items" } } };
	struct folders fs = FOLDERS_INIT;
	struct tree left = { .s = { .ops = &tree_ops }, .nodes = row.source }, right = { .s = { .ops = &tree_ops }, .nodes = row.target };
	struct folders_params p = { .one_way = true };

	(void)state;
	note_known(&row);
	assert_int_equal(folders_read(&fs, &p, &left.s, &right.s, db, no_right, warn, NULL, &e), 0);
	assert_int_equal(fs.f.n, 2);
	assert_string_equal(fs.f.a[1].left, "Gesendet");
	assert_string_equal(fs.f.a[1].right, "Sent Items");
	assert_true(fs.f.a[1].on_right && !fs.f.a[1].on_left && fs.f.a[1].base.id != 0);
	folders_release(&fs);
}

/* A two-way job knows nothing of all this. */
static void two_way(void **state)
{
	static const struct node source[FOLDERS_MAX] = { { "Gesendet", FOLDER_SENT }, { "a.b", 0 } }, target[FOLDERS_MAX] = { { "Sent", FOLDER_SENT } };
	struct folders fs = FOLDERS_INIT;
	struct tree left = { .s = { .ops = &tree_ops }, .nodes = source }, right = { .s = { .ops = &tree_ops }, .nodes = target, .bad = "." };
	struct folders_params p = { .one_way = false };

	(void)state;
	assert_int_equal(folders_read(&fs, &p, &left.s, &right.s, db, no_right, warn, NULL, &e), 0);
	assert_int_equal(fs.f.n, 3);
	assert_string_equal(find(&fs, "Gesendet")->right, "Gesendet");
	assert_string_equal(find(&fs, "a.b")->right, "a.b");
	folders_release(&fs);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(one_way, base_setup, base_teardown),
		cmocka_unit_test_setup_teardown(lost_at_the_source, base_setup, base_teardown),
		cmocka_unit_test_setup_teardown(two_way, base_setup, base_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
