/* Responses as text: see imapdump.h. */
#include "imapdump.h"

#include <stdlib.h>
#include <string.h>

/* Stop here: a test dies, the fuzzer keeps the input. */
static void must(bool ok)
{
	if (!ok)
		abort();
}

/* A slice in quotes. */
static void text(struct strbuf *out, const char *name, struct slice s)
{
	size_t room = 4 * s.n + 1;
	char *buf = malloc(room);

	must(buf && (s.p || s.n == 0));
	strbuf_printf(out, "%s\"%s\"", name, err_printable(buf, room, s.p ? s.p : "", s.n));
	free(buf);
}

static void words(struct strbuf *out, const char *name, struct imap_words w)
{
	strbuf_puts(out, name);
	for (size_t i = 0; i < w.n; i++)
		text(out, i ? "," : "", w.a[i]);
}

static void flags(struct strbuf *out, const struct imap_flags *f)
{
	char letters[8];

	flags_to_letters(f->bits, letters);
	strbuf_printf(out, " flags=%s%s%s", letters, f->star ? "*" : "", f->recent ? "r" : "");
	if (f->kw.n > 0)
		words(out, ":", f->kw);
}

static void set(struct strbuf *out, const char *name, const struct uidset *s)
{
	strbuf_puts(out, name);
	for (size_t i = 0; i < s->n; i++) {
		must(s->a[i].first >= 1 && s->a[i].first <= s->a[i].last);
		must(i == 0 || s->a[i].first - 1 > s->a[i - 1].last);
		strbuf_printf(out, s->a[i].first == s->a[i].last ? "%s%u" : "%s%u:%u", i ? "," : "", s->a[i].first, s->a[i].last);
	}
}

static void number(struct strbuf *out, const char *name, bool there, uint64_t v)
{
	if (there)
		strbuf_printf(out, " %s=%llu", name, (unsigned long long)v);
}

static const char *const code_names[] = {
	"", "other", "ALERT", "CAPABILITY", "PARSE", "PERMANENTFLAGS", "READ-ONLY", "READ-WRITE", "TRYCREATE", "UIDNEXT", "UIDVALIDITY", "UNSEEN",
	"APPENDUID", "COPYUID", "UIDNOTSTICKY", "HIGHESTMODSEQ", "NOMODSEQ", "MODIFIED", "CLOSED", "MAILBOXID", "UNAVAILABLE", "AUTHENTICATIONFAILED",
	"AUTHORIZATIONFAILED", "EXPIRED", "PRIVACYREQUIRED", "CONTACTADMIN", "NOPERM", "INUSE", "EXPUNGEISSUED", "CORRUPTION", "SERVERBUG", "CLIENTBUG",
	"CANNOT", "LIMIT", "OVERQUOTA", "ALREADYEXISTS", "NONEXISTENT", "TOOBIG", "NOTIFICATIONOVERFLOW", "COMPRESSIONACTIVE", "THROTTLED",
};

/* What the code of a status response brought. */
static void code(struct strbuf *out, const struct imap_code *c)
{
	if (c->kind == IMAP_CODE_NONE)
		return;
	strbuf_printf(out, " %s", code_names[c->kind]);
	switch (c->kind) {
	case IMAP_CODE_OTHER:
		text(out, "=", c->text);
		break;
	case IMAP_CODE_CAPABILITY:
		words(out, "=", c->words);
		break;
	case IMAP_CODE_PERMANENTFLAGS:
		flags(out, &c->flags);
		break;
	case IMAP_CODE_UIDNEXT:
	case IMAP_CODE_UIDVALIDITY:
	case IMAP_CODE_UNSEEN:
	case IMAP_CODE_HIGHESTMODSEQ:
		strbuf_printf(out, "=%llu", (unsigned long long)c->num);
		break;
	case IMAP_CODE_COPYUID:
	case IMAP_CODE_APPENDUID:
		strbuf_printf(out, "=%llu", (unsigned long long)c->num);
		if (c->kind == IMAP_CODE_COPYUID)
			text(out, "/", c->src);
		text(out, "/", c->dst);
		break;
	case IMAP_CODE_MODIFIED:
		text(out, "=", c->dst);
		break;
	case IMAP_CODE_MAILBOXID:
		text(out, "=", c->id);
		break;
	default:
		break;
	}
}

static void cond(struct strbuf *out, const struct imap_resp *r)
{
	static const char *const names[] = { "OK", "NO", "BAD", "BYE", "PREAUTH" };

	strbuf_puts(out, names[r->cond]);
	code(out, &r->code);
	text(out, " ", r->text);
}

