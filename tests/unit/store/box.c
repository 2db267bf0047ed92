/* What the tests of the local stores share: see box.h. */
#include "box.h"

#include "../../lib/unit.h"

#include <dirent.h>
#include <fcntl.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "base/clock.h"

const char *path_in(const char *dir, const char *name)
{
	static char buf[8][3 * BOX_PATH];
	static unsigned turn;
	char *p = buf[turn++ % 8];

	assert_true((size_t)snprintf(p, sizeof(buf[0]), "%s/%s", dir, name) < sizeof(buf[0]));
	return p;
}

bool file_read(const char *path, struct strbuf *out)
{
	int fd = open(path, O_RDONLY);
	char buf[65536];
	ssize_t n;

	if (fd < 0)
		return false;
	while ((n = read(fd, buf, sizeof(buf))) > 0)
		assert_int_equal(strbuf_put(out, buf, (size_t)n), 0);
	assert_int_equal(n, 0);
	close(fd);
	return true;
}

void file_write(const char *path, const void *p, size_t n)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, p, n), (ssize_t)n);
	close(fd);
}

long file_size(const char *path)
{
	struct stat st;

	return stat(path, &st) < 0 ? -1 : (long)st.st_size;
}

size_t dir_count(const char *path)
{
	DIR *d = opendir(path);
	struct dirent *entry;
	size_t n = 0;

	if (!d)
		return 0;
	while ((entry = readdir(d)))
		n += entry->d_name[0] != '.';
	closedir(d);
	return n;
}

void fs_clock_moves(const char *dir)
{
	struct stat first = { 0 }, now;
	char path[BOX_PATH + 16];

	snprintf(path, sizeof(path), "%s/.clock", dir);
	do {
		file_write(path, "x", 1);
		assert_int_equal(stat(path, &now), 0);
		if (first.st_ino == 0)
			first = now;
	} while (now.st_mtim.tv_sec == first.st_mtim.tv_sec && now.st_mtim.tv_nsec == first.st_mtim.tv_nsec);
	clock_test_set(now.st_mtim.tv_sec + 10);
}

void bag_add(struct bag *b, const void *p, size_t n)
{
	struct strbuf one = STRBUF_INIT(BOX_BYTES);

	if (b->n == b->cap) {
		b->cap = b->cap ? 2 * b->cap : 64;
		b->a = realloc(b->a, b->cap * sizeof(*b->a));
		assert_non_null(b->a);
	}
	assert_int_equal(strbuf_put(&one, p, n), 0);
	b->a[b->n++] = one;
}

static int compare(const void *a, const void *b)
{
	return slice_cmp(strbuf_slice(a), strbuf_slice(b));
}

void bag_sort(struct bag *b)
{
	if (b->n > 0)
		qsort(b->a, b->n, sizeof(*b->a), compare);
}

bool bag_has(const struct bag *b, const void *p, size_t n)
{
	for (size_t i = 0; i < b->n; i++)
		if (slice_eq(strbuf_slice(&b->a[i]), slice_of(p, n)))
			return true;
	return false;
}

void bag_same(struct bag *got, struct bag *want)
{
	bag_sort(got);
	bag_sort(want);
	for (size_t i = 0; i < got->n && i < want->n; i++) {
		if (compare(&got->a[i], &want->a[i]) != 0) {
			char g[300], w[300];

			err_printable(g, sizeof(g), strbuf_str(&got->a[i]), got->a[i].len < 250 ? got->a[i].len : 250);
			err_printable(w, sizeof(w), strbuf_str(&want->a[i]), want->a[i].len < 250 ? want->a[i].len : 250);
			fail_msg("message %zu of %zu (%zu) differs:\n got (%zu) %s\nwant (%zu) %s", i, got->n, want->n, got->a[i].len, g,
			         want->a[i].len, w);
		}
	}
	assert_int_equal(got->n, want->n);
}

void bag_release(struct bag *b)
{
	for (size_t i = 0; i < b->n; i++)
		strbuf_release(&b->a[i]);
	free(b->a);
	*b = (struct bag){ 0 };
}

#define H "Return-Path: <jane@example.org>\r\nSubject: x\r\n\r\n"
#define S(name, text) { name, text, sizeof(text) - 1 }

