"""A server with OBJECTID (RFC 8474): a Dovecot that does not know it, seen through a proxy that calls Dovecot's own X-GUID by those names."""

import asyncio
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
    """The proxy, by TLS on both sides, all in one thread (TLS bears no two). .imaps_port; ends with its with."""

    def __init__(self, srv):
        self.srv = srv
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(srv.cert.cert, srv.cert.key)
        self.inner = ssl.create_default_context(cafile=srv.ca_file)
        self.inner.check_hostname = False

    def __enter__(self):
        self.loop = asyncio.new_event_loop()
        listener = socket.create_server(("127.0.0.1", 0))
        self.imaps_port = listener.getsockname()[1]
        self.loop.run_until_complete(asyncio.start_server(self.serve, sock=listener, ssl=self.context))
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *exc):
        asyncio.run_coroutine_threadsafe(self.close(), self.loop).result(10)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(10)
        self.loop.close()

    async def close(self):
        tasks = [t for t in asyncio.all_tasks() if t is not asyncio.current_task()]
        for t in tasks:
            t.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def serve(self, client, to_client):
        with contextlib.suppress(OSError, asyncio.CancelledError), contextlib.closing(to_client):
            server, to_srv = await asyncio.open_connection(self.srv.host, self.srv.imaps_port, ssl=self.inner, server_hostname="localhost")
            with contextlib.closing(to_srv):
                await asyncio.gather(self.copy(client, to_srv, to_server), self.copy(server, to_client, from_server))

    @staticmethod
    async def copy(source, target, change):
        """Line by line: what is in a message must not look like what is changed."""
        rest = b""
        with contextlib.suppress(OSError), contextlib.closing(target):
            while data := await source.read(65536):
                *lines, rest = (rest + data).split(b"\n")
                target.write(b"".join(change(line + b"\n") for line in lines))
                if len(rest) > 100000:
                    target.write(rest)
                    rest = b""
                await target.drain()
            target.write(change(rest))
            await target.drain()
