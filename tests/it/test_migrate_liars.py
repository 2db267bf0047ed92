"""Migrations between servers that lie, forget and number anew: nothing is lost, nothing doubled, and what is deleted at the source is known to be at the target."""

import contextlib
import os
import re
import shutil
import sqlite3

import pytest

import haul
import imappeer
import pop3peer
import twoway
from hostile import CLEAR, clean, forget_pauses


def letter(n, text=None):
    return b"Received: from x by y; Mon, 01 Jan 2024 10:%02d:00 +0000\nFrom: x@example.org\nMessage-ID: <%d@example.org>\nSubject: letter %d\n\n" % (n % 60, n, n) + (text or b"text %d\n" % n)


class Job(twoway.Job):
    """A migration "both" from a scripted server to another."""

    def __init__(self, directory, old, new, job=""):
        super().__init__(directory, 1)
        self.old, self.new = old, new
        new.user_name = "bob"
        self.configure(job)

    def configure(self, job):
        account = "account %s {\n\turl = %s\n\tpassword-file = %s\n\t" + CLEAR + "}\n"
        kind = "pop3" if isinstance(self.old, pop3peer.Peer) else "imap"
        self.write_private(self.conf, account % ("old", haul.quoted("%s://anna@127.0.0.1:%d" % (kind, self.old.port)), haul.quoted(self.secret)) +
                           account % ("work", haul.quoted("imap://bob@127.0.0.1:%d" % self.new.port), haul.quoted(self.secret)) +
                           "migrate both {\n\tfrom = old\n\tto = work\n%s\n}\n" % job)


EMPTY = "\tdelete-source = yes"


def known(srv):
    return sorted(srv.inbox().bodies())


def source(kind, texts):
    return pop3peer.Peer(texts) if kind == "pop3" else imappeer.Peer({"INBOX": texts})


def left(old):
    return old.contents() if isinstance(old, pop3peer.Peer) else old.inbox().bodies()


class SaysOk(imappeer.Peer):
    """Takes a message and has it not."""

    def take_in(self, link, folder, data, flags, date):
        m = super().take_in(link, folder, data, flags, date)
        if b"letter 3\n" in data:
            folder.messages.remove(m)
        return m


@pytest.mark.parametrize("kind", ["pop3", "imap"])
def test_target_that_does_not_store(tmp_path, kind):
    texts = [letter(n) for n in range(1, 6)]
    with source(kind, texts) as old, SaysOk() as new:
        h = Job(tmp_path, old, new, EMPTY)
        r = clean(h.run("both"))
        assert letter(3) in left(old), r
        new.behave()
        for _ in range(3):
            forget_pauses(h)
            r = clean(h.run("both"))
        assert known(new) == sorted(texts), r


@pytest.mark.parametrize("kind", ["pop3", "imap"])
def test_target_restored_from_a_backup(tmp_path, kind):
    """Copied, and then the target lost them and gave their UIDs to other mail; then the source is to be emptied."""
    texts = [letter(n) for n in range(1, 6)]
    with source(kind, texts) as old, imappeer.Peer() as new:
        h = Job(tmp_path, old, new)
        assert clean(h.run("both")).code == 0
        box = new.inbox()
        box.messages, box.uidnext = [m for m in box.messages if m.uid <= 2], 3
        for n in range(50, 54):
            box.add(letter(n))
        h.configure(EMPTY)
        r = clean(h.run("both"))
        for _ in range(2):
            r = clean(h.run("both"))
        have = set(left(old)) | set(box.bodies())
        assert have >= set(texts), r


@pytest.mark.parametrize("kind", ["pop3", "imap"])
def test_altered_copy_at_the_target(tmp_path, kind):
    """Of the same size, time and Message-ID, but not the same: another tool has broken it."""
    texts = [letter(n) for n in range(1, 6)]
    with source(kind, texts) as old, imappeer.Peer() as new:
        h = Job(tmp_path, old, new)
        assert clean(h.run("both")).code == 0
        h.forget()
        m = new.inbox().find(3)
        m.data = m.data.replace(b"text", b"t?xt")
        h.configure(EMPTY)
        r = clean(h.run("both"))
        assert set(left(old)) | set(new.inbox().bodies()) >= set(texts), r


class Counts(pop3peer.Peer):
    """Its names are mere numbers."""

    def uidl(self, link, arg):
        link.ok(more=["%d %d" % (n, n) for n, _ in self.rows(link)])


