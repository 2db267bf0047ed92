/* Maildir and mbox, in all layouts and variants, as stores. */
#include "../../lib/unit.h"

#include <strings.h>

#include "conform.h"
#include "conformtree.h"
#include "store/maildir.h"
#include "store/mbox.h"

static struct store *make_maildir(const char *dir, struct err *e)
{
	char path[BOX_PATH + 16];

	snprintf(path, sizeof(path), "%s/deep/box", dir);
	return maildir_new(&(struct maildir_params){ .path = path }, e);
}

static void read_maildir(const char *dir, struct bag *out)
{
	char path[BOX_PATH + 16];

	snprintf(path, sizeof(path), "%s/deep/box", dir);
	maildir_read(path, out);
}

static struct store *make_mbox(const char *dir, enum mbox_variant v, struct err *e)
{
	char path[BOX_PATH + 16];

	snprintf(path, sizeof(path), "%s/deep/inbox", dir);
	return mbox_new(&(struct mbox_params){ .path = path, .variant = v, .lock = { .timeout = 5000 } }, e);
}

static struct store *make_rd(const char *dir, struct err *e)
{
	return make_mbox(dir, MBOX_RD, e);
}

static struct store *make_o(const char *dir, struct err *e)
{
	return make_mbox(dir, MBOX_O, e);
}

static struct store *make_cl2(const char *dir, struct err *e)
{
	return make_mbox(dir, MBOX_CL2, e);
}

static void read_mbox(const char *dir, int variant, struct bag *out)
{
	char path[BOX_PATH + 16];

	snprintf(path, sizeof(path), "%s/deep/inbox", dir);
	mbox_read(path, variant, out);
}

static void read_rd(const char *dir, struct bag *out)
{
	read_mbox(dir, READ_RD, out);
}

static void read_o(const char *dir, struct bag *out)
{
	read_mbox(dir, READ_O, out);
}

static void read_cl2(const char *dir, struct bag *out)
{
	read_mbox(dir, READ_CL2, out);
}

/* An mbox gives every message a final line end. */
static void expect_rd(const struct sample *s, struct strbuf *out)
{
	stored_form(s, out);
	if (out->len > 0 && out->s[out->len - 1] != '\n')
		strbuf_putc(out, '\n');
}

/* Lines that begin with exactly ">From " can't be told from quoted ones. */
static void expect_o(const struct sample *s, struct strbuf *out)
{
	struct strbuf rd = STRBUF_INIT(BOX_BYTES);

	expect_rd(s, &rd);
	for (size_t i = 0; i < rd.len; i++)
		if (rd.s[i] != '>' || (i > 0 && rd.s[i - 1] != '\n') || rd.len - i < 6 || memcmp(rd.s + i, ">From ", 6) != 0)
			strbuf_putc(out, rd.s[i]);
	strbuf_release(&rd);
	assert_false(out->failed);
}

/* Content-Length is its own; a message that doesn't begin with a header gets an empty one. */
static void expect_cl2(const struct sample *s, struct strbuf *out)
{
	struct strbuf rd = STRBUF_INIT(BOX_BYTES);
	bool drop = false;
	size_t at = 0;

	expect_rd(s, &rd);
	if (rd.len > 0 && strcspn(rd.s, ": \r\n") > 0 && rd.s[strcspn(rd.s, ": \r\n")] != ':')
		strbuf_putc(out, '\n');
	while (at < rd.len) {
		size_t n = (size_t)((char *)memchr(rd.s + at, '\n', rd.len - at) + 1 - (rd.s + at));

		if (n == 1 || (n == 2 && rd.s[at] == '\r'))
			break;
		drop = strncasecmp(rd.s + at, "Content-Length", 14) == 0 || (drop && (rd.s[at] == ' ' || rd.s[at] == '\t'));
		if (!drop)
			strbuf_put(out, rd.s + at, n);
		at += n;
	}
	strbuf_put(out, rd.s + at, rd.len - at);
	strbuf_release(&rd);
	assert_false(out->failed);
}

/* A line of the header in which programs keep notes. */
static bool is_note(const char *line)
{
	static const char *const names[] = { "Status", "X-Status", "X-Keywords", "X-UID", "X-IMAP", "X-IMAPbase", "Content-Length", "Lines", "X-Mozilla-Status" };
	size_t n = strcspn(line, ": \t\r\n");

	for (size_t i = 0; i < COUNT(names); i++)
		if (n == strlen(names[i]) && strncasecmp(line, names[i], n) == 0)
			return true;
	return false;
}

