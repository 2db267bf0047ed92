#include "job/watcher.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "job/confine.h"
#include "job/hints.h"
#include "job/side.h"
#include "store/listen.h"
#include "sync/peek.h"

#define LEAD_MS 20         /* a single change is passed on at once, but for what belongs to it: a message that moves shows in two folders */
#define GATHER_MAX_MS 5000 /* changes that don't cease are gathered ever longer */
#define ECHO_MS 1500       /* so long after a run a server may still tell of it (Dovecot: half a second) */
#define PAUSE_MS 1000      /* before a link is made anew; doubles */
#define PAUSE_MAX_MS 300000
#define STEADY_MS 60000    /* a link that stood so long was a good one */

/* One side, and how it is waited for. */
struct waiting {
	struct job_side side;
	struct listener *l;      /* NULL: there is none now */
	msec_t since;            /* it stands */
	msec_t again;            /* when one is to be made; 0: never */
	msec_t pause;
	struct hints hints;
	struct stat root;        /* of a local one, when the process was confined to it; st_ino 0: it was not there */
	char *how;               /* as it was last told */
};

struct watcher {
	const struct job_params *p;
	const struct event_sink *sink;
	int control;
	char *path;              /* of the state */
	struct waiting sides[2]; /* left, right */
	struct names names[2];   /* folders of the base */
	bool running, asked;     /* the job runs; it was told that it should */
	bool during;             /* there were hints while it ran */
	bool doubtful;           /* a server has other folders, perhaps: once it has run, its listener is to look at them anew */
	msec_t first;            /* when the first hint came; 0: there is none */
	msec_t ended;            /* the last run; 0 none yet */
	msec_t gather;
};

bool watcher_useful(const struct config_job *job)
{
	return config_two_way(job);
}

/* A migration changes nothing at its target but by itself. */
/* Where a side's files are; NULL: it has none. */
static const char *local_path(const struct config_end *end)
{
	return end->kind == CONFIG_MAILDIR ? end->maildir.path : end->kind == CONFIG_MBOX ? end->mbox.path : NULL;
}

static bool is_waited_for(const struct watcher *w, int side)
{
	const struct store *s = w->sides[side].side.store;

	return s->ops->listen != NULL && (side == 0 || !w->p->job->sync.one_way);
}

static int no_memory(struct err *e)
{
	return err_set(e, ERR_LOCAL, "out of memory");
}

static void put(struct watcher *w, struct event *ev)
{
	ev->job = w->p->job->name;
	event_put(w->sink, ev);
}

/* ---- hints ---- */

struct hinting {
	struct watcher *w;
	struct waiting *s;
};

static void take_hint(void *arg, const char *folder)
{
	struct hinting *h = arg;

	hints_add(&h->s->hints, folder);
	h->w->doubtful |= !folder && (h->s->side.store->ops->caps & STORE_REMOTE) && h->s->l;
	h->w->during |= h->w->running;
	if (h->w->first == 0)
		h->w->first = clock_now();
}

static void forget_hints(struct watcher *w)
{
	for (int i = 0; i < 2; i++)
		hints_clear(&w->sides[i].hints);
	w->first = 0;
}

/* ---- listeners ---- */

/* Tell how it is waited for, when that is another way than before. */
static void tell_how(struct watcher *w, int side, const char *text)
{
	struct waiting *s = &w->sides[side];
	struct event ev = { .type = EVENT_WAITING, .at = side == 0 ? AT_LEFT : AT_RIGHT, .text = text };

	if (s->how && strcmp(s->how, text) == 0)
		return;
	free(s->how);
	s->how = strdup(text);
	put(w, &ev);
}

static void tell_listener(struct watcher *w, int side)
{
	struct strbuf how = STRBUF_INIT(1024);

	w->sides[side].l->ops->how(w->sides[side].l, &how);
	tell_how(w, side, strbuf_str(&how));
	strbuf_release(&how);
}

bool watcher_hopeless(const struct err *why)
{
	return why->kind == ERR_AUTH || why->kind == ERR_PERM || why->kind == ERR_CERT || why->kind == ERR_CONF || why->kind == ERR_BUG;
}

/* Anything below it. */
static msec_t random_below(msec_t n)
{
	uint32_t r = 0;

	(void)!getrandom(&r, sizeof(r), GRND_NONBLOCK);
	return n > 0 ? (msec_t)r % n : 0;
}

