#include "sync/takeover.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "mail/utf7.h"
#include "store/maildir.h"
#include "store/mbsyncstate.h"

#define PATH_ROOM 16384
#define SLACK 16      /* bytes that a copy may be smaller or larger, */
#define SLACK_PART 64 /* and which part of it */

/* A message by the UID that the program knows it by. */
struct numbered {
	uint32_t uid;
	size_t row;             /* of the box's join */
	size_t at;              /* among the right's candidates */
	enum maildir_uid kind;
};

/* The Message-ID of a message, hashed. */
struct mid {
	unsigned char hash[IDENT_MID];
};

struct takeover {
	struct twoway *g;
	struct box *b;
	struct mbsyncstate state;
	bool noted;             /* the state is of these UIDVALIDITYs */
	bool named;             /* names hold UIDs of the server */
	VEC(struct numbered) far, near; /* all that there is on a side, sorted */
	VEC(struct mid) mids[2]; /* likewise */
	size_t pairs, refuted;
};

/* Why its notes are of no use. */
static void say(struct takeover *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void say(struct takeover *t, const char *fmt, ...)
{
	char text[ERR_TEXT_MAX], why[200], name[160];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	err_printable(name, sizeof(name), t->b->f->left, strlen(t->b->f->left));
	snprintf(text, sizeof(text), "what mbsync noted of '%s' is not used: %s; its messages are known by their content", name, why);
	twoway_warn(t->g, text);
}

/* A folder's name as mbsync makes it part of a file's name. */
static int put_name(struct strbuf *out, const char *folder, bool wire, struct err *e)
{
	size_t from = out->len;

	if (wire ? utf7_encode(slice_str(folder), out, e) < 0 : strbuf_puts(out, folder) < 0)
		return wire ? -1 : twoway_no_memory(e);
	for (size_t i = from; i < out->len; i++)
		if (out->s[i] == '/')
			out->s[i] = '!';
	return 0;
}

/*
 * Where the state is, by what the person says: `take-over` with the folder's name in place of '*' (of two, the first is the server's), or behind it where there is no '*'.
 */
static int state_path(const struct takeover *t, struct strbuf *out, struct err *e)
{
	const char *p = t->g->p->take_over, *star = strchr(p, '*');
	bool two = star && strchr(star + 1, '*');

	if (!star)
		return strbuf_puts(out, p) < 0 ? twoway_no_memory(e) : put_name(out, t->b->f->right, false, e);
	for (; *p; p++) {
		int rc = *p != '*' ? strbuf_putc(out, *p) : put_name(out, two && p == star ? t->b->f->left : t->b->f->right, two && p == star, e);

		if (rc < 0)
			return *p != '*' ? twoway_no_memory(e) : -1;
	}
	return 0;
}

/* Read the state, wherever it is: as mbsyncstate_read. */
static int read_file(struct takeover *t, int dir, struct err *e)
{
	struct strbuf path = STRBUF_INIT(PATH_ROOM);
	char shown[160];
	int rc;

	if (!t->g->p->take_over)
		return mbsyncstate_read(dir, MBSYNCSTATE_NAME, &t->state, e);
	rc = state_path(t, &path, e);
	if (rc == 0)
		rc = mbsyncstate_read(AT_FDCWD, strbuf_str(&path), &t->state, e);
	if (rc == 0)
		say(t, "there is no file '%s' (take-over)", err_printable(shown, sizeof(shown), strbuf_str(&path), path.len));
	strbuf_release(&path);
	return rc;
}

/* Do its numbers still mean these messages? */
static bool is_current(struct takeover *t, int dir)
{
	uint32_t near;

	if (t->state.far_validity != t->b->info[LEFT].validity) {
		say(t, "the server has numbered the folder anew since (its UIDVALIDITY is another)");
		return false;
	}
	if (mbsyncstate_validity(dir, &near) == 0) {
		say(t, faccessat(dir, ".isyncuidmap.db", F_OK, AT_SYMLINK_NOFOLLOW) == 0 ? "UIDs that are kept in .isyncuidmap.db are not read" :
				 "no .uidvalidity tells what the UIDs in its files' names mean");
		return false;
	}
	if (near == t->state.near_validity)
		return true;
	say(t, "it has numbered the files anew since (.uidvalidity)");
	return false;
}

static int read_state(struct takeover *t, struct err *e)
{
	struct store *right = t->g->side[RIGHT];
	int dir = right->ops->folder_dir(right, t->b->f->right, e), rc;
	struct err why = ERR_INIT;

	if (dir < 0)
		return -1;
	rc = read_file(t, dir, &why);
	if (rc == 1)
		t->noted = is_current(t, dir);
	close(dir);
	if (rc >= 0)
		return 0;
	if (why.kind != ERR_BUSY) {
		say(t, "%s", why.text);
		return 0;
	}
	*e = why;
	return err_hint(e, "nothing was changed in it; let mbsync come to its end first, and after that leave the folder to one of the two");
}

/* Are there names with UIDs of the server? */
static bool has_named(const struct box *b)
{
	uint32_t uid;

	for (size_t i = 0; i < b->join.rows.n; i++)
		if (b->join.rows.a[i].m.right.present && maildir_uid(b->join.rows.a[i].right, &uid) == MAILDIR_UID_SERVER)
			return true;
	return false;
}

int takeover_open(struct twoway *g, struct box *b, struct takeover **out, struct err *e)
{
	struct takeover *t;
	uint64_t held = 0;

	*out = NULL;
	if (!g->side[RIGHT]->ops->folder_dir || b->info[LEFT].validity == 0)
		return 0;
	if (b->f->base.id != 0 && pairs_present_count(g->db, b->f->base.id, &held, e) < 0)
		return -1;
	if (held > 0)
		return 0;
	t = calloc(1, sizeof(*t));
	if (!t)
		return twoway_no_memory(e);
	t->g = g;
	t->b = b;
	t->named = has_named(b);
	if (read_state(t, e) < 0) {
		takeover_free(t);
		return -1;
	}
	if (t->noted || t->named)
		*out = t;
	else
		takeover_free(t);
	return 0;
}

void takeover_free(struct takeover *t)
{
	if (!t)
		return;
	mbsyncstate_release(&t->state);
	vec_release(&t->far);
	vec_release(&t->near);
	vec_release(&t->mids[LEFT]);
	vec_release(&t->mids[RIGHT]);
	free(t);
}

static int by_uid(const void *a, const void *b)
{
	const struct numbered *x = a, *y = b;

	return (x->uid > y->uid) - (x->uid < y->uid);
}

/* What there is on both sides, by its numbers. */
static int number(struct takeover *t, const struct candidates *left, const struct candidates *right, struct err *e)
{
	const struct joined *rows = t->b->join.rows.a;

	for (size_t i = 0; i < left->c.n; i++) {
		struct numbered n = { .row = left->c.a[i].row };
		uint64_t uid;

		if (!slice_u64(rows[n.row].left, UINT32_MAX, &uid))
			continue;
		n.uid = (uint32_t)uid;
		if (vec_push(&t->far, n) < 0)
			return twoway_no_memory(e);
	}
	for (size_t i = 0; i < right->c.n; i++) {
		struct numbered n = { .row = right->c.a[i].row, .at = i };

		n.kind = maildir_uid(rows[n.row].right, &n.uid);
		if (n.kind != MAILDIR_UID_NONE && vec_push(&t->near, n) < 0)
			return twoway_no_memory(e);
	}
	if (t->far.n > 0)
		qsort(t->far.a, t->far.n, sizeof(*t->far.a), by_uid);
	if (t->near.n > 0)
		qsort(t->near.a, t->near.n, sizeof(*t->near.a), by_uid);
	return 0;
}

static const struct numbered *find(const struct numbered *a, size_t n, uint32_t uid)
{
	struct numbered key = { .uid = uid };

	return n > 0 && uid != 0 ? bsearch(&key, a, n, sizeof(key), by_uid) : NULL;
}

static int by_hash(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct mid));
}

