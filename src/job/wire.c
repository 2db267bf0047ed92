#include "job/wire.h"

#include <limits.h>
#include <stddef.h>
#include <string.h>

enum { RECORD_EVENT = 1, RECORD_LOG = 2 };

#define HEAD 4 /* bytes of the length */

_Static_assert(sizeof(enum event_type) == sizeof(int) && sizeof(enum err_kind) == sizeof(int), "enums are encoded as ints are");
_Static_assert(5 + 54 * 8 + 5 * (4 + WIRE_TEXT) <= WIRE_MAX, "a record holds an event");

/* An event's numbers, in their order on the wire; the same rows write and read. */
static const struct number {
	size_t off;
	enum { WIDE, INT, BOOL } kind; /* 64 bits, int or enum, bool */
	uint64_t max;
} numbers[] = {
#define ROW(field, kind, max) { offsetof(struct event, field), kind, max }
	ROW(type, INT, EVENT_END), ROW(time, WIDE, UINT64_MAX), ROW(two_way, BOOL, 1), ROW(one_way, BOOL, 1), ROW(action, INT, ACTION_RENAME), ROW(at, INT, AT_RIGHT),
	ROW(size, WIDE, UINT64_MAX), ROW(dry, BOOL, 1),
	ROW(total, WIDE, UINT64_MAX), ROW(total_bytes, WIDE, UINT64_MAX), ROW(done, WIDE, UINT64_MAX), ROW(done_bytes, WIDE, UINT64_MAX),
	ROW(kind, INT, ERR_KINDS - 1), ROW(span, INT, SPAN_ACCT), ROW(retry_after, INT, INT_MAX), ROW(exit_code, INT, 255), ROW(trouble, BOOL, 1), ROW(untried, BOOL, 1),
	ROW(totals.pulled, WIDE, UINT64_MAX), ROW(totals.pushed, WIDE, UINT64_MAX), ROW(totals.deleted, WIDE, UINT64_MAX),
	ROW(totals.flagged, WIDE, UINT64_MAX), ROW(totals.moved, WIDE, UINT64_MAX), ROW(totals.skipped, WIDE, UINT64_MAX),
	ROW(totals.failed, WIDE, UINT64_MAX), ROW(totals.bytes_in, WIDE, UINT64_MAX), ROW(totals.bytes_out, WIDE, UINT64_MAX),
	ROW(totals.round_trips, WIDE, UINT64_MAX), ROW(totals.kept, WIDE, UINT64_MAX), ROW(totals.made, WIDE, UINT64_MAX),
	ROW(totals.removed, WIDE, UINT64_MAX), ROW(totals.deleted_left, WIDE, UINT64_MAX), ROW(totals.quarantined, WIDE, UINT64_MAX),
	ROW(totals.trashed, WIDE, UINT64_MAX),
	ROW(totals.run, WIDE, UINT64_MAX), ROW(totals.restored, WIDE, UINT64_MAX), ROW(totals.renamed, WIDE, UINT64_MAX),
	ROW(verify, BOOL, 1), ROW(sides, INT, SIDES_ONE_WAY), ROW(drift, INT, DRIFT_FOLDER), ROW(compared.folders, WIDE, UINT64_MAX),
	ROW(compared.left, WIDE, UINT64_MAX), ROW(compared.right, WIDE, UINT64_MAX), ROW(compared.same, WIDE, UINT64_MAX),
	ROW(compared.missing[0], WIDE, UINT64_MAX), ROW(compared.missing[1], WIDE, UINT64_MAX), ROW(compared.content, WIDE, UINT64_MAX),
	ROW(compared.flags, WIDE, UINT64_MAX), ROW(compared.refused, WIDE, UINT64_MAX), ROW(compared.missing_folders[0], WIDE, UINT64_MAX),
	ROW(compared.missing_folders[1], WIDE, UINT64_MAX), ROW(compared.extra, WIDE, UINT64_MAX), ROW(compared.left_out, WIDE, UINT64_MAX),
#undef ROW
};

/* Its strings, likewise. */
static const size_t strings[] = {
	offsetof(struct event, job), offsetof(struct event, folder), offsetof(struct event, to), offsetof(struct event, uid), offsetof(struct event, text),
};

#define N_NUMBERS (sizeof(numbers) / sizeof(numbers[0]))
#define N_STRINGS (sizeof(strings) / sizeof(strings[0]))

static void put_le(struct strbuf *out, uint64_t n, size_t bytes)
{
	unsigned char b[8];

	for (size_t i = 0; i < bytes; i++)
		b[i] = (unsigned char)(n >> (8 * i));
	strbuf_put(out, b, bytes);
}

static uint64_t get_le(const char *p, size_t bytes)
{
	uint64_t n = 0;

	for (size_t i = 0; i < bytes; i++)
		n |= (uint64_t)(unsigned char)p[i] << (8 * i);
	return n;
}

/* A string, cut to what a record has room for. */
static void put_text(struct strbuf *out, const char *s)
{
	size_t n = s ? strnlen(s, WIRE_TEXT + 1) : 0;

	if (n > WIRE_TEXT) {
		n = WIRE_TEXT;
		while (n > WIRE_TEXT - 3 && ((unsigned char)s[n] & 0xc0) == 0x80)
			n--;
	}
	put_le(out, n, 4);
	if (n > 0)
		strbuf_put(out, s, n);
}

/* Begin a record; its length is filled in by end_record. Returns where it begins. */
static size_t begin_record(struct strbuf *out, unsigned char type)
{
	size_t at = out->len;

	put_le(out, 0, HEAD);
	put_le(out, type, 1);
	return at;
}

