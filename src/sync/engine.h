/*
 * One job, run once: two stores, one base, one planner. The engine observes both sides against the base (src/state), has the pure planner (plan.h) decide
 * and the executor (exec.h) act.
 */
#ifndef SYNC_ENGINE_H
#define SYNC_ENGINE_H

#include "state/db.h"
#include "store/quarantine.h"
#include "store/store.h"
#include "sync/budget.h"
#include "sync/event.h"
#include "sync/folders.h"
#include "sync/plan.h"

#define ENGINE_FAILURE_PAUSE 3600 /* seconds before a refused message is tried again; doubles up to FAILURE_PAUSE_MAX */

struct engine_params {
	const char *job;          /* name, for events */
	struct plan_policy policy;
	const char *folder;       /* the target's folder, "" for its own box */
	const char *target;       /* where that is, as the person wrote it: with another than the last time mail begins anew there. NULL: always the same */
	uint64_t flags;           /* fetch: flags the delivered messages get */
	unsigned purge_after;     /* make removals final after so many; 0: once at the end */
	struct budget *budget;    /* NULL: none. For the caller, who notes at the end what was used */
	bool dry_run;
	int stop_at;              /* tests: leave the process before step N (MAILHAUL_STOP_AT); 0 never */
};

/*
 * Run it. db is open for this job and locked. Events: FOLDER, MESSAGE, PROGRESS, WARNING, ERROR (items); the caller emits START and END.
 * *totals is filled in any case. 0: all done, totals->failed may be above 0. -1: *e says why the job stopped; what was done stays done and the next run goes on.
 */
int engine_fetch(const struct engine_params *p, struct store *src, struct store *dst, struct db *db, const struct event_sink *sink, struct event_totals *totals,
		 struct err *e);

/* Where a two-way job may do something. Left is the remote side, right the local one; of a migration left is the source, right the target. */
enum sync_where { SYNC_BOTH, SYNC_LEFT, SYNC_RIGHT, SYNC_NONE };

struct sync_params {
	const char *job;
	struct folders_params folders;
	enum sync_where del;          /* where messages are deleted that were deleted on the other side */
	enum sync_where create;       /* where folders are made that the other side has */
	bool remove_folders;          /* folders that hold messages are removed, too, where remove_where says; else only empty ones */
	enum sync_where remove_where;
	uint64_t max_size;            /* of messages that are pulled; 0 none */
	int64_t max_age;              /* seconds, likewise */
	struct plan_max_delete max_delete;
	const char *trash;            /* folder at the left, or its role ("@trash"): what is deleted there is moved to it; NULL: it is expunged */
	const char *take_over;        /* where mbsync's state is, if not in the folders (takeover.c); NULL: there */
	const char *right_name;       /* "maildir:/home/jane/Mail", for texts */
	int64_t quarantine;           /* seconds that what is deleted at the right is kept; 0: not at all. For the caller, who sets right->quarantine */
	int64_t run;                  /* under which it is noted what goes to the trash, for undo; 0: it is not */
	bool one_way;                 /* a migration: what the left has is copied to the right, with its flags, moves and folders; nothing at the left is changed */
	bool delete_source;           /* but that there is deleted, one_way, what is durably on the right */
	bool allow_deletions;         /* the person has said so: neither max_delete nor an empty side stops the job */
	struct budget *budget;        /* as in engine_params */
	bool restore;                 /* what was deleted on one side is copied there again, instead of deleted on the other */
	bool settle;                  /* look again, over the same connection, after something was done at a server: the base then has stamps of after that, which who waits for changes compares (peek.h) */
	bool dry_run;
	int stop_at;
	size_t slice;                 /* tests: so many new messages of a folder are copied together; 0: as many as are best */
	int64_t now;
};

/* Run a two-way job; as engine_fetch. Both stores have STORE_TREE. A folder that can't be synced is told as an ERROR event and counts in totals->failed. */
int engine_sync(const struct sync_params *p, struct store *left, struct store *right, struct db *db, const struct event_sink *sink, struct event_totals *totals,
		struct err *e);

struct undo_params {
	const char *job;
	const struct quarantine *quarantine;
	int64_t run;                  /* 0: the last of which something can be put back */
	const char *right_name;
	const char *trash;            /* as in sync_params: where to look if that of then is not there any more */
	bool dry_run;
	int stop_at;
};

struct undone {
	int64_t run;
	uint64_t trashed;             /* so many messages of it had gone to the trash at the left, or stayed in others of its folders, as the base has it; those that came back before are among them */
	int steps;                    /* of the tests */
};

/*
 * Put back at the right what a run deleted there, and at the left what it moved to the trash there, or took from one folder of several; the next run brings it to the other
 * side. As engine_sync. The left is not asked for anything where nothing is known to be so.
 * Interrupted at any moment and done again, each message comes back once. What is not in the trash any more is told, and not looked for again. ERR_USAGE: there is nothing
 * to put back.
 */
int engine_undo(const struct undo_params *p, struct store *left, struct store *right, struct db *db, const struct event_sink *sink, struct event_totals *totals,
		struct undone *out, struct err *e);

#define VERIFY_NAMED 20 /* differences of a folder that are told one by one, unless all are wanted */

struct verify_params {
	const char *job;
	const struct sync_params *sync; /* of a two-way job, or a migration; NULL: of a fetch, whose source is one box, and */
	const char *folder;             /* the target's, of a fetch */
	const char *listed;             /* by what the target calls it where it can be read, if that is another name (the one file of an mbox: "INBOX"); else NULL */
	uint64_t max_size;              /* of messages that a fetch takes; 0 none */
	bool full;                      /* read every body; else what size and Message-ID leave in doubt */
	bool all;                       /* tell every difference by itself */
	int64_t now;
};

/*
 * Compare what both sides hold, folder by folder: the same messages, as many times, with the same flags? What is compared are wire forms, without marks of other programs
 * (mail/mark.h), by size and Message-ID, or by SHA-256 of the content. One way (a fetch, a migration) what the target has besides is no difference. Nothing is changed, neither there
 * nor in the base, which is there to be looked at, for what it knows of refusals; it may be empty. What changes meanwhile on a side may show as a difference.
 *
 * As engine_sync; both stores are sources, and but for a fetch have STORE_TREE. Events: COMPARED and DRIFT, too. What can't be read is told as an ERROR event and
 * counts in totals->failed. *out is filled in any case. 0: all was compared, but for what failed, and *out says with what result. -1: it could not be.
 */
int engine_verify(const struct verify_params *p, struct store *left, struct store *right, struct db *db, const struct event_sink *sink, struct event_totals *totals,
		  struct event_compared *out, struct err *e);

#endif