/* The Message-IDs of a side. */
static int gather_mids(struct takeover *t, int side, const struct candidates *cs, struct err *e)
{
	for (size_t i = 0; i < cs->c.n; i++) {
		struct mid m;

		if (!cs->c.a[i].told || !cs->c.a[i].id.has_mid)
			continue;
		memcpy(m.hash, cs->c.a[i].id.mid, sizeof(m.hash));
		if (vec_push(&t->mids[side], m) < 0)
			return twoway_no_memory(e);
	}
	if (t->mids[side].n > 0)
		qsort(t->mids[side].a, t->mids[side].n, sizeof(*t->mids[side].a), by_hash);
	return 0;
}

/* Has no other message of that side this Message-ID? */
static bool is_only(const struct takeover *t, int side, const unsigned char mid[IDENT_MID])
{
	const struct mid *first = t->mids[side].a, *end = first + t->mids[side].n, *m = bsearch(mid, first, t->mids[side].n, sizeof(*m), by_hash);

	return m && (m == first || by_hash(m - 1, m) != 0) && (m + 1 == end || by_hash(m + 1, m) != 0);
}

/* As large, but for the bytes that these programs lose: a CR that stands alone, the end of the last line. */
static bool is_about(uint64_t a, uint64_t b)
{
	uint64_t less = a < b ? a : b, more = a < b ? b : a;

	return more - less <= more / SLACK_PART + SLACK;
}

