/*
 * Which message files there are in new/ and cur/, as read from the directories.
 *
 * A directory can't be read at one moment: a file that is renamed meanwhile may be shown twice, or not at all, and one that isn't shown would be taken as
 * deleted. So the times of both directories are looked at before and after. Equal times mean that nothing was added, removed or renamed in between, unless the
 * last change before it was so fresh that another one may bear the same time: then the reading is exact. Readings that are not add up, and where something
 * would be concluded from an absence (`doubt`), they go on, a clock tick apart, until one is exact or shows that nothing is absent.
 */
#include "store/maildir_p.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fiber.h"
#include "base/fs.h"
#include "base/log.h"

#define NAMES_MAX ((size_t)3 << 30) /* bytes of all names: offsets have 32 bits */
#define FILES_MAX 100000000u
#define READINGS 6
#define TURN_EVERY 1024 /* names */
#define NS 1000000000

/* Times of a directory that may lag behind the clock by as much. File systems without fractions of a second count in up to two. */
#define TICK_FINE 50000000
#define TICK_COARSE ((int64_t)2 * NS)
#define STAMP_AGE ((int64_t)2 * NS) /* a directory that was changed later than this long ago has no stamp: nobody waits for it, so be generous */

/* The times of a directory, as the server of a network file system has them now. */
int maildir_times(int dirfd, const char *name, struct maildir_times *out)
{
	const int flags = AT_SYMLINK_NOFOLLOW | (name[0] ? 0 : AT_EMPTY_PATH);
	struct statx x;
	struct stat st;

	*out = (struct maildir_times){ 0 };
	if (statx(dirfd, name, flags | AT_STATX_FORCE_SYNC, STATX_TYPE | STATX_INO | STATX_MTIME | STATX_CTIME, &x) == 0) {
		if (!S_ISDIR(x.stx_mode)) {
			errno = ENOTDIR;
			return -1;
		}
		*out = (struct maildir_times){
			.dev = (uint64_t)x.stx_dev_major << 32 | x.stx_dev_minor,
			.ino = x.stx_ino,
			.mtime = x.stx_mtime.tv_sec * NS + x.stx_mtime.tv_nsec,
			.ctime = x.stx_ctime.tv_sec * NS + x.stx_ctime.tv_nsec,
		};
		return 0;
	}
	if (errno != ENOSYS && errno != EPERM)
		return -1;
	if (fstatat(dirfd, name, &st, flags) < 0)
		return -1;
	if (!S_ISDIR(st.st_mode)) {
		errno = ENOTDIR;
		return -1;
	}
	*out = (struct maildir_times){
		.dev = st.st_dev,
		.ino = st.st_ino,
		.mtime = st.st_mtim.tv_sec * NS + st.st_mtim.tv_nsec,
		.ctime = st.st_ctim.tv_sec * NS + st.st_ctim.tv_nsec,
	};
	return 0;
}

/* Whether nothing was added, removed or renamed between. */
bool maildir_times_eq(const struct maildir_times *a, const struct maildir_times *b)
{
	return a->dev == b->dev && a->ino == b->ino && a->mtime == b->mtime && a->ctime == b->ctime;
}

/* Nanoseconds that a directory's times may lag behind. */
static int64_t tick_of(const struct maildir_times *t)
{
	return t->mtime % NS == 0 && t->ctime % NS == 0 ? TICK_COARSE : TICK_FINE;
}

/* Whether a change at `now` would show in the times. Those of the future (the clock was wrong once) are as good as old ones. */
bool maildir_times_settled(const struct maildir_times *t, int64_t now)
{
	int64_t tick = tick_of(t);

	return (t->mtime <= now - tick || t->mtime >= now + tick) && (t->ctime <= now - tick || t->ctime >= now + tick);
}

/* How long to wait for them to settle. */
msec_t maildir_times_wait(const struct maildir_times *t)
{
	return tick_of(t) / 1000000 + 1;
}

/* The moment, as times of files are counted. */
int64_t maildir_now(void)
{
	return clock_wall_usec() * 1000;
}

/* The times of the two directories of a box. A new/ that isn't there counts as empty. */
int maildir_stamp(const struct maildir_dirs *d, struct maildir_stamp *out)
{
	out->fresh = (struct maildir_times){ 0 };
	if (maildir_times(d->cur, "", &out->cur) < 0)
		return -1;
	return d->fresh >= 0 ? maildir_times(d->fresh, "", &out->fresh) : 0;
}

/* Whether nothing has changed in the box between. */
bool maildir_stamp_eq(const struct maildir_stamp *a, const struct maildir_stamp *b)
{
	return maildir_times_eq(&a->cur, &b->cur) && maildir_times_eq(&a->fresh, &b->fresh);
}

