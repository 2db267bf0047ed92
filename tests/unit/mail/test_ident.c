/* What tells messages apart: the same on the wire in any pieces, and other where a byte is other. */
#include "../../lib/unit.h"

#include "mail/ident.h"

static void read_one(struct ident_reader *r, const char *text, size_t piece, struct ident *out)
{
	struct err e = ERR_INIT;
	struct stream *s = memstream_new(text, strlen(text), piece, NULL);

	if (ident_read(r, s, out, &e) < 0)
		fail_msg("%s", e.text);
	stream_free(s);
}

/* Read by somebody else, in his pieces, through the tap. */
static void tap_one(struct ident_reader *r, const char *text, size_t piece, struct ident *out)
{
	struct err e = ERR_INIT;
	struct stream *s = memstream_new(text, strlen(text), 0, NULL), *tap = ident_tap(r, s);
	char got[1000];
	size_t n = 0;
	ssize_t k;

	while ((k = stream_read(tap, got + n, piece, &e)) > 0)
		n += (size_t)k;
	assert_int_equal(k, 0);
	assert_true(n == strlen(text) && memcmp(got, text, n) == 0);
	stream_free(tap);
	stream_free(s);
	ident_tapped(r, out);
}

static void same_and_other(void **state)
{
	static const char *const texts[] = {
		"",
		"\r\n",
		"Subject: a\r\n\r\nbody\r\n",
		"Message-ID: <1@x>\r\nSubject: a\r\n\r\nbody\r\n",
		"Message-ID: <2@x>\r\nSubject: a\r\n\r\nbody\r\n",
		"Message-ID: <1@x>\r\nSubject: a\r\n\r\nbodY\r\n",
		"Subject: a\r\n\r\nMessage-ID: <1@x>\r\nbody\r\n",
	};
	struct err e = ERR_INIT;
	struct ident_reader *r = ident_reader_new(&e);
	struct ident id[COUNT(texts)];
	struct digest *d = digest_new(&e);
	unsigned char mid[IDENT_MID];

	(void)state;
	assert_non_null(r);
	for (size_t i = 0; i < COUNT(texts); i++) {
		read_one(r, texts[i], 4096, &id[i]);
		assert_int_equal(id[i].size, strlen(texts[i]));
		assert_true(id[i].has_digest);
		assert_int_equal(id[i].has_mid, i >= 3 && i <= 5);
		assert_int_equal(id[i].date, 0);
		for (size_t piece = 1; piece < 9; piece++) {
			struct ident again;

			read_one(r, texts[i], piece, &again);
			assert_int_equal(again.size, id[i].size);
			assert_int_equal(again.has_mid, id[i].has_mid);
			assert_memory_equal(again.mid, id[i].mid, IDENT_MID);
			assert_memory_equal(again.digest, id[i].digest, DIGEST_SIZE);
			tap_one(r, texts[i], piece, &again);
			assert_int_equal(again.size, id[i].size);
			assert_int_equal(again.has_mid, id[i].has_mid);
			assert_memory_equal(again.mid, id[i].mid, IDENT_MID);
			assert_false(again.has_digest);
		}
		for (size_t k = 0; k < i; k++)
			assert_memory_not_equal(id[k].digest, id[i].digest, DIGEST_SIZE);
	}
	assert_memory_equal(id[3].mid, id[5].mid, IDENT_MID);
	assert_memory_not_equal(id[3].mid, id[4].mid, IDENT_MID);
	assert_true(ident_mid(d, "<1@x>", mid)); /* as a server's answer is read */
	assert_memory_equal(id[3].mid, mid, IDENT_MID);
	assert_false(ident_mid(d, "", mid));
	digest_free(d);
	ident_reader_free(r);
	ident_reader_free(NULL);
}

#define TUID "X-TUID: AbcDef0123+/\r\n"
#define OIMAP "X-OfflineIMAP: 123456789-9876543210\r\n"

