/*
 * Staging for an mbox: messages stand in a spool in the form they will have in the file: for each the message, quoted, with the empty line behind it, then what
 * stands before it (the From_ line needs the Return-Path, mboxcl2's Content-Length the length, both known only at the end).
 */
#include "store/mbox_p.h"

#include <stdio.h>
#include <string.h>

#include "mail/eol.h"
#include "mail/header.h"
#include "store/mboxform.h"

/* Whether a message for mboxcl2 begins with a header. */
enum first { FIRST_NAME, FIRST_GAP, FIRST_HEADER, FIRST_NONE };

/* A body on its way into the spool. */
struct writer {
	struct mbox_rec rec;
	struct eol eol;
	struct header facts;
	struct mboxhead head;     /* of mboxcl2 leaves other Content-Length fields out; of a folder all notes */
	struct mboxlines lines;
	struct mboxkey key;
	struct mboxwatch watch;
	uint64_t watched;         /* bytes */
	enum first first;
	size_t first_n;
	bool raw;
	bool bare;                /* a header of ours would run into it: an empty line stands between */
	char last;                /* byte that was put */
};

static const char *const lengths[] = { "Content-Length", NULL };

/* In a folder these fields are what programs know of a message, whoever wrote them: no message brings its own. */
static const char *const notes[] = { "Status", "X-Status", "X-Keywords", "X-UID", "X-IMAP", "X-IMAPbase", "Content-Length", "X-Mozilla-Status", "X-Mozilla-Status2",
	                             "X-Mozilla-Keys", NULL };

/* Are there fields that are left out? */
static bool leaves_out(const struct mbox *m)
{
	return m->tree || m->variant == MBOX_CL2;
}

/* Read from a place in the spool. */
int mbox_spool_get(struct mbox *m, uint64_t at, char *p, size_t n, struct err *e)
{
	m->spool.pos = at;
	while (n > 0) {
		ssize_t got = spool_read(&m->spool, p, n, e);

		if (got <= 0)
			return got < 0 ? -1 : err_set(e, ERR_BUG, "mbox: the spool is too short");
		p += got;
		n -= (size_t)got;
	}
	return 0;
}

/* Note where the message looks as if another began in it. */
static void watch(struct writer *w, const char *p, size_t n)
{
	while (n > 0 && w->rec.own_n < MBOXHINT_OWN) {
		bool hit;
		size_t k = mboxwatch_find(&w->watch, p, n, &hit);

		p += k;
		n -= k;
		w->watched += k;
		if (hit)
			w->rec.own[w->rec.own_n++] = (int64_t)w->watched;
	}
}

/* Bytes of the record's message, as they will be in the file. */
static int put_final(struct mbox *m, struct writer *w, const char *p, size_t n, struct err *e)
{
	if (n == 0)
		return 0;
	w->last = p[n - 1];
	watch(w, p, n);
	if (mboxkey_put(&w->key, p, n, e) < 0)
		return -1;
	return spool_write(&m->spool, p, n, e);
}

/* Look at the first line: is it a header field, or the empty line of a header that is empty? */
static void look_at_first(struct writer *w, const char *p, size_t n)
{
	for (size_t i = 0; i < n && w->first < FIRST_HEADER; i++) {
		bool name = p[i] > ' ' && p[i] < 0x7f && p[i] != ':', gap = p[i] == ' ' || p[i] == '\t';

		if (p[i] == ':' && w->first_n > 0)
			w->first = FIRST_HEADER;
		else if (p[i] == '\n' && w->first_n == 0)
			w->first = FIRST_HEADER;
		else if (gap && w->first_n > 0)
			w->first = FIRST_GAP;
		else if (name && w->first == FIRST_NAME)
			w->first_n++;
		else if (p[i] != '\r' || w->first_n > 0)
			w->first = FIRST_NONE;
	}
}

/* Bytes of the message with their final line ends: to what the variant makes of them. */
static int put_bytes(struct mbox *m, struct writer *w, const char *p, size_t n, struct err *e)
{
	if (leaves_out(m)) {
		look_at_first(w, p, n);
		n = mboxhead_put(&w->head, p, n, m->kept);
		p = m->kept;
	}
	return put_final(m, w, m->quoted, mboxlines_put(&w->lines, p, n, m->quoted), e);
}

/* Copy n bytes of the spool to its end, LF as CRLF; anew: w->head is to look at them again. */
static int copy_crlf(struct mbox *m, struct writer *w, uint64_t at, uint64_t n, bool anew, struct err *e)
{
	while (n > 0) {
		size_t some = n < MBOX_CHUNK / 2 ? (size_t)n : MBOX_CHUNK / 2, k;
		const char *p = m->lf;

		if (mbox_spool_get(m, at, m->kept, some, e) < 0)
			return -1;
		k = eol_to_crlf(m->kept, some, m->lf);
		if (anew) {
			k = mboxhead_put(&w->head, m->lf, k, m->quoted);
			p = m->quoted;
		}
		if (put_final(m, w, p, k, e) < 0)
			return -1;
		at += some;
		n -= some;
	}
	return 0;
}

