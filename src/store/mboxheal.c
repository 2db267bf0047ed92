/* After a crash: see mboxheal.h. */
#include "store/mboxheal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "store/mboxscan.h"

#define CHUNK 32768
#define ANCHOR_BYTES 4096

static const char what[] = "the mbox";

/* One pending delivery. */
struct pending {
	struct recovery *r;
	struct mboxhint h;
	bool known;   /* the hint could be read */
	bool intact;  /* nobody has rewritten what stands before its group */
};

struct healing {
	int fd;
	enum mbox_variant variant;
	int64_t size;
	struct pending *p;       /* in the order they were staged */
	struct pending **by_key;
	size_t n;
};

/* As text. */
void mboxhint_print(const struct mboxhint *h, char out[STORE_HINT_MAX + 1])
{
	static const char digits[] = "0123456789abcdef";
	int len = snprintf(out, STORE_HINT_MAX + 1, "%llu %lld %lld %lld %s ", (unsigned long long)h->serial, (long long)h->base,
	                   (long long)h->offset, (long long)h->length, h->anchor[0] ? h->anchor : "-");
	size_t at = (size_t)len;

	for (size_t i = 0; i < h->first_n && at + 2 <= STORE_HINT_MAX; i++) {
		out[at++] = digits[h->first[i] >> 4];
		out[at++] = digits[h->first[i] & 15];
	}
	out[at] = '\0';
}

/* The next number of a hint. */
static bool take_number(struct slice *rest, int64_t *out)
{
	uint64_t value;

	if (!slice_u64(slice_word(rest), INT64_MAX / 2, &value))
		return false;
	*out = (int64_t)value;
	return true;
}

/* The value of a lower-case hex digit, or -1. */
static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* From text. */
bool mboxhint_parse(const char *text, struct mboxhint *h)
{
	struct slice rest = slice_str(text), anchor, first;
	int64_t serial;

	memset(h, 0, sizeof(*h));
	if (!take_number(&rest, &serial) || !take_number(&rest, &h->base) || !take_number(&rest, &h->offset) ||
	    !take_number(&rest, &h->length))
		return false;
	h->serial = (uint64_t)serial;
	anchor = slice_word(&rest);
	first = slice_word(&rest);
	if (anchor.n >= MBOXHINT_ANCHOR || first.n % 2 || first.n > (size_t)2 * MBOXHINT_FIRST || h->offset < h->base || h->length <= 0)
		return false;
	memcpy(h->anchor, anchor.p, anchor.n);
	for (size_t i = 0; i < first.n; i += 2) {
		int high = hex_value(first.p[i]), low = hex_value(first.p[i + 1]);

		if (high < 0 || low < 0)
			return false;
		h->first[h->first_n++] = (unsigned char)(high << 4 | low);
	}
	return h->first_n > 0 && (int64_t)h->first_n <= h->length;
}

/* What stands before base. */
int mboxhint_anchor(int fd, int64_t base, char out[MBOXHINT_ANCHOR], struct err *e)
{
	char buf[ANCHOR_BYTES], hex[DIGEST_HEX];
	unsigned char sum[DIGEST_SIZE];
	size_t n = base < ANCHOR_BYTES ? (size_t)base : ANCHOR_BYTES;
	struct digest *d;
	int rc;

	if (fs_pread_all(fd, buf, n, base - (int64_t)n, what, e) < 0)
		return -1;
	d = digest_new(e);
	if (!d)
		return -1;
	rc = digest_put(d, buf, n) < 0 || digest_end(d, sum) < 0 ? err_set(e, ERR_LOCAL, "SHA-256 failed") : 0;
	digest_free(d);
	if (rc == 0) {
		digest_hex(sum, hex);
		memcpy(out, hex, MBOXHINT_ANCHOR - 1);
		out[MBOXHINT_ANCHOR - 1] = '\0';
	}
	return rc;
}

/* Read the hints; see for each group whether what stands before it is as it was. */
static int read_hints(struct healing *h, struct recovery *r, struct err *e)
{
	char anchor[MBOXHINT_ANCHOR] = "";
	int64_t base = -1;

	for (size_t i = 0; i < h->n; i++) {
		struct pending *p = &h->p[i];

		r[i].found = false;
		p->r = &r[i];
		h->by_key[i] = p;
		p->known = mboxhint_parse(r[i].hint, &p->h);
		if (!p->known || p->h.base > h->size)
			continue;
		if (p->h.base != base && mboxhint_anchor(h->fd, p->h.base, anchor, e) < 0)
			return -1;
		base = p->h.base;
		p->intact = strcmp(anchor, p->h.anchor) == 0;
	}
	return 0;
}

/* Shorten the file, durably. */
static int cut(struct healing *h, int64_t to, struct err *e)
{
	if (ftruncate(h->fd, to) < 0)
		return err_errno(e, "can't cut back what an interrupted delivery left");
	h->size = to;
	return fs_sync(h->fd, what, e);
}

