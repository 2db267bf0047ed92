"""What the scripted servers share: they listen on a port of loopback, and each connection is a Link in a thread of its own."""

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

    def send(self, data):
        """Send bytes, as they are."""
        self.sock.sendall(data)

    def more(self):
        """Read; False at the end of the stream."""
        data = self.sock.recv(65536)
        self.buf += data
        return bool(data)

    def readline(self):
        """A line without its end, as bytes; or None at the end of the stream."""
        while b"\n" not in self.buf:
            if len(self.buf) > LINE_MAX:
                raise Hangup
            if not self.more():
                return None
        line, self.buf = self.buf.split(b"\n", 1)
        return line.rstrip(b"\r")

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
    """A server, which listens as soon as it is made: a class on it has its own ready before. stop() ends and joins all, and says what went wrong inside."""

    link = Link     # what a connection becomes

    def __init__(self, pair=None, tls=False):
        self.tls = tls
        self.context = None
        if pair:
            self.show(pair)
        self.log = []           # (number of the connection, encrypted, command line)
        self.problems = []
        self._lock = threading.Lock()
        self._links, self._threads = set(), []
        self._stopping = False
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._accepter = threading.Thread(target=self._accept, daemon=True)
        self._accepter.start()

    def show(self, pair):
        """Show this certificate from now on."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pair.cert, pair.key)
        self.context = context

    def note(self, link, line):
        """Write a command line down."""
        with self._lock:
            self.log.append((link.number, link.tls, line))

    def noted(self):
        """What was written down so far."""
        with self._lock:
            return list(self.log)

    def session(self, link):
        """All of a connection."""
        raise NotImplementedError

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
            link = self.link(self, sock, count)
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
