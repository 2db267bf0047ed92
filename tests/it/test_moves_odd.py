"""Moves between folders that go wrong: servers that lie, refuse or die, readers that are faster, names and limits in the way. Nothing is lost, and nothing doubled."""

import collections
import os

import pytest

import haul
from disturb import steps
from hostile import clean, forget_pauses
from imappeer import Hangup, Peer, Refused
from test_hostile_imap import Job
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


def all_of(mid=True):
    """What start() puts on both sides."""
    return [letter(i, mid) for i in (1, 2, 3, 4, 5, 6, 100, 101)]


ALL = all_of()


def runs(h, n, at_once=False):
    """So many, one after the other; at_once: each tries again what failed in the one before."""
    done = []
    for _ in range(n):
        if at_once:
            forget_pauses(h)
        done.append(clean(h.run("both")))
    return done


def recover(h):
    """The server behaves from now on."""
    h.srv.behave()
    return runs(h, 3, at_once=True)


def limit(h, job):
    h.reconfigure("sync both {", "sync both {\n\t" + job)


def add_folder(h, name):
    h.srv.folders[name] = type(h.srv.inbox())(name)
    runs(h, 1)


def moved_there(srv, i, to):
    """At the server a reader moves a letter out of the inbox, or out of it and back."""
    m = srv.inbox().find(i)
    srv.folders[to].add(m.data, m.flags, m.date)
    srv.inbox().expunge([i])


# -- servers that lie about a move

class Nothing(Peer):
    """OK, and nothing happened."""
    def uid_move(self, link, tag, args):
        link.ok(tag, "moved")


class Liar(Peer):
    """It moves, and tells other UIDs than those that it took and gave."""
    def uid_move(self, link, tag, args):
        found, _ = self.copy(link, args)
        to = self.folder(args[1])
        for uid, new in self.told(found, to):
            link.star("OK [COPYUID %d %d %d] moved" % (to.validity, uid, new))
        self.expunge_these(link, tag, [m.uid for m in found])


class Other(Liar):
    """The UID of another message of that folder."""
    def told(self, found, to):
        return [(found[0].uid, to.messages[0].uid)]


class NoSuch(Liar):
    def told(self, found, to):
        return [(found[0].uid, to.uidnext + 5)]


class Turned(Peer):
    """Copied the other way round, and what it says is in ascending order."""
    def uid_move(self, link, tag, args):
        to = self.folder(args[1])
        found = self.chosen(link, args[0])
        new = [to.add(m.data, m.flags, m.date).uid for m in reversed(found)]
        link.star("OK [COPYUID %d %s %s] moved" % (to.validity, ",".join(str(m.uid) for m in found), ",".join(map(str, new))))
        self.expunge_these(link, tag, [m.uid for m in found])


class Both(Liar):
    """The same UID for two."""
    def told(self, found, to):
        return [(m.uid, to.messages[-1].uid) for m in found]


class Ours(Liar):
    """UIDs of the source that we never asked about."""
    def told(self, found, to):
        return [(found[0].uid + 1, to.messages[-1].uid)]


@pytest.mark.parametrize("n", [1, 2])
@pytest.mark.parametrize("kind", [Nothing, Other, NoSuch, Turned, Both, Ours])
def test_lies(tmp_path, kind, n):
    """The server lies once; then it behaves. Nothing is lost, doubled or mixed up, and no message stands for another."""
    srv, h = start(tmp_path, kind)
    with srv:
        for i in range(1, n + 1):
            h.local.move(A, letter(i), B)
        log = runs(h, 1)
        for c in everything(h):
            assert not set(ALL) - set(c), "lost"
        log += recover(h)
        try:
            once_each(h, ALL)
        except AssertionError as e:
            raise AssertionError("%s\n%s" % (e, [counts(r) for r in log]))
        # does each stand for itself? what is deleted here is deleted there, and nothing else
        for i in list(range(1, n + 1)) + [100]:
            h.local.delete(B, letter(i))
            runs(h, 1)
            assert letter(i) not in srv.folders[B].bodies()
        once_each(h, [m for m in ALL if m not in [letter(i) for i in list(range(1, n + 1)) + [100]]])


