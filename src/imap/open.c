/* The link: from dialling to good-bye. See conn.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "imap/conn.h"
#include "net/tls.h"

#define TEXT_SHOWN 200 /* bytes of a server's text in an error */
#define TIMEOUT_DEFAULT 60000

/* Take over a stream. */
int imap_attach(struct imap_conn *c, struct stream *s, int timeout, unsigned disabled_caps,
	const char *what, struct err *e)
{
	*c = (struct imap_conn){
		.s = s,
		.out = STRBUF_SECRET(IMAP_OUT_MAX),
		.blanked = STRBUF_INIT(IMAP_OUT_MAX),
		.timeout = timeout > 0 ? timeout : TIMEOUT_DEFAULT,
		.patience = IMAP_PATIENCE_MS,
		.disabled = disabled_caps,
		.what = what ? what : "imap",
		.alert = c->alert,
		.stray = c->stray,
		.arg = c->arg,
	};
	c->fly = calloc(IMAP_FLYING_MAX, sizeof(*c->fly));
	if (!c->fly) {
		imap_close(c);
		return err_set(e, ERR_LOCAL, "out of memory");
	}
	if (bufin_init(&c->in, s, e) < 0) {
		imap_close(c);
		return -1;
	}
	imap_reader_init(&c->rd, &c->in);
	c->rd.x.fill = imap_fill;
	c->rd.x.fill_arg = c;
	return 0;
}

/* Drop the link. */
void imap_close(struct imap_conn *c)
{
	imap_reader_release(&c->rd);
	bufin_release(&c->in);
	strbuf_release(&c->out);
	strbuf_release(&c->blanked);
	vec_release(&c->stops);
	free(c->fly);
	c->fly = NULL;
	c->fly_first = c->fly_n = c->fly_over = c->fly_own = 0;
	stream_free(c->s);
	c->s = NULL;
	c->dead = true;
}

/* Say goodbye to somebody whose answer is of no interest. */
void imap_bye(struct imap_conn *c)
{
	if (c->s && !c->dead && !c->building && c->stops.n == 0 &&
	    imap_send(c, NULL, NULL, "LOGOUT") == 0 && imap_flush(c, NULL) == 0)
		stream_shut(c->s);
	imap_close(c);
}

/* ---- the greeting ---- */

/* What another protocol's server begins with; "" for what may be IMAP. */
static const char *other_protocol(struct slice have)
{
	if (slice_starts(have, "+OK") || slice_starts(have, "-ERR"))
		return "that is a POP3 server: check port and scheme";
	if (slice_starts(have, "220") || slice_starts(have, "554"))
		return "that is an SMTP or FTP server: check port and scheme";
	if (slice_starts(have, "HTTP"))
		return "that is a web server: check host and port";
	return "";
}

/* It is none. */
static int no_greeting(struct imap_conn *c, struct slice have, struct err *e)
{
	char buf[TEXT_SHOWN + 1];
	const char *lf = memchr(have.p, '\n', have.n);

	have = slice_trim(slice_of(have.p, lf ? (size_t)(lf - have.p) : have.n));
	err_set(e, ERR_PROTO, "greeting: the server doesn't speak IMAP: it says \"%s\"",
		err_printable(buf, sizeof(buf), have.p, have.n));
	if (*other_protocol(have))
		err_hint(e, "%s", other_protocol(have));
	return imap_dead(c);
}

/* The first line (RFC 3501 section 7.1). */
int imap_greeting(struct imap_conn *c, struct err *e)
{
	struct slice have = { 0 };
	struct err why = ERR_INIT;
	uint32_t tag;
	int r;

	c->reading = true;
	r = imap_fill(c, &c->in, false, &have, &why);
	c->reading = false;
	if (r < 0) {
		if (why.kind == ERR_TIMEOUT)
			err_set(&why, ERR_TIMEOUT, "the server did not answer within %d seconds",
				c->timeout / 1000);
		if (e)
			*e = why;
		err_in(e, "greeting");
		return imap_dead(c);
	}
	if (r > 0 && (have.p[0] != '*' || *other_protocol(have)))
		return no_greeting(c, have, e);
	if (imap_read(c, &tag, e) < 0)
		return err_in(e, "greeting");
	if (c->resp.kind != IMAP_UNTAGGED ||
	    (c->resp.cond != IMAP_OK && c->resp.cond != IMAP_PREAUTH)) {
		err_set(e, ERR_PROTO, "greeting: the server says neither OK nor PREAUTH nor BYE");
		return imap_dead(c);
	}
	c->greeted = true;
	c->preauth = c->resp.cond == IMAP_PREAUTH;
	err_printable(c->greeting, sizeof(c->greeting), c->resp.text.p ? c->resp.text.p : "",
		c->resp.text.n);
	return 0;
}

/* ---- capabilities ---- */

/* Ask. */
int imap_capability(struct imap_conn *c, struct err *e)
{
	struct err why = ERR_INIT;
	uint32_t tag;
	int r;

	if (imap_send(c, &tag, e, "CAPABILITY") < 0)
		return -1;
	c->caps_fresh = false;
	r = imap_finish(c, tag, NULL, NULL, NULL, &why);
	if (r < 0) {
		if (e)
			*e = why;
		return err_in(e, "CAPABILITY");
	}
	if (!c->caps_fresh)
		c->caps = (struct imap_caps){ .have = IMAP_CAP_REV1 };
	return 0;
}

/* ---- STARTTLS ---- */

