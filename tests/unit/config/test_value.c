#include "../../lib/unit.h"

#include "config/value.h"

static void durations(void **state)
{
	static const struct {
		const char *text;
		int64_t s; /* -1: refused */
	} rows[] = {
		{ "0", 0 }, { "0s", 0 }, { "30s", 30 }, { "10m", 600 }, { "2h", 7200 }, { "1d", 86400 }, { "3w", 1814400 }, { "1y", 31536000 }, { "10M", 600 },
		{ "", -1 }, { "10", -1 }, { "00", -1 }, { "m", -1 }, { "-1m", -1 }, { "+1m", -1 }, { "1.5h", -1 }, { "10 m", -1 }, { "10min", -1 }, { " 10m", -1 },
		{ "1h30m", -1 }, { "9223372036854775807s", INT64_MAX }, { "9223372036854775808s", -1 }, { "9223372036854775807y", -1 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		int64_t s = -1;

		assert_int_equal(value_duration(rows[i].text, &s), rows[i].s < 0 ? -1 : 0);
		assert_int_equal(s, rows[i].s);
	}
}

static void sizes(void **state)
{
	static const struct {
		const char *text;
		int64_t n;
	} rows[] = {
		{ "0", 0 }, { "5000", 5000 }, { "10k", 10240 }, { "10K", 10240 }, { "5M", 5242880 }, { "2G", INT64_C(2147483648) },
		{ "", -1 }, { "k", -1 }, { "5MB", -1 }, { "5 M", -1 }, { "-5", -1 }, { "0x10", -1 }, { "9223372036854775807T", -1 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		int64_t n = -1;

		assert_int_equal(value_size(rows[i].text, &n), rows[i].n < 0 ? -1 : 0);
		assert_int_equal(n, rows[i].n);
	}
}

static void shown_as_written(void **state)
{
	static const char *const d[] = { "1s", "90s", "60m", "36h", "30d", "0s" }, *const want[] = { "1s", "90s", "1h", "36h", "30d", "0s" };
	char out[32];
	int64_t n;

	(void)state;
	for (size_t i = 0; i < COUNT(d); i++) {
		assert_int_equal(value_duration(d[i], &n), 0);
		assert_string_equal(value_show_duration(n, out), want[i]);
	}
	assert_string_equal(value_show_size(10485760, out), "10M");
	assert_string_equal(value_show_size(1500, out), "1500");
}

/* Every default goes through the same door as a person's value, and every word of the table is taken. */
static void the_table_is_right(void **state)
{
	size_t n;
	const struct key *k = schema_keys(&n);
	struct arena a = { 0 };
	struct problems p = { .arena = &a };
	int64_t room[128];
	struct place at = { 0 };

	(void)state;
	assert_true(n > 30);
	for (size_t i = 0; i < n; i++) {
		const struct section *s = schema_section(k[i].section);

		assert_non_null(s);
		assert_true(s->size <= sizeof(room));
		assert_true(k[i].off < s->size);
		assert_ptr_equal(schema_key(k[i].section, k[i].name), &k[i]);
		for (size_t j = 0; j < i; j++)
			assert_false(strcmp(k[i].section, k[j].section) == 0 && (strcmp(k[i].name, k[j].name) == 0 || k[i].off == k[j].off));
		assert_true(k[i].help[0] != '\0' && k[i].help[strlen(k[i].help) - 1] == '.');
		assert_true(k[i].arg[0] != '\0');
		assert_true(k[i].type != KEY_WORD || k[i].words);
		memset(room, 0, sizeof(room));
		assert_int_equal(value_default(&k[i], room, &p), 0);
		for (const char *w = k[i].words; w && *w;) {
			size_t len = strcspn(w, "|");
			char *word = strndup(w, len);
			const char *v = word;

			assert_int_equal(value_set(&k[i], room, &v, NULL, 1, at, &p), 0);
			free(word);
			w += len + (w[len] == '|');
		}
	}
	assert_int_equal(p.n, 0);
	vec_release(&p.v);
	arena_release(&a);
}

static void lists_and_keep(void **state)
{
	const char *two[] = { "dotlock", "FCNTL" }, *bad[] = { "fcntl", "dotlok" };
	struct mbox_keys m = { 0 };
	struct fetch_keys f = { 0 };
	struct arena a = { 0 };
	struct problems p = { .arena = &a };
	struct place at = { 0 };
	const char *v;

	(void)state;
	assert_int_equal(value_default(schema_key("mbox", "lock"), &m, &p), 0);
	assert_int_equal(m.lock.n, 2);
	assert_string_equal(m.lock.v[0], "fcntl");
	assert_string_equal(m.lock.v[1], "dotlock");
	assert_int_equal(value_set(schema_key("mbox", "lock"), &m, two, NULL, 2, at, &p), 0);
	assert_string_equal(m.lock.v[0], "dotlock");
	assert_int_equal(value_set(schema_key("mbox", "lock"), &m, bad, NULL, 2, at, &p), -1);
	assert_string_equal(m.lock.v[0], "dotlock"); /* untouched */
	assert_non_null(strstr(p.v.a[0].text, "lock knows no 'dotlok'; allowed: fcntl or dotlock; did you mean 'dotlock'?"));

	v = "yes";
	assert_int_equal(value_set(schema_key("fetch", "keep"), &f, &v, NULL, 1, at, &p), 0);
	assert_int_equal(f.keep.what, KEEP_YES);
	v = "30d";
	assert_int_equal(value_set(schema_key("fetch", "keep"), &f, &v, NULL, 1, at, &p), 0);
	assert_int_equal(f.keep.what, KEEP_AGE);
	assert_int_equal(f.keep.seconds, 30 * 86400);
	v = "0d";
	assert_int_equal(value_set(schema_key("fetch", "keep"), &f, &v, NULL, 1, at, &p), -1);
	assert_int_equal(f.keep.seconds, 30 * 86400);
	vec_release(&p.v);
	arena_release(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(durations), cmocka_unit_test(sizes), cmocka_unit_test(shown_as_written),
		cmocka_unit_test(the_table_is_right), cmocka_unit_test(lists_and_keep),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
