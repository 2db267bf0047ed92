/*
 * Files made durable, and work beneath a root that no planted symbolic link can lead out of. All functions retry EINTR.
 * Where a system call failed, errno still holds its reason when the function returns (a link in the way is ELOOP).
 * "name" is a path relative to dirfd; names that are absolute or hold ".." are refused (ERR_BUG) wherever dirfd is a root.
 */
#ifndef BASE_FS_H
#define BASE_FS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/slice.h"
#include "base/strbuf.h"

int fs_write_all(int fd, const void *p, size_t n, const char *what, struct err *e);
ssize_t fs_read(int fd, void *p, size_t n, const char *what, struct err *e); /* one read; 0 at end */
int fs_pread_all(int fd, void *p, size_t n, off_t off, const char *what, struct err *e); /* short file: error */

int fs_sync(int fd, const char *what, struct err *e);             /* fsync */
int fs_sync_dir(int dirfd, const char *name, struct err *e);      /* open the directory, fsync it; "." for dirfd itself */
void fs_writeback(int fd);                                        /* start write-back, wait for nothing (sync_file_range) */
void fs_writeback_wait(int fd);                                   /* wait for that, which promises nothing: fsync has less to do then */

/* mkdir -p of an absolute path chosen by the person (symlinks are theirs to use); new directories get `mode` and their parents are fsynced. */
int fs_mkdirs(const char *path, mode_t mode, struct err *e);

/* Open a directory the person named (follows their symlinks). Returns an O_PATH-free dirfd. */
int fs_open_dir(const char *path, struct err *e);

/* Open name beneath the root dirfd: never through a symbolic link, never outside (openat2 RESOLVE_BENEATH|NO_SYMLINKS where present, else component by component with O_NOFOLLOW). */
int fs_open_beneath(int dirfd, const char *name, int flags, mode_t mode, struct err *e);
int fs_mkdirs_beneath(int dirfd, const char *name, mode_t mode, struct err *e); /* fsyncs each parent it changed, */
int fs_mkdirs_beneath_all(int dirfd, const char *const *names, size_t n, mode_t mode, struct err *e); /* once all are made, in this order */

/* Replace path's content as a whole: temporary file beside it (0600|mode), fsync, rename, fsync of the directory. */
int fs_replace(const char *path, const void *p, size_t n, mode_t mode, struct err *e);
/* The same without a sync, for what can be done without: after a power failure the file may be the old one, the new one, or damaged, which its reader has to notice. */
int fs_replace_light(const char *path, const void *p, size_t n, mode_t mode, struct err *e);

/* Read a whole small file; more than b->max is ERR_LOCAL. */
int fs_read_file(const char *path, struct strbuf *b, struct err *e);

/*
 * Read a file that holds a secret: must be a regular file, owned by us or root, not readable by group or others (ERR_PERM with
 * what to do). A symbolic link at its end must belong to us or root, too.
 */
int fs_read_secret(const char *path, struct strbuf *b, struct err *e);

/* Where temporary files go: dir, or if that is NULL $TMPDIR or /tmp. */
const char *fs_tmpdir(const char *dir);

/* Anonymous file there; close-on-exec. */
int fs_tmpfile(const char *dir, struct err *e);

/* "~", "~/x", "$HOME/x" -> absolute; other paths copied. malloc'd; NULL (ERR_CONF) when HOME is unknown or "~user" unknown. */
char *fs_expand(const char *path, struct err *e);

/*
 * What an absolute path leads to, in one writing for each place: without symbolic links, "." and "..", doubled slashes and one at the end. What is not there
 * (yet) is taken as it stands, and so is what can't be looked at. malloc'd; NULL (ERR_LOCAL) when it is too long, has too many links, or memory is out.
 */
char *fs_real(const char *path, struct err *e);

/*
 * Take an fcntl write lock on path (created 0600). Returns the fd, which holds the lock until closed or the process dies.
 * Held by another: -1 with ERR_BUSY, and *holder (which may be NULL) its pid (0 if unknown). Such a lock belongs to the process:
 * taking it twice succeeds, and closing any descriptor of the same file gives it up.
 */
int fs_lock(const char *path, pid_t *holder, struct err *e);

#endif
