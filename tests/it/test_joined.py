"""Messages that are put on a server, flags that are changed there, and the proof of what is to be deleted there leave in one flight: what comes of each when another is refused, or cut."""

import pytest

from hostile import clean
from imappeer import Hangup, Peer, Refused
from test_hostile_imap import CAPS, letters, lively, nothing_lost, recover
from twoway import actions

PUSHED, FLAGGED, DELETED = letters(2, 30), letters(1, 3)[0], letters(1, 4)[0]


def there(srv, body):
    """The flags of a message at the server; None: it is not there."""
    found = [flags for text, flags in srv.state()["INBOX"] if text == body]
    assert len(found) <= 1
    return found[0] if found else None


class Waiting(Peer):
    """Answers no APPEND before the flight is complete, or the client waits for what it does not get."""

    until = b"UID FETCH"

    def appended(self, link, tag, folder, uids):
        link.sock.settimeout(5)
        while self.until not in link.buf and link.more():
            pass
        super().appended(link, tag, folder, uids)


@pytest.mark.parametrize("less", ["all", "no QRESYNC", "no UIDPLUS"])
def test_one_flight(tmp_path, less):
    srv, h, want = lively(tmp_path, less=CAPS[less])
    with srv:
        srv.__class__ = Waiting
        r = clean(h.run("both"))
        assert r.code == 0 and not r.of("warning"), r
        recover(h, want)


def test_one_flight_without_flags(tmp_path):
    """The proof alone flies behind the messages."""
    srv, h, want = lively(tmp_path)
    with srv:
        h.settle()
        h.local.deliver(letters(1, 60)[0], flags="S")
        h.local.delete("INBOX", letters(1, 5)[0])
        want["INBOX"] = sorted([row for row in want["INBOX"] if row[0] != letters(1, 5)[0]] + [(letters(1, 60)[0], "S")])
        srv.__class__ = Waiting
        assert clean(h.run("both")).code == 0
        recover(h, want)


class RefusesMessages(Peer):
    answer = "NO"

    def append(self, link, tag, args):
        raise Refused(self.answer + " not this one")


class BadMessages(RefusesMessages):
    answer = "BAD"


class OverQuota(RefusesMessages):
    answer = "NO [OVERQUOTA]"


class TryAgain(RefusesMessages):
    answer = "NO [UNAVAILABLE]"


@pytest.mark.parametrize("kind", [RefusesMessages, BadMessages, OverQuota, TryAgain])
def test_messages_are_refused_and_flags_are_not(tmp_path, kind):
    srv, h, want = lively(tmp_path)
    with srv:
        srv.__class__ = kind
        r = clean(h.run("both"))
        assert r.code != 0 and r.of("error"), r
        assert [there(srv, m) for m in PUSHED] == [None, None]
        assert there(srv, FLAGGED) == "RS"
        if kind in (RefusesMessages, BadMessages):      # each is told, and the rest goes on
            assert len(r.of("error")) == 2 and there(srv, DELETED) is None, r
        recover(h, want)


class RefusesFlags(Peer):
    answer = "NO"

    def uid_store(self, link, tag, args):
        raise Refused(self.answer + " these stay as they are")


class BadFlags(RefusesFlags):
    answer = "BAD"


class FlagsLater(RefusesFlags):
    answer = "NO [UNAVAILABLE]"


@pytest.mark.parametrize("kind", [RefusesFlags, BadFlags, FlagsLater])
def test_flags_are_refused_and_messages_are_not(tmp_path, kind):
    srv, h, want = lively(tmp_path)
    with srv:
        srv.__class__ = kind
        r = clean(h.run("both"))
        assert r.code != 0 and r.of("error"), r
        assert "push" in [a for a, _ in actions(r)], r
        assert None not in [there(srv, m) for m in PUSHED] and len(srv.commands("APPEND")) == 2
        assert there(srv, FLAGGED) == "S"
        recover(h, want)
        assert len(srv.commands("APPEND")) == 2, "what has arrived was sent once more"


