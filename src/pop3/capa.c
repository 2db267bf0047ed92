/* Capabilities (RFC 2449): one table, from the wire to `info`. */
#include <stdio.h>
#include <string.h>

#include "pop3/conn.h"

#define CAPA_BUDGET (64 << 10)
#define DELAY_MAX (7 * 86400)
#define EXPIRE_MAX 100000

static const struct pop3_capinfo table[] = {
	{ POP3_CAP_TOP, "TOP", "one-way copies: headers alone, to recognize what is there already", "messages are read whole for that" },
	{ POP3_CAP_USER, "USER", "login by USER and PASS where no SASL mechanism fits", "USER and PASS are tried only when there is no SASL" },
	{ POP3_CAP_SASL, "SASL", "login by the strongest mechanism that is offered", "login by USER and PASS" },
	{ POP3_CAP_RESP_CODES, "RESP-CODES", "telling a mailbox in use or a short failure from a refusal", "the texts of refusals are searched for known words" },
	{ POP3_CAP_AUTH_RESP_CODE, "AUTH-RESP-CODE", "telling a wrong password from a server in trouble", "a refused login counts as a wrong password" },
	{ POP3_CAP_LOGIN_DELAY, "LOGIN-DELAY", "keeping the pause between logins that the server asks for", "no pause" },
	{ POP3_CAP_PIPELINING, "PIPELINING", "many commands in flight: speed does not depend on distance", "one round trip for each command" },
	{ POP3_CAP_EXPIRE, "EXPIRE", "a warning when the server deletes what was read", "no warning" },
	{ POP3_CAP_UIDL, "UIDL", "knowing which messages are new without reading them", "UIDL is tried; else messages are known by their content" },
	{ POP3_CAP_STLS, "STLS", "encrypting a connection that began in clear", "pop3:// is refused unless tls = none" },
	{ POP3_CAP_UTF8, "UTF8", "getting internationalised messages as they are", "the server may give a downgraded form of them" },
	{ POP3_CAP_LANG, "LANG", "nothing: texts come in the server's language", "nothing" },
	{ POP3_CAP_IMPLEMENTATION, "IMPLEMENTATION", "the server's name in `info`", "nothing" },
};

/* The table, for who shows it. */
const struct pop3_capinfo *pop3_capinfo(size_t *n)
{
	*n = sizeof(table) / sizeof(table[0]);
	return table;
}

/* A number as an argument; unknown when it is none. */
static int number(struct slice word, int max, int unknown)
{
	uint64_t v;

	return slice_u64(word, (uint64_t)max, &v) ? (int)v : unknown;
}

/* Copy mechanism names; what can't be one is left out. */
static void take_mechs(struct pop3_caps *caps, struct slice args)
{
	size_t n = strlen(caps->sasl);

	for (struct slice w = slice_word(&args); w.n > 0; w = slice_word(&args)) {
		bool ok = w.n <= 64;

		for (size_t i = 0; ok && i < w.n; i++)
			ok = w.p[i] != '\0' && strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", w.p[i]);
		if (!ok || n + w.n + 2 > sizeof(caps->sasl))
			continue;
		if (n > 0)
			caps->sasl[n++] = ' ';
		memcpy(caps->sasl + n, w.p, w.n);
		n += w.n;
		caps->sasl[n] = '\0';
	}
}

/* One line of the CAPA reply. */
static void take_line(struct pop3_caps *caps, struct slice line)
{
	struct slice args = line, word = slice_word(&args), arg;

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		if (slice_ieqs(word, table[i].name))
			caps->have |= table[i].bit;
	args = slice_trim(args);
	if (slice_ieqs(word, "IMPLEMENTATION"))
		err_printable(caps->implementation, sizeof(caps->implementation), args.p, args.n);
	if (slice_ieqs(word, "SASL"))
		take_mechs(caps, args);
	arg = slice_word(&args);
	if (slice_ieqs(word, "LOGIN-DELAY"))
		caps->login_delay = number(arg, DELAY_MAX, 0);
	if (slice_ieqs(word, "EXPIRE"))
		caps->expire = number(arg, EXPIRE_MAX, -1); /* NEVER is -1 too */
}

/* The answer to CAPA. */
int pop3_capa_read(struct pop3_conn *c, bool keep, struct err *e)
{
	struct pop3_caps caps = { .known = true, .expire = -1 };
	struct err refused = ERR_INIT;
	uint64_t budget = CAPA_BUDGET;
	struct slice line;
	int r = pop3_status(c, NULL, &refused);

	if (r < 0) {
		if (e)
			*e = refused;
		return err_in(e, "CAPA");
	}
	if (r == 0) {
		if (!keep)
			c->caps = (struct pop3_caps){ .expire = -1 };
		return 0;
	}
	while ((r = pop3_multi(c, POP3_LINE_MAX, &budget, &line, e)) > 0)
		take_line(&caps, line);
	if (r < 0)
		return err_in(e, "CAPA");
	caps.have &= ~c->disabled;
	if (!(caps.have & POP3_CAP_SASL))
		caps.sasl[0] = '\0';
	if (!(caps.have & POP3_CAP_LOGIN_DELAY))
		caps.login_delay = 0;
	if (!(caps.have & POP3_CAP_EXPIRE))
		caps.expire = -1;
	c->caps = caps;
	return 0;
}

/* Ask for the capabilities. */
int pop3_capa(struct pop3_conn *c, struct err *e)
{
	pop3_send(c, "CAPA");
	return pop3_capa_read(c, false, e);
}