/* Do the messages bear it out that they are one? Who knows of them by a number alone must have a Message-ID, too. */
static bool is_same(const struct takeover *t, const struct candidate *l, const struct candidate *r, bool must_have)
{
	if (!l->told || !r->told || l->united || r->united || l->id.has_mid != r->id.has_mid || (must_have && !l->id.has_mid))
		return false;
	if (l->id.has_mid && memcmp(l->id.mid, r->id.mid, IDENT_MID) != 0)
		return false;
	if (candidate_size(l) == candidate_size(r))
		return true;
	return l->id.has_mid && is_about(candidate_size(l), candidate_size(r)) && is_only(t, LEFT, l->id.mid) && is_only(t, RIGHT, l->id.mid);
}

/* A placeholder is no message: it must neither be copied nor be taken for the one that it stands for. */
static int check_placeholders(const struct takeover *t, struct err *e)
{
	size_t n = 0;

	for (size_t i = 0; i < t->state.entries.n; i++) {
		const struct mbsyncstate_entry *m = &t->state.entries.a[i];

		n += (m->near_stub && find(t->near.a, t->near.n, m->near)) || (m->far_stub && find(t->far.a, t->far.n, m->far));
	}
	if (n == 0)
		return 0;
	err_set_span(e, ERR_REFUSED, SPAN_BOX, "mbsync has put placeholders where %zu message%s too large for it (MaxSize): nothing was changed in this folder", n,
		     n == 1 ? " was" : "s were");
	return err_hint(e, "have it bring them without MaxSize, or remove the placeholders");
}

/* One message from now on, as the notes say; m NULL: of its flags they say nothing. */
static void take_pair(struct takeover *t, struct candidate *l, struct candidate *r, const struct mbsyncstate_entry *m,
		      void (*unite)(void *arg, struct candidate *l, struct candidate *r))
{
	struct joined *row = &t->b->join.rows.a[l->row];

	unite(t->b, l, r);
	t->pairs++;
	if (!m)
		return;
	row->m.known = row->taken = true;
	row->m.flags = m->flags;
	t->b->work = true;
}