/* As box_info.stamp; "" when a change after `now` might leave it as it is. */
void maildir_stamp_print(const struct maildir_stamp *s, int64_t now, char out[STORE_STAMP_MAX])
{
	const struct maildir_times *t[] = { &s->cur, &s->fresh };
	size_t n = 0;

	for (size_t i = 0; i < 2; i++) {
		int put;

		if (t[i]->mtime > now - STAMP_AGE || t[i]->ctime > now - STAMP_AGE)
			break;
		put = snprintf(out + n, STORE_STAMP_MAX - n, "%s%llx.%llx.%llx.%llx", i ? "/" : "", (unsigned long long)t[i]->dev,
		               (unsigned long long)t[i]->ino, (unsigned long long)t[i]->mtime, (unsigned long long)t[i]->ctime);
		if (put < 0 || (size_t)put >= STORE_STAMP_MAX - n)
			break;
		n += (size_t)put;
		if (i == 1)
			return;
	}
	out[0] = '\0';
}

/* Forget all, keep the memory. */
void maildir_files_clear(struct maildir_files *f)
{
	strbuf_clear(&f->names);
	f->names.max = NAMES_MAX;
	if (f->a.n > 0)
		memset(f->slots, 0, f->n_slots * sizeof(*f->slots));
	vec_clear(&f->a);
	f->pass = 0;
	f->exact = false;
	f->live = 0;
}

/* Are these the directories that were read last, unchanged since, by what a stamp says? Then what was read is known still; else it is forgotten. */
bool maildir_files_resume(struct maildir_files *f, const struct maildir_stamp *now)
{
	char text[STORE_STAMP_MAX] = "";

	if (f->exact && maildir_stamp_eq(&f->stamp, now))
		maildir_stamp_print(&f->stamp, f->began, text);
	if (text[0] == '\0')
		maildir_files_clear(f);
	for (size_t i = 0; i < f->a.n; i++)
		f->a.a[i].taken = false;
	return text[0] != '\0';
}

/* Forget all. */
void maildir_files_release(struct maildir_files *f)
{
	strbuf_release(&f->names);
	vec_release(&f->a);
	free(f->slots);
	*f = (struct maildir_files){ 0 };
}

/* A file's name; moves when a file is put. */
const char *maildir_file_name(const struct maildir_files *f, size_t i)
{
	return f->names.s + f->a.a[i].name;
}

/* Its unique part. */
struct slice maildir_file_unique(const struct maildir_files *f, size_t i)
{
	return slice_of(maildir_file_name(f, i), f->a.a[i].unique_n);
}

/* Where the file of this unique name is noted, or would be. */
static struct maildir_slot *slot_of(const struct maildir_files *f, struct slice unique, uint32_t hash)
{
	for (size_t at = hash & (f->n_slots - 1);; at = (at + 1) & (f->n_slots - 1)) {
		struct maildir_slot *slot = &f->slots[at];

		if (slot->at == 0 || (slot->hash == hash && slice_eq(maildir_file_unique(f, slot->at - 1), unique)))
			return slot;
	}
}

/* The file of a unique name. */
bool maildir_files_find(const struct maildir_files *f, struct slice unique, size_t *i)
{
	const struct maildir_slot *slot = f->n_slots > 0 ? slot_of(f, unique, (uint32_t)slice_hash(unique)) : NULL;

	if (!slot || slot->at == 0)
		return false;
	*i = slot->at - 1;
	return true;
}

/* Keep the table at most half full. */
static int grow(struct maildir_files *f)
{
	size_t want = f->n_slots ? 2 * f->n_slots : 1024;
	struct maildir_slot *slots;

	if (2 * (f->a.n + 1) <= f->n_slots)
		return 0;
	slots = calloc(want, sizeof(*slots));
	if (!slots)
		return -1;
	for (size_t i = 0; i < f->n_slots; i++) {
		size_t at = f->slots[i].hash & (want - 1);

		if (f->slots[i].at == 0)
			continue;
		while (slots[at].at != 0)
			at = (at + 1) & (want - 1);
		slots[at] = f->slots[i];
	}
	free(f->slots);
	f->slots = slots;
	f->n_slots = want;
	return 0;
}

/* Note a name; *at its place. */
static int note_name(struct maildir_files *f, struct slice name, uint32_t *at)
{
	*at = (uint32_t)f->names.len;
	return strbuf_putsl(&f->names, name) < 0 || strbuf_putc(&f->names, '\0') < 0 ? -1 : 0;
}

/*
 * Of two files with one unique name, which is the message? One file that was shown under two names: it goes from new/ to cur/. Two files: always the same one,
 * whatever they are called next time.
 */
static bool is_better(const struct maildir_files *f, const struct maildir_file *old, struct slice name, bool in_cur, uint64_t ino)
{
	if (old->ino != ino) {
		log_debug("two files are called %s: %s is passed over", name.p, ino < old->ino ? f->names.s + old->name : name.p);
		return ino < old->ino;
	}
	if (old->in_cur != in_cur)
		return in_cur;
	return strcmp(name.p, f->names.s + old->name) > 0;
}