def test_a_uid_that_is_still_to_come(tmp_path):
    """The UID that the server told is given to a message that comes later: that must come here, and nothing may be done to it in the other's name."""
    srv, h = start(tmp_path, NoSuch)
    with srv:
        h.local.move(A, letter(1), B)
        runs(h, 1)
        srv.behave()
        later = [letter(i) for i in range(200, 210)]
        for m in later:
            srv.folders[B].add(m, {"\\Seen"})
        runs(h, 3)
        missing = [m[:40] for m in later if m not in h.local.bodies(B)]
        paths = [p for p in haul.maildir_files(h.local.box(B)) if open(p, "rb").read() == letter(1)]
        for p in paths:  # the reader deletes the message that was moved
            os.unlink(p)
        runs(h, 2)
        killed = [m[:40] for m in later if m not in srv.folders[B].bodies()]
        assert not missing and not killed, {"never came here": missing, "deleted at the server": killed}


def test_the_uid_of_another(tmp_path):
    """The reader deletes the message that was moved: the other, whose UID the server told, stays."""
    srv, h = start(tmp_path, Other)
    with srv:
        h.local.move(A, letter(1), B)
        runs(h, 1)
        srv.behave()
        h.local.delete(B, letter(1))
        runs(h, 3)
        assert letter(100) in srv.folders[B].bodies() and letter(100) in h.local.bodies(B), (srv.state(), h.local.state())


@pytest.mark.parametrize("mid", [True, False])
def test_a_uid_that_was_given_again(tmp_path, mid):
    """Before it is moved here, the server gives its UID to another message. That one is moved there instead; it must come here, and must not be deleted for the one that was meant."""
    srv, h = start(tmp_path, mid=mid)
    with srv:
        other = letter(200, mid, "another text")
        m = srv.inbox().find(1)
        m.data, m.date = other, m.date + 5000
        h.local.move(A, letter(1, mid), B)
        runs(h, 3)
        assert other in h.local.bodies(B)
        h.local.delete(B, letter(1, mid))
        runs(h, 2)
        once_each(h, [other] + [x for x in all_of(mid) if x != letter(1, mid)])


def test_numbers_that_change_places(tmp_path):
    """Two messages came in the same second, are as long, and have each other's UID now: what is deleted here is not the one that has its UID there."""
    srv, h = start(tmp_path)
    with srv:
        one, other = [srv.inbox().add(letter(i), {"\\Seen"}, 1600000000) for i in (7, 8)]
        h.settle()
        one.data, other.data = other.data, one.data
        h.local.delete(A, letter(7))
        runs(h, 3)
        assert {letter(7), letter(8)} <= set(srv.inbox().bodies())
        once_each(h, ALL + [letter(7), letter(8)])


# -- servers that give another Message-ID to what is put there

class SameLength(Peer):
    def take_in(self, link, folder, data, flags, date):
        return folder.add(data.replace(b"@example.org>", b"@exchang.org>", 1), flags, date)


class Longer(Peer):
    """And keep the one that it had."""
    def take_in(self, link, folder, data, flags, date):
        return folder.add(data.replace(b"Message-ID: <", b"X-Parent-Message-ID: <%d@example.org>\nMessage-ID: <new." % folder.uidnext, 1), flags, date)


class Adds(Peer):
    """To what has none."""
    def take_in(self, link, folder, data, flags, date):
        return folder.add(data if b"Message-ID" in data else b"Message-ID: <made.%d@example.org>\n" % folder.uidnext + data, flags, date)


