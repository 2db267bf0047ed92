#include "sync/peek.h"

#include <stdlib.h>
#include <string.h>

#include "sync/twoway.h"

/* A folder of the base, by what one side calls it. */
struct seek {
	struct db *db;
	const char *name;
	enum pair_side side;
	bool found;
	struct folder_row row;
};

static int match(void *arg, int64_t id, const char *left, const char *right, struct err *e)
{
	struct seek *s = arg;

	(void)id;
	if (s->found || strcmp(s->side == PAIR_LEFT ? left : right, s->name) != 0)
		return 0;
	s->found = true;
	return folders_get(s->db, left, right, &s->row, e);
}

/* 1, 0 the base has it not, -1 */
static int find(struct db *db, enum pair_side side, const char *name, struct folder_row *out, struct err *e)
{
	struct seek s = { .db = db, .name = name, .side = side };

	if (folders_each(db, match, &s, e) < 0)
		return -1;
	*out = s.row;
	return s.found && s.row.id != 0;
}

int peek_stamp(struct db *db, enum pair_side side, const char *folder, const char *stamp, struct err *e)
{
	struct folder_row row;
	char own[STORE_STAMP_MAX];
	int rc = find(db, side, folder, &row, e);

	if (rc <= 0)
		return rc < 0 ? -1 : 1;
	look_own_stamp(side == PAIR_LEFT ? row.left_stamp : row.right_stamp, own);
	return own[0] == '\0' || strcmp(own, stamp) != 0;
}

/* Where the keys go that a look asks for. */
struct keys_to {
	int (*each)(void *to, struct slice key, struct err *e);
	void *to;
};

static int one_key(void *arg, const struct pair_key *p, struct err *e)
{
	struct keys_to *k = arg;

	return k->each(k->to, p->key, e);
}

/* What the look asks of the base. */
struct asked {
	struct db *db;
	int64_t folder;
};

static int known(void *arg, const char *folder, int (*each)(void *to, struct slice key, struct err *e), void *to, struct err *e)
{
	struct asked *a = arg;
	struct keys_to k = { .each = each, .to = to };

	(void)folder;
	return pairs_by_key(a->db, a->folder, PAIR_RIGHT, one_key, &k, e);
}

/* Read the look that stands at the box: does it show anything that the base has not? */
static int read_look(struct twoway *g, struct box *b, const struct box_info *info, struct err *e)
{
	if (info->extent == LOOK_SAME)
		return 0;
	if (info->reborn)
		return 1;
	if (join_side(&b->join, PAIR_RIGHT, g->side[RIGHT], info, g->db, b->f->base.id, e) < 0)
		return -1;
	return join_shows(&b->join, PAIR_RIGHT);
}

int peek_look(struct db *db, struct store *right, const char *folder, struct err *e)
{
	struct sync_folder f = { .left = folder, .right = folder, .on_right = true };
	struct box b = { .f = &f, .join = JOIN_INIT };
	struct twoway g = { .db = db, .side = { NULL, right } };
	struct asked asked = { .db = db };
	struct look l = { .folder = folder, .keywords = &b.view[RIGHT], .known = known, .arg = &asked };
	char own[STORE_STAMP_MAX];
	struct box_info info = { .messages = 0 };
	size_t i;
	int rc = find(db, PAIR_RIGHT, folder, &f.base, e);

	if (rc <= 0)
		return rc < 0 ? -1 : 1;
	asked.folder = f.base.id;
	b.view[LEFT].table = b.view[RIGHT].table = &b.keywords;
	look_own_stamp(f.base.right_stamp, own);
	l.stamp = own;
	l.all = own[0] == '\0' || strcmp(f.base.right_stamp + strlen(own), LOOK_NO_AGREEMENT) == 0;
	rc = words_read(&g, &b, e);
	if (rc == 0)
		rc = right->ops->look(right, &l, 1, BOX_READ, e);
	if (rc == 0)
		rc = right->ops->look_box(right, &i, &info, e) < 0 ? -1 : read_look(&g, &b, &info, e);
	right->ops->close_box(right);
	join_release(&b.join);
	keywords_release(&b.keywords);
	return rc;
}

/* The tree that is walked, and what it was found to be. */
struct walk {
	struct db *db;
	struct store *right;
	VEC(char *) names;  /* those whose stamps tell nothing */
	size_t seen, known;
};

static int count(void *arg, int64_t id, const char *left, const char *right, struct err *e)
{
	struct walk *w = arg;

	(void)id;
	(void)left;
	(void)right;
	(void)e;
	w->known++;
	return 0;
}

static int one_folder(void *arg, const struct folder_info *f, struct err *e)
{
	struct walk *w = arg;
	char *name;
	int rc;

	if (f->attrs & FOLDER_NO_SELECT)
		return 0;
	w->seen++;
	rc = f->stamp[0] == '\0' ? 1 : peek_stamp(w->db, PAIR_RIGHT, f->name, f->stamp, e);
	if (rc <= 0)
		return rc;
	name = strdup(f->name);
	if (!name || vec_push(&w->names, name) < 0) {
		free(name);
		return twoway_no_memory(e);
	}
	return 0;
}

int peek_all(struct db *db, struct store *right, struct err *e)
{
	struct walk w = { .db = db, .right = right };
	int rc = folders_each(db, count, &w, e);

	if (rc == 0)
		rc = right->ops->folders(right, one_folder, &w, e);
	if (rc == 0 && w.seen != w.known)
		rc = 1;
	for (size_t i = 0; rc == 0 && i < w.names.n; i++)
		rc = peek_look(db, right, w.names.a[i], e);
	for (size_t i = 0; i < w.names.n; i++)
		free(w.names.a[i]);
	vec_release(&w.names);
	return rc;
}
