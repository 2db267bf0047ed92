/* What a section says, as a number: equal for sections that say the same, however it is written. See build.h. */
#include <string.h>

#include "config/build.h"

/* FNV-1a, 64 bits: nobody has a reason to forge one. */
static uint64_t add(uint64_t h, const void *p, size_t n)
{
	const unsigned char *b = p;

	for (size_t i = 0; i < n; i++)
		h = (h ^ b[i]) * UINT64_C(1099511628211);
	return h;
}

static uint64_t add_text(uint64_t h, const char *s)
{
	return s ? add(h, s, strlen(s) + 1) : add(h, "\1", 1);
}

static uint64_t add_list(uint64_t h, const struct key_list *l)
{
	h = add(h, &l->n, sizeof(l->n));
	for (size_t i = 0; i < l->n; i++)
		h = add_text(h, l->v[i]);
	return h;
}

static uint64_t add_keep(uint64_t h, const struct key_keep *k)
{
	int64_t v[] = { (int64_t)k->what, k->seconds };

	return add(h, v, sizeof(v));
}

static uint64_t add_limit(uint64_t h, const struct plan_max_delete *m)
{
	uint64_t v[] = { m->none, m->percent, m->count };

	return add(h, v, sizeof(v));
}

static uint64_t add_value(uint64_t h, const struct key *k, const void *keys)
{
	const void *field = (const char *)keys + k->off;

	switch (k->type) {
	case KEY_STR:
	case KEY_COMMAND:
	case KEY_SECRET:
	case KEY_PATH:
		return add_text(h, *(const char *const *)field);
	case KEY_INT:
	case KEY_DURATION:
	case KEY_MOMENT:
	case KEY_SIZE:
	case KEY_RATE:
	case KEY_BUDGET:
		return add(h, field, sizeof(int64_t));
	case KEY_BOOL:
		return add(h, field, sizeof(bool));
	case KEY_WORD:
		return add(h, field, sizeof(int));
	case KEY_LIST:
		return add_list(h, field);
	case KEY_KEEP:
		return add_keep(h, field);
	case KEY_LIMIT:
		return add_limit(h, field);
	case KEY_TYPES:
		break;
	}
	return h;
}

static uint64_t add_section(uint64_t h, const struct parsed *s)
{
	size_t n;
	const struct key *k = schema_keys(&n);

	h = add_text(add_text(h, s->def->name), s->name);
	for (size_t i = 0; i < n; i++)
		if (strcmp(k[i].section, s->def->name) == 0)
			h = add_value(h, &k[i], s->keys);
	return h;
}

uint64_t build_mark(const struct parsed *s, const struct parsed_list *list)
{
	uint64_t h = add_section(UINT64_C(14695981039346656037), s);

	for (size_t i = 0; i < list->n; i++)
		if (list->a[i].parent == s)
			h = add_section(h, &list->a[i]);
	return h;
}

static bool same_end(const struct config_end *a, const struct config_end *b)
{
	return a->mark == b->mark && strcmp(a->name, b->name) == 0 && strcmp(a->url, b->url) == 0;
}

bool config_job_same(const struct config_job *a, const struct config_job *b)
{
	return a->mode == b->mode && a->mark == b->mark && strcmp(a->name, b->name) == 0 && same_end(a->left, b->left) && same_end(a->right, b->right);
}