@pytest.mark.parametrize("seen", [True, False])
@pytest.mark.parametrize("kind", [SameLength, Longer, Adds])
def test_deleted_here_after_it_was_rewritten(tmp_path, kind, seen):
    """Whether or not a run has seen what the server made of it: it is the message that is meant, and no other needs a person for that."""
    srv, h = start(tmp_path, kind)
    with srv:
        ours = [letter(i, kind is not Adds) for i in (300, 301, 302)]
        for body in ours:
            h.local.deliver(body, A, flags="S")
        assert counts(h.sync()) == {"pushed": 3}
        if seen:
            h.quiet()
        h.local.delete(A, ours[0])
        r = h.sync()
        assert counts(r) == {"deleted": 1} and r.of("warning") == [], r
        h.quiet()
        assert [len(side.state()[A]) for side in (srv, h.local)] == [8, 8]
        # another that gets its UID is another, all the same
        if seen:
            m = srv.inbox().messages[-1]
            m.data, m.date = letter(400, text="another text"), m.date + 5000
            h.local.delete(A, ours[2])
            r = h.sync()
            assert counts(r) == {} and len(r.of("warning")) == 1, r
            assert m in srv.inbox().messages


@pytest.mark.parametrize("kind", [SameLength, Longer, Adds])
def test_moved_here_after_it_was_rewritten(tmp_path, kind):
    srv, h = start(tmp_path, kind)
    with srv:
        body = letter(300, kind is not Adds)
        h.local.deliver(body, A, flags="S")
        h.settle()
        h.local.move(A, body, B)
        r = h.sync()
        assert counts(r) == {"moved": 1} and r.of("warning") == [], r
        h.quiet()
        assert [{f: len(m) for f, m in side.state().items()} for side in (srv, h.local)] == [{A: 6, B: 3}] * 2


# -- servers whose names of messages (EMAILID) are no names

class NamesAll(Peer):
    """It calls all messages the same."""
    caps = Peer.caps + ["OBJECTID"]

    def more_items(self, link, m):
        return {"EMAILID": "(M1)"}


class NamesByNumber(NamesAll):
    """It counts in each folder, or in each of the accounts whose folders it shows."""
    def more_items(self, link, m):
        return {"EMAILID": "(M%d)" % m.uid}


@pytest.mark.parametrize("kind", [NamesAll, NamesByNumber])
def test_names_that_are_none(tmp_path, kind):
    """What has the name of another, and is as long as that, comes all the same: into one more folder, in the other's stead, and where all is numbered anew."""
    srv, h = start(tmp_path, kind, n=3)
    with srv:
        srv.folders[B].add(letter(4), {"\\Seen"}, 1600000000)
        assert counts(h.sync()) == {"pulled": 1}
        h.same()
        srv.inbox().expunge([3])
        srv.folders[B].add(letter(5), {"\\Seen"}, 1600000001)
        h.sync()
        h.same()
        f = srv.inbox()
        f.messages.reverse()
        f.renumber()
        h.sync()
        h.same()
        h.local.delete(A, letter(1))
        h.settle()
        once_each(h, [letter(i) for i in (2, 4, 5, 100, 101)])


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
        limit(h, job)
        h.local.move(A, letter(1, mid), B)
        if touched:
            os.utime(h.local.find(B, letter(1, mid)))
        log = runs(h, 4)
        assert srv.folders[B].bodies().count(letter(1, mid)) == 1, (srv.folders[B].bodies(), [counts(r) for r in log])
        h.same()


def stopped(tmp_path, mid, less, prepare):
    """A job of its own for each step that it is stopped before (disturb.steps), until one is not: the steps, and the jobs, behind prepare()."""
    for step in steps():
        srv, h = start(tmp_path / str(step), mid=mid, less={less} if less else ())
        with srv:
            prepare(h)
            code = h.call("run", env={"MAILHAUL_STOP_AT": str(step)}).code
            assert code in (0, 100), step
            yield step, h
        if code == 0:
            return


