/* Capabilities: see capa.h. */
#include "imap/capa.h"

#include <string.h>

#define CAP(b, n, r, u, w, ...) \
	{ .bit = b, .name = n, .rfc = r, .used_for = u, .without = w, __VA_ARGS__ }
#define REV2 .rev2 = true

static const struct imap_capinfo table[] = {
	CAP(IMAP_CAP_REV1, "IMAP4rev1", "3501", "everything", "the server must speak IMAP4rev2",
		.fixed = true),
	CAP(IMAP_CAP_REV2, "IMAP4rev2", "9051",
		"what it folds in, from servers that speak nothing older", "IMAP4rev1 is spoken"),
	CAP(IMAP_CAP_STARTTLS, "STARTTLS", "3501", "encrypting a connection that began in clear",
		"imap:// is refused unless tls = none"),
	CAP(IMAP_CAP_LOGINDISABLED, "LOGINDISABLED", "3501", "never saying a password by LOGIN",
		"LOGIN where no SASL mechanism fits and the link is secure", .fixed = true),
	CAP(IMAP_CAP_AUTH, "AUTH", "3501", "login by the strongest mechanism that is offered",
		"login by the LOGIN command"),
	CAP(IMAP_CAP_SASL_IR, "SASL-IR", "4959", "login in one round trip", "one more", REV2,
		.needs = IMAP_CAP_AUTH),
	CAP(IMAP_CAP_ID, "ID", "2971", "telling the server who calls, which some insist on",
		"nothing"),
	CAP(IMAP_CAP_ENABLE, "ENABLE", "5161", "switching QRESYNC and UTF8=ACCEPT on",
		"both are not used", REV2),
	CAP(IMAP_CAP_LITERAL_PLUS, "LITERAL+", "7888", "sending messages without asking first",
		"one round trip for each message that is sent"),
	CAP(IMAP_CAP_LITERAL_MINUS, "LITERAL-", "7888", "the same for messages of up to 4 kB",
		"one round trip for each message that is sent", REV2),
	CAP(IMAP_CAP_UIDPLUS, "UIDPLUS", "4315",
		"removing none but our own; knowing what an uploaded message is called",
		"nothing is expunged while others' deleted messages stand in the folder; uploads are "
		"searched for", REV2),
	CAP(IMAP_CAP_CONDSTORE, "CONDSTORE", "7162", "asking for changed flags only",
		"the flags of all messages are read where a folder may have changed"),
	CAP(IMAP_CAP_QRESYNC, "QRESYNC", "7162",
		"being told what changed and vanished when a folder is opened",
		"CONDSTORE, and a search when messages have gone",
	  .needs = IMAP_CAP_ENABLE | IMAP_CAP_CONDSTORE),
	CAP(IMAP_CAP_ESEARCH, "ESEARCH", "4731", "a short answer to which messages there are",
		"a long one", REV2),
	CAP(IMAP_CAP_LIST_EXTENDED, "LIST-EXTENDED", "5258",
		"folders and subscriptions in one list", "LIST and LSUB", REV2),
	CAP(IMAP_CAP_LIST_STATUS, "LIST-STATUS", "5819", "the state of all folders in one command",
		"STATUS for each folder, all in flight together", REV2,
		.needs = IMAP_CAP_LIST_EXTENDED),
	CAP(IMAP_CAP_STATUS_SIZE, "STATUS=SIZE", "8438",
		"the sizes of folders in `list`", "they are counted in messages only", REV2),
	CAP(IMAP_CAP_SPECIAL_USE, "SPECIAL-USE", "6154",
		"finding Sent, Trash, Drafts ... whatever they are called",
		"`@sent` and the like find what LIST tells all the same, else nothing", REV2),
	CAP(IMAP_CAP_CREATE_SPECIAL, "CREATE-SPECIAL-USE", "6154",
		"giving new folders the role that the other side says they have (a Maildir says none)",
		"they get their name only", .needs = IMAP_CAP_SPECIAL_USE),
	CAP(IMAP_CAP_NAMESPACE, "NAMESPACE", "2342", "knowing where one's own folders begin",
		"they begin at the root", REV2),
	CAP(IMAP_CAP_MOVE, "MOVE", "6851", "moving messages in one step", "COPY, then removal",
		REV2),
	CAP(IMAP_CAP_MULTIAPPEND, "MULTIAPPEND", "3502", "sending many messages as one",
		"one command for each"),
	CAP(IMAP_CAP_BINARY, "BINARY", "3516", "sending messages that hold NUL bytes",
		"they are not sent"),
	CAP(IMAP_CAP_COMPRESS, "COMPRESS=DEFLATE", "4978", "compressing what flows",
		"it flows as it is"),
	CAP(IMAP_CAP_APPENDLIMIT, "APPENDLIMIT", "7889", "not sending what is too long anyway",
		"the server refuses it after it was sent"),
	CAP(IMAP_CAP_OBJECTID, "OBJECTID", "8474",
		"knowing a renamed folder, one that was made anew under its old name, and a message in "
		"whatever folder",
		"folders are known by UIDVALIDITY and what is in them, messages by size, Message-ID and "
		"date"),
	CAP(IMAP_CAP_UNSELECT, "UNSELECT", "3691", "leaving a folder without expunging",
		"the folder is opened for reading only, then closed", REV2),
	CAP(IMAP_CAP_UTF8_ACCEPT, "UTF8=ACCEPT", "6855",
		"getting internationalised messages and names as they are",
		"names in modified UTF-7; the server may give a downgraded form of messages",
	  .needs = IMAP_CAP_ENABLE),
	CAP(IMAP_CAP_GMAIL, "X-GM-EXT-1", "",
		"fetching a message under many labels once; taking one label away, not all; seeing "
		"whether what was uploaded is there",
		"a message is one in each folder; what is moved to the trash is there alone"),
	CAP(IMAP_CAP_IDLE, "IDLE", "2177",
		"being told at once, while watching, what happens in the inbox and the folders that are named",
		"folders are asked for at intervals", REV2),
	CAP(IMAP_CAP_NOTIFY, "NOTIFY", "5465",
		"being told at once, while watching, what happens in any folder",
		"IDLE; other folders are asked for at intervals"),
};

