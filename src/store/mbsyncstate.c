#include "store/mbsyncstate.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "mail/flags.h"

#define FILE_MAX (128u << 20)
#define VALIDITY_MAX 64 /* bytes of .uidvalidity */

static int bad(struct err *e, size_t line, const char *what)
{
	return err_set_span(e, ERR_LOCAL, SPAN_BOX, "line %zu %s", line, what);
}

/* Cut the next line off; false: there is none that has an end. */
static bool take_line(struct slice *rest, struct slice *line)
{
	const char *lf = rest->n > 0 ? memchr(rest->p, '\n', rest->n) : NULL;

	if (!lf)
		return false;
	*line = slice_of(rest->p, (size_t)(lf - rest->p));
	*rest = slice_of(lf + 1, rest->n - line->n - 1);
	return true;
}

static bool take_number(struct slice *line, uint32_t *out)
{
	uint64_t n;

	if (!slice_u64(slice_word(line), UINT32_MAX, &n))
		return false;
	*out = (uint32_t)n;
	return true;
}

/* A line of the header. Names of before 1.4 are those of the second column. */
static int take_header(struct slice line, size_t n, struct mbsyncstate *out, struct err *e)
{
	static const char *const others[] = { "MaxPulledUid", "MaxPushedUid", "MaxExpiredFarUid", "MaxExpiredMasterUid", "MaxExpiredSlaveUid" };
	struct slice name = slice_word(&line);
	uint32_t value, *to = NULL;

	if (!take_number(&line, &value) || slice_word(&line).n > 0)
		return bad(e, n, "is none of a header");
	if (slice_eqs(name, "FarUidValidity") || slice_eqs(name, "MasterUidValidity"))
		to = &out->far_validity;
	else if (slice_eqs(name, "NearUidValidity") || slice_eqs(name, "SlaveUidValidity"))
		to = &out->near_validity;
	if (to && *to != 0)
		return bad(e, n, "says again what was said");
	if (to) {
		*to = value;
		return 0;
	}
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		if (slice_eqs(name, others[i]))
			return 0;
	return bad(e, n, "is not known in a header");
}

/* Before 1.3 this stood for: never brought there. */
static void take_never(uint32_t *uid, struct mbsyncstate_entry *m)
{
	if (*uid != UINT32_MAX)
		return;
	*uid = 0;
	m->expired = true;
}

/* A line of a message. */
static int take_entry(struct slice line, size_t n, struct mbsyncstate *out, struct err *e)
{
	struct mbsyncstate_entry m = { .far = 0 };
	struct slice word;

	if (!take_number(&line, &m.far) || !take_number(&line, &m.near))
		return bad(e, n, "is none of a message");
	word = slice_word(&line);
	if (word.n > 0 && (word.p[0] == '<' || word.p[0] == '>')) {
		*(word.p[0] == '<' ? &m.far_stub : &m.near_stub) = true;
		word = slice_of(word.p + 1, word.n - 1);
	}
	if (word.n > 0 && (word.p[0] == '^' || word.p[0] == '~' || word.p[0] == 'X')) {
		m.expired = true;
		word = slice_of(word.p + 1, word.n - 1);
	}
	take_never(&m.far, &m);
	take_never(&m.near, &m);
	if (flags_of_letters(word, &m.flags) < 0 || slice_word(&line).n > 0)
		return bad(e, n, "has other flags than are known");
	if (m.far == 0 && m.near == 0)
		return bad(e, n, "is of no message");
	return vec_push(&out->entries, m) < 0 ? err_set(e, ERR_LOCAL, "out of memory") : 0;
}

static int by_near(const void *a, const void *b)
{
	const struct mbsyncstate_entry *x = a, *y = b;

	if (x->near != y->near)
		return x->near < y->near ? -1 : 1;
	return (x->far > y->far) - (x->far < y->far);
}

static int by_number(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

/* Does it name a message of either side twice? 1, 0, -1. */
static int has_doubles(const struct mbsyncstate *s, struct err *e)
{
	uint32_t *far = malloc((s->entries.n + 1) * sizeof(*far));
	size_t n = 0;
	int rc = 0;

	if (!far)
		return err_set(e, ERR_LOCAL, "out of memory");
	for (size_t i = 0; i < s->entries.n; i++) {
		const struct mbsyncstate_entry *m = &s->entries.a[i];

		if (m->far != 0)
			far[n++] = m->far;
		rc |= i > 0 && m->near != 0 && m->near == s->entries.a[i - 1].near;
	}
	qsort(far, n, sizeof(*far), by_number);
	for (size_t i = 1; i < n; i++)
		rc |= far[i] == far[i - 1];
	free(far);
	return rc;
}

int mbsyncstate_parse(struct slice text, struct mbsyncstate *out, struct err *e)
{
	struct slice line;
	size_t n = 0;
	int rc;

	*out = (struct mbsyncstate){ .far_validity = 0 };
	for (;;) {
		if (!take_line(&text, &line))
			return bad(e, n + 1, "is where the header ends too early");
		n++;
		if (line.n == 0)
			break;
		if (take_header(line, n, out, e) < 0)
			return -1;
	}
	if (out->far_validity == 0 || out->near_validity == 0)
		return bad(e, n, "is where a UIDVALIDITY is missing");
	while (take_line(&text, &line))
		if (take_entry(line, ++n, out, e) < 0)
			return -1;
	if (text.n > 0)
		return bad(e, n + 1, "has no end");
	if (out->entries.n > 0)
		qsort(out->entries.a, out->entries.n, sizeof(*out->entries.a), by_near);
	rc = has_doubles(out, e);
	return rc > 0 ? err_set_span(e, ERR_LOCAL, SPAN_BOX, "it names a message twice") : rc;
}

/* Open a plain file, and no link to one. -1 with errno. */
static int open_plain(int dirfd, const char *name, struct stat *st)
{
	int fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0)
		return -1;
	if (fstat(fd, st) == 0 && S_ISREG(st->st_mode))
		return fd;
	close(fd);
	errno = EINVAL;
	return -1;
}

