/*
 * A store: where messages are. The engine knows this interface and no protocol. Small, synchronous, no NULL members: a driver that can't do a thing
 * points at store_cannot_*, which fail with ERR_BUG (the engine asks caps first).
 *
 * Bodies travel between stores in wire form (CRLF). Local drivers convert at their border (mail/eol.h).
 *
 * A message of the open box is named by its `num`, a handle that is good while the box is open, and by its `key`, an identity that lasts:
 * POP3 UIDL, Maildir unique name, mbox digest, IMAP UID. A key may be empty (POP3 server without UIDL, or a UIDL given twice): then the content is the identity.
 *
 * Delivery has steps so that the executor can journal between them:
 *   stage     the body is written where nobody looks (tmp/, a spool)       many times
 *   harden    all that is staged is on disk; keys and hints are final (mbox: the file is locked from here until publish or abandon)
 *   (the executor commits the pairs as pending)
 *   publish   all that is staged becomes visible and durable (rename + directory fsync; append + fsync); or launch, and land once the next group is launched
 * After a crash the executor hands the pending pairs to `recover`, which says which of them are there, and clears away what is half done.
 *
 * A two-way store (STORE_TREE) is a source and a target (POP3: a source alone, for one-way jobs) with folders, which it can look at: what has changed there since the base was made. Looking goes folder by
 * folder over many folders at once, so that a remote driver can ask for the next while it reads one; work is done afterwards, in a box that is opened for it. Where that is
 * nothing but reading messages, the driver is told before (soon).
 */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/slice.h"
#include "base/strbuf.h"
#include "mail/digest.h"
#include "mail/ident.h"
#include "mail/keywords.h"
#include "net/stream.h"

struct store;
struct listener;
struct listen_params;
struct quarantine;
struct quarantine_box;

/* How a side deals with a folder's keywords, whose names both sides share. A driver puts the names of what it shows into the table. */
struct keyword_view {
	struct keywords *table;
	char letter[KEYWORDS_MAX]; /* out: how a Maildir spells each; 0 not at all */
	uint64_t refused;          /* in, out: the store was asked to set these, in this run or before, and can't; whatever else was said, of these it has set none */
};

#define STORE_KEY_MAX 512    /* longer keys of the wire are replaced by "sha256:" and their digest */
#define STORE_HINT_MAX 767
#define STORE_NAME_MAX 255   /* of keys that a target gives */

enum store_caps {
	STORE_SOURCE = 1,   /* list, want/next, remove, commit */
	STORE_TARGET = 2,   /* stage .. recover */
	STORE_REMOTE = 4,   /* counts round trips; can drop the link */
	STORE_MAY_VANISH = 8, /* a missing box is nothing unusual (mail readers remove an empty mbox) */
	STORE_TREE = 16,    /* folders .. set_flags; `gone` and `date` of messages */
	STORE_LATE_KEYS = 32, /* a delivery gets its key by publish (IMAP), not by harden */
};

/* what a folder is: enum folder_attr, or-ed. Roles are those of RFC 6154 */
enum folder_attr {
	FOLDER_NO_SELECT = 1,   /* a level of the tree that holds no messages */
	FOLDER_SUBSCRIBED = 2,
	FOLDER_ALL = 4,
	FOLDER_ARCHIVE = 8,
	FOLDER_DRAFTS = 16,
	FOLDER_FLAGGED = 32,
	FOLDER_JUNK = 64,
	FOLDER_SENT = 128,
	FOLDER_TRASH = 256,
	FOLDER_IMPORTANT = 512,
	FOLDER_NEW = 1024,      /* for folder_create alone: nobody has looked at it, so one that is there already must be empty */
	FOLDER_VIEWS = FOLDER_ALL | FOLDER_FLAGGED | FOLDER_IMPORTANT, /* show messages that are in other folders, too */
	FOLDER_ROLES = FOLDER_ALL | FOLDER_ARCHIVE | FOLDER_DRAFTS | FOLDER_FLAGGED | FOLDER_JUNK | FOLDER_SENT | FOLDER_TRASH | FOLDER_IMPORTANT,
};

#define STORE_STAMP_MAX 128

