/* See maildrop.h. */
#include "maildrop.h"

#include "unit.h"

#include <sys/mman.h>
#include <unistd.h>

/* One connection. */
struct session {
	struct maildrop_world *w;
	FILE *out;
	size_t at[MAILDROP_MESSAGES]; /* by number, from 1 on */
	bool marked[MAILDROP_MESSAGES];
	size_t n;
};

static void say(const struct session *s, const char *text)
{
	fputs(text, s->out);
}

static size_t size_of(const struct maildrop_world *w, const struct maildrop_msg *m)
{
	size_t n = strlen(m->text);

	for (const char *p = m->text; w->bare_sizes && (p = strchr(p, '\r')); p++)
		n--;
	return n;
}

static struct maildrop_msg *message(struct session *s, unsigned num)
{
	return num < 1 || num > s->n || s->marked[num - 1] ? NULL : &s->w->m[s->at[num - 1]];
}

/* The message, or so many bytes of it, with its dots stuffed. */
static void say_text(const struct session *s, const struct maildrop_msg *m, size_t n)
{
	bool start = true;

	for (size_t i = 0; i < n; i++) {
		if (start && m->text[i] == '.' && !m->unstuffed)
			say(s, ".");
		fputc(m->text[i], s->out);
		start = m->text[i] == '\n';
	}
}

static void listing(struct session *s, bool uidl)
{
	char line[160];

	say(s, "+OK\r\n");
	for (unsigned i = 1; i <= s->n; i++) {
		const struct maildrop_msg *m = message(s, i);

		if (!m)
			continue;
		if (uidl)
			snprintf(line, sizeof(line), "%u %s\r\n", i, m->uidl);
		else
			snprintf(line, sizeof(line), "%u %zu\r\n", i, size_of(s->w, m));
		say(s, line);
	}
	say(s, ".\r\n");
}

static void stat_all(struct session *s)
{
	size_t n = 0, bytes = 0;
	char line[80];

	for (unsigned i = 1; i <= s->n; i++) {
		n += message(s, i) != NULL;
		bytes += message(s, i) ? size_of(s->w, message(s, i)) : 0;
	}
	snprintf(line, sizeof(line), "+OK %zu %zu\r\n", n, bytes);
	say(s, line);
}

/* False: the link is cut. */
static bool retr(struct session *s, unsigned num)
{
	const struct maildrop_msg *m = message(s, num);
	bool cut = ++s->w->retrs == s->w->cut_at || (m && m->breaks);

	if (!m || m->no_retr) {
		say(s, "-ERR not that one\r\n");
		return true;
	}
	say(s, "+OK\r\n");
	say_text(s, m, cut ? strlen(m->text) / 2 : strlen(m->text));
	if (!cut)
		say(s, ".\r\n");
	return !cut;
}

static void top(struct session *s, unsigned num)
{
	const struct maildrop_msg *m = message(s, num);
	const char *end = m ? strstr(m->text, "\r\n\r\n") : NULL;

	s->w->tops++;
	if (!m || m->no_top || s->w->no_top) {
		say(s, "-ERR no\r\n");
		return;
	}
	say(s, "+OK\r\n");
	say_text(s, m, end ? (size_t)(end - m->text) + 4 : strlen(m->text));
	say(s, ".\r\n");
}

static void quit(struct session *s)
{
	s->w->quits++;
	for (size_t i = 0; i < s->n; i++)
		s->w->m[s->at[i]].there &= !s->marked[i];
	say(s, "+OK bye\r\n");
}

static void capa(struct session *s)
{
	char line[64];

	say(s, "+OK\r\nUSER\r\n");
	say(s, s->w->no_uidl ? "" : "UIDL\r\n");
	say(s, s->w->no_top ? "" : "TOP\r\n");
	say(s, s->w->one_by_one ? "" : "PIPELINING\r\n");
	snprintf(line, sizeof(line), "LOGIN-DELAY %d\r\n", s->w->login_delay);
	say(s, s->w->login_delay > 0 ? line : "");
	say(s, ".\r\n");
}

