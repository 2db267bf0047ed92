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
	bool placed;  /* found where it was to go */
};

struct healing {
	int fd;
	enum mbox_variant variant;
	int64_t size;
	struct pending *p;       /* in the order they were staged */
	struct pending **by_key;
	size_t n;
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

/* Take a byte; true when another message may begin here. */
static bool watch_byte(struct mboxwatch *w, char c)
{
	static const char word[] = "From ";
	bool hit = false;

	memmove(w->last, w->last + 1, 4);
	w->last[4] = c;
	if (w->line == WATCH_FROM && is_weekday(w->last)) {
		w->line = WATCH_DAY;
	} else if (w->line == WATCH_DAY && c >= '0' && c <= '9' && w->last[3] == ':' && w->last[2] >= '0' && w->last[2] <= '9') {
		hit = true;
	}
	if (w->matched > 0 && c != word[w->matched])
		w->matched = 0;
	if (c == word[w->matched] && w->matched++ == 0)
		w->line_start = w->bol;
	if (w->matched == 5) {
		hit = hit || w->line_start;
		w->matched = 0;
		if (w->line == WATCH_NO_FROM)
			w->line = WATCH_FROM;
	}
	if (hit)
		w->line = WATCH_DONE;
	w->bol = c == '\n';
	if (w->bol)
		w->line = WATCH_NO_FROM;
	return hit;
}

/* Look for another message. Nearly all bytes are passed over at once: where no "From " is under way, only an F matters. */
size_t mboxwatch_find(struct mboxwatch *w, const char *p, size_t n, bool *hit)
{
	*hit = false;
	for (size_t i = 0; i < n; i++) {
		if (w->line == WATCH_NO_FROM && w->matched == 0 && p[i] != 'F') {
			const char *f = memchr(p + i, 'F', n - i);

			i = f ? (size_t)(f - p) : n;
			w->bol = p[i - 1] == '\n';
			if (!f)
				break;
		}
		if (watch_byte(w, p[i])) {
			*hit = true;
			return i + 1;
		}
	}
	return n;
}

/* As text. Each place as its distance from the one before, so that many fit; what room they leave is for the first bytes. */
void mboxhint_print(const struct mboxhint *h, char out[STORE_HINT_MAX + 1])
{
	static const char digits[] = "0123456789abcdef";
	int len = snprintf(out, STORE_HINT_MAX + 1, "%llu %lld %lld %lld %s %zu ", (unsigned long long)h->serial, (long long)h->base,
	                   (long long)h->offset, (long long)h->length, h->anchor[0] ? h->anchor : "-", h->own_n);
	size_t at = (size_t)len;

	for (size_t i = 0; i < h->own_n; i++)
		at += (size_t)snprintf(out + at, STORE_HINT_MAX + 1 - at, "%lld ", (long long)(h->own[i] - (i > 0 ? h->own[i - 1] : 0)));
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
	int64_t serial, own;

	memset(h, 0, sizeof(*h));
	if (!take_number(&rest, &serial) || !take_number(&rest, &h->base) || !take_number(&rest, &h->offset) ||
	    !take_number(&rest, &h->length))
		return false;
	h->serial = (uint64_t)serial;
	anchor = slice_word(&rest);
	if (!take_number(&rest, &own) || own > MBOXHINT_OWN)
		return false;
	for (int64_t at = 0, step; h->own_n < (size_t)own; h->own[h->own_n++] = at) {
		if (!take_number(&rest, &step) || step > h->length - at)
			return false;
		at += step;
	}
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

/* Whether the message itself has this place, which looks like the start of another. */
static bool is_own(const struct mboxhint *h, int64_t at)
{
	for (size_t i = 0; i < h->own_n; i++)
		if (h->own[i] == at)
			return true;
	return false;
}

/* Whether another message begins within the tail of the file that starts with p's record: 1, 0, -1. */
static int other_begins(struct healing *h, const struct pending *p, struct err *e)
{
	struct mboxwatch w = MBOXWATCH_INIT;
	int64_t at = p->h.offset;
	bool started = false; /* our own From_ line is past */
	char buf[CHUNK];

	while (at < h->size) {
		size_t n = h->size - at < CHUNK ? (size_t)(h->size - at) : CHUNK, i = 0;

		if (clock_check(e) < 0 || fs_pread_all(h->fd, buf, n, at, what, e) < 0)
			return -1;
		if (!started) {
			const char *lf = memchr(buf, '\n', n);

			i = lf ? (size_t)(lf + 1 - buf) : n;
			started = lf != NULL;
		}
		while (i < n) {
			bool hit;

			i += mboxwatch_find(&w, buf + i, n - i, &hit);
			if (hit && !is_own(&p->h, at + (int64_t)i - p->h.offset))
				return 1;
		}
		at += (int64_t)n;
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

/* The length of p's From_ line with its line feed; of a very long one, as much as the hint holds. */
static int64_t from_line(const struct pending *p)
{
	const unsigned char *lf = memchr(p->h.first, '\n', p->h.first_n);

	return lf ? lf + 1 - p->h.first : (int64_t)p->h.first_n;
}

/* Whether the first n bytes of p's record stand where it was to go: 1, 0, -1. */
static int starts_with(struct healing *h, const struct pending *p, size_t n, struct err *e)
{
	char first[MBOXHINT_FIRST];

	if (fs_pread_all(h->fd, first, n, p->h.offset, what, e) < 0)
		return -1;
	return memcmp(first, p->h.first, n) == 0;
}

/* Compares the first record, and goes no further: 1 it is the one, 2 it isn't. */
static int first_record(void *arg, const struct mboxscan_msg *m)
{
	return is_key(m, arg) ? 1 : 2;
}

/* Whether at the offset, after empty lines, a record begins or the file ends: 1, 0, -1. */
static int begins_at(struct healing *h, int64_t offset, struct err *e)
{
	char b[64];
	size_t n = h->size - offset < (int64_t)sizeof(b) ? (size_t)(h->size - offset) : sizeof(b), skip = 0;

	if (fs_pread_all(h->fd, b, n, offset, what, e) < 0)
		return -1;
	while (skip < n && (b[skip] == '\n' || b[skip] == '\r'))
		skip++;
	return offset + (int64_t)skip == h->size || (n - skip >= 5 && memcmp(b + skip, "From ", 5) == 0);
}

/*
 * Whether all of p's message stands where it was to go, and ends there: the end of the file, or another record, follows. Its own empty line may be missing at
 * the end of the file: there are programs that remove it. But not where the message itself ends in empty lines, which would be taken for it. 1, 0, -1.
 */
static int is_whole(struct healing *h, const struct pending *p, struct err *e)
{
	int64_t end = p->h.offset + p->h.length, to = h->size < end ? h->size : end;
	size_t n = to < end && p->h.first_n == (size_t)p->h.length ? p->h.first_n - 1 : p->h.first_n;
	char key[STORE_KEY_MAX + 1], last[2];
	int rc;

	if (to < end - 1 || to - p->h.offset < 2)
		return 0;
	if (to < end && fs_pread_all(h->fd, last, 2, to - 2, what, e) < 0)
		return -1;
	if (to < end && memcmp(last, "\n\n", 2) == 0)
		return 0;
	rc = starts_with(h, p, n, e);
	if (rc == 1 && to < h->size)
		rc = begins_at(h, to, e);
	if (rc <= 0)
		return rc;
	snprintf(key, sizeof(key), "%s", p->r->key);
	rc = mboxscan(h->fd, h->variant, p->h.offset, to, first_record, key, e);
	return rc < 0 ? -1 : rc == 1;
}

/* The file ends within p's record: is what is there ours, and torn? Then cut it back. */
static int heal_torn(struct healing *h, const struct pending *p, struct err *e)
{
	int64_t tail = h->size - p->h.offset;
	int rc = starts_with(h, p, tail < (int64_t)p->h.first_n ? (size_t)tail : p->h.first_n, e);

	if (rc <= 0)
		return rc;
	rc = is_whole(h, p, e);
	if (rc == 0)
		rc = other_begins(h, p, e);
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
	size_t n;

	if (!p->known)
		return true;
	n = (size_t)from_line(p) - 1;
	return m->length >= (int64_t)n && fs_pread_all(h->fd, first, n, m->offset, what, NULL) == 0 && memcmp(first, p->h.first, n) == 0;
}

/* A record of the file: is it a pending one? Each record counts for one. */
static int match(void *arg, const struct mboxscan_msg *m)
{
	struct healing *h = arg;
	size_t low = 0, high = h->n;
	char hex[DIGEST_HEX];

	for (size_t i = 0; i < h->n; i++)
		if (h->p[i].placed && h->p[i].h.offset == m->offset)
			return 0;
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

/*
 * Deliveries that stand where they were to go, whatever stands behind them: another program may have put more than one empty line before its own mail, which a
 * walk takes for a part of ours. *missing: how many do not.
 */
static int find_in_place(struct healing *h, size_t *missing, struct err *e)
{
	*missing = h->n;
	for (size_t i = 0; i < h->n; i++) {
		struct pending *p = &h->p[i];
		int rc = p->intact ? is_whole(h, p, e) : 0;

		if (rc < 0)
			return -1;
		p->r->found = p->placed = rc == 1;
		*missing -= p->placed;
	}
	return 0;
}

/* Look for the other pending deliveries: behind the anchor while it holds, else everywhere, since mail readers rewrite the file. */
static int find(struct healing *h, struct err *e)
{
	int64_t from = 0;
	size_t missing;

	if (find_in_place(h, &missing, e) < 0)
		return -1;
	if (missing == 0)
		return 0;
	if (h->p[0].intact) {
		int rc = begins_at(h, h->p[0].h.base, e);

		if (rc < 0)
			return -1;
		if (rc > 0)
			from = h->p[0].h.base;
	}
	return from < h->size ? mboxscan(h->fd, h->variant, from, MBOXSCAN_END, match, h, e) : 0;
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
