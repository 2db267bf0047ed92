/* What deliveries into a Maildir leave behind that never came to their end: pending ones are looked up, stale files in tmp/ removed. */
#include "store/maildir_p.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"

/* Whether a file in tmp/ is of a delivery that never came to its end. */
bool maildir_heal_stale(const struct maildir *m, int tmp, const char *name)
{
	int64_t before = clock_wall() - (int64_t)m->tmp_hours * 3600;
	struct stat st;

	return fstatat(tmp, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) && st.st_mtime < before && st.st_atime < before;
}

/* Names are those of maildir_new_name. Where another process has the number by now nobody can tell, and the file counts as one that is being delivered. */
bool maildir_heal_orphan(const struct maildir *m, const char *name)
{
	long pid = 0;
	int host = 0;

	return sscanf(name, "%*[0-9].M%*[0-9]P%9ldQ%*[0-9].%n", &pid, &host) == 1 && host > 0 && strcmp(name + host, m->host) == 0 && pid > 0 && pid != m->pid &&
	       kill((pid_t)pid, 0) < 0 && errno == ESRCH;
}

/* Remove what deliveries left in tmp/ that never came to their end. */
int maildir_heal_clean(struct maildir *m, struct err *e)
{
	DIR *d = maildir_list(m, m->tmp, e);
	struct dirent *entry;
	int rc;

	if (!d)
		return -1;
	while ((rc = maildir_list_next(m, d, &entry, e)) > 0)
		if (maildir_heal_stale(m, m->tmp, entry->d_name))
			unlinkat(m->tmp, entry->d_name, 0);
	closedir(d);
	return rc;
}

/* Order pending deliveries by key. */
static int by_key(const void *a, const void *b)
{
	const struct recovery *const *x = a, *const *y = b;

	return strcmp((*x)->key, (*y)->key);
}

/* Mark the pending deliveries that have this unique name. */
static void mark(struct recovery **sorted, size_t n, struct slice unique, size_t *missing)
{
	size_t low = 0, high = n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (slice_cmp(slice_str(sorted[mid]->key), unique) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	for (; low < n && slice_eqs(unique, sorted[low]->key); low++) {
		*missing -= !sorted[low]->found;
		sorted[low]->found = true;
	}
}

/* Look through one directory for pending deliveries. */
static int look_through(struct maildir *m, int dirfd, struct recovery **sorted, size_t n, size_t *missing, struct err *e)
{
	DIR *d = maildir_list(m, dirfd, e);
	struct dirent *entry;
	int rc;

	if (!d)
		return -1;
	while ((rc = maildir_list_next(m, d, &entry, e)) > 0) {
		struct slice unique;
		uint32_t flags;

		if ((entry->d_type == DT_REG || entry->d_type == DT_UNKNOWN) &&
		    maildir_name(slice_str(entry->d_name), &unique, &flags))
			mark(sorted, n, unique, missing);
	}
	closedir(d);
	return rc;
}

/*
 * Which pending deliveries are there? new/ before cur/, as that is how mail readers move them. They rename within cur/ too while we list it, and a listing may
 * then miss the file, so what wasn't found is looked for once more.
 */
int maildir_recover(struct store *s, struct recovery *r, size_t n, struct err *e)
{
	struct maildir *m = maildir_of(s);
	struct recovery **sorted;
	size_t missing = n;
	int rc = 0;

	if (m->tmp < 0)
		return err_set(e, ERR_BUG, "maildir: no box is open");
	if (n == 0)
		return 0;
	sorted = calloc(n, sizeof(struct recovery *));
	if (!sorted)
		return err_set(e, ERR_LOCAL, "out of memory");
	for (size_t i = 0; i < n; i++) {
		r[i].found = false;
		sorted[i] = &r[i];
	}
	qsort(sorted, n, sizeof(struct recovery *), by_key);
	for (int pass = 0; rc == 0 && pass < 2 && missing > 0; pass++) {
		rc = look_through(m, m->fresh, sorted, n, &missing, e);
		if (rc == 0)
			rc = look_through(m, m->cur, sorted, n, &missing, e);
	}
	for (size_t i = 0; rc == 0 && i < n; i++) {
		struct slice unique;
		uint32_t flags;

		/* the key comes from a file: only what can be a name of ours is removed */
		if (!r[i].found && maildir_name(slice_str(r[i].key), &unique, &flags) && slice_eqs(unique, r[i].key))
			unlinkat(m->tmp, r[i].key, 0);
	}
	/* What was found may have got its name just before the interruption: what is told to be there must survive a power cut. */
	if (rc == 0 && missing < n)
		rc = maildir_put_sync(m, e);
	free(sorted);
	return rc;
}
