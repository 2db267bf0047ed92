/*
 * Whole lines to two file descriptors, which may be one terminal, beside a progress line there. Those to `out` wait for company, but not long; those to `err` come at once,
 * and behind what happened before them. What can't be written (full disk, closed pipe) is noted, and no more is written there; a signal ends the wait for a reader.
 */
#ifndef UI_LINES_H
#define UI_LINES_H

#include <stdarg.h>

#include "base/err.h"
#include "base/slice.h"
#include "base/strbuf.h"
#include "ui/progress.h"

struct lines {
	int out, err;
	bool tty;                  /* out is one */
	struct progress *progress; /* cleared before anything is shown beside it */
	struct strbuf held;        /* whole lines on their way to out */
	int64_t flushed;           /* clock_now() */
	bool out_dead, err_dead;
	int out_errno;             /* why out is dead; 0 when nobody reads it any more */
};

void lines_init(struct lines *l, int out, int err, struct progress *progress);
void lines_release(struct lines *l); /* what is held back is lost */

/* To out; the LF is added. */
void lines_say(struct lines *l, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void lines_vsay(struct lines *l, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));
void lines_put(struct lines *l, struct slice line); /* of any length */
/* To err. */
void lines_complain(struct lines *l, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

void lines_flush(struct lines *l);
void lines_flush_if_due(struct lines *l); /* to be called now and then: it shows those that have waited */
/* -1 (ERR_LOCAL) when something could not be written to out since the beginning; a closed pipe is no error. */
int lines_check(const struct lines *l, struct err *e);

#endif
