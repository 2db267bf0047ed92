"""Moves between folders that go wrong: servers that lie, refuse or die, readers that are faster, names and limits in the way. Nothing is lost, and nothing doubled."""

import collections
import os
import time

import pytest

import haul
from hostile import clean, forget_pauses
from imappeer import Hangup, Peer, Refused
from test_hostile_imap import Job, letters
from twoway import actions, counts

A, B = "INBOX", "B"


def letter(i, mid=True, text="text"):
    return (("Message-ID: <%d@example.org>\n" % i if mid else "") + "Subject: letter %d\n\n" % i + "%s %d\n" % (text, i) * 20).encode()


def start(tmp_path, kind=Peer, n=6, b=2, mid=True, less=(), job=""):
    """Both sides agreed: n letters in the inbox, b in B (from 100)."""
    srv = kind({A: [letter(i, mid) for i in range(1, n + 1)], B: [letter(i, mid) for i in range(100, 100 + b)]})
    srv.less = set(less)
    h = Job(tmp_path, srv, job=job)
    h.settle()
    h.same()
    return srv, h


def tally(state):
    return {f: collections.Counter(b for b, _ in rows) for f, rows in state.items()}


def everything(h):
    """How often each message is on the sides."""
    out = []
    for side in (h.srv, h.local):
        c = collections.Counter()
        for rows in side.state().values():
            c.update(b for b, _ in rows)
        out.append(c)
    return out


def once_each(h, want):
    """In the end: the sides are the same, and each message is somewhere once."""
    h.same()
    for c in everything(h):
        assert c == collections.Counter(want), sorted((b[:40], n) for b, n in (c - collections.Counter(want)).items() or {"missing": 1}.items())


ALL = [letter(i) for i in range(1, 7)] + [letter(i) for i in (100, 101)]


# -- servers that lie about a move

class Nothing(Peer):
    """OK, and nothing happened."""
    def uid_move(self, link, tag, args):
        link.ok(tag, "moved")


class Other(Peer):
    """The UID of another message of that folder."""
    def uid_move(self, link, tag, args):
        found, code = self.copy(link, args)
        to = self.folder(args[1])
        link.star("OK [COPYUID %d %d %d] moved" % (to.validity, found[0].uid, to.messages[0].uid))
        self.expunge_these(link, tag, [m.uid for m in found])


class NoSuch(Peer):
    def uid_move(self, link, tag, args):
        found, code = self.copy(link, args)
        to = self.folder(args[1])
        link.star("OK [COPYUID %d %d %d] moved" % (to.validity, found[0].uid, to.uidnext + 5))
        self.expunge_these(link, tag, [m.uid for m in found])


class Turned(Peer):
    """Copied the other way round, and what it says is in ascending order."""
    def uid_move(self, link, tag, args):
        to = self.folder(args[1])
        found = self.chosen(link, args[0])
        new = [to.add(m.data, m.flags, m.date).uid for m in reversed(found)]
        link.star("OK [COPYUID %d %s %s] moved" % (to.validity, ",".join(str(m.uid) for m in found), ",".join(map(str, new))))
        self.expunge_these(link, tag, [m.uid for m in found])


class Both(Peer):
    """The same UID for two."""
    def uid_move(self, link, tag, args):
        found, code = self.copy(link, args)
        to = self.folder(args[1])
        for m in found:
            link.star("OK [COPYUID %d %d %d] moved" % (to.validity, m.uid, to.messages[-1].uid))
        self.expunge_these(link, tag, [m.uid for m in found])


class Ours(Peer):
    """UIDs of the source that we never asked about."""
    def uid_move(self, link, tag, args):
        found, code = self.copy(link, args)
        to = self.folder(args[1])
        link.star("OK [COPYUID %d %d %d] moved" % (to.validity, found[0].uid + 1, to.messages[-1].uid))
        self.expunge_these(link, tag, [m.uid for m in found])


@pytest.mark.parametrize("n", [1, 2])
@pytest.mark.parametrize("kind", [Nothing, Other, NoSuch, Turned, Both, Ours])
def test_lies(tmp_path, kind, n):
    """The server lies once; then it behaves. Nothing is lost, doubled or mixed up, and no message stands for another."""
    srv, h = start(tmp_path, kind)
    with srv:
        for i in range(1, n + 1):
            h.local.move(A, letter(i), B)
        log = [clean(h.run("both"))]
        for c in everything(h):
            assert not set(ALL) - set(c), "lost"
        srv.behave()
        for _ in range(3):
            forget_pauses(h)
            log.append(clean(h.run("both")))
        try:
            once_each(h, ALL)
        except AssertionError as e:
            raise AssertionError("%s\n%s" % (e, [counts(r) for r in log]))
        # does each stand for itself? what is deleted here is deleted there, and nothing else
        for i in list(range(1, n + 1)) + [100]:
            h.local.delete(B, letter(i))
            clean(h.run("both"))
            assert letter(i) not in srv.folders[B].bodies()
        once_each(h, [m for m in ALL if m not in [letter(i) for i in list(range(1, n + 1)) + [100]]])


