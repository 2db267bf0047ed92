/* Line ends at the local border: see eol.h. */
#include "mail/eol.h"

#include <string.h>

/* CRLF -> LF. Only the bytes around a CR or LF are looked at one by one. */
size_t eol_to_lf(struct eol *c, const char *in, size_t n, char *out)
{
	const char *end = in + n;
	char *o = out;

	while (in < end) {
		const char *lf, *stop;
		size_t run;

		if (c->cr) {
			c->cr = false;
			if (*in == '\n') {
				*o++ = *in++;
				continue;
			}
			*o++ = '\r';
		}
		lf = memchr(in, '\n', (size_t)(end - in));
		stop = lf ? lf : end;
		run = (size_t)(stop - in);
		if (run > 0 && stop[-1] == '\r') {
			c->cr = true; /* it belongs to the LF that follows, or may do so in the next chunk */
			run--;
		}
		memcpy(o, in, run);
		o += run;
		in = stop;
		if (lf && !c->cr) {
			c->bare_lf = true;
			*o++ = *in++;
		}
	}
	return (size_t)(o - out);
}

/* The CR at the very end. */
size_t eol_end(struct eol *c, char *out)
{
	if (!c->cr)
		return 0;
	c->cr = false;
	out[0] = '\r';
	return 1;
}

/* LF -> CRLF. */
size_t eol_to_crlf(const char *in, size_t n, char *out)
{
	const char *end = in + n;
	char *o = out;

	while (in < end) {
		const char *lf = memchr(in, '\n', (size_t)(end - in));
		size_t run = (size_t)((lf ? lf : end) - in);

		memcpy(o, in, run);
		o += run;
		in += run;
		if (lf) {
			*o++ = '\r';
			*o++ = *in++;
		}
	}
	return (size_t)(o - out);
}

/* LF -> CRLF, and CRLF as it is. */
size_t eol_to_wire(bool *cr, const char *in, size_t n, char *out)
{
	const char *end = in + n;
	char *o = out;

	while (in < end) {
		const char *lf = memchr(in, '\n', (size_t)(end - in));
		size_t run = (size_t)((lf ? lf : end) - in);

		if (run > 0) {
			memcpy(o, in, run);
			o += run;
			in += run;
			*cr = in[-1] == '\r';
		}
		if (lf) {
			if (!*cr)
				*o++ = '\r';
			*o++ = *in++;
			*cr = false;
		}
	}
	return (size_t)(o - out);
}
