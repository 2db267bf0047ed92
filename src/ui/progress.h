/* One line on a terminal, redrawn at most 10 times a second, cut to the terminal's width, gone when it is not needed. */
#ifndef UI_PROGRESS_H
#define UI_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/strbuf.h"

struct progress {
	int fd;
	bool shown;
	int64_t begun, drawn;  /* clock_now() */
};

#define PROGRESS_AFTER_MS 500

/* "isp: 1,200 of 10,000 messages, 3.4 MB, 1.1 MB/s, 0:12 left" */
void progress_show(struct progress *p, const char *job, uint64_t done, uint64_t total, uint64_t bytes, uint64_t total_bytes);
void progress_clear(struct progress *p);

/* "3.4 MB", "812 bytes"; "0:12", "1:02:03" */
void progress_bytes(uint64_t n, char *out, size_t size);
void progress_time(int64_t seconds, char *out, size_t size);

#endif
