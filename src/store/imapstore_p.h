/*
 * An IMAP store from inside. Its parts:
 *   imapstore.c  the link, flights of commands, the selected mailbox
 *   imapstamp.c  stamps
 *   imapname.c   names of folders
 *   imaplist.c   the list of folders
 *   imaptree.c   folders that are known, made, removed
 *   imaplook.c   looks and listings
 *   imaplookask.c what they ask
 *   imapgone.c   what a look finds gone
 *   imaptake.c   bodies
 *   imapwant.c   those that are waited for
 *   imapbody.c   as streams
 *   imapask.c    asking for them
 *   imapaide.c   further connections (imapaide_p.h): which are called,
 *   imapshare.c  and what is asked for over them
 *   imapsoon.c   and for those of the folders that are opened next
 *   imapident.c  what tells messages apart
 *   imapuids.c   one question about many messages
 *   imapbatch.c  one command for many messages
 *   imapmark.c   flags and removals
 *   imaplabels.c what is in other folders, too
 *   imapmove.c   moves and copies to another folder
 *   imapstage.c  deliveries, until they are sent
 *   imapput.c    sending them
 *   imapland.c   one group behind another, and what came of them
 *   imapseek.c   deliveries that are to be found again
 *   imaplisten.c waiting for changes (imaplisten_p.h), over connections of its own
 */
#ifndef STORE_IMAPSTORE_P_H
#define STORE_IMAPSTORE_P_H

#include "base/spool.h"
#include "base/vec.h"
#include "mail/uidset.h"
#include "store/imapstore.h"

/* bytes of a UID set in a command without names */
#define IMAPSTORE_SET_MAX (IMAP_LINE_ADVICE - 128)

/* What a stamp says; 0: unknown. */
struct imapstamp {
	uint32_t validity, uidnext, messages;
	uint64_t modseq;
	uint64_t id; /* of its MAILBOXID; 0 not known */
};

/* A folder, known by listing or by use. Lives as long as the store. */
struct imapfolder {
	char *name;             /* the engine's */
	char *wire;             /* the server's */
	unsigned attrs;         /* enum folder_attr */
	bool listed;            /* by the last listing */
	struct imapstamp stamp; /* as STATUS said in the last listing; validity 0: it did not */
	bool status;            /* stamp.messages is known */
	uint64_t bytes;         /* likewise; 0 not known */
	uint32_t looked;        /* UIDVALIDITY by which its keys were understood; 0: not yet */
};

/* The mailbox that is selected. */
struct imapselected {
	struct keyword_view *keywords; /* NULL: they don't count */
	struct imapfolder *f; /* NULL: none */
	bool write;
	bool has_exists, has_permanent, read_only;
	bool stale;      /* we changed it since: to be selected anew when it is opened again */
	uint32_t exists; /* by the end of SELECT; later news don't count */
	uint32_t validity, uidnext;
	uint64_t modseq, id;
	uint64_t permanent, known; /* flags: PERMANENTFLAGS, with \* as FLAG_FORWARDED; FLAGS */
	bool star;                 /* PERMANENTFLAGS \*: keywords can be made */
};

/* The commands of a listing that left with the login. */
struct imapahead {
	bool wanted;    /* the link is dialled for a listing */
	size_t n;
	uint32_t first; /* tag */
	bool look;      /* and a look, behind them (imaplookask.c) */
};

/* What listeners have learnt of the server (imaplisten.c). */
#define IMAPLISTEN_GRUDGE_MS 3600000
struct imaplisten_learnt {
	msec_t period;    /* it ends a wait that is longer than this; 0: not known */
	msec_t no_notify; /* until then NOTIFY is not tried again */
};

struct imaplook;
struct imaptake;
struct imapsoon;
struct imapput;
struct imapaides;

struct imapstore {
	struct store s;
	const struct imapstore_params *p;
	struct imap_params login;
	struct imap_remembered remembered;
	struct imap_conn conn;
	struct imapahead ahead;
	bool up; /* conn stands, logged in, or did before it died */
	bool compress_asked; /* on this link */
	struct imapselected sel;
	/*
	 * open, and the link has not been lost since. Selected (sel.f), or to be selected again
	 * before any command is about it: imapstore_need_box
	 */
	struct imapfolder *box;
	bool write; /* so it was opened */

