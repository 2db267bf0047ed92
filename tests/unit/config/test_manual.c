#include "../../lib/unit.h"

#include "base/fs.h"
#include "config/schema.h"

/* mailhaul.conf(5) against the table: the manual lists every option with its default and words, in the table's order, and no other. */

static struct strbuf manual = STRBUF_INIT(1 << 20);

/* Read the manual. */
static int setup(void **state)
{
	const char *top = getenv("MAILHAUL_SRCDIR"); /* tests/run sets it */
	struct err e = ERR_INIT;
	char path[4096];

	(void)state;
	snprintf(path, sizeof(path), "%s/doc/mailhaul.conf.5", top ? top : ".");
	if (fs_read_file(path, &manual, &e) < 0) {
		print_error("%s\n", e.text);
		return -1;
	}
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	strbuf_release(&manual);
	return 0;
}

/* The lines of the manual about a section: from its ".Ss NAME" to the next heading. The caller frees. */
static char *section_text(const char *name)
{
	char head[80];
	const char *at;

	snprintf(head, sizeof(head), "\n.Ss %s ", name);
	at = strstr(manual.s, head);
	if (!at)
		fail_msg("the manual has no '.Ss %s ...'", name);
	at += strlen(head);
	for (const char *end = at; (end = strstr(end, "\n.S")); end++)
		if (end[3] == 's' || end[3] == 'h')
			return strndup(at, (size_t)(end - at));
	return strdup(at);
}

/* Whether a whole line says it: mdoc escapes a backslash only, and our values hold none. */
static bool has_line(const char *text, const char *line)
{
	char want[300];

	snprintf(want, sizeof(want), "\n%s\n", line);
	return strstr(text, want) != NULL;
}

/* One option's item says what its row says. */
static void check_item(const struct key *k, const char *item)
{
	char line[300];

	snprintf(line, sizeof(line), ".Dl Default: %s", k->def);
	if (k->def[0] != '\0' && !strstr(item, line))
		fail_msg("%s %s: the manual does not say '%s'", k->section, k->name, line);
	if (k->def[0] != '\0') {
		const char *end = strstr(item, line) + strlen(line);

		if (*end != '\n' && *end != '\0')
			fail_msg("%s %s: the manual's default is longer than '%s'", k->section, k->name, k->def);
	} else if (strstr(item, "Default:")) {
		fail_msg("%s %s: the manual has a default, the table has none", k->section, k->name);
	}
	for (const char *w = k->words; w && *w;) {
		size_t n = strcspn(w, "|");

		snprintf(line, sizeof(line), ".It Cm %.*s", (int)n, w);
		if (!has_line(item, line))
			fail_msg("%s %s: the manual does not explain '%.*s'", k->section, k->name, (int)n, w);
		w += n + (w[n] == '|');
	}
	if ((k->only == KEY_ONLY_POP3) != has_line(item, "POP3 only.") || (k->only == KEY_ONLY_IMAP) != has_line(item, "IMAP only."))
		fail_msg("%s %s: the manual and the table disagree on whose accounts can have it", k->section, k->name);
	if (k->required != (strstr(item, "Required.") != NULL))
		fail_msg("%s %s: the manual and the table disagree on whether it is required", k->section, k->name);
}

/* The next item of the outer list behind a place; items of the lists of words, ".It Cm", lie inside. */
static char *next_item(char *at)
{
	return at && *at ? strstr(at + 1, "\n.It Ic ") : NULL;
}

static void manual_lists_the_table(void **state)
{
	size_t n, n_sections, seen = 0;
	const struct key *k = schema_keys(&n);
	const struct section *s = schema_sections(&n_sections);

	(void)state;
	for (size_t i = 0; i < n_sections; i++) {
		char *text = section_text(s[i].name), *at = next_item(text);

		for (size_t j = 0; j < n; j++) {
			char head[100], *item, *next;

			if (strcmp(k[j].section, s[i].name) != 0)
				continue;
			snprintf(head, sizeof(head), "\n.It Ic %s = ", k[j].name);
			if (!at || strncmp(at, head, strlen(head)) != 0)
				fail_msg("section %s: '%s' is due, the manual has '%.40s'", s[i].name, head + 1, at ? at + 1 : "nothing");
			next = next_item(at);
			item = next ? strndup(at, (size_t)(next - at)) : strdup(at ? at : "");
			check_item(&k[j], item);
			free(item);
			at = next;
			seen++;
		}
		if (at)
			fail_msg("section %s: the manual has '%.40s', the table has no more", s[i].name, at + 1);
		free(text);
	}
	assert_int_equal(seen, n);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(manual_lists_the_table) };

	return cmocka_run_group_tests(tests, setup, teardown);
}
