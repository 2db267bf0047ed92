/* What servers say, real ones and hostile ones, whatever the split. */
#include "../../lib/unit.h"

#include "../../lib/imapdump.h"

static const struct {
	const char *wire, *shown;
} good[] = {
	/* greetings and status responses */
	{ "* OK [CAPABILITY IMAP4rev1 SASL-IR LOGIN-REFERRALS ID ENABLE IDLE LITERAL+ STARTTLS AUTH=PLAIN] Dovecot ready.\r\n",
	  "* OK CAPABILITY=\"IMAP4rev1\",\"SASL-IR\",\"LOGIN-REFERRALS\",\"ID\",\"ENABLE\",\"IDLE\",\"LITERAL+\",\"STARTTLS\",\"AUTH=PLAIN\" \"Dovecot ready.\"" },
	{ "* OK Gimap ready for requests from 192.0.2.1 x42\r\n", "* OK \"Gimap ready for requests from 192.0.2.1 x42\"" },
	{ "* PREAUTH [CAPABILITY IMAP4rev1 ] hello\r\n", "* PREAUTH CAPABILITY=\"IMAP4rev1\" \"hello\"" },
	{ "* BYE [UNAVAILABLE] Temporary System Error\r\n", "* BYE UNAVAILABLE \"Temporary System Error\"" },
	{ "* OK\r\n", "* OK \"\"" },
	{ "* OK \r\n", "* OK \"\"" },
	{ "* ok [alert] Upgrade\n", "* OK ALERT \"Upgrade\"" },
	{ "* NO [ALERT] \x1b[31mred\r\n", "* NO ALERT \"\\x1b[31mred\"" },
	{ "* OK [ALERT]\r\n", "* OK ALERT \"\"" },
	{ "* OK [HIGHESTMODSEQ 9223372036854775807]\r\n", "* OK HIGHESTMODSEQ=9223372036854775807 \"\"" },
	{ "* OK [HIGHESTMODSEQ 9223372036854775808] x\r\n", "* OK other=\"HIGHESTMODSEQ 9223372036854775808\" \"x\"" },
	{ "* OK [NOMODSEQ] Sorry\r\n", "* OK NOMODSEQ \"Sorry\"" },
	{ "* OK [UIDNEXT 4392] Predicted\r\n", "* OK UIDNEXT=4392 \"Predicted\"" },
	{ "* OK [UIDNEXT 4294967296] Predicted\r\n", "* OK other=\"UIDNEXT 4294967296\" \"Predicted\"" },
	{ "* OK [UIDNEXT -1] x\r\n", "* OK other=\"UIDNEXT -1\" \"x\"" },
	{ "* OK [UIDNEXT] x\r\n", "* OK other=\"UIDNEXT\" \"x\"" },
	{ "* OK  [UIDVALIDITY  3857529045 ]  UIDs valid \r\n", "* OK UIDVALIDITY=3857529045 \"UIDs valid\"" },
	{ "* OK [UNSEEN 0]\r\n", "* OK UNSEEN=0 \"\"" },
	{ "* OK [PERMANENTFLAGS (\\Answered \\Flagged \\Draft \\Deleted \\Seen $Forwarded NonJunk \\*)] Flags permitted.\r\n",
	  "* OK PERMANENTFLAGS flags=DFPRST*:\"NonJunk\" \"Flags permitted.\"" },
	{ "* OK [PERMANENTFLAGS ()] \r\n", "* OK PERMANENTFLAGS flags= \"\"" },
	{ "* OK [PERMANENTFLAGS ( )] Read-only mailbox\r\n", "* OK PERMANENTFLAGS flags= \"Read-only mailbox\"" },
	{ "* OK [PERMANENTFLAGS (\\Seen $Has]Bracket)] x\r\n", "* OK PERMANENTFLAGS flags=S:\"$Has]Bracket\" \"x\"" },
	{ "* OK [PERMANENTFLAGS \\Seen] x\r\n", "* OK other=\"PERMANENTFLAGS \\Seen\" \"x\"" },
	{ "* OK [BADCHARSET (\"US]ASCII\" UTF-8)] x\r\n", "* OK other=\"BADCHARSET (\"US]ASCII\" UTF-8)\" \"x\"" },
	{ "* OK [URLMECH INTERNAL XSAMPLE=P34OKhO7VEkCbsiYY8rGEg==] done\r\n", "* OK other=\"URLMECH INTERNAL XSAMPLE=P34OKhO7VEkCbsiYY8rGEg==\" \"done\"" },
	{ "* OK [X (unclosed] done]\r\n", "* OK other=\"X (unclosed\" \"done]\"" },
	{ "* OK [no bracket\r\n", "* OK \"[no bracket\"" },
	{ "* OK []\r\n", "* OK other=\"\" \"\"" },
	{ "* OK[CLOSED] Previous mailbox closed.\r\n", "* OK CLOSED \"Previous mailbox closed.\"" },
	{ "* OK [MAILBOXID (F2212ea87-6097-4256-9d51-71338625)] Ok\r\n", "* OK MAILBOXID=\"F2212ea87-6097-4256-9d51-71338625\" \"Ok\"" },
	{ "* OK [UNSEEN 12] {5}\r\n", "* OK UNSEEN=12 \"{5}\"" },
	{ "* NO [OVERQUOTA] gr\xc3\xbc\xc3\x9f\r\n", "* NO OVERQUOTA \"gr\xc3\xbc\xc3\x9f\"" },
	{ "a1 OK [READ-WRITE] Select completed.\r\n", "TAGGED \"a1\" OK READ-WRITE \"Select completed.\"" },
	{ "a1 OK [READ-ONLY]\r\n", "TAGGED \"a1\" OK READ-ONLY \"\"" },
	{ "a1 OK\r\n", "TAGGED \"a1\" OK \"\"" },
	{ "a1 NO [TRYCREATE] no such\r\n", "TAGGED \"a1\" NO TRYCREATE \"no such\"" },
	{ "A142 BAD Request is throttled. Suggested Backoff Time: 5000 milliseconds\r\n",
	  "TAGGED \"A142\" BAD \"Request is throttled. Suggested Backoff Time: 5000 milliseconds\"" },
	{ "a2 OK [APPENDUID 38505 3955] APPEND completed\r\n", "TAGGED \"a2\" OK APPENDUID=38505/\"3955\" \"APPEND completed\"" },
	{ "a2 OK [APPENDUID 38505 3955:3957,9] done\r\n", "TAGGED \"a2\" OK APPENDUID=38505/\"3955:3957,9\" \"done\"" },
	{ "a2 OK [APPENDUID 38505 0] done\r\n", "TAGGED \"a2\" OK other=\"APPENDUID 38505 0\" \"done\"" },
	{ "a2 OK [APPENDUID 38505] done\r\n", "TAGGED \"a2\" OK other=\"APPENDUID 38505\" \"done\"" },
	{ "a2 OK [COPYUID 38505 304,319:320 3956:3958] Done\r\n", "TAGGED \"a2\" OK COPYUID=38505/\"304,319:320\"/\"3956:3958\" \"Done\"" },
	{ "a2 OK [COPYUID 38505 304,319:320 *] Done\r\n", "TAGGED \"a2\" OK other=\"COPYUID 38505 304,319:320 *\" \"Done\"" },
	{ "a2 OK [MODIFIED 7,9] Conditional STORE failed\r\n", "TAGGED \"a2\" OK MODIFIED=\"7,9\" \"Conditional STORE failed\"" },
	{ "a2 NO [UIDNOTSTICKY] x\r\n", "TAGGED \"a2\" NO UIDNOTSTICKY \"x\"" },
	{ "a NO [AUTHENTICATIONFAILED] a\r\na NO [AUTHORIZATIONFAILED] b\r\na NO [EXPIRED] c\r\na NO [PRIVACYREQUIRED] d\r\na NO [CONTACTADMIN] e\r\n"
	  "a NO [NOPERM] f\r\na NO [INUSE] g\r\na NO [EXPUNGEISSUED] h\r\na NO [CORRUPTION] i\r\na NO [SERVERBUG] j\r\na NO [CLIENTBUG] k\r\n"
	  "a NO [CANNOT] l\r\na NO [LIMIT] m\r\na NO [OVERQUOTA] n\r\na NO [ALREADYEXISTS] o\r\na NO [NONEXISTENT] p\r\na NO [TOOBIG] q\r\n"
	  "a NO [NOTIFICATIONOVERFLOW] r\r\na NO [COMPRESSIONACTIVE] s\r\na NO [THROTTLED] t\r\na NO [PARSE] u\r\n",
	  "TAGGED \"a\" NO AUTHENTICATIONFAILED \"a\"\nTAGGED \"a\" NO AUTHORIZATIONFAILED \"b\"\nTAGGED \"a\" NO EXPIRED \"c\"\n"
	  "TAGGED \"a\" NO PRIVACYREQUIRED \"d\"\nTAGGED \"a\" NO CONTACTADMIN \"e\"\nTAGGED \"a\" NO NOPERM \"f\"\nTAGGED \"a\" NO INUSE \"g\"\n"
	  "TAGGED \"a\" NO EXPUNGEISSUED \"h\"\nTAGGED \"a\" NO CORRUPTION \"i\"\nTAGGED \"a\" NO SERVERBUG \"j\"\nTAGGED \"a\" NO CLIENTBUG \"k\"\n"
	  "TAGGED \"a\" NO CANNOT \"l\"\nTAGGED \"a\" NO LIMIT \"m\"\nTAGGED \"a\" NO OVERQUOTA \"n\"\nTAGGED \"a\" NO ALREADYEXISTS \"o\"\n"
	  "TAGGED \"a\" NO NONEXISTENT \"p\"\nTAGGED \"a\" NO TOOBIG \"q\"\nTAGGED \"a\" NO NOTIFICATIONOVERFLOW \"r\"\n"
	  "TAGGED \"a\" NO COMPRESSIONACTIVE \"s\"\nTAGGED \"a\" NO THROTTLED \"t\"\nTAGGED \"a\" NO PARSE \"u\"" },
	{ "+ OK\r\n", "+ \"OK\"" },
	{ "+ \r\n", "+ \"\"" },
	{ "+\r\n", "+ \"\"" },
	{ "+ idling\n", "+ \"idling\"" },
	{ "+ dXNlcm5hbWU=\r\n", "+ \"dXNlcm5hbWU=\"" },

	/* capabilities and the like */
	{ "* CAPABILITY IMAP4rev1 IDLE IDLE idle APPENDLIMIT=35651584 \r\n", "CAPABILITY \"IMAP4rev1\",\"IDLE\",\"IDLE\",\"idle\",\"APPENDLIMIT=35651584\"" },
	{ "* CAPABILITY\r\n", "CAPABILITY " },
	{ "* ENABLED QRESYNC CONDSTORE\r\n* ENABLED\r\n", "ENABLED \"QRESYNC\",\"CONDSTORE\"\nENABLED " },
	{ "* ID (\"name\" \"Dovecot\" \"x\" NIL)\r\n", "ID \"name\"=\"Dovecot\" \"x\"=\"\"" },
	{ "* ID NIL\r\n* ID\r\n* ID () \r\n", "ID\nID\nID" },
	{ "* ID (\"name\" {5}\r\nCyrus )\r\n", "ID \"name\"=\"Cyrus\"" },
	{ "* NAMESPACE ((\"\" \"/\")) NIL NIL\r\n", "NAMESPACE P\"\"\"/\"" },
	{ "* NAMESPACE ((\"\" \"/\")(\"#mh/\" \"/\" \"X-PARAM\" (\"FLAG1\" \"FLAG2\"))) ((\"~\" \"/\")) ((\"#shared/\" \"/\")(\"#news.\" NIL))\r\n",
	  "NAMESPACE P\"\"\"/\" P\"#mh/\"\"/\" U\"~\"\"/\" S\"#shared/\"\"/\" S\"#news.\"\"NIL\"" },
	{ "* NAMESPACE ((\"INBOX.\" \".\")) NIL ((\"shared.\" \".\"))\r\n", "NAMESPACE P\"INBOX.\"\".\" S\"shared.\"\".\"" },

	/* folders */
	{ "* LIST (\\HasNoChildren) \".\" INBOX\r\n", "LIST nochildren \".\" \"INBOX\"" },
	{ "* LIST (\\HasNoChildren) NIL \"\"\r\n", "LIST nochildren \"NIL\" \"\"" },
	{ "* LIST () nil NIL\r\n", "LIST \"NIL\" \"NIL\"" },
	{ "* LIST (\\Noselect) \"/\" \"\"\r\n", "LIST noselect \"/\" \"\"" },
	{ "* LIST (\\HasChildren \\Noselect) \"/\" \"[Gmail]\"\r\n", "LIST noselect children \"/\" \"[Gmail]\"" },
	{ "* LIST (\\HASNOCHILDREN \\All \\X-Foo) \"/\" [Gmail]/All\r\n", "LIST nochildren all \"/\" \"[Gmail]/All\"" },
	{ "* LIST (\\NonExistent \\Subscribed \\Remote \\Marked) \"\\\\\" \"a\\\"b\\\\c\"\r\n", "LIST noselect nonexistent marked subscribed remote \"\\\" \"a\"b\\c\"" },
	{ "* LIST (\\Unmarked \\Noinferiors \\Archive \\Drafts \\Flagged \\Junk \\Sent \\Trash \\Important) \"/\" {6}\r\nA\r\nB()\r\n",
	  "LIST noinferiors unmarked archive drafts flagged junk sent trash important \"/\" \"A\\x0d\\x0aB()\"" },
	{ "* LIST (\\Sent) \"/\" ~{3}\r\na\xc3\xbc\r\n", "LIST sent \"/\" \"a\xc3\xbc\"" },
	{ "* LIST () \"/\" \"gr\xc3\xbc\xc3\x9f\"\r\n", "LIST \"/\" \"gr\xc3\xbc\xc3\x9f\"" },
	{ "* LIST () \"/\" gr\xc3\xbc\xc3\x9f\r\n", "LIST \"/\" \"gr\xc3\xbc\xc3\x9f\"" },
	{ "* LIST () \"/\" &U,BTFw-  \r\n", "LIST \"/\" \"&U,BTFw-\"" },
	{ "* LIST () / ../../etc\r\n", "LIST \"/\" \"../../etc\"" },
	{ "* LIST () \"\" x\r\n", "LIST \"NIL\" \"x\"" },
	{ "* LIST (\\Marked) \"/\" foo (\"CHILDINFO\" (\"SUBSCRIBED\") \"OLDNAME\" ({3}\r\nbar))\r\n", "LIST marked \"/\" \"foo\"" },
	{ "* LIST () \"/\" INBOX ()\r\n", "LIST \"/\" \"INBOX\"" },
	{ "* LSUB () \".\" INBOX.Sent\r\n", "LSUB \".\" \"INBOX.Sent\"" },
	{ "*  LIST  (\\HasChildren  \\Marked )  \"/\"  \"Public Folders\" \r\n", "LIST children marked \"/\" \"Public Folders\"" },
	{ "* STATUS \"INBOX\" (MESSAGES 17 UIDNEXT 29 UIDVALIDITY 1 UNSEEN 4294967295 RECENT 2 DELETED 3 HIGHESTMODSEQ 77 SIZE 9007199254740993)\r\n",
	  "STATUS \"INBOX\" messages=17 uidnext=29 uidvalidity=1 unseen=4294967295 recent=2 deleted=3 highestmodseq=77 size=9007199254740993" },
	{ "* STATUS x (APPENDLIMIT NIL MAILBOXID (F1) )  \r\n", "STATUS \"x\" appendlimit=18446744073709551615 mailboxid=\"F1\"" },
	{ "* STATUS {1}\r\nx (APPENDLIMIT 5 X-FOO (a (b)) X-BAR {3}\r\n))) MESSAGES 1)\r\n", "STATUS \"x\" messages=1 appendlimit=5" },
	{ "* STATUS x ()\r\n", "STATUS \"x\"" },
	{ "* STATUS x (MESSAGES -1 UIDNEXT 4294967296 UNSEEN NIL HIGHESTMODSEQ 9223372036854775808 RECENT 0)\r\n", "STATUS \"x\" recent=0" },

	/* mailbox data */
	{ "* FLAGS (\\Answered \\* )\r\n", "FLAGS flags=R*" },
	{ "* FLAGS ()\r\n", "FLAGS flags=" },
	{ "* FLAGS (\\Seen \\seen \\Recent \\Foo $Forwarded $forwarded Junk NIL $Has]Bracket [x] )\r\n", "FLAGS flags=PSr:\"Junk\",\"NIL\",\"$Has]Bracket\",\"[x]\"" },
	{ "* 172 EXISTS\r\n* 1 RECENT\r\n* 0 exists \r\n* 4294967295 EXPUNGE\r\n", "EXISTS 172\nRECENT 1\nEXISTS 0\nEXPUNGE 4294967295" },
	{ "* SEARCH 2 84 882\r\n", "SEARCH 2,84,882" },
	{ "* SEARCH\r\n", "SEARCH " },
	{ "* SEARCH \r\n", "SEARCH " },
	{ "* SEARCH 5 4 3 1 \r\n", "SEARCH 1,3:5" },
	{ "* SEARCH 2 5 6 7 11 12 18 19 20 23 (MODSEQ 917162500)\r\n", "SEARCH modseq=917162500 2,5:7,11:12,18:20,23" },
	{ "* ESEARCH\r\n", "ESEARCH" },
	{ "* ESEARCH (TAG \"A282\") MIN 2 COUNT 3\r\n", "ESEARCH tag=\"A282\" min=2 count=3" },
	{ "* ESEARCH (TAG A285) UID ALL 43,117:120 MAX 3800 MODSEQ 12 X-NEW (1 2)\r\n", "ESEARCH tag=\"A285\" uid max=3800 modseq=12 43,117:120" },
	{ "* ESEARCH (TAG \"x\" MAILBOX \"a\" UIDVALIDITY 1) UID COUNT 0\r\n", "ESEARCH tag=\"x\" uid count=0" },
	{ "* VANISHED (EARLIER) 41,43:116,118\r\n", "VANISHED earlier uid 41,43:116,118" },
	{ "* VANISHED 405,407\r\n* VANISHED 1:4294967295\r\n* VANISHED \r\n", "VANISHED uid 405,407\nVANISHED uid 1:4294967295\nVANISHED uid " },

	/* messages */
	{ "* 1 FETCH (FLAGS () UID 5)\r\n", "FETCH 1 uid=5 flags=" },
	{ "* 1 FETCH ()\r\n", "FETCH 1" },
	{ "* 12 FETCH (UID 9 FLAGS (\\Seen $Junk) MODSEQ (12121231000) RFC822.SIZE 44827 INTERNALDATE \"17-Jul-1996 02:44:25 -0700\")\r\n",
	  "FETCH 12 uid=9 flags=S:\"$Junk\" date=\"17-Jul-1996 02:44:25 -0700\" size=44827 modseq=12121231000" },
	{ "* 12 FETCH (UID 9 MODSEQ 7 RFC822.SIZE -1)\r\n", "FETCH 12 uid=9 modseq=7" },
	{ "*  12  FETCH  ( UID  9  FLAGS  ( \\Seen  )  ) \r\n", "FETCH 12 uid=9 flags=S" },
	{ "* 3 FETCH (EMAILID (M6d99ac3275bb4e) THREADID (T64b478a75b7ea9) UID 1)\r\n", "FETCH 3 uid=1 emailid=\"M6d99ac3275bb4e\" threadid=\"T64b478a75b7ea9\"" },
	{ "* 3 FETCH (EMAILID (M1) THREADID NIL)\r\n", "FETCH 3 emailid=\"M1\"" },
	{ "* 1 FETCH (X-GM-THRID 1278455344230334865 X-GM-MSGID 18446744073709551615 X-GM-LABELS (\"\\\\Inbox\" Important \"Muy Importante\" {3}\r\na)b) UID 4)\r\n",
	  "FETCH 1 uid=4 msgid=18446744073709551615 thrid=1278455344230334865 labels=\"\\Inbox\",\"Important\",\"Muy Importante\",\"a)b\"" },
	{ "* 1 FETCH (X-GM-LABELS (\\Inbox \\Sent Important \"Muy \\\"Imp\\\\ortante\" &AMQ- [Imap]/x \"\") UID 4)\r\n",
	  "FETCH 1 uid=4 labels=\"\\Inbox\",\"\\Sent\",\"Important\",\"Muy \"Imp\\ortante\",\"&AMQ-\",\"[Imap]/x\",\"\"" },
	{ "* 1 FETCH (UID 4 X-GM-LABELS NIL)\r\n* 2 FETCH (X-GM-LABELS (a b) X-GM-LABELS NIL)\r\n", "FETCH 1 uid=4 labels=\nFETCH 2 labels=" },
	{ "* 1 FETCH (X-GM-LABELS () FLAGS (a) UID 4 X-GM-LABELS (b))\r\n", "FETCH 1 uid=4 flags=:\"a\" labels=\"b\"" },
	{ "* 1 FETCH (ENVELOPE (\"Mon, 7 Feb\" NIL ((NIL NIL \"a\" {4}\r\n)\")\") NIL)) BODY (\"TEXT\" \"PLAIN\" NIL) BODYSTRUCTURE ((\"x\")) BODYSTRUCTURE2[1.2] 5 UID 6)\r\n",
	  "FETCH 1 uid=6" },
	{ "* 1 FETCH (BINARY.SIZE[1] 512 SAVEDATE NIL PREVIEW \"x\" UID 6)\r\n", "FETCH 1 uid=6" },
	{ "* 1 FETCH (UID 5 UID 5 FLAGS (\\Seen) FLAGS ())\r\n", "FETCH 1 uid=5 flags=" },
	{ "* 7 FETCH (UID 5 BODY[] {9}\r\na\r\n)\r\n)\r\n)\r\n", "BODY 7 uid=5 section=\"\" {9} \"a\\x0d\\x0a)\\x0d\\x0a)\\x0d\\x0a\"\nFETCH 7 uid=5" },
	{ "* 7 FETCH (BODY[] {4}\n\n\n\n\n FLAGS (\\Seen) UID 5)\n", "BODY 7 section=\"\" {4} \"\\x0a\\x0a\\x0a\\x0a\"\nFETCH 7 uid=5 flags=S" },
	{ "* 7 FETCH (BODY[] {0}\r\n UID 5)\r\n", "BODY 7 section=\"\" {0} \"\"\nFETCH 7 uid=5" },
	{ "* 7 FETCH (BODY[] {0}\r\n)\r\n* 8 EXISTS\r\n", "BODY 7 section=\"\" {0} \"\"\nFETCH 7\nEXISTS 8" },
	{ "* 7 FETCH (BODY[] \"a\\\"b\" UID 5)\r\n", "BODY 7 section=\"\" {3} \"a\"b\"\nFETCH 7 uid=5" },
	{ "* 7 FETCH (BODY[] NIL UID 5)\r\n", "BODY 7 section=\"\" NIL \"\"\nFETCH 7 uid=5" },
	{ "* 7 FETCH (UID 5 BODY[]<0> {2}\r\nab)\r\n", "BODY 7 uid=5 section=\"\" origin=0 {2} \"ab\"\nFETCH 7 uid=5" },
	{ "* 7 FETCH (UID 5 BODY[]<4294967296>{2}\r\nab)\r\n", "BODY 7 uid=5 section=\"\" origin=4294967296 {2} \"ab\"\nFETCH 7 uid=5" },
	{ "* 7 FETCH (BODY[HEADER.FIELDS (\"DATE\" \"FROM\")] {2}\r\n\r\n UID 5)\r\n", "BODY 7 section=\"HEADER.FIELDS (DATE FROM)\" {2} \"\\x0d\\x0a\"\nFETCH 7 uid=5" },
	{ "* 7 FETCH (BODY[HEADER.FIELDS  ( Message-ID {2}\r\nTo )] {0}\r\n UID 5)\r\n", "BODY 7 section=\"HEADER.FIELDS (Message-ID To)\" {0} \"\"\nFETCH 7 uid=5" },
	{ "* 7 FETCH (BODY[1.2.MIME] \"\" BINARY[1] ~{3}\r\n\r\n) BODY.PEEK[TEXT]<3> {1}\r\nx UID 2)\r\n",
	  "BODY 7 section=\"1.2.MIME\" {0} \"\"\nBODY 7 binary=\"1\" {3} \"\\x0d\\x0a)\"\nBODY 7 section=\"TEXT\" origin=3 {1} \"x\"\nFETCH 7 uid=2" },
	{ "* 7 FETCH (RFC822 {1}\r\na RFC822.HEADER {1}\r\nb RFC822.TEXT \"c\" RFC822.SIZE 3)\r\n",
	  "BODY 7 section=\"\" {1} \"a\"\nBODY 7 section=\"HEADER\" {1} \"b\"\nBODY 7 section=\"TEXT\" {1} \"c\"\nFETCH 7 size=3" },
	{ "* 7 FETCH (FLAGS (\\Seen kw) BODY[HEADER] {1}\r\nb UID 3)\r\na OK x\r\n", "BODY 7 flags=S:\"kw\" section=\"HEADER\" {1} \"b\"\nFETCH 7 uid=3 flags=S:\"kw\"\nTAGGED \"a\" OK \"x\"" },

	/* what nobody asked for */
	{ "* GENURLAUTH \"imap://joe@example.com/INBOX/;uid=20\" x{3}\r\n)\r\n\r\n* 1 EXISTS\r\n", "OTHER \"GENURLAUTH\"\nEXISTS 1" },
	{ "* 23 X-NEW (((\r\n* QUOTA \"\" (STORAGE 10 512)\r\n* METADATA \"\" {3}\r\n\n\n\n ~{1}\r\n(\r\n", "OTHER \"X-NEW\"\nOTHER \"QUOTA\"\nOTHER \"METADATA\"" },
	{ "* XLIST (\\Inbox) \"/\" x\r\n* LISTEN x\r\n* 5 LIST\r\n* EXISTS\r\n* NIL\r\n", "OTHER \"XLIST\"\nOTHER \"LISTEN\"\nOTHER \"LIST\"\nOTHER \"EXISTS\"\nOTHER \"NIL\"" },
};

