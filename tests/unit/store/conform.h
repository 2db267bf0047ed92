/* What every local store must do, whatever it is made of. */
#ifndef TEST_CONFORM_H
#define TEST_CONFORM_H

#include "box.h"
#include "store/store.h"

struct conform {
	const char *name;
	struct store *(*make)(const char *dir, struct err *e);     /* a store in dir, not opened; the same each time */
	void (*read)(const char *dir, struct bag *out);            /* all messages that a mail reader would see */
	void (*expect)(const struct sample *s, struct strbuf *out); /* what it would see of this one */
	bool keys_differ;                                          /* equal messages have keys of their own */
};

/* Run all cases; returns the failures. */
int conform_run(const struct conform *c);

#endif
