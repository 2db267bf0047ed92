/*
 * A TCP proxy on loopback that makes a short line long, counts, and breaks.
 *
 *	delayproxy [options] HOST:PORT
 *
 * It listens on a free port of 127.0.0.1, prints "port N", and hands every connection on to
 * HOST:PORT until SIGTERM or SIGINT; then it prints what it counted as one line of JSON.
 *
 * Data waits in a queue with the time at which it may go on, so the delay costs no throughput.
 * A connection behaves as over a real line of that round-trip time: the server sees it after one
 * and a half of them, and what the client sends is counted from the end of the first, as connect()
 * on loopback returns at once.
 *
 * With a rate, all connections share a line that carries so much in each direction: what comes
 * starts when all that came before it has left. With --each, every connection has such a line of
 * its own, as from a server that limits each.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MAX_CONNS 64
#define MAX_MARKS 65536
#define NEVER INT64_MAX
#define USEC 1000LL
#define MSEC (1000 * USEC)
#define MARK_STEP (100 * USEC)          /* data read within this time shares a mark */
#define QUEUE_MSEC 100                  /* what may wait before a slow line */
#define RECORD_HEAD 5                   /* bytes before each TLS record */
#define RECORD_DATA 23                  /* type of a TLS record that holds data, or hides what it holds */

/* Bytes up to the position may go on at the time. */
struct mark {
	uint64_t end;
	int64_t due;
};

/* One direction of a connection: a ring of bytes with the times at which they are due. */
struct flow {
	int from, to;
	bool down;                      /* server to client */
	char *ring;
	uint64_t head, tail;            /* bytes read in, bytes written out, since the start */
	struct mark *marks;
	uint32_t mark_head, mark_tail;
	int64_t eof_due;                /* NEVER until the source has ended */
	bool read_end, done;
};

struct conn {
	bool used, linked, asked, stalled, cut;
	int client, server;
	int64_t born, last_down;
	unsigned char head[RECORD_HEAD];        /* of the client's TLS record that is read now */
	size_t head_len, record_left;
	bool shaken;                            /* the TLS handshake is over */
	int64_t free_up, free_down;             /* when its own line has sent what it was given */
	struct flow up, down;
};

struct stats {
	uint64_t connections, up, down, turns, waits, cuts;
	uint64_t hello_up, hello_down;          /* what TLS handshakes took of up and down */
};

static struct options {
	int64_t rtt;
	uint64_t rate;                  /* bytes per second in each direction; 0: no limit */
	uint64_t ring;
	uint64_t cut_down, cut_up, stall_down;
	bool cut_once, each;
	const char *stats;
	struct sockaddr_in to;
} opt = { .cut_down = UINT64_MAX, .cut_up = UINT64_MAX, .stall_down = UINT64_MAX };

static struct conn conns[MAX_CONNS];
static struct stats stats;
static int64_t free_up, free_down;      /* when the slow line has sent what it was given */
static volatile sig_atomic_t stop;

/* Remembers that the program is to end. */
static void on_signal(int sig)
{
	(void)sig;
	stop = 1;
}

