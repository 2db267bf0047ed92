/* A folder of a Maildir is removed, with what is in it, unless something is there that nobody expects. */
#include "store/maildir_p.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"

#define LIST_MAX (1u << 30)

/* Notes of other programs about a folder's messages, which mean nothing without them. A trailing '*' stands for any rest. */
static const char *const litter[] = {
	"maildirfolder", "maildirsize", "dovecot-uidlist*", "dovecot-uidvalidity*", "dovecot-keywords*", "dovecot.index*", "dovecot-acl-list", ".mbsyncstate*",
	".isyncuidmap.db*", ".uidvalidity*", "courierimapuiddb", "courierimapacl", ".mh_sequences",
};

/* Whether a file is such a note. */
static bool is_litter(const char *name)
{
	for (size_t i = 0; i < sizeof(litter) / sizeof(litter[0]); i++) {
		size_t n = strlen(litter[i]);

		if (litter[i][n - 1] == '*' ? strncmp(name, litter[i], n - 1) == 0 : strcmp(name, litter[i]) == 0)
			return true;
	}
	return false;
}

/* A folder on its way out. */
struct removal {
	struct maildir *m;
	const char *folder;
	int root, dir;        /* the folder's own directory */
	int part[3];
	struct strbuf names[3]; /* to be deleted, each NUL-terminated */
	struct strbuf copies; /* that were made for the quarantine: each the number of its part as a digit, its name and a NUL */
	uint64_t files;       /* of messages */
};

enum { PART_TMP, PART_NEW, PART_CUR };
static const char *const part_names[] = { "tmp", "new", "cur" };

/* Note what is in one of its directories; refuses what is neither a message nor a leftover in tmp/. */
static int note_part(struct removal *r, int part, struct err *e)
{
	DIR *d = maildir_list(r->m, r->part[part], e);
	struct dirent *entry;
	int rc = -1;

	if (!d)
		return -1;
	for (;;) {
		struct slice unique;
		const char *name;
		uint32_t flags;
		bool ours;

		errno = 0;
		entry = readdir(d);
		if (!entry)
			break;
		name = entry->d_name;
		if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
			continue;
		ours = entry->d_type == DT_REG || entry->d_type == DT_UNKNOWN;
		if (ours && part == PART_TMP)
			ours = maildir_heal_stale(r->m, r->part[part], name) || maildir_heal_orphan(r->m, name);
		else if (ours)
			ours = maildir_name(slice_str(name), &unique, &flags);
		if (!ours) {
			err_set_span(e, ERR_REFUSED, SPAN_BOX, part == PART_TMP ? "folder '%s' is not removed: another program is delivering %s/%s there" :
			             "folder '%s' is not removed: %s/%s is no message", r->folder, part_names[part], name);
			closedir(d);
			return -1;
		}
		r->files += part != PART_TMP;
		if (strbuf_puts(&r->names[part], name) < 0 || strbuf_putc(&r->names[part], '\0') < 0) {
			closedir(d);
			return err_set(e, ERR_LOCAL, "out of memory");
		}
	}
	if (errno)
		err_errno(e, "can't list %s/%s", strbuf_str(&r->m->at), part_names[part]);
	else
		rc = 0;
	closedir(d);
	return rc;
}

/* Keep the messages that were noted in a directory. What is there still is deleted afterwards. */
static int keep_part(struct removal *r, int part, struct err *e)
{
	struct strbuf *names = &r->names[part];
	char copy[NAME_MAX + 1];

	for (size_t at = 0; at < names->len; at += strlen(names->s + at) + 1) {
		struct slice unique;
		uint32_t flags;

		if (clock_check(e) < 0)
			return -1;
		maildir_name(slice_str(names->s + at), &unique, &flags);
		if (maildir_keep(r->m, r->part[part], names->s + at, unique.n, part == PART_CUR, copy) < 0) {
			if (errno == ENOENT)
				continue;
			err_errno(e, "folder '%s' is not removed: can't keep a copy of %s/%s/%s", r->folder, strbuf_str(&r->m->at), part_names[part], names->s + at);
			return quarantine_hint(e);
		}
		if (copy[0] && (strbuf_printf(&r->copies, "%d%s", part, copy) < 0 || strbuf_putc(&r->copies, '\0') < 0)) {
			maildir_keep_not(r->m, copy, part == PART_CUR);
			return err_set(e, ERR_LOCAL, "out of memory");
		}
	}
	return 0;
}

/* Keep all messages, if that is to be. Where it can't be, those that only were copied are kept no more. */
static int keep_messages(struct removal *r, struct err *e)
{
	struct quarantine *q = r->m->store.quarantine;
	uint64_t before = q ? q->kept : 0;
	int rc = 0;

	if (!q || r->files == 0)
		return 0;
	if (maildir_keep_open(r->m, r->folder, true, e) < 0)
		return -1;
	for (int part = PART_CUR; rc == 0 && part > PART_TMP; part--)
		rc = r->part[part] >= 0 ? keep_part(r, part, e) : 0;
	if (rc == 0)
		rc = maildir_keep_sync(r->m, e);
	for (size_t at = 0; rc < 0 && at < r->copies.len; at += strlen(r->copies.s + at) + 1)
		maildir_keep_not(r->m, r->copies.s + at + 1, r->copies.s[at] == '0' + PART_CUR);
	if (rc == 0)
		q->kept = before + r->files;
	return rc;
}

