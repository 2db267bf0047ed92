/*
 * An IMAP account as a store, against scripted servers: what it asks, and what it makes of the
 * answers. A test is a row: the server's script, what is done, and what comes of it.
 */
#include "../../lib/unit.h"

#include <inttypes.h>
#include <strings.h>
#include <unistd.h>

#include "../../lib/script.h"
#include "base/log.h"
#include "store/imaptake_p.h"

#define IN(caps)                                                                                   \
	{ NULL, "* OK [CAPABILITY IMAP4rev1 LITERAL+ " caps "] hi\r\n" },                          \
	{                                                                                          \
		"A1 LOGIN \"jane\" \"5ecret\"",                                                    \
			"A1 OK [CAPABILITY IMAP4rev1 LITERAL+ " caps "] in\r\n"                    \
	}
/* without LITERAL+ */
#define BARE(caps)                                                                                 \
	{ NULL, "* OK [CAPABILITY IMAP4rev1 " caps "] hi\r\n" },                                   \
	{                                                                                          \
		"A1 LOGIN \"jane\" \"5ecret\"", "A1 OK [CAPABILITY IMAP4rev1 " caps "] in\r\n"     \
	}
#define QRESYNC(caps)                                                                              \
	IN("ENABLE CONDSTORE QRESYNC " caps),                                                      \
	{                                                                                          \
		"A2 ENABLE QRESYNC", "* ENABLED QRESYNC CONDSTORE\r\nA2 OK\r\n"                    \
	}
#define CONDSTORE(caps)                                                                            \
	IN("ENABLE CONDSTORE " caps),                                                              \
	{                                                                                          \
		"A2 ENABLE CONDSTORE", "* ENABLED CONDSTORE\r\nA2 OK\r\n"                          \
	}

#define OK(tag) tag " OK done\r\n"
/* what stands behind the APPENDs */
#define HEARD(tag) { tag " NOOP", OK(tag) }
#define BOX(exists, validity, next, more)                                                          \
	"* FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft)\r\n* " exists                     \
	" EXISTS\r\n* 0 RECENT\r\n"                                                                \
	"* OK [UIDVALIDITY " validity "] ok\r\n* OK [UIDNEXT " next "] ok\r\n" more
#define MODSEQ(n) "* OK [HIGHESTMODSEQ " n "] ok\r\n"
#define PERMANENT "* OK [PERMANENTFLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft \\*)] ok\r\n"
#define ROW(seq, uid, flags)                                                                       \
	"* " seq " FETCH (UID " uid " FLAGS (" flags                                               \
	") INTERNALDATE \"01-Jan-1970 00:01:40 +0000\" RFC822.SIZE 9)\r\n"
#define FLAGS(seq, uid, flags) "* " seq " FETCH (UID " uid " FLAGS (" flags "))\r\n"
#define ALL "(UID FLAGS INTERNALDATE RFC822.SIZE)"
#define NAMED "(UID FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[HEADER.FIELDS (MESSAGE-ID)])"
#define NAMED_ROW(seq, uid, header)                                                                \
	"* " seq " FETCH (UID " uid                                                                \
	" FLAGS () INTERNALDATE \"01-Jan-1970 00:01:40 +0000\" RFC822.SIZE 9 BODY[HEADER.FIELDS (MESSAGE-ID)] " header ")\r\n"
#define WITH(object) "(UID FLAGS INTERNALDATE RFC822.SIZE " object ")"
#define OBJECT(seq, uid, object)                                                                   \
	"* " seq " FETCH (UID " uid                                                                \
	" FLAGS () INTERNALDATE \"01-Jan-1970 00:01:40 +0000\" RFC822.SIZE 9 " object ")\r\n"
#define LIST "A2 LIST \"\" \"*\""
#define LSUB "A3 LSUB \"\" \"*\""

#define TURNS 28

struct row {
	const char *name;
	struct turn turns[TURNS];
	/*
	 * Commands with ';' between them, their words with blanks; in a stamp '.' stands for a
	 * blank, and '_' for an empty word.
	 */
	const char *act;
	const char *want;     /* what they told; NULL: whatever */
	const char *text;     /* stands in one of the errors or warnings */
	struct turn again[8]; /* a second connection */
	const char *prefix, *trash;
	unsigned disabled;
};

struct rig {
	struct script script;
	const struct turn *turns[3];
	struct imapstore_params params;
	struct store *s;
	struct strbuf told, texts;
	struct staged staged[16];
	size_t n_staged;
	size_t from;      /* where the group begins that is staged */
	size_t landed;    /* those before that are landed, or the test is done with them */
	size_t launched[2];
	struct keywords keywords;
	struct keyword_view view;
	struct look_hint hint;
};

static struct strbuf *texts;

static void to_texts(void *arg, enum log_level level, const char *context, const char *text)
{
	(void)arg;
	(void)context;
	if (level == LOG_WARN)
		strbuf_printf(texts, "warning: %s\n", text);
}

/* ---- what is told ---- */

static void tell_err(struct rig *r, const struct err *e)
{
	static const char *const spans[] = { "msg", "box", "acct" };

	strbuf_printf(&r->told, "!%s/%s", err_kind_name(e->kind), spans[e->span]);
	if (e->retry_after)
		strbuf_printf(&r->told, "/%d", e->retry_after);
	strbuf_printf(&r->texts, "%s\n", e->text);
}

/* "/Junk/$Label1" */
static void tell_words(struct rig *r, uint64_t flags)
{
	for (size_t i = 0; i < r->keywords.n; i++)
		if (flags & keyword_flag(i))
			strbuf_printf(&r->told, "/%s", r->keywords.name[i]);
}

static void tell_msg(struct rig *r, const struct store_msg *m)
{
	char letters[8];

	flags_to_letters(m->flags, letters);
	strbuf_putc(&r->told, ' ');
	if (m->gone)
		strbuf_putc(&r->told, '-');
	strbuf_putsl(&r->told, m->key);
	strbuf_puts(&r->told, letters);
	tell_words(r, m->flags);
	if (m->size || m->date)
		strbuf_printf(&r->told, "(%d,%d)", (int)m->size, (int)m->date);
	if (m->has_object)
		strbuf_printf(&r->told, "#%02x%02x", m->object[0], m->object[1]);
	if (m->has_mid)
		strbuf_printf(&r->told, "@%02x%02x", m->mid[0], m->mid[1]);
}

static void tell_box(struct rig *r, const struct box_info *b)
{
	static const char *const extents[] = { "same", "changes", "all" };

	strbuf_printf(&r->told, "%s'%s'%d", extents[b->extent], b->stamp, (int)b->messages);
	assert_true(b->can_take == b->can_hold);
	if ((b->can_hold & FLAGS_ALL) != FLAGS_ALL)
		strbuf_printf(&r->told, " holds%u", (unsigned)(b->can_hold & FLAGS_ALL));
	if (!r->view.table)
		assert_true(!(b->can_hold & FLAGS_KEYWORDS));
	else if (!(b->can_hold & keyword_flag(KEYWORDS_MAX - 1)))
		tell_words(r, b->can_hold);
	else
		tell_words(r, ~b->can_hold); /* these not */
	strbuf_puts(&r->told, b->reborn ? " reborn" : "");
	strbuf_puts(&r->told, b->read_only ? " ro" : "");
	strbuf_putc(&r->told, ':');
}

static int tell_folder(void *arg, const struct folder_info *f, struct err *e)
{
	struct rig *r = arg;

	(void)e;
	strbuf_printf(&r->told, "%s", f->name);
	if (f->attrs)
		strbuf_printf(&r->told, " a%u", f->attrs);
	if (f->stamp[0])
		strbuf_printf(&r->told, " '%s'", f->stamp);
	if (f->messages != UINT64_MAX)
		strbuf_printf(&r->told, " %d", (int)f->messages);
	strbuf_putc(&r->told, '|');
	return 0;
}

static void tell_done(void *arg, uint64_t num, const struct err *why)
{
	struct rig *r = arg;

	strbuf_printf(&r->told, " %" PRIu64, num);
	if (why)
		tell_err(r, why);
}

/* ---- what is done ---- */

/* '.' for ' ', '_' for nothing. */
static const char *blanks(char *word)
{
	if (strcmp(word, "_") == 0)
		return "";
	for (char *p = word; *p; p++)
		if (*p == '.')
			*p = ' ';
	return word;
}

/* "FS/Junk/$Label1" */
static uint64_t letters(struct rig *r, const char *word)
{
	struct slice rest = slice_str(word);
	size_t n = strcspn(word, "/");
	uint64_t flags = 0, one;
	uint32_t low = 0;

	if (strcmp(word, "_") == 0)
		return 0;
	assert_int_equal(flags_of_letters(slice_of(word, n), &low), 0);
	while (n < rest.n) {
		rest = slice_of(rest.p + n + 1, rest.n - n - 1);
		n = strcspn(rest.p, "/");
		assert_int_equal(keywords_intern(&r->keywords, slice_of(rest.p, n), &one, NULL), 0);
		flags |= one;
	}
	return flags | low;
}

static uint64_t number(const char *word)
{
	uint64_t n = 0;

	assert_true(slice_u64(slice_str(word), INT64_MAX, &n));
	return n;
}

/* Numbers of a set; how many. */
static size_t numbers(const char *set, uint64_t *out, size_t max)
{
	struct uidset u = UIDSET_INIT;
	uint32_t uid;
	size_t n = 0;

	assert_int_equal(uidset_parse(slice_str(set), 10000, &u, NULL), 0);
	for (struct uidset_iter it = { .set = &u }; n < max && uidset_next(&it, &uid);)
		out[n++] = uid;
	uidset_release(&u);
	return n;
}

struct base {
	const char *set;
};

static int known(void *arg, const char *folder,
	int (*each)(void *to, struct slice key, struct err *e), void *to, struct err *e)
{
	const struct base *b = arg;
	struct uidset u = UIDSET_INIT;
	uint32_t uid;
	char key[16];

	(void)folder;
	if (strcmp(b->set, "_") == 0)
		return 0;
	assert_int_equal(uidset_parse(slice_str(b->set), 10000, &u, NULL), 0);
	for (size_t i = u.n; i-- > 0;) /* in any order */
		for (uid = u.a[i].first; uid <= u.a[i].last; uid++) {
			snprintf(key, sizeof(key), "%u", uid);
			assert_int_equal(each(to, slice_str(key), e), 0);
		}
	uidset_release(&u);
	return 0;
}

/* look HOW (FOLDER STAMP KNOWN)...; HOW: r or w, and i for what tells messages apart */
static void do_look(struct rig *r, char **w, size_t n)
{
	const struct store_ops *ops = r->s->ops;
	struct base base[8];
	struct look l[8];
	size_t boxes = 0;
	struct err e = ERR_INIT;

	for (size_t i = 1; i + 2 < n; i += 3, boxes++) {
		base[boxes].set = w[i + 2];
		l[boxes] = (struct look){ .folder = w[i],
			.stamp = blanks(w[i + 1]),
			.known = known,
			.keywords = r->s->keywords,
			.idents = w[0][1] == 'i',
			.arg = &base[boxes] };
	}
	if (ops->look(r->s, l, boxes, w[0][0] == 'w' ? BOX_WRITE : BOX_READ, &e) < 0) {
		tell_err(r, &e);
		return;
	}
	for (;;) {
		struct box_info info;
		struct store_msg m;
		size_t i = 99;
		int rc = ops->look_box(r->s, &i, &info, &e);

		if (rc == 0)
			return;
		strbuf_printf(&r->told, "[%d ", (int)i);
		if (rc > 0) {
			tell_box(r, &info);
			while ((rc = ops->look_next(r->s, &m, &e)) > 0)
				tell_msg(r, &m);
			if (rc == 0)
				assert_int_equal(ops->look_next(r->s, &m, &e), 0);
		}
		if (rc < 0) {
			strbuf_putc(&r->told, ' ');
			tell_err(r, &e);
		}
		strbuf_putc(&r->told, ']');
		if (rc < 0 && e.span == SPAN_ACCT)
			return;
	}
}

static void do_list(struct rig *r)
{
	struct store_msg m;
	struct err e = ERR_INIT;
	int rc = r->s->ops->list_start(r->s, &e);

	while (rc >= 0 && (rc = r->s->ops->list_next(r->s, &m, &e)) > 0)
		tell_msg(r, &m);
	if (rc < 0)
		tell_err(r, &e);
}

/* want SET: "1=text", CR LF as '/'; "1=gone" */
static void do_want(struct rig *r, const char *set)
{
	uint64_t nums[400];
	size_t n = numbers(set, nums, COUNT(nums)), i;
	struct err e = ERR_INIT;
	char buf[64];
	ssize_t k;

	if (r->s->ops->want(r->s, nums, n, &e) < 0) {
		tell_err(r, &e);
		return;
	}
	for (;;) {
		struct stream *body = NULL;
		int rc = r->s->ops->next(r->s, &i, &body, &e);

		if (rc == 0)
			return;
		if (rc > 0 || e.span == SPAN_MSG)
			strbuf_printf(&r->told, " %d=", (int)nums[i]);
		if (rc < 0) {
			tell_err(r, &e);
			if (e.span != SPAN_MSG)
				return;
			continue;
		}
		if (!body)
			strbuf_puts(&r->told, "gone");
		while (body && (k = stream_read(body, buf, sizeof(buf), &e)) > 0)
			for (ssize_t b = 0; b < k; b++)
				if (buf[b] != '\r')
					strbuf_putc(&r->told, buf[b] == '\n' ? '/' : buf[b]);
		if (body && k < 0)
			tell_err(r, &e);
		stream_free(body);
	}
}

/* soon (FOLDER SET HOW)...; how: "r" or "w", and how many kB a message has */
static void do_soon(struct rig *r, char **w, size_t n)
{
	static char text[4][400][12];
	static struct slice keys[4][400];
	struct soon x[4];
	size_t boxes = 0;

	for (size_t i = 0; i + 2 < n; i += 3, boxes++) {
		uint64_t nums[400];
		size_t k = numbers(w[i + 1], nums, COUNT(nums));

		for (size_t m = 0; m < k; m++) {
			snprintf(text[boxes][m], sizeof(text[boxes][m]), "%u", (unsigned)nums[m]);
			keys[boxes][m] = slice_str(text[boxes][m]);
		}
		x[boxes] = (struct soon){ .folder = w[i], .how = w[i + 2][0] == 'w' ? BOX_WRITE : BOX_READ,
			.keywords = r->s->keywords, .keys = keys[boxes], .n = k,
			.bytes = w[i + 2][1] ? 1000 * k * number(w[i + 2] + 1) : 0 };
	}
	r->s->ops->soon(r->s, x, boxes);
}

/* stage TEXT FLAGS DATE: '/' for CR LF, '+' for a blank */
static void do_stage(struct rig *r, char **w)
{
	struct store_meta meta = { .flags = letters(r, w[1]), .date = (int64_t)number(w[2]) };
	struct strbuf text = STRBUF_INIT(10000);
	struct stream *body;
	struct err e = ERR_INIT;

	for (const char *p = w[0]; *p; p++)
		if (*p == '/')
			strbuf_puts(&text, "\r\n");
		else
			strbuf_putc(&text, *p == '+' ? ' ' : *p);
	body = memstream_new(text.s, text.len, 3, NULL);
	if (r->s->ops->stage(r->s, body, &meta, &r->staged[r->n_staged], &e) < 0)
		tell_err(r, &e);
	else
		r->n_staged++;
	stream_free(body);
	strbuf_release(&text);
}

static void tell_keys(struct rig *r, size_t from, size_t to)
{
	for (size_t i = from; i < to; i++) {
		struct staged *st = &r->staged[i];

		strbuf_printf(&r->told, " %s", st->key[0] ? st->key : "none");
		if (st->refused)
			tell_err(r, st->refused);
		free(st->refused);
		st->refused = NULL;
	}
}

static void do_publish(struct rig *r)
{
	struct err e = ERR_INIT;

	if (r->s->ops->publish(r->s, r->staged, r->n_staged, &e) < 0)
		tell_err(r, &e);
	else
		tell_keys(r, 0, r->n_staged);
}

static void do_launch(struct rig *r)
{
	struct err e = ERR_INIT;

	if (r->s->ops->launch(r->s, r->staged + r->from, r->n_staged - r->from, &e) < 0)
		tell_err(r, &e);
	r->launched[r->launched[0] > 0] = r->n_staged;
	r->from = r->n_staged;
}

static void do_land(struct rig *r)
{
	struct err e = ERR_INIT;

	if (r->s->ops->land(r->s, &e) < 0)
		tell_err(r, &e);
	else
		tell_keys(r, r->landed, r->launched[0]);
	r->landed = r->launched[0];
	r->launched[0] = r->launched[1];
	r->launched[1] = 0;
}

/* recover HINT...: of what was staged, in that order */
static void do_recover(struct rig *r, char **w, size_t n)
{
	struct recovery rec[16];
	struct err e = ERR_INIT;

	for (size_t i = 0; i < n; i++)
		rec[i] = (struct recovery){
			.key = "", .hint = blanks(w[i]), .digest = r->staged[i].digest
		};
	if (r->s->ops->recover(r->s, rec, n, &e) < 0) {
		tell_err(r, &e);
		return;
	}
	for (size_t i = 0; i < n; i++) {
		strbuf_putc(&r->told, ' ');
		if (rec[i].found)
			strbuf_putsl(&r->told, rec[i].now);
		else
			strbuf_putc(&r->told, '-');
	}
}

/* flags (SET ADD DEL)... */
static void do_flags(struct rig *r, char **w, size_t n)
{
	struct flag_change c[2000];
	uint64_t nums[2000];
	size_t changes = 0;
	struct err e = ERR_INIT;

	for (size_t i = 0; i + 2 < n; i += 3) {
		size_t k = numbers(w[i], nums, 2000);

		for (size_t j = 0; j < k; j++)
			c[changes++] = (struct flag_change){
				.num = nums[j], .add = letters(r, w[i + 1]), .del = letters(r, w[i + 2])
			};
	}
	if (r->s->ops->set_flags(r->s, c, changes, tell_done, r, &e) < 0)
		tell_err(r, &e);
}

static void tell_ident(void *arg, uint64_t num, const struct ident *id)
{
	struct rig *r = arg;

	strbuf_printf(&r->told, " %llu(%llu%s)", (unsigned long long)num, (unsigned long long)id->size, id->has_mid ? " named" : "");
}

static void do_idents(struct rig *r, const char *set, bool soon, bool marks)
{
	uint64_t nums[2000];
	size_t n = numbers(set, nums, 2000);
	struct err e = ERR_INIT;

	if (soon)
		r->s->ops->idents_soon(r->s, nums, n);
	else if (r->s->ops->idents(r->s, nums, n, marks, tell_ident, r, &e) < 0)
		tell_err(r, &e);
}

static void do_remove(struct rig *r, const char *set)
{
	uint64_t nums[2000];
	size_t n = numbers(set, nums, 2000);
	struct err e = ERR_INIT;

	if (r->s->ops->remove(r->s, nums, n, tell_done, r, &e) < 0)
		tell_err(r, &e);
}

static void tell_moved(void *arg, uint64_t num, struct slice key, const struct err *why)
{
	struct rig *r = arg;

	tell_done(r, num, why);
	if (!why)
		strbuf_printf(&r->told, ">%.*s", (int)key.n, key.n ? key.p : "");
}

/* move, copy SET FOLDER ('_': no messages): " 1>7" it is 7 there, " 1>" as nobody knows what */
static void do_move(struct rig *r, bool copy, char **w)
{
	uint64_t nums[2000];
	size_t n = strcmp(w[0], "_") == 0 ? 0 : numbers(w[0], nums, 2000);
	struct err e = ERR_INIT;

	if ((copy ? r->s->ops->copy : r->s->ops->move)(r->s, nums, n, w[1], NULL, tell_moved, r, &e) < 0)
		tell_err(r, &e);
}

static void do_one(struct rig *r, char *command)
{
	const struct store_ops *ops = r->s->ops;
	char *w[32], *save, *verb = strtok_r(command, " ", &save);
	struct err e = ERR_INIT;
	size_t n = 0;
	int rc = 0;

	while (n < 32 && (w[n] = strtok_r(NULL, " ", &save)))
		n++;
	if (r->told.len)
		strbuf_puts(&r->told, "; ");
	if (strcmp(verb, "folders") == 0) {
		rc = ops->folders(r->s, tell_folder, r, &e);
	} else if (strcmp(verb, "foresee") == 0) { /* HOW, as in look */
		r->hint = (struct look_hint){ .idents = w[0][1] == 'i', .how = w[0][0] == 'w' ? BOX_WRITE : BOX_READ };
		r->s->foreseen = &r->hint;
	} else if (strcmp(verb, "look") == 0) {
		do_look(r, w, n);
	} else if (strcmp(verb, "begin") == 0) { /* a look that nobody reads */
		struct look l = { .folder = w[0], .stamp = "" };

		rc = ops->look(r->s, &l, 1, BOX_READ, &e);
	} else if (strcmp(verb, "open") == 0) {
		unsigned how = n < 2 ? BOX_READ : w[1][0] == 'c' ? BOX_CREATE : BOX_WRITE;
		struct box_info info;

		rc = ops->open_box(r->s, w[0], how, &info, &e);
		if (rc == 0)
			tell_box(r, &info);
	} else if (strcmp(verb, "words") == 0) { /* keywords count; these were refused once */
		r->view.table = &r->keywords;
		r->s->keywords = &r->view;
		r->view.refused = n > 0 ? letters(r, w[0]) : 0;
	} else if (strcmp(verb, "refused") == 0) {
		tell_words(r, r->view.refused);
	} else if (strcmp(verb, "list") == 0) {
		do_list(r);
	} else if (strcmp(verb, "want") == 0) {
		do_want(r, w[0]);
	} else if (strcmp(verb, "soon") == 0) {
		do_soon(r, w, n);
	} else if (strcmp(verb, "flags") == 0) {
		do_flags(r, w, n);
	} else if (strcmp(verb, "remove") == 0) {
		do_remove(r, w[0]);
	} else if (strcmp(verb, "idents") == 0) {
		do_idents(r, w[0], false, n > 1);
	} else if (strcmp(verb, "foretell") == 0) {
		do_idents(r, w[0], true, false);
	} else if (strcmp(verb, "end") == 0) { /* commit follows */
		r->s->ending = true;
		do_remove(r, w[0]);
		r->s->ending = false;
	} else if (strcmp(verb, "move") == 0 || strcmp(verb, "copy") == 0) {
		do_move(r, *verb == 'c', w);
	} else if (strcmp(verb, "commit") == 0) {
		rc = ops->commit(r->s, &e);
	} else if (strcmp(verb, "stage") == 0) {
		do_stage(r, w);
	} else if (strcmp(verb, "unstage") == 0) {
		ops->unstage(r->s, &r->staged[--r->n_staged]);
	} else if (strcmp(verb, "harden") == 0) {
		rc = ops->harden(r->s, r->staged + r->from, r->n_staged - r->from, &e);
		for (size_t i = r->from; rc == 0 && i < r->n_staged; i++)
			strbuf_printf(&r->told, "<%s>", r->staged[i].hint);
	} else if (strcmp(verb, "publish") == 0) {
		do_publish(r);
	} else if (strcmp(verb, "launch") == 0) {
		do_launch(r);
	} else if (strcmp(verb, "land") == 0) {
		do_land(r);
	} else if (strcmp(verb, "next") == 0) { /* another group */
		r->n_staged = 0;
	} else if (strcmp(verb, "recover") == 0) {
		do_recover(r, w, n);
	} else if (strcmp(verb, "create") == 0) {
		rc = ops->folder_create(r->s, w[0], n > 1 ? (unsigned)number(w[1]) : 0, &e);
	} else if (strcmp(verb, "delete") == 0) {
		rc = ops->folder_remove(r->s, w[0], number(w[1]), &e);
	} else if (strcmp(verb, "rename") == 0) {
		rc = ops->folder_rename(r->s, w[0], w[1], &e);
	} else {
		fail_msg("%s?", verb);
	}
	if (rc < 0)
		tell_err(r, &e);
}

/* Play a row: does it come out as it should? */
static bool play(const struct row *row)
{
	struct rig r = { .told = STRBUF_INIT(1 << 20),
		.texts = STRBUF_INIT(1 << 20),
		.turns = { row->turns, row->again } };
	char *acts = strdup(row->act), *save;
	struct err e = ERR_INIT;
	bool good;

	texts = &r.texts;
	log_set_sink(to_texts, NULL);
	script_start(&r.script, r.turns);
	r.params = (struct imapstore_params){ .imap = { .dial = { .host = "127.0.0.1",
								.port = r.script.peer.port,
								.security = DIAL_PLAIN,
								.timeout = 5000 },
						      .what = "work",
						      .user = "jane",
						      .secret = { .literal = "5ecret" },
						      .secure = true,
						      .disabled = row->disabled },
		.prefix = row->prefix };
	r.s = imapstore_new(&r.params, &e);
	assert_non_null(r.s);
	r.s->trash = row->trash;
	for (char *act = strtok_r(acts, ";", &save); act; act = strtok_r(NULL, ";", &save))
		do_one(&r, act);
	r.s->ops->abandon(r.s);
	store_free(r.s);
	good = (!row->want || strcmp(strbuf_str(&r.told), row->want) == 0) &&
		!strstr(r.script.heard, "UNEXPECTED") &&
		!strstr(strbuf_str(&r.texts), "work: work: ") &&
		(!row->text || strstr(strbuf_str(&r.texts), row->text));
	if (!good)
		print_error("%s: told\n%s\nwanted\n%s (%s)\ntexts %s\nheard %s\n", row->name,
			strbuf_str(&r.told), row->want ? row->want : "", row->text ? row->text : "",
			strbuf_str(&r.texts), r.script.heard);
	script_stop(&r.script);
	log_set_sink(NULL, NULL);
	strbuf_release(&r.told);
	strbuf_release(&r.texts);
	keywords_release(&r.keywords);
	free(acts);
	return good;
}

static void play_all(const struct row *rows, size_t n)
{
	size_t bad = 0;

	for (size_t i = 0; i < n; i++)
		bad += !play(&rows[i]);
	assert_int_equal(bad, 0);
}

/* ---- keywords ---- */

#define APPENDS(tag, flags, end) { tag " APPEND \"INBOX\" " flags "\"01-Jan-1970 00:01:40 +0000\" {5+}", "" }, { "two", "" }, { "", end }
#define WORDS(list) "* OK [PERMANENTFLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft $Forwarded" list ")] ok\r\n"
#define SELECT(list) { "A2 SELECT \"INBOX\"", BOX("2", "7", "9", WORDS(list)) "A2 OK [READ-WRITE] ok\r\n" }

