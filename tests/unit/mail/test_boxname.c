/* Names of folders: on the wire, on disk, and which of them are taken. */
#include "../../lib/unit.h"

#include "mail/boxname.h"

#define LEVELS_65 "1/2/3/4/5/6/7/8/9/1/2/3/4/5/6/7/8/9/1/2/3/4/5/6/7/8/9/1/2/3/4/5/6/7/8/9/1/2/3/4/5/6/7/8/9/" \
	"1/2/3/4/5/6/7/8/9/1/2/3/4/5/6/7/8/9/1/2"

static void split(void **state)
{
	static const struct {
		const char *name;
		char separator;
		const char *parts; /* each in <>; NULL: refused */
		const char *joined; /* NULL: as it was */
	} rows[] = {
		{ "a", '/', "<a>", NULL },
		{ "a/b", '/', "<a><b>", NULL },
		{ "a/b", '.', "<a/b>", NULL },
		{ "a/b", '\0', "<a/b>", NULL },
		{ "a.b/c.d", '.', "<a><b/c><d>", NULL },
		{ "a\\b", '\\', "<a><b>", NULL },
		{ "../x", '/', "<..><x>", NULL },
		{ "\u00e4/\u00f6", '/', "<\u00e4><\u00f6>", NULL },
		{ " / ", '/', "< >< >", NULL },
		{ "INBOX", '/', "<INBOX>", NULL },
		{ "inbox", '/', "<INBOX>", "INBOX" },
		{ "InBox", '\0', "<INBOX>", "INBOX" },
		{ "inbox/inbox", '/', "<INBOX><inbox>", "INBOX/inbox" },
		{ "Inbox.Work", '.', "<INBOX><Work>", "INBOX.Work" },
		{ "Inbox.Work", '/', "<Inbox.Work>", NULL },
		{ "inboxes", '/', "<inboxes>", NULL },
		{ "a/inbox", '/', "<a><inbox>", NULL },
		{ "", '/', NULL, NULL },
		{ "/", '/', NULL, NULL },
		{ "/a", '/', NULL, NULL },
		{ "a/", '/', NULL, NULL },
		{ "a//b", '/', NULL, NULL },
		{ "", '\0', NULL, NULL },
		{ "a\xff", '/', NULL, NULL },
		{ "a/\xed\xa0\x80", '/', NULL, NULL },
		{ LEVELS_65, '/', NULL, NULL },
		{ LEVELS_65, '.', "<" LEVELS_65 ">", NULL },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct strbuf text = STRBUF_INIT(2000);
		struct boxname b = { .n = 0 };
		struct err e = ERR_INIT;
		int rc = boxname_split(slice_str(rows[i].name), rows[i].separator, &b, &e);

		assert_int_equal(rc, rows[i].parts ? 0 : -1);
		if (rc < 0) {
			assert_int_equal(e.kind, ERR_CONF);
			assert_int_equal(e.span, SPAN_BOX);
			continue;
		}
		for (size_t k = 0; k < b.n; k++)
			strbuf_printf(&text, "<%.*s>", (int)b.part[k].n, b.part[k].p);
		assert_string_equal(strbuf_str(&text), rows[i].parts);
		strbuf_clear(&text);
		assert_int_equal(boxname_join(&b, rows[i].separator, &text, NULL), 0);
		assert_string_equal(strbuf_str(&text), rows[i].joined ? rows[i].joined : rows[i].name);
		strbuf_release(&text);
	}
}

static void split_limits(void **state)
{
	char name[BOXNAME_MAX + 2];
	struct boxname b;

	(void)state;
	memset(name, 'x', sizeof(name));
	assert_int_equal(boxname_split(slice_of(name, BOXNAME_MAX), '/', &b, NULL), 0);
	assert_int_equal(boxname_split(slice_of(name, BOXNAME_MAX + 1), '/', &b, NULL), -1);
	assert_int_equal(boxname_split(slice_of("a\0b", 3), '/', &b, NULL), -1);
	assert_int_equal(boxname_split(slice_of("a\0b", 3), '\0', &b, NULL), -1);
	assert_int_equal(boxname_split(slice_of(LEVELS_65, 127), '/', &b, NULL), 0);
	assert_int_equal(b.n, BOXNAME_LEVELS);
}

