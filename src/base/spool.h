/*
 * Bytes kept aside: in memory up to a small size, beyond it in an unlinked file. Written once, then read from the start as often as wanted.
 */
#ifndef BASE_SPOOL_H
#define BASE_SPOOL_H

#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/strbuf.h"

struct spool {
	struct strbuf mem; /* max = the size that stays in memory */
	int fd;            /* -1 until it spills */
	uint64_t size, pos;
	const char *dir;   /* where the unlinked file goes; NULL: $TMPDIR or /tmp */
	char *ahead;       /* read ahead: ahead_n bytes of the file from ahead_at */
	uint64_t ahead_at;
	size_t ahead_n;
};

#define SPOOL_INIT(limit) { .mem = STRBUF_INIT(limit), .fd = -1 }

int spool_write(struct spool *s, const void *p, size_t n, struct err *e);
void spool_rewind(struct spool *s);
ssize_t spool_read(struct spool *s, void *p, size_t n, struct err *e); /* 0 at the end */
int spool_take(struct spool *s, void *p, size_t n, struct err *e);     /* all n (> 0) bytes: 1; 0 at the end, an error (-1) if that is in their midst */
void spool_clear(struct spool *s);   /* empty again, file kept for reuse */
void spool_release(struct spool *s);

#endif
