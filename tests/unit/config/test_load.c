#include "../../lib/unit.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/load.h"
#include "mail/flags.h"

#define ANY "\001" /* whatever follows on the line */
#define SYNC "sync s { remote = maildir:/x local = maildir:/y"
#define MIGRATE "migrate m { from = maildir:/x"
#define LIMIT " is not understood; allowed: a share and a number such as \"25% and 50\", one of them, or none\n"
#define IMAP "account i { url = 'imaps://u@h' }\n"
#define ACC "account a { url = 'pop3s://u@h' }\n"

/* Load a text; on failure the problems, else "". The caller frees. */
static char *problems_of(const char *text, struct err *e)
{
	struct strbuf b = STRBUF_INIT(CONFIG_PROBLEMS_MAX);
	struct config c;
	char *out;

	err_clear(e);
	if (config_load_text("t", slice_str(text), &c, &b, e) == 0)
		assert_int_equal(b.len, 0);
	else
		assert_true(b.len > 0);
	config_release(&c);
	out = strdup(strbuf_str(&b));
	strbuf_release(&b);
	return out;
}

/* One text, and all that is to be said of it. */
static const struct {
	const char *text, *says;
} wrong[] = {
	/* structure */
	{ "account a { url = 'pop3s://u@h'\n", "t:1: this account section has no '}'\n" },
	{ "\n}\n", "t:2: unexpected '}'; SECTION NAME { ... } is wanted here\n" },
	{ ACC "= = = ( ) , x\n" ACC, "t:2: unexpected '='; SECTION NAME { ... } is wanted here\nt:3: the name 'a' is taken already, in line 1\n" },
	{ "account { url = 'pop3s://u@h' }", "t:1: this account has no name: account NAME { ... }\n" },
	{ "url = 'pop3s://u@h'\n", "t:1: 'url' stands outside of all sections; keys stand in account, maildir, mbox, fetch, sync or migrate; only parallel, parallel-per-host or sandbox outside of them\n" },
	{ "parallel = 4\nparallel-per-host = 300\n" ACC "parallel = 8\n", "t:2: parallel-per-host = 300 is out of range: 1 to 256\nt:4: parallel is given twice, first in line 1\n" },
	{ "parallel = {4}\nparallel += 4\n", "t:1: parallel takes one value, not a list\nt:2: '+=' is for lists; parallel takes one value, with '='\n" },
	{ "parallel = 4 8\n", "t:1: more than one word follows 'parallel ='; put the whole value in quotes\n" },
	{ "top-level x { parallel = 4 }", "t:1: unknown section 'top-level'; there are account, maildir, mbox, fetch, sync or migrate\n" },
	{ "account a { host = h user = u protocol = pop3\n connections = 3 }", "t:2: connections is for IMAP accounts; this one is pop3\n" },
	{ SYNC " deadline = 0s\n stall = x }", "t:1: deadline = 0s is out of range: 1s to 366d\nt:2: stall = x is not understood; allowed: a number and s, m, h, d, w or y, such as 10m\n" },
	{ "account a {\n url = 'pop3s://u@h'\naccount b { url = 'pop3s://u@h' }\n",
	  "t:3: 'account' begins inside of the account section of line 1; a '}' is missing before it\n" },
	{ "account a { url = 'pop3s://u@h' folder x { y = z } }", "t:1: unknown section 'folder' inside of account; account holds none\n" },
	{ "account a { url = 'pop3s://u@h' include('x') }",
	  "t:1: 'include'(...) can't stand inside of a section; include(\"FILE\") stands outside of all\n" },
	{ "run(\"x\")", "t:1: the only call there is has one argument: include(\"FILE\")\n" },
	{ "account a { url = \"pop3s://u@h }\n", "t:1: this string has no end: a closing \" is missing\nt:1: this account section has no '}'\n" },
	{ "account a { url = 'pop3s://u@h\n user = 'x' }",
	  "t:1: this account section has no '}'\nt:1: url holds a line end; is a closing quote missing?\n"
	  "t:2: this string has no end: a closing ' is missing\nt:2: unexpected 'x'; 'key = value' or '}' is wanted here\n" },
	{ "/* \n" ACC, "t:1: this comment has no end: '*/' is missing\n" },
	{ "account a\tb { }", "t:1: unexpected 'account'; SECTION NAME { ... } is wanted here\n"
	  "t:1: unknown section 'a'; there are account, maildir, mbox, fetch, sync or migrate\n" },
	{ "account 'a b' { url = 'pop3s://u@h' }", "t:1: 'a b' can't be a name; allowed are letters, digits, and . _ - @ + behind the first, at most 64\n" },
	{ "account ../a { url = 'pop3s://u@h' }", "t:1: '../a' can't be a name; allowed are letters, digits, and . _ - @ + behind the first, at most 64\n" },
	{ "folder x { local = y }", "t:1: folder sections stand inside of a sync or migrate section\n" },
	{ SYNC "\n folder { local = y } }", "t:2: this folder has no name: folder NAME { ... }\n" },
	{ SYNC "\n folder x { local = y", "t:1: this sync section has no '}'\nt:2: this folder section has no '}'\n" },
	{ SYNC "\n folder x { local = y\n}\nmbox m { path = /x }",
	  "t:4: 'mbox' begins inside of the sync section of line 1; a '}' is missing before it\n" },
	{ SYNC "\n box x { y = z } }", "t:2: unknown section 'box' inside of sync; sync holds folder\n" },
	{ SYNC "\n folder x { folder y { } } }",
	  "t:2: unknown section 'folder' inside of folder; folder holds none\nt:2: folder 'x' says nothing; it knows local, max-size and max-age\n" },
	{ SYNC "\n folder x { frob = 1\n local = y\n local = z } every = 0s\n folder z { local = y } delete = off }",
	  "t:2: unknown key 'frob'; folder knows local, to, max-size or max-age\n"
	  "t:4: local is given twice in this section, first in line 3\nt:4: every = 0s is out of range: 1s to 366d\n"
	  "t:5: delete knows no 'off'; allowed: both, local, remote or none\n" },
	{ "acount a { url = 'pop3s://u@h' }", "t:1: unknown section 'acount'; did you mean 'account'?\n" },
	{ "printer a { x { y } = { z } }", "t:1: unknown section 'printer'; there are account, maildir, mbox, fetch, sync or migrate\n" },
	/* keys and values */
	{ "account a { ulr = 'pop3s://u@h' }", "t:1: unknown key 'ulr' in account; did you mean 'url'?\n" },
	{ "account a { URL = 'pop3s://u@h' }", "t:1: unknown key 'URL' in account; did you mean 'url'?\n" },
	{ "account a { url = 'pop3s://u@h' client_cert = x }", "t:1: unknown key 'client_cert' in account; did you mean 'client-cert'?\n" },
	{ "maildir m { path = /x frob = 3 }", "t:1: unknown key 'frob'; maildir knows path or layout\n" },
	{ "maildir m { path = /x\n layout = flat\n layout = nested }", "t:3: layout is given twice in this section, first in line 2\n" },
	{ "maildir m { path = }", "t:1: path has no value; an empty one is \"\"\n" },
	{ "maildir m { path =\n layout = flat }", "t:1: path has no value; an empty one is \"\"\n" },
	{ "maildir m { path = {/a, /b} }", "t:1: path takes one value, not a list\n" },
	{ "maildir m { path += /a }", "t:1: '+=' is for lists; path takes one value, with '='\n" },
	{ "maildir m { path = '' }", "t:1: path is empty; it is a path\n" },
	{ "maildir m { path = Mail }", "t:1: path = Mail would depend on where mailhaul is started; begin it with / or ~/\n" },
	{ "maildir m { path = \"/a\nb\" }", "t:1: path holds a line end; is a closing quote missing?\n" },
	{ "maildir m { path = \"/a\\001\" }", "t:1: path holds a control character (0x01)\n" },
	{ "maildir m { path = \"/a\\0\" }", "t:1: a bad escape in double quotes: '\\' and up to three octal digits, \\001 to \\377\n" },
	{ "maildir m { path = \"/a\\x00b\" }", "t:1: a NUL byte can't stand in a string\n" },
	{ "maildir m { path = /a#b\n}", "t:1: a '#' directly behind a word: put a blank before a comment, or the value in quotes\n" },
	{ "maildir m { }", "t:1: maildir m needs 'path = path'\n" },
	{ "mbox m { path = /x\n lock = {\n fcntl,\n flok } }", "t:4: lock knows no 'flok'; allowed: fcntl or dotlock\n" },
	{ "mbox m { path = /x lock = {} }", "t:1: lock is empty; name fcntl, dotlock, or both in their order\n" },
	{ "mbox m { path = /x lock = {fcntl, fcntl} }", "t:1: lock names fcntl twice\n" },
	{ "mbox m { path = /x lock = {fcntl dotlock} }", "t:1: a ',' is missing before this value\n" },
	{ "mbox m { path = /x lock = {fcntl\n variant = mboxo }", "t:1: this list has no '}'\n" },
	{ "mbox m { path = /x lock-timeout = 2h }", "t:1: lock-timeout = 2h is out of range: 1s to 1h\n" },
	{ "mbox m { path = ${MAILHAUL_TEST_UNSET}/x }",
	  "t:1: ${MAILHAUL_TEST_UNSET} is not set in the environment; ${NAME:-default} has a default, single quotes keep a '${' as it is\n" },
	{ "mbox m { path = \"/x/${MAILHAUL\" }", "t:1: '${' has no '}'; single quotes keep a '${' as it is\n" },
	/* accounts */
	{ "account a { }", "t:1: account a needs 'url = \"imaps://user@host\"' or \"pop3s://user@host\", or host and user\n" },
	{ "account a { host = h }", "t:1: account a has no user; the url can say it: pop3s://user@h\n" },
	{ "account a { url = 'pop3s://u@h'\n host = h }", "t:2: host and url exclude each other; the url says it: pop3s://user@host:port\n" },
	{ "account a { url = 'pop3s://u@h'\n user = v }", "t:2: the user stands in the url already\n" },
	{ "account a { url = 'mbox:/x' }",
	  "t:1: url = mbox: is no account; allowed: imaps://user@host, imap://user@host, pop3s://user@host, pop3://user@host\n" },
	{ "account a { host = h user = u protocol = imap4 }",
	  "t:1: protocol knows no 'imap4'; allowed: pop3s, pop3, imaps or imap; did you mean 'imaps'?\n" },
	{ "account a { url = 'imaps://u@h'\n gmail-recent = yes\n port = 1 }",
	  "t:2: gmail-recent is for POP3 accounts; this one is imaps\n"
	  "t:3: port and url exclude each other; the url says it: imaps://user@host:port\n" },
	{ "account a { host = h user = u protocol = pop3\n compress = no\n prefix = 'INBOX.' }",
	  "t:2: compress is for IMAP accounts; this one is pop3\nt:3: prefix is for IMAP accounts; this one is pop3\n" },
	{ "account a { url = 'imaps://u@h' compress = yes }", "t:1: compress knows no 'yes'; allowed: auto or no\n" },
	{ "account a { url = 'imaps://u@h' disable-extensions = {\n qresync,\n UIDPLUSS,\n IMAP4rev1} }",
	  "t:3: disable-extensions: 'UIDPLUSS' is not known; did you mean 'UIDPLUS'?; allowed: " ANY "\n"
	  "t:4: disable-extensions: IMAP4rev1 can't be done without\n" },
	{ "account a { url = 'pop3s://u@h' disable-extensions = {QRESYNC} }",
	  "t:1: disable-extensions: 'QRESYNC' is not known; allowed: TOP, " ANY "\n" },
	{ "account a { url = 'imaps://u@h' auth = {APOP} }", "t:1: auth: 'APOP' is not known; allowed: SCRAM-SHA-256-PLUS, SCRAM-SHA-1-PLUS, SCRAM-SHA-256, SCRAM-SHA-1, EXTERNAL, "
	  "OAUTHBEARER, XOAUTH2, CRAM-MD5, PLAIN or LOGIN\n" },
	{ "account a { url = 'imap://u@h' tls = implicit }",
	  "t:1: tls = implicit contradicts imap; write imaps for TLS from the first byte (port 993)\n" },
	{ "account a { url = 'imaps://u@h' tls = starttls }", "t:1: tls = starttls contradicts imaps; write imap for STARTTLS (port 143)\n" },
	{ "account a { url = 'imaps://u@h' tls = none }", "t:1: tls = none contradicts imaps; write imap (port 143)\n" },
	{ "account a { url = 'imap://u@h' tls = none }",
	  "t:1: tls = none would show password and mail to the network; allowed for this host itself, with a tunnel, or with allow-plaintext = yes\n" },
	{ "account a { host = h user = u port = 0 }", "t:1: port = 0 is out of range: 1 to 65535\n" },
	{ "account a { host = h user = u port = pop3 }", "t:1: port = pop3 is not understood; allowed: a number in decimal digits\n" },
	{ "account a { url = 'pop3s://u@h' timeout = 60 }",
	  "t:1: timeout = 60 is not understood; allowed: a number and s, m, h, d, w or y, such as 10m\n" },
	{ "account a { url = 'pop3s://u@h' timeout = 2h }", "t:1: timeout = 2h is out of range: 1s to 1h\n" },
	{ "account a { url = 'pop3s://u@h' netrc = maybe }", "t:1: netrc = maybe is not understood; allowed: yes or no\n" },
	{ "account a { url = 'pop3s://u@h' password = \"a${HOME}b\" }",
	  "t:1: password holds '${', which would be replaced by a variable; put it in single quotes: '...'\n" },
	{ "account a { url = 'pop3s://u@h' password = a${b} }",
	  "t:1: password holds '${', which would be replaced by a variable; put it in single quotes: '...'\n" },
	{ "account a { url = 'pop3s://u@h'\n password = 'x'\n password-command = 'y' }",
	  "t:3: password-command and password exclude each other; the secret comes from one place\n" },
	{ "account a { url = 'pop3s://u@h'\n netrc = yes\n token-command = 'y' }",
	  "t:3: netrc and token-command exclude each other; the secret comes from one place\n" },
	{ "account a { url = 'pop3s://u@h' password = '' }", "t:1: password is empty\n" },
	{ "account a { url = 'pop3s://u@h' password-command = pass show x }",
	  "t:1: more than one word follows 'password-command ='; put the whole value in quotes\n" },
	{ "account a { url = 'pop3s://u@h' tls = none }", "t:1: tls = none contradicts pop3s; write pop3 (port 110)\n" },
	{ "account a { url = 'pop3://u@h' tls = none }",
	  "t:1: tls = none would show password and mail to the network; allowed for this host itself, with a tunnel, or with allow-plaintext = yes\n" },
	{ "account a { url = 'pop3://u@h' allow-plaintext = yes }", "t:1: allow-plaintext has no effect without tls = none: TLS is required\n" },
	{ "account a { url = 'pop3://u@h' tls = implicit }",
	  "t:1: tls = implicit contradicts pop3; write pop3s for TLS from the first byte (port 995)\n" },
	{ "account a { url = 'pop3://u@localhost' tls = none\n tls-min = 1.3 }", "t:2: tls-min has no effect with tls = none\n" },
	{ "account a { url = 'pop3s://u@h' tls-min = 1.1 }", "t:1: tls-min knows no '1.1'; allowed: 1.2 or 1.3; did you mean '1.2'?\n" },
	{ "account a { url = 'pop3s://u@h' fingerprint = {00} }",
	  "t:1: fingerprint '00' is no SHA-256: 64 hexadecimal digits, with or without colons, as mailhaul info shows them\n" },
	{ "account a { url = 'pop3s://u@h' client-key = /nonexistent/k }",
	  "t:1: client-key without client-cert\nt:1: client-key: can't open /nonexistent/k: No such file or directory\n" },
	{ "account a { url = 'pop3s://u@h' ca-file = /nonexistent/c }", "t:1: ca-file: can't read /nonexistent/c: No such file or directory\n" },
	{ "account a { url = 'pop3s://u@h' password-file = /nonexistent/p }",
	  "t:1: password-file: can't open /nonexistent/p: No such file or directory\n" },
	{ "account a { url = 'pop3s://u@h' proxy = 'http://p' }",
	  "t:1: proxy: allowed is socks5://[user:password@]host[:port]\n" },
	{ "account a { url = 'pop3s://u@h' proxy = 'pop3://p' }", "t:1: proxy: allowed is socks5://[user:password@]host[:port]\n" },
	{ "account a { url = 'pop3s://u@h' tunnel = 'ssh x' proxy = 'socks5://p' }", "t:1: proxy and tunnel exclude each other\n" },
	/* jobs */
	{ ACC "fetch f { from = b to = mbox:/x }", "t:2: from: there is no account or store 'b'; defined: a\n" },
	{ "account work { url = 'pop3s://u@h' }\nfetch f { from = wrok to = mbox:/x }",
	  "t:2: from: there is no account or store 'wrok'; did you mean 'work'?\n" },
	{ "fetch f { from = b to = mbox:/x }", "t:1: from: there is no account or store 'b'; none is defined\n" },
	{ ACC "fetch f {\nto = mbox:/x }", "t:2: fetch f needs 'from = account'\n" },
	{ ACC "fetch f { from = 'pop3s://u@h' to = mbox:/x }",
	  "t:2: from takes the name of an account; define one: account NAME { url = \"pop3s://user@host\" }\n" },
	{ ACC "mbox m { path = /x }\nfetch f { from = m to = m }", "t:3: from: 'm' is a local store; fetch takes mail from an account\n" },
	{ ACC "fetch f { from = a to = a }",
	  "t:2: to: 'a' is a POP3 account, which can't be delivered to; allowed: maildir:PATH, mbox:PATH, or a maildir or mbox section\n" },
	{ ACC "fetch f { from = a to = 'maildir:x' }",
	  "t:2: to: the path x would depend on where mailhaul is started; begin it with / or ~/\n" },
	{ ACC "fetch f { from = a to = 'imaps://u@h' }",
	  "t:2: to: a local store is wanted here, not a server; allowed: maildir:PATH, mbox:PATH, or the name of a maildir or mbox section\n" },
	{ IMAP "fetch f { from = i to = mbox:/x }", "t:2: from: 'i' is an IMAP account, which fetch can't take mail from in this version; sync can\n" },
	{ ACC IMAP "fetch f { from = a to = i }",
	  "t:3: to: 'i' is an IMAP account, which can't be delivered to; allowed: maildir:PATH, mbox:PATH, or a maildir or mbox section\n" },
	{ ACC "fetch f { from = a to = mbox:/x }\nfetch f { from = a to = mbox:/y }", "t:3: the job name 'f' is taken already, in line 2\n" },
	{ ACC "maildir a { path = /x }", "t:2: the name 'a' is taken already, in line 1\n" },
	{ ACC "fetch f { from = a to = mbox:/x every = 10 }",
	  "t:2: every = 10 is not understood; allowed: a number and s, m, h, d, w or y, such as 10m\n" },
	{ ACC "fetch f { from = a to = mbox:/x every = 0s }", "t:2: every = 0s is out of range: 1s to 366d\n" },
	{ ACC "fetch f { from = a to = mbox:/x keep = never }",
	  "t:2: keep = never is not understood; allowed: no, yes, or a duration (a number and s, m, h, d, w or y, such as 10m)\n" },
	{ ACC "fetch f { from = a to = mbox:/x max-size = 5MB }",
	  "t:2: max-size = 5MB is not understood; allowed: a number of bytes, or with k, M, G or T for 1024 and its powers, such as 10M\n" },
	{ ACC "fetch f { from = a to = mbox:/x flags = SX }", "t:2: flags = SX: allowed are the Maildir letters D F P R S T\n" },
	{ ACC "fetch f { from = a to = mbox:/x folder = y }", "t:2: folder: an mbox has no folders; name another file\n" },
	{ ACC "fetch f { from = a to = maildir:/x folder = 'y//z' }", "t:2: folder 'y//z': a level of the name is empty\n" },
	{ ACC "fetch f { from = a to = mbox:/x keep = yes purge-after = 5 }",
	  "t:2: purge-after has no effect when nothing is deleted (keep = yes, gmail-recent)\n" },
	{ "account a { url = 'pop3s://u@h' gmail-recent = yes }\nfetch f { from = a to = mbox:/x keep = no }",
	  "t:2: keep: nothing is ever deleted through account a, which has gmail-recent; allowed: keep = yes\n" },
	/* two-way jobs */
	{ "sync s { }", "t:1: sync s needs 'remote = account'\nt:1: sync s needs 'local = store'\n" },
	{ ACC "sync s { remote = a\n local = maildir:/x }", "t:2: remote: 'a' is a POP3 account, which can't be synced; fetch takes mail from it\n" },
	{ IMAP "sync s { remote = i local = i }", "t:2: local: 'i' is the mailbox that 'i' is\n" },
	{ "mbox m { path = /x }\nsync s { remote = m local = maildir:/x/y }", "t:2: local: /x and /x/y lie one within the other\n" },
	{ "mbox m { path = /x }\nsync s { remote = m local = mbox:/x }", "t:2: local: /x and /x lie one within the other\n" },
	{ IMAP "sync s { remote = i local = mbox:/x quarantine = 3d }",
	  "t:2: quarantine: what is deleted from an mbox can't be kept; leave it out, or say quarantine = 0\n" },
	{ IMAP "sync s { remote = i local = mbox:/x }\nsync u { remote = i local = maildir:/x/y }",
	  "t:3: local: the job 's' (line 2) syncs /x: each job needs a tree of its own\n" },
	{ "sync s { remote = 'imaps://u@h' local = maildir:/y }",
	  "t:1: remote takes the name of an account; define one: account NAME { url = \"imaps://user@host\" }\n" },
	{ "sync s { remote = maildir:x local = maildir:/y }",
	  "t:1: remote: the path x would depend on where mailhaul is started; begin it with / or ~/\n" },
	{ "sync s { remote = maildir:/x/y/ local = maildir:/x }", "t:1: local: /x/y/ and /x lie one within the other\n" },
	{ "sync s { remote = maildir:/x local = maildir:/y }\nsync t { remote = maildir:/z local = maildir:/y/w }",
	  "t:2: local: the job 's' (line 1) syncs /y: each job needs a tree of its own\n" },
	{ "sync s { remote = maildir:/x local = maildir:/x }", "t:1: local: /x and /x lie one within the other\n" },
	{ "sync s { remote = b\n local = c }",
	  "t:1: remote: there is no account or store 'b'; none is defined\nt:2: local: there is no account or store 'c'; none is defined\n" },
	{ SYNC " folders = {\n '*',\n '!',\n '@snt',\n '!@frob',\n ''} }",
	  "t:3: folders: " ANY "\nt:4: folders: no folder has the role '@snt'; did you mean '@sent'?\n"
	  "t:5: folders: no folder has the role '@frob'; there are all, archive, drafts, flagged, junk, sent, trash or important\nt:6: folders: " ANY "\n" },
	{ SYNC " folders = {} }", "t:1: folders is empty: no folder would be synced; leave it out to sync all\n" },
	{ SYNC " max-delete = many }", "t:1: max-delete = many" LIMIT },
	{ SYNC " max-delete = '' }", "t:1: max-delete = " LIMIT },
	{ SYNC " max-delete = '101%' }", "t:1: max-delete = 101%" LIMIT },
	{ SYNC " max-delete = '5% and' }", "t:1: max-delete = 5% and" LIMIT },
	{ SYNC " max-delete = '5% 50' }", "t:1: max-delete = 5% 50" LIMIT },
	{ SYNC " max-delete = '5% and50' }", "t:1: max-delete = 5% and50" LIMIT },
	{ SYNC " max-delete = '5 and 50' }", "t:1: max-delete = 5 and 50" LIMIT },
	{ SYNC " max-delete = '5% and 50 and 6' }", "t:1: max-delete = 5% and 50 and 6" LIMIT },
	{ SYNC " trash = @trsh }", "t:1: trash: no folder has the role '@trsh'; did you mean '@trash'?\n" },
	{ SYNC " trash = 'x//y' }", "t:1: trash: " ANY "\n" },
	{ SYNC " trash = Trash\n delete = local }", "t:1: trash has no effect: nothing is deleted at the remote side (delete = local or none)\n" },
	{ SYNC " keep = yes }", "t:1: unknown key 'keep'; sync knows remote, local, every, idle, gather, folders, delete, create, remove-folders, trash, quarantine, max-size, max-age, "
	  "max-delete, take-over, rate, budget, deadline, stall, on-new, on-change, on-timeout or sandbox\n" },
	{ SYNC " gather = 5 }", "t:1: gather = 5 is not understood; allowed: a number and ms or s, such as 200ms\n" },
	{ SYNC " gather = 61s }", "t:1: gather = 61s is out of range: 0ms to 60s\n" },
	{ SYNC " idle = {x, '@sent'} }", "t:1: idle = \"@sent\" is no folder's name; allowed: names of folders, such as INBOX\n"
	  "t:1: idle has no effect: 'maildir:/x' is no IMAP account, and changes of files are seen at once\n" },
	{ SYNC " take-over = 'state/' }", "t:1: take-over = state/ would depend on where mailhaul is started; begin it with / or ~/\n" },
	{ SYNC " take-over = '' }", "t:1: take-over is empty; it is a path\n" },
	{ SYNC "\n folder a { local = b }\n folder a { max-size = 1k } }", "t:3: folder 'a' has a section already, in line 2\n" },
	{ SYNC "\n folder a { local = b }\n folder b { max-size = 1k } }",
	  "t:3: local: folder 'a' (line 2) would be called 'b', too; each folder needs a name of its own\n" },
	{ SYNC "\n folder @sent { local = S }\n folder @junk { local = S } }",
	  "t:3: local: folder '@sent' (line 2) would be called 'S', too; each folder needs a name of its own\n" },
	{ SYNC "\n folder a { local = inbox } }", "t:2: local: INBOX is the inbox already; each folder needs a name of its own\n" },
	{ SYNC "\n folder @snt { local = x }\n folder 'a//b' { max-age = 1y }\n folder c { local = '/d' } }",
	  "t:2: folder: no folder has the role '@snt'; did you mean '@sent'?\nt:3: folder: " ANY "\nt:4: local: " ANY "\n" },
	{ SYNC "\n folder \"a\\x01\" { local = x } }", "t:2: folder: the name holds a control character\n" },
	{ SYNC "\n folder a { max-size = lots } }",
	  "t:2: max-size = lots is not understood; allowed: a number of bytes, or with k, M, G or T for 1024 and its powers, such as 10M\n" },
	/* migrations */
	{ "migrate m { }", "t:1: migrate m needs 'from = account | store'\nt:1: migrate m needs 'to = account | store'\n" },
	{ ACC IMAP "migrate m { from = i\n to = a }", "t:4: to: 'a' is a POP3 account, and POP3 can only give mail, not take it; an IMAP account, a Maildir or an mbox can\n" },
	{ ACC "migrate m { from = a\n to = 'imaps://u@h' }", "t:3: to takes the name of an account; define one: account NAME { url = \"imaps://user@host\" }\n" },
	{ ACC "migrate m { from = 'pop3s://u@h'\n to = maildir:/x }", "t:2: from takes the name of an account; define one: account NAME { url = \"imaps://user@host\" }\n" },
	{ ACC "migrate m { from = b\n to = maildir:x }", "t:2: from: there is no account or store 'b'; defined: a\nt:3: to: " ANY "\n" },
	{ IMAP "account j { url = 'imap://u@H' }\nmigrate m { from = i\n to = j }", "t:4: to: 'j' is the same mailbox as 'i', on h: there is nothing to copy\n" },
	{ IMAP "migrate m { from = i\n to = i }", "t:3: to: 'i' is the same mailbox as 'i', on h: there is nothing to copy\n" },
	{ MIGRATE "\n to = maildir:/x/y }", "t:2: to: /x and /x/y lie one within the other\n" },
	{ MIGRATE "\n to = mbox:/x/y }", "t:2: to: /x and /x/y lie one within the other\n" },
	{ "migrate m { from = mbox:/x\n to = mbox:/x }", "t:2: to: /x and /x lie one within the other\n" },
	{ MIGRATE " to = mbox:/y\n folder = A }", "t:2: folder: 'maildir:/x' has folders of its own; folder NAME { to = \"...\" } says what one of them is called at the target\n" },
	{ ACC IMAP "migrate m { from = a to = i\n folder = 'a//b' }", "t:4: folder: " ANY "\n" },
	{ ACC IMAP "migrate m { from = a to = i\n folders = '*' }", "t:4: folders has no effect: a POP3 account has but one, which is always copied\n" },
	{ ACC IMAP "migrate m { from = a to = i folder = A\n folder INBOX { to = B } }",
	  "t:4: folder sections and the key folder (line 3) exclude each other: in a section it is 'to' that says what the folder is called\n" },
	{ MIGRATE " to = mbox:/y\n folders = {} }", "t:2: folders is empty: no folder would be copied; leave it out to copy all\n" },
	{ MIGRATE " to = mbox:/y\n folder a { local = b } }", "t:2: local has no meaning in a migrate section; 'to' says what the folder is called at the target\n" },
	{ SYNC "\n folder a { to = b } }", "t:2: to has no meaning in a sync section; 'local' says what the folder is called here\n" },
	{ MIGRATE " to = mbox:/y\n folder a { to = b }\n folder c { to = b }\n folder d { to = INBOX }\n folder e { } }",
	  "t:3: to: folder 'a' (line 2) would be called 'b', too; each folder needs a name of its own\nt:4: to: INBOX is the inbox already; each folder needs a name of its own\n"
	  "t:5: folder 'e' says nothing; it knows to, max-size and max-age\n" },
	{ MIGRATE " to = mbox:/y\n box a { to = b }\n delete = none\n delete-source = maybe }",
	  "t:2: unknown section 'box' inside of migrate; migrate holds folder\nt:3: unknown key 'delete'; " ANY "\nt:4: delete-source = maybe is not understood; allowed: yes or no\n" },
	/* limits on what goes over the wire */
	{ IMAP "sync s { remote = i local = maildir:/y\n rate = 5M\n budget = 2G/s }",
	  "t:3: rate = 5M is not understood; allowed: a size and /s, such as 5M/s\nt:4: budget = 2G/s is not understood; allowed: a size and /d, such as 2G/d\n" },
	{ IMAP "migrate m { from = i to = maildir:/y\n rate = /s\n budget = 5x/d }",
	  "t:3: rate = /s is not understood; allowed: a size and /s, such as 5M/s\nt:4: budget = 5x/d is not understood; allowed: a size and /d, such as 2G/d\n" },
	{ ACC "fetch f { from = a to = maildir:/y\n rate = 1k/s\n budget = 0/d }",
	  "t:3: rate = 1k/s is out of range: 10k/s to 1G/s\nt:4: budget = 0/d is out of range: 100k/d to 1024T/d\n" },
	{ ACC "fetch f { from = a to = maildir:/y\n rate = 100000000000000000000M/s }", "t:3: rate = 100000000000000000000M/s is not understood; allowed: " ANY "\n" },
	{ SYNC "\n rate = 5M/s\n budget = 2G/d }", "t:2: rate has no effect: both sides are on this machine\nt:3: budget has no effect: both sides are on this machine\n" },
	{ MIGRATE " to = mbox:/y\n rate = 5M/s }", "t:2: rate has no effect: both sides are on this machine\n" },
	/* several at once, in the order of the file */
	{ "account a { url = 'pop3s://u:p@h'\n frob = 3\n timeout = soon }\nfetch f { from = x\n to = y\n keep = z }\n",
	  "t:1: url: a password can't stand in a URL, where process lists and logs show it "
	  "(password-command, password-file or netrc give it; a ':' in the user name is %3A)\n"
	  "t:2: unknown key 'frob'; account knows url, host, port, user, protocol, password-command, password-file, password, netrc, token-command, auth, "
	  "tls, allow-plaintext, ca-file, fingerprint, client-cert, client-key, tls-min, tunnel, proxy, timeout, connections, disable-extensions, gmail-recent, compress or prefix\n"
	  "t:3: timeout = soon is not understood; allowed: a number and s, m, h, d, w or y, such as 10m\n"
	  "t:4: from: there is no account or store 'x'; defined: a\n"
	  "t:5: to: there is no account or store 'y'; defined: a\n"
	  "t:6: keep = z is not understood; allowed: no, yes, or a duration (a number and s, m, h, d, w or y, such as 10m)\n" },
};

