#include "mail/status.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "mail/eol.h"

#define CHUNK 65536

static const char *const names[] = { "Status:", "X-Status:" };

struct status_reader {
	struct digest *digest;
	struct eol eol;
	bool over;     /* the header is */
	bool in_line;  /* what this line is, is known */
	bool dropping; /* it is one of these, or goes on with one */
	bool had, failed;
	size_t held;   /* bytes of a line that may be one */
	char line[16];
	char lf[CHUNK + 1];
	struct stream tap;
	struct stream *body;
};

struct status_reader *status_reader_new(struct err *e)
{
	struct status_reader *r = calloc(1, sizeof(*r));

	if (!r) {
		err_set(e, ERR_LOCAL, "out of memory");
		return NULL;
	}
	r->digest = digest_new(e);
	if (!r->digest) {
		free(r);
		return NULL;
	}
	return r;
}

void status_reader_free(struct status_reader *r)
{
	if (!r)
		return;
	digest_free(r->digest);
	free(r);
}

static void put(struct status_reader *r, const char *p, size_t n)
{
	r->failed |= digest_put(r->digest, p, n) < 0;
}

/* Is the name of one of these lines what is held; or, part: may it become that? */
static bool is_name(const struct status_reader *r, bool part)
{
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		size_t n = strlen(names[i]);

		if ((part ? r->held < n : r->held == n) && strncasecmp(r->line, names[i], r->held) == 0)
			return true;
	}
	return false;
}

/* The first bytes of a line: they are held until it is known whether it is one of these. */
static void begin_line(struct status_reader *r, char c)
{
	if (r->held == 0 && r->dropping && (c == ' ' || c == '\t')) {
		r->in_line = true;
		return;
	}
	r->dropping = false;
	r->over = r->held == 0 && c == '\n';
	r->line[r->held++] = c;
	if (c != '\n' && is_name(r, true))
		return;
	r->dropping = is_name(r, false);
	r->had |= r->dropping;
	if (!r->dropping)
		put(r, r->line, r->held);
	r->held = 0;
	r->in_line = c != '\n';
}

static void put_text(struct status_reader *r, const char *p, size_t n)
{
	while (n > 0 && !r->over) {
		const char *lf;
		size_t k = 1;

		if (!r->in_line) {
			begin_line(r, *p);
		} else {
			lf = memchr(p, '\n', n);
			k = lf ? (size_t)(lf + 1 - p) : n;
			if (!r->dropping)
				put(r, p, k);
			r->in_line = !lf;
		}
		p += k;
		n -= k;
	}
	put(r, p, n);
}

static ssize_t tap_read(struct stream *s, void *buf, size_t n, struct err *e)
{
	struct status_reader *r = (struct status_reader *)((char *)s - offsetof(struct status_reader, tap));
	ssize_t got = stream_read(r->body, buf, n < CHUNK ? n : CHUNK, e);

	if (got > 0)
		put_text(r, r->lf, eol_to_lf(&r->eol, buf, (size_t)got, r->lf));
	return got;
}

static const struct stream_ops tap_ops = {
	.name = "status",
	.read = tap_read,
	STREAM_READ_ONLY,
	.free = stream_no_shut,
};

struct stream *status_tap(struct status_reader *r, struct stream *body)
{
	unsigned char unused[DIGEST_SIZE];

	digest_end(r->digest, unused); /* whatever a message that failed has left */
	r->eol = (struct eol){ 0 };
	r->over = r->in_line = r->dropping = r->had = r->failed = false;
	r->held = 0;
	r->body = body;
	r->tap = (struct stream){ .ops = &tap_ops };
	return &r->tap;
}

int status_tapped(struct status_reader *r, unsigned char out[DIGEST_SIZE], bool *had, struct err *e)
{
	char last;

	if (eol_end(&r->eol, &last) > 0)
		put_text(r, &last, 1);
	put(r, r->line, r->held);
	r->held = 0;
	*had = r->had;
	if (digest_end(r->digest, out) < 0 || r->failed)
		return err_set(e, ERR_LOCAL, "SHA-256 failed");
	return 0;
}