def test_uidls_given_again(tmp_path):
    """UIDLs that are numbers: what was first is another message now."""
    texts = [letter(n) for n in range(1, 6)]

    for job in "", EMPTY:
        with Counts({"a%d" % i: t for i, t in enumerate(texts)}) as old, imappeer.Peer() as new:
            h = Job(tmp_path / ("x" + job.strip()[:3]), old, new)
            assert clean(h.run("both")).code == 0
            del old.maildrop["a0"], old.maildrop["a1"]
            for n in range(50, 53):
                old.maildrop["b%d" % n] = letter(n)
            h.configure(job)
            for _ in range(3):
                forget_pauses(h)
                r = clean(h.run("both"))
            assert known(new) == sorted(texts + [letter(n) for n in range(50, 53)]), (job, r)


def test_uidls_given_again_without_message_ids(tmp_path):
    texts = [b"Subject: cron %d\n\nnothing new\n" % n for n in range(1, 6)]

    for job in "", EMPTY:
        with Counts({"a%d" % i: t for i, t in enumerate(texts)}) as old, imappeer.Peer() as new:
            h = Job(tmp_path / ("x" + job.strip()[:3]), old, new)
            assert clean(h.run("both")).code == 0
            del old.maildrop["a0"], old.maildrop["a1"]
            more = [b"Subject: cron %d\n\nnothing new\n" % n for n in range(6, 9)]
            for n, t in enumerate(more):
                old.maildrop["b%d" % n] = t
            h.configure(job)
            for _ in range(3):
                forget_pauses(h)
                r = clean(h.run("both"))
            assert known(new) == sorted(texts + more), (job, r)


@pytest.mark.parametrize("many", [1, 3, 5])
def test_some_renumbered(tmp_path, many):
    texts = [letter(n) for n in range(1, 6)]
    with source("pop3", texts) as old, imappeer.Peer() as new:
        h = Job(tmp_path, old, new)
        assert clean(h.run("both")).code == 0
        for i in range(many):
            old.maildrop["new%d" % i] = old.maildrop.pop("uid-%d" % (i + 1))
        old.maildrop["x"] = letter(77)
        r = clean(h.run("both"))
        assert known(new) == sorted(texts + [letter(77)]), r
        h.quiet()


@pytest.mark.parametrize("many", [1, 3, 5])
def test_some_renumbered_without_message_ids(tmp_path, many):
    texts = [b"Subject: cron %d\n\nnothing new\n" % n for n in range(1, 6)]
    with source("pop3", texts) as old, imappeer.Peer() as new:
        h = Job(tmp_path, old, new)
        assert clean(h.run("both")).code == 0
        for i in range(many):
            old.maildrop["new%d" % i] = old.maildrop.pop("uid-%d" % (i + 1))
        old.maildrop["x"] = letter(77)
        r = clean(h.run("both"))
        assert known(new) == sorted(texts + [letter(77)]), r


def test_last_week(tmp_path):
    """An old state, with a source that is emptied, and UIDLs that come again."""
    texts = [letter(n) for n in range(1, 6)]
    with source("pop3", texts) as old, imappeer.Peer() as new:
        h = Job(tmp_path, old, new)
        assert clean(h.run("both")).code == 0
        shutil.copytree(h.state, h.state + ".kept")
        h.configure(EMPTY)
        assert clean(h.run("both")).code == 0
        assert left(old) == []
        for n in range(1, 4):
            old.maildrop["uid-%d" % n] = letter(30 + n)
        shutil.rmtree(h.state)
        os.rename(h.state + ".kept", h.state)
        for _ in range(3):
            r = clean(h.run("both"))
        assert known(new) == sorted(texts + [letter(30 + n) for n in range(1, 4)]), r


class Fewer(pop3peer.Peer):
    few = None

    def visible(self, link):
        return [u for u in self.maildrop if self.few is None or u in self.few]


def test_lists_fewer(tmp_path):
    texts = [letter(n) for n in range(1, 9)]

    for job in "", EMPTY:
        with Fewer(texts) as old, imappeer.Peer() as new:
            h = Job(tmp_path / ("x" + job.strip()[:3]), old, new, job)
            old.few = ["uid-2", "uid-4"]
            clean(h.run("both"))
            old.few = []
            clean(h.run("both"))
            old.few = ["uid-2", "uid-8"]
            clean(h.run("both"))
            old.few = None
            clean(h.run("both"))
            assert known(new) == sorted(texts)
            if not job:
                assert left(old) == texts