/* Whether the text is the one expected. */
static bool is_said(const char *got, const char *says)
{
	for (;; got++, says++) {
		if (*says == *ANY) {
			says++;
			got += strcspn(got, "\n");
		}
		if (*got != *says)
			return false;
		if (*got == '\0')
			return true;
	}
}

static void every_problem_is_said(void **state)
{
	int failed = 0;

	(void)state;
	for (size_t i = 0; i < COUNT(wrong); i++) {
		struct err e = ERR_INIT;
		char *got = problems_of(wrong[i].text, &e);
		size_t first = strcspn(got, "\n");

		if (!is_said(got, wrong[i].says) || e.kind != ERR_CONF || strncmp(e.text, got, first < 300 ? first : 300) != 0) {
			print_error("%s\n gives kind %s and\n%s instead of\n%s", wrong[i].text, err_kind_name(e.kind), got, wrong[i].says);
			failed++;
		}
		free(got);
	}
	assert_int_equal(failed, 0);
}

static void number_of_problems(void **state)
{
	struct err e = ERR_INIT;
	char *got = problems_of("a b c\n\nmbox m { }\nmbox n { }\n", &e);

	(void)state;
	assert_string_equal(got, "t:1: unexpected 'a'; SECTION NAME { ... } is wanted here\n"
	                         "t:3: mbox m needs 'path = path'\nt:4: mbox n needs 'path = path'\n");
	assert_non_null(strstr(e.text, "(and 2 more)"));
	free(got);
}

