#include "ui/progress.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/clock.h"

#define LINE_MAX_BYTES 1024
#define COLUMNS 80 /* of a terminal that does not say */

void progress_bytes(uint64_t n, char *out, size_t size)
{
	static const char *const units[] = { "kB", "MB", "GB", "TB", "PB", "EB" };
	uint64_t whole = n, unit = 1000;
	size_t i = 0;

	if (n < 1000) {
		snprintf(out, size, "%llu %s", (unsigned long long)n, n == 1 ? "byte" : "bytes");
		return;
	}
	/* the next unit once this one would be rounded up to 1000 */
	while (i + 1 < sizeof(units) / sizeof(units[0]) && n / unit >= 999 && (n - 999 * unit) >= unit / 2) {
		unit *= 1000;
		i++;
	}
	whole = n / (unit / 100); /* hundredths */
	if (whole < 9995)
		snprintf(out, size, "%llu.%llu %s", (unsigned long long)((whole + 5) / 100), (unsigned long long)((whole + 5) / 10 % 10), units[i]);
	else
		snprintf(out, size, "%llu %s", (unsigned long long)((whole + 50) / 100), units[i]);
}

void progress_time(int64_t seconds, char *out, size_t size)
{
	long long s = seconds < 0 ? 0 : (long long)seconds;

	if (s < 3600)
		snprintf(out, size, "%lld:%02lld", s / 60, s % 60);
	else
		snprintf(out, size, "%lld:%02lld:%02lld", s / 3600, s / 60 % 60, s % 60);
}

void progress_count(uint64_t n, char *out, size_t size)
{
	char digits[32];
	size_t len = (size_t)snprintf(digits, sizeof(digits), "%llu", (unsigned long long)n), at = 0;

	if (size == 0)
		return;
	for (size_t i = 0; i < len && at + 1 < size; i++) {
		if (i > 0 && (len - i) % 3 == 0) {
			out[at++] = ',';
			if (at + 1 >= size)
				break;
		}
		out[at++] = digits[i];
	}
	out[at] = '\0';
}

/* Milliseconds that are left by the speed so far; -1 when nobody knows. */
static int64_t time_left(int64_t elapsed, uint64_t done, uint64_t total, uint64_t bytes, uint64_t total_bytes)
{
	uint64_t have = total_bytes > 0 ? bytes : done, all = total_bytes > 0 ? total_bytes : total;
	double left;

	if (have == 0 || all <= have || elapsed <= 0)
		return -1;
	left = (double)elapsed / (double)have * (double)(all - have);
	return left < 1e12 ? (int64_t)left : -1;
}

int progress_line(struct strbuf *out, int64_t elapsed, const char *job, uint64_t done, uint64_t total, uint64_t bytes, uint64_t total_bytes)
{
	int64_t left = time_left(elapsed, done, total, bytes, total_bytes);
	char n[32], all[32], size[32], text[32];

	progress_count(done, n, sizeof(n));
	progress_count(total, all, sizeof(all));
	progress_bytes(bytes, size, sizeof(size));
	strbuf_printf(out, "%s: %s", job, n);
	if (total > 0)
		strbuf_printf(out, " of %s", all);
	strbuf_printf(out, " messages, %s", size);
	if (elapsed > 0 && bytes > 0) {
		progress_bytes((uint64_t)((double)bytes * 1000 / (double)elapsed), text, sizeof(text));
		strbuf_printf(out, ", %s/s", text);
	}
	if (left >= 0) {
		progress_time((left + 999) / 1000, text, sizeof(text));
		strbuf_printf(out, ", %s left", text);
	}
	return out->failed ? -1 : 0;
}

size_t progress_fit(const char *s, size_t columns)
{
	const unsigned char *p = (const unsigned char *)s;
	size_t n = 0, used = 0;

	while (p[n]) {
		/* East Asian characters and emoji take two columns; what only might is counted as if it did */
		size_t wide = p[n] >= 0xe2 ? 2 : 1, len = 1;

		while ((p[n + len] & 0xc0) == 0x80)
			len++;
		if (used + wide > columns)
			break;
		used += wide;
		n += len;
	}
	return n;
}

/* The terminal's width, less one: a full line makes some terminals wrap. */
static size_t columns_of(int fd)
{
	struct winsize w;

	if (ioctl(fd, TIOCGWINSZ, &w) == 0 && w.ws_col > 1)
		return (size_t)w.ws_col - 1;
	return COLUMNS - 1;
}

/* Write if the terminal takes it now: a line that is not drawn is no loss. */
static bool draw(int fd, const void *p, size_t n)
{
	struct pollfd ready = { .fd = fd, .events = POLLOUT };

	return poll(&ready, 1, 0) == 1 && (ready.revents & POLLOUT) && write(fd, p, n) > 0;
}

void progress_show(struct progress *p, const char *job, uint64_t done, uint64_t total, uint64_t bytes, uint64_t total_bytes)
{
	struct strbuf line = STRBUF_INIT(LINE_MAX_BYTES);
	int64_t now = clock_now();

	if (p->begun == 0)
		p->begun = now;
	if (now - p->begun < PROGRESS_AFTER_MS || (p->drawn != 0 && now - p->drawn < PROGRESS_EVERY_MS))
		return;
	p->drawn = now;
	strbuf_putc(&line, '\r');
	progress_line(&line, now - p->begun, job, done, total, bytes, total_bytes);
	strbuf_cut(&line, 1 + progress_fit(strbuf_str(&line) + 1, columns_of(p->fd)));
	line.failed = false;
	if (strbuf_puts(&line, "\033[K") == 0 && draw(p->fd, line.s, line.len))
		p->shown = true;
	strbuf_release(&line);
}

void progress_clear(struct progress *p)
{
	static const char clear[] = "\r\033[K";

	if (p->shown)
		draw(p->fd, clear, sizeof(clear) - 1);
	p->shown = false;
}