/* It is lost, or could not be made: after a pause, again. What happens meanwhile nobody tells: once it stands, all may have changed. -1: no more of it. */
static int lost(struct watcher *w, int side, struct err *why, struct err *e)
{
	struct waiting *s = &w->sides[side];
	msec_t now = clock_now();

	listener_free(s->l);
	s->l = NULL;
	if (why->kind == ERR_CANCEL || watcher_hopeless(why)) {
		*e = *why;
		return -1;
	}
	if (s->since != 0 && now - s->since >= STEADY_MS)
		s->pause = 0;
	s->pause = s->pause == 0 ? PAUSE_MS : s->pause < PAUSE_MAX_MS / 2 ? s->pause * 2 : PAUSE_MAX_MS;
	if (s->pause < why->retry_after * 1000)
		s->pause = why->retry_after * 1000;
	s->since = 0;
	s->again = now + s->pause / 2 + random_below(s->pause / 2 + 1);
	log_info("%s; it is waited for anew in %lld s", why->text, (long long)((s->again - now + 999) / 1000));
	tell_how(w, side, why->text);
	return 0;
}

static int listen_to(struct watcher *w, int side, struct err *e)
{
	struct waiting *s = &w->sides[side];
	struct listen_params lp = { .folders = (const char *const *)w->names[side].a, .n = w->names[side].n, .idle = w->p->job->idle, .n_idle = side == 0 ? w->p->job->n_idle : 0 };
	struct hinting h = { w, s };
	struct err why = ERR_INIT;

	if (w->p->job->every > 0 && w->p->job->every * 1000 < LISTEN_INTERVAL_MS)
		lp.interval = w->p->job->every * 1000;
	s->again = 0;
	s->l = listener_new(s->side.store, &lp, &why);
	if (!s->l)
		return lost(w, side, &why, e);
	s->since = clock_now();
	tell_listener(w, side);
	take_hint(&h, NULL);
	return 0;
}

/* Let a call of a listener end it. */
static int or_lost(struct watcher *w, int side, int rc, struct err *why, struct err *e)
{
	if (rc < 0)
		return lost(w, side, why, e);
	tell_listener(w, side);
	return 0;
}

static int take(struct watcher *w, int side, struct err *e)
{
	struct waiting *s = &w->sides[side];
	struct hinting h = { w, s };
	struct err why = ERR_INIT;

	return or_lost(w, side, s->l->ops->take(s->l, take_hint, &h, &why), &why, e);
}

/* Are the links alive? Those that are not there are tried at once. */
static int doubt(struct watcher *w, struct err *e)
{
	for (int i = 0; i < 2; i++) {
		struct waiting *s = &w->sides[i];
		struct err why = ERR_INIT;

		if (s->again != 0)
			s->again = clock_now();
		if (s->l && or_lost(w, i, s->l->ops->probe(s->l, &why), &why, e) < 0)
			return -1;
	}
	return 0;
}

/* ---- what the base knows ---- */

static int add_names(void *arg, int64_t id, const char *left, const char *right, struct err *e)
{
	struct names *n = arg;

	(void)id;
	return names_add(&n[0], left) < 0 || names_add(&n[1], right) < 0 ? no_memory(e) : 0;
}

/* The folders, anew; *other: they are not those of before. A base that is not there yet has the inbox. */
static int read_names(struct watcher *w, bool *other, struct err *e)
{
	struct names n[2] = { { 0 }, { 0 } };
	struct db *db = NULL;
	int rc = db_open(w->path, DB_LOOK, NULL, &db, e);

	if (rc == 0)
		rc = folders_each(db, add_names, n, e);
	if (rc == 0 && n[0].n == 0)
		rc = add_names(n, 0, "INBOX", "INBOX", e);
	db_close(db);
	for (int i = 0; i < 2; i++) {
		names_sort(&n[i]);
		*other |= !names_equal(&n[i], &w->names[i]);
		if (rc == 0) {
			names_release(&w->names[i]);
			w->names[i] = n[i];
		} else {
			names_release(&n[i]);
		}
	}
	return rc;
}

/* Is one folder otherwise than the base has it? What can't be told is. -1: the listener is lost, *e why it is final. */
static int differs(struct watcher *w, struct db *db, int side, const char *folder, struct err *e)
{
	struct waiting *s = &w->sides[side];
	char stamp[STORE_STAMP_MAX];
	struct err why = ERR_INIT;
	int rc;

	if (!(s->side.store->ops->caps & STORE_REMOTE)) {
		rc = peek_look(db, s->side.store, folder, &why);
		return rc != 0;
	}
	if (!s->l)
		return 1;
	rc = s->l->ops->stamp(s->l, folder, stamp, &why);
	if (rc < 0)
		return lost(w, side, &why, e) < 0 ? -1 : 1;
	return rc == 0 || peek_stamp(db, side == 0 ? PAIR_LEFT : PAIR_RIGHT, folder, stamp, &why) != 0;
}

