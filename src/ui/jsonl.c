#include "ui/jsonl.h"

#include <stdio.h>
#include <time.h>

/* The character at p (never the NUL at the end), and how many bytes it takes. Bytes that are no UTF-8 (RFC 3629) are U+FFFD each. */
static uint32_t next_char(const unsigned char *p, size_t *len)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t want = p[0] < 0x80 ? 1 : p[0] < 0xc2 || p[0] > 0xf4 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
	uint32_t c = want == 1 ? p[0] : p[0] & (0x7fU >> want);

	*len = 1;
	if (want == 0)
		return 0xfffd;
	for (size_t i = 1; i < want; i++) {
		if ((p[i] & 0xc0) != 0x80) /* the NUL ends it, too */
			return 0xfffd;
		c = c << 6 | (p[i] & 0x3fU);
	}
	if (c < least[want] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
		return 0xfffd;
	*len = want;
	return c;
}

/* Whether a character is better not seen by a terminal: controls, bidi, invisible ones, tags. */
static bool is_hidden(uint32_t c)
{
	return c < 0x20 || (c >= 0x7f && c <= 0x9f) || c == 0xad || c == 0x61c || (c >= 0x200b && c <= 0x200f) || (c >= 0x2028 && c <= 0x202e) ||
	       (c >= 0x2060 && c <= 0x206f) || c == 0xfeff || (c >= 0xfff9 && c <= 0xfffb) || (c >= 0xe0000 && c <= 0xe007f);
}

/* A character as \u escapes. */
static void put_escaped(struct strbuf *out, uint32_t c)
{
	if (c == '\n')
		strbuf_puts(out, "\\n");
	else if (c == '\r')
		strbuf_puts(out, "\\r");
	else if (c == '\t')
		strbuf_puts(out, "\\t");
	else if (c < 0x10000)
		strbuf_printf(out, "\\u%04x", (unsigned)c);
	else
		strbuf_printf(out, "\\u%04x\\u%04x", (unsigned)(0xd800 + ((c - 0x10000) >> 10)), (unsigned)(0xdc00 + (c & 0x3ff)));
}

int jsonl_string(struct strbuf *out, const char *s)
{
	const unsigned char *p = (const unsigned char *)(s ? s : "");
	size_t len;

	strbuf_putc(out, '"');
	for (; *p; p += len) {
		uint32_t c = next_char(p, &len);

		if (c == 0xfffd)
			strbuf_puts(out, "\xef\xbf\xbd");
		else if (is_hidden(c))
			put_escaped(out, c);
		else if (c == '"' || c == '\\')
			strbuf_printf(out, "\\%c", (char)c);
		else
			strbuf_put(out, p, len);
	}
	return strbuf_putc(out, '"');
}

int jsonl_time(struct strbuf *out, int64_t t)
{
	time_t tt = (time_t)t;
	struct tm tm;
	char text[64];

	if (!gmtime_r(&tt, &tm) || tm.tm_year > 9999 - 1900 || strftime(text, sizeof(text), "\"%Y-%m-%dT%H:%M:%SZ\"", &tm) == 0)
		return strbuf_puts(out, "\"1970-01-01T00:00:00Z\"");
	return strbuf_puts(out, text);
}

static void put_text(struct strbuf *out, const char *name, const char *s)
{
	strbuf_printf(out, ",\"%s\":", name);
	jsonl_string(out, s);
}

static void put_number(struct strbuf *out, const char *name, uint64_t n)
{
	strbuf_printf(out, ",\"%s\":%llu", name, (unsigned long long)n);
}

/* Thousandths are printed as whole numbers: no locale puts a comma there. */
static void put_seconds(struct strbuf *out, double seconds)
{
	uint64_t ms = seconds > 0 && seconds < 1e12 ? (uint64_t)(seconds * 1000 + 0.5) : 0;

	strbuf_printf(out, ",\"seconds\":%llu.%03u", (unsigned long long)(ms / 1000), (unsigned)(ms % 1000));
}

