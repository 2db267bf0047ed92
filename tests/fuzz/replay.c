/* Feeds every file of a corpus directory to a fuzz target once, so that old findings are tests under any compiler. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

#define INPUT_MAX ((size_t)16 * 1024 * 1024)

/* Feed one file; its bytes lie in a block of just their size, so that a sanitizer sees a step beyond. */
static int replay_file(const char *dir, const char *name)
{
	char path[4096];
	size_t n = 0;
	uint8_t *all = malloc(INPUT_MAX), *exact = NULL;
	FILE *f = NULL;
	int rc = -1;

	if (!all || snprintf(path, sizeof(path), "%s/%s", dir, name) >= (int)sizeof(path))
		goto out;
	f = fopen(path, "rb");
	if (!f)
		goto out;
	n = fread(all, 1, INPUT_MAX, f);
	exact = malloc(n ? n : 1);
	if (ferror(f) || !feof(f) || !exact)
		goto out;
	for (size_t i = 0; i < n; i++)
		exact[i] = all[i];
	printf("%s (%zu bytes)\n", path, n);
	fflush(stdout); /* the last line before a crash names the input */
	LLVMFuzzerTestOneInput(exact, n);
	rc = 0;
out:
	if (rc < 0)
		fprintf(stderr, "cannot read %s/%s whole\n", dir, name);
	if (f)
		fclose(f);
	free(exact);
	free(all);
	return rc;
}

/* An empty or missing corpus is a failure: it would test nothing. */
int main(int argc, char **argv)
{
	DIR *d = argc == 2 ? opendir(argv[1]) : NULL;
	struct dirent *entry;
	unsigned count = 0, bad = 0;

	if (!d) {
		fprintf(stderr, "usage: %s CORPUS-DIRECTORY (which must exist)\n", argv[0]);
		return 2;
	}
	while ((entry = readdir(d))) {
		if (entry->d_name[0] == '.')
			continue;
		if (replay_file(argv[1], entry->d_name) < 0)
			bad++;
		count++;
	}
	closedir(d);
	printf("%u inputs, %u unreadable\n", count, bad);
	return count > 0 && bad == 0 ? 0 : 1;
}
