/* What fs.c and its neighbours share. */
#ifndef BASE_FS_P_H
#define BASE_FS_P_H

#include <errno.h>
#include <unistd.h>

#include "base/fs.h"

/* Close, and let errno be what it was. */
static inline void fs_close_quietly(int fd)
{
	int saved = errno;

	if (fd >= 0)
		close(fd);
	errno = saved;
}

#endif
