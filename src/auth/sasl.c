/* Mechanisms and their conversations: see sasl.h. */
#include "auth/sasl.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth/b64.h"
#include "auth/scram.h"
#include "net/tls.h"

#define CHALLENGE_MAX 12288 /* bytes of base64 */
#define CRAM_MAX 1024       /* bytes of a CRAM-MD5 challenge */
#define RAW_MAX 98304       /* bytes of a response: a token of 64 KiB and its frame */

/* What a mechanism works with. */
enum cred { CRED_PASSWORD, CRED_TOKEN, CRED_CERT };

/* Makes the response to the decoded challenge; s->step counts the responses before it. */
typedef int step_fn(struct sasl *s, struct slice challenge, struct strbuf *raw, struct err *e);

struct mech {
	enum cred cred;
	bool plaintext; /* reveals its secret to whoever listens */
	bool first;     /* begins with a response of ours; what the server says before it is of no meaning */
	bool deaf;      /* challenges are prompts for people, base64 or not */
	bool plus;      /* with channel binding */
	const char *digest;
	int steps;      /* responses until we have said all */
	step_fn *step;  /* NULL: not SASL, the protocol's own */
};

struct sasl {
	const struct mech *mech;
	struct scram *scram;
	char *user, *authzid, *host, *port;
	struct strbuf secret; /* password or token */
	int step;
	bool proven;          /* the server's signature was right, or there is none to ask for */
	char failure[512];
};

static step_fn scram_step, external_step, oauthbearer_step, xoauth2_step, cram_step, plain_step, login_step;

enum {
	SCRAM_256_PLUS, SCRAM_1_PLUS, SCRAM_256, SCRAM_1, EXTERNAL, OAUTHBEARER, XOAUTH2, CRAM_MD5,
	APOP, PLAIN, LOGIN, USER, MECHS
};

/* Strongest first. */
static const char *const names[MECHS + 1] = {
	[SCRAM_256_PLUS] = "SCRAM-SHA-256-PLUS",
	[SCRAM_1_PLUS] = "SCRAM-SHA-1-PLUS",
	[SCRAM_256] = "SCRAM-SHA-256",
	[SCRAM_1] = "SCRAM-SHA-1",
	[EXTERNAL] = "EXTERNAL",
	[OAUTHBEARER] = "OAUTHBEARER",
	[XOAUTH2] = "XOAUTH2",
	[CRAM_MD5] = "CRAM-MD5",
	[APOP] = "APOP",
	[PLAIN] = "PLAIN",
	[LOGIN] = "LOGIN",
	[USER] = "USER",
};

static const struct mech mechs[MECHS] = {
	[SCRAM_256_PLUS] = { .first = true, .plus = true, .digest = "SHA256", .steps = 2, .step = scram_step },
	[SCRAM_1_PLUS] = { .first = true, .plus = true, .digest = "SHA1", .steps = 2, .step = scram_step },
	[SCRAM_256] = { .first = true, .digest = "SHA256", .steps = 2, .step = scram_step },
	[SCRAM_1] = { .first = true, .digest = "SHA1", .steps = 2, .step = scram_step },
	[EXTERNAL] = { CRED_CERT, .first = true, .steps = 1, .step = external_step },
	[OAUTHBEARER] = { CRED_TOKEN, .plaintext = true, .first = true, .steps = 1, .step = oauthbearer_step },
	[XOAUTH2] = { CRED_TOKEN, .plaintext = true, .first = true, .steps = 1, .step = xoauth2_step },
	[CRAM_MD5] = { .steps = 1, .step = cram_step },
	[APOP] = { .step = NULL },
	[PLAIN] = { .plaintext = true, .first = true, .steps = 1, .step = plain_step },
	[LOGIN] = { .plaintext = true, .deaf = true, .steps = 2, .step = login_step },
	[USER] = { .plaintext = true, .step = NULL },
};

/* ---- choosing ---- */

/* The mechanism of a name; NULL for one that we don't know. */
static const struct mech *find(const char *name)
{
	for (int i = 0; i < MECHS; i++)
		if (slice_ieqs(slice_str(name), names[i]))
			return &mechs[i];
	return NULL;
}

/* Its name. */
static const char *name_of(const struct mech *m)
{
	return names[m - mechs];
}

/* Whether a name stands among blank-separated names. */
static bool listed(const char *list, const char *name)
{
	struct slice rest = slice_str(list), word;

	while ((word = slice_word(&rest)).n > 0)
		if (slice_ieqs(word, name))
			return true;
	return false;
}