/* What END has to tell. */
static void put_totals(struct strbuf *out, const struct event_totals *t)
{
	const struct {
		const char *name;
		uint64_t n;
	} rows[] = {
		{ "pulled", t->pulled }, { "pushed", t->pushed }, { "deleted", t->deleted }, { "flagged", t->flagged },
		{ "moved", t->moved }, { "folders_made", t->made }, { "folders_removed", t->removed }, { "folders_renamed", t->renamed },
		{ "skipped", t->skipped }, { "kept", t->kept }, { "failed", t->failed },
		{ "bytes_in", t->bytes_in }, { "bytes_out", t->bytes_out }, { "round_trips", t->round_trips },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		put_number(out, rows[i].name, rows[i].n);
	put_seconds(out, t->seconds);
}

/* What ERROR has to tell. */
static void put_error(struct strbuf *out, const struct event *ev)
{
	static const char *const scopes[] = { [SPAN_MSG] = "message", [SPAN_BOX] = "folder", [SPAN_ACCT] = "account" };

	put_text(out, "kind", err_kind_name(ev->kind));
	put_text(out, "scope", scopes[ev->span]);
	if (ev->folder && ev->folder[0])
		put_text(out, "folder", ev->folder);
	if (ev->uid && ev->uid[0])
		put_text(out, "uid", ev->uid);
	put_text(out, "text", ev->text);
	if (ev->retry_after > 0)
		put_number(out, "retry_after", (uint64_t)ev->retry_after);
}

/* On which side, and whether it only would be done. */
static void put_where(struct strbuf *out, const struct event *ev)
{
	if (ev->at != AT_UNSAID)
		put_text(out, "where", event_at_name(ev->at));
	if (ev->dry)
		strbuf_puts(out, ",\"dry_run\":true");
}

static void put_drift(struct strbuf *out, const struct event *ev)
{
	put_text(out, "kind", event_drift_name(ev->drift));
	put_text(out, "folder", ev->folder);
	if (ev->at != AT_UNSAID)
		put_text(out, "where", event_at_name(ev->at));
	if (ev->drift == DRIFT_FOLDER)
		return;
	put_text(out, "uid", ev->uid);
	put_number(out, "size", ev->size);
	if (ev->drift == DRIFT_FLAGS) {
		put_text(out, "flags_remote", ev->text);
		put_text(out, "flags_local", ev->to);
		return;
	}
	if (ev->to && ev->to[0])
		put_text(out, "message_id", ev->to);
	if (ev->drift == DRIFT_REFUSED)
		put_text(out, "text", ev->text);
}

/* The END of a verify. */
static void put_compared(struct strbuf *out, const struct event *ev)
{
	const struct event_compared *c = &ev->compared;
	const struct {
		const char *name;
		uint64_t n;
	} rows[] = {
		{ "folders", c->folders }, { "messages_remote", c->left }, { "messages_local", c->right }, { "same", c->same },
		{ "missing_remote", c->missing[0] }, { "missing_local", c->missing[1] }, { "content", c->content }, { "flags", c->flags }, { "refused", c->refused },
		{ "folders_missing_remote", c->missing_folders[0] }, { "folders_missing_local", c->missing_folders[1] },
		{ "extra", c->extra }, { "left_out", c->left_out }, { "failed", ev->totals.failed },
		{ "bytes_in", ev->totals.bytes_in }, { "bytes_out", ev->totals.bytes_out }, { "round_trips", ev->totals.round_trips },
	};

	strbuf_printf(out, ",\"agree\":%s", ev->exit_code == 0 ? "true" : "false");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		put_number(out, rows[i].name, rows[i].n);
	put_seconds(out, ev->totals.seconds);
}

/* What each type has beside event, job and time. */
static void put_members(struct strbuf *out, const struct event *ev)
{
	switch (ev->type) {
	case EVENT_START:
		put_text(out, "mode", ev->one_way ? "migrate" : ev->two_way ? "sync" : "fetch");
		break;
	case EVENT_PROGRESS:
	case EVENT_COMPARED:
		break;
	case EVENT_FOLDER:
		put_text(out, "folder", ev->folder);
		put_number(out, "total", ev->total);
		if (ev->total_bytes > 0)
			put_number(out, "bytes", ev->total_bytes);
		break;
	case EVENT_MESSAGE:
		put_text(out, "action", event_action_name(ev->action));
		put_text(out, "folder", ev->folder);
		if (ev->to && ev->to[0])
			put_text(out, "to", ev->to);
		put_text(out, "uid", ev->uid);
		put_number(out, "size", ev->size);
		put_where(out, ev);
		break;
	case EVENT_TREE:
		put_text(out, "action", event_action_name(ev->action));
		put_text(out, "folder", ev->folder);
		if (ev->to && ev->to[0])
			put_text(out, "to", ev->to);
		put_where(out, ev);
		break;
	case EVENT_WARNING:
		if (ev->folder && ev->folder[0])
			put_text(out, "folder", ev->folder);
		put_text(out, "text", ev->text);
		break;
	case EVENT_ERROR:
		put_error(out, ev);
		break;
	case EVENT_WAITING:
		put_text(out, "side", ev->at == AT_LEFT ? "remote" : "local");
		put_text(out, "text", ev->text);
		break;
	case EVENT_CHANGED:
		put_text(out, "side", ev->at == AT_LEFT ? "remote" : "local");
		if (ev->folder && ev->folder[0])
			put_text(out, "folder", ev->folder);
		break;
	case EVENT_DRIFT:
		put_drift(out, ev);
		break;
	case EVENT_END:
		if (ev->verify)
			put_compared(out, ev);
		else
			put_totals(out, &ev->totals);
		if (ev->two_way && !ev->verify) {
			put_number(out, "quarantined", ev->totals.quarantined);
			put_number(out, "trashed", ev->totals.trashed);
			put_number(out, "run", ev->totals.run);
			put_number(out, "restored", ev->totals.restored);
		}
		put_number(out, "exit", ev->exit_code > 0 ? (uint64_t)ev->exit_code : 0);
		break;
	}
}

int jsonl_event(struct strbuf *out, const struct event *ev)
{
	size_t at = out->len;

	if (ev->type == EVENT_PROGRESS || ev->type == EVENT_COMPARED)
		return 0;
	strbuf_puts(out, "{\"event\":");
	jsonl_string(out, event_type_name(ev->type));
	put_text(out, "job", ev->job);
	strbuf_puts(out, ",\"time\":");
	jsonl_time(out, ev->time);
	put_members(out, ev);
	if (strbuf_puts(out, "}\n") == 0)
		return 0;
	strbuf_cut(out, at);
	return -1;
}