/* The name of a file beside it; false: too long. */
static bool beside(char out[PATH_MAX], const char *name, const char *suffix)
{
	int n = snprintf(out, PATH_MAX, "%s%s", name, suffix);

	return n > 0 && n < PATH_MAX;
}

static bool is_there(int dirfd, const char *name, const char *suffix)
{
	char path[PATH_MAX];
	struct stat st;

	return beside(path, name, suffix) && fstatat(dirfd, path, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

/* Does somebody hold its lock? */
static bool is_locked(int dirfd, const char *name)
{
	struct flock l = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	char path[PATH_MAX];
	struct stat st;
	bool locked;
	int fd = beside(path, name, ".lock") ? open_plain(dirfd, path, &st) : -1;

	if (fd < 0)
		return false;
	locked = fcntl(fd, F_GETLK, &l) == 0 && l.l_type != F_UNLCK;
	close(fd);
	return locked;
}

/* Is what the file says all that there is to say? */
static int check_idle(int dirfd, const char *name, struct err *e)
{
	if (is_locked(dirfd, name))
		return err_set_span(e, ERR_BUSY, SPAN_BOX, "mbsync is at work on this folder");
	if (is_there(dirfd, name, ".journal") && is_there(dirfd, name, ".new"))
		return err_set_span(e, ERR_BUSY, SPAN_BOX, "mbsync was interrupted in this folder, and has left a journal");
	return 0;
}

/* All that there is to read. */
static int read_all(int fd, struct strbuf *b, struct err *e)
{
	for (;;) {
		char *room = strbuf_room(b, 65536);
		ssize_t n;

		if (!room)
			return err_set_span(e, ERR_LOCAL, SPAN_BOX, "it is too large");
		n = fs_read(fd, room, 65536, "it", e);
		if (n <= 0)
			return n < 0 ? -1 : 0;
		strbuf_added(b, (size_t)n);
	}
}

int mbsyncstate_read(int dirfd, const char *name, struct mbsyncstate *out, struct err *e)
{
	struct strbuf text = STRBUF_INIT(FILE_MAX);
	struct stat st;
	int fd = open_plain(dirfd, name, &st), rc;

	*out = (struct mbsyncstate){ .far_validity = 0 };
	if (fd < 0 && errno == ENOENT)
		return is_there(dirfd, name, ".journal") ? check_idle(dirfd, name, e) : 0;
	if (fd < 0)
		return errno == ELOOP || errno == EINVAL ? err_set_span(e, ERR_LOCAL, SPAN_BOX, "it is no plain file") : err_errno(e, "it can't be opened");
	rc = check_idle(dirfd, name, e);
	if (rc == 0)
		rc = read_all(fd, &text, e);
	/* once more: it may have begun meanwhile */
	if (rc == 0)
		rc = check_idle(dirfd, name, e);
	if (rc == 0)
		rc = mbsyncstate_parse(strbuf_slice(&text), out, e);
	out->changed = (int64_t)st.st_mtime;
	close(fd);
	strbuf_release(&text);
	return rc < 0 ? -1 : 1;
}

int mbsyncstate_validity(int dirfd, uint32_t *out)
{
	struct slice rest, line;
	char text[VALIDITY_MAX];
	struct stat st;
	int fd = open_plain(dirfd, ".uidvalidity", &st);
	ssize_t n;

	if (fd < 0)
		return 0;
	n = read(fd, text, sizeof(text));
	close(fd);
	rest = slice_of(text, n > 0 ? (size_t)n : 0);
	return take_line(&rest, &line) && take_number(&line, out) && slice_word(&line).n == 0 && *out != 0;
}

const struct mbsyncstate_entry *mbsyncstate_find(const struct mbsyncstate *s, uint32_t near)
{
	size_t low = 0, high = s->entries.n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (s->entries.a[mid].near < near)
			low = mid + 1;
		else
			high = mid;
	}
	return near != 0 && low < s->entries.n && s->entries.a[low].near == near ? &s->entries.a[low] : NULL;
}

void mbsyncstate_release(struct mbsyncstate *s)
{
	vec_release(&s->entries);
}