/*
 * A bare LF has come: what is in the spool is put there again as it came. What the quoting holds back is part of a line, so it has no line end. Where the header
 * ended must be found anew: CR CR LF was CR LF, an empty line, and is none any more.
 */
static int restore(struct mbox *m, struct writer *w, struct err *e)
{
	uint64_t from = w->rec.body_at, n = m->spool.size - from;
	bool anew = leaves_out(m) && w->head.body;

	w->rec.body_at = m->spool.size;
	w->rec.own_n = 0;
	w->watch = (struct mboxwatch)MBOXWATCH_INIT;
	w->watched = 0;
	mboxkey_init(&w->key, m->variant, m->identity);
	if (anew)
		mboxhead_init(&w->head, m->tree ? notes : lengths);
	if (copy_crlf(m, w, from, n, anew, e) < 0)
		return -1;
	if (!anew)
		w->head.out = m->spool.size - w->rec.body_at;
	return 0;
}

/* Take a chunk of the body. The digest is of the LF form, whatever is stored. */
static int take_chunk(struct mbox *m, struct writer *w, size_t n, struct err *e)
{
	bool cr = w->eol.cr;
	size_t k = eol_to_lf(&w->eol, m->in, n, m->lf);

	header_put(&w->facts, m->in, n);
	if (digest_put(m->content, m->lf, k) < 0)
		return err_set(e, ERR_LOCAL, "SHA-256 failed");
	if (!w->raw && !w->eol.bare_lf)
		return put_bytes(m, w, m->lf, k, e);
	if (!w->raw) {
		w->raw = true;
		if (restore(m, w, e) < 0 || (cr && put_bytes(m, w, "\r", 1, e) < 0))
			return -1;
	}
	return put_bytes(m, w, m->in, n, e);
}

/* The body is over: what was held back, the final line end. */
static int end_body(struct mbox *m, struct writer *w, struct err *e)
{
	char rest[MBOXHEAD_HOLD], out[2 * MBOXHEAD_HOLD + 8], last;

	header_end(&w->facts);
	if (eol_end(&w->eol, &last) > 0) {
		if (digest_put(m->content, &last, 1) < 0)
			return err_set(e, ERR_LOCAL, "SHA-256 failed");
		if (!w->raw && put_bytes(m, w, &last, 1, e) < 0)
			return -1;
	}
	if (leaves_out(m) &&
	    put_final(m, w, out, mboxlines_put(&w->lines, rest, mboxhead_end(&w->head, rest), out), e) < 0)
		return -1;
	if (put_final(m, w, out, mboxlines_end(&w->lines, out), e) < 0)
		return -1;
	if (m->spool.size > w->rec.body_at && w->last != '\n')
		return put_final(m, w, "\n", 1, e);
	return 0;
}

/* No header, or an empty one: the identity is that of the message behind an empty header. */
static int rekey(struct mbox *m, struct writer *w, uint64_t n, struct err *e)
{
	mboxkey_init(&w->key, m->variant, m->identity);
	if (mboxkey_put(&w->key, "\n", 1, e) < 0)
		return -1;
	for (uint64_t at = w->rec.body_at, end = at + n; at < end;) {
		size_t some = end - at < MBOX_CHUNK ? (size_t)(end - at) : MBOX_CHUNK;

		if (mbox_spool_get(m, at, m->kept, some, e) < 0 || mboxkey_put(&w->key, m->kept, some, e) < 0)
			return -1;
		at += some;
	}
	return 0;
}

/* What a message of a folder is given beside its bytes. */
static int put_notes(struct mbox *m, const struct store_meta *meta, struct strbuf *out, struct err *e)
{
	struct slice value[NOTES] = { { NULL, 0 } };
	struct strbuf text[NOTES];
	int rc = 0;

	for (int i = 0; i < NOTES; i++) {
		text[i] = (struct strbuf)STRBUF_INIT(MBOXNOTES_MAX);
		if (rc == 0 && !m->as)
			rc = mboxnotes_change(i, (struct slice){ NULL, 0 }, meta->flags, 0, m->view, &text[i]);
		value[i] = m->as ? m->as->note[i] : strbuf_slice(&text[i]);
	}
	if (rc == 0)
		rc = mboxnotes_lines(value, false, out);
	if (rc == 0 && value[NOTE_KEYWORDS].n > 0) {
		strbuf_putsl(&m->words, value[NOTE_KEYWORDS]);
		strbuf_putc(&m->words, ' ');
	}
	for (int i = 0; i < NOTES; i++)
		strbuf_release(&text[i]);
	return rc < 0 ? err_set(e, ERR_LOCAL, "out of memory") : 0;
}

/* The From_ line. */
static int put_from(struct mbox *m, const struct writer *w, const struct store_meta *meta, struct strbuf *out, struct err *e)
{
	char line[MBOX_FROM_MAX];
	int rc;

	if (m->as)
		rc = strbuf_printf(out, "From %s\n", m->as->from);
	else
		rc = strbuf_put(out, line, mbox_from_line(w->facts.return_path, m->tree && meta->date > 0 ? meta->date : meta->received, line));
	return rc < 0 ? err_set(e, ERR_LOCAL, "out of memory") : 0;
}

