#include <inttypes.h>
#include <stdlib.h>

#include "cli/cli.h"
#include "ui/progress.h"

/* What --connect found. */
static void account_json(struct cli *c, const struct config_end *end, const struct store *s, const struct box_info *info)
{
	struct strbuf b = STRBUF_INIT(65536);

	cli_json_start(&b, "account", "");
	cli_json_text(&b, "account", end->name);
	cli_json_text(&b, "url", end->url);
	cli_json_number(&b, "messages", (int64_t)info->messages);
	cli_json_number(&b, "bytes", (int64_t)info->bytes);
	cli_json_number(&b, "round_trips", (int64_t)s->stats.turns);
	strbuf_printf(&b, ",\"uidl\":%s", info->keyless ? "false" : "true");
	cli_json_end(c, &b);
}

/* What the configuration defines, when it is good. */
static void config_good(struct cli *c)
{
	struct strbuf b = STRBUF_INIT(65536);

	if (!c->o.json) {
		if (c->o.quiet)
			return;
		report_line(c->report, "%s: no problem found; accounts and stores: %zu, jobs: %zu", c->config.path, c->config.n_ends, c->config.n_jobs);
		cli_sandbox_text(&b);
		report_line(c->report, "sandbox: %s", strbuf_str(&b));
		strbuf_release(&b);
		return;
	}
	cli_json_start(&b, "check", "");
	cli_json_text(&b, "config", c->config.path);
	cli_json_number(&b, "stores", (int64_t)c->config.n_ends);
	cli_json_number(&b, "jobs", (int64_t)c->config.n_jobs);
	cli_json_sandbox(&b);
	cli_json_end(c, &b);
}

/* What an IMAP server shows. */
struct tree {
	uint64_t folders, messages;
	struct imap_remembered heard; /* its capabilities; only what was said under TLS */
};

static int count_folder(void *arg, const struct folder_info *f, struct err *e)
{
	struct tree *t = arg;

	(void)e;
	t->folders += !(f->attrs & FOLDER_NO_SELECT);
	t->messages += f->messages == UINT64_MAX ? 0 : f->messages;
	return 0;
}

/* Names of capabilities that are there, or of those that are missed most, with a separator before each but the first. */
static void put_caps(struct strbuf *b, unsigned have, bool missed, const char *sep, bool quoted)
{
	static const unsigned dear = IMAP_CAP_UIDPLUS | IMAP_CAP_CONDSTORE | IMAP_CAP_QRESYNC | IMAP_CAP_LIST_STATUS | IMAP_CAP_SPECIAL_USE;
	size_t n, at = b->len;
	const struct imap_capinfo *caps = imap_capinfo(&n);

	for (size_t i = 0; i < n; i++)
		if (missed ? caps[i].bit & dear & ~have : caps[i].bit & have)
			strbuf_printf(b, quoted ? "%s\"%s\"" : "%s%s", b->len > at ? sep : "", caps[i].name);
}

/* What an IMAP account is like. */
static void show_imap(struct cli *c, const struct config_end *end, const struct store *s, const struct tree *t)
{
	struct strbuf b = STRBUF_INIT(65536);
	const struct imap_caps *caps = &t->heard.after;

	if (c->o.json) {
		cli_json_start(&b, "account", "");
		cli_json_text(&b, "account", end->name);
		cli_json_text(&b, "url", end->url);
		cli_json_number(&b, "folders", (int64_t)t->folders);
		cli_json_number(&b, "messages", (int64_t)t->messages);
		cli_json_number(&b, "round_trips", (int64_t)s->stats.turns);
		if (caps->known) {
			strbuf_puts(&b, ",\"capabilities\":[");
			put_caps(&b, caps->have, false, ",", true);
			strbuf_putc(&b, ']');
		}
		cli_json_end(c, &b);
		return;
	}
	if (caps->known)
		put_caps(&b, caps->have, true, ", ", false);
	if (!c->o.quiet)
		report_line(c->report, "%s: %s: login works, %" PRIu64 " folder%s, %" PRIu64 " messages, %" PRIu64 " round trips%s%s", end->name, end->url, t->folders,
			    t->folders == 1 ? "" : "s", t->messages, s->stats.turns, b.len > 0 ? "; the server has no " : "", strbuf_str(&b));
	strbuf_release(&b);
}

/* Reach, certificate, login, capabilities, folders of one IMAP account. */
static int try_imap(struct cli *c, struct config_end *end, struct err *e)
{
	struct tree t = { 0 };
	struct imapstore_params p = end->imap;
	struct store *s;
	int rc;

	p.imap.remembered = &t.heard;
	s = imapstore_new(&p, e);
	if (!s)
		return -1;
	s->counts = true;
	rc = s->ops->folders(s, count_folder, &t, e);
	if (rc == 0)
		show_imap(c, end, s, &t);
	store_free(s);
	return rc;
}

/* Reach, certificate, login, capabilities, listing of one account. */
static int try_account(struct cli *c, struct config_end *end, struct err *e)
{
	struct store *s = NULL;
	struct box_info info;
	char bytes[32];
	int rc = -1;

	if (cli_ready(c, end, e) < 0)
		return -1;
	if (end->kind == CONFIG_IMAP)
		return try_imap(c, end, e);
	s = job_store(end, e);
	if (!s)
		return -1;
	if (s->ops->open_box(s, "", BOX_READ, &info, e) == 0) {
		progress_bytes(info.bytes, bytes, sizeof(bytes));
		if (c->o.json)
			account_json(c, end, s, &info);
		else if (!c->o.quiet)
			report_line(c->report, "%s: %s: login works, %llu messages, %s, %llu round trips%s", end->name, end->url, (unsigned long long)info.messages, bytes,
				    (unsigned long long)s->stats.turns, info.keyless ? "; the server has no UIDL" : "");
		s->ops->close_box(s);
		rc = 0;
	}
	store_free(s);
	return rc;
}

int cmd_check(struct cli *c, struct err *e)
{
	int code = 0;

	if (cli_load(c, e) < 0)
		return -1;
	config_good(c);
	for (size_t i = 0; c->o.connect && i < c->config.n_ends; i++) {
		struct err why = ERR_INIT;

		if (!c->config.ends[i].is_account)
			continue;
		if (try_account(c, &c->config.ends[i], &why) == 0)
			continue;
		if (why.kind == ERR_CANCEL) {
			*e = why;
			return -1;
		}
		report_error(c->report, &why);
		code = code == 0 || code == err_exit_code(why.kind) ? err_exit_code(why.kind) : 1;
	}
	return code;
}
