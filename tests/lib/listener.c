/*
 * A listener of a store by itself, for tests/it/test_listen.py:
 *   listener imap PORT CAFILE USER PASSWORD PERIOD_MS INTERVAL_MS IDLE,IDLE DISABLED FOLDER...
 *   listener maildir++|mbox PATH INTERVAL_MS FOLDER...
 * It prints "ready HOW", "hint FOLDER" or "hint *", "lost TEXT"; and answers to lines of its input: "stamp FOLDER", "how", "probe", "folders FOLDER FOLDER...".
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "imap/capa.h"
#include "store/imapstore.h"
#include "store/listen.h"
#include "store/maildir.h"
#include "store/mbox.h"

#define FOLDERS_MAX 5000

static void on_hint(void *arg, const char *folder)
{
	(void)arg;
	printf("hint %s\n", folder ? folder : "*");
}

/* Cut a text into words, in place. */
static size_t words(char *text, const char *seps, const char **out, size_t max)
{
	size_t n = 0;

	for (char *p = text; *p && n < max;) {
		size_t k = strcspn(p, seps);
		bool more = p[k] != '\0';

		p[k] = '\0';
		if (k > 0)
			out[n++] = p;
		p += k + more;
	}
	return n;
}

static unsigned disabled(char *names)
{
	const char *a[16];
	unsigned bits = 0;
	size_t n, named = words(names, ",", a, 16);
	const struct imap_capinfo *t = imap_capinfo(&n);

	for (size_t k = 0; k < named; k++)
		for (size_t i = 0; i < n; i++)
			if (strcmp(t[i].name, a[k]) == 0)
				bits |= t[i].bit;
	return bits;
}

static msec_t number(const char *text)
{
	uint64_t n = 0;

	slice_u64(slice_str(text), INT32_MAX, &n);
	return (msec_t)n;
}

static int fail(const struct err *e)
{
	printf("lost %s\n", e->text);
	return 1;
}

/* A line of the input; -1 the end, or the listener's. */
static int obey(struct listener *l, struct err *e)
{
	static char line[65536];
	const char *names[FOLDERS_MAX];
	char stamp[STORE_STAMP_MAX];
	struct strbuf how = STRBUF_INIT(4096);
	size_t n = 0;
	int rc = 0;

	while (n + 1 < sizeof(line) && read(0, line + n, 1) == 1 && line[n] != '\n')
		n++;
	if (line[n] != '\n')
		return -1;
	line[n] = '\0';
	if (strncmp(line, "stamp ", 6) == 0) {
		rc = l->ops->stamp(l, line + 6, stamp, e);
		printf("stamp %d %s\n", rc, rc > 0 ? stamp : "");
	} else if (strcmp(line, "how") == 0) {
		l->ops->how(l, &how);
		printf("how %s\n", strbuf_str(&how));
	} else if (strcmp(line, "probe") == 0) {
		rc = l->ops->probe(l, e);
		printf("probe %d\n", rc);
	} else if (strncmp(line, "folders ", 8) == 0) {
		n = words(line + 8, " ", names, FOLDERS_MAX);
		rc = l->ops->folders(l, names, n, e);
		printf("folders %d\n", rc);
	}
	strbuf_release(&how);
	return rc;
}

static int run(struct listener *l)
{
	struct strbuf how = STRBUF_INIT(4096);
	struct err e = ERR_INIT;

	l->ops->how(l, &how);
	printf("ready %s\n", strbuf_str(&how));
	strbuf_release(&how);
	for (;;) {
		struct wait_item w[LISTEN_FDS_MAX + 1];
		size_t n = l->ops->fds(l, w);
		struct err why = ERR_INIT;

		w[n] = (struct wait_item){ .fd = 0, .events = WAIT_READ };
		if (wait_fds(w, n + 1, l->ops->pending(l) ? clock_now() : l->ops->when(l), &why) < 0) {
			if (why.kind != ERR_TIMEOUT)
				return fail(&why);
			w[n].ready = 0;
		}
		if (l->ops->take(l, on_hint, NULL, &e) < 0)
			return fail(&e);
		if (w[n].ready && obey(l, &e) < 0)
			return e.kind == ERR_NONE ? 0 : fail(&e);
	}
}

int main(int argc, char **argv)
{
	bool imap = argc > 9 && strcmp(argv[1], "imap") == 0;
	const char *idle[16];
	struct listen_params p = { 0 };
	struct imapstore_params ip = { .imap = { .what = "work", .secure = true } };
	struct err e = ERR_INIT;
	struct store *s;
	struct listener *l;
	int rc;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc < 5 || clock_cancel_init(&e) < 0)
		return 64;
	if (imap) {
		ip.imap.dial = (struct dial_params){ .host = "localhost", .port = argv[2], .security = DIAL_TLS, .timeout = 5000 };
		ip.imap.dial.tls.ca_file = argv[3];
		ip.imap.user = argv[4];
		ip.imap.secret.literal = argv[5];
		p.period = number(argv[6]);
		p.interval = number(argv[7]);
		p.n_idle = words(argv[8], ",", idle, 16);
		p.idle = idle;
		ip.imap.disabled = disabled(argv[9]);
		p.folders = (const char *const *)argv + 10;
		p.n = (size_t)argc - 10;
		s = imapstore_new(&ip, &e);
	} else {
		p.interval = number(argv[3]);
		p.folders = (const char *const *)argv + 4;
		p.n = (size_t)argc - 4;
		s = strcmp(argv[1], "mbox") == 0 ? mbox_new(&(struct mbox_params){ .path = argv[2] }, &e)
						 : maildir_new(&(struct maildir_params){ .path = argv[2], .layout = MAILDIR_PLUSPLUS }, &e);
	}
	l = s ? listener_new(s, &p, &e) : NULL;
	rc = l ? run(l) : fail(&e);
	listener_free(l);
	store_free(s);
	return rc;
}
