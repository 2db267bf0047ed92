/*
 * Facts from a header. Byte 0 picks what the rest is: 0: a date; otherwise a message, put in pieces of that many bytes. Whatever the split, the facts are the
 * same; they are printable and within their limits. A date is within its range, and reads the same when it is written out again.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/slice.h"
#include "mail/header.h"

#define LATEST 4102444800 /* 2100-01-01 */

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

/* Stop here, so that the fuzzer keeps the input. */
static void must(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "fuzz_header: %s\n", what);
	abort();
}

/* The facts of a message that comes in pieces of `step` bytes. */
static void collect(struct header *h, struct slice msg, size_t step)
{
	header_init(h);
	for (size_t at = 0, some; at < msg.n; at += some) {
		bool done = h->done;

		some = msg.n - at < step ? msg.n - at : step;
		header_put(h, msg.p + at, some);
		must(!done || h->done, "a header that goes on after its end");
	}
	header_end(h);
	must(h->done, "a header without an end");
}

/* Text within its limit. */
static void must_be_text(const char *s, size_t size)
{
	size_t n = strnlen(s, size);

	must(n < size, "a text without an end");
	for (size_t i = 0; i < n; i++)
		must((unsigned char)s[i] >= ' ' && s[i] != 0x7f, "a control byte in a text");
}

/* A date, as it is and written out again. */
static void as_date(const char *text)
{
	int64_t t = -1, again = -1;
	char out[64];
	struct tm tm;
	time_t when;

	if (!header_date(text, &t)) {
		must(t == -1, "a refused date has left something");
		return;
	}
	must(t >= 0 && t <= LATEST, "a date out of range");
	when = (time_t)t;
	must(gmtime_r(&when, &tm) && strftime(out, sizeof(out), "%a, %d %b %Y %H:%M:%S +0000", &tm) > 0, "a date that can't be written");
	must(header_date(out, &again) && again == t, "a date that reads as another");
	/* the same clock elsewhere is another time */
	must(strftime(out, sizeof(out), "%d %b %Y %H:%M:%S +0130", &tm) > 0, "a date that can't be written");
	must(header_date(out, &again) && again == (t < 5400 ? 0 : t - 5400), "a zone to the east reads as another");
	must(strftime(out, sizeof(out), "%d %b %Y %H:%M:%S EST", &tm) > 0, "a date that can't be written");
	must(header_date(out, &again) && again == (t > LATEST - 18000 ? LATEST : t + 18000), "a zone to the west reads as another");
	/* comments and blanks change nothing */
	must(strftime(out, sizeof(out), "(\\)()) %d\t%b (x) %Y %H : %M:%S (y) -0000 ", &tm) > 0, "a date that can't be written");
	must(header_date(out, &again) && again == t, "a comment changes a date");
}

/* The first of a kind counts, whatever follows it. */
static void behind_others(struct slice msg)
{
	static const char first[] = "Received: x\nReturn-Path: <>\nMessage-ID: <a@b>\nDate: 1\nX: y\n";
	struct header h;

	if (msg.n > 0 && (msg.p[0] == ' ' || msg.p[0] == '\t'))
		return; /* it goes on */
	header_init(&h);
	header_put(&h, first, sizeof(first) - 1);
	header_put(&h, msg.p, msg.n);
	header_end(&h);
	must(h.has_return_path && !h.return_path[0] && strcmp(h.message_id, "<a@b>") == 0 && !h.received[0] && strcmp(h.date, "1") == 0,
	     "a later field counts");
}

/* A message. */
static void as_message(struct slice msg, size_t step)
{
	struct header whole, parts;
	int64_t when;

	collect(&whole, msg, msg.n ? msg.n : 1);
	collect(&parts, msg, step);
	must(memcmp(whole.return_path, parts.return_path, sizeof(whole.return_path)) == 0 && whole.has_return_path == parts.has_return_path,
	     "the split changes the return path");
	must(strcmp(whole.message_id, parts.message_id) == 0, "the split changes the message's id");
	must(strcmp(whole.received, parts.received) == 0 && strcmp(whole.date, parts.date) == 0, "the split changes a date");
	must_be_text(whole.return_path, sizeof(whole.return_path));
	must_be_text(whole.message_id, sizeof(whole.message_id));
	must_be_text(whole.received, sizeof(whole.received));
	must_be_text(whole.date, sizeof(whole.date));
	must(!whole.message_id[0] || (whole.message_id[0] == '<' && whole.message_id[strlen(whole.message_id) - 1] == '>'), "an id without its brackets");
	must(whole.has_return_path || !whole.return_path[0], "a return path from nowhere");
	behind_others(msg);
	must(header_when(&whole, LATEST) >= 0 && header_when(&whole, LATEST) <= LATEST && header_when(&whole, LATEST) == header_when(&parts, LATEST), "a time of arrival that the split changes");
	must(header_when(&whole, LATEST) > 0 || (!header_date(whole.date, &when) || when == 0), "a date that is passed over");
	as_date(whole.received);
	as_date(whole.date);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct slice rest;
	char *text;

	if (n < 1)
		return 0;
	rest = slice_of(p + 1, n - 1);
	if (p[0] > 0) {
		as_message(rest, p[0]);
		return 0;
	}
	text = slice_dup(rest);
	if (text)
		as_date(text);
	free(text);
	return 0;
}
