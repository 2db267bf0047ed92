/*
 * The limit to hold against: an IMAP client over TLS that does nothing but move bytes.
 *
 *	rawimap --ca FILE --user U --password P [options] HOST PORT WORK [DIR]
 *
 *	pull DIR        LOGIN, EXAMINE and the flags of all in one flight, then the bodies in
 *	                batches of which several are in flight; CRLF becomes LF, a file per message
 *	pullall DIR     LIST, then EXAMINE of each folder and all its bodies, folders in flight
 *	noop            how all folders are: LIST with STATUS in one flight with the login
 *	noop --flags    the same of a server without CONDSTORE: EXAMINE of each folder and the
 *	                flags of all its messages, folders in flight
 *	changes DIR     what came, went and changed in one folder since --since
 *	                VALIDITY:MODSEQ:NEXT, by QRESYNC, in one flight
 *	idents          what tells the messages of a folder apart without their bodies: sizes,
 *	                dates and Message-IDs, in one flight
 *	push DIR        the files of DIR by APPEND of many at once, and before that --flag SET
 *	                (becomes \Flagged) and --delete SET (expunged), sets of UIDs
 *
 * It keeps no state, compares nothing with anything and by default syncs nothing: so it promises
 * nothing, and no honest client with one connection can be faster. It takes from the server's
 * answers what Dovecot sends for plain names and nothing more.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "raw.h"

#define BATCH 100               /* messages of one FETCH or APPEND */
#define WINDOW 16               /* FETCHes in flight: so many refill while the rest arrives */
#define FOLDERS 256             /* folders in flight */
#define SET_MAX 3000            /* of a set of UIDs in a command */

static struct options {
	const char *folder, *since, *flag, *gone;
	unsigned batch;
	bool names, flags, idents;
} opt = { .folder = "INBOX", .batch = BATCH };

static unsigned tag;            /* of the last command */

/* What came untagged. */
static struct {
	unsigned exists, flags, bodies, gone, folders;
	uint64_t bytes;
} got;

static uint32_t *uids;          /* of the messages whose flags were told */
static size_t n_uids, uids_room;
static char **names;            /* of folders, as the server wrote them */
static size_t n_names, names_room;

/* One more element in an array. */
static void *grown(void *p, size_t n, size_t *room, size_t size)
{
	if (n < *room)
		return p;
	*room = *room ? *room * 2 : 1024;
	p = realloc(p, *room * size);
	if (!p)
		raw_fail("no memory");
	return p;
}

/* Copies a literal to the file, CRLF as LF; at most a CR stays in the buffer for a moment. */
static void body(int fd, size_t left)
{
	while (left) {
		char *p, *to, *end;
		size_t n;

		if (raw.at == raw.end || (raw.end - raw.at == 1 && raw.in[raw.at] == '\r' && left > 1))
			raw_fill();
		n = raw.end - raw.at < left ? raw.end - raw.at : left;
		p = to = raw.in + raw.at;
		end = p + n;
		while (p < end) {
			char *nl = memchr(p, '\n', (size_t)(end - p));
			size_t run = (size_t)((nl ? nl : end) - p);

			/* A CR at the end: what it is, the next byte tells. */
			if (!nl && run && p[run - 1] == '\r' && n < left) {
				run--;
				n--;
				end--;
			} else if (nl && run && p[run - 1] == '\r') {
				run--;
			}
			memmove(to, p, run);
			to += run;
			if (nl)
				*to++ = '\n';
			p = nl ? nl + 1 : end;
		}
		raw_put(fd, raw.in + raw.at, (size_t)(to - (raw.in + raw.at)));
		raw.at += n;
		left -= n;
	}
}

/* Reads over a literal. */
static void over(size_t left)
{
	while (left) {
		size_t n;

		if (raw.at == raw.end)
			raw_fill();
		n = raw.end - raw.at < left ? raw.end - raw.at : left;
		raw.at += n;
		left -= n;
	}
}