static void test_keywords(void **state)
{
	static const struct row rows[] = {
		{ "told by name, whatever their case",
			{ IN(""), { "A2 EXAMINE \"INBOX\"", BOX("2", "7", "9", WORDS(" \\*")) OK("A2") },
				{ "A3 UID FETCH 1:* " ALL, ROW("1", "1", "\\Seen NonJunk $Label1") ROW("2", "2", "nonjunk $Forwarded \\Odd we]rd") OK("A3") }, { 0 } },
			.act = "words;look r INBOX _ _", .want = "[0 all'7 9 2 0'2: 1S/NonJunk/$Label1(9,100) 2P/NonJunk(9,100)]" },
		{ "nothing without a table",
			{ IN(""), { "A2 EXAMINE \"INBOX\"", BOX("1", "7", "9", WORDS(" a \\*")) OK("A2") },
				{ "A3 UID FETCH 1:* " ALL, ROW("1", "1", "\\Seen a b") OK("A3") }, { 0 } },
			.act = "look r INBOX _ _", .want = "[0 all'7 9 1 0'1: 1S(9,100)]" },
		{ "a mailbox that has its own, and no others",
			{ IN(""), SELECT(" Junk $x"), { "A3 UID STORE 2 +FLAGS.SILENT (\\Seen)", "" }, { "A4 UID STORE 1 +FLAGS.SILENT (Junk)", OK("A3") OK("A4") }, { 0 } },
			.act = "words;open INBOX w;flags 1 /junk/other _ 2 S/other _;refused", .want = "same'7 9 2 0'2/Junk/$x:;  2 1; " },
		{ "one of which nothing is said",
			{ IN(""), { "A2 SELECT \"INBOX\"", BOX("2", "7", "9", "") "A2 OK [READ-WRITE] ok\r\n" },
				{ "A3 UID STORE 1 +FLAGS.SILENT (a)", OK("A3") }, { 0 } },
			.act = "words;open INBOX w;flags 1 /a _", .want = "same'7 9 2 0'2:;  1" },
		{ "added and taken, beside flags",
			{ IN(""), SELECT(" \\*"), { "A3 UID STORE 1 +FLAGS.SILENT (\\Seen)", "" }, { "A4 UID STORE 1 +FLAGS.SILENT (a b)", "" },
				{ "A5 UID STORE 1 -FLAGS.SILENT (\\Flagged)", "" }, { "A6 UID STORE 1 -FLAGS.SILENT (c)", OK("A3") OK("A4") OK("A5") OK("A6") }, { 0 } },
			.act = "words;open INBOX w;flags 1 S/a/b F/c;refused", .want = "same'7 9 2 0'2:;  1; " },
		{ "refused: which of them, and flags are given",
			{ IN(""), SELECT(" \\*"), { "A3 UID STORE 1:2 +FLAGS.SILENT (\\Seen)", "" },
				{ "A4 UID STORE 1:2 +FLAGS.SILENT (good bad)", OK("A3") "A4 NO Keywords are not supported\r\n" },
				{ "A5 UID STORE 1:2 +FLAGS.SILENT (good)", "" }, { "A6 UID STORE 1:2 +FLAGS.SILENT (bad)", OK("A5") "A6 NO [LIMIT] too many\r\n" }, { 0 } },
			.act = "words;open INBOX w;flags 1:2 S/good/bad _;refused", .want = "same'7 9 2 0'2:;  1 2; /bad" },
		{ "refused by itself for one, and among others for another",
			{ IN(""), SELECT(" \\*"), { "A3 UID STORE 1 +FLAGS.SILENT (a)", "A3 NO [LIMIT] too many for it\r\n" },
				{ "A4 UID STORE 2 +FLAGS.SILENT (a b)", "A4 NO\r\n" }, { "A5 UID STORE 2 +FLAGS.SILENT (a)", "" },
				{ "A6 UID STORE 2 +FLAGS.SILENT (b)", OK("A5") OK("A6") }, { 0 } },
			.act = "words;open INBOX w;flags 1 /a _ 2 /a/b _;refused", .want = "same'7 9 2 0'2:;  1 2; /a" },
		{ "refused alone",
			{ IN(""), SELECT(" \\*"), { "A3 UID STORE 1 +FLAGS.SILENT (bad)", "A3 BAD what?\r\n" }, { 0 } },
			.act = "words;open INBOX w;flags 1 /bad _;flags 2 /bad _;refused", .want = "same'7 9 2 0'2:;  1;  2; /bad" },
		{ "for now: tried again another time",
			{ IN(""), SELECT(" \\*"), { "A3 UID STORE 1 +FLAGS.SILENT (a)", "A3 NO [SERVERBUG] oops\r\n" },
				{ "A4 UID STORE 1 +FLAGS.SILENT (a)", "A4 NO [SERVERBUG] oops\r\n" }, { 0 } },
			.act = "words;open INBOX w;flags 1 /a _;refused", .want = "same'7 9 2 0'2:;  1!temp/msg; " },
		{ "refused before",
			{ IN(""), SELECT(" \\*"), { "A3 UID STORE 2 +FLAGS.SILENT (good)", OK("A3") }, { 0 } },
			.act = "words /bad;open INBOX w;flags 1 /bad _ 2 /good/bad _;refused", .want = "same'7 9 2 0'2/bad:;  1 2; /bad" },
		{ "and taken since, by somebody else",
			{ IN(""), SELECT(" BAD \\*"), { "A3 UID STORE 1 +FLAGS.SILENT (bad)", OK("A3") }, { 0 } },
			.act = "words /bad;open INBOX w;flags 1 /bad _;refused", .want = "same'7 9 2 0'2:;  1; " },
		{ "the link breaks while it is found out which",
			{ IN(""), SELECT(" \\*"), { "A3 UID STORE 1 +FLAGS.SILENT (a b)", "A3 NO\r\n" }, { "A4 UID STORE 1 +FLAGS.SILENT (a)", NULL }, { 0 } },
			.act = "words;open INBOX w;flags 1 /a/b _;refused", .want = "same'7 9 2 0'2:;  1!temp/acct; /a/b" },
		{ "with what is delivered; where the first is refused for it, neither has it",
			{ IN("UIDPLUS"), SELECT(" \\*"), APPENDS("A3", "(\\Seen Junk bad) ", ""),
				APPENDS("A4", "(\\Seen Junk bad) ", "A3 NO [LIMIT] keywords\r\nA4 OK [APPENDUID 7 9] ok\r\n"), HEARD("A5"),
				APPENDS("A6", "(\\Seen) ", "A6 OK [APPENDUID 7 10] ok\r\n"), HEARD("A7"), { 0 } },
			.act = "words;open INBOX w;stage two/ S/Junk/bad 100;stage two/ S/Junk/bad 100;harden;publish;refused",
			.want = "same'7 9 2 0'2:; ; ; <7 9 5 -><7 9 5 ->;  10 9; /Junk/bad" },
		{ "what is refused without keywords, too, is refused for something else",
			{ IN("UIDPLUS"), SELECT(" \\*"), APPENDS("A3", "(Junk) ", "A3 NO no\r\n"), HEARD("A4"), APPENDS("A5", "", "A5 NO no\r\n"), HEARD("A6"), { 0 } },
			.act = "words;open INBOX w;stage two/ /Junk 100;harden;publish;refused", .want = "same'7 9 2 0'2:; ; <7 9 5 ->;  none!refused/msg; " },
	};

	(void)state;
	play_all(rows, COUNT(rows));
}

/* ---- folders ---- */

static void test_folders(void **state)
{
	static const struct row rows[] = {
		{ "all in one command",
			{ QRESYNC("LIST-EXTENDED LIST-STATUS SPECIAL-USE NAMESPACE"),
				{ "A3 NAMESPACE",
					"* NAMESPACE ((\"\" \"/\")) ((\"~\" \"/\")) ((\"Shared/\" \"/\"))\r\nA3 OK\r\n" },
				{ "A4 LIST \"\" \"*\" RETURN (SUBSCRIBED SPECIAL-USE STATUS (MESSAGES UIDNEXT UIDVALIDITY HIGHESTMODSEQ))",
					"* LIST (\\Subscribed) \"/\" inbox\r\n"
					"* STATUS INBOX (MESSAGES 3 UIDNEXT 4 UIDVALIDITY 7 HIGHESTMODSEQ 9)\r\n"
					"* LIST (\\HasChildren \\Noselect) \"/\" Work\r\n"
					"* LIST (\\Sent) \"/\" \"Work/Gesendete Objekte\"\r\n"
					"* STATUS \"Work/Gesendete Objekte\" (MESSAGES 0 UIDNEXT 1 UIDVALIDITY 8 HIGHESTMODSEQ 0)\r\n"
					"* LIST (\\NonExistent \\Trash) \"/\" \"B&APY-se\"\r\n"
					"* LIST () \"/\" \"Shared/x\"\r\n"
					"* LIST () \"/\" \"Shared\"\r\n"
					"* LIST () \"/\" \"~bob/x\"\r\n"
					"* STATUS never (MESSAGES 1)\r\n" OK("A4") },
				{ 0 } },
			.act = "folders",
			.want = "Böse a257|INBOX a2 '7 4 3 9' 3|Work a1|Work/Gesendete Objekte a128 0|" },
		{ "with their MAILBOXIDs",
			{ QRESYNC("LIST-EXTENDED LIST-STATUS OBJECTID"),
				{ "A3 LIST \"\" \"*\" RETURN (SUBSCRIBED STATUS (MESSAGES UIDNEXT UIDVALIDITY HIGHESTMODSEQ MAILBOXID))",
					"* LIST () \"/\" INBOX\r\n"
					"* STATUS INBOX (MESSAGES 3 UIDNEXT 4 UIDVALIDITY 7 HIGHESTMODSEQ 9 MAILBOXID (F1))\r\n"
					"* LIST () \"/\" x\r\n"
					"* STATUS x (MESSAGES 3 UIDNEXT 4 UIDVALIDITY 7 HIGHESTMODSEQ 9)\r\n" OK("A3") },
				{ 0 } },
			.act = "folders", .want = "INBOX '7 4 3 9 649937848964620440' 3|x '7 4 3 9' 3|" },
		{ "command by command",
			{ CONDSTORE("NAMESPACE"),
				{ "A3 NAMESPACE",
					"* NAMESPACE ((\"INBOX.\" \".\")) NIL ((\"shared.\" \".\"))\r\nA3 OK\r\n" },
				{ "A4 LIST \"\" \"*\"",
					"* LIST () \".\" INBOX\r\n* LIST () \".\" INBOX.Sent\r\n"
					"* LIST () \".\" inbox.Low\r\n* LIST (\\Noselect) \".\" INBOX.a/b.c\r\n* LIST () \".\" shared.x\r\n"
					"* LIST () \".\" other\r\n" OK("A4") },
				{ "A5 LSUB \"\" \"*\"",
					"* LSUB () \".\" INBOX.Sent\r\n* LSUB () \".\" INBOX.gone\r\n" OK(
						"A5") },
				{ "A6 STATUS \"INBOX\" (MESSAGES UIDNEXT UIDVALIDITY HIGHESTMODSEQ)",
					"" },
				{ "A7 STATUS \"INBOX.Sent\" (MESSAGES UIDNEXT UIDVALIDITY HIGHESTMODSEQ)",
					"" },
				{ "A8 STATUS \"inbox.Low\" (MESSAGES UIDNEXT UIDVALIDITY HIGHESTMODSEQ)",
					"* STATUS \"INBOX\" (MESSAGES 1 UIDNEXT 2 UIDVALIDITY 3 HIGHESTMODSEQ 4)\r\n" OK(
						"A6") "* STATUS \"INBOX.Sent\" (MESSAGES 1 UIDNEXT 2 UIDVALIDITY 3)\r\n" OK("A7") "A8 NO\r\n" },
				{ 0 } },
			.act = "folders", .want = "INBOX '3 2 1 4' 1|Low|Sent a2 1|a%2Fb/c a1|" },
		{ "without CONDSTORE a STATUS proves nothing",
			{ IN("LIST-EXTENDED LIST-STATUS"),
				{ LIST " RETURN (SUBSCRIBED)", "* LIST () NIL INBOX\r\n" OK("A2") },
				{ 0 } },
			.act = "folders", .want = "INBOX|" },
		{ "LSUB refused",
			{ IN(""), { LIST, "* LIST () NIL INBOX\r\n" OK("A2") },
				{ LSUB, "A3 NO\r\n" }, { 0 } },
			.act = "folders", .want = "INBOX|" },
		{ "LIST refused", { IN(""), { LIST, "A2 NO no\r\n" }, { LSUB, OK("A3") }, { 0 } },
			.act = "folders", .want = "!refused/acct",
			.text = "work: the list of folders: the server says \"no\"" },
		{ "none", { IN(""), { LIST, OK("A2") }, { LSUB, OK("A3") }, { 0 } },
			.act = "folders", .want = "" },
		{ "names that are left out",
			{ IN(""),
				{ LIST,
					"* LIST () \"/\" INBOX\r\n* LIST () \"/\" InBox\r\n* LIST () \"/\" \"../../x\"\r\n* LIST () \"/\" \"/etc/x\"\r\n"
					"* LIST () \"/\" \"a//b\"\r\n* LIST () \"/\" \"a/\"\r\n* LIST () \"/\" \"&AGE-\"\r\n* LIST () \"/\" \"caf\xc3\xa9\"\r\n"
					"* LIST () \"/\" {3}\r\na\rb\r\n* LIST () \"/\" \"x&AIA-\"\r\n* LIST () \"/\" \".\"\r\n* LIST () \"/\" \"ok.x\"\r\n" OK(
						"A2") },
				{ LSUB, OK("A3") }, { 0 } },
			.act = "folders", .want = "INBOX|ok.x|",
			.text = "'../../x' is left out: a level of it is '.' or '..'" },
		{ "two of one name",
			{ IN(""),
				{ LIST,
					"* LIST () \".\" \"a/b\"\r\n* LIST () \".\" \"inbox.x\"\r\n"
					"* LIST () \".\" \"INBOX.x\"\r\n* LIST () \".\" \"a%2Fb\"\r\n* LIST () \".\" \"a%2fb\"\r\n"
					"* LIST () \".\" \"a%252Fb\"\r\n" OK("A2") },
				{ LSUB, OK("A3") }, { 0 } },
			.act = "folders", .want = "INBOX/x|a%25252Fb|a%252Fb|a%2Fb|a%2fb|",
			.text = "'inbox.x' is left out: another one would have" },
		{ "a prefix by configuration",
			{ IN("NAMESPACE"),
				{ "A2 NAMESPACE",
					"* NAMESPACE ((\"\" \"/\")) NIL NIL\r\nA2 OK\r\n" },
				{ "A3 LIST \"\" \"*\"",
					"* LIST () \"/\" INBOX\r\n* LIST () \"/\" mail/a\r\n* LIST () \"/\" mail\r\n"
					"* LIST () \"/\" etc\r\n* LIST () \"/\" mail/b\r\n" OK(
						"A3") },
				{ "A4 LSUB \"\" \"*\"", OK("A4") },
				{ "A5 CREATE \"mail/c/d\"", OK("A5") },
				{ "A6 SUBSCRIBE \"mail/c/d\"", OK("A6") }, { 0 } },
			.act = "folders;create c/d", .want = "INBOX|a|b|; ", .prefix = "mail" },
		{ "an alert",
			{ IN(""), { LIST, "* OK [ALERT] Buy more\x1b[2J disk\r\n" OK("A2") },
				{ LSUB, OK("A3") }, { 0 } },
			.act = "folders", .want = "",
			.text = "work: the server says: \"Buy more\\x1b[2J disk\"" },
		{ "lost in the middle, and dialled anew",
			{ IN(""), { LIST, "* LIST () \"/\" INBOX\r\n" }, { LSUB, NULL }, { 0 } },
			.act = "folders;folders", .want = "!temp/acct; INBOX|",
			.again = { IN(""), { LIST, "* LIST () \"/\" INBOX\r\n" OK("A2") },
				{ LSUB, OK("A3") }, { 0 } } },
	};

	(void)state;
	play_all(rows, COUNT(rows));
}

/* What a server calls a folder is shown under one name, and that name means this folder. */
static void test_names(void **state)
{
	static const char *const bits[] = { "a", "%", "2", "5", "F", "%2F", "%25", "/", ".", "|",
		" ", "\xc3\xa4", "inbox", "INBOX" };
	static const char seps[] = { '/', '.', '|', '\0' };
	struct imapstore_params p = { .imap = { .user = "jane" } };
	struct err e = ERR_INIT;
	struct imapstore *t = (struct imapstore *)imapstore_new(&p, &e);
	unsigned shown = 0;

	(void)state;
	assert_non_null(t);
	t->conn.utf8 = true;
	srand(7);
	for (int i = 0; i < 200000; i++) {
		struct strbuf wire = STRBUF_INIT(1000), name = STRBUF_INIT(1000);
		char *back;

		t->sep = seps[i % 4];
		for (int n = 1 + rand() % 6; n > 0; n--)
			strbuf_puts(&wire, bits[(size_t)rand() % COUNT(bits)]);
		if (imapname_show(t, strbuf_slice(&wire), t->sep, &name, &e) == 0) {
			back = imapname_wire(t, strbuf_str(&name), &e);
			if (!back)
				fail_msg("%s: %s", strbuf_str(&wire), e.text);
			/* the inbox has many spellings */
			if (strcasecmp(back, strbuf_str(&wire)) != 0 ||
				(strncasecmp(back, "INBOX", 5) != 0 &&
					strcmp(back, strbuf_str(&wire)) != 0))
				fail_msg("%s is shown as %s, which means %s", strbuf_str(&wire),
					strbuf_str(&name), back);
			free(back);
			shown++;
		}
		strbuf_release(&wire);
		strbuf_release(&name);
	}
	assert_true(shown > 50000);
	store_free(&t->s);
}

/* ---- looks ---- */

static void test_looks(void **state)
{
	static const struct row rows[] = {
		{ "first, two at once",
			{ IN(""), { LIST, "* LIST () \"/\" a\r\n" OK("A2") }, { LSUB, OK("A3") },
				{ "A4 EXAMINE \"INBOX\"", "" }, { "A5 UID FETCH 1:* " ALL, "" },
				{ "A6 EXAMINE \"a\"", "" },
				{ "A7 UID FETCH 1:* " ALL,
					BOX("2", "7", "6", "") "A4 OK [READ-ONLY] ok\r\n" ROW("1",
						"3", "\\Seen") ROW("2", "5", "") OK("A5") BOX("0",
						"8", "1", "") "A6 OK [READ-ONLY] ok\r\n"
							      "A7 BAD nothing to fetch\r\n" },
				{ 0 } },
			.act = "look r INBOX _ _ a _ _",
			.want = "[0 all'7 6 2 0'2: 3S(9,100) 5(9,100)][1 all'8 1 0 0'0:]" },
		{ "one that is not there",
			{ IN(""), { LIST, "* LIST () \"/\" a\r\n" OK("A2") }, { LSUB, OK("A3") },
				{ "A4 SELECT \"a\"", "A4 NO [NONEXISTENT] gone\r\n" },
				{ "A5 UID FETCH 1:* " ALL, "A5 BAD no mailbox\r\n" },
				{ "A6 SELECT \"INBOX\"",
					BOX("1", "7", "2", PERMANENT) "A6 OK [READ-WRITE] ok\r\n" },
				{ "A7 UID FETCH 1:* " ALL, ROW("1", "1", "") OK("A7") }, { 0 } },
			.act = "look w a _ _ INBOX _ _",
			.want = "[0  !refused/box][1 all'7 2 1 0'1: 1(9,100)]",
			.text = "work: 'a': the server says \"[NONEXISTENT] gone\"" },
		{ "and the server stays where it was",
			{ IN(""), { LIST, "* LIST () \"/\" a\r\n" OK("A2") }, { LSUB, OK("A3") },
				{ "A4 EXAMINE \"INBOX\"", BOX("1", "7", "2", "") OK("A4") },
				{ "A5 UID FETCH 1:* " ALL, ROW("1", "1", "") OK("A5") },
				{ "A6 EXAMINE \"a\"", "A6 NO\r\n" },
				{ "A7 UID FETCH 1:* " ALL, ROW("1", "1", "") OK("A7") }, { 0 } },
			.act = "look r INBOX _ _ a _ _",
			.want = "[0 all'7 2 1 0'1: 1(9,100)][1  !refused/box]" },
		{ "flags only",
			{ IN(""), { "A2 EXAMINE \"INBOX\"", BOX("3", "7", "9", "") OK("A2") },
				{ "A3 UID FETCH 1:5 (UID FLAGS)",
					FLAGS("1", "2", "\\Seen $Forwarded") FLAGS("2", "4", "")
						OK("A3") },
				{ "A4 UID FETCH 6:* " ALL, ROW("3", "8", "\\Recent foo") OK("A4") },
				{ 0 } },
			.act = "look r INBOX 7.6.2.0 2,4",
			.want = "[0 all'7 9 3 0'3: 2PS 4 8(9,100)]" },
		{ "nothing new is the last one again",
			{ IN(""), { "A2 EXAMINE \"INBOX\"", BOX("2", "7", "6", "") OK("A2") },
				{ "A3 UID FETCH 1:5 (UID FLAGS)",
					FLAGS("1", "2", "") FLAGS("2", "4", "") OK("A3") },
				{ "A4 UID FETCH 6:* " ALL, ROW("2", "4", "") OK("A4") }, { 0 } },
			.act = "look r INBOX 7.6.2.0 2,4", .want = "[0 all'7 6 2 0'2: 2 4]" },
		{ "with the server's own names of messages: EMAILID",
			{ IN("OBJECTID"), { "A2 EXAMINE \"INBOX\"", BOX("2", "7", "6", "") OK("A2") },
				{ "A3 UID FETCH 1:* " WITH("EMAILID"),
					OBJECT("1", "2", "EMAILID (M1)") OBJECT("2", "4", "EMAILID NIL") OK("A3") }, { 0 } },
			.act = "look r INBOX _ _", .want = "[0 all'7 6 2 0'2: 2(9,100)#2d21 4(9,100)]" },
		{ "and X-GM-MSGID",
			{ IN("X-GM-EXT-1"), { "A2 EXAMINE \"INBOX\"", BOX("2", "7", "6", "") OK("A2") },
				{ "A3 UID FETCH 1:* " WITH("X-GM-MSGID"),
					OBJECT("1", "2", "X-GM-MSGID 1278455344230334865") OBJECT("2", "4", "X-GM-MSGID 99999999999999999999") OK("A3") }, { 0 } },
			.act = "look r INBOX _ _", .want = "[0 all'7 6 2 0'2: 2(9,100)#1ce2 4(9,100)]" },
		{ "fewer than there are",
			{ IN(""), { LIST, "* LIST () \"/\" a\r\n" OK("A2") }, { LSUB, OK("A3") },
				{ "A4 EXAMINE \"INBOX\"", BOX("3", "7", "9", "") OK("A4") },
				{ "A5 UID FETCH 1:* " ALL,
					ROW("1", "1", "") ROW("2", "2", "") OK("A5") },
				{ "A6 EXAMINE \"a\"", BOX("1", "8", "2", "") OK("A6") },
				{ "A7 UID FETCH 1:* " ALL, ROW("1", "1", "") OK("A7") }, { 0 } },
			.act = "look r INBOX _ _ a _ _",
			.want = "[0 all'7 9 3 0'3: 1(9,100) 2(9,100) !proto/box][1 all'8 2 1 0'1: 1(9,100)]",
			.text = "the server says that there are 3 messages but lists 2" },
		{ "fewer, and one that has come does not count",
			{ IN(""), { "A2 EXAMINE \"INBOX\"", BOX("2", "7", "9", "") OK("A2") },
				{ "A3 UID FETCH 1:* " ALL,
					ROW("1", "1", "") "* 3 EXISTS\r\n" ROW("3", "9", "")
						OK("A3") },
				{ 0 } },
			.act = "look r INBOX _ _",
			.want = "[0 all'7 9 2 0'2: 1(9,100) 9(9,100) !proto/box]" },
		{ "an expunge storm",
			{ IN(""), { "A2 EXAMINE \"INBOX\"", BOX("3", "7", "9", "") OK("A2") },
				{ "A3 UID FETCH 1:* " ALL,
					"* 1 EXPUNGE\r\n* 1 EXPUNGE\r\n" ROW(
						"1", "3", "") "* 9 EXPUNGE\r\n" OK("A3") },
				{ 0 } },
			.act = "look r INBOX _ _", .want = "[0 all'7 9 3 0'3: 3(9,100) !temp/box]",
			.text = "some were removed meanwhile" },
		{ "gone as soon as it is listed",
			{ IN(""), { "A2 EXAMINE \"INBOX\"", BOX("1", "7", "9", "") OK("A2") },
				{ "A3 UID FETCH 1:* " ALL,
					ROW("1", "3", "") "* 1 EXPUNGE\r\n" OK("A3") },
				{ 0 } },
			.act = "look r INBOX _ _", .want = "[0 all'7 9 1 0'1: 3(9,100)]" },
		{ "what nobody asked for",
			{ IN(""),
				{ "A2 EXAMINE \"INBOX\"",
					"* 9 FETCH (UID 99 FLAGS ())\r\n" BOX("1", "7", "9", "")
						ROW("1", "98", "") OK("A2") },
				{ "A3 UID FETCH 1:* " ALL,
					"* 1 FETCH (FLAGS (\\Seen))\r\n* 1 FETCH (UID 3 FLAGS (\\Seen))\r\n* 1 FETCH (UID 4)\r\n" ROW(
						"1", "3", "") ROW("1", "3",
						"\\Deleted") "* SEARCH 1 2\r\n* VANISHED (EARLIER) 1:9\r\n* STATUS x ()\r\n"
							     "* 1 FETCH (UID 5 BODY[] {3}\r\nabc)\r\n" OK(
								     "A3") },
				{ 0 } },
			.act = "look r INBOX _ _", .want = "[0 all'7 9 1 0'1: 3(9,100)]" },
		{ "renumbered",
			{ QRESYNC(""),
				{ "A3 EXAMINE \"INBOX\"",
					BOX("1", "8", "9", MODSEQ("20")) OK("A3") },
				{ "A4 UID FETCH 1:5 (UID FLAGS) (CHANGEDSINCE 10 VANISHED)",
					"* VANISHED (EARLIER) 1:5\r\n" OK("A4") },
				{ "A5 UID FETCH 6:* " ALL, ROW("1", "8", "") OK("A5") }, { 0 } },
			.act = "look r INBOX 7.6.2.10 2,4",
			.want = "[0 changes'8 9 1 20'1 reborn:]" },
		{ "made anew under its old name, by MAILBOXID (649941147499505073 is F2's)",
			{ QRESYNC("OBJECTID"),
				{ "A3 EXAMINE \"INBOX\"",
					BOX("1", "7", "9", MODSEQ("20") "* OK [MAILBOXID (F2)] ok\r\n") OK("A3") },
				{ "A4 UID FETCH 1:5 (UID FLAGS) (CHANGEDSINCE 10 VANISHED)",
					"* VANISHED (EARLIER) 1:5\r\n" OK("A4") },
				{ "A5 UID FETCH 6:* " WITH("EMAILID"), ROW("1", "8", "") OK("A5") }, { 0 } },
			.act = "look r INBOX 7.6.2.10.649937848964620440 2,4",
			.want = "[0 changes'7 9 1 20 649941147499505073'1 reborn:]" },
		{ "UIDNEXT went back",
			{ IN(""), { "A2 EXAMINE \"INBOX\"", BOX("1", "7", "5", "") OK("A2") },
				{ "A3 UID FETCH 1:5 (UID FLAGS)", OK("A3") },
				{ "A4 UID FETCH 6:* " ALL, OK("A4") }, { 0 } },
			.act = "look r INBOX 7.6.2.0 2,4",
			.want = "[0 changes'7 5 1 0'1 reborn:]" },
		{ "without UIDVALIDITY",
			{ IN(""), { "A2 EXAMINE \"INBOX\"", "* 1 EXISTS\r\n" OK("A2") },
				{ "A3 UID FETCH 1:* " ALL, ROW("1", "1", "") OK("A3") }, { 0 } },
			.act = "look r INBOX _ _", .want = "[0  !proto/box]",
			.text = "the server does not say of 'INBOX' its UIDVALIDITY" },
		{ "without EXISTS",
			{ IN(""),
				{ "A2 EXAMINE \"INBOX\"", "* OK [UIDVALIDITY 7] ok\r\n" OK("A2") },
				{ "A3 UID FETCH 1:* " ALL, ROW("1", "1", "") OK("A3") }, { 0 } },
			.act = "look r INBOX _ _", .want = "[0  !proto/box]" },
		{ "without UIDNEXT",
			{ IN(""),
				{ "A2 EXAMINE \"INBOX\"",
					"* 1 EXISTS\r\n* OK [UIDVALIDITY 7] ok\r\n" OK("A2") },
				{ "A3 UID FETCH 1:* " ALL, ROW("1", "1", "") OK("A3") }, { 0 } },
			.act = "look r INBOX 7.0.1.0 1", .want = "[0 all'7 0 1 0'1: 1(9,100)]" },
		{ "FETCH refused",
			{ IN(""), { LIST, "* LIST () \"/\" a\r\n" OK("A2") }, { LSUB, OK("A3") },
				{ "A4 EXAMINE \"INBOX\"", BOX("1", "7", "9", "") OK("A4") },
				{ "A5 UID FETCH 1:* " ALL, "A5 NO [SERVERBUG] ouch\r\n" },
				{ "A6 EXAMINE \"a\"", BOX("0", "8", "1", "") OK("A6") },
				{ "A7 UID FETCH 1:* " ALL, OK("A7") }, { 0 } },
			.act = "look r INBOX _ _ a _ _",
			.want = "[0 all'7 9 1 0'1: !temp/box][1 all'8 1 0 0'0:]",
			.text = "work: 'INBOX': the server says \"[SERVERBUG] ouch\"" },
		{ "not now",
			{ IN(""), { "A2 EXAMINE \"INBOX\"", "A2 NO [UNAVAILABLE] later\r\n" },
				{ "A3 UID FETCH 1:* " ALL, "A3 BAD\r\n" },
				{ "A4 EXAMINE \"INBOX\"", BOX("0", "7", "9", "") OK("A4") },
				{ 0 } },
			.act = "look r INBOX _ _;open INBOX",
			.want = "[0  !temp/acct/60]; same'7 9 0 0'0:" },
		{ "answers in disorder",
			{ IN(""), { LIST, "* LIST () \"/\" a\r\n" OK("A2") }, { LSUB, OK("A3") },
				{ "A4 EXAMINE \"INBOX\"", "" }, { "A5 UID FETCH 1:* " ALL, "" },
				{ "A6 EXAMINE \"a\"", "" },
				{ "A7 UID FETCH 1:* " ALL,
					BOX("0", "7", "9", "") OK("A4") OK("A6") },
				{ 0 } },
			.act = "look r INBOX _ _ a _ _", .want = "[0 all'7 9 0 0'0: !proto/acct]",
			.text = "answers in another order" },
		{ "lost in the middle, and dialled anew",
			{ IN(""), { "A2 EXAMINE \"INBOX\"", BOX("2", "7", "9", "") OK("A2") },
				{ "A3 UID FETCH 1:* " ALL,
					ROW("1", "1", "") "* BYE gone fishing\r\n" },
				{ NULL, NULL }, { 0 } },
			.act = "look r INBOX _ _;list;look r INBOX _ _",
			.want = "[0 all'7 9 2 0'2: 1(9,100) !temp/acct]; !temp/acct; [0 all'7 9 2 0'2: 1(9,100) 2(9,100)]",
			.text = "gone fishing",
			.again = { IN(""),
				{ "A2 EXAMINE \"INBOX\"", BOX("2", "7", "9", "") OK("A2") },
				{ "A3 UID FETCH 1:* " ALL,
					ROW("1", "1", "") ROW("2", "2", "") OK("A3") },
				{ 0 } } },
		{ "a look that nobody reads",
			{ IN(""), { "A2 EXAMINE \"INBOX\"", BOX("2", "7", "9", "") OK("A2") },
				{ "A3 UID FETCH 1:* " ALL,
					ROW("1", "1", "") ROW("2", "2", "") OK("A3") },
				{ "A4 SELECT \"INBOX\"", BOX("2", "7", "9", "") OK("A4") }, { 0 } },
			.act = "begin INBOX;open INBOX w", .want = "same'7 9 2 0'2:" },
		{ "a list of the open box",
			{ IN(""), { "A2 EXAMINE \"INBOX\"", BOX("0", "7", "9", "") OK("A2") },
				{ "A3 EXAMINE \"INBOX\"", BOX("2", "7", "9", "") OK("A3") },
				{ "A4 UID FETCH 1:* " ALL,
					ROW("1", "1", "") ROW("2", "2", "") OK("A4") },
				{ "A5 EXAMINE \"INBOX\"", BOX("2", "8", "9", "") OK("A5") },
				{ "A6 UID FETCH 1:* " ALL, OK("A6") }, { 0 } },
			.act = "open INBOX;list;list",
			.want = "same'7 9 0 0'0:;  1(9,100) 2(9,100); !temp/box",
			.text = "was made anew" },
		{ "another folder since the look",
			{ IN(""), { "A2 EXAMINE \"INBOX\"", BOX("0", "7", "9", "") OK("A2") },
				{ "A3 UID FETCH 1:* " ALL, OK("A3") },
				{ "A4 SELECT \"INBOX\"", BOX("0", "8", "1", "") OK("A4") }, { 0 } },
			.act = "look r INBOX _ _;open INBOX w",
			.want = "[0 all'7 9 0 0'0:]; !temp/box" },
		{ "what it can hold",
			{ IN(""),
				{ "A2 SELECT \"INBOX\"",
					BOX("0", "7", "9",
						"* OK [PERMANENTFLAGS (\\Seen \\Deleted)] ok\r\n") "A2 OK [READ-WRITE] ok\r\n" },
				{ "A3 UID FETCH 1:* " ALL, OK("A3") }, { 0 } },
			.act = "look w INBOX _ _;open INBOX w",
			.want = "[0 all'7 9 0 0'0 holds9:]; same'7 9 0 0'0 holds9:" },
		{ "closed while it was idle",
			{ IN(""), { "A2 SELECT \"INBOX\"", BOX("0", "7", "9", "") OK("A2") },
				{ "A3 LIST \"\" \"*\"", NULL } },
			.act = "open INBOX w;open x", .want = "same'7 9 0 0'0:; same'8 1 0 0'0:",
			.again = { IN(""), { LIST, OK("A2") }, { LSUB, OK("A3") },
				{ "A4 EXAMINE \"x\"", BOX("0", "8", "1", "") OK("A4") }, { 0 } } },
		{ "for reading only",
			{ IN(""),
				{ "A2 SELECT \"INBOX\"",
					BOX("0", "7", "9",
						"* OK [PERMANENTFLAGS ()] ok\r\n") "A2 OK [READ-ONLY] ok\r\n" },
				{ 0 } },
			.act = "open INBOX w;flags 1 S _",
			.want = "same'7 9 0 0'0 ro:; !refused/box",
			.text = "'INBOX' can only be read" },
	};

	(void)state;
	play_all(rows, COUNT(rows));
}

