"""One Dovecot of a kind for each test module, a new user and a scratch directory for each test; and certificates for scripted servers."""

import os
import sys

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))

import disturb  # noqa: E402
import dovecot  # noqa: E402
import haul     # noqa: E402
import tlscert  # noqa: E402
import twoway   # noqa: E402


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with dovecot.Dovecot(tmp_path_factory.mktemp("dovecot")) as srv:
        yield srv


#: For two-way jobs.
each_server = twoway.server_of_each(twoway.SERVERS)


@pytest.fixture(scope="module")
def best(tmp_path_factory):
    """The one that can all."""
    with twoway.start(tmp_path_factory.mktemp("dovecot"), "all") as srv:
        yield srv


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """A server to which everybody logs in by PLAIN."""
    with dovecot.Dovecot(tmp_path_factory.mktemp("plain"), auth_mechanisms="plain") as srv:
        yield srv


@pytest.fixture
def far(plain, tmp_path):
    """A two-way job whose server is far away."""
    proxy = disturb.Proxy(plain.imaps_port, "--rtt-ms", "60")
    plain.front_port = proxy.port
    yield twoway.Sync(tmp_path, plain)
    proxy.stop()


@pytest.fixture
def synced(pair):
    """The pair of sides that the test module makes, after a first run."""
    pair.remote.fill("Work/2026", 3, 100)
    pair.settle()
    pair.same()
    return pair


class Mailbox:
    """One user of a Dovecot."""

    def __init__(self, srv, user):
        self.srv, self.user = srv, user
        self.password = "the secret of " + user
        srv.add_user(user, self.password)

    def fill(self, messages):
        """Deliver; returns what a client has to end up with: the bytes with LF, in order."""
        for _, data in messages:
            self.srv.deliver(self.user, data)
        return self.messages()

    def messages(self):
        """What the server holds, as a client that stores LF has to store it: read by another POP3 client."""
        c = self.srv.pop3(self.user)
        try:
            return [b"".join(line + b"\n" for line in c.retr(n + 1)[1]) for n in range(c.stat()[0])]
        finally:
            c.quit()

    def count(self):
        return self.srv.count(self.user)

    def haul(self, directory, **more):
        """The program with a configuration for this user."""
        return haul.Haul(directory, self.srv.pop3s_port, self.srv.ca_file, user=self.user, password=self.password, host="localhost", **more)


_users = [0]


@pytest.fixture
def new_mailbox(server):
    """Makes mailboxes of users that nobody else uses."""
    def make(srv=None):
        _users[0] += 1
        return Mailbox(srv or server, "u%d" % _users[0])
    return make


@pytest.fixture
def mailbox(new_mailbox):
    return new_mailbox()


@pytest.fixture(scope="session")
def ca(tmp_path_factory):
    return tlscert.CA(str(tmp_path_factory.mktemp("ca")))


@pytest.fixture(scope="session")
def certificate(ca):
    return ca.issue("good")
