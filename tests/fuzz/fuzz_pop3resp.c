/*
 * What a server says from its greeting to the answer to QUIT. Byte 0 picks how much each read brings, byte 1 whether commands are pipelined and which way
 * is gone. Whatever comes: texts are printable, keys are short and printable, numbers in range, and a dead link stays dead.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "pop3/msg.h"
#include "store/pop3list.h"

/* Stop here, so that the fuzzer keeps the input. */
static void must(bool ok)
{
	if (!ok)
		abort();
}

/* No byte that a terminal obeys. */
static void must_be_printable(const char *s)
{
	for (; *s; s++)
		must((unsigned char)*s >= 0x20 && *s != 0x7f);
}

/* Check the error of a call that returned r. */
static int checked(const struct pop3_conn *c, int r, const struct err *e)
{
	must_be_printable(e->text);
	must(r >= 0 || (e->kind != ERR_NONE && e->text[0]));
	must(r >= 0 || c->dead);
	return r;
}

/* The greeting. One of -ERR is an answer, so the link lives: what follows must be fit to read all the same. */
static int greeting(struct pop3_conn *c)
{
	struct err e = ERR_INIT;
	int r = pop3_greeting(c, &e);

	must_be_printable(e.text);
	must(r >= 0 || (e.kind != ERR_NONE && e.text[0]));
	must(r >= 0 || c->dead || e.kind != ERR_PROTO);
	return c->dead ? -1 : 0;
}

/* One listing into the list. */
static int rows(struct pop3_conn *c, struct pop3list *l, bool sizes)
{
	struct err e = ERR_INIT;
	struct slice line;
	uint64_t budget = 1 << 20;
	int r;

	if (checked(c, pop3_status(c, NULL, &e), &e) <= 0)
		return -1;
	while ((r = pop3_multi(c, 64, &budget, &line, &e)) > 0)
		must((sizes ? pop3list_size : pop3list_uidl)(l, line, r == 2, &e) == 0);
	return checked(c, r, &e);
}

/* Take the listing out again. */
static void check_list(struct pop3list *l)
{
	struct err e = ERR_INIT;
	struct store_msg m;
	char stamp[128];
	uint64_t n = 0, all = l->uidl.n + l->sizes.n;

	must(pop3list_stamp(l, l->uidl.n, stamp, &e) == 0);
	must_be_printable(stamp);
	if (pop3list_start(l, &e) < 0) {
		must(e.kind == ERR_PROTO);
		return;
	}
	while (pop3list_next(l, &m, &e) > 0) {
		must(++n <= all);
		must(m.num >= 1 && m.num <= (uint64_t)1 << 31);
		must(m.key.n <= STORE_KEY_MAX);
		for (size_t i = 0; i < m.key.n; i++)
			must(m.key.p[i] >= 0x21 && m.key.p[i] <= 0x7e);
	}
	must(n >= l->uidl.n);
}

/* Read messages and mark them. */
static void messages(struct pop3_conn *c)
{
	static const uint64_t nums[] = { 1, 2, 3, 4 };
	struct pop3_pipe p;
	struct stream *b;
	struct err e = ERR_INIT;
	char buf[37];
	size_t i;

	must(pop3_retr_start(&p, c, nums, 4, &e) == 0);
	for (size_t k = 0; k < 5; k++) {
		int r = pop3_retr_next(&p, &i, &b, &e);

		must_be_printable(e.text);
		if (r < 0 && e.span != SPAN_MSG)
			break;
		must((r == 0) == (k == 4));
		if (r == 0)
			break;
		must(i == k);
		if (r < 0)
			continue;
		while (k % 2 == 0 && stream_read(b, buf, sizeof(buf), &e) > 0)
			;
		stream_free(b); /* the odd ones are read over */
	}
	pop3_retr_end(&p);
}

/* The capabilities as they end up. */
static void check_caps(const struct pop3_caps *caps)
{
	must_be_printable(caps->sasl);
	must_be_printable(caps->implementation);
	must(caps->login_delay >= 0 && caps->expire >= -1);
}

static void on_done(void *arg, uint64_t num, const struct err *why)
{
	(void)num;
	++*(size_t *)arg;
	if (why)
		must_be_printable(why->text);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	static const uint64_t nums[] = { 5, 6 };
	struct pop3_conn c = { 0 };
	struct pop3list l;
	struct err e = ERR_INIT;
	size_t done = 0;

	if (n < 2)
		return 0;
	must(pop3list_init(&l, &e) == 0);
	must(pop3_attach(&c, memstream_new(p + 2, n - 2, p[0] % 32, NULL), 1000, 0, "fuzz", &e) == 0);
	if (!(p[1] & 1) && greeting(&c) < 0)
		goto out;
	must_be_printable(c.greeting);
	must_be_printable(c.apop);
	if (checked(&c, pop3_capa(&c, &e), &e) < 0)
		goto out;
	check_caps(&c.caps);
	if (p[1] & 2)
		c.caps.have |= POP3_CAP_PIPELINING;
	if (p[1] & 4)
		checked(&c, pop3_challenge(&c, NULL, &e), &e);
	if (rows(&c, &l, false) < 0 && c.dead)
		goto out;
	if (p[1] & 8)
		rows(&c, &l, true);
	check_list(&l);
	messages(&c);
	if (pop3_dele(&c, nums, 2, on_done, &done, &e) == 0)
		must(done == 2);
	else
		must(c.dead);
out:
	if (c.dead)
		must(pop3_status(&c, NULL, &e) == -1);
	pop3_close(&c);
	pop3list_release(&l);
	return 0;
}