#define LISTED "* LIST () \"/\" INBOX\r\n* LIST () \"/\" a\r\n" OK("A2")

/* A look that leaves with LIST, before it is announced. */
static void test_early_looks(void **state)
{
	static const struct row rows[] = {
		{ "it comes first, wherever it stands",
			{ IN(""), { LIST, "" }, { LSUB, "" }, { "A4 EXAMINE \"INBOX\"", "" },
				{ "A5 UID FETCH 1:* " ALL, LISTED OK("A3") BOX("1", "7", "6", "") OK("A4") ROW("1", "3", "\\Seen") OK("A5") },
				{ "A6 EXAMINE \"a\"", BOX("0", "8", "1", "") OK("A6") }, { "A7 UID FETCH 1:* " ALL, OK("A7") }, { 0 } },
			.act = "foresee r;folders;look r a _ _ INBOX _ _",
			.want = "INBOX|a|; [1 all'7 6 1 0'1: 3S(9,100)][0 all'8 1 0 0'0:]" },
		{ "once",
			{ IN(""), { LIST, "" }, { LSUB, "" }, { "A4 EXAMINE \"INBOX\"", "" },
				{ "A5 UID FETCH 1:* " ALL, LISTED OK("A3") BOX("0", "7", "6", "") OK("A4") OK("A5") },
				{ "A6 LIST \"\" \"*\"", OK("A6") }, { "A7 LSUB \"\" \"*\"", OK("A7") }, { 0 } },
			.act = "foresee r;folders;look r INBOX _ _;folders", .want = "INBOX|a|; [0 all'7 6 0 0'0:]; " },
		{ "and what tells messages apart",
			{ IN(""), { LIST, "" }, { LSUB, "" }, { "A4 SELECT \"INBOX\"", "" },
				{ "A5 UID FETCH 1:* " NAMED, LISTED OK("A3") BOX("1", "7", "6", "") OK("A4") NAMED_ROW("1", "3", "\"\"") OK("A5") }, { 0 } },
			.act = "foresee wi;folders;look wi INBOX _ _", .want = "INBOX|a|; [0 all'7 6 1 0'1: 3(9,100)]" },
		{ "that was not asked for",
			{ IN(""), { LIST, "" }, { LSUB, "" }, { "A4 SELECT \"INBOX\"", "" },
				{ "A5 UID FETCH 1:* " ALL, LISTED OK("A3") BOX("1", "7", "6", "") OK("A4") ROW("1", "3", "") OK("A5") },
				{ "A6 SELECT \"INBOX\"", BOX("1", "7", "6", "") OK("A6") },
				{ "A7 UID FETCH 1:* " NAMED, NAMED_ROW("1", "3", "\"\"") OK("A7") }, { 0 } },
			.act = "foresee w;folders;look wi INBOX _ _", .want = "INBOX|a|; [0 all'7 6 1 0'1: 3(9,100)]" },
		{ "for reading only, but it is to be written to",
			{ IN(""), { LIST, "" }, { LSUB, "" }, { "A4 EXAMINE \"INBOX\"", "" },
				{ "A5 UID FETCH 1:* " ALL, LISTED OK("A3") BOX("1", "7", "6", "") OK("A4") ROW("1", "3", "") OK("A5") },
				{ "A6 SELECT \"INBOX\"", BOX("1", "7", "6", "") OK("A6") },
				{ "A7 UID FETCH 1:* " ALL, ROW("1", "3", "") OK("A7") }, { 0 } },
			.act = "foresee r;folders;look w INBOX _ _", .want = "INBOX|a|; [0 all'7 6 1 0'1: 3(9,100)]" },
		{ "only what has changed is wanted",
			{ IN(""), { LIST, "" }, { LSUB, "" }, { "A4 EXAMINE \"INBOX\"", "" },
				{ "A5 UID FETCH 1:* " ALL, LISTED OK("A3") BOX("1", "7", "6", "") OK("A4") ROW("1", "3", "") OK("A5") },
				{ "A6 EXAMINE \"INBOX\"", BOX("1", "7", "6", "") OK("A6") }, { "A7 UID FETCH 1:5 (UID FLAGS)", FLAGS("1", "3", "") OK("A7") },
				{ "A8 UID FETCH 6:* " ALL, OK("A8") }, { 0 } },
			.act = "foresee r;folders;look r INBOX 7.6.1.0 3", .want = "INBOX|a|; [0 all'7 6 1 0'1: 3]" },
		{ "of another folder",
			{ IN(""), { LIST, "" }, { LSUB, "" }, { "A4 EXAMINE \"INBOX\"", "" },
				{ "A5 UID FETCH 1:* " ALL, LISTED OK("A3") BOX("1", "7", "6", "") OK("A4") ROW("1", "3", "") OK("A5") },
				{ "A6 EXAMINE \"a\"", BOX("0", "8", "1", "") OK("A6") }, { "A7 UID FETCH 1:* " ALL, OK("A7") }, { 0 } },
			.act = "foresee r;folders;look r a _ _", .want = "INBOX|a|; [0 all'8 1 0 0'0:]" },
		{ "another folder is opened instead",
			{ IN(""), { LIST, "" }, { LSUB, "" }, { "A4 EXAMINE \"INBOX\"", "" },
				{ "A5 UID FETCH 1:* " ALL, LISTED OK("A3") BOX("1", "7", "6", "") OK("A4") ROW("1", "3", "") OK("A5") },
				{ "A6 SELECT \"a\"", BOX("0", "8", "1", "") OK("A6") }, { 0 } },
			.act = "foresee r;folders;open a w", .want = "INBOX|a|; same'8 1 0 0'0:" },
		{ "INBOX is refused",
			{ IN(""), { LIST, "" }, { LSUB, "" }, { "A4 EXAMINE \"INBOX\"", "" },
				{ "A5 UID FETCH 1:* " ALL, LISTED OK("A3") "A4 NO not you\r\nA5 BAD none is selected\r\n" }, { 0 } },
			.act = "foresee r;folders;look r INBOX _ _", .want = "INBOX|a|; [0  !refused/box]", .text = "not you" },
		{ "and so early that nobody knows what the list is worth",
			{ IN(""), { LIST, "" }, { LSUB, "" }, { "A4 EXAMINE \"INBOX\"", "" },
				{ "A5 UID FETCH 1:* " ALL, "A4 NO not you\r\n" }, { 0 } },
			.act = "foresee r;folders", .want = "INBOX|a|",
			.again = { IN(""), { LIST, LISTED }, { LSUB, OK("A3") }, { 0 } } },
		{ "a message amid the list",
			{ IN(""), { LIST, "" }, { LSUB, "" }, { "A4 EXAMINE \"INBOX\"", "" },
				{ "A5 UID FETCH 1:* " ALL, "* LIST () \"/\" INBOX\r\n" ROW("1", "3", "") }, { 0 } },
			.act = "foresee r;folders;look r INBOX _ _", .want = "INBOX|a|; [0 all'7 6 1 0'1: 3(9,100)]",
			.again = { IN(""), { LIST, LISTED }, { LSUB, OK("A3") }, { "A4 EXAMINE \"INBOX\"", BOX("1", "7", "6", "") OK("A4") },
				{ "A5 UID FETCH 1:* " ALL, ROW("1", "3", "") OK("A5") }, { 0 } } },
		{ "a server that is asked for STATUS",
			{ IN("CONDSTORE"), { LIST, "* LIST () \"/\" INBOX\r\n" OK("A2") }, { LSUB, OK("A3") },
				{ "A4 STATUS \"INBOX\" (MESSAGES UIDNEXT UIDVALIDITY HIGHESTMODSEQ)", OK("A4") }, { 0 } },
			.act = "foresee r;folders", .want = "INBOX|" },
	};

	(void)state;
	play_all(rows, COUNT(rows));
}

/* RFC 7162 */
static void test_changes(void **state)
{
#define OLD(n, more) "UID FETCH 1:5 (UID FLAGS) (CHANGEDSINCE " n more ")"
#define NEW "UID FETCH 6:* " ALL
#define STATUS_LIST                                                                                \
	"A3 LIST \"\" \"*\" RETURN (SUBSCRIBED STATUS (MESSAGES UIDNEXT UIDVALIDITY HIGHESTMODSEQ))"
	static const struct row rows[] = {
		{ "all kinds",
			{ QRESYNC(""),
				{ "A3 EXAMINE \"INBOX\"",
					BOX("3", "7", "9", MODSEQ("20")) OK("A3") },
				{ "A4 " OLD("10", " VANISHED"),
					"* VANISHED (EARLIER) 1,3,7:8\r\n* 2 FETCH (UID 4 FLAGS (\\Seen) MODSEQ (15))\r\n" OK(
						"A4") },
				{ "A5 " NEW, ROW("3", "8", "") OK("A5") }, { 0 } },
			.act = "look r INBOX 7.6.4.10 1:4",
			.want = "[0 changes'7 9 3 20'3: 4S 8(9,100) -1 -3]" },
		{ "nothing",
			{ QRESYNC(""),
				{ "A3 EXAMINE \"INBOX\"",
					BOX("4", "7", "6", MODSEQ("10")) OK("A3") },
				{ "A4 " OLD("10", " VANISHED"), OK("A4") },
				{ "A5 " NEW, ROW("4", "5", "") OK("A5") }, { 0 } },
			.act = "look r INBOX 7.6.4.10 1:4", .want = "[0 same'7 6 4 10'4:]" },
		{ "everything vanished, says the server, that has them all",
			{ QRESYNC(""),
				{ "A3 EXAMINE \"INBOX\"",
					BOX("2000", "7", "3001", MODSEQ("20")) OK("A3") },
				{ "A4 UID FETCH 1:3000 (UID FLAGS) (CHANGEDSINCE 10 VANISHED)",
					"* VANISHED (EARLIER) 1:4294967295\r\n" OK("A4") },
				{ "A5 UID FETCH 3001:* " ALL, OK("A5") }, { 0 } },
			.act = "look r INBOX 7.3001.2000.10 1:2000",
			.want = "[0 changes'7 3001 2000 20'2000: !proto/box]",
			.text = "2000 messages but lists 0 (if it stays so" },
		{ "many vanished, few of them known",
			{ QRESYNC(""),
				{ "A3 EXAMINE \"INBOX\"",
					BOX("0", "7", "3001", MODSEQ("20")) OK("A3") },
				{ "A4 UID FETCH 1:3000 (UID FLAGS) (CHANGEDSINCE 10 VANISHED)",
					"* VANISHED (EARLIER) 1:4294967295\r\n" OK("A4") },
				{ "A5 UID FETCH 3001:* " ALL, OK("A5") }, { 0 } },
			.act = "look r INBOX 7.3001.3.10 17,2000,9000",
			.want = "[0 changes'7 3001 0 20'0: -17 -2000]" },
		{ "what we brought is gone",
			{ QRESYNC(""),
				{ "A3 EXAMINE \"INBOX\"",
					BOX("3", "7", "8", MODSEQ("20")) OK("A3") },
				{ "A4 " OLD("10", " VANISHED"),
					"* VANISHED (EARLIER) 2\r\n" OK("A4") },
				{ "A5 " NEW, OK("A5") }, { 0 } },
			.act = "look r INBOX 7.6.4.10 1:4,7",
			.want = "[0 changes'7 8 3 20'3: -2 -7]" },
		{ "or not listed, for it must be there",
			{ QRESYNC(""),
				{ "A3 EXAMINE \"INBOX\"",
					BOX("4", "7", "8", MODSEQ("20")) OK("A3") },
				{ "A4 " OLD("10", " VANISHED"),
					"* VANISHED (EARLIER) 2\r\n" OK("A4") },
				{ "A5 " NEW, OK("A5") }, { 0 } },
			.act = "look r INBOX 7.6.4.10 1:4,7",
			.want = "[0 changes'7 8 4 20'4: !proto/box]",
			.text = "4 messages but lists 3" },
		{ "new ones that are not listed",
			{ QRESYNC(""),
				{ "A3 EXAMINE \"INBOX\"",
					BOX("6", "7", "8", MODSEQ("20")) OK("A3") },
				{ "A4 " OLD("10", " VANISHED"), OK("A4") },
				{ "A5 " NEW, ROW("6", "7", "") OK("A5") }, { 0 } },
			.act = "look r INBOX 7.6.4.10 1:4",
			.want = "[0 changes'7 8 6 20'6: 7(9,100) !proto/box]" },
		{ "new ones that are not listed, where the numbers tell",
			{ CONDSTORE("LIST-EXTENDED LIST-STATUS"),
				{ STATUS_LIST,
					"* LIST () \"/\" INBOX\r\n* STATUS INBOX (MESSAGES 5 UIDNEXT 7 "
					"UIDVALIDITY 7 HIGHESTMODSEQ 20)\r\n" OK("A3") },
				{ "A4 EXAMINE \"INBOX\"",
					BOX("5", "7", "7", MODSEQ("20")) OK("A4") },
				{ "A5 " OLD("10", ""), OK("A5") },
				{ "A6 " NEW, ROW("5", "5", "") OK("A6") }, { 0 } },
			.act = "folders;look r INBOX 7.6.4.10 1:4,6",
			.want = "INBOX '7 7 5 20' 5|; [0 changes'7 7 5 20'5: !proto/box]" },
		{ "what we brought is gone, by a search",
			{ CONDSTORE(""),
				{ "A3 EXAMINE \"INBOX\"",
					BOX("3", "7", "8", MODSEQ("20")) OK("A3") },
				{ "A4 " OLD("10", ""), OK("A4") },
				{ "A5 UID SEARCH UID 1:5", "* SEARCH 1 3 4\r\n" OK("A5") },
				{ "A6 " NEW, OK("A6") }, { 0 } },
			.act = "look r INBOX 7.6.4.10 1:4,7",
			.want = "[0 changes'7 8 3 20'3: -2 -7]" },
		{ "vanished and listed",
			{ QRESYNC(""),
				{ "A3 EXAMINE \"INBOX\"",
					BOX("4", "7", "6", MODSEQ("20")) OK("A3") },
				{ "A4 " OLD("10", " VANISHED"),
					"* VANISHED (EARLIER) 2:3\r\n* VANISHED 5\r\n" FLAGS(
						"3", "3", "\\Seen") OK("A4") },
				{ "A5 " NEW, OK("A5") }, { 0 } },
			.act = "look r INBOX 7.6.4.10 1:4",
			.want = "[0 changes'7 6 4 20'4: 3S -2]" },
		{ "what QRESYNC says of the mailbox before",
			{ QRESYNC(""), { "A3 LIST \"\" \"*\"", "* LIST () \"/\" a\r\n" OK("A3") },
				{ "A4 LSUB \"\" \"*\"", OK("A4") },
				{ "A5 EXAMINE \"INBOX\"",
					BOX("0", "7", "6", MODSEQ("10")) OK("A5") },
				{ "A6 UID FETCH 1:* " ALL, OK("A6") },
				{ "A7 EXAMINE \"a\"",
					"* 77 EXISTS\r\n* OK [CLOSED] x\r\n" BOX(
						"0", "8", "1", MODSEQ("1")) OK("A7") },
				{ "A8 UID FETCH 1:* " ALL, OK("A8") }, { 0 } },
			.act = "look r INBOX _ _ a _ _",
			.want = "[0 all'7 6 0 10'0:][1 all'8 1 0 1'0:]" },
		{ "HIGHESTMODSEQ went back",
			{ QRESYNC(""),
				{ "A3 EXAMINE \"INBOX\"",
					BOX("1", "7", "6", MODSEQ("9")) OK("A3") },
				{ "A4 " OLD("10", " VANISHED"), OK("A4") }, { "A5 " NEW, OK("A5") },
				{ "A6 EXAMINE \"INBOX\"",
					BOX("1", "7", "6", MODSEQ("9")) OK("A6") },
				{ "A7 UID FETCH 1:5 (UID FLAGS)",
					FLAGS("1", "4", "\\Seen") OK("A7") },
				{ "A8 " NEW, OK("A8") }, { 0 } },
			.act = "look r INBOX 7.6.1.10 4", .want = "[0 all'7 6 1 9'1: 4S]" },
		{ "this mailbox has no MODSEQ",
			{ CONDSTORE(""),
				{ "A3 EXAMINE \"INBOX\"",
					BOX("1", "7", "6", "* OK [NOMODSEQ] no\r\n") OK("A3") },
				{ "A4 " OLD("10", ""), "A4 BAD no\r\n" },
				{ "A5 UID SEARCH UID 1:5", "* SEARCH 4\r\n" OK("A5") },
				{ "A6 " NEW, OK("A6") },
				{ "A7 EXAMINE \"INBOX\"",
					BOX("1", "7", "6", "* OK [NOMODSEQ] no\r\n") OK("A7") },
				{ "A8 UID FETCH 1:5 (UID FLAGS)",
					FLAGS("1", "4", "\\Seen") OK("A8") },
				{ "A9 " NEW, OK("A9") }, { 0 } },
			.act = "look r INBOX 7.6.1.10 4", .want = "[0 all'7 6 1 0'1: 4S]" },
		{ "a search for what is left",
			{ CONDSTORE("ESEARCH"),
				{ "A3 EXAMINE \"INBOX\"",
					BOX("3", "7", "9", MODSEQ("20")) OK("A3") },
				{ "A4 " OLD("10", ""), FLAGS("2", "4", "\\Seen") OK("A4") },
				{ "A5 UID SEARCH RETURN (ALL) UID 1:5",
					"* ESEARCH (TAG \"A5\") UID ALL 2,4\r\n" OK("A5") },
				{ "A6 " NEW, ROW("3", "8", "") OK("A6") }, { 0 } },
			.act = "look r INBOX 7.6.4.10 1:4",
			.want = "[0 changes'7 9 3 20'3: 4S 8(9,100) -1 -3]" },
		{ "that is cut short",
			{ CONDSTORE(""),
				{ "A3 EXAMINE \"INBOX\"",
					BOX("3", "7", "9", MODSEQ("20")) OK("A3") },
				{ "A4 " OLD("10", ""), OK("A4") },
				{ "A5 UID SEARCH UID 1:5", "* SEARCH 4\r\n" OK("A5") },
				{ "A6 " NEW, ROW("3", "8", "") OK("A6") }, { 0 } },
			.act = "look r INBOX 7.6.4.10 1:4",
			.want = "[0 changes'7 9 3 20'3: 8(9,100) !proto/box]",
			.text = "3 messages but lists 2" },
		{ "that finds nothing, for nothing is left",
			{ CONDSTORE("ESEARCH"),
				{ "A3 EXAMINE \"INBOX\"",
					BOX("0", "7", "6", MODSEQ("20")) OK("A3") },
				{ "A4 " OLD("10", ""), OK("A4") },
				{ "A5 UID SEARCH RETURN (ALL) UID 1:5",
					"* ESEARCH (TAG \"A5\") UID\r\n" OK("A5") },
				{ "A6 " NEW, OK("A6") }, { 0 } },
			.act = "look r INBOX 7.6.2.10 1:2",
			.want = "[0 changes'7 6 0 20'0: -1 -2]" },
		{ "none where the numbers tell",
			{ CONDSTORE("LIST-EXTENDED LIST-STATUS"),
				{ STATUS_LIST,
					"* LIST () \"/\" INBOX\r\n* STATUS INBOX (MESSAGES 5 UIDNEXT 7 UIDVALIDITY 7 HIGHESTMODSEQ 20)\r\n" OK(
						"A3") },
				{ "A4 EXAMINE \"INBOX\"",
					BOX("5", "7", "7", MODSEQ("20")) OK("A4") },
				{ "A5 " OLD("10", ""), FLAGS("1", "1", "") OK("A5") },
				{ "A6 " NEW, ROW("5", "6", "") OK("A6") }, { 0 } },
			.act = "folders;look r INBOX 7.6.4.10 1:4",
			.want = "INBOX '7 7 5 20' 5|; [0 changes'7 7 5 20'5: 1 6(9,100)]" },
		{ "but told otherwise meanwhile",
			{ CONDSTORE("LIST-EXTENDED LIST-STATUS"),
				{ STATUS_LIST,
					"* LIST () \"/\" INBOX\r\n* STATUS INBOX (MESSAGES 5 UIDNEXT 7 UIDVALIDITY 7 HIGHESTMODSEQ 20)\r\n" OK(
						"A3") },
				{ "A4 EXAMINE \"INBOX\"",
					BOX("4", "7", "7", MODSEQ("20")) OK("A4") },
				{ "A5 " OLD("10", ""), FLAGS("1", "1", "") OK("A5") },
				{ "A6 " NEW, ROW("4", "6", "") OK("A6") },
				{ "A7 EXAMINE \"INBOX\"",
					BOX("4", "7", "7", MODSEQ("20")) OK("A7") },
				{ "A8 " OLD("10", ""), FLAGS("1", "1", "") OK("A8") },
				{ "A9 UID SEARCH UID 1:5", "* SEARCH 1 2 4\r\n" OK("A9") },
				{ "A10 " NEW, ROW("4", "6", "") OK("A10") }, { 0 } },
			.act = "folders;look r INBOX 7.6.4.10 1:4",
			.want = "INBOX '7 7 5 20' 5|; [0 changes'7 7 4 20'4: 1 6(9,100) -3]" },
		{ "renumbered, by STATUS and SELECT: all is asked for at once (fd42 is <a@b>)",
			{ QRESYNC("LIST-EXTENDED LIST-STATUS"),
				{ STATUS_LIST,
					"* LIST () \"/\" INBOX\r\n* STATUS INBOX (MESSAGES 3 UIDNEXT 7 UIDVALIDITY 8 HIGHESTMODSEQ 20)\r\n" OK(
						"A3") },
				{ "A4 EXAMINE \"INBOX\"",
					BOX("3", "8", "7", MODSEQ("20")) OK("A4") },
				{ "A5 UID FETCH 1:* " NAMED,
					NAMED_ROW("1", "2", "{21}\r\nMessage-ID: <a@b>\r\n\r\n") NAMED_ROW(
						"2", "3", "NIL") NAMED_ROW("3", "4", "{2}\r\n\r\n") OK("A5") },
				{ 0 } },
			.act = "folders;look r INBOX 7.6.4.10 1:4",
			.want = "INBOX '8 7 3 20' 3|; [0 all'8 7 3 20'3 reborn: 2(9,100)@fd42 3(9,100) 4(9,100)]" },
		{ "UIDNEXT went back, by STATUS and SELECT",
			{ QRESYNC("LIST-EXTENDED LIST-STATUS"),
				{ STATUS_LIST,
					"* LIST () \"/\" INBOX\r\n* STATUS INBOX (MESSAGES 1 UIDNEXT 5 UIDVALIDITY 7 HIGHESTMODSEQ 20)\r\n" OK(
						"A3") },
				{ "A4 EXAMINE \"INBOX\"",
					BOX("1", "7", "5", MODSEQ("20")) OK("A4") },
				{ "A5 UID FETCH 1:* " NAMED, NAMED_ROW("1", "2", "NIL") OK("A5") },
				{ 0 } },
			.act = "folders;look r INBOX 7.6.4.10 1:4",
			.want = "INBOX '7 5 1 20' 1|; [0 all'7 5 1 20'1 reborn: 2(9,100)]" },
		{ "renumbered, by STATUS alone: that is a lie, and nothing of it is told",
			{ QRESYNC("LIST-EXTENDED LIST-STATUS"),
				{ STATUS_LIST,
					"* LIST () \"/\" INBOX\r\n* STATUS INBOX (MESSAGES 3 UIDNEXT 7 UIDVALIDITY 8 HIGHESTMODSEQ 20)\r\n" OK(
						"A3") },
				{ "A4 EXAMINE \"INBOX\"",
					BOX("4", "7", "7", MODSEQ("20")) OK("A4") },
				{ "A5 UID FETCH 1:* " NAMED, NAMED_ROW("1", "2", "{2}\r\n\r\n") OK("A5") },
				{ "A6 EXAMINE \"INBOX\"",
					BOX("4", "7", "7", MODSEQ("20")) OK("A6") },
				{ "A7 " OLD("10", " VANISHED"), FLAGS("1", "1", "") OK("A7") },
				{ "A8 " NEW, ROW("4", "6", "") OK("A8") }, { 0 } },
			.act = "folders;look r INBOX 7.6.4.10 1:4",
			.want = "INBOX '8 7 3 20' 3|; [0 changes'7 7 4 20'4: 1 6(9,100)]" },
		{ "no ENABLE",
			{ IN("CONDSTORE"),
				{ "A2 EXAMINE \"INBOX\" (CONDSTORE)",
					BOX("4", "7", "6", MODSEQ("10")) OK("A2") },
				{ "A3 " OLD("10", ""), OK("A3") },
				{ "A4 UID SEARCH UID 1:5", "* SEARCH 1 2 3 4\r\n" OK("A4") },
				{ "A5 " NEW, OK("A5") }, { 0 } },
			.act = "look r INBOX 7.6.4.10 1:4", .want = "[0 same'7 6 4 10'4:]" },
		{ "CONDSTORE is not wanted",
			{ IN("ENABLE CONDSTORE QRESYNC"),
				{ "A2 EXAMINE \"INBOX\"",
					BOX("1", "7", "6", MODSEQ("10")) OK("A2") },
				{ "A3 UID FETCH 1:5 (UID FLAGS)", FLAGS("1", "1", "") OK("A3") },
				{ "A4 " NEW, OK("A4") }, { 0 } },
			.act = "look r INBOX 7.6.1.10 1", .want = "[0 all'7 6 1 0'1: 1]",
			.disabled = IMAP_CAP_CONDSTORE },
	};

	(void)state;
	play_all(rows, COUNT(rows));
}