static void join(void **state)
{
	static const struct {
		const char *name;
		char from, to;
		const char *joined; /* NULL: refused */
	} rows[] = {
		{ "a/b/c", '/', '.', "a.b.c" },
		{ "a.b.c", '.', '/', "a/b/c" },
		{ "a", '/', '\0', "a" },
		{ "a/b", '/', '\0', NULL },
		{ "a.x/b", '/', '.', NULL },
		{ "a/x.b", '.', '/', NULL },
		{ "inbox.b", '.', '/', "INBOX/b" },
	};
	struct boxname b = { .n = 0 };
	struct strbuf out = STRBUF_INIT(8);

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct err e = ERR_INIT;
		int rc;

		strbuf_clear(&out);
		strbuf_puts(&out, "+");
		assert_int_equal(boxname_split(slice_str(rows[i].name), rows[i].from, &b, NULL), 0);
		rc = boxname_join(&b, rows[i].to, &out, &e);
		assert_int_equal(rc, rows[i].joined ? 0 : -1);
		assert_string_equal(strbuf_str(&out) + 1, rows[i].joined ? rows[i].joined : "");
		assert_true(rc == 0 || (e.kind == ERR_CONF && e.span == SPAN_BOX && e.text[0]));
	}
	strbuf_clear(&out);
	b.n = 0;
	assert_int_equal(boxname_join(&b, '/', &out, NULL), -1);
	b.part[b.n++] = slice_str("");
	assert_int_equal(boxname_join(&b, '/', &out, NULL), -1);
	b.part[0] = slice_str("\xff");
	assert_int_equal(boxname_join(&b, '/', &out, NULL), -1);
	b.part[0] = slice_str("123456789");
	assert_int_equal(boxname_join(&b, '/', &out, NULL), -1);
	assert_int_equal(out.len, 0);
	strbuf_release(&out);
	{
		static char whole[BOXNAME_MAX];

		memset(whole, 'x', sizeof(whole));
		out = (struct strbuf)STRBUF_INIT(4000);
		b = (struct boxname){ .part = { slice_of(whole, 600), slice_of(whole, 399) }, .n = 2 };
		assert_int_equal(boxname_join(&b, '/', &out, NULL), 0);
		b.part[1].n++;
		assert_int_equal(boxname_join(&b, '/', &out, NULL), -1);
		assert_int_equal(out.len, BOXNAME_MAX);
		strbuf_release(&out);
	}
}

