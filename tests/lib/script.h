/*
 * A server for tests that plays a script: each connection waits for lines and says what stands
 * beside them.
 */
#ifndef TEST_SCRIPT_H
#define TEST_SCRIPT_H

#include "../unit/net/peer.h"

#define SCRIPT_HEARD 65536

/*
 * want NULL: say it unasked. say NULL: close the connection. {0} ends: what else comes is read and
 * written down.
 */
struct turn {
	const char *want, *say;
};

struct script {
	struct peer peer;
	bool together;                   /* a connection does not wait for the end of the one before */
	const struct turn *const *turns; /* one row of turns for each connection; NULL ends */
	char *heard;                     /* all lines of all connections, "|" behind each, "#" at each end; shared with the child */
};

void script_start(struct script *s, const struct turn *const *turns);
void script_stop(struct script *s);

/* Wait until n connections are over, then fail unless exactly these lines came. */
void script_expect(struct script *s, int n, const char *heard);

#endif