static void a_flood_is_bounded(void **state)
{
	struct strbuf text = STRBUF_INIT(1 << 20), b = STRBUF_INIT(CONFIG_PROBLEMS_MAX);
	struct config c;
	struct err e = ERR_INIT;

	(void)state;
	for (int i = 0; i < 5000; i++)
		strbuf_printf(&text, "mbox m%d { frob = 1 lock = {a, b, c} }\n", i);
	assert_false(text.failed);
	assert_int_equal(config_load_text("t", strbuf_slice(&text), &c, &b, &e), -1);
	assert_true(b.len <= CONFIG_PROBLEMS_MAX);
	assert_int_equal(b.s[b.len - 1], '\n');
	config_release(&c);
	strbuf_clear(&text);
	strbuf_clear(&b);
	for (int i = 0; i < 500000; i++) /* no recursion follows the braces */
		strbuf_puts(&text, "{");
	assert_int_equal(config_load_text("t", strbuf_slice(&text), &c, &b, &e), -1);
	config_release(&c);
	strbuf_clear(&text);
	strbuf_puts(&text, "mbox m { ");
	for (int i = 0; i < 250000; i++) /* it gives up before memory does */
		strbuf_puts(&text, "a=b ");
	strbuf_clear(&b);
	assert_int_equal(config_load_text("t", strbuf_slice(&text), &c, &b, &e), -1);
	assert_int_equal(e.kind, ERR_CONF);
	assert_non_null(strstr(b.s, "t:1: unknown key 'a'; mbox knows path, variant, lock or lock-timeout\n"));
	config_release(&c);
	strbuf_clear(&text);
	strbuf_puts(&text, "sync ");
	for (int i = 0; i < 500000; i++)
		strbuf_puts(&text, "{");
	assert_int_equal(config_load_text("t", strbuf_slice(&text), &c, &b, &e), -1);
	config_release(&c);
	strbuf_release(&text);
	strbuf_release(&b);
}