static struct sample table[] = {
	S("plain", H "hello\r\n"),
	S("twin", H "we are two\r\n"),
	S("twin again", H "we are two\r\n"),
	S("empty", ""),
	S("one byte", "x"),
	S("one newline", "\r\n"),
	S("body only", "\r\nno header\r\n"),
	S("empty body", H),
	S("header only", "Subject: header only\r\n"),
	S("header without newline", "Subject: cut"),
	S("no header", "this is no header\r\nnor this\r\n\r\nbody\r\nFrom x\r\n"),
	S("no newline", H "the line has no end"),
	S("newlines", H "x\r\n\r\n\r\n\r\n"),
	S("blank lines", H "\r\n\r\n\r\n"),
	S("from", H "Hello\r\nFrom here\r\n\r\nFrom jane@example.org Tue Nov 14 22:13:20 2023\r\nSubject: no\r\n\r\nno\r\n"),
	S("from first", H "From the first line on\r\n"),
	S("from last", H "x\r\n\r\nFrom me"),
	S("from only", "From "),
	S("from cut", H "x\r\nFro"),
	S("from and end", H "x\r\nFrom \r\n"),
	S("from quoted", H ">From one\r\n>>From two\r\n>>>From three\r\n> From none\r\n >From none\r\n>>Fro\r\n>>"),
	S("from with cr", H "a\rFrom x\r\n\rFrom y\r\n"),
	S("from line first", "From jane@example.org Tue Nov 14 22:13:20 2023\r\nSubject: x\r\n\r\nx\r\n"),
	S("quoted from line first", ">From jane@example.org Tue Nov 14 22:13:20 2023\r\nSubject: x\r\n\r\nx\r\n"),
	S("bare cr", H "one\rtwo\r\n\r\r\nthree\r"),
	S("cr before crlf", H "one\r\r\ntwo\r\r\r\nthree\r\n"),
	S("bare lf", H "one\r\ntwo\nthree\r\nfour\n"),
	S("bare lf early", "a\nb\r\nFrom x\r\n\r\nc\r\n"),
	S("bare lf late", H "one\r\nFrom two\r\n\rx\r\r\n>From y\r\nFro\nm z\r\n"),
	S("bare lf after cr", H "x\r\r\n\r\n\n\r\n"),
	S("all lf", "Subject: x\n\none\nFrom two\n\nthree"),
	S("nul", H "a\0b\r\n\0\r\n\0\0\0end\r\n"),
	S("8 bit", H "\x80\x81\xff\xfe gr\xc3\xbc\xc3\x9f\r\n"),
	S("dots", H ".\r\n..\r\n.x\r\n"),
	S("notes", "Status: RO\r\nX-UID: 7\r\nContent-Length: 3\r\n folded\r\nContent-LENGTH : 9\r\nSubject: mine\r\n\r\n"
	           "Content-Length: in the body\r\nlonger\r\n"),
	S("null return path", "Return-Path: <>\r\n\r\nx\r\n"),
	S("odd return path", "Return-Path: <\"a b\r\n\t\xfc\"@x>\r\n\r\nx\r\n"),
	{ "long line", NULL, 0 },
	{ "many lines", NULL, 0 },
	{ "long, then bare lf", NULL, 0 },
};

const struct sample *const samples = table;
const size_t samples_n = COUNT(table);

#define LINE 2000000u
#define LINES 20000u

int samples_make(void **state)
{
	static const char h[] = H;
	struct sample *s = table + samples_n - 3;
	char *p;

	(void)state;
	s[0].n = sizeof(h) - 1 + LINE + 2;
	p = malloc(s[0].n);
	assert_non_null(p);
	memcpy(p, h, sizeof(h) - 1);
	memset(p + sizeof(h) - 1, '>', LINE);
	memcpy(p + s[0].n - 2, "\r\n", 2);
	s[0].p = p;
	for (int i = 1; i < 3; i++) {
		struct strbuf b = STRBUF_INIT(BOX_BYTES);

		strbuf_puts(&b, h);
		for (unsigned k = 0; k < LINES; k++)
			strbuf_printf(&b, "%s%*u\r\n", k % 7 ? "" : &">From "[k % 2], (int)(k % 40), k);
		if (i == 2)
			strbuf_puts(&b, "\nFrom the end");
		assert_false(b.failed);
		s[i].n = b.len;
		s[i].p = strbuf_detach(&b);
		assert_non_null(s[i].p);
	}
	return 0;
}

int samples_free(void **state)
{
	(void)state;
	for (size_t i = samples_n - 3; i < samples_n; i++) {
		free((char *)(uintptr_t)table[i].p);
		table[i].p = NULL;
	}
	return 0;
}

/* With every CRLF as LF; whether an LF stood alone. */
static bool to_lf(const struct sample *s, struct strbuf *out)
{
	bool bare = false;

	for (size_t i = 0; i < s->n; i++) {
		if (s->p[i] == '\r' && i + 1 < s->n && s->p[i + 1] == '\n')
			continue;
		if (s->p[i] == '\n' && (i == 0 || s->p[i - 1] != '\r'))
			bare = true;
		strbuf_putc(out, s->p[i]);
	}
	assert_false(out->failed);
	return bare;
}

void stored_form(const struct sample *s, struct strbuf *out)
{
	if (to_lf(s, out)) {
		strbuf_clear(out);
		strbuf_put(out, s->p, s->n);
	}
}

void sample_digest(const struct sample *s, unsigned char out[32])
{
	struct strbuf b = STRBUF_INIT(BOX_BYTES);

	to_lf(s, &b);
	assert_int_equal(EVP_Digest(strbuf_str(&b), b.len, out, NULL, EVP_sha256(), NULL), 1);
	strbuf_release(&b);
}

struct cut {
	struct stream s;
	const char *p;
	size_t n;
};