def test_target_folder_recreated(tmp_path):
    texts = [letter(n) for n in range(1, 6)]
    with imappeer.Peer({"INBOX": [], "Work": texts}) as old, imappeer.Peer() as new:
        h = Job(tmp_path, old, new)
        assert clean(h.run("both")).code == 0
        del new.folders["Work"]
        new.folders["Work"] = imappeer.Folder("Work", 7777)
        h.configure(EMPTY)
        for _ in range(3):
            r = clean(h.run("both"))
        assert sorted(new.folders["Work"].bodies()) == sorted(texts), r


def test_the_source_is_only_read(tmp_path):
    """Not even \\Recent goes."""
    texts = [letter(n) for n in range(1, 6)]
    with imappeer.Peer({"INBOX": texts, "Work": texts[:2], "Empty": []}) as old, imappeer.Peer() as new:
        h = Job(tmp_path, old, new)
        assert clean(h.run("both")).code == 0
        old.inbox().add(letter(7))
        old.inbox().expunge([2])
        old.inbox().flag(old.inbox().find(1), {"\\Deleted"})
        new.inbox().expunge([4])
        new.inbox().flag(new.inbox().find(3), {"\\Flagged"})
        assert clean(h.run("both")).code == 0
        assert clean(h.run("both", "--restore")).code == 0
        verbs = {re.sub("^UID ", "", line).split(" ")[0] for line in old.commands()}
        assert verbs <= {"AUTHENTICATE", "ID", "ENABLE", "NAMESPACE", "LIST", "EXAMINE", "FETCH", "LOGOUT"}


def test_target_folder_renumbered_after_the_first_run(tmp_path):
    """The folder was made by the first run; what has its UIDs now is other mail."""
    texts = [letter(n) for n in range(1, 6)]
    with imappeer.Peer({"INBOX": [], "Work": texts}) as old, imappeer.Peer() as new:
        h = Job(tmp_path, old, new)
        assert clean(h.run("both")).code == 0
        new.folders["Work"] = imappeer.Folder("Work", 7777)
        others = [letter(n) for n in range(50, 55)]
        for t in others:
            new.folders["Work"].add(t)
        old.folders["Work"].flag(old.folders["Work"].find(2), {"\\Flagged"})
        clean(h.run("both"))
        assert sorted(new.folders["Work"].bodies()) == sorted(texts + others)
        assert not any("\\Flagged" in m.flags for m in new.folders["Work"].messages if m.data in others)


@pytest.mark.parametrize("kind", ["pop3", "imap"])
def test_shown_later_than_it_was_at_the_target(tmp_path, kind):
    """What the target had before the first run is known when the source shows it in the third."""
    texts = [letter(n) for n in range(1, 9)]
    with source(kind, texts[:4]) as old, imappeer.Peer({"INBOX": texts}) as new:
        h = Job(tmp_path, old, new)
        for n, m in enumerate(new.inbox().messages):
            m.date = 1704103200 + 60 * (n + 1)
        for _ in range(2):
            assert clean(h.run("both")).code == 0
        if kind == "pop3":
            old.maildrop.update({"later-uid-%d" % n: t for n, t in enumerate(texts[4:])})
        else:
            for t in texts[4:]:
                old.inbox().add(t)
        assert clean(h.run("both")).code == 0
        assert known(new) == sorted(texts)


def test_a_mark_of_an_earlier_run(tmp_path):
    """Stopped between the mark and its end, and then all is lost at the target: what comes there again must not look as if it were to be deleted."""
    texts = [letter(n) for n in range(1, 6)]
    with source("imap", texts) as old, imappeer.Peer() as new:
        h = Job(tmp_path, old, new, EMPTY)
        for m in old.inbox().messages:
            old.inbox().flag(m, {"\\Seen", "\\Deleted"})
        assert clean(h.run("both")).code == 0
        assert new.state()["INBOX"] == sorted((t, "S") for t in texts) and left(old) == []


def test_not_one_mailbox_is_seen_once(tmp_path):
    """What is there already is deleted in two steps the first time, in one session later."""
    texts = [letter(n) for n in range(1, 9)]
    with source("pop3", texts[:4]) as old, imappeer.Peer({"INBOX": texts}) as new:
        h = Job(tmp_path, old, new, EMPTY)
        for n, m in enumerate(new.inbox().messages):
            m.date = 1704103200 + 60 * (n + 1)
        assert clean(h.run("both")).code == 0
        assert left(old) == [] and len(old.commands("QUIT")) == 2
        old.maildrop.update({"later-uid-%d" % n: t for n, t in enumerate(texts[4:])})
        assert clean(h.run("both")).code == 0
        assert left(old) == [] and len(old.commands("QUIT")) == 3 and known(new) == sorted(texts)


