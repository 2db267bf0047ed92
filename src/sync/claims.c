#include "sync/claims.h"

#include <stdlib.h>

int claims_init(struct claims *c, int64_t max_id, struct err *e)
{
	c->max = max_id;
	c->bits = calloc((size_t)(max_id / 8) + 1, 1);
	if (!c->bits)
		return err_set(e, ERR_LOCAL, "out of memory");
	return 0;
}

void claims_release(struct claims *c)
{
	free(c->bits);
	c->bits = NULL;
}

bool claims_has(const struct claims *c, int64_t id)
{
	if (id > c->max)
		return true;
	return c->bits[id / 8] & (1u << (id % 8));
}

void claims_set(struct claims *c, int64_t id)
{
	if (id <= c->max)
		c->bits[id / 8] = (unsigned char)(c->bits[id / 8] | (1u << (id % 8)));
}