static void nul_is_refused(void **state)
{
	static const char text[] = "account a {\n url = 'x\0y' }";
	struct strbuf b = STRBUF_INIT(1000);
	struct config c;
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(config_load_text("t", slice_of(text, sizeof(text) - 1), &c, &b, &e), -1);
	assert_string_equal(strbuf_str(&b), "t:2: a NUL byte: this is no text file\n");
	config_release(&c);
	strbuf_release(&b);
}

/* Everything that may be said, and where it lands. */
/* Keys outside of sections, wherever they stand. */
static void top_level(void **state)
{
	static const struct { const char *text; unsigned parallel, per_host; bool unconfined; } rows[] = {
		{ "", 4, 8, false }, { "sandbox = no\n" ACC, 4, 8, true }, { ACC "sandbox = yes", 4, 8, false }, { ACC, 4, 8, false }, { "parallel = 12\n" ACC, 12, 8, false }, { ACC "parallel-per-host = 2", 4, 2, false },
		{ "parallel-per-host = 256 " ACC " parallel = 1", 1, 256, false },
	};
	struct config c;
	struct err e = ERR_INIT;
	uint64_t mark;

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		assert_int_equal(config_load_text("t", slice_str(rows[i].text), &c, NULL, &e), 0);
		assert_int_equal(c.parallel, rows[i].parallel);
		assert_int_equal(c.parallel_per_host, rows[i].per_host);
		assert_int_equal(c.unconfined, rows[i].unconfined);
		config_release(&c);
	}
	/* a job may say otherwise */
	assert_int_equal(config_load_text("t", slice_str("sandbox = no\naccount isp { url = 'pop3s://u@h' password-command = x }\nfetch a { from = isp to = 'maildir:/m' }\n"
							 "fetch b { from = isp to = 'maildir:/n' sandbox = yes }"), &c, NULL, &e), 0);
	assert_true(c.jobs[0].unconfined);
	assert_false(c.jobs[1].unconfined);
	mark = c.jobs[0].mark;
	config_release(&c);
	/* and to one that does not, what stands outside is a change of its own */
	assert_int_equal(config_load_text("t", slice_str("sandbox = yes\naccount isp { url = 'pop3s://u@h' password-command = x }\nfetch a { from = isp to = 'maildir:/m' }\n"
							 "fetch b { from = isp to = 'maildir:/n' sandbox = yes }"), &c, NULL, &e), 0);
	assert_true(c.jobs[0].mark != mark);
	config_release(&c);
}

/* How long a run may take, and how many may use an account. */
static void limits_of_runs(void **state)
{
	struct config c;
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(config_load_text("t", slice_str(ACC "account i { url = 'imaps://u@h' connections = 5 }\naccount k { url = 'imaps://v@h' }\n"
								"fetch f { from = a to = mbox:/x deadline = 2h stall = 0s }\nsync s { remote = i local = maildir:/y stall = 10m }\n"
								"migrate m { from = a to = i deadline = 1d }"), &c, NULL, &e), 0);
	assert_int_equal(c.ends[0].connections, 1);
	assert_int_equal(c.ends[1].connections, 5);
	assert_int_equal(c.ends[2].connections, 2);
	assert_int_equal(c.jobs[0].deadline, 7200);
	assert_int_equal(c.jobs[0].stall, 0);
	assert_int_equal(c.jobs[1].deadline, 0);
	assert_int_equal(c.jobs[1].stall, 600);
	assert_int_equal(c.jobs[2].deadline, 86400);
	assert_int_equal(c.jobs[2].stall, 3 * 3600);
	config_release(&c);
}