/* ---- bodies ---- */

#define OPEN_READ(n)                                                                               \
	{                                                                                          \
		"A2 EXAMINE \"INBOX\"", BOX(n, "7", "9", "") OK("A2")                              \
	}
#define OPEN_WRITE(n)                                                                              \
	{                                                                                          \
		"A2 SELECT \"INBOX\"", BOX(n, "7", "9", PERMANENT) "A2 OK [READ-WRITE] ok\r\n"     \
	}
#define OPENED "same'7 9 3 0'3:; "
#define PEEK "(UID BODY.PEEK[])"
#define SIZED "(UID RFC822.SIZE BODY.PEEK[])"

static void test_bodies(void **state)
{
	static const struct row rows[] = {
		{ "as they come",
			{ IN(""), OPEN_READ("3"),
				{ "A3 UID FETCH 1:4 " PEEK,
					"* 1 FETCH (UID 1 BODY[] {6}\r\na\r\nb\r\n)\r\n"
					"* 3 FETCH (UID 3 FLAGS (\\Seen) BODY[] \"quoted\")\r\n* 4 FETCH (FLAGS (\\Seen) UID 4 BODY[] {1}\r\nd)\r\n" OK(
						"A3") },
				{ 0 } },
			.act = "open INBOX;want 1:4",
			.want = OPENED " 1=a/b/ 3=quoted 4=d 2=gone" },
		{ "the UID behind the body",
			{ IN(""), OPEN_READ("3"),
				{ "A3 UID FETCH 1:2 " PEEK,
					"* 1 FETCH (BODY[] {3}\r\n1\r\n UID 1)\r\n* 2 FETCH (BODY[] NIL UID 2)\r\n" OK(
						"A3") },
				{ 0 } },
			.act = "open INBOX;want 1:2", .want = OPENED " 1=1/ 2=!refused/msg",
			.text = "no content for it" },
		{ "the UID far behind",
			{ IN(""), OPEN_READ("3"),
				{ "A3 UID FETCH 1:2 " PEEK,
					"* 1 FETCH (BODY[] {1}\r\nx UID 77)\r\n* 2 FETCH (BODY[] {1}\r\n2 UID 2)\r\n" OK(
						"A3") },
				{ 0 } },
			.act = "open INBOX;want 1:2", .want = OPENED " 2=2 1=gone" },
		{ "nobody asked for it",
			{ IN(""), OPEN_READ("3"),
				{ "A3 UID FETCH 1 " PEEK,
					"* 1 FETCH (UID 9 BODY[] {1}\r\nx)\r\n* 1 FETCH (UID 1 BODY[HEADER] {1}\r\nh)\r\n"
					"* 1 FETCH (UID 1 BODY[]<0> {1}\r\np)\r\n* 1 FETCH (UID 1 BODY[] {1}\r\n1)\r\n* 1 FETCH (UID 1 BODY[] {1}\r\n2)\r\n" OK(
						"A3") },
				{ 0 } },
			.act = "open INBOX;want 1", .want = OPENED " 1=1" },
		{ "no body in it",
			{ IN(""), OPEN_READ("3"),
				{ "A3 UID FETCH 1:2 " PEEK,
					"* 1 FETCH (UID 1)\r\n* 2 FETCH (UID 2 BODY[] {1}\r\n2)\r\n" OK(
						"A3") },
				{ 0 } },
			.act = "open INBOX;want 1:2", .want = OPENED " 2=2 1=!refused/msg",
			.text = "message 1: the server has no content for it" },
		{ "one bad, the others come",
			{ IN(""), OPEN_READ("3"),
				{ "A3 UID FETCH 1:3 " PEEK,
					"* 1 FETCH (UID 1 BODY[] {1}\r\n1)\r\nA3 NO ouch\r\n" },
				{ "A4 UID FETCH 2 " SIZED, "A4 NO [SERVERBUG] ouch\r\n" },
				{ "A5 UID FETCH 3 " SIZED,
					"* 3 FETCH (UID 3 RFC822.SIZE 9 BODY[] {1}\r\n3)\r\n" OK(
						"A5") },
				{ 0 } },
			.act = "open INBOX;want 1:3", .want = OPENED " 1=1 2=!temp/msg 3=3",
			.text = "message 2: the server says \"[SERVERBUG] ouch\"" },
		{ "one alone is bad",
			{ IN(""), OPEN_READ("3"), { "A3 UID FETCH 3 " PEEK, "A3 NO ouch\r\n" },
				{ 0 } },
			.act = "open INBOX;want 3", .want = OPENED " 3=!refused/msg" },
		{ "expunged while it is asked for",
			{ IN(""), OPEN_READ("3"),
				{ "A3 UID FETCH 1:2 " PEEK,
					"* 2 FETCH (UID 2 BODY[] {1}\r\n2)\r\nA3 NO [EXPUNGEISSUED] some\r\n" },
				{ "A4 UID FETCH 1 " SIZED, OK("A4") }, { 0 } },
			.act = "open INBOX;want 1:2", .want = OPENED " 2=2 1=gone" },
		{ "empty ones",
			{ IN(""), OPEN_READ("3"),
				{ "A3 UID FETCH 1:3 " PEEK,
					"* 1 FETCH (UID 1 BODY[] {0}\r\n)\r\n* 2 FETCH (UID 2 BODY[] \"\")\r\n* 3 FETCH (UID 3 BODY[] \"\")\r\n" OK(
						"A3") },
				{ "A4 UID FETCH 1 " SIZED,
					"* 1 FETCH (UID 1 RFC822.SIZE 0 BODY[] {0}\r\n)\r\n" OK(
						"A4") },
				{ "A5 UID FETCH 2 " SIZED,
					"* 2 FETCH (UID 2 RFC822.SIZE 77 BODY[] {0}\r\n)\r\n" OK(
						"A5") },
				{ "A6 UID FETCH 3 " SIZED,
					"* 3 FETCH (UID 3 BODY[] {0}\r\n)\r\n" OK("A6") },
				{ 0 } },
			.act = "open INBOX;want 1:3",
			.want = OPENED " 1= 2=!refused/msg 3=!refused/msg",
			.text = "the server sends nothing, where there should be something" },
		{ "cut short",
			{ IN(""), OPEN_READ("3"),
				{ "A3 UID FETCH 1:16 " PEEK,
					"* 1 FETCH (UID 1 BODY[] {60}\r\nhalf" },
				{ "A4 UID FETCH 17 " PEEK, NULL } },
			.act = "open INBOX;want 1:17;want 2",
			.want = OPENED " 1=half!temp/acct!temp/acct; !temp/acct",
			.text = "work: 'INBOX': message 1: the server closed the connection in the middle" },
		{ "not now",
			{ IN(""), OPEN_READ("3"),
				{ "A3 UID FETCH 1:2 " PEEK,
					"* 1 FETCH (UID 1 BODY[] {1}\r\n1)\r\n"
					"A3 BAD Request is throttled. Suggested Backoff Time: 299961 milliseconds\r\n" },
				{ 0 } },
			.act = "open INBOX;want 1:2", .want = OPENED " 1=1!temp/acct/300" },
		{ "left in the middle",
			{ IN(""), OPEN_WRITE("3"),
				{ "A3 UID FETCH 1:2 " PEEK,
					"* 1 FETCH (UID 1 BODY[] {1}\r\n1)\r\n* 2 FETCH (UID 2 BODY[] {1}\r\n2)\r\nA3 NO [UNAVAILABLE]\r\n" },
				{ "A4 UID STORE 1 +FLAGS.SILENT (\\Seen)", OK("A4") }, { 0 } },
			.act = "open INBOX w;want 1:2;flags 1 S _",
			.want = OPENED " 1=1 2=2!temp/acct/60;  1" },
	};

	(void)state;
	play_all(rows, COUNT(rows));
}

/* ---- folders that are opened soon ---- */

#define ABC(caps)                                                                                  \
	IN(caps), { LIST, "* LIST () \"/\" a\r\n* LIST () \"/\" b\r\n* LIST () \"/\" c\r\n" OK("A2") }, { LSUB, OK("A3") }
#define BODY(seq, uid, text) "* " seq " FETCH (UID " uid " BODY[] \"" text "\")\r\n"
#define EXAMINE(tag, name, say) { tag " EXAMINE \"" name "\"", say }
#define ASK(tag, uids, say) { tag " UID FETCH " uids " " PEEK, say }
#define WRITABLE(tag) PERMANENT tag " OK [READ-WRITE] ok\r\n"
#define A_INFO "same'7 9 2 0'2:"
#define B_INFO "same'8 9 1 0'1:"
/* a and b leave together */
#define A_AND_B EXAMINE("A4", "a", ""), ASK("A5", "1:2", ""), EXAMINE("A6", "b", "")
#define A_SAYS BOX("2", "7", "9", "") OK("A4") BODY("1", "1", "a1") BODY("2", "2", "a2") OK("A5")
#define B_SAYS BOX("1", "8", "9", "") OK("A6") BODY("1", "1", "b1") OK("A7")
#define SOON "folders;soon a 1:2 r b 1 r;open a;"
#define W_AND_W(a5) { "A4 SELECT \"a\"", "" }, ASK("A5", "1:2", ""), { "A6 SELECT \"b\"", "" },        \
	ASK("A7", "1", BOX("2", "7", "9", "") WRITABLE("A4") a5 BOX("1", "8", "9", "") WRITABLE("A6") BODY("1", "1", "b1") OK("A7"))
#define SOON_W "folders;soon a 1:2 w b 1 w;open a w;"
#define TOLD "a|b|c|; ; " A_INFO "; "

static void test_soon(void **state)
{
	static const struct row rows[] = {
		{ "followed: one wait for all", { ABC(""), A_AND_B, ASK("A7", "1", A_SAYS B_SAYS), { 0 } },
			.act = SOON "want 1:2;open b;want 1", .want = TOLD " 1=a1 2=a2; " B_INFO ";  1=b1" },
		{ "nothing leaves before the first is opened", { ABC(""), { "A4 LOGOUT", "" } }, .act = "folders;soon a 1:2 r", .want = "a|b|c|; " },
		{ "one that is selected need not be selected again",
			{ ABC(""), EXAMINE("A4", "a", BOX("1", "7", "9", "") OK("A4")), { "A5 UID FETCH 1:* " ALL, ROW("1", "1", "") OK("A5") },
				ASK("A6", "1", ""), EXAMINE("A7", "b", ""), ASK("A8", "1", BODY("1", "1", "a1") OK("A6") BOX("1", "8", "9", "") OK("A7") BODY("1", "1", "b1") OK("A8")), { 0 } },
			.act = "folders;look r a _ _;soon a 1 r b 1 r;open a;want 1;open b;want 1",
			.want = "a|b|c|; [0 all'7 9 1 0'1: 1(9,100)]; ; same'7 9 1 0'1:;  1=a1; " B_INFO ";  1=b1" },
		{ "what nobody reads is passed over", { ABC(""), A_AND_B, ASK("A7", "1", A_SAYS B_SAYS), { 0 } },
			.act = SOON "open b;want 1", .want = TOLD B_INFO ";  1=b1" },
		{ "another hint, and the one before is none any more",
			{ ABC(""), A_AND_B, ASK("A7", "1", A_SAYS B_SAYS), EXAMINE("A8", "b", ""), ASK("A9", "1", BOX("1", "8", "9", "") OK("A8") BODY("1", "1", "b") OK("A9")), { 0 } },
			.act = SOON "want 1:2;soon b 1 r;open b;want 1", .want = TOLD " 1=a1 2=a2; ; " B_INFO ";  1=b" },
		{ "another folder",
			{ ABC(""), A_AND_B, ASK("A7", "1", A_SAYS B_SAYS), EXAMINE("A8", "c", BOX("1", "9", "9", "") OK("A8")), ASK("A9", "1", BODY("1", "1", "c1") OK("A9")), { 0 } },
			.act = SOON "want 1:2;open c;want 1", .want = TOLD " 1=a1 2=a2; same'9 9 1 0'1:;  1=c1" },
		{ "the same again",
			{ ABC(""), A_AND_B, ASK("A7", "1", A_SAYS B_SAYS), EXAMINE("A8", "a", BOX("2", "7", "9", "") OK("A8")), ASK("A9", "2", BODY("2", "2", "a2") OK("A9")), { 0 } },
			.act = SOON "want 1:2;open a;want 2", .want = TOLD " 1=a1 2=a2; " A_INFO ";  2=a2" },
		{ "other messages",
			{ ABC(""), A_AND_B, ASK("A7", "1", A_SAYS B_SAYS), EXAMINE("A8", "a", BOX("2", "7", "9", "") OK("A8")), ASK("A9", "2", BODY("2", "2", "a2") OK("A9")),
				EXAMINE("A10", "b", BOX("1", "8", "9", "") OK("A10")), ASK("A11", "1", BODY("1", "1", "b1") OK("A11")), { 0 } },
			.act = SOON "want 2;open b;want 1", .want = TOLD " 2=a2; " B_INFO ";  1=b1" },
		{ "as many others",
			{ ABC(""), A_AND_B, ASK("A7", "1", A_SAYS B_SAYS), EXAMINE("A8", "a", BOX("2", "7", "9", "") OK("A8")), ASK("A9", "2:3", BODY("2", "2", "a2") OK("A9")), { 0 } },
			.act = SOON "want 2:3", .want = TOLD " 2=a2 3=gone" },
		{ "one that is none",
			{ ABC(""), EXAMINE("A4", "c", BOX("1", "9", "9", "") OK("A4")), ASK("A5", "1", BODY("1", "1", "c1") OK("A5")), { "A6 LOGOUT", "" } },
			.act = "folders;soon a 1:2 r b 1 r;open c;want 1", .want = "a|b|c|; ; same'9 9 1 0'1:;  1=c1" },
		{ "another mode",
			{ ABC(""), A_AND_B, ASK("A7", "1", A_SAYS B_SAYS), { "A8 SELECT \"b\"", BOX("1", "8", "9", "") WRITABLE("A8") }, ASK("A9", "1", BODY("1", "1", "again") OK("A9")), { 0 } },
			.act = SOON "want 1:2;open b w;want 1", .want = TOLD " 1=a1 2=a2; " B_INFO ";  1=again" },
		{ "other keywords", { ABC(""), A_AND_B, ASK("A7", "1", A_SAYS B_SAYS), EXAMINE("A8", "b", BOX("1", "8", "9", WORDS(" x")) OK("A8")), ASK("A9", "1", BODY("1", "1", "b1") OK("A9")), { 0 } },
			.act = SOON "want 1:2;words;open b;want 1", .want = TOLD " 1=a1 2=a2; ; " B_INFO ";  1=b1" },
		{ "refused, and what comes behind it is of another folder",
			{ ABC(""), EXAMINE("A4", "a", ""), ASK("A5", "1:2", ""), EXAMINE("A6", "b", ""), ASK("A7", "1", ""), EXAMINE("A8", "c", ""),
				ASK("A9", "2", A_SAYS "A6 NO no\r\n" BODY("1", "1", "a1") OK("A7") BOX("2", "9", "9", "") OK("A8") BODY("2", "2", "c2") OK("A9")), { 0 } },
			.act = "folders;soon a 1:2 r b 1 r c 2 r;open a;want 1:2;open b;want 1;open c;want 2", .want = TOLD " 1=a1 2=a2; !refused/box; !bug/acct; same'9 9 2 0'2:;  2=c2",
			.text = "work: 'b': the server says \"no\"" },
		{ "refused, and the rest is not sent yet",
			{ ABC(""), EXAMINE("A4", "a", ""), ASK("A5", "1", "A4 NO no\r\n" BODY("1", "1", "x") OK("A5")), EXAMINE("A6", "b", ""), ASK("A7", "1", B_SAYS), { 0 } },
			.act = "folders;soon a 1 r9000 b 1 r;open a;open b;want 1", .want = "a|b|c|; ; !refused/box; " B_INFO ";  1=b1" },
		{ "made anew since it was looked at",
			{ ABC(""), EXAMINE("A4", "b", ""), { "A5 UID FETCH 1:* " ALL, BOX("1", "8", "9", "") OK("A4") ROW("1", "1", "") OK("A5") },
				EXAMINE("A6", "a", ""), ASK("A7", "1", ""), EXAMINE("A8", "b", ""), ASK("A9", "1", BOX("1", "7", "9", "") OK("A6") BODY("1", "1", "a1") OK("A7") BOX("1", "88", "9", "") OK("A8") BODY("1", "1", "bad") OK("A9")), { 0 } },
			.act = "folders;look r b _ _;soon a 1 r b 1 r;open a;want 1;open b;want 1", .want = "a|b|c|; [0 all'8 9 1 0'1: 1(9,100)]; ; same'7 9 1 0'1:;  1=a1; !temp/box; !bug/acct",
			.text = "'b' was made anew" },
		{ "not selected as it should be",
			{ ABC(""), A_AND_B, ASK("A7", "1", A_SAYS "* OK [UIDVALIDITY 8] ok\r\n" OK("A6") BODY("1", "1", "b1") OK("A7")), { 0 } },
			.act = SOON "want 1:2;open b;want 1", .want = TOLD " 1=a1 2=a2; !proto/box; !bug/acct" },
		{ "cut in the middle of the second",
			{ ABC(""), EXAMINE("A4", "a", ""), ASK("A5", "1:2", ""), EXAMINE("A6", "b", A_SAYS BOX("1", "8", "9", "") OK("A6") "* 1 FETCH (UID 1 BODY[] {5}\r\nha"), ASK("A7", "1", NULL) },
			.act = SOON "want 1:2;open b;want 1;open b;want 1", .want = TOLD " 1=a1 2=a2; " B_INFO ";  1=ha!temp/acct!temp/acct; " B_INFO ";  1=b1",
			.again = { IN(""), EXAMINE("A2", "b", BOX("1", "8", "9", "") OK("A2")), ASK("A3", "1", BODY("1", "1", "b1") OK("A3")), { 0 } } },
		{ "cut before the second",
			{ ABC(""), EXAMINE("A4", "a", ""), ASK("A5", "1:2", ""), EXAMINE("A6", "b", A_SAYS "* 1 EXISTS\r\n"), ASK("A7", "1", NULL) },
			.act = SOON "want 1:2;open b;want 1", .want = TOLD " 1=a1 2=a2; " B_INFO ";  1=b1",
			.again = { IN(""), EXAMINE("A2", "b", BOX("1", "8", "9", "") OK("A2")), ASK("A3", "1", BODY("1", "1", "b1") OK("A3")), { 0 } } },
		{ "in another order than asked", { ABC(""), A_AND_B, ASK("A7", "1", BOX("2", "7", "9", "") OK("A4") BODY("1", "1", "a1") OK("A6") BODY("2", "2", "a2") OK("A5") OK("A7")), { 0 } },
			.act = SOON "want 1:2", .want = TOLD " 1=a1!proto/acct", .text = "in another order than it was asked" },
		{ "and again", { ABC(""), A_AND_B, ASK("A7", "1", A_SAYS BOX("1", "8", "9", "") BODY("1", "1", "b1") OK("A7") OK("A6")), { 0 } },
			.act = SOON "want 1:2;open b", .want = TOLD " 1=a1 2=a2; !proto/acct", .text = "in another order than it was asked" },
		{ "an empty one is asked for alone where it is",
			{ ABC(""), A_AND_B, ASK("A7", "1", BOX("2", "7", "9", "") OK("A4") BODY("1", "1", "") BODY("2", "2", "a2") OK("A5") B_SAYS), EXAMINE("A8", "a", BOX("2", "7", "9", "") OK("A8")),
				{ "A9 UID FETCH 1 " SIZED, "* 1 FETCH (UID 1 RFC822.SIZE 2 BODY[] \"a1\")\r\n" OK("A9") },
				EXAMINE("A10", "b", BOX("1", "8", "9", "") OK("A10")), ASK("A11", "1", BODY("1", "1", "b1") OK("A11")), { 0 } },
			.act = SOON "want 1:2;open b;want 1", .want = TOLD " 2=a2 1=a1; " B_INFO ";  1=b1" },
		{ "of those that are refused together each",
			{ ABC(""), A_AND_B, ASK("A7", "1", BOX("2", "7", "9", "") OK("A4") "A5 NO no\r\n" B_SAYS), EXAMINE("A8", "a", BOX("2", "7", "9", "") OK("A8")),
				{ "A9 UID FETCH 1 " SIZED, "" }, { "A10 UID FETCH 2 " SIZED, "A9 NO no\r\n* 2 FETCH (UID 2 RFC822.SIZE 2 BODY[] \"a2\")\r\n" OK("A10") }, { 0 } },
			.act = SOON "want 1:2", .want = TOLD " 1=!refused/msg 2=a2" },
		{ "not where it is another folder by now",
			{ ABC(""), A_AND_B, ASK("A7", "1", BOX("2", "7", "9", "") OK("A4") BODY("1", "1", "") BODY("2", "2", "a2") OK("A5") B_SAYS), EXAMINE("A8", "a", BOX("2", "77", "9", "") OK("A8")), { 0 } },
			.act = SOON "want 1:2;want 1", .want = TOLD " 2=a2!temp/box; !bug/acct", .text = "'a' was made anew (UIDVALIDITY) since it was opened" },
		{ "a change goes where it should",
			{ ABC(""), W_AND_W(BODY("1", "1", "a1") BODY("2", "2", "a2") OK("A5")), { "A8 SELECT \"a\"", BOX("2", "7", "9", "") WRITABLE("A8") }, { "A9 UID STORE 1 +FLAGS.SILENT (\\Seen)", OK("A9") },
				{ "A10 SELECT \"b\"", BOX("1", "8", "9", "") WRITABLE("A10") }, ASK("A11", "1", BODY("1", "1", "b1") OK("A11")), { 0 } },
			.act = SOON_W "want 1:2;flags 1 S _;open b w;want 1", .want = TOLD " 1=a1 2=a2;  1; " B_INFO ";  1=b1" },
		{ "also before anything was read",
			{ ABC(""), W_AND_W(BODY("1", "1", "a1") BODY("2", "2", "a2") OK("A5")), { "A8 SELECT \"a\"", BOX("2", "7", "9", "") WRITABLE("A8") }, { "A9 UID STORE 1 +FLAGS.SILENT (\\Seen)", OK("A9") }, { 0 } },
			.act = SOON_W "flags 1 S _", .want = TOLD " 1" },
		{ "or nowhere",
			{ ABC(""), W_AND_W(BODY("1", "1", "a1") BODY("2", "2", "a2") OK("A5")), { "A8 SELECT \"a\"", "A8 NO gone\r\n" }, { 0 } },
			.act = SOON_W "want 1:2;flags 1 S _;flags 1 S _;commit", .want = TOLD " 1=a1 2=a2; !refused/box; !bug/acct; !bug/acct" },
		{ "nor where the numbers mean something else",
			{ ABC(""), W_AND_W(BODY("1", "1", "a1") BODY("2", "2", "a2") OK("A5")), { "A8 SELECT \"a\"", BOX("2", "70", "9", "") WRITABLE("A8") }, { 0 } },
			.act = SOON_W "want 1:2;flags 1 S _;remove 1", .want = TOLD " 1=a1 2=a2; !temp/box; !bug/acct",
			.text = "work: 'a' was made anew (UIDVALIDITY) since it was opened" },
		{ "what is removed is what was meant",
			{ ABC("UIDPLUS"), W_AND_W(BODY("1", "1", "a1") BODY("2", "2", "a2") OK("A5")), { "A8 SELECT \"a\"", BOX("2", "7", "9", "") WRITABLE("A8") },
				{ "A9 UID STORE 1 +FLAGS.SILENT (\\Deleted)", OK("A9") }, { "A10 UID EXPUNGE 1", OK("A10") }, { 0 } },
			.act = SOON_W "want 1:2;remove 1;commit", .want = TOLD " 1=a1 2=a2;  1; " },
		{ "what is put there goes there",
			{ ABC("UIDPLUS"), W_AND_W(BODY("1", "1", "a1") BODY("2", "2", "a2") OK("A5")), { "A8 SELECT \"a\"", BOX("2", "7", "9", "") WRITABLE("A8") },
				{ "A9 APPEND \"a\" \"01-Jan-1970 00:01:40 +0000\" {5+}", "" }, { "two", "" }, { "", "A9 OK [APPENDUID 7 9] ok\r\n" }, HEARD("A10"), { 0 } },
			.act = SOON_W "want 1:2;stage two/ _ 100;harden;publish", .want = TOLD " 1=a1 2=a2; ; <7 9 5 ->;  9" },
		{ "a look begins with nothing of it",
			{ ABC(""), A_AND_B, ASK("A7", "1", A_SAYS B_SAYS), EXAMINE("A8", "a", ""), { "A9 UID FETCH 1:* " ALL, BOX("1", "7", "9", "") OK("A8") ROW("1", "1", "") OK("A9") }, { 0 } },
			.act = SOON "want 1:2;look r a _ _", .want = TOLD " 1=a1 2=a2; [0 all'7 9 1 0'1: 1(9,100)]" },
		{ "one that is long comes first",
			{ ABC(""), EXAMINE("A4", "a", ""), ASK("A5", "1:74", ""), ASK("A6", "75:148", ""), ASK("A7", "149:222", ""), ASK("A8", "223:296", BOX("300", "7", "999", "") OK("A4") OK("A5") OK("A6") OK("A7") OK("A8")),
				ASK("A9", "297:300", ""), EXAMINE("A10", "b", ""), ASK("A11", "1", OK("A9") BOX("1", "8", "9", "") OK("A10") BODY("1", "1", "b1") OK("A11")), { 0 } },
			.act = "folders;soon a 1:300 r7 b 1 r1;open a;want 1:300;open b;want 1", .want = NULL },
		{ "also one that is selected",
			{ ABC(""), EXAMINE("A4", "a", BOX("300", "7", "999", "") OK("A4")), { "A5 UID FETCH 1:* " ALL, ROW("1", "1", "") OK("A5") },
				ASK("A6", "1:74", ""), ASK("A7", "75:148", ""), ASK("A8", "149:222", ""), ASK("A9", "223:296", OK("A6")), ASK("A10", "297:300", ""), EXAMINE("A11", "b", ""),
				ASK("A12", "1", OK("A7") OK("A8") OK("A9") OK("A10") BOX("1", "8", "9", "") OK("A11") BODY("1", "1", "b1") OK("A12")), { 0 } },
			.act = "folders;look r a _ _;soon a 1:300 r7 b 1 r1;open a;want 1:300;open b;want 1", .want = NULL },
		{ "or not, if other messages are wanted then",
			{ ABC(""), EXAMINE("A4", "a", BOX("300", "7", "999", "") OK("A4")), { "A5 UID FETCH 1:* " ALL, ROW("1", "1", "") OK("A5") },
				ASK("A6", "1:16", ""), ASK("A7", "17:48", ""), ASK("A8", "49:80", ""), ASK("A9", "81:100", ""), EXAMINE("A10", "b", ""),
				ASK("A11", "1", OK("A6") OK("A7") OK("A8") OK("A9") BOX("1", "8", "9", "") OK("A10") BODY("1", "1", "b1") OK("A11")), { 0 } },
			.act = "folders;look r a _ _;soon a 1:300 r7 b 1 r1;open a;want 1:100;open b;want 1", .want = NULL },
		{ "no more at once", { ABC(""), EXAMINE("A4", "a", ""), ASK("A5", "1", ""), ASK("A6", "2", ""), ASK("A7", "3", BOX("3", "7", "9", "") OK("A4")), { "nothing more", "" } },
			.act = "folders;soon a 1:3 r3000 b 1 r1;open a", .want = "a|b|c|; ; same'7 9 3 0'3:" },
		{ "than can be read in good time",
			{ ABC(""), EXAMINE("A4", "a", ""), ASK("A5", "1", ""), ASK("A6", "2", ""), ASK("A7", "3", BOX("3", "7", "9", "") OK("A4") BODY("1", "1", "a1") OK("A5") BODY("2", "2", "a2") OK("A6")),
				EXAMINE("A8", "b", ""), ASK("A9", "1", BODY("3", "3", "a3") OK("A7") BOX("1", "8", "9", "") OK("A8") BODY("1", "1", "b1") OK("A9")), { 0 } },
			.act = "folders;soon a 1:3 r3000 b 1 r1;open a;want 1:3;open b;want 1", .want = "a|b|c|; ; same'7 9 3 0'3:;  1=a1 2=a2 3=a3; " B_INFO ";  1=b1" },
	};

	(void)state;
	play_all(rows, COUNT(rows));
}

