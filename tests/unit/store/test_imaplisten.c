/*
 * Waiting for changes on scripted servers: which way of waiting is chosen, what each word of a server is worth, and servers that refuse, give up, or end it. A test is a row: the script,
 * what is done, and what comes of it.
 */
#include "../../lib/unit.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../lib/script.h"
#include "base/log.h"
#include "net/sock.h"
#include "store/imaplisten_p.h"

#define OK(tag) tag " OK done\r\n"
#define IN(caps)                                                                                                                                       \
	{ NULL, "* OK [CAPABILITY IMAP4rev1 LITERAL+ " caps "] hi\r\n" }, { "A1 LOGIN \"jane\" \"5ecret\"", "A1 OK [CAPABILITY IMAP4rev1 LITERAL+ " caps "] in\r\n" }
#define RICH(caps) IN("ENABLE CONDSTORE QRESYNC LIST-EXTENDED LIST-STATUS " caps), { "A2 ENABLE QRESYNC", "* ENABLED QRESYNC CONDSTORE\r\n" OK("A2") }
#define STATUS(name, validity, next, n, mod) "* STATUS " name " (MESSAGES " n " UIDNEXT " next " UIDVALIDITY " validity " HIGHESTMODSEQ " mod ")\r\n"
#define NAMES "* LIST () \".\" INBOX\r\n* LIST () \".\" Work\r\n* LIST () \".\" Play\r\n* LIST () \".\" Other\r\n"
#define STATES STATUS("INBOX", "1", "4", "3", "10") STATUS("Work", "2", "5", "2", "20") STATUS("Play", "3", "6", "0", "30") STATUS("Other", "4", "7", "1", "40")
#define LISTED { "A3 LIST \"\" \"*\" RETURN (SUBSCRIBED STATUS (MESSAGES UIDNEXT UIDVALIDITY HIGHESTMODSEQ))", NAMES STATES OK("A3") }
#define BOX(exists, validity, next, mod)                                                                                                               \
	"* FLAGS (\\Seen)\r\n* " exists " EXISTS\r\n* 0 RECENT\r\n* OK [UIDVALIDITY " validity "] ok\r\n* OK [UIDNEXT " next "] ok\r\n* OK [HIGHESTMODSEQ " mod "] ok\r\n"
#define EXAMINED(tag) { tag " EXAMINE \"INBOX\"", BOX("3", "1", "4", "10") tag " OK [READ-ONLY] done\r\n" }
#define EVENTS "(MessageNew MessageExpunge FlagChange"
#define NOTIFY(tag) tag " NOTIFY SET STATUS (selected " EVENTS ")) (personal " EVENTS " MailboxName))"
#define NOTIFYING(tag) { NOTIFY(tag), STATUS("Work", "2", "5", "2", "20") STATUS("Play", "3", "6", "0", "30") STATUS("Other", "4", "7", "1", "40") OK(tag) }
#define LOOK(tag) tag " LIST \"\" \"*\" RETURN (STATUS (MESSAGES UIDNEXT UIDVALIDITY UNSEEN HIGHESTMODSEQ))"
#define LOOKED(noop, list) { noop " NOOP", OK(noop) }, { LOOK(list), NAMES STATES OK(list) }
/* up to the IDLE that waits, which is the next command */
#define WITH_NOTIFY RICH("IDLE NOTIFY"), LISTED, EXAMINED("A4"), NOTIFYING("A5")
#define WITH_IDLE RICH("IDLE"), LISTED, EXAMINED("A4"), LOOKED("A5", "A6")

#define RESTED_MS 120

struct row {
	const char *name;
	struct turn turns[24];
	/* with ';' between: how; hear (until something is told); stamp FOLDER; probe; folders NAMES; again (as if the interval were over); rest (for RESTED_MS); period (what was learnt of it); first (end it, and begin another) */
	const char *act, *want;
	struct turn again[24]; /* a second connection */
	const char *idle;      /* "Work,INBOX" */
	const char *folders;   /* NULL: "INBOX,Work,Play" */
	msec_t period, interval; /* 0: the usual, 5 min */
};

struct rig {
	struct script script;
	const struct turn *turns[3];
	struct imapstore_params params;
	struct listen_params p;
	const char *names[8], *idle[16];
	struct store *s;
	struct listener *l;
	struct strbuf told;
};

