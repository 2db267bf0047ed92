/*
 * Walking an mbox. Byte 0 moves the file so that its bytes stand across the border of the scanner's reads (0: not at all), byte 1 picks the variant (value
 * modulo 3) and what the rest is (value / 3 modulo 3): a file of unknown origin, whose records must follow each other without a gap; messages, each parted
 * from the next by a byte 0xff, in the form that the variant has for them; or the same as the store delivers them. From both forms each message must come
 * back with its identity, which is computed here once more in the plainest way.
 */
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/fs.h"
#include "mail/digest.h"
#include "store/mbox.h"
#include "store/mboxform.h"
#include "store/mboxscan.h"

#define INPUT_MAX 16384
#define BORDER 65536 /* bytes of the scanner's reads */
#define MSGS_MAX 16
#define BUF_MAX (8 * INPUT_MAX + 16 * 1024)

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

/* Stop here, so that the fuzzer keeps the input. */
static void must(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "fuzz_mboxscan: %s\n", what);
	abort();
}

/* What a walk has met. */
struct walk {
	size_t n, max;
	struct mboxscan_msg *a;
};

static int on_record(void *arg, const struct mboxscan_msg *m)
{
	struct walk *w = arg;

	must(w->n < w->max, "more records than the file has room for");
	w->a[w->n++] = *m;
	return 0;
}

/* Put bytes into a new file; the caller closes it. */
static int file_of(struct slice head, struct slice bytes)
{
	int fd = memfd_create("fuzz", MFD_CLOEXEC);
	struct err e = ERR_INIT;

	must(fd >= 0, "no file");
	must(fs_write_all(fd, head.p, head.n, "fuzz", &e) == 0 && fs_write_all(fd, bytes.p, bytes.n, "fuzz", &e) == 0, "can't write");
	return fd;
}

/* Walk the bytes in a file behind `pad` line feeds, which a walk passes over. Returns what mboxscan did. */
static int walk(struct slice bytes, size_t pad, enum mbox_variant v, struct walk *w, struct err *e)
{
	static char feeds[BORDER];
	int fd, rc;

	memset(feeds, '\n', sizeof(feeds));
	w->n = 0;
	w->max = bytes.n / 5 + 1;
	w->a = calloc(w->max, sizeof(*w->a));
	must(w->a != NULL, "no memory");
	fd = file_of(slice_of(feeds, pad), bytes);
	rc = mboxscan(fd, v, 0, MBOXSCAN_END, on_record, w, e);
	must(rc == 0 || e->kind == ERR_LOCAL, "an error of another kind");
	for (size_t i = 0; i < w->n; i++)
		w->a[i].offset -= (int64_t)pad;
	/* a record is a place to begin at */
	for (size_t i = 0; rc == 0 && i < w->n && i < 8; i++) {
		struct walk rest = { .max = w->n - i, .a = calloc(w->n, sizeof(*rest.a)) };

		must(rest.a != NULL, "no memory");
		must(mboxscan(fd, v, w->a[i].offset + (int64_t)pad, MBOXSCAN_END, on_record, &rest, e) == 0, "a record is no place to begin at");
		must(rest.n == w->n - i, "another number of records from there");
		for (size_t k = 0; k < rest.n; k++)
			must(rest.a[k].offset - (int64_t)pad == w->a[i + k].offset && rest.a[k].length == w->a[i + k].length &&
			     memcmp(rest.a[k].digest, w->a[i + k].digest, DIGEST_SIZE) == 0, "other records from there");
		free(rest.a);
	}
	close(fd);
	return rc;
}

/* Records follow each other without a gap from the first "From " to the end. */
static void must_cover(struct slice bytes, const struct walk *w)
{
	int64_t at = 0;

	while (at < (int64_t)bytes.n && (bytes.p[at] == '\n' || bytes.p[at] == '\r'))
		at++;
	must((w->n > 0) == (at < (int64_t)bytes.n), "records and bytes don't agree");
	for (size_t i = 0; i < w->n; i++) {
		must(w->a[i].offset == at && w->a[i].length >= 5, "a gap between records");
		must(memcmp(bytes.p + at, "From ", 5) == 0, "a record without its From_ line");
		must(i == 0 || bytes.p[at - 1] == '\n', "a record in the middle of a line");
		at += w->a[i].length;
	}
	must(at == (int64_t)bytes.n, "the records end before the file");
}

