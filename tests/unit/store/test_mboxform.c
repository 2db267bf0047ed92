/* Quoting, dropped fields, From_ lines, and the walk through an mbox: vectors, in every split. */
#include "../../lib/unit.h"

#include <fcntl.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "box.h"
#include "store/mboxform.h"
#include "store/mboxscan.h"

static const struct {
	const char *plain, *rd, *o; /* as quoted */
	const char *from_o;         /* what is read back of o; NULL: plain */
} quoting[] = {
	{ "", "", "", NULL },
	{ "x\n", "x\n", "x\n", NULL },
	{ "From x\n", ">From x\n", ">From x\n", NULL },
	{ "From ", ">From ", ">From ", NULL },
	{ "From", "From", "From", NULL },
	{ "From\n", "From\n", "From\n", NULL },
	{ "From:\n", "From:\n", "From:\n", NULL },
	{ "from x\n", "from x\n", "from x\n", NULL },
	{ " From x\n", " From x\n", " From x\n", NULL },
	{ "xFrom x\n", "xFrom x\n", "xFrom x\n", NULL },
	{ ">From x\n", ">>From x\n", ">From x\n", "From x\n" },
	{ ">>From x\n", ">>>From x\n", ">>From x\n", NULL },
	{ ">>>>>>>>From x\n", ">>>>>>>>>From x\n", ">>>>>>>>From x\n", NULL },
	{ ">", ">", ">", NULL },
	{ ">>>", ">>>", ">>>", NULL },
	{ ">\nFrom x", ">\n>From x", ">\n>From x", NULL },
	{ ">Fro\n", ">Fro\n", ">Fro\n", NULL },
	{ ">From\n", ">From\n", ">From\n", NULL },
	{ ">Fr>From x\n", ">Fr>From x\n", ">Fr>From x\n", NULL },
	{ "FromFrom x\n", "FromFrom x\n", "FromFrom x\n", NULL },
	{ "FFrom x\n", "FFrom x\n", "FFrom x\n", NULL },
	{ "> >From x\n", "> >From x\n", "> >From x\n", NULL },
	{ "\n\nFrom a\nFrom b\n\nFrom c\n", "\n\n>From a\n>From b\n\n>From c\n", "\n\n>From a\n>From b\n\n>From c\n", NULL },
	{ "\rFrom x\n", "\rFrom x\n", "\rFrom x\n", NULL },
	{ "a\r\nFrom x\r\n", "a\r\n>From x\r\n", "a\r\n>From x\r\n", NULL },
	{ "From From From \n", ">From From From \n", ">From From From \n", NULL },
};

/* Quote or unquote in pieces. */
static void lines_in_pieces(enum mbox_variant v, bool unquote, const char *in, size_t step, char *out)
{
	struct mboxlines l;
	size_t n = strlen(in), len = 0;

	mboxlines_init(&l, v, unquote);
	for (size_t at = 0; at < n; at += step) {
		size_t some = n - at < step ? n - at : step, k;
		char *room = test_malloc(2 * some + 8);

		k = mboxlines_put(&l, in + at, some, room);
		memcpy(out + len, room, k);
		len += k;
		test_free(room);
	}
	len += mboxlines_end(&l, out + len);
	out[len] = '\0';
}

static void quotes(void **state)
{
	char out[256];

	(void)state;
	for (size_t i = 0; i < COUNT(quoting); i++) {
		for (size_t step = 1; step < 32; step++) {
			lines_in_pieces(MBOX_RD, false, quoting[i].plain, step, out);
			assert_string_equal(out, quoting[i].rd);
			lines_in_pieces(MBOX_RD, true, quoting[i].rd, step, out);
			assert_string_equal(out, quoting[i].plain);
			lines_in_pieces(MBOX_O, false, quoting[i].plain, step, out);
			assert_string_equal(out, quoting[i].o);
			lines_in_pieces(MBOX_O, true, quoting[i].o, step, out);
			assert_string_equal(out, quoting[i].from_o ? quoting[i].from_o : quoting[i].plain);
			lines_in_pieces(MBOX_CL2, false, quoting[i].plain, step, out);
			assert_string_equal(out, quoting[i].plain);
		}
	}
}