/* Whether the server can bind SCRAM to the channel, if only by a hash that we don't know. */
static bool plus_offered(const char *offered)
{
	static const char plus[] = "-PLUS";
	struct slice rest = slice_str(offered), word;

	while ((word = slice_word(&rest)).n > 0)
		if (slice_istarts(word, "SCRAM-") && word.n > sizeof(plus) &&
		    slice_ieqs(slice_of(word.p + word.n - (sizeof(plus) - 1), sizeof(plus) - 1), plus))
			return true;
	return false;
}

/* The person's list; empty means all. */
static bool allowed(const struct sasl_params *p, const char *name)
{
	for (int i = 0; i < SASL_ALLOW_MAX && p->allow[i]; i++)
		if (slice_ieqs(slice_str(p->allow[i]), name))
			return true;
	return !p->allow[0];
}

/* Something to send. */
static bool filled(const struct strbuf *b)
{
	return b && b->len > 0;
}

/* What a mechanism needs is there. Whoever gives a token means the token. */
static bool have(const struct sasl_params *p, enum cred cred)
{
	if (cred == CRED_TOKEN || p->token)
		return cred == CRED_TOKEN && filled(p->token);
	return cred == CRED_CERT ? p->certificate : filled(p->password);
}

/* The channel binding of the link: its type, NULL when there is none; the data in out, *n bytes. */
static const char *binding(const struct sasl_params *p, unsigned char out[SCRAM_BIND_MAX], size_t *n)
{
	/*
	 * tls-server-end-point is left out: mail servers don't take it, and a refused login is worse than an
	 * unbound one.
	 */
	static const char *const types[] = { "tls-exporter", "tls-unique" };

	for (size_t i = 0; p->stream && i < sizeof(types) / sizeof(types[0]); i++) {
		*n = tls_binding(p->stream, types[i], out, SCRAM_BIND_MAX);
		if (*n > 0)
			return types[i];
	}
	return NULL;
}

/* How near a mechanism came to being chosen. */
enum fit { NOT_OURS, NOT_OFFERED, NO_CREDENTIAL, NOT_BOUND, NOT_ALLOWED, NOT_SECURE, FITS };

/* Judge one mechanism. */
static enum fit fit(const struct sasl_params *p, const struct mech *m, const char *offered)
{
	unsigned char data[SCRAM_BIND_MAX];
	size_t n;

	if (!m->step)
		return NOT_OURS;
	if (!listed(offered, name_of(m)))
		return NOT_OFFERED;
	if (!have(p, m->cred))
		return NO_CREDENTIAL;
	if (m->plus && !binding(p, data, &n))
		return NOT_BOUND;
	if (!allowed(p, name_of(m)))
		return NOT_ALLOWED;
	return m->plaintext && !p->secure ? NOT_SECURE : FITS;
}

/* Nothing fits: say what was there and what would help, judged by the mechanism that came nearest. */
static void nothing_fits(const struct sasl_params *p, const char *offered, enum fit best, const struct mech *m,
			 struct err *e)
{
	char list[128];
	size_t at = 0;

	for (int i = 0; i < SASL_ALLOW_MAX && p->allow[i] && at < sizeof(list); i++)
		at += (size_t)snprintf(list + at, sizeof(list) - at, "%s%s", i ? " " : "", p->allow[i]);
	err_set(e, ERR_AUTH, "no login method fits: the server offers %.150s; allowed: %s",
		*offered ? offered : "none", at ? list : "all");
	if (best == NOT_SECURE)
		err_hint(e, "%s would show the secret on a link that is not encrypted: use TLS", name_of(m));
	else if (best == NOT_ALLOWED)
		err_hint(e, "%s would do: put it into `auth`", name_of(m));
	else if (best == NOT_BOUND)
		err_hint(e, "%s needs TLS 1.3, or 1.2 with extended master secret", name_of(m));
	else if (best == NO_CREDENTIAL && m->cred == CRED_TOKEN)
		err_hint(e, "%s needs an access token: set token-command", name_of(m));
	else if (best == NO_CREDENTIAL && m->cred == CRED_CERT)
		err_hint(e, "EXTERNAL needs a client certificate: set client-cert and client-key");
	else if (best == NO_CREDENTIAL)
		err_hint(e, "%s needs a password%s", name_of(m), p->token ? " and no token-command" : "");
}

