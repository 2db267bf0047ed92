#include "raw.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define GROUP 256               /* files that --fsync brings to the disk together */
#define IN_SIZE (256 * 1024)
#define OUT_SIZE (256 * 1024)

static char in[IN_SIZE];
static char out[OUT_SIZE];
static size_t out_len;
static SSL *ssl;

static int dir_fd = -1;
static int group_fd[GROUP];
static unsigned group_no[GROUP];
static size_t group_len;

struct raw raw = { .name = "raw", .user = "user", .password = "secret", .in = in };

void raw_fail(const char *fmt, ...)
{
	va_list ap;

	fprintf(stderr, "%s: ", raw.name);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	ERR_print_errors_fp(stderr);
	exit(1);
}

bool raw_option(int o, const char *arg)
{
	switch (o) {
	case 'c': raw.ca = arg; return true;
	case 'u': raw.user = arg; return true;
	case 'p': raw.password = arg; return true;
	case 'd': raw.discard = true; return true;
	case 's': raw.sync = true; return true;
	default: return false;
	}
}

void raw_flush(void)
{
	if (out_len && SSL_write(ssl, out, (int)out_len) != (int)out_len)
		raw_fail("write to the server failed");
	out_len = 0;
}

void raw_command(const char *fmt, ...)
{
	va_list ap;
	int n;

	if (OUT_SIZE - out_len < 4096)
		raw_flush();
	va_start(ap, fmt);
	n = vsnprintf(out + out_len, OUT_SIZE - out_len, fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= OUT_SIZE - out_len)
		raw_fail("command too long");
	out_len += (size_t)n;
}

void raw_data(const char *p, size_t n)
{
	while (n) {
		size_t part = OUT_SIZE - out_len < n ? OUT_SIZE - out_len : n;

		memcpy(out + out_len, p, part);
		out_len += part;
		p += part;
		n -= part;
		if (out_len == OUT_SIZE)
			raw_flush();
	}
}

void raw_fill(void)
{
	int n;

	if (raw.at == raw.end) {
		raw.at = raw.end = 0;
	} else if (raw.end == IN_SIZE) {
		memmove(in, in + raw.at, raw.end - raw.at);
		raw.end -= raw.at;
		raw.at = 0;
	}
	if (raw.end == IN_SIZE)
		raw_fail("line too long");
	n = SSL_read(ssl, in + raw.end, (int)(IN_SIZE - raw.end));
	if (n <= 0)
		raw_fail("the server closed the connection");
	raw.end += (size_t)n;
}

char *raw_line(void)
{
	size_t seen = 0;
	char *nl, *start;

	while (!(nl = memchr(in + raw.at + seen, '\n', raw.end - raw.at - seen))) {
		seen = raw.end - raw.at;
		raw_fill();
	}
	start = in + raw.at;
	raw.at = (size_t)(nl - in) + 1;
	if (nl > start && nl[-1] == '\r')
		nl--;
	*nl = '\0';
	return start;
}

void raw_put(int fd, const char *p, size_t n)
{
	while (n && fd >= 0) {
		ssize_t w = write(fd, p, n);

		if (w < 0 && errno != EINTR)
			raw_fail("write: %s", strerror(errno));
		if (w > 0) {
			p += w;
			n -= (size_t)w;
		}
	}
}

int raw_open(unsigned n)
{
	char name[32];
	int fd;

	if (raw.discard)
		return -1;
	snprintf(name, sizeof(name), raw.sync ? "tmp.%u" : "%u", n);
	fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		raw_fail("%s/%s: %s", raw.dir, name, strerror(errno));
	return fd;
}

void raw_settle(void)
{
	/* Data first, then names, then the directory. */
	for (size_t i = 0; i < group_len; i++) {
		char from[32], to[32];

		if (fsync(group_fd[i]) < 0)
			raw_fail("fsync: %s", strerror(errno));
		close(group_fd[i]);
		snprintf(from, sizeof(from), "tmp.%u", group_no[i]);
		snprintf(to, sizeof(to), "%u", group_no[i]);
		if (renameat(dir_fd, from, dir_fd, to) < 0)
			raw_fail("rename: %s", strerror(errno));
	}
	if (group_len && fsync(dir_fd) < 0)
		raw_fail("fsync: %s", strerror(errno));
	group_len = 0;
}

void raw_close(int fd, unsigned n)
{
	if (fd < 0)
		return;
	if (!raw.sync) {
		close(fd);
		return;
	}
	sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE);
	group_fd[group_len] = fd;
	group_no[group_len++] = n;
	if (group_len == GROUP)
		raw_settle();
}

/* Connects to the first address that answers. */
static int dial(void)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *list, *a;
	int fd = -1, one = 1;

	if (getaddrinfo(raw.host, raw.port, &hints, &list) != 0)
		raw_fail("%s: unknown host", raw.host);
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
		raw_fail("connect: %s", strerror(errno));
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return fd;
}

/* Puts TLS over the connection and verifies the server. */
static void start_tls(int fd)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	struct in_addr a;

	if (!ctx || SSL_CTX_load_verify_locations(ctx, raw.ca, NULL) != 1)
		raw_fail("cannot load %s", raw.ca);
	SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_read_ahead(ctx, 1);
	SSL_CTX_set_default_read_buffer_len(ctx, 128 * 1024);
	ssl = SSL_new(ctx);
	if (!ssl)
		raw_fail("no memory");
	if (inet_pton(AF_INET, raw.host, &a) == 1)
		X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), raw.host);
	else
		SSL_set1_host(ssl, raw.host);
	SSL_set_fd(ssl, fd);
	if (SSL_connect(ssl) != 1)
		raw_fail("TLS failed");
}

void raw_begin(void)
{
	signal(SIGPIPE, SIG_IGN);
	if (!raw.discard && raw.dir) {
		dir_fd = open(raw.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (dir_fd < 0)
			raw_fail("%s: %s", raw.dir, strerror(errno));
	}
	start_tls(dial());
}

void raw_end(void)
{
	SSL_shutdown(ssl);
}
