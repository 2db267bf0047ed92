"""A server with OBJECTID (RFC 8474): a Dovecot that does not know it, seen through a proxy that calls Dovecot's own X-GUID by those names."""

import contextlib
import hashlib
import re
import socket
import ssl
import threading

OFFERED = b"OBJECTID"


def to_server(line):
    return re.sub(rb"\b(?:EMAILID|MAILBOXID)\b", b"X-GUID", line)


def from_server(line):
    if b"CAPABILITY" in line:
        line = re.sub(rb"CAPABILITY( IMAP4rev1)?", lambda m: m.group(0) + b" " + OFFERED, line, count=1).replace(b" COMPRESS=DEFLATE", b"")
    if line.startswith(b"* STATUS "):
        return re.sub(rb"\bX-GUID ([0-9a-f]+)", rb"MAILBOXID (\1)", line)
    if re.match(rb"\* \d+ FETCH |.*\)\r?$", line):
        return re.sub(rb"\bX-GUID (\"[^\"]*\"|[^ ()\r\n]+)", lambda m: b"EMAILID (M%s)" % hashlib.sha1(m.group(1)).hexdigest().encode(), line)
    return line


class Front:
    """The proxy, by TLS on both sides. .imaps_port; ends with its with."""

    def __init__(self, srv):
        self.srv = srv
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(srv.cert.cert, srv.cert.key)
        self.inner = ssl.create_default_context(cafile=srv.ca_file)
        self.inner.check_hostname = False

    def __enter__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.imaps_port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()
        return self

    def __exit__(self, *exc):
        self.listener.close()

    def accept(self):
        while True:
            try:
                link, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(link,), daemon=True).start()

    def serve(self, link):
        with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
            client = stack.enter_context(self.context.wrap_socket(link, server_side=True))
            server = stack.enter_context(self.inner.wrap_socket(socket.create_connection((self.srv.host, self.srv.imaps_port)), server_hostname="localhost"))
            back = threading.Thread(target=self.copy, args=(server, client, from_server), daemon=True)
            back.start()
            self.copy(client, server, to_server)
            back.join()

    @staticmethod
    def copy(source, target, change):
        """Line by line: what is in a message must not look like what is changed."""
        rest = b""
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                *lines, rest = (rest + data).split(b"\n")
                if lines:
                    target.sendall(b"".join(change(line + b"\n") for line in lines))
                if len(rest) > 100000:
                    target.sendall(rest)
                    rest = b""
            target.sendall(change(rest))
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_RDWR)
