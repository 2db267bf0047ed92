/* IDLE and NOTIFY, word by word: who speaks when, races, servers that end it or say nonsense, and bytes that hide in a layer. */
#include "../../lib/wire.h"

#include <sys/socket.h>
#include <unistd.h>

#include "imap/idle.h"
#include "imap/notify.h"

/* A layer that reads as much as there is and hands out a few bytes at a time, as TLS and DEFLATE do with a record. */
struct hoard {
	struct stream s;
	char buf[65536];
	size_t at, n;
};

static ssize_t hoard_read(struct stream *s, void *buf, size_t n, struct err *e)
{
	struct hoard *h = (struct hoard *)s;

	if (h->at == h->n) {
		ssize_t got = stream_read(s->next, h->buf, sizeof(h->buf), e);

		if (got <= 0)
			return got;
		h->at = 0;
		h->n = (size_t)got;
	}
	if (n > 5)
		n = 5;
	if (n > h->n - h->at)
		n = h->n - h->at;
	memcpy(buf, h->buf + h->at, n);
	h->at += n;
	return (ssize_t)n;
}

static int hoard_write(struct stream *s, const void *buf, size_t n, struct err *e)
{
	return stream_write(s->next, buf, n, e);
}

static void hoard_free(struct stream *s)
{
	free(s);
}

static const struct stream_ops hoard_ops = {
	.name = "hoard", .read = hoard_read, .write = hoard_write, .flush = stream_no_flush, .shut = stream_no_shut, .free = hoard_free,
};

/* A connection, and the server's end of it. */
struct rig {
	struct imap_conn c;
	struct imap_idle i;
	int peer;
	struct strbuf heard, sent;
	struct err e;
	bool fail;
};

static void say(struct rig *r, const char *text)
{
	size_t n = strlen(text);

	assert_int_equal(write(r->peer, text, n), n);
}

static void start(struct rig *r)
{
	struct hoard *h = calloc(1, sizeof(*h));
	int fds[2];

	*r = (struct rig){ .heard = STRBUF_INIT(1 << 20), .sent = STRBUF_INIT(1 << 20) };
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	h->s = (struct stream){ .ops = &hoard_ops, .next = fdstream_new(fds[0], NULL, &r->e) };
	r->peer = fds[1];
	assert_int_equal(imap_attach(&r->c, &h->s, 2000, 0, "work", &r->e), 0);
	r->c.greeted = true;
	assert_int_equal(stream_fd(r->c.s), fds[0]);
}

static void end(struct rig *r)
{
	imap_close(&r->c);
	close(r->peer);
	strbuf_release(&r->heard);
	strbuf_release(&r->sent);
}

static int on(void *arg, const struct imap_resp *resp, struct err *e)
{
	struct rig *r = arg;

	switch (resp->kind) {
	case IMAP_EXISTS:
		strbuf_printf(&r->heard, "exists%u ", resp->num);
		break;
	case IMAP_EXPUNGE:
		strbuf_printf(&r->heard, "expunge%u ", resp->num);
		break;
	case IMAP_VANISHED:
		strbuf_puts(&r->heard, "vanished ");
		break;
	case IMAP_FETCH:
		strbuf_puts(&r->heard, "fetch ");
		break;
	case IMAP_STATUS:
		strbuf_printf(&r->heard, "status:%.*s ", (int)resp->status.name.n, resp->status.name.p);
		break;
	case IMAP_LIST:
		strbuf_printf(&r->heard, "list:%.*s ", (int)resp->list.name.n, resp->list.name.p);
		break;
	case IMAP_UNTAGGED:
		strbuf_puts(&r->heard, resp->code.kind == IMAP_CODE_NOTIFICATIONOVERFLOW ? "overflow " : "ok ");
		break;
	default:
		strbuf_puts(&r->heard, "other ");
	}
	return r->fail ? err_set(e, ERR_LOCAL, "full") : 0;
}

/* What was heard, and what the server has got, since this was asked last. */
static void expect(struct rig *r, const char *heard, const char *sent)
{
	char buf[4096];
	ssize_t n;

	strbuf_clear(&r->sent);
	while ((n = read(r->peer, buf, sizeof(buf))) > 0)
		strbuf_put(&r->sent, buf, (size_t)n);
	assert_string_equal(strbuf_str(&r->heard), heard);
	assert_string_equal(strbuf_str(&r->sent), sent);
	strbuf_clear(&r->heard);
}

static int take(struct rig *r)
{
	return imap_idle_take(&r->c, &r->i, on, r, &r->e);
}