def test_a_uid_that_is_still_to_come(tmp_path):
    """The UID that the server told is given to a message that comes later: that must come here, and nothing may be done to it in the other's name."""
    srv, h = start(tmp_path, NoSuch)
    with srv:
        h.local.move(A, letter(1), B)
        clean(h.run("both"))
        srv.behave()
        later = [letter(i) for i in range(200, 210)]
        for m in later:
            srv.folders[B].add(m, {"\\Seen"})
        for _ in range(3):
            clean(h.run("both"))
        missing = [m[:40] for m in later if m not in h.local.bodies(B)]
        paths = [p for p in haul.maildir_files(h.local.box(B)) if open(p, "rb").read() == letter(1)]
        for p in paths:  # the reader deletes the message that was moved
            os.unlink(p)
        for _ in range(2):
            clean(h.run("both"))
        killed = [m[:40] for m in later if m not in srv.folders[B].bodies()]
        assert not missing and not killed, {"never came here": missing, "deleted at the server": killed}


def test_the_uid_of_another(tmp_path):
    """The reader deletes the message that was moved: the other, whose UID the server told, stays."""
    srv, h = start(tmp_path, Other)
    with srv:
        h.local.move(A, letter(1), B)
        clean(h.run("both"))
        srv.behave()
        h.local.delete(B, letter(1))
        for _ in range(3):
            clean(h.run("both"))
        assert letter(100) in srv.folders[B].bodies() and letter(100) in h.local.bodies(B), (srv.state(), h.local.state())


# -- refusals, and the limit on deletions

class RefusesMove(Peer):
    def uid_move(self, link, tag, args):
        raise Refused("NO [NOPERM] not here")

    uid_copy = uid_move


class RefusesB(RefusesMove):
    """Nothing at all may be put there."""
    def append(self, link, tag, args):
        raise Refused("NO [NOPERM] not here")


class RefusesCreate(Peer):
    def create(self, link, tag, args):
        raise Refused("NO [NOPERM] no folders")


@pytest.mark.parametrize("kind", [RefusesMove, RefusesB, RefusesCreate])
def test_a_refused_move_is_no_deletion_without_limit(tmp_path, kind):
    """A reader moves all mail here; the server refuses to move it. max-delete says that no more than one message may be deleted."""
    srv, h = start(tmp_path, kind, n=30, job="max-delete = 1")
    with srv:
        for i in range(1, 31):
            h.local.move(A, letter(i), "New" if kind is RefusesCreate else B)
        r = clean(h.run("both"))
        gone = 30 - len({m for f in srv.folders.values() for m in f.bodies() if m in [letter(i) for i in range(1, 31)]})
        assert gone <= 1, "%d of 30 messages are no more at the server: %r" % (gone, r)


# -- limits and what nobody knows

@pytest.mark.parametrize("mid,touched", [(True, False), (True, True), (False, False)])
@pytest.mark.parametrize("job", ["max-size = 100", "max-age = 1d"])
def test_unknown_and_limits(tmp_path, job, mid, touched):
    """A server without UIDPLUS does not say what it made of the message that it moved, and limits keep it from being compared: it is doubled there."""
    srv, h = start(tmp_path, mid=mid)
    with srv:
        srv.less = {"UIDPLUS"}
        text = open(h.conf).read()
        h.write_private(h.conf, text.replace("sync both {", "sync both {\n\t" + job))
        h.local.move(A, letter(1, mid), B)
        if touched:
            os.utime(h.local.find(B, letter(1, mid)))
        log = [clean(h.run("both")) for _ in range(4)]
        assert srv.folders[B].bodies().count(letter(1, mid)) == 1, (srv.folders[B].bodies(), [counts(r) for r in log])
        h.same()


@pytest.mark.parametrize("job", ["max-size = 100", "max-age = 1d"])
@pytest.mark.parametrize("less", [None, "UIDPLUS"])
@pytest.mark.parametrize("mid", [True, False])
def test_killed_and_limits(tmp_path, job, less, mid):
    """The same with any server when the run is killed behind the MOVE."""
    step = 1
    code = 100
    while code:
        d = tmp_path / str(step)
        d.mkdir()
        srv, h = start(d, mid=mid, less={less} if less else ())
        with srv:
            text = open(h.conf).read()
            h.write_private(h.conf, text.replace("sync both {", "sync both {\n\t" + job))
            h.local.move(A, letter(1, mid), B)
            code = h.call("run", env={"MAILHAUL_STOP_AT": str(step)}).code
            log = [clean(h.run("both")) for _ in range(3)]
            assert srv.folders[B].bodies().count(letter(1, mid)) == 1, (step, [counts(r) for r in log])
            h.same()
        step += 1