class BackDoor(pop3peer.Peer):
    """What is removed by it is gone at the front, too."""

    front = None

    def update(self, link):
        gone = [self.maildrop[link.listed[n - 1]] for n in link.marked]
        super().update(link)
        box = self.front.inbox()
        for text in gone:
            box.expunge([next(m.uid for m in box.messages if m.data == text)])


class Full(imappeer.Peer):
    """Takes nothing, as long as it is full; then it says so, or breaks off when it has taken it."""

    full = breaks = False

    def append(self, link, tag, args):
        if self.full:
            return link.line(tag + " NO [OVERQUOTA] no room")
        return super().append(link, tag, args)

    def appended(self, link, tag, folder, uids):
        if self.breaks:
            raise ConnectionResetError
        super().appended(link, tag, folder, uids)


def kept_aside(h):
    with contextlib.closing(sqlite3.connect(h.db)) as db:
        return db.execute("SELECT count(*) FROM aside").fetchone()[0]


def test_one_mailbox_and_no_room(tmp_path):
    """What was deleted to see whether it is one mailbox can't be put back at once: it is kept until it can, and nothing else is deleted. Not even an answer that is lost doubles it."""
    texts = [letter(n) for n in range(1, 6)]
    with BackDoor(texts) as old, Full({"INBOX": texts}) as new:
        old.front = new
        h = Job(tmp_path, old, new, EMPTY)
        for n, m in enumerate(new.inbox().messages):
            m.date = 1704103200 + 60 * (n + 1)
        new.full = True
        for _ in range(2):
            r = clean(h.run("both"))
            assert r.code == 75 and any("kept in the state" in e["text"] and "no room" in e["text"] for e in r.of("error")), r
            assert len(left(old)) == len(known(new)) == 4 and kept_aside(h) == 1
        r = h.run("both", "--dry-run")
        assert kept_aside(h) == 1
        new.full, new.breaks = False, True
        clean(h.run("both"))
        assert kept_aside(h) == 1
        new.breaks = False
        r = clean(h.run("both"))
        assert r.code == 1 and "put back" in r.of("error")[0]["text"], r
        assert known(new) == texts and kept_aside(h) == 0


def test_two_mailboxes_and_no_end(tmp_path):
    """The run ends behind the deletion: the next one sees that the target has it, and goes on."""
    texts = [letter(n) for n in range(1, 6)]
    step = 1
    while True:
        with pop3peer.Peer(texts) as old, imappeer.Peer({"INBOX": texts}) as new:
            h = Job(tmp_path / str(step), old, new, EMPTY)
            for n, m in enumerate(new.inbox().messages):
                m.date = 1704103200 + 60 * (n + 1)
            code = h.run("both", env={"MAILHAUL_STOP_AT": str(step)}).code
            assert code in (0, 100) and known(new) == texts
            assert code == 0 or clean(h.run("both")).code == 0
            assert known(new) == texts and left(old) == [] and kept_aside(h) == 0
        if code == 0:
            break
        step += 1
    assert step > 8


class Slow(imappeer.Peer):
    """Has no MOVE; and goes away, for good, before it marks what was copied, or before it expunges it."""

    less = ("MOVE",)
    goes = away = None

    def greeting(self, link):
        if self.away:
            raise ConnectionResetError
        super().greeting(link)

    def dispatch_away(self, what):
        if self.goes == what:
            self.away = True
        if self.away:
            raise ConnectionResetError

    def uid_store(self, link, tag, args):
        self.dispatch_away("store")
        super().uid_store(link, tag, args)

    def uid_expunge(self, link, tag, args):
        self.dispatch_away("expunge")
        super().uid_expunge(link, tag, args)


BARE = [b"Subject: cron %d\n\nnothing new\n" % n for n in range(1, 6)]


def half_moved(directory, texts, goes, stays=()):
    """A migration of which two messages were moved at the source, one of several equal ones, too; the target went away between copy and removal."""
    old, new = imappeer.Peer({"INBOX": texts, "Work": []}), Slow()
    h = Job(directory, old, new)
    for n, m in enumerate(old.inbox().messages):
        m.date = 1704103200
    assert clean(h.run("both")).code == 0
    for m in list(old.inbox().messages[:2]):
        if m.data not in stays:
            old.folders["Work"].add(m.data, m.flags, m.date)
            old.inbox().expunge([m.uid])
    new.goes = goes
    r = clean(h.run("both"))
    assert r.code in (69, 75) and len(known(new)) == len(texts) and len(new.folders["Work"].messages) == 2, r
    new.goes = new.away = None
    return h, old, new


