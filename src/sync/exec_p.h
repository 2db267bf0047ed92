/* The executor's own: what exec.c has for execcopy.c and execchange.c. */
#ifndef SYNC_EXEC_P_H
#define SYNC_EXEC_P_H

#include "state/runs.h"
#include "sync/exec.h"

/* A message in the group, between stage and publish. */
struct exec_item {
	struct work *w;
	int64_t pair;
	struct told told; /* two-way; of a fetch, mid: the beginning of `plain`, if that differs from the digest */
	bool has_plain;   /* fetch, of one that is unsure */
	unsigned char plain[DIGEST_SIZE]; /* without Status lines (mail/status.h) */
};

/* Memory for a group of n messages, or as many as a group may have. Between groups. */
int exec_make_room(struct exec *x, size_t n, struct err *e);

/*
 * Notes on single messages share a transaction, the group's if one comes by: each commit waits for the disk. How many wait, and for how long, is bounded, as a
 * process can be killed; exec_copy leaves none behind.
 */
int exec_begin_note(struct exec *x, struct err *e);
int exec_end_note(struct exec *x, struct err *e);

/* A message that can't be had, or not delivered, while the others can: note it for a later try, tell it, go on. */
int exec_item_failed(struct exec *x, const struct work *w, const struct err *why, struct err *e);
/* The same; it is tried again after `pause` seconds. */
int exec_item_failed_for(struct exec *x, const struct work *w, const struct err *why, int64_t pause, struct err *e);

/* Seconds until what has failed so often before is tried again. */
int64_t exec_pause(unsigned tries);
/* Note a failure. */
int exec_note_failure(struct exec *x, const struct failure *f, struct err *e);

/*
 * A session broke at this message, or perhaps because of it: some servers break off at one, or stall, whenever it is asked for or sent, and none behind it would ever go over. The
 * first time this is but noted, so that its turn comes when all others are there. The second time it is told, and left to the next run, where its turn is the last again: a link may
 * break twice. From then on there are pauses, which grow where other messages went over; else it may be the server that is ill.
 */
int exec_suspect(struct exec *x, const struct work *w, const struct err *broken, struct err *e);

/* Two-way: must it go over with no other beside it, as a session that breaks then breaks because of it? */
bool exec_goes_alone(const struct exec *x, const struct work *w);

/* What was done to a message. */
void exec_tell_message(struct exec *x, enum event_action action, struct slice key, uint64_t size);

/* Of keywords that the target has refused nothing is agreed on. */
uint64_t exec_agreed(const struct exec *x, const struct work *w);

/* A pair under this work's key that stands for other content loses the key. */
int exec_take_key(struct exec *x, const struct work *w, struct err *e);

/* Make the group durable and seen: harden, journal, publish. And the one before it, where that is on its way still. */
int exec_flush_group(struct exec *x, struct err *e);
/* The same of a group behind which others come: it may be on its way when this returns, with its pairs pending. */
int exec_send_group(struct exec *x, struct err *e);
/* What is on its way has arrived; its pairs are settled. What was noted of single messages may wait in the open transaction. */
int exec_land_group(struct exec *x, struct err *e);
/* The same of the last one; if it can't be sent, the one before it lands. */
int exec_send_last(struct exec *x, struct err *e);

/* All that is published is known to be: so say in the base. */
int exec_settle_now(struct exec *x, bool light, struct err *e); /* light: nothing is removed behind it */

/* The same as a part of the transaction that is open. */
int exec_settle_pairs(struct exec *x, struct err *e);

#endif