/* A mark of another program makes no other message, wherever in the header it is; what only looks like one does. */
static void marks(void **state)
{
	static const struct {
		const char *text;
		uint64_t mark; /* 0: none */
	} rows[] = {
		{ TUID "Message-ID: <1@x>\r\nSubject: a\r\n\r\nbody\r\n", sizeof(TUID) - 1 },
		{ "Message-ID: <1@x>\r\n" TUID "Subject: a\r\n\r\nbody\r\n", sizeof(TUID) - 1 },
		{ "Message-ID: <1@x>\r\nSubject: a\r\n" TUID "\r\nbody\r\n", sizeof(TUID) - 1 },
		{ "Message-ID: <1@x>\r\nSubject: a\r\n" OIMAP "\r\nbody\r\n", sizeof(OIMAP) - 1 },
		{ OIMAP "Message-ID: <1@x>\r\nSubject: a\r\n" TUID "\r\nbody\r\n", sizeof(OIMAP TUID) - 1 },
		{ "Message-ID: <1@x>\r\nSubject: a\r\nx-tuid: AbcDef0123+/\r\n\r\nbody\r\n", sizeof(TUID) - 1 },
		{ "Message-ID: <1@x>\r\nSubject: a\r\n\r\n" TUID "body\r\n", 0 },
		{ "Message-ID: <1@x>\r\nSubject: a\r\nX-TUID: AbcDef0123+\r\n\r\nbody\r\n", 0 },
		{ "Message-ID: <1@x>\r\nSubject: a\r\nX-TUID: AbcDef0123+/0\r\n\r\nbody\r\n", 0 },
		{ "Message-ID: <1@x>\r\nSubject: a\r\nX-TUID:  bcDef0123+/\r\n\r\nbody\r\n", 0 },
		{ "Message-ID: <1@x>\r\nSubject: a\r\n X-TUID: AbcDef0123+/\r\n\r\nbody\r\n", 0 },
		{ "Message-ID: <1@x>\r\nSubject: a\r\nX-OfflineIMAP: a-1\r\n\r\nbody\r\n", 0 },
		{ "Message-ID: <1@x>\r\nSubject: a\r\nX-OfflineIMAP: 012345678901234567890123456789012\r\n\r\nbody\r\n", 0 },
		{ "Message-ID: <1@x>\r\nSubject: a\r\n\r\nbody\r\nX-TUID: AbcDef0123+/", 0 },
	};
	static const char plain[] = "Message-ID: <1@x>\r\nSubject: a\r\n\r\nbody\r\n";
	struct err e = ERR_INIT;
	struct ident_reader *r = ident_reader_new(&e);
	struct ident bare;

	(void)state;
	read_one(r, plain, 4096, &bare);
	assert_int_equal(bare.mark, 0);
	assert_memory_equal(bare.plain, bare.digest, DIGEST_SIZE);
	for (size_t i = 0; i < COUNT(rows); i++) {
		for (size_t piece = 1; piece <= 64; piece++) {
			struct ident id;

			read_one(r, rows[i].text, piece, &id);
			assert_int_equal(id.mark, rows[i].mark);
			assert_int_equal(id.size, strlen(rows[i].text));
			assert_memory_not_equal(id.digest, bare.digest, DIGEST_SIZE);
			assert_true(id.has_mid && memcmp(id.mid, bare.mid, IDENT_MID) == 0);
			if (rows[i].mark > 0)
				assert_memory_equal(id.plain, bare.digest, DIGEST_SIZE);
			else
				assert_memory_equal(id.plain, id.digest, DIGEST_SIZE);
			tap_one(r, rows[i].text, piece, &id);
			assert_int_equal(id.mark, rows[i].mark);
			assert_int_equal(id.size, strlen(rows[i].text));
			assert_true(id.has_mid && memcmp(id.mid, bare.mid, IDENT_MID) == 0);
		}
	}
	ident_reader_free(r);
}

/* Ten bytes, then the link is lost. */
static ssize_t read_ten(struct stream *s, void *buf, size_t n, struct err *e)
{
	static bool over;

	(void)s;
	over = !over;
	if (!over)
		return err_set(e, ERR_TEMP, "lost");
	memset(buf, 'M', 10);
	return n < 10 ? 0 : 10;
}

static void free_none(struct stream *s)
{
	(void)s;
}

static const struct stream_ops broken_ops = { .name = "broken", .read = read_ten, STREAM_READ_ONLY, .free = free_none };