/* Names that belong to each other. */
static void escape(void **state)
{
	static const struct {
		const char *component, *also;
		bool entry;
		const char *name;
	} rows[] = {
		{ "Work", NULL, true, "Work" },
		{ "Work", "", true, "Work" },
		{ "Entw\u00fcrfe 2026", ".", true, "Entw\u00fcrfe 2026" },
		{ "\U0001f600", ".", true, "\U0001f600" },
		{ "a/b", NULL, true, "a%2Fb" },
		{ "/", NULL, true, "%2F" },
		{ ".", NULL, true, "%2E" },
		{ "..", NULL, true, "%2E." },
		{ "..", ".", true, "%2E%2E" },
		{ ".hidden", NULL, true, "%2Ehidden" },
		{ "a.b.", NULL, true, "a.b." },
		{ "a.b.", ".", true, "a%2Eb%2E" },
		{ ".", "", false, "%2E" },
		{ "cur", NULL, true, "%63ur" },
		{ "new", NULL, true, "%6Eew" },
		{ "tmp", NULL, true, "%74mp" },
		{ "cur", NULL, false, "cur" },
		{ "cur", ".", false, "cur" },
		{ "New", NULL, true, "New" },
		{ "newer", NULL, true, "newer" },
		{ "ne", NULL, true, "ne" },
		{ "100%", NULL, true, "100%" },
		{ "%", NULL, true, "%" },
		{ "%%", NULL, true, "%%" },
		{ "%4", NULL, true, "%4" },
		{ "%41", NULL, true, "%2541" },
		{ "%2f", NULL, true, "%252f" },
		{ "%2F", NULL, true, "%252F" },
		{ "%%41", NULL, true, "%%2541" },
		{ "%4/", NULL, true, "%4%2F" },
		{ "%/", NULL, true, "%%2F" },
		{ "%zz", NULL, true, "%zz" },
		{ "%63ur", NULL, true, "%2563ur" },
		{ "50% of", "%", true, "50%25 of" },
		{ "a_b%c", "_%", true, "a%5Fb%25c" },
		{ "%4a", "a", true, "%254%61" },
		{ "a\tb", NULL, true, "a%09b" },
		{ "\r\n", NULL, true, "%0D%0A" },
		{ "\x7f", NULL, true, "%7F" },
		{ "\xc2\x80\xc2\x85\xc2\x9f", NULL, true, "%C2%80%C2%85%C2%9F" },
		{ "\u00a0", NULL, true, "\u00a0" },
		{ " x ", NULL, true, " x " },
		{ "~", NULL, true, "~" },
		{ "a\\b:*?\"<>|", NULL, true, "a\\b:*?\"<>|" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct strbuf out = STRBUF_INIT(300);
		struct err e = ERR_INIT;

		strbuf_puts(&out, "/");
		assert_int_equal(boxname_escape(slice_str(rows[i].component), rows[i].also, rows[i].entry, &out, &e), 0);
		assert_string_equal(strbuf_str(&out) + 1, rows[i].name);
		strbuf_cut(&out, 1);
		assert_int_equal(boxname_unescape(slice_str(rows[i].name), rows[i].also, rows[i].entry, &out, &e), 0);
		assert_string_equal(strbuf_str(&out) + 1, rows[i].component);
		strbuf_release(&out);
	}
}

/* Names on disk that no component has. */
static void not_ours(void **state)
{
	static const struct {
		const char *name, *also;
		bool entry;
		const char *why;
	} rows[] = {
		{ "", NULL, true, "empty" },
		{ ".", NULL, true, "rename it to '%2E'" },
		{ "..", NULL, true, "rename it to '%2E.'" },
		{ ".git", NULL, true, "rename it to '%2Egit'" },
		{ "cur", NULL, true, "rename it to '%63ur'" },
		{ "a/b", NULL, true, "rename it to 'a%2Fb'" },
		{ "a.b", ".", true, "rename it to 'a%2Eb'" },
		{ "%41", NULL, true, "rename it to 'A'" },
		{ "%2f", NULL, true, "rename it to '%2F'" },
		{ "a%2e", ".", true, "rename it to 'a%2E'" },
		{ "a%2E", NULL, true, "rename it to 'a.'" },
		{ "%25", NULL, true, "rename it to '%'" },
		{ "%25zz", NULL, true, "rename it to '%zz'" },
		{ "%2525", "", true, NULL },
		{ "%63UR", NULL, true, "rename it to 'cUR'" },
		{ "%6eew", NULL, true, "rename it to '%6Eew'" },
		{ "%63ur", NULL, false, "rename it to 'cur'" },
		{ "a\tb", NULL, true, "rename it to 'a%09b'" },
		{ "\xc2\x85", NULL, true, "rename it to '%C2%85'" },
		{ "%C2\x85", NULL, true, "rename it to '%C2%85'" },
		{ "%C3%A4", NULL, true, "rename it to '\u00e4'" },
		{ "a%00b", NULL, true, "NUL" },
		{ "%00", NULL, true, "NUL" },
		{ "\xe4", NULL, true, "not UTF-8" },
		{ "%E4", NULL, true, "not UTF-8" },
		{ "%", "%", true, "rename it to '%25'" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct strbuf out = STRBUF_INIT(300);
		struct err e = ERR_INIT;
		int rc;

		strbuf_puts(&out, "kept");
		rc = boxname_unescape(slice_str(rows[i].name), rows[i].also, rows[i].entry, &out, &e);
		assert_int_equal(rc, rows[i].why ? -1 : 0);
		if (rc == 0) {
			strbuf_release(&out);
			continue;
		}
		if (!strstr(e.text, rows[i].why))
			fail_msg("%s: %s", rows[i].name, e.text);
		assert_int_equal(e.kind, ERR_LOCAL);
		assert_int_equal(e.span, SPAN_BOX);
		assert_string_equal(strbuf_str(&out), "kept");
		strbuf_release(&out);
	}
}

static void escape_limits(void **state)
{
	static char text[400];
	struct strbuf out = STRBUF_INIT(1000);
	struct err e = ERR_INIT;

	(void)state;
	memset(text, 'x', sizeof(text));
	assert_int_equal(boxname_escape(slice_of(text, 255), NULL, true, &out, &e), 0);
	assert_int_equal(boxname_unescape(slice_of(text, 255), NULL, true, &out, &e), 0);
	strbuf_clear(&out);
	assert_int_equal(boxname_escape(slice_of(text, 256), NULL, true, &out, &e), -1);
	assert_int_equal(e.kind, ERR_CONF);
	assert_non_null(strstr(e.text, "too long"));
	assert_int_equal(boxname_unescape(slice_of(text, 256), NULL, true, &out, &e), -1);
	assert_int_equal(e.kind, ERR_LOCAL);
	memset(text, '/', sizeof(text));
	assert_int_equal(boxname_escape(slice_of(text, 85), NULL, true, &out, &e), 0);
	assert_int_equal(out.len, 255);
	strbuf_clear(&out);
	assert_int_equal(boxname_escape(slice_of(text, 86), NULL, true, &out, &e), -1);
	assert_int_equal(out.len, 0);
	assert_int_equal(boxname_escape(slice_str(""), NULL, true, &out, &e), -1);
	assert_int_equal(boxname_escape(slice_of("a\0", 2), NULL, true, &out, &e), -1);
	assert_int_equal(boxname_escape(slice_str("\xff"), NULL, true, &out, &e), -1);
	strbuf_release(&out);
	out = (struct strbuf)STRBUF_INIT(3);
	assert_int_equal(boxname_escape(slice_str("a/"), NULL, true, &out, &e), -1);
	assert_int_equal(out.len, 0);
	strbuf_clear(&out);
	assert_int_equal(boxname_unescape(slice_str("abcd"), NULL, true, &out, &e), -1);
	assert_int_equal(out.len, 0);
	strbuf_release(&out);
}

static void match(void **state)
{
	static const struct {
		const char *pattern, *name;
		char separator;
		bool match;
	} rows[] = {
		{ "*", "a", '/', true },
		{ "*", "a/b/c", '/', true },
		{ "%", "a", '/', true },
		{ "%", "a/b", '/', false },
		{ "%", "a.b", '/', true },
		{ "%", "a/b", '\0', true },
		{ "%/%", "a/b", '/', true },
		{ "%/%", "a/b/c", '/', false },
		{ "%/*", "a/b/c", '/', true },
		{ "*/%", "a/b/c", '/', true },
		{ "*%", "a/b/c", '/', true },
		{ "%*", "a/b/c", '/', true },
		{ "%%", "abc", '/', true },
		{ "%%", "a/c", '/', false },
		{ "**", "", '/', true },
		{ "", "", '/', true },
		{ "", "a", '/', false },
		{ "a", "", '/', false },
		{ "Junk", "Junk", '/', true },
		{ "Junk", "junk", '/', false },
		{ "Junk", "Junk/x", '/', false },
		{ "Junk*", "Junk/x", '/', true },
		{ "Junk*", "Junkyard", '/', true },
		{ "Junk/*", "Junk", '/', false },
		{ "*Junk", "a/Junk", '/', true },
		{ "*Junk*", "a/Junk/b", '/', true },
		{ "*a*b*c", "xaxbxbxc", '/', true },
		{ "*a*b*c", "xaxcxb", '/', false },
		{ "%a%b", "aab", '/', true },
		{ "%a%b", "xaxa/b", '/', false },
		{ "*%b/c", "a/b/b/c", '/', true },
		{ "a*b%c", "axb/bxc", '/', true },
		{ "a*b%c", "axbx/c", '/', false },
		{ "a%b*c", "axb/bxc", '/', true },
		{ "a%b*c", "ax/bxc", '/', false },
		{ "?", "a", '/', false },
		{ "?", "?", '/', true },
		{ "[ab]", "a", '/', false },
		{ "\\*", "*", '/', false },
		{ "\u00e4*", "\u00e4\u00f6", '/', true },
		{ "INBOX", "INBOX", '/', true },
		{ "inbox", "INBOX", '/', true },
		{ "INBOX", "inbox", '/', true },
		{ "Inbox/Work", "INBOX/Work", '/', true },
		{ "Inbox/work", "INBOX/Work", '/', false },
		{ "inbox*", "INBOX/Work", '/', true },
		{ "in%", "INBOX", '/', true },
		{ "*box", "INBOX", '/', true },
		{ "inboxes", "INBOXES", '/', false },
		{ "inbox.x", "INBOX.x", '/', false },
		{ "inbox.x", "INBOX.x", '.', true },
		{ "a/inbox", "a/INBOX", '/', false },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++)
		if (boxname_match(slice_str(rows[i].pattern), slice_str(rows[i].name), rows[i].separator) != rows[i].match)
			fail_msg("'%s' and '%s'", rows[i].pattern, rows[i].name);
}

/* The plain definition. */
static bool plainly(const char *p, const char *s)
{
	if (!*p)
		return !*s;
	if (*p == '*' || *p == '%')
		return plainly(p + 1, s) || (*s && !(*p == '%' && *s == '/') && plainly(p, s + 1));
	return *p == *s && plainly(p + 1, s + 1);
}

/* All short patterns against all short names. */
static void match_everything(void **state)
{
	static const char in_pattern[] = "*%a/b";

	(void)state;
	for (uint32_t n = 0; n < 3125 * 6; n++) {
		char pattern[7] = "";
		uint32_t rest = n / 6;

		for (uint32_t i = 0; i < n % 6; i++, rest /= 5)
			pattern[i] = in_pattern[rest % 5];
		if (rest)
			continue; /* a pattern again */
		for (uint32_t k = 0; k < 729 * 7; k++) {
			char name[8] = "";

			rest = k / 7;
			for (uint32_t i = 0; i < k % 7; i++, rest /= 3)
				name[i] = "a/b"[rest % 3];
			if (rest)
				continue;
			if (boxname_match(slice_str(pattern), slice_str(name), '/') != plainly(pattern, name))
				fail_msg("'%s' and '%s'", pattern, name);
		}
	}
}

/* What would take for ever if every wildcard were tried with every other. */
static void match_is_bounded(void **state)
{
	static char pattern[BOXNAME_MAX], name[BOXNAME_MAX];

	(void)state;
	memset(name, 'a', sizeof(name));
	for (size_t i = 0; i < sizeof(pattern); i++)
		pattern[i] = "*a%a"[i % 4];
	assert_true(boxname_match(slice_of(pattern, sizeof(pattern)), slice_of(name, sizeof(name)), '/'));
	pattern[sizeof(pattern) - 1] = 'b';
	assert_false(boxname_match(slice_of(pattern, sizeof(pattern)), slice_of(name, sizeof(name)), '/'));
}

static void rules(void **state)
{
	static const struct {
		const char *list[4];
		const char *taken, *left; /* names in <> */
	} rows[] = {
		{ { "*", "!Junk" }, "<INBOX><a/b><Junk/x>", "<Junk>" },
		{ { "!Junk", "*" }, "<INBOX><Junk>", "" },
		{ { "*", "!Junk*", "Junk/ham" }, "<INBOX><Junk/ham>", "<Junk><Junk/spam>" },
		{ { "INBOX", "Work/*" }, "<INBOX><Work/a>", "<Work><Junk>" },
		{ { "inbox" }, "<INBOX>", "<Work>" },
		{ { "!Junk" }, "<INBOX><a>", "<Junk>" },
		{ { "!Junk", "!Trash" }, "<INBOX>", "<Junk><Trash>" },
		{ { "@sent" }, "", "<INBOX><sent><@sent>" },
		{ { "*", "!@junk" }, "<INBOX><junk>", "" },
		{ { NULL }, "", "<INBOX><a>" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct boxrule list[4];
		size_t n = 0;

		for (; n < 4 && rows[i].list[n]; n++)
			assert_int_equal(boxrule_parse(slice_str(rows[i].list[n]), &list[n], NULL), 0);
		for (int taken = 0; taken < 2; taken++) {
			const char *p = taken ? rows[i].taken : rows[i].left;

			for (; *p; p = strchr(p, '>') + 1) {
				struct slice name = slice_of(p + 1, strcspn(p + 1, ">"));

				if (boxrule_takes(list, n, name, '/') != taken)
					fail_msg("row %zu, %s", i, p);
			}
		}
	}
}

/* A role becomes a name, in which no character is special. */
static void roles(void **state)
{
	struct boxrule list[2];

	(void)state;
	assert_int_equal(boxrule_parse(slice_str("*"), &list[0], NULL), 0);
	assert_int_equal(boxrule_parse(slice_str("!@Sent"), &list[1], NULL), 0);
	assert_int_equal(list[1].kind, BOXRULE_ROLE);
	assert_true(list[1].leave && slice_eqs(list[1].text, "Sent"));
	assert_true(boxrule_takes(list, 2, slice_str("Sent*"), '/'));
	list[1].kind = BOXRULE_NAME;
	list[1].text = slice_str("Sent*");
	assert_false(boxrule_takes(list, 2, slice_str("Sent*"), '/'));
	assert_true(boxrule_takes(list, 2, slice_str("Sent Items"), '/'));
}

static void no_rules(void **state)
{
	static const char *const rows[] = { "", "!", "@", "!@", "a\xff", "!\xc3" };
	static char text[BOXNAME_MAX + 1];
	struct boxrule r = { .kind = BOXRULE_NAME };

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct err e = ERR_INIT;

		assert_int_equal(boxrule_parse(slice_str(rows[i]), &r, &e), -1);
		assert_int_equal(e.kind, ERR_CONF);
	}
	assert_int_equal(r.kind, BOXRULE_NAME);
	memset(text, '*', sizeof(text));
	assert_int_equal(boxrule_parse(slice_of(text, BOXNAME_MAX), &r, NULL), 0);
	assert_int_equal(boxrule_parse(slice_of(text, BOXNAME_MAX + 1), &r, NULL), -1);
	/* marks count at the beginning only */
	assert_int_equal(boxrule_parse(slice_str("a!@b"), &r, NULL), 0);
	assert_true(r.kind == BOXRULE_PATTERN && !r.leave && slice_eqs(r.text, "a!@b"));
	assert_int_equal(boxrule_parse(slice_str("!!a"), &r, NULL), 0);
	assert_true(r.leave && slice_eqs(r.text, "!a"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(split),
		cmocka_unit_test(split_limits),
		cmocka_unit_test(join),
		cmocka_unit_test(escape),
		cmocka_unit_test(not_ours),
		cmocka_unit_test(escape_limits),
		cmocka_unit_test(match),
		cmocka_unit_test(match_everything),
		cmocka_unit_test(match_is_bounded),
		cmocka_unit_test(rules),
		cmocka_unit_test(roles),
		cmocka_unit_test(no_rules),
	};

	return cmocka_run_group_tests_name("mail/boxname", tests, NULL, NULL);
}