class RefusesTheProof(Peer):
    def uid_fetch(self, link, tag, args):
        if "RFC822.SIZE" in str(args) and "BODY.PEEK" in str(args) and link.writes and getattr(link, "stored", False):
            raise Refused("NO ask me later")
        super().uid_fetch(link, tag, args)

    def uid_store(self, link, tag, args):
        link.stored = True
        super().uid_store(link, tag, args)


class Breaking(Peer):
    """Closes the connection at a place of the flight, each time."""

    where, times = "", 9

    def stage(self, link, where):
        link.appended = getattr(link, "appended", False) or where == "append"
        if link.appended and where == self.where and self.times > 0:
            self.__class__.times -= 1
            raise Hangup


def breaking(place, count):
    return type("Breaking", (Breaking,), {"where": place, "times": count})


PLACES = ["append", "noop", "uid store", "uid fetch", "uid expunge"]


@pytest.mark.parametrize("less", ["all", "bare"])
@pytest.mark.parametrize("times", [1, 2, 9])
@pytest.mark.parametrize("place", PLACES)
def test_cut(tmp_path, place, times, less):
    """Before a command is answered, and done (APPEND: done)."""
    srv, h, want = lively(tmp_path, less=CAPS[less])
    with srv:
        srv.__class__ = breaking(place, times)
        r = clean(h.run("both"))
        assert times > 1 or less == "bare" or r.code == 0, r
        nothing_lost(h, want)
        clean(h.run("both"))
        recover(h, want)


def test_what_has_arrived_counts_though_the_flags_break_it(tmp_path):
    """All answers to the messages were heard: they are there, and need not be looked for."""
    srv, h, want = lively(tmp_path)
    with srv:
        srv.__class__ = breaking("uid store", 9)
        r = clean(h.run("both"))
        assert sum(a == "push" for a, _ in actions(r)) == 2, r
        assert not [e for e in r.of("error") if e.get("uid")], r
        recover(h, want)
        assert len(srv.commands("APPEND")) == 2


class CutInHalf(Peer):
    """Half of the flight is read: the beginning of a message."""

    def literal(self, link, tag, size, plus):
        link.take(size // 2)
        raise Hangup


class Parallel(Peer):
    """Answers what stands behind a message before it has that."""

    def append(self, link, tag, args):
        behind = []
        while b"\n" in link.buf:
            behind.append(self.command(link))
        for other, parts in [b for b in behind if b]:
            self.obey(link, other, parts)
        super().append(link, tag, args)


class EarlyOk(Peer):
    """OK before the message was read, whose lines it then takes for commands."""

    def literal(self, link, tag, size, plus):
        raise Refused("OK [APPENDUID 1000 77] have it already")


class SilentBehind(Peer):
    """No answer to the messages but to what stands behind them."""

    def append(self, link, tag, args):
        link.sock.settimeout(5)
        while b"UID FETCH" not in link.buf and link.more():
            pass
        while b"\n" in link.buf:
            self.obey(link, *self.command(link))
        raise Hangup


@pytest.mark.parametrize("less", ["all", "bare"])
@pytest.mark.parametrize("kind", [CutInHalf, Parallel, EarlyOk, SilentBehind, RefusesTheProof])
def test_odd(tmp_path, kind, less):
    srv, h, want = lively(tmp_path, less=CAPS[less])
    with srv:
        srv.__class__ = kind
        for _ in range(2):
            clean(h.run("both"))
            nothing_lost(h, want)
        recover(h, want)


def test_stopped_at_each_step(tmp_path):
    """And gone on with: between what is sent and what is noted of it."""
    step = 0
    while True:
        step += 1
        (tmp_path / str(step)).mkdir()
        srv, h, want = lively(tmp_path / str(step))
        with srv:
            stopped = h.call("run", "both", env={"MAILHAUL_STOP_AT": str(step)})
            nothing_lost(h, want)
            recover(h, want)
            if stopped.code == 0:
                break
    assert step > 20
