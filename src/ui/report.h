/*
 * Events for a person: on a terminal a progress line for what takes longer than half a second and one summary line per job; without a terminal nothing unless
 * something is wrong (errors, and warnings of trouble); -v each action; -q errors only. Of messages that fail the first of a job are shown, the others counted; -v shows all. With json, JSON Lines on stdout instead (jsonl.h), errors there too. One process writes, this one.
 * Output that can't be written (full disk, closed pipe) never stops a job: it is noted, and no more is written there.
 */
#ifndef UI_REPORT_H
#define UI_REPORT_H

#include "base/log.h"
#include "base/strbuf.h"
#include "sync/event.h"

struct report_params {
	int out, err;       /* file descriptors: summaries, actions and dry-run plans, JSON; errors and warnings */
	bool tty;           /* err is a terminal: progress, summaries, warnings */
	bool quiet;         /* errors only (with json: error events only) */
	int verbose;        /* 0, 1: actions, warnings, summaries; 2: protocol lines */
	bool json;
	bool asked;         /* a person waits for what the one job does: summary and warnings are shown without a terminal, too */
	bool status;        /* the jobs are the configuration's: `status` knows them */
	bool watch;         /* jobs run again and again: one that had nothing to do is not spoken of, nor their sum */
	bool dry_run;       /* planned actions and summaries are shown in any case */
};

struct report;

struct report *report_new(const struct report_params *p, struct err *e);
void report_free(struct report *r); /* clears the progress line; after more than one job, where summaries are shown, a line of totals */
struct event_sink report_sink(struct report *r);
void report_log(void *arg, enum log_level level, const char *context, const char *text); /* a log_sink; arg is the report */
/* A failure that is no job's (configuration, usage): "mailhaul: TEXT" to err; with json an error event of the job "" too. */
void report_error(struct report *r, const struct err *e);
/* One line of JSON to stdout; its LF is added. */
void report_json(struct report *r, const struct strbuf *line);
/* Lines for a person to stdout (status, list, info); escaped already. */
void report_line(struct report *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Write what is held back. -1 (ERR_LOCAL) when something could not be written to stdout since the beginning; a closed pipe is no error. */
int report_flush(struct report *r, struct err *e);

#endif
