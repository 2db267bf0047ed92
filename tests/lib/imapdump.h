/* A response of an IMAP server in one line, with everything that the reader found in it: what tests compare. */
#ifndef TEST_IMAPDUMP_H
#define TEST_IMAPDUMP_H

#include "imap/resp.h"

/* Without the bytes of a body. Bytes that are not printable are shown as err_printable() shows them. */
void imapdump(struct strbuf *out, const struct imap_resp *r);

/*
 * All responses of n bytes at wire that come in pieces of `step` (0: at once), each with a '\n' behind it; bodies are
 * read by `piece` bytes at a time, or left where that is 0. At the end "END", or "ERROR kind text". Returns what the
 * reader returned last. Fails an assertion (abort) when the reader breaks its contract.
 */
int imapdump_all(struct strbuf *out, const void *wire, size_t n, size_t step, size_t piece, const struct imap_limits *limits);

#endif
