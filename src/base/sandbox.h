/*
 * What a process gives up for good once it has what it needs, so that whoever takes it over by the network has little of it. By two means of Linux, each where the kernel has it:
 *
 *   Landlock   files are reached beneath the given paths only, none is executed, no TCP port is opened, no process outside is signalled
 *   seccomp    no program is run (execve), no other process or the kernel is meddled with, no sockets but of the internet, netlink and AF_UNIX. Needs libseccomp
 *
 * The filter is a list of what is refused, not of what is allowed: libraries that come with the system (resolver modules, OpenSSL's) take other system calls with each version, and what
 * they were refused would be mail that does not come. Refused calls fail with EPERM.
 */
#ifndef BASE_SANDBOX_H
#define BASE_SANDBOX_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/strbuf.h"

#define SANDBOX_LANDLOCK_MIN 2 /* the first that lets files move between directories */

struct sandbox_kernel {
	int landlock;       /* its version; 0: none. Below SANDBOX_LANDLOCK_MIN it is not used */
	bool seccomp;
	bool built_seccomp; /* libseccomp is linked */
};

/* What of it works here. */
void sandbox_look(struct sandbox_kernel *k);
/* The same for a person: "Landlock (version 6), seccomp"; "seccomp; no Landlock: the kernel has none". */
void sandbox_say(const struct sandbox_kernel *k, struct strbuf *out);

enum sandbox_right {
	SANDBOX_READ,     /* read what is there, and beneath */
	SANDBOX_WRITE,    /* and make, change and remove files and directories. One that is not there yet: in the directory where it would be made */
	SANDBOX_SCRATCH,  /* make, read and write files, and list nothing */
};

struct sandbox_path {
	const char *path;
	enum sandbox_right right;
};

/*
 * From here on, in this process and its children. What the kernel has not is left out; paths that are not there are passed over. Links are followed now, not later. -1 when it has it
 * and yet refuses it (ERR_LOCAL).
 */
int sandbox_enter(const struct sandbox_path *paths, size_t n, struct err *e);

#endif
