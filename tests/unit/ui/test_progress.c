#include "../../lib/unit.h"

#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <unistd.h>

#include "base/clock.h"
#include "ui/progress.h"

static void sizes(void **state)
{
	static const struct { uint64_t n; const char *out; } rows[] = {
		{ 0, "0 bytes" }, { 1, "1 byte" }, { 812, "812 bytes" }, { 999, "999 bytes" }, { 1000, "1.0 kB" }, { 1049, "1.0 kB" }, { 1050, "1.1 kB" },
		{ 3400000, "3.4 MB" }, { 99949, "99.9 kB" }, { 99950, "100 kB" }, { 345678, "346 kB" }, { 999499, "999 kB" }, { 999500, "1.0 MB" },
		{ 50000000, "50.0 MB" }, { 123456789012, "123 GB" }, { UINT64_MAX, "18.4 EB" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		char out[32];

		progress_bytes(rows[i].n, out, sizeof(out));
		assert_string_equal(out, rows[i].out);
	}
}

static void durations(void **state)
{
	static const struct { int64_t n; const char *out; } rows[] = {
		{ -5, "0:00" }, { 0, "0:00" }, { 12, "0:12" }, { 59, "0:59" }, { 60, "1:00" }, { 3599, "59:59" }, { 3600, "1:00:00" }, { 3723, "1:02:03" },
		{ 360000, "100:00:00" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		char out[32];

		progress_time(rows[i].n, out, sizeof(out));
		assert_string_equal(out, rows[i].out);
	}
}

static void counts(void **state)
{
	static const struct { uint64_t n; const char *out; } rows[] = {
		{ 0, "0" }, { 999, "999" }, { 1000, "1,000" }, { 12345, "12,345" }, { 1234567, "1,234,567" }, { UINT64_MAX, "18,446,744,073,709,551,615" },
	};
	char small[4];

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		char out[32];

		progress_count(rows[i].n, out, sizeof(out));
		assert_string_equal(out, rows[i].out);
	}
	progress_count(123456, small, sizeof(small));
	assert_string_equal(small, "123");
}

static void lines(void **state)
{
	static const struct { int64_t elapsed; uint64_t done, total, bytes, all; const char *out; } rows[] = {
		{ 3000, 1200, 10000, 3300000, 0, "isp: 1,200 of 10,000 messages, 3.3 MB, 1.1 MB/s, 0:22 left" },
		{ 3000, 1200, 10000, 3300000, 6600000, "isp: 1,200 of 10,000 messages, 3.3 MB, 1.1 MB/s, 0:03 left" },
		{ 600, 0, 10, 0, 0, "isp: 0 of 10 messages, 0 bytes" },
		{ 600, 3, 0, 600, 0, "isp: 3 messages, 600 bytes, 1.0 kB/s" },
		{ 600, 10, 10, 600, 0, "isp: 10 of 10 messages, 600 bytes, 1.0 kB/s" },
		{ 0, 1, 10, 600, 0, "isp: 1 of 10 messages, 600 bytes" },
		{ 600, 11, 10, 600, 500, "isp: 11 of 10 messages, 600 bytes, 1.0 kB/s" },
		{ INT64_MAX, 1, UINT64_MAX, 600, 0, "isp: 1 of 18,446,744,073,709,551,615 messages, 600 bytes, 0 bytes/s" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct strbuf b = STRBUF_INIT(500);

		assert_int_equal(progress_line(&b, rows[i].elapsed, "isp", rows[i].done, rows[i].total, rows[i].bytes, rows[i].all), 0);
		assert_string_equal(strbuf_str(&b), rows[i].out);
		strbuf_release(&b);
	}
}

static void fitting(void **state)
{
	static const struct { const char *s; size_t columns, n; } rows[] = {
		{ "", 5, 0 }, { "abc", 5, 3 }, { "abc", 3, 3 }, { "abc", 2, 2 }, { "abc", 0, 0 },
		{ "\xc3\xa9\xc3\xa9\xc3\xa9", 2, 4 },                /* two of three accented letters */
		{ "\xe6\x97\xa5\xe6\x9c\xac", 3, 3 },                /* one wide character in three columns */
		{ "\xe6\x97\xa5\xe6\x9c\xac", 4, 6 },
		{ "a\xf0\x9f\x93\xa7", 2, 1 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++)
		assert_int_equal(progress_fit(rows[i].s, rows[i].columns), rows[i].n);
}

/* What the terminal was sent, within a moment. */
static const char *screen(int fd)
{
	static char buf[4096];
	size_t n = 0;
	struct pollfd p = { .fd = fd, .events = POLLIN };

	while (n < sizeof(buf) - 1 && poll(&p, 1, n ? 20 : 100) > 0) {
		ssize_t got = read(fd, buf + n, sizeof(buf) - 1 - n);

		if (got <= 0)
			break;
		n += (size_t)got;
	}
	buf[n] = '\0';
	return buf;
}

static void on_a_terminal(void **state)
{
	struct winsize w = { .ws_row = 24, .ws_col = 22 };
	struct progress p = { 0 };
	int master, slave;
	int64_t drawn;

	(void)state;
	assert_int_equal(openpty(&master, &slave, NULL, NULL, &w), 0);
	p.fd = slave;
	progress_show(&p, "isp", 1, 10, 5, 0);
	assert_true(p.begun > 0);
	assert_false(p.shown);
	p.begun = clock_now() - PROGRESS_AFTER_MS;
	progress_show(&p, "isp", 2, 10, 5, 0);
	assert_true(p.shown);
	assert_string_equal(screen(master), "\risp: 2 of 10 messages\033[K"); /* one column less than there are */
	/* not again at once, but after a while */
	drawn = p.drawn;
	progress_show(&p, "isp", 3, 10, 5, 0);
	if (p.drawn == drawn)
		assert_string_equal(screen(master), "");
	p.drawn = clock_now() - PROGRESS_EVERY_MS;
	progress_show(&p, "isp", 4, 10, 5, 0);
	assert_string_equal(screen(master), "\risp: 4 of 10 messages\033[K");
	progress_clear(&p);
	assert_string_equal(screen(master), "\r\033[K");
	progress_clear(&p);
	assert_string_equal(screen(master), "");
	close(slave);
	close(master);
}

/* What takes nothing is not waited for. */
static void on_a_full_pipe(void **state)
{
	struct progress p = { .begun = 1 };
	int fds[2];
	char fill[4096] = "";

	(void)state;
	assert_int_equal(pipe2(fds, O_NONBLOCK), 0);
	while (write(fds[1], fill, sizeof(fill)) > 0)
		;
	assert_int_equal(fcntl(fds[1], F_SETFL, 0), 0);
	p.fd = fds[1];
	progress_show(&p, "isp", 2, 10, 5, 0);
	assert_false(p.shown);
	close(fds[0]);
	close(fds[1]);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes),
		cmocka_unit_test(durations),
		cmocka_unit_test(counts),
		cmocka_unit_test(lines),
		cmocka_unit_test(fitting),
		cmocka_unit_test(on_a_terminal),
		cmocka_unit_test(on_a_full_pipe),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