#define ROWS (sizeof(table) / sizeof(table[0]))

/* The table, for who shows it. */
const struct imap_capinfo *imap_capinfo(size_t *n)
{
	*n = ROWS;
	return table;
}

/* Nothing was said yet. */
void imap_caps_begin(struct imap_caps *caps)
{
	*caps = (struct imap_caps){ 0 };
}

/* Add a mechanism's name; what can't be one is left out. */
static void take_mech(struct imap_caps *caps, struct slice name)
{
	static const char letters[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	size_t n = strlen(caps->auth);

	if (name.n == 0 || name.n > 64 || n + name.n + 2 > sizeof(caps->auth))
		return;
	for (size_t i = 0; i < name.n; i++)
		if (name.p[i] == '\0' || !strchr(letters, name.p[i]))
			return;
	if (n > 0)
		caps->auth[n++] = ' ';
	memcpy(caps->auth + n, name.p, name.n);
	caps->auth[n + name.n] = '\0';
	caps->have |= IMAP_CAP_AUTH;
}

/* One word. */
void imap_caps_word(struct imap_caps *caps, struct slice word)
{
	static const char auth[] = "AUTH=", limit[] = "APPENDLIMIT=";

	if (slice_istarts(word, auth)) {
		take_mech(caps, slice_of(word.p + sizeof(auth) - 1, word.n - (sizeof(auth) - 1)));
	} else if (slice_istarts(word, limit)) {
		caps->have |= IMAP_CAP_APPENDLIMIT;
		slice_u64(slice_of(word.p + sizeof(limit) - 1, word.n - (sizeof(limit) - 1)),
			UINT64_MAX - 1, &caps->append_limit);
	} else if (slice_ieqs(word, "UTF8=ONLY")) {
		caps->have |= IMAP_CAP_UTF8_ACCEPT;
		caps->utf8_only = true;
	} else {
		for (size_t i = 0; i < ROWS; i++)
			if (table[i].bit != IMAP_CAP_AUTH && slice_ieqs(word, table[i].name))
				caps->have |= table[i].bit;
	}
}

/*
 * What IMAP4rev2 brings along, as far as it may be used before it is enabled (RFC 9051 section
 * 6.3.1 and appendix A).
 */
static unsigned folded_in(unsigned have)
{
	unsigned more = 0;

	if (!(have & IMAP_CAP_REV2))
		return 0;
	if (have & IMAP_CAP_REV1)
		return IMAP_CAP_ENABLE;
	for (size_t i = 0; i < ROWS; i++)
		if (table[i].rev2)
			more |= table[i].bit;
	return more;
}

/* All words were given. */
void imap_caps_end(struct imap_caps *caps, unsigned disabled)
{
	unsigned before;

	caps->known = true;
	if (caps->have & IMAP_CAP_QRESYNC)
		/* RFC 7162 section 3.2.1 asks for it; some list only one */
		caps->have |= IMAP_CAP_CONDSTORE;
	caps->have |= folded_in(caps->have);
	for (size_t i = 0; i < ROWS; i++)
		if ((disabled & table[i].bit) && !table[i].fixed)
			caps->have &= ~(unsigned)table[i].bit;
	do {
		before = caps->have;
		for (size_t i = 0; i < ROWS; i++)
			if ((caps->have & table[i].needs) != table[i].needs)
				caps->have &= ~(unsigned)table[i].bit;
	} while (caps->have != before);
	if (!(caps->have & IMAP_CAP_AUTH))
		caps->auth[0] = '\0';
	if (!(caps->have & IMAP_CAP_APPENDLIMIT))
		caps->append_limit = 0;
	if (!(caps->have & IMAP_CAP_UTF8_ACCEPT))
		caps->utf8_only = false;
}

/* And back to words. */
int imap_caps_print(const struct imap_caps *caps, struct strbuf *out)
{
	struct slice rest = slice_str(caps->auth), mech;
	const char *blank = "";

	for (size_t i = 0; i < ROWS; i++) {
		if (!(caps->have & table[i].bit) || table[i].bit == IMAP_CAP_AUTH)
			continue;
		strbuf_printf(out, "%s%s", blank,
			table[i].bit == IMAP_CAP_UTF8_ACCEPT && caps->utf8_only ? "UTF8=ONLY" : table[i].name);
		if (table[i].bit == IMAP_CAP_APPENDLIMIT && caps->append_limit > 0)
			strbuf_printf(out, "=%llu", (unsigned long long)caps->append_limit);
		blank = " ";
	}
	while ((mech = slice_word(&rest)).n > 0) {
		strbuf_printf(out, "%sAUTH=%.*s", blank, (int)mech.n, mech.p);
		blank = " ";
	}
	return out->failed ? -1 : 0;
}
