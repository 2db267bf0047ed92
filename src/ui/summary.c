#include "ui/summary.h"

#include "ui/progress.h"

/* "2 folders made" */
static bool put_folders(struct strbuf *b, bool any, uint64_t n, const char *did)
{
	char text[32];

	if (n == 0)
		return any;
	progress_count(n, text, sizeof(text));
	strbuf_printf(b, "%s%s folder%s %s", any ? ", " : "", text, n == 1 ? "" : "s", did);
	return true;
}

bool summary_totals(struct strbuf *b, const struct event_totals *t, bool two_way, bool one_way, bool dry, uint64_t planned_bytes)
{
	const struct {
		uint64_t n;
		const char *did, *would;
	} rows[] = {
		{ t->pulled, one_way ? "copied" : "fetched", one_way ? "to be copied" : "to be fetched" },
		{ t->restored, "put back", "to be put back" },
		{ t->pushed, "sent", "to be sent" },
		{ two_way ? 0 : t->deleted, "deleted on the server", "to be deleted on the server" },
		{ two_way ? t->deleted : 0, one_way ? "deleted at the source" : "deleted", one_way ? "to be deleted at the source" : "to be deleted" },
		{ t->flagged, "with changed flags", "with flags to be changed" },
		{ t->moved, "moved", "to be moved" },
		{ t->kept, "kept on the server", "kept on the server" },
		{ t->skipped, "left (larger than max-size)", "left (larger than max-size)" },
		{ t->failed, "failed", "failed" },
	};
	bool any = false;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char n[32], size[32];

		if (rows[i].n == 0)
			continue;
		progress_count(rows[i].n, n, sizeof(n));
		strbuf_printf(b, "%s%s", any ? ", " : "", n);
		if (!any)
			strbuf_puts(b, rows[i].n == 1 ? " message" : " messages");
		if (dry && i == 0 && planned_bytes > 0) {
			progress_bytes(planned_bytes, size, sizeof(size));
			strbuf_printf(b, " (%s)", size);
		}
		strbuf_printf(b, " %s", dry ? rows[i].would : rows[i].did);
		any = true;
	}
	any = put_folders(b, any, t->made, dry ? "to be made" : "made");
	any = put_folders(b, any, t->removed, dry ? "to be removed" : "removed");
	return put_folders(b, any, t->renamed, dry ? "to be renamed" : "renamed");
}

/* ", 3 missing at the target" */
static bool put_count(struct strbuf *b, bool any, uint64_t n, const char *what, const char *where)
{
	char text[32];

	if (n == 0)
		return any;
	progress_count(n, text, sizeof(text));
	strbuf_printf(b, "%s%s %s%s%s", any ? ", " : "", text, what, where[0] ? " " : "", where);
	return true;
}

void summary_drift(struct strbuf *b, const struct event_compared *c, enum event_sides sides)
{
	bool any = false;

	for (int s = 0; s < 2; s++)
		any = put_count(b, any, c->missing_folders[s], c->missing_folders[s] == 1 ? "folder missing" : "folders missing", event_place(sides, s));
	for (int s = 0; s < 2; s++)
		any = put_count(b, any, c->missing[s], "missing", event_place(sides, s));
	any = put_count(b, any, c->refused, "missing that could not be copied", "");
	any = put_count(b, any, c->content, "with another content", "");
	put_count(b, any, c->flags, "with other flags", "");
}

void summary_verify(struct strbuf *b, const struct event_compared *c, uint64_t failed, enum event_sides sides)
{
	const uint64_t drift = event_compared_drift(c);
	char n[32];

	if (drift > 0) {
		strbuf_puts(b, "they differ: ");
		summary_drift(b, c, sides);
		strbuf_puts(b, "; the same are ");
	} else {
		strbuf_puts(b, failed > 0 ? "what could be compared agrees: " : "both sides agree: ");
	}
	progress_count(c->same, n, sizeof(n));
	strbuf_printf(b, "%s message%s", n, c->same == 1 ? "" : "s");
	progress_count(c->folders, n, sizeof(n));
	strbuf_printf(b, " in %s folder%s", n, c->folders == 1 ? "" : "s");
	put_count(b, true, c->left_out, "left out by the job", "");
	put_count(b, true, c->extra, c->extra == 1 ? "more is at the target alone" : "more are at the target alone", "");
	put_count(b, true, failed, "could not be compared", "");
}

void summary_cost(struct strbuf *b, const struct event_totals *t, bool two_way)
{
	char size[32], out[32], trips[32];

	progress_bytes(t->bytes_in, size, sizeof(size));
	progress_bytes(t->bytes_out, out, sizeof(out));
	progress_count(t->round_trips, trips, sizeof(trips));
	strbuf_printf(b, "; %s", size);
	if (two_way)
		strbuf_printf(b, " in, %s out", out);
	strbuf_printf(b, ", %.1f s, %s round trip%s", t->seconds, trips, t->round_trips == 1 ? "" : "s");
}

void summary_add(struct event_totals *sum, const struct event_totals *t)
{
	sum->pulled += t->pulled;
	sum->pushed += t->pushed;
	sum->deleted += t->deleted;
	sum->flagged += t->flagged;
	sum->moved += t->moved;
	sum->skipped += t->skipped;
	sum->kept += t->kept;
	sum->failed += t->failed;
	sum->made += t->made;
	sum->removed += t->removed;
	sum->renamed += t->renamed;
	sum->restored += t->restored;
}