/* The strongest that fits. */
const char *sasl_choose(const struct sasl_params *p, const char *offered, struct err *e)
{
	const struct mech *nearest = NULL;
	enum fit best = NOT_OURS;

	if (!offered)
		offered = "";
	for (int i = 0; i < MECHS; i++) {
		enum fit f = fit(p, &mechs[i], offered);

		if (f == FITS)
			return names[i];
		if (f > best) {
			best = f;
			nearest = &mechs[i];
		}
	}
	nothing_fits(p, offered, best, nearest, e);
	return NULL;
}

/* Whether listeners learn the secret. */
bool sasl_plaintext(const char *mech)
{
	const struct mech *m = find(mech);

	return m && m->plaintext;
}

/* All names. */
const char *const *sasl_names(void)
{
	return names;
}

/* ---- beginning and end ---- */

/* Text that fits into every frame: no control characters (RFC 7628 takes ^A as its separator). */
static bool is_clean(struct slice a)
{
	for (size_t i = 0; i < a.n; i++)
		if ((unsigned char)a.p[i] < 0x20 || a.p[i] == 0x7f)
			return false;
	return true;
}

/* Whether the credentials can be sent by this mechanism. */
static int check(const struct sasl_params *p, const struct mech *m, struct err *e)
{
	struct slice token;

	if (m->plaintext && !p->secure) {
		err_set(e, ERR_AUTH, "%s would show the secret on a link that is not encrypted", name_of(m));
		return err_hint(e, "use TLS");
	}
	if (!have(p, m->cred))
		return err_set(e, ERR_CONF, "%s: no %s was given", name_of(m),
			       m->cred == CRED_TOKEN ? "access token" :
			       m->cred == CRED_CERT  ? "client certificate" : "password");
	if (m->cred != CRED_CERT && (!p->user || !*p->user))
		return err_set(e, ERR_CONF, "%s: no user name was given", name_of(m));
	if (!is_clean(slice_str(p->user)) || !is_clean(slice_str(p->authzid)))
		return err_set(e, ERR_CONF, "%s: the user name holds a control character", name_of(m));
	if (m->cred == CRED_PASSWORD && memchr(p->password->s, '\0', p->password->len))
		return err_set(e, ERR_CONF, "%s: the password holds a NUL byte", name_of(m));
	if (m->cred != CRED_TOKEN)
		return 0;
	token = strbuf_slice(p->token);
	if (!is_clean(token) || memchr(token.p, ' ', token.n))
		return err_set(e, ERR_CONF, "%s: the access token holds a blank or control character", name_of(m));
	return 0;
}

/* Copy a string that may be NULL; false when out of memory. */
static bool copy(char **to, const char *from)
{
	*to = from ? strdup(from) : NULL;
	return *to || !from;
}

/* SCRAM's own state, with the flag of RFC 5802 section 6. */
static int start_scram(struct sasl *s, const struct sasl_params *p, const char *offered, struct err *e)
{
	unsigned char data[SCRAM_BIND_MAX];
	size_t n = 0;
	const char *type = binding(p, data, &n);
	struct scram_params sp = {
		.digest = s->mech->digest,
		.user = p->user,
		.authzid = p->authzid,
		.password = p->password,
		.flag = 'n',
	};

	if (s->mech->plus) {
		if (!type)
			return err_set(e, ERR_CONF, "%s: this link has no channel binding", name_of(s->mech));
		sp.flag = 'p';
		sp.bind_type = type;
		sp.bind_data = slice_of(data, n);
	} else if (type && !plus_offered(offered)) {
		sp.flag = 'y';
	}
	s->scram = scram_new(&sp, e);
	return s->scram ? 0 : -1;
}

/* A conversation by a mechanism. */
struct sasl *sasl_new(const struct sasl_params *p, const char *mech, const char *offered, struct err *e)
{
	const struct mech *m = find(mech);
	struct sasl *s;

	if (!m || !m->step) {
		err_set(e, ERR_BUG, "'%s' is no SASL mechanism of ours", mech);
		return NULL;
	}
	if (check(p, m, e) < 0)
		return NULL;
	s = calloc(1, sizeof(*s));
	if (!s)
		goto nomem;
	s->mech = m;
	s->proven = !m->digest;
	s->secret = (struct strbuf)STRBUF_SECRET(RAW_MAX);
	if (!copy(&s->user, p->user) || !copy(&s->authzid, p->authzid) || !copy(&s->host, p->host) ||
	    !copy(&s->port, p->port))
		goto nomem;
	if (m->digest) {
		if (start_scram(s, p, offered ? offered : "", e) < 0)
			goto fail;
	} else if (m->cred != CRED_CERT) {
		if (strbuf_putsl(&s->secret, strbuf_slice(m->cred == CRED_TOKEN ? p->token : p->password)) < 0)
			goto nomem;
	}
	return s;
nomem:
	err_set(e, ERR_LOCAL, "%s: the secret is too long, or memory is out", name_of(m));
fail:
	sasl_free(s);
	return NULL;
}

