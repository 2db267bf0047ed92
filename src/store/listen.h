/*
 * Waiting for changes in a store, whoever makes them.
 *
 * What a listener tells is a hint: something may have happened in this folder; the engine finds out what. A hint may come for nothing (of our own changes, too), but while a
 * listener stands none is lost: what it can't tell by folder (a queue that overflowed, a list of folders that has changed, a root that went or came) it tells as all of them
 * (folder NULL). Hints of one folder collapse.
 *
 * It begins with the moment it is made, and tells nothing of what was before: who wants to know whether something happened between the last sync and that moment asks for
 * stamps, once it stands.
 *
 * A caller polls fds() until when(), or calls take at once while pending(). It is one of the house's own waits: SIGTERM ends it (ERR_CANCEL).
 *
 * How long may take, probe, stamp and folders last? Local listeners: as long as it takes to read what is at hand, or to look at the tree once; they wait for nobody. Remote ones
 * read what the server has begun to say to its end, and wait for answers to what they ask (when a wait is begun anew, when folders are asked for their STATUS): usually one
 * round trip, and never longer than the account's timeout at a stretch, after which the link is given up. What else is to be heard meanwhile waits.
 */
#ifndef STORE_LISTEN_H
#define STORE_LISTEN_H

#include "base/clock.h"
#include "base/strbuf.h"
#include "store/store.h"

#define LISTEN_FDS_MAX 8

struct listen_params {
	const char *const *folders; /* those that the job syncs, named as in store.h. Copied, as idle is */
	size_t n;
	/*
	 * Where the server can tell of one folder at a time only (no NOTIFY): to be told of at once; none: INBOX. The first is waited for on the connection that every listener has, each
	 * of the next on one of its own, LISTEN_FDS_MAX in all; for what is beyond that, for which the server gives no connection, or what is no folder there, and for all others, STATUS is asked at intervals.
	 */
	const char *const *idle;
	size_t n_idle;
	msec_t interval; /* of looks, where nothing tells by itself; 0: LISTEN_INTERVAL_MS. More where each folder needs a command */
	msec_t period;   /* after which a wait on a server is begun anew, and all of it looked at to be sure; 0: LISTEN_PERIOD_MS. Less where the server was found to end it before */
};

#define LISTEN_INTERVAL_MS 60000
#define LISTEN_PERIOD_MS (28 * 60000) /* servers may end what lasts for 30 minutes (RFC 2177) */

struct listener;

struct listener_ops {
	const char *name;
	/* What to wait for. They may be others after each call below. How many; 0: there is nothing but the moment. */
	size_t (*fds)(struct listener *l, struct wait_item w[LISTEN_FDS_MAX]);
	/* Is something at hand already, which no descriptor shows (read ahead by TLS or DEFLATE; hints that are known)? Then take is due. */
	bool (*pending)(struct listener *l);
	/* When take is due though nothing came (clock_now). */
	msec_t (*when)(struct listener *l);
	/* Do what is due, and tell hints. -1: it has come to its end (the link is lost, *e says why), and what it had to tell was told; the caller frees it and makes another, after a pause. */
	int (*take)(struct listener *l, void (*hint)(void *arg, const char *folder), void *arg, struct err *e);
	/* Is it still alive? For a moment when there is doubt: after a suspend, when the network has come back. Hints that turn up are told by the next take, which is pending then. -1 as take. */
	int (*probe)(struct listener *l, struct err *e);
	/* The folder's stamp, as a look or `folders` would give it now: 1; 0 it can't be told, or there is no such folder; -1: as take. */
	int (*stamp)(struct listener *l, const char *folder, char out[STORE_STAMP_MAX], struct err *e);
	/*
	 * These folders are synced from now on; what is begun goes on. Also when they are those of before, but a server's list has changed (a hint of all): one that was not there may be now.
	 * -1: as take, or out of memory.
	 */
	int (*folders)(struct listener *l, const char *const *folders, size_t n, struct err *e);
	/* For a person, and what can be done about what is wrong: "NOTIFY"; "IDLE on INBOX, STATUS of 12 folders every 5 min"; "inotify"; "looks every 60 s (...)". Appended. */
	void (*how)(struct listener *l, struct strbuf *out);
	void (*free)(struct listener *l); /* NULL is not passed */
};

struct listener {
	const struct listener_ops *ops;
};

/* A listener of a store that outlives it. Remote: dials, and it is -1 what login is; NULL with *e. ERR_BUG: the driver can't (store_ops.listen). */
struct listener *listener_new(struct store *s, const struct listen_params *p, struct err *e);
void listener_free(struct listener *l); /* NULL is fine */

/* "60 s", "5 min", "1 h" */
void listen_put_interval(struct strbuf *out, msec_t interval);

/* ---- for drivers: the folders, and what is to be told of them ---- */

struct listen_folders {
	char **names;    /* sorted */
	bool *hinted;
	size_t n;
	bool all, any;   /* all of them; any at all */
};

/* Begin with these, or go on with others: what is to be told of those that stay is told. -1, as it was then. */
int listen_folders_set(struct listen_folders *f, const char *const *names, size_t n, struct err *e);
void listen_folders_release(struct listen_folders *f);
bool listen_folders_find(const struct listen_folders *f, const char *name, size_t *i);
void listen_hint(struct listen_folders *f, size_t i);
void listen_hint_all(struct listen_folders *f);
/* Tell all that is to be told, once. */
void listen_tell(struct listen_folders *f, void (*hint)(void *arg, const char *folder), void *arg);

#endif