static void the_whole_of_it(void **state)
{
	static const char text[] =
		"\xef\xbb\xbf# comment\n"
		"account isp { // another\n"
		"  url = \"pop3s://jane@pop.example.org\"  /* and\n a third */ password = 'a${x}\\'\"b\\c'\n"
		"  auth = { scram-sha-256, # in a list\n    Plain }\n"
		"  auth += login\n"
		"  fingerprint = \"SHA256:00:11:22:33:44:55:66:77:88:99:aa:bb:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:aa:bb:cc:dd:ee:ff\"\n"
		"  tls-min = 1.3 timeout = 2m disable-extensions = {pipelining, UTF8}\n"
		"  proxy = \"socks5://me:pw@proxy.example\"\n"
		"}\n"
		"account lo { host = LOCALHOST user = \"\\x6a\\141ne\" protocol = pop3 port = 1110 tls = none tunnel = 'nc %h %p' netrc = on }\r\n"
		"maildir in { path = ~/Mail layout = maildir++ }\n"
		"mbox box { path = $HOME/box variant = mboxo lock = {dotlock} lock-timeout = 5s }\n"
		"fetch one { from = isp to = in folder = A/B every = 10m keep = 30d max-size = 5M purge-after = 100 flags = SF on-new = \"notify\n all\" on-change = y }\n"
		"fetch two { from = lo to = box keep = yes }\n"
		"fetch three { from = lo to = maildir:/var/mail/x }\n";
	struct strbuf b = STRBUF_INIT(10000);
	struct config c;
	struct err e = ERR_INIT;
	const struct config_job *j;
	const struct pop3_params *p;

	(void)state;
	setenv("HOME", "/home/jane", 1);
	if (config_load_text("dir/t", slice_of(text, sizeof(text) - 1), &c, &b, &e) < 0)
		fail_msg("%s", strbuf_str(&b));
	assert_int_equal(c.n_ends, 4);
	assert_int_equal(c.n_jobs, 3);
	p = &c.ends[0].pop3.pop3;
	assert_string_equal(c.ends[0].name, "isp");
	assert_string_equal(c.ends[0].url, "pop3s://jane@pop.example.org:995");
	assert_string_equal(c.ends[0].file, "dir/t");
	assert_int_equal(c.ends[0].line, 2);
	assert_true(c.ends[0].is_account);
	assert_string_equal(p->what, "isp");
	assert_string_equal(p->user, "jane");
	assert_string_equal(p->secret.literal, "a${x}'\"b\\c");
	assert_string_equal(p->secret.host, "pop.example.org");
	assert_string_equal(p->secret.port, "995");
	assert_string_equal(p->auth[0], "SCRAM-SHA-256");
	assert_string_equal(p->auth[1], "PLAIN");
	assert_string_equal(p->auth[2], "LOGIN");
	assert_null(p->auth[3]);
	assert_int_equal(p->disabled, POP3_CAP_PIPELINING | POP3_CAP_UTF8);
	assert_true(p->secure);
	assert_int_equal(p->dial.security, DIAL_TLS);
	assert_int_equal(p->dial.timeout, 120000);
	assert_int_equal(p->dial.tls.min_version, 13);
	assert_string_equal(p->dial.tls.pins[0], "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff");
	assert_null(p->dial.tls.pins[1]);
	assert_string_equal(p->dial.proxy.host, "proxy.example");
	assert_string_equal(p->dial.proxy.port, "1080");
	assert_string_equal(p->dial.proxy.user, "me");
	assert_string_equal(p->dial.proxy.password, "pw");
	p = &c.ends[1].pop3.pop3;
	assert_string_equal(c.ends[1].url, "pop3://jane@localhost:1110");
	assert_int_equal(p->dial.security, DIAL_PLAIN);
	assert_true(p->secure);
	assert_true(p->secret.netrc);
	assert_int_equal(p->dial.timeout, 60000);
	assert_int_equal(p->dial.tls.min_version, 12);
	assert_string_equal(p->dial.tunnel, "nc %h %p");
	assert_null(p->auth[0]);
	assert_int_equal(c.ends[2].kind, CONFIG_MAILDIR);
	assert_string_equal(c.ends[2].maildir.path, "/home/jane/Mail");
	assert_int_equal(c.ends[2].maildir.layout, MAILDIR_PLUSPLUS);
	assert_int_equal(c.ends[3].kind, CONFIG_MBOX);
	assert_string_equal(c.ends[3].mbox.path, "/home/jane/box");
	assert_int_equal(c.ends[3].mbox.variant, MBOX_O);
	assert_int_equal(c.ends[3].mbox.lock.order[0], MBOXLOCK_DOTLOCK);
	assert_int_equal(c.ends[3].mbox.lock.order[1], MBOXLOCK_NONE);
	assert_int_equal(c.ends[3].mbox.lock.timeout, 5000);
	j = config_job(&c, "one");
	assert_ptr_equal(j, &c.jobs[0]);
	assert_ptr_equal(j->left, &c.ends[0]);
	assert_ptr_equal(j->right, &c.ends[2]);
	assert_int_equal(j->every, 600);
	assert_int_equal(j->policy.keep, KEEP_AGE);
	assert_int_equal(j->policy.keep_seconds, 30 * 86400);
	assert_int_equal(j->policy.max_size, 5 << 20);
	assert_false(j->policy.no_remove);
	assert_string_equal(j->folder, "A/B");
	assert_int_equal(j->flags, FLAG_SEEN | FLAG_FLAGGED);
	assert_int_equal(j->purge_after, 100);
	assert_string_equal(j->on_new, "notify\n all");
	assert_string_equal(j->on_change, "y");
	assert_int_equal(j->on_timeout, 60);
	assert_false(j->unconfined);
	j = config_job(&c, "two");
	assert_int_equal(j->policy.keep, KEEP_YES);
	assert_int_equal(j->every, 0);
	assert_string_equal(j->folder, "");
	assert_null(j->on_new);
	j = config_job(&c, "three");
	assert_string_equal(j->right->maildir.path, "/var/mail/x");
	assert_string_equal(j->right->url, "maildir:/var/mail/x");
	assert_int_equal(j->right->maildir.layout, MAILDIR_NESTED);
	assert_null(config_job(&c, "four"));
	assert_string_equal(config_near_job(&c, "tow"), "; did you mean 'two'?");
	assert_int_equal(c.secrets.n, 3); /* password, and the proxy's twice */
	config_release(&c);
	assert_int_equal(c.n_ends, 0);
	config_release(&c);
	strbuf_release(&b);
}

static void imap_accounts(void **state)
{
	static const char text[] =
		"account work { url = 'imaps://jane@Mail.example.org' password = x disable-extensions = {qresync, \"utf8=accept\"} auth = {login} }\n"
		"account old { host = localhost user = jane protocol = imap tls = none compress = no prefix = 'INBOX.' timeout = 5s netrc = yes }\n";
	struct config c;
	struct err e = ERR_INIT;
	const struct imap_params *p;

	(void)state;
	if (config_load_text("t", slice_str(text), &c, NULL, &e) < 0)
		fail_msg("%s", e.text);
	assert_int_equal(c.n_ends, 2);
	assert_int_equal(c.ends[0].kind, CONFIG_IMAP);
	assert_true(c.ends[0].is_account);
	assert_string_equal(c.ends[0].url, "imaps://jane@mail.example.org:993");
	assert_true(c.ends[0].imap.compress);
	assert_null(c.ends[0].imap.prefix);
	p = &c.ends[0].imap.imap;
	assert_string_equal(p->what, "work");
	assert_string_equal(p->user, "jane");
	assert_string_equal(p->secret.literal, "x");
	assert_string_equal(p->auth[0], "LOGIN");
	assert_int_equal(p->disabled, IMAP_CAP_QRESYNC | IMAP_CAP_UTF8_ACCEPT);
	assert_int_equal(p->dial.security, DIAL_TLS);
	assert_true(p->secure);
	assert_ptr_equal(config_dial(&c.ends[0]), &p->dial);
	assert_ptr_equal(config_secret(&c.ends[0]), &p->secret);
	p = &c.ends[1].imap.imap;
	assert_string_equal(c.ends[1].url, "imap://jane@localhost:143");
	assert_false(c.ends[1].imap.compress);
	assert_string_equal(c.ends[1].imap.prefix, "INBOX.");
	assert_int_equal(p->dial.security, DIAL_PLAIN);
	assert_int_equal(p->dial.timeout, 5000);
	assert_true(p->secret.netrc);
	config_release(&c);
}

/* All that a two-way job may say. */
static void sync_jobs(void **state)
{
	static const char text[] =
		"account work { url = 'imaps://jane@mail.example.org' password = x }\n"
		"maildir home { path = /home/jane/Mail layout = maildir++ }\n"
		"sync one { remote = work local = home }\n"
		"sync two {\n"
		" folder 'Sent Items' { local = Sent max-size = 0 } every = 5m\n"
		" remote = work folder '@archive' { max-age = 30d }\n"
		" folders = {'*', '!Spam'} local = maildir:/x/y folders += '@sent'\n"
		" folder inbox { local = In/Box max-size = 1k max-age = 0s }\n"
		" max-size = 10M max-age = 1y max-delete = ' 50  and 10% ' delete = local create = remote remove-folders = none quarantine = 0 on-new = 'x' on-change = 'y' on-timeout = 90s sandbox = no\n"
		" idle = {INBOX, 'A/B'} gather = 2s\n"
		"}\n"
		"sync three { remote = maildir:/a local = maildir:/b trash = '@trash' remove-folders = both max-delete = none quarantine = 2w }\n"
		"sync four { remote = maildir:/a local = maildir:/c max-delete = 5% }\n";
	struct config c;
	struct err e = ERR_INIT;
	const struct config_job *j;
	const struct sync_params *p;

	(void)state;
	if (config_load_text("t", slice_str(text), &c, NULL, &e) < 0)
		fail_msg("%s", e.text);
	assert_int_equal(c.n_ends, 2);
	assert_int_equal(c.n_jobs, 4);
	j = &c.jobs[0];
	p = &j->sync;
	assert_int_equal(j->mode, CONFIG_SYNC);
	assert_ptr_equal(j->left, &c.ends[0]);
	assert_ptr_equal(j->right, &c.ends[1]);
	assert_string_equal(p->job, "one");
	assert_string_equal(p->right_name, "maildir:/home/jane/Mail");
	assert_int_equal(p->folders.n_take, 0);
	assert_int_equal(p->folders.n_rules, 0);
	assert_int_equal(p->del, SYNC_BOTH);
	assert_int_equal(p->create, SYNC_BOTH);
	assert_false(p->remove_folders);
	assert_int_equal(p->remove_where, SYNC_BOTH);
	assert_false(p->max_delete.none);
	assert_int_equal(p->max_delete.percent, 25);
	assert_int_equal(p->max_delete.count, 50);
	assert_int_equal(p->max_size, 0);
	assert_int_equal(p->max_age, 0);
	assert_null(p->trash);
	assert_int_equal(j->gather, 200);
	assert_int_equal(j->n_idle, 0);
	assert_int_equal(p->quarantine, 7 * 86400);
	assert_null(j->on_new);
	j = &c.jobs[1];
	p = &j->sync;
	assert_int_equal(j->every, 300);
	assert_string_equal(j->right->url, "maildir:/x/y");
	assert_string_equal(j->on_new, "x");
	assert_string_equal(j->on_change, "y");
	assert_int_equal(j->on_timeout, 90);
	assert_true(j->unconfined);
	assert_int_equal(p->folders.n_take, 3);
	assert_int_equal(p->folders.take[0].kind, BOXRULE_PATTERN);
	assert_true(p->folders.take[1].leave);
	assert_true(slice_eqs(p->folders.take[1].text, "Spam"));
	assert_int_equal(p->folders.take[2].kind, BOXRULE_ROLE);
	assert_int_equal(p->folders.n_rules, 3);
	assert_string_equal(p->folders.rules[0].name, "Sent Items");
	assert_string_equal(p->folders.rules[0].local, "Sent");
	assert_true(p->folders.rules[0].has_max_size);
	assert_int_equal(p->folders.rules[0].max_size, 0);
	assert_false(p->folders.rules[0].has_max_age);
	assert_string_equal(p->folders.rules[1].name, "@archive");
	assert_null(p->folders.rules[1].local);
	assert_false(p->folders.rules[1].has_max_size);
	assert_int_equal(p->folders.rules[1].max_age, 30 * 86400);
	assert_string_equal(p->folders.rules[2].name, "INBOX");
	assert_string_equal(p->folders.rules[2].local, "In/Box");
	assert_int_equal(p->folders.rules[2].max_size, 1024);
	assert_true(p->folders.rules[2].has_max_age);
	assert_int_equal(p->max_size, 10 << 20);
	assert_int_equal(p->max_age, 365 * 86400);
	assert_int_equal(j->gather, 2000);
	assert_int_equal(j->n_idle, 2);
	assert_string_equal(j->idle[1], "A/B");
	assert_int_equal(p->quarantine, 0);
	assert_int_equal(p->max_delete.percent, 10);
	assert_int_equal(p->max_delete.count, 50);
	assert_int_equal(p->del, SYNC_RIGHT);
	assert_int_equal(p->create, SYNC_LEFT);
	assert_true(p->remove_folders);
	assert_int_equal(p->remove_where, SYNC_NONE);
	p = &c.jobs[2].sync;
	assert_string_equal(p->trash, "@trash");
	assert_int_equal(p->quarantine, 14 * 86400);
	assert_true(p->max_delete.none);
	assert_true(p->remove_folders);
	assert_int_equal(p->remove_where, SYNC_BOTH);
	p = &c.jobs[3].sync;
	assert_int_equal(p->max_delete.percent, 5);
	assert_int_equal(p->max_delete.count, 0);
	config_release(&c);
}