static int end_record(struct strbuf *out, size_t at)
{
	size_t n = out->len - at - HEAD;

	if (out->failed) {
		strbuf_cut(out, at);
		return -1;
	}
	for (size_t i = 0; i < HEAD; i++)
		out->s[at + i] = (char)(unsigned char)(n >> (8 * i));
	return 0;
}

/* Seconds travel as whole microseconds. */
static uint64_t micros_of(double seconds)
{
	return seconds > 0 && seconds < 1e12 ? (uint64_t)(seconds * 1e6 + 0.5) : 0;
}

int wire_put_event(struct strbuf *out, const struct event *ev)
{
	size_t at = begin_record(out, RECORD_EVENT);

	for (size_t i = 0; i < N_NUMBERS; i++) {
		const char *p = (const char *)ev + numbers[i].off;
		uint64_t wide;
		int32_t narrow;
		bool flag;

		if (numbers[i].kind == WIDE) {
			memcpy(&wide, p, sizeof(wide));
		} else if (numbers[i].kind == INT) {
			memcpy(&narrow, p, sizeof(narrow));
			wide = narrow > 0 ? (uint64_t)narrow : 0; /* none of ours is below 0 */
		} else {
			memcpy(&flag, p, sizeof(flag));
			wide = flag;
		}
		put_le(out, wide < numbers[i].max ? wide : numbers[i].max, 8);
	}
	put_le(out, micros_of(ev->totals.seconds), 8);
	for (size_t i = 0; i < N_STRINGS; i++) {
		const char *s;

		memcpy(&s, (const char *)ev + strings[i], sizeof(s));
		put_text(out, s);
	}
	return end_record(out, at);
}

int wire_put_log(struct strbuf *out, enum log_level level, const char *context, const char *text)
{
	size_t at = begin_record(out, RECORD_LOG);

	put_le(out, level, 8);
	put_text(out, context);
	put_text(out, text);
	return end_record(out, at);
}

/* A record that is being read. Strings are copied, for their NUL. */
struct reader {
	const char *p;
	size_t n;
	bool bad;
	size_t used;
	char text[N_STRINGS * (WIRE_TEXT + 1)];
};

static uint64_t take_number(struct reader *r, size_t bytes, uint64_t max)
{
	uint64_t n;

	if (r->bad || r->n < bytes) {
		r->bad = true;
		return 0;
	}
	n = get_le(r->p, bytes);
	r->p += bytes;
	r->n -= bytes;
	if (n > max) {
		r->bad = true;
		return 0;
	}
	return n;
}

static const char *take_text(struct reader *r)
{
	size_t n = (size_t)take_number(r, 4, WIRE_TEXT);
	char *s = r->text + r->used;

	if (r->bad || n > r->n || n + 1 > sizeof(r->text) - r->used || memchr(r->p, '\0', n)) {
		r->bad = true;
		return "";
	}
	memcpy(s, r->p, n);
	s[n] = '\0';
	r->used += n + 1;
	r->p += n;
	r->n -= n;
	return s;
}

/* Every value is one that we could have written, and nothing is left over. */
static bool read_event(struct reader *r, struct event *ev)
{
	memset(ev, 0, sizeof(*ev));
	for (size_t i = 0; i < N_NUMBERS; i++) {
		char *p = (char *)ev + numbers[i].off;
		uint64_t wide = take_number(r, 8, numbers[i].max);
		int32_t narrow = (int32_t)wide;
		bool flag = wide != 0;

		if (numbers[i].kind == WIDE)
			memcpy(p, &wide, sizeof(wide));
		else if (numbers[i].kind == INT)
			memcpy(p, &narrow, sizeof(narrow));
		else
			memcpy(p, &flag, sizeof(flag));
	}
	ev->totals.seconds = (double)take_number(r, 8, 1000000000000000000U) / 1e6;
	for (size_t i = 0; i < N_STRINGS; i++) {
		const char *s = take_text(r);

		memcpy((char *)ev + strings[i], &s, sizeof(s));
	}
	return !r->bad && r->n == 0;
}

/* One record's type and fields. */
static bool take_record(const char *p, size_t n, const struct wire_sink *sinks)
{
	struct reader r;

	r.p = p;
	r.n = n;
	r.bad = false;
	r.used = 0;
	switch (take_number(&r, 1, 255)) {
	case RECORD_EVENT: {
		struct event ev;

		if (!read_event(&r, &ev))
			return false;
		event_put(&sinks->events, &ev);
		return true;
	}
	case RECORD_LOG: {
		enum log_level level = (enum log_level)take_number(&r, 8, LOG_WIRE);
		const char *context = take_text(&r), *text = take_text(&r);

		if (r.bad || r.n != 0)
			return false;
		if (sinks->log)
			sinks->log(sinks->log_arg, level, context, text);
		return true;
	}
	default:
		return false;
	}
}

int wire_take(struct strbuf *in, const struct wire_sink *sinks, struct err *e)
{
	size_t at = 0;
	int rc = 0;

	while (in->len - at >= HEAD) {
		size_t n = (size_t)get_le(in->s + at, HEAD);

		if (n == 0 || n > WIRE_MAX - HEAD) {
			rc = err_set(e, ERR_BUG, "a worker's record says that it is %zu bytes long", n);
			break;
		}
		if (in->len - at - HEAD < n)
			break;
		if (!take_record(in->s + at + HEAD, n, sinks)) {
			rc = err_set(e, ERR_BUG, "a worker's record of %zu bytes makes no sense", n);
			break;
		}
		at += HEAD + n;
	}
	strbuf_shift(in, at);
	return rc;
}