static void drops_fields(void **state)
{
	static const char *const drop[] = { "Status", "Content-Length", NULL };
	static const struct {
		const char *in, *out;
		long body_at; /* -1: no end of the header */
	} rows[] = {
		{ "", "", -1 },
		{ "Subject: x\n\nbody\n", "Subject: x\n\nbody\n", 12 },
		{ "Status: x\n\nStatus: y\n", "\nStatus: y\n", 1 },
		{ "A: b\nStatus: x\nC: d\n\n", "A: b\nC: d\n\n", 11 },
		{ "A: b\nstaTUS : x\n folded\n\tmore\n C: d\nE: f\n\n", "A: b\nE: f\n\n", 11 },
		{ "A: b\n Status: x\nC: d\n\n", "A: b\n Status: x\nC: d\n\n", 22 },
		{ "Statuses: x\nX-Status: y\nStatu: z\n\n", "Statuses: x\nX-Status: y\nStatu: z\n\n", 34 },
		{ "Status", "Status", -1 },
		{ "Status:", "", -1 },
		{ "Status\n: x\n\n", "Status\n: x\n\n", 12 },
		{ "no header\nStatus: x\n\nStatus: y\n", "no header\n\nStatus: y\n", 11 },
		{ "a very long line without a colon for more than it holds: x\nStatus: y\n\n",
		  "a very long line without a colon for more than it holds: x\n\n", 60 },
		{ "A: b\r\nStatus: x\r\n\r\nStatus: y\r\n", "A: b\r\n\r\nStatus: y\r\n", 8 },
		{ "\r\nStatus: x\n", "\r\nStatus: x\n", 2 },
		{ "\nStatus: x\n", "\nStatus: x\n", 1 },
		{ "\rStatus: x\n", "", -1 },
		{ ":x\nStatus: y\n", ":x\n", -1 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		size_t n = strlen(rows[i].in);

		for (size_t step = 1; step <= n + 1; step++) {
			struct mboxhead h;
			char out[256];
			size_t len = 0;

			mboxhead_init(&h, drop);
			for (size_t at = 0; at < n; at += step)
				len += mboxhead_put(&h, rows[i].in + at, n - at < step ? n - at : step, out + len);
			len += mboxhead_end(&h, out + len);
			out[len] = '\0';
			assert_string_equal(out, rows[i].out);
			assert_int_equal(h.out, len);
			assert_int_equal(h.body, rows[i].body_at >= 0);
			if (h.body)
				assert_int_equal(h.body_at, rows[i].body_at);
		}
	}
}

static void from_lines(void **state)
{
	static const struct {
		const char *address;
		int64_t t;
		const char *line;
	} rows[] = {
		{ "jane@example.org", 1700000000, "From jane@example.org Tue Nov 14 22:13:20 2023\n" },
		{ "", 1700000000, "From MAILER-DAEMON Tue Nov 14 22:13:20 2023\n" },
		{ "j@x", 0, "From j@x Thu Jan  1 00:00:00 1970\n" },
		{ "j@x", -5, "From j@x Thu Jan  1 00:00:00 1970\n" },
		{ "j@x", 4102444800, "From j@x Fri Jan  1 00:00:00 2100\n" },
		{ "j@x", INT64_MAX, "From j@x Fri Dec 31 23:59:59 9999\n" },
		{ "\"a b\"@x", 1709164800, "From \"a_b\"@x Thu Feb 29 00:00:00 2024\n" },
		{ "a\tb\r\nFrom c\x7f\xc3\xbc@x", 1709164800, "From a_b__From_c___@x Thu Feb 29 00:00:00 2024\n" },
	};
	char out[MBOX_FROM_MAX], big[1000];

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		assert_int_equal(mbox_from_line(rows[i].address, rows[i].t, out), strlen(rows[i].line));
		assert_string_equal(out, rows[i].line);
	}
	memset(big, 'x', sizeof(big));
	big[999] = '\0';
	assert_true(mbox_from_line(big, 1700000000, out) < MBOX_FROM_MAX);
	assert_string_equal(out + strlen(out) - 26, " Tue Nov 14 22:13:20 2023\n");
}

