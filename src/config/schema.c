/* The table of all options: see schema.h. */
#include "config/schema.h"

#include <string.h>

#include "net/throttle.h"

#define DAY INT64_C(86400)

static const struct section sections[] = {
	{ SECTION_NONE, sizeof(struct top_keys), NULL, true, "What holds for all jobs." },
	{ "account", sizeof(struct account_keys), NULL, false, "A mailbox on a server." },
	{ "maildir", sizeof(struct maildir_keys), NULL, false, "A local Maildir with options." },
	{ "mbox", sizeof(struct mbox_keys), NULL, false, "A local mbox file with options." },
	{ "fetch", sizeof(struct fetch_keys), NULL, false, "A job: new messages are delivered, then deleted at the source or kept." },
	{ "sync", sizeof(struct sync_keys), NULL, false, "A job: both sides are kept the same, in both directions." },
	{ "migrate", sizeof(struct migrate_keys), NULL, false, "A job: what one side holds is copied to the other." },
	{ "folder", sizeof(struct folder_keys), "sync|migrate", false, "What is different for one folder of the job." },
};

#define T(field) .section = SECTION_NONE, .off = offsetof(struct top_keys, field)
#define A(field) .section = "account", .off = offsetof(struct account_keys, field)
#define D(field) .section = "maildir", .off = offsetof(struct maildir_keys, field)
#define M(field) .section = "mbox", .off = offsetof(struct mbox_keys, field)
#define F(field) .section = "fetch", .off = offsetof(struct fetch_keys, field)
#define S(field) .section = "sync", .off = offsetof(struct sync_keys, field)
#define G(field) .section = "migrate", .off = offsetof(struct migrate_keys, field)
#define X(field) .section = "folder", .off = offsetof(struct folder_keys, field)
#define WHERE .type = KEY_WORD, .words = "both|local|remote|none", .arg = "word"
#define RATE .name = "rate", .type = KEY_RATE, .def = "", RANGE(THROTTLE_MIN, INT64_C(1) << 30), .arg = "rate", \
	.help = "How much may go over each connection of the job in a second, both ways together."
#define BUDGET .name = "budget", .type = KEY_BUDGET, .def = "", RANGE(100 << 10, INT64_C(1) << 50), .arg = "budget", \
	.help = "How much the job may exchange with a server within 24 hours, both ways together."
#define ON_CHANGE .name = "on-change", .type = KEY_COMMAND, .def = "", .arg = "command", \
	.help = "A command to run after each run that changed anything, on either side."
#define ON_TIMEOUT .name = "on-timeout", .type = KEY_DURATION, .def = "60s", RANGE(1, DAY), .arg = "duration", \
	.help = "How long on-new and on-change may take each."
#define DEADLINE .name = "deadline", .type = KEY_DURATION, .def = "", RANGE(1, 366 * DAY), .arg = "duration", \
	.help = "How long a run may take; it is stopped then, and the next goes on from there. As long as it takes when not given."
#define STALL .name = "stall", .type = KEY_DURATION, .def = "3h", RANGE(0, 366 * DAY), .arg = "duration", \
	.help = "A run that does nothing at all for so long is stopped; 0: never."
#define SANDBOX .name = "sandbox", .type = KEY_BOOL, .def = "yes", .arg = "yes | no", \
	.help = "Whether the job's process gives up what it does not need before it talks to a server."
#define RANGE(lo, hi) .min = (lo), .max = (hi)

