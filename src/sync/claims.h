/* One bit for each pair of the base that was met in this session: a pair stands for one message only. */
#ifndef SYNC_CLAIMS_H
#define SYNC_CLAIMS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct claims {
	unsigned char *bits;
	int64_t max;
};

int claims_init(struct claims *c, int64_t max_id, struct err *e);
void claims_release(struct claims *c);
bool claims_has(const struct claims *c, int64_t id); /* ids above the maximum are of this session: true */
void claims_set(struct claims *c, int64_t id);

#endif