/* "a,b" cut in place. */
static size_t cut(char *text, char sep, const char **out, size_t max)
{
	size_t n = 0;

	for (char *p = text; p && *p && n < max;) {
		char *end = strchr(p, sep);

		if (end)
			*end = '\0';
		out[n++] = p;
		p = end ? end + 1 : NULL;
	}
	return n;
}

static void on_hint(void *arg, const char *folder)
{
	struct rig *r = arg;

	strbuf_printf(&r->told, "%s ", folder ? folder : "*");
}

/* Until something is told. */
static int hear(struct rig *r, struct err *e)
{
	size_t before = r->told.len;
	msec_t end = clock_in(5000);

	while (r->told.len == before && clock_now() < end) {
		struct wait_item w[LISTEN_FDS_MAX];
		size_t n = r->l->ops->fds(r->l, w);
		msec_t when = r->l->ops->when(r->l);

		if (!r->l->ops->pending(r->l))
			wait_fds(w, n, when < end ? when : end, NULL);
		if (r->l->ops->take(r->l, on_hint, r, e) < 0)
			return -1;
	}
	return 0;
}

static int begin(struct rig *r, struct err *e)
{
	listener_free(r->l);
	r->l = listener_new(r->s, &r->p, e);
	return r->l ? 0 : -1;
}

static void act(struct rig *r, char *text)
{
	char stamp[STORE_STAMP_MAX];
	const char *names[8];
	struct err e = ERR_INIT;
	int rc = 0;

	if (strcmp(text, "first") == 0) {
		rc = begin(r, &e);
	} else if (!r->l) {
		return;
	} else if (strcmp(text, "how") == 0) {
		r->l->ops->how(r->l, &r->told);
	} else if (strcmp(text, "hear") == 0) {
		rc = hear(r, &e);
	} else if (strncmp(text, "stamp ", 6) == 0) {
		rc = r->l->ops->stamp(r->l, text + 6, stamp, &e);
		strbuf_printf(&r->told, "%s", rc > 0 ? stamp : "none");
	} else if (strcmp(text, "probe") == 0) {
		rc = r->l->ops->probe(r->l, &e);
	} else if (strcmp(text, "again") == 0) {
		((struct imaplisten *)r->l)->look_at = clock_now();
	} else if (strcmp(text, "rest") == 0) {
		wait_until(clock_in(RESTED_MS), NULL);
	} else if (strcmp(text, "period") == 0) {
		msec_t period = imapstore_of(r->s)->listen.period;

		strbuf_puts(&r->told, period == 0 ? "unknown" : period < RESTED_MS ? "shorter" : "longer");
	} else if (strncmp(text, "folders ", 8) == 0) {
		size_t n = cut(text + 8, ' ', names, 8);

		rc = r->l->ops->folders(r->l, names, n, &e);
	} else {
		fail_msg("%s?", text);
	}
	if (rc < 0)
		strbuf_printf(&r->told, "!%s %s", err_kind_name(e.kind), e.text);
	strbuf_puts(&r->told, ";");
}

static bool play(const struct row *row)
{
	struct rig r = { .told = STRBUF_INIT(1 << 20), .turns = { row->turns, row->again } };
	char *acts = strdup(row->act), *idle = strdup(row->idle ? row->idle : ""), *names = strdup(row->folders ? row->folders : "INBOX,Work,Play"), *save;
	struct err e = ERR_INIT;
	bool good;

	r.script.together = true;
	script_start(&r.script, r.turns);
	r.params = (struct imapstore_params){ .imap = { .dial = { .host = "127.0.0.1", .port = r.script.peer.port, .security = DIAL_PLAIN, .timeout = 300 },
						      .what = "work", .user = "jane", .secret = { .literal = "5ecret" }, .secure = true } };
	r.p = (struct listen_params){ .folders = r.names, .n = cut(names, ',', r.names, 8), .idle = r.idle, .n_idle = cut(idle, ',', r.idle, 16), .interval = row->interval ? row->interval : 300000, .period = row->period };
	r.s = imapstore_new(&r.params, &e);
	assert_non_null(r.s);
	act(&r, (char[]){ "first" });
	for (char *one = strtok_r(acts, ";", &save); one; one = strtok_r(NULL, ";", &save))
		act(&r, one);
	listener_free(r.l);
	store_free(r.s);
	good = row->want && strcmp(strbuf_str(&r.told), row->want) == 0 && !strstr(r.script.heard, "UNEXPECTED");
	if (!good)
		print_error("%s: told\n%s\nwanted\n%s\nheard %s\n", row->name, strbuf_str(&r.told), row->want ? row->want : "", r.script.heard);
	script_stop(&r.script);
	strbuf_release(&r.told);
	free(acts);
	free(idle);
	free(names);
	return good;
}

