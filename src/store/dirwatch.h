/*
 * Directories of a tree that are watched by inotify(7), and files and directories whose times are compared at intervals where that can't be: the limit of watches is reached, there
 * is no inotify, or the file system is one of a network, where inotify tells nothing of what others do.
 *
 * A caller walks its tree (dirwatch_scan) and notes what it finds there (dirwatch_add). A directory is noted before its entries are read: what comes later then shows as an event.
 */
#ifndef STORE_DIRWATCH_H
#define STORE_DIRWATCH_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/inotify.h>

#include "base/err.h"
#include "base/strbuf.h"
#include "base/vec.h"

#define DIRWATCH_NAMES (IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO)

/* Equal marks: nothing has happened, if the one before had settled. */
struct dirwatch_mark {
	uint64_t dev, ino, size;
	int64_t mtime, ctime; /* ns */
};

struct dirwatch_item {
	uint32_t path;       /* offset in table.paths; from the root, "." is the root; or absolute, for what a link leads to */
	int wd;              /* -1: not watched */
	int kind;            /* the caller's, and tag too */
	size_t tag;
	bool is_dir;
	bool settled;        /* a later change would show in the mark */
	struct dirwatch_mark mark;
};

struct dirwatch_table {
	struct strbuf paths;
	VEC(struct dirwatch_item) a; /* by path */
	VEC(size_t) by_wd;   /* places of those that are watched */
};

struct dirwatch {
	char *root;          /* as the person named it */
	int fd;              /* inotify's; -1: there is none */
	int why;             /* errno: the last reason why something could not be watched */
	size_t lacking;      /* so many directories are not, or could not be read */
	bool remote;         /* a file system of the network */
	bool there;          /* the root, when the tree was walked last; then it was this one: */
	uint64_t dev, ino;
	struct dirwatch_table now;
};

#define DIRWATCH_INIT { .fd = -1 }

int dirwatch_init(struct dirwatch *w, const char *root, struct err *e);
void dirwatch_release(struct dirwatch *w); /* safe on DIRWATCH_INIT */

/*
 * Walk the tree anew. walk calls dirwatch_add for all that counts; it is not called where there is no root. 1: something is otherwise than before in what is noted, or has changed
 * where nothing watches; 0; -1.
 */
int dirwatch_scan(struct dirwatch *w, int (*walk)(void *arg, struct dirwatch *w, struct err *e), void *arg, struct err *e);
/* Note a directory (mask: events that are wanted; of its own going it is always told) or a file (0). Of one that is not there any more nothing is noted. 1 it is noted, 0, -1. */
int dirwatch_add(struct dirwatch *w, const char *path, uint32_t mask, int kind, size_t tag, struct err *e);
/* What is in a directory could not be read (errno). */
void dirwatch_unread(struct dirwatch *w);

/* Events. NULL as item: some were lost. More than a bounded number is left for the next call. -1: inotify itself fails. */
int dirwatch_read(struct dirwatch *w, void (*event)(void *arg, const struct dirwatch_item *item, uint32_t mask, const char *name), void *arg, struct err *e);
/* Compare all that is noted with what it was. */
void dirwatch_look(struct dirwatch *w, void (*changed)(void *arg, const struct dirwatch_item *item), void *arg);
/* Is the root another than it was, gone, or back? */
bool dirwatch_root_changed(const struct dirwatch *w);
/* Does all tell by itself, so that nobody needs to look? */
bool dirwatch_complete(const struct dirwatch *w);
const char *dirwatch_path(const struct dirwatch *w, const struct dirwatch_item *item);
/* What is noted by this path; NULL: nothing. */
const struct dirwatch_item *dirwatch_find(const struct dirwatch *w, const char *path);
/* "inotify", "looks every 60 s" ...: see listener_ops.how */
void dirwatch_how(const struct dirwatch *w, long long interval, struct strbuf *out);

#endif