/* Whatever comes up to the end of a line. */
static void next_line(int fd, char *line, size_t size)
{
	size_t n = 0;

	do {
		peer_recv(fd, line + n, 1);
	} while (line[n] != '\n' && n++ < size - 2);
	line[n ? n - 1 : 0] = '\0';
}

/* Which is to be this one. */
static void expect_line(int fd, const char *want)
{
	char line[4096];

	next_line(fd, line, sizeof(line));
	if (strcmp(line, want) != 0)
		_exit(1);
}

static void say(int fd, const char *text)
{
	peer_send(fd, text, strlen(text));
}

#define LONG ((size_t)8000000) /* bytes that no buffer takes */

/* A server on a slow link: 16 messages of 40 kB, and of the others none. */
static void slow_server(int fd, int nth, void *arg)
{
	static char body[40000];
	static const char *const caps = "[CAPABILITY IMAP4rev1 COMPRESS=DEFLATE] in\r\n";
	const bool on = *(bool *)arg;
	char line[4096];
	int from, to;

	(void)nth;
	memset(body, 'x', sizeof(body));
	say(fd, "* OK ");
	say(fd, caps);
	expect_line(fd, "A1 LOGIN \"jane\" \"5ecret\"");
	say(fd, "A1 OK ");
	say(fd, caps);
	expect_line(fd, "A2 EXAMINE \"INBOX\"");
	say(fd, BOX("300", "7", "999", "") OK("A2"));
	expect_line(fd, "A3 UID FETCH 1:16 " PEEK);
	expect_line(fd, "A4 UID FETCH 17:48 " PEEK);
	if (!on) {
		expect_line(fd, "A5 UID FETCH 49:80 " PEEK);
		expect_line(fd, "A6 UID FETCH 81:112 " PEEK);
	}
	for (int i = 1; i <= 16; i++) {
		char head[80];

		snprintf(head, sizeof(head), "* %d FETCH (UID %d BODY[] {%zu}\r\n", i, i,
			sizeof(body));
		say(fd, head);
		peer_send(fd, body, sizeof(body) / 2);
		usleep(10000);
		peer_send(fd, body, sizeof(body) / 2);
		say(fd, ")\r\n");
	}
	say(fd, OK("A3") OK("A4"));
	if (on) { /* no more than what it was seen by has come before */
		expect_line(fd, "A5 COMPRESS DEFLATE");
		say(fd, "A5 NO not now\r\n");
	} else {
		say(fd, OK("A5") OK("A6"));
	}
	for (int n = on ? 48 : 112, tag = on ? 6 : 7; n < 300; tag++) {
		next_line(fd, line, sizeof(line));
		if (sscanf(line, "A%*d UID FETCH %d:%d ", &from, &to) != 2 || from != n + 1)
			_exit(1);
		n = to;
		snprintf(line, sizeof(line), "A%d OK done\r\n", tag);
		say(fd, line);
	}
	next_line(fd, line, sizeof(line));
	if (!strstr(line, " LOGOUT"))
		_exit(1);
	say(fd, "* BYE well done\r\n");
}

/* A server that is near: the first 16 messages come, of 300 kB each. Then more is asked for at once than of one that is slow. */
static void fast_server(int fd, int nth, void *arg)
{
	static char body[300000];
	char text[100], line[4096];
	int from, to = 0;

	(void)nth;
	(void)arg;
	memset(body, 'x', sizeof(body));
	say(fd, "* OK [CAPABILITY IMAP4rev1] in\r\n");
	expect_line(fd, "A1 LOGIN \"jane\" \"5ecret\"");
	say(fd, "A1 OK [CAPABILITY IMAP4rev1] in\r\n");
	expect_line(fd, "A2 EXAMINE \"INBOX\"");
	say(fd, BOX("300", "7", "999", "") OK("A2"));
	expect_line(fd, "A3 UID FETCH 1:16 " PEEK);
	expect_line(fd, "A4 UID FETCH 17:48 " PEEK);
	expect_line(fd, "A5 UID FETCH 49:80 " PEEK);
	expect_line(fd, "A6 UID FETCH 81:112 " PEEK);
	for (int i = 1; i <= 16; i++) {
		snprintf(text, sizeof(text), "* %d FETCH (UID %d BODY[] {%zu}\r\n", i, i, sizeof(body));
		say(fd, text);
		peer_send(fd, body, sizeof(body));
		say(fd, ")\r\n");
	}
	say(fd, OK("A3") OK("A4") OK("A5") OK("A6"));
	next_line(fd, line, sizeof(line));
	if (sscanf(line, "A7 UID FETCH 113:%d ", &to) != 1 || to <= 112 + (2 << 20) / 300000)
		_exit(1);
	say(fd, OK("A7"));
	for (int tag = 8; to < 300; tag++) {
		next_line(fd, line, sizeof(line));
		if (sscanf(line, "A%*d UID FETCH %d:%d ", &from, &to) == 1)
			to = from;
		snprintf(text, sizeof(text), "A%d OK done\r\n", tag);
		say(fd, text);
	}
	next_line(fd, line, sizeof(line));
	say(fd, "* BYE well done\r\n");
}

struct taken {
	size_t bytes, gone;
	struct err e;
};

/* Take 300 messages of the inbox. */
static struct taken take_300(void (*serve)(int fd, int nth, void *arg), bool compress)
{
	struct peer peer;
	struct imapstore_params p = { .imap = { .dial = { .host = "127.0.0.1",
							.security = DIAL_PLAIN,
							.timeout = 5000 },
					      .user = "jane",
					      .secret = { .literal = "5ecret" },
					      .secure = true },
		.compress = compress };
	struct taken t = { .e = ERR_INIT };
	struct box_info info;
	uint64_t nums[300];
	struct store *s;
	size_t i;
	int rc;

	peer_start(&peer, serve, &compress);
	p.imap.dial.port = peer.port;
	s = imapstore_new(&p, &t.e);
	assert_non_null(s);
	for (size_t k = 0; k < COUNT(nums); k++)
		nums[k] = k + 1;
	assert_int_equal(s->ops->open_box(s, "", BOX_READ, &info, &t.e), 0);
	assert_int_equal(s->ops->want(s, nums, COUNT(nums), &t.e), 0);
	for (;;) {
		struct stream *body = NULL;
		char buf[4096];
		ssize_t n;

		rc = s->ops->next(s, &i, &body, &t.e);
		if (rc <= 0)
			break;
		t.gone += !body;
		while (body && (n = stream_read(body, buf, sizeof(buf), &t.e)) > 0)
			t.bytes += (size_t)n;
		stream_free(body);
	}
	store_free(s);
	peer_stop(&peer);
	return t;
}

/* COMPRESS is asked for when it is seen to be of use. */
static void test_compress(void **state)
{
	(void)state;
	for (int on = 0; on < 2; on++) {
		struct taken t = take_300(slow_server, on);

		assert_string_equal(t.e.text, "");
		assert_int_equal(t.bytes, 16 * 40000);
		assert_int_equal(t.gone, 300 - 16);
	}
}

/* The next command but NOOP, which is answered, is to be this one. */
static void expect_command(int fd, const char *want, char tag[16])
{
	char line[4096], said[40];

	for (;;) {
		size_t n;

		next_line(fd, line, sizeof(line));
		n = strcspn(line, " ");
		if (n >= 16 || line[n] == '\0')
			_exit(1);
		snprintf(tag, 16, "%.*s", (int)n, line);
		if (strcmp(line + n, " NOOP") != 0) {
			if (strcmp(line + n + 1, want) != 0)
				_exit(1);
			return;
		}
		snprintf(said, sizeof(said), "%s OK\r\n", tag);
		say(fd, said);
	}
}

static void say_tagged(int fd, const char *tag, const char *text)
{
	say(fd, tag);
	say(fd, text);
}

/* A server that is slow to take what is sent to it: a long message, and another. arg: before the second it is asked to compress. */
static void slow_taker(int fd, int nth, void *arg)
{
	static const char *const caps = "[CAPABILITY IMAP4rev1 LITERAL+ UIDPLUS COMPRESS=DEFLATE] in\r\n";
	static char body[LONG];
	char tag[16];

	(void)nth;
	say(fd, "* OK ");
	say(fd, caps);
	expect_line(fd, "A1 LOGIN \"jane\" \"5ecret\"");
	say(fd, "A1 OK ");
	say(fd, caps);
	expect_line(fd, "A2 SELECT \"INBOX\"");
	say(fd, BOX("0", "7", "9", "") PERMANENT "A2 OK [READ-WRITE] ok\r\n");
	expect_command(fd, "APPEND \"INBOX\" \"01-Jan-1970 00:01:40 +0000\" {8000000+}", tag);
	usleep(1500000);
	peer_recv(fd, body, LONG);
	expect_line(fd, "");
	say_tagged(fd, tag, " OK [APPENDUID 7 9] ok\r\n");
	if (*(bool *)arg) {
		expect_command(fd, "COMPRESS DEFLATE", tag);
		say_tagged(fd, tag, " NO not now\r\n");
	}
	expect_command(fd, "APPEND \"INBOX\" \"01-Jan-1970 00:01:40 +0000\" {600000+}", tag);
	peer_recv(fd, body, 600000);
	expect_line(fd, "");
	say_tagged(fd, tag, " OK [APPENDUID 7 10] ok\r\n");
	expect_command(fd, "LOGOUT", tag);
	say(fd, "* BYE well done\r\n");
}

/* Publish a message of so many bytes alone. */
static void put_one(struct store *s, const char *text, size_t n, const char *key)
{
	struct store_meta meta = { .date = 100 };
	struct stream *body = memstream_new(text, n, 0, NULL);
	struct staged st;
	struct err e = ERR_INIT;

	assert_non_null(body);
	assert_int_equal(s->ops->stage(s, body, &meta, &st, &e), 0);
	stream_free(body);
	assert_int_equal(s->ops->harden(s, &st, 1, &e), 0);
	if (s->ops->publish(s, &st, 1, &e) < 0)
		fail_msg("%s", e.text);
	assert_string_equal(st.key, key);
	assert_null(st.refused);
}

/* Also for what is sent. */
static void test_compress_sent(void **state)
{
	char *text = malloc(LONG);

	(void)state;
	assert_non_null(text);
	memset(text, 'x', LONG);
	for (int on = 0; on < 2; on++) {
		bool compress = on;
		struct peer peer;
		struct imapstore_params p = { .imap = { .dial = { .host = "127.0.0.1",
								.security = DIAL_PLAIN,
								.timeout = 5000 },
						      .user = "jane",
						      .secret = { .literal = "5ecret" },
						      .secure = true },
			.compress = compress };
		struct err e = ERR_INIT;
		struct box_info info;
		struct store *s;

		peer_start(&peer, slow_taker, &compress);
		p.imap.dial.port = peer.port;
		s = imapstore_new(&p, &e);
		assert_non_null(s);
		assert_int_equal(s->ops->open_box(s, "", BOX_WRITE, &info, &e), 0);
		put_one(s, text, LONG, "9");
		put_one(s, text, 600000, "10");
		store_free(s);
		peer_stop(&peer);
	}
	free(text);
}

/* Of a fast link more is asked at once. */
static void test_pace(void **state)
{
	static const struct {
		uint64_t came;
		msec_t waited;
		uint64_t want;
	} rows[] = {
		{ 0, 0, 77 },
		{ IMAPASK_FIRST - 1, 1, 77 },
		{ IMAPASK_FIRST, 5000, IMAPASK_BYTES },
		{ IMAPASK_FIRST, 0, IMAPASK_MOST },
		{ 80u << 20, 39999, IMAPASK_BYTES },
		{ 80u << 20, 1999, 4u << 20 },
		{ 80u << 20, 499, IMAPASK_MOST },
		{ UINT64_C(1) << 40, 1, IMAPASK_MOST },
	};
	static const struct {
		uint64_t came;
		msec_t spent;
		uint64_t want;
	} shared[] = {
		{ IMAPASK_FIRST - 1, 1, 77 },
		{ 1u << 20, 0, 1u << 20 },
		{ 2u << 20, 10000, 99864 },
		{ IMAPASK_FIRST, 100000, IMAPASK_SHARED },
		{ 80u << 20, 1000, IMAPASK_BYTES },
	};
	struct taken t;

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct imapask a = { .bytes = 77 };

		imapask_pace(&a, rows[i].came, rows[i].waited, 2 * rows[i].waited);
		assert_int_equal(a.bytes, rows[i].want);
	}
	for (size_t i = 0; i < COUNT(shared); i++) {
		struct imapask a = { .bytes = 77, .shared = true };

		imapask_pace(&a, shared[i].came, 0, shared[i].spent);
		assert_int_equal(a.bytes, shared[i].want);
	}
	t = take_300(fast_server, false);
	assert_string_equal(t.e.text, "");
	assert_int_equal(t.bytes, 16 * 300000);
	assert_int_equal(t.gone, 300 - 16);
}

/* ---- flags and removals ---- */

static void test_flags(void **state)
{
	static const struct row rows[] = {
		{ "grouped",
			{ IN(""), OPEN_WRITE("3"),
				{ "A3 UID STORE 2:3 +FLAGS.SILENT (\\Seen)", "" },
				{ "A4 UID STORE 1 +FLAGS.SILENT (\\Flagged $Forwarded)", "" },
				{ "A5 UID STORE 1 -FLAGS.SILENT (\\Seen)",
					"* 1 FETCH (FLAGS ())\r\n" OK("A3") OK("A4") OK("A5") },
				{ 0 } },
			.act = "open INBOX w;flags 1 FP S 2:3 S _", .want = OPENED " 2 3 1" },
		{ "only what it can hold",
			{ IN(""),
				{ "A2 SELECT \"INBOX\"",
					BOX("3", "7", "9", "* OK [PERMANENTFLAGS (\\Seen)] ok\r\n")
						OK("A2") },
				{ "A3 UID STORE 1 +FLAGS.SILENT (\\Seen)", OK("A3") }, { 0 } },
			.act = "open INBOX w;flags 1 SP _ 2 P _",
			.want = "same'7 9 3 0'3 holds1:;  2 1" },
		{ "one is refused",
			{ IN(""), OPEN_WRITE("3"),
				{ "A3 UID STORE 1:3 +FLAGS.SILENT (\\Seen)", "A3 NO no\r\n" },
				{ "A4 UID STORE 1 +FLAGS.SILENT (\\Seen)", OK("A4") },
				{ "A5 UID STORE 2 +FLAGS.SILENT (\\Seen)",
					"A5 NO not this one\r\n" },
				{ "A6 UID STORE 3 +FLAGS.SILENT (\\Seen)", OK("A6") }, { 0 } },
			.act = "open INBOX w;flags 1:3 S _", .want = OPENED " 1 2!refused/msg 3",
			.text = "not this one" },
		{ "added, but not taken",
			{ IN(""), OPEN_WRITE("3"),
				{ "A3 UID STORE 1 +FLAGS.SILENT (\\Seen)", OK("A3") },
				{ "A4 UID STORE 1 -FLAGS.SILENT (\\Flagged)", "A4 NO\r\n" },
				{ "A5 UID STORE 1 +FLAGS.SILENT (\\Seen)", OK("A5") },
				{ "A6 UID STORE 1 -FLAGS.SILENT (\\Flagged)", "A6 NO\r\n" },
				{ 0 } },
			.act = "open INBOX w;flags 1 S F", .want = OPENED " 1!refused/msg" },
		{ "nothing may be changed",
			{ IN(""), OPEN_WRITE("3"),
				{ "A3 UID STORE 1:3 +FLAGS.SILENT (\\Seen)",
					"A3 NO [NOPERM] never\r\n" },
				{ 0 } },
			.act = "open INBOX w;flags 1:3 S _",
			.want = OPENED " 1!refused/msg 2!refused/msg 3!refused/msg",
			.text = "never" },
		{ "lost in the middle",
			{ IN(""), OPEN_WRITE("3"),
				{ "A3 UID STORE 1 +FLAGS.SILENT (\\Seen)", OK("A3") },
				{ "A4 UID STORE 2 +FLAGS.SILENT (\\Flagged)", NULL } },
			.act = "open INBOX w;flags 1 S _ 2 F _", .want = OPENED " 1!temp/acct" },
		{ "in a box that is only read", { IN(""), OPEN_READ("3"), { 0 } },
			.act = "open INBOX;flags 1 S _", .want = OPENED "!refused/box" },
	};

	(void)state;
	play_all(rows, COUNT(rows));
}

static void test_removals(void **state)
{
#define MARK(tag, set)                                                                             \
	{                                                                                          \
		tag " UID STORE " set " +FLAGS.SILENT (\\Deleted)", OK(tag)                        \
	}
#define LABELS(uid, labels) "* " uid " FETCH (UID " uid " X-GM-LABELS (" labels "))\r\n"
#define OPENED4 "same'7 9 4 0'4:; "
	static const struct row rows[] = {
		{ "by their UIDs",
			{ IN("UIDPLUS"), OPEN_WRITE("3"), MARK("A3", "1,3"),
				{ "A4 UID EXPUNGE 1,3", "* 1 EXPUNGE\r\n* 2 EXPUNGE\r\n" OK("A4") },
				{ "A5 SELECT \"INBOX\"", BOX("1", "7", "9", "") OK("A5") }, { 0 } },
			.act = "open INBOX w;remove 1,3;commit;open INBOX w",
			.want = OPENED " 1 3; ; same'7 9 1 0'1:" },
		{ "nothing to do", { IN("UIDPLUS"), OPEN_WRITE("3"), { 0 } },
			.act = "open INBOX w;commit;commit", .want = OPENED "; !bug/acct" },
		{ "refused at the end",
			{ IN("UIDPLUS"), OPEN_WRITE("3"), MARK("A3", "1"),
				{ "A4 UID EXPUNGE 1", "A4 NO no\r\n" }, { 0 } },
			.act = "open INBOX w;remove 1;commit", .want = OPENED " 1; !refused/box" },
		{ "without UIDPLUS, only ours are marked",
			{ IN(""), OPEN_WRITE("3"),
				{ "A3 UID SEARCH DELETED", "* SEARCH 3\r\n" OK("A3") },
				MARK("A4", "1,3"),
				{ "A5 UID SEARCH DELETED", "* SEARCH 1 3\r\n" OK("A5") },
				{ "A6 EXPUNGE", OK("A6") }, { 0 } },
			.act = "open INBOX w;remove 1,3;commit", .want = OPENED " 1 3; " },
		{ "without UIDPLUS, others are marked",
			{ IN(""), OPEN_WRITE("3"),
				{ "A3 UID SEARCH DELETED", "* SEARCH 2\r\n" OK("A3") },
				MARK("A4", "1,3"), { 0 } },
			.act = "open INBOX w;remove 1,3;commit",
			.want = OPENED " 1!refused/msg 3!refused/msg; ",
			.text = "message 3 is marked as deleted but not removed" },
		{ "without UIDPLUS, others are marked meanwhile",
			{ IN("ESEARCH"), OPEN_WRITE("3"),
				{ "A3 UID SEARCH RETURN (ALL) DELETED",
					"* ESEARCH (TAG \"A3\") UID\r\n" OK("A3") },
				MARK("A4", "1"),
				{ "A5 UID SEARCH RETURN (ALL) DELETED",
					"* ESEARCH (TAG \"A5\") UID ALL 1:2\r\n" OK("A5") },
				{ 0 } },
			.act = "open INBOX w;remove 1;commit", .want = OPENED " 1; !refused/box",
			.text = "nothing is removed" },
		{ "to the trash",
			{ IN("UIDPLUS MOVE"), OPEN_WRITE("3"),
				{ "A3 LIST \"\" \"*\"", "* LIST () \"/\" Bin\r\n" OK("A3") },
				{ "A4 LSUB \"\" \"*\"", OK("A4") },
				{ "A5 UID MOVE 1:2 \"Bin\"",
					"* OK [COPYUID 5 1:2 7:8] ok\r\n* 1 EXPUNGE\r\n* 1 EXPUNGE\r\n" OK(
						"A5") },
				{ 0 } },
			.act = "open INBOX w;remove 1:2;commit", .want = OPENED " 1 2; ",
			.trash = "Bin" },
		{ "to a trash that is not there",
			{ IN("UIDPLUS MOVE"), OPEN_WRITE("3"), { "A3 LIST \"\" \"*\"", OK("A3") },
				{ "A4 LSUB \"\" \"*\"", OK("A4") },
				{ "A5 CREATE \"Bin\"", OK("A5") },
				{ "A6 SUBSCRIBE \"Bin\"", OK("A6") },
				{ "A7 UID MOVE 1 \"Bin\"", OK("A7") }, { 0 } },
			.act = "open INBOX w;remove 1", .want = OPENED " 1", .trash = "Bin" },
		{ "to a trash that somebody took away",
			{ IN("UIDPLUS MOVE"), OPEN_WRITE("3"),
				{ "A3 LIST \"\" \"*\"", "* LIST () \"/\" Bin\r\n" OK("A3") },
				{ "A4 LSUB \"\" \"*\"", OK("A4") },
				{ "A5 UID MOVE 1:2 \"Bin\"", "A5 NO [TRYCREATE] no\r\n" },
				{ "A6 CREATE \"Bin\"", OK("A6") },
				{ "A7 SUBSCRIBE \"Bin\"", OK("A7") },
				{ "A8 UID MOVE 1:2 \"Bin\"", "A8 NO no\r\n" },
				{ "A9 UID MOVE 1 \"Bin\"", OK("A9") },
				{ "A10 UID MOVE 2 \"Bin\"", "A10 NO not that\r\n" }, { 0 } },
			.act = "open INBOX w;remove 1:2", .want = OPENED " 1 2!refused/msg",
			.text = "not that", .trash = "Bin" },
		{ "to the trash without MOVE",
			{ IN("UIDPLUS"), OPEN_WRITE("3"),
				{ "A3 LIST \"\" \"*\"", "* LIST () \"/\" Bin\r\n" OK("A3") },
				{ "A4 LSUB \"\" \"*\"", OK("A4") },
				{ "A5 UID COPY 1:2 \"Bin\"", "A5 OK [COPYUID 5 1:2 7:8] ok\r\n" },
				MARK("A6", "1:2"), { "A7 UID EXPUNGE 1:2", OK("A7") }, { 0 } },
			.act = "open INBOX w;remove 1:2;commit", .want = OPENED " 1 2; ",
			.trash = "Bin" },
		{ "not copied, not removed",
			{ IN("UIDPLUS"), OPEN_WRITE("3"),
				{ "A3 LIST \"\" \"*\"", "* LIST () \"/\" Bin\r\n" OK("A3") },
				{ "A4 LSUB \"\" \"*\"", OK("A4") },
				{ "A5 UID COPY 1:2 \"Bin\"", "A5 NO no\r\n" },
				{ "A6 CREATE \"Bin\"", "A6 NO there\r\n" },
				{ "A7 STATUS \"Bin\" (UIDVALIDITY MESSAGES)", OK("A7") },
				{ "A8 SUBSCRIBE \"Bin\"", OK("A8") },
				{ "A9 UID COPY 1:2 \"Bin\"", "A9 NO full\r\n" },
				{ "A10 UID COPY 1 \"Bin\"", "A10 NO full\r\n" },
				{ "A11 UID COPY 2 \"Bin\"", OK("A11") }, MARK("A12", "2"),
				{ "A13 UID EXPUNGE 2", OK("A13") }, { 0 } },
			.act = "open INBOX w;remove 1:2;commit",
			.want = OPENED " 1!refused/msg 2; ", .trash = "Bin" },
		{ "never copied again and again",
			{ IN(""), OPEN_WRITE("3"),
				{ "A3 UID SEARCH DELETED", "* SEARCH 3\r\n" OK("A3") },
				MARK("A4", "1"), { 0 } },
			.act = "open INBOX w;remove 1", .want = OPENED " 1!refused/msg",
			.trash = "Bin" },
		{ "nor where nothing can be removed",
			{ IN("UIDPLUS"),
				{ "A2 SELECT \"INBOX\"",
					BOX("3", "7", "9", "* OK [PERMANENTFLAGS (\\Seen)] ok\r\n") OK("A2") },
				{ 0 } },
			.act = "open INBOX w;remove 1:2;commit", .want = "same'7 9 3 0'3 holds1:;  1!refused/msg 2!refused/msg; ",
			.text = "may be removed", .trash = "Bin" },
		{ "only a label is taken away",
			{ IN("UIDPLUS MOVE X-GM-EXT-1"), OPEN_WRITE("3"),
				{ "A3 UID FETCH 1:3 (UID X-GM-LABELS)",
					LABELS("1", "\"\\\\Starred\" \"\\\\Important\" \"\\\\Inbox\" \\Muted {0}\r\n ")
					LABELS("2", "Work \"\\\\Starred\"") LABELS("3", "") OK("A3") },
				MARK("A4", "2"),
				{ "A5 LIST \"\" \"*\"", "* LIST () \"/\" Bin\r\n" OK("A5") },
				{ "A6 LSUB \"\" \"*\"", OK("A6") },
				{ "A7 UID MOVE 1,3 \"Bin\"", OK("A7") },
				{ "A8 UID EXPUNGE 2", OK("A8") }, { 0 } },
			.act = "open INBOX w;remove 1:3;commit", .want = OPENED " 2 1 3; ",
			.trash = "Bin" },
		{ "all are under other labels, whatever these are",
			{ IN("UIDPLUS MOVE X-GM-EXT-1"), OPEN_WRITE("3"),
				{ "A3 UID FETCH 1:3 (UID X-GM-LABELS)",
					LABELS("3", "\\Sent") LABELS("2", "\"\\\\Draft\"")
					LABELS("1", "\"\\\\News\"") OK("A3") },
				MARK("A4", "1:3"), { "A5 UID EXPUNGE 1:3", OK("A5") }, { 0 } },
			.act = "open INBOX w;remove 1:3;commit", .want = OPENED " 1 2 3; ",
			.trash = "Bin" },
		{ "labels that are not told, or not at once, or told in two ways",
			{ IN("UIDPLUS MOVE X-GM-EXT-1"), OPEN_WRITE("4"),
				{ "A3 UID FETCH 1:4 (UID X-GM-LABELS)",
					LABELS("1", "") LABELS("1", "Work") LABELS("2", "Work") LABELS("2", "")
					"* 3 FETCH (UID 3 FLAGS ())\r\n* 4 FETCH (UID 4 X-GM-LABELS NIL)\r\n"
					"* 3 FETCH (X-GM-LABELS ())\r\n* 9 FETCH (UID 9 X-GM-LABELS ())\r\n" OK("A3") },
				MARK("A4", "1:3"),
				{ "A5 LIST \"\" \"*\"", "* LIST () \"/\" Bin\r\n" OK("A5") },
				{ "A6 LSUB \"\" \"*\"", OK("A6") },
				{ "A7 UID MOVE 4 \"Bin\"", OK("A7") }, { 0 } },
			.act = "open INBOX w;remove 1:4", .want = OPENED4 " 1 2 3 4", .trash = "Bin" },
		{ "labels that are refused",
			{ IN("UIDPLUS MOVE X-GM-EXT-1"), OPEN_WRITE("3"),
				{ "A3 UID FETCH 1 (UID X-GM-LABELS)", "A3 BAD what?\r\n" }, MARK("A4", "1"),
				{ 0 } },
			.act = "open INBOX w;remove 1", .want = OPENED " 1", .trash = "Bin" },
		{ "lost at the labels",
			{ IN("UIDPLUS MOVE X-GM-EXT-1"), OPEN_WRITE("3"),
				{ "A3 UID FETCH 1 (UID X-GM-LABELS)", NULL } },
			.act = "open INBOX w;remove 1", .want = OPENED "!temp/acct", .trash = "Bin" },
		{ "no label is asked for where nothing goes to the trash",
			{ IN("UIDPLUS MOVE X-GM-EXT-1"), OPEN_WRITE("3"), MARK("A3", "1"), { 0 } },
			.act = "open INBOX w;remove 1", .want = OPENED " 1" },
		{ "nor if that is not wanted",
			{ IN("UIDPLUS MOVE X-GM-EXT-1"), OPEN_WRITE("3"),
				{ "A3 LIST \"\" \"*\"", "* LIST () \"/\" Bin\r\n" OK("A3") },
				{ "A4 LSUB \"\" \"*\"", OK("A4") },
				{ "A5 UID MOVE 1 \"Bin\"", OK("A5") }, { 0 } },
			.act = "open INBOX w;remove 1", .want = OPENED " 1", .trash = "Bin",
			.disabled = IMAP_CAP_GMAIL },
		{ "in the trash",
			{ IN("UIDPLUS MOVE"), OPEN_WRITE("3"), MARK("A3", "1"),
				{ "A4 UID EXPUNGE 1", OK("A4") }, { 0 } },
			.act = "open INBOX w;remove 1;commit", .want = OPENED " 1; ",
			.trash = "INBOX" },
		{ "lost before the end",
			{ IN("UIDPLUS"), OPEN_WRITE("3"), MARK("A3", "1"),
				{ "A4 UID EXPUNGE 1", NULL } },
			.act = "open INBOX w;remove 1;commit", .want = OPENED " 1; !temp/acct" },
	};

	(void)state;
	play_all(rows, COUNT(rows));
}