/* How often a character stands in a string. */
static size_t count_of(const char *s, char c)
{
	size_t n = 0;

	for (; *s; s++)
		n += *s == c;
	return n;
}

static void test_good(void **state)
{
	static const size_t pieces[] = { 4096, 1, 3 };

	(void)state;
	for (size_t i = 0; i < COUNT(good); i++) {
		size_t n = strlen(good[i].wire);

		for (size_t step = 0; step <= n; step++) {
			struct strbuf out = STRBUF_INIT(1 << 16), want = STRBUF_INIT(1 << 16);

			strbuf_printf(&want, "%s\nEND\n", good[i].shown);
			assert_int_equal(imapdump_all(&out, good[i].wire, n, step, pieces[step % COUNT(pieces)], NULL), 0);
			assert_string_equal(strbuf_str(&out), strbuf_str(&want));
			strbuf_release(&out);
			strbuf_release(&want);
		}
	}
}

/* Cut anywhere, a response never ends cleanly, and what came before it stays as it was. */
static void test_cut(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(good); i++) {
		size_t n = strlen(good[i].wire);

		for (size_t cut = 1; cut < n; cut++) {
			struct strbuf out = STRBUF_INIT(1 << 16);
			int r = imapdump_all(&out, good[i].wire, cut, cut % 7, cut % 3, NULL);

			if (r < 0)
				assert_non_null(strstr(strbuf_str(&out), "ERROR temp the server closed the connection in the middle"));
			else
				assert_int_equal(good[i].wire[cut - 1], '\n');
			assert_true(count_of(strbuf_str(&out), '\n') <= count_of(good[i].shown, '\n') + 2);
			strbuf_release(&out);
		}
	}
}