/* All that a migration may say. */
/* Is a job of one text, by its name, what it is in another? */
static bool same_in(const char *one, const char *other)
{
	struct config a, b;
	struct err e = ERR_INIT;
	bool same;

	if (config_load_text("t", slice_str(one), &a, NULL, &e) < 0 || config_load_text("u", slice_str(other), &b, NULL, &e) < 0)
		fail_msg("%s", e.text);
	same = config_job_same(config_job(&a, "j"), config_job(&b, "j"));
	config_release(&a);
	config_release(&b);
	return same;
}

#define ACCOUNT "account a { url = 'imaps://jane@mail.example.org' password-command = 'x' }\n"
#define MAILDIR "maildir m { path = /m }\n"

/* How it is written, and where, makes no other job; what it says, and what its account, store and folders say, does. */
static void the_same_job(void **state)
{
	static const char text[] = ACCOUNT MAILDIR "sync j { remote = a local = m every = 1h folders = {'*', '!Spam'} folder X { local = Y } }\n";
	static const struct {
		const char *text;
		bool same;
	} others[] = {
		{ "# new\nsync k { remote = a local = maildir:/k }\n" MAILDIR "sync j { folder 'X' { local = 'Y' }\n every = 60m\nlocal = m remote = a folders = {'*'} folders += '!Spam' }\n" ACCOUNT, true },
		{ ACCOUNT MAILDIR "sync j { remote = a local = m every = 2h folders = {'*', '!Spam'} folder X { local = Y } }\n", false },
		{ ACCOUNT MAILDIR "sync j { remote = a local = m every = 1h folders = {'*'} folder X { local = Y } }\n", false },
		{ ACCOUNT MAILDIR "sync j { remote = a local = m every = 1h folders = {'*', '!Spam'} folder X { local = Z } }\n", false },
		{ ACCOUNT MAILDIR "sync j { remote = a local = m every = 1h folders = {'*', '!Spam'} }\n", false },
		{ ACCOUNT "maildir m { path = /n }\nsync j { remote = a local = m every = 1h folders = {'*', '!Spam'} folder X { local = Y } }\n", false },
		{ "account a { url = 'imaps://jane@mail.example.org' password-command = 'y' }\n" MAILDIR
		  "sync j { remote = a local = m every = 1h folders = {'*', '!Spam'} folder X { local = Y } }\n", false },
		{ ACCOUNT MAILDIR "migrate j { from = a to = m every = 1h folders = {'*', '!Spam'} folder X { to = Y } }\n", false },
	};

	(void)state;
	assert_true(same_in(text, text));
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		if (same_in(text, others[i].text) != others[i].same)
			fail_msg("%s", others[i].text);
	assert_false(same_in(ACCOUNT "sync j { remote = a local = maildir:/x }\n", ACCOUNT "sync j { remote = a local = maildir:/y }\n"));
}

static void migrate_jobs(void **state)
{
	static const char text[] =
		"account old { url = 'pop3s://jane@mail.example.org' password = x }\n"
		"account new { url = 'imaps://jane@mail.example.org' password = x }\n"
		"account third { url = 'imaps://jane@third.example.org' password = x }\n"
		"mbox box { path = /home/jane/box }\n"
		"migrate one { from = old to = new }\n"
		"migrate two { from = new to = third every = 1h folders = {'*', '!@junk'} folder 'Sent Items' { to = Sent } folder @archive { max-age = 30d }\n"
		" delete-source = yes max-size = 10M max-age = 1y on-new = 'x' on-change = 'y' on-timeout = 5m rate = 5M/s budget = 2g/D }\n"
		"migrate three { from = box to = new folder = 'INBOX/Old' }\n"
		"migrate four { from = third to = mbox:/y folder a { to = b } }\n"
		"sync five { remote = new local = maildir:/z }\n"
		"migrate six { from = mbox:/y to = maildir:/z }\n";
	struct config c;
	struct err e = ERR_INIT;
	const struct config_job *j;
	const struct sync_params *p;

	(void)state;
	if (config_load_text("t", slice_str(text), &c, NULL, &e) < 0)
		fail_msg("%s", e.text);
	assert_int_equal(c.n_jobs, 6);
	j = &c.jobs[0]; /* a server may show the same user's mail by both protocols */
	p = &j->sync;
	assert_int_equal(j->mode, CONFIG_MIGRATE);
	assert_true(config_two_way(j));
	assert_ptr_equal(j->left, &c.ends[0]);
	assert_ptr_equal(j->right, &c.ends[1]);
	assert_int_equal(j->every, 0);
	assert_int_equal(j->rate, 0);
	assert_int_equal(j->budget, 0);
	assert_null(j->on_new);
	assert_string_equal(p->job, "one");
	assert_string_equal(p->right_name, "imaps://jane@mail.example.org:993");
	assert_true(p->one_way);
	assert_false(p->delete_source);
	assert_int_equal(p->del, SYNC_NONE);
	assert_int_equal(p->create, SYNC_RIGHT);
	assert_false(p->remove_folders);
	assert_int_equal(p->remove_where, SYNC_NONE);
	assert_true(p->max_delete.none);
	assert_int_equal(p->quarantine, 0);
	assert_null(p->trash);
	assert_int_equal(p->max_size, 0);
	assert_int_equal(p->folders.n_take, 0);
	assert_int_equal(p->folders.n_rules, 0);
	j = &c.jobs[1];
	p = &j->sync;
	assert_int_equal(j->every, 3600);
	assert_string_equal(j->on_new, "x");
	assert_string_equal(j->on_change, "y");
	assert_int_equal(j->on_timeout, 300);
	assert_true(p->delete_source);
	assert_int_equal(j->rate, 5 << 20);
	assert_int_equal(j->budget, UINT64_C(2) << 30);
	assert_int_equal(p->max_size, 10 << 20);
	assert_int_equal(p->max_age, 365 * 86400);
	assert_int_equal(p->folders.n_take, 2);
	assert_int_equal(p->folders.n_rules, 2);
	assert_string_equal(p->folders.rules[0].name, "Sent Items");
	assert_string_equal(p->folders.rules[0].local, "Sent");
	assert_string_equal(p->folders.rules[1].name, "@archive");
	assert_null(p->folders.rules[1].local);
	assert_int_equal(p->folders.rules[1].max_age, 30 * 86400);
	p = &c.jobs[2].sync;
	assert_ptr_equal(c.jobs[2].left, &c.ends[3]);
	assert_int_equal(p->folders.n_rules, 1);
	assert_string_equal(p->folders.rules[0].name, "INBOX");
	assert_string_equal(p->folders.rules[0].local, "INBOX/Old");
	assert_string_equal(c.jobs[3].right->mbox.path, "/y");
	assert_string_equal(c.jobs[3].sync.folders.rules[0].local, "b");
	assert_int_equal(c.jobs[4].mode, CONFIG_SYNC);
	assert_false(c.jobs[4].sync.one_way);
	assert_string_equal(c.jobs[5].right->maildir.path, "/z");
	config_release(&c);
}

/* `migrate A B` */
static void adhoc_migrate(void **state)
{
	static const struct config_adhoc_opts opts = { .folder = "Old/Mail", .max_size = "1M" };
	static const struct {
		const char *a, *b, *folder, *says;
	} refused[] = {
		{ "pop3s://u@h", "pop3s://v@h", NULL, "to: 'pop3s://v@h' is a POP3 account" },
		{ "imaps://u@h", "imap://u@H", NULL, "same mailbox" },
		{ "maildir:/x", "mbox:/x/y", NULL, "lie one within the other" },
		{ "maildir:/x", "imaps://u@h", "A", "has folders of its own" },
		{ "pop3s://u@h", "imaps://u@h", "a//b", "folder" },
	};
	struct config c = { .arena = ARENA_INIT(1 << 20) };
	struct config_job j;
	struct err e = ERR_INIT;
	char *first;

	(void)state;
	setenv("HOME", "/none", 1);
	if (config_adhoc(&c, CONFIG_MIGRATE, "pop3s://u@h", "imaps://u@h", &opts, &j, &e) < 0)
		fail_msg("%s", e.text);
	assert_int_equal(j.mode, CONFIG_MIGRATE);
	assert_int_equal(j.left->kind, CONFIG_POP3);
	assert_int_equal(j.right->kind, CONFIG_IMAP);
	assert_int_equal(strncmp(j.name, "migrate-", 8), 0);
	assert_int_equal(strlen(j.name), 8 + 12);
	assert_string_equal(j.sync.job, j.name);
	assert_true(j.sync.one_way);
	assert_false(j.sync.delete_source);
	assert_int_equal(j.sync.max_size, 1 << 20);
	assert_string_equal(j.sync.folders.rules[0].local, "Old/Mail");
	first = strdup(j.name);
	assert_int_equal(config_adhoc(&c, CONFIG_MIGRATE, "pop3s://u@h", "imaps://u@h", NULL, &j, &e), 0);
	assert_string_equal(j.name, first);
	assert_int_equal(j.sync.folders.n_rules, 0);
	free(first);
	for (size_t i = 0; i < COUNT(refused); i++) {
		const struct config_adhoc_opts o = { .folder = refused[i].folder };

		err_clear(&e);
		if (config_adhoc(&c, CONFIG_MIGRATE, refused[i].a, refused[i].b, &o, &j, &e) == 0 || !strstr(e.text, refused[i].says))
			fail_msg("%s %s: '%s' instead of '%s'", refused[i].a, refused[i].b, e.text, refused[i].says);
	}
	config_release(&c);
}

