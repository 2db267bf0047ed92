/* Values of a configuration: see value.h. */
#include "config/value.h"

#include <confuse.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"

struct unit {
	const char *name;
	int64_t factor;
};

static const struct unit seconds[] = {
	{ "s", 1 }, { "m", 60 }, { "h", 3600 }, { "d", 86400 }, { "w", 7 * 86400 }, { "y", 365 * 86400 }, { NULL, 0 },
};
static const struct unit moments[] = {
	{ "ms", 1 }, { "s", 1000 }, { NULL, 0 },
};
static const struct unit bytes[] = {
	{ "", 1 }, { "k", INT64_C(1) << 10 }, { "M", INT64_C(1) << 20 }, { "G", INT64_C(1) << 30 }, { "T", INT64_C(1) << 40 }, { NULL, 0 },
};

#define DEFAULTS_MAX 8 /* values of a default list */
#define DURATION_FORM "a number and s, m, h, d, w or y, such as 10m"
#define MOMENT_FORM "a number and ms or s, such as 200ms"
#define RATE_FORM "a size and /s, such as 5M/s"
#define BUDGET_FORM "a size and /d, such as 2G/d"
#define SIZE_FORM "a number of bytes, or with k, M, G or T for 1024 and its powers, such as 10M"

/* Digits and a unit. */
static int with_unit(const char *text, const struct unit *units, int64_t *out)
{
	size_t digits = strspn(text, "0123456789");
	uint64_t n;

	if (!slice_u64(slice_of(text, digits), INT64_MAX, &n))
		return -1;
	for (; units->name; units++)
		if (slice_ieqs(slice_str(text + digits), units->name)) {
			if (n > (uint64_t)(INT64_MAX / units->factor))
				return -1;
			*out = (int64_t)n * units->factor;
			return 0;
		}
	return -1;
}

/* A duration. */
int value_duration(const char *text, int64_t *out)
{
	if (strcmp(text, "0") == 0) { /* of whatever */
		*out = 0;
		return 0;
	}
	return with_unit(text, seconds, out);
}

/* A size. */
int value_size(const char *text, int64_t *out)
{
	return with_unit(text, bytes, out);
}

/* A size for each second or day. */
static int size_per(const char *text, const char *per, int64_t *out)
{
	size_t n = strlen(text), tail = strlen(per);
	char size[32];

	if (n <= tail || n - tail >= sizeof(size) || !slice_ieqs(slice_str(text + n - tail), per))
		return -1;
	memcpy(size, text, n - tail);
	size[n - tail] = '\0';
	return value_size(size, out);
}

/* The largest unit that leaves no rest. */
static const char *show(int64_t n, const struct unit *units, char out[32])
{
	const struct unit *best = units;

	for (; units->name; units++)
		if (n != 0 && n % units->factor == 0)
			best = units;
	snprintf(out, 32, "%" PRId64 "%s", n / best->factor, best->name);
	return out;
}

/* A duration for a person. */
const char *value_show_duration(int64_t s, char out[32])
{
	return show(s, seconds, out);
}

/* A size for a person. */
const char *value_show_size(int64_t n, char out[32])
{
	return show(n, bytes, out);
}

/* Hold a number against the row's range. */
static int in_range(const struct key *k, int64_t n, const char *text, struct place at, struct problems *p)
{
	const char *per = k->type == KEY_RATE ? "/s" : k->type == KEY_BUDGET ? "/d" : "";
	char lo[32], hi[32];

	if ((k->min == 0 && k->max == 0) || (n >= k->min && n <= k->max))
		return 0;
	if (k->type == KEY_SIZE || *per) {
		value_show_size(k->min, lo);
		value_show_size(k->max, hi);
	} else if (k->type == KEY_INT) {
		snprintf(lo, sizeof(lo), "%" PRId64, k->min);
		snprintf(hi, sizeof(hi), "%" PRId64, k->max);
	} else if (k->type == KEY_MOMENT) {
		show(k->min, moments, lo);
		show(k->max, moments, hi);
	} else {
		value_show_duration(k->min, lo);
		value_show_duration(k->max, hi);
	}
	problem_add(p, at, ERR_CONF, "%s = %s is out of range: %s%s to %s%s", k->name, text, lo, per, hi, per);
	return -1;
}

/* Which word of "a|b|c"; -1 none. */
static int which(const char *words, const char *text)
{
	for (int i = 0; *words; i++) {
		size_t n = strcspn(words, "|");

		if (slice_ieqs(slice_of(words, n), text))
			return i;
		words += n + (words[n] == '|');
	}
	return -1;
}

/* Say which words there are. */
static int bad_word(const struct key *k, const char *text, struct place at, struct problems *p)
{
	problem_add(p, at, ERR_CONF, "%s knows no '%s'; allowed: %s%s", k->name, text, problem_words(p, k->words), problem_near(p, text, k->words));
	return -1;
}

