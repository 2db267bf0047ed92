#include "job/refused.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "auth/login.h"
#include "base/log.h"
#include "job/due.h"
#include "mail/digest.h"

/* One text, told from its neighbours; NULL is another than "". */
static void put(struct digest *d, const char *text)
{
	digest_put(d, text ? "+" : "-", 1);
	if (text)
		digest_put(d, text, strlen(text) + 1);
}

static void put_number(struct digest *d, int64_t n)
{
	char text[32];

	snprintf(text, sizeof(text), "%lld", (long long)n);
	put(d, text);
}

static void put_tls(struct digest *d, const struct dial_params *dial)
{
	put(d, dial->host);
	put(d, dial->port);
	put_number(d, dial->security);
	put(d, dial->tunnel);
	put(d, dial->proxy.host);
	put(d, dial->tls.client_cert);
	put(d, dial->tls.client_key);
}

/* How an account is logged in to, and its secret. */
static int put_login(struct digest *d, const struct login_given *g, struct err *e)
{
	struct login l = { .g = NULL };
	int rc = login_gather(&l, g, e);

	put_tls(d, g->dial);
	put(d, g->user);
	put(d, g->as);
	put(d, g->secret->command);
	put(d, g->secret->file);
	put(d, g->token_command);
	put_number(d, g->secure);
	for (const char *const *a = g->auth; *a; a++)
		put(d, *a);
	if (rc == 0) {
		put(d, l.has_password ? strbuf_str(&l.password) : NULL);
		put(d, l.has_token ? strbuf_str(&l.token) : NULL);
	}
	login_release(&l);
	return rc;
}

static int put_end(struct digest *d, const struct config_end *end, struct err *e)
{
	if (end->kind == CONFIG_POP3) {
		const struct pop3_params *p = &end->pop3.pop3;

		return put_login(d, &(struct login_given){ .service = "pop", .dial = &p->dial, .user = p->user, .secret = &p->secret, .token_command = p->token_command,
							   .auth = p->auth, .secure = p->secure }, e);
	}
	if (end->kind == CONFIG_IMAP) {
		const struct imap_params *p = &end->imap.imap;

		return put_login(d, &(struct login_given){ .service = "imap", .dial = &p->dial, .user = p->user, .secret = &p->secret, .token_command = p->token_command,
							   .auth = p->auth, .secure = p->secure }, e);
	}
	return 0;
}

static int digest_of(const struct config_job *job, const char *salt, char out[DIGEST_HEX], struct err *e)
{
	unsigned char raw[DIGEST_SIZE];
	struct digest *d = digest_new(e);
	int rc = -1;

	if (!d)
		return -1;
	put(d, salt);
	if (put_end(d, job->left, e) == 0 && put_end(d, job->right, e) == 0)
		rc = digest_end(d, raw) < 0 ? err_set(e, ERR_LOCAL, "SHA-256 fails") : 0;
	digest_free(d);
	if (rc == 0)
		digest_hex(raw, out);
	return rc;
}

static char *read_attempts(const struct job_params *p, struct attempts *a)
{
	char *path = job_state_path(p->state_dir, p->job->name, NULL);

	if (path)
		attempts_get(path, a);
	return path;
}

void refused_note(const struct job_params *p)
{
	struct err why = ERR_INIT;
	unsigned char salt[16];
	struct attempts a;
	char *path = read_attempts(p, &a);

	if (!path || p->dry_run)
		goto out;
	if (getrandom(salt, sizeof(salt), 0) != (ssize_t)sizeof(salt))
		goto out;
	for (size_t i = 0; i < sizeof(salt); i++)
		snprintf(a.salt + 2 * i, 3, "%02x", salt[i]);
	if (digest_of(p->job, a.salt, a.digest, &why) < 0)
		a.digest[0] = a.salt[0] = '\0';
	if (attempts_put(path, &a, &why) < 0)
		log_debug("what was refused could not be noted: %s", why.text);
out:
	free(path);
}

int refused_check(const struct job_params *p, struct err *e)
{
	struct err ignored = ERR_INIT;
	char now_is[DIGEST_HEX], when[32] = "?";
	struct attempts a;
	char *path = read_attempts(p, &a);
	int64_t now = clock_wall(), left = a.last + DUE_REFUSED - now;
	time_t last = (time_t)a.last;
	struct tm tm;

	if (!path)
		return 0;
	free(path);
	if (a.since == 0 || a.kind != ERR_AUTH || a.digest[0] == '\0' || left <= 0 || left > DUE_REFUSED)
		return 0;
	if (digest_of(p->job, a.salt, now_is, &ignored) < 0 || strcmp(now_is, a.digest) != 0)
		return 0;
	if (localtime_r(&last, &tm))
		strftime(when, sizeof(when), "%Y-%m-%d %H:%M", &tm);
	err_set(e, ERR_AUTH, "not tried: at %s it was refused with the settings and the secret that it has still: %s", when, a.text);
	err_hint(e, "name the job to try all the same");
	e->retry_after = (int)left;
	return -1;
}