# -- other bytes

def test_edited_in_place(tmp_path):
    """A reader replaces a message by one with the same Message-ID, time and size and another text (a word is mended in a draft or a subject)."""
    srv, h = start(tmp_path)
    with srv:
        inbox = srv.inbox()
        m = inbox.find(1)
        new = letter(1, text="tixt")
        inbox.add(new, m.flags, m.date)
        inbox.expunge([1])
        for _ in range(3):
            r = clean(h.run("both"))
        h.same()


# -- moves that meet

def test_away_and_back_there_and_moved_here(tmp_path):
    """A server's reader moved it away and back: it is where it was. Here it was moved: that counts."""
    srv, h = start(tmp_path)
    with srv:
        inbox = srv.inbox()
        m = inbox.find(1)
        inbox.add(m.data, m.flags, m.date)
        inbox.expunge([1])
        h.local.move(A, letter(1), B)
        for _ in range(3):
            r = clean(h.run("both"))
        h.same()
        assert letter(1) in srv.folders[B].bodies() and letter(1) not in inbox.bodies(), h.local.state().keys()


# -- a folder removed from under its mail

@pytest.mark.parametrize("side", ["remote", "local"])
@pytest.mark.parametrize("job", ["", "remove-folders = both"])
def test_mail_moved_out_and_the_folder_removed(tmp_path, side, job):
    srv, h = start(tmp_path, job=job)
    with srv:
        if side == "remote":
            to, box = srv.inbox(), srv.folders[B]
            for m in list(box.messages):
                to.add(m.data, m.flags, m.date)
            del srv.folders[B]
        else:
            for i in (100, 101):
                h.local.move(B, letter(i), A)
            h.local.remove(B)
        log = [clean(h.run("both")) for _ in range(3)]
        for c in everything(h):
            assert c == collections.Counter(ALL), ([counts(r) for r in log], [e["text"] for e in log[-1].of("warning")])


# -- one folder that fails

class SelectsOnce(Peer):
    """B can be looked at, and then not be selected any more."""
    def open(self, link, tag, args, writes):
        name = args[0] if isinstance(args[0], str) else args[0].decode()
        if name == B:
            link.times = getattr(link, "times", 0) + 1
            if link.times > 1:
                raise Refused("NO [CANNOT] not now")
        super().open(link, tag, args, writes)


def test_one_folder_that_fails_does_not_stop_the_others(tmp_path):
    srv, h = start(tmp_path, n=6)
    with srv:
        srv.folders["C"] = type(srv.inbox())("C")
        clean(h.run("both"))
        srv.__class__ = SelectsOnce
        inbox, to = srv.inbox(), srv.folders[B]
        m = inbox.find(1)
        to.add(m.data, m.flags, m.date)
        inbox.expunge([1])
        srv.folders["C"].add(letter(400), {"\\Seen"})
        r = clean(h.run("both"))
        assert letter(400) in h.local.bodies("C"), r


class RefusesStore(Peer):
    def uid_store(self, link, tag, args):
        raise Refused("NO [CANNOT] no flags")


class RefusesExpunge(Peer):
    def uid_expunge(self, link, tag, args):
        raise Refused("NO [CANNOT] no")

    expunge = uid_expunge


@pytest.mark.parametrize("mid,touched", [(True, False), (True, True), (False, False)])
@pytest.mark.parametrize("uidplus", [True, False])
@pytest.mark.parametrize("kind", [RefusesStore, RefusesExpunge])
def test_copied_and_not_removed(tmp_path, kind, uidplus, mid, touched):
    """touched: the reader's move gives the file another time."""
    srv, h = start(tmp_path, kind, mid=mid)
    with srv:
        srv.less = {"MOVE"} | (set() if uidplus else {"UIDPLUS"})
        h.local.move(A, letter(1, mid), B)
        if touched:
            os.utime(h.local.find(B, letter(1, mid)))
        for _ in range(5):
            clean(h.run("both"))
        copies = srv.folders[B].bodies().count(letter(1, mid))
        assert copies <= 1, "%d copies after 5 runs" % copies
        srv.behave()
        for _ in range(3):
            forget_pauses(h)
            clean(h.run("both"))
        assert srv.folders[B].bodies().count(letter(1, mid)) == 1 and letter(1, mid) not in srv.inbox().bodies()
        h.same()


