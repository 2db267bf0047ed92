/*
 * Keywords in a Maildir as Dovecot spells them: the letters a to z behind ":2,", of which the file dovecot-keywords beside cur/ says what they mean in this folder, in
 * lines "0 Junk" for a, "1 $Label1" for b. Dovecot writes it anew as a whole (dovecot-keywords.lock, then rename) while it holds dovecot-uidlist.lock, and so do we.
 * A letter that has no name there is left where it is: it may be another program's, or the file is kept elsewhere.
 */
#include "store/maildir_p.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/log.h"
#include "store/mboxlock.h"

#define WORDS_FILE "dovecot-keywords"
#define WORDS_NEW "dovecot-keywords.lock" /* on its way: whoever holds the lock may remove an old one */
#define LOCKED_FILE "dovecot-uidlist"
#define WORDS_MAX 65536  /* bytes of the file */
#define LOCK_STALE 120   /* seconds, as Dovecot has it */
#define LOCK_TIMEOUT 130000

/* Read the file: 1, 0 there is none, -1 it can't be used. */
static int read_file(const struct maildir_words *w, struct strbuf *text, struct stat *st, struct err *e)
{
	int fd = openat(w->dir, WORDS_FILE, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC), rc = -1;

	if (fd < 0)
		return errno == ENOENT ? 0 : err_errno(e, "can't read %s/" WORDS_FILE, w->at);
	if (fstat(fd, st) < 0 || !S_ISREG(st->st_mode)) {
		err_set(e, ERR_LOCAL, "%s/" WORDS_FILE " is no file", w->at);
	} else {
		ssize_t n;

		do {
			char *room = strbuf_room(text, 4096);

			n = room ? fs_read(fd, room, 4096, WORDS_FILE, e) : err_set(e, ERR_LOCAL, "%s/" WORDS_FILE " is too long", w->at);
			if (n > 0)
				strbuf_added(text, (size_t)n);
		} while (n > 0);
		rc = n < 0 ? -1 : 1;
	}
	close(fd);
	return rc;
}

/* What a line says: the letter's place and its name. False: nothing. */
static bool parse_line(struct slice line, size_t *place, struct slice *name)
{
	const char *blank = line.n > 0 ? memchr(line.p, ' ', line.n) : NULL;
	uint64_t number;

	if (!blank || !slice_u64(slice_of(line.p, (size_t)(blank - line.p)), MAILDIR_LETTERS - 1, &number))
		return false;
	*place = (size_t)number;
	*name = slice_of(blank + 1, line.n - (size_t)(blank + 1 - line.p));
	return name->n > 0;
}

/* Cut a line off the text. */
static struct slice take_line(struct slice *text)
{
	const char *end = memchr(text->p, '\n', text->n);
	struct slice line = slice_of(text->p, end ? (size_t)(end - text->p) : text->n);

	*text = end ? slice_of(end + 1, text->n - line.n - 1) : slice_of(text->p + text->n, 0);
	return line;
}

/* Understand the file. */
static int parse(struct maildir_words *w, struct slice text, struct err *e)
{
	struct slice names[MAILDIR_LETTERS] = { { NULL, 0 } };

	memset(w->flag, 0, sizeof(w->flag));
	w->named = 0;
	while (text.n > 0) {
		struct slice name;
		size_t i;

		if (!parse_line(take_line(&text), &i, &name))
			continue;
		names[i] = name; /* of two the later counts */
		w->named |= 1u << i;
	}
	for (size_t i = 0; i < MAILDIR_LETTERS; i++) {
		if (names[i].n == 0)
			continue;
		w->flag[i] = flag_of_imap(names[i]) & FLAG_FORWARDED; /* as Dovecot spells P */
		if (w->flag[i] == 0 && keywords_intern(w->view->table, names[i], &w->flag[i], e) < 0)
			return -1;
	}
	return 0;
}

/* By which letter each is spelled; the first, where there are several. */
static void tell_letters(struct maildir_words *w)
{
	memset(w->view->letter, 0, sizeof(w->view->letter));
	for (size_t k = 0; k < w->view->table->n; k++)
		for (size_t i = MAILDIR_LETTERS; i-- > 0;)
			if (w->flag[i] == keyword_flag(k))
				w->view->letter[k] = (char)('a' + i);
}

/* All flags that a letter stands for. */
static uint64_t spelled(const struct maildir_words *w)
{
	uint64_t flags = 0;

	for (size_t i = 0; i < MAILDIR_LETTERS; i++)
		flags |= w->flag[i];
	return flags & FLAGS_KEYWORDS;
}

int maildir_words_read(struct maildir_words *w, struct err *e)
{
	struct strbuf text = STRBUF_INIT(WORDS_MAX);
	struct err why = ERR_INIT;
	struct stat st;
	int rc = 0;

	w->usable = true;
	if (!w->view)
		return 0;
	if (read_file(w, &text, &st, &why) < 0) {
		log_warn("%s: keywords are left alone there", why.text);
		w->usable = false;
		strbuf_clear(&text);
	}
	rc = parse(w, strbuf_slice(&text), e);
	tell_letters(w);
	strbuf_release(&text);
	return rc;
}