int takeover_match(struct takeover *t, struct candidates *left, struct candidates *right, void (*unite)(void *arg, struct candidate *l, struct candidate *r),
		   struct err *e)
{
	if (number(t, left, right, e) < 0 || gather_mids(t, LEFT, left, e) < 0 || gather_mids(t, RIGHT, right, e) < 0 || (t->noted && check_placeholders(t, e) < 0))
		return -1;
	for (size_t i = 0; i < t->near.n; i++) {
		const struct numbered *n = &t->near.a[i];
		const struct mbsyncstate_entry *m = t->noted ? mbsyncstate_find(&t->state, n->uid) : NULL;
		bool server = n->kind == MAILDIR_UID_SERVER;
		struct candidate *r = &right->c.a[n->at], *l = NULL;

		if (!server && !m)
			continue;
		l = candidates_find(left, server ? n->uid : m->far);
		if (l && is_same(t, l, r, server))
			take_pair(t, l, r, server ? NULL : m, unite);
		else
			t->refuted += l != NULL;
	}
	log_debug("%zu messages of '%s' are as another program noted, %zu are not", t->pairs, t->b->f->left, t->refuted);
	return 0;
}

/* Is it on this side alone, and not known yet? */
static bool is_alone(const struct joined *row, int side)
{
	return row->pair == 0 && !row->m.known && row->m.left.present == (side == LEFT) && row->m.right.present == (side == RIGHT);
}

/* Deleted on the other side, as the person says: the base had it. The name that it had here is not known: it gets one that no file can have. */
static int take_deletion(struct takeover *t, struct joined *row, int side, const struct mbsyncstate_entry *m, struct err *e)
{
	char text[32];
	struct slice key;

	snprintf(text, sizeof(text), side == LEFT ? "/U=%u" : "%u", side == LEFT ? m->near : m->far);
	key = arena_slice(&t->b->join.arena, slice_str(text));
	if (!key.p)
		return twoway_no_memory(e);
	*(side == LEFT ? &row->right : &row->left) = key;
	row->m.known = row->taken = true;
	row->m.flags = m->flags;
	t->b->join.fresh[side]--;
	return 0;
}

static void tell_missing(struct takeover *t, const size_t missing[2], bool believed)
{
	char text[ERR_TEXT_MAX], name[160];

	if (missing[LEFT] + missing[RIGHT] == 0)
		return;
	err_printable(name, sizeof(name), t->b->f->left, strlen(t->b->f->left));
	snprintf(text, sizeof(text),
		 "of the messages of '%s' that mbsync had on both sides %zu are gone here and %zu at the server; whether somebody deleted them is not known: they are "
		 "copied again%s", name, missing[LEFT], missing[RIGHT], believed ? "" : " (a first run with --allow-deletions deletes them)");
	twoway_warn(t->g, text);
}

int takeover_missing(struct takeover *t, struct err *e)
{
	/* an older file: what came after the looks is no deletion */
	bool believe = t->g->p->allow_deletions && t->pairs > 0 && t->refuted == 0 && t->state.changed < t->g->p->now;
	size_t missing[2] = { 0, 0 };

	for (size_t i = 0; t->noted && i < t->state.entries.n; i++) {
		const struct mbsyncstate_entry *m = &t->state.entries.a[i];
		const struct numbered *far = find(t->far.a, t->far.n, m->far), *near = find(t->near.a, t->near.n, m->near);
		int side = far ? LEFT : RIGHT; /* that has it */
		struct joined *row;

		if (m->far_stub || m->near_stub || m->expired || (far != NULL) == (near != NULL))
			continue;
		row = &t->b->join.rows.a[far ? far->row : near->row];
		if (!is_alone(row, side))
			continue;
		if (m->far == 0 || m->near == 0) {
			/* it knew that it was gone there, and has marked it here; or it never came to bring it there */
			missing[side] += ((side == LEFT ? row->m.left.flags : row->m.right.flags) & FLAG_DELETED) != 0;
			continue;
		}
		missing[side] += !believe;
		if (believe && take_deletion(t, row, side, m, e) < 0)
			return -1;
	}
	tell_missing(t, missing, believe);
	return 0;
}