/* Ends the program with a message. */
static void fail(const char *what)
{
	fprintf(stderr, "delayproxy: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* Nanoseconds of a clock that only moves on. */
static int64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

/* Gives a direction its ring; false if there is no memory. */
static bool flow_init(struct flow *f, bool down)
{
	void *p = mmap(NULL, opt.ring, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	memset(f, 0, sizeof(*f));
	f->from = f->to = -1;
	f->down = down;
	f->eof_due = NEVER;
	if (p == MAP_FAILED)
		return false;
	f->ring = p;
	f->marks = malloc(MAX_MARKS * sizeof(*f->marks));
	return f->marks != NULL;
}

/* Gives back what flow_init() took. */
static void flow_release(struct flow *f)
{
	if (f->ring)
		munmap(f->ring, opt.ring);
	free(f->marks);
	f->ring = NULL;
	f->marks = NULL;
}

/* Closes both ends; abruptly, so that the peers see a broken line. */
static void conn_abort(struct conn *c)
{
	struct linger hard = { .l_onoff = 1, .l_linger = 0 };

	if (c->client >= 0)
		setsockopt(c->client, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
	if (c->server >= 0)
		setsockopt(c->server, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
	c->up.done = c->down.done = true;
}

/* Closes and forgets a connection. */
static void conn_release(struct conn *c)
{
	if (c->client >= 0)
		close(c->client);
	if (c->server >= 0)
		close(c->server);
	flow_release(&c->up);
	flow_release(&c->down);
	memset(c, 0, sizeof(*c));
}

/* Takes a client; its server is dialled when the handshake would have come to its end. */
static void conn_accept(int lfd, int64_t now)
{
	struct conn *c = NULL;
	int one = 1;
	int fd = accept4(lfd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd < 0)
		return;
	for (size_t i = 0; i < MAX_CONNS && !c; i++)
		if (!conns[i].used)
			c = &conns[i];
	if (!c) {
		close(fd);
		return;
	}
	c->used = true;
	c->client = fd;
	c->server = -1;
	c->born = now;
	c->last_down = now;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	stats.connections++;
	stats.turns++;
	stats.waits++;
	c->cut = !opt.cut_once || stats.connections == 1;
	if (!flow_init(&c->up, false) || !flow_init(&c->down, true)) {
		conn_abort(c);
		return;
	}
	c->up.from = fd;
	c->down.to = fd;
}

/* Dials the server of a connection whose time has come. */
static void conn_link(struct conn *c)
{
	int one = 1;

	c->linked = true;
	c->server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (c->server < 0 || connect(c->server, (struct sockaddr *)&opt.to, sizeof(opt.to)) < 0) {
		conn_abort(c);
		return;
	}
	fcntl(c->server, F_SETFL, O_NONBLOCK);
	setsockopt(c->server, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	c->up.to = c->server;
	c->down.from = c->server;
}

/* When the connection exists for the server. */
static int64_t conn_link_due(const struct conn *c)
{
	return c->born + opt.rtt + opt.rtt / 2;
}

/* True if the direction can take bytes from its source. */
static bool flow_wants(const struct flow *f)
{
	return f->from >= 0 && !f->read_end && !f->done && f->head - f->tail < opt.ring &&
	       f->mark_head - f->mark_tail < MAX_MARKS - 1;
}

/* When the direction may move something on; NEVER if it holds nothing. */
static int64_t flow_due(const struct flow *f)
{
	if (f->done)
		return NEVER;
	if (f->mark_head != f->mark_tail)
		return f->marks[f->mark_tail % MAX_MARKS].due;
	return f->read_end ? f->eof_due : NEVER;
}

/* When n bytes that come now have left over the slow line. */
static int64_t line_sends(struct conn *c, bool down, int64_t now, size_t n)
{
	int64_t *own = down ? &c->free_down : &c->free_up;
	int64_t *line = opt.each ? own : down ? &free_down : &free_up;

	if (!opt.rate)
		return now;
	if (*line < now)
		*line = now;
	*line += (int64_t)(n * 1000000000ULL / opt.rate);
	return *line;
}

/* Follows the client's TLS records to the end of the first that may hold data, which in TLS 1.3 is
 * the last of its handshake. */
static void follow_hello(struct conn *c, const char *p, size_t n)
{
	while (n && !c->shaken) {
		size_t part = 1;

		if (c->head_len < RECORD_HEAD) {
			c->head[c->head_len++] = (unsigned char)*p;
			if (c->head_len == RECORD_HEAD)
				c->record_left = (size_t)c->head[3] << 8 | c->head[4];
		} else {
			part = c->record_left < n ? c->record_left : n;
			c->record_left -= part;
		}
		p += part;
		n -= part;
		stats.hello_up += part;
		if (c->head_len < RECORD_HEAD || c->record_left)
			continue;
		c->head_len = 0;
		if (c->head[0] == RECORD_DATA) {
			c->shaken = true;
			stats.hello_down += c->down.tail;
		}
	}
}

/* Reads what the source has; false if the line broke. */
static bool flow_read(struct conn *c, struct flow *f, int64_t now)
{
	uint64_t at = f->head % opt.ring;
	uint64_t room = opt.ring - (f->head - f->tail);
	int64_t sent = now, due;
	struct mark *last;
	ssize_t n;

	if (room > opt.ring - at)
		room = opt.ring - at;
	if (room > 1 << 18)
		room = 1 << 18;
	/* In pieces so small that each has its own time. */
	if (opt.rate && room > opt.rate / 500 + 1500)
		room = opt.rate / 500 + 1500;
	n = read(f->from, f->ring + at, room);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	if (!f->down && sent < c->born + opt.rtt)
		sent = c->born + opt.rtt;
	due = line_sends(c, f->down, sent, (size_t)n) + opt.rtt / 2;
	if (n == 0) {
		f->read_end = true;
		f->eof_due = due;
		return true;
	}
	f->head += (uint64_t)n;
	if (!f->down) {
		c->asked = true;
		follow_hello(c, f->ring + at, (size_t)n);
	}
	last = &f->marks[(f->mark_head - 1) % MAX_MARKS];
	if (f->mark_head != f->mark_tail && due - last->due < MARK_STEP && opt.rtt > 0) {
		last->end = f->head;
		return true;
	}
	f->marks[f->mark_head++ % MAX_MARKS] = (struct mark){ .end = f->head, .due = due };
	return true;
}

/* Counts bytes that reach the client: is this an answer, and did the client stand still for it? */
static void count_down(struct conn *c, int64_t now)
{
	if (c->asked) {
		stats.turns++;
		if (now - c->last_down >= opt.rtt * 3 / 4)
			stats.waits++;
		c->asked = false;
	}
	c->last_down = now;
}

/* How many more bytes the direction may carry before it is cut or stalls. */
static uint64_t flow_allowance(const struct conn *c, const struct flow *f)
{
	uint64_t limit = f->down ? opt.cut_down : opt.cut_up;

	if (!c->cut)
		return UINT64_MAX;
	if (f->down && opt.stall_down < limit)
		limit = opt.stall_down;
	return limit > f->tail ? limit - f->tail : 0;
}

/* Acts once a direction has carried what it may. */
static void flow_spent(struct conn *c, const struct flow *f)
{
	if (f->down && opt.stall_down < opt.cut_down) {
		c->stalled = true;
		return;
	}
	stats.cuts++;
	conn_abort(c);
}

/* Writes what is due; false if the line broke. */
static bool flow_write(struct conn *c, struct flow *f, int64_t now)
{
	while (!f->done && f->mark_head != f->mark_tail) {
		struct mark *m = &f->marks[f->mark_tail % MAX_MARKS];
		uint64_t at = f->tail % opt.ring;
		uint64_t want = m->end - f->tail;
		uint64_t most = flow_allowance(c, f);
		ssize_t n;

		if (m->due > now || f->to < 0 || (f->down && c->stalled))
			return true;
		if (most == 0) {
			flow_spent(c, f);
			return true;
		}
		if (want > opt.ring - at)
			want = opt.ring - at;
		if (want > most)
			want = most;
		n = send(f->to, f->ring + at, want, MSG_NOSIGNAL);
		if (n < 0)
			return errno == EAGAIN || errno == EINTR;
		f->tail += (uint64_t)n;
		if (f->down) {
			count_down(c, now);
			stats.down += (uint64_t)n;
		} else {
			stats.up += (uint64_t)n;
		}
		if (f->tail == m->end)
			f->mark_tail++;
		if (flow_allowance(c, f) == 0)
			flow_spent(c, f);
	}
	if (!f->done && f->read_end && f->mark_head == f->mark_tail && f->to >= 0 &&
	    f->eof_due <= now) {
		shutdown(f->to, SHUT_WR);
		f->done = true;
	}
	return true;
}

/* Moves one connection on as far as it goes without waiting. */
static void conn_step(struct conn *c, short client_ev, short server_ev, int64_t now)
{
	bool ok = true;

	if (!c->linked && conn_link_due(c) <= now)
		conn_link(c);
	if (client_ev & (POLLIN | POLLHUP | POLLERR) && flow_wants(&c->up))
		ok = flow_read(c, &c->up, now) && ok;
	if (server_ev & (POLLIN | POLLHUP | POLLERR) && flow_wants(&c->down))
		ok = flow_read(c, &c->down, now) && ok;
	/* A reset where there is nothing to read must still end the connection. */
	if ((client_ev & POLLERR && !flow_wants(&c->up)) ||
	    (server_ev & POLLERR && !flow_wants(&c->down)))
		ok = false;
	if (ok)
		ok = flow_write(c, &c->up, now) && flow_write(c, &c->down, now);
	if (!ok)
		conn_abort(c);
	if (c->up.done && c->down.done)
		conn_release(c);
}

/* What poll() shall tell about an end: bytes to read for one flow, room to write for the other. */
static short end_events(const struct flow *in, const struct flow *out, bool stalled, int64_t now)
{
	short ev = 0;

	if (flow_wants(in))
		ev |= POLLIN;
	if (out->to >= 0 && out->mark_head != out->mark_tail && flow_due(out) <= now &&
	    !(out->down && stalled))
		ev |= POLLOUT;
	return ev;
}

/* Serves until a signal comes. */
static void serve(int lfd)
{
	static struct pollfd fds[1 + 2 * MAX_CONNS];
	sigset_t none;

	sigemptyset(&none);
	while (!stop) {
		int64_t now = now_ns(), due = NEVER;
		struct timespec ts, *wait = NULL;

		fds[0] = (struct pollfd){ .fd = lfd, .events = POLLIN };
		for (size_t i = 0; i < MAX_CONNS; i++) {
			struct conn *c = &conns[i];
			struct pollfd *p = &fds[1 + 2 * i];
			int64_t d;

			p[0].fd = p[1].fd = -1;
			p[0].revents = p[1].revents = 0;
			if (!c->used)
				continue;
			p[0].events = end_events(&c->up, &c->down, c->stalled, now);
			p[1].events = end_events(&c->down, &c->up, c->stalled, now);
			/* An end without wishes is left out: POLLHUP would come without end. */
			p[0].fd = p[0].events ? c->client : -1;
			p[1].fd = p[1].events && c->linked ? c->server : -1;
			if (!c->linked && conn_link_due(c) < due)
				due = conn_link_due(c);
			d = flow_due(&c->up);
			if (d > now && d < due)
				due = d;
			d = flow_due(&c->down);
			if (d > now && d < due)
				due = d;
		}
		if (due != NEVER) {
			int64_t left = due > now ? due - now : 0;

			ts.tv_sec = left / 1000000000LL;
			ts.tv_nsec = left % 1000000000LL;
			wait = &ts;
		}
		if (ppoll(fds, 1 + 2 * MAX_CONNS, wait, &none) < 0)
			memset(fds, 0, sizeof(fds));
		now = now_ns();
		if (fds[0].revents & POLLIN)
			conn_accept(lfd, now);
		for (size_t i = 0; i < MAX_CONNS; i++)
			if (conns[i].used)
				conn_step(&conns[i], fds[1 + 2 * i].revents,
					  fds[2 + 2 * i].revents, now);
	}
}

/* Writes the counts as one line of JSON. */
static void print_stats(FILE *f)
{
	fprintf(f,
		"{\"rtt_ms\":%.3f,\"connections\":%llu,\"up\":%llu,\"down\":%llu,"
		"\"turns\":%llu,\"waits\":%llu,\"cuts\":%llu,"
		"\"hello_up\":%llu,\"hello_down\":%llu}\n",
		(double)opt.rtt / 1e6, (unsigned long long)stats.connections,
		(unsigned long long)stats.up, (unsigned long long)stats.down,
		(unsigned long long)stats.turns, (unsigned long long)stats.waits,
		(unsigned long long)stats.cuts,
		(unsigned long long)stats.hello_up, (unsigned long long)stats.hello_down);
	fflush(f);
}

/*
 * Have the port. One that was ours before may be somebody's end of a connection for a while, as the
 * kernel gives such out of the same range.
 */
static int take_port(int fd, const struct sockaddr_in *a)
{
	const struct timespec pause = { .tv_nsec = 50000000 };

	for (int tries = 0; bind(fd, (const struct sockaddr *)a, sizeof(*a)) < 0; tries++) {
		if (errno != EADDRINUSE || tries == 200)
			return -1;
		nanosleep(&pause, NULL);
	}
	return listen(fd, 64);
}

/* A socket that listens on the port of 127.0.0.1; 0 takes a free one. */
static int listen_on(uint16_t port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t n = sizeof(a);
	int one = 1;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		fail("socket");
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (take_port(fd, &a) < 0 || getsockname(fd, (struct sockaddr *)&a, &n) < 0)
		fail("listen");
	printf("port %d\n", ntohs(a.sin_port));
	fflush(stdout);
	return fd;
}

/* A whole number up to the limit, or the end of the program. */
static uint64_t number(const char *s, uint64_t limit)
{
	char *end;
	unsigned long long v;

	errno = 0;
	v = strtoull(s, &end, 10);
	if (errno || !*s || *end || v > limit) {
		fprintf(stderr, "delayproxy: %s is no number up to %llu\n", s,
			(unsigned long long)limit);
		exit(2);
	}
	return v;
}

/* Reads A.B.C.D:PORT. */
static void parse_target(const char *s)
{
	char host[64];
	const char *colon = strrchr(s, ':');

	if (!colon || (size_t)(colon - s) >= sizeof(host))
		goto bad;
	memcpy(host, s, (size_t)(colon - s));
	host[colon - s] = '\0';
	opt.to.sin_family = AF_INET;
	opt.to.sin_port = htons((uint16_t)number(colon + 1, 65535));
	if (inet_pton(AF_INET, strcmp(host, "localhost") ? host : "127.0.0.1",
		      &opt.to.sin_addr) == 1)
		return;
bad:
	fprintf(stderr, "delayproxy: %s is not IPV4-ADDRESS:PORT\n", s);
	exit(2);
}

/* Room for what is on the line in one direction, and waits before it if it is slow. */
static uint64_t ring_size(void)
{
	/* 500 MB/s; small without a delay. */
	uint64_t size = (1 << 20) + (uint64_t)opt.rtt / 2 / 2;
	uint64_t slow = opt.rate / 1000 * (uint64_t)(opt.rtt / 2 / MSEC + QUEUE_MSEC) + (1 << 16);

	if (opt.rate && size > slow)
		size = slow;
	return size < 64 << 20 ? size : 64 << 20;
}

static const char usage[] =
	"usage: delayproxy [options] IPV4-ADDRESS:PORT\n"
	"  --rtt-ms N       round-trip time to add (default 0)\n"
	"  --rate N         bytes per second that the line carries each way (default: no limit)\n"
	"  --each           the rate is that of each connection, not of all together\n"
	"  --listen PORT    port of 127.0.0.1 to listen on (default: a free one)\n"
	"  --stats FILE     write the counts there too\n"
	"  --cut-down N     break a connection after N bytes from the server\n"
	"  --cut-up N       break a connection after N bytes from the client\n"
	"  --stall-down N   deliver nothing after N bytes from the server, keep it open\n"
	"  --cut-once       cut or stall only the first connection\n";

int main(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "rtt-ms", required_argument, NULL, 'r' },
		{ "rate", required_argument, NULL, 'a' },
		{ "each", no_argument, NULL, 'e' },
		{ "listen", required_argument, NULL, 'l' },
		{ "stats", required_argument, NULL, 's' },
		{ "cut-down", required_argument, NULL, 'd' },
		{ "cut-up", required_argument, NULL, 'u' },
		{ "stall-down", required_argument, NULL, 't' },
		{ "cut-once", no_argument, NULL, 'o' },
		{ NULL, 0, NULL, 0 },
	};
	struct sigaction act = { .sa_handler = on_signal };
	sigset_t block;
	uint16_t port = 0;
	FILE *f;
	int o, lfd;

	while ((o = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		switch (o) {
		case 'r': opt.rtt = (int64_t)number(optarg, 10000) * MSEC; break;
		case 'a': opt.rate = number(optarg, UINT32_MAX); break;
		case 'e': opt.each = true; break;
		case 'l': port = (uint16_t)number(optarg, 65535); break;
		case 's': opt.stats = optarg; break;
		case 'd': opt.cut_down = number(optarg, UINT64_MAX - 1); break;
		case 'u': opt.cut_up = number(optarg, UINT64_MAX - 1); break;
		case 't': opt.stall_down = number(optarg, UINT64_MAX - 1); break;
		case 'o': opt.cut_once = true; break;
		default: fputs(usage, stderr); return 2;
		}
	}
	if (optind != argc - 1) {
		fputs(usage, stderr);
		return 2;
	}
	parse_target(argv[optind]);
	opt.ring = ring_size();
	/* The signals are let in by ppoll() alone, so none comes between test and wait. */
	sigemptyset(&block);
	sigaddset(&block, SIGTERM);
	sigaddset(&block, SIGINT);
	sigprocmask(SIG_BLOCK, &block, NULL);
	sigaction(SIGTERM, &act, NULL);
	sigaction(SIGINT, &act, NULL);
	lfd = listen_on(port);
	serve(lfd);
	print_stats(stdout);
	if (opt.stats) {
		f = fopen(opt.stats, "w");
		if (!f)
			fail(opt.stats);
		print_stats(f);
		fclose(f);
	}
	return 0;
}