/* A message's flags, or its body, which ends the line that was read. */
static void fetched(char *l)
{
	char *brace = strrchr(l, '{'), *uid = strstr(l, "UID ");
	size_t size;
	int fd;

	if (!brace || brace[strlen(brace) - 1] != '}') {
		got.flags++;
		uids = grown(uids, n_uids, &uids_room, sizeof(*uids));
		if (uid)
			uids[n_uids++] = (uint32_t)strtoul(uid + 4, NULL, 10);
		return;
	}
	size = strtoull(brace + 1, NULL, 10);
	if (opt.idents) {
		got.flags++;
		over(size);
		raw_line();
		return;
	}
	fd = raw_open(++got.bodies);
	body(fd, size);
	raw_close(fd, got.bodies);
	got.bytes += size;
	raw_line();
}

/* How many UIDs a set names. */
static unsigned members(const char *set)
{
	unsigned n = 0;

	while (*set >= '0' && *set <= '9') {
		char *end;
		unsigned long a = strtoul(set, &end, 10), b = a;

		if (*end == ':')
			b = strtoul(end + 1, &end, 10);
		n += (unsigned)(b > a ? b - a : a - b) + 1;
		set = *end == ',' ? end + 1 : end;
	}
	return n;
}

/* Remembers the name in a LIST response: what stands behind (attributes) and "separator". */
static void listed(const char *l)
{
	const char *p = strchr(l, ')');

	got.folders++;
	if (!opt.names || strstr(l, "\\NoSelect") || strstr(l, "\\Noselect"))
		return;
	p = p ? strchr(p + 2, ' ') : NULL;
	if (!p)
		raw_fail("not understood: %s", l);
	names = grown(names, n_names, &names_room, sizeof(*names));
	names[n_names++] = strdup(p + 1);
}

/* Takes what comes up to the end of a command, which must be OK. */
static void until(unsigned which)
{
	for (;;) {
		char *l = raw_line(), *word;

		if (l[0] == 'a') {
			unsigned n = (unsigned)strtoul(l + 1, &word, 10);

			if (strncmp(word, " OK", 3) != 0)
				raw_fail("%s", l);
			if (n == which)
				return;
			continue;
		}
		if (strncmp(l, "* ", 2) != 0)
			raw_fail("not understood: %s", l);
		if (strncmp(l, "* LIST ", 7) == 0) {
			listed(l);
		} else if (strncmp(l, "* VANISHED ", 11) == 0) {
			got.gone += members(l + (strncmp(l + 11, "(EARLIER) ", 10) == 0 ? 21 : 11));
		} else {
			unsigned n = (unsigned)strtoul(l + 2, &word, 10);

			if (strncmp(word, " FETCH ", 7) == 0)
				fetched(l);
			else if (strcmp(word, " EXISTS") == 0)
				got.exists = n;
		}
	}
}

/* The first command of every flight; sent with what follows it. */
static void login(void)
{
	raw_command("a%u LOGIN \"%s\" \"%s\"\r\n", ++tag, raw.user, raw.password);
}

/* Sends LOGOUT with what was not sent yet and takes all up to its end. */
static void logout(void)
{
	raw_command("a%u LOGOUT\r\n", ++tag);
	raw_flush();
	until(tag);
}

/* Asks for the bodies of the next messages; the set's ranges as short as possible. */
static size_t ask(size_t from)
{
	char set[SET_MAX];
	size_t n = 0, i = from;

	while (i < n_uids && i < from + opt.batch && n < SET_MAX - 32) {
		size_t first = i++;

		while (i < n_uids && i < from + opt.batch && uids[i] == uids[i - 1] + 1)
			i++;
		n += (size_t)snprintf(set + n, SET_MAX - n, "%s%u", n ? "," : "", uids[first]);
		if (i - 1 > first)
			n += (size_t)snprintf(set + n, SET_MAX - n, ":%u", uids[i - 1]);
	}
	raw_command("a%u UID FETCH %s (UID BODY.PEEK[])\r\n", ++tag, set);
	return i;
}

