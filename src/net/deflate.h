/* Raw DEFLATE over a stream, both directions (RFC 4978). Each flush is a Z_SYNC_FLUSH. */
#ifndef NET_DEFLATE_H
#define NET_DEFLATE_H

#include "net/stream.h"

struct deflate_limits {
	uint64_t ratio; /* largest out/in over any 1 MiB of output; 0 means 1040: what RFC 1951 can reach */
};

/* Owns `below` on success; frees it on failure. limits may be NULL. Past the limit: ERR_PROTO. */
struct stream *deflate_over(struct stream *below, const struct deflate_limits *limits, struct err *e);

extern const struct stream_ops deflate_ops;

#endif