/* Where the line at `at` ends, behind its LF. */
static size_t line_end(struct slice s, size_t at)
{
	const char *lf = memchr(s.p + at, '\n', s.n - at);

	return lf ? (size_t)(lf + 1 - s.p) : s.n;
}

/* Whether a header line is one that mail readers keep for themselves. Only a name that ends within the first bytes counts. */
static bool is_note(struct slice line)
{
	static const char *const notes[] = { "Status", "X-Status", "X-Keywords", "X-UID", "X-IMAP", "X-IMAPbase", "Content-Length", "Lines",
		"X-Mozilla-Status", "X-Mozilla-Status2", "X-Mozilla-Keys" };
	const char *colon = memchr(line.p, ':', line.n < MBOXHEAD_HOLD ? line.n : MBOXHEAD_HOLD);

	for (size_t i = 0; colon && i < sizeof(notes) / sizeof(notes[0]); i++)
		if (slice_ieqs(slice_trim(slice_of(line.p, (size_t)(colon - line.p))), notes[i]))
			return true;
	return false;
}

/* The identity of a message that the file holds with these line ends. In mboxo nobody can tell ">From " from "From ". */
static void identity(struct slice msg, enum mbox_variant v, unsigned char out[DIGEST_SIZE])
{
	struct strbuf kept = STRBUF_INIT(BUF_MAX), lf = STRBUF_INIT(BUF_MAX);
	bool header = true, skip = false;

	for (size_t at = 0, end; at < msg.n; at = end) {
		struct slice line;

		end = line_end(msg, at);
		line = slice_of(msg.p + at, end - at);
		if (v == MBOX_O && slice_starts(line, ">From "))
			line = slice_of(line.p + 1, line.n - 1);
		if (header && (slice_eqs(line, "\n") || slice_eqs(line, "\r\n")))
			header = false;
		if (header && line.p[0] != ' ' && line.p[0] != '\t')
			skip = is_note(line);
		if (!header || !skip)
			strbuf_putsl(&kept, line);
	}
	if (msg.n > 0 && msg.p[msg.n - 1] != '\n' && (!header || !skip))
		strbuf_putc(&kept, '\n');
	for (size_t i = 0; i < kept.len; i++)
		if (kept.s[i] != '\r' || i + 1 == kept.len || kept.s[i + 1] != '\n')
			strbuf_putc(&lf, kept.s[i]);
	SHA256((const unsigned char *)strbuf_str(&lf), lf.len, out);
	strbuf_release(&kept);
	strbuf_release(&lf);
}

/* Whether the message begins with a header field or with the empty line of an empty header. */
static bool has_header(struct slice msg)
{
	size_t i = msg.n > 0 && msg.p[0] == '\r' ? 1 : 0, name = i;

	if (i < msg.n && msg.p[i] == '\n')
		return true;
	while (i < msg.n && msg.p[i] > ' ' && msg.p[i] < 0x7f && msg.p[i] != ':')
		i++;
	if (i == name)
		return false;
	while (i < msg.n && (msg.p[i] == ' ' || msg.p[i] == '\t'))
		i++;
	return i < msg.n && msg.p[i] == ':';
}