static const struct key keys[] = {
	{ T(parallel), .name = "parallel", .type = KEY_INT, .def = "4", RANGE(1, 256), .arg = "number",
	  .help = "How many jobs run at once, at most." },
	{ T(parallel_per_host), .name = "parallel-per-host", .type = KEY_INT, .def = "8", RANGE(1, 256), .arg = "number",
	  .help = "How many of them with one server, whatever the accounts." },
	{ T(sandbox), .name = "sandbox", .type = KEY_BOOL, .def = "yes", .arg = "yes | no",
	  .help = "Whether the processes of jobs give up what they do not need; a job can say it for itself." },

	{ A(url), .name = "url", .type = KEY_STR, .def = "", .arg = "URL",
	  .help = "Protocol, user, server and port in one: imaps://user@host:port, or imap, pop3s or pop3." },
	{ A(host), .name = "host", .type = KEY_STR, .def = "", .arg = "name",
	  .help = "Name or address of the server, when there is no url." },
	{ A(port), .name = "port", .type = KEY_INT, .def = "", RANGE(1, 65535), .arg = "number",
	  .help = "TCP port; 993 for imaps, 143 for imap, 995 for pop3s and 110 for pop3 when not given." },
	{ A(user), .name = "user", .type = KEY_STR, .def = "", .arg = "name",
	  .help = "Login name, when the url has none." },
	{ A(protocol), .name = "protocol", .type = KEY_WORD, .def = "pop3s", .words = "pop3s|pop3|imaps|imap", .arg = "word",
	  .help = "Protocol, when there is no url: pop3s and imaps are TLS from the first byte, pop3 is STLS, imap STARTTLS." },
	{ A(password_command), .name = "password-command", .type = KEY_COMMAND, .def = "", .arg = "command",
	  .help = "The first line of this command's output is the password." },
	{ A(password_file), .name = "password-file", .type = KEY_PATH, .def = "", .arg = "path",
	  .help = "The first line of this file is the password; nobody else may read it." },
	{ A(password), .name = "password", .type = KEY_SECRET, .def = "", .arg = "text",
	  .help = "The password itself, only in a file that nobody else may read." },
	{ A(netrc), .name = "netrc", .type = KEY_BOOL, .def = "no", .arg = "yes | no",
	  .help = "Take the password from ~/.netrc, or the file that NETRC names." },
	{ A(token_command), .name = "token-command", .type = KEY_COMMAND, .def = "", .arg = "command",
	  .help = "The first line of this command's output is an OAuth 2.0 access token, for OAUTHBEARER or XOAUTH2." },
	{ A(auth), .name = "auth", .type = KEY_LIST, .def = "", .arg = "list",
	  .help = "Login mechanisms that may be used; the strongest that the server offers is taken." },
	{ A(tls), .name = "tls", .type = KEY_WORD, .def = "", .words = "implicit|starttls|none", .arg = "word",
	  .help = "How the connection is protected, when it isn't as the protocol says." },
	{ A(allow_plaintext), .name = "allow-plaintext", .type = KEY_BOOL, .def = "no", .arg = "yes | no",
	  .help = "Allow tls = none over a network that others can listen to." },
	{ A(ca_file), .name = "ca-file", .type = KEY_PATH, .def = "", .arg = "path",
	  .help = "PEM file of the authorities to trust instead of the system's." },
	{ A(fingerprint), .name = "fingerprint", .type = KEY_LIST, .def = "", .arg = "list",
	  .help = "SHA-256 fingerprints of server certificates, one of which must be shown; no authority is asked then." },
	{ A(client_cert), .name = "client-cert", .type = KEY_PATH, .def = "", .arg = "path",
	  .help = "PEM file of the certificate to show to the server." },
	{ A(client_key), .name = "client-key", .type = KEY_PATH, .def = "", .arg = "path",
	  .help = "PEM file of its private key, when it isn't in the same file." },
	{ A(tls_min), .name = "tls-min", .type = KEY_WORD, .def = "1.2", .words = "1.2|1.3", .arg = "version",
	  .help = "The oldest version of TLS to accept." },
	{ A(tunnel), .name = "tunnel", .type = KEY_COMMAND, .def = "", .arg = "command",
	  .help = "A command whose input and output are the connection; %h and %p stand for host and port." },
	{ A(proxy), .name = "proxy", .type = KEY_STR, .def = "", .arg = "URL",
	  .help = "A SOCKS5 proxy: socks5://user:password@host:port." },
	{ A(timeout), .name = "timeout", .type = KEY_DURATION, .def = "60s", RANGE(1, 3600), .arg = "duration",
	  .help = "The longest wait for connecting, and for each answer after that." },
	{ A(connections), .name = "connections", .type = KEY_INT, .def = "2", RANGE(1, 64), .only = KEY_ONLY_IMAP, .arg = "number",
	  .help = "How many jobs may use the account at once." },
	{ A(disable_extensions), .name = "disable-extensions", .type = KEY_LIST, .def = "", .arg = "list",
	  .help = "Capabilities of the server that are not to be used, as mailhaul info names them." },
	{ A(gmail_recent), .name = "gmail-recent", .type = KEY_BOOL, .def = "no", .only = KEY_ONLY_POP3, .arg = "yes | no",
	  .help = "Log in to Gmail as recent:user: the last 30 days, whoever has fetched them; nothing is deleted there." },
	{ A(compress), .name = "compress", .type = KEY_WORD, .def = "auto", .words = "auto|no", .only = KEY_ONLY_IMAP, .arg = "word",
	  .help = "Whether what flows is compressed, where the server can." },
	{ A(prefix), .name = "prefix", .type = KEY_STR, .def = "", .only = KEY_ONLY_IMAP, .arg = "text",
	  .help = "What the names of one's own folders begin with at the server, when it doesn't say so itself." },

	{ D(path), .name = "path", .type = KEY_PATH, .def = "", .required = true, .arg = "path",
	  .help = "The directory; it is made when it is missing." },
	{ D(layout), .name = "layout", .type = KEY_WORD, .def = "nested", .words = "nested|maildir++|flat", .arg = "word",
	  .help = "How folders are laid out below the directory." },

	{ M(path), .name = "path", .type = KEY_PATH, .def = "", .required = true, .arg = "path",
	  .help = "The file; it is made when it is missing." },
	{ M(variant), .name = "variant", .type = KEY_WORD, .def = "mboxrd", .words = "mboxrd|mboxo|mboxcl2", .arg = "word",
	  .help = "How lines that begin with From are told from the start of a message." },
	{ M(lock), .name = "lock", .type = KEY_LIST, .def = "{fcntl, dotlock}", .words = "fcntl|dotlock", .arg = "list",
	  .help = "Locks to take on the file, in this order." },
	{ M(lock_timeout), .name = "lock-timeout", .type = KEY_DURATION, .def = "60s", RANGE(1, 3600), .arg = "duration",
	  .help = "The longest wait for a lock that another program holds." },

	{ F(from), .name = "from", .type = KEY_STR, .def = "", .required = true, .arg = "account",
	  .help = "The name of the account to fetch from." },
	{ F(to), .name = "to", .type = KEY_STR, .def = "", .required = true, .arg = "store",
	  .help = "Where messages go: maildir:path, mbox:path, or the name of a maildir or mbox section." },
	{ F(folder), .name = "folder", .type = KEY_STR, .def = "", .arg = "name",
	  .help = "The folder of a Maildir to deliver into, with / between levels; the Maildir itself when not given." },
	{ F(every), .name = "every", .type = KEY_DURATION, .def = "", RANGE(1, 366 * DAY), .arg = "duration",
	  .help = "How long after the start of its last run the job is due for mailhaul run --due; never when not given." },
	{ F(keep), .name = "keep", .type = KEY_KEEP, .def = "no", RANGE(1, 36600 * DAY), .arg = "no | yes | duration",
	  .help = "Whether messages stay on the server, or for how long after they were fetched." },
	{ F(max_size), .name = "max-size", .type = KEY_SIZE, .def = "", RANGE(1, INT64_C(1) << 50), .arg = "size",
	  .help = "Larger messages are left on the server and named in the summary." },
	{ F(purge_after), .name = "purge-after", .type = KEY_INT, .def = "0", RANGE(0, 1000000), .arg = "number",
	  .help = "Make deletions final after so many, by reconnecting; 0 does it once, at the end." },
	{ F(flags), .name = "flags", .type = KEY_STR, .def = "", .arg = "letters",
	  .help = "Flags that delivered messages get, as Maildir letters: D F P R S T." },
	{ F(rate), RATE },
	{ F(budget), BUDGET },
	{ F(deadline), DEADLINE },
	{ F(stall), STALL },
	{ F(on_new), .name = "on-new", .type = KEY_COMMAND, .def = "", .arg = "command",
	  .help = "A command to run after each run that brought new messages." },
	{ F(on_change), ON_CHANGE },
	{ F(on_timeout), ON_TIMEOUT },
	{ F(sandbox), SANDBOX },

	{ S(remote), .name = "remote", .type = KEY_STR, .def = "", .required = true, .arg = "account",
	  .help = "The name of an IMAP account; or another tree, as for local." },
	{ S(local), .name = "local", .type = KEY_STR, .def = "", .required = true, .arg = "store",
	  .help = "The tree on this machine: maildir:path, mbox:path, or the name of a maildir or mbox section; or another IMAP account." },
	{ S(every), .name = "every", .type = KEY_DURATION, .def = "", RANGE(1, 366 * DAY), .arg = "duration",
	  .help = "How long after the start of its last run the job is due for mailhaul run --due; never when not given." },
	{ S(idle), .name = "idle", .type = KEY_LIST, .def = "", .arg = "list",
	  .help = "Folders of the remote side of whose changes mailhaul watch is told at once, where the server can't tell of all; INBOX when not given." },
	{ S(gather), .name = "gather", .type = KEY_MOMENT, .def = "200ms", RANGE(0, 60000), .arg = "duration",
	  .help = "How long mailhaul watch gathers changes before the next run, when they come one after the other: 200ms, 2s." },
	{ S(folders), .name = "folders", .type = KEY_LIST, .def = "", .arg = "list",
	  .help = "Which folders are synced: patterns in their order, !pattern leaves out, @role is whichever folder has it." },
	{ S(del), .name = "delete", WHERE, .def = "both",
	  .help = "Where messages are deleted that were deleted on the other side." },
	{ S(create), .name = "create", WHERE, .def = "both",
	  .help = "Where folders are made that the other side has." },
	{ S(remove_folders), .name = "remove-folders", WHERE, .def = "",
	  .help = "Where folders are removed that were removed on the other side, with the messages in them; only empty ones, on both, when not given." },
	{ S(trash), .name = "trash", .type = KEY_STR, .def = "", .arg = "folder",
	  .help = "A folder of the remote side, or its @role, that messages deleted there are moved to, instead of being gone." },
	{ S(quarantine), .name = "quarantine", .type = KEY_DURATION, .def = "7d", RANGE(0, 36600 * DAY), .arg = "duration",
	  .help = "How long messages that were deleted here are kept for mailhaul undo; 0: not at all." },
	{ S(max_size), .name = "max-size", .type = KEY_SIZE, .def = "", RANGE(1, INT64_C(1) << 50), .arg = "size",
	  .help = "Larger messages of the remote side are left there." },
	{ S(max_age), .name = "max-age", .type = KEY_DURATION, .def = "", RANGE(1, 36600 * DAY), .arg = "duration",
	  .help = "Messages that arrived at the remote side longer ago are left there." },
	{ S(max_delete), .name = "max-delete", .type = KEY_LIMIT, .def = "25% and 50", .arg = "limit",
	  .help = "A run that would delete more messages than both the share and the number changes nothing." },
	{ S(take_over), .name = "take-over", .type = KEY_PATH, .def = "", .arg = "path",
	  .help = "Where mbsync keeps its state of the folders, if not in the Maildir: a path with * in place of a folder's name." },
	{ S(rate), RATE },
	{ S(budget), BUDGET },
	{ S(deadline), DEADLINE },
	{ S(stall), STALL },
	{ S(on_new), .name = "on-new", .type = KEY_COMMAND, .def = "", .arg = "command",
	  .help = "A command to run after each run that brought new messages." },
	{ S(on_change), ON_CHANGE },
	{ S(on_timeout), ON_TIMEOUT },
	{ S(sandbox), SANDBOX },

	{ G(from), .name = "from", .type = KEY_STR, .def = "", .required = true, .arg = "account | store",
	  .help = "Where the mail is: the name of an account, maildir:path, mbox:path, or the name of a maildir or mbox section." },
	{ G(to), .name = "to", .type = KEY_STR, .def = "", .required = true, .arg = "account | store",
	  .help = "Where it goes: the name of an IMAP account, or a local store as for from." },
	{ G(folder), .name = "folder", .type = KEY_STR, .def = "", .arg = "name",
	  .help = "The folder of the target for the mail of a source that has but one: a POP3 account or an mbox file." },
	{ G(every), .name = "every", .type = KEY_DURATION, .def = "", RANGE(1, 366 * DAY), .arg = "duration",
	  .help = "How long after the start of its last run the job is due for mailhaul run --due; never when not given." },
	{ G(folders), .name = "folders", .type = KEY_LIST, .def = "", .arg = "list",
	  .help = "Which folders of the source are copied, as in a sync section." },
	{ G(delete_source), .name = "delete-source", .type = KEY_BOOL, .def = "no", .arg = "yes | no",
	  .help = "Delete at the source what is safe at the target." },
	{ G(max_size), .name = "max-size", .type = KEY_SIZE, .def = "", RANGE(1, INT64_C(1) << 50), .arg = "size",
	  .help = "Larger messages of the source are left there." },
	{ G(max_age), .name = "max-age", .type = KEY_DURATION, .def = "", RANGE(1, 36600 * DAY), .arg = "duration",
	  .help = "Messages that arrived at the source longer ago are left there." },
	{ G(rate), RATE },
	{ G(budget), BUDGET },
	{ G(deadline), DEADLINE },
	{ G(stall), STALL },
	{ G(on_new), .name = "on-new", .type = KEY_COMMAND, .def = "", .arg = "command",
	  .help = "A command to run after each run that copied messages." },
	{ G(on_change), ON_CHANGE },
	{ G(on_timeout), ON_TIMEOUT },
	{ G(sandbox), SANDBOX },

	{ X(local), .name = "local", .type = KEY_STR, .def = "", .arg = "name",
	  .help = "What the folder is called in the Maildir, when it is another name; of a sync." },
	{ X(to), .name = "to", .type = KEY_STR, .def = "", .arg = "name",
	  .help = "What the folder is called at the target, when it is another name; of a migrate." },
	{ X(max_size), .name = "max-size", .type = KEY_SIZE, .def = "", RANGE(0, INT64_C(1) << 50), .arg = "size",
	  .help = "As in the job, for this folder; 0: no limit." },
	{ X(max_age), .name = "max-age", .type = KEY_DURATION, .def = "", RANGE(0, 36600 * DAY), .arg = "duration",
	  .help = "As in the job, for this folder; 0s: no limit." },
};

/* All rows, grouped by section, in the manual's order. */
const struct key *schema_keys(size_t *n)
{
	*n = sizeof(keys) / sizeof(keys[0]);
	return keys;
}

/* All kinds of section. */
const struct section *schema_sections(size_t *n)
{
	*n = sizeof(sections) / sizeof(sections[0]);
	return sections;
}

/* One row. */
const struct key *schema_key(const char *section, const char *name)
{
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		if (strcmp(keys[i].section, section) == 0 && strcmp(keys[i].name, name) == 0)
			return &keys[i];
	return NULL;
}

/* One kind of section. */
const struct section *schema_section(const char *name)
{
	for (size_t i = 0; i < sizeof(sections) / sizeof(sections[0]); i++)
		if (strcmp(sections[i].name, name) == 0)
			return &sections[i];
	return NULL;
}

/* Whether one kind of section holds another. */
bool schema_inside(const struct section *s, const char *outer)
{
	size_t n = strlen(outer);

	for (const char *w = s->inside; w && *w;) {
		size_t len = strcspn(w, "|");

		if (len == n && strncmp(w, outer, n) == 0)
			return true;
		w += len + (w[len] == '|');
	}
	return false;
}
