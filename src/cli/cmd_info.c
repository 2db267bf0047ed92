#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "net/tls.h"
#include "pop3/conn.h"

/* The TLS layer and the server's certificate. */
static void show_tls(struct cli *c, const struct pop3_conn *conn)
{
	struct report *r = c->report;
	struct tls_info t;

	if (tls_info(conn->s, &t) < 0) {
		report_line(r, "TLS:          none");
		return;
	}
	report_line(r, "TLS:          %s, %s", t.version, t.cipher);
	report_line(r, "certificate:  %s", t.subject);
	report_line(r, "  issuer:     %s", t.issuer);
	report_line(r, "  names:      %s", t.names);
	report_line(r, "  valid:      %s to %s", t.not_before, t.not_after);
	report_line(r, "  sha256:     %s%s", t.fingerprint, t.pinned ? " (pinned)" : "");
}

/* Each capability, and what is done with or without it. */
static void show_caps(struct cli *c, const struct pop3_conn *conn, const struct config_end *end)
{
	struct report *r = c->report;
	const struct pop3_capinfo *caps;
	size_t n;

	if (!conn->caps.known)
		report_line(r, "capabilities: the server knows no CAPA; only RFC 1939 is assumed");
	else
		report_line(r, "capabilities (before login):");
	caps = pop3_capinfo(&n);
	for (size_t i = 0; i < n; i++) {
		bool have = conn->caps.have & caps[i].bit, off = end->pop3.pop3.disabled & caps[i].bit;

		report_line(r, "  %-3s %-15s %s", have ? "yes" : off ? "off" : "no", caps[i].name, have ? caps[i].used_for : caps[i].without);
	}
	if (conn->caps.sasl[0])
		report_line(r, "mechanisms:   %s", conn->caps.sasl);
	if (conn->caps.implementation[0])
		report_line(r, "software:     %s", conn->caps.implementation);
	if (conn->caps.login_delay > 0)
		report_line(r, "login delay:  %d s between logins", conn->caps.login_delay);
	if (conn->caps.expire >= 0)
		report_line(r, "expire:       the server deletes mail after %d days%s", conn->caps.expire, conn->caps.expire == 0 ? ": once it is read!" : "");
}

/* Which way in would be taken, as far as it can be said without the password. */
static void show_auth(struct cli *c, const struct pop3_conn *conn, const struct config_end *end)
{
	const struct pop3_params *p = &end->pop3.pop3;
	struct strbuf stand_in = STRBUF_INIT(8);
	struct sasl_params sp = { .service = "pop", .host = p->dial.host, .port = p->dial.port, .user = p->user, .certificate = p->dial.tls.client_cert != NULL,
				  .secure = p->secure, .stream = conn->s };
	struct err e = ERR_INIT;
	const char *mech;

	strbuf_puts(&stand_in, "x");
	if (p->token_command)
		sp.token = &stand_in;
	else
		sp.password = &stand_in;
	memcpy(sp.allow, p->auth, sizeof(sp.allow));
	mech = conn->caps.sasl[0] ? sasl_choose(&sp, conn->caps.sasl, &e) : NULL;
	report_line(c->report, "login as:     %s, by %s", p->user ? p->user : "(no user)", mech ? mech : "USER and PASS, if the `auth` list allows it");
	strbuf_release(&stand_in);
}

int cmd_info(struct cli *c, struct err *e)
{
	const struct config_end *end;
	struct pop3_conn conn = { 0 };
	struct net_stats stats = { 0 };
	struct dial_params dial;

	if (cli_load_if_any(c, e) < 0)
		return -1;
	end = config_account(&c->config, c->argv[0], e);
	if (!end)
		return -1;
	dial = end->pop3.pop3.dial;
	dial.trace = c->o.verbose >= 2;
	if (pop3_open(&conn, &dial, end->pop3.pop3.disabled, end->url, NULL, &stats, e) < 0) {
		pop3_close(&conn);
		return -1;
	}
	report_line(c->report, "account:      %s", end->url);
	report_line(c->report, "greeting:     %s", conn.greeting);
	show_tls(c, &conn);
	show_caps(c, &conn, end);
	show_auth(c, &conn, end);
	pop3_quit(&conn, NULL);
	pop3_close(&conn);
	return 0;
}
