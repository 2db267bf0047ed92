/* What every store with folders must do, whatever it is made of: two objects of one store stand for two programs that use it. */
#ifndef TEST_CONFORMTREE_H
#define TEST_CONFORMTREE_H

#include "box.h"
#include "store/store.h"

struct conform_tree {
	const char *name;
	struct store *(*make)(const char *dir, struct err *e); /* a store in dir, not opened; the same each time; with an inbox and no other folder */
	bool counted;                                          /* equal messages are told apart by their order alone: the key of one changes when another goes */
	void (*expect)(const struct sample *s, struct strbuf *out); /* what is read of it when it was delivered, its line ends aside; NULL: itself */
	void (*settle)(const char *dir); /* time passes, so that what is there now has a stamp; NULL: no need */
};

/* Run all cases; returns the failures. */
int conform_tree_run(const struct conform_tree *c);

#endif
