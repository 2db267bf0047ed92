#include "sync/peek.h"

#include <string.h>

#include "sync/twoway.h"

/* A folder of the base, by what one side calls it. */
struct seek {
	struct db *db;
	const char *name;
	int side;
	bool found;
	struct folder_row row;
};

static int match(void *arg, int64_t id, const char *left, const char *right, struct err *e)
{
	struct seek *s = arg;

	(void)id;
	if (s->found || strcmp(s->side == LEFT ? left : right, s->name) != 0)
		return 0;
	s->found = true;
	return folders_get(s->db, left, right, &s->row, e);
}

/* 1, 0 the base has it not, -1 */
static int find(struct db *db, int side, const char *name, struct folder_row *out, struct err *e)
{
	struct seek s = { .db = db, .name = name, .side = side };

	if (folders_each(db, match, &s, e) < 0)
		return -1;
	*out = s.row;
	return s.found && s.row.id != 0;
}

int peek_left(struct db *db, const char *folder, const char *stamp, struct err *e)
{
	struct folder_row row;
	char own[STORE_STAMP_MAX];
	int rc = find(db, LEFT, folder, &row, e);

	if (rc <= 0)
		return rc < 0 ? -1 : 1;
	look_own_stamp(row.left_stamp, own);
	return own[0] == '\0' || strcmp(own, stamp) != 0;
}

/* Where the keys go that a look asks for. */
struct keys_to {
	int (*each)(void *to, struct slice key, struct err *e);
	void *to;
};

static int one_key(void *arg, const struct pair *p, struct err *e)
{
	struct keys_to *k = arg;

	return k->each(k->to, p->right, e);
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

int peek_right(struct db *db, struct store *right, const char *folder, struct err *e)
{
	struct sync_folder f = { .left = folder, .right = folder, .on_right = true };
	struct box b = { .f = &f, .join = JOIN_INIT };
	struct twoway g = { .db = db, .side = { NULL, right } };
	struct asked asked = { .db = db };
	struct look l = { .folder = folder, .keywords = &b.view[RIGHT], .known = known, .arg = &asked };
	char own[STORE_STAMP_MAX];
	struct box_info info = { .messages = 0 };
	size_t i;
	int rc = find(db, RIGHT, folder, &f.base, e);

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
