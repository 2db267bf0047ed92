"""A line to a server that can be cut, be dead for a while, or be silent, on one port all the time."""

import contextlib
import selectors
import socket
import threading


class Line:
    """Forwards connections to a port of 127.0.0.1.

    cut(): all that stand are broken. down(), up(): nobody gets through meanwhile. freeze(), thaw(): they stand, but nothing flows, and nobody is told. conns: how many there ever were.
    """

    def __init__(self, port):
        self.to = port
        self.lock = threading.Lock()
        self.pairs = {}             # a socket -> its other end
        self.frozen = False
        self.conns = 0
        self.sel = selectors.DefaultSelector()
        self.wake, self.woken = socket.socketpair()
        self.sel.register(self.woken, selectors.EVENT_READ)
        self.listener = None
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        self.ended = False
        self.up()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.ended = True
        self.wake.send(b"x")
        self.thread.join()
        self.down()
        self.sel.close()
        self.wake.close()
        self.woken.close()

    def up(self):
        with self.lock:
            if self.listener:
                return
            self.listener = socket.socket()
            self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self.listener.bind(("127.0.0.1", self.port))
            self.listener.listen(64)
            self.sel.register(self.listener, selectors.EVENT_READ)
        self.wake.send(b"x")

    def down(self):
        with self.lock:
            if self.listener:
                self.sel.unregister(self.listener)
                self.listener.close()
                self.listener = None
        self.cut()

    def cut(self):
        with self.lock:
            for s in list(self.pairs):
                self._close(s)

    def freeze(self):
        self.frozen = True

    def thaw(self):
        self.frozen = False
        self.wake.send(b"x")

    def _close(self, s):
        other = self.pairs.pop(s, None)
        for x in (s, other):
            if x:
                self.pairs.pop(x, None)
                with contextlib.suppress(KeyError, ValueError):
                    self.sel.unregister(x)
                x.close()

    def _accept(self):
        try:
            near, _ = self.listener.accept()
            far = socket.create_connection(("127.0.0.1", self.to), timeout=5)
        except OSError:
            with contextlib.suppress(UnboundLocalError):
                near.close()
            return
        self.conns += 1
        for s in (near, far):
            s.settimeout(10)
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.sel.register(s, selectors.EVENT_READ)
        self.pairs[near], self.pairs[far] = far, near

    def _forward(self, s):
        if s not in self.pairs:
            return
        try:
            data = s.recv(65536)
            if data:
                self.pairs[s].sendall(data)
                return
        except OSError:
            pass
        self._close(s)

    def _run(self):
        while not self.ended:
            for key, _ in self.sel.select(0.05 if self.frozen else None):
                with self.lock:
                    if key.fileobj is self.woken:
                        self.woken.recv(4096)
                    elif self.frozen:
                        continue
                    elif key.fileobj is self.listener:
                        self._accept()
                    else:
                        self._forward(key.fileobj)
            if self.frozen and not self.ended:
                threading.Event().wait(0.02)
