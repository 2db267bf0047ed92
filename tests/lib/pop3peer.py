"""A POP3 server that does as it is told, and wrong when it is told so.

    class Cut(pop3peer.Peer):
        def retr(self, link, num):
            link.send(b"+OK\r\nSubject: cut")
            raise pop3peer.Hangup

    with pop3peer.Peer([b"Subject: 1\n\nx\n"], pair=ca.issue("localhost"), tls=True) as srv:
        ...srv.port, srv.log, srv.contents()

Peer itself behaves well: it keeps a maildrop over sessions, as a dict from UIDL to bytes with LF in the order of arrival. Tests
override the methods that answer a command. Each connection is a Link in a thread of its own; stop() ends and joins them all, and
says what went wrong inside.
"""

import socket
import ssl
import threading
import traceback

HELD_SECONDS = 30    # nobody holds a connection longer, whatever happens to the test
LINE_MAX = 65536


class Hangup(Exception):
    """Raised by a method: close the connection at once."""


class Link:
    """One connection, and the session on it."""

    def __init__(self, peer, sock, number):
        self.peer, self.sock, self.number = peer, sock, number
        self.buf = b""
        self.tls = False
        self.user = None
        self.listed = []        # the UIDLs of this session: message n is listed[n - 1]
        self.marked = set()     # numbers

    def send(self, data):
        """Send bytes, as they are."""
        self.sock.sendall(data)

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
        """A line without its end, or None at the end of the stream."""
        while b"\n" not in self.buf:
            if len(self.buf) > LINE_MAX:
                raise Hangup
            data = self.sock.recv(65536)
            if not data:
                return None
            self.buf += data
        line, self.buf = self.buf.split(b"\n", 1)
        return line.rstrip(b"\r").decode("utf-8", "surrogateescape")

    def start_tls(self):
        """The server's half of the TLS handshake."""
        self.sock = self.peer.context.wrap_socket(self.sock, server_side=True)
        self.tls = True

    def hang(self):
        """Say nothing more until the other side has gone, or the server is stopped."""
        while self.sock.recv(65536):
            pass
        raise Hangup


class Peer:
    """The server. Methods are called with the link and, where there is one, the command's argument."""

    greeting_text = "POP3 ready"
    caps = ["USER", "UIDL", "PIPELINING", "RESP-CODES", "AUTH-RESP-CODE"]
    stls = True          # offer and do STLS on a connection in clear
    user_name, secret = "anna", "secret"

    def __init__(self, messages=(), pair=None, tls=False):
        self.maildrop = dict(messages) if isinstance(messages, dict) else {"uid-%d" % (n + 1): m for n, m in enumerate(messages)}
        self.tls = tls
        self.context = None
        if pair:
            self.show(pair)
        self.log = []           # (number of the connection, encrypted, command line)
        self.deleted = []       # UIDLs, as they were removed for good
        self.problems = []
        self._lock = threading.Lock()
        self._links, self._threads = set(), []
        self._stopping = False
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._accepter = threading.Thread(target=self._accept, daemon=True)
        self._accepter.start()

    # what a test does and asks

    def show(self, pair):
        """Show this certificate from now on."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pair.cert, pair.key)
        self.context = context

    def behave(self, pair=None):
        """Go on as a server without faults, with the same mail."""
        self.__class__ = Peer
        if pair:
            self.show(pair)

    def commands(self, verb=None):
        """The command lines so far, all or those of one verb."""
        with self._lock:
            return [line for _, _, line in self.log if verb is None or line.split(" ")[0].upper() == verb]

    def in_clear(self):
        """The command lines that came without TLS."""
        with self._lock:
            return [line for _, tls, line in self.log if not tls]

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
        """All of a connection."""
        self.connected(link)
        if self.tls:
            link.start_tls()
        self.greeting(link)
        does = {"CAPA": self.capa, "STLS": self.do_stls, "USER": self.user, "PASS": self.pass_, "AUTH": self.auth, "STAT": self.stat,
                "LIST": self.list, "UIDL": self.uidl, "RETR": self.retr, "DELE": self.dele, "NOOP": self.noop, "RSET": self.rset,
                "QUIT": self.quit}
        while (line := link.readline()) is not None:
            with self._lock:
                self.log.append((link.number, link.tls, line))
            verb, _, arg = line.partition(" ")
            verb = verb.upper()
            if verb in does:
                does[verb](link, arg)
            else:
                self.unknown(link, line)
            if verb == "QUIT":
                return

    def _serve(self, link):
        try:
            self.session(link)
        except (Hangup, OSError, ssl.SSLError):
            pass    # the other side may go whenever it wants to
        except Exception:    # pylint: disable=broad-except
            self.problems.append(traceback.format_exc())
        finally:
            with self._lock:
                self._links.discard(link)
            if link.tls:
                try:
                    link.sock.settimeout(1)
                    link.sock.unwrap()
                except (OSError, ValueError):
                    pass
            link.sock.close()

    def _accept(self):
        count = 0
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            sock.settimeout(HELD_SECONDS)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            count += 1
            link = Link(self, sock, count)
            thread = threading.Thread(target=self._serve, args=(link,), daemon=True)
            with self._lock:
                if self._stopping:
                    sock.close()
                    return
                self._links.add(link)
                self._threads.append(thread)
            thread.start()

    def stop(self):
        """Close everything and wait for the threads."""
        with self._lock:
            self._stopping = True
            links, threads = list(self._links), list(self._threads)
        try:
            self._listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._listener.close()
        for link in links:
            try:
                link.sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        for thread in [self._accepter, *threads]:
            thread.join(10)
            assert not thread.is_alive(), "a connection of the server did not end"

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        self.stop()
        if kind is None:
            assert not self.problems, "\n".join(self.problems)