	VEC(struct imapfolder *) folders; /* by name */
	bool listed;
	char prefix[256]; /* of the wire names of our folders, once listed */
	char sep;         /* between their levels; '\0' none */

	struct imaplook *look;
	struct imaptake *take;
	struct imapsoon *soon;
	struct imapput *put;
	struct imapaides *aides; /* NULL: it has not come to that */
	bool aide;               /* it is one */
	struct net_stats *stats; /* where to count: an aide's store counts with its main one */
	struct uidset marked; /* to be expunged by commit */
	struct imaplisten_learnt listen;
	struct digest *ids;   /* for the objects' ids; NULL until one was told */
	struct imapident_ahead *idents; /* what will be asked, or was asked along with something else */
};

/* Hand an error on to a caller who may not want it. */
static inline void imapstore_give(struct err *e, const struct err *why)
{
	if (e)
		*e = *why;
}

/* ---- imapstore.c ---- */

struct imapstore *imapstore_of(struct store *s);
/* Put the account's name in front of what costs more than a message. -1. */
int imapstore_fail(struct imapstore *t, struct err *e);
/* The link stands, dialled anew if it must be, and nothing is in flight but what login left. */
int imapstore_ready(struct imapstore *t, struct err *e);
/* The same, for what needs the open box: it can't be dialled anew. It is selected. */
int imapstore_need_box(struct imapstore *t, bool write, struct err *e);
/* After an error: was the link lost? Then everything that depends on it is forgotten. -1 always. */
int imapstore_broken(struct imapstore *t, struct err *e);
/*
 * So many bytes took so long, and so many are to follow. Is the link slow, and it is worth it? Then
 * COMPRESS (RFC 4978), once, for which nothing may fly. 1: nothing is to be sent, so that it soon is
 * so; 0 go on; -1.
 */
int imapstore_compress(
	struct imapstore *t, uint64_t bytes, msec_t took, uint64_t ahead, struct err *e);
/*
 * So much came, in so long a time, so much is on its way, and so much will be asked for behind that: is
 * it enough to see by whether the link is slow? Then nothing more should leave before that is known:
 * all of it has to come as it is before what follows can be compressed.
 */
bool imapstore_enough(const struct imapstore *t, uint64_t bytes, msec_t took, uint64_t coming,
	uint64_t ahead);

/* Select the open box again, as it was; it must still be what was opened. Nothing flies. */
int imapstore_select_again(struct imapstore *t, struct err *e);
/* Nobody knows any more which folder an answer is about. -1. */
int imapstore_disorder(struct imapstore *t, struct err *e);

/* Several commands, pipelined. */
struct imapstore_flight {
	size_t n;
	/* Build the i-th command, imap_end and all. */
	int (*send)(struct imapstore *t, void *arg, size_t i, uint32_t *tag, struct err *e);
	/*
	 * Its end: OK (r), or refused (why). -1 with *e: no more are sent; what flies is still
	 * read.
	 */
	int (*end)(struct imapstore *t, void *arg, size_t i, const struct imap_resp *r,
		const struct err *why, struct err *e);
	int (*data)(struct imapstore *t, void *arg, const struct imap_resp *r,
		struct err *e); /* may be NULL; -1 as above */
	void *arg;
	size_t sent;    /* so many were sent before, the first with this tag */
	uint32_t first;
	/* its commands come behind, and hear the data, too; NULL: none */
	const struct imapstore_flight *along;
};
int imapstore_fly(struct imapstore *t, const struct imapstore_flight *f, struct err *e);

/* One command that was sent, read to its end. 1 OK, 0 refused (*why), -1. */
int imapstore_finish(struct imapstore *t, uint32_t tag, imap_on *on, void *arg,
	const struct imap_resp **r, struct err *why, struct err *e);

