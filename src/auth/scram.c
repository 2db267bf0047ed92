/* SCRAM for clients: see scram.h. The names in the comments are those of RFC 5802 section 3. */
#include "auth/scram.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth/b64.h"
#include "auth/saslprep.h"
#include "base/clock.h"

#define NONCE_BYTES 18      /* 24 letters of base64 */
#define MSG_MAX 4096        /* of the server's messages and the parts of ours */
#define SALT_MAX 1024
#define ROUNDS_A_CHECK 8192 /* about 2 ms between two looks at SIGTERM */

struct scram {
	char digest[16];
	size_t size;            /* of the digest */
	struct strbuf password; /* prepared */
	struct strbuf gs2;      /* gs2-header */
	struct strbuf bound;    /* cbind-input: gs2-header and the channel binding data */
	struct strbuf bare;     /* client-first-message-bare */
	struct strbuf nonce;    /* ours */
	unsigned char server_signature[EVP_MAX_MD_SIZE];
	bool expecting;         /* server_signature is computed */
};

/* What stands in the server-first-message. */
struct server_first {
	struct slice nonce;
	struct strbuf salt;
	unsigned rounds;
};

/* The keys of one login; wiped when it is answered. */
struct keys {
	unsigned char salted[EVP_MAX_MD_SIZE], client[EVP_MAX_MD_SIZE], stored[EVP_MAX_MD_SIZE],
		server[EVP_MAX_MD_SIZE];
};

/* A failure of the library or of memory, which no server can cause. */
static int crypto_failed(struct err *e, const char *what)
{
	return err_set(e, ERR_LOCAL, "SCRAM: %s failed (out of memory, or the hash is switched off in OpenSSL)",
		       what);
}

/* A message that breaks the grammar. */
static int bad(struct err *e, const char *what)
{
	return err_set(e, ERR_PROTO, "SCRAM: the server's message %s", what);
}

/* An HMAC under a key; NULL on failure. */
static EVP_MAC_CTX *hmac_new(const char *digest, const void *key, size_t n)
{
	EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
	EVP_MAC_CTX *c = mac ? EVP_MAC_CTX_new(mac) : NULL;
	char name[16]; /* OSSL_PARAM wants it writable */
	OSSL_PARAM params[2];

	EVP_MAC_free(mac);
	snprintf(name, sizeof(name), "%s", digest);
	params[0] = OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, name, 0);
	params[1] = OSSL_PARAM_construct_end();
	if (c && EVP_MAC_init(c, key, n, params) != 1) {
		EVP_MAC_CTX_free(c);
		c = NULL;
	}
	return c;
}

/* HMAC(key, text). */
static int hmac(const struct scram *s, const unsigned char *key, struct slice text, unsigned char *out)
{
	EVP_MAC_CTX *c = hmac_new(s->digest, key, s->size);
	int ok = c && EVP_MAC_update(c, (const unsigned char *)text.p, text.n) == 1 &&
		 EVP_MAC_final(c, out, NULL, EVP_MAX_MD_SIZE) == 1;

	EVP_MAC_CTX_free(c);
	return ok ? 0 : -1;
}

/* Hi(password, salt, rounds) to out. By hand and not by PKCS5_PBKDF2_HMAC, which nothing can interrupt. */
static int salt_password(const struct scram *s, const struct server_first *f, unsigned char *out, struct err *e)
{
	static const unsigned char one[4] = { 0, 0, 0, 1 };
	unsigned char u[EVP_MAX_MD_SIZE];
	EVP_MAC_CTX *c = hmac_new(s->digest, s->password.s, s->password.len);
	const unsigned char *salt = (const unsigned char *)strbuf_str(&f->salt);
	int rc = -1;

	if (!c || EVP_MAC_update(c, salt, f->salt.len) != 1 || EVP_MAC_update(c, one, sizeof(one)) != 1 ||
	    EVP_MAC_final(c, u, NULL, sizeof(u)) != 1)
		goto out;
	memcpy(out, u, s->size);
	for (unsigned i = 1; i < f->rounds; i++) {
		if (i % ROUNDS_A_CHECK == 0 && clock_check(e) < 0)
			goto cancelled;
		/* no key given: the same again */
		if (EVP_MAC_init(c, NULL, 0, NULL) != 1 || EVP_MAC_update(c, u, s->size) != 1 ||
		    EVP_MAC_final(c, u, NULL, sizeof(u)) != 1)
			goto out;
		for (size_t k = 0; k < s->size; k++)
			out[k] ^= u[k];
	}
	rc = 0;
out:
	if (rc < 0)
		crypto_failed(e, "HMAC");
cancelled:
	EVP_MAC_CTX_free(c);
	OPENSSL_cleanse(u, sizeof(u));
	return rc;
}