#define W(s) s, sizeof(s) - 1

static const struct {
	const char *wire;
	size_t n;
	const char *says;
} wrong[] = {
	{ W("\r\n"), "no tag" },
	{ W("()\r\n"), "no tag" },
	{ W("NIL OK\r\n"), "no tag" },
	{ W("{5}\r\nhello\r\n"), "no tag" },
	{ W("* {5}\r\nhello\r\n"), "without a name" },
	{ W("* \"OK\" x\r\n"), "without a name" },
	{ W("*\r\n"), "without a name" },
	{ W("* 5\r\n"), "without a name" },
	{ W("* [x] y\r\n"), "without a name" },
	{ W("+OK POP3 ready <1@x>\r\n"), "\"+OK POP3\" (that is a POP3 server" },
	{ W("220 mail.example.com ESMTP\r\n"), "\"220 mail.example.com\" (that is an SMTP or FTP server" },
	{ W("HTTP/1.1 400 Bad Request\r\n"), "doesn't speak IMAP: it says \"HTTP/1.1 400\"" },
	{ W("a\x1b[1m\r\n"), "0x1b" },
	{ W("a1 BYE x\r\n"), "doesn't speak IMAP" },
	{ W("a1 PREAUTH x\r\n"), "doesn't speak IMAP" },
	{ W("a1\r\n"), "doesn't speak IMAP" },
	{ W("* OK a\0b\r\n"), "NUL byte" },
	{ W("* 4294967296 EXISTS\r\n"), "too large" },
	{ W("* 99999999999999999999999 EXISTS\r\n"), "too large" },
	{ W("* 1x EXISTS\r\n"), "a number that is none" },
	{ W("* 1 EXISTS 2\r\n"), "more in the line" },
	{ W("* 0 EXPUNGE\r\n"), "EXPUNGE of message 0" },
	{ W("* 0 FETCH (UID 1)\r\n"), "FETCH of message 0" },
	{ W("* 1 FETCH\r\n"), "FETCH without values" },
	{ W("* 1 FETCH UID 1\r\n"), "FETCH without values" },
	{ W("* 1 FETCH (UID 0)\r\n"), "FETCH's UID" },
	{ W("* 1 FETCH (UID 4294967296)\r\n"), "FETCH's UID" },
	{ W("* 1 FETCH (UID -5)\r\n"), "FETCH's UID" },
	{ W("* 1 FETCH (UID \"5\")\r\n"), "FETCH's UID" },
	{ W("* 1 FETCH (UID 5 UID 6)\r\n"), "two UIDs" },
	{ W("* 1 FETCH (UID 5 BODY[] {1}\r\na UID 6)\r\n"), "two UIDs" },
	{ W("* 1 FETCH (UID)\r\n"), "FETCH's UID" },
	{ W("* 1 FETCH (UID 5\r\n"), "FETCH" },
	{ W("* 1 FETCH (UID 5))\r\n"), "more in the line" },
	{ W("* 1 FETCH (MODSEQ (9223372036854775808))\r\n"), "MODSEQ" },
	{ W("* 1 FETCH (MODSEQ (1 2))\r\n"), "MODSEQ" },
	{ W("* 1 FETCH (FLAGS \\Seen)\r\n"), "FLAGS" },
	{ W("* 1 FETCH (FLAGS ((\\Seen)))\r\n"), "its flags" },
	{ W("* 1 FETCH (FLAGS ({5}\r\n\\Seen))\r\n"), "its flags" },
	{ W("* 1 FETCH (FLAGS (a\0b))\r\n"), "0x00" },
	{ W("* 1 FETCH (BODY[] 5)\r\n"), "without its bytes" },
	{ W("* 1 FETCH (BODY[] (x))\r\n"), "without its bytes" },
	{ W("* 1 FETCH (BODY[)\r\n"), "section" },
	{ W("* 1 FETCH (BODY[[]] {0}\r\n)\r\n"), "section" },
	{ W("* 1 FETCH (BODY[]<x> {0}\r\n)\r\n"), "origin" },
	{ W("* 1 FETCH (BODY[]<> {0}\r\n)\r\n"), "origin" },
	{ W("* 1 FETCH (BODY[]<9223372036854775808> {0}\r\n)\r\n"), "origin" },
	{ W("* 1 FETCH (BODY[] {4294967296}\r\nx"), "announces 4294967296" },
	{ W("* 1 FETCH (BODY[] {9223372036854775808}\r\nx"), "announces 9223372036854775808" },
	{ W("* 1 FETCH (BODY[] {99999999999999999999}\r\nx"), "no proper size" },
	{ W("* 1 FETCH (X-FOO {4294967295}\r\nx"), "nobody asked for" },
	{ W("* 1 FETCH (\"UID\" 5)\r\n"), "FETCH" },
	{ W("* 1 FETCH (X-GM-LABELS (()))\r\n"), "LABELS" },
	{ W("* 1 FETCH (X-GM-LABELS \"a\")\r\n"), "LABELS" },
	{ W("* 1 FETCH (X-GM-LABELS ({65537}\r\n"), "string of more than" },
	{ W("* 1 FETCH (EMAILID M1)\r\n"), "object identifier" },
	{ W("* 1 FETCH (INTERNALDATE ())\r\n"), "without INTERNALDATE" },
	{ W("* 1 FETCH (BODYSTRUCTURE ((((((((((((((((("), "16 parentheses" },
	{ W("* LIST \"/\" x\r\n"), "LIST without attributes" },
	{ W("* LIST ((\\X)) \"/\" x\r\n"), "LIST's attributes" },
	{ W("* LIST () \"//\" x\r\n"), "separator" },
	{ W("* LIST () \"/\"\r\n"), "without a folder's name" },
	{ W("* LIST () \"/\" ()\r\n"), "without a folder's name" },
	{ W("* LIST () \"/\" Sent Items\r\n"), "behind it" },
	{ W("* LIST () \"/\" \"a\0b\"\r\n"), "NUL byte" },
	{ W("* LIST () \"/\" {65537}\r\n"), "string of more than" },
	{ W("* LIST () \"/\" x () y\r\n"), "more in the line" },
	{ W("* STATUS x\r\n"), "STATUS without values" },
	{ W("* STATUS x (MESSAGES)\r\n"), "too early" },
	{ W("* STATUS x (MESSAGES 1\r\n"), "STATUS" },
	{ W("* FLAGS \\Seen\r\n"), "FLAGS" },
	{ W("* CAPABILITY \"x\"\r\n"), "list of words" },
	{ W("* SEARCH 0\r\n"), "none" },
	{ W("* SEARCH 1 2 4294967296\r\n"), "none" },
	{ W("* SEARCH x\r\n"), "SEARCH" },
	{ W("* SEARCH 1 (MODSEQ 5) 2\r\n"), "more in the line" },
	{ W("* SEARCH (MODSEQ 9223372036854775808)\r\n"), "MODSEQ" },
	{ W("* ESEARCH COUNT 4294967296\r\n"), "ESEARCH" },
	{ W("* ESEARCH ALL 1:*\r\n"), "none" },
	{ W("* ESEARCH UID (TAG \"x\")\r\n"), "ESEARCH" },
	{ W("* VANISHED 1:*\r\n"), "none" },
	{ W("* VANISHED (LATER) 1\r\n"), "VANISHED" },
	{ W("* VANISHED x\r\n"), "none" },
	{ W("* NAMESPACE \"\" NIL NIL\r\n"), "NAMESPACE" },
	{ W("* ID (() x)\r\n"), "ID's key" },
};