/* A failure of STARTTLS: nothing else is said on this link. */
static int no_tls(struct imap_conn *c, const char *why, struct err *e)
{
	err_set(e, ERR_CERT, "can't encrypt the connection: %s; nothing was sent", why);
	err_hint(e, "use imaps:// if the server has it; somebody between here and the server may "
		 "be removing STARTTLS");
	return imap_dead(c);
}

/*
 * STARTTLS (RFC 3501 section 6.2.1). All that was said before is forgotten: anybody could have said
 * it.
 */
static int start_tls(struct imap_conn *c, const struct dial_params *d, struct err *e)
{
	struct err why = ERR_INIT;
	uint32_t tag;
	int r;

	if (c->preauth)
		return no_tls(c, "the server says that we are logged in already (PREAUTH), after "
			      "which it can't be asked", e);
	if ((c->caps.known && !(c->caps.have & IMAP_CAP_STARTTLS)) ||
	    (c->disabled & IMAP_CAP_STARTTLS))
		return no_tls(c, "the server does not offer STARTTLS", e);
	if (imap_send(c, &tag, e, "STARTTLS") < 0)
		return -1;
	r = imap_finish(c, tag, NULL, NULL, NULL, &why);
	if (r < 0) {
		if (e)
			*e = why;
		return err_in(e, "STARTTLS");
	}
	if (r == 0) {
		char text[ERR_TEXT_MAX + 32];

		snprintf(text, sizeof(text), "STARTTLS is refused: %s", why.text);
		return no_tls(c, text, e);
	}
	if (bufin_pending(&c->in) > 0)
		return no_tls(c, "there are bytes behind the server's answer to STARTTLS, which "
			      "somebody may have injected", e);
	c->s = dial_start_tls(c->s, d, e);
	c->in.s = c->s;
	if (!c->s)
		return imap_dead(c);
	c->caps = (struct imap_caps){ 0 };
	c->greeting[0] = c->server[0] = '\0';
	c->enabled = 0;
	c->utf8 = c->spaces_known = c->clear = false;
	c->nspaces = 0;
	return 0;
}

/* ---- opening ---- */

/* Whether PREAUTH may be believed: over what is the server's own. */
static int check_preauth(struct imap_conn *c, const struct dial_params *d, struct err *e)
{
	if (!c->preauth)
		return 0;
	if (d->security == DIAL_TLS || d->tunnel) {
		c->logged_in = true;
		return 0;
	}
	err_set(e, ERR_AUTH,
		"the server says that we are logged in already (PREAUTH), and the connection is "
		"neither encrypted nor a tunnel");
	return imap_dead(c);
}

/* All of imap_open but its error's place and the closing on failure. */
static int open_steps(struct imap_conn *c, const struct dial_params *d,
	const struct imap_caps *remembered, const struct imap_caps *ahead, struct err *e)
{
	struct tls_info tls;

	if (ahead && ahead->known && d->security == DIAL_TLS && tls_info(c->s, &tls) == 0 && tls.resumed) {
		c->caps = *ahead;
		c->ahead = true;
		return 0;
	}
	c->clear = d->security == DIAL_STARTTLS;
	if (imap_greeting(c, e) < 0)
		return -1;
	if ((c->clear ? start_tls(c, d, e) : check_preauth(c, d, e)) < 0)
		return -1;
	if (!c->caps.known && remembered && remembered->known && !c->logged_in &&
	    stream_find(c->s, &tls_ops)) {
		c->caps = *remembered;
		c->caps.have &= ~c->disabled;
	}
	if (!c->caps.known && imap_capability(c, e) < 0)
		return -1;
	if (c->caps.have & (IMAP_CAP_REV1 | IMAP_CAP_REV2))
		return 0;
	err_set(e, ERR_PROTO, "the server speaks neither IMAP4rev1 nor IMAP4rev2");
	return imap_dead(c);
}

/* From parameters to a connection that may be logged in. */
int imap_open(struct imap_conn *c, const struct dial_params *d, unsigned disabled_caps,
	const char *what, const struct imap_caps *remembered, const struct imap_caps *ahead,
	struct net_stats *stats, struct err *e)
{
	struct stream *s = dial(d, stats, e);

	if (!s || imap_attach(c, s, d->timeout, disabled_caps, what, e) < 0)
		return err_in(e, "%s", what);
	if (open_steps(c, d, remembered, ahead, e) < 0) {
		imap_close(c);
		return err_in(e, "%s", what);
	}
	return 0;
}

/* ---- COMPRESS ---- */

/* Put DEFLATE on top (RFC 4978). */
int imap_compress(struct imap_conn *c, const struct dial_params *d, struct err *e)
{
	struct err why = ERR_INIT;
	uint32_t tag;
	int r;

	if (!(c->caps.have & IMAP_CAP_COMPRESS) || c->compressed)
		return c->compressed;
	if (imap_send(c, &tag, e, "COMPRESS DEFLATE") < 0)
		return -1;
	r = imap_finish(c, tag, NULL, NULL, NULL, &why);
	if (r < 0) {
		if (e)
			*e = why;
		return err_in(e, "COMPRESS");
	}
	if (r == 0) {
		log_debug("COMPRESS: %s", why.text);
		return 0;
	}
	if (bufin_pending(&c->in) > 0) {
		err_set(e, ERR_PROTO,
			"COMPRESS: bytes behind the server's answer are not compressed");
		return imap_dead(c);
	}
	c->s = dial_start_deflate(c->s, d, NULL, e);
	c->in.s = c->s;
	if (!c->s)
		return imap_dead(c);
	c->compressed = true;
	return 1;
}