/* Strings hold no control characters; commands may hold line ends and tabs. */
static int check_text(const struct key *k, const char *text, struct place at, struct problems *p)
{
	for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
		if (k->type == KEY_COMMAND && (*c == '\n' || *c == '\t'))
			continue;
		if (*c == '\n') {
			problem_add(p, at, ERR_CONF, "%s holds a line end; is a closing quote missing?", k->name);
			return -1;
		}
		if (*c < 0x20 || *c == 0x7f) {
			problem_add(p, at, ERR_CONF, "%s holds a control character (0x%02x)", k->name, *c);
			return -1;
		}
	}
	return 0;
}

/* The arena's copy; out of memory is a problem like any other. */
static const char *keep(struct problems *p, const char *text, struct place at)
{
	const char *s = arena_str(p->arena, slice_str(text));

	if (!s)
		problem_add(p, at, ERR_LOCAL, "out of memory");
	return s;
}

/* A path: absolute once ~ and $HOME are expanded. */
static int set_path(const struct key *k, const char **field, const char *text, struct place at, struct problems *p)
{
	struct err e = ERR_INIT;
	char *full;
	int rc = -1;

	if (*text == '\0') {
		problem_add(p, at, ERR_CONF, "%s is empty; it is a path", k->name);
		return -1;
	}
	full = fs_expand(text, &e);
	if (!full) {
		problem_err(p, at, &e);
	} else if (full[0] != '/') {
		problem_add(p, at, ERR_CONF, "%s = %s would depend on where mailhaul is started; begin it with / or ~/", k->name, text);
	} else {
		const char *s = keep(p, full, at);

		if (s) {
			*field = s;
			rc = 0;
		}
	}
	free(full);
	return rc;
}

/* A list, each value on its line. */
static int set_list(const struct key *k, struct key_list *field, const char *const *v, const int *lines, size_t n, struct place at,
		    struct problems *p)
{
	struct key_list list = { arena_new(p->arena, const char *, n + 1), n };
	int rc = 0;

	if (!list.v) {
		problem_add(p, at, ERR_LOCAL, "out of memory");
		return -1;
	}
	for (size_t i = 0; i < n; i++) {
		struct place here = { at.file, lines ? lines[i] : at.line };

		if (check_text(k, v[i], here, p) < 0)
			rc = -1;
		else if (k->words && which(k->words, v[i]) < 0)
			rc = bad_word(k, v[i], here, p);
		else if (!(list.v[i] = keep(p, v[i], here)))
			rc = -1;
	}
	if (rc == 0)
		*field = list;
	return rc;
}

/* no, yes, or how long. */
static int set_keep(const struct key *k, struct key_keep *field, const char *text, struct place at, struct problems *p)
{
	int64_t s;

	switch (cfg_parse_boolean(text)) {
	case 0:
		*field = (struct key_keep){ KEEP_NO, 0 };
		return 0;
	case 1:
		*field = (struct key_keep){ KEEP_YES, 0 };
		return 0;
	}
	if (value_duration(text, &s) < 0) {
		problem_add(p, at, ERR_CONF, "%s = %s is not understood; allowed: no, yes, or a duration (%s)", k->name, text, DURATION_FORM);
		return -1;
	}
	if (in_range(k, s, text, at, p) < 0)
		return -1;
	*field = (struct key_keep){ KEEP_AGE, s };
	return 0;
}

/* One part of a limit: "25%" or "50"; each may stand once. */
static int limit_part(struct slice text, struct plan_max_delete *out, bool seen[2])
{
	bool share = text.n > 0 && text.p[text.n - 1] == '%';
	uint64_t n;

	if (share)
		text.n--;
	if (seen[share] || !slice_u64(text, share ? 100 : INT64_MAX, &n))
		return -1;
	seen[share] = true;
	if (share)
		out->percent = (unsigned)n;
	else
		out->count = n;
	return 0;
}

/* A share and a number, one of them, or no limit. */
static int set_limit(const struct key *k, struct plan_max_delete *field, const char *text, struct place at, struct problems *p)
{
	static const char blanks[] = " \t";
	struct plan_max_delete out = { 0 };
	bool seen[2] = { false, false };
	const char *rest = text + strspn(text, blanks);
	bool good = true, more = true;

	if (slice_ieqs(slice_str(text), "none")) {
		*field = (struct plan_max_delete){ .none = true };
		return 0;
	}
	while (good && more) {
		size_t n = strcspn(rest, blanks);

		good = limit_part(slice_of(rest, n), &out, seen) == 0;
		rest += n;
		rest += strspn(rest, blanks);
		more = *rest != '\0';
		if (more) {
			good = good && slice_istarts(slice_str(rest), "and") && strspn(rest + 3, blanks) > 0;
			rest += good ? 3 : 0;
			rest += strspn(rest, blanks);
		}
	}
	if (!good) {
		problem_add(p, at, ERR_CONF, "%s = %s is not understood; allowed: a share and a number such as \"25%% and 50\", one of them, or none", k->name, text);
		return -1;
	}
	*field = out;
	return 0;
}

