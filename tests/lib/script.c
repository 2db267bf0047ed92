/* See script.h. */
#include "script.h"

#include "unit.h"

#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

/* Write down, in the child. */
static void note(char *heard, const char *text, const char *end)
{
	size_t n = strlen(heard);

	snprintf(heard + n, SCRIPT_HEARD - n, "%s%s", text, end);
}

/* One line without its CRLF; NULL at the end. */
static char *hear(FILE *f, char *line, size_t size)
{
	if (!fgets(line, (int)size, f))
		return NULL;
	line[strcspn(line, "\r\n")] = '\0';
	return line;
}

/* Play one connection. */
static void play(int fd, int nth, void *arg)
{
	struct script *s = arg;
	FILE *f = fdopen(dup(fd), "r");
	const struct turn *t;
	char line[8192];
	int n = 0;

	while (n <= nth && s->turns[n])
		n++;
	t = n > nth ? s->turns[nth] : NULL;
	for (; f && t && (t->want || t->say); t++) {
		if (t->want) {
			if (!hear(f, line, sizeof(line))) {
				note(s->heard, "", "#");
				fclose(f);
				return;
			}
			note(s->heard, line, "|");
			if (strcmp(line, t->want) != 0) {
				note(s->heard, "UNEXPECTED, wanted ", t->want);
				break;
			}
		}
		if (!t->say)
			break;
		peer_send(fd, t->say, strlen(t->say));
	}
	if (f && t && !t->want && !t->say)
		while (hear(f, line, sizeof(line)))
			note(s->heard, line, "|");
	if (f)
		fclose(f);
	note(s->heard, "", "#");
}

/* Play one connection, and others meanwhile. */
static void play_together(int fd, int nth, void *arg)
{
	signal(SIGCHLD, SIG_IGN);
	if (fork() != 0)
		return;
	play(fd, nth, arg);
	_exit(0);
}

/* Start. */
void script_start(struct script *s, const struct turn *const *turns)
{
	s->turns = turns;
	s->heard = mmap(NULL, SCRIPT_HEARD, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		0);
	assert_ptr_not_equal(s->heard, MAP_FAILED);
	peer_start(&s->peer, s->together ? play_together : play, s);
}

/* End. */
void script_stop(struct script *s)
{
	peer_stop(&s->peer);
	munmap(s->heard, SCRIPT_HEARD);
}

/* Compare. */
void script_expect(struct script *s, int n, const char *heard)
{
	for (int i = 0; i < 1000; i++) {
		const volatile char *p = s->heard;
		int ends = 0;

		for (size_t k = 0; p[k]; k++)
			ends += p[k] == '#';
		if (ends >= n)
			break;
		usleep(10000);
	}
	assert_string_equal(s->heard, heard);
}
