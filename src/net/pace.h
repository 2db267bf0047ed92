/*
 * Reading with a deadline for each wait, from a peer that may be slow but not too slow: one that
 * trickles keeps us from our work as well as one that says nothing.
 */
#ifndef NET_PACE_H
#define NET_PACE_H

#include "net/bufin.h"

#define PACE_MS (5 * 60 * 1000)
#define PACE_BYTES 1024

struct pace {
	int timeout;       /* ms for PACE_BYTES to come */
	int64_t stood;     /* ms that we waited for them, and those that came */
	uint64_t came;
	int64_t waited;    /* ms and bytes of the running PACE_MS */
	uint64_t got;
	int64_t total;     /* ms waited since the owner last set it to 0 */
};

/* Something new is waited for: what came before doesn't count any more. All but total is 0 then. */
void pace_begin(struct pace *p);

/*
 * More bytes behind what is at hand: bufin_more within a deadline. Only the time that we stood
 * waiting counts against the peer: ERR_TIMEOUT when it brings less than PACE_BYTES in timeout ms of
 * it, or less than min_rate bytes a second over PACE_MS. 1, 0 at the end of the stream, -1.
 */
int pace_fill(struct pace *p, struct bufin *in, uint64_t min_rate, struct slice *have,
	struct err *e);

#endif