/* A number of some kind. */
static int set_number(const struct key *k, int64_t *field, const char *text, struct place at, struct problems *p)
{
	static const char *const form[KEY_TYPES] = {
		[KEY_INT] = "a number in decimal digits", [KEY_DURATION] = DURATION_FORM, [KEY_MOMENT] = MOMENT_FORM, [KEY_SIZE] = SIZE_FORM,
		[KEY_RATE] = RATE_FORM, [KEY_BUDGET] = BUDGET_FORM,
	};
	uint64_t u = 0;
	int64_t n = 0;
	int rc;

	if (k->type == KEY_DURATION)
		rc = value_duration(text, &n);
	else if (k->type == KEY_MOMENT)
		rc = with_unit(text, moments, &n);
	else if (k->type == KEY_SIZE)
		rc = value_size(text, &n);
	else if (k->type == KEY_RATE || k->type == KEY_BUDGET)
		rc = size_per(text, k->type == KEY_RATE ? "/s" : "/d", &n);
	else
		rc = slice_u64(slice_str(text), INT64_MAX, &u) ? 0 : -1;
	if (k->type == KEY_INT)
		n = (int64_t)u;
	if (rc < 0) {
		problem_add(p, at, ERR_CONF, "%s = %s is not understood; allowed: %s", k->name, text, form[k->type]);
		return -1;
	}
	if (in_range(k, n, text, at, p) < 0)
		return -1;
	*field = n;
	return 0;
}

/* yes or no. */
static int set_bool(const struct key *k, bool *field, const char *text, struct place at, struct problems *p)
{
	int b = cfg_parse_boolean(text);

	if (b < 0) {
		problem_add(p, at, ERR_CONF, "%s = %s is not understood; allowed: yes or no", k->name, text);
		return -1;
	}
	*field = b == 1;
	return 0;
}

/* Set a field by its type. */
int value_set(const struct key *k, void *keys, const char *const *v, const int *lines, size_t n, struct place at, struct problems *p)
{
	void *field = (char *)keys + k->off;
	const char *text = n > 0 ? v[0] : "";
	struct place first = { at.file, lines && n > 0 ? lines[0] : at.line };
	const char *s;
	int word;

	if (k->type == KEY_LIST)
		return set_list(k, field, v, lines, n, at, p);
	if (check_text(k, text, first, p) < 0)
		return -1;
	switch (k->type) {
	case KEY_STR:
	case KEY_COMMAND:
	case KEY_SECRET:
		if (!(s = keep(p, text, first)))
			return -1;
		*(const char **)field = s;
		return 0;
	case KEY_PATH:
		return set_path(k, field, text, first, p);
	case KEY_INT:
	case KEY_DURATION:
	case KEY_MOMENT:
	case KEY_SIZE:
	case KEY_RATE:
	case KEY_BUDGET:
		return set_number(k, field, text, first, p);
	case KEY_BOOL:
		return set_bool(k, field, text, first, p);
	case KEY_KEEP:
		return set_keep(k, field, text, first, p);
	case KEY_LIMIT:
		return set_limit(k, field, text, first, p);
	case KEY_WORD:
		if ((word = which(k->words, text)) < 0)
			return bad_word(k, text, first, p);
		*(int *)field = word;
		return 0;
	case KEY_LIST:
	case KEY_TYPES:
		break;
	}
	return -1;
}

/* The default, through the same door. */
int value_default(const struct key *k, void *keys, struct problems *p)
{
	const char *v[DEFAULTS_MAX];
	struct place nowhere = { NULL, 0 };
	const char *rest = k->def;
	size_t n = 0;
	char *one;

	if (k->def[0] == '\0') {
		if (k->type == KEY_WORD)
			*(int *)((char *)keys + k->off) = -1;
		return 0;
	}
	if (k->type != KEY_LIST)
		return value_set(k, keys, &k->def, NULL, 1, nowhere, p);
	while (n < DEFAULTS_MAX) {
		size_t len;

		rest += strspn(rest, "{, }");
		len = strcspn(rest, ", }");
		if (len == 0)
			break;
		one = arena_str(p->arena, slice_of(rest, len));
		if (!one)
			return -1;
		v[n++] = one;
		rest += len;
	}
	return value_set(k, keys, v, NULL, n, nowhere, p);
}
