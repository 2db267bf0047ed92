/* A command whose stdin and stdout are the connection: "ssh -W %h:%p gate". %h, %p and %% are replaced; host and port hold no shell characters (checked). */
#ifndef NET_TUNNEL_H
#define NET_TUNNEL_H

#include "base/strbuf.h"
#include "net/stream.h"

/* Its command line as it is run: %h, %p and %% replaced. ERR_CONF. */
int tunnel_command(const char *command, const char *host, const char *port, struct strbuf *out, struct err *e);

struct stream *tunnel_new(const char *command, const char *host, const char *port, struct net_stats *stats, struct err *e);

#endif