static void pull(void)
{
	size_t asked = 0;
	unsigned done;

	login();
	raw_command("a%u EXAMINE \"%s\"\r\n", tag + 1, opt.folder);
	raw_command("a%u UID FETCH 1:* (UID FLAGS)\r\n", tag + 2);
	tag += 2;
	raw_flush();
	until(tag);
	done = tag;
	while (asked < n_uids || done < tag) {
		if (tag - done <= WINDOW / 2) {
			while (asked < n_uids && tag - done < WINDOW)
				asked = ask(asked);
			raw_flush();
		}
		until(++done);
	}
	raw_settle();
	logout();
	if (got.bodies != got.exists)
		raw_fail("%u of %u messages came", got.bodies, got.exists);
}

/* Asks for these items of all messages in all folders, several folders in flight. */
static void each_folder(const char *items)
{
	unsigned done;
	size_t asked = 0;

	opt.names = true;
	raw_command("a%u LIST \"\" \"*\"\r\n", ++tag);
	raw_flush();
	until(tag);
	done = tag;
	while (asked < n_names || done < tag) {
		if (tag - done <= FOLDERS) {
			for (; asked < n_names && tag - done < 2 * FOLDERS; tag += 2) {
				raw_command("a%u EXAMINE %s\r\n", tag + 1, names[asked++]);
				raw_command("a%u UID FETCH 1:* (UID %s)\r\n", tag + 2, items);
			}
			raw_flush();
		}
		until(done += 2);
	}
}

static void pullall(void)
{
	login();
	each_folder("BODY.PEEK[]");
	raw_settle();
	logout();
}

static void noop(void)
{
	login();
	if (opt.flags)
		each_folder("FLAGS");
	else
		raw_command("a%u LIST \"\" \"*\" RETURN (STATUS (MESSAGES UIDNEXT UIDVALIDITY"
			    " HIGHESTMODSEQ))\r\n", ++tag);
	logout();
}

static void idents(void)
{
	opt.idents = true;
	login();
	raw_command("a%u EXAMINE \"%s\"\r\n", ++tag, opt.folder);
	raw_command("a%u UID FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[HEADER.FIELDS"
		    " (MESSAGE-ID)])\r\n", ++tag);
	logout();
	if (got.flags != got.exists)
		raw_fail("%u of %u messages were told", got.flags, got.exists);
}

static void changes(void)
{
	unsigned long long validity, modseq, next;

	if (!opt.since || sscanf(opt.since, "%llu:%llu:%llu", &validity, &modseq, &next) != 3)
		raw_fail("changes needs --since VALIDITY:MODSEQ:NEXT");
	login();
	raw_command("a%u ENABLE QRESYNC\r\n", ++tag);
	raw_command("a%u EXAMINE \"%s\" (QRESYNC (%llu %llu))\r\n", ++tag, opt.folder, validity, modseq);
	raw_command("a%u UID FETCH %llu:* (UID BODY.PEEK[])\r\n", ++tag, next);
	logout();
	raw_settle();
}

/* The file's bytes as they go over the wire: CRLF for LF. */
static char *load(int dir, const char *name, size_t *size)
{
	struct stat st;
	char *file, *out, *to;
	int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
	size_t n = 0;

	if (fd < 0 || fstat(fd, &st) < 0)
		raw_fail("%s: %s", name, strerror(errno));
	file = malloc((size_t)st.st_size + 1);
	out = malloc((size_t)st.st_size * 2 + 1);
	if (!file || !out)
		raw_fail("no memory");
	while (n < (size_t)st.st_size) {
		ssize_t r = read(fd, file + n, (size_t)st.st_size - n);

		if (r <= 0)
			raw_fail("%s: cannot be read", name);
		n += (size_t)r;
	}
	close(fd);
	to = out;
	for (char *p = file, *end = file + n; p < end;) {
		char *nl = memchr(p, '\n', (size_t)(end - p));
		size_t run = (size_t)((nl ? nl : end) - p);

		memcpy(to, p, run);
		to += run;
		if (nl && (run == 0 || p[run - 1] != '\r'))
			*to++ = '\r';
		if (nl)
			*to++ = '\n';
		p = nl ? nl + 1 : end;
	}
	free(file);
	*size = (size_t)(to - out);
	return out;
}