/* ---- moves ---- */

/* A folder that was looked at, so that its UIDVALIDITY is known, and then the inbox. */
#define TARGET(flags)                                                                              \
	{ LIST, "* LIST () \"/\" Box\r\n" OK("A2") }, { LSUB, OK("A3") },                          \
		{ "A4 EXAMINE \"Box\"", BOX("0", "5", "1", "") OK("A4") },                         \
	{                                                                                          \
		"A5 SELECT \"INBOX\"", BOX("3", "7", "9", flags) OK("A5")                          \
	}
#define SEEN_BOX "open Box;open INBOX w;"
#define BOTH "same'5 1 0 0'0:; " OPENED
#define MOVES(tag, set, say)                                                                       \
	{                                                                                          \
		tag " UID MOVE " set " \"Box\"", say                                               \
	}
#define COPIES(tag, set, say)                                                                      \
	{                                                                                          \
		tag " UID COPY " set " \"Box\"", say                                               \
	}
#define EXPUNGES(tag, set, say)                                                                    \
	{                                                                                          \
		tag " UID EXPUNGE " set, say                                                       \
	}

static void test_moves(void **state)
{
	static const struct row rows[] = {
		{ "told before the end",
			{ IN("UIDPLUS MOVE"), TARGET(PERMANENT),
				MOVES("A6", "1:3",
					"* OK [COPYUID 5 1:3 11:13] moved\r\n* 3 EXPUNGE\r\n* 2 EXPUNGE\r\n"
					"* 1 EXPUNGE\r\n" OK("A6")),
				{ 0 } },
			.act = SEEN_BOX "move 1:3 Box", .want = BOTH " 1>11 2>12 3>13" },
		{ "ranges in any order",
			{ IN("UIDPLUS MOVE"), TARGET(PERMANENT),
				MOVES("A6", "1:3,7:8",
					"* OK [COPYUID 5 7:8,1:3 20:21,12,30:31] moved\r\n" OK("A6")),
				{ 0 } },
			.act = SEEN_BOX "move 1:3,7:8 Box",
			.want = BOTH " 1>12 2>30 3>31 7>20 8>21" },
		{ "told at the end",
			{ IN("UIDPLUS MOVE"), TARGET(PERMANENT),
				MOVES("A6", "1,3", "A6 OK [COPYUID 5 1,3 4294967295,9] ok\r\n"),
				{ 0 } },
			.act = SEEN_BOX "move 1,3 Box", .want = BOTH " 1>4294967295 3>9" },
		{ "told twice, and of what is not ours",
			{ IN("UIDPLUS MOVE"), TARGET(PERMANENT),
				MOVES("A6", "1:2",
					"* OK [COPYUID 5 1:2 11:12] ok\r\n* OK [COPYUID 5 8 13] ok\r\n"
					"A6 OK [COPYUID 5 1:2 11:12] ok\r\n"),
				{ 0 } },
			.act = SEEN_BOX "move 1:2 Box", .want = BOTH " 1>11 2>12" },
		{ "not told, or of some",
			{ IN("UIDPLUS MOVE"), TARGET(PERMANENT), MOVES("A6", "1:2", OK("A6")),
				{ "A7 SELECT \"INBOX\"", BOX("3", "7", "9", PERMANENT) OK("A7") },
				MOVES("A8", "1:3", "A8 OK [COPYUID 5 2 12] ok\r\n"), { 0 } },
			.act = SEEN_BOX "move 1:2 Box;open INBOX w;move 1:3 Box",
			.want = BOTH " 1> 2>; " OPENED " 1> 2>12 3>" },
		{ "of another mailbox of that name",
			{ IN("UIDPLUS MOVE"), TARGET(PERMANENT),
				MOVES("A6", "1", "A6 OK [COPYUID 6 1 11] ok\r\n"), { 0 } },
			.act = SEEN_BOX "move 1 Box", .want = BOTH " 1>" },
		{ "of a mailbox that nobody looked at",
			{ IN("UIDPLUS MOVE"), OPEN_WRITE("3"),
				{ "A3 LIST \"\" \"*\"", "* LIST () \"/\" Box\r\n" OK("A3") },
				{ "A4 LSUB \"\" \"*\"", OK("A4") },
				MOVES("A5", "1", "A5 OK [COPYUID 5 1 11] ok\r\n"), { 0 } },
			.act = "open INBOX w;move 1 Box", .want = OPENED " 1>" },
		{ "of one that was only listed",
			{ CONDSTORE("LIST-EXTENDED LIST-STATUS MOVE"),
				{ "A3 LIST \"\" \"*\" RETURN (SUBSCRIBED STATUS (MESSAGES UIDNEXT UIDVALIDITY HIGHESTMODSEQ))",
					"* LIST () \"/\" Box\r\n* STATUS Box (MESSAGES 3 UIDNEXT 4 "
					"UIDVALIDITY 5 HIGHESTMODSEQ 9)\r\n" OK("A3") },
				{ "A4 SELECT \"INBOX\"", BOX("3", "7", "9", PERMANENT) OK("A4") },
				MOVES("A5", "1", "A5 OK [COPYUID 5 1 11] ok\r\n"), { 0 } },
			.act = "folders;open INBOX w;move 1 Box",
			.want = "Box '5 4 3 9' 3|; " OPENED " 1>11" },
		{ "nonsense",
			{ IN("UIDPLUS MOVE"), TARGET(PERMANENT),
				MOVES("A6", "1:2",
					"* OK [COPYUID 5 1:2 11] ok\r\n* OK [COPYUID 5 1 11:12] ok\r\n"
					"* OK [COPYUID 5 1:2] ok\r\n* OK [COPYUID 0 1:2 11:12] ok\r\n"
					"* OK [COPYUID 4294967301 1:2 11:12] ok\r\n"
					"* OK [COPYUID 5 1:0 11:12] ok\r\n* OK [COPYUID 5 x y] ok\r\n"
					"* OK [COPYUID 5 1:4294967295 1:4294967295] ok\r\n"
					"* OK [COPYUID] ok\r\n" OK("A6")),
				{ 0 } },
			.act = SEEN_BOX "move 1:2 Box", .want = BOTH " 1> 2>" },
		{ "two of one name",
			{ IN("UIDPLUS MOVE"), TARGET(PERMANENT),
				MOVES("A6", "1:4", "A6 OK [COPYUID 5 1:4 11,12,11,13] ok\r\n"), { 0 } },
			.act = SEEN_BOX "move 1:4 Box", .want = BOTH " 1> 2>12 3> 4>13" },
		{ "one of two names",
			{ IN("UIDPLUS MOVE"), TARGET(PERMANENT),
				MOVES("A6", "1:3",
					"* OK [COPYUID 5 1:3 11:13] ok\r\n* OK [COPYUID 5 1,3 11,14] ok\r\n" OK("A6")),
				{ 0 } },
			.act = SEEN_BOX "move 1:3 Box", .want = BOTH " 1>11 2>12 3>" },
		{ "both at once",
			{ IN("UIDPLUS MOVE"), TARGET(PERMANENT),
				MOVES("A6", "1:3", "A6 OK [COPYUID 5 1,1,2,3 11,12,12,13] ok\r\n"), { 0 } },
			.act = SEEN_BOX "move 1:3 Box", .want = BOTH " 1> 2> 3>13" },
		{ "of two mailboxes of that name",
			{ IN("UIDPLUS MOVE"), TARGET(PERMANENT), MOVES("A6", "1:2", "A6 NO no\r\n"),
				MOVES("A7", "1", "A7 OK [COPYUID 6 1 11] ok\r\n"),
				MOVES("A8", "2", "A8 OK [COPYUID 5 2 12] ok\r\n"), { 0 } },
			.act = SEEN_BOX "move 1:2 Box", .want = BOTH " 1> 2>12" },
		{ "some are refused",
			{ IN("UIDPLUS MOVE"), TARGET(PERMANENT), MOVES("A6", "1:3", "A6 NO no\r\n"),
				MOVES("A7", "1", "* OK [COPYUID 5 1 11] ok\r\n" OK("A7")),
				MOVES("A8", "2", "A8 NO not this one\r\n"),
				MOVES("A9", "3", "A9 OK [COPYUID 5 3 12] ok\r\n"), { 0 } },
			.act = SEEN_BOX "move 1:3 Box", .want = BOTH " 2!refused/msg 1>11 3>12",
			.text = "it can't be moved: the server says \"not this one\"" },
		{ "all are refused",
			{ IN("UIDPLUS MOVE"), TARGET(PERMANENT),
				MOVES("A6", "1:2", "A6 NO [NOPERM] never\r\n"), { 0 } },
			.act = SEEN_BOX "move 1:2 Box", .want = BOTH " 1!refused/msg 2!refused/msg",
			.text = "never" },
		{ "no folder of that name",
			{ IN("UIDPLUS MOVE"), OPEN_WRITE("3"),
				{ "A3 LIST \"\" \"*\"", "* LIST () \".\" INBOX\r\n" OK("A3") },
				{ "A4 LSUB \"\" \"*\"", OK("A4") },
				{ "A5 UID MOVE 1:2 \"B&APY-se.a&-b\"", "A5 NO [TRYCREATE] none\r\n" },
				{ 0 } },
			.act = "open INBOX w;move 1:2 B\xc3\xb6se/a&b",
			.want = OPENED " 1!refused/msg 2!refused/msg", .text = "[TRYCREATE] none" },
		{ "no room",
			{ IN("UIDPLUS MOVE"), TARGET(PERMANENT),
				MOVES("A6", "1:2", "A6 NO [OVERQUOTA] full\r\n"), { 0 } },
			.act = SEEN_BOX "move 1:2 Box", .want = BOTH "!temp/acct/3600",
			.text = "work: 'INBOX': messages can't be moved: the server says" },
		{ "lost, and what went well before is not told",
			{ IN("UIDPLUS MOVE"), TARGET(PERMANENT), MOVES("A6", "1:3", "A6 NO no\r\n"),
				MOVES("A7", "1", "A7 NO no\r\n"),
				MOVES("A8", "2", "A8 OK [COPYUID 5 2 11] ok\r\n"),
				MOVES("A9", "3", NULL) },
			.act = SEEN_BOX "move 1:3 Box", .want = BOTH " 1!refused/msg!temp/acct" },
		{ "it does not go to the trash",
			{ IN("UIDPLUS MOVE"), TARGET(PERMANENT),
				MOVES("A6", "1", "A6 OK [COPYUID 5 1 11] ok\r\n"), { 0 } },
			.act = SEEN_BOX "move 1 Box", .want = BOTH " 1>11", .trash = "Bin" },
		{ "the box is closed, and selected anew",
			{ IN("UIDPLUS MOVE"), TARGET(PERMANENT),
				MOVES("A6", "1", "A6 OK [COPYUID 5 1 11] ok\r\n"),
				{ "A7 SELECT \"INBOX\"", BOX("2", "7", "9", PERMANENT) OK("A7") },
				{ 0 } },
			.act = SEEN_BOX "move 1 Box;flags 2 S _;move 2 Box;open INBOX w",
			.want = BOTH " 1>11; !bug/acct; !bug/acct; same'7 9 2 0'2:" },
		{ "nothing to move", { IN("UIDPLUS MOVE"), TARGET(PERMANENT), { 0 } },
			.act = "open Box;open INBOX w;move _ Box", .want = BOTH },
		{ "from a box that is only read", { IN("UIDPLUS MOVE"), OPEN_READ("3"), { 0 } },
			.act = "open INBOX;move 1 Box", .want = OPENED "!refused/box" },
	};

	(void)state;
	play_all(rows, COUNT(rows));
}

/* Where commit follows at once, what is marked is removed in the same flight, if the server then says what is gone. */
static void test_removals_at_once(void **state)
{
#define OPEN_QRESYNC QRESYNC("UIDPLUS"), { "A3 SELECT \"INBOX\" (CONDSTORE)", BOX("3", "7", "9", "") OK("A3") }
	static const struct row rows[] = {
		{ "marked and removed",
			{ OPEN_QRESYNC, MARK("A4", "1,3"), EXPUNGES("A5", "1,3", "* VANISHED 1,3\r\n" OK("A5")),
				{ "A6 SELECT \"INBOX\"", BOX("1", "7", "9", "") OK("A6") }, { 0 } },
			.act = "open INBOX w;end 1,3;commit;open INBOX w",
			.want = OPENED " 1 3; ; same'7 9 1 0'1:" },
		{ "of one it is not said",
			{ OPEN_QRESYNC, MARK("A4", "1,3"), EXPUNGES("A5", "1,3", "* VANISHED 2:3\r\n" OK("A5")),
				EXPUNGES("A6", "1", OK("A6")), { 0 } },
			.act = "open INBOX w;end 1,3;commit", .want = OPENED " 1 3; " },
		{ "what is said of earlier removals is no answer",
			{ OPEN_QRESYNC, MARK("A4", "1"), EXPUNGES("A5", "1", "* VANISHED (EARLIER) 1\r\n" OK("A5")),
				EXPUNGES("A6", "1", "* VANISHED 1\r\n" OK("A6")), { 0 } },
			.act = "open INBOX w;end 1;commit", .want = OPENED " 1; " },
		{ "marked, but not removed",
			{ OPEN_QRESYNC, MARK("A4", "1,3"), EXPUNGES("A5", "1,3", "* VANISHED 1\r\nA5 NO later\r\n"),
				EXPUNGES("A6", "1,3", "A6 NO not today\r\n"), { 0 } },
			.act = "open INBOX w;end 1,3;commit", .want = OPENED " 1 3; !refused/box",
			.text = "not today" },
		{ "not marked, but for one",
			{ OPEN_QRESYNC,
				{ "A4 UID STORE 1,3 +FLAGS.SILENT (\\Deleted)", "A4 NO no\r\n" },
				EXPUNGES("A5", "1,3", OK("A5")), MARK("A6", "1"),
				EXPUNGES("A7", "1", "* VANISHED 1\r\n" OK("A7")),
				{ "A8 UID STORE 3 +FLAGS.SILENT (\\Deleted)", "A8 NO no\r\n" },
				EXPUNGES("A9", "3", OK("A9")), { 0 } },
			.act = "open INBOX w;end 1,3;commit", .want = OPENED " 1 3!refused/msg; " },
		{ "lost between the two",
			{ OPEN_QRESYNC, MARK("A4", "1"), EXPUNGES("A5", "1", NULL) },
			.act = "open INBOX w;end 1", .want = OPENED " 1!temp/acct" },
		{ "nobody says what is gone: later",
			{ IN("UIDPLUS"), OPEN_WRITE("3"), MARK("A3", "1"), EXPUNGES("A4", "1", OK("A4")), { 0 } },
			.act = "open INBOX w;end 1;commit", .want = OPENED " 1; " },
		{ "commit is not near: later",
			{ OPEN_QRESYNC, MARK("A4", "1"), EXPUNGES("A5", "1", "* VANISHED 1\r\n" OK("A5")), { 0 } },
			.act = "open INBOX w;remove 1;commit", .want = OPENED " 1; " },
	};

	(void)state;
	play_all(rows, COUNT(rows));
}

/* What is announced is asked along with flags, and told later; whatever was not answered then is asked for. */
static void test_idents_ahead(void **state)
{
#define ASKS(tag, set, say)                                                                        \
	{                                                                                          \
		tag " UID FETCH " set " (UID RFC822.SIZE INTERNALDATE BODY.PEEK[HEADER.FIELDS (MESSAGE-ID)])", say \
	}
#define TELLS(uid, size)                                                                            \
	"* " uid " FETCH (UID " uid " RFC822.SIZE " size                                           \
	" INTERNALDATE \"17-Jul-2026 02:44:25 +0000\" BODY[HEADER.FIELDS (MESSAGE-ID)] {21}\r\nMessage-ID: <a@b>\r\n\r\n)\r\n"
#define SEEN(tag, say)                                                                             \
	{                                                                                          \
		tag " UID STORE 2 +FLAGS.SILENT (\\Seen)", say                                     \
	}
	static const struct row rows[] = {
		{ "with flags",
			{ IN("UIDPLUS"), OPEN_WRITE("3"), SEEN("A3", "* 2 FETCH (UID 2 FLAGS (\\Seen))\r\n" OK("A3")),
				ASKS("A4", "1,3", TELLS("1", "10") TELLS("3", "30") OK("A4")), MARK("A5", "1,3"), { 0 } },
			.act = "open INBOX w;foretell 1,3;flags 2 S _;idents 1,3;remove 1,3",
			.want = OPENED ";  2;  1(10 named) 3(30 named);  1 3" },
		{ "the answers mixed",
			{ IN("UIDPLUS"), OPEN_WRITE("3"), SEEN("A3", ""),
				ASKS("A4", "1,3", TELLS("3", "30") OK("A3") TELLS("1", "10") OK("A4")), { 0 } },
			.act = "open INBOX w;foretell 1,3;flags 2 S _;idents 1,3", .want = OPENED ";  2;  3(30 named) 1(10 named)" },
		{ "each answer counts once",
			{ IN("UIDPLUS"), OPEN_WRITE("3"), SEEN("A3", OK("A3")), ASKS("A4", "1", TELLS("1", "10") OK("A4")),
				ASKS("A5", "1", TELLS("1", "11") OK("A5")), { 0 } },
			.act = "open INBOX w;foretell 1;flags 2 S _;idents 1;idents 1", .want = OPENED ";  2;  1(10 named);  1(11 named)" },
		{ "others are asked about than was said",
			{ IN("UIDPLUS"), OPEN_WRITE("3"), SEEN("A3", OK("A3")), ASKS("A4", "1", TELLS("1", "10") OK("A4")),
				ASKS("A5", "1,3", TELLS("1", "11") TELLS("3", "30") OK("A5")), { 0 } },
			.act = "open INBOX w;foretell 1;flags 2 S _;idents 1,3", .want = OPENED ";  2;  1(11 named) 3(30 named)" },
		{ "one is not told: it is not there",
			{ IN("UIDPLUS"), OPEN_WRITE("3"), SEEN("A3", OK("A3")), ASKS("A4", "1,3", TELLS("1", "10") OK("A4")), { 0 } },
			.act = "open INBOX w;foretell 1,3;flags 2 S _;idents 1,3", .want = OPENED ";  2;  1(10 named)" },
		{ "refused: asked once more",
			{ IN("UIDPLUS"), OPEN_WRITE("3"), SEEN("A3", OK("A3")), ASKS("A4", "1", "A4 NO later\r\n"),
				ASKS("A5", "1", TELLS("1", "10") OK("A5")), { 0 } },
			.act = "open INBOX w;foretell 1;flags 2 S _;idents 1", .want = OPENED ";  2;  1(10 named)" },
		{ "flags are refused, and tried one by one",
			{ IN("UIDPLUS"), OPEN_WRITE("3"), { "A3 UID STORE 2:3 +FLAGS.SILENT (\\Seen)", "A3 NO no\r\n" },
				ASKS("A4", "1", TELLS("1", "10") OK("A4")), SEEN("A5", OK("A5")),
				{ "A6 UID STORE 3 +FLAGS.SILENT (\\Seen)", "A6 NO no\r\n" }, { 0 } },
			.act = "open INBOX w;foretell 1;flags 2:3 S _;idents 1", .want = OPENED ";  2 3!refused/msg;  1(10 named)" },
		{ "no flags were changed",
			{ IN("UIDPLUS"), OPEN_WRITE("3"), ASKS("A3", "1", TELLS("1", "10") OK("A3")), { 0 } },
			.act = "open INBOX w;foretell 1;idents 1", .want = OPENED ";  1(10 named)" },
		{ "the box is another",
			{ IN("UIDPLUS"), OPEN_WRITE("3"), SEEN("A3", OK("A3")), ASKS("A4", "1", TELLS("1", "10") OK("A4")),
				{ "A5 SELECT \"INBOX\"", BOX("3", "7", "9", "") OK("A5") }, ASKS("A6", "1", TELLS("1", "11") OK("A6")), { 0 } },
			.act = "open INBOX w;foretell 1;flags 2 S _;open INBOX w;idents 1", .want = OPENED ";  2; same'7 9 3 0'3:;  1(11 named)" },
		{ "lost",
			{ IN("UIDPLUS"), OPEN_WRITE("3"), SEEN("A3", OK("A3")), ASKS("A4", "1", NULL) },
			.act = "open INBOX w;foretell 1;flags 2 S _;idents 1", .want = OPENED ";  2!temp/acct; !temp/acct" },
	};

	(void)state;
	play_all(rows, COUNT(rows));
}