/* The key of what a reader gets, made in one piece. */
static void key_of(enum mbox_variant v, const char *p, size_t n, size_t step, unsigned char out[DIGEST_SIZE])
{
	struct digest *d = digest_new(NULL);
	struct mboxkey k;

	assert_non_null(d);
	mboxkey_init(&k, v, d);
	for (size_t at = 0; at < n; at += step)
		assert_int_equal(mboxkey_put(&k, p + at, n - at < step ? n - at : step, NULL), 0);
	assert_int_equal(mboxkey_end(&k, out, NULL), 0);
	digest_free(d);
}

static void same_message_same_key(void **state)
{
	static const struct {
		enum mbox_variant v;
		const char *stored, *message;
	} rows[] = {
		{ MBOX_RD, "Subject: x\n\nbody\n", "Subject: x\n\nbody\n" },
		{ MBOX_RD, "Subject: x\n\n>From y\n>>From z\n", "Subject: x\n\nFrom y\n>From z\n" },
		{ MBOX_O, "Subject: x\n\n>From y\n>>From z\n", "Subject: x\n\nFrom y\n>>From z\n" },
		{ MBOX_CL2, "Content-Length: 8\nSubject: x\n\n>From y\n", "Subject: x\n\n>From y\n" },
		{ MBOX_RD, "Status: RO\nSubject: x\nX-Keywords: a\n b\nX-UID: 7\n\nStatus: RO\n", "Subject: x\n\nStatus: RO\n" },
		{ MBOX_RD, "X-Mozilla-Status2: 0\nX-IMAPbase: 1 2\nLines: 3\nContent-Length: 4\nX-IMAP: 5\nX-Status: A\n\n", "\n" },
		{ MBOX_RD, "Subject: x\r\n\r\nbody\r\n", "Subject: x\n\nbody\n" },
		{ MBOX_RD, "", "" },
		{ MBOX_RD, "Fro", "Fro" },
		{ MBOX_RD, ">>Fro", ">>Fro" },
		{ MBOX_RD, "x\r", "x\r" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		unsigned char key[DIGEST_SIZE], want[DIGEST_SIZE];

		assert_int_equal(EVP_Digest(rows[i].message, strlen(rows[i].message), want, NULL, EVP_sha256(), NULL), 1);
		for (size_t step = 1; step < 40; step++) {
			key_of(rows[i].v, rows[i].stored, strlen(rows[i].stored), step, key);
			assert_memory_equal(key, want, DIGEST_SIZE);
		}
	}
}

struct seen {
	size_t n;
	struct mboxscan_msg m[16];
	size_t stop_after;
};

static int collect(void *arg, const struct mboxscan_msg *m)
{
	struct seen *s = arg;

	assert_true(s->n < 16);
	s->m[s->n++] = *m;
	return s->n == s->stop_after ? 7 : 0;
}

static void tmp_file(const char *text, size_t n, int *fd)
{
	char path[BOX_PATH];
	const char *tmp = getenv("TMPDIR");

	snprintf(path, sizeof(path), "%s/mailhaul-scan-XXXXXX", tmp && tmp[0] == '/' ? tmp : "/tmp");
	*fd = mkstemp(path);
	assert_true(*fd >= 0);
	unlink(path);
	assert_int_equal(write(*fd, text, n), (ssize_t)n);
}

/* Files, and where their records begin; what each message is. */
static void scans(void **state)
{
	static const struct {
		enum mbox_variant v;
		const char *file;
		size_t n;
		struct {
			long offset;
			const char *message;
		} m[4];
	} rows[] = {
		{ MBOX_RD, "", 0, { { 0, NULL } } },
		{ MBOX_RD, "\n\n\n", 0, { { 0, NULL } } },
		{ MBOX_RD, "From a\nx\n\n", 1, { { 0, "x\n" } } },
		{ MBOX_RD, "From a\nx\n", 1, { { 0, "x\n" } } },
		{ MBOX_RD, "From a\nx", 1, { { 0, "x" } } },
		{ MBOX_RD, "From a", 1, { { 0, "" } } },
		{ MBOX_RD, "From a\n", 1, { { 0, "" } } },
		{ MBOX_RD, "From a\n\n", 1, { { 0, "" } } },
		{ MBOX_RD, "From a\n\n\n", 1, { { 0, "\n" } } },
		{ MBOX_RD, "\n\nFrom a\nx\n\n", 1, { { 2, "x\n" } } },
		{ MBOX_RD, "From a\nx\n\nFrom b\ny\n\n", 2, { { 0, "x\n" }, { 10, "y\n" } } },
		{ MBOX_RD, "From a\n\nFrom b\n\nFrom c\n\n", 3, { { 0, "" }, { 8, "" }, { 16, "" } } },
		{ MBOX_RD, "From a\nx\nFrom b\ny\n\n", 1, { { 0, "x\nFrom b\ny\n" } } }, /* no empty line before */
		{ MBOX_RD, "From a\nFrom b\n\n", 1, { { 0, "From b\n" } } },
		{ MBOX_RD, "From a\nx\n\nFromage\n\nFrom\n\n From c\n\n", 1, { { 0, "x\n\nFromage\n\nFrom\n\n From c\n" } } },
		{ MBOX_RD, "From a\nx\n\n>From b\n\n", 1, { { 0, "x\n\nFrom b\n" } } },
		{ MBOX_RD, "From a\nx\n\n\n\nFrom b\ny\n", 2, { { 0, "x\n\n\n" }, { 12, "y\n" } } },
		{ MBOX_RD, "From a\r\nx\r\n\r\nFrom b\r\ny\r\n\r\n", 2, { { 0, "x\n" }, { 13, "y\n" } } },
		{ MBOX_RD, "From a\nx\n\nFro", 1, { { 0, "x\n\nFro" } } },
		{ MBOX_RD, "From a\nx\n\n\r", 1, { { 0, "x\n\n\r" } } },
		{ MBOX_O, "From a\nx\n\n>From b\n>>From c\n\n", 1, { { 0, "x\n\nFrom b\n>>From c\n" } } },
		{ MBOX_CL2, "From a\nContent-Length: 9\nS: x\n\n\nFrom b\n\n\nFrom c\nS: y\n\n", 2, { { 0, "S: x\n\n\nFrom b\n\n" }, { 41, "S: y\n" } } },
		{ MBOX_CL2, "From a\ncontent-length:  9 \n\n\nFrom b\n\n", 1, { { 0, "\n\nFrom b\n\n" } } },
		{ MBOX_CL2, "From a\nContent-Length: 8\n\n\nFrom b\n\n", 1, { { 0, "\n\nFrom b\n" } } },
		{ MBOX_CL2, "From a\nContent-Length: 7\n\n\nFrom b\n\n", 2, { { 0, "\n" }, { 27, "" } } }, /* wrong: not believed */
		{ MBOX_CL2, "From a\nContent-Length: 99\n\nx\n\nFrom b\n\n", 2, { { 0, "\nx\n" }, { 30, "" } } },
		{ MBOX_CL2, "From a\nContent-Length: -1\n\nx\n\nFrom b\n\n", 2, { { 0, "\nx\n" }, { 30, "" } } },
		{ MBOX_CL2, "From a\nContent-Length: 99999999999999999999\n\nx\n\nFrom b\n\n", 2, { { 0, "\nx\n" }, { 48, "" } } },
		{ MBOX_CL2, "From a\nContent-Length: 0\nS: x\n\nFrom b\nContent-Length: 0\n\nFrom c\n\n", 3, { { 0, "S: x\n" }, { 31, "" }, { 57, "" } } },
		{ MBOX_CL2, "From a\nContent-Length: 0\n\n\nFrom b\n\n", 2, { { 0, "\n" }, { 27, "" } } },
		{ MBOX_CL2, "From a\nS: x\n\nContent-Length: 14\n\nFrom b\n\nz\n\n", 2, { { 0, "S: x\n\nContent-Length: 14\n" }, { 33, "\nz\n" } } },
		{ MBOX_RD, "From a\nContent-Length: 9\n\n\nFrom b\n\n", 2, { { 0, "\n" }, { 27, "" } } },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		size_t len = strlen(rows[i].file);
		struct seen s = { 0 };
		struct err e = ERR_INIT;
		int fd;

		tmp_file(rows[i].file, len, &fd);
		assert_int_equal(mboxscan(fd, rows[i].v, 0, MBOXSCAN_END, collect, &s, &e), 0);
		close(fd);
		if (s.n != rows[i].n)
			fail_msg("row %zu: %zu records", i, s.n);
		for (size_t k = 0; k < s.n; k++) {
			unsigned char want[DIGEST_SIZE];
			size_t end = k + 1 < s.n ? (size_t)s.m[k + 1].offset : len;

			assert_int_equal(EVP_Digest(rows[i].m[k].message, strlen(rows[i].m[k].message), want, NULL, EVP_sha256(), NULL), 1);
			if (s.m[k].offset != rows[i].m[k].offset || memcmp(s.m[k].digest, want, DIGEST_SIZE) != 0)
				fail_msg("row %zu: record %zu at %lld", i, k, (long long)s.m[k].offset);
			assert_int_equal(s.m[k].length, end - (size_t)s.m[k].offset);
		}
	}
}

/* Records at and around the ends of the reads. */
static void scans_across_reads(void **state)
{
	(void)state;
	for (size_t n = 65536 - 40; n < 65536 + 10; n++) {
		struct strbuf b = STRBUF_INIT(1 << 18);
		struct seen s = { 0 };
		int fd;

		strbuf_puts(&b, "From a\n");
		for (size_t i = b.len; i < n; i++)
			strbuf_putc(&b, 'x');
		strbuf_puts(&b, "\n\nFrom b\n>From c\r\n\r\n\n");
		tmp_file(b.s, b.len, &fd);
		assert_int_equal(mboxscan(fd, MBOX_RD, 0, MBOXSCAN_END, collect, &s, NULL), 0);
		close(fd);
		assert_int_equal(s.n, 2);
		assert_int_equal(s.m[1].offset, n + 2);
		{
			unsigned char want[DIGEST_SIZE];

			assert_int_equal(EVP_Digest("From c\n\n", 8, want, NULL, EVP_sha256(), NULL), 1);
			assert_memory_equal(s.m[1].digest, want, DIGEST_SIZE);
		}
		strbuf_release(&b);
	}
}

static void scan_from_and_stop(void **state)
{
	static const char file[] = "From a\nx\n\nFrom b\ny\n\nFrom c\nz\n\n";
	struct seen s = { .stop_after = 2 };
	struct err e = ERR_INIT;
	int fd;

	(void)state;
	tmp_file(file, sizeof(file) - 1, &fd);
	assert_int_equal(mboxscan(fd, MBOX_RD, 0, MBOXSCAN_END, collect, &s, &e), 7);
	assert_int_equal(s.n, 2);
	s = (struct seen){ 0 };
	assert_int_equal(mboxscan(fd, MBOX_RD, 9, MBOXSCAN_END, collect, &s, &e), 0);
	assert_int_equal(s.n, 2);
	assert_int_equal(s.m[0].offset, 10);
	assert_int_equal(mboxscan(fd, MBOX_RD, 7, MBOXSCAN_END, collect, &s, &e), -1);
	assert_int_equal(e.kind, ERR_LOCAL);
	assert_non_null(strstr(e.text, "no mbox"));
	s = (struct seen){ 0 };
	assert_int_equal(mboxscan(fd, MBOX_RD, 1000, MBOXSCAN_END, collect, &s, &e), 0);
	assert_int_equal(s.n, 0);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(quotes),
		cmocka_unit_test(drops_fields),
		cmocka_unit_test(from_lines),
		cmocka_unit_test(same_message_same_key),
		cmocka_unit_test(scans),
		cmocka_unit_test(scans_across_reads),
		cmocka_unit_test(scan_from_and_stop),
	};

	return cmocka_run_group_tests_name("store/mboxform", tests, NULL, NULL);
}