bool imapstore_uid(struct slice key, uint32_t *uid);

/* ---- imaplisten.c ---- */

struct listener *imaplisten(struct store *s, const struct listen_params *p, struct err *e);

/* ---- imapselect.c ---- */

/* A SELECT or EXAMINE: queue it, take what the server says of the mailbox, and its end. */
int imapselect_send(
	struct imapstore *t, const struct imapfolder *f, bool write, uint32_t *tag, struct err *e);
void imapselect_begin(struct imapstore *t, struct keyword_view *keywords);
int imapselect_data(struct imapstore *t, const struct imap_resp *r, struct err *e);
/* The names of the selected mailbox; NULL: keywords don't count. */
static inline const struct keywords *imapselect_names(const struct imapstore *t)
{
	return t->sel.keywords ? t->sel.keywords->table : NULL;
}
/* All flags, with those that are keywords. */
int imapselect_flags(struct keyword_view *v, const struct imap_flags *f, uint64_t *out, struct err *e);
int imapselect_end(struct imapstore *t, struct imapfolder *f, bool write, const struct imap_resp *r,
	struct err *e); /* checks that nothing is missing */
void imapselect_info(const struct imapstore *t, struct box_info *out);
uint64_t imapselect_holds(const struct imapstore *t); /* flags that the mailbox can keep */
/* Select it. 1; 0 refused (*e, SPAN_BOX); -1. soon: by what imapsoon.c has sent, or will. */
int imapselect(struct imapstore *t, struct imapfolder *f, bool write, struct err *e);
int imapselect_soon(
	struct imapstore *t, struct imapfolder *f, bool write, bool soon, struct err *e);

/* ---- imapstamp.c ---- */

uint64_t imapstamp_id(struct slice mailboxid); /* never 0 but for none */
bool imapstamp_other(const struct imapstamp *a, const struct imapstamp *b); /* surely not of the same mailbox, or its UIDs mean something else now */
bool imapstamp_parse(const char *text, struct imapstamp *out);
void imapstamp_print(const struct imapstamp *s, char out[STORE_STAMP_MAX]);
enum store_same imapstamp_same_box(const char *then, const char *now);

/* ---- imapname.c ---- */

#define IMAPNAME_WIRE_MAX 4000 /* bytes of a name on the wire */

/*
 * Learn what stands before our folders' names, and between their levels: by the namespaces; sep: by
 * the list, where they don't tell.
 */
void imapname_learn(struct imapstore *t, char sep);
/* Is it one of ours? */
bool imapname_ours(const struct imapstore *t, const char *wire);
/* From the wire (one of ours, without what stands before them all) to the engine's name. -1 with
 * why it can't be shown. */
int imapname_show(
	struct imapstore *t, struct slice wire, char sep, struct strbuf *out, struct err *e);
/* And back; malloc'ed, NULL on failure. */
char *imapname_wire(struct imapstore *t, const char *name, struct err *e);
int imapname_fit(struct store *s, const char *folder, struct strbuf *out, struct err *e);

/* ---- imaplist.c ---- */

/* List, and know what is there. status: stamps are wanted. */
int imaplist(struct imapstore *t, bool status, struct err *e);
/* imap_params.first: its commands leave with the login, if t->ahead wants them. */
int imaplist_first(void *arg, struct imap_conn *c, struct err *e);

/* ---- imaptree.c ---- */

void imaptree_release(struct imapstore *t);
/* Where a name stands among those that are known, or would. */
size_t imaptree_place(const struct imapstore *t, const char *name, bool *there);
/* Know another one, at its place; takes both strings in any case. NULL on failure. */
struct imapfolder *imaptree_add(
	struct imapstore *t, size_t at, char *name, char *wire, struct err *e);
/*
 * The folder of a name. One that is not known is listed for, and then named as the server would
 * name it; whether it is there is another question.
 */
int imaptree_find(struct imapstore *t, const char *name, struct imapfolder **out, struct err *e);
int imaptree_create(struct imapstore *t, struct imapfolder *f, unsigned attrs, struct err *e);
int imaptree_folders(struct store *s,
	int (*cb)(void *arg, const struct folder_info *f, struct err *e), void *arg, struct err *e);