/* Without MOVE (RFC 6851): COPY, and removal by the very UIDs. */
static void test_moves_by_copy(void **state)
{
	static const struct row rows[] = {
		{ "copied, marked, removed",
			{ IN("UIDPLUS"), TARGET(PERMANENT),
				COPIES("A6", "1:2", "A6 OK [COPYUID 5 1:2 11:12] ok\r\n"),
				MARK("A7", "1:2"),
				EXPUNGES("A8", "1:2", "* 1 EXPUNGE\r\n* 1 EXPUNGE\r\n" OK("A8")),
				{ "A9 SELECT \"INBOX\"", BOX("1", "7", "9", PERMANENT) OK("A9") },
				{ 0 } },
			.act = SEEN_BOX "move 1:2 Box;commit;open INBOX w",
			.want = BOTH " 1>11 2>12; !bug/acct; same'7 9 1 0'1:" },
		{ "as what is not told",
			{ IN("UIDPLUS"), TARGET(PERMANENT), COPIES("A6", "1:2", OK("A6")),
				MARK("A7", "1:2"), EXPUNGES("A8", "1:2", OK("A8")), { 0 } },
			.act = SEEN_BOX "move 1:2 Box", .want = BOTH " 1> 2>" },
		{ "some are not copied, and stay",
			{ IN("UIDPLUS"), TARGET(PERMANENT), COPIES("A6", "1:3", "A6 NO no\r\n"),
				COPIES("A7", "1", "A7 NO too large\r\n"),
				COPIES("A8", "2", "A8 OK [COPYUID 5 2 12] ok\r\n"),
				COPIES("A9", "3", "A9 OK [COPYUID 5 3 13] ok\r\n"),
				MARK("A10", "2:3"), EXPUNGES("A11", "2:3", OK("A11")), { 0 } },
			.act = SEEN_BOX "move 1:3 Box", .want = BOTH " 1!refused/msg 2>12 3>13",
			.text = "it can't be moved: the server says \"too large\"" },
		{ "none is copied",
			{ IN("UIDPLUS"), TARGET(PERMANENT),
				COPIES("A6", "1:2", "A6 NO [TRYCREATE] no\r\n"), { 0 } },
			.act = SEEN_BOX "move 1:2 Box", .want = BOTH " 1!refused/msg 2!refused/msg",
			.trash = "Bin" },
		{ "copied, but not marked: it is there",
			{ IN("UIDPLUS"), TARGET(PERMANENT),
				COPIES("A6", "1:3", "A6 OK [COPYUID 5 1:3 11:13] ok\r\n"),
				{ "A7 UID STORE 1:3 +FLAGS.SILENT (\\Deleted)", "A7 NO no\r\n" },
				MARK("A8", "1"),
				{ "A9 UID STORE 2 +FLAGS.SILENT (\\Deleted)", "A9 NO no\r\n" },
				MARK("A10", "3"), EXPUNGES("A11", "1,3", OK("A11")), { 0 } },
			.act = SEEN_BOX "move 1:3 Box", .want = BOTH " 2> 1>11 3>13" },
		{ "marked, but not removed",
			{ IN("UIDPLUS"), TARGET(PERMANENT),
				COPIES("A6", "1:2", "A6 OK [COPYUID 5 1:2 11:12] ok\r\n"),
				MARK("A7", "1:2"), EXPUNGES("A8", "1:2", "A8 NO not today\r\n"),
				{ 0 } },
			.act = SEEN_BOX "move 1:2 Box", .want = BOTH "!refused/box",
			.text = "not today" },
		{ "not where nothing can be removed",
			{ IN("UIDPLUS"),
				TARGET("* OK [PERMANENTFLAGS (\\Answered \\Flagged \\Seen \\Draft \\*)] ok\r\n"),
				{ 0 } },
			.act = SEEN_BOX "move 1:2 Box",
			.want = "same'5 1 0 0'0:; same'7 9 3 0'3 holds55:;  1!refused/msg 2!refused/msg",
			.text = "nothing in 'INBOX' may be removed" },
		{ "without UIDPLUS, only ours are marked",
			{ IN(""), TARGET(PERMANENT),
				{ "A6 UID SEARCH DELETED", "* SEARCH 2\r\n" OK("A6") },
				COPIES("A7", "1:2", OK("A7")), MARK("A8", "1:2"),
				{ "A9 UID SEARCH DELETED", "* SEARCH 1 2\r\n" OK("A9") },
				{ "A10 EXPUNGE", OK("A10") }, { 0 } },
			.act = SEEN_BOX "move 1:2 Box", .want = BOTH " 1> 2>" },
		{ "without UIDPLUS, others are marked: it stays as it is",
			{ IN(""), TARGET(PERMANENT),
				{ "A6 UID SEARCH DELETED", "* SEARCH 3\r\n" OK("A6") }, { 0 } },
			.act = SEEN_BOX "move 1:2 Box", .want = BOTH " 1!refused/msg 2!refused/msg",
			.text = "nothing in 'INBOX' may be removed alone: others there are marked" },
		{ "without UIDPLUS, others are marked meanwhile",
			{ IN(""), TARGET(PERMANENT),
				{ "A6 UID SEARCH DELETED", "* SEARCH\r\n" OK("A6") },
				COPIES("A7", "1", OK("A7")), MARK("A8", "1"),
				{ "A9 UID SEARCH DELETED", "* SEARCH 1 3\r\n" OK("A9") }, { 0 } },
			.act = SEEN_BOX "move 1 Box", .want = BOTH "!refused/box",
			.text = "'INBOX': nothing is removed" },
		{ "without UIDPLUS, nobody knows what is marked",
			{ IN(""), TARGET(PERMANENT), { "A6 UID SEARCH DELETED", "A6 NO later\r\n" },
				{ 0 } },
			.act = SEEN_BOX "move 1 Box", .want = BOTH "!refused/box", .text = "later" },
		{ "lost behind the copy",
			{ IN("UIDPLUS"), TARGET(PERMANENT),
				COPIES("A6", "1", "A6 OK [COPYUID 5 1 11] ok\r\n"), MARK("A7", "1"),
				EXPUNGES("A8", "1", NULL) },
			.act = SEEN_BOX "move 1 Box", .want = BOTH "!temp/acct" },
		{ "it does not go to the trash",
			{ IN("UIDPLUS"), TARGET(PERMANENT),
				COPIES("A6", "1", "A6 OK [COPYUID 5 1 11] ok\r\n"), MARK("A7", "1"),
				EXPUNGES("A8", "1", OK("A8")), { 0 } },
			.act = SEEN_BOX "move 1 Box", .want = BOTH " 1>11", .trash = "Bin" },
	};

	(void)state;
	play_all(rows, COUNT(rows));
}

/* They stay, and what they are there nobody asks. */
static void test_copies(void **state)
{
	static const struct row rows[] = {
		{ "copied", { IN("UIDPLUS MOVE"), TARGET(PERMANENT), COPIES("A6", "1:3", "A6 OK [COPYUID 5 1:3 11:13] ok\r\n"), { 0 } },
			.act = SEEN_BOX "copy 1:3 Box;copy 1 Box", .want = BOTH " 1> 2> 3>; !bug/acct", .trash = "Bin" },
		{ "some are refused",
			{ IN(""), TARGET(PERMANENT), COPIES("A6", "1:2", "A6 NO no\r\n"), COPIES("A7", "1", "A7 NO too large\r\n"), COPIES("A8", "2", OK("A8")),
				{ 0 } },
			.act = SEEN_BOX "copy 1:2 Box", .want = BOTH " 1!refused/msg 2>", .text = "it can't be copied: the server says \"too large\"" },
		{ "nothing to copy", { IN("UIDPLUS MOVE"), TARGET(PERMANENT), { 0 } }, .act = SEEN_BOX "copy _ Box", .want = BOTH },
	};

	(void)state;
	play_all(rows, COUNT(rows));
}

/* UIDs from, from + step ... as a list. */
static void put_uids(struct strbuf *b, uint32_t from, uint32_t step, size_t n)
{
	for (size_t i = 0; i < n; i++)
		strbuf_printf(b, "%s%u", i ? "," : "", from + (uint32_t)i * step);
}

/*
 * More than a command holds, of the longest UIDs: several commands of which none is too long. Once
 * each is answered; then the link is lost behind the first.
 */
static void test_many_moves(void **state)
{
	enum { COMMANDS = 3, FIRST = 4000000001, LAST = 100 };
	static const struct row rows[2] = {
		{ .name = "many", .turns = { IN("UIDPLUS MOVE"), TARGET(PERMANENT), { 0 } } },
		{ .name = "lost", .turns = { IN("UIDPLUS MOVE"), TARGET(PERMANENT), { 0 } } },
	};

	(void)state;
	for (int lost = 0; lost < 2; lost++) {
		struct strbuf cmd[COMMANDS], say[COMMANDS], act = STRBUF_INIT(1 << 16),
			want = STRBUF_INIT(1 << 16);
		struct row row = rows[lost];
		struct turn *t = row.turns;
		bool good;

		while (t->want || t->say)
			t++;
		strbuf_puts(&act, SEEN_BOX "move ");
		put_uids(&act, FIRST, 2, 1200 + LAST);
		strbuf_puts(&act, " Box");
		strbuf_puts(&want, BOTH);
		for (unsigned i = 0; i < COMMANDS; i++) {
			size_t n = i + 1 < COMMANDS ? 600 : LAST;
			uint32_t from = FIRST + i * 1200;

			cmd[i] = say[i] = (struct strbuf)STRBUF_INIT(1 << 16);
			strbuf_printf(&cmd[i], "A%u UID MOVE ", 6 + i);
			put_uids(&cmd[i], from, 2, n);
			strbuf_puts(&cmd[i], " \"Box\"");
			assert_true(cmd[i].len < 8000);
			strbuf_puts(&say[i], "* OK [COPYUID 5 ");
			put_uids(&say[i], from, 2, n);
			strbuf_printf(&say[i], " %u:%u] moved\r\nA%u OK done\r\n", 1 + i * 600,
				(unsigned)(i * 600 + n), 6 + i);
			*t++ = (struct turn){ strbuf_str(&cmd[i]),
				lost && i == 1 ? NULL : strbuf_str(&say[i]) };
		}
		*t = (struct turn){ 0 };
		for (unsigned i = 0; !lost && i < 1200 + LAST; i++)
			strbuf_printf(&want, " %u>%u", FIRST + 2 * i, 1 + i);
		if (lost)
			strbuf_puts(&want, "!temp/acct");
		row.act = strbuf_str(&act);
		row.want = strbuf_str(&want);
		good = play(&row);
		for (unsigned i = 0; i < COMMANDS; i++) {
			strbuf_release(&cmd[i]);
			strbuf_release(&say[i]);
		}
		strbuf_release(&act);
		strbuf_release(&want);
		assert_true(good);
	}
}

/* ---- deliveries ---- */

static void test_deliveries(void **state)
{
#define STAGE1 "open INBOX w;stage Message-ID:+<a@x>//one/ S 100;harden;"
#define STAGE2 "open INBOX w;stage Message-ID:+<a@x>//one/ S 100;stage two/ _ 0;harden;"
#define HINT1 "7 9 26 79baa4529ab1d2f0"
#define HINTED1 OPENED "; <" HINT1 ">; "
#define HINTED2 OPENED "; ; <" HINT1 "><7 9 5 ->; "
#define BODY1                                                                                      \
	{ "Message-ID: <a@x>", "" }, { "", "" },                                                   \
	{                                                                                          \
		"one", ""                                                                          \
	}
#define SENT1 "APPEND \"INBOX\" (\\Seen) \"01-Jan-1970 00:01:40 +0000\" {26+}"
#define SENT2 "APPEND \"INBOX\" {5+}"
#define ONE(t1, end)                                                                               \
	{ t1 " " SENT1, "" }, BODY1,                                                               \
	{                                                                                          \
		"", end                                                                            \
	}
#define TWO(t2, end)                                                                               \
	{ t2 " " SENT2, "" }, { "two", "" },                                                       \
	{                                                                                          \
		"", end                                                                            \
	}
#define LAST(tag, uid) { tag " UID FETCH * (UID)", "* 3 FETCH (UID " uid ")\r\n" OK(tag) }
#define SEEK(from) "UID FETCH " from ":* (UID RFC822.SIZE BODY.PEEK[HEADER.FIELDS (MESSAGE-ID)])"
#define SAID(uids) "UID FETCH " uids " (UID RFC822.SIZE BODY.PEEK[HEADER.FIELDS (MESSAGE-ID)])"
#define FOUND(uid, size, mid, n)                                                                   \
	"* 1 FETCH (UID " uid " RFC822.SIZE " size " BODY[HEADER.FIELDS (MESSAGE-ID)] {" n         \
	"}\r\n" mid "\r\n)\r\n"
#define MID_A "Message-ID: <a@x>\r\n"
#define TEXT1 "BODY[] {26}\r\nMessage-ID: <a@x>\r\n\r\none\r\n)\r\n"
	static const struct row rows[] = {
		{ "one by one, in one flight",
			{ IN("UIDPLUS"), OPEN_WRITE("3"), ONE("A3", ""),
				TWO("A4",
					"* 5 EXISTS\r\nA3 OK [APPENDUID 7 9] ok\r\nA4 OK [APPENDUID 7 12] ok\r\n"), HEARD("A5"),
				TWO("A6", "A6 OK [APPENDUID 7 13] ok\r\n"), HEARD("A7"), { 0 } },
			.act = STAGE2 "publish;next;stage two/ _ 0;harden;publish",
			.want = HINTED2 " 9 12; ; ; <7 13 5 ->;  13" },
		{ "the date of the header, where there is no other",
			{ IN("UIDPLUS"), OPEN_WRITE("3"), { "A3 APPEND \"INBOX\" \"14-Nov-2023 22:13:20 +0000\" {32+}", "" }, { "Date: 14 Nov 2023 22:13:20 Z", "" },
				{ "", "" }, { "", "A3 OK [APPENDUID 7 9] ok\r\n" }, HEARD("A4"), { 0 } },
			.act = "open INBOX w;stage Date:+14+Nov+2023+22:13:20+Z// _ 0;harden;publish", .want = OPENED "; <7 9 32 ->;  9" },
		{ "several at once",
			{ IN("UIDPLUS MULTIAPPEND"), OPEN_WRITE("3"), { "A3 " SENT1, "" }, BODY1,
				{ " {5+}", "" }, { "two", "" },
				{ "", "A3 OK [APPENDUID 7 9:10] ok\r\n" }, HEARD("A4"), { 0 } },
			.act = STAGE2 "publish", .want = HINTED2 " 9 10" },
		{ "several at once, one of them refused",
			{ IN("UIDPLUS MULTIAPPEND"), OPEN_WRITE("3"), { "A3 " SENT1, "" }, BODY1,
				{ " {5+}", "" }, { "two", "" }, { "", "A3 NO [LIMIT] no\r\n" }, HEARD("A4"),
				ONE("A5", ""),
				TWO("A6", "A5 OK [APPENDUID 7 9] ok\r\nA6 BAD no header\r\n"), HEARD("A7"),
				{ 0 } },
			.act = STAGE2 "publish", .want = HINTED2 " 9 none!refused/msg",
			.text = "no header" },
		{ "each with the server's leave",
			{ BARE("UIDPLUS"), OPEN_WRITE("3"),
				{ "A3 APPEND \"INBOX\" (\\Seen) \"01-Jan-1970 00:01:40 +0000\" {26}",
					"+ go\r\n" },
				BODY1, { "", "A3 OK [APPENDUID 7 9] ok\r\n" },
				{ "A4 APPEND \"INBOX\" {5}", "A4 NO [TOOBIG] no\r\n" }, HEARD("A5"), { 0 } },
			.act = STAGE2 "publish", .want = HINTED2 " 9 none!refused/msg" },
		{ "no room",
			{ IN("UIDPLUS"), OPEN_WRITE("3"), ONE("A3", ""),
				TWO("A4", "A3 NO [OVERQUOTA] full\r\nA4 OK [APPENDUID 7 9] ok\r\n"), HEARD("A5"),
				{ 0 } },
			.act = STAGE2 "publish", .want = HINTED2 "!temp/acct/3600",
			.text = "work: 'INBOX': the server says \"[OVERQUOTA] full\" (make room there, or have more given; what is left goes over in a later run)" },
		{ "no room, and nothing is sent after it",
			{ BARE("UIDPLUS"), OPEN_WRITE("3"),
				{ "A3 APPEND \"INBOX\" (\\Seen) \"01-Jan-1970 00:01:40 +0000\" {26}",
					"A3 NO [OVERQUOTA]\r\n" },
				{ 0 } },
			.act = STAGE2 "publish", .want = HINTED2 "!temp/acct/3600" },
		{ "no folder",
			{ IN("UIDPLUS"), OPEN_WRITE("3"), ONE("A3", "A3 NO [TRYCREATE] none\r\n"), HEARD("A4"),
				{ 0 } },
			.act = STAGE1 "publish", .want = HINTED1 "!refused/box" },
		{ "lost, and found again",
			{ IN("UIDPLUS"), OPEN_WRITE("3"), { "A3 " SENT1, "" }, BODY1,
				{ "", NULL } },
			.act = STAGE1 "publish;open INBOX w;recover 7.9.26.79baa4529ab1d2f0",
			.want = HINTED1 "!temp/acct; " OPENED " 11",
			.again = { IN("UIDPLUS"), OPEN_WRITE("3"),
				{ "A3 " SEEK("9"),
					"* 1 FETCH (UID 8 RFC822.SIZE 26 BODY[HEADER.FIELDS (MESSAGE-ID)] {2}\r\n\r\n)\r\n" FOUND(
						"10", "26", "", "2") FOUND("11", "30", MID_A, "21")
						FOUND("12", "3", "", "2") OK("A3") },
				{ "A4 UID FETCH 10 " PEEK,
					"* 1 FETCH (UID 10 BODY[] {1}\r\nx)\r\n" OK("A4") },
				{ "A5 UID FETCH 11 " PEEK, "* 1 FETCH (UID 11 " TEXT1 OK("A5") },
				{ 0 } } },
		{ "a UID of an old message",
			{ IN("UIDPLUS"), OPEN_WRITE("3"), ONE("A3", "A3 OK [APPENDUID 7 3] ok\r\n"), HEARD("A4"),
				{ "A5 NOOP", "" },
				{ "A6 " SAID("3"), FOUND("3", "30", "", "2") OK("A5") OK("A6") },
				{ "A7 " SEEK("9"), FOUND("9", "26", MID_A, "21") OK("A7") },
				{ "A8 UID FETCH 9 " PEEK, "* 1 FETCH (UID 9 " TEXT1 OK("A8") },
				{ 0 } },
			.act = STAGE1 "publish", .want = HINTED1 " 9" },
		{ "taken for an old message, which it is",
			{ IN("UIDPLUS"), OPEN_WRITE("3"), ONE("A3", "A3 OK [APPENDUID 7 3] ok\r\n"), HEARD("A4"),
				{ "A5 NOOP", "" },
				{ "A6 " SAID("3"), FOUND("3", "26", "", "2") OK("A5") OK("A6") },
				{ "A7 UID FETCH 3 " PEEK, "* 1 FETCH (UID 3 " TEXT1 OK("A7") },
				{ 0 } },
			.act = STAGE1 "publish", .want = HINTED1 " 3" },
		{ "taken for an old message of its Message-ID, which it is not",
			{ IN("UIDPLUS"), OPEN_WRITE("3"), ONE("A3", "A3 OK [APPENDUID 7 3] ok\r\n"), HEARD("A4"),
				{ "A5 NOOP", "" },
				{ "A6 " SAID("3"), FOUND("3", "25", MID_A, "21") OK("A5") OK("A6") },
				{ "A7 UID FETCH 3 " PEEK,
					"* 1 FETCH (UID 3 BODY[] {25}\r\nMessage-ID: <a@x>\r\n\r\nno\r\n)\r\n" OK("A7") },
				{ 0 } },
			.act = STAGE1 "publish", .want = HINTED1 " none!refused/msg",
			.text = "same Message-ID" },
		{ "taken for an old message that can't be read",
			{ IN("UIDPLUS"), OPEN_WRITE("3"), ONE("A3", "A3 OK [APPENDUID 7 3] ok\r\n"), HEARD("A4"),
				{ "A5 NOOP", "" },
				{ "A6 " SAID("3"), FOUND("3", "25", MID_A, "21") OK("A5") OK("A6") },
				{ "A7 UID FETCH 3 " PEEK, "A7 NO not now\r\n" },
				{ "A8 " SEEK("9"), OK("A8") }, { 0 } },
			.act = STAGE1 "publish", .want = HINTED1 " none!proto/msg",
			.text = "can't be found" },
		{ "taken for an old message that nobody knows of",
			{ IN("UIDPLUS"), OPEN_WRITE("3"), ONE("A3", "A3 OK [APPENDUID 7 3] ok\r\n"), HEARD("A4"),
				{ "A5 NOOP", "" },
				{ "A6 " SAID("3"), OK("A5") "A6 NO not now\r\n" },
				{ "A7 " SEEK("9"), OK("A7") }, { 0 } },
			.act = STAGE1 "publish", .want = HINTED1 " none!proto/msg",
			.text = "can't be found" },
		{ "twins, one taken for the other",
			{ IN("UIDPLUS"), OPEN_WRITE("3"), ONE("A3", ""),
				ONE("A4", "A3 OK [APPENDUID 7 9] ok\r\nA4 OK [APPENDUID 7 9] ok\r\n"), HEARD("A5"),
				{ "A6 NOOP", "" },
				{ "A7 " SAID("9"), FOUND("9", "26", MID_A, "21") OK("A6") OK("A7") },
				{ "A8 UID FETCH 9 " PEEK, "* 1 FETCH (UID 9 " TEXT1 OK("A8") },
				{ 0 } },
			.act = "open INBOX w;stage Message-ID:+<a@x>//one/ S 100;stage Message-ID:+<a@x>//one/ S 100;harden;publish",
			.want = OPENED "; ; <" HINT1 "><" HINT1 ">;  9 9" },
		{ "Gmail: it is there",
			{ IN("UIDPLUS X-GM-EXT-1"), OPEN_WRITE("3"), ONE("A3", ""),
				TWO("A4", "A3 OK [APPENDUID 7 9] ok\r\nA4 OK [APPENDUID 7 10] ok\r\n"), HEARD("A5"),
				{ "A6 NOOP", "* 5 EXISTS\r\n" },
				{ "A7 UID FETCH 9:10 (UID)",
					OK("A6") "* 4 FETCH (UID 9)\r\n* 5 FETCH (UID 10)\r\n" OK("A7") },
				{ 0 } },
			.act = STAGE2 "publish", .want = HINTED2 " 9 10" },
		{ "Gmail: one is not there",
			{ IN("UIDPLUS X-GM-EXT-1"), OPEN_WRITE("3"), ONE("A3", ""),
				TWO("A4", "A3 OK [APPENDUID 7 9] ok\r\nA4 OK [APPENDUID 7 10] ok\r\n"), HEARD("A5"),
				{ "A6 NOOP", "* 4 EXISTS\r\n" },
				{ "A7 UID FETCH 9:10 (UID)", OK("A6") "* 4 FETCH (UID 10)\r\n" OK("A7") },
				{ 0 } },
			.act = STAGE2 "publish", .want = HINTED2 " none!proto/msg 10",
			.text = "perhaps it has it" },
		{ "Gmail: it is not told",
			{ IN("UIDPLUS X-GM-EXT-1"), OPEN_WRITE("3"),
				ONE("A3", "A3 OK [APPENDUID 7 9] ok\r\n"), HEARD("A4"),
				{ "A5 NOOP", "" },
				{ "A6 UID FETCH 9 (UID)", OK("A5") "A6 NO not now\r\n" }, { 0 } },
			.act = STAGE1 "publish", .want = HINTED1 " 9" },
		{ "Gmail: what came meanwhile is not taken for it",
			{ IN("UIDPLUS X-GM-EXT-1"), OPEN_WRITE("3"), ONE("A3", OK("A3")), HEARD("A4"),
				{ "A5 " SEEK("9"), FOUND("9", "99", "", "2") OK("A5") }, { 0 } },
			.act = STAGE1 "publish", .want = HINTED1 " none!proto/msg" },
		{ "a UID of another mailbox",
			{ IN("UIDPLUS"), OPEN_WRITE("3"), ONE("A3", "A3 OK [APPENDUID 8 9] ok\r\n"), HEARD("A4"),
				{ "A5 " SEEK("9"), OK("A5") }, { 0 } },
			.act = STAGE1 "publish", .want = HINTED1 " none!proto/msg",
			.text = "the server took the message, but it can't be found" },
		{ "more UIDs than messages",
			{ IN("UIDPLUS"), OPEN_WRITE("3"),
				ONE("A3", "A3 OK [APPENDUID 7 9:10] ok\r\n"), HEARD("A4"),
				{ "A5 " SEEK("9"), FOUND("9", "26", "", "2") OK("A5") },
				{ "A6 UID FETCH 9 " PEEK, "* 1 FETCH (UID 9 " TEXT1 OK("A6") },
				{ 0 } },
			.act = STAGE1 "publish", .want = HINTED1 " 9" },
		{ "one UID for two messages",
			{ IN("UIDPLUS"), OPEN_WRITE("3"), ONE("A3", ""),
				TWO("A4",
					"A3 OK [APPENDUID 7 9] ok\r\nA4 OK [APPENDUID 7 9] ok\r\n"), HEARD("A5"),
				{ "A6 NOOP", "" },
				{ "A7 " SAID("9"), FOUND("9", "26", MID_A, "21") OK("A6") OK("A7") },
				{ "A8 " SEEK("9"),
					FOUND("9", "26", MID_A, "21") FOUND("10", "5", "", "2")
						OK("A8") },
				{ "A9 UID FETCH 10 " PEEK,
					"* 1 FETCH (UID 10 BODY[] {5}\r\ntwo\r\n)\r\n" OK("A9") },
				{ 0 } },
			.act = STAGE2 "publish", .want = HINTED2 " 9 10" },
		{ "without UIDPLUS, twins",
			{ IN(""), OPEN_WRITE("3"), LAST("A3", "8"), ONE("A4", ""),
				ONE("A5", OK("A4") OK("A5")), HEARD("A6"),
				{ "A7 " SEEK("9"),
					FOUND("9", "26", "", "2") FOUND("10", "26", "", "2")
						OK("A7") },
				{ "A8 UID FETCH 9 " PEEK, "* 1 FETCH (UID 9 " TEXT1 OK("A8") },
				{ "A9 UID FETCH 10 " PEEK, "* 1 FETCH (UID 10 " TEXT1 OK("A9") },
				{ 0 } },
			.act = "open INBOX w;stage Message-ID:+<a@x>//one/ S 100;stage Message-ID:+<a@x>//one/ S 100;harden;publish",
			.want = OPENED "; ; <" HINT1 "><" HINT1 ">;  9 10" },
		{ "without UIDPLUS, the server changes the bytes",
			{ IN(""), OPEN_WRITE("3"), LAST("A3", "8"), ONE("A4", ""),
				TWO("A5", OK("A4") OK("A5")), HEARD("A6"),
				{ "A7 " SEEK("9"),
					FOUND("9", "50", "", "2") FOUND("10", "60", MID_A, "21")
						OK("A7") },
				{ "A8 UID FETCH 10 " PEEK,
					"* 1 FETCH (UID 10 BODY[] {1}\r\nx)\r\n" OK("A8") },
				{ 0 } },
			.act = STAGE2 "publish", .want = HINTED2 " 10 9" },
		{ "not found again",
			{ IN(""), OPEN_WRITE("3"),
				{ "A3 " SEEK("5"), FOUND("9", "26", MID_A, "21") OK("A3") },
				{ "A4 UID FETCH 9 " PEEK,
					"* 1 FETCH (UID 9 BODY[] {3}\r\none)\r\n" OK("A4") },
				{ 0 } },
			.act = "open INBOX w;stage Message-ID:+<a@x>//one/ S 100;recover 7.5.26.79baa4529ab1d2f0",
			.want = OPENED "; "
				       " -" },
		{ "what is there is not told",
			{ IN(""), OPEN_WRITE("3"), { "A3 " SEEK("5"), "A3 NO later\r\n" }, { 0 } },
			.act = "open INBOX w;stage Message-ID:+<a@x>//one/ S 100;recover 7.5.26.79baa4529ab1d2f0",
			.want = OPENED "; !refused/box", .text = "later" },
		{ "nothing is there, and that is told so",
			{ IN(""), { "A2 SELECT \"INBOX\"", BOX("0", "7", "9", PERMANENT) OK("A2") },
				{ "A3 " SEEK("5"), "A3 NO nothing\r\n" }, { 0 } },
			.act = "open INBOX w;stage Message-ID:+<a@x>//one/ S 100;recover 7.5.26.79baa4529ab1d2f0",
			.want = "same'7 9 0 0'0:; ; "
				       " -" },
		{ "it was taken, but what is there is not told",
			{ IN(""), OPEN_WRITE("3"), LAST("A3", "8"), ONE("A4", OK("A4")), HEARD("A5"),
				{ "A6 " SEEK("9"), "A6 NO later\r\n" }, { 0 } },
			.act = STAGE1 "publish", .want = HINTED1 "!refused/box" },
		{ "it is there, but can't be read",
			{ IN(""), OPEN_WRITE("3"),
				{ "A3 " SEEK("5"), FOUND("9", "27", MID_A, "21") FOUND("10", "26", MID_A, "21") OK("A3") },
				{ "A4 UID FETCH 9 " PEEK, "A4 NO later\r\n" },
				{ "A5 UID FETCH 10 " PEEK, "A5 NO later\r\n" }, { 0 } },
			.act = "open INBOX w;stage Message-ID:+<a@x>//one/ S 100;recover 7.5.26.79baa4529ab1d2f0",
			.want = OPENED "; "
				       " 10" },
		{ "of another mailbox, or of nobody", { IN(""), OPEN_WRITE("3"), { 0 } },
			.act = "open INBOX w;stage x/ _ 0;stage y/ _ 0;recover 8.5.26.79baa4529ab1d2f0 junk",
			.want = OPENED "; ;  - -" },
		{ "each message once",
			{ IN(""), OPEN_WRITE("3"),
				{ "A3 " SEEK("9"), FOUND("9", "26", "", "2") OK("A3") },
				{ "A4 UID FETCH 9 " PEEK, "* 1 FETCH (UID 9 " TEXT1 OK("A4") },
				{ 0 } },
			.act = "open INBOX w;stage Message-ID:+<a@x>//one/ S 100;stage Message-ID:+<a@x>//one/ S 100;recover 7.9.26.79baa4529ab1d2f0 7.9.26.79baa4529ab1d2f0",
			.want = OPENED "; ;  9 -" },
		{ "one is taken back",
			{ IN("UIDPLUS"), OPEN_WRITE("3"), TWO("A3", "A3 OK [APPENDUID 7 9] ok\r\n"), HEARD("A4"),
				{ 0 } },
			.act = "open INBOX w;stage Message-ID:+<a@x>//one/ S 100;unstage;stage two/ _ 0;harden;publish",
			.want = OPENED "; ; ; <7 9 5 ->;  9" },
		{ "too long",
			{ IN("UIDPLUS APPENDLIMIT=10"), OPEN_WRITE("3"),
				TWO("A3", "A3 OK [APPENDUID 7 9] ok\r\n"), HEARD("A4"), { 0 } },
			.act = "open INBOX w;stage Message-ID:+<a@x>//one/ S 100;stage two/ _ 0;harden;publish",
			.want = OPENED "!refused/msg; ; <7 9 5 ->;  9",
			.text = "more than 10 bytes: this one has 26" },
		{ "too long for this mailbox",
			{ IN("UIDPLUS APPENDLIMIT"), OPEN_WRITE("3"),
				{ "A3 STATUS \"INBOX\" (APPENDLIMIT)",
					"* STATUS \"INBOX\" (APPENDLIMIT 10)\r\n" OK("A3") },
				TWO("A4", "A4 OK [APPENDUID 7 9] ok\r\n"), HEARD("A5"), { 0 } },
			.act = "open INBOX w;stage Message-ID:+<a@x>//one/ S 100;stage two/ _ 0;harden;publish",
			.want = OPENED "!refused/msg; ; <7 9 5 ->;  9",
			.text = "more than 10 bytes: this one has 26" },
		{ "a mailbox without a limit",
			{ IN("UIDPLUS APPENDLIMIT"), OPEN_WRITE("3"),
				{ "A3 STATUS \"INBOX\" (APPENDLIMIT)",
					"* STATUS \"INBOX\" (APPENDLIMIT NIL)\r\n" OK("A3") },
				TWO("A4", "A4 OK [APPENDUID 7 9] ok\r\n"), HEARD("A5"), { 0 } },
			.act = "open INBOX w;stage two/ _ 0;harden;publish",
			.want = OPENED "; <7 9 5 ->;  9" },
		{ "a limit that isn't told",
			{ IN("UIDPLUS APPENDLIMIT"), OPEN_WRITE("3"),
				{ "A3 STATUS \"INBOX\" (APPENDLIMIT)", "A3 BAD what?\r\n" },
				TWO("A4", "A4 OK [APPENDUID 7 9] ok\r\n"), HEARD("A5"), { 0 } },
			.act = "open INBOX w;stage two/ _ 0;harden;publish",
			.want = OPENED "; <7 9 5 ->;  9" },
		{ "without UIDNEXT",
			{ IN("UIDPLUS"),
				{ "A2 SELECT \"INBOX\"",
					"* 3 EXISTS\r\n* OK [UIDVALIDITY 7] ok\r\n* OK [PERMANENTFLAGS (\\Answered)] ok\r\n" OK(
						"A2") },
				{ "A3 UID FETCH * (UID)", "* 3 FETCH (UID 55)\r\n" OK("A3") },
				TWO("A4", "A4 OK [APPENDUID 7 56] ok\r\n"), HEARD("A5"), { 0 } },
			.act = "open INBOX w;stage two/ SF 0;harden;publish",
			.want = "same'7 0 3 0'3 holds2:; ; <7 56 5 ->;  56" },
		{ "in a box that is made for it",
			{ IN("UIDPLUS"), { "A2 SELECT \"INBOX\"", "A2 NO none\r\n" },
				{ "A3 CREATE \"INBOX\"", OK("A3") },
				{ "A4 SUBSCRIBE \"INBOX\"", OK("A4") },
				{ "A5 SELECT \"INBOX\"", BOX("0", "7", "1", "") OK("A5") }, { 0 } },
			.act = "open INBOX c;stage a/ _ 0", .want = "same'7 1 0 0'0:; " },
		{ "UTF-8 in the header",
			{ IN("UIDPLUS ENABLE UTF8=ACCEPT"),
				{ "A2 ENABLE UTF8=ACCEPT", "* ENABLED UTF8=ACCEPT\r\n" OK("A2") },
				{ "A3 SELECT \"INBOX\"", BOX("3", "7", "9", PERMANENT) OK("A3") },
				{ "A4 APPEND \"INBOX\" UTF8 (~{15+}", "" },
				{ "Subject: \xc3\xa4", "" }, { "", "" },
				{ ")", "A4 OK [APPENDUID 7 9] ok\r\n" }, HEARD("A5"), { 0 } },
			.act = "open INBOX w;stage Subject:+\xc3\xa4// _ 0;harden;publish",
			.want = OPENED "; <7 9 15 ->;  9" },
	};

	(void)state;
	play_all(rows, COUNT(rows));
}

