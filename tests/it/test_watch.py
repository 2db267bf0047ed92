"""`mailhaul watch`: what changes on one side is soon on the other, its own changes cause nothing, and it survives what happens to links, servers, clocks and configurations."""

import time

import pytest

from watching import Watch, until
from twoway import Sync, server_of_each
import corpus

each_server = server_of_each(["all", "bare"])
best = server_of_each(["all"])


def mail(n):
    return b"From: a@example.org\nSubject: %d\nMessage-ID: <%d@example.org>\n\nbody %d\n" % (n, n, n)


@pytest.fixture
def p(each_server, tmp_path):
    return Sync(tmp_path, each_server, "\tevery = 1h")


def up(w, sides=("local",)):
    """It stands, and has nothing to do."""
    for side in sides:
        w.wait("waiting", side=side, text="inotify") if side == "local" else w.wait("waiting", side=side)
    w.settle()
    return w.mark()


def test_local_change(p):
    p.remote.deliver(mail(1))
    with Watch(p, "both") as w:
        at = up(w)
        assert p.local.bodies() == [mail(1)]
        p.local.flag("INBOX", mail(1), "F")
        until(lambda: p.remote.state()["INBOX"] == [(mail(1), "F")], what=lambda: repr(w))
        w.settle()
        assert len(w.of("changed", at)) == len(w.of("start", at)) == 1, w
