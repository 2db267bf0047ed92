"""A POP3 server that does as it is told, and wrong when it is told so.

    class Cut(pop3peer.Peer):
        def retr(self, link, num):
            link.send(b"+OK\r\nSubject: cut")
            raise pop3peer.Hangup

    with pop3peer.Peer([b"Subject: 1\n\nx\n"], pair=ca.issue("localhost"), tls=True) as srv:
        ...srv.port, srv.log, srv.contents()

Peer itself behaves well: it keeps a maildrop over sessions, as a dict from UIDL to bytes with LF in the order of arrival. Tests
override the methods that answer a command.
"""

import peer
from peer import Hangup


class Link(peer.Link):
    """One connection, and the session on it."""

    def __init__(self, *args):
        super().__init__(*args)
        self.user = None
        self.listed = []        # the UIDLs of this session: message n is listed[n - 1]
        self.marked = set()     # numbers

    def ok(self, text="", more=None):
        """+OK, and the rows of a multi-line answer if there are any."""
        lines = ["+OK " + text if text else "+OK"]
        if more is not None:
            lines += list(more) + ["."]
        self.send(("\r\n".join(lines) + "\r\n").encode("utf-8", "surrogateescape"))

    def no(self, text=""):
        """-ERR."""
        self.send(("-ERR %s\r\n" % text).encode("utf-8", "surrogateescape"))

    def readline(self):
        """A line without its end, as text; or None at the end of the stream."""
        line = super().readline()
        return line if line is None else line.decode("utf-8", "surrogateescape")


class Peer(peer.Peer):
    """The server. Methods are called with the link and, where there is one, the command's argument."""

    link = Link
    greeting_text = "POP3 ready"
    caps = ["USER", "UIDL", "PIPELINING", "RESP-CODES", "AUTH-RESP-CODE"]
    stls = True          # offer and do STLS on a connection in clear
    user_name, secret = "anna", "secret"

    def __init__(self, messages=(), pair=None, tls=False):
        self.maildrop = dict(messages) if isinstance(messages, dict) else {"uid-%d" % (n + 1): m for n, m in enumerate(messages)}
        self.deleted = []       # UIDLs, as they were removed for good
        super().__init__(pair, tls)

    # what a test does and asks

    def behave(self, pair=None):
        """Go on as a server without faults, with the same mail."""
        self.__class__ = Peer
        if pair:
            self.show(pair)

    def commands(self, verb=None):
        """The command lines so far, all or those of one verb."""
        return [line for _, _, line in self.noted() if verb is None or line.split(" ")[0].upper() == verb]

    def in_clear(self):
        """The command lines that came without TLS."""
        return [line for _, tls, line in self.noted() if not tls]

    def contents(self):
        """The messages that are left, as bytes with LF."""
        return list(self.maildrop.values())

    # the methods to override

    def connected(self, link):
        """Before all else, TLS included."""

    def greeting(self, link):
        link.ok(self.greeting_text)

    def capabilities(self, link):
        """The rows of CAPA."""
        return self.caps + (["STLS"] if self.stls and self.context and not link.tls else [])

    def capa(self, link, arg):
        link.ok(more=self.capabilities(link))

    def do_stls(self, link, arg):
        if link.tls or not self.context:
            return link.no("no TLS here")
        link.ok("begin")
        return link.start_tls()

    def user(self, link, arg):
        link.user = arg
        link.ok()

    def pass_(self, link, arg):
        if arg == self.secret and link.user in (self.user_name, "recent:" + self.user_name):
            link.listed = self.visible(link)
            link.ok("in")
        else:
            link.no("[AUTH] wrong")

    def auth(self, link, arg):
        link.no("no SASL")

    def visible(self, link):
        """The UIDLs that this session shows."""
        return list(self.maildrop)

    def rows(self, link):
        """Pairs of number and UIDL that aren't marked."""
        return [(n + 1, u) for n, u in enumerate(link.listed) if n + 1 not in link.marked]

    def stat(self, link, arg):
        rows = self.rows(link)
        link.ok("%d %d" % (len(rows), sum(self.size(u) for _, u in rows)))

    def size(self, uid):
        """What LIST says of a message."""
        return len(self.wire(self.maildrop[uid]))

    def list(self, link, arg):
        if arg:
            uid = self.uid_of(link, arg)
            return link.no("no such message") if uid is None else link.ok("%s %s" % (arg, self.size(uid)))
        link.ok(more=["%d %s" % (n, self.size(u)) for n, u in self.rows(link)])

    def uidl_of(self, uid):
        """What UIDL says of a message."""
        return uid

    def uidl(self, link, arg):
        link.ok(more=["%d %s" % (n, self.uidl_of(u)) for n, u in self.rows(link)])

    @staticmethod
    def wire(message):
        """A message with CRLF."""
        return message.replace(b"\n", b"\r\n")

    def body(self, uid):
        """What RETR gives behind the +OK: stuffed, with the dot at the end."""
        data = self.wire(self.maildrop[uid])
        if data.startswith(b"."):
            data = b"." + data
        data = data.replace(b"\r\n.", b"\r\n..")
        return data + (b".\r\n" if data.endswith(b"\r\n") or not data else b"\r\n.\r\n")

    def uid_of(self, link, arg):
        """The UIDL of a message number, or None."""
        n = int(arg) if arg.isdigit() else 0
        return link.listed[n - 1] if 1 <= n <= len(link.listed) and n not in link.marked else None

    def retr(self, link, arg):
        uid = self.uid_of(link, arg)
        if uid is None:
            link.no("no such message")
        else:
            link.send(b"+OK\r\n" + self.body(uid))

    def dele(self, link, arg):
        if self.uid_of(link, arg) is None:
            return link.no("no such message")
        link.marked.add(int(arg))
        return link.ok()

    def noop(self, link, arg):
        link.ok()

    def rset(self, link, arg):
        link.marked.clear()
        link.ok()

    def update(self, link):
        """Remove what is marked, for good."""
        for n in sorted(link.marked):
            uid = link.listed[n - 1]
            with self._lock:
                if self.maildrop.pop(uid, None) is not None:
                    self.deleted.append(uid)
        link.marked.clear()

    def quit(self, link, arg):
        self.update(link)
        link.ok("bye")

    def unknown(self, link, line):
        link.no("unknown command")

    # the works

    def session(self, link):
        self.connected(link)
        if self.tls:
            link.start_tls()
        self.greeting(link)
        does = {"CAPA": self.capa, "STLS": self.do_stls, "USER": self.user, "PASS": self.pass_, "AUTH": self.auth, "STAT": self.stat,
                "LIST": self.list, "UIDL": self.uidl, "RETR": self.retr, "DELE": self.dele, "NOOP": self.noop, "RSET": self.rset,
                "QUIT": self.quit}
        while (line := link.readline()) is not None:
            self.note(link, line)
            verb, _, arg = line.partition(" ")
            verb = verb.upper()
            if verb in does:
                does[verb](link, arg)
            else:
                self.unknown(link, line)
            if verb == "QUIT":
                return