/* The end. */
void sasl_free(struct sasl *s)
{
	if (!s)
		return;
	scram_free(s->scram);
	strbuf_release(&s->secret);
	free(s->user);
	free(s->authzid);
	free(s->host);
	free(s->port);
	free(s);
}

/* Whether we begin. */
bool sasl_client_first(const struct sasl *s)
{
	return s->mech->first;
}

/* Whether the initial response is all. */
bool sasl_one_line(const struct sasl *s)
{
	return s->mech->first && s->mech->steps == 1 && s->mech->cred != CRED_TOKEN;
}

/* Whether nothing is left to be said. SCRAM's last word, an empty one, is about the server's signature. */
bool sasl_said_all(const struct sasl *s)
{
	return s->step == s->mech->steps + (s->scram != NULL) && s->mech->cred != CRED_TOKEN;
}

/* What the server told. */
const char *sasl_failure(const struct sasl *s)
{
	return s->failure;
}

/* ---- the conversation ---- */

/* A challenge where none belongs. */
static int unexpected(struct err *e)
{
	return err_set(e, ERR_PROTO, "a challenge where none belongs");
}

/* RFC 4616. */
static int plain_step(struct sasl *s, struct slice challenge, struct strbuf *raw, struct err *e)
{
	(void)challenge;
	if (s->step > 0)
		return unexpected(e);
	if (s->authzid)
		strbuf_puts(raw, s->authzid);
	strbuf_putc(raw, '\0');
	strbuf_puts(raw, s->user);
	strbuf_putc(raw, '\0');
	return strbuf_putsl(raw, strbuf_slice(&s->secret));
}

/* draft-murchison-sasl-login: two prompts, whose texts differ between servers. */
static int login_step(struct sasl *s, struct slice challenge, struct strbuf *raw, struct err *e)
{
	(void)challenge;
	if (s->step > 1)
		return unexpected(e);
	return s->step == 0 ? strbuf_puts(raw, s->user) : strbuf_putsl(raw, strbuf_slice(&s->secret));
}

/* RFC 4422 appendix A: an empty response means "who the certificate says I am". */
static int external_step(struct sasl *s, struct slice challenge, struct strbuf *raw, struct err *e)
{
	(void)challenge;
	if (s->step > 0)
		return unexpected(e);
	return s->authzid ? strbuf_puts(raw, s->authzid) : 0;
}

/* The error of an OAuth server, JSON: kept for people. Answered once, then the server says NO. */
static int oauth_failed(struct sasl *s, struct slice challenge, struct err *e)
{
	if (s->step > 1)
		return unexpected(e);
	err_printable(s->failure, sizeof(s->failure), challenge.p, challenge.n);
	if (!s->failure[0])
		snprintf(s->failure, sizeof(s->failure), "no reason given");
	return 0;
}

/* Google's and Microsoft's predecessor of OAUTHBEARER; the answer to an error is empty. */
static int xoauth2_step(struct sasl *s, struct slice challenge, struct strbuf *raw, struct err *e)
{
	if (s->step > 0)
		return oauth_failed(s, challenge, e);
	strbuf_puts(raw, "user=");
	strbuf_puts(raw, s->user);
	strbuf_puts(raw, "\001auth=Bearer ");
	strbuf_putsl(raw, strbuf_slice(&s->secret));
	return strbuf_puts(raw, "\001\001");
}

/* RFC 7628; the answer to an error is a lone ^A (section 3.2.3). */
static int oauthbearer_step(struct sasl *s, struct slice challenge, struct strbuf *raw, struct err *e)
{
	if (s->step > 0)
		return oauth_failed(s, challenge, e) < 0 ? -1 : strbuf_putc(raw, '\001');
	strbuf_puts(raw, "n,a=");
	for (const char *p = s->authzid ? s->authzid : s->user; *p; p++) {
		if (*p == ',')
			strbuf_puts(raw, "=2C");
		else if (*p == '=')
			strbuf_puts(raw, "=3D");
		else
			strbuf_putc(raw, *p);
	}
	strbuf_puts(raw, ",\001");
	if (s->host)
		strbuf_printf(raw, "host=%s\001", s->host);
	if (s->port)
		strbuf_printf(raw, "port=%s\001", s->port);
	strbuf_puts(raw, "auth=Bearer ");
	strbuf_putsl(raw, strbuf_slice(&s->secret));
	return strbuf_puts(raw, "\001\001");
}