static void list(struct strbuf *out, const struct imap_list *l)
{
	static const char *const names[] = {
		"noselect", "nonexistent", "noinferiors", "children", "nochildren", "marked", "unmarked", "subscribed", "remote",
		"all", "archive", "drafts", "flagged", "junk", "sent", "trash", "important",
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (l->attrs & (uint32_t)1 << i)
			strbuf_printf(out, " %s", names[i]);
	text(out, " ", l->sep ? slice_of(&l->sep, 1) : slice_str("NIL"));
	text(out, " ", l->name);
}

static void status(struct strbuf *out, const struct imap_status *s)
{
	text(out, " ", s->name);
	number(out, "messages", s->has & IMAP_HAS_MESSAGES, s->messages);
	number(out, "uidnext", s->has & IMAP_HAS_UIDNEXT, s->uidnext);
	number(out, "uidvalidity", s->has & IMAP_HAS_UIDVALIDITY, s->uidvalidity);
	number(out, "unseen", s->has & IMAP_HAS_UNSEEN, s->unseen);
	number(out, "recent", s->has & IMAP_HAS_RECENT, s->recent);
	number(out, "deleted", s->has & IMAP_HAS_DELETED, s->deleted);
	number(out, "highestmodseq", s->has & IMAP_HAS_HIGHESTMODSEQ, s->highestmodseq);
	number(out, "size", s->has & IMAP_HAS_SIZE, s->size);
	number(out, "appendlimit", s->has & IMAP_HAS_APPENDLIMIT, s->appendlimit);
	if (s->has & IMAP_HAS_MAILBOXID)
		text(out, " mailboxid=", s->mailboxid);
}

static void search(struct strbuf *out, const struct imap_search *s)
{
	if (s->tag.n > 0)
		text(out, " tag=", s->tag);
	if (s->uid)
		strbuf_puts(out, " uid");
	number(out, "min", s->has & IMAP_HAS_MIN, s->min);
	number(out, "max", s->has & IMAP_HAS_MAX, s->max);
	number(out, "count", s->has & IMAP_HAS_COUNT, s->count);
	number(out, "modseq", s->has & IMAP_HAS_SEARCH_MODSEQ, s->modseq);
	if (s->has & IMAP_HAS_ALL)
		set(out, " ", s->all);
}

static void fetch(struct strbuf *out, const struct imap_fetch *f)
{
	strbuf_printf(out, " %u", f->seq);
	number(out, "uid", f->has & IMAP_HAS_UID, f->uid);
	if (f->has & IMAP_HAS_FLAGS)
		flags(out, &f->flags);
	if (f->has & IMAP_HAS_DATE)
		text(out, " date=", f->date);
	number(out, "size", f->has & IMAP_HAS_RFC822_SIZE, f->size);
	number(out, "modseq", f->has & IMAP_HAS_MODSEQ, f->modseq);
	if (f->has & IMAP_HAS_EMAILID)
		text(out, " emailid=", f->emailid);
	if (f->has & IMAP_HAS_THREADID)
		text(out, " threadid=", f->threadid);
	number(out, "msgid", f->has & IMAP_HAS_GM_MSGID, f->gm_msgid);
	number(out, "thrid", f->has & IMAP_HAS_GM_THRID, f->gm_thrid);
	if (f->has & IMAP_HAS_GM_LABELS)
		words(out, " labels=", f->gm_labels);
}

static void part(struct strbuf *out, const struct imap_part *p)
{
	text(out, p->binary ? " binary=" : " section=", p->section);
	number(out, "origin", p->partial, p->origin);
	strbuf_printf(out, p->nil ? " NIL" : " {%llu}", (unsigned long long)p->size);
}

/* One response. */
void imapdump(struct strbuf *out, const struct imap_resp *r)
{
	static const char *const names[] = {
		"TAGGED", "+", "*", "CAPABILITY", "ENABLED", "FLAGS", "LIST", "LSUB", "STATUS", "SEARCH", "ESEARCH", "EXISTS", "RECENT", "EXPUNGE",
		"VANISHED", "BODY", "FETCH", "NAMESPACE", "ID", "OTHER",
	};

	strbuf_puts(out, names[r->kind]);
	switch (r->kind) {
	case IMAP_TAGGED:
		text(out, " ", r->tag);
		strbuf_putc(out, ' ');
		cond(out, r);
		break;
	case IMAP_UNTAGGED:
		strbuf_putc(out, ' ');
		cond(out, r);
		break;
	case IMAP_CONTINUE:
		text(out, " ", r->text);
		break;
	case IMAP_CAPABILITY:
	case IMAP_ENABLED:
		words(out, " ", r->words);
		break;
	case IMAP_FLAGS:
		flags(out, &r->flags);
		break;
	case IMAP_LIST:
	case IMAP_LSUB:
		list(out, &r->list);
		break;
	case IMAP_STATUS:
		status(out, &r->status);
		break;
	case IMAP_SEARCH:
	case IMAP_ESEARCH:
		search(out, &r->search);
		break;
	case IMAP_VANISHED:
		strbuf_puts(out, r->earlier ? " earlier" : "");
		search(out, &r->search);
		break;
	case IMAP_EXISTS:
	case IMAP_RECENT:
	case IMAP_EXPUNGE:
		strbuf_printf(out, " %u", r->num);
		break;
	case IMAP_FETCH_BODY:
		fetch(out, &r->fetch);
		part(out, &r->body);
		break;
	case IMAP_FETCH:
		fetch(out, &r->fetch);
		break;
	case IMAP_NAMESPACE:
		for (size_t i = 0; i < r->n; i++) {
			strbuf_printf(out, " %c", "PUS"[r->namespaces[i].kind]);
			text(out, "", r->namespaces[i].prefix);
			text(out, "", r->namespaces[i].sep ? slice_of(&r->namespaces[i].sep, 1) : slice_str("NIL"));
		}
		break;
	case IMAP_ID:
		for (size_t i = 0; i < r->n; i++) {
			text(out, " ", r->pairs[i].key);
			text(out, "=", r->pairs[i].value);
		}
		break;
	case IMAP_OTHER:
		must(r->words.n == 1);
		text(out, " ", r->words.a[0]);
		break;
	}
}

/* Read a body, and add what it says. 0, -1. */
static int body(struct strbuf *out, const struct imap_part *p, size_t piece, struct err *e)
{
	struct strbuf b = STRBUF_INIT(1 << 24);
	char buf[4096];
	ssize_t r;

	if (piece > sizeof(buf))
		piece = sizeof(buf);
	while ((r = stream_read(p->s, buf, piece, e)) > 0) {
		must((size_t)r <= piece);
		must(strbuf_put(&b, buf, (size_t)r) == 0);
		must(b.len <= p->size);
	}
	must(r < 0 || b.len == p->size);
	if (r == 0)
		must(stream_read(p->s, buf, piece, e) == 0);
	text(out, " ", strbuf_slice(&b));
	strbuf_release(&b);
	return r < 0 ? -1 : 0;
}

/* All responses. */
int imapdump_all(struct strbuf *out, const void *wire, size_t n, size_t step, size_t piece, const struct imap_limits *limits)
{
	struct stream *s = memstream_new(wire, n, step, NULL);
	struct imap_reader rd;
	struct imap_resp r;
	struct bufin in;
	struct err e = ERR_INIT, e2 = ERR_INIT;
	int rc;

	must(s && bufin_init(&in, s, &e) == 0);
	imap_reader_init(&rd, &in);
	if (limits)
		rd.x.limits = *limits;
	while ((rc = imap_resp_next(&rd, &r, &e)) > 0) {
		must(!rd.x.dead);
		must(rd.in_fetch == (r.kind == IMAP_FETCH_BODY));
		must(rd.x.mid == rd.in_fetch);
		must(rd.a.used <= IMAP_WORDS_MAX && rd.x.scratch.cap <= 4 * (rd.x.limits.line + 1024) && rd.set.n <= rd.x.limits.ranges);
		imapdump(out, &r);
		if (r.kind == IMAP_FETCH_BODY && piece > 0 && body(out, &r.body, piece, &e) < 0) {
			must(rd.x.dead && imap_resp_next(&rd, &r, &e2) == -1);
			rc = -1;
			break;
		}
		must(strbuf_putc(out, '\n') == 0);
	}
	if (rc < 0)
		strbuf_printf(out, "ERROR %s %s\n", err_kind_name(e.kind), e.text);
	else
		strbuf_puts(out, "END\n");
	must(!out->failed && rd.x.dead && imap_resp_next(&rd, &r, &e2) == -1 && e2.kind == ERR_TEMP);
	imap_reader_release(&rd);
	bufin_release(&in);
	stream_free(s);
	return rc;
}