/* The record of a message, by the parts that the store is made of, in pieces of `step` bytes. */
static void put_record(struct slice msg, enum mbox_variant v, size_t step, struct strbuf *out)
{
	static const char *const lengths[] = { "Content-Length", NULL };
	struct strbuf kept = STRBUF_INIT(BUF_MAX);
	struct mboxhead head;
	struct mboxlines lines;
	char line[MBOX_FROM_MAX], buf[2 * 32 + 8 + MBOXHEAD_HOLD];
	bool bare = v == MBOX_CL2 && msg.n > 0 && !has_header(msg);

	strbuf_put(out, line, mbox_from_line("a@example.net", 1700000000, line));
	mboxhead_init(&head, lengths);
	mboxlines_init(&lines, v, false);
	for (size_t at = 0, some; at < msg.n; at += some) {
		some = msg.n - at < step ? msg.n - at : step;
		strbuf_put(&kept, buf, v == MBOX_CL2 && !bare ? mboxhead_put(&head, msg.p + at, some, buf) :
		                                                mboxlines_put(&lines, msg.p + at, some, buf));
	}
	strbuf_put(&kept, buf, v == MBOX_CL2 && !bare ? mboxhead_end(&head, buf) : mboxlines_end(&lines, buf));
	if (kept.len > 0 && kept.s[kept.len - 1] != '\n')
		strbuf_putc(&kept, '\n');
	if (v == MBOX_CL2)
		strbuf_printf(out, "Content-Length: %zu\n%s", bare ? kept.len : head.body ? kept.len - (size_t)head.body_at : 0,
			bare ? "\n" : "");
	strbuf_putsl(out, strbuf_slice(&kept));
	strbuf_putc(out, '\n');
	must(!out->failed && !kept.failed, "no room");
	strbuf_release(&kept);
}

/* Behind an empty header a message without one is. */
static void expect(struct slice msg, enum mbox_variant v, unsigned char out[DIGEST_SIZE])
{
	struct strbuf whole = STRBUF_INIT(BUF_MAX);

	if (v == MBOX_CL2 && msg.n > 0 && !has_header(msg))
		strbuf_putc(&whole, '\n');
	strbuf_putsl(&whole, msg);
	identity(strbuf_slice(&whole), v, out);
	strbuf_release(&whole);
}

/* Messages in their form. */
static void as_form(const struct slice *msgs, size_t n, enum mbox_variant v, size_t step, size_t pad)
{
	struct strbuf file = STRBUF_INIT(BUF_MAX);
	struct walk w;
	struct err e = ERR_INIT;

	for (size_t i = 0; i < n; i++)
		put_record(msgs[i], v, step, &file);
	must(walk(strbuf_slice(&file), pad, v, &w, &e) == 0, e.text);
	must_cover(strbuf_slice(&file), &w);
	must(w.n == n, "not as many records as messages");
	for (size_t i = 0; i < n; i++) {
		unsigned char want[DIGEST_SIZE];

		expect(msgs[i], v, want);
		must(memcmp(w.a[i].digest, want, DIGEST_SIZE) == 0, "a message came back as another");
	}
	free(w.a);
	strbuf_release(&file);
}

/* Messages as the store delivers them behind one that is there: its keys are what a walk finds. */
static void as_store(const struct slice *msgs, size_t n, enum mbox_variant v, size_t step)
{
	static const char *const before[] = { "From x\n\n", "From x\nA: b", "From x\r\nA: b\r\n\r\n" };
	int fd = file_of(slice_str(before[step % 3]), slice_str(""));
	char path[64];
	struct mbox_params params = { .path = path, .variant = v, .lock = { .order = { MBOXLOCK_NONE } } };
	struct staged st[MSGS_MAX];
	struct mboxscan_msg found[MSGS_MAX + 1];
	struct walk w = { .max = MSGS_MAX + 1, .a = found };
	struct box_info info;
	struct err e = ERR_INIT;
	struct store *s;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	params.lock.order[0] = MBOXLOCK_FCNTL;
	s = mbox_new(&params, &e);
	must(s && s->ops->open_box(s, "", BOX_WRITE, &info, &e) == 0, e.text);
	for (size_t i = 0; i < n; i++) {
		struct store_meta meta = { .received = 1700000000 };
		struct stream *body = memstream_new(msgs[i].p, msgs[i].n, step, NULL);
		struct strbuf lf = STRBUF_INIT(BUF_MAX);
		unsigned char want[DIGEST_SIZE];

		must(body && s->ops->stage(s, body, &meta, &st[i], &e) == 0, e.text);
		stream_free(body);
		for (size_t k = 0; k < msgs[i].n; k++)
			if (msgs[i].p[k] != '\r' || k + 1 == msgs[i].n || msgs[i].p[k + 1] != '\n')
				strbuf_putc(&lf, msgs[i].p[k]);
		SHA256((const unsigned char *)strbuf_str(&lf), lf.len, want);
		must(memcmp(want, st[i].digest, DIGEST_SIZE) == 0, "the content has another digest");
		strbuf_release(&lf);
	}
	must(s->ops->harden(s, st, n, &e) == 0 && s->ops->publish(s, st, n, &e) == 0, e.text);
	store_free(s);
	must(mboxscan(fd, v, 0, MBOXSCAN_END, on_record, &w, &e) == 0, e.text);
	must(w.n == n + 1, "not as many records as were delivered");
	for (size_t i = 0; i < n; i++) {
		char hex[DIGEST_HEX];

		digest_hex(found[i + 1].digest, hex);
		must(strcmp(hex, st[i].key) == 0, "a delivered message has another key in the file");
	}
	close(fd);
}