/* Delete what was noted in a directory, and the directory unless something has come meanwhile. */
static int remove_part(struct removal *r, int part, struct err *e)
{
	struct strbuf *names = &r->names[part];

	for (size_t at = 0; at < names->len; at += strlen(names->s + at) + 1) {
		if (clock_check(e) < 0)
			return -1;
		if (unlinkat(r->part[part], names->s + at, 0) < 0 && errno != ENOENT)
			return err_errno(e, "can't remove %s/%s/%s", strbuf_str(&r->m->at), part_names[part], names->s + at);
	}
	return 0;
}

/* Remove the three directories: tmp/ first, since whoever delivers begins there. */
static int remove_parts(struct removal *r, struct err *e)
{
	for (int part = PART_TMP; part <= PART_CUR; part++) {
		if (unlinkat(r->dir, part_names[part], AT_REMOVEDIR) == 0 || errno == ENOENT)
			continue;
		if (errno != ENOTEMPTY && errno != EEXIST)
			return err_errno(e, "can't remove %s/%s", strbuf_str(&r->m->at), part_names[part]);
		while (part-- > PART_TMP)
			mkdirat(r->dir, part_names[part], 0700);
		return err_set_span(e, ERR_REFUSED, SPAN_BOX, "folder '%s' is not removed: something came into it meanwhile", r->folder);
	}
	return 0;
}

/* Remove the directory itself with the notes in it, unless there is more. */
static int remove_dir(struct removal *r, const char *box, struct err *e)
{
	DIR *d = maildir_list(r->m, r->dir, e);
	struct strbuf parent = STRBUF_INIT(16384);
	const char *slash = strrchr(box, '/'), *name = slash ? slash + 1 : box;
	struct dirent *entry;
	int up, rc;

	if (!d)
		return -1;
	while ((entry = readdir(d)))
		if (is_litter(entry->d_name))
			unlinkat(r->dir, entry->d_name, 0);
	closedir(d);
	if (strbuf_put(&parent, slash ? box : ".", slash ? (size_t)(slash - box) : 1) < 0)
		return err_set(e, ERR_LOCAL, "out of memory");
	up = fs_open_beneath(r->root, parent.s, O_RDONLY | O_DIRECTORY, 0, e);
	rc = up < 0 ? -1 : fs_sync(r->dir, box, e);
	if (rc == 0 && unlinkat(up, name, AT_REMOVEDIR) < 0 && errno != ENOTEMPTY && errno != EEXIST && errno != ENOENT)
		rc = err_errno(e, "can't remove %s", strbuf_str(&r->m->at));
	if (rc == 0)
		rc = fs_sync(up, parent.s, e);
	maildir_close_fd(&up);
	strbuf_release(&parent);
	return rc < 0 ? err_in(e, "%s", r->m->path) : 0;
}

/* Open what there is of a folder; 0 when there is nothing. */
static int open_removal(struct removal *r, const char *box, struct err *e)
{
	r->root = maildir_open_root(r->m, false, e);
	if (r->root < 0)
		return -1;
	r->dir = maildir_open_dir(r->m, r->root, box, e);
	if (r->dir < 0)
		return r->dir == MAILDIR_ABSENT ? 0 : -1;
	for (int part = PART_TMP; part <= PART_CUR; part++) {
		r->part[part] = maildir_open_dir(r->m, r->dir, part_names[part], e);
		if (r->part[part] < 0 && r->part[part] != MAILDIR_ABSENT)
			return -1;
	}
	return 1;
}

/* Remove an open folder. */
static int remove_folder(struct removal *r, const char *box, uint64_t expected, struct err *e)
{
	for (int part = PART_TMP; part <= PART_CUR; part++)
		if (r->part[part] >= 0 && note_part(r, part, e) < 0)
			return -1;
	if (r->files > expected)
		return err_set_span(e, ERR_REFUSED, SPAN_BOX,
		                    "folder '%s' is not removed: it holds %llu messages, of which %llu are known to be elsewhere", r->folder,
		                    (unsigned long long)r->files, (unsigned long long)expected);
	if (keep_messages(r, e) < 0)
		return -1;
	for (int part = PART_CUR; part >= PART_TMP; part--)
		if (r->part[part] >= 0 && remove_part(r, part, e) < 0)
			return -1;
	if (remove_parts(r, e) < 0)
		return -1;
	return remove_dir(r, box, e);
}

/* Remove a folder. */
int maildir_folder_remove(struct store *s, const char *folder, uint64_t expected, struct err *e)
{
	struct removal r = { .m = maildir_of(s), .folder = folder,
	                     .root = -1, .dir = -1, .part = { -1, -1, -1 } };
	struct strbuf box = STRBUF_INIT(16384);
	int rc;

	if (folder[0] == '\0' || strcmp(folder, "INBOX") == 0)
		return err_set_span(e, ERR_REFUSED, SPAN_BOX, "the inbox can't be removed");
	maildir_close(s);
	for (size_t i = 0; i < 3; i++)
		r.names[i].max = LIST_MAX;
	r.copies.max = LIST_MAX;
	rc = maildir_box_path(r.m, folder, &box, e);
	if (rc == 0)
		rc = maildir_set_at(r.m, box.s, e);
	if (rc == 0)
		rc = open_removal(&r, box.s, e);
	if (rc > 0)
		rc = remove_folder(&r, box.s, expected, e);
	if (rc < 0 && r.root >= 0)
		maildir_of_box(e);
	maildir_keep_close(r.m);
	strbuf_release(&r.copies);
	for (size_t i = 0; i < 3; i++) {
		maildir_close_fd(&r.part[i]);
		strbuf_release(&r.names[i]);
	}
	maildir_close_fd(&r.dir);
	maildir_close_fd(&r.root);
	strbuf_release(&box);
	return rc < 0 ? -1 : 0;
}
