#include <stdlib.h>
#include <string.h>

#include "cli/info.h"
#include "net/tls.h"
#include "pop3/conn.h"
#include "ui/jsonl.h"

void info_show_tls(struct cli *c, struct stream *s)
{
	struct report *r = c->report;
	struct tls_info t;

	if (tls_info(s, &t) < 0) {
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

void info_show_sandbox(struct cli *c)
{
	struct strbuf b = STRBUF_INIT(1000);

	cli_sandbox_text(&b);
	report_line(c->report, "sandbox:      %s", strbuf_str(&b));
	strbuf_release(&b);
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

const char *info_mechanism(const struct config_end *end, const char *service, const char *offered, struct stream *s)
{
	bool imap = end->kind == CONFIG_IMAP;
	const struct dial_params *dial = imap ? &end->imap.imap.dial : &end->pop3.pop3.dial;
	struct strbuf stand_in = STRBUF_INIT(8);
	struct sasl_params sp = { .service = service, .host = dial->host, .port = dial->port, .certificate = dial->tls.client_cert != NULL, .stream = s,
				  .user = imap ? end->imap.imap.user : end->pop3.pop3.user, .secure = imap ? end->imap.imap.secure : end->pop3.pop3.secure };
	struct err ignored = ERR_INIT;
	const char *mech;

	strbuf_puts(&stand_in, "x");
	if (imap ? end->imap.imap.token_command : end->pop3.pop3.token_command)
		sp.token = &stand_in;
	else
		sp.password = &stand_in;
	memcpy(sp.allow, imap ? end->imap.imap.auth : end->pop3.pop3.auth, sizeof(sp.allow));
	mech = offered[0] ? sasl_choose(&sp, offered, &ignored) : NULL;
	strbuf_release(&stand_in);
	return mech;
}

/* All of it for a person. */
static void show_text(struct cli *c, const struct pop3_conn *conn, const struct config_end *end)
{
	const char *user = end->pop3.pop3.user, *mech = info_mechanism(end, "pop", conn->caps.sasl, conn->s);

	report_line(c->report, "account:      %s", end->url);
	report_line(c->report, "greeting:     %s", conn->greeting);
	info_show_tls(c, conn->s);
	show_caps(c, conn, end);
	report_line(c->report, "login as:     %s, by %s", user ? user : "(no user)", mech ? mech : "USER and PASS, if the `auth` list allows it");
	info_show_sandbox(c);
}

void info_json_tls(struct strbuf *b, struct stream *s)
{
	struct tls_info t;

	if (tls_info(s, &t) < 0) {
		strbuf_puts(b, ",\"tls\":null");
		return;
	}
	strbuf_puts(b, ",\"tls\":{\"version\":");
	jsonl_string(b, t.version);
	cli_json_text(b, "cipher", t.cipher);
	cli_json_text(b, "subject", t.subject);
	cli_json_text(b, "issuer", t.issuer);
	cli_json_text(b, "names", t.names);
	cli_json_text(b, "not_before", t.not_before);
	cli_json_text(b, "not_after", t.not_after);
	cli_json_text(b, "sha256", t.fingerprint);
	strbuf_putc(b, '}');
}

/* All of it for a program. */
static void show_json(struct cli *c, const struct pop3_conn *conn, const struct config_end *end)
{
	struct strbuf b = STRBUF_INIT(65536);
	const struct pop3_capinfo *caps;
	const char *sep = "", *mech = info_mechanism(end, "pop", conn->caps.sasl, conn->s);
	size_t n;

	cli_json_start(&b, "info", "");
	cli_json_text(&b, "url", end->url);
	cli_json_text(&b, "greeting", conn->greeting);
	info_json_tls(&b, conn->s);
	strbuf_puts(&b, ",\"capabilities\":[");
	caps = pop3_capinfo(&n);
	for (size_t i = 0; i < n; i++) {
		if (!(conn->caps.have & caps[i].bit))
			continue;
		strbuf_puts(&b, sep);
		jsonl_string(&b, caps[i].name);
		sep = ",";
	}
	strbuf_putc(&b, ']');
	cli_json_text(&b, "mechanisms", conn->caps.sasl);
	cli_json_text(&b, "login", mech ? mech : "USER");
	cli_json_sandbox(&b);
	cli_json_end(c, &b);
}

/* A POP3 account; nobody logs in. */
static int info_pop3(struct cli *c, const struct config_end *end, struct err *e)
{
	struct pop3_conn conn = { 0 };
	struct net_stats stats = { 0 };
	struct dial_params dial = end->pop3.pop3.dial;

	dial.trace = c->o.verbose >= 2;
	if (pop3_open(&conn, &dial, end->pop3.pop3.disabled, end->url, NULL, &stats, e) < 0) {
		pop3_close(&conn);
		return -1;
	}
	if (c->o.json)
		show_json(c, &conn, end);
	else
		show_text(c, &conn, end);
	pop3_quit(&conn, NULL);
	pop3_close(&conn);
	return 0;
}

int cmd_info(struct cli *c, struct err *e)
{
	const struct config_end *end;

	if (cli_load_if_any(c, e) < 0)
		return -1;
	end = config_account(&c->config, c->argv[0], e);
	if (!end)
		return cli_blame_words(e);
	/* The configuration is this process's own; only what this run adds is filled in. */
	return end->kind == CONFIG_IMAP ? info_imap(c, (struct config_end *)(uintptr_t)end, e) : info_pop3(c, end, e);
}
