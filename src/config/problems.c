/* Problems of a configuration: see problems.h. */
#include "config/problems.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define NEAR_MAX 32 /* longer words are compared with nothing */

/* Note a problem whose text is ready. */
static void add(struct problems *p, struct place at, enum err_kind kind, const char *text)
{
	struct problem one = { .at = at, .seq = p->n++, .kind = kind };

	if (p->v.n >= PROBLEMS_MAX)
		return;
	one.text = arena_str(p->arena, slice_str(text));
	if (!one.text)
		one.text = "out of memory";
	(void)vec_push(&p->v, one); /* n counts it even then */
}

/* Note a problem. */
void problem_add(struct problems *p, struct place at, enum err_kind kind, const char *fmt, ...)
{
	char text[2 * ERR_TEXT_MAX], shown[4 * ERR_TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	add(p, at, kind, err_printable(shown, sizeof(shown), text, strlen(text)));
}

/* Note an error value. */
void problem_err(struct problems *p, struct place at, const struct err *e)
{
	add(p, at, e->kind, e->text);
}

/* By file, line, and order of discovery. */
static int problem_cmp(const void *va, const void *vb)
{
	const struct problem *a = va, *b = vb;
	int fa = a->at.file ? a->at.file->number : -1, fb = b->at.file ? b->at.file->number : -1;

	if (fa != fb)
		return fa < fb ? -1 : 1;
	if (a->at.line != b->at.line)
		return a->at.line < b->at.line ? -1 : 1;
	return a->seq < b->seq ? -1 : a->seq > b->seq;
}

/* One line for a person. */
static int put_line(struct strbuf *out, const struct problem *one)
{
	size_t before = out->len;
	int rc = 0;

	if (one->at.file) {
		rc |= strbuf_puts(out, one->at.file->name);
		if (one->at.line > 0)
			rc |= strbuf_printf(out, ":%d", one->at.line);
		rc |= strbuf_puts(out, ": ");
	}
	rc |= strbuf_puts(out, one->text);
	rc |= strbuf_putc(out, '\n');
	if (rc < 0)
		strbuf_cut(out, before);
	return rc;
}

/* Show them all, and judge. */
int problems_end(struct problems *p, struct strbuf *out, struct err *e)
{
	enum err_kind kind = ERR_CONF;
	size_t perm = 0;

	if (p->n == 0)
		return 0;
	if (p->v.n == 0)
		return err_set(e, ERR_LOCAL, "out of memory");
	qsort(p->v.a, p->v.n, sizeof(p->v.a[0]), problem_cmp);
	for (size_t i = 0; i < p->v.n; i++)
		perm += p->v.a[i].kind == ERR_PERM;
	if (p->v.n == 1)
		kind = p->v.a[0].kind;
	else if (perm == p->v.n)
		kind = ERR_PERM;
	for (size_t i = 0; out && i < p->v.n; i++)
		if (put_line(out, &p->v.a[i]) < 0)
			break;
	if (!p->v.a[0].at.file)
		err_set(e, kind, "%s", p->v.a[0].text);
	else if (p->v.a[0].at.line > 0)
		err_set(e, kind, "%s:%d: %s", p->v.a[0].at.file->name, p->v.a[0].at.line, p->v.a[0].text);
	else
		err_set(e, kind, "%s: %s", p->v.a[0].at.file->name, p->v.a[0].text);
	if (p->n > 1)
		err_hint(e, "and %zu more", p->n - 1);
	return -1;
}

/* Letters to change, add, drop or swap with the next between two short words. */
static size_t distance(struct slice a, struct slice b)
{
	size_t d[NEAR_MAX + 1][NEAR_MAX + 1];

	for (size_t i = 0; i <= a.n; i++)
		d[i][0] = i;
	for (size_t j = 0; j <= b.n; j++)
		d[0][j] = j;
	for (size_t i = 1; i <= a.n; i++)
		for (size_t j = 1; j <= b.n; j++) {
			size_t best = d[i - 1][j - 1] + (a.p[i - 1] != b.p[j - 1]);

			if (d[i - 1][j] + 1 < best)
				best = d[i - 1][j] + 1;
			if (d[i][j - 1] + 1 < best)
				best = d[i][j - 1] + 1;
			if (i > 1 && j > 1 && a.p[i - 1] == b.p[j - 2] && a.p[i - 2] == b.p[j - 1] &&
			    d[i - 2][j - 2] + 1 < best)
				best = d[i - 2][j - 2] + 1;
			d[i][j] = best;
		}
	return d[a.n][b.n];
}

/* Cut the next word off a list "a|b|c". */
static bool next_word(const char **rest, struct slice *word)
{
	if (**rest == '\0')
		return false;
	*word = slice_of(*rest, strcspn(*rest, "|"));
	*rest += word->n;
	if (**rest == '|')
		(*rest)++;
	return true;
}

/* Lower case, and '_' as '-', for comparing. out: NEAR_MAX bytes, which w fits. */
static struct slice plain(struct slice w, char *out)
{
	for (size_t i = 0; i < w.n; i++)
		out[i] = (char)(w.p[i] >= 'A' && w.p[i] <= 'Z' ? w.p[i] + 32 : w.p[i] == '_' ? '-' : w.p[i]);
	return slice_of(out, w.n);
}

/* The nearest word: at most two changes, and fewer than half of its letters. */
const char *problem_nearest(struct problems *p, const char *word, const char *words)
{
	struct slice have = slice_str(word), w, best = { NULL, 0 };
	char plain_have[NEAR_MAX], plain_word[NEAR_MAX];
	size_t least = 3;

	if (have.n == 0 || have.n > NEAR_MAX)
		return NULL;
	have = plain(have, plain_have);
	while (next_word(&words, &w)) {
		size_t d;

		if (w.n == 0 || w.n > NEAR_MAX)
			continue;
		d = distance(have, plain(w, plain_word));
		if (d < least && 2 * d < w.n + 1) {
			least = d;
			best = w;
		}
	}
	return best.n > 0 ? arena_str(p->arena, best) : NULL;
}

/* The nearest word, as part of a sentence. */
const char *problem_near(struct problems *p, const char *word, const char *words)
{
	const char *near = problem_nearest(p, word, words), *out;
	char text[NEAR_MAX + sizeof("; did you mean ''?")];

	if (!near)
		return "";
	snprintf(text, sizeof(text), "; did you mean '%s'?", near);
	out = arena_str(p->arena, slice_str(text));
	return out ? out : "";
}

/* Words for a sentence. */
const char *problem_words(struct problems *p, const char *words)
{
	struct strbuf b = STRBUF_INIT(4096);
	struct slice w;
	const char *out;

	while (next_word(&words, &w)) {
		if (b.len > 0)
			strbuf_puts(&b, *words == '\0' ? " or " : ", ");
		strbuf_putsl(&b, w);
	}
	out = arena_str(p->arena, strbuf_slice(&b));
	strbuf_release(&b);
	return out ? out : "";
}
