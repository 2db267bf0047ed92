/* A token bucket: see throttle.h. */
#include "net/throttle.h"

#include <stdlib.h>

#define PIECE_MIN 2048 /* bytes of one read or write below */
#define PIECE_MAX 16384
#define PIECES 16      /* a second, about */

struct throttle {
	struct stream s;
	uint64_t rate;
	size_t piece;
	int64_t tokens;  /* bytes that may go now, times 1000; below 0: what went too early */
	msec_t counted;  /* when tokens was right */
	msec_t deadline; /* of the layer below; 0 none */
};

/* What has become free since. No more is saved up than one piece. */
static void refill(struct throttle *t)
{
	const msec_t now = clock_now(), most = (msec_t)t->piece * 1000;
	msec_t passed = now - t->counted;

	if (passed > 60000)
		passed = 60000; /* the debt of a piece is long paid then, and nothing overflows */
	t->tokens += passed * (msec_t)t->rate;
	if (t->tokens > most)
		t->tokens = most;
	t->counted = now;
}

/* Wait until something may go. */
static int wait_turn(struct throttle *t, struct err *e)
{
	msec_t slept;

	refill(t);
	if (t->tokens > 0)
		return 0;
	slept = clock_now();
	if (wait_until(clock_in(1 - t->tokens / (msec_t)t->rate), e) < 0)
		return -1;
	refill(t);
	slept = t->counted - slept;
	if (t->deadline != 0) {
		t->deadline += slept;
		stream_set_deadline(t->s.next, t->deadline);
	}
	return 0;
}

/* stream_ops.read */
static ssize_t throttle_read(struct stream *s, void *buf, size_t n, struct err *e)
{
	struct throttle *t = (struct throttle *)s;
	ssize_t r;

	if (wait_turn(t, e) < 0)
		return -1;
	r = stream_read(s->next, buf, n < t->piece ? n : t->piece, e);
	if (r > 0)
		t->tokens -= (int64_t)r * 1000;
	return r;
}

/* stream_ops.write */
static int throttle_write(struct stream *s, const void *buf, size_t n, struct err *e)
{
	struct throttle *t = (struct throttle *)s;
	const char *p = buf;

	while (n > 0) {
		size_t piece = n < t->piece ? n : t->piece;

		if (wait_turn(t, e) < 0 || stream_write(s->next, p, piece, e) < 0)
			return -1;
		t->tokens -= (int64_t)piece * 1000;
		p += piece;
		n -= piece;
	}
	return 0;
}

/* stream_ops.set_deadline: for a look only; it is the layer below that waits for the peer. */
static void throttle_set_deadline(struct stream *s, msec_t deadline)
{
	((struct throttle *)s)->deadline = deadline;
}

/* stream_ops.free */
static void throttle_free(struct stream *s)
{
	free(s);
}

static const struct stream_ops throttle_ops = {
	.name = "throttle",
	.read = throttle_read,
	.write = throttle_write,
	.flush = stream_no_flush,
	.shut = stream_no_shut,
	.free = throttle_free,
	.set_deadline = throttle_set_deadline,
};

/* A limit over a stream. */
struct stream *throttle_over(struct stream *below, uint64_t rate, struct err *e)
{
	struct throttle *t = calloc(1, sizeof(*t));

	if (!t) {
		err_set(e, ERR_LOCAL, "out of memory");
		stream_free(below);
		return NULL;
	}
	t->s = (struct stream){ .ops = &throttle_ops, .next = below };
	t->rate = rate < THROTTLE_MIN ? THROTTLE_MIN : rate > UINT32_MAX ? UINT32_MAX : rate;
	t->piece = (size_t)(t->rate / PIECES);
	if (t->piece < PIECE_MIN)
		t->piece = PIECE_MIN;
	if (t->piece > PIECE_MAX)
		t->piece = PIECE_MAX;
	t->tokens = (int64_t)t->piece * 1000;
	t->counted = clock_now();
	return &t->s;
}
