/* What the tests of POP3 and of its store share: a scripted server, and parameters for it. */
#ifndef TEST_POP3_SCRIPT_H
#define TEST_POP3_SCRIPT_H

#include "../../lib/script.h"
#include "pop3/login.h"

/*
 * jane with the password "5ecret", without TLS, on a link that counts as secure; 5 s for each wait.
 */
static inline struct pop3_params script_params(const struct script *s)
{
	return (struct pop3_params){
		.dial = { .host = "127.0.0.1", .port = s->peer.port, .security = DIAL_PLAIN,
			.timeout = 5000 },
		.what = "isp",
		.user = "jane",
		.secret = { .literal = "5ecret" },
		.secure = true,
	};
}

#endif