/*
 * Bytes that a file system has promised the file's length for but never written read as NULs. At the end of the file, where our group was to go, they are
 * nobody's: a record ends in a line feed, whoever wrote it.
 */
static int cut_nuls(struct healing *h, struct err *e)
{
	int64_t low = -1, high = -1, end;
	char buf[CHUNK];

	for (size_t i = 0; i < h->n; i++) {
		const struct pending *p = &h->p[i];

		if (!p->intact)
			continue;
		if (low < 0)
			low = p->h.base;
		high = p->h.offset + p->h.length;
	}
	if (low < 0 || h->size > high)
		return 0;
	for (end = h->size; end > low;) {
		size_t n = end - low < CHUNK ? (size_t)(end - low) : CHUNK, k = n;

		if (fs_pread_all(h->fd, buf, n, end - (int64_t)n, what, e) < 0)
			return -1;
		while (k > 0 && buf[k - 1] == '\0')
			k--;
		end -= (int64_t)(n - k);
		if (k > 0)
			break;
	}
	return end < h->size ? cut(h, end, e) : 0;
}

/* Looks for a place where another message begins. */
struct watch {
	bool started;     /* our own From_ line is past */
	bool bol;         /* at the start of a line */
	bool line_start;  /* the match began there */
	unsigned matched; /* bytes of "From " */
	enum { NO_FROM, FROM, FROM_DAY } line; /* in this line stands "From ", and a weekday behind it */
	char last[5];
};

/* Whether " Mon " or another weekday has just gone by. */
static bool is_weekday(const char last[5])
{
	static const char days[] = " Mon Tue Wed Thu Fri Sat Sun ";

	for (size_t i = 0; i + 5 < sizeof(days); i += 4)
		if (memcmp(last, days + i, 5) == 0)
			return true;
	return false;
}

/*
 * Take a byte; true when another message begins. At the start of a line "From " is enough. A program that doesn't look what it appends to may have put its
 * From_ line behind half a line of ours: so within a line too, when a weekday and a time follow.
 */
static bool watch_byte(struct watch *w, char c)
{
	static const char word[] = "From ";

	if (!w->started) {
		w->started = w->bol = c == '\n';
		return false;
	}
	memmove(w->last, w->last + 1, 4);
	w->last[4] = c;
	if (w->line == FROM && is_weekday(w->last))
		w->line = FROM_DAY;
	else if (w->line == FROM_DAY && c >= '0' && c <= '9' && w->last[3] == ':' && w->last[2] >= '0' && w->last[2] <= '9')
		return true;
	if (w->matched > 0 && c != word[w->matched])
		w->matched = 0;
	if (c == word[w->matched] && w->matched++ == 0)
		w->line_start = w->bol;
	if (w->matched == 5) {
		if (w->line_start)
			return true;
		w->matched = 0;
		if (w->line == NO_FROM)
			w->line = FROM;
	}
	w->bol = c == '\n';
	if (w->bol)
		w->line = NO_FROM;
	return false;
}

/* Whether another message begins within the tail of the file, from `offset`, that starts with a record of ours: 1, 0, -1. */
static int other_begins(struct healing *h, int64_t offset, struct err *e)
{
	struct watch w = { 0 };
	char buf[CHUNK];

	while (offset < h->size) {
		size_t n = h->size - offset < CHUNK ? (size_t)(h->size - offset) : CHUNK;

		if (clock_check(e) < 0 || fs_pread_all(h->fd, buf, n, offset, what, e) < 0)
			return -1;
		for (size_t i = 0; i < n; i++)
			if (watch_byte(&w, buf[i]))
				return 1;
		offset += (int64_t)n;
	}
	return 0;
}

/* Whether the record is the one with this key. */
static bool is_key(const struct mboxscan_msg *m, const char *key)
{
	char hex[DIGEST_HEX];

	digest_hex(m->digest, hex);
	return strcmp(hex, key) == 0;
}

/* Compares the first record, and goes no further: 1 it is the one, 2 it isn't. */
static int first_record(void *arg, const struct mboxscan_msg *m)
{
	return is_key(m, arg) ? 1 : 2;
}

