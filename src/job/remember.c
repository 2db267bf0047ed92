/* What was learnt of a server: see remember.h. */
#include "job/remember.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth/b64.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "job/job.h"
#include "mail/digest.h"
#include "net/tlsmem.h"

#define FILE_MAX 65536
#define MAGIC "mailhaul server 1"
#define REFUSED_S 86400 /* how long no session is kept for a server that did not take up one */

static const char *const flies[] = { "unknown", "no", "yes" }; /* enum imap_flies */

/* ---- the settings that it was learnt under ---- */

/* One of them. NUL separates, so that no two sums look alike. */
static void put(struct strbuf *out, const char *s)
{
	strbuf_puts(out, s ? "+" : "-");
	strbuf_puts(out, s ? s : "");
	strbuf_putc(out, '\0');
}

/* For what the certificate is verified. */
static struct tls_params tls_of(const struct config_end *end)
{
	struct tls_params p = end->imap.imap.dial.tls;

	if (!p.host)
		p.host = end->imap.imap.dial.host;
	return p;
}

/* All of them, with the text that was learnt, as one number. -1: it can't be had. */
static int sum_up(const struct config_end *end, struct slice text, char out[DIGEST_HEX])
{
	const struct imap_params *p = &end->imap.imap;
	const struct dial_params *d = &p->dial;
	const struct tls_params tls = tls_of(end);
	const char *const parts[] = { MAILHAUL_VERSION, d->host, d->port, d->tunnel, d->proxy.host, d->proxy.port, d->proxy.user, p->user };
	struct strbuf all = STRBUF_SECRET(2 * FILE_MAX), key = STRBUF_INIT(TLS_KEY_MAX);
	struct digest *sha = digest_new(NULL);
	unsigned char sum[DIGEST_SIZE];
	int rc = tls_memory_key(&key, &tls);

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		put(&all, parts[i]);
	for (size_t i = 0; i < SASL_ALLOW_MAX && p->auth[i]; i++)
		put(&all, p->auth[i]);
	strbuf_printf(&all, "%d %u %d %zu ", (int)d->security, p->disabled, p->token_command != NULL, key.len);
	strbuf_putsl(&all, strbuf_slice(&key));
	strbuf_putsl(&all, text);
	if (rc == 0 && (!sha || all.failed || digest_put(sha, all.s, all.len) < 0 || digest_end(sha, sum) < 0))
		rc = -1;
	if (rc == 0)
		digest_hex(sum, out);
	digest_free(sha);
	strbuf_release(&all);
	strbuf_release(&key);
	return rc;
}

/* ---- the file ---- */

/* What stands behind a name on the next line; false: another line is next. */
static bool take(struct slice *rest, const char *name, struct slice *value)
{
	size_t n = strlen(name);
	const char *lf = rest->n > 0 ? memchr(rest->p, '\n', rest->n) : NULL;

	if (!lf || !slice_starts(*rest, name) || (size_t)(lf - rest->p) <= n || rest->p[n] != ' ')
		return false;
	*value = slice_of(rest->p + n + 1, (size_t)(lf - rest->p) - n - 1);
	*rest = slice_of(lf + 1, rest->n - (size_t)(lf + 1 - rest->p));
	return true;
}

/* Capabilities. */
static void take_caps(struct slice words, unsigned disabled, struct imap_caps *out)
{
	struct slice word;

	imap_caps_begin(out);
	while ((word = slice_word(&words)).n > 0)
		imap_caps_word(out, word);
	imap_caps_end(out, disabled);
}

/* The session of TLS; where it can't be one, there is none. */
static void take_session(struct remember *r, struct slice text)
{
	const struct tls_params tls = tls_of(r->end);
	struct strbuf bytes = STRBUF_SECRET(FILE_MAX);

	if (r->tls && b64_decode(text, &bytes) == 0)
		tls_memory_load(r->tls, &tls, bytes.s, bytes.len);
	strbuf_release(&bytes);
}

/* Understand the file. False: it is damaged, or of other settings. */
static bool understand(struct remember *r)
{
	const unsigned disabled = r->params.imap.disabled;
	struct slice rest = strbuf_slice(&r->text), v, before, after;
	struct imap_remembered m = { 0 };
	char sum[DIGEST_HEX];
	uint64_t when;

	if (!take(&rest, MAGIC, &v) || sum_up(r->end, rest, sum) < 0 || !slice_eqs(v, sum) || !take(&rest, "flies", &v))
		return false;
	while (!slice_eqs(v, flies[m.flies]))
		if (m.flies++ == IMAP_FLIES_YES)
			return false;
	if (!take(&rest, "told", &v))
		return false;
	m.told = slice_eqs(v, "yes");
	if (take(&rest, "before", &before) && take(&rest, "after", &after)) {
		take_caps(before, disabled, &m.before);
		take_caps(after, disabled, &m.after);
	}
	if (take(&rest, "refused", &v) && slice_u64(v, INT64_MAX, &when))
		r->refused = (int64_t)when;
	if (take(&rest, "session", &v))
		take_session(r, v);
	r->imap = m;
	return true;
}

