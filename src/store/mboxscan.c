/*
 * Walk an mbox: see mboxscan.h. A record begins with a line "From " that is the first of the file or follows an empty line. That empty line belongs to
 * neither message: an empty line is held back until what follows tells whether it is one between records. In mboxcl2 the Content-Length is believed
 * where a record ends at the place it names.
 */
#include "store/mboxscan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "store/mboxform.h"

#define CHUNK 65536
#define FIELD_MAX 64 /* of a Content-Length line as much as is looked at */

static const char from_word[] = "From ";

struct scan {
	int fd;
	enum mbox_variant variant;
	int64_t to;          /* nothing is looked at from here on */
	int (*cb)(void *arg, const struct mboxscan_msg *m);
	void *arg;
	struct mboxkey key;
	int64_t pos;         /* of the byte that is looked at */
	int64_t start;       /* of the record */
	enum { LEADING, FROM_LINE, LINE_START, MID_LINE, COUNTED } state;
	char begin[8];       /* a line's first bytes, while they may be an empty line or "From " */
	size_t begin_n;
	char blank[2];       /* an empty line held back */
	size_t blank_n;
	int64_t until;       /* COUNTED: the end of the body */
	/* mboxcl2: the header */
	bool header;
	char field[FIELD_MAX];
	size_t field_n;
	int64_t length;      /* of the Content-Length; -1 none */
};

/* Watch the header go by for a Content-Length. */
static void watch_header(struct scan *s, const char *p, size_t n)
{
	static const char name[] = "Content-Length:";

	for (size_t i = 0; i < n; i++) {
		if (p[i] != '\n') {
			if (s->field_n < FIELD_MAX)
				s->field[s->field_n++] = p[i];
			continue;
		}
		if (slice_istarts(slice_of(s->field, s->field_n), name) && s->field_n < FIELD_MAX) {
			uint64_t value;
			struct slice v = slice_trim(slice_of(s->field + sizeof(name) - 1, s->field_n - (sizeof(name) - 1)));

			s->length = slice_u64(v, INT64_MAX / 2, &value) ? (int64_t)value : -1;
		}
		s->field_n = 0;
	}
}

/* Bytes of the message, as they are in the file. */
static int put(struct scan *s, const char *p, size_t n, struct err *e)
{
	if (s->header && s->variant == MBOX_CL2)
		watch_header(s, p, n);
	return mboxkey_put(&s->key, p, n, e);
}

/* The held empty line belongs to the message after all. */
static int put_blank(struct scan *s, struct err *e)
{
	size_t n = s->blank_n;

	s->blank_n = 0;
	return put(s, s->blank, n, e);
}

/* As pread(2), up to where the walk ends. */
static ssize_t read_at(const struct scan *s, char *buf, size_t n, int64_t at)
{
	ssize_t got;

	if (at >= s->to)
		return 0;
	if (s->to - at < (int64_t)n)
		n = (size_t)(s->to - at);
	do {
		got = pread(s->fd, buf, n, at);
	} while (got < 0 && errno == EINTR);
	return got;
}

/* Whether a record ends at `at`: the end of the file, or an empty line and then that or a From_ line. */
static bool record_ends(const struct scan *s, int64_t at)
{
	char b[8];
	ssize_t n = read_at(s, b, sizeof(b), at);
	size_t lf;

	if (n < 0)
		return false;
	if (n == 0)
		return at == 0 || read_at(s, b, 1, at - 1) == 1;
	lf = n > 1 && b[0] == '\r' && b[1] == '\n' ? 2 : b[0] == '\n' ? 1 : 0;
	return lf > 0 && ((size_t)n == lf || ((size_t)n >= lf + 5 && memcmp(b + lf, from_word, 5) == 0));
}

/* An empty line has come; `after` is where the next line begins. */
static int blank_line(struct scan *s, int64_t after, struct err *e)
{
	bool ends_header = s->header;

	if (put_blank(s, e) < 0)
		return -1;
	memcpy(s->blank, s->begin, s->begin_n);
	s->blank_n = s->begin_n;
	s->begin_n = 0;
	s->header = false;
	if (!ends_header || s->variant != MBOX_CL2 || s->length <= 0 || !record_ends(s, after + s->length))
		return 0;
	s->state = COUNTED;
	s->until = after + s->length;
	return put_blank(s, e);
}

/* The From_ line has begun at `start`. */
static void begin_record(struct scan *s, int64_t start)
{
	struct digest *d = s->key.digest;

	s->start = start;
	s->state = FROM_LINE;
	s->begin_n = s->blank_n = 0;
	s->header = true;
	s->field_n = 0;
	s->length = -1;
	mboxkey_init(&s->key, s->variant, d);
}