static void play_all(const struct row *rows, size_t n)
{
	size_t bad = 0;

	for (size_t i = 0; i < n; i++)
		bad += !play(&rows[i]);
	assert_int_equal(bad, 0);
}

static void test_notify(void **state)
{
	static const struct row rows[] = {
		{ "what is worth a hint, and what is not",
			{ WITH_NOTIFY, { "A6 IDLE", "+ idling\r\n* OK Still here\r\n* 3 EXISTS\r\n* 1 RECENT\r\n* FLAGS (\\Seen)\r\n* OK [HIGHESTMODSEQ 10] same\r\n"
				STATUS("Work", "2", "5", "2", "20") "* STATUS Other (MESSAGES 9)\r\n* STATUS Nowhere (MESSAGES 9)\r\n* STATUS Play (HIGHESTMODSEQ 31)\r\n" }, { 0 } },
			.act = "how;hear;stamp Play;stamp Work;stamp Other", .want = ";NOTIFY;Play ;3 6 0 31;2 5 2 20;none;" },
		{ "one by one, without a question",
			{ WITH_NOTIFY, { "A6 IDLE", "+ idling\r\n* STATUS Work (MESSAGES 3 UIDNEXT 6 UNSEEN 1 HIGHESTMODSEQ 21)\r\n" }, { 0 } },
			.act = "hear;stamp Work", .want = ";Work ;2 6 3 21;" },
		{ "a folder made anew under its name",
			{ WITH_NOTIFY, { "A6 IDLE", "+ idling\r\n" STATUS("Work", "9", "1", "0", "1") }, { 0 } },
			.act = "hear;stamp Work", .want = ";Work ;9 1 0 1;" },
		{ "new mail where it is selected; its stamp is asked for",
			{ WITH_NOTIFY, { "A6 IDLE", "+ idling\r\n* 4 EXISTS\r\n" }, { "DONE", "* STATUS Work (HIGHESTMODSEQ 22)\r\n" OK("A6") },
				{ "A7 EXAMINE \"INBOX\"", "* OK [CLOSED] x\r\n" BOX("4", "1", "5", "12") "* STATUS Play (HIGHESTMODSEQ 33)\r\n" OK("A7") }, { "A8 IDLE", "+ idling\r\n" }, { 0 } },
			.act = "stamp INBOX;hear;stamp INBOX;hear;stamp INBOX;stamp Work", .want = ";1 4 3 10;INBOX ;1 5 4 12;Play Work ;1 5 4 12;2 5 2 22;" },
		{ "flags and expunges there",
			{ WITH_NOTIFY, { "A6 IDLE", "+ idling\r\n* 1 FETCH (UID 1 MODSEQ (11) FLAGS (\\Seen))\r\n" }, { "DONE", OK("A6") }, { "A7 IDLE", "+ idling\r\n* VANISHED 1\r\n* 2 EXISTS\r\n" },
				{ "DONE", OK("A7") }, { "A8 IDLE", "+ idling\r\n* 1 EXPUNGE\r\n" }, { "DONE", OK("A8") }, { "A9 IDLE", "+\r\n* OK [HIGHESTMODSEQ 99] x\r\n" }, { 0 } },
			.act = "hear;probe;hear;probe;hear;probe;hear", .want = ";INBOX ;;INBOX ;;INBOX ;;INBOX ;" },
		{ "folders made, renamed and removed",
			{ WITH_NOTIFY, { "A6 IDLE", "+ idling\r\n* LIST () \".\" Newer (\"OLDNAME\" (New))\r\n" }, { 0 } }, .act = "hear", .want = ";* ;" },
		{ "something was lost", { WITH_NOTIFY, { "A6 IDLE", "+ idling\r\n* NO NOTIFY error, some events may have got lost\r\n" }, { 0 } }, .act = "hear;how", .want = ";* ;NOTIFY;" },
		{ "it gives up; the next listener does not try",
			{ WITH_NOTIFY, { "A6 IDLE", "+ idling\r\n* OK [NOTIFICATIONOVERFLOW] too much\r\n" }, { "DONE", OK("A6") }, { "A7 NOOP", OK("A7") }, { LOOK("A8"), NAMES STATES OK("A8") },
				{ "A9 IDLE", "+ idling\r\n" }, { 0 } },
			.act = "hear;how;again;first;how", .want = ";* ;IDLE on INBOX, STATUS of 2 folders every 5 min;;;IDLE on INBOX, STATUS of 2 folders every 5 min;",
			.again = { RICH("IDLE NOTIFY"), LISTED, EXAMINED("A4"), LOOKED("A5", "A6"), { "A7 IDLE", "+\r\n" }, { 0 } } },
		{ "of some folder it tells nothing: that is asked for",
			{ RICH("IDLE NOTIFY"), LISTED, EXAMINED("A4"), { NOTIFY("A5"), STATUS("Work", "2", "5", "2", "20") OK("A5") }, { "A6 IDLE", "+\r\n" }, { "DONE", OK("A6") },
				{ "A7 NOOP", OK("A7") }, { LOOK("A8"), NAMES STATUS("Play", "3", "7", "1", "31") OK("A8") }, { "A9 IDLE", "+\r\n" }, { 0 } },
			.act = "how;again;hear;stamp Play", .want = ";NOTIFY, STATUS of 1 folder every 5 min;;Play ;3 7 1 31;" },
		{ "without IDLE it is told all the same",
			{ RICH("NOTIFY"), LISTED, EXAMINED("A4"), { NOTIFY("A5"), STATUS("Work", "2", "5", "2", "20") STATUS("Play", "3", "6", "0", "30") OK("A5") "* STATUS Work (HIGHESTMODSEQ 21)\r\n" },
				{ "A6 NOOP", OK("A6") "* 4 EXISTS\r\n" }, { 0 } },
			.act = "how;hear;probe;hear", .want = ";NOTIFY;Work ;;INBOX ;" },
		{ "one whose numbers say nothing of flags: whatever it tells is told for a reason",
			{ IN("IDLE NOTIFY"), { "A2 LIST \"\" \"*\"", NAMES OK("A2") }, { "A3 LSUB \"\" \"*\"", OK("A3") }, { "A4 EXAMINE \"INBOX\"", BOX("3", "1", "4", "0") OK("A4") },
				{ NOTIFY("A5"), "* STATUS Work (MESSAGES 1 UIDNEXT 2 UIDVALIDITY 3)\r\n* STATUS Play (MESSAGES 0 UIDNEXT 2 UIDVALIDITY 3)\r\n" OK("A5") },
				{ "A6 IDLE", "+\r\n* STATUS Work (MESSAGES 1 UIDNEXT 2)\r\n" }, { 0 } },
			.act = "how;hear;stamp Work;stamp INBOX", .want = ";NOTIFY;Work ;none;none;" },
		{ "other folders, on the same connection",
			{ WITH_NOTIFY, { "A6 IDLE", "+\r\n" }, { "DONE", OK("A6") },
				{ "A7 LIST \"\" \"*\" RETURN (SUBSCRIBED STATUS (MESSAGES UIDNEXT UIDVALIDITY HIGHESTMODSEQ))", NAMES STATUS("INBOX", "1", "4", "3", "10") STATUS("Work", "2", "5", "2", "29")
					STATUS("Play", "3", "6", "0", "30") STATUS("Other", "4", "7", "1", "40") OK("A7") },
				{ "A8 IDLE", "+\r\n* STATUS Play (HIGHESTMODSEQ 39)\r\n" }, { "DONE", OK("A8") }, { "A9 IDLE", "+\r\n* STATUS Other (HIGHESTMODSEQ 41)\r\n" }, { 0 } },
			.act = "folders INBOX Work Other;hear;probe;hear;how;stamp Play;stamp Other", .want = ";;INBOX Work ;;Other ;NOTIFY;none;4 7 1 41;" },
	};

	(void)state;
	play_all(rows, COUNT(rows));
}

