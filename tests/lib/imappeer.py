"""An IMAP server that does as it is told, and wrong when it is told so.

    class Cut(imappeer.Peer):
        def give(self, link, head, body, tail):
            link.send(head + body[:20])
            raise imappeer.Hangup

    with imappeer.Peer({"INBOX": [b"Subject: 1\n\nx\n"]}, pair=ca.issue("localhost"), tls=True) as srv:
        ...srv.port, srv.log, srv.state()

Peer itself behaves well: it keeps folders over sessions, each message as bytes with LF, and speaks IMAP4rev1 with the
extensions of `caps`. Tests override the methods that answer; `stage` is called at each station of a session and may
break it off there.
"""

import base64
import datetime
import re
import threading
import time
import zlib

import peer
from peer import Hangup

LITERAL_MAX = 8 << 20
EPOCH = 1700000000   # when the first message of a folder arrived

SYSTEM = ("\\Answered", "\\Flagged", "\\Deleted", "\\Seen", "\\Draft")
LETTERS = {"D": "\\Draft", "F": "\\Flagged", "P": "$Forwarded", "R": "\\Answered", "S": "\\Seen", "T": "\\Deleted"}


class Refused(Exception):
    """Raised by a method: the command is answered by this ("NO text", "BAD [CODE] text") and nothing else."""


def atoms(flags):
    """Letters as flags of IMAP."""
    return {LETTERS[x] for x in flags}


class Message:
    def __init__(self, uid, data, flags=(), date=None, modseq=1):
        self.uid, self.data, self.flags, self.modseq = uid, data, set(flags), modseq
        self.date = EPOCH + uid if date is None else date

    def wire(self):
        """With CRLF."""
        return re.sub(rb"(?<!\r)\n", b"\r\n", self.data)

    def letters(self):
        return "".join(x for x in sorted(LETTERS) if LETTERS[x] in self.flags)


class Folder:
    """One mailbox. Its name is what the wire says."""

    def __init__(self, name, validity=1000):
        self.name, self.validity = name, validity
        self.attrs = []
        self.uidnext, self.modseq = 1, 1
        self.messages = []          # by UID
        self.vanished = []          # (UID, modseq)
        self.subscribed = True
        self.read_only = False

    def touch(self):
        self.modseq += 1
        return self.modseq

    def add(self, data, flags=(), date=None):
        m = Message(self.uidnext, data, flags, date, self.touch())
        self.uidnext += 1
        self.messages.append(m)
        return m

    def expunge(self, uids):
        uids = set(uids)
        gone = [m.uid for m in self.messages if m.uid in uids]
        if gone:
            modseq = self.touch()
            self.vanished += [(uid, modseq) for uid in gone]
            self.messages = [m for m in self.messages if m.uid not in uids]
        return gone

    def flag(self, m, flags):
        if m.flags != flags:
            m.flags = flags
            m.modseq = self.touch()

    def renumber(self):
        """As a server does that has lost its index."""
        self.validity += 1
        for n, m in enumerate(self.messages):
            m.uid = n + 1
        self.uidnext = len(self.messages) + 1
        self.vanished = []

    def find(self, uid):
        return next((m for m in self.messages if m.uid == uid), None)

    def bodies(self):
        return [m.data for m in self.messages]


class Literal(bytes):
    """A string that came as a literal."""


class Link(peer.Link):
    """One connection, and the session on it."""

    def __init__(self, *args):
        super().__init__(*args)
        self.in_ = False
        self.inflate = self.deflate = None
        self.enabled = set()
        self.notified = None        # with NOTIFY: what was told of each folder
        self.folder = None
        self.writes = False
        self.seen = []              # the UIDs that the client knows of, in order: message n is seen[n - 1]

    def raw(self, data):
        """Send bytes past any compression."""
        super().send(data)

    def send(self, data):
        if self.deflate:
            data = self.deflate.compress(data) + self.deflate.flush(zlib.Z_SYNC_FLUSH)
        super().send(data)

    def line(self, text):
        """A line of text or bytes."""
        self.send((text if isinstance(text, bytes) else text.encode("utf-8", "surrogateescape")) + b"\r\n")

    def star(self, text):
        """An untagged response."""
        self.line(b"* " + (text if isinstance(text, bytes) else text.encode("utf-8", "surrogateescape")))

    def ok(self, tag, text="done"):
        self.line("%s OK %s" % (tag, text))

    def bye(self, text="so long"):
        """End the session as RFC 3501 says."""
        self.star("BYE " + text)
        raise Hangup

    def more(self):
        data = self.sock.recv(65536)
        self.buf += self.inflate.decompress(data) if self.inflate else data
        return bool(data)

    def take(self, n):
        """So many bytes."""
        while len(self.buf) < n:
            if not self.more():
                raise Hangup
        data, self.buf = self.buf[:n], self.buf[n:]
        return data