void maildir_words_tell(struct maildir_words *w, uint32_t used, bool all, struct box_info *out)
{
	bool room = w->view && w->usable && (w->named | used) != (1u << MAILDIR_LETTERS) - 1 && !maildir_read_only(w->dir);

	out->can_hold = out->can_take = MAILDIR_FLAGS;
	if (!w->view)
		return;
	if (room && all)
		w->view->refused = 0; /* there was none */
	w->view->refused &= ~spelled(w);
	out->can_hold |= spelled(w);
	out->can_take |= spelled(w) | (room ? FLAGS_KEYWORDS & ~w->view->refused : 0);
}

uint32_t maildir_letters_in(struct slice info)
{
	uint32_t letters = 0;

	if (!slice_starts(info, ":2,"))
		return 0;
	for (size_t i = 3; i < info.n && info.p[i] != ','; i++)
		if (info.p[i] >= 'a' && info.p[i] <= 'z')
			letters |= 1u << (info.p[i] - 'a');
	return letters;
}

uint32_t maildir_letters_used(const struct maildir_files *f)
{
	uint32_t used = 0;

	for (size_t i = 0; i < f->a.n; i++)
		if (!f->a.a[i].gone)
			used |= maildir_letters_in(slice_str(maildir_file_name(f, i) + f->a.a[i].unique_n));
	return used;
}

uint64_t maildir_words_flags(const struct maildir_words *w, uint32_t letters)
{
	uint64_t flags = 0;

	for (size_t i = 0; i < MAILDIR_LETTERS; i++)
		if (letters & 1u << i)
			flags |= w->flag[i];
	return flags;
}

/* 1u << place of the letters of flags: of each the first, or all that mean it. */
static uint32_t places(const struct maildir_words *w, uint64_t flags, bool all)
{
	uint32_t letters = 0;

	for (size_t i = 0; i < MAILDIR_LETTERS; i++) {
		if (!(w->flag[i] & flags))
			continue;
		letters |= 1u << i;
		if (!all)
			flags &= ~w->flag[i];
	}
	return letters;
}

void maildir_words_spell(const struct maildir_words *w, uint64_t flags, bool all, char out[MAILDIR_INFO_MAX])
{
	uint32_t letters = places(w, flags, all);
	size_t n;

	flags_to_letters(flags, out);
	n = strlen(out);
	for (size_t i = 0; i < MAILDIR_LETTERS; i++)
		if (letters & 1u << i)
			out[n++] = (char)('a' + i);
	out[n] = '\0';
}

/* ---- new names ---- */

/* Add lines for what is lacking, in the order of the table; what finds no letter is refused. How many were added. */
static int add_lines(struct maildir_words *w, uint64_t lacking, uint32_t used, struct strbuf *text, struct err *e)
{
	int added = 0;

	if (text->len > 0 && text->s[text->len - 1] != '\n')
		strbuf_putc(text, '\n');
	for (size_t k = 0; k < w->view->table->n; k++) {
		size_t i = 0;

		if (!(lacking & keyword_flag(k)))
			continue;
		while (i < MAILDIR_LETTERS && (w->named | used) & 1u << i)
			i++;
		if (i == MAILDIR_LETTERS) {
			w->view->refused |= keyword_flag(k);
			continue;
		}
		if (strbuf_printf(text, "%zu %s\n", i, w->view->table->name[k]) < 0)
			return err_set(e, ERR_LOCAL, "%s/" WORDS_FILE " is too long", w->at);
		w->named |= 1u << i;
		w->flag[i] = keyword_flag(k);
		added++;
	}
	return added;
}

/* Make it what others expect: theirs to read as it was, or as the folder is; and with a later second, by which Dovecot sees that it is another. */
static int dress(const struct maildir_words *w, int fd, const struct stat *old, struct err *e)
{
	struct stat dir, now;
	struct timespec t[2] = { { .tv_nsec = UTIME_OMIT }, { .tv_nsec = UTIME_OMIT } };

	if (fstat(w->dir, &dir) < 0 || fstat(fd, &now) < 0)
		return err_errno(e, "can't look at %s", w->at);
	if (old && now.st_gid != old->st_gid && fchown(fd, (uid_t)-1, old->st_gid) < 0)
		log_debug("%s/" WORDS_FILE " can't be given its group", w->at);
	if (fchmod(fd, (old ? old->st_mode : dir.st_mode) & 0666) < 0)
		return err_errno(e, "can't write %s/" WORDS_FILE, w->at);
	if (old && now.st_mtime <= old->st_mtime) {
		t[1] = (struct timespec){ .tv_sec = old->st_mtime + 1 };
		if (futimens(fd, t) < 0)
			return err_errno(e, "can't write %s/" WORDS_FILE, w->at);
	}
	return 0;
}