/* A folder as the tree shows it. Its name is UTF-8 with '/' between levels, whatever the store does; the inbox is "INBOX". */
struct folder_info {
	const char *name;       /* valid during the callback */
	unsigned attrs;
	char stamp[STORE_STAMP_MAX]; /* as box_info's; "" when it can't be told without looking */
	uint64_t messages;      /* UINT64_MAX: not known without looking */
	uint64_t bytes;         /* of all; 0 not known */
};

/* A folder to look at, and what the base knows of it. */
struct look {
	const char *folder;
	const char *stamp;      /* of the last look that led to a full agreement; "" none: all messages are asked for */
	bool all;               /* so they are in any case: the stamp, of whatever look, only shows whether keys still mean what they meant then */
	struct keyword_view *keywords; /* NULL: they don't count */
	bool sizes;             /* a remote driver is to tell size and date of all that it tells, not of new messages alone */
	bool idents;            /* and the Message-ID of new ones, where store_ops.idents can: they may be elsewhere already */
	/* All keys of the base, in any order, for the driver that must find out which are gone; called during look_box or look_next of this folder only. each returns 0 or -1. NULL: none. */
	int (*known)(void *arg, const char *folder, int (*each)(void *to, struct slice key, struct err *e), void *to, struct err *e);
	void *arg;
};

/* A look that was not announced yet. */
struct look_hint {
	bool idents;            /* as look.idents */
	unsigned how;           /* BOX_WRITE or not */
	char stamp[STORE_STAMP_MAX]; /* as look.stamp, without all and sizes. Such a look is asked for only where nothing is waited for because of it, and it does no harm */
	bool asked;             /* out: with such a stamp, it is on its way */
};

/* Is a folder the one that another stamp was taken of, whatever it was called then? */
enum store_same {
	STORE_OTHER,        /* surely not */
	STORE_MAYBE,        /* what is in it must tell */
	STORE_SAME,         /* surely */
};

/* How much a look tells. */
enum look_extent {
	LOOK_SAME,          /* nothing has changed since the stamp; there is nothing to read */
	LOOK_CHANGES,       /* what is new, what has other flags (or may have), what is gone; a key that the base does not know as gone means nothing */
	LOOK_ALL,           /* every message; those not listed are gone */
};

/* A folder that will be opened soon to read messages from: see store_ops.soon. */
struct soon {
	const char *folder;
	unsigned how;           /* as it will be opened, but for BOX_UNCHANGED */
	const struct keyword_view *keywords; /* as store.keywords will be then */
	const struct slice *keys; /* of all messages that will be wanted, in that order */
	size_t n;
	uint64_t bytes;         /* of them all; 0 not known */
};

struct flag_change {
	uint64_t num;
	uint64_t add, del;
};

/* how a box is opened */
enum box_how {
	BOX_READ = 0,
	BOX_WRITE = 1,      /* messages will be removed or delivered */
	BOX_CREATE = 2,     /* make it when it is missing */
	BOX_SIZES = 4,      /* list will be asked for sizes */
	BOX_UNCHANGED = 8,  /* the last look gave it a stamp; or that look, or the stamp that `folders` told, showed it as it was when an earlier one gave that stamp */
};

struct box_info {
	char stamp[STORE_STAMP_MAX]; /* equal stamps: nothing in the box has changed. "" when the driver can't tell */
	uint64_t messages;  /* how many there are, as the store says */
	uint64_t bytes;     /* of all, as the store says; 0 unknown. For progress only: servers lie */
	bool partial;       /* the store may hold more than it lists now (Gmail's batches): open again after commit */
	bool read_is_gone;  /* what was read is not shown again once commit was called (Gmail), or is removed then (EXPIRE 0) */
	bool no_remove;     /* removing is not to be asked of this box (Gmail's recent mode) */
	bool keyless;       /* it can't name its messages: keys are all empty */
	/* STORE_TREE only. */
	enum look_extent extent; /* of a look */
	bool reborn;        /* keys do not mean what they meant when the stamp was taken (UIDVALIDITY): nothing may be concluded from them. LOOK_ALL: all is told as by a look without that stamp, with sizes and idents */
	bool in_order;      /* of a look: it tells messages in the order in which they came there, which their keys do not */
	uint32_t validity;  /* keys are numbers under this one (UIDVALIDITY); 0: they are none */
	bool read_only;
	uint64_t can_hold;  /* flags that it knows at all (mail/flags.h, PERMANENTFLAGS): that one is not shown means something */
	uint64_t can_take;  /* flags that it can be given */
};

