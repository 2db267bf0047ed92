/* The order of the layers: see dial.h. */
#include "net/dial.h"

#include <stdio.h>
#include <string.h>

#include "net/deflate.h"
#include "net/fdio.h"
#include "net/sock.h"
#include "net/throttle.h"
#include "net/trace.h"
#include "net/tunnel.h"

/* Put the trace on top when it is wanted, so that it shows what the protocol says. */
static struct stream *with_trace(struct stream *s, const struct dial_params *p, struct err *e)
{
	return s && p->trace ? trace_over(s, e) : s;
}

/* Take the trace off the top. */
static struct stream *without_trace(struct stream *s)
{
	struct stream *below = s->next;

	if (s->ops != &trace_ops)
		return s;
	s->ops->free(s);
	return below;
}

/* TLS over s, verified for the host that the person wrote, not for a proxy's. */
static struct stream *with_tls(struct stream *s, const struct dial_params *p, struct err *e)
{
	struct tls_params tls = p->tls;

	if (!tls.host)
		tls.host = p->host;
	return tls_over(s, &tls, e);
}

/* The lowest layer with the proxy behind us, and a deadline for all that follows. */
static struct stream *connect_low(
	const struct dial_params *p, struct net_stats *stats, msec_t deadline, struct err *e)
{
	const char *host = p->proxy.host ? p->proxy.host : p->host;
	const char *port = p->proxy.host ? p->proxy.port : p->port;
	struct stream *s;
	int fd;

	if (p->tunnel) {
		s = tunnel_new(p->tunnel, p->host, p->port, stats, e);
		if (s)
			stream_set_deadline(s, deadline);
		return s;
	}
	fd = sock_dial(host, port, deadline, e);
	s = fd < 0 ? NULL : fdstream_new(fd, stats, e);
	if (!s) {
		if (p->proxy.host)
			err_in(e, "proxy");
		return NULL;
	}
	stream_set_deadline(s, deadline);
	if (p->proxy.host && socks_connect(s, &p->proxy, p->host, p->port, e) < 0) {
		stream_free(s);
		return NULL;
	}
	return s;
}

/* A connected stream. */
struct stream *dial(const struct dial_params *p, struct net_stats *stats, struct err *e)
{
	msec_t deadline = clock_in(p->timeout);
	struct stream *s = connect_low(p, stats, deadline, e);

	if (s && p->rate > 0) {
		s = throttle_over(s, p->rate, e);
		if (s)
			stream_set_deadline(s, deadline);
	}
	if (s && p->security == DIAL_TLS)
		s = with_tls(s, p, e);
	s = with_trace(s, p, e);
	if (s)
		stream_set_deadline(s, clock_in(p->timeout));
	return s;
}

/* TLS after STARTTLS. */
struct stream *dial_start_tls(struct stream *s, const struct dial_params *p, struct err *e)
{
	stream_set_deadline(s, clock_in(p->timeout));
	s = with_trace(with_tls(without_trace(s), p, e), p, e);
	if (s)
		stream_set_deadline(s, clock_in(p->timeout));
	return s;
}

/* Compression after COMPRESS=DEFLATE. */
struct stream *dial_start_deflate(struct stream *s, const struct dial_params *p,
	const struct deflate_limits *limits, struct err *e)
{
	return with_trace(deflate_over(without_trace(s), limits, e), p, e);
}