static void test_wrong(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(wrong); i++) {
		for (size_t step = 0; step <= wrong[i].n; step++) {
			struct strbuf out = STRBUF_INIT(1 << 16);
			const char *error;

			assert_int_equal(imapdump_all(&out, wrong[i].wire, wrong[i].n, step, step % 3, NULL), -1);
			error = strstr(strbuf_str(&out), "ERROR proto ");
			if (!error || !strstr(error, wrong[i].says))
				fail_msg("%s: %s", wrong[i].wire, strbuf_str(&out));
			strbuf_release(&out);
		}
	}
}

/* before, n times piece, after: the last line of what comes of it. */
static void endless(const char *before, const char *piece, size_t n, const char *after, const char *says)
{
	struct strbuf wire = STRBUF_INIT(16 << 20), out = STRBUF_INIT(64 << 20);

	strbuf_puts(&wire, before);
	for (size_t i = 0; i < n; i++)
		strbuf_puts(&wire, piece);
	strbuf_puts(&wire, after);
	assert_false(wire.failed);
	imapdump_all(&out, wire.s, wire.len, 0, 4096, NULL);
	if (!strstr(strbuf_str(&out), says))
		fail_msg("%s...: %.200s", before, strstr(strbuf_str(&out), "ERROR") ? strstr(strbuf_str(&out), "ERROR") : strbuf_str(&out));
	strbuf_release(&wire);
	strbuf_release(&out);
}

