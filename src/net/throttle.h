/*
 * A limit on what goes over a connection, both ways together: for servers that count. Stands below TLS, so that it counts what the wire carries.
 *
 * Its own waiting is no sloth of the peer: the deadline moves on with it, and it waits often and little, less than half a second for each KiB, so that whoever measures the peer's
 * pace (pace.h) always sees some bytes come.
 */
#ifndef NET_THROTTLE_H
#define NET_THROTTLE_H

#include "net/stream.h"

#define THROTTLE_MIN 10240 /* bytes a second; more slowly than that other people's patience ends, too */

/* At most so many bytes a second, but for the first few KiB. Owns `below`; frees it on failure. Waits end with a signal (ERR_CANCEL). */
struct stream *throttle_over(struct stream *below, uint64_t rate, struct err *e);

#endif