/* All keys from the password. */
static int derive(const struct scram *s, const struct server_first *f, struct keys *k, struct err *e)
{
	if (salt_password(s, f, k->salted, e) < 0)
		return -1;
	if (hmac(s, k->salted, SLICE_LIT("Client Key"), k->client) < 0 ||
	    hmac(s, k->salted, SLICE_LIT("Server Key"), k->server) < 0 ||
	    EVP_Q_digest(NULL, s->digest, NULL, k->client, s->size, k->stored, NULL) != 1)
		return crypto_failed(e, "HMAC");
	return 0;
}

/* A saslname: comma and equals sign escaped (RFC 5802 section 5.1). */
static void put_name(struct strbuf *b, const char *name)
{
	struct strbuf cooked = STRBUF_INIT(MSG_MAX);

	if (saslprep(slice_str(name), &cooked) < 0)
		b->failed = true;
	for (size_t i = 0; i < cooked.len; i++) {
		if (cooked.s[i] == ',')
			strbuf_puts(b, "=2C");
		else if (cooked.s[i] == '=')
			strbuf_puts(b, "=3D");
		else
			strbuf_putc(b, cooked.s[i]);
	}
	strbuf_release(&cooked);
}

/* Our part of the nonce. */
static int make_nonce(struct scram *s, const char *given, struct err *e)
{
	unsigned char random[NONCE_BYTES];

	if (given)
		return strbuf_puts(&s->nonce, given);
	if (RAND_bytes(random, sizeof(random)) != 1)
		return crypto_failed(e, "the random number generator");
	return b64_encode(slice_of(random, sizeof(random)), &s->nonce);
}

/* The parts that are known before the server speaks. */
static int prepare(struct scram *s, const struct scram_params *p, struct err *e)
{
	if (make_nonce(s, p->nonce, e) < 0)
		return -1;
	if (p->flag == 'p')
		strbuf_printf(&s->gs2, "p=%s,", p->bind_type);
	else
		strbuf_printf(&s->gs2, "%c,", p->flag);
	if (p->authzid) {
		strbuf_puts(&s->gs2, "a=");
		put_name(&s->gs2, p->authzid);
	}
	strbuf_putc(&s->gs2, ',');
	strbuf_putsl(&s->bound, strbuf_slice(&s->gs2));
	if (p->flag == 'p')
		strbuf_putsl(&s->bound, p->bind_data);
	strbuf_puts(&s->bare, "n=");
	put_name(&s->bare, p->user);
	strbuf_puts(&s->bare, ",r=");
	strbuf_putsl(&s->bare, strbuf_slice(&s->nonce));
	saslprep(strbuf_slice(p->password), &s->password);
	if (s->gs2.failed || s->bound.failed || s->bare.failed || s->password.failed)
		return err_set(e, ERR_CONF, "SCRAM: the user name or password is too long");
	return 0;
}

/* A new conversation. */
struct scram *scram_new(const struct scram_params *p, struct err *e)
{
	struct scram *s = calloc(1, sizeof(*s));
	EVP_MD *md = EVP_MD_fetch(NULL, p->digest, NULL);