/* HMAC-MD5 of the challenge under the password, in hexadecimal. */
static int cram_digest(struct sasl *s, struct slice challenge, char hex[33], struct err *e)
{
	unsigned char mac[EVP_MAX_MD_SIZE];
	size_t n = 0;

	if (!EVP_Q_mac(NULL, "HMAC", NULL, "MD5", NULL, s->secret.s, s->secret.len,
		       (const unsigned char *)challenge.p, challenge.n, mac, sizeof(mac), &n) || n != 16)
		return err_set(e, ERR_LOCAL, "CRAM-MD5: this OpenSSL does no MD5");
	for (size_t i = 0; i < n; i++)
		snprintf(hex + 2 * i, 3, "%02x", mac[i]);
	return 0;
}

/* RFC 2195. */
static int cram_step(struct sasl *s, struct slice challenge, struct strbuf *raw, struct err *e)
{
	char hex[33];

	if (s->step > 0)
		return unexpected(e);
	if (challenge.n == 0 || challenge.n > CRAM_MAX)
		return err_set(e, ERR_PROTO, "CRAM-MD5: a challenge of %zu bytes; 1 to %d are acceptable",
			       challenge.n, CRAM_MAX);
	if (cram_digest(s, challenge, hex, e) < 0)
		return -1;
	strbuf_puts(raw, s->user);
	strbuf_putc(raw, ' ');
	return strbuf_puts(raw, hex);
}

/* The third challenge, where there is one, brings the server's proof; its answer is empty. */
static int scram_step(struct sasl *s, struct slice challenge, struct strbuf *raw, struct err *e)
{
	if (s->step == 0)
		return scram_first(s->scram, raw, e);
	if (s->step == 1)
		return scram_reply(s->scram, challenge, raw, e);
	if (s->proven)
		return unexpected(e);
	if (scram_verify(s->scram, challenge, e) < 0)
		return -1;
	s->proven = true;
	return 0;
}

/* Decode what the server sent, within a limit. */
static int decode(struct slice text, struct strbuf *out, struct err *e)
{
	if (text.n > CHALLENGE_MAX)
		return err_set(e, ERR_PROTO, "a challenge of %zu bytes; at most %d are acceptable", text.n,
			       CHALLENGE_MAX);
	if (b64_decode(text, out) < 0)
		return err_set(e, ERR_PROTO, "the server's challenge is not base64");
	return 0;
}

/* One response. */
int sasl_step(struct sasl *s, struct slice challenge, struct strbuf *out, struct err *e)
{
	struct strbuf in = STRBUF_INIT(CHALLENGE_MAX), raw = STRBUF_SECRET(RAW_MAX);
	struct err why = ERR_INIT; /* steps that only fill a buffer have nothing to say */
	int rc = -1;

	if (!s->mech->deaf && !(s->mech->first && s->step == 0) && decode(challenge, &in, &why) < 0)
		goto out;
	if (s->mech->step(s, strbuf_slice(&in), &raw, &why) < 0)
		goto out;
	if (raw.failed || b64_encode(strbuf_slice(&raw), out) < 0)
		goto out;
	s->step++;
	rc = 1;
out:
	if (rc < 0) {
		if (why.kind == ERR_NONE)
			err_set(&why, ERR_LOCAL, "the response is too long, or memory is out");
		if (e)
			*e = why;
		err_in(e, "%s", name_of(s->mech));
	}
	strbuf_release(&in);
	strbuf_release(&raw);
	return rc;
}

/* Whether we agree with the server's OK. */
int sasl_finish(struct sasl *s, struct slice final, struct err *e)
{
	struct strbuf in = STRBUF_INIT(CHALLENGE_MAX);
	int rc = -1;

	if (s->step < s->mech->steps || s->failure[0]) {
		err_set(e, ERR_PROTO, "the server said OK in the middle of the conversation");
	} else if (s->proven) {
		rc = 0;
	} else if (final.n == 0) {
		err_set(e, ERR_AUTH, "the server said OK without proving that it knows the password: "
			"somebody may be posing as it");
	} else if (decode(final, &in, e) == 0 && scram_verify(s->scram, strbuf_slice(&in), e) == 0) {
		s->proven = true;
		rc = 0;
	}
	strbuf_release(&in);
	return rc < 0 ? err_in(e, "%s", name_of(s->mech)) : 0;
}
