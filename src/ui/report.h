/*
 * Events for a person: on a terminal a progress line for what takes longer than half a second and one summary line per job; without a terminal nothing unless
 * something is wrong; -v each action; -q errors only. With json, JSON Lines on stdout instead (jsonl.h), errors there too. One process writes, this one.
 */
#ifndef UI_REPORT_H
#define UI_REPORT_H

#include "base/log.h"
#include "sync/event.h"

struct report_params {
	int out, err;       /* file descriptors: summaries and dry-run plans; errors and warnings */
	bool tty;           /* err is a terminal: progress, summaries */
	bool quiet;
	int verbose;        /* 0, 1: actions, 2: protocol lines */
	bool json;
	bool dry_run;
	bool many;          /* more than one job: lines begin with the job's name anyway; totals at the end */
};

struct report;

struct report *report_new(const struct report_params *p, struct err *e);
void report_free(struct report *r); /* clears the progress line */
struct event_sink report_sink(struct report *r);
void report_log(void *arg, enum log_level level, const char *context, const char *text); /* a log_sink; arg is the report */
/* A failure that is no job's (configuration, usage): "mailhaul: TEXT". */
void report_error(struct report *r, const struct err *e);
/* One line of JSON to stdout; its LF is added. */
struct strbuf;
void report_json(struct report *r, const struct strbuf *line);
/* Lines for a person to stdout (status, list, info); escaped already. */
void report_line(struct report *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
