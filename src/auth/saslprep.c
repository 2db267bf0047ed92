/* SASLprep by GNU SASL: see saslprep.h. */
#include "auth/saslprep.h"

#ifdef HAVE_GSASL

#include <gsasl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* Printable ASCII is its own canonical form. */
static bool is_plain(struct slice a)
{
	for (size_t i = 0; i < a.n; i++)
		if (a.p[i] < 0x20 || a.p[i] > 0x7e)
			return false;
	return true;
}

/* The prepared text, malloc'd; NULL when there is none. */
static char *prepare(struct slice in)
{
	char *raw = slice_dup(in), *cooked = NULL;

	/* unassigned code points may pass: RFC 4013 section 2.5 treats what a client sends as a query */
	if (raw && gsasl_saslprep(raw, GSASL_ALLOW_UNASSIGNED, &cooked, NULL) != GSASL_OK)
		cooked = NULL;
	if (raw)
		explicit_bzero(raw, in.n);
	free(raw);
	return cooked;
}

/* Append the canonical form. */
int saslprep(struct slice in, struct strbuf *out)
{
	char *cooked = is_plain(in) ? NULL : prepare(in);
	size_t n = cooked ? strlen(cooked) : 0;
	int rc = n > 0 ? strbuf_put(out, cooked, n) : strbuf_putsl(out, in);

	if (cooked)
		explicit_bzero(cooked, n);
	free(cooked);
	return rc;
}

#else

/* Without the library: as it is. */
int saslprep(struct slice in, struct strbuf *out)
{
	return strbuf_putsl(out, in);
}

#endif
