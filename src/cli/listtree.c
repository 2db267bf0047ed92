/* `list` of what has folders: see info.h. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli/info.h"
#include "ui/jsonl.h"
#include "ui/progress.h"

/* One folder on its way out. */
struct row {
	const char *remote, *local; /* NULL: it isn't there. local of a job only */
	unsigned attrs;
	uint64_t messages, local_messages; /* UINT64_MAX: not known */
	uint64_t bytes, local_bytes;       /* 0 not known */
	bool left_out;
};

/* What is listed. */
struct listing {
	struct cli *c;
	const struct config_end *end;
	const struct config_job *job; /* NULL: an account */
	uint64_t n, messages, bytes;
};

/* " [sent, trash]" */
static void put_roles(struct strbuf *b, unsigned attrs)
{
	const char *sep = " [", *name;

	for (size_t at = 0; (name = folder_role_name(attrs, &at)); sep = ", ")
		strbuf_printf(b, "%s%s", sep, name);
	if (sep[0] == ',')
		strbuf_putc(b, ']');
}

/* "12 messages, 3.4 MB", as far as that is known. */
static void put_messages(struct strbuf *b, const char *before, uint64_t n, uint64_t bytes)
{
	char size[32];

	if (n == UINT64_MAX)
		return;
	strbuf_printf(b, "%s%" PRIu64 " message%s", before, n, n == 1 ? "" : "s");
	if (bytes > 0) {
		progress_bytes(bytes, size, sizeof(size));
		strbuf_printf(b, ", %s", size);
	}
}

/* A name that can be shown. */
static void put_name(struct strbuf *b, const char *before, const char *name)
{
	char text[2 * ERR_TEXT_MAX];

	strbuf_printf(b, "%s%s", before, err_printable(text, sizeof(text), name, strlen(name)));
}

/* For a person. */
static void row_text(const struct listing *l, const struct row *r)
{
	struct strbuf b = STRBUF_INIT(16384);

	put_name(&b, "    ", r->remote ? r->remote : r->local);
	put_roles(&b, r->attrs);
	if (r->remote && r->attrs & FOLDER_NO_SELECT)
		strbuf_puts(&b, ": holds folders only");
	else if (r->remote)
		put_messages(&b, ": ", r->messages, r->bytes);
	if (r->left_out) {
		strbuf_puts(&b, r->attrs & FOLDER_NO_SELECT ? "" : ", left out");
		strbuf_puts(&b, r->attrs & FOLDER_VIEWS && !(r->attrs & FOLDER_NO_SELECT) ? " (it shows messages of other folders)" : "");
	} else if (l->job && r->remote && r->local) {
		put_name(&b, l->job->mode == CONFIG_SYNC ? " <-> " : " -> ", r->local);
		put_messages(&b, ": ", r->local_messages, r->local_bytes);
	} else if (l->job && r->remote) {
		strbuf_puts(&b, l->job->mode == CONFIG_SYNC ? ", not here yet" : ", not there yet");
	} else if (l->job) {
		put_messages(&b, ": ", r->local_messages, r->local_bytes);
		strbuf_puts(&b, l->job->mode == CONFIG_SYNC ? ", here only" : ", at the target only");
	}
	if (!b.failed)
		report_line(l->c->report, "%s", strbuf_str(&b));
	strbuf_release(&b);
}

/* A number, or null. */
static void json_number(struct strbuf *b, const char *name, bool known, uint64_t n)
{
	if (known)
		cli_json_number(b, name, (int64_t)n);
	else
		strbuf_printf(b, ",\"%s\":null", name);
}

/* A text, or null. */
static void json_name(struct strbuf *b, const char *name, const char *text)
{
	if (text)
		cli_json_text(b, name, text);
	else
		strbuf_printf(b, ",\"%s\":null", name);
}

/* For a program. */
static void row_json(const struct listing *l, const struct row *r)
{
	struct strbuf b = STRBUF_INIT(65536);
	const char *sep = "", *name;

	cli_json_start(&b, "list", l->job ? l->job->name : "");
	cli_json_text(&b, "account", l->end->name);
	cli_json_text(&b, "url", l->end->url);
	json_name(&b, "folder", r->remote);
	json_number(&b, "messages", r->messages != UINT64_MAX, r->messages);
	json_number(&b, "bytes", r->bytes > 0 || r->messages == 0, r->bytes);
	strbuf_puts(&b, ",\"roles\":[");
	for (size_t at = 0; (name = folder_role_name(r->attrs, &at)); sep = ",")
		strbuf_printf(&b, "%s\"%s\"", sep, name);
	strbuf_putc(&b, ']');
	strbuf_printf(&b, ",\"selectable\":%s", r->attrs & FOLDER_NO_SELECT ? "false" : "true");
	if (l->job) {
		cli_json_text(&b, "to", l->job->right->url);
		json_name(&b, "to_folder", r->local);
		json_number(&b, "to_messages", r->local_messages != UINT64_MAX, r->local_messages);
		strbuf_printf(&b, ",\"left_out\":%s", r->left_out ? "true" : "false");
	}
	cli_json_end(l->c, &b);
}