static ssize_t cut_read(struct stream *s, void *buf, size_t n, struct err *e)
{
	struct cut *c = (struct cut *)s;

	if (c->n == 0)
		return err_set_span(e, ERR_TEMP, SPAN_MSG, "the line was cut");
	if (n > c->n)
		n = c->n;
	memcpy(buf, c->p, n);
	c->p += n;
	c->n -= n;
	return (ssize_t)n;
}

static void cut_free(struct stream *s)
{
	free(s);
}

struct stream *cut_stream(const void *p, size_t n)
{
	static const struct stream_ops ops = { .name = "cut", .read = cut_read, .free = cut_free };
	struct cut *c = calloc(1, sizeof(*c));

	assert_non_null(c);
	c->s.ops = &ops;
	c->p = p;
	c->n = n;
	return &c->s;
}

static void read_part(const char *path, const char *part, struct bag *out)
{
	char dir[BOX_PATH + 64], file[BOX_PATH + 512];
	struct dirent *entry;
	DIR *d;

	snprintf(dir, sizeof(dir), "%s/%s", path, part);
	d = opendir(dir);
	if (!d)
		return;
	while ((entry = readdir(d))) {
		struct strbuf b = STRBUF_INIT(BOX_BYTES);

		if (entry->d_name[0] == '.')
			continue;
		snprintf(file, sizeof(file), "%s/%s", dir, entry->d_name);
		assert_true(file_read(file, &b));
		bag_add(out, strbuf_str(&b), b.len);
		strbuf_release(&b);
	}
	closedir(d);
}

void maildir_read(const char *path, struct bag *out)
{
	read_part(path, "new", out);
	read_part(path, "cur", out);
}

/* Where the record that begins at p ends, the empty line not counted. */
static const char *record_end(const char *p, const char *end)
{
	for (; p < end; p++)
		if (p[0] == '\n' && end - p > 6 && memcmp(p, "\n\nFrom ", 7) == 0)
			return p + 1;
	return end > p - 1 && p[-1] == '\n' && p[-2] == '\n' ? end - 1 : end;
}

/* mboxcl2: the header up to its empty line, less the Content-Length, which is returned; -1 none. */
static long cl2_header(const char *p, const char *end, struct strbuf *out, const char **body)
{
	long length = -1;

	while (p < end) {
		const char *lf = memchr(p, '\n', (size_t)(end - p));
		size_t n = (size_t)((lf ? lf + 1 : end) - p);

		if (n > 15 && strncasecmp(p, "Content-Length:", 15) == 0) {
			length = strtol(p + 15, NULL, 10);
			p += n;
			continue;
		}
		if (p[0] == '\n' || (p[0] == '\r' && n == 2)) {
			*body = p + n;
			strbuf_put(out, p, n);
			return length;
		}
		strbuf_put(out, p, n);
		p += n;
	}
	*body = end;
	return length;
}

/* A body or message, unquoted. */
static void unquote(const char *p, const char *end, int variant, struct strbuf *out)
{
	while (p < end) {
		const char *lf = memchr(p, '\n', (size_t)(end - p)), *q = p;
		size_t n = (size_t)((lf ? lf + 1 : end) - p);

		while (q < p + n && *q == '>')
			q++;
		if (q > p && (size_t)(p + n - q) >= 5 && memcmp(q, "From ", 5) == 0 && (variant == READ_RD || (variant == READ_O && q == p + 1)))
			strbuf_put(out, p + 1, n - 1);
		else
			strbuf_put(out, p, n);
		p += n;
	}
	assert_false(out->failed);
}

void mbox_read(const char *path, int variant, struct bag *out)
{
	struct strbuf file = STRBUF_INIT(BOX_BYTES);
	const char *p, *end;

	if (!file_read(path, &file))
		return;
	p = strbuf_str(&file);
	end = p + file.len;
	while (p < end) {
		struct strbuf m = STRBUF_INIT(BOX_BYTES);
		const char *stop;

		if (*p == '\n') {
			p++;
			continue;
		}
		if (end - p < 5 || memcmp(p, "From ", 5) != 0)
			fail_msg("%s: no From_ line at byte %zu", path, (size_t)(p - file.s));
		stop = record_end(p, end);
		p = memchr(p, '\n', (size_t)(end - p));
		if (!p)
			p = end;
		else
			p++;
		if (variant == READ_CL2) {
			const char *body;
			long length = cl2_header(p, end, &m, &body);

			if (length > 0) {
				assert_true(length <= end - body);
				strbuf_put(&m, body, (size_t)length);
				stop = body + length;
				if (stop < end) { /* the empty line between */
					assert_int_equal(*stop, '\n');
					assert_true(stop + 1 == end || (end - stop > 5 && memcmp(stop + 1, "From ", 5) == 0));
				}
			} else {
				strbuf_clear(&m);
				cl2_header(p, stop, &m, &body);
				strbuf_put(&m, body, (size_t)(stop - body));
			}
		} else {
			unquote(p, stop, variant, &m);
		}
		bag_add(out, strbuf_str(&m), m.len);
		strbuf_release(&m);
		p = stop;
	}
	strbuf_release(&file);
}