int imaptree_folder_create(struct store *s, const char *folder, unsigned attrs, struct err *e);
int imaptree_folder_remove(struct store *s, const char *folder, uint64_t expected, struct err *e);
int imaptree_folder_rename(struct store *s, const char *from, const char *to, struct err *e);

/* ---- imaplook.c ---- */

void imaplook_free(struct imaplook *k); /* NULL is fine */
void imaplook_drop(
	struct imapstore *t); /* nothing of it is in flight any more: the link was lost */
int imaplook_settle(
	struct imapstore *t, struct err *e); /* read what is in flight and end the look */
int imaplook_look(struct store *s, const struct look *l, size_t n, unsigned how, struct err *e);
int imaplook_box(struct store *s, size_t *i, struct box_info *out, struct err *e);
int imaplook_next(struct store *s, struct store_msg *m, struct err *e);
int imaplook_list_start(struct store *s, struct err *e);
int imaplook_list_next(struct store *s, struct store_msg *m, struct err *e);
/* Queue the look that is foreseen, behind the commands of a listing; what becomes of it the next announcement tells. sent: those have left before. */
int imaplook_ask_early(struct imapstore *t, bool sent, struct err *e);
/* Is it in flight? Then what comes after the listing's answers is of it. */
bool imaplook_is_early(const struct imapstore *t);

/* ---- imaptake.c ---- */

void imaptake_free(struct imaptake *k);
void imaptake_drop(struct imapstore *t);
/* Read what is in flight, of the folder that is read; and of those behind it. */
int imaptake_leave(struct imapstore *t, struct err *e);
int imaptake_settle(struct imapstore *t, struct err *e);
int imaptake_want(struct store *s, const uint64_t *nums, size_t n, struct err *e);
int imaptake_next(struct store *s, size_t *i, struct stream **body, struct err *e);

/* ---- imapsoon.c ---- */

void imapsoon_free(struct imapsoon *q);
/*
 * Forget them, and what is selected, if any was sent: what then flies must be read, or the link be
 * lost.
 */
void imapsoon_drop(struct imapstore *t);
/* Are there any that were sent, and whose answers have not been read? */
bool imapsoon_flies(const struct imapstore *t);
/* If so, read them, and drop all. Nothing but theirs is in flight. */
int imapsoon_settle(struct imapstore *t, struct err *e);
/* Send as much as may fly. All of the folder before them is sent. */
int imapsoon_pump(struct imapstore *t, struct err *e);
/* Would this be the next one? */
bool imapsoon_is_next(const struct imapstore *t, const char *folder, unsigned how);
/* It is selected already, and nothing flies: it leaves the queue, with nothing sent. */
int imapsoon_skip(struct imapstore *t, struct err *e);
/*
 * Read the end of its SELECT, which is sent if it was not. Nothing of a folder before it is in
 * flight. As imapstore_finish.
 */
int imapsoon_select(
	struct imapstore *t, const struct imap_resp **r, struct err *why, struct err *e);
void imapsoon(struct store *s, const struct soon *x, size_t n);

/* ---- imapmark.c ---- */

int imapmark_set_flags(struct store *s, const struct flag_change *c, size_t n,
	void (*done)(void *arg, uint64_t num, const struct err *why), void *arg, struct err *e);
int imapmark_remove(struct store *s, const uint64_t *nums, size_t n,
	void (*done)(void *arg, uint64_t num, const struct err *why), void *arg, struct err *e);
int imapmark_commit(struct store *s, struct err *e);

/* ---- imapuids.c ---- */

/* A UID FETCH of these items of the open box, in one flight. */
struct imapuids {
	const struct uidset *uids;
	const char *items;
	bool noop; /* before it: some servers show what is new in the box only when asked */
	imap_on *on;
	void *arg;
	bool refused; /* out: one of the commands */
};
int imapuids_ask(struct imapstore *t, struct imapuids *w, struct err *e);