static void plaintext_needs_a_reason(void **state)
{
	static const struct {
		const char *keys;
		enum dial_tls security;
		bool secure;
	} rows[] = {
		{ "url = 'pop3s://u@h'", DIAL_TLS, true },
		{ "url = 'pop3s://u@h' tls = implicit", DIAL_TLS, true },
		{ "url = 'pop3://u@h'", DIAL_STARTTLS, true },
		{ "url = 'pop3://u@h' tls = starttls", DIAL_STARTTLS, true },
		{ "url = 'pop3://u@127.0.0.1' tls = none", DIAL_PLAIN, true },
		{ "url = 'pop3://u@[::1]' tls = none", DIAL_PLAIN, true },
		{ "url = 'pop3://u@h' tls = none tunnel = 'ssh -W %h:%p gate'", DIAL_PLAIN, true },
		{ "url = 'pop3://u@h' tls = none allow-plaintext = yes", DIAL_PLAIN, true },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		char text[300];
		struct config c;
		struct err e = ERR_INIT;

		snprintf(text, sizeof(text), "account a { %s }", rows[i].keys);
		if (config_load_text("t", slice_str(text), &c, NULL, &e) < 0)
			fail_msg("%s: %s", text, e.text);
		assert_int_equal(c.ends[0].pop3.pop3.dial.security, rows[i].security);
		assert_int_equal(c.ends[0].pop3.pop3.secure, rows[i].secure);
		config_release(&c);
	}
}

/* Write a file of the scratch directory. */
static const char *put(const char *dir, const char *name, mode_t mode, const char *text)
{
	const char *path = scratch_path(dir, name);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
	return path;
}

/* Load a file of the scratch directory; what it says must end so, each time behind the directory. */
static void expect_file(const char *dir, const char *name, enum err_kind kind, const char *says)
{
	struct strbuf b = STRBUF_INIT(CONFIG_PROBLEMS_MAX);
	struct config c;
	struct err e = ERR_INIT;
	char path[4096], want[4096];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	if (config_load(path, &c, &b, &e) == 0)
		assert_string_equal(says, "");
	snprintf(want, sizeof(want), "%s", says);
	for (char *at; (at = strstr(want, "@/"));) {
		char rest[4096];

		snprintf(rest, sizeof(rest), "%s", at + 1);
		snprintf(at, sizeof(want) - (size_t)(at - want), "%s%s", dir, rest);
	}
	assert_string_equal(strbuf_str(&b), want);
	assert_int_equal(e.kind, kind);
	config_release(&c);
	strbuf_release(&b);
}

static void modes_of_files(void **state)
{
	char *dir = scratch_make();
	char text[4200];

	(void)state;
	put(dir, "w", 0666, ACC);
	expect_file(dir, "w", ERR_PERM, "@/w can be written by others (mode 0666), who could make mailhaul run commands as you (chmod go-w @/w)\n");
	put(dir, "g", 0660, ACC);
	expect_file(dir, "g", ERR_PERM, "@/g can be written by others (mode 0660), who could make mailhaul run commands as you (chmod go-w @/g)\n");
	put(dir, "r", 0644, ACC);
	expect_file(dir, "r", ERR_NONE, "");
	put(dir, "p", 0644, "account a {\n url = 'pop3s://u@h'\n password = x }\n");
	expect_file(dir, "p", ERR_PERM, "@/p:3: password stands in a file that others can read (mode 0644); chmod 600 @/p, or use password-command\n");
	put(dir, "p", 0640, "account a {\n url = 'pop3s://u@h'\n proxy = 'socks5://u:p@h' }\n");
	expect_file(dir, "p", ERR_PERM, "@/p:3: proxy stands in a file that others can read (mode 0640); chmod 600 @/p, or use password-command\n");
	put(dir, "p", 0600, "account a {\n url = 'pop3s://u@h'\n password = x }\n");
	expect_file(dir, "p", ERR_NONE, "");
	put(dir, "secret", 0644, "x\n");
	snprintf(text, sizeof(text), "account a {\n url = 'pop3s://u@h'\n password-file = '%s/secret' }\n", dir);
	put(dir, "f", 0600, text);
	expect_file(dir, "f", ERR_PERM, "@/f:3: password-file: @/secret is open to others (mode 0644) (chmod 600 @/secret)\n");
	put(dir, "secret", 0600, "x\n");
	expect_file(dir, "f", ERR_NONE, "");
	expect_file(dir, "none", ERR_CONF, "can't open @/none: No such file or directory\n");
	assert_int_equal(mkfifo(scratch_path(dir, "fifo"), 0600), 0);
	expect_file(dir, "fifo", ERR_CONF, "@/fifo is not a regular file\n");
	/* modes and something else: it is the configuration that is wrong */
	put(dir, "m", 0644, "account a {\n url = 'pop3s://u@h'\n password = x }\nfetch f { from = a to = b }\n");
	expect_file(dir, "m", ERR_CONF,
		    "@/m:3: password stands in a file that others can read (mode 0644); chmod 600 @/m, or use password-command\n"
		    "@/m:4: to: there is no account or store 'b'; defined: a\n");
	scratch_remove(dir);
}

static void a_large_file_is_refused(void **state)
{
	char *dir = scratch_make();
	const char *path = put(dir, "big", 0600, "# x\n");
	struct config c;
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(truncate(path, (1 << 20) + 1), 0);
	assert_int_equal(config_load(path, &c, NULL, &e), -1);
	assert_non_null(strstr(e.text, "is larger than 1048576 bytes"));
	config_release(&c);
	scratch_remove(dir);
}

static void includes(void **state)
{
	char *dir = scratch_make();
	char text[64];

	(void)state;
	assert_int_equal(mkdir(scratch_path(dir, "sub"), 0700), 0);
	put(dir, "main", 0600, "include('sub/one')\nfetch f { from = a to = m }\nfrob x { }\ninclude(\"none\")\n");
	put(dir, "sub/one", 0600, "include(two)\n\naccount a { ulr = x }\n");
	put(dir, "sub/two", 0600, "mbox m { path = /x lock = {a} }\n");
	expect_file(dir, "main", ERR_CONF,
		    "@/main:3: unknown section 'frob'; there are account, maildir, mbox, fetch, sync or migrate\n"
		    "@/main:4: can't open @/none: No such file or directory\n"
		    "@/sub/one:3: unknown key 'ulr' in account; did you mean 'url'?\n"
		    "@/sub/two:1: lock knows no 'a'; allowed: fcntl or dotlock\n");
	put(dir, "main", 0600, "include('sub/one')\nfetch f { from = a to = m }\n");
	put(dir, "sub/one", 0600, "include(two) account a { url = 'pop3s://u@h' }\n");
	put(dir, "sub/two", 0600, "mbox m { path = /x }\n");
	expect_file(dir, "main", ERR_NONE, "");
	put(dir, "sub/two", 0600, "mbox m { path = /x }\n\naccount a { url = 'pop3s://v@h' }\n");
	expect_file(dir, "main", ERR_CONF, "@/sub/one:1: the name 'a' is taken already, in @/sub/two:3\n");
	put(dir, "sub/two", 0600, "mbox m { path = /x }\ninclude('../main')");
	expect_file(dir, "main", ERR_CONF, "@/sub/two:2: @/sub/../main is included a second time; it is read once\n");
	put(dir, "sub/two", 0606, "mbox m { path = /x }\n");
	expect_file(dir, "main", ERR_CONF,
		    "@/main:2: to: there is no account or store 'm'; defined: a\n"
		    "@/sub/one:1: @/sub/two can be written by others (mode 0606), who could make mailhaul run commands as you (chmod go-w @/sub/two)\n");
	for (int i = 0; i < 12; i++) {
		char name[8];

		snprintf(name, sizeof(name), "d%d", i);
		snprintf(text, sizeof(text), "include(d%d)\n", i + 1);
		put(dir, name, 0600, text);
	}
	expect_file(dir, "d0", ERR_CONF, "@/d8:1: includes are nested more than 8 deep\n");
	scratch_remove(dir);
}

static void default_places(void **state)
{
	char *dir = scratch_make();
	struct config c;
	struct err e = ERR_INIT;

	(void)state;
	setenv("HOME", dir, 1);
	unsetenv("XDG_CONFIG_HOME");
	if (access("/etc/mailhaul.conf", F_OK) != 0) {
		struct strbuf b = STRBUF_INIT(1000);

		assert_null(config_find());
		assert_int_equal(config_load(NULL, &c, &b, &e), -1);
		assert_int_equal(e.kind, ERR_CONF);
		assert_non_null(strstr(strbuf_str(&b), "there is no configuration; write ~/.config/mailhaul/mailhaul.conf"));
		config_release(&c);
		strbuf_release(&b);
	}
	assert_int_equal(mkdir(scratch_path(dir, ".config"), 0700), 0);
	assert_int_equal(mkdir(scratch_path(dir, ".config/mailhaul"), 0700), 0);
	put(dir, ".config/mailhaul/mailhaul.conf", 0600, ACC);
	assert_string_equal(config_find(), scratch_path(dir, ".config/mailhaul/mailhaul.conf"));
	assert_int_equal(config_load(NULL, &c, NULL, &e), 0);
	assert_string_equal(c.path, config_find());
	config_release(&c);
	setenv("XDG_CONFIG_HOME", scratch_path(dir, "xdg"), 1);
	assert_string_equal(config_find(), scratch_path(dir, ".config/mailhaul/mailhaul.conf"));
	assert_int_equal(mkdir(scratch_path(dir, "xdg"), 0700), 0);
	assert_int_equal(mkdir(scratch_path(dir, "xdg/mailhaul"), 0700), 0);
	put(dir, "xdg/mailhaul/mailhaul.conf", 0600, ACC);
	assert_string_equal(config_find(), scratch_path(dir, "xdg/mailhaul/mailhaul.conf"));
	unsetenv("XDG_CONFIG_HOME");
	scratch_remove(dir);
}

