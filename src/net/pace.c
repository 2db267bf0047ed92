/* Patience with slow peers: see pace.h. */
#include "net/pace.h"

/* Something new is waited for. */
void pace_begin(struct pace *p)
{
	p->waited = p->stood = 0;
	p->got = p->came = 0;
}

/* The time is up. */
static int too_slow(const struct pace *p, struct err *e)
{
	if (p->came == 0)
		return err_set(e, ERR_TIMEOUT, "the server sent nothing for %d seconds",
			p->timeout / 1000);
	return err_set(e, ERR_TIMEOUT, "the server sent no more than %llu bytes in %d seconds",
		(unsigned long long)p->came, p->timeout / 1000);
}

/* Read on. */
int pace_fill(struct pace *p, struct bufin *in, uint64_t min_rate, struct slice *have,
	struct err *e)
{
	size_t before = bufin_pending(in), n;
	msec_t start = clock_now(), took;
	int r;

	stream_set_deadline(in->s, start + p->timeout - p->stood);
	r = bufin_more(in, have, e);
	took = clock_now() - start;
	p->total += took;
	if (r < 0 && e && e->kind == ERR_TIMEOUT)
		return too_slow(p, e);
	if (r < 0)
		return -1;
	n = bufin_pending(in) - before;
	p->stood += took;
	p->came += n;
	if (p->came >= PACE_BYTES) {
		p->stood = 0;
		p->came = 0;
	}
	p->waited += took;
	p->got += n;
	if (p->waited < PACE_MS)
		return r;
	if (p->got < min_rate * (PACE_MS / 1000))
		return err_set(e, ERR_TIMEOUT, "the server sends less than %u bytes a second",
			(unsigned)min_rate);
	p->waited = 0;
	p->got = 0;
	return r;
}
