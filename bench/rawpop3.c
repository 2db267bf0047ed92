/*
 * The limit to hold against: a POP3 client over TLS that does nothing but move bytes.
 *
 *	rawpop3 --ca FILE --user U --password P [options] HOST PORT DIR
 *
 * It logs in without waiting between USER and PASS, asks for UIDL, sends RETR for every message
 * with a window of commands in flight, undoes the dots, turns CRLF into LF, writes a file per
 * message into DIR, deletes all, and quits. It keeps no state, checks no duplicate, and by default
 * syncs nothing: so it promises nothing, and no honest client with one connection can be faster.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define WINDOW_MAX 4096
#define GROUP 256               /* files that --fsync brings to the disk together */
#define IN_SIZE (256 * 1024)
#define OUT_SIZE (256 * 1024)

static struct options {
	const char *ca, *user, *password, *host, *port, *dir;
	unsigned window;
	bool discard, sync, keep;
} opt = { .window = WINDOW_MAX, .user = "user", .password = "secret" };

static SSL *ssl;
static char in[IN_SIZE];
static size_t in_at, in_end;
static char out[OUT_SIZE];
static size_t out_len;

static int dir_fd = -1;
static int group_fd[GROUP];
static unsigned group_no[GROUP];
static size_t group_len;

/* Ends the program with a message. */
__attribute__((format(printf, 1, 2), noreturn))
static void fail(const char *fmt, ...)
{
	va_list ap;

	fputs("rawpop3: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	ERR_print_errors_fp(stderr);
	exit(1);
}

/* Sends what has been gathered. */
static void flush_out(void)
{
	if (out_len && SSL_write(ssl, out, (int)out_len) != (int)out_len)
		fail("write to the server failed");
	out_len = 0;
}

/* Adds a command to what will be sent. */
__attribute__((format(printf, 1, 2)))
static void command(const char *fmt, ...)
{
	va_list ap;
	int n;

	if (OUT_SIZE - out_len < 1024)
		flush_out();
	va_start(ap, fmt);
	n = vsnprintf(out + out_len, OUT_SIZE - out_len, fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= OUT_SIZE - out_len)
		fail("command too long");
	out_len += (size_t)n;
}

/* Gets more bytes behind what is left in the buffer. */
static void fill(void)
{
	int n;

	if (in_at == in_end) {
		in_at = in_end = 0;
	} else if (in_end == IN_SIZE) {
		memmove(in, in + in_at, in_end - in_at);
		in_end -= in_at;
		in_at = 0;
	}
	if (in_end == IN_SIZE)
		fail("line too long");
	n = SSL_read(ssl, in + in_end, (int)(IN_SIZE - in_end));
	if (n <= 0)
		fail("the server closed the connection");
	in_end += (size_t)n;
}

/* Takes one line, without its end; valid until the next read. */
static char *line(void)
{
	size_t seen = 0;
	char *nl, *start;

	while (!(nl = memchr(in + in_at + seen, '\n', in_end - in_at - seen))) {
		seen = in_end - in_at;
		fill();
	}
	start = in + in_at;
	in_at = (size_t)(nl - in) + 1;
	if (nl > start && nl[-1] == '\r')
		nl--;
	*nl = '\0';
	return start;
}

/* Takes a line that must be +OK. */
static void expect_ok(const char *what)
{
	const char *l = line();

	if (strncmp(l, "+OK", 3) != 0)
		fail("%s: %s", what, l);
}

/* Writes all bytes to the file. */
static void put(int fd, const char *p, size_t n)
{
	while (n && fd >= 0) {
		ssize_t w = write(fd, p, n);

		if (w < 0 && errno != EINTR)
			fail("write: %s", strerror(errno));
		if (w > 0) {
			p += w;
			n -= (size_t)w;
		}
	}
}

/* Undoes the dots and CRLFs of what is buffered, in place. At most two bytes, of which one cannot
 * say yet what they are, stay in the buffer. Returns false after the final dot. */
static bool body_part(int fd, bool *start)
{
	char *p = in + in_at, *to = p, *end = in + in_end;
	bool more = true;

	while (p < end) {
		char *nl;
		size_t n;

		if (*start && *p == '.') {
			if (end - p < 3)
				break;
			if (p[1] == '\r' && p[2] == '\n') {
				p += 3;
				more = false;
				break;
			}
			p++;
		}
		nl = memchr(p, '\n', (size_t)(end - p));
		n = (size_t)((nl ? nl : end) - p);
		if (n && p[n - 1] == '\r')
			n--;
		memmove(to, p, n);
		to += n;
		p += n;
		*start = nl != NULL;
		if (!nl)
			break;
		*to++ = '\n';
		p = nl + 1;
	}
	put(fd, in + in_at, (size_t)(to - (in + in_at)));
	in_at = (size_t)(p - in);
	return more;
}

/* Copies a body up to its final dot. */
static void body(int fd)
{
	bool start = true;

	while (body_part(fd, &start))
		fill();
}

/* Opens the file of message n; -1 if it is to be thrown away. */
static int file_open(unsigned n)
{
	char name[32];
	int fd;

	if (opt.discard)
		return -1;
	snprintf(name, sizeof(name), opt.sync ? "tmp.%u" : "%u", n);
	fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		fail("%s/%s: %s", opt.dir, name, strerror(errno));
	return fd;
}

/* Makes the files of a group durable: data first, then names, then the directory. */
static void group_sync(void)
{
	for (size_t i = 0; i < group_len; i++) {
		char from[32], to[32];

		if (fsync(group_fd[i]) < 0)
			fail("fsync: %s", strerror(errno));
		close(group_fd[i]);
		snprintf(from, sizeof(from), "tmp.%u", group_no[i]);
		snprintf(to, sizeof(to), "%u", group_no[i]);
		if (renameat(dir_fd, from, dir_fd, to) < 0)
			fail("rename: %s", strerror(errno));
	}
	if (group_len && fsync(dir_fd) < 0)
		fail("fsync: %s", strerror(errno));
	group_len = 0;
}

/* Ends a message's file, or keeps it open until its group is full. */
static void file_close(int fd, unsigned n)
{
	if (fd < 0)
		return;
	if (!opt.sync) {
		close(fd);
		return;
	}
	sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE);
	group_fd[group_len] = fd;
	group_no[group_len++] = n;
	if (group_len == GROUP)
		group_sync();
}

