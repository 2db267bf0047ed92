/*
 * Every option of the configuration: one row is its whole story (name, section, type, default, range, where it goes, help). The parser, the defaults,
 * `check`'s output and the manual's list come from this table.
 */
#ifndef CONFIG_SCHEMA_H
#define CONFIG_SCHEMA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sync/plan.h"

enum key_type {
	KEY_STR,      /* const char *: one line */
	KEY_COMMAND,  /* const char *: may hold line ends and tabs */
	KEY_SECRET,   /* const char *: never expanded; its file must be private */
	KEY_PATH,     /* const char *: absolute once expanded */
	KEY_INT,      /* int64_t */
	KEY_BOOL,     /* bool */
	KEY_DURATION, /* int64_t, seconds */
	KEY_MOMENT,   /* int64_t, milliseconds: "200ms" */
	KEY_SIZE,     /* int64_t, bytes */
	KEY_WORD,     /* int: which of the words; -1 none */
	KEY_LIST,     /* struct key_list */
	KEY_KEEP,     /* struct key_keep: no, yes, or a duration */
	KEY_RATE,     /* int64_t, bytes a second: "5M/s" */
	KEY_BUDGET,   /* int64_t, bytes a day: "2G/d" */
	KEY_LIMIT,    /* struct plan_max_delete: "25% and 50", either part alone, or none */
	KEY_TYPES
};

struct key_list {
	const char **v;
	size_t n;
};

struct key_keep {
	enum plan_keep what;
	int64_t seconds;
};

enum key_only { KEY_ANY, KEY_ONLY_POP3, KEY_ONLY_IMAP };

struct key {
	const char *section;  /* "account", "maildir", "mbox", "fetch", "sync", "migrate", "folder"; SECTION_NONE: outside of all */
	const char *name;
	enum key_type type;
	size_t off;           /* the field of the section's struct below */
	const char *def;      /* as a person would write it; "" none */
	int64_t min, max;     /* INT, DURATION and KEEP (seconds), SIZE, RATE and BUDGET (bytes): 0,0 no range */
	const char *words;    /* WORD, LIST: "a|b|c" allowed; NULL any */
	bool required;
	enum key_only only;   /* accounts of the other protocol can't have it */
	const char *arg;      /* the manual's placeholder */
	const char *help;     /* one sentence */
};

#define SECTION_NONE "top-level"

/* What stands outside of all sections; each of them a KEY_INT or KEY_BOOL. */
struct top_keys {
	int64_t parallel, parallel_per_host;
	bool sandbox;
};

/* What a section says, in the types of its rows: defaults where it says nothing. Strings not given are NULL, numbers without default 0. */
struct account_keys {
	const char *url, *host, *user;
	int64_t port;
	int protocol;         /* PROTOCOL_ */
	const char *password_command, *password_file, *password, *token_command;
	bool netrc;
	struct key_list auth;
	int tls;              /* TLS_, -1: what the protocol says */
	bool allow_plaintext;
	const char *ca_file, *client_cert, *client_key;
	struct key_list fingerprint;
	int tls_min;          /* 0: 1.2, 1: 1.3 */
	const char *tunnel, *proxy;
	int64_t timeout, connections;
	struct key_list disable_extensions;
	bool gmail_recent;
	int compress;         /* COMPRESS_ */
	const char *prefix;
};

enum { PROTOCOL_POP3S, PROTOCOL_POP3, PROTOCOL_IMAPS, PROTOCOL_IMAP };
enum { COMPRESS_AUTO, COMPRESS_NO };
enum { TLS_IMPLICIT, TLS_STARTTLS, TLS_NONE };

struct maildir_keys {
	const char *path;
	int layout;           /* enum maildir_layout */
};

struct mbox_keys {
	const char *path;
	int variant;          /* enum mbox_variant */
	struct key_list lock;
	int64_t lock_timeout;
};

struct fetch_keys {
	const char *from, *to, *folder, *flags, *on_new, *on_change;
	int64_t on_timeout, every, max_size, purge_after, rate, budget, deadline, stall;
	struct key_keep keep;
	bool sandbox;
};

struct sync_keys {
	const char *remote, *local, *trash, *take_over, *on_new, *on_change;
	struct key_list folders, idle;
	int64_t on_timeout, every, gather, max_size, max_age, quarantine, rate, budget, deadline, stall;
	struct plan_max_delete max_delete;
	int del, create, remove_folders; /* WHERE_, -1: not said */
	bool sandbox;
};

enum { WHERE_BOTH, WHERE_LOCAL, WHERE_REMOTE, WHERE_NONE };

struct migrate_keys {
	const char *from, *to, *folder, *on_new, *on_change;
	struct key_list folders;
	int64_t on_timeout, every, max_size, max_age, rate, budget, deadline, stall;
	bool delete_source, sandbox;
};

struct folder_keys {
	const char *local, *to; /* of a sync; of a migrate: what the folder is called on the other side */
	int64_t max_size, max_age;
};

/* A kind of section, and the struct that its rows fill. */
struct section {
	const char *name;
	size_t size;
	const char *inside; /* the kinds of section that hold it, "a|b"; NULL: it stands outside of all */
	bool none;          /* no section: its keys stand outside of all */
	const char *help;
};

const struct key *schema_keys(size_t *n);
const struct section *schema_sections(size_t *n);

/* The row, the section, whether it stands inside of another or not; NULL when there is none. */
const struct key *schema_key(const char *section, const char *name);
const struct section *schema_section(const char *name);

/* Whether sections of one kind stand inside of those of another. */
bool schema_inside(const struct section *s, const char *outer);

#endif
