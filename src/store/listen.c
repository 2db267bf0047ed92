/* What listeners have in common: see listen.h. */
#include "store/listen.h"

#include <stdlib.h>
#include <string.h>

/* A listener of a store. */
struct listener *listener_new(struct store *s, const struct listen_params *p, struct err *e)
{
	if (s->ops->listen)
		return s->ops->listen(s, p, e);
	err_set(e, ERR_BUG, "%s: nothing tells of changes there", s->ops->name);
	return NULL;
}

/* Free one. */
void listener_free(struct listener *l)
{
	if (l)
		l->ops->free(l);
}

/* An interval for a person. */
void listen_put_interval(struct strbuf *out, msec_t interval)
{
	static const struct {
		msec_t ms;
		const char *unit;
	} units[] = { { 3600000, "h" }, { 60000, "min" }, { 1000, "s" } };

	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (interval % units[i].ms != 0 || (interval < 2 * units[i].ms && units[i].ms != 1000))
			continue;
		strbuf_printf(out, "%lld %s", (long long)(interval / units[i].ms), units[i].unit);
		return;
	}
	strbuf_printf(out, "%.1f s", (double)interval / 1000);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void drop(struct listen_folders *f)
{
	for (size_t i = 0; i < f->n; i++)
		free(f->names[i]);
	free(f->names);
	free(f->hinted);
}

/* Other folders. */
int listen_folders_set(struct listen_folders *f, const char *const *names, size_t n, struct err *e)
{
	struct listen_folders new = { .all = f->all, .any = f->all };
	size_t at;

	new.names = calloc(n ? n : 1, sizeof(*new.names));
	new.hinted = calloc(n ? n : 1, sizeof(*new.hinted));
	for (; new.names && new.n < n; new.n++)
		if (!(new.names[new.n] = strdup(names[new.n])))
			break;
	if (!new.names || !new.hinted || new.n < n) {
		drop(&new);
		return err_set(e, ERR_LOCAL, "out of memory");
	}
	qsort(new.names, n, sizeof(*new.names), by_name);
	for (size_t i = 0; i < n; i++)
		if (listen_folders_find(f, new.names[i], &at) && f->hinted[at])
			new.hinted[i] = new.any = true;
	drop(f);
	*f = new;
	return 0;
}

void listen_folders_release(struct listen_folders *f)
{
	drop(f);
	*f = (struct listen_folders){ 0 };
}

/* Where a name stands. */
bool listen_folders_find(const struct listen_folders *f, const char *name, size_t *i)
{
	char *const *at = f->n ? bsearch(&name, f->names, f->n, sizeof(*f->names), by_name) : NULL;

	if (at)
		*i = (size_t)(at - f->names);
	return at != NULL;
}

void listen_hint(struct listen_folders *f, size_t i)
{
	f->hinted[i] = f->any = true;
}

void listen_hint_all(struct listen_folders *f)
{
	f->all = f->any = true;
}

/* Tell: all, or each. */
void listen_tell(struct listen_folders *f, void (*hint)(void *arg, const char *folder), void *arg)
{
	bool all = f->all, any = f->any;

	f->all = f->any = false;
	if (any && all)
		hint(arg, NULL);
	for (size_t i = 0; any && i < f->n; i++) {
		bool this = f->hinted[i];

		f->hinted[i] = false;
		if (this && !all)
			hint(arg, f->names[i]);
	}
}
