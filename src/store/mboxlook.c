/* What has changed in the folders of an mbox tree: see store.h. The stamp of a file spares reading it; what is read is told whole. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>

#include "base/log.h"
#include "store/mbox_p.h"

int mbox_look(struct store *s, const struct look *l, size_t n, unsigned how, struct err *e)
{
	struct mbox *m = mbox_of(s);
	struct stat st;

	(void)how; /* nothing is held between two looks */
	mbox_close(s);
	if (stat(m->root, &st) < 0)
		return err_errno(e, "can't look at %s", m->root);
	m->looks = l;
	m->n_looks = n;
	m->look_at = 0;
	return 0;
}

static int look_at(struct mbox *m, const struct look *l, struct box_info *out, struct err *e)
{
	struct strbuf path = STRBUF_INIT(PATH_MAX);
	struct stat st;
	int rc = mbox_folder_path(m, l->folder, &path, e);

	if (rc == 0)
		rc = err_set(e, ERR_LOCAL, "there is no folder '%s' in %s", l->folder, m->root);
	if (rc > 0)
		rc = mbox_set_path(m, path.s, e);
	strbuf_release(&path);
	if (rc < 0)
		return -1;
	if (stat(m->path, &st) < 0)
		return err_errno(e, "can't look at %s", m->path);
	m->view = l->keywords;
	mbox_tell_box(m, &st, out);
	if (out->read_only)
		log_warn("%s can't be written, or not be replaced: what the other side has is not brought there", m->path);
	if (out->stamp[0] && l->stamp && !l->all && strcmp(out->stamp, l->stamp) == 0) {
		out->extent = LOOK_SAME;
		return 0;
	}
	if (!mbox_index_is(m, &st))
		mbox_index_clear(&m->index); /* so that its order is the file's */
	if (mbox_index_now(m, e) < 0)
		return -1;
	out->in_order = true;
	mbox_stamp(m, &m->index.st, out->stamp);
	out->extent = LOOK_ALL;
	out->messages = m->index.live;
	m->looking = true;
	return 0;
}

int mbox_look_box(struct store *s, size_t *i, struct box_info *out, struct err *e)
{
	struct mbox *m = mbox_of(s);

	memset(out, 0, sizeof(*out));
	m->list_at = 0;
	m->looking = false;
	if (!m->looks)
		return err_set(e, ERR_BUG, "mbox: nothing to look at was announced");
	if (m->look_at >= m->n_looks)
		return 0;
	*i = m->look_at++;
	return look_at(m, &m->looks[*i], out, e) < 0 ? mbox_of_box(e) : 1;
}

int mbox_look_next(struct store *s, struct store_msg *out, struct err *e)
{
	struct mbox *m = mbox_of(s);

	(void)e;
	while (m->looking && m->list_at < m->index.a.n) {
		size_t i = m->list_at++;

		if (m->index.a.a[i].gone)
			continue;
		mbox_tell_msg(m, i, out);
		out->num = 0;
		mbox_key(m->index.a.a[i].at.digest, m->index.a.a[i].nth, m->key);
		out->key = slice_str(m->key);
		return 1;
	}
	return 0;
}
