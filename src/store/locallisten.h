/*
 * A listener of files: what Maildir's and mbox's have in common. Each says how its tree is walked, and what an event means.
 */
#ifndef STORE_LOCALLISTEN_H
#define STORE_LOCALLISTEN_H

#include "store/dirwatch.h"
#include "store/listen.h"

struct locallisten;

struct locallisten_kind {
	const char *name;
	/* As dirwatch_scan's; arg is the listener. */
	int (*walk)(void *arg, struct dirwatch *w, struct err *e);
	/* An event of an item that stands: hint, or (locallisten_rescan) the tree is another one. */
	void (*event)(struct locallisten *l, const struct dirwatch_item *item, uint32_t mask, const char *name);
	/* A look shows that it has changed. */
	void (*changed)(struct locallisten *l, const struct dirwatch_item *item);
	int (*stamp)(struct locallisten *l, const char *folder, char out[STORE_STAMP_MAX], struct err *e); /* as listener_ops.stamp */
};

struct locallisten {
	struct listener l;
	const struct locallisten_kind *kind;
	struct store *store;
	struct dirwatch w;
	struct listen_folders folders;
	msec_t interval, look_at, root_at;
	msec_t scan_at; /* 0: the tree is as it was walked */
	msec_t scan_after; /* the next walk's earliest moment */
};

struct listener *locallisten_new(struct store *s, const char *root, const struct locallisten_kind *kind, const struct listen_params *p, struct err *e);

/* There may be other folders, or others again: all may have changed, and the tree is to be walked anew. */
void locallisten_rescan(struct locallisten *l);

#endif