/* The session of TLS. Servers that take up none, as each of their processes has a key of its own, would have us write a new one with each run. */
static void put_session(struct remember *r, struct strbuf *out)
{
	struct strbuf bytes = STRBUF_SECRET(FILE_MAX);
	int64_t now = clock_wall();

	if (r->tls && tls_memory_refused(r->tls))
		r->refused = now;
	if (r->refused > now - REFUSED_S && r->refused <= now) {
		strbuf_printf(out, "refused %lld\n", (long long)r->refused);
	} else if (r->tls && tls_memory_save(r->tls, &bytes) == 0 && bytes.len > 0) {
		strbuf_puts(out, "session ");
		b64_encode(strbuf_slice(&bytes), out);
		strbuf_putc(out, '\n');
	}
	strbuf_release(&bytes);
}

/* The file as it is to be; empty when there is nothing to keep. */
static void describe(struct remember *r, struct strbuf *out)
{
	const struct imap_remembered *m = &r->imap;
	struct strbuf text = STRBUF_SECRET(FILE_MAX);
	char sum[DIGEST_HEX];

	if (!m->after.known && m->flies == IMAP_FLIES_UNKNOWN)
		return;
	strbuf_printf(&text, "flies %s\ntold %s\n", flies[m->flies], m->told ? "yes" : "no");
	if (m->before.known && m->after.known) {
		strbuf_puts(&text, "before ");
		imap_caps_print(&m->before, &text);
		strbuf_puts(&text, "\nafter ");
		imap_caps_print(&m->after, &text);
		strbuf_putc(&text, '\n');
		put_session(r, &text);
	}
	if (!text.failed && sum_up(r->end, strbuf_slice(&text), sum) == 0) {
		strbuf_printf(out, MAGIC " %s\n", sum);
		strbuf_putsl(out, strbuf_slice(&text));
	}
	strbuf_release(&text);
}

const struct imapstore_params *remember_load(struct remember *r, const char *state_dir, const struct config_end *end)
{
	struct err why = ERR_INIT;
	char *dir;

	if (end->kind != CONFIG_IMAP || end->imap.imap.dial.security == DIAL_PLAIN || end->imap.imap.remembered)
		return NULL;
	r->end = end;
	r->params = end->imap;
	r->params.imap.remembered = &r->imap;
	/* who had the session of a client certificate could pose as us */
	r->tls = end->imap.imap.dial.tls.client_cert ? NULL : tls_memory_new();
	if (r->tls)
		r->params.imap.dial.tls.memory = r->tls;
	r->text = (struct strbuf)STRBUF_SECRET(FILE_MAX);
	dir = job_path(state_dir, "server", "", NULL);
	r->path = dir ? job_path(dir, end->name, "", NULL) : NULL;
	free(dir);
	if (!r->path || fs_read_secret(r->path, &r->text, &why) < 0)
		log_debug("nothing is known of the server: %s", why.text);
	else if (!understand(r))
		log_debug("%s: of other settings, or damaged: not used", r->path);
	return &r->params;
}

/* Write it, unless it is there. Its sum tells whether it is whole. */
static void keep_it(struct remember *r)
{
	struct strbuf now = STRBUF_SECRET(FILE_MAX);
	struct err why = ERR_INIT;
	char *slash = strrchr(r->path, '/');

	describe(r, &now);
	if (now.failed || slice_eq(strbuf_slice(&now), strbuf_slice(&r->text)))
		goto out;
	*slash = '\0';
	if (fs_mkdirs(r->path, 0700, &why) == 0) {
		*slash = '/';
		fs_replace_light(r->path, strbuf_str(&now), now.len, 0600, &why);
	}
	*slash = '/';
	if (why.kind != ERR_NONE)
		log_debug("what was learnt of the server could not be kept: %s", why.text);
out:
	strbuf_release(&now);
}

void remember_end(struct remember *r, bool keep)
{
	if (r->path && keep)
		keep_it(r);
	tls_memory_free(r->tls);
	strbuf_release(&r->text);
	free(r->path);
	*r = (struct remember){ 0 };
}