struct store_msg {
	uint64_t num;
	struct slice key;   /* valid until the next call of this store */
	uint64_t size;      /* as the store says, in its own line ends; 0 unknown. Looks may leave it and the date to find (see look.sizes) */
	uint64_t flags;     /* mail/flags.h */
	int64_t date;       /* when it arrived there (INTERNALDATE; a file's mtime), seconds since 1970; 0 unknown */
	bool gone;          /* LOOK_CHANGES: the message of this key is there no more; nothing else is set */
	bool has_object;    /* looks, of what they tell the size of: mail/ident.h */
	bool has_mid;       /* where look.idents asks for it */
	unsigned char object[IDENT_OBJECT];
	unsigned char mid[IDENT_MID];
};

/* What a target is told of a message beside its bytes. */
struct store_meta {
	int64_t received;   /* when it was fetched, seconds since 1970 */
	uint64_t flags;
	uint64_t size_hint; /* 0 unknown */
	bool only;          /* it will be the only copy: what may change it on the way is to be refused */
	int64_t date;       /* to be kept as the message's own time of arrival; 0: none but `received`, or what its header tells (IMAP) */
};

struct staged {
	char key[STORE_NAME_MAX + 1];  /* identity in the target; final after harden */
	char hint[STORE_HINT_MAX + 1]; /* what recover needs; final after harden. Printable, opaque */
	uint64_t size;                 /* bytes of the message as stored */
	unsigned char digest[DIGEST_SIZE]; /* of the content; valid after stage */
	bool raw;                      /* kept as it came: it could not survive CRLF -> LF */
	bool dropped;                  /* unstaged: publish passes over it */
	struct err *refused;           /* set by publish: the target won't have this one, and why; the others are there. The caller frees it */
	bool unanswered;               /* set by a publish that failed: it was sent, or begun to be, and nothing was heard of it, or that it is to be tried again */
};

/* One pending delivery of an earlier run. */
struct recovery {
	const char *key, *hint;
	const unsigned char *digest;
	bool found;         /* out */
	struct slice now;   /* out, STORE_LATE_KEYS: the key of what was found; valid until the next call of this store */
};

struct store_ops {
	const char *name; /* "pop3", "maildir", ... */
	unsigned caps;

	/* Open the box ("" is the store's own: the POP3 maildrop, the Maildir or mbox that the path names), connecting first where needed. */
	int (*open_box)(struct store *s, const char *folder, unsigned how, struct box_info *out, struct err *e);
	/* Give the box up without making anything final; a remote driver says goodbye (POP3: QUIT when nothing was marked, else the link is just closed, which undoes the marks). */
	void (*close_box)(struct store *s);

	/* Source. */
	int (*list_start)(struct store *s, struct err *e);
	int (*list_next)(struct store *s, struct store_msg *m, struct err *e); /* 1, 0 at the end, -1 */
	/*
	 * Announce the messages to read, in this order, which a remote driver need not keep to; it pipelines as it can. nums is copied. Then call next until it says 0.
	 */
	int (*want)(struct store *s, const uint64_t *nums, size_t n, struct err *e);
	/*
	 * The next wanted message: 1 with its body in wire form, which the caller reads to the end (0) and frees (freeing early drains it). *i counts from 0 in
	 * the order of want; *body NULL: it is not there any more. -1 with e->span SPAN_MSG: this message can't be had, *i says which, go on with the next call. Any
	 * other span: give up; *i is set if one message was awaited.
	 * A body that ends before its time reads as -1, never as a clean end, where that can be seen in the body. Where it can't (POP3 dots that were not stuffed), what
	 * follows tells: a message is whole once another message has come behind it (a refusal proves nothing), unless the call failed with ERR_PROTO. 0: there are no
	 * more, and the last one too is whole.
	 */
	int (*next)(struct store *s, size_t *i, struct stream **body, struct err *e);
	/*
	 * A hint: these folders will be opened next, in this order, each for nothing but to want and read these messages. A remote driver asks for the next while it reads one.
	 * It may turn out wrong in all it says, which costs time only, and replaces the hint before. No box is open. Copied, but for the views. NULL: the driver has no use for it.
	 */
	void (*soon)(struct store *s, const struct soon *x, size_t n);
	/*
	 * Mark for removal. done is called once for each num, with NULL or why not (SPAN_MSG); -1 when the link or store is lost. Nothing is final before commit, unless store.ending says
	 * that it may be.
	 */
	int (*remove)(struct store *s, const uint64_t *nums, size_t n,
		      void (*done)(void *arg, uint64_t num, const struct err *why), void *arg, struct err *e);
	/* Make the removals final (POP3: QUIT) and close the box. -1: nobody knows which were removed; the next listing will tell. */
	int (*commit)(struct store *s, struct err *e);