def words(parts):
    """The words of a command: str for an atom, bytes for a string, Literal, list in parentheses."""
    stack = [[]]
    for kind, data in parts:
        if kind == "literal":
            stack[-1].append(Literal(data))
            continue
        i = 0
        while i < len(data):
            c = data[i:i + 1]
            if c == b" ":
                i += 1
            elif c == b"(":
                stack.append([])
                i += 1
            elif c == b")":
                done = stack.pop()
                stack[-1].append(done)
                i += 1
            elif c == b'"':
                m = re.compile(rb'"((?:[^"\\]|\\.)*)"').match(data, i)
                stack[-1].append(re.sub(rb"\\(.)", rb"\1", m.group(1)))
                i = m.end()
            else:
                m = re.compile(rb"(?:\[[^\]]*\]|[^ ()\[])+").match(data, i)
                stack[-1].append(m.group().decode("utf-8", "surrogateescape"))
                i = m.end()
    assert len(stack) == 1, parts
    return stack[0]


def text(word):
    return word if isinstance(word, str) else word.decode("utf-8", "surrogateescape")


def quoted(name):
    return '"%s"' % name.replace("\\", "\\\\").replace('"', '\\"')


def members(text_, uids):
    """Those of the UIDs, ascending, that a set names; `*` is the last."""
    top = uids[-1] if uids else 0
    found = set()
    for part in text_.split(","):
        a, _, b = part.partition(":")
        lo, hi = sorted(top if x == "*" else int(x) for x in (a, b or a))
        found |= {u for u in uids if lo <= u <= hi}
    return [u for u in uids if u in found]


def uid_set(uids):
    """UIDs as a set of the wire."""
    out = []
    for u in sorted(uids):
        if out and out[-1][1] == u - 1:
            out[-1][1] = u
        else:
            out.append([u, u])
    return ",".join(str(a) if a == b else "%d:%d" % (a, b) for a, b in out)


