/* One line on a terminal, redrawn at most 10 times a second, cut to the terminal's width, gone when it is not needed. */
#ifndef UI_PROGRESS_H
#define UI_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/strbuf.h"

struct progress {
	int fd;
	bool shown;
	int64_t begun, drawn;  /* clock_now(); begun 0: at the first progress_show */
};

#define PROGRESS_AFTER_MS 500
#define PROGRESS_EVERY_MS 100

/*
 * "isp: 1,200 of 10,000 messages, 3.4 MB, 1.1 MB/s, 0:12 left". Nothing happens before PROGRESS_AFTER_MS have passed since `begun`, nor sooner than
 * PROGRESS_EVERY_MS after the last time. total 0: unknown. job is printable text.
 */
void progress_show(struct progress *p, const char *job, uint64_t done, uint64_t total, uint64_t bytes, uint64_t total_bytes);
void progress_clear(struct progress *p);

/* The line, without the terminal: what progress_show draws `elapsed` ms after the beginning. */
int progress_line(struct strbuf *out, int64_t elapsed, const char *job, uint64_t done, uint64_t total, uint64_t bytes, uint64_t total_bytes);
/* How many bytes of UTF-8 fit into so many columns; no character is cut in two. */
size_t progress_fit(const char *s, size_t columns);

/* "3.4 MB", "812 bytes"; "0:12", "1:02:03"; "1,200" */
void progress_bytes(uint64_t n, char *out, size_t size);
void progress_time(int64_t seconds, char *out, size_t size);
void progress_count(uint64_t n, char *out, size_t size);

#endif
