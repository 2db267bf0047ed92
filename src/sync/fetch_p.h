/* A fetch's own: fetch.c frames its sessions, walk.c goes through the listing of one. */
#ifndef SYNC_FETCH_P_H
#define SYNC_FETCH_P_H

#include "state/pairs.h"
#include "state/runs.h"
#include "sync/engine.h"
#include "sync/exec.h"
#include "sync/worklist.h"

#define GONE_KEPT (30 * 86400) /* seconds a pair is remembered after its message left the source */

/* A message that failed, or was left out, in an earlier run. */
struct earlier {
	struct slice key;
	int64_t next;
	unsigned tries;
	bool suspect; /* a session broke at it: it is asked for when all others are there */
	bool seen;
};

/* One job on its way. */
struct fetch {
	const struct engine_params *p;
	struct store *src, *dst;
	struct db *db;
	const struct event_sink *sink;
	struct event_totals *totals;
	struct folder_row folder;
	struct pairs_summary base;
	struct box_info info;
	struct claims claims;
	struct exec x;
	struct worklist removals; /* of this session, for when all is copied: the line need not stand still for them between two slices */
	bool target_open;
	struct arena failed_keys;
	VEC(struct earlier) failed;
	uint64_t had, took;      /* the last session: messages that were listed, and removed */
	uint64_t behind;         /* messages that sessions which ended well have done with */
	unsigned repeats;        /* sessions that broke, and told nothing of which messages had come */
	unsigned barren;         /* sessions in a row that broke before anything came */
	bool suspects_turn;      /* all others are there */
	struct err unconfirmed;  /* how a session ended that had asked for removals */
	/* This session. */
	uint64_t removed, again;
	bool more;               /* it ended before the listing did */
	bool doubt;              /* of some messages it is not known whether they were removed */
	bool at_once;            /* purge_after is not heeded: removals are not known to happen, and the first messages would be all that is ever looked at */
	bool copying;            /* it has not come to the removals */
	uint64_t later;          /* suspects that wait for their turn */
	uint64_t held;           /* messages that came in an earlier session of this run, as far as their names tell: to be looked at in the next run */
	bool unsure;             /* some keys are of the kind that is given again */
	bool unread;             /* some messages that only their content can tell were not read... */
	uint64_t unread_size;    /* ...the smallest of them; 0 not known */
};

/* fetch.c. */
void fetch_tell_planned(struct fetch *g, enum event_action action, struct slice key, uint64_t size);
/* Open the target, once: where mail was delivered before, a folder that has vanished (an unmounted disk) is not made anew. */
int fetch_open_target(struct fetch *g, struct err *e);

/* walk.c. Have the failures of earlier runs at hand, by key. */
int walk_load_failures(struct fetch *g, struct err *e);
/* First walk: which pairs of the base does the source still hold? Needed before content is compared or a pair called gone. */
int walk_claim(struct fetch *g, struct err *e);
/* Second walk: plan and do. Ends early when purge_after messages are to be made final. */
int walk_work(struct fetch *g, struct err *e);
/* Mark at the source what is to be removed there. */
int walk_remove(struct fetch *g, struct err *e);
/* Mark the pairs whose message has left the source. */
int walk_forget_gone(struct fetch *g, struct err *e);

#endif
