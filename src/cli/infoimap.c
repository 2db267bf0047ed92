/* `info` of an IMAP account: see info.h. */
#include <inttypes.h>
#include <string.h>

#include "cli/info.h"
#include "imap/login.h"
#include "ui/jsonl.h"

/* What there is to show. */
struct sight {
	struct cli *c;
	const struct config_end *end;
	struct imap_conn *conn;
	const struct imap_caps *before; /* the login: what is for it alone is not said after it */
	unsigned have;                  /* all that the server has said it can */
	const char *keywords;           /* which of them the inbox takes: "any", "some", "none"; NULL: it is not known */
};

#define FOR_LOGIN (IMAP_CAP_STARTTLS | IMAP_CAP_LOGINDISABLED | IMAP_CAP_AUTH | IMAP_CAP_SASL_IR)

static const char *const kinds[] = { [IMAP_NS_PERSONAL] = "personal", [IMAP_NS_USERS] = "users", [IMAP_NS_SHARED] = "shared" };

/* Each capability, and what is done with or without it. */
static void show_caps(const struct sight *l)
{
	struct report *r = l->c->report;
	const struct imap_conn *conn = l->conn;
	size_t n;
	const struct imap_capinfo *caps = imap_capinfo(&n);

	report_line(r, "capabilities (%s login):", conn->logged_in ? "after" : "before");
	for (size_t i = 0; i < n; i++) {
		bool have = l->have & caps[i].bit, off = l->end->imap.imap.disabled & caps[i].bit;

		report_line(r, "  %-3s %-18s %s", have ? "yes" : off ? "off" : "no", caps[i].name, have ? caps[i].used_for : caps[i].without);
	}
	if (l->before->auth[0])
		report_line(r, "mechanisms:   %s", l->before->auth);
	if (conn->caps.append_limit > 0)
		report_line(r, "append limit: %" PRIu64 " bytes", conn->caps.append_limit);
}

/* Whose folders are where. */
static void show_spaces(const struct sight *l)
{
	for (size_t i = 0; i < l->conn->nspaces; i++) {
		const struct imap_space *s = &l->conn->spaces[i];
		char prefix[ERR_TEXT_MAX], sep[8] = "";

		if (s->sep != '\0')
			err_printable(sep, sizeof(sep), &s->sep, 1);
		report_line(l->c->report, "%s %-9s \"%s\"%s%s", i == 0 ? "namespaces:  " : "             ", kinds[s->kind],
			    err_printable(prefix, sizeof(prefix), s->prefix, strlen(s->prefix)), sep[0] ? ", levels divided by " : ", without levels", sep);
	}
}

/* imap_on of the inbox's SELECT */
static int hear_keywords(void *arg, const struct imap_resp *r, struct err *e)
{
	struct sight *l = arg;

	(void)e;
	if (r->kind == IMAP_UNTAGGED && r->code.kind == IMAP_CODE_PERMANENTFLAGS)
		l->keywords = r->code.flags.star ? "any" : r->code.flags.kw.n > 0 ? "some" : "none";
	return 0;
}

/* Does the server take keywords? It says so of a mailbox that is open to be changed. A refusal says nothing. */
static int ask_keywords(struct sight *l, struct imap_conn *conn, struct err *e)
{
	const struct imap_resp *r;
	struct err why = ERR_INIT;
	uint32_t tag;
	int rc;

	if (!conn->logged_in)
		return 0;
	if (imap_send(conn, &tag, e, "SELECT INBOX") < 0)
		return -1;
	rc = imap_finish(conn, tag, hear_keywords, l, &r, &why);
	if (rc < 0)
		*e = why;
	return rc < 0 ? -1 : 0;
}