static void test_endless(void **state)
{
	(void)state;
	endless("* 1 FETCH (BODYSTRUCTURE ", "(", 10000, "", "more than 16 parentheses");
	endless("* LIST () \"/\" x ", "(", 10000, "", "more than 16 parentheses");
	endless("* 1 FETCH ", "(", 10000, "", "FETCH");
	endless("* X-NEW ", "(", 10000, "\r\n", "OTHER \"X-NEW\"\nEND");
	endless("* OK [", "(", 10000, "] x\r\n", "* OK other=\"(");
	endless("* OK ", "x", 2 << 20, "", "response of more than 1048576");
	endless("* X-NEW ", "x ", 1 << 20, "", "response of more than 1048576");
	endless("a", "x", 1 << 20, "", "word of more than 4096");
	endless("* CAPABILITY", " x", 1 << 20, "", "response of more than 1048576");
	endless("* 1 FETCH (FLAGS (", "a ", 1 << 20, "", "response of more than 1048576");
	endless("* 1 FETCH (FLAGS (", "a ", 500000, "))\r\n", "FETCH 1");
	endless("* 1 FETCH (", "FLAGS (a b c d) ", 65000, ")\r\n", "END");
	endless("* 1 FETCH (X-GM-LABELS (", "\"\"", 520000, "))\r\n", "FETCH 1");
	endless("* ID (", "\"\" \"\"", 5000, ")\r\n", "too much memory");
	endless("* NAMESPACE (", "(\"\" NIL)", 5000, ") NIL NIL\r\n", "too much memory");
	endless("* 1 FETCH (", "BODY[] \"\" ", 50000, ")\r\n", "END");
	endless("* 1 FETCH (", "BODY[] \"\" ", 200000, ")\r\n", "response of more than 1048576");
	endless("* 1 FETCH (BODY[", "x ", 40000, "", "too much memory");
	endless("* METADATA ", "{10}\r\n0123456789 ", 200000, "\r\n", "response of more than 1048576");
	endless("* METADATA ", "{10}\r\n0123456789 ", 50000, "\r\n", "OTHER \"METADATA\"\nEND");
	endless("* SEARCH", " 7", 5000000, "\r\n", "too much memory");
	endless("* SEARCH", " 1234567", 1000000, "\r\n", "SEARCH 1234567\nEND");
	endless("* VANISHED ", "0", 9 << 20, "1\r\n", "VANISHED uid 1\nEND");
	endless("* ", " ", 2 << 20, "", "response of more than 1048576");
}