static void test_idle(void **state)
{
	static const struct row rows[] = {
		{ "NOTIFY is refused",
			{ RICH("IDLE NOTIFY"), LISTED, EXAMINED("A4"), { NOTIFY("A5"), "A5 NO [BADEVENT FlagChange] can't\r\n" }, LOOKED("A6", "A7"), { "A8 IDLE", "+\r\n* 4 EXISTS\r\n" }, { 0 } },
			.act = "how;hear", .want = ";IDLE on INBOX, STATUS of 2 folders every 5 min;INBOX ;" },
		{ "the rest is asked for, and the list of folders looked at",
			{ WITH_IDLE, { "A7 IDLE", "+\r\n" }, { "DONE", OK("A7") }, { "A8 NOOP", OK("A8") }, { LOOK("A9"), NAMES STATUS("Work", "2", "6", "3", "21") OK("A9") }, { "A10 IDLE", "+\r\n" },
				{ "DONE", OK("A10") }, { "A11 NOOP", OK("A11") }, { LOOK("A12"), NAMES "* LIST () \".\" New\r\n" STATUS("Work", "2", "6", "3", "21") OK("A12") }, { "A13 IDLE", "+\r\n" },
				{ "DONE", OK("A13") }, { "A14 NOOP", OK("A14") }, { LOOK("A15"), NAMES "* LIST () \".\" New\r\n" STATUS("Work", "2", "6", "3", "21") OK("A15") }, { "A16 IDLE", "+\r\n* 2 EXPUNGE\r\n" }, { 0 } },
			/* the last look shows nothing new */
			.act = "again;hear;again;hear;again;hear", .want = ";;Work ;;* ;;INBOX ;" },
		{ "what was asked for just now is what it is",
			{ WITH_IDLE, { "A7 IDLE", "+\r\n" }, { 0 } }, .act = "stamp Work;stamp Play;stamp INBOX", .want = ";2 5 2 20;3 6 0 30;1 4 3 10;" },
		{ "further folders have connections of their own, as far as there are any",
			{ WITH_IDLE, { "A7 IDLE", "+\r\n" }, { 0 } }, .idle = "INBOX,Work,Nowhere",
			.again = { IN("IDLE"), { "A2 LIST \"\" \"*\"", NAMES OK("A2") }, { "A3 LSUB \"\" \"*\"", OK("A3") }, { "A4 EXAMINE \"Work\"", BOX("2", "2", "5", "20") OK("A4") },
				{ "A5 IDLE", "+\r\n* 3 EXISTS\r\n" }, { 0 } },
			.act = "how;hear", .want = ";IDLE on INBOX, Work, STATUS of 1 folder every 5 min;Work ;" },
		{ "one is refused: its folder is asked for",
			{ WITH_IDLE, { "A7 IDLE", "+\r\n" }, { "DONE", OK("A7") }, { "A8 NOOP", OK("A8") }, { LOOK("A9"), NAMES STATUS("Work", "2", "6", "3", "21") OK("A9") }, { "A10 IDLE", "+\r\n" }, { 0 } }, .idle = "INBOX,Work",
			.again = { { NULL, "* BYE too many connections\r\n" }, { 0 } },
			.act = "how;again;hear",
			.want = ";IDLE on INBOX, STATUS of 2 folders every 5 min (no further connection: greeting: the server ends the connection and says \"too many connections\");;Work ;" },
		{ "one is lost",
			{ WITH_IDLE, { "A7 IDLE", "+\r\n" }, { "DONE", OK("A7") }, { "A8 NOOP", OK("A8") }, { LOOK("A9"), NAMES STATES OK("A9") }, { "A10 IDLE", "+\r\n" }, { 0 } }, .idle = "INBOX,Work",
			.again = { IN("IDLE"), { "A2 LIST \"\" \"*\"", NAMES OK("A2") }, { "A3 LSUB \"\" \"*\"", OK("A3") }, { "A4 EXAMINE \"Work\"", BOX("2", "2", "5", "20") OK("A4") },
				{ "A5 IDLE", "+\r\n* BYE out\r\n" }, { 0 } },
			.act = "hear;how",
			.want = ";Work ;IDLE on INBOX, STATUS of 2 folders every 5 min (no further connection: the server ends the connection and says \"out\");" },
		{ "a folder that is not there is asked for when it is",
			{ RICH("IDLE"), LISTED, { "A4 EXAMINE \"Gone\"", "A4 NO [NONEXISTENT] no such\r\n" }, { LOOK("A5"), NAMES STATES OK("A5") }, { "A6 IDLE", "+\r\n" }, { 0 } },
			.folders = "Gone", .act = "how", .want = ";LIST every 5 min;" },
		{ "IDLE is refused",
			{ WITH_IDLE, { "A7 IDLE", "A7 BAD what?\r\n" }, { "A8 NOOP", "* 4 EXISTS\r\n" OK("A8") }, { LOOK("A9"), NAMES STATES OK("A9") }, { 0 } },
			.act = "again;hear;how", .want = ";;INBOX ;STATUS of 3 folders every 5 min;" },
		{ "and so is DONE", { WITH_IDLE, { "A7 IDLE", "+\r\n" }, { "DONE", "* 4 EXISTS\r\nA7 BAD what?\r\n" }, { 0 } }, .act = "probe;hear;how", .want = ";;INBOX ;STATUS of 3 folders every 5 min;" },
		{ "neither CONDSTORE nor LIST-STATUS: STATUS for each that is synced",
			{ IN(""), { "A2 LIST \"\" \"*\"", NAMES OK("A2") }, { "A3 LSUB \"\" \"*\"", OK("A3") }, { "A4 LIST \"\" \"*\"", "" },
				{ "A5 STATUS \"INBOX\" (MESSAGES UIDNEXT UIDVALIDITY UNSEEN)", "" }, { "A6 STATUS \"Play\" (MESSAGES UIDNEXT UIDVALIDITY UNSEEN)", "" },
				{ "A7 STATUS \"Work\" (MESSAGES UIDNEXT UIDVALIDITY UNSEEN)", NAMES OK("A4") "* STATUS INBOX (MESSAGES 1 UIDNEXT 2 UIDVALIDITY 3 UNSEEN 1)\r\n" OK("A5") "A6 NO [NOPERM] no\r\n" "* STATUS \"Work\" (MESSAGES 1 UIDNEXT 2 UIDVALIDITY 3 UNSEEN 1)\r\n" OK("A7") },
				{ "A8 LIST \"\" \"*\"", "" }, { "A9 STATUS \"INBOX\" (MESSAGES UIDNEXT UIDVALIDITY UNSEEN)", "" }, { "A10 STATUS \"Play\" (MESSAGES UIDNEXT UIDVALIDITY UNSEEN)", "" },
				{ "A11 STATUS \"Work\" (MESSAGES UIDNEXT UIDVALIDITY UNSEEN)", NAMES OK("A8") "* STATUS inbox (MESSAGES 1 UIDNEXT 2 UIDVALIDITY 3 UNSEEN 0)\r\n" OK("A9") "A10 NO [NOPERM] no\r\n" "* STATUS \"Work\" (MESSAGES 1 UIDNEXT 2 UIDVALIDITY 3 UNSEEN 1)\r\n" OK("A11") }, { 0 } },
			.interval = 50, .act = "how;again;hear;stamp INBOX", .want = ";STATUS of 3 folders every 3 s;;INBOX ;none;" },
	};

	(void)state;
	play_all(rows, COUNT(rows));
}

