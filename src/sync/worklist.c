/* Work kept aside: see worklist.h. In the spool stand the struct, whose key points nowhere there, and the key's bytes. */
#include "sync/worklist.h"

int worklist_put(struct worklist *l, const struct work *w, struct err *e)
{
	if (spool_write(&l->spool, w, sizeof(*w), e) < 0 || (w->key.n > 0 && spool_write(&l->spool, w->key.p, w->key.n, e) < 0))
		return -1;
	l->n++;
	return 0;
}

void worklist_rewind(struct worklist *l)
{
	spool_rewind(&l->spool);
}

ssize_t worklist_take(struct worklist *l, struct work *w, size_t max, struct arena *a, struct err *e)
{
	size_t n = 0;

	while (n < max) {
		int rc = spool_take(&l->spool, &w[n], sizeof(w[n]), e);
		char *key;

		if (rc < 0)
			return -1;
		if (rc == 0)
			break;
		key = arena_new(a, char, w[n].key.n + 1);
		if (!key)
			return err_set(e, ERR_LOCAL, "out of memory");
		if (w[n].key.n > 0 && spool_take(&l->spool, key, w[n].key.n, e) <= 0)
			return -1;
		w[n].key.p = key;
		n++;
	}
	return (ssize_t)n;
}

void worklist_clear(struct worklist *l)
{
	spool_clear(&l->spool);
	l->n = 0;
}

void worklist_release(struct worklist *l)
{
	spool_release(&l->spool);
	l->n = 0;
}
