/* What happens during a job, told upwards. The engine emits, a worker sends them through its pipe, ui renders them. */
#ifndef SYNC_EVENT_H
#define SYNC_EVENT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

enum event_type {
	EVENT_START,
	EVENT_FOLDER,   /* a folder was opened and holds work: total = messages to copy */
	EVENT_MESSAGE,  /* one message was dealt with */
	EVENT_TREE,     /* a folder was made, removed or renamed */
	EVENT_PROGRESS, /* bytes and messages so far; often; never in JSON */
	EVENT_WARNING,
	EVENT_ERROR,    /* kind, span, text; an item or the whole job */
	EVENT_COMPARED, /* verify: a folder was compared; the DRIFTs that follow are of it; never in JSON */
	EVENT_DRIFT,    /* verify: in this the sides differ */
	EVENT_WAITING,  /* watch: how changes of a side (at) are waited for, or why they are not: text */
	EVENT_CHANGED,  /* watch: something has changed there, which the job is now to look at. folder: where, "" all */
	EVENT_END,
};

enum event_action {
	ACTION_PULL, ACTION_PUSH, ACTION_DELETE, ACTION_FLAGS, ACTION_MOVE,
	ACTION_SKIP,    /* left where it is: larger than max-size */
	ACTION_RESTORE, /* put back by undo */
	ACTION_FORGET,  /* gone from the source: its pair is dropped. Shown in a dry run and with -v */
	ACTION_CREATE, ACTION_REMOVE, ACTION_RENAME, /* TREE */
};

/* Where something is changed: left is the remote side, right the local one. A fetch does not say. */
enum event_at { AT_UNSAID, AT_LEFT, AT_RIGHT };

/* What the sides of a job are to a person: the server and this machine; the remote and the local one, of which both are servers; the source and the target. */
enum event_sides { SIDES_HERE, SIDES_REMOTE, SIDES_ONE_WAY };

/* "at the server", "here", ... */
const char *event_place(enum event_sides sides, bool right);

struct event_totals {
	uint64_t pulled, pushed, deleted, flagged, moved, skipped, failed;
	uint64_t made, removed, renamed; /* folders */
	uint64_t deleted_left;  /* of those deleted */
	uint64_t quarantined, trashed, run; /* of those deleted: kept for a while, or gone to the trash at the left, or from one folder of several there, which undo can take back under this number */
	uint64_t restored;      /* put back by undo */
	uint64_t bytes_in, bytes_out, round_trips;
	uint64_t kept;       /* left on the server by `keep` */
	double seconds;
};

/* How two sides differ. */
enum event_drift {
	DRIFT_MISSING,  /* a message is on one side alone */
	DRIFT_CONTENT,  /* both have one of this Message-ID, and it is not the same */
	DRIFT_FLAGS,    /* both have it, with other flags */
	DRIFT_REFUSED,  /* as MISSING; runs before have tried, and noted why not */
	DRIFT_FOLDER,   /* a folder is on one side alone; its messages are told, too */
};

/* What verify found, in a folder or in all. */
struct event_compared {
	uint64_t folders;
	uint64_t left, right;     /* messages */
	uint64_t same;            /* that both sides hold */
	uint64_t missing[2];      /* at the left, at the right */
	uint64_t content, flags, refused;
	uint64_t missing_folders[2];
	uint64_t extra;           /* one way: that the target alone has. No drift */
	uint64_t left_out;        /* that the job leaves on one side on purpose. No drift */
};

/* Strings are borrowed for the call; NULL or "" when not known. */
struct event {
	enum event_type type;
	const char *job;
	int64_t time;                /* seconds since 1970 */
	bool two_way;                /* START, END: of a job that joins two trees */
	bool one_way;                /* START, END: and of such a one that is a migration */
	bool verify;                 /* START, END: its sides are compared, and nothing else */
	enum event_sides sides;      /* MESSAGE, TREE of a two-way job; COMPARED, DRIFT, END of a verify */
	enum event_action action;    /* MESSAGE, TREE */
	enum event_at at;            /* MESSAGE, TREE */
	const char *folder;          /* FOLDER, MESSAGE, ERROR, WARNING: as the remote side calls it; TREE: as it is called there */
	const char *to;              /* MESSAGE that is moved: the folder it goes to; TREE: the name that it gets */
	const char *right, *right_to; /* MESSAGE: what the right calls these folders; NULL: not said. They stay in the process */
	const char *uid;             /* the message's key at the source */
	uint64_t size;               /* MESSAGE: bytes; 0 unknown */
	bool dry;                    /* MESSAGE, TREE: would be done */
	uint64_t total, total_bytes; /* FOLDER: to be copied; 0 bytes unknown */
	uint64_t done, done_bytes;   /* PROGRESS */
	enum err_kind kind;          /* ERROR */
	enum err_span span;          /* ERROR */
	int retry_after;             /* ERROR: seconds the server asked for; 0 none */
	bool untried;                /* ERROR that ends the job: nothing was tried, as it is too early */
	const char *text;            /* WARNING, ERROR */
	bool trouble;                /* WARNING: a person has to see it, who otherwise would never know: it is shown without a terminal, too */
	bool good;                   /* WARNING: trouble is over. Not on the wire: no worker says it */
	struct event_totals totals;  /* END */
	enum event_drift drift;      /* DRIFT. at: where it is missing; uid: of the side that has it, or of the left. flags: text are those of the left, to of the right; else to is the Message-ID, if it is known; refused: text says why */
	struct event_compared compared; /* COMPARED; END of a verify */
	int exit_code;               /* END: what the job's end means to the shell */
};

struct event_sink {
	void (*put)(void *arg, const struct event *ev);
	void *arg;
};

void event_put(const struct event_sink *sink, const struct event *ev); /* fills in time when 0 */
const char *event_type_name(enum event_type t);     /* "start", "message", ... */
const char *event_action_name(enum event_action a); /* "pull", "delete", ... */
const char *event_drift_name(enum event_drift d);   /* "missing", "content", ... */
void event_compared_add(struct event_compared *sum, const struct event_compared *c);
uint64_t event_compared_drift(const struct event_compared *c); /* in how much the sides differ; 0: they agree */
const char *event_at_name(enum event_at at);        /* "remote", "local", or "" */

#endif