	if (!s || !md) {
		crypto_failed(e, p->digest);
		goto fail;
	}
	snprintf(s->digest, sizeof(s->digest), "%s", p->digest);
	s->size = (size_t)EVP_MD_get_size(md);
	s->password = (struct strbuf)STRBUF_SECRET(4 * p->password->len + 64); /* NFKC makes some letters longer */
	s->gs2 = s->bound = s->bare = s->nonce = (struct strbuf)STRBUF_INIT(4 * (size_t)MSG_MAX);
	if (prepare(s, p, e) < 0)
		goto fail;
	EVP_MD_free(md);
	return s;
fail:
	EVP_MD_free(md);
	scram_free(s);
	return NULL;
}

/* The end of a conversation. */
void scram_free(struct scram *s)
{
	if (!s)
		return;
	strbuf_release(&s->password);
	strbuf_release(&s->gs2);
	strbuf_release(&s->bound);
	strbuf_release(&s->bare);
	strbuf_release(&s->nonce);
	OPENSSL_cleanse(s->server_signature, sizeof(s->server_signature));
	free(s);
}

/* client-first-message. */
int scram_first(struct scram *s, struct strbuf *out, struct err *e)
{
	if (strbuf_putsl(out, strbuf_slice(&s->gs2)) < 0 || strbuf_putsl(out, strbuf_slice(&s->bare)) < 0)
		return err_set(e, ERR_LOCAL, "SCRAM: no room for the first message");
	return 0;
}

/* Cut the next attribute off *rest: its letter, and *value; 0 at the end and for what is no attribute. */
static char attribute(struct slice *rest, struct slice *value)
{
	const char *comma = rest->n > 0 ? memchr(rest->p, ',', rest->n) : NULL;
	size_t n = comma ? (size_t)(comma - rest->p) : rest->n;
	char name = n >= 2 && rest->p[1] == '=' ? rest->p[0] : '\0';

	if (name)
		*value = slice_of(rest->p + 2, n - 2);
	rest->p += comma ? n + 1 : n;
	rest->n -= comma ? n + 1 : n;
	return name;
}

/* The server gave up by e=REASON. */
static int server_error(struct slice reason, struct err *e)
{
	char text[80];

	err_set(e, ERR_AUTH, "login refused: %s", err_printable(text, sizeof(text), reason.p, reason.n));
	if (slice_eqs(reason, "server-does-support-channel-binding"))
		err_hint(e, "somebody may have taken the -PLUS methods out of the server's offer: find out before "
			 "you go on");
	else if (slice_eqs(reason, "channel-bindings-dont-match") ||
		 slice_eqs(reason, "unsupported-channel-binding-type"))
		err_hint(e, "somebody may sit between you and the server, or it binds in another way: SCRAM without "
			 "-PLUS in `auth` does without");
	return -1;
}

/* A nonce: ours, and something of the server's behind it, printable. */
static bool nonce_fits(const struct scram *s, struct slice nonce)
{
	if (nonce.n <= s->nonce.len || !slice_starts(nonce, strbuf_str(&s->nonce)))
		return false;
	for (size_t i = 0; i < nonce.n; i++)
		if (nonce.p[i] < 0x21 || nonce.p[i] > 0x7e)
			return false;
	return true;
}

/* Read the server-first-message; unknown attributes behind the three are for future extensions and ignored. */
static int parse_first(const struct scram *s, struct slice msg, struct server_first *f, struct err *e)
{
	struct slice v;
	uint64_t rounds;
	char name;

	if (msg.n > MSG_MAX)
		return bad(e, "is too long");
	name = attribute(&msg, &v);
	if (name == 'e')
		return server_error(v, e);
	if (name == 'm')
		return bad(e, "asks for an extension that we don't know");
	if (name != 'r' || !nonce_fits(s, v))
		return bad(e, "doesn't continue our nonce: it is not an answer to us");
	f->nonce = v;
	if (attribute(&msg, &v) != 's' || b64_decode(v, &f->salt) < 0 || f->salt.len == 0)
		return bad(e, "has no salt in base64");
	if (attribute(&msg, &v) != 'i' || !slice_u64(v, UINT64_MAX, &rounds))
		return bad(e, "has no iteration count");
	if (rounds < SCRAM_ITER_MIN || rounds > SCRAM_ITER_MAX) {
		err_set(e, ERR_PROTO, "SCRAM: the server asks for %llu iterations; %d to %d are acceptable",
			(unsigned long long)rounds, SCRAM_ITER_MIN, SCRAM_ITER_MAX);
		return err_hint(e, "name another method in `auth` if you trust this server");
	}
	f->rounds = (unsigned)rounds;
	return 0;
}