/* One more; what the job leaves out does not count. */
static void put_row(struct listing *l, const struct row *r)
{
	if (!r->left_out && r->remote && !(r->attrs & FOLDER_NO_SELECT)) {
		l->n++;
		l->messages += r->messages == UINT64_MAX ? 0 : r->messages;
		l->bytes += r->bytes;
	}
	if (l->c->o.json)
		row_json(l, r);
	else
		row_text(l, r);
}

/* The line below. */
static void put_sum(const struct listing *l)
{
	struct strbuf b = STRBUF_INIT(1024);

	put_messages(&b, "", l->messages, l->bytes);
	if (!l->c->o.json)
		report_line(l->c->report, "%s: %" PRIu64 " folder%s, %s%s", l->end->url, l->n, l->n == 1 ? "" : "s", strbuf_str(&b),
			    l->job ? ", not counting what is left out" : "");
	strbuf_release(&b);
}

static int one_folder(void *arg, const struct folder_info *f, struct err *e)
{
	struct row r = { .remote = f->name, .attrs = f->attrs, .messages = f->messages, .local_messages = UINT64_MAX, .bytes = f->bytes };

	(void)e;
	put_row(arg, &r);
	return 0;
}

int list_account(struct cli *c, struct config_end *end, struct err *e)
{
	struct listing l = { .c = c, .end = end };
	struct store *s;
	int rc;

	if (cli_ready(c, end, e) < 0)
		return -1;
	s = job_store(end, e);
	if (!s)
		return -1;
	s->counts = true;
	rc = s->ops->folders(s, one_folder, &l, e);
	if (rc == 0)
		put_sum(&l);
	store_free(s);
	return rc;
}

/* What is odd about a folder. */
static void on_warning(void *arg, const char *text)
{
	struct listing *l = arg;
	struct event_sink sink = report_sink(l->c->report);
	struct event ev = { .type = EVENT_WARNING, .job = l->job->name, .text = text };

	event_put(&sink, &ev);
}

/* The folders of the left as the job takes them, then those that the right alone has. */
static void list_folders(struct listing *l, const struct folders *fs)
{
	for (size_t i = 0; i < fs->tree.n; i++) {
		const struct sync_folder *f = &fs->tree.a[i];
		struct row r = { .remote = f->left, .attrs = f->attrs, .messages = f->left_messages, .local_messages = UINT64_MAX, .bytes = f->left_bytes,
				 .left_out = true };

		for (size_t k = 0; k < fs->f.n; k++) {
			const struct sync_folder *taken = &fs->f.a[k];

			if (!taken->on_left || strcmp(taken->left, f->left) != 0)
				continue;
			r.left_out = false;
			r.local = taken->on_right ? taken->right : NULL;
			r.local_messages = taken->on_right ? taken->right_messages : UINT64_MAX;
			r.local_bytes = taken->right_bytes;
			break;
		}
		put_row(l, &r);
	}
	for (size_t k = 0; k < fs->f.n; k++) {
		const struct sync_folder *f = &fs->f.a[k];
		struct row r = { .local = f->right, .attrs = f->attrs, .messages = UINT64_MAX, .local_messages = f->right_messages,
				 .local_bytes = f->right_bytes };

		if (!f->on_left && f->on_right)
			put_row(l, &r);
	}
}

int list_sync(struct cli *c, const struct config_job *job, struct err *e)
{
	struct listing l = { .c = c, .end = job->left, .job = job };
	struct job_params p = { .job = job, .state_dir = c->state_dir };
	struct folders fs;
	int rc;

	/* The configuration is this process's own; only what this run adds is filled in. */
	if (cli_ready(c, (struct config_end *)(uintptr_t)job->left, e) < 0 || cli_ready(c, (struct config_end *)(uintptr_t)job->right, e) < 0)
		return -1;
	rc = job_folders(&p, &fs, on_warning, &l, e);
	if (rc == 0) {
		list_folders(&l, &fs);
		put_sum(&l);
	}
	folders_release(&fs);
	return rc;
}