/* Files of a directory in the order of their names. */
static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void push(void)
{
	DIR *d = opendir(raw.dir);
	struct dirent *ent;

	if (!d)
		raw_fail("%s: %s", raw.dir, strerror(errno));
	while ((ent = readdir(d)) != NULL) {
		if (ent->d_name[0] == '.')
			continue;
		names = grown(names, n_names, &names_room, sizeof(*names));
		names[n_names++] = strdup(ent->d_name);
	}
	qsort(names, n_names, sizeof(*names), by_name);
	login();
	if (opt.flag || opt.gone)
		raw_command("a%u SELECT \"%s\"\r\n", ++tag, opt.folder);
	if (opt.flag)
		raw_command("a%u UID STORE %s +FLAGS.SILENT (\\Flagged)\r\n", ++tag, opt.flag);
	if (opt.gone) {
		raw_command("a%u UID STORE %s +FLAGS.SILENT (\\Deleted)\r\n", ++tag, opt.gone);
		raw_command("a%u UID EXPUNGE %s\r\n", ++tag, opt.gone);
	}
	for (size_t i = 0; i < n_names; i++) {
		const char *info = strstr(names[i], ":2,");
		size_t size;
		char *data = load(dirfd(d), names[i], &size);

		if (i % opt.batch == 0)
			raw_command("a%u APPEND \"%s\"", ++tag, opt.folder);
		raw_command(" (%s%s) {%zu+}\r\n", info && strchr(info, 'S') ? "\\Seen" : "",
			    info && strchr(info, 'F') ? " \\Flagged" : "", size);
		raw_data(data, size);
		free(data);
		if (i + 1 == n_names || (i + 1) % opt.batch == 0)
			raw_command("\r\n");
	}
	closedir(d);
	logout();
}

/* Reads the command line; returns what is to be done. */
static void (*options(int argc, char **argv))(void)
{
	static const struct option longs[] = {
		RAW_OPTIONS,
		{ "folder", required_argument, NULL, 'o' },
		{ "batch", required_argument, NULL, 'b' },
		{ "flags", no_argument, NULL, 'f' },
		{ "since", required_argument, NULL, 'i' },
		{ "flag", required_argument, NULL, 'm' },
		{ "delete", required_argument, NULL, 'x' },
		{ NULL, 0, NULL, 0 },
	};
	static const struct { const char *name; void (*run)(void); bool dir; } works[] = {
		{ "pull", pull, true }, { "pullall", pullall, true }, { "noop", noop, false },
		{ "idents", idents, false }, { "changes", changes, true }, { "push", push, true },
	};
	int o;

	while ((o = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		switch (o) {
		case 'o': opt.folder = optarg; break;
		case 'b': opt.batch = (unsigned)strtoul(optarg, NULL, 10); break;
		case 'f': opt.flags = true; break;
		case 'i': opt.since = optarg; break;
		case 'm': opt.flag = optarg; break;
		case 'x': opt.gone = optarg; break;
		default:
			if (!raw_option(o, optarg))
				exit(2);
		}
	}
	for (size_t i = 0; i < sizeof(works) / sizeof(works[0]) && argc - optind >= 3; i++) {
		if (strcmp(argv[optind + 2], works[i].name) != 0 || !raw.ca || opt.batch < 1 ||
		    argc - optind != 3 + works[i].dir)
			continue;
		raw.host = argv[optind];
		raw.port = argv[optind + 1];
		raw.dir = argv[optind + 3];
		return works[i].run;
	}
	fputs("usage: rawimap --ca FILE [--user U] [--password P] [--folder F] [--batch N]\n"
	      "               [--discard] [--fsync] [--flags] [--since VALIDITY:MODSEQ:NEXT]\n"
	      "               [--flag SET] [--delete SET] HOST PORT\n"
	      "               pull|pullall|noop|idents|changes|push [DIR]\n",
	      stderr);
	exit(2);
}

int main(int argc, char **argv)
{
	void (*run)(void);

	raw.name = "rawimap";
	run = options(argc, argv);
	raw_begin();
	run();
	raw_end();
	printf("folders %u exists %u flags %u messages %u gone %u bytes %llu pushed %zu\n", got.folders,
	       got.exists, got.flags, got.bodies, got.gone, (unsigned long long)got.bytes,
	       run == push ? n_names : 0);
	return 0;
}