/* client-final-message-without-proof to out, AuthMessage to auth. */
static int compose(const struct scram *s, struct slice server_first, struct slice nonce, struct strbuf *out,
		   struct strbuf *auth)
{
	size_t start = out->len;

	strbuf_puts(out, "c=");
	if (b64_encode(strbuf_slice(&s->bound), out) < 0)
		return -1;
	strbuf_puts(out, ",r=");
	strbuf_putsl(out, nonce);
	strbuf_putsl(auth, strbuf_slice(&s->bare));
	strbuf_putc(auth, ',');
	strbuf_putsl(auth, server_first);
	strbuf_putc(auth, ',');
	if (!out->failed)
		strbuf_put(auth, out->s + start, out->len - start);
	return out->failed || auth->failed ? -1 : 0;
}

/* client-final-message; what the server must prove is kept. */
int scram_reply(struct scram *s, struct slice server_first, struct strbuf *out, struct err *e)
{
	struct server_first f = { .salt = STRBUF_INIT(SALT_MAX) };
	struct strbuf auth = STRBUF_INIT(16 * (size_t)MSG_MAX);
	struct keys k;
	unsigned char proof[EVP_MAX_MD_SIZE];
	int rc = -1;

	if (parse_first(s, server_first, &f, e) < 0 || derive(s, &f, &k, e) < 0)
		goto out;
	if (compose(s, server_first, f.nonce, out, &auth) < 0) {
		err_set(e, ERR_LOCAL, "SCRAM: no room for the final message");
		goto out;
	}
	if (hmac(s, k.stored, strbuf_slice(&auth), proof) < 0 ||
	    hmac(s, k.server, strbuf_slice(&auth), s->server_signature) < 0) {
		crypto_failed(e, "HMAC");
		goto out;
	}
	s->expecting = true;
	for (size_t i = 0; i < s->size; i++) /* ClientProof := ClientKey XOR ClientSignature */
		proof[i] ^= k.client[i];
	strbuf_puts(out, ",p=");
	rc = b64_encode(slice_of(proof, s->size), out);
	if (rc < 0 || out->failed)
		rc = err_set(e, ERR_LOCAL, "SCRAM: no room for the final message");
out:
	OPENSSL_cleanse(&k, sizeof(k));
	OPENSSL_cleanse(proof, sizeof(proof));
	strbuf_release(&f.salt);
	strbuf_release(&auth);
	return rc;
}

/* server-final-message. */
int scram_verify(struct scram *s, struct slice server_final, struct err *e)
{
	struct strbuf signature = STRBUF_INIT(EVP_MAX_MD_SIZE);
	struct slice v;
	char name;
	int rc = -1;

	name = attribute(&server_final, &v);
	if (name == 'e')
		return server_error(v, e);
	if (name != 'v')
		return bad(e, "holds no proof that it knows the password");
	if (s->expecting && b64_decode(v, &signature) == 0 && signature.len == s->size &&
	    CRYPTO_memcmp(signature.s, s->server_signature, s->size) == 0)
		rc = 0;
	else
		err_set(e, ERR_AUTH, "SCRAM: the server's proof is wrong: it does not know the password, "
			"somebody may be posing as it");
	strbuf_release(&signature);
	return rc;
}