/* The record ends before `end`: tell the caller. */
static int end_record(struct scan *s, int64_t end, struct err *e)
{
	struct mboxscan_msg m = { .offset = s->start, .length = end - s->start };

	if (mboxkey_end(&s->key, m.digest, e) < 0)
		return -1;
	return s->cb(s->arg, &m);
}

/* One byte at the start of a line. */
static int start_byte(struct scan *s, char c, struct err *e)
{
	s->begin[s->begin_n++] = c;
	if (c == '\n' && (s->begin_n == 1 || (s->begin_n == 2 && s->begin[0] == '\r')))
		return blank_line(s, s->pos + 1, e);
	if (s->begin_n == 1 && c == '\r')
		return 0;
	if (memcmp(s->begin, from_word, s->begin_n) == 0) {
		int64_t start = s->pos + 1 - (int64_t)s->begin_n;
		int rc;

		if (s->begin_n < 5)
			return 0;
		if (s->blank_n > 0) {
			rc = end_record(s, start, e);
			begin_record(s, start);
			return rc;
		}
	}
	if (put_blank(s, e) < 0 || put(s, s->begin, s->begin_n, e) < 0)
		return -1;
	s->begin_n = 0;
	s->state = c == '\n' ? LINE_START : MID_LINE;
	return 0;
}

/* Before the first record there may be empty lines only. */
static int leading_byte(struct scan *s, char c, struct err *e)
{
	if (s->begin_n == 0 && (c == '\n' || c == '\r'))
		return 0;
	s->begin[s->begin_n++] = c;
	if (memcmp(s->begin, from_word, s->begin_n) != 0)
		return err_set(e, ERR_LOCAL, "this is no mbox: it doesn't start with \"From \" (at byte %lld)", (long long)s->pos);
	if (s->begin_n == 5)
		begin_record(s, s->pos - 4);
	return 0;
}

/* As many bytes as one state takes; how many, or -1, or what the callback said. */
static int step(struct scan *s, const char *p, size_t n, size_t *taken, struct err *e)
{
	const char *lf;

	*taken = 1;
	switch (s->state) {
	case LEADING:
		return leading_byte(s, *p, e);
	case LINE_START:
		return start_byte(s, *p, e);
	case FROM_LINE:
	case MID_LINE:
		lf = memchr(p, '\n', n);
		*taken = lf ? (size_t)(lf + 1 - p) : n;
		if (s->state == MID_LINE && put(s, p, *taken, e) < 0)
			return -1;
		if (lf)
			s->state = LINE_START;
		return 0;
	case COUNTED:
		if ((uint64_t)(s->until - s->pos) < n)
			n = (size_t)(s->until - s->pos);
		*taken = n;
		if (s->until == s->pos + (int64_t)n)
			s->state = LINE_START;
		return put(s, p, n, e);
	}
	return 0;
}

/* The end of the file. */
static int finish(struct scan *s, struct err *e)
{
	if (s->state == LEADING) {
		if (s->begin_n > 0)
			return err_set(e, ERR_LOCAL, "this is no mbox: it doesn't start with \"From \"");
		return 0;
	}
	if (s->begin_n > 0 && (put_blank(s, e) < 0 || put(s, s->begin, s->begin_n, e) < 0))
		return -1;
	return end_record(s, s->pos, e);
}

/* Walk. */
int mboxscan(int fd, enum mbox_variant v, int64_t from, int64_t to, int (*cb)(void *arg, const struct mboxscan_msg *m), void *arg, struct err *e)
{
	struct scan s = { .fd = fd, .variant = v, .to = to, .cb = cb, .arg = arg, .pos = from, .state = LEADING };
	char *buf = malloc(CHUNK);
	int rc = 0;

	s.key.digest = digest_new(e);
	if (!s.key.digest || !buf) {
		rc = s.key.digest ? err_set(e, ERR_LOCAL, "out of memory") : -1;
		goto out;
	}
	for (;;) {
		ssize_t got = read_at(&s, buf, CHUNK, s.pos);

		rc = got < 0 ? err_errno(e, "can't read the mbox") : clock_check(e);
		if (rc < 0 || got == 0)
			break;
		for (size_t at = 0, taken; rc == 0 && at < (size_t)got; at += taken) {
			rc = step(&s, buf + at, (size_t)got - at, &taken, e);
			s.pos += (int64_t)taken;
		}
		if (rc != 0)
			break;
	}
	if (rc == 0)
		rc = finish(&s, e);
out:
	digest_free(s.key.digest);
	free(buf);
	return rc;
}