static void test_idle(void **state)
{
	struct rig r;

	(void)state;
	start(&r);
	assert_int_equal(imap_idle_begin(&r.c, &r.i, &r.e), 0);
	assert_true(r.i.more);
	expect(&r, "", "A1 IDLE\r\n");
	assert_int_equal(take(&r), 1); /* nothing has come, and nothing is waited for */
	assert_false(r.i.more);
	assert_false(r.i.heard);
	say(&r, "+ idling\r\n* 5 EXISTS\r\n* 1 RECENT\r\n* OK Still here\r\n");
	assert_int_equal(take(&r), 1); /* all of it, though the descriptor shows nothing after the first read */
	assert_int_equal(r.i.state, IMAP_IDLE_ON);
	assert_true(r.i.heard);
	assert_false(r.i.more);
	expect(&r, "exists5 other ok ", "");
	say(&r, "* VANISHED 3:4\r\n* 2 EXPUNGE\r\n* 2 FETCH (UID 7 FLAGS (\\Seen))\r\n* 3 FETCH (BODY[] {5}\r\nhello UID 9)\r\n");
	assert_int_equal(take(&r), 1);
	expect(&r, "vanished expunge2 fetch other fetch ", "");
	say(&r, "* 6 EXISTS\r\nA1 OK done\r\n");
	assert_int_equal(imap_idle_end(&r.c, &r.i, on, &r, &r.e), 1);
	expect(&r, "exists6 ", "DONE\r\n");
	assert_int_equal(r.i.state, IMAP_IDLE_OFF);
	assert_int_equal(imap_idle_end(&r.c, &r.i, on, &r, &r.e), 1);
	assert_int_equal(imap_flying(&r.c), 0);
	assert_true(r.i.more);

	/* between two commands things are told as well */
	say(&r, "* STATUS Work (MESSAGES 1)\r\n");
	assert_int_equal(take(&r), 1);
	expect(&r, "status:Work ", "");
	assert_int_equal(imap_idle_begin(&r.c, &r.i, &r.e), 0);
	expect(&r, "", "A2 IDLE\r\n");
	end(&r);
}

/* DONE must not be said before the server's "+". */
static void test_races(void **state)
{
	struct rig r;

	(void)state;
	start(&r);
	assert_int_equal(imap_idle_begin(&r.c, &r.i, &r.e), 0);
	r.c.timeout = 50;
	assert_int_equal(imap_idle_end(&r.c, &r.i, on, &r, &r.e), -1);
	expect(&r, "", "A1 IDLE\r\n");
	assert_int_equal(r.e.kind, ERR_TIMEOUT);
	assert_true(r.c.dead);
	end(&r);

	start(&r);
	assert_int_equal(imap_idle_begin(&r.c, &r.i, &r.e), 0);
	say(&r, "* 4 EXISTS\r\n+ idling\r\n* 5 EXISTS\r\nA1 OK\r\n");
	assert_int_equal(imap_idle_end(&r.c, &r.i, on, &r, &r.e), 1);
	expect(&r, "exists4 exists5 ", "A1 IDLE\r\nDONE\r\n");
	end(&r);

	/* the server's end of it crosses our DONE, or comes long before */
	start(&r);
	assert_int_equal(imap_idle_begin(&r.c, &r.i, &r.e), 0);
	say(&r, "+ idling\r\n");
	assert_int_equal(take(&r), 1);
	say(&r, "A1 OK you have waited long enough\r\n");
	assert_int_equal(take(&r), 0);
	assert_int_equal(r.i.state, IMAP_IDLE_OFF);
	assert_int_equal(r.e.kind, ERR_NONE);
	assert_int_equal(imap_idle_begin(&r.c, &r.i, &r.e), 0);
	say(&r, "A2 BAD IDLE is not for you\r\n");
	assert_int_equal(take(&r), 0);
	assert_int_equal(r.e.kind, ERR_REFUSED);
	assert_false(r.c.dead);
	err_clear(&r.e);
	assert_int_equal(imap_idle_begin(&r.c, &r.i, &r.e), 0);
	say(&r, "A3 NO not today\r\n");
	assert_int_equal(imap_idle_end(&r.c, &r.i, on, &r, &r.e), 0);
	assert_non_null(strstr(r.e.text, "not today"));
	expect(&r, "", "A1 IDLE\r\nA2 IDLE\r\nA3 IDLE\r\n");
	end(&r);

	/* what a listener can't do ends nothing but is told, when all was read */
	start(&r);
	assert_int_equal(imap_idle_begin(&r.c, &r.i, &r.e), 0);
	r.fail = true;
	say(&r, "+\r\n* 5 EXISTS\r\n* 6 EXISTS\r\nA1 OK\r\n");
	assert_int_equal(imap_idle_end(&r.c, &r.i, on, &r, &r.e), -1);
	assert_string_equal(r.e.text, "full");
	assert_false(r.c.dead);
	assert_int_equal(r.i.state, IMAP_IDLE_OFF);
	end(&r);
}