/* What is read again of a folder: without these lines. */
static void without_notes(const struct strbuf *in, struct strbuf *out)
{
	bool drop = false;
	size_t at = 0;

	while (at < in->len) {
		size_t n = (size_t)((char *)memchr(in->s + at, '\n', in->len - at) + 1 - (in->s + at));

		if (n == 1 || (n == 2 && in->s[at] == '\r'))
			break;
		drop = is_note(in->s + at) || (drop && (in->s[at] == ' ' || in->s[at] == '\t'));
		if (!drop)
			strbuf_put(out, in->s + at, n);
		at += n;
	}
	strbuf_put(out, in->s + at, in->len - at);
}

static void read_of_rd(const struct sample *s, struct strbuf *out)
{
	struct strbuf all = STRBUF_INIT(BOX_BYTES);

	expect_rd(s, &all);
	without_notes(&all, out);
	strbuf_release(&all);
}

static void read_of_o(const struct sample *s, struct strbuf *out)
{
	struct strbuf all = STRBUF_INIT(BOX_BYTES);

	expect_o(s, &all);
	without_notes(&all, out);
	strbuf_release(&all);
}

static struct store *make_tree(const char *dir, enum maildir_layout layout, struct err *e)
{
	char path[BOX_PATH + 16];
	struct store *s;

	snprintf(path, sizeof(path), "%s/tree", dir);
	s = maildir_new(&(struct maildir_params){ .path = path, .layout = layout }, e);
	if (s && (s->ops->folder_create(s, "", 0, e) < 0 || s->ops->folder_create(s, "INBOX", 0, e) < 0)) {
		store_free(s);
		return NULL;
	}
	return s;
}

static struct store *make_nested(const char *dir, struct err *e)
{
	return make_tree(dir, MAILDIR_NESTED, e);
}

static struct store *make_plusplus(const char *dir, struct err *e)
{
	return make_tree(dir, MAILDIR_PLUSPLUS, e);
}

static struct store *make_flat(const char *dir, struct err *e)
{
	return make_tree(dir, MAILDIR_FLAT, e);
}

static struct store *make_boxes(const char *dir, enum mbox_variant v, struct err *e)
{
	char path[BOX_PATH + 16];
	struct store *s;

	snprintf(path, sizeof(path), "%s/tree", dir);
	s = mbox_new(&(struct mbox_params){ .path = path, .variant = v, .lock = { .timeout = 5000 } }, e);
	if (s && (s->ops->folder_create(s, "", 0, e) < 0 || s->ops->folder_create(s, "INBOX", 0, e) < 0)) {
		store_free(s);
		return NULL;
	}
	return s;
}

static struct store *make_rd_tree(const char *dir, struct err *e)
{
	return make_boxes(dir, MBOX_RD, e);
}

static struct store *make_o_tree(const char *dir, struct err *e)
{
	return make_boxes(dir, MBOX_O, e);
}

static struct store *make_cl2_tree(const char *dir, struct err *e)
{
	return make_boxes(dir, MBOX_CL2, e);
}

int main(void)
{
	static const struct conform kinds[] = {
		{ "store/maildir conforms", make_maildir, read_maildir, stored_form, true },
		{ "store/mboxrd conforms", make_rd, read_rd, expect_rd, false },
		{ "store/mboxo conforms", make_o, read_o, expect_o, false },
		{ "store/mboxcl2 conforms", make_cl2, read_cl2, expect_cl2, false },
	};
	static const struct conform_tree trees[] = {
		{ "store/maildir nested conforms as a tree", make_nested, false, NULL, fs_clock_moves },
		{ "store/maildir++ conforms as a tree", make_plusplus, false, NULL, fs_clock_moves },
		{ "store/maildir flat conforms as a tree", make_flat, false, NULL, fs_clock_moves },
		{ "store/mboxrd conforms as a tree", make_rd_tree, true, read_of_rd, fs_clock_moves },
		{ "store/mboxo conforms as a tree", make_o_tree, true, read_of_o, fs_clock_moves },
		{ "store/mboxcl2 conforms as a tree", make_cl2_tree, true, read_of_rd, fs_clock_moves },
	};
	int failed = 0;

	for (size_t i = 0; i < COUNT(kinds); i++)
		failed += conform_run(&kinds[i]);
	for (size_t i = 0; i < COUNT(trees); i++)
		failed += conform_tree_run(&trees[i]);
	return failed;
}