static void test_ends(void **state)
{
	static const struct row rows[] = {
		{ "BYE, and what was told before", { WITH_NOTIFY, { "A6 IDLE", "+\r\n* STATUS Work (HIGHESTMODSEQ 21)\r\n* BYE Idle for too long\r\n" }, { 0 } },
			.act = "hear", .want = ";Work !temp work: the server ends the connection and says \"Idle for too long\";" },
		{ "the link is cut", { WITH_NOTIFY, { "A6 IDLE", NULL } }, .act = "hear", .want = ";!temp work: the server closed the connection;" },
		{ "nonsense", { WITH_NOTIFY, { "A6 IDLE", "+\r\nA9 OK what?\r\n" }, { 0 } }, .act = "hear", .want = ";!proto work: the server answers a command \"A9\" that it was not given;" },
		{ "it does not answer any more", { WITH_NOTIFY, { "A6 IDLE", "+\r\n" }, { "DONE", "" }, { 0 } }, .act = "probe", .want = ";!timeout work: the server did not answer within 0 seconds;" },
		{ "nor to IDLE", { WITH_NOTIFY, { "A6 IDLE", "" }, { 0 } }, .act = "hear", .want = ";!timeout work: the server did not answer IDLE within 0 seconds;" },
		{ "a wait that is ended before its time makes the next shorter", { WITH_NOTIFY, { "A6 IDLE", "+\r\n* BYE Autologout\r\n" }, { 0 } }, .period = RESTED_MS * 10,
			.act = "rest;hear;period", .want = ";;!temp work: the server ends the connection and says \"Autologout\";shorter;" },
		{ "but not one that has hardly begun", { WITH_NOTIFY, { "A6 IDLE", "+\r\n* BYE Autologout\r\n" }, { 0 } }, .period = 3600000,
			.act = "rest;hear;period", .want = ";;!temp work: the server ends the connection and says \"Autologout\";unknown;" },
		{ "a server that ends IDLE by itself is asked again; one that does so at once, not",
			{ WITH_NOTIFY, { "A6 IDLE", "+\r\nA6 OK enough\r\n* 4 EXISTS\r\n" }, { "A7 NOOP", OK("A7") }, { 0 } }, .act = "hear;probe", .want = ";INBOX ;;" },
		{ "refused at the door", { { NULL, "* BYE closed today\r\n" }, { 0 } }, .act = "how", .want = "!unavail work: greeting: the server ends the connection and says \"closed today\";" },
		{ "no list", { RICH("IDLE"), { "A3 LIST \"\" \"*\" RETURN (SUBSCRIBED STATUS (MESSAGES UIDNEXT UIDVALIDITY HIGHESTMODSEQ))", "A3 NO [UNAVAILABLE] later\r\n" }, { 0 } },
			.act = "how", .want = "!temp work: the list of folders: the server says \"[UNAVAILABLE] later\";" },
	};

	(void)state;
	play_all(rows, COUNT(rows));
}