/* An ad hoc job's name is its state: the same places, however written, must give the same. */
static void adhoc(void **state)
{
	static const struct config_adhoc_opts opts = { .keep = "7d", .max_size = "1k", .folder = "X" };
	static const char *const ways[] = { "/link/Mail", "//real/Mail/", "/real/./Mail", "/link/../real/Mail", "/real/Mail/../Mail/." };
	char *dir = scratch_make();
	char cwd[4096], spec[4200];
	struct config c;
	struct config_job j, k;
	struct err e = ERR_INIT;

	(void)state;
	setenv("HOME", dir, 1);
	unsetenv("NETRC");
	assert_int_equal(config_load_text("t", slice_str("account a { url = 'pop3s://u@h' }\nmbox m { path = /x/m }"), &c, NULL, &e), 0);
	assert_int_equal(config_adhoc(&c, CONFIG_FETCH, "pop3s://u@H:0995/", "mbox:/x/m", NULL, &j, &e), 0);
	assert_int_equal(strlen(j.name), strlen("fetch-") + 12);
	assert_int_equal(strncmp(j.name, "fetch-", 6), 0);
	assert_int_equal(strspn(j.name + 6, "0123456789abcdef"), 12);
	assert_string_equal(j.left->pop3.pop3.what, "pop3s://u@h:995");
	assert_false(j.left->pop3.pop3.secret.netrc);
	assert_int_equal(j.policy.keep, KEEP_NO);
	assert_string_equal(j.folder, "");
	assert_int_equal(config_adhoc(&c, CONFIG_FETCH, "a", "m", &opts, &k, &e), -1); /* an mbox has no folders */
	assert_non_null(strstr(e.text, "an mbox has no folders"));
	assert_int_equal(config_adhoc(&c, CONFIG_FETCH, "a", "m", NULL, &k, &e), 0);
	assert_string_equal(j.name, k.name);
	assert_int_equal(config_adhoc(&c, CONFIG_FETCH, "a", "maildir:/x/m", &opts, &k, &e), 0);
	assert_string_not_equal(j.name, k.name);
	assert_int_equal(k.policy.keep_seconds, 7 * 86400);
	assert_int_equal(k.policy.max_size, 1024);
	assert_string_equal(k.folder, "X");
	assert_int_equal(config_adhoc(&c, CONFIG_FETCH, "pop3s://v@h", "mbox:/x/m", NULL, &k, &e), 0);
	assert_string_not_equal(j.name, k.name);
	/* a relative path begins where the person is */
	assert_non_null(getcwd(cwd, sizeof(cwd)));
	assert_int_equal(config_adhoc(&c, CONFIG_FETCH, "a", "mbox:./box", NULL, &j, &e), 0);
	snprintf(spec, sizeof(spec), "mbox:%s/box", cwd);
	assert_int_equal(config_adhoc(&c, CONFIG_FETCH, "a", spec, NULL, &k, &e), 0);
	assert_string_equal(j.right->mbox.path, k.right->mbox.path);
	assert_string_equal(j.name, k.name);
	assert_null(j.former);
	/* and however the way there is written */
	assert_int_equal(mkdir(scratch_path(dir, "real"), 0700), 0);
	assert_int_equal(symlink("real", scratch_path(dir, "link")), 0);
	snprintf(spec, sizeof(spec), "maildir:%s/real/Mail", dir);
	assert_int_equal(config_adhoc(&c, CONFIG_FETCH, "a", spec, NULL, &j, &e), 0);
	for (size_t i = 0; i < COUNT(ways); i++) {
		snprintf(spec, sizeof(spec), "maildir:%s%s", dir, ways[i]);
		assert_int_equal(config_adhoc(&c, CONFIG_FETCH, "a", spec, NULL, &k, &e), 0);
		assert_string_equal(j.name, k.name);
		assert_non_null(k.former);
		assert_string_not_equal(k.former, k.name);
		assert_int_equal(config_adhoc(&c, CONFIG_SYNC, spec, "maildir:/x/m", NULL, &k, &e), 0);
		assert_string_equal(k.left->maildir.path + strlen(dir), "/real/Mail");
	}
	put(dir, ".netrc", 0600, "machine h login u password p\n");
	assert_int_equal(config_adhoc(&c, CONFIG_FETCH, "pop3s://u@h", "mbox:/x/m", NULL, &j, &e), 0);
	assert_true(j.left->pop3.pop3.secret.netrc);
	assert_int_equal(config_adhoc(&c, CONFIG_FETCH, "pop3s://v@h", "mbox:/x/m", NULL, &j, &e), 0);
	assert_false(j.left->pop3.pop3.secret.netrc);
	put(dir, ".netrc", 0644, "machine h login u password p\n");
	assert_int_equal(config_adhoc(&c, CONFIG_FETCH, "pop3s://u@h", "mbox:/x/m", NULL, &j, &e), -1);
	assert_int_equal(e.kind, ERR_PERM);
	config_release(&c);
	scratch_remove(dir);
}

static void adhoc_sync(void **state)
{
	static const struct {
		const char *a, *b;
		enum err_kind kind;
		const char *says;
	} rows[] = {
		{ "pop3s://u@h", "maildir:/x", ERR_CONF, "is a POP3 account, which can't be synced" },
		{ "mbox:/x/y", "maildir:/x", ERR_CONF, "lie one within the other" },
		{ "maildir:/x", "imaps://u@h", ERR_CONF, "local: a local store is wanted here, not a server" },
		{ "i", "i", ERR_CONF, "local: 'i' is the mailbox that 'i' is" },
		{ "maildir:/x", "maildir:/x/y", ERR_CONF, "lie one within the other" },
		{ "imaps://h", "maildir:/x", ERR_CONF, "has no user; the url can say it: imaps://user@h" },
		{ "j", "maildir:/x", ERR_CONF, "remote: there is no account or store 'j'" },
	};
	struct config c;
	struct config_job j, k;
	struct err e = ERR_INIT;

	(void)state;
	setenv("HOME", "/nonexistent", 1);
	assert_int_equal(config_load_text("t", slice_str(IMAP "maildir m { path = /x }\n"), &c, NULL, &e), 0);
	assert_int_equal(config_adhoc(&c, CONFIG_SYNC, "imaps://u@H", "maildir:/x", NULL, &j, &e), 0);
	assert_int_equal(j.mode, CONFIG_SYNC);
	assert_int_equal(strncmp(j.name, "sync-", 5), 0);
	assert_int_equal(strlen(j.name), strlen("sync-") + 12);
	assert_string_equal(j.sync.job, j.name);
	assert_string_equal(j.sync.right_name, "maildir:/x");
	assert_int_equal(j.sync.max_delete.percent, 25);
	assert_string_equal(j.left->imap.imap.what, "imaps://u@h:993");
	assert_int_equal(config_adhoc(&c, CONFIG_SYNC, "i", "m", NULL, &k, &e), 0);
	assert_string_equal(j.name, k.name);
	assert_int_equal(config_adhoc(&c, CONFIG_SYNC, "imaps://u@h", "mbox:/x", NULL, &k, &e), 0);
	assert_string_equal(k.sync.right_name, "mbox:/x");
	assert_int_equal(k.sync.quarantine, 0);
	assert_int_equal(config_adhoc(&c, CONFIG_SYNC, "maildir:/y", "m", NULL, &k, &e), 0);
	assert_string_not_equal(j.name, k.name);
	for (size_t i = 0; i < COUNT(rows); i++) {
		err_clear(&e);
		assert_int_equal(config_adhoc(&c, CONFIG_SYNC, rows[i].a, rows[i].b, NULL, &j, &e), -1);
		if (!strstr(e.text, rows[i].says))
			fail_msg("%s %s: '%s' does not say '%s'", rows[i].a, rows[i].b, e.text, rows[i].says);
		assert_int_equal(e.kind, rows[i].kind);
	}
	config_release(&c);
}

static void adhoc_refusals(void **state)
{
	static const struct {
		const char *a, *b, *keep;
		enum err_kind kind;
		const char *says;
	} rows[] = {
		{ "nope", "mbox:/x", NULL, ERR_CONF, "from: there is no account or store 'nope'; none is defined" },
		{ "mbox:/x", "mbox:/y", NULL, ERR_USAGE, "from: 'mbox:/x' is a local store; an account is wanted" },
		{ "imaps://u@h", "mbox:/y", NULL, ERR_CONF, "from: 'imaps://u@h' is an IMAP account, which fetch can't take mail from in this version" },
		{ "pop3s://u:p@h", "mbox:/y", NULL, ERR_CONF, "a password can't stand in a URL" },
		{ "pop3s://h", "mbox:/y", NULL, ERR_CONF, "has no user; the url can say it: pop3s://user@h" },
		{ "pop3s://u@h", "pop3s://u@h", NULL, ERR_CONF, "to: a local store is wanted here, not a server" },
		{ "pop3s://u@h", "Mail", NULL, ERR_CONF, "to: there is no account or store 'Mail'" },
		{ "pop3s://u@h", "./Mail", NULL, ERR_CONF, "to: this is no URL" },
		{ "pop3s://u@h", "mbox:/x", "soon", ERR_CONF, "keep = soon is not understood" },
	};

	(void)state;
	setenv("HOME", "/nonexistent", 1);
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct config_adhoc_opts opts = { .keep = rows[i].keep };
		struct config c = { 0 };
		struct config_job j;
		struct err e = ERR_INIT;

		assert_int_equal(config_adhoc(&c, CONFIG_FETCH, rows[i].a, rows[i].b, &opts, &j, &e), -1);
		if (!strstr(e.text, rows[i].says))
			fail_msg("%s %s: '%s' does not say '%s'", rows[i].a, rows[i].b, e.text, rows[i].says);
		assert_int_equal(e.kind, rows[i].kind);
		config_release(&c);
	}
}

static void account_by_name_or_url(void **state)
{
	struct config c;
	struct err e = ERR_INIT;
	const struct config_end *end;

	(void)state;
	setenv("HOME", "/nonexistent", 1);
	assert_int_equal(config_load_text("t", slice_str("account isp { url = 'pop3s://u@h' }\nmbox m { path = /x }"), &c, NULL, &e), 0);
	assert_ptr_equal(config_account(&c, "isp", &e), &c.ends[0]);
	end = config_account(&c, "pop3://v@[::1]:1110", &e);
	assert_non_null(end);
	assert_string_equal(end->pop3.pop3.dial.host, "::1");
	assert_int_equal(end->pop3.pop3.dial.security, DIAL_STARTTLS);
	assert_null(config_account(&c, "ips", &e));
	assert_string_equal(e.text, "account: there is no account or store 'ips'; did you mean 'isp'?");
	assert_null(config_account(&c, "m", &e));
	assert_int_equal(e.kind, ERR_USAGE);
	config_release(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_problem_is_said), cmocka_unit_test(number_of_problems), cmocka_unit_test(a_flood_is_bounded),
		cmocka_unit_test(nul_is_refused), cmocka_unit_test(top_level), cmocka_unit_test(limits_of_runs), cmocka_unit_test(the_whole_of_it), cmocka_unit_test(plaintext_needs_a_reason),
		cmocka_unit_test(modes_of_files), cmocka_unit_test(a_large_file_is_refused), cmocka_unit_test(includes),
		cmocka_unit_test(default_places), cmocka_unit_test(adhoc), cmocka_unit_test(adhoc_refusals), cmocka_unit_test(account_by_name_or_url),
		cmocka_unit_test(imap_accounts), cmocka_unit_test(sync_jobs), cmocka_unit_test(adhoc_sync), cmocka_unit_test(the_same_job), cmocka_unit_test(migrate_jobs), cmocka_unit_test(adhoc_migrate),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