/* A hint of all folders of a local side: its tree, and each of them. */
static int any_differs(struct watcher *w, struct db *db, int side)
{
	struct err why = ERR_INIT;

	return (w->sides[side].side.store->ops->caps & STORE_REMOTE) || peek_all(db, w->sides[side].side.store, &why) != 0;
}

/*
 * Is there something in the hints that the base does not know? Of a server that was left alone a while it needs no proof, and asking would take longer than it spares. *side, *folder: of
 * the first that differs; "" all.
 */
static int prove(struct watcher *w, int *side, const char **folder, struct err *e)
{
	bool quiet = w->ended == 0 || (!w->during && w->first - w->ended > ECHO_MS);
	struct err why = ERR_INIT;
	struct db *db = NULL;
	int rc = 0;

	*folder = "";
	if (db_open(w->path, DB_LOOK, NULL, &db, &why) < 0 || db_empty(db)) {
		db_close(db);
		return 1;
	}
	for (*side = 0; rc == 0 && *side < 2; ++*side) {
		struct waiting *s = &w->sides[*side];
		bool remote = s->side.store->ops->caps & STORE_REMOTE;

		if (s->hints.all)
			rc = any_differs(w, db, *side);
		for (size_t i = 0; rc == 0 && i < s->hints.names.n; i++) {
			*folder = s->hints.names.a[i];
			rc = remote && quiet ? 1 : differs(w, db, *side, *folder, e);
		}
		if (rc != 0)
			break;
	}
	db_close(db);
	return rc;
}

/* ---- the turn ---- */

/* When what was hinted is to be passed on; 0: nothing is, or not now. */
static msec_t due(const struct watcher *w)
{
	msec_t at = w->first + LEAD_MS;

	if (w->first == 0 || w->running || w->asked)
		return 0;
	return w->ended != 0 && w->ended + w->gather > at ? w->ended + w->gather : at;
}

/* Pass it on, if there is anything to it. */
static int pass_on(struct watcher *w, struct err *e)
{
	struct event ev = { .type = EVENT_CHANGED };
	const char *folder;
	bool streaming = w->ended != 0 && w->first < w->ended + w->gather;
	int side = 0, rc = prove(w, &side, &folder, e);

	if (rc < 0)
		return -1;
	w->gather = !streaming ? w->p->job->gather : w->gather * 2 < GATHER_MAX_MS ? w->gather * 2 + 1 : GATHER_MAX_MS;
	if (rc == 1) {
		ev.folder = folder;
		ev.at = side == 0 ? AT_LEFT : AT_RIGHT;
		w->asked = true;
		put(w, &ev);
	}
	forget_hints(w);
	w->during = false;
	return 0;
}

static int job_ended(struct watcher *w, struct err *e)
{
	bool other = w->doubtful || w->ended == 0; /* the first run has perhaps made what there was not */

	w->running = w->asked = w->doubtful = false;
	w->ended = clock_now();
	if (read_names(w, &other, e) < 0)
		return -1;
	for (int i = 0; other && i < 2; i++) {
		struct waiting *s = &w->sides[i];
		struct err why = ERR_INIT;

		if (s->l && or_lost(w, i, s->l->ops->folders(s->l, (const char *const *)w->names[i].a, w->names[i].n, &why), &why, e) < 0)
			return -1;
	}
	return 0;
}

/*
 * The sandbox lets us see the tree that was there when it was entered. One that was put in its place since (a disk that was mounted, a backup that was restored) it keeps from us: another
 * process is to wait there.
 */
static bool has_another_root(const struct watcher *w)
{
	for (int i = 0; i < 2; i++) {
		const char *path = local_path(&w->sides[i].side.end);
		struct stat now;

		if (path && stat(path, &now) == 0 && S_ISDIR(now.st_mode) && (now.st_ino != w->sides[i].root.st_ino || now.st_dev != w->sides[i].root.st_dev))
			return true;
	}
	return false;
}

/* What the parent says. 1, 0 it has gone, -1 */
static int obey(struct watcher *w, struct err *e)
{
	char said[64];
	ssize_t n = read(w->control, said, sizeof(said));

	if (n < 0)
		return errno == EINTR || errno == EAGAIN ? 1 : err_errno(e, "what the scheduler says");
	for (ssize_t i = 0; i < n; i++) {
		int rc = 0;

		if (said[i] == WATCHER_BEGINS)
			w->running = true;
		else if (said[i] == WATCHER_ENDS)
			rc = job_ended(w, e);
		else if (said[i] == WATCHER_DOUBTS)
			rc = doubt(w, e);
		if (rc < 0)
			return -1;
	}
	return n > 0;
}

