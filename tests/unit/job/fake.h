/* Jobs that do nothing but what a test of workers and scheduler needs. They stand in for job.c: its functions are defined here, so that the archive's are not linked. */
#ifndef FAKE_H
#define FAKE_H

#include <sys/types.h>

#include "job/sched.h"

#define FAKE_JOBS 16

/* Memory that test and workers share. */
struct board {
	int running, most;          /* jobs at the moment, and at most */
	int collisions;             /* two jobs on one account */
	int busy[FAKE_JOBS];        /* by account */
	int started[FAKE_JOBS], ended[FAKE_JOBS]; /* by job: the how-manieth, from 1 */
	int starts, ends;
	int signal[FAKE_JOBS];      /* by job: what cancelled it */
	int go;                     /* jobs that wait for a word */
	pid_t pid[FAKE_JOBS];
	pid_t helper, daemon, background;
	int stop, termed;           /* the end, for what is in the background; whether it was asked to end before */
};

extern struct board *board;

enum fake_kind {
	FAKE_OK, FAKE_FAILED_ITEMS, FAKE_REFUSED, FAKE_SEGV, FAKE_KILLED, FAKE_EXIT, FAKE_NO_END, FAKE_GARBAGE,
	FAKE_UNTIL_SIGNAL,  /* ends with ERR_CANCEL */
	FAKE_STUBBORN,      /* is cancelled, but does not end */
	FAKE_UNTIL_GO,      /* until board->go */
	FAKE_TOGETHER,      /* until board->go jobs run at once, for a while */
	FAKE_CHATTER,       /* 20,000 messages */
	FAKE_HELPER,        /* leaves a process behind that holds the pipe, and dies */
	FAKE_SPINS,         /* until board->go, and uses the processor */
	FAKE_HELPERS,       /* starts a helper in a group of its own, a daemon of its own session, and dies */
	FAKE_LIMITS,        /* END's `pulled` is 1 when its limits are as they should be */
	FAKE_BACKGROUND,    /* has a helper that puts something into the background, and goes on until board->go */
	FAKE_FDS,           /* END's `pulled` is how many pipes it can read from, beside its cancel pipe */
};

struct fake {
	enum fake_kind kind;
	int code;      /* FAKE_EXIT */
	int account;   /* 0: one of its own */
	int host;      /* 0: one of its own */
	unsigned connections;
};

extern struct fake fakes[FAKE_JOBS];
extern struct job_params fake_params[FAKE_JOBS];

void fake_begin(void); /* jobs "0", "1", ..., all FAKE_OK */
void fake_end(void);

/* Give accounts and hosts what `fakes` says. */
void fake_claims(void);
struct config_job *fake_job(int i);

/* Wait until *p is above n, 20 s at most: a test that fails must end. */
bool fake_wait(const int *p, int n);

/* What came, as text: "start 0\nend 0 code\n". */
extern struct strbuf fake_said;
struct wire_sink fake_sinks(void);

#endif
