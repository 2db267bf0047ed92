"""Many folders with little in each: what is pulled from one is asked for while another is read, and that is all that is done about it."""

import json
import re
import time

import pytest

from disturb import LONG, Proxy, points
from twoway import HELLO, Scene, Sync, counts

SHORT_CUTS = 16
RTT = ("--rtt-ms", "20")


def fill(p, folders, n, start=0):
    """Each gets n messages of its own, which have the same UIDs in all of them."""
    with p.remote.connect() as c:
        for k, name in enumerate(folders):
            c.create(p.remote.wire(name))
            for i in range(n):
                p.remote.append(c, HELLO % (k, start + i), name, "S", time.time())


@pytest.fixture
def far(each_server, tmp_path):
    """A job whose server is far away."""
    proxy = Proxy(each_server.imaps_port, *RTT)
    p = Sync(tmp_path, each_server)
    p.reconfigure(":%d" % each_server.imaps_port, ":%d" % proxy.port)
    yield p
    proxy.stop()


def test_waits(far):
    """However many folders there are, in a first run as in one that brings something new of each."""
    names = ["f%02d" % i for i in range(40)]
    fill(far, names, 3)
    r = far.sync()
    assert counts(r) == {"pulled": 120, "folders_made": 41}, r
    assert r.end["round_trips"] <= 14, r.end
    far.same()
    fill(far, names, 2, 10)
    r = far.sync()
    assert counts(r) == {"pulled": 80}, r
    assert r.end["round_trips"] <= 14, r.end
    far.same()
    far.quiet()


def test_something_else_to_do_in_between(far):
    """Each third folder has something to push, or flags to set, or a message to delete."""
    names = ["f%02d" % i for i in range(18)]
    fill(far, names, 3)
    far.settle()
    fill(far, names, 2, 10)
    for k in (1, 7, 13):
        far.local.flag(names[k], HELLO % (k, 0), "FS")
    for k in (4, 10):
        far.local.deliver(HELLO % (k, 50), names[k], "S")
    far.local.delete(names[16], HELLO % (16, 1))
    r = far.sync()
    assert counts(r) == {"pulled": 36, "pushed": 2, "deleted": 1, "flagged": 3}, r
    far.same()
    state = far.remote.state()
    assert [len(state[f]) for f in names] == [5 + (k in (4, 10)) - (k == 16) for k in range(18)]
    assert all(re.search(rb"hello %d\n" % k, body) for k, f in enumerate(names) for body, _ in state[f])
    far.quiet()


class Pulled(Scene):
    """New folders and new messages at the server, and something here."""

    def __init__(self, directory, srv):
        super().__init__(directory, srv, "max-delete = none")
        p = self.p
        p.remote.fill("INBOX", 2)
        fill(p, ["b", "e"], 3)
        p.settle()
        fill(p, ["a", "b", "c", "d", "e", "f"], 3, 10)
        p.local.deliver(HELLO % (70, 70), "d", "S")
        p.local.flag("e", HELLO % (1, 0), "FS")
        self.keep()
        assert p.sync().end["failed"] == 0
        self.want = self.state()
        assert self.want["local"] == self.want["remote"] and {f: len(m) for f, m in self.want["local"].items()} == {"INBOX": 2, "a": 3, "b": 6, "c": 3, "d": 4, "e": 6, "f": 3}


@pytest.mark.crash
@pytest.mark.deadline(600)
@pytest.mark.parametrize("once", [True, False], ids=["once", "always"])
def test_cut_off_after_every_kth_byte(best, tmp_path, once):
    """Whether it comes through again at once, or not before the next run."""
    scene = Pulled(tmp_path, best)
    port = best.imaps_port

    def run(*args):
        scene.reset()
        proxy = Proxy(port, *args)
        try:
            scene.p.reconfigure(":%d" % port, ":%d" % proxy.port)
            r = scene.p.run("both")
        finally:
            counted = json.loads(proxy.stop())
        scene.p.reconfigure(":%d" % proxy.port, ":%d" % port)
        return r, counted

    r, counted = run()
    assert r.code == 0 and counted["connections"] == 1
    for n in points(counted["down"], SHORT_CUTS) if not LONG else range(1, counted["down"], 97):
        r, _ = run("--cut-down", str(n), *(["--cut-once"] if once else []))
        assert r.code in (0, 75), (n, r)
        scene.finish("cut after %d" % n)


@pytest.mark.crash
@pytest.mark.deadline(300)
def test_stopped_at_every_step(best, tmp_path):
    scene = Pulled(tmp_path, best)
    for step in scene.stopped():
        scene.finish("step %d" % step)
    assert step > 25
