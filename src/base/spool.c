/* Bytes kept aside: see spool.h. */
#include "base/spool.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"

/* Move what is in memory to an unlinked file. */
static int spill(struct spool *s, struct err *e)
{
	s->fd = s->fd >= 0 ? s->fd : fs_tmpfile(s->dir, e);
	return s->fd < 0 ? -1 : 0;
}