@pytest.mark.crash
@pytest.mark.parametrize("job", ["max-size = 100", "max-age = 1d"])
@pytest.mark.parametrize("less", [None, "UIDPLUS"])
@pytest.mark.parametrize("mid", [True, False])
def test_killed_and_limits(tmp_path, job, less, mid):
    """The same with any server when the run is killed behind the MOVE."""
    def prepare(h):
        limit(h, job)
        h.local.move(A, letter(1, mid), B)

    for step, h in stopped(tmp_path, mid, less, prepare):
        log = runs(h, 3)
        assert h.srv.folders[B].bodies().count(letter(1, mid)) == 1, (step, [counts(r) for r in log])
        h.same()


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
        runs(h, 3)
        h.same()


# -- moves that meet

def test_away_and_back_there_and_moved_here(tmp_path):
    """A server's reader moved it away and back: it is where it was. Here it was moved: that counts."""
    srv, h = start(tmp_path)
    with srv:
        moved_there(srv, 1, A)
        h.local.move(A, letter(1), B)
        runs(h, 3)
        h.same()
        assert letter(1) in srv.folders[B].bodies() and letter(1) not in srv.inbox().bodies(), h.local.state().keys()


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
        log = runs(h, 3)
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
        add_folder(h, "C")
        srv.__class__ = SelectsOnce
        moved_there(srv, 1, B)
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
        runs(h, 5)
        copies = srv.folders[B].bodies().count(letter(1, mid))
        assert copies <= 1, "%d copies after 5 runs" % copies
        recover(h)
        assert srv.folders[B].bodies().count(letter(1, mid)) == 1 and letter(1, mid) not in srv.inbox().bodies()
        h.same()


@pytest.mark.crash
@pytest.mark.parametrize("mid", [True, False])
@pytest.mark.parametrize("less", [None, "UIDPLUS", "MOVE"])
def test_killed_anywhere(tmp_path, less, mid):
    """Without limits. One moved here, one there, one on both sides to different places, one to the same."""
    def prepare(h):
        add_folder(h, "C")
        h.local.move(A, letter(1, mid), B)
        moved_there(h.srv, 2, B)
        if mid:
            moved_there(h.srv, 3, B)
            h.local.move(A, letter(3, mid), "C")
        moved_there(h.srv, 4, "C")
        h.local.move(A, letter(4, mid), "C")

    for _, h in stopped(tmp_path, mid, less, prepare):
        assert actions(runs(h, 3)[-1]) == []
        once_each(h, all_of(mid))


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
        add_folder(h, "C")
        srv.h = h
        srv.__class__ = Slow
        h.local.move(A, letter(1), B)
        runs(h, 1)
        srv.behave()
        runs(h, 3)
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
        add_folder(h, "C")
        srv.h = h
        srv.__class__ = Meanwhile
        moved_there(srv, 1, B)
        runs(h, 1)
        srv.behave()
        runs(h, 3)
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
            limit(h, job)
        h.local.move(A, letter(1, mid), B)
        h.local.move(A, letter(2, mid), B)
        runs(h, 1)
        recover(h)
        once_each(h, all_of(mid))


class RefusesHalf(Peer):
    """One of two is moved, and the whole refused."""
    def uid_move(self, link, tag, args):
        if "," in args[0] or ":" in args[0]:
            first = args[0].replace(":", ",").split(",")[0]
            found, code = self.copy(link, [first, args[1]])
            link.star("OK %smoved" % code)
            self.folder(A).expunge([m.uid for m in found])
            raise Refused("NO [LIMIT] not all")
        super().uid_move(link, tag, args)


@pytest.mark.parametrize("mid", [True, False])
@pytest.mark.parametrize("uidplus", [True, False])
def test_half_refused(tmp_path, mid, uidplus):
    srv, h = start(tmp_path, RefusesHalf, mid=mid, less=set() if uidplus else {"UIDPLUS"})
    with srv:
        h.local.move(A, letter(1, mid), B)
        h.local.move(A, letter(2, mid), B)
        runs(h, 4, at_once=True)
        once_each(h, all_of(mid))