/* What stands before the message. */
static int put_head(struct mbox *m, struct writer *w, const struct store_meta *meta, uint64_t n, struct err *e)
{
	struct strbuf head = STRBUF_INIT(2 * MBOXNOTES_MAX);
	int rc = put_from(m, w, meta, &head, e);

	w->rec.head_at = m->spool.size;
	if (m->variant == MBOX_CL2) {
		/* a header without an end has no body, though a final line end may have been put behind it */
		uint64_t body = w->bare ? n : w->head.body ? n - w->head.body_at : 0;

		strbuf_printf(&head, "Content-Length: %llu\n", (unsigned long long)body);
	}
	if (rc == 0 && m->tree)
		rc = put_notes(m, meta, &head, e);
	if (w->bare)
		strbuf_putc(&head, '\n');
	if (rc == 0 && head.failed)
		rc = err_set(e, ERR_LOCAL, "out of memory");
	if (rc == 0)
		rc = spool_write(&m->spool, head.s, head.len, e);
	strbuf_release(&head);
	if (rc < 0 || (w->bare && rekey(m, w, n, e) < 0))
		return -1;
	w->rec.head_n = m->spool.size - w->rec.head_at;
	return 0;
}

/* Will what stands before the message be taken for its header? */
static bool is_bare(const struct mbox *m, const struct writer *w, uint64_t n)
{
	if (!leaves_out(m) || n == 0)
		return false;
	return w->first != FIRST_HEADER || (m->tree && w->head.body && w->head.body_at <= 2);
}

/* Stream the body into the spool. */
static int take_body(struct mbox *m, struct writer *w, struct stream *body, const struct store_meta *meta, struct staged *out, struct err *e)
{
	unsigned char key[DIGEST_SIZE], read[DIGEST_SIZE];
	uint64_t size, read_size;
	ssize_t n;

	while ((n = stream_read(body, m->in, MBOX_CHUNK, e)) > 0)
		if (take_chunk(m, w, (size_t)n, e) < 0)
			return -1;
	if (n < 0 || end_body(m, w, e) < 0)
		return -1;
	size = m->spool.size - w->rec.body_at;
	if (spool_write(&m->spool, "\n", 1, e) < 0)
		return -1;
	w->rec.body_n = size + 1;
	w->bare = is_bare(m, w, size);
	if (m->tree && w->bare && mboxkey_end(&w->key, read, e) < 0)
		return -1;
	read_size = w->key.bytes;
	if (put_head(m, w, meta, size, e) < 0 || mboxkey_end(&w->key, key, e) < 0)
		return -1;
	if (digest_end(m->content, out->digest) < 0)
		return err_set(e, ERR_LOCAL, "SHA-256 failed");
	digest_hex(key, out->key);
	out->size = size;
	if (m->tree) { /* as it will be read again */
		memcpy(out->digest, w->bare ? read : key, DIGEST_SIZE);
		out->size = w->bare ? read_size : w->key.bytes;
	}
	out->raw = w->raw;
	return 0;
}

/* Write the body to the spool. */
int mbox_stage(struct store *s, struct stream *body, const struct store_meta *meta, struct staged *out, struct err *e)
{
	struct mbox *m = mbox_of(s);
	struct writer w = { .rec = { .serial = m->serial, .body_at = m->spool.size }, .watch = MBOXWATCH_INIT };
	unsigned char nothing[DIGEST_SIZE];

	memset(out, 0, sizeof(*out));
	if (!m->is_open || m->lock)
		return err_set(e, ERR_BUG, "mbox: can't stage now");
	header_init(&w.facts);
	mboxhead_init(&w.head, m->tree ? notes : lengths);
	mboxlines_init(&w.lines, m->variant, false);
	mboxkey_init(&w.key, m->variant, m->identity);
	digest_end(m->content, nothing); /* whatever a message that failed has left */
	if (take_body(m, &w, body, meta, out, e) < 0) {
		if (m->recs.n == 0)
			spool_clear(&m->spool);
		return -1;
	}
	if (vec_push(&m->recs, w.rec) < 0)
		return err_set(e, ERR_LOCAL, "out of memory");
	snprintf(out->hint, sizeof(out->hint), "%llu", (unsigned long long)m->serial++);
	return 0;
}

/* Drop one that is staged; its place in the spool stays used until the group is done. */
void mbox_unstage(struct store *s, struct staged *out)
{
	struct mbox *m = mbox_of(s);
	struct slice rest = slice_str(out->hint);
	uint64_t serial;

	out->dropped = true;
	if (!slice_u64(slice_word(&rest), UINT64_MAX / 2, &serial))
		return;
	for (size_t i = m->recs.n; i-- > 0;)
		if (m->recs.a[i].serial == serial)
			m->recs.a[i].dropped = true;
}