static const struct {
	const char *wire;
	enum err_kind kind;
	const char *text;
} ends[] = {
	{ "+ idling\r\n* BYE Autologout; idle for too long\r\n", ERR_TEMP, "idle for too long" },
	{ "+ idling\r\nA7 OK what?\r\n", ERR_PROTO, "was not given" },
	{ "+ idling\r\n* 99999999999999 EXISTS\r\n", ERR_PROTO, "" },
	{ "+ idling\r\n\x1b[2J\r\n", ERR_PROTO, "" },
	{ "+ idling\r\n* 3 EXI", ERR_TEMP, "closed" }, /* and then it hangs up */
	{ "+ idling\r\n", ERR_TEMP, "closed" },
	{ "", ERR_TEMP, "closed" },
};

static void test_ends(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(ends); i++)
		for (int by_end = 0; by_end < 2; by_end++) {
			struct rig r;

			start(&r);
			assert_int_equal(imap_idle_begin(&r.c, &r.i, &r.e), 0);
			say(&r, ends[i].wire);
			shutdown(r.peer, SHUT_WR);
			assert_int_equal(by_end ? imap_idle_end(&r.c, &r.i, on, &r, &r.e) : take(&r), -1);
			assert_true(r.c.dead);
			assert_printable(r.e.text);
			if (r.e.kind != ends[i].kind || !strstr(r.e.text, ends[i].text))
				fail_msg("%zu: %s", i, r.e.text);
			end(&r);
		}
}

/* One that says nothing at all, and one that stops in the middle of a word. */
static void test_silence(void **state)
{
	struct rig r;

	(void)state;
	start(&r);
	r.c.timeout = 60;
	assert_int_equal(imap_idle_begin(&r.c, &r.i, &r.e), 0);
	assert_int_equal(take(&r), 1);
	wait_until(clock_in(70), NULL);
	assert_int_equal(take(&r), -1);
	assert_int_equal(r.e.kind, ERR_TIMEOUT);
	assert_true(r.c.dead);
	end(&r);

	start(&r);
	r.c.timeout = 60;
	assert_int_equal(imap_idle_begin(&r.c, &r.i, &r.e), 0);
	say(&r, "+ idling\r\n");
	assert_int_equal(take(&r), 1);
	wait_until(clock_in(70), NULL);
	assert_int_equal(take(&r), 1); /* that is what it is for */
	say(&r, "* 3 EXI");
	assert_int_equal(take(&r), -1);
	assert_int_equal(r.e.kind, ERR_TIMEOUT);
	end(&r);
}

/* A server that never stops talking is heard in portions. */
static void test_flood(void **state)
{
	struct strbuf much = STRBUF_INIT(1 << 20);
	struct rig r;
	int calls = 0;

	(void)state;
	start(&r);
	assert_int_equal(imap_idle_begin(&r.c, &r.i, &r.e), 0);
	strbuf_puts(&much, "+ idling\r\n");
	for (int i = 0; i < 2500; i++)
		strbuf_puts(&much, "* OK more\r\n");
	say(&r, much.s);
	do {
		assert_int_equal(take(&r), 1);
		calls++;
	} while (r.i.more);
	assert_int_equal(calls, 3);
	assert_int_equal(r.heard.len, 2500 * 3);
	strbuf_release(&much);
	end(&r);
}

static void test_notify(void **state)
{
	struct rig r;

	(void)state;
	start(&r);
	say(&r, "* STATUS INBOX (MESSAGES 1 UIDNEXT 2 UIDVALIDITY 3 UNSEEN 0 HIGHESTMODSEQ 4)\r\nA1 OK\r\n");
	assert_int_equal(imap_notify(&r.c, false, on, &r, &r.e), 1);
	expect(&r, "status:INBOX ", "A1 NOTIFY SET STATUS (personal (MessageNew MessageExpunge FlagChange MailboxName))\r\n");
	say(&r, "A2 NO [BADEVENT FlagChange] can't\r\n");
	assert_int_equal(imap_notify(&r.c, true, on, &r, &r.e), 0);
	assert_non_null(strstr(r.e.text, "can't"));
	expect(&r, "", "A2 NOTIFY SET STATUS (selected (MessageNew MessageExpunge FlagChange)) (personal (MessageNew MessageExpunge FlagChange MailboxName))\r\n");
	say(&r, "* STATUS Work (HIGHESTMODSEQ 9)\r\n* LIST () \".\" Newer (\"OLDNAME\" (New))\r\n* LIST (\\NonExistent) \".\" Old\r\n* OK [NOTIFICATIONOVERFLOW] enough\r\n* NO NOTIFY error\r\n");
	assert_int_equal(take(&r), 1);
	expect(&r, "status:Work list:Newer list:Old overflow ok ", "");
	end(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_idle),
		cmocka_unit_test(test_races),
		cmocka_unit_test(test_ends),
		cmocka_unit_test(test_silence),
		cmocka_unit_test(test_flood),
		cmocka_unit_test(test_notify),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