/* A group is sent while the one before it is on its way. */
static void test_groups_in_flight(void **state)
{
#define LAUNCH1 "open INBOX w;stage Message-ID:+<a@x>//one/ S 100;harden;launch;"
#define LAUNCH12 LAUNCH1 "stage two/ _ 0;harden;launch;"
#define LAUNCHED1 OPENED "; <" HINT1 ">; ; "
#define LAUNCHED12 LAUNCHED1 "; <7 9 5 ->; ; "
	static const struct row rows[] = {
		{ "before it is answered",
			{ IN("UIDPLUS"), OPEN_WRITE("3"), ONE("A3", ""), { "A4 NOOP", "" }, TWO("A5", ""),
				{ "A6 NOOP", "A3 OK [APPENDUID 7 9] ok\r\n* 4 EXISTS\r\n" OK("A4") "A5 OK [APPENDUID 7 10] ok\r\n" OK("A6") },
				TWO("A7", ""), { "A8 NOOP", "A7 OK [APPENDUID 7 11] ok\r\n" OK("A8") }, { 0 } },
			.act = LAUNCH12 "land;land;stage two/ _ 0;harden;launch;land",
			.want = LAUNCHED12 " 9;  10; ; <7 11 5 ->; ;  11" },
		{ "no UID twice",
			{ IN("UIDPLUS"), OPEN_WRITE("3"), ONE("A3", ""), { "A4 NOOP", "" }, ONE("A5", ""),
				{ "A6 NOOP", "A3 OK [APPENDUID 7 9] ok\r\n" OK("A4") "A5 OK [APPENDUID 7 9] ok\r\n" OK("A6") },
				{ "A7 NOOP", "" }, { "A8 " SAID("9"), FOUND("9", "1", "", "2") OK("A7") OK("A8") },
				{ "A9 " SEEK("9"), FOUND("9", "26", MID_A, "21") FOUND("10", "26", MID_A, "21") OK("A9") },
				{ "A10 UID FETCH 9 " PEEK, "* 1 FETCH (UID 9 " TEXT1 OK("A10") },
				{ "A11 UID FETCH 10 " PEEK, "* 1 FETCH (UID 10 " TEXT1 OK("A11") }, { 0 } },
			.act = LAUNCH1 "stage Message-ID:+<a@x>//one/ S 100;harden;launch;land;land",
			.want = LAUNCHED1 "; <" HINT1 ">; ;  9;  10" },
		{ "one is refused, and sent again behind it",
			{ IN("UIDPLUS MULTIAPPEND"), OPEN_WRITE("3"), { "A3 " SENT1, "" }, BODY1, { " {5+}", "" }, { "two", "" }, { "", "" }, { "A4 NOOP", "" },
				TWO("A5", ""), { "A6 NOOP", "A3 NO [LIMIT] no\r\n" OK("A4") },
				ONE("A7", ""), TWO("A8", ""), { "A9 NOOP", "A5 OK [APPENDUID 7 9] ok\r\n" OK("A6") "A7 OK [APPENDUID 7 10] ok\r\nA8 NO not it\r\n" OK("A9") }, { 0 } },
			.act = STAGE2 "launch;stage two/ _ 0;harden;launch;land;land", .want = HINTED2 "; ; <7 9 5 ->; ;  10 none!refused/msg;  9", .text = "not it" },
		{ "twins, and nothing is told of them",
			{ IN(""), OPEN_WRITE("3"), LAST("A3", "8"), ONE("A4", ""), { "A5 NOOP", "" }, ONE("A6", ""),
				{ "A7 NOOP", OK("A4") OK("A5") OK("A6") OK("A7") },
				{ "A8 " SEEK("9"), FOUND("9", "26", "", "2") FOUND("10", "26", "", "2") OK("A8") },
				{ "A9 UID FETCH 9 " PEEK, "* 1 FETCH (UID 9 " TEXT1 OK("A9") },
				{ "A10 UID FETCH 10 " PEEK, "* 1 FETCH (UID 10 " TEXT1 OK("A10") }, { 0 } },
			.act = LAUNCH1 "stage Message-ID:+<a@x>//one/ S 100;harden;launch;land;land",
			.want = LAUNCHED1 "; <" HINT1 ">; ;  9;  10" },
		{ "no room",
			{ IN("UIDPLUS"), OPEN_WRITE("3"), ONE("A3", ""), { "A4 NOOP", "" }, TWO("A5", ""),
				{ "A6 NOOP", "A3 NO [OVERQUOTA] full\r\n" OK("A4") "A5 OK [APPENDUID 7 9] ok\r\n" OK("A6") },
				{ "A7 UID STORE 1 +FLAGS.SILENT (\\Seen)", OK("A7") }, { 0 } },
			.act = LAUNCH12 "land;land;flags 1 S _", .want = LAUNCHED12 "!temp/acct/3600; !bug/acct;  1" },
		{ "no room, and the next is not sent",
			{ BARE("UIDPLUS"), OPEN_WRITE("3"),
				{ "A3 APPEND \"INBOX\" (\\Seen) \"01-Jan-1970 00:01:40 +0000\" {26}", "A3 NO [OVERQUOTA]\r\n" }, { 0 } },
			.act = LAUNCH12 "land;land", .want = LAUNCHED12 "!temp/acct/3600; !bug/acct" },
		{ "nonsense behind the first",
			{ IN("UIDPLUS"), OPEN_WRITE("3"), ONE("A3", ""), { "A4 NOOP", "" }, TWO("A5", ""),
				{ "A6 NOOP", "A3 OK [APPENDUID 7 9] ok\r\nX BAD what?\r\n" OK("A4") }, { 0 } },
			.act = LAUNCH12 "land;land", .want = LAUNCHED12 "!proto/acct; !bug/acct" },
		{ "the link is lost, and both are found again",
			{ IN("UIDPLUS"), OPEN_WRITE("3"), ONE("A3", ""), { "A4 NOOP", "" }, TWO("A5", "A3 OK [APPENDUID 7 9] ok\r\n"), { "A6 NOOP", NULL } },
			.act = LAUNCH12 "land;land;open INBOX w;recover 7.9.26.79baa4529ab1d2f0 7.9.5.-",
			.want = LAUNCHED12 "!temp/acct; !bug/acct; " OPENED " 9 -",
			.again = { IN("UIDPLUS"), OPEN_WRITE("3"), { "A3 " SEEK("9"), FOUND("9", "26", "", "2") OK("A3") },
				{ "A4 UID FETCH 9 " PEEK, "* 1 FETCH (UID 9 " TEXT1 OK("A4") }, { 0 } } },
		{ "something else is asked meanwhile",
			{ IN("UIDPLUS"), OPEN_WRITE("3"), ONE("A3", ""), { "A4 NOOP", "A3 OK [APPENDUID 7 9] ok\r\n" OK("A4") },
				{ "A5 UID STORE 1 +FLAGS.SILENT (\\Seen)", OK("A5") }, { 0 } },
			.act = LAUNCH1 "flags 1 S _;land", .want = LAUNCHED1 " 1;  9" },
		{ "three at once",
			{ IN("UIDPLUS"), OPEN_WRITE("3"), ONE("A3", ""), { "A4 NOOP", "" }, TWO("A5", ""), { "A6 NOOP", "" }, { 0 } },
			.act = LAUNCH12 "stage two/ _ 0", .want = LAUNCHED12 "!bug/acct" },
	};

	(void)state;
	play_all(rows, COUNT(rows));
}

/* ---- making and removing folders ---- */

static void test_tree(void **state)
{
#define EMPTY_LIST                                                                                 \
	{ "A2 LIST \"\" \"*\"", "* LIST () \".\" INBOX\r\n" OK("A2") },                            \
	{                                                                                          \
		"A3 LSUB \"\" \"*\"", OK("A3")                                                     \
	}
	static const struct row rows[] = {
		{ "made, with its role",
			{ IN("SPECIAL-USE CREATE-SPECIAL-USE"), EMPTY_LIST,
				{ "A4 CREATE \"B&APY-se.x/y\" (USE (\\Sent))", OK("A4") },
				{ "A5 SUBSCRIBE \"B&APY-se.x/y\"", OK("A5") }, { 0 } },
			.act = "create B\xc3\xb6se/x%2Fy 130;create B\xc3\xb6se/x%2Fy",
			.want = "" },
		{ "the role is not for it",
			{ IN("SPECIAL-USE CREATE-SPECIAL-USE"), EMPTY_LIST,
				{ "A4 CREATE \"x\" (USE (\\Trash))", "A4 NO [USEATTR] no\r\n" },
				{ "A5 CREATE \"x\"", OK("A5") },
				{ "A6 SUBSCRIBE \"x\"", "A6 NO\r\n" }, { 0 } },
			.act = "create x 256", .want = "" },
		{ "there already",
			{ IN(""), EMPTY_LIST, { "A4 CREATE \"x\"", "A4 NO there\r\n" },
				{ "A5 STATUS \"x\" (UIDVALIDITY MESSAGES)",
					"* STATUS x (UIDVALIDITY 7)\r\n" OK("A5") },
				{ "A6 SUBSCRIBE \"x\"", OK("A6") }, { 0 } },
			.act = "create x", .want = "" },
		{ "there already, and empty",
			{ IN(""), EMPTY_LIST, { "A4 CREATE \"x\"", "A4 NO there\r\n" },
				{ "A5 STATUS \"x\" (UIDVALIDITY MESSAGES)",
					"* STATUS x (UIDVALIDITY 7 MESSAGES 0)\r\n" OK("A5") },
				{ "A6 SUBSCRIBE \"x\"", OK("A6") }, { 0 } },
			.act = "create x 1024", .want = "" },
		{ "there already, and full",
			{ IN(""), EMPTY_LIST, { "A4 CREATE \"x\"", "A4 NO there\r\n" },
				{ "A5 STATUS \"x\" (UIDVALIDITY MESSAGES)",
					"* STATUS x (UIDVALIDITY 7 MESSAGES 5)\r\n" OK("A5") }, { 0 } },
			.act = "create x 1024", .want = "!temp/box" },
		{ "there already, and it is not said what it holds",
			{ IN(""), EMPTY_LIST, { "A4 CREATE \"x\"", "A4 NO there\r\n" },
				{ "A5 STATUS \"x\" (UIDVALIDITY MESSAGES)",
					"* STATUS x (UIDVALIDITY 7)\r\n" OK("A5") }, { 0 } },
			.act = "create x 1024", .want = "!temp/box",
			.text = "work: 'x' is there already, though the list of folders did not show it, and STATUS does not say what it holds: nothing is put there (the next run looks at it, if the server lists it then)" },
		{ "there already, and nothing is said of it",
			{ IN(""), EMPTY_LIST, { "A4 CREATE \"x\"", "A4 NO there\r\n" },
				{ "A5 STATUS \"x\" (UIDVALIDITY MESSAGES)", OK("A5") }, { 0 } },
			.act = "create x 1024", .want = "!temp/box" },
		{ "level by level",
			{ IN(""), EMPTY_LIST, { "A4 CREATE \"a.b.c\"", "A4 NO no\r\n" },
				{ "A5 STATUS \"a.b.c\" (UIDVALIDITY MESSAGES)", "A5 NO\r\n" },
				{ "A6 CREATE \"a\"", OK("A6") }, { "A7 CREATE \"a.b\"", OK("A7") },
				{ "A8 CREATE \"a.b.c\"", OK("A8") },
				{ "A9 SUBSCRIBE \"a.b.c\"", OK("A9") }, { 0 } },
			.act = "create a/b/c", .want = "" },
		{ "not at all",
			{ IN(""), EMPTY_LIST, { "A4 CREATE \"x\"", "A4 NO [NOPERM] never\r\n" },
				{ "A5 STATUS \"x\" (UIDVALIDITY MESSAGES)", "A5 NO\r\n" },
				{ "A6 CREATE \"x\"", "A6 NO [NOPERM] never\r\n" }, { 0 } },
			.act = "create x", .want = "!refused/box",
			.text = "work: 'x' can't be made: the server says \"[NOPERM] never\"" },
		{ "what the other side can't have", { IN(""), EMPTY_LIST, { 0 } },
			.act = "create a.b", .want = "!conf/box" },
		{ "the inbox under another name", { IN(""), EMPTY_LIST, { 0 } },
			.act = "create Inbox;create inbox/x", .want = "!conf/box; !conf/box",
			.text = "folder name 'inbox/x': at a server INBOX in any case is the inbox" },
		{ "what only begins like it",
			{ IN(""), EMPTY_LIST, { "A4 CREATE \"Inboxes\"", OK("A4") },
				{ "A5 SUBSCRIBE \"Inboxes\"", OK("A5") }, { 0 } },
			.act = "create Inboxes", .want = "" },
		{ "a flat server",
			{ IN(""), { "A2 LIST \"\" \"*\"", "* LIST () NIL INBOX\r\n" OK("A2") },
				{ "A3 LSUB \"\" \"*\"", OK("A3") }, { 0 } },
			.act = "create a/b", .want = "!conf/box" },
		{ "removed",
			{ IN(""), { "A2 LIST \"\" \"*\"", "* LIST () \"/\" x\r\n" OK("A2") },
				{ "A3 LSUB \"\" \"*\"", OK("A3") },
				{ "A4 STATUS \"x\" (MESSAGES)",
					"* STATUS x (MESSAGES 2)\r\n" OK("A4") },
				{ "A5 UNSUBSCRIBE \"x\"", "A5 NO\r\n" },
				{ "A6 DELETE \"x\"", OK("A6") }, { 0 } },
			.act = "delete x 2;delete x 2", .want = "" },
		{ "somebody put something there",
			{ IN(""), { "A2 LIST \"\" \"*\"", "* LIST () \"/\" x\r\n" OK("A2") },
				{ "A3 LSUB \"\" \"*\"", OK("A3") },
				{ "A4 STATUS \"x\" (MESSAGES)",
					"* STATUS x (MESSAGES 3)\r\n" OK("A4") },
				{ 0 } },
			.act = "delete x 2", .want = "!refused/box",
			.text = "work: 'x' is not removed: it holds 3 messages where 2 were expected" },
		{ "nobody knows what is there",
			{ IN(""),
				{ "A2 LIST \"\" \"*\"",
					"* LIST () \"/\" x\r\n* LIST () \"/\" y\r\n" OK("A2") },
				{ "A3 LSUB \"\" \"*\"", OK("A3") },
				{ "A4 STATUS \"x\" (MESSAGES)", OK("A4") },
				{ "A5 STATUS \"y\" (MESSAGES)", "A5 NO no\r\n" }, { 0 } },
			.act = "delete x 2;delete y 2", .want = "!proto/box; !refused/box" },
		{ "somebody removed it",
			{ IN(""), { "A2 LIST \"\" \"*\"", "* LIST () \"/\" x\r\n" OK("A2") },
				{ "A3 LSUB \"\" \"*\"", OK("A3") },
				{ "A4 STATUS \"x\" (MESSAGES)", "A4 NO [NONEXISTENT] gone\r\n" },
				{ "A5 UNSUBSCRIBE \"x\"", OK("A5") },
				{ "A6 DELETE \"x\"", "A6 NO [NONEXISTENT] gone\r\n" }, { 0 } },
			.act = "delete x 2", .want = "" },
		{ "while it is selected",
			{ IN(""), { "A2 LIST \"\" \"*\"", "* LIST () \"/\" x\r\n" OK("A2") },
				{ "A3 LSUB \"\" \"*\"", OK("A3") },
				{ "A4 SELECT \"x\"", BOX("0", "7", "1", "") OK("A4") },
				{ "A5 EXAMINE \"x\"", BOX("0", "7", "1", "") OK("A5") },
				{ "A6 CLOSE", OK("A6") },
				{ "A7 STATUS \"x\" (MESSAGES)",
					"* STATUS x (MESSAGES 0)\r\n" OK("A7") },
				{ "A8 UNSUBSCRIBE \"x\"", OK("A8") },
				{ "A9 DELETE \"x\"", OK("A9") }, { 0 } },
			.act = "open x w;delete x 0", .want = "same'7 1 0 0'0:; " },
		{ "the inbox stays", { IN(""), { 0 } }, .act = "delete INBOX 99",
			.want = "!refused/box" },
		{ "renamed, with what is below, and what is subscribed",
			{ IN(""),
				{ "A2 LIST \"\" \"*\"",
					"* LIST () \"/\" x\r\n* LIST () \"/\" x/a\r\n* LIST () \"/\" x/b\r\n* LIST () \"/\" xa\r\n" OK("A2") },
				{ "A3 LSUB \"\" \"*\"",
					"* LSUB () \"/\" x\r\n* LSUB () \"/\" x/b\r\n* LSUB () \"/\" xa\r\n" OK("A3") },
				{ "A4 RENAME \"x\" \"y/&APY-\"", OK("A4") },
				{ "A5 UNSUBSCRIBE \"x\"", OK("A5") },
				{ "A6 SUBSCRIBE \"y/&APY-\"", "A6 NO\r\n" },
				{ "A7 UNSUBSCRIBE \"x/b\"", "A7 NO\r\n" },
				{ "A8 SUBSCRIBE \"y/&APY-/b\"", OK("A8") }, { 0 } },
			.act = "rename x y/\xc3\xb6", .want = "" },
		{ "renamed level by level, while it is selected",
			{ IN("UNSELECT"), { "A2 LIST \"\" \"*\"", "* LIST () \"/\" x\r\n" OK("A2") },
				{ "A3 LSUB \"\" \"*\"", OK("A3") },
				{ "A4 SELECT \"x\"", BOX("0", "7", "1", "") OK("A4") },
				{ "A5 UNSELECT", OK("A5") },
				{ "A6 RENAME \"x\" \"a/b\"", "A6 NO no such level\r\n" },
				{ "A7 CREATE \"a\"", OK("A7") },
				{ "A8 RENAME \"x\" \"a/b\"", OK("A8") }, { 0 } },
			.act = "open x w;rename x a/b", .want = "same'7 1 0 0'0:; " },
		{ "not renamed",
			{ IN(""), { "A2 LIST \"\" \"*\"", "* LIST () \"/\" x\r\n" OK("A2") },
				{ "A3 LSUB \"\" \"*\"", OK("A3") },
				{ "A4 RENAME \"x\" \"y\"", "A4 NO [NOPERM] never\r\n" },
				{ "A5 RENAME \"x\" \"y\"", "A5 NO [NOPERM] never\r\n" }, { 0 } },
			.act = "rename x y", .want = "!refused/box",
			.text = "work: 'x' is not renamed to 'y': the server says \"[NOPERM] never\"" },
		{ "the inbox keeps its name", { IN(""), { 0 } }, .act = "rename INBOX y;rename y INBOX",
			.want = "!refused/box; !refused/box" },
	};

	(void)state;
	play_all(rows, COUNT(rows));
}

/* A stamp's UIDVALIDITY and MAILBOXID say what it is of. */
static void test_same_box(void **state)
{
	static const struct {
		const char *then, *now;
		enum store_same want;
	} rows[] = {
		{ "7 5 2 9", "7 6 2 10", STORE_MAYBE },
		{ "7 5 2 9", "8 5 2 9", STORE_OTHER },
		{ "", "8 5 2 9", STORE_MAYBE },
		{ "7 5 2 9", "", STORE_MAYBE },
		{ "7 5 2 9 123", "7 5 2 9 123", STORE_SAME },
		{ "7 5 2 9 123", "7 5 2 9 124", STORE_OTHER },
		{ "7 5 2 9 123", "7 5 2 9", STORE_MAYBE },
		{ "7 5 2 9 123", "8 5 2 9 123", STORE_OTHER }, /* its UIDs mean something else */
		{ "7 5 2 9 123 4", "8 5 2 9 123", STORE_MAYBE },
	};
	struct imapstamp s = { 7, 5, 2, 9, UINT64_MAX };
	char text[STORE_STAMP_MAX];

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++)
		assert_int_equal(imapstamp_same_box(rows[i].then, rows[i].now), rows[i].want);
	imapstamp_print(&s, text);
	assert_string_equal(text, "7 5 2 9 18446744073709551615");
	assert_int_equal(imapstamp_id(slice_str("")), 0);
	assert_int_not_equal(imapstamp_id(slice_str("F1")), imapstamp_id(slice_str("F2")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_folders),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_keywords),
		cmocka_unit_test(test_looks),
		cmocka_unit_test(test_early_looks),
		cmocka_unit_test(test_changes),
		cmocka_unit_test(test_bodies),
		cmocka_unit_test(test_soon),
		cmocka_unit_test(test_compress),
		cmocka_unit_test(test_compress_sent),
		cmocka_unit_test(test_pace),
		cmocka_unit_test(test_flags),
		cmocka_unit_test(test_removals),
		cmocka_unit_test(test_moves),
		cmocka_unit_test(test_removals_at_once),
		cmocka_unit_test(test_idents_ahead),
		cmocka_unit_test(test_moves_by_copy),
		cmocka_unit_test(test_copies),
		cmocka_unit_test(test_many_moves),
		cmocka_unit_test(test_deliveries),
		cmocka_unit_test(test_groups_in_flight),
		cmocka_unit_test(test_tree),
		cmocka_unit_test(test_same_box),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