/* A million hits are more than a line may have, and cost what they are. */
static void test_million(void **state)
{
	struct strbuf wire = STRBUF_INIT(32 << 20);
	struct imap_reader rd;
	struct imap_resp r;
	struct bufin in;
	struct err e = ERR_INIT;
	struct stream *s;

	(void)state;
	strbuf_puts(&wire, "* SEARCH");
	for (unsigned i = 1; i <= 1000000; i++)
		strbuf_printf(&wire, " %u", 3 * i);
	strbuf_puts(&wire, "\r\n* VANISHED (EARLIER) 3");
	for (unsigned i = 2; i <= 1000000; i++)
		strbuf_printf(&wire, ",%u", 3 * i);
	strbuf_puts(&wire, "\r\na OK x\r\n");
	s = memstream_new(wire.s, wire.len, 0, NULL);
	assert_int_equal(bufin_init(&in, s, &e), 0);
	imap_reader_init(&rd, &in);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(imap_resp_next(&rd, &r, &e), 1);
		assert_int_equal(r.kind, i == 0 ? IMAP_SEARCH : IMAP_VANISHED);
		assert_int_equal(r.search.all->n, 1000000);
		assert_int_equal(r.search.all->a[999999].last, 3000000);
		assert_int_equal(rd.a.used, 0);
	}
	assert_int_equal(imap_resp_next(&rd, &r, &e), 1);
	assert_int_equal(r.kind, IMAP_TAGGED);
	assert_int_equal(rd.set.cap, 0); /* given back */
	imap_reader_release(&rd);
	bufin_release(&in);
	stream_free(s);
	strbuf_release(&wire);
}

