/*
 * A peer for tests: a child process that listens on a loopback port and treats each connection by a
 * function.
 */
#ifndef TEST_PEER_H
#define TEST_PEER_H

#include <sys/types.h>

#include "net/stream.h"

struct peer {
	pid_t pid;
	char port[8];
};

/* Runs in the child for the nth connection (from 0); fd is closed after it. */
typedef void peer_fn(int fd, int nth, void *arg);

void peer_start(struct peer *p, peer_fn *fn, void *arg);
void peer_stop(struct peer *p);

/* Connect to it; the deadline is 10 s away. */
struct stream *peer_dial(const struct peer *p);

/* For the functions: all n bytes or the child ends. */
void peer_send(int fd, const void *p, size_t n);
void peer_recv(int fd, void *p, size_t n);

/* A listening socket on 127.0.0.1; *port gets its number. */
int listen_local(int backlog, char port[8]);

/* A layer that reads at most step bytes of the one below. */
struct stream *step_over(struct stream *below, size_t step);

#endif