@pytest.mark.parametrize("mid", [True, False])
@pytest.mark.parametrize("less", [None, "UIDPLUS", "MOVE"])
def test_killed_anywhere(tmp_path, less, mid):
    """Without limits. One moved here, one there, one on both sides to different places, one to the same."""
    step, code = 1, 100
    while code:
        d = tmp_path / str(step)
        d.mkdir()
        srv, h = start(d, mid=mid, less={less} if less else ())
        with srv:
            srv.folders["C"] = type(srv.inbox())("C")
            clean(h.run("both"))
            inbox = srv.inbox()

            def there(i, to):
                m = inbox.find(i)
                srv.folders[to].add(m.data, m.flags, m.date)
                inbox.expunge([i])
            h.local.move(A, letter(1, mid), B)
            there(2, B)
            if mid:
                there(3, B)
                h.local.move(A, letter(3, mid), "C")
            there(4, "C")
            h.local.move(A, letter(4, mid), "C")
            code = h.call("run", env={"MAILHAUL_STOP_AT": str(step)}).code
            for _ in range(3):
                r = clean(h.run("both"))
            assert actions(r) == []
            once_each(h, [letter(i, mid) for i in [1, 2, 3, 4, 5, 6, 100, 101]])
        step += 1


# -- a person's switches

class Slow(Peer):
    """The mail reader here moves the message on while the server moves it."""
    def uid_move(self, link, tag, args):
        h = self.h
        h.local.move(B, letter(1), "C")
        super().uid_move(link, tag, args)


def test_moved_on_meanwhile(tmp_path):
    srv, h = start(tmp_path)
    with srv:
        srv.folders["C"] = type(srv.inbox())("C")
        clean(h.run("both"))
        srv.h = h
        srv.__class__ = Slow
        h.local.move(A, letter(1), B)
        clean(h.run("both"))
        srv.behave()
        for _ in range(3):
            clean(h.run("both"))
        once_each(h, ALL)


class Meanwhile(Peer):
    """The mail reader here moves the message elsewhere while it is recognized."""
    def uid_fetch(self, link, tag, args):
        if "MESSAGE-ID" in str(args).upper() and not getattr(self, "done", False):
            self.done = True
            self.h.local.move(A, letter(1), "C")
        super().uid_fetch(link, tag, args)


def test_moved_elsewhere_meanwhile(tmp_path):
    srv, h = start(tmp_path)
    with srv:
        srv.folders["C"] = type(srv.inbox())("C")
        clean(h.run("both"))
        srv.h = h
        srv.__class__ = Meanwhile
        inbox, to = srv.inbox(), srv.folders[B]
        m = inbox.find(1)
        to.add(m.data, m.flags, m.date)
        inbox.expunge([1])
        clean(h.run("both"))
        srv.behave()
        for _ in range(3):
            clean(h.run("both"))
        once_each(h, ALL)


class Cut(Peer):
    """The link breaks behind the MOVE, before or behind what it tells."""
    how = 0

    def uid_move(self, link, tag, args):
        if self.how == 0:
            raise Hangup
        found, code = self.copy(link, args)
        if self.how == 2:
            link.star("OK %smoved" % code)
        self.folder(A).expunge([m.uid for m in found])
        raise Hangup


@pytest.mark.parametrize("how", [0, 1, 2])
@pytest.mark.parametrize("mid", [True, False])
@pytest.mark.parametrize("job", ["", "max-size = 100"])
def test_cut(tmp_path, how, mid, job):
    srv, h = start(tmp_path, Cut, mid=mid)
    with srv:
        srv.how = how
        if job:
            text = open(h.conf).read()
            h.write_private(h.conf, text.replace("sync both {", "sync both {\n\t" + job))
        h.local.move(A, letter(1, mid), B)
        h.local.move(A, letter(2, mid), B)
        clean(h.run("both"))
        srv.behave()
        for _ in range(3):
            forget_pauses(h)
            clean(h.run("both"))
        once_each(h, [letter(i, mid) for i in [1, 2, 3, 4, 5, 6, 100, 101]])


class RefusesHalf(Peer):
    """One of two is moved, and the whole refused."""
    def uid_move(self, link, tag, args):
        if "," in args[0] or ":" in args[0]:
            first = args[0].replace(":", ",").split(",")[0]
            found, code = self.copy(link, [first, args[1]])
            link.star("OK %smoved" % code)
            self.expunge_these(link, None, [m.uid for m in found]) if False else self.folder(A).expunge([m.uid for m in found])
            raise Refused("NO [LIMIT] not all")
        super().uid_move(link, tag, args)


@pytest.mark.parametrize("mid", [True, False])
@pytest.mark.parametrize("uidplus", [True, False])
def test_half_refused(tmp_path, mid, uidplus):
    srv, h = start(tmp_path, RefusesHalf, mid=mid, less=set() if uidplus else {"UIDPLUS"})
    with srv:
        h.local.move(A, letter(1, mid), B)
        h.local.move(A, letter(2, mid), B)
        for _ in range(4):
            forget_pauses(h)
            clean(h.run("both"))
        once_each(h, [letter(i, mid) for i in [1, 2, 3, 4, 5, 6, 100, 101]])
