/* SOCKS5: see socks.h. */
#include "net/socks.h"

#include <arpa/inet.h>
#include <stdbool.h>
#include <string.h>

#include "base/slice.h"
#include "base/strbuf.h"

enum { METHOD_NONE = 0, METHOD_PASSWORD = 2, METHOD_REFUSED = 0xff };
enum { ADDR_IPV4 = 1, ADDR_NAME = 3, ADDR_IPV6 = 4 };

#define FIELD_MAX 255 /* every length on this wire is one byte */

/* Exactly n bytes; not one more, they would belong to the connection behind the proxy. */
static int read_exact(struct stream *s, unsigned char *out, size_t n, struct err *e)
{
	while (n > 0) {
		ssize_t r = stream_read(s, out, n, e);

		if (r < 0)
			return -1;
		if (r == 0)
			return err_set(e, ERR_TEMP, "the proxy closed the connection");
		out += r;
		n -= (size_t)r;
	}
	return 0;
}

/* Send and flush. */
static int send_all(struct stream *s, const struct strbuf *b, struct err *e)
{
	if (b->failed)
		return err_set(e, ERR_LOCAL, "out of memory");
	return stream_write(s, b->s, b->len, e) < 0 ? -1 : stream_flush(s, e);
}

/* User and password (RFC 1929). */
static int login(struct stream *s, const struct socks_params *p, struct err *e)
{
	struct strbuf b = STRBUF_SECRET(2 * FIELD_MAX + 3);
	size_t user = strlen(p->user), password = p->password ? strlen(p->password) : 0;
	unsigned char reply[2];
	int rc;

	if (user == 0 || user > FIELD_MAX || password == 0 || password > FIELD_MAX)
		return err_set(
			e, ERR_CONF, "user and password must be 1 to %d bytes long", FIELD_MAX);
	strbuf_putc(&b, 1);
	strbuf_putc(&b, (char)user);
	strbuf_put(&b, p->user, user);
	strbuf_putc(&b, (char)password);
	strbuf_put(&b, p->password, password);
	rc = send_all(s, &b, e);
	strbuf_release(&b);
	if (rc < 0 || read_exact(s, reply, sizeof(reply), e) < 0)
		return -1;
	if (reply[1] != 0)
		return err_set(e, ERR_AUTH, "the proxy refused user and password of '%.100s'",
			p->user);
	return 0;
}

/* Agree on a method of authentication and go through it. */
static int greet(struct stream *s, const struct socks_params *p, struct err *e)
{
	struct strbuf b = STRBUF_INIT(8);
	unsigned char reply[2];
	int rc;

	strbuf_put(&b, p->user ? "\x05\x02\x00\x02" : "\x05\x01\x00", p->user ? 4 : 3);
	rc = send_all(s, &b, e);
	strbuf_release(&b);
	if (rc < 0 || read_exact(s, reply, sizeof(reply), e) < 0)
		return -1;
	if (reply[0] != 5)
		return err_set(e, ERR_PROTO, "the proxy doesn't speak SOCKS5");
	if (reply[1] == METHOD_NONE)
		return 0;
	if (reply[1] == METHOD_PASSWORD && p->user)
		return login(s, p, e);
	if (reply[1] == METHOD_REFUSED && p->user)
		return err_set(e, ERR_AUTH, "the proxy accepts no way to log in that we have");
	if (reply[1] == METHOD_REFUSED)
		return err_set(e, ERR_AUTH, "the proxy wants user and password");
	return err_set(e, ERR_PROTO, "the proxy chose a method that was not offered: %d", reply[1]);
}

/* Where to: an address as such, anything else as a name for the proxy to resolve. */
static int put_target(struct strbuf *b, const char *host, const char *port, struct err *e)
{
	unsigned char addr[16];
	char bare[FIELD_MAX + 1];
	size_t n = strlen(host);
	uint64_t number;

	if (!slice_u64(slice_str(port), 65535, &number) || number == 0)
		return err_set(e, ERR_CONF, "'%s' is no port number", port);
	if (n > 2 && host[0] == '[' && host[n - 1] == ']') {
		host++;
		n -= 2;
	}
	if (n == 0 || n > FIELD_MAX)
		return err_set(e, ERR_CONF, "host names must be 1 to %d bytes long", FIELD_MAX);
	memcpy(bare, host, n);
	bare[n] = '\0';
	if (inet_pton(AF_INET, bare, addr) == 1) {
		strbuf_putc(b, ADDR_IPV4);
		strbuf_put(b, addr, 4);
	} else if (inet_pton(AF_INET6, bare, addr) == 1) {
		strbuf_putc(b, ADDR_IPV6);
		strbuf_put(b, addr, 16);
	} else {
		strbuf_putc(b, ADDR_NAME);
		strbuf_putc(b, (char)n);
		strbuf_put(b, bare, n);
	}
	strbuf_putc(b, (char)(number >> 8));
	strbuf_putc(b, (char)(number & 255));
	return 0;
}

/* What a reply code means (RFC 1928 6). */
static int refused(int code, struct err *e)
{
	static const char *const texts[] = {
		[1] = "general failure",
		[2] = "its rules forbid the connection",
		[3] = "network unreachable",
		[4] = "host unreachable or unknown",
		[5] = "connection refused",
		[6] = "the way is too long (TTL expired)",
		[7] = "it can't connect (command not supported)",
		[8] = "it can't handle this type of address",
	};
	const char *text =
		code > 0 && code < (int)(sizeof(texts) / sizeof(texts[0])) ? texts[code] : NULL;

	return text ? err_set(e, ERR_UNAVAIL, "the proxy says: %s", text)
		    : err_set(e, ERR_UNAVAIL, "the proxy says: error %d", code);
}

/* The answer, with an address of the proxy's in it that is of no use to us but has to be read. */
static int read_reply(struct stream *s, struct err *e)
{
	unsigned char head[4], rest[1 + FIELD_MAX + 2];

	if (read_exact(s, head, sizeof(head), e) < 0)
		return -1;
	if (head[0] != 5)
		return err_set(e, ERR_PROTO, "the proxy's answer is not SOCKS5");
	if (head[1] != 0)
		return refused(head[1], e);
	switch (head[3]) {
	case ADDR_IPV4:
		return read_exact(s, rest, 4 + 2, e);
	case ADDR_IPV6:
		return read_exact(s, rest, 16 + 2, e);
	case ADDR_NAME:
		if (read_exact(s, rest, 1, e) < 0)
			return -1;
		return read_exact(s, rest + 1, (size_t)rest[0] + 2, e);
	default:
		return err_set(e, ERR_PROTO,
			"the proxy's answer holds an address of unknown type %d", head[3]);
	}
}

/* The request. */
static int request(struct stream *s, const char *host, const char *port, struct err *e)
{
	struct strbuf b = STRBUF_INIT(FIELD_MAX + 16);
	int rc;

	strbuf_put(&b, "\x05\x01\x00", 3);
	rc = put_target(&b, host, port, e);
	if (rc == 0)
		rc = send_all(s, &b, e);
	strbuf_release(&b);
	return rc;
}

/* Connect through the proxy. */
int socks_connect(struct stream *s, const struct socks_params *p, const char *host,
	const char *port, struct err *e)
{
	if (greet(s, p, e) < 0 || request(s, host, port, e) < 0 || read_reply(s, e) < 0)
		return err_in(e, "proxy '%.80s' to '%.80s' port %.8s", p->host, host, port);
	return 0;
}
