/*
 * The outline of a configuration: sections, keys and where they stand, across all files that it includes. libconfuse stops at the first thing it
 * doesn't like and can't say where a section began; so the text is outlined first. Everything that is unknown, doubled or torn is noted here as a
 * problem and left out; what remains is written anew into `clean`, in a form that libconfuse always accepts, and evaluated by it (parse.c).
 *
 * The language is libconfuse's, with these corrections: a comment may stand anywhere, a string must end, an unset ${VARIABLE} is an error,
 * '+' and '*' may stand in a word (layout = maildir++), and nothing is passed over in silence. A section may hold others, one level deep.
 */
#ifndef CONFIG_OUTLINE_H
#define CONFIG_OUTLINE_H

#include <sys/types.h>

#include "config/problems.h"
#include "config/schema.h"

#define OUTLINE_FILE_MAX (1024 * 1024) /* bytes of one file */
#define OUTLINE_FILES_MAX 32
#define OUTLINE_DEPTH_MAX 8            /* of include() */
#define OUTLINE_SECTIONS_MAX 1000
#define OUTLINE_VALUES_MAX 64          /* of one list */
#define OUTLINE_INNER "inner-"         /* before the name of a section inside of another, in `clean`: keys may be called as those are */

/* One "key = value" or "key += {...}". */
struct outline_entry {
	const struct key *key;
	struct place at;
	bool bad;             /* said to be wrong already, and not in `clean` */
	bool misnamed;        /* the key is what was perhaps meant: so nobody asks for it as well */
	size_t first, n;      /* the lines of its values */
};

struct outline_section {
	const struct section *def;
	struct place at;      /* where it opens */
	bool titled;          /* its name is the list `title` in `clean` */
	size_t parent;        /* the section that holds it, which stands before it; SIZE_MAX none */
	size_t first, n;      /* entries; between its own stand those of the sections that it holds, by their keys' section */
};

struct outline {
	struct arena *arena;
	struct problems *problems;
	struct strbuf clean;  /* account '0' { title = {"work"} url = {"..."} } */
	VEC(struct outline_entry) entries;
	VEC(struct outline_section) sections;
	VEC(int) lines;
	struct {
		const struct source *source;
		dev_t dev;
		ino_t ino;
	} files[OUTLINE_FILES_MAX];
	int n_files;
	bool too_many;        /* sections: it was said */
	bool oom;
};

void outline_init(struct outline *o, struct arena *a, struct problems *p);
void outline_release(struct outline *o);

/* Read and outline a file; what is wrong with it, even that it can't be read, is a problem. `from` is where it is included, or NULL. */
void outline_file(struct outline *o, const char *path, const struct place *from, int depth);

/* The same for a text in memory that says it is `name`. */
void outline_text(struct outline *o, const char *name, struct slice text);

/* The same for the text of a file that was noted. depth: of include(). For outlinefile.c. */
void outline_source(struct outline *o, const struct source *file, struct slice text, int depth);

#endif
