/*
 * What the raw clients have in common: a TLS connection of which the server is verified, bytes
 * gathered before they are sent, lines and bodies read from one buffer, and a file per message.
 * Whatever goes wrong ends the program.
 */
#ifndef BENCH_RAW_H
#define BENCH_RAW_H

#include <stdbool.h>
#include <stddef.h>

#define RAW_OPTIONS \
	{ "ca", required_argument, NULL, 'c' }, \
	{ "user", required_argument, NULL, 'u' }, \
	{ "password", required_argument, NULL, 'p' }, \
	{ "discard", no_argument, NULL, 'd' }, \
	{ "fsync", no_argument, NULL, 's' }

struct raw {
	const char *name;               /* of the program */
	const char *ca, *user, *password, *host, *port;
	const char *dir;                /* where the messages go; unused with discard */
	bool discard, sync;
	char *in;                       /* what the server sent and nobody took: in + at .. in + end */
	size_t at, end;
};

extern struct raw raw;

/* Ends the program with a message. */
__attribute__((format(printf, 1, 2), noreturn))
void raw_fail(const char *fmt, ...);

/* Takes one of RAW_OPTIONS; false if it is another. */
bool raw_option(int o, const char *arg);

/* Connects, verifies the server, opens the directory. */
void raw_begin(void);
void raw_end(void);

/* Add to what will be sent; raw_flush sends it. */
__attribute__((format(printf, 1, 2)))
void raw_command(const char *fmt, ...);
void raw_data(const char *p, size_t n);
void raw_flush(void);

/* Gets more bytes behind what is left in the buffer. */
void raw_fill(void);

/* Takes one line, without its end; valid until the next read. */
char *raw_line(void);

/* The file of message n, -1 if it is thrown away; all bytes to it; its end, where with --fsync it
 * waits for the others of its group; and the end of the last group. */
int raw_open(unsigned n);
void raw_put(int fd, const char *p, size_t n);
void raw_close(int fd, unsigned n);
void raw_settle(void);

#endif