/* The file ends within p's record: is what is there ours, and torn? Then cut it back. */
static int heal_torn(struct healing *h, const struct pending *p, struct err *e)
{
	char first[MBOXHINT_FIRST], key[STORE_KEY_MAX + 1];
	int64_t tail = h->size - p->h.offset;
	size_t n = tail < (int64_t)p->h.first_n ? (size_t)tail : p->h.first_n;
	int rc;

	if (fs_pread_all(h->fd, first, n, p->h.offset, what, e) < 0)
		return -1;
	if (memcmp(first, p->h.first, n) != 0)
		return 0;
	if (tail >= 5) {
		/* only the empty line at its end may be missing: somebody has removed it */
		snprintf(key, sizeof(key), "%s", p->r->key);
		rc = mboxscan(h->fd, h->variant, p->h.offset, first_record, key, e);
		if (rc < 0 || rc == 1)
			return rc < 0 ? -1 : 0;
	}
	rc = other_begins(h, p->h.offset, e);
	if (rc != 0)
		return rc < 0 ? -1 : 0;
	return cut(h, p->h.offset, e);
}

/* Cut a torn append back. At most one record can be torn: they don't overlap. */
static int heal_tail(struct healing *h, struct err *e)
{
	for (size_t i = 0; i < h->n; i++) {
		const struct pending *p = &h->p[i];

		if (p->intact && p->h.offset < h->size && h->size < p->h.offset + p->h.length)
			return heal_torn(h, p, e);
	}
	return 0;
}

/* Order by key, and as staged where keys are equal. */
static int by_key(const void *a, const void *b)
{
	const struct pending *const *x = a, *const *y = b;
	int c = strcmp((*x)->r->key, (*y)->r->key);

	return c ? c : (*x > *y) - (*x < *y);
}

/*
 * Does the record begin with the From_ line that was written for p? Another job may have delivered the same message: that copy isn't ours. Mail readers keep
 * the line when they rewrite the file.
 */
static bool same_from_line(const struct healing *h, const struct mboxscan_msg *m, const struct pending *p)
{
	char first[MBOXHINT_FIRST];
	const unsigned char *nl = memchr(p->h.first, '\n', p->h.first_n);
	size_t n = nl ? (size_t)(nl - p->h.first) : p->h.first_n;

	if (!p->known)
		return true;
	return m->length >= (int64_t)n && fs_pread_all(h->fd, first, n, m->offset, what, NULL) == 0 && memcmp(first, p->h.first, n) == 0;
}

/* A record of the file: is it a pending one? Each record counts for one. */
static int match(void *arg, const struct mboxscan_msg *m)
{
	struct healing *h = arg;
	size_t low = 0, high = h->n;
	char hex[DIGEST_HEX];

	digest_hex(m->digest, hex);
	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (strcmp(h->by_key[mid]->r->key, hex) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	for (; low < h->n && strcmp(h->by_key[low]->r->key, hex) == 0; low++) {
		if (!h->by_key[low]->r->found && same_from_line(h, m, h->by_key[low])) {
			h->by_key[low]->r->found = true;
			break;
		}
	}
	return 0;
}

/* Whether an mbox, after empty lines, begins at the offset: 1, 0, -1. */
static int begins_at(struct healing *h, int64_t offset, struct err *e)
{
	char b[64];
	size_t n = h->size - offset < (int64_t)sizeof(b) ? (size_t)(h->size - offset) : sizeof(b), skip = 0;

	if (fs_pread_all(h->fd, b, n, offset, what, e) < 0)
		return -1;
	while (skip < n && (b[skip] == '\n' || b[skip] == '\r'))
		skip++;
	return n - skip >= 5 && memcmp(b + skip, "From ", 5) == 0;
}

/* Look for the pending deliveries: behind the anchor while it holds, else everywhere, since mail readers rewrite the file. */
static int find(struct healing *h, struct err *e)
{
	int64_t from = 0;

	if (h->p[0].intact) {
		int rc = h->p[0].h.base < h->size ? begins_at(h, h->p[0].h.base, e) : 0;

		if (rc < 0)
			return -1;
		if (rc > 0 || h->p[0].h.base == h->size)
			from = h->p[0].h.base;
	}
	return from < h->size ? mboxscan(h->fd, h->variant, from, match, h, e) : 0;
}

/* Put the file right after a crash. */
int mbox_heal(int fd, enum mbox_variant v, struct recovery *r, size_t n, struct err *e)
{
	struct healing h = { .fd = fd, .variant = v, .n = n };
	struct stat st;
	int rc = -1;

	if (n == 0)
		return 0;
	h.p = calloc(n, sizeof(*h.p));
	h.by_key = calloc(n, sizeof(struct pending *));
	if (!h.p || !h.by_key) {
		err_set(e, ERR_LOCAL, "out of memory");
		goto out;
	}
	if (fstat(fd, &st) < 0) {
		err_errno(e, "can't look at %s", what);
		goto out;
	}
	h.size = st.st_size;
	if (read_hints(&h, r, e) < 0)
		goto out;
	qsort(h.by_key, n, sizeof(struct pending *), by_key);
	if (cut_nuls(&h, e) < 0 || heal_tail(&h, e) < 0 || find(&h, e) < 0)
		goto out;
	rc = 0;
out:
	free(h.p);
	free(h.by_key);
	return rc;
}
