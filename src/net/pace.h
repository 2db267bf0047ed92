/*
 * Reading with a deadline for each wait, from a peer that may be slow but not too slow: one that
 * trickles keeps us from our work as well as one that says nothing.
 */
#ifndef NET_PACE_H
#define NET_PACE_H

#include "net/bufin.h"

#define PACE_MS (5 * 60 * 1000)

struct pace {
	int timeout;       /* ms for each wait */
	int64_t waited;    /* ms and bytes of the running PACE_MS: 0 where something new begins */
	uint64_t got;
	int64_t total;     /* ms waited since the owner last set it to 0 */
};

/*
 * More bytes behind what is at hand: bufin_more within a deadline. Only the time that we stood
 * waiting counts against the peer: ERR_TIMEOUT when it brings less than min_rate bytes a second
 * over PACE_MS of it. 1, 0 at the end of the stream, -1.
 */
int pace_fill(struct pace *p, struct bufin *in, uint64_t min_rate, struct slice *have,
	struct err *e);

#endif
