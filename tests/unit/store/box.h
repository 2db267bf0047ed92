/* What the tests of the local stores share: samples, messages read back, and files of any content. */
#ifndef TEST_BOX_H
#define TEST_BOX_H

#include "base/strbuf.h"
#include "net/stream.h"

#define BOX_PATH 4096
#define BOX_BYTES (64u << 20)

/* "DIR/NAME", in one of eight buffers that take turns. */
const char *path_in(const char *dir, const char *name);

/* Files. A missing one reads as "" (false). */
bool file_read(const char *path, struct strbuf *out);
void file_write(const char *path, const void *p, size_t n);
long file_size(const char *path); /* -1: none */
size_t dir_count(const char *path);

/* Wait until what is changed in dir from now on has later times, and let ours be a while after: so what is there now is old. Until clock_test_set(-1). */
void fs_clock_moves(const char *dir);

/* Messages, in any order, as many of each as there are. */
struct bag {
	struct strbuf *a;
	size_t n, cap;
};

void bag_add(struct bag *b, const void *p, size_t n);
void bag_sort(struct bag *b);
bool bag_has(const struct bag *b, const void *p, size_t n);
void bag_same(struct bag *got, struct bag *want); /* sorts, fails unless equal, naming the first difference */
void bag_release(struct bag *b);

/* A message as it comes over the wire. */
struct sample {
	const char *name, *p;
	size_t n;
};

extern const struct sample *const samples;
extern const size_t samples_n;
/* For cmocka: once, before they are used, and behind all. */
int samples_make(void **state);
int samples_free(void **state);

/* CRLF -> LF, or as it is when an LF stands alone: what a Maildir keeps of it. */
void stored_form(const struct sample *s, struct strbuf *out);

/* The message's digest: over all with every CRLF as LF. */
void sample_digest(const struct sample *s, unsigned char out[32]);

/* Gives n bytes, then fails: ERR_TEMP, SPAN_MSG, "the line was cut". */
struct stream *cut_stream(const void *p, size_t n);

/* Readers that share no code with the program. */
enum { READ_RD, READ_O, READ_CL2 };
void maildir_read(const char *path, struct bag *out);
void mbox_read(const char *path, int variant, struct bag *out);

#endif
