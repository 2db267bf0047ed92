/* Messages of an mbox get other flags, and are removed: all that a call asks for in one go, decided anew under the lock. */
#include <stdlib.h>
#include <string.h>

#include "mail/flags.h"
#include "store/mbox_p.h"

static int need_box(const struct mbox *m, struct err *e)
{
	return m->is_open && m->tree ? 0 : err_set(e, ERR_BUG, "mbox: no folder is open");
}

/* Lock the file, and know what is in it. */
static int lock_known(struct mbox *m, struct err *e)
{
	int rc = mbox_lock_file(m, false, e);

	if (rc == 0)
		return err_set(e, ERR_LOCAL, "there is no mbox %s any more", m->path);
	return rc < 0 ? -1 : mbox_index_locked(m, e);
}

/* Change messages; what is gone asks for nothing. */
static int change(struct mbox *m, struct mbox_change *c, size_t n, struct err *e)
{
	size_t live = 0;
	int rc = lock_known(m, e);

	for (size_t i = 0; rc == 0 && i < n; i++)
		if (!m->index.a.a[c[i].i].gone)
			c[live++] = c[i];
	if (rc == 0 && live > 0)
		rc = mbox_change(m, c, live, e);
	mbox_let_go(m);
	return rc < 0 ? mbox_of_box(e) : 0;
}

/* All keywords that are to be set. */
static int name_words(struct mbox *m, const struct flag_change *f, size_t n, struct err *e)
{
	struct strbuf words = STRBUF_INIT(MBOXNOTES_MAX);
	uint64_t add = 0;
	int rc;

	for (size_t i = 0; i < n; i++)
		add |= f[i].add;
	rc = mboxnotes_change(NOTE_KEYWORDS, (struct slice){ NULL, 0 }, add, 0, m->view, &words) < 0 ? err_set(e, ERR_LOCAL, "out of memory")
	                                                                                             : mbox_name_words(m, strbuf_slice(&words), e);
	strbuf_release(&words);
	return rc < 0 ? mbox_of_box(e) : 0;
}

int mbox_set_flags(struct store *s, const struct flag_change *f, size_t n, void (*done)(void *arg, uint64_t num, const struct err *why), void *arg, struct err *e)
{
	struct mbox *m = mbox_of(s);
	struct mbox_change *c = calloc(n > 0 ? n : 1, sizeof(*c));
	int rc = need_box(m, e);

	if (rc == 0 && !c)
		rc = err_set(e, ERR_LOCAL, "out of memory");
	for (size_t i = 0; rc == 0 && i < n; i++) {
		rc = mbox_entry_of(m, f[i].num, &c[i].i, e);
		c[i].add = f[i].add;
		c[i].del = f[i].del;
	}
	if (rc == 0)
		rc = name_words(m, f, n, e);
	if (rc == 0 && n > 0)
		rc = change(m, c, n, e);
	for (size_t i = 0; rc == 0 && i < n; i++)
		done(arg, f[i].num, NULL);
	free(c);
	return rc;
}

int mbox_remove(struct store *s, const uint64_t *nums, size_t n, void (*done)(void *arg, uint64_t num, const struct err *why), void *arg, struct err *e)
{
	struct mbox *m = mbox_of(s);
	size_t at;

	if (need_box(m, e) < 0)
		return -1;
	for (size_t i = 0; i < n; i++)
		if (mbox_entry_of(m, nums[i], &at, e) < 0)
			return -1;
	for (size_t i = 0; i < n; i++) {
		m->index.a.a[nums[i] - 1].doomed = m->doomed = true;
		done(arg, nums[i], NULL);
	}
	return 0;
}

static int remove_all(struct mbox *m, const uint64_t *nums, size_t n, struct err *e)
{
	struct mbox_change *c = calloc(n > 0 ? n : 1, sizeof(*c));
	int rc;

	if (!c)
		return err_set(e, ERR_LOCAL, "out of memory");
	for (size_t i = 0; i < n; i++)
		c[i] = (struct mbox_change){ .i = (size_t)nums[i] - 1, .remove = true };
	rc = n > 0 ? change(m, c, n, e) : 0;
	free(c);
	return rc;
}

/* Bring them to the trash, if there is one that they are not in. */
static int to_trash(struct mbox *m, const uint64_t *nums, size_t n, struct err *e)
{
	struct mbox_arrival *a;
	int rc;

	if (!m->store.trash || strcmp(m->store.trash, m->folder) == 0 || n == 0)
		return 0;
	a = calloc(n, sizeof(*a));
	rc = a ? mbox_copy_to(m, nums, n, m->store.trash, true, FLAG_DELETED, a, e) : err_set(e, ERR_LOCAL, "out of memory");
	free(a);
	return rc;
}

int mbox_commit(struct store *s, struct err *e)
{
	struct mbox *m = mbox_of(s);
	VEC(uint64_t) nums = { 0 };
	int rc = need_box(m, e);

	for (size_t i = 0; rc == 0 && m->doomed && i < m->index.a.n; i++)
		if (m->index.a.a[i].doomed && vec_push(&nums, i + 1) < 0)
			rc = err_set(e, ERR_LOCAL, "out of memory");
	if (rc == 0)
		rc = to_trash(m, nums.a, nums.n, e);
	if (rc == 0)
		rc = remove_all(m, nums.a, nums.n, e);
	vec_release(&nums);
	mbox_close(s);
	return rc;
}

/* store_ops.move: they are there before they are gone here. Interrupted between, both sides hold the message in its new folder, and it is no more than deleted from the old one. */
int mbox_move(struct store *s, const uint64_t *nums, size_t n, const char *folder, struct keyword_view *there,
	      void (*done)(void *arg, uint64_t num, struct slice key, const struct err *why), void *arg, struct err *e)
{
	struct mbox *m = mbox_of(s);
	struct mbox_arrival *a = calloc(n > 0 ? n : 1, sizeof(*a));
	int rc = need_box(m, e);

	(void)there; /* any keyword can be set in any folder */
	if (rc == 0 && !a)
		rc = err_set(e, ERR_LOCAL, "out of memory");
	if (rc == 0)
		rc = mbox_copy_to(m, nums, n, folder, false, 0, a, e);
	if (rc == 0)
		rc = remove_all(m, nums, n, e);
	for (size_t i = 0; rc == 0 && i < n; i++)
		done(arg, nums[i], slice_str(a[i].key), NULL);
	free(a);
	mbox_close(s);
	return rc < 0 ? mbox_of_box(e) : 0;
}
