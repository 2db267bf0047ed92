/* What was learnt of a server: see remember.h. */
#include "job/remember.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/log.h"
#include "job/job.h"
#include "mail/digest.h"

#define FILE_MAX 65536
#define MAGIC "mailhaul server 1"

static const char *const flies[] = { "unknown", "no", "yes" }; /* enum imap_flies */

/* ---- the settings that it was learnt under ---- */

/* One of them. NUL separates, so that no two sums look alike. */
static void put(struct strbuf *out, const char *s)
{
	strbuf_puts(out, s ? "+" : "-");
	strbuf_puts(out, s ? s : "");
	strbuf_putc(out, '\0');
}

/* All of them, as one number. -1: it can't be had. */
static int sum_up(const struct config_end *end, char out[DIGEST_HEX])
{
	const struct imap_params *p = &end->imap.imap;
	const struct dial_params *d = &p->dial;
	const char *const parts[] = { MAILHAUL_VERSION, d->host, d->port, d->tunnel, d->proxy.host, d->proxy.port, d->proxy.user, d->tls.host, d->tls.ca_file,
				      d->tls.client_cert, d->tls.client_key, p->user };
	struct strbuf all = STRBUF_INIT(FILE_MAX);
	struct digest *sha = digest_new(NULL);
	unsigned char sum[DIGEST_SIZE];
	int rc = -1;

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		put(&all, parts[i]);
	for (size_t i = 0; i < TLS_PINS_MAX && d->tls.pins[i]; i++)
		put(&all, d->tls.pins[i]);
	put(&all, NULL);
	for (size_t i = 0; i < SASL_ALLOW_MAX && p->auth[i]; i++)
		put(&all, p->auth[i]);
	strbuf_printf(&all, "%d %d %u %d", (int)d->security, d->tls.min_version, p->disabled, p->token_command != NULL);
	if (sha && !all.failed && digest_put(sha, all.s, all.len) == 0 && digest_end(sha, sum) == 0) {
		digest_hex(sum, out);
		rc = 0;
	}
	digest_free(sha);
	strbuf_release(&all);
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

/* Understand the file. False: it is damaged, or of other settings. */
static bool understand(struct remember *r, const char *settings)
{
	const unsigned disabled = r->params.imap.disabled;
	struct slice rest = strbuf_slice(&r->text), v, before, after;
	struct imap_remembered m = { 0 };

	if (!take(&rest, MAGIC, &v) || !slice_eqs(v, settings) || !take(&rest, "flies", &v))
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
	if (rest.n > 0)
		return false;
	r->imap = m;
	return true;
}

/* The file as it is to be; empty when there is nothing to keep. */
static void describe(const struct remember *r, const char *settings, struct strbuf *out)
{
	const struct imap_remembered *m = &r->imap;

	if (!m->after.known && m->flies == IMAP_FLIES_UNKNOWN)
		return;
	strbuf_printf(out, MAGIC " %s\nflies %s\ntold %s\n", settings, flies[m->flies], m->told ? "yes" : "no");
	if (!m->before.known || !m->after.known)
		return;
	strbuf_puts(out, "before ");
	imap_caps_print(&m->before, out);
	strbuf_puts(out, "\nafter ");
	imap_caps_print(&m->after, out);
	strbuf_putc(out, '\n');
}

const struct imapstore_params *remember_load(struct remember *r, const char *state_dir, const struct config_end *end)
{
	char settings[DIGEST_HEX];
	struct err why = ERR_INIT;
	char *dir;

	if (end->kind != CONFIG_IMAP || end->imap.imap.dial.security == DIAL_PLAIN || end->imap.imap.remembered || sum_up(end, settings) < 0)
		return NULL;
	r->params = end->imap;
	r->params.imap.remembered = &r->imap;
	r->text = (struct strbuf)STRBUF_SECRET(FILE_MAX);
	memcpy(r->settings, settings, sizeof(settings));
	dir = job_path(state_dir, "server", "", NULL);
	r->path = dir ? job_path(dir, end->name, "", NULL) : NULL;
	free(dir);
	if (!r->path || fs_read_secret(r->path, &r->text, &why) < 0)
		log_debug("nothing is known of the server: %s", why.text);
	else if (!understand(r, settings))
		log_debug("%s: of other settings, or damaged: not used", r->path);
	return &r->params;
}

/* Write it, unless it is there. */
static void keep_it(const struct remember *r)
{
	struct strbuf now = STRBUF_SECRET(FILE_MAX);
	struct err why = ERR_INIT;
	char *slash = strrchr(r->path, '/');

	describe(r, r->settings, &now);
	if (now.failed || slice_eq(strbuf_slice(&now), strbuf_slice(&r->text)))
		goto out;
	*slash = '\0';
	if (fs_mkdirs(r->path, 0700, &why) == 0) {
		*slash = '/';
		fs_replace(r->path, strbuf_str(&now), now.len, 0600, &why);
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
	strbuf_release(&r->text);
	free(r->path);
	*r = (struct remember){ 0 };
}
