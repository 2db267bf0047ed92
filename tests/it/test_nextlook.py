"""When INBOX has changed here, the server is asked for its changes there in the flight of the list of folders: what that spares, and servers that make nothing of it."""

import os
import re
import time

import pytest

from hostile import TLS, clean, forget_pauses
from imappeer import Hangup, Peer, Refused, text
from test_firstlook import Closing, Mixing, MixingData, MixingExists, MixingFlags, settled, talk
from test_hostile_imap import Job
from twoway import actions

LETTERS = [b"Message-ID: <%d@example.org>\nSubject: letter %d\n\ntext %d\n" % (i, i, i) for i in range(6)]
NEW = b"Message-ID: <new@example.org>\n\nnew\n"


@pytest.fixture
def far(far):
    """A job whose server is far away, when both sides agree, and the next run knows it."""
    for letter in LETTERS:
        far.remote.deliver(letter, flags="S")
    agree(far)
    return far


def old(side):
    """A directory that was changed less than two seconds ago is not known by its times."""
    newest = max(os.stat(d).st_ctime for d, _, _ in os.walk(side.path))
    while time.time() < newest + 2.1:
        time.sleep(0.01)


def agree(h):
    """Nothing is new, and so it is known."""
    h.settle()
    old(h.local)
    h.quiet()


def change_here(h):
    h.local.deliver(NEW, flags="S")
    h.local.flag("INBOX", LETTERS[1], "FS")
    h.local.delete("INBOX", LETTERS[2])
    settled(h.local)


def looked(sent):
    """Where SELECT stands: did it leave before LIST was answered, and once?"""
    looks = [i for i, (way, verb) in enumerate(sent) if way == ">" and verb in ("SELECT", "EXAMINE")]
    return len(looks) == 1 and looks[0] < sent.index(("<", "LIST") if ("<", "LIST") in sent else next(x for x in sent if x[0] == "<"))


def test_it_leaves_with_the_list(far):
    quiet = far.run("both").end["round_trips"]
    change_here(far)
    r = clean(far.run("both"))
    assert sorted(a for a, _ in actions(r)) == ["delete", "flags", "push"], r
    assert r.end["round_trips"] <= quiet + 2, r     # the flight of all, and the removal
    far.same()


def test_what_has_changed_there_comes_with_it(far):
    quiet = far.run("both").end["round_trips"]
    change_here(far)
    far.remote.deliver(b"Message-ID: <there@example.org>\n\nthere\n", flags="S")
    far.remote.flag("INBOX", LETTERS[4], "FS")
    far.remote.delete("INBOX", LETTERS[5])
    r = clean(far.run("both"))
    assert r.end["round_trips"] <= quiet + 3, r     # and the body
    far.same()
    assert len(far.local.bodies("INBOX")) == 6
    agree(far)


@pytest.mark.parametrize("how", ["here", "there", "nowhere", "a name", "another folder", "dry", "limits"])
def test_when_it_is_asked(far, how):
    args = []
    if how in ("here", "dry", "limits"):
        if how == "limits":
            far.configure("max-size = 1M")
            agree(far)
        change_here(far)
        args = ["--dry-run"] if how == "dry" else []
    elif how == "there":
        far.remote.flag("INBOX", LETTERS[4], "FS")
    elif how == "a name":
        path = os.path.join(far.local.box("INBOX"), "cur", "touched")
        open(path, "w").close()
        os.unlink(path)
    elif how == "another folder":
        far.local.deliver(NEW, "Work", flags="S")
        settled(far.local)
    sent, r = talk(far, *args)
    assert looked(sent) == (how in ("here", "a name", "dry")), r
    if how == "a name":
        assert (">", "UID STORE") not in sent and (">", "APPEND") not in sent, r
    assert ((">", "SELECT") in sent or (">", "EXAMINE") in sent) == (how != "nowhere"), r
    if how == "dry":
        assert (">", "SELECT") not in sent, r
        assert far.call("run", "both").code == 0
    far.same()
    agree(far)


# Scripted servers

@pytest.fixture
def peer(tmp_path, ca, certificate):
    """One that takes what stands behind a login, and a job that knows it."""
    with Peer({"INBOX": LETTERS, "Work": LETTERS[:1]}, pair=certificate, tls=True) as srv:
        h = Job(tmp_path, srv, scheme="imaps", ca_file=ca.cert, tls=TLS, host="localhost")
        agree(h)
        h.quiet()
        yield srv, h


def links(srv):
    return len(srv.commands("AUTHENTICATE")) + len(srv.commands("LOGIN"))


@pytest.mark.parametrize("kind", [Mixing, MixingData, MixingFlags, MixingExists, Closing])
def test_a_server_that_makes_nothing_of_it(peer, kind):
    """It costs one connection, once."""
    srv, h = peer
    srv.__class__ = kind
    for i, more in enumerate([1, 0]):
        before = links(srv)
        h.local.deliver(b"Message-ID: <%d-new@example.org>\n\nnew\n" % i, flags="S")
        settled(h.local)
        r = clean(h.run("both"))
        assert r.code == 0 and not r.of("warning") and not r.of("error"), r
        assert links(srv) - before == 1 + more, srv.noted()
        h.same()
        agree(h)
    assert len(h.local.bodies("INBOX")) == 8