@pytest.mark.parametrize("goes", ["store", "expunge"])
@pytest.mark.parametrize("kind", ["named", "bare"])
def test_moved_by_halves(tmp_path, kind, goes):
    """At the target it is in both folders when the run ends: the next one ends the move."""
    texts = ([letter(n) for n in range(1, 5)] if kind == "named" else BARE[:4]) + [letter(7)] * 2
    h, old, new = half_moved(tmp_path, texts, goes)
    with old, new:
        r = h.run("both", "--dry-run")
        assert [e["action"] for e in clean(r).of("message")].count("move") == 2, r
        r = clean(h.run("both"))
        assert r.code == 0 and known(new) == sorted(texts[2:]) and sorted(new.folders["Work"].bodies()) == sorted(texts[:2]), r
        h.quiet()
        with contextlib.closing(sqlite3.connect(h.db)) as db:
            assert db.execute("SELECT count(*) FROM moving").fetchone() == (0,)


def test_moved_by_halves_and_altered(tmp_path):
    """What came to the other folder is not what was to come: nothing is removed."""
    texts = [letter(n) for n in range(1, 5)]
    h, old, new = half_moved(tmp_path, texts, "store")
    with old, new:
        m = new.folders["Work"].messages[0]
        m.data = m.data.replace(b"text", b"t?xt")
        assert clean(h.run("both")).code == 0
        assert known(new) == sorted(t for t in texts if t != texts[1])


def test_moved_here_and_there(tmp_path):
    """Somebody has copied it to that folder at the target as well: that was no move of ours, and nothing is removed."""
    texts = [letter(n) for n in range(1, 5)]
    with imappeer.Peer({"INBOX": texts, "Work": []}) as old, Slow() as new:
        h = Job(tmp_path, old, new)
        for m in old.inbox().messages:
            m.date = 1704103200
        assert clean(h.run("both")).code == 0
        m = old.inbox().messages[0]
        old.folders["Work"].add(m.data, m.flags, m.date)
        old.inbox().expunge([m.uid])
        new.folders["Work"].add(m.data, m.flags, m.date)
        for _ in range(2):
            assert clean(h.run("both")).code == 0
        assert known(new) == sorted(texts) and new.folders["Work"].bodies() == texts[:1]


class Refuses(imappeer.Peer):
    """A folder that can't be opened; or no message leaves one."""

    closed, keeps = None, False

    def open(self, link, tag, args, writes):
        if imappeer.text(args[0]) == self.closed:
            raise imappeer.Refused("NO not now")
        super().open(link, tag, args, writes)

    def uid_move(self, link, tag, args):
        if self.keeps:
            raise imappeer.Refused("NO [NOPERM] nothing leaves it")
        super().uid_move(link, tag, args)


def test_moved_out_of_a_folder_that_can_not_be_looked_into(tmp_path):
    """Nobody knows then that it was moved; what the base has of that folder waits, other mail does not."""
    texts = [letter(n) for n in range(1, 5)]
    with Refuses({"INBOX": [], "Old": texts, "Work": []}) as old, imappeer.Peer() as new:
        h = Job(tmp_path, old, new)
        assert clean(h.run("both")).code == 0
        m = old.folders["Old"].messages[0]
        old.folders["Work"].add(m.data, m.flags, m.date)
        old.folders["Work"].add(letter(9))
        old.folders["Old"].expunge([m.uid])
        old.closed = "Old"
        r = clean(h.run("both"))
        assert r.code == 1 and new.folders["Work"].bodies() == [letter(9)], r
        old.closed = None
        for _ in range(2):
            assert clean(h.run("both")).code == 0
        assert new.folders["Old"].bodies() == texts[1:] and sorted(new.folders["Work"].bodies()) == [texts[0], letter(9)]


def test_target_that_moves_nothing(tmp_path):
    """It stays where it is, and is not copied as well; it is told, and tried again."""
    texts = [letter(n) for n in range(1, 5)]
    with imappeer.Peer({"INBOX": texts, "Work": []}) as old, Refuses() as new:
        h = Job(tmp_path, old, new)
        assert clean(h.run("both")).code == 0
        m = old.inbox().messages[0]
        old.folders["Work"].add(m.data, m.flags, m.date)
        old.inbox().expunge([m.uid])
        new.keeps = True
        for _ in range(2):
            r = clean(h.run("both"))
            assert "stays where it is at the target" in r.of("warning")[0]["text"] and "nothing leaves it" in r.of("warning")[0]["text"], r
            assert known(new) == texts and new.folders["Work"].bodies() == []
        new.keeps = False
        assert clean(h.run("both")).code == 0
        assert known(new) == texts[1:] and new.folders["Work"].bodies() == texts[:1]
