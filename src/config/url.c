/* URLs and store specs: see url.h. */
#include "config/url.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#define URL_MAX 4096
#define HOST_MAX 253

enum scheme_what { ACCOUNT, PROXY, LOCAL };

static const struct {
	const char *name;
	enum scheme_what what;
} schemes[] = {
	{ "pop3s", ACCOUNT }, { "pop3", ACCOUNT }, { "imaps", ACCOUNT }, { "imap", ACCOUNT },
	{ "socks5", PROXY }, { "maildir", LOCAL }, { "mbox", LOCAL },
};

#define N_SCHEMES (sizeof(schemes) / sizeof(schemes[0]))

/* The value of a hex digit; -1 for something else. */
static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* Undo %XX; NULL when it is broken, holds a control character, or memory is out. */
static const char *decode(struct slice in, struct arena *a)
{
	char *out = arena_str(a, in), *w = out;

	if (!out)
		return NULL;
	for (size_t i = 0; i < in.n; i++) {
		unsigned char c = (unsigned char)in.p[i];

		if (c == '%') {
			if (in.n - i < 3 || hex(in.p[i + 1]) < 0 || hex(in.p[i + 2]) < 0)
				return NULL;
			c = (unsigned char)(hex(in.p[i + 1]) * 16 + hex(in.p[i + 2]));
			i += 2;
		}
		if (c < 0x20 || c == 0x7f)
			return NULL;
		*w++ = (char)c;
	}
	*w = '\0';
	return out;
}

/* Whether a name may be asked of the resolver, and stand in a tunnel's command. */
static bool name_ok(struct slice s)
{
	if (s.n == 0 || s.n > HOST_MAX || s.p[0] == '-' || s.p[0] == '.')
		return false;
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.'))
			return false;
		if (c == '.' && i + 1 < s.n && s.p[i + 1] == '.')
			return false;
	}
	return true;
}

/* Check a host. */
int url_host(struct slice text, struct arena *a, const char **out, struct err *e)
{
	struct slice s = text;
	bool bracket = s.n > 0 && s.p[0] == '[';
	struct in6_addr six;
	char *copy;

	if (bracket) {
		if (s.n < 2 || s.p[s.n - 1] != ']')
			return err_set(e, ERR_CONF, "'[' without ']' in the host");
		s = slice_of(s.p + 1, s.n - 2);
	}
	copy = arena_str(a, s);
	if (!copy)
		return err_set(e, ERR_LOCAL, "out of memory");
	for (char *p = copy; *p; p++)
		if (*p >= 'A' && *p <= 'Z')
			*p = (char)(*p + 32);
	if (strlen(copy) == s.n && inet_pton(AF_INET6, copy, &six) == 1) {
		*out = copy;
		return 0;
	}
	if (bracket)
		return err_set(e, ERR_CONF, "'%s' is no IPv6 address", copy);
	if (s.n == 0)
		return err_set(e, ERR_CONF, "the host is missing");
	if (!name_ok(s)) {
		err_set(e, ERR_CONF, "'%s' is no host name: letters, digits, '-', '.' and '_', at most %d", copy, HOST_MAX);
		for (size_t i = 0; i < s.n; i++)
			if ((unsigned char)s.p[i] >= 0x80)
				return err_hint(e, "write an international name in its ASCII form, xn--...");
		return -1;
	}
	*out = copy;
	return 0;
}

/* This machine? */
bool url_loopback(const char *host)
{
	struct in_addr four;
	struct in6_addr six;

	if (inet_pton(AF_INET, host, &four) == 1)
		return ntohl(four.s_addr) >> 24 == 127;
	if (inet_pton(AF_INET6, host, &six) == 1)
		return IN6_IS_ADDR_LOOPBACK(&six);
	return strcmp(host, "localhost") == 0;
}

/* The row of "SCHEME:"; -1 when the text begins with none. */
static int scheme_of(const char *text)
{
	size_t n = strcspn(text, ":/?#@ ");

	if (text[n] != ':')
		return -1;
	for (size_t i = 0; i < N_SCHEMES; i++)
		if (slice_ieqs(slice_of(text, n), schemes[i].name))
			return (int)i;
	return -1;
}

/* A URL, or a name? */
bool url_like(const char *text)
{
	return strchr(text, ':') || strchr(text, '/');
}

/* "user[;auth=MECH]", or "user:password" of a proxy. */
static int parse_user(struct slice s, enum scheme_what what, struct arena *a, struct url *out, struct err *e)
{
	struct slice user = s, rest = { NULL, 0 };

	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] == (what == PROXY ? ':' : ';')) {
			user = slice_of(s.p, i);
			rest = slice_of(s.p + i + 1, s.n - i - 1);
			break;
		}
	if (what == ACCOUNT && memchr(user.p, ':', user.n)) {
		err_set(e, ERR_CONF, "a password can't stand in a URL, where process lists and logs show it");
		return err_hint(e, "password-command, password-file or netrc give it; a ':' in the user name is %%3A");
	}
	if (user.n > 0 && !(out->user = decode(user, a)))
		return err_set(e, ERR_CONF, "the user name in the URL holds a bad %%XX or a control character");
	if (what == PROXY) {
		if (rest.p && !(out->password = decode(rest, a)))
			return err_set(e, ERR_CONF, "the password in the URL holds a bad %%XX or a control character");
		if (rest.p && !out->user)
			return err_set(e, ERR_CONF, "a password without a user in the URL");
		return 0;
	}
	if (!rest.p)
		return 0;
	if (!slice_istarts(rest, "auth=") || rest.n == 5)
		return err_set(e, ERR_CONF, "only ;auth=MECHANISM may follow the user name");
	rest = slice_of(rest.p + 5, rest.n - 5);
	if (slice_eqs(rest, "*")) /* RFC 2384 section 2: any */
		return 0;
	if (rest.p[0] == '+') /* RFC 2384 section 3: "+APOP" is not a SASL mechanism */
		rest = slice_of(rest.p + 1, rest.n - 1);
	if (rest.n == 0 || !(out->auth = decode(rest, a)))
		return err_set(e, ERR_CONF, "the mechanism in the URL holds a bad %%XX or a control character");
	return 0;
}

