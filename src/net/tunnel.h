/* A command whose stdin and stdout are the connection: "ssh -W %h:%p gate". %h, %p and %% are replaced; host and port hold no shell characters (checked). */
#ifndef NET_TUNNEL_H
#define NET_TUNNEL_H

#include "net/stream.h"

struct stream *tunnel_new(const char *command, const char *host, const char *port, struct net_stats *stats, struct err *e);

#endif