	/* Target. */
	int (*stage)(struct store *s, struct stream *body, const struct store_meta *m, struct staged *out, struct err *e);
	/*
	 * Stage a message that another folder holds by this key, without a body; as: its size (0 not known), content and whether it is raw. 1; 0 it is not there (any more), or is something
	 * else, or can't be read; -1. NULL: the driver can't.
	 */
	int (*stage_again)(struct store *s, const char *folder, struct slice key, const struct staged *as, const struct store_meta *m, struct staged *out, struct err *e);
	/* Drop one that was staged since the last publish (it turned out to be a double). out is marked dropped. */
	void (*unstage)(struct store *s, struct staged *out);
	int (*harden)(struct store *s, struct staged *st, size_t n, struct err *e); /* st: all staged since the last publish, in order */
	int (*publish)(struct store *s, struct staged *st, size_t n, struct err *e);
	/*
	 * publish in two halves, where the target's answers take their time: launch may come back before they have come, and the next group is staged, hardened and launched before the first
	 * is landed, in the order of launching. No more than two are on their way at once, and while two are nothing is staged. st lives until it is landed. land: as what publish returns,
	 * for the group that was launched first. When either fails, both groups have failed: none is on its way any more. Both NULL: the driver has no use for it.
	 */
	int (*launch)(struct store *s, struct staged *st, size_t n, struct err *e);
	int (*land)(struct store *s, struct err *e);
	void (*abandon)(struct store *s); /* drop all that is staged and not published, nor launched */
	int (*recover)(struct store *s, struct recovery *r, size_t n, struct err *e); /* in the order they were staged */

