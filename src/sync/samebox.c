/*
 * Is a folder whose name is new the one whose name is gone? It is if what the base has of the one is in the other: by the same keys, with the same content. That is looked up
 * for a sample.
 */
#include "sync/twoway.h"

#include <string.h>

#include "base/log.h"

#define SAMPLE 32 /* messages by which a folder is known */

/* A message that the base has in the folder that is gone. */
struct probe {
	struct slice left, right;
	unsigned char digest[DIGEST_SIZE];
	uint64_t num;            /* in the box that is open */
	bool read;               /* the right has it, and this is it: */
	struct ident id;
};

struct sample {
	struct arena arena;
	struct probe p[SAMPLE];
	size_t n;
	uint64_t every, seen;    /* of so many pairs one is taken */
	size_t same, other;      /* as the side that was asked last says */
};

static int take_pair(void *arg, const struct pair *p, struct err *e)
{
	static const unsigned char unknown[DIGEST_SIZE];
	struct sample *s = arg;
	struct probe x = { .num = 0 };

	if (p->right.n == 0 || s->seen++ % s->every != 0 || s->n == SAMPLE || memcmp(p->digest, unknown, DIGEST_SIZE) == 0)
		return 0;
	x.left = arena_slice(&s->arena, p->left);
	x.right = arena_slice(&s->arena, p->right);
	if (!x.left.p || !x.right.p)
		return twoway_no_memory(e);
	memcpy(x.digest, p->digest, DIGEST_SIZE);
	s->p[s->n++] = x;
	return 0;
}

static int take_sample(struct twoway *g, const struct sync_folder *gone, struct sample *s, struct err *e)
{
	uint64_t held;

	if (pairs_present_count(g->db, gone->base.id, &held, e) < 0)
		return -1;
	s->every = held / SAMPLE + 1;
	return pairs_present(g->db, gone->base.id, take_pair, s, e);
}

static struct probe *probe_of(struct sample *s, uint64_t num)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->p[i].num == num)
			return &s->p[i];
	return NULL;
}

/* The right's: by the digest that the base has. */
static void compare_content(void *arg, uint64_t num, const struct ident *id)
{
	struct sample *s = arg;
	struct probe *p = probe_of(s, num);

	if (!p)
		return;
	if (memcmp(p->digest, id->digest, DIGEST_SIZE) != 0) {
		s->other++;
		return;
	}
	s->same++;
	p->read = true;
	p->id = *id;
}

/* The left's: by the Message-ID of what the right holds. */
static void compare_ident(void *arg, uint64_t num, const struct ident *id)
{
	struct sample *s = arg;
	const struct probe *p = probe_of(s, num);

	if (!p || !p->read || !p->id.has_mid)
		return;
	if (id->has_mid && memcmp(p->id.mid, id->mid, IDENT_MID) == 0)
		s->same++;
	else
		s->other++;
}

/* Ask a side what it has of the sample in that folder. 0, or -1 when the job can't go on; a folder that can't be read proves nothing. */
static int ask(struct twoway *g, int side, const char *folder, struct sample *s, struct err *e)
{
	struct store *st = g->side[side];
	uint64_t nums[SAMPLE];
	struct err why = ERR_INIT;
	struct box_info info;
	size_t n = 0;
	int rc = st->ops->open_box(st, folder, BOX_READ, &info, &why);

	s->same = s->other = 0;
	for (size_t i = 0; rc >= 0 && i < s->n; i++) {
		struct store_msg m = { .num = 0 };

		s->p[i].num = 0;
		if (side == LEFT && !s->p[i].read)
			continue;
		rc = st->ops->find(st, side == LEFT ? s->p[i].left : s->p[i].right, 0, &m, &why);
		if (rc == 1)
			nums[n++] = s->p[i].num = m.num;
	}
	if (rc >= 0 && n > 0)
		rc = side == LEFT && st->ops->idents ? st->ops->idents(st, nums, n, false, compare_ident, s, &why)
						     : store_read_idents(st, nums, n, 0, side == LEFT ? compare_ident : compare_content, s, &why);
	st->ops->close_box(st);
	if (rc >= 0)
		return 0;
	s->same = 0;
	if (err_ends_all(&why)) {
		*e = why;
		return -1;
	}
	log_debug("'%s' can't be compared: %s", folder, why.text);
	return 0;
}

/* Some may have been deleted meanwhile; but none may be another. */
static bool bears_out(const struct sample *s, size_t of)
{
	return s->other == 0 && s->same > 0 && 2 * s->same >= of;
}

enum store_same samebox_stamps(const struct twoway *g, int side, const struct sync_folder *gone, const struct sync_folder *fresh)
{
	char then[STORE_STAMP_MAX];

	look_own_stamp(side == LEFT ? gone->base.left_stamp : gone->base.right_stamp, then);
	return g->side[side]->ops->same_box(then, side == LEFT ? fresh->left_stamp : fresh->right_stamp);
}

/* The right is asked in any case: what it holds tells the left's messages apart. */
int samebox_content(struct twoway *g, const struct sync_folder *gone, const struct sync_folder *fresh, bool ours, struct err *e)
{
	struct sample s = { .arena = ARENA_INIT(1 << 20), .every = 1 };
	size_t readable = 0;
	int rc = -1;

	if (!gone->on_left && gone->on_right && samebox_stamps(g, LEFT, gone, fresh) == STORE_SAME)
		return 1;
	if (take_sample(g, gone, &s, e) < 0 || ask(g, RIGHT, gone->on_right ? gone->right : fresh->right, &s, e) < 0)
		goto out;
	rc = bears_out(&s, s.n);
	for (size_t i = 0; i < s.n; i++)
		readable += s.p[i].read && s.p[i].id.has_mid;
	if (rc == 1 && !gone->on_left && !ours)
		rc = ask(g, LEFT, fresh->left, &s, e) < 0 ? -1 : bears_out(&s, readable);
out:
	arena_release(&s.arena);
	return rc;
}
