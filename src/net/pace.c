/* Patience with slow peers: see pace.h. */
#include "net/pace.h"

/* Read on. */
int pace_fill(struct pace *p, struct bufin *in, uint64_t min_rate, struct slice *have,
	struct err *e)
{
	size_t before = bufin_pending(in);
	msec_t start = clock_now(), took;
	int r;

	stream_set_deadline(in->s, start + p->timeout);
	r = bufin_more(in, have, e);
	took = clock_now() - start;
	p->total += took;
	if (r < 0 && e && e->kind == ERR_TIMEOUT)
		err_set(e, ERR_TIMEOUT, "the server sent nothing for %d seconds",
			p->timeout / 1000);
	if (r < 0)
		return -1;
	p->waited += took;
	p->got += bufin_pending(in) - before;
	if (p->waited < PACE_MS)
		return r;
	if (p->got < min_rate * (PACE_MS / 1000))
		return err_set(e, ERR_TIMEOUT, "the server sends less than %u bytes a second",
			(unsigned)min_rate);
	p->waited = 0;
	p->got = 0;
	return r;
}