	/*
	 * Tree. folders: all that there are, connecting first where needed; cb returns 0 or -1. create makes missing levels above it, too, and succeeds when it is there, unless it may hold messages and FOLDER_NEW is said (ERR_TEMP); "" makes the
	 * root of a local store.
	 * folder_remove removes the folder with what is in it, but not those below it; it fails when someone put something there that `expected` messages don't account for.
	 * folder_rename gives a folder that is there a name that none has, making missing levels above it; those below it may go with it or stay, the next `folders` tells.
	 * Durable when it returns. same_box judges by stamps alone, and never says no to what it does not know.
	 */
	int (*folders)(struct store *s, int (*cb)(void *arg, const struct folder_info *f, struct err *e), void *arg, struct err *e);
	int (*folder_create)(struct store *s, const char *folder, unsigned attrs, struct err *e);
	int (*folder_remove)(struct store *s, const char *folder, uint64_t expected, struct err *e);
	int (*folder_rename)(struct store *s, const char *from, const char *to, struct err *e);
	enum store_same (*same_box)(const char *then, const char *now);
	/*
	 * The name that is nearest to this one and that the store can hold, appended to out, once `folders` was asked: 1; 0 it can hold it as it is, nothing appended; -1. What else
	 * speaks against a name (its length, what is reserved) folder_create tells. NULL: it can hold any.
	 */
	int (*fit)(struct store *s, const char *folder, struct strbuf *out, struct err *e);
	/*
	 * Announce folders to look at, in this order; how: BOX_WRITE or not. The array lives until the looks are read or another box is opened. look_box goes to the
	 * next: 1 with *i (as announced) and its info, 0 there are no more, -1 (SPAN_BOX: this one can't be looked at, go on). look_next: as list_next, num not set.
	 * look_take, before look_next, where that tells all: the message of that key, which look_next does not tell then; false: there is none. NULL: look_next tells all.
	 */
	int (*look)(struct store *s, const struct look *l, size_t n, unsigned how, struct err *e);
	int (*look_box)(struct store *s, size_t *i, struct box_info *out, struct err *e);
	int (*look_next)(struct store *s, struct store_msg *m, struct err *e);
	bool (*look_take)(struct store *s, struct slice key, struct store_msg *m);
	/*
	 * A message of the open box, which had these flags when last seen: 1 with its num and, where that costs no round trip, its size, date and flags as they
	 * are now (else 0 and the flags given); 0 it is not there (a remote driver need not ask: 1 then); -1. m->key is not set.
	 */
	int (*find)(struct store *s, struct slice key, uint64_t flags, struct store_msg *m, struct err *e);
	/*
	 * What tells messages of the open box apart, where that can be had without their bodies: size, date, Message-ID, the object's id. tell is called once for each that is
	 * there, in any order. marks: those of other programs (mail/mark.h), too, for which a server may have to read the messages. NULL: the driver's bodies are at hand, to
	 * be read instead.
	 */
	int (*idents)(struct store *s, const uint64_t *nums, size_t n, bool marks, void (*tell)(void *arg, uint64_t num, const struct ident *id), void *arg, struct err *e);
	/* A hint: of these messages of the open box idents (without marks) will be asked, behind the next set_flags, with which a remote driver asks already. Copied. NULL: the driver has no use for it. */
	void (*idents_soon)(struct store *s, const uint64_t *nums, size_t n);
	/*
	 * Move messages of the open box (BOX_WRITE) to a folder that is there. done is called once for each: with its key there, when the move is durable; with an
	 * empty key when it arrived there and nobody knows as what, nor whether it has left: looks will tell; or with why it was not moved at all (SPAN_MSG). -1: the
	 * same is true of those of which nothing was told. The box is closed.
	 */
	int (*move)(struct store *s, const uint64_t *nums, size_t n, const char *folder, struct keyword_view *there,
		    void (*done)(void *arg, uint64_t num, struct slice key, const struct err *why), void *arg, struct err *e);
	/* As move, but they stay where they are as well; keys are not told. NULL: the driver can't. */
	int (*copy)(struct store *s, const uint64_t *nums, size_t n, const char *folder, struct keyword_view *there,
		    void (*done)(void *arg, uint64_t num, struct slice key, const struct err *why), void *arg, struct err *e);
	/* The directory of a folder, for the notes that other programs keep there beside its messages: a descriptor, which the caller closes. NULL: the store has none. */
	int (*folder_dir)(struct store *s, const char *folder, struct err *e);
	/* done is called once for each, NULL or why not (SPAN_MSG), when the change is durable or acknowledged. One that is not there any more is done: the next look tells. */
	int (*set_flags)(struct store *s, const struct flag_change *c, size_t n,
			 void (*done)(void *arg, uint64_t num, const struct err *why), void *arg, struct err *e);

	/*
	 * Put messages that were removed, and kept in the quarantine, back into the open box (BOX_WRITE), under names that are new; again after an interruption, no message
	 * is put back twice. done is called for each: with its key and size, when it is durably here and there no more, or with why it stays there (SPAN_MSG). -1: the
	 * same is true of those of which was told. The box is closed.
	 */
	int (*restore)(struct store *s, const struct quarantine_box *from, int64_t run,
		       void (*done)(void *arg, struct slice key, uint64_t size, const struct err *why), void *arg, struct err *e);

	/* Wait for changes of what others, and we, do (listen.h), beside whatever else the store does. NULL: the driver can't. */
	struct listener *(*listen)(struct store *s, const struct listen_params *p, struct err *e);

	void (*free)(struct store *s); /* closes everything; NULL is not passed */
};

struct store {
	const struct store_ops *ops;
	struct net_stats stats; /* remote drivers count here, over all their connections */
	bool torn;              /* set by a call of next that failed: the end of the body before it made no sense, so nobody knows whether that was whole */
	bool unsized;           /* its bodies come without lengths: once what follows one makes no sense, of none before it in the same run is it certain which message it belongs to */
	bool elsewhere;         /* set while remove tells what is done, if there is a trash: the message did not go to it, but has left this folder alone, and is in others still */
	struct { uint64_t size; int64_t date; } given; /* set by next with a body, where it costs nothing: the size and date of the message, as find tells them; else 0 */
	bool will_read;         /* set by the engine while it calls find, if it reads what is found at once: a driver may take it for granted that it is there, and tell num alone */
	bool ending;            /* STORE_TREE: set by the engine while it calls remove, if commit follows at once, whatever is told: a driver may make removals final with the mark */
	struct keyword_view *keywords; /* STORE_TREE: of the folder that is opened next, or is open; NULL: they don't count. Borrowed, set by the engine */
	const char *trash;      /* STORE_TREE: the folder that removed messages are moved to, unless they are in it; NULL: none. Borrowed, set by the engine */
	struct quarantine *quarantine; /* where removed messages, and those of removed folders, are kept for a while; NULL: they are not. As trash. Of a driver that can restore */
	bool afresh;            /* STORE_TREE: the base knows no folder yet, so that after folders all is looked at. A hint, set by the engine */
	struct look_hint *foreseen; /* STORE_TREE: how INBOX will likely be looked at, first, once folders has told what there is. A hint, set by the engine; NULL: nobody knows */
	bool counts;            /* STORE_TREE: folders tells messages and bytes where that is possible at all, whatever it costs. Set by who shows them */
};