static void sooner(msec_t *deadline, msec_t at)
{
	if (at != 0 && (*deadline == 0 || at < *deadline))
		*deadline = at;
}

/* Wait for whatever is next; ready: sides that have something. 1, 0 the parent is gone, -1 */
static int wait_next(struct watcher *w, bool ready[2], struct err *e)
{
	struct wait_item items[1 + 2 * LISTEN_FDS_MAX] = { { .fd = w->control, .events = WAIT_READ } };
	size_t n = 1, from[2] = { 0, 0 }, count[2] = { 0, 0 };
	msec_t deadline = due(w);
	struct err why = ERR_INIT;
	bool at_hand = false;

	for (int i = 0; i < 2; i++) {
		struct waiting *s = &w->sides[i];

		ready[i] = s->l && s->l->ops->pending(s->l);
		at_hand |= ready[i];
		sooner(&deadline, s->again);
		if (!s->l)
			continue;
		from[i] = n;
		count[i] = s->l->ops->fds(s->l, &items[n]);
		n += count[i];
		sooner(&deadline, s->l->ops->when(s->l));
	}
	if (at_hand)
		deadline = clock_now();
	if (wait_fds(items, n, deadline, &why) < 0 && why.kind != ERR_TIMEOUT) {
		*e = why;
		return -1;
	}
	for (int i = 0; i < 2; i++)
		for (size_t k = 0; k < count[i]; k++)
			ready[i] |= items[from[i] + k].ready != 0;
	return items[0].ready ? obey(w, e) : 1;
}

static int turn(struct watcher *w, struct err *e)
{
	bool ready[2];
	int rc = wait_next(w, ready, e);
	msec_t now = clock_now();

	if (rc == 1 && has_another_root(w))
		return 0;
	for (int i = 0; rc == 1 && i < 2; i++) {
		struct waiting *s = &w->sides[i];

		if (s->l && (ready[i] || (s->l->ops->when(s->l) != 0 && s->l->ops->when(s->l) <= now)))
			rc = take(w, i, e) < 0 ? -1 : 1;
		else if (!s->l && s->again != 0 && s->again <= now)
			rc = listen_to(w, i, e) < 0 ? -1 : 1;
	}
	if (rc == 1 && due(w) != 0 && due(w) <= clock_now())
		rc = pass_on(w, e) < 0 ? -1 : 1;
	return rc;
}

static int run(struct watcher *w, struct err *e)
{
	bool other = false;
	int rc = 1;

	w->path = job_state_path(w->p->state_dir, w->p->job->name, e);
	if (!w->path || job_side_open(w->p, w->p->job->left, &w->sides[0].side, e) < 0 || job_side_open(w->p, w->p->job->right, &w->sides[1].side, e) < 0)
		return -1;
	if (read_names(w, &other, e) < 0)
		return -1;
	for (int i = 0; i < 2; i++) {
		const char *path = local_path(&w->sides[i].side.end);

		if (path)
			(void)!stat(path, &w->sides[i].root);
	}
	/* the local side first: it is at hand at once */
	for (int i = 1; i >= 0; i--)
		w->sides[i].again = is_waited_for(w, i) ? clock_now() : 0;
	while (rc == 1)
		rc = turn(w, e);
	return rc;
}

int watcher_run(const struct job_params *p, const struct event_sink *sink)
{
	struct watcher w = { .p = p, .sink = sink, .control = p->control, .gather = p->job->gather };
	struct event end = { .type = EVENT_END, .two_way = true, .one_way = p->job->mode == CONFIG_MIGRATE };
	struct job_params looks = *p;
	struct confine confine;
	struct err e = ERR_INIT;

	log_push("%s", p->job->name);
	looks.dry_run = true; /* nothing is learnt here for the next run */
	w.p = &looks;
	if (confine_enter(&confine, p, &e) < 0 || run(&w, &e) < 0) {
		struct event stop = { .type = EVENT_ERROR, .kind = e.kind, .span = SPAN_ACCT, .text = e.text, .retry_after = e.retry_after };

		end.exit_code = e.kind == ERR_CANCEL && clock_cancel_signal() ? 128 + clock_cancel_signal() : err_exit_code(e.kind);
		if (e.kind != ERR_CANCEL)
			put(&w, &stop);
	}
	for (int i = 0; i < 2; i++) {
		listener_free(w.sides[i].l);
		hints_release(&w.sides[i].hints);
		names_release(&w.names[i]);
		job_side_close(&looks, &w.sides[i].side);
		free(w.sides[i].how);
	}
	free(w.path);
	confine_leave(&confine);
	put(&w, &end);
	log_pop();
	return end.exit_code;
}