/* All of it for a person. */
static void show_text(const struct sight *l)
{
	struct report *r = l->c->report;
	const char *user = l->end->imap.imap.user, *mech = info_mechanism(l->end, "imap", l->before->auth, l->conn->s);

	report_line(r, "account:      %s", l->end->url);
	report_line(r, "greeting:     %s", l->conn->greeting);
	info_show_tls(l->c, l->conn->s);
	if (l->conn->server[0])
		report_line(r, "server:       %s", l->conn->server);
	show_caps(l);
	show_spaces(l);
	if (l->keywords)
		report_line(r, "keywords:     the inbox takes %s%s", l->keywords, strcmp(l->keywords, "some") == 0 ? ", no new ones" : "");
	report_line(r, "%s     %s, by %s", l->conn->logged_in ? "logged in:" : "login as: ", user ? user : "(no user)",
		    mech ? mech : "the LOGIN command, if the `auth` list allows it");
	info_show_sandbox(l->c);
}

/* All of it for a program. */
static void show_json(const struct sight *l)
{
	struct strbuf b = STRBUF_INIT(65536);
	const char *mech = info_mechanism(l->end, "imap", l->before->auth, l->conn->s), *sep = "";
	size_t n;
	const struct imap_capinfo *caps = imap_capinfo(&n);

	cli_json_start(&b, "info", "");
	cli_json_text(&b, "url", l->end->url);
	cli_json_text(&b, "greeting", l->conn->greeting);
	info_json_tls(&b, l->conn->s);
	strbuf_printf(&b, ",\"logged_in\":%s", l->conn->logged_in ? "true" : "false");
	cli_json_text(&b, "server", l->conn->server);
	strbuf_puts(&b, ",\"capabilities\":[");
	for (size_t i = 0; i < n; i++) {
		if (!(l->have & caps[i].bit))
			continue;
		strbuf_puts(&b, sep);
		jsonl_string(&b, caps[i].name);
		sep = ",";
	}
	strbuf_puts(&b, "],\"namespaces\":[");
	for (size_t i = 0; i < l->conn->nspaces; i++) {
		const struct imap_space *s = &l->conn->spaces[i];
		char sign[2] = { s->sep, '\0' };

		strbuf_puts(&b, i > 0 ? ",{\"kind\":" : "{\"kind\":");
		jsonl_string(&b, kinds[s->kind]);
		cli_json_text(&b, "prefix", s->prefix);
		cli_json_text(&b, "separator", sign);
		strbuf_putc(&b, '}');
	}
	strbuf_putc(&b, ']');
	if (l->keywords)
		cli_json_text(&b, "keywords", l->keywords);
	cli_json_text(&b, "mechanisms", l->before->auth);
	cli_json_text(&b, "login", mech ? mech : "LOGIN");
	cli_json_sandbox(&b);
	cli_json_end(l->c, &b);
}

/* Whether the account says how to log in without asking anybody. */
static bool can_login(const struct imap_params *p)
{
	const struct secret_params *s = &p->secret;

	return s->command || s->file || s->literal || s->netrc || p->token_command || p->dial.tls.client_cert;
}

/*
 * Much of what an IMAP server can it says after the login only; so log in, where nobody must be asked for a password. What is said before it is shown also when the
 * login is refused, and why.
 */
int info_imap(struct cli *c, struct config_end *end, struct err *e)
{
	struct imap_conn conn = { 0 };
	struct imap_remembered heard = { 0 };
	struct net_stats stats = { 0 };
	struct imap_params p = end->imap.imap;
	struct sight l = { .c = c, .end = end, .conn = &conn };
	bool refused = false;
	int rc;

	p.dial.trace = c->o.verbose >= 2;
	p.remembered = &heard;
	rc = can_login(&p) ? imap_login(&conn, &p, &stats, e) : 1;
	refused = rc < 0 && (e->kind == ERR_AUTH || e->kind == ERR_CONF);
	if (rc == 0)
		rc = imap_settle(&conn, e);
	else if (rc == 1 || refused)
		rc = imap_open(&conn, &p.dial, p.disabled, p.what, NULL, NULL, &stats, refused ? NULL : e);
	if (rc == 0) {
		l.before = conn.logged_in && heard.before.known ? &heard.before : &conn.caps;
		l.have = conn.caps.have | (l.before->have & FOR_LOGIN);
		rc = ask_keywords(&l, &conn, e);
	}
	if (rc == 0) {
		if (c->o.json)
			show_json(&l);
		else
			show_text(&l);
		imap_bye(&conn);
	}
	imap_close(&conn);
	return rc < 0 || refused ? -1 : 0;
}
