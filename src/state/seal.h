/*
 * The seal: what a state file was like (inode, size, times) when the last run closed it in good order. It stands in the job's lock file. A file that is still so has
 * been written by nobody since, and need not be read through; one that is not (a run has died, it was restored, copied, damaged) must be. Disks rot as well, so a
 * seal holds for a day.
 */
#ifndef STATE_SEAL_H
#define STATE_SEAL_H

#include <stdbool.h>
#include <stdint.h>

#define SEAL_SECONDS 86400

/* Does it hold? lock: the open lock file, nothing is changed in it. *read_through: when the file was last read through, 0 if not. No seal, an unreadable one: false. */
bool seal_holds(int lock, const char *path, int64_t now, int64_t *read_through);
/*
 * Seal the file, which is closed; its lock file's mtime stays. Nothing is written if the seal is there already. A failure is no error, then there is none. A file
 * that was just written could be written again and look the same: its mtime is set back a little.
 */
void seal_put(int lock, const char *path, int64_t read_through);
/* There is a file, and no seal. */
void seal_break(int lock);
/* Was there ever a file that a run closed, be it sealed or not? */
bool seal_was_there(int lock);

#endif