/* ---- imaplabels.c ---- */

/*
 * Sort messages of the open box that are to go to the trash: the first *elsewhere of them are in
 * other folders too, or may be, and a move would take them from there. Only Gmail's are; of its
 * spam nothing is.
 */
int imaplabels_sort(
	struct imapstore *t, struct flag_change *c, size_t n, size_t *elsewhere, struct err *e);

/* ---- imapmove.c ---- */

int imapmove(struct store *s, const uint64_t *nums, size_t n, const char *folder,
	struct keyword_view *there, void (*done)(void *arg, uint64_t num, struct slice key, const struct err *why), void *arg,
	struct err *e);
int imapmove_copy(struct store *s, const uint64_t *nums, size_t n, const char *folder,
	struct keyword_view *there, void (*done)(void *arg, uint64_t num, struct slice key, const struct err *why), void *arg,
	struct err *e);

/* ---- imapident.c ---- */

int imapident(struct store *s, const uint64_t *nums, size_t n, bool marks,
	void (*tell)(void *arg, uint64_t num, const struct ident *id), void *arg, struct err *e);
void imapident_soon(struct store *s, const uint64_t *nums, size_t n);
/* What was announced so, as a part of a flight in the open box; NULL: nothing, or it was asked already. */
const struct imapstore_flight *imapident_along(const struct imapstore *t);
/* Forget it, and what was told. */
void imapident_drop(struct imapstore *t);
/* The item of a FETCH that asks for the Message-ID, and perhaps other fields. */
#define IMAPIDENT_HEAD(others) "BODY.PEEK[HEADER.FIELDS (MESSAGE-ID" others ")]"
/* What stands in the answer that is being read. Begins as zeros, but for a reader. */
struct imapident_part {
	struct ident_reader *reader;
	struct ident id;
};
/* A part of a message (IMAP_FETCH_BODY) has come. */
int imapident_hear(struct imapident_part *p, const struct imap_resp *r, struct err *e);
/* Its FETCH is over: what was heard of the message, and what stands beside it. */
void imapident_take(struct imapstore *t, struct imapident_part *p, const struct imap_fetch *f, struct ident *out);
/* The item of a FETCH, with a blank before it, that asks what the server calls a message wherever it
 * is; "": it has no such names. */
const char *imapident_object_item(const struct imapstore *t);
/* The answer to it. False: there is none. */
bool imapident_object(
	struct imapstore *t, const struct imap_fetch *f, unsigned char out[IDENT_OBJECT]);

/* ---- imapstage.c, imapput.c, imapland.c, imapseek.c ---- */

void imapput_free(struct imapput *u);
int imapput_stage(struct store *s, struct stream *body, const struct store_meta *m,
	struct staged *out, struct err *e);
void imapput_unstage(struct store *s, struct staged *out);
int imapput_harden(struct store *s, struct staged *st, size_t n, struct err *e);
int imapput_publish(struct store *s, struct staged *st, size_t n, struct err *e);
int imapput_launch(struct store *s, struct staged *st, size_t n, struct err *e);
int imapput_land(struct store *s, struct err *e);
/* Read the answers to all that was launched; what came of it is told by landing. */
int imapput_settle(struct imapstore *t, struct err *e);
/*
 * The open box can be used. While messages are on their way to it, it is what it was, and can be
 * written to; their answers are not waited for: what is sent flies behind them (imapput_hear). What
 * else there is to do waits for them (imapstore_need_box).
 */
int imapput_beside(struct imapstore *t, bool write, struct err *e);
/* Something was read (imap_next), and the link stands: is it the end of one of the commands that messages are on their way by? 1, what came of it is noted; 0; -1. */
int imapput_hear(struct imapstore *t, enum imap_event ev, uint32_t tag, const struct imap_resp *r,
	const struct err *why, struct err *e);
/* The link is lost. */
void imapput_lost(struct imapstore *t);
void imapput_abandon(struct store *s);
int imapput_recover(struct store *s, struct recovery *r, size_t n, struct err *e);

#endif