/* Connects to the first address that answers. */
static int dial(void)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *list, *a;
	int fd = -1, one = 1;

	if (getaddrinfo(opt.host, opt.port, &hints, &list) != 0)
		fail("%s: unknown host", opt.host);
	for (a = list; a; a = a->ai_next) {
		fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (fd >= 0 && connect(fd, a->ai_addr, a->ai_addrlen) == 0)
			break;
		if (fd >= 0)
			close(fd);
		fd = -1;
	}
	freeaddrinfo(list);
	if (fd < 0)
		fail("connect: %s", strerror(errno));
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return fd;
}

/* Puts TLS over the connection and verifies the server. */
static void start_tls(int fd)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	struct in_addr a;

	if (!ctx || SSL_CTX_load_verify_locations(ctx, opt.ca, NULL) != 1)
		fail("cannot load %s", opt.ca);
	SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_read_ahead(ctx, 1);
	SSL_CTX_set_default_read_buffer_len(ctx, 128 * 1024);
	ssl = SSL_new(ctx);
	if (!ssl)
		fail("no memory");
	if (inet_pton(AF_INET, opt.host, &a) == 1)
		X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), opt.host);
	else
		SSL_set1_host(ssl, opt.host);
	SSL_set_fd(ssl, fd);
	if (SSL_connect(ssl) != 1)
		fail("TLS failed");
}

/* The whole session: all messages into the directory, then deleted. */
static void session(void)
{
	unsigned count = 0, asked = 0, got = 0;
	int fd;

	expect_ok("greeting");
	command("USER %s\r\nPASS %s\r\nUIDL\r\n", opt.user, opt.password);
	flush_out();
	expect_ok("USER");
	expect_ok("PASS");
	expect_ok("UIDL");
	while (strcmp(line(), ".") != 0)
		count++;
	while (got < count) {
		/* Refill at half, so that commands travel in bundles and the server never idles. */
		if (asked - got <= opt.window / 2) {
			while (asked < count && asked - got < opt.window)
				command("RETR %u\r\n", ++asked);
			flush_out();
		}
		expect_ok("RETR");
		got++;
		fd = file_open(got);
		body(fd);
		file_close(fd, got);
	}
	group_sync();
	for (got = asked = 0; got < count && !opt.keep; got++) {
		if (asked - got <= WINDOW_MAX / 2) {
			while (asked < count && asked - got < WINDOW_MAX)
				command("DELE %u\r\n", ++asked);
			flush_out();
		}
		expect_ok("DELE");
	}
	command("QUIT\r\n");
	flush_out();
	expect_ok("QUIT");
	printf("%u messages\n", count);
}

/* Reads the command line. */
static void options(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "ca", required_argument, NULL, 'c' },
		{ "user", required_argument, NULL, 'u' },
		{ "password", required_argument, NULL, 'p' },
		{ "window", required_argument, NULL, 'w' },
		{ "discard", no_argument, NULL, 'd' },
		{ "fsync", no_argument, NULL, 's' },
		{ "keep", no_argument, NULL, 'k' },
		{ NULL, 0, NULL, 0 },
	};
	int o;

	while ((o = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		switch (o) {
		case 'c': opt.ca = optarg; break;
		case 'u': opt.user = optarg; break;
		case 'p': opt.password = optarg; break;
		case 'w': opt.window = (unsigned)strtoul(optarg, NULL, 10); break;
		case 'd': opt.discard = true; break;
		case 's': opt.sync = true; break;
		case 'k': opt.keep = true; break;
		default: exit(2);
		}
	}
	if (argc - optind != 3 || !opt.ca || opt.window < 1 || opt.window > WINDOW_MAX) {
		fputs("usage: rawpop3 --ca FILE [--user U] [--password P] [--window 1..4096]\n"
		      "               [--discard] [--fsync] [--keep] HOST PORT DIR\n", stderr);
		exit(2);
	}
	opt.host = argv[optind];
	opt.port = argv[optind + 1];
	opt.dir = argv[optind + 2];
}

int main(int argc, char **argv)
{
	options(argc, argv);
	signal(SIGPIPE, SIG_IGN);
	if (!opt.discard) {
		dir_fd = open(opt.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (dir_fd < 0)
			fail("%s: %s", opt.dir, strerror(errno));
	}
	start_tls(dial());
	session();
	SSL_shutdown(ssl);
	return 0;
}