/* Put it in the place of the old one, durably. */
static int replace(const struct maildir_words *w, struct slice text, const struct stat *old, struct err *e)
{
	int fd, rc;

	unlinkat(w->dir, WORDS_NEW, 0);
	fd = openat(w->dir, WORDS_NEW, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_errno(e, "can't make %s/" WORDS_NEW, w->at);
	rc = fs_write_all(fd, text.p, text.n, WORDS_NEW, e);
	if (rc == 0)
		rc = dress(w, fd, old, e);
	if (rc == 0)
		rc = fs_sync(fd, WORDS_NEW, e);
	close(fd);
	if (rc == 0 && renameat(w->dir, WORDS_NEW, w->dir, WORDS_FILE) < 0)
		rc = err_errno(e, "can't make %s/" WORDS_FILE, w->at);
	if (rc < 0)
		unlinkat(w->dir, WORDS_NEW, 0);
	return rc < 0 ? -1 : fs_sync(w->dir, w->at, e);
}

/* With the lock: the file as it is now, and what it lacks. */
static int add_names(struct maildir_words *w, uint64_t flags, uint32_t used, struct err *e)
{
	struct strbuf text = STRBUF_INIT(WORDS_MAX);
	struct stat st;
	uint64_t lacking;
	int there = read_file(w, &text, &st, e), rc = there < 0 ? -1 : parse(w, strbuf_slice(&text), e);

	lacking = flags & ~spelled(w);
	if (rc == 0)
		rc = add_lines(w, lacking, used, &text, e);
	if (rc > 0)
		rc = replace(w, strbuf_slice(&text), there ? &st : NULL, e);
	strbuf_release(&text);
	tell_letters(w);
	return rc < 0 ? -1 : 0;
}

int maildir_words_need(struct maildir_words *w, uint64_t flags, uint32_t used, struct err *e)
{
	const struct mboxlock_params lock = { .order = { MBOXLOCK_DOTLOCK }, .timeout = LOCK_TIMEOUT, .stale = LOCK_STALE };
	struct strbuf path = STRBUF_INIT(65536);
	struct mboxlock *held = NULL;
	struct stat st;
	int rc = -1;

	if (!w->usable) {
		w->view->refused |= flags;
		return 0;
	}
	if (strbuf_printf(&path, "%s/" LOCKED_FILE, w->at) < 0)
		err_set(e, ERR_LOCAL, "out of memory");
	else
		held = mboxlock_take(&lock, -1, path.s, e);
	if (held && fstatat(w->dir, LOCKED_FILE ".lock", &st, AT_SYMLINK_NOFOLLOW) < 0)
		err_errno(e, "%s is another directory now", w->at);
	else if (held)
		rc = add_names(w, flags, used, e);
	mboxlock_give(held);
	strbuf_release(&path);
	return rc;
}

uint64_t maildir_words_lacking(const struct maildir_words *w, uint64_t flags)
{
	return w->view ? flags & FLAGS_KEYWORDS & ~spelled(w) & ~w->view->refused : 0;
}

bool maildir_words_locked(const struct maildir_words *w)
{
	struct stat st;

	return fstatat(w->dir, LOCKED_FILE ".lock", &st, AT_SYMLINK_NOFOLLOW) == 0;
}

/* What the flags of one table are in another. */
static int translate(const struct keywords *from, struct keywords *to, uint64_t flags, uint64_t *out, struct err *e)
{
	*out = flags & FLAGS_ALL;
	for (size_t k = 0; k < from->n; k++) {
		uint64_t flag = 0;

		if (flags & keyword_flag(k) && keywords_intern(to, slice_str(from->name[k]), &flag, e) < 0)
			return -1;
		*out |= flag;
	}
	return 0;
}

int maildir_words_carry(const struct maildir_words *from, struct maildir_words *to, uint32_t used, struct slice name, struct slice unique, char add[MAILDIR_INFO_MAX],
                        char del[MAILDIR_INFO_MAX], struct err *e)
{
	uint32_t letters = maildir_letters_in(slice_of(name.p + unique.n, name.n - unique.n)), gone;
	uint64_t flags, lacking;
	size_t n = 0;

	add[0] = del[0] = '\0';
	if (!from->view || !to->view || letters == 0)
		return 0;
	if (translate(from->view->table, to->view->table, maildir_words_flags(from, letters), &flags, e) < 0)
		return -1;
	lacking = maildir_words_lacking(to, flags);
	if (lacking != 0 && maildir_words_need(to, lacking, used | letters, e) < 0)
		return -1;
	gone = letters & (from->named | to->named); /* of the others nobody knows what they mean, here or there */
	for (size_t i = 0; i < MAILDIR_LETTERS; i++)
		if (gone & 1u << i)
			del[n++] = (char)('a' + i);
	del[n] = '\0';
	maildir_words_spell(to, flags, false, add);
	return 0;
}