void store_free(struct store *s); /* NULL is fine */

/*
 * What tells messages of the open box apart, by their bodies, which are read for it: as store_ops.idents, with the digest and without the date (store.given has it). Nothing is told of one
 * that can't be read, or is larger than most (0: it may be of any size).
 */
int store_read_idents(struct store *s, const uint64_t *nums, size_t n, uint64_t most, void (*tell)(void *arg, uint64_t num, const struct ident *id), void *arg, struct err *e);

int store_cannot_list_start(struct store *s, struct err *e);
int store_cannot_list_next(struct store *s, struct store_msg *m, struct err *e);
int store_cannot_want(struct store *s, const uint64_t *nums, size_t n, struct err *e);
int store_cannot_next(struct store *s, size_t *i, struct stream **body, struct err *e);
int store_cannot_remove(struct store *s, const uint64_t *nums, size_t n,
			void (*done)(void *arg, uint64_t num, const struct err *why), void *arg, struct err *e);
int store_cannot_commit(struct store *s, struct err *e);
int store_cannot_stage(struct store *s, struct stream *body, const struct store_meta *m, struct staged *out, struct err *e);
void store_cannot_unstage(struct store *s, struct staged *out);
int store_cannot_harden(struct store *s, struct staged *st, size_t n, struct err *e);
int store_cannot_publish(struct store *s, struct staged *st, size_t n, struct err *e);
void store_cannot_abandon(struct store *s);
int store_cannot_recover(struct store *s, struct recovery *r, size_t n, struct err *e);
int store_cannot_folders(struct store *s, int (*cb)(void *arg, const struct folder_info *f, struct err *e), void *arg, struct err *e);
int store_cannot_folder_create(struct store *s, const char *folder, unsigned attrs, struct err *e);
int store_cannot_folder_remove(struct store *s, const char *folder, uint64_t expected, struct err *e);
int store_cannot_folder_rename(struct store *s, const char *from, const char *to, struct err *e);
enum store_same store_cannot_same_box(const char *then, const char *now); /* always "maybe" */
int store_cannot_look(struct store *s, const struct look *l, size_t n, unsigned how, struct err *e);
int store_cannot_look_box(struct store *s, size_t *i, struct box_info *out, struct err *e);
int store_cannot_look_next(struct store *s, struct store_msg *m, struct err *e);
int store_cannot_find(struct store *s, struct slice key, uint64_t flags, struct store_msg *m, struct err *e);
int store_cannot_move(struct store *s, const uint64_t *nums, size_t n, const char *folder, struct keyword_view *there,
		      void (*done)(void *arg, uint64_t num, struct slice key, const struct err *why), void *arg, struct err *e);
int store_cannot_set_flags(struct store *s, const struct flag_change *c, size_t n,
			   void (*done)(void *arg, uint64_t num, const struct err *why), void *arg, struct err *e);
int store_cannot_restore(struct store *s, const struct quarantine_box *from, int64_t run,
			 void (*done)(void *arg, struct slice key, uint64_t size, const struct err *why), void *arg, struct err *e);

/* For the ops of a driver without STORE_TREE. */
#define STORE_NO_TREE \
	.folders = store_cannot_folders, .folder_create = store_cannot_folder_create, .folder_remove = store_cannot_folder_remove, \
	.folder_rename = store_cannot_folder_rename, .same_box = store_cannot_same_box, \
	.look = store_cannot_look, .look_box = store_cannot_look_box, .look_next = store_cannot_look_next, .find = store_cannot_find, \
	.move = store_cannot_move, .set_flags = store_cannot_set_flags, .restore = store_cannot_restore

#endif
