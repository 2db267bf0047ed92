"""Between two accounts: what is on its way to a server, while the same connection is to bring messages from there."""

import collections

import pytest

import haul
import twoway
from hostile import CLEAR, clean
from imappeer import Hangup, Peer, Refused
from test_hostile_imap import CAPS, forget_pauses, letters


class Job(twoway.Job):
    """A two-way job "both" between two scripted servers."""

    def __init__(self, directory, left, right):
        super().__init__(directory, 1)
        self.left, self.right = left, right
        account = "account %%s {\n\turl = %%s\n\tpassword-file = %s\n\t%s\n}\n" % (haul.quoted(self.secret), CLEAR)
        self.write_private(self.conf, "".join(account % (name, haul.quoted("imap://anna@127.0.0.1:%d" % srv.port)) for name, srv in (("work", left), ("other", right))) +
                           "sync both {\n\tremote = work\n\tlocal = other\n}\n")

    def same(self):
        assert self.left.state() == self.right.state()


def lively(directory, less=()):
    """Both agreed, and then all has changed on both sides: (job, what both hold in the end)."""
    left, right = Peer({"INBOX": letters(8)}), Peer()
    left.less = right.less = set(less)
    h = Job(directory, left, right)
    assert clean(h.run("both")).code == 0
    for srv, first in ((left, 20), (right, 40)):
        box = srv.inbox()
        for i, m in enumerate(letters(6, first)):
            box.add(m, {"\\Seen", "mine"} if i % 2 else {"\\Seen"})
        box.flag(box.find(1 if srv is left else 2), {"\\Flagged"})
        box.expunge([3 if srv is left else 4])
    return h, sorted(letters(2) + letters(4, 5) + letters(6, 20) + letters(6, 40))


def links(srv):
    return len(srv.commands("AUTHENTICATE")) + len(srv.commands("LOGIN"))


def nothing_lost(h, want):
    sides = [collections.Counter(b for b, _ in srv.state()["INBOX"]) for srv in (h.left, h.right)]
    assert not collections.Counter(want) - (sides[0] | sides[1]), "lost"
    for s in sides:
        assert not [m for m, n in s.items() if n > 1], "doubled"


def recover(h, want):
    nothing_lost(h, want)
    h.left.behave()
    h.right.behave()
    for _ in range(2):
        forget_pauses(h)
        r = clean(h.run("both"))
    assert r.code == 0, r
    h.same()
    assert sorted(b for b, _ in h.left.state()["INBOX"]) == want
    h.quiet()


class Wordless(Peer):
    """Takes no keyword with a message."""

    def append(self, link, tag, args):
        if "mine" in str(args[1]):
            raise Refused("NO no such flag")
        super().append(link, tag, args)


class Breaking(Peer):
    """Closes the connection at a place, so often."""

    where, times = "append", 1

    def stage(self, link, where):
        if where == self.where and self.times > 0 and link.writes:
            self.__class__.times -= 1
            raise Hangup


def breaking(where, times):
    return type("Breaking", (Breaking,), {"where": where, "times": times})


PLACES = ["append", "noop", "literal", "uid store", "uid fetch", "uid expunge", "body"]


@pytest.mark.parametrize("less", ["all", "bare"])
@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("times", [1, 9])
@pytest.mark.parametrize("place", PLACES)
def test_cut(tmp_path, place, times, side, less):
    h, want = lively(tmp_path, CAPS[less])
    with h.left, h.right:
        getattr(h, "right" if side == "left" else "left").__class__ = Wordless
        getattr(h, side).__class__ = breaking(place, times)
        clean(h.run("both"))
        recover(h, want)


@pytest.mark.parametrize("kind", ["again", "unnamed"])
def test_one_breaks_while_the_other_is_read(tmp_path, kind):
    """And there is something left to do there about what was put there: to send it once more, or to look for it."""
    h, want = lively(tmp_path, {"UIDPLUS"} if kind == "unnamed" else ())
    with h.left, h.right:
        more = [b"Message-ID: <m%d@example.org>\n\n" % i + b"x" * 2000 + b"\n" for i in range(400)]
        for m in more:
            h.right.inbox().add(m, {"\\Seen"})
        if kind == "again":
            h.right.__class__ = Wordless
        h.left.__class__ = breaking("append", 1)
        before = links(h.right)
        r = clean(h.run("both"))
        assert r.code == 0 and not r.of("error"), r
        assert links(h.right) == before + 1, "the connection was given up"
        recover(h, sorted(want + more))