class NotEnabled(Peer):
    """Announces QRESYNC, and does not turn it on."""

    def enable(self, link, tag, args):
        link.star("ENABLED")
        link.ok(tag)

    def uid_fetch(self, link, tag, args):
        if "VANISHED" in str(args).upper():
            raise Refused("BAD QRESYNC is not enabled")
        super().uid_fetch(link, tag, args)


class EnableRefused(NotEnabled):
    def enable(self, link, tag, args):
        raise Refused("NO not for you")


@pytest.mark.parametrize("kind", [NotEnabled, EnableRefused])
def test_it_was_asked_for_what_is_not_enabled(peer, kind):
    """What is gone there is found in another way."""
    srv, h = peer
    srv.__class__ = kind
    said = len(srv.commands())
    change_here(h)
    srv.inbox().expunge([5])
    r = clean(h.run("both"))
    assert r.code == 0 and not r.of("error"), r
    asked = srv.commands()[said:]
    assert any("VANISHED" in line for line in asked), srv.noted()
    assert [line for line in asked if ":* " in line and "MESSAGE-ID" not in line] == [], "it was taken for a failure"
    h.same()
    assert len(h.local.bodies("INBOX")) == 5


def test_it_is_gone_there(peer):
    """Not listed any more: nothing here follows, and nothing is put there."""
    srv, h = peer
    class Hiding(Peer):
        def list(self, link, tag, args):
            self.list_row(link, "LIST", [], b'"Work"')
            link.ok(tag)

        def select(self, link, tag, args):
            if text(args[0]) == "INBOX":
                raise Refused("NO [NONEXISTENT] no such thing")
            super().select(link, tag, args)
    srv.__class__ = Hiding
    change_here(h)
    here = h.local.state()["INBOX"]
    r = clean(h.run("both"))
    assert r.code != 0 and not srv.commands("APPEND"), r
    assert h.local.state()["INBOX"] == here
    srv.behave()
    assert clean(h.run("both")).code == 0
    h.same()
    assert NEW in h.local.bodies("INBOX") and LETTERS[2] not in h.local.bodies("INBOX")


@pytest.mark.parametrize("told", [True, False])
def test_it_was_made_anew_there(peer, told):
    """With the same mail under other numbers; told: by LIST's STATUS, too."""
    srv, h = peer
    class Late(Peer):
        def status_row(self, link, folder, items):
            if told or folder.name != "INBOX":
                return super().status_row(link, folder, items)
            new, folder.validity = folder.validity, self.before
            try:
                return super().status_row(link, folder, items)
            finally:
                folder.validity = new
    inbox = srv.inbox()
    Late.before = inbox.validity
    srv.__class__ = Late
    with srv.lock:
        inbox.validity += 1
        for m in inbox.messages:
            m.uid += 100
        inbox.uidnext += 100
    h.local.deliver(NEW, flags="S")
    h.local.flag("INBOX", LETTERS[1], "FS")
    settled(h.local)
    r = clean(h.run("both"))
    assert r.code == 0 and not r.of("error"), r
    srv.behave()
    h.same()
    assert sorted(h.local.bodies("INBOX")) == sorted(LETTERS + [NEW])
    h.quiet()


class Locked(Peer):
    def select(self, link, tag, args):
        if text(args[0]) == "INBOX":
            raise Refused("NO [NOPERM] not for you")
        super().select(link, tag, args)


class CutAtSelect(Peer):
    def select(self, link, tag, args):
        raise Hangup


class CutBehind(Peer):
    def uid_fetch(self, link, tag, args):
        raise Hangup


@pytest.mark.parametrize("kind", [Locked, CutAtSelect, CutBehind])
def test_it_is_refused_or_cut(peer, kind):
    srv, h = peer
    srv.__class__ = kind
    change_here(h)
    for _ in range(2):
        r = clean(h.run("both"))
        assert r.code != 0 and r.of("error"), r
    srv.behave()
    forget_pauses(h)
    assert clean(h.run("both")).code == 0
    h.same()
    assert sorted(h.local.bodies("INBOX")) == sorted(LETTERS[:2] + LETTERS[3:] + [NEW])
    h.quiet()


def test_stopped_at_each_step(peer):
    """And gone on with, though the server was asked early."""
    srv, h = peer
    for step in range(1, 200):
        body = b"Message-ID: <step%d@example.org>\n\nstep\n" % step
        h.local.deliver(body, flags="S")
        h.local.flag("INBOX", LETTERS[0], "FS" if step % 2 else "S")
        stopped = h.call("run", "both", env={"MAILHAUL_STOP_AT": str(step)})
        assert clean(h.run("both")).code == 0
        h.same()
        assert h.local.bodies("INBOX").count(body) == 1
        agree(h)
        if stopped.code == 0:
            break
    assert step > 5