/* Where no length counts, a record begins at every From_ line behind an empty line, and nowhere else. */
static void must_begin_right(struct slice bytes, const struct walk *w)
{
	size_t at = w->n > 0 ? (size_t)w->a[0].offset : bytes.n, n = 0;
	struct slice line = slice_str("\n");

	for (size_t end; at < bytes.n; at = end) {
		bool empty = slice_eqs(line, "\n") || slice_eqs(line, "\r\n");

		end = line_end(bytes, at);
		line = slice_of(bytes.p + at, end - at);
		if (!empty || !slice_starts(line, "From "))
			continue;
		must(n < w->n && w->a[n].offset == (int64_t)at, "a record isn't found");
		n++;
	}
	must(n == w->n, "a record that is none");
}

/* A file of unknown origin: the same whatever the split. */
static void as_file(struct slice bytes, enum mbox_variant v, size_t pad)
{
	struct walk a, b;
	struct err ea = ERR_INIT, eb = ERR_INIT;
	int rc = walk(bytes, 0, v, &a, &ea);

	must(walk(bytes, pad, v, &b, &eb) == rc && a.n == b.n, "the split makes a difference");
	for (size_t i = 0; i < a.n; i++)
		must(a.a[i].offset == b.a[i].offset && a.a[i].length == b.a[i].length &&
		     memcmp(a.a[i].digest, b.a[i].digest, DIGEST_SIZE) == 0, "the split makes a difference to a record");
	if (rc == 0)
		must_cover(bytes, &a);
	if (rc == 0 && v != MBOX_CL2)
		must_begin_right(bytes, &a);
	if (rc < 0)
		must(a.n == 0, "no mbox, but records");
	free(a.a);
	free(b.a);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	enum mbox_variant v;
	struct slice msgs[MSGS_MAX], rest;
	size_t count = 0, pad;

	if (n < 2 || n > INPUT_MAX)
		return 0;
	v = (enum mbox_variant)(p[1] % 3);
	pad = p[0] ? (size_t)(BORDER - p[0]) : 0;
	rest = slice_of(p + 2, n - 2);
	if (p[1] / 3 % 3 == 0) {
		as_file(rest, v, pad);
		return 0;
	}
	while (count < MSGS_MAX) {
		const char *end = rest.n > 0 ? memchr(rest.p, '\xff', rest.n) : NULL;

		msgs[count++] = slice_of(rest.p, end ? (size_t)(end - rest.p) : rest.n);
		if (!end)
			break;
		rest = slice_of(end + 1, rest.n - (size_t)(end + 1 - rest.p));
	}
	if (p[1] / 3 % 3 == 1)
		as_form(msgs, count, v, (size_t)1 + p[0] % 32, pad);
	else
		as_store(msgs, count, v, p[0] % 32);
	return 0;
}