/* "host[:port][/]" */
static int parse_host(struct slice s, struct arena *a, struct url *out, struct err *e)
{
	struct slice host = s, port = { NULL, 0 };
	size_t from = 0;
	uint64_t number;

	if (s.n > 0 && s.p[s.n - 1] == '/')
		s.n--;
	if (s.n > 0 && s.p[0] == '[') {
		const char *end = memchr(s.p, ']', s.n);

		from = end ? (size_t)(end - s.p) : s.n;
	}
	host = s;
	for (size_t i = from; i < s.n; i++) {
		if (s.p[i] == '/' || s.p[i] == '?' || s.p[i] == '#')
			return err_set(e, ERR_CONF, "nothing may follow the host and port in the URL");
		if (s.p[i] == ':' && !port.p) {
			host = slice_of(s.p, i);
			port = slice_of(s.p + i + 1, s.n - i - 1);
		}
	}
	if (port.p && memchr(port.p, ':', port.n))
		return err_set(e, ERR_CONF, "an IPv6 address in a URL stands in brackets: [::1]");
	if (url_host(host, a, &out->host, e) < 0)
		return -1;
	if (port.p) {
		if (!slice_u64(port, 65535, &number) || number == 0)
			return err_set(e, ERR_CONF, "the port in the URL is no number from 1 to 65535");
		while (port.n > 1 && port.p[0] == '0')
			port = slice_of(port.p + 1, port.n - 1);
		if (!(out->port = arena_str(a, port)))
			return err_set(e, ERR_LOCAL, "out of memory");
	}
	return 0;
}

/* What to say of a text that begins with no scheme of ours. */
static int no_scheme(const char *text, struct err *e)
{
	size_t n = strcspn(text, ":/@?# ");

	if (text[n] == ':' && n <= 16)
		err_set(e, ERR_CONF, "'%.*s:' is not known", (int)n, text);
	else
		err_set(e, ERR_CONF, "this is no URL");
	return err_hint(e, "imaps://user@host, imap://user@host, pop3s://user@host, pop3://user@host, maildir:PATH, mbox:PATH");
}

/* Take a URL apart. */
int url_parse(const char *text, struct arena *a, struct url *out, struct err *e)
{
	int row = scheme_of(text);
	const char *rest, *at;
	struct slice user = { NULL, 0 };

	*out = (struct url){ 0 };
	if (row < 0)
		return no_scheme(text, e);
	if (strlen(text) > URL_MAX)
		return err_set(e, ERR_CONF, "the URL is longer than %d bytes", URL_MAX);
	out->scheme = schemes[row].name;
	rest = text + strlen(schemes[row].name) + 1;
	if (schemes[row].what == LOCAL) {
		if (*rest == '\0')
			return err_set(e, ERR_CONF, "'%s:' needs a path", out->scheme);
		if (!(out->path = arena_str(a, slice_str(rest))))
			return err_set(e, ERR_LOCAL, "out of memory");
		return 0;
	}
	if (strncmp(rest, "//", 2) != 0)
		return err_set(e, ERR_CONF, "'//' must follow '%s:'", out->scheme);
	rest += 2;
	at = strrchr(rest, '@'); /* user names hold '@' more often than anybody encodes it; hosts never do */
	if (at) {
		user = slice_of(rest, (size_t)(at - rest));
		rest = at + 1;
	}
	if (user.p && parse_user(user, schemes[row].what, a, out, e) < 0)
		return -1;
	return parse_host(slice_str(rest), a, out, e);
}

/* Write one. */
int url_put(struct strbuf *b, const char *scheme, const char *user, const char *host, const char *port)
{
	int rc = strbuf_printf(b, "%s://", scheme);

	for (const char *p = user; p && *p; p++) {
		unsigned char c = (unsigned char)*p;

		if (c <= 0x20 || c >= 0x7f || strchr("%/:;?#[]<>\"\\^`{|}", c))
			rc |= strbuf_printf(b, "%%%02X", c);
		else
			rc |= strbuf_putc(b, (char)c);
	}
	if (user)
		rc |= strbuf_putc(b, '@');
	rc |= strbuf_printf(b, strchr(host, ':') ? "[%s]" : "%s", host);
	if (port)
		rc |= strbuf_printf(b, ":%s", port);
	return rc < 0 ? -1 : 0;
}
