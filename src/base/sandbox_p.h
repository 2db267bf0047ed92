/* The part of the sandbox that is libseccomp's; without it there is none. */
#ifndef BASE_SANDBOX_P_H
#define BASE_SANDBOX_P_H

#include "base/sandbox.h"

bool sandbox_built_seccomp(void);
bool sandbox_has_seccomp(void); /* and the kernel can filter */
int sandbox_enter_seccomp(struct err *e);

#endif
