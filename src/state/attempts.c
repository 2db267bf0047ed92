#include "state/attempts.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/strbuf.h"

#define FILE_SIZE 2560 /* always: written in place, at once */
#define HEAD "mailhaul attempts 1\n"

_Static_assert(sizeof(HEAD) + 8 * 32 + ERR_TEXT_MAX + 33 + ATTEMPTS_DIGEST + ATTEMPTS_TOLD * 17 + 64 < FILE_SIZE, "everything has room");

/* Numbers, one a line. */
static const struct {
	const char *name;
	size_t off;
} numbers[] = {
	{ "started", offsetof(struct attempts, started) }, { "since", offsetof(struct attempts, since) }, { "last", offsetof(struct attempts, last) },
	{ "next", offsetof(struct attempts, next) }, { "tries", offsetof(struct attempts, tries) }, { "code", offsetof(struct attempts, code) },
	{ "telling", offsetof(struct attempts, telling) },
};
#define N_NUMBERS (sizeof(numbers) / sizeof(numbers[0]))

static char *file_of(const char *path)
{
	char *name;

	return asprintf(&name, "%s.attempts", path) < 0 ? NULL : name;
}

static void take_text(char *out, size_t size, struct slice v)
{
	err_printable(out, size, v.p, v.n);
}

static void take_told(struct attempts *a, struct slice v)
{
	for (struct slice w = slice_word(&v); w.n > 0 && a->n_told < ATTEMPTS_TOLD; w = slice_word(&v)) {
		char hex[17];

		if (w.n != 16)
			continue;
		memcpy(hex, w.p, 16);
		hex[16] = '\0';
		a->told[a->n_told++] = strtoull(hex, NULL, 16);
	}
}

/* One line: a name, a blank, a value. */
static void take_line(struct attempts *a, struct slice line)
{
	struct slice name = slice_word(&line), v = slice_trim(line);
	uint64_t n = 0;

	slice_u64(v, INT64_MAX, &n);
	for (size_t i = 0; i < N_NUMBERS; i++)
		if (slice_eqs(name, numbers[i].name))
			*(int64_t *)(void *)((char *)a + numbers[i].off) = (int64_t)n;
	if (slice_eqs(name, "kind"))
		a->kind = n < ERR_KINDS ? (enum err_kind)n : ERR_LOCAL;
	else if (slice_eqs(name, "text"))
		take_text(a->text, sizeof(a->text), v);
	else if (slice_eqs(name, "salt"))
		take_text(a->salt, sizeof(a->salt), v);
	else if (slice_eqs(name, "digest"))
		take_text(a->digest, sizeof(a->digest), v);
	else if (slice_eqs(name, "told"))
		take_told(a, v);
}

void attempts_get(const char *path, struct attempts *out)
{
	char buf[FILE_SIZE], *name = file_of(path);
	int fd = name ? open(name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK) : -1;
	ssize_t n = fd >= 0 ? fs_read(fd, buf, sizeof(buf), name, NULL) : 0;
	struct slice rest = slice_of(buf, n > 0 ? (size_t)n : 0);

	memset(out, 0, sizeof(*out));
	if (slice_starts(rest, HEAD))
		while (rest.n > 0) {
			const char *nl = memchr(rest.p, '\n', rest.n);
			size_t len = nl ? (size_t)(nl - rest.p) : rest.n;

			if (len == 0)
				break; /* the rest fills the file up */
			take_line(out, slice_of(rest.p, len));
			rest.p += len + (nl != NULL);
			rest.n -= len + (nl != NULL);
		}
	if (fd >= 0)
		close(fd);
	free(name);
}

int attempts_put(const char *path, const struct attempts *a, struct err *e)
{
	struct strbuf b = STRBUF_INIT(FILE_SIZE);
	char *name = file_of(path);
	int fd = -1, rc = -1;
	ssize_t n;

	strbuf_puts(&b, HEAD);
	for (size_t i = 0; i < N_NUMBERS; i++)
		strbuf_printf(&b, "%s %" PRId64 "\n", numbers[i].name, *(const int64_t *)(const void *)((const char *)a + numbers[i].off));
	strbuf_printf(&b, "kind %d\ntext %s\nsalt %s\ndigest %s\ntold", (int)a->kind, a->text, a->salt, a->digest);
	for (size_t i = 0; i < a->n_told; i++)
		strbuf_printf(&b, " %016" PRIx64, a->told[i]);
	while (b.len < FILE_SIZE && strbuf_putc(&b, '\n') == 0)
		;
	if (!name || b.failed) {
		err_set(e, ERR_LOCAL, "out of memory");
		goto out;
	}
	fd = open(name, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
	if (fd < 0) {
		err_errno(e, "can't open %s", name);
		goto out;
	}
	do {
		n = pwrite(fd, b.s, b.len, 0);
	} while (n < 0 && errno == EINTR);
	rc = n == (ssize_t)b.len ? 0 : err_errno(e, "can't write %s", name);
out:
	if (fd >= 0)
		close(fd);
	strbuf_release(&b);
	free(name);
	return rc;
}

bool attempts_was_told(const struct attempts *a, uint64_t hash)
{
	for (size_t i = 0; i < a->n_told; i++)
		if (a->told[i] == hash)
			return true;
	return a->n_told == ATTEMPTS_TOLD;
}

void attempts_tell(struct attempts *a, uint64_t hash, int64_t now)
{
	if (a->n_told == 0)
		a->telling = now;
	if (!attempts_was_told(a, hash))
		a->told[a->n_told++] = hash;
}