/* False: the session is over. */
static bool answer(struct session *s, const char *line)
{
	struct maildrop_world *w = s->w;
	unsigned num = 0;

	if (++w->commands == w->hang_up_at)
		return false;
	if (strcmp(line, "CAPA") == 0) {
		capa(s);
	} else if (strncmp(line, "PASS ", 5) == 0) {
		w->logins++;
		s->n = 0;
		for (size_t i = 0; i < MAILDROP_MESSAGES; i++)
			if (w->m[i].there)
				s->at[s->n++] = i;
		say(s, "+OK\r\n");
	} else if (strcmp(line, "STAT") == 0) {
		stat_all(s);
	} else if (strcmp(line, "UIDL") == 0 && !w->no_uidl) {
		w->uidls++;
		listing(s, true);
	} else if (strcmp(line, "LIST") == 0 && !w->no_list) {
		w->lists++;
		listing(s, false);
	} else if (sscanf(line, "RETR %u", &num) == 1) {
		return retr(s, num);
	} else if (sscanf(line, "TOP %u", &num) == 1) {
		top(s, num);
	} else if (sscanf(line, "DELE %u", &num) == 1) {
		w->deles++;
		if (message(s, num))
			s->marked[num - 1] = true;
		say(s, "+OK\r\n");
	} else if (strcmp(line, "QUIT") == 0) {
		quit(s);
		return false;
	} else if (strcmp(line, "NOOP") == 0) {
		w->noops++;
		say(s, "+OK\r\n");
	} else {
		say(s, strncmp(line, "USER ", 5) == 0 ? "+OK\r\n" : "-ERR what?\r\n");
	}
	return true;
}

static void serve(int fd, int nth, void *arg)
{
	struct session s = { .w = arg, .out = fdopen(dup(fd), "w") };
	FILE *f = fdopen(dup(fd), "r");
	bool on = f && s.out;
	char line[600];

	(void)nth;
	if (on)
		say(&s, "+OK ready\r\n");
	while (on && fflush(s.out) == 0 && fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\r\n")] = '\0';
		on = answer(&s, line);
	}
	if (s.out)
		fclose(s.out);
	if (f)
		fclose(f);
}

void maildrop_start(struct maildrop *d)
{
	d->w = mmap(NULL, sizeof(*d->w), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(d->w, MAP_FAILED);
	peer_start(&d->peer, serve, d->w);
}

void maildrop_stop(struct maildrop *d)
{
	peer_stop(&d->peer);
	munmap(d->w, sizeof(*d->w));
}

struct pop3_params maildrop_params(const struct maildrop *d)
{
	return (struct pop3_params){
		.dial = { .host = "127.0.0.1", .port = d->peer.port, .security = DIAL_PLAIN, .timeout = 5000 },
		.what = "isp",
		.user = "jane",
		.secret = { .literal = "5ecret" },
		.secure = true,
	};
}

size_t maildrop_add(struct maildrop *d, const char *uidl, const char *text)
{
	size_t i = MAILDROP_MESSAGES;

	while (i > 0 && !d->w->m[i - 1].there)
		i--;
	assert_true(i < MAILDROP_MESSAGES && strlen(uidl) < sizeof(d->w->m[i].uidl) && strlen(text) < MAILDROP_TEXT);
	d->w->m[i] = (struct maildrop_msg){ .there = true };
	snprintf(d->w->m[i].uidl, sizeof(d->w->m[i].uidl), "%s", uidl);
	snprintf(d->w->m[i].text, sizeof(d->w->m[i].text), "%s", text);
	return i;
}

size_t maildrop_mail(struct maildrop *d, unsigned n)
{
	char text[MAILDROP_TEXT], uidl[32];
	size_t at;

	snprintf(uidl, sizeof(uidl), "u%u", n);
	at = (size_t)snprintf(text, sizeof(text), "Received: by mx; %u Jan 2001 12:00:00 +0000\r\nFrom: a@x\r\nSubject: %u\r\nMessage-ID: <%u@x>\r\n\r\nbody of %u\r\n", n, n, n, n);
	for (unsigned i = 0; i < n; i++)
		at += (size_t)snprintf(text + at, sizeof(text) - at, ".%u\r\n", i);
	return maildrop_add(d, uidl, text);
}

size_t maildrop_count(const struct maildrop *d)
{
	size_t n = 0;

	for (size_t i = 0; i < MAILDROP_MESSAGES; i++)
		n += d->w->m[i].there;
	return n;
}

void maildrop_forget(struct maildrop *d)
{
	struct maildrop_world *w = d->w;
	struct stream *s = peer_dial(&d->peer);
	struct err e = ERR_INIT;
	char c;

	/* sessions are served one by one: whose QUIT was not waited for has ended when the next is greeted */
	assert_int_equal(stream_read(s, &c, 1, &e), 1);
	stream_free(s);
	w->logins = w->uidls = w->lists = w->tops = w->retrs = w->deles = w->quits = w->noops = w->commands = 0;
	w->cut_at = w->hang_up_at = 0;
}