/* A file as it is called now. name is NUL-terminated and accepted by maildir_name. */
int maildir_files_put(struct maildir_files *f, struct slice name, size_t unique_n, bool in_cur, uint64_t ino, struct err *e)
{
	struct slice unique = slice_of(name.p, unique_n);
	const uint32_t hash = (uint32_t)slice_hash(unique);
	struct maildir_slot *slot;
	struct maildir_file *file;

	if (f->a.n >= FILES_MAX || grow(f) < 0)
		goto full;
	slot = slot_of(f, unique, hash);
	if (slot->at == 0) {
		struct maildir_file add = { .unique_n = (uint16_t)unique_n, .in_cur = in_cur, .ino = ino, .pass = f->pass };

		if (note_name(f, name, &add.name) < 0 || vec_push(&f->a, add) < 0)
			goto full;
		*slot = (struct maildir_slot){ .hash = hash, .at = (uint32_t)f->a.n };
		f->live++;
		return 0;
	}
	file = &f->a.a[slot->at - 1];
	if (!file->gone && file->pass == f->pass && f->reading) {
		*(file->ino == ino ? &file->linked : &file->twin) = true;
		f->doubled = true;
		if (!is_better(f, file, name, in_cur, ino))
			return 0;
	} else if (file->pass != f->pass) {
		file->twin = file->linked = false;
	}
	f->live += file->gone;
	file->gone = false;
	file->pass = f->pass;
	file->in_cur = in_cur;
	file->ino = ino;
	if (strcmp(f->names.s + file->name, name.p) == 0)
		return 0;
	if (note_name(f, name, &file->name) == 0)
		return 0;
full:
	return err_set(e, ERR_LOCAL, "out of memory for the names of %zu messages", f->a.n);
}

/* It is there no more. */
void maildir_files_drop(struct maildir_files *f, size_t i)
{
	f->live -= !f->a.a[i].gone;
	f->a.a[i].gone = true;
}

/* Whether an entry is a directory. */
static bool is_dir(int fd, const struct dirent *entry)
{
	struct stat st;

	if (entry->d_type != DT_UNKNOWN)
		return entry->d_type == DT_DIR;
	return fstatat(fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode);
}

/* Read one of the directories. Links and the like are listed, too: one that took a message's place must not look like its deletion. */
static int read_dir(struct maildir *m, struct maildir_files *f, int fd, bool in_cur, struct err *e)
{
	DIR *d = maildir_list(m, fd, e);
	struct dirent *entry;
	int rc;

	if (!d)
		return -1;
	while ((rc = maildir_list_next(m, d, &entry, e)) > 0) {
		struct slice name = slice_str(entry->d_name), unique;
		uint32_t flags;

		if (!maildir_name(name, &unique, &flags) || is_dir(fd, entry))
			continue;
		rc = maildir_files_put(f, name, unique.n, in_cur, entry->d_ino, e);
		if (rc < 0)
			break;
		if (f->a.n % TURN_EVERY == 0)
			fiber_turn();
	}
	closedir(d);
	return rc;
}

/* Read both, new/ before cur/, as that is how mail readers move what is in them. */
static int read_once(struct maildir *m, const struct maildir_dirs *d, struct maildir_files *f, struct err *e)
{
	struct maildir_stamp after;
	int rc = 0;

	if (clock_check(e) < 0)
		return -1;
	f->pass++;
	f->exact = f->doubled = false;
	f->began = maildir_now();
	if (maildir_stamp(d, &f->stamp) < 0)
		return err_errno(e, "can't look at %s", strbuf_str(&m->at));
	f->reading = true;
	if (d->fresh >= 0)
		rc = read_dir(m, f, d->fresh, false, e);
	if (rc == 0)
		rc = read_dir(m, f, d->cur, true, e);
	f->reading = false;
	if (rc < 0)
		return -1;
	if (maildir_stamp(d, &after) < 0)
		return err_errno(e, "can't look at %s", strbuf_str(&m->at));
	f->exact = maildir_stamp_eq(&f->stamp, &after) && maildir_times_settled(&f->stamp.cur, f->began) &&
	           (d->fresh < 0 || maildir_times_settled(&f->stamp.fresh, f->began));
	for (size_t i = 0; f->exact && f->pass > 1 && i < f->a.n; i++)
		if (f->a.a[i].pass != f->pass)
			maildir_files_drop(f, i);
	return 0;
}

/* Read until it is certain enough. */
int maildir_files_read(struct maildir *m, const struct maildir_dirs *d, struct maildir_files *f,
                       int (*doubt)(void *arg, struct err *e), void *arg, struct err *e)
{
	for (int i = 0; i < READINGS; i++) {
		msec_t wait, other;
		int rc;

		if (read_once(m, d, f, e) < 0)
			return -1;
		if (f->exact || !doubt)
			return 0;
		rc = doubt(arg, e);
		if (rc <= 0)
			return rc;
		wait = maildir_times_wait(&f->stamp.cur);
		other = d->fresh >= 0 ? maildir_times_wait(&f->stamp.fresh) : 0;
		if (i + 1 < READINGS && wait_until(clock_in(wait > other ? wait : other), e) < 0)
			return -1;
	}
	err_set_span(e, ERR_TEMP, SPAN_BOX, "%s is changed again and again while it is read", strbuf_str(&m->at));
	return err_hint(e, "what is gone can't be told from what is being renamed; it will be read again in the next run");
}