/* A body that breaks leaves nothing behind for the next. */
static void broken(void **state)
{
	static const char text[] = "Message-ID: <1@x>\r\n\r\nbody\r\n";
	struct err e = ERR_INIT;
	struct ident_reader *r = ident_reader_new(&e);
	struct stream s = { .ops = &broken_ops };
	struct ident good, bad, again;

	(void)state;
	read_one(r, text, 7, &good);
	assert_int_equal(ident_read(r, &s, &bad, &e), -1);
	assert_false(bad.has_digest);
	read_one(r, text, 7, &again);
	assert_memory_equal(again.digest, good.digest, DIGEST_SIZE);
	ident_reader_free(r);
}

/* Who reads along tells the date of the header; who reads for the content leaves it to the store. */
static void date(void **state)
{
	static const char text[] = "Message-ID: <1@x>\r\nDate: Tue, 14 Nov 2023 22:13:20 +0000\r\n\r\nbody\r\n";
	struct err e = ERR_INIT;
	struct ident_reader *r = ident_reader_new(&e);
	struct stream *body = memstream_new(text, sizeof(text) - 1, 7, NULL), *tap;
	struct ident id;
	char buf[16];

	(void)state;
	tap = ident_tap(r, body);
	while (stream_read(tap, buf, sizeof(buf), &e) > 0)
		;
	ident_tapped(r, &id);
	assert_int_equal(id.date, 1700000000);
	assert_int_equal(id.size, sizeof(text) - 1);
	stream_free(body);
	read_one(r, text, 7, &id);
	assert_int_equal(id.date, 0);
	ident_reader_free(r);
}

/* To read ahead changes nothing of what comes. */
static void peek(void **state)
{
	enum { BIG = 200000 };
	static const char text[] = "Message-ID: <1@x>\r\nX-TUID: 123456789012\r\nDate: Tue, 14 Nov 2023 22:13:20 +0000\r\n\r\nbody\r\n", headless[] = "Date: Tue, 14 Nov 2023 22:13:20 +0000";
	struct err e = ERR_INIT;
	struct ident_reader *r = ident_reader_new(&e);
	struct stream broken_body = { .ops = &broken_ops };
	char *big = malloc(BIG);
	struct {
		const char *p;
		size_t n;
		int64_t date;
	} rows[] = { { text, sizeof(text) - 1, 1700000000 }, { headless, sizeof(headless) - 1, 1700000000 }, { big, BIG, 0 }, { "", 0, 0 } };

	(void)state;
	assert_non_null(big);
	memset(big, 'x', BIG);
	memcpy(big, "Date: Tue, 14 Nov 2023 22:13:20 +0000\r\nX: ", 43);
	for (size_t i = 0; i < COUNT(rows); i++) {
		for (size_t step = 1; step < 100; step += 13) {
			struct stream *body = memstream_new(rows[i].p, rows[i].n, step * step, NULL), *tap = ident_tap(r, body);
			struct ident with, without;
			char buf[97];
			int64_t date = -1;
			size_t at = 0;
			ssize_t n;

			assert_int_equal(ident_peek(r, &date, &e), 0);
			assert_int_equal(date, rows[i].date);
			while ((n = stream_read(tap, buf, step, &e)) > 0) {
				assert_memory_equal(buf, rows[i].p + at, (size_t)n);
				at += (size_t)n;
			}
			assert_int_equal(n, 0);
			assert_int_equal(at, rows[i].n);
			ident_tapped(r, &with);
			stream_free(body);
			body = memstream_new(rows[i].p, rows[i].n, 7, NULL);
			tap = ident_tap(r, body);
			while (stream_read(tap, buf, sizeof(buf), &e) > 0)
				;
			ident_tapped(r, &without);
			assert_true(with.size == without.size && with.mark == without.mark && with.date == without.date && with.has_mid == without.has_mid);
			assert_memory_equal(with.mid, without.mid, sizeof(with.mid));
			stream_free(body);
		}
	}
	ident_tap(r, &broken_body);
	assert_int_equal(ident_peek(r, &rows[0].date, &e), -1);
	assert_int_equal(e.kind, ERR_TEMP);
	free(big);
	ident_reader_free(r);
}

int main(void)
{
	static const struct CMUnitTest tests[] = { cmocka_unit_test(same_and_other), cmocka_unit_test(marks), cmocka_unit_test(broken), cmocka_unit_test(date), cmocka_unit_test(peek) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
