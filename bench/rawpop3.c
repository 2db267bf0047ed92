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
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "raw.h"

#define WINDOW_MAX 4096

static unsigned window = WINDOW_MAX;
static bool keep;

/* Takes a line that must be +OK. */
static void expect_ok(const char *what)
{
	const char *l = raw_line();

	if (strncmp(l, "+OK", 3) != 0)
		raw_fail("%s: %s", what, l);
}

/* Undoes the dots and CRLFs of what is buffered, in place. At most two bytes, of which one cannot
 * say yet what they are, stay in the buffer. Returns false after the final dot. */
static bool body_part(int fd, bool *start)
{
	char *p = raw.in + raw.at, *to = p, *end = raw.in + raw.end;
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
	raw_put(fd, raw.in + raw.at, (size_t)(to - (raw.in + raw.at)));
	raw.at = (size_t)(p - raw.in);
	return more;
}

/* Copies a body up to its final dot. */
static void body(int fd)
{
	bool start = true;

	while (body_part(fd, &start))
		raw_fill();
}

/* The whole session: all messages into the directory, then deleted. */
static void session(void)
{
	unsigned count = 0, asked = 0, got = 0;
	int fd;

	expect_ok("greeting");
	raw_command("USER %s\r\nPASS %s\r\nUIDL\r\n", raw.user, raw.password);
	raw_flush();
	expect_ok("USER");
	expect_ok("PASS");
	expect_ok("UIDL");
	while (strcmp(raw_line(), ".") != 0)
		count++;
	while (got < count) {
		/* Refill at half, so that commands travel in bundles and the server never idles. */
		if (asked - got <= window / 2) {
			while (asked < count && asked - got < window)
				raw_command("RETR %u\r\n", ++asked);
			raw_flush();
		}
		expect_ok("RETR");
		got++;
		fd = raw_open(got);
		body(fd);
		raw_close(fd, got);
	}
	raw_settle();
	for (got = asked = 0; got < count && !keep; got++) {
		if (asked - got <= WINDOW_MAX / 2) {
			while (asked < count && asked - got < WINDOW_MAX)
				raw_command("DELE %u\r\n", ++asked);
			raw_flush();
		}
		expect_ok("DELE");
	}
	raw_command("QUIT\r\n");
	raw_flush();
	expect_ok("QUIT");
	printf("%u messages\n", count);
}

/* Reads the command line. */
static void options(int argc, char **argv)
{
	static const struct option longs[] = {
		RAW_OPTIONS,
		{ "window", required_argument, NULL, 'w' },
		{ "keep", no_argument, NULL, 'k' },
		{ NULL, 0, NULL, 0 },
	};
	int o;

	while ((o = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		if (o == 'w')
			window = (unsigned)strtoul(optarg, NULL, 10);
		else if (o == 'k')
			keep = true;
		else if (!raw_option(o, optarg))
			exit(2);
	}
	if (argc - optind != 3 || !raw.ca || window < 1 || window > WINDOW_MAX) {
		fputs("usage: rawpop3 --ca FILE [--user U] [--password P] [--window 1..4096]\n"
		      "               [--discard] [--fsync] [--keep] HOST PORT DIR\n", stderr);
		exit(2);
	}
	raw.host = argv[optind];
	raw.port = argv[optind + 1];
	raw.dir = argv[optind + 2];
}

int main(int argc, char **argv)
{
	raw.name = "rawpop3";
	options(argc, argv);
	raw_begin();
	session();
	raw_end();
	return 0;
}
