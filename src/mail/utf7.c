/* Modified UTF-7: see utf7.h. */
#include "mail/utf7.h"

#include <string.h>

#include "base/utf8.h"

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,";

/* Whether a character stands for itself, or as "&-" for itself. */
static bool is_direct(uint32_t c)
{
	return c >= 0x20 && c <= 0x7e;
}

/* Why a name is refused, with the name; out is cut back. */
static int refuse(struct strbuf *out, size_t start, enum err_kind kind, struct slice name,
                  const char *why, struct err *e)
{
	char shown[160];

	strbuf_cut(out, start);
	err_printable(shown, sizeof(shown), name.p, name.n);
	return err_set_span(e, kind, SPAN_BOX, "folder name '%s': %s", shown, why);
}

/* Characters of a run of UTF-16 in base64, without '&' and '-'. Returns what is wrong, or NULL. */
static const char *decode_run(struct slice run, struct strbuf *out)
{
	uint32_t bits = 0, high = 0;
	unsigned held = 0; /* bits that are no character yet */

	for (size_t i = 0; i < run.n; i++) {
		const char *digit = memchr(digits, run.p[i], sizeof(digits) - 1);
		uint32_t unit;
		char utf8[4];

		if (!digit)
			return "a byte that is not of modified base64";
		bits = bits << 6 | (uint32_t)(digit - digits);
		held += 6;
		if (held < 16)
			continue;
		held -= 16;
		unit = bits >> held & 0xffff;
		bits &= (1U << held) - 1;
		if (high ? unit < 0xdc00 || unit > 0xdfff : unit >= 0xdc00 && unit <= 0xdfff)
			return "half a surrogate pair";
		if (unit >= 0xd800 && unit <= 0xdbff) {
			high = unit;
			continue;
		}
		if (high)
			unit = 0x10000 + ((high - 0xd800) << 10 | (unit - 0xdc00));
		high = 0;
		if (unit == 0)
			return "a NUL character";
		if (is_direct(unit))
			return "a character is encoded that stands for itself";
		if (strbuf_put(out, utf8, utf8_give(unit, utf8)) < 0)
			return "too long";
	}
	if (high)
		return "half a surrogate pair";
	if (held >= 6)
		return "an incomplete character";
	return bits ? "padding that is not zero" : NULL;
}

/* A server's name to UTF-8. */
int utf7_decode(struct slice name, struct strbuf *out, struct err *e)
{
	size_t start = out->len, shift_end = 0; /* behind the last shift; 0 if there was none */
	const char *why = NULL;

	for (size_t i = 0; i < name.n && !why;) {
		const char *minus;
		struct slice run;

		if (name.p[i] != '&') {
			if (!is_direct((unsigned char)name.p[i]))
				why = "a byte that is not printable ASCII";
			else if (strbuf_putc(out, name.p[i]) < 0)
				why = "too long";
			i++;
			continue;
		}
		minus = memchr(name.p + i, '-', name.n - i);
		if (!minus) {
			why = "'&' without its '-'";
			break;
		}
		run = slice_of(name.p + i + 1, (size_t)(minus - name.p) - i - 1);
		if (run.n == 0)
			why = strbuf_putc(out, '&') < 0 ? "too long" : NULL;
		else if (i > 0 && shift_end == i)
			why = "two shifts where one does";
		else
			why = decode_run(run, out);
		i += run.n + 2;
		if (run.n > 0)
			shift_end = i;
	}
	return why ? refuse(out, start, ERR_PROTO, name, why, e) : 0;
}

/* What is not ASCII becomes UTF-16 in base64. */
struct shift {
	struct strbuf *out;
	uint32_t bits;
	unsigned held;
	bool open;
};

/* One unit of UTF-16. */
static void put_unit(struct shift *s, uint32_t unit)
{
	if (!s->open)
		strbuf_putc(s->out, '&');
	s->open = true;
	s->bits = s->bits << 16 | unit;
	for (s->held += 16; s->held >= 6; s->held -= 6)
		strbuf_putc(s->out, digits[s->bits >> (s->held - 6) & 63]);
	s->bits &= (1U << s->held) - 1;
}

/* Back to ASCII. */
static void end_shift(struct shift *s)
{
	if (s->open && s->held > 0)
		strbuf_putc(s->out, digits[s->bits << (6 - s->held) & 63]);
	if (s->open)
		strbuf_putc(s->out, '-');
	*s = (struct shift){ .out = s->out };
}

/* A name in UTF-8 as a server wants it. */
int utf7_encode(struct slice name, struct strbuf *out, struct err *e)
{
	struct shift s = { .out = out };
	size_t start = out->len, used;

	for (size_t i = 0; i < name.n; i += used) {
		uint32_t c;

		used = utf8_take(name.p + i, name.n - i, &c);
		if (used == 0)
			return refuse(out, start, ERR_CONF, name, "not UTF-8", e);
		if (c == 0)
			return refuse(out, start, ERR_CONF, name, "a NUL character", e);
		if (is_direct(c)) {
			end_shift(&s);
			strbuf_puts(out, c == '&' ? "&-" : (char[]){ (char)c, '\0' });
		} else if (c >= 0x10000) {
			put_unit(&s, 0xd800 + ((c - 0x10000) >> 10));
			put_unit(&s, 0xdc00 + ((c - 0x10000) & 0x3ff));
		} else {
			put_unit(&s, c);
		}
	}
	end_shift(&s);
	return out->failed ? refuse(out, start, ERR_CONF, name, "too long", e) : 0;
}
