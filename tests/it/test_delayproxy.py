"""The benchmark's proxy: how much its line carries, and what it counts."""

import json
import socket
import threading
import time

import pytest
from disturb import Proxy

RATE, EACH = 1000000, 200000


@pytest.fixture
def proxy():
    """Starts a proxy to a port, which ends with the test if not before."""
    started = []

    def start(port, *args):
        started.append(Proxy(port, *args))
        return started[-1]

    yield start
    for p in started:
        if p.p.poll() is None:
            p.stop()


class Source:
    """A server that sends so many bytes to whoever comes."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]

    def serve(self, clients):
        for _ in range(clients):
            threading.Thread(target=self.send, args=self.listener.accept()).start()

    @staticmethod
    def send(peer, _):
        with peer:
            peer.sendall(b"x" * EACH)


def seconds(start, clients, *args):
    """How long it takes until all of them, at once, have all."""
    source = Source()
    proxy = start(source.port, *args)
    got = [0] * clients

    def take(n):
        with socket.create_connection(("127.0.0.1", proxy.port)) as s:
            while part := s.recv(65536):
                got[n] += len(part)

    threads = [threading.Thread(target=take, args=(n,)) for n in range(clients)]
    begin = time.monotonic()
    for t in threads:
        t.start()
    source.serve(clients)
    for t in threads:
        t.join()
    took = time.monotonic() - begin
    assert got == [EACH] * clients and json.loads(proxy.stop())["down"] == EACH * clients
    return took


def test_a_rate_is_kept_and_shared(proxy):
    for clients in (1, 2):
        assert seconds(proxy, clients, "--rate", str(RATE), "--rtt-ms", "20") >= clients * EACH / RATE


def test_a_rate_of_each_connection(proxy):
    took = seconds(proxy, 4, "--rate", str(RATE), "--each")
    assert EACH / RATE <= took < 3 * EACH / RATE


def test_the_rate_is_of_each_direction(proxy):
    listener = socket.create_server(("127.0.0.1", 0))
    port = proxy(listener.getsockname()[1], "--rate", str(RATE)).port
    begin = time.monotonic()
    with socket.create_connection(("127.0.0.1", port)) as s:
        peer = listener.accept()[0]
        sender = threading.Thread(target=lambda: (s.sendall(b"x" * EACH), s.shutdown(socket.SHUT_WR)))
        sender.start()
        with peer:
            got = 0
            while part := peer.recv(65536):
                got += len(part)
        sender.join()
    assert got == EACH and time.monotonic() - begin >= EACH / RATE


def counted(start, server, commands):
    """What the proxy counts of an IMAP session with so many commands."""
    proxy = start(server.imaps_port)
    with socket.create_connection(("127.0.0.1", proxy.port)) as raw, server.context().wrap_socket(raw, server_hostname="localhost") as s:
        f = s.makefile("rwb")
        f.readline()
        for n in range(commands):
            f.write(b"a%d CAPABILITY\r\n" % n)
            f.flush()
            while not f.readline().startswith(b"a%d " % n):
                pass
    return json.loads(proxy.stop())


def test_a_handshake_is_told_apart(proxy, server):
    few, many = counted(proxy, server, 1), counted(proxy, server, 50)
    assert many["down"] > few["down"] + 1000 and many["up"] > few["up"] + 1000
    for way, least in (("up", 250), ("down", 600)):
        hello = [c["hello_" + way] for c in (few, many)]
        # A signature is some bytes longer or shorter.
        assert hello[0] >= least and abs(hello[0] - hello[1]) <= 8 and hello[0] < few[way]