/* A body whose end never comes is an error to its reader; limits of a caller's own are kept. */
static void test_limits(void **state)
{
	struct imap_limits limits = IMAP_LIMITS_DEFAULT;
	struct strbuf out = STRBUF_INIT(1 << 16);

	(void)state;
	limits.body = 10;
	assert_int_equal(imapdump_all(&out, W("* 1 FETCH (BODY[] {10}\r\n0123456789 UID 1)\r\n"), 0, 4, &limits), 0);
	strbuf_clear(&out);
	assert_int_equal(imapdump_all(&out, W("* 1 FETCH (BODY[] {11}\r\n0123456789 UID 1)\r\n"), 0, 4, &limits), -1);
	assert_non_null(strstr(strbuf_str(&out), "announces 11 bytes"));
	strbuf_clear(&out);
	limits.body = UINT64_MAX;
	assert_int_equal(imapdump_all(&out, W("* 1 FETCH (UID 7 BODY[] {18446744073709551615}\r\n0123"), 0, 4, &limits), -1);
	assert_string_equal(strbuf_str(&out), "BODY 1 uid=7 section=\"\" {18446744073709551615} \"0123\"ERROR temp the server closed the connection in the middle of a message\n");
	strbuf_release(&out);
}

/* Slices given with a body are still good when its FETCH is complete. */
static void test_lifetime(void **state)
{
	static const char wire[] = "* 1 FETCH (FLAGS (kw) INTERNALDATE \"x\" BODY[TEXT] {3}\r\nabc BODY[] \"d\\\"e\" FLAGS (other) UID 3)\r\n";
	struct imap_reader rd;
	struct imap_resp a, b;
	struct bufin in;
	struct err e = ERR_INIT;
	struct stream *s = memstream_new(wire, sizeof(wire) - 1, 1, NULL);
	char buf[8];

	(void)state;
	assert_int_equal(bufin_init(&in, s, &e), 0);
	imap_reader_init(&rd, &in);
	assert_int_equal(imap_resp_next(&rd, &a, &e), 1);
	assert_int_equal(a.kind, IMAP_FETCH_BODY);
	assert_true(rd.in_fetch);
	assert_int_equal(stream_read(a.body.s, buf, 1, &e), 1); /* the rest is left */
	stream_free(a.body.s);
	assert_int_equal(imap_resp_next(&rd, &b, &e), 1);
	assert_int_equal(b.kind, IMAP_FETCH_BODY);
	assert_int_equal(stream_read(b.body.s, buf, sizeof(buf), &e), 3);
	assert_memory_equal(buf, "d\"e", 3);
	assert_int_equal(imap_resp_next(&rd, &b, &e), 1);
	assert_int_equal(b.kind, IMAP_FETCH);
	assert_null(b.body.s);
	assert_int_equal(b.fetch.uid, 3);
	assert_true(slice_eqs(a.fetch.flags.kw.a[0], "kw"));
	assert_true(slice_eqs(a.fetch.date, "x"));
	assert_true(slice_eqs(a.body.section, "TEXT"));
	assert_true(slice_eqs(b.fetch.flags.kw.a[0], "other"));
	assert_int_equal(imap_resp_next(&rd, &b, &e), 0);
	imap_reader_release(&rd);
	imap_reader_release(&(struct imap_reader){ 0 });
	bufin_release(&in);
	stream_free(s);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_wrong),
		cmocka_unit_test(test_endless),
		cmocka_unit_test(test_million),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_lifetime),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