static void no_hint(void *arg, const char *folder)
{
	(void)arg;
	fail_msg("%s", folder);
}

/* The link is one whose end is noticed. */
static void test_link(void **state)
{
	static const struct turn turns[] = { WITH_NOTIFY, { "A6 IDLE", "+\r\n" }, { 0 } };
	const struct turn *const rows[] = { turns, NULL };
	const char *const folders[] = { "INBOX" };
	const struct listen_params p = { .folders = folders, .n = 1 };
	struct imapstore_params params;
	struct wait_item w[LISTEN_FDS_MAX];
	struct script script = { 0 };
	struct err e = ERR_INIT;
	struct listener *l;
	struct store *s;
	int value = 0;
	socklen_t n = sizeof(value);

	(void)state;
	script_start(&script, rows);
	params = (struct imapstore_params){ .imap = { .dial = { .host = "127.0.0.1", .port = script.peer.port, .security = DIAL_PLAIN, .timeout = 5000 },
						      .what = "work", .user = "jane", .secret = { .literal = "5ecret" }, .secure = true } };
	s = imapstore_new(&params, &e);
	l = listener_new(s, &p, &e);
	assert_non_null(l);
	assert_int_equal(l->ops->fds(l, w), 1);
	assert_int_equal(getsockopt(w[0].fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &value, &n), 0);
	assert_int_equal(value, SOCK_GONE_MS);
	assert_int_equal(getsockopt(w[0].fd, SOL_SOCKET, SO_KEEPALIVE, &value, &n), 0);
	assert_int_equal(value, 1);
	assert_int_equal(wait_fds(w, 1, clock_in(5000), &e), 1); /* the "+" */
	assert_int_equal(l->ops->take(l, no_hint, NULL, &e), 0);
	assert_true(l->ops->when(l) > clock_in(LISTEN_PERIOD_MS - 60000) && l->ops->when(l) < clock_in(29 * 60000));
	listener_free(l);
	store_free(s);
	script_stop(&script);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_notify),
		cmocka_unit_test(test_idle),
		cmocka_unit_test(test_ends),
		cmocka_unit_test(test_link),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