class Peer(peer.Peer):
    """The server. Methods that answer a command are called with the link, the tag, and the command's words."""

    link = Link
    greeting_text = "IMAP ready"
    caps = ["IMAP4rev1", "SASL-IR", "ID", "ENABLE", "NAMESPACE", "UIDPLUS", "LIST-EXTENDED", "LIST-STATUS", "UNSELECT", "CONDSTORE", "QRESYNC", "ESEARCH",
            "MOVE", "LITERAL+", "SPECIAL-USE", "AUTH=PLAIN"]
    less = set()         # capabilities that are not shown
    starttls = True      # offer and do STARTTLS on a connection in clear
    user_name, secret = "anna", "secret"
    separator = "/"
    permanent = "\\Answered \\Flagged \\Deleted \\Seen \\Draft $Forwarded \\*"   # None: nothing is said

    def __init__(self, folders=None, pair=None, tls=False):
        self.folders = {"INBOX": Folder("INBOX")}
        for name, messages in (folders or {}).items():
            f = self.folders.setdefault(name, Folder(name))
            for m in messages:
                f.add(m, {"\\Seen"})
        self.lock = threading.RLock()   # of the folders: one command at a time
        super().__init__(pair, tls)

    # what a test does and asks

    def behave(self, pair=None):
        """Go on as a server without faults, with the same mail."""
        self.__class__ = Peer
        if pair:
            self.show(pair)

    def lines(self):
        """The command lines so far, without their tags."""
        return [line.partition(" ")[2] for _, _, line in self.noted()]

    def commands(self, verb=None):
        """The command lines so far, all or those that begin so."""
        return [line for line in self.lines() if verb is None or (line + " ").upper().startswith(verb + " ")]

    def in_clear(self):
        """The verbs of commands that came without TLS."""
        return [line.split(" ")[1].upper() for _, tls, line in self.noted() if not tls]

    def state(self):
        """{folder: sorted [(bytes with LF, flags as letters)]}"""
        with self.lock:
            return {f.name: sorted((m.data, m.letters()) for m in f.messages) for f in self.folders.values() if "\\Noselect" not in f.attrs}

    def inbox(self):
        return self.folders["INBOX"]

    # stations: "connect", "greeting", a command's verb in lower case ("login", "uid fetch", ...) before it is answered, "body" in the middle of each body, "literal"
    # before the rest of a literal is asked for, "append" also behind it

    def stage(self, link, where):
        """To be overridden by those who break off."""

    # the methods to override

    def greeting(self, link):
        link.star("OK [CAPABILITY %s] %s" % (" ".join(self.capabilities(link)), self.greeting_text))

    def capabilities(self, link):
        """The words of CAPABILITY."""
        return [c for c in self.caps if c not in self.less] + (["STARTTLS"] if self.starttls and self.context and not link.tls and not link.in_ else [])

    def capability(self, link, tag, args):
        link.star("CAPABILITY " + " ".join(self.capabilities(link)))
        link.ok(tag)

    def do_starttls(self, link, tag, args):
        if link.tls or not self.context:
            raise Refused("BAD no TLS here")
        link.ok(tag, "begin")
        link.start_tls()

    def let_in(self, link, tag, user, password):
        """The end of a login."""
        if (user, password) != (self.user_name, self.secret):
            raise Refused("NO [AUTHENTICATIONFAILED] wrong")
        link.in_ = True
        link.ok(tag, "[CAPABILITY %s] in" % " ".join(self.capabilities(link)))

    def login(self, link, tag, args):
        self.let_in(link, tag, text(args[0]), text(args[1]))

    def authenticate(self, link, tag, args):
        if text(args[0]).upper() != "PLAIN" or "AUTH=PLAIN" not in self.capabilities(link):
            raise Refused("NO no such mechanism")
        if len(args) > 1:
            response = text(args[1])
        else:
            link.line("+ ")
            response = text(link.readline() or b"")
        _, user, password = base64.b64decode(response).decode().split("\0")
        self.let_in(link, tag, user, password)

    def noop(self, link, tag, args):
        self.news(link)
        link.ok(tag)

    def idle(self, link, tag, args):
        """Tells at once what happens in the folder; for those that show it."""
        if "IDLE" not in self.capabilities(link):
            raise Refused("BAD unknown command")
        link.line("+ idling")
        link.sock.settimeout(0.002)
        self.lock.release()         # others have their turn meanwhile
        try:
            while b"\n" not in link.buf:
                try:
                    if not link.more():
                        raise Hangup
                except TimeoutError:
                    with self.lock:
                        self.news(link)
                        if link.notified is not None:
                            self.tell_others(link)
        finally:
            self.lock.acquire()
            link.sock.settimeout(peer.HELD_SECONDS)
        link.readline()
        link.ok(tag)

    def notify(self, link, tag, args):
        """RFC 5465, as far as a listener needs it: the STATUS of each folder that changes, told while it idles."""
        if "NOTIFY" not in self.capabilities(link):
            raise Refused("BAD unknown command")
        link.notified = {name: f.modseq for name, f in self.folders.items()}
        link.ok(tag)

    def tell_others(self, link):
        for name, f in self.folders.items():
            if f is not link.folder and link.notified.get(name) != f.modseq:
                self.status_row(link, f, ["MESSAGES", "UIDNEXT", "UIDVALIDITY", "HIGHESTMODSEQ"])
            link.notified[name] = f.modseq

    def logout(self, link, tag, args):
        link.star("BYE so long")
        link.ok(tag)
        raise Hangup

    def id(self, link, tag, args):
        link.star('ID ("name" "imappeer")')
        link.ok(tag)

    def enable(self, link, tag, args):
        known = {"QRESYNC", "CONDSTORE"} & set(self.capabilities(link)) & {text(a).upper() for a in args}
        if "QRESYNC" in known:
            known |= {"CONDSTORE"}
        link.enabled |= known
        link.star("ENABLED " + " ".join(sorted(known)))
        link.ok(tag)

    def namespace(self, link, tag, args):
        link.star('NAMESPACE (("" "%s")) NIL NIL' % self.separator)
        link.ok(tag)

    def list_row(self, link, verb, attrs, name):
        """One row of LIST or LSUB; name as bytes that stand on the wire."""
        link.star(b"%s (%s) \"%s\" %s" % (verb.encode(), " ".join(attrs).encode(), self.separator.encode(), name))

    def list_rows(self, link, verb, extended):
        """All rows."""
        for f in list(self.folders.values()):
            if verb == "LSUB" and not f.subscribed:
                continue
            self.list_row(link, verb, f.attrs + (["\\Subscribed"] if extended and f.subscribed else []), self.name_of(f))

    def name_of(self, folder):
        """A folder's name as it stands on the wire."""
        return quoted(folder.name).encode("utf-8", "surrogateescape")

    def list(self, link, tag, args):
        status = None
        if len(args) > 3 and text(args[2]).upper() == "RETURN":
            options = [a if isinstance(a, list) else text(a).upper() for a in args[3]]
            if "STATUS" in options:
                status = [text(i).upper() for i in options[options.index("STATUS") + 1]]
        self.list_rows(link, "LIST", len(args) > 2)
        if status:
            for f in list(self.folders.values()):
                if "\\Noselect" not in f.attrs:
                    self.status_row(link, f, status)
        link.ok(tag)

    def lsub(self, link, tag, args):
        self.list_rows(link, "LSUB", False)
        link.ok(tag)

    def status_numbers(self, link, folder):
        """What STATUS says of a folder."""
        return {"MESSAGES": len(folder.messages), "UIDNEXT": folder.uidnext, "UIDVALIDITY": folder.validity, "HIGHESTMODSEQ": folder.modseq, "UNSEEN": 0, "RECENT": 0,
                "SIZE": sum(len(m.wire()) for m in folder.messages)}

    def status_row(self, link, folder, items):
        numbers = self.status_numbers(link, folder)
        link.star(b"STATUS %s (%s)" % (self.name_of(folder), " ".join("%s %s" % (i, numbers[i]) for i in items if i in numbers).encode()))

    def status(self, link, tag, args):
        self.status_row(link, self.folder(args[0]), [text(i).upper() for i in args[1]])
        link.ok(tag)

    def folder(self, word, make=False):
        """The folder of a name."""
        name = text(word)
        if name.upper() == "INBOX":
            name = "INBOX"
        f = self.folders.get(name)
        if not f or "\\Noselect" in f.attrs:
            raise Refused("NO [%s] no such mailbox" % ("TRYCREATE" if make else "NONEXISTENT"))
        return f

    def select_lines(self, link, folder):
        """What SELECT says untagged."""
        flags = "\\Answered \\Flagged \\Deleted \\Seen \\Draft $Forwarded"
        out = ["FLAGS (%s)" % flags]
        if self.permanent is not None:
            out.append("OK [PERMANENTFLAGS (%s)] kept" % (self.permanent if link.writes else ""))
        out += ["%d EXISTS" % len(folder.messages), "0 RECENT", "OK [UIDVALIDITY %d] ok" % folder.validity, "OK [UIDNEXT %d] ok" % folder.uidnext]
        if "CONDSTORE" in self.capabilities(link):
            out.append("OK [HIGHESTMODSEQ %s] ok" % folder.modseq)
        return out

    def open(self, link, tag, args, writes):
        old, link.folder = link.folder, None
        folder = self.folder(args[0])
        if old and "QRESYNC" in link.enabled:
            link.star("OK [CLOSED] closed")
        link.folder, link.writes = folder, writes and not folder.read_only
        link.seen = [m.uid for m in folder.messages]
        for row in self.select_lines(link, folder):
            link.star(row)
        link.ok(tag, "[%s] open" % ("READ-WRITE" if link.writes else "READ-ONLY"))

    def select(self, link, tag, args):
        self.open(link, tag, args, True)

    def examine(self, link, tag, args):
        self.open(link, tag, args, False)

    def unselect(self, link, tag, args):
        link.folder = None
        link.ok(tag)

    def close(self, link, tag, args):
        if link.writes:
            link.folder.expunge(m.uid for m in link.folder.messages if "\\Deleted" in m.flags)
        link.folder = None
        link.ok(tag)

    def create(self, link, tag, args):
        name = text(args[0]).rstrip(self.separator)
        if name in self.folders and "\\Noselect" not in self.folders[name].attrs:
            raise Refused("NO [ALREADYEXISTS] it is there")
        self.folders[name] = Folder(name, 2000 + len(self.folders))
        link.ok(tag)

    def delete(self, link, tag, args):
        del self.folders[self.folder(args[0]).name]
        link.ok(tag)

    def subscribe(self, link, tag, args):
        self.folder(args[0]).subscribed = True
        link.ok(tag)

    def unsubscribe(self, link, tag, args):
        self.folder(args[0]).subscribed = False
        link.ok(tag)

    def append(self, link, tag, args):
        folder = self.folder(args[0], True)
        flags, date, uids = set(), None, []
        for a in args[1:]:
            if isinstance(a, list):
                flags = {text(x) for x in a}
            elif isinstance(a, Literal):
                uids.append(self.take_in(link, folder, bytes(a).replace(b"\r\n", b"\n"), flags, date).uid)
                flags, date = set(), None
            else:
                date = int(datetime.datetime.strptime(text(a).strip(), "%d-%b-%Y %H:%M:%S %z").timestamp())
        self.stage(link, "append")
        self.appended(link, tag, folder, uids)

    def take_in(self, link, folder, data, flags, date):
        """A message that is appended."""
        return folder.add(data, flags, date)

    def appended(self, link, tag, folder, uids):
        """The end of an APPEND that went well."""
        if link.folder is folder:
            self.news(link)
        code = "[APPENDUID %d %s] " % (folder.validity, uid_set(uids)) if "UIDPLUS" in self.capabilities(link) else ""
        link.ok(tag, code + "appended")

    def news(self, link):
        """What happened in the selected folder since the client was told."""
        if not link.folder:
            return
        there = {m.uid for m in link.folder.messages}
        gone = [u for u in link.seen if u not in there]
        if gone and "QRESYNC" in link.enabled:
            link.star("VANISHED " + uid_set(gone))
        for u in gone:
            if "QRESYNC" not in link.enabled:
                link.star("%d EXPUNGE" % (link.seen.index(u) + 1))
            link.seen.remove(u)
        new = [m.uid for m in link.folder.messages if m.uid not in link.seen]
        if new:
            link.seen += new
            link.star("%d EXISTS" % len(link.seen))

    def chosen(self, link, word):
        """The messages of a UID set in the selected folder."""
        if not link.folder:
            raise Refused("BAD nothing is selected")
        uids = members(text(word), [m.uid for m in link.folder.messages if m.uid in link.seen])
        return [link.folder.find(u) for u in uids]

    def uid_fetch(self, link, tag, args):
        items = [text(i).upper() for i in (args[1] if isinstance(args[1], list) else [args[1]])]
        found = self.chosen(link, args[0])
        mods = [a if isinstance(a, list) else text(a).upper() for a in (args[2] if len(args) > 2 else [])]
        if "CHANGEDSINCE" in mods:
            since = int(mods[mods.index("CHANGEDSINCE") + 1])
            if "VANISHED" in mods:
                self.vanished_earlier(link, text(args[0]), since)
            found = [m for m in found if m.modseq > since]
        for m in found:
            self.fetch_row(link, m, items + (["MODSEQ"] if "CHANGEDSINCE" in mods and "MODSEQ" not in items else []))
        self.news(link)
        link.ok(tag)

    def vanished_earlier(self, link, uids, since):
        gone = members(uids, sorted(u for u, modseq in link.folder.vanished if modseq > since))
        if gone:
            link.star("VANISHED (EARLIER) " + uid_set(gone))

    def seq(self, link, m):
        """The number of a message."""
        return link.seen.index(m.uid) + 1

    def size(self, m):
        """What RFC822.SIZE says."""
        return len(m.wire())

    def more_items(self, link, m):
        """What else there is to fetch of a message: {item: value}"""
        return {}

    def fetch_row(self, link, m, items):
        """One message's FETCH. Bodies come last."""
        body = next((i for i in items if i.startswith("BODY")), None)
        simple = {"UID": str(m.uid), "FLAGS": "(%s)" % " ".join(sorted(m.flags)), "RFC822.SIZE": str(self.size(m)), "MODSEQ": "(%d)" % m.modseq,
                  "INTERNALDATE": time.strftime('"%d-%b-%Y %H:%M:%S +0000"', time.gmtime(m.date)), **self.more_items(link, m)}
        head = ("* %d FETCH (" % self.seq(link, m) + " ".join("%s %s" % (i, simple[i]) for i in items if i in simple)).encode("utf-8", "surrogateescape")
        if not body:
            return self.give_row(link, m, head + b")\r\n")
        if "HEADER.FIELDS" in body:
            want = [b"MESSAGE-ID", b"X-TUID", b"X-OFFLINEIMAP"]
            lines = [x for x in m.wire().split(b"\r\n\r\n")[0].split(b"\r\n") if x.split(b":")[0].upper() in want]
            data = b"".join(x + b"\r\n" for x in lines) + b"\r\n"
            return self.give_row(link, m, head + b" %s {%d}\r\n%s)\r\n" % (body.replace(".PEEK", "").encode(), len(data), data))
        data = m.wire()
        return self.give(link, m, head + b" BODY[] {%d}\r\n" % len(data), data, b")\r\n")

    def give_row(self, link, m, row):
        """Send a FETCH without a body, or with that of a header."""
        link.send(row)

    def give(self, link, m, head, data, tail):
        """Send a FETCH with its body."""
        link.send(head + data[:len(data) // 2])
        self.stage(link, "body")
        link.send(data[len(data) // 2:] + tail)

    def uid_store(self, link, tag, args):
        if not link.writes:
            raise Refused("NO [READ-ONLY] it can only be read")
        flags = {text(x) for x in args[2]}
        how = text(args[1]).upper()
        for m in self.chosen(link, args[0]):
            self.store_one(link, m, m.flags | flags if how[0] == "+" else m.flags - flags if how[0] == "-" else flags)
        link.ok(tag)

    def store_one(self, link, m, flags):
        link.folder.flag(m, flags)
        if link.enabled:
            link.star("%d FETCH (UID %d MODSEQ (%d))" % (self.seq(link, m), m.uid, m.modseq))

    def expunge_these(self, link, tag, uids):
        link.folder.expunge(uids)
        self.news(link)
        link.ok(tag)

    def expunge(self, link, tag, args):
        self.expunge_these(link, tag, [m.uid for m in link.folder.messages if "\\Deleted" in m.flags])

    def uid_expunge(self, link, tag, args):
        if "UIDPLUS" not in self.capabilities(link):
            raise Refused("BAD unknown command")
        self.expunge_these(link, tag, [m.uid for m in self.chosen(link, args[0]) if "\\Deleted" in m.flags])

    def uid_search(self, link, tag, args):
        extended = text(args[0]).upper() == "RETURN"
        keys = [text(a).upper() for a in args[2 if extended else 0:]]
        if keys[0] == "DELETED":
            uids = [m.uid for m in link.folder.messages if "\\Deleted" in m.flags]
        else:
            uids = [m.uid for m in self.chosen(link, keys[keys.index("UID") + 1])]
        self.found(link, tag, uids, extended)
        link.ok(tag)

    def found(self, link, tag, uids, extended):
        """What a search brought."""
        if extended:
            link.star('ESEARCH (TAG "%s") UID%s' % (tag, " ALL " + uid_set(uids) if uids else ""))
        else:
            link.star("SEARCH" + "".join(" %d" % u for u in uids))

    def copy(self, link, args):
        to = self.folder(args[1], True)
        found = self.chosen(link, args[0])
        new = [to.add(m.data, m.flags, m.date).uid for m in found]
        code = "[COPYUID %d %s %s] " % (to.validity, uid_set(m.uid for m in found), uid_set(new)) if found and "UIDPLUS" in self.capabilities(link) else ""
        return found, code

    def uid_copy(self, link, tag, args):
        link.ok(tag, self.copy(link, args)[1] + "copied")

    def uid_move(self, link, tag, args):
        found, code = self.copy(link, args)
        if code:
            link.star("OK %smoved" % code)
        self.expunge_these(link, tag, [m.uid for m in found])

    def compress(self, link, tag, args):
        if "COMPRESS=DEFLATE" not in self.capabilities(link):
            raise Refused("BAD unknown command")
        link.ok(tag, "compressed")
        link.inflate, link.deflate = zlib.decompressobj(-15), zlib.compressobj(6, zlib.DEFLATED, -15)
        if link.buf:
            link.buf = link.inflate.decompress(link.buf)

    def unknown(self, link, tag, line):
        raise Refused("BAD unknown command")

    def literal(self, link, tag, size, plus):
        """The bytes of a literal that the client announced."""
        if size > LITERAL_MAX:
            raise Hangup
        self.stage(link, "literal")
        if not plus:
            link.line("+ go on")
        return link.take(size)

    def finished(self, link, tag, answer):
        """A refusal."""
        link.line("%s %s" % (tag, answer))

    # the works

    def command(self, link):
        """A whole command: its tag and its parts, what was a literal in a part of its own. None at the end."""
        parts, shown, tag = [], b"", None
        while True:
            line = link.readline()
            if line is None:
                return None
            if tag is None:
                tag, _, line = line.partition(b" ")
                tag = tag.decode("ascii", "replace")
            m = re.search(rb"~?\{(\d+)(\+?)\}$", line)
            parts.append(("line", line[:m.start()] if m else line))
            shown += line
            if not m:
                break
            try:
                parts.append(("literal", self.literal(link, tag, int(m.group(1)), bool(m.group(2)))))
            except Refused as why:
                self.note(link, "%s %s" % (tag, shown.decode("utf-8", "surrogateescape")))
                self.finished(link, tag, str(why))
                return self.command(link)
        self.note(link, "%s %s" % (tag, shown.decode("utf-8", "surrogateescape")))
        return tag, parts

    ANY = ("CAPABILITY", "STARTTLS", "LOGIN", "AUTHENTICATE", "NOOP", "LOGOUT", "ID")

    def obey(self, link, tag, parts):
        """Answer a command."""
        args = words(parts)
        verb = text(args.pop(0)).upper() if args and not isinstance(args[0], list) else ""
        if verb == "UID" and args:
            verb += " " + text(args.pop(0)).upper()
        does = {"CAPABILITY": self.capability, "STARTTLS": self.do_starttls, "LOGIN": self.login, "AUTHENTICATE": self.authenticate, "NOOP": self.noop, "IDLE": self.idle, "NOTIFY": self.notify,
                "LOGOUT": self.logout, "ID": self.id, "ENABLE": self.enable, "NAMESPACE": self.namespace, "LIST": self.list, "LSUB": self.lsub,
                "STATUS": self.status, "SELECT": self.select, "EXAMINE": self.examine, "UNSELECT": self.unselect, "CLOSE": self.close, "CREATE": self.create,
                "DELETE": self.delete, "SUBSCRIBE": self.subscribe, "UNSUBSCRIBE": self.unsubscribe, "APPEND": self.append, "UID FETCH": self.uid_fetch,
                "UID STORE": self.uid_store, "EXPUNGE": self.expunge, "UID EXPUNGE": self.uid_expunge, "UID SEARCH": self.uid_search, "UID COPY": self.uid_copy,
                "UID MOVE": self.uid_move, "COMPRESS": self.compress}
        if verb not in does:
            return self.unknown(link, tag, verb)
        if not link.in_ and verb not in self.ANY:
            raise Refused("BAD log in first")
        self.stage(link, verb.lower())
        return does[verb](link, tag, args)

    def session(self, link):
        self.stage(link, "connect")
        if self.tls:
            link.start_tls()
        self.stage(link, "greeting")
        self.greeting(link)
        while (got := self.command(link)) is not None:
            try:
                with self.lock:
                    self.obey(link, *got)
            except Refused as why:
                self.finished(link, got[0], str(why))
