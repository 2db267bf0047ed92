"""What a migration promises: each message is at the target once, with its flags and its time, whatever happens on the way; the source is as it was, unless it is to be emptied."""

import calendar
import collections
import contextlib
import imaplib
import json
import os
import re
import sqlite3
import time

import pytest

import corpus
import haul
import twoway
from disturb import LONG, Proxy, failing, needs_strace
from twoway import HELLO, Move, Remote, Scene, counts, start

DAY = 86400


@pytest.fixture(scope="module")
def srv(tmp_path_factory):
    with start(tmp_path_factory.mktemp("dovecot"), "all") as server:
        yield server


def mail(n, extra=b""):
    """A message that came on a day of its own, as its Received line says; its Date is another."""
    when = time.strftime("%d %b %Y 10:%M:%S", time.gmtime(1500000000 + n * DAY)).encode()
    return (b"Return-Path: <a@example.org>\nReceived: from a by b; Tue, %s +0200\nReceived: from x by a; Tue, 1 Feb 2000 10:00:00 +0000\n"
            b"From: a@example.org\nDate: Sat, 3 Mar 2001 10:00:00 +0000\nMessage-ID: <%d@example.org>\nSubject: number %d\n%s\nbody %d\n" % (when, n, n, extra, n))


BARE = b"Subject: cron %d\n\nnothing to report\n"


def arrived(n):
    """When mail(n) did."""
    t = time.gmtime(1500000000 + n * DAY)
    return calendar.timegm((t.tm_year, t.tm_mon, t.tm_mday, 10, t.tm_min, t.tm_sec)) - 2 * 3600


def dates(side, folder="INBOX"):
    """{subject's number: INTERNALDATE} of an account."""
    out = {}
    with side.connect() as c:
        if int(c.select(side.wire(folder), readonly=True)[1][0]) == 0:
            return out
        for part in c.fetch("1:*", "(INTERNALDATE BODY.PEEK[HEADER.FIELDS (SUBJECT)])")[1]:
            if isinstance(part, tuple):
                when = calendar.timegm(time.gmtime(time.mktime(imaplib.Internaldate2tuple(part[0]))))
                out[int(re.search(rb"number (\d+)", part[1]).group(1))] = when
    return out


def untouched(side, source):
    """What a source must keep; some servers flag as seen what POP3 has read."""
    if source == "pop3":
        return side.bodies()
    return side.files()


def sent(r):
    return counts(r).get("pulled", 0)


@pytest.mark.parametrize("source", ["pop3", "imap", "maildir"])
@pytest.mark.parametrize("target", ["imap", "maildir"])
def test_copies(srv, tmp_path, source, target):
    """All is there, once; a second run has nothing to do, and nor has one whose state was lost."""
    p = Move(tmp_path, srv, source=source, target=target)
    for n in range(12):
        p.remote.deliver(mail(n), "INBOX" if n < 8 or source == "pop3" else "Work/2026", "" if source == "pop3" else ("S", "", "FS", "Sj")[n % 4], age=n * DAY)
    before, want = untouched(p.remote, source), p.remote.state()
    r = p.move()
    assert sent(r) == 12 and r.end["failed"] == 0, r
    p.quiet()
    assert p.local.state() == want
    p.forget()
    r = p.move()
    assert sent(r) == 0 and r.of("error") == [], r
    p.quiet()
    assert p.local.state() == want
    assert untouched(p.remote, source) == before


def test_dates(srv, tmp_path):
    """Of IMAP the time of arrival; POP3 tells none: that of the last Received line, or of Date, and never one to come."""
    p = Move(tmp_path / "imap", srv, source="imap", target="imap")
    for n in range(5):
        p.remote.deliver(mail(n), age=n * DAY)
    p.move()
    assert dates(p.local) == dates(p.remote)
    p = Move(tmp_path / "pop3", srv, source="pop3", target="imap")
    for n in range(5):
        p.remote.deliver(mail(n))
    p.remote.deliver(b"From: a@example.org\nDate: Sat, 3 Mar 2001 10:00:00 +0000\nSubject: number 7\n\nbody\n")
    p.remote.deliver(b"From: a@example.org\nDate: Sat, 3 Mar 2101 10:00:00 +0000\nSubject: number 8\n\nbody\n")
    p.remote.deliver(b"From: a@example.org\nSubject: number 9\n\nbody\n")
    begun = int(time.time())
    p.move()
    got = dates(p.local)
    assert {n: got[n] for n in range(5)} == {n: arrived(n) for n in range(5)}
    assert got[7] == calendar.timegm((2001, 3, 3, 10, 0, 0))
    assert begun <= got[8] <= time.time() and begun <= got[9] <= time.time()


def test_folder(srv, tmp_path):
    """Where a maildrop's mail goes."""
    p = Move(tmp_path, srv, 'folder = "Old/isp"', source="pop3", target="imap")
    p.remote.deliver(mail(1))
    p.local.deliver(mail(2))
    p.move()
    assert p.local.bodies("Old/isp") == [mail(1)] and p.local.bodies("INBOX") == [mail(2)]


def test_another_tool_has_begun(srv, tmp_path):
    """Of a thousand messages six hundred are there already, by a hand that kept no times: four hundred are sent, and none by a second run that has lost its state."""
    p = Move(tmp_path, srv, source="pop3", target="imap")
    messages = [mail(n, b"X-Pad: %s\n" % (b"y" * (n % 70))) for n in range(1000)]
    for text in messages:
        srv.deliver(p.remote.user, text)
    with p.local.connect() as c:
        for n, text in enumerate(messages[:600]):
            # some as mbsync leaves them, with a line of its own
            line = b"X-TUID: abcdefghijkl\n" if n % 7 == 0 else b""
            p.local.append(c, text.replace(b"\n\n", b"\n" + line + b"\n", 1), "INBOX", "S", time.time() - 3600)
    r = p.move()
    assert sent(r) == 400 and r.end["failed"] == 0, r
    assert len(p.local.bodies()) == 1000
    p.quiet()
    p.forget()
    r = p.move()
    assert sent(r) == 0 and actions_of(r) == [], r
    assert len(p.local.bodies()) == 1000


def actions_of(r):
    return [a for a, _ in twoway.actions(r)]


def test_the_same_account(srv, tmp_path):
    """From POP3 to IMAP in one account: all is there already."""
    p = Move(tmp_path, srv, source="pop3", target="imap")
    p.local = Remote(srv, p.remote.user)
    p.configure("")
    for n in range(20):
        p.remote.deliver(mail(n), age=DAY)
    p.remote.deliver(mail(3), age=DAY)      # twice the same
    before = p.local.bodies()
    r = p.move()
    assert sent(r) == 0 and r.of("error") == [], r
    assert p.local.bodies() == before
    p.quiet()


@pytest.mark.parametrize("folder", ["INBOX", "Old"])
def test_the_same_account_is_not_emptied(srv, tmp_path, folder):
    """Two doors to one mailbox: who closes the one must not lose what is behind it. In another folder it is a copy."""
    p = Move(tmp_path, srv, source="pop3", target="imap")
    p.local = Remote(srv, p.remote.user)
    p.configure('delete-source = yes\nfolder = "%s"' % folder)
    for n in range(20):
        p.remote.deliver(mail(n), age=DAY)
    before = p.local.bodies()
    r = p.move(code=1 if folder == "INBOX" else 0)
    assert p.local.bodies(folder) == before
    if folder == "INBOX":
        assert "one mailbox" in r.of("error")[0]["text"] and "put back" in r.of("error")[0]["text"], r
        p.run("move")
        assert p.local.bodies() == before


class OneMailbox(Scene):
    """The source is emptied, and is the target."""

    def __init__(self, directory, srv, source):
        super().__init__(directory, srv, "", lambda where, server, job: Move(where, server, job, source=source, target="imap"))
        self.p.local = Remote(srv, self.p.remote.user)
        self.p.parts = lambda: {"home": srv.home(self.p.remote.user), "state": self.p.state}
        for n in range(3):
            self.p.remote.deliver(mail(n), age=DAY)
        self.p.remote.deliver(mail(1), age=DAY)
        self.want = self.p.remote.bodies()
        self.p.configure("delete-source = yes")
        with open(self.p.conf, encoding="utf-8") as f:
            conf = f.read()
        self.p.write_private(self.p.conf, conf.replace("@localhost:", "@127.0.0.1:", 1))     # a name of its own
        os.makedirs(self.p.state, mode=0o700)
        self.keep()

    def ends_well(self, what):
        """By the next run all is there, and nothing that is kept aside."""
        r = self.p.run("move")
        self.srv.wait_for_quiet()
        assert self.p.local.bodies() == self.want, (what, r)
        with contextlib.closing(sqlite3.connect(self.p.db)) as db:
            assert db.execute("SELECT count(*) FROM aside").fetchone() == db.execute("SELECT count(*) FROM aside_text").fetchone() == (0,), (what, r)
        return r


@pytest.mark.crash
@pytest.mark.deadline(300)
@pytest.mark.parametrize("source", ["pop3", "imap"])
def test_one_mailbox_stopped(srv, tmp_path, source):
    """What was deleted to see whether it is one mailbox is there again, wherever the run came to its end."""
    scene = OneMailbox(tmp_path, srv, source)
    for step in scene.stopped(ends=1):
        r = scene.ends_well("step %d" % step)
        assert any("put back" in e["text"] for e in r.of("error")), (step, r)
    assert step > 8


@pytest.mark.crash
@pytest.mark.deadline(300)
@needs_strace
@pytest.mark.parametrize("calls", ["write,writev,sendto", "pwrite64", "fdatasync,fsync"])
def test_one_mailbox_killed(srv, tmp_path, calls):
    scene, n = OneMailbox(tmp_path, srv, "pop3"), 0
    for what in scene.killed(calls, 10, ends=1):
        scene.ends_well(what)
        n += 1
    assert n > 3


@pytest.mark.parametrize("source", ["imap", "maildir"])
@pytest.mark.parametrize("target", ["imap", "maildir"])
def test_moved_at_the_source(srv, tmp_path, source, target):
    p = Move(tmp_path, srv, source=source, target=target)
    for n in range(8):
        p.remote.deliver(mail(n), "INBOX" if n < 6 else "Work", age=n * DAY)
    p.settle()
    p.remote.move("INBOX", mail(2), "Work")
    want = p.remote.state()
    assert sent(p.settle()) == 0 and p.local.state() == want
    p.configure("delete-source = yes")
    p.settle()
    assert p.local.state() == want and not any(p.remote.state().values())


@pytest.mark.crash
@pytest.mark.deadline(300)
@needs_strace
def test_moved_and_killed(srv, tmp_path):
    """A message goes from one mbox to another in two steps: what is in both, if a run ends between them, is once where the source has it."""
    scene = Scene(tmp_path, srv, "", lambda where, server, job: Move(where, server, job, source="imap", target="mbox"))
    p = scene.p
    for n in range(4):
        p.remote.deliver(mail(n) if n % 2 else BARE % n, "INBOX", "S", age=n * DAY)
    p.remote.make("Work")
    p.settle()
    for text in mail(1), BARE % 2:
        p.remote.move("INBOX", text, "Work")
    scene.want = {"remote": p.remote.state(), "local": p.remote.state()}
    scene.keep()
    for what in scene.killed("fsync,fdatasync", 8):
        scene.finish(what)


def test_a_maildir_that_pop3_has_filled(srv, tmp_path):
    """Who changes over from POP3 to IMAP keeps the Maildir: the sync of the same account takes its messages for those that the server has."""
    p = twoway.Sync(tmp_path, srv)
    for n in range(20):
        p.remote.deliver(mail(n), age=n * DAY)
    p.remote.deliver(mail(3), age=3 * DAY)      # twice the same
    conf = open(p.conf, encoding="utf-8").read()
    p.write_private(p.conf, conf.replace("imaps://", "pop3s://").replace(":%d\"" % srv.front_port, ":%d\"" % srv.pop3s_port).partition("sync both")[0] +
                    "fetch old {\n\tfrom = work\n\tto = %s\n\tkeep = yes\n}\n" % haul.quoted("maildir:" + p.local.box("INBOX")))
    assert p.run("old").end["pulled"] == 21
    p.write_private(p.conf, conf)
    r = p.sync()
    assert counts(r).get("pulled", 0) == 0 and counts(r).get("pushed", 0) == 0, r
    p.quiet()
    assert len(p.local.bodies()) == len(p.remote.bodies()) == 21


def test_twice_the_same(srv, tmp_path):
    """Messages with the same bytes stay as many as they are; those with the same Message-ID and other bytes are told apart, and those without any."""
    for source in "imap", "pop3":
        p = Move(tmp_path / source, srv, source=source, target="imap")
        same = b"From: a@example.org\nMessage-ID: <same@example.org>\nSubject: number 1\n\n%s\n"
        bodies = sorted([mail(1), mail(1), same % b"one", same % b"two", same % b"two", b"Subject: number 5\n\nno Message-ID\n", b"Subject: number 5\n\nno Message-ID\n"])
        for text in bodies:
            p.remote.deliver(text, age=DAY)
        p.local.deliver(mail(1), age=3 * DAY)
        p.local.deliver(same % b"two", age=3 * DAY)
        assert sent(p.move()) == 5
        assert p.local.bodies() == bodies
        p.quiet()
        p.forget()
        p.move()
        p.quiet()
        assert p.local.bodies() == bodies


def test_later(srv, tmp_path):
    """What comes, changes or moves at the source goes over; what is deleted there stays at the target, and what the target does is its own business."""
    p = Move(tmp_path, srv, source="imap", target="imap")
    for n in range(8):
        p.remote.deliver(mail(n), "INBOX" if n < 6 else "Work", age=n * DAY)
    p.settle()
    p.remote.deliver(mail(20))
    p.remote.flag("INBOX", mail(1), "FS")
    p.remote.move("INBOX", mail(2), "Work")
    p.remote.delete("INBOX", mail(3))
    p.local.delete("INBOX", mail(4))
    p.local.flag("INBOX", mail(1), "Rk")
    p.local.deliver(mail(30))
    r = p.settle()
    assert sent(r) == 1 and counts(r)["moved"] == 1, r
    assert p.local.state() == {"INBOX": sorted([(mail(0), ""), (mail(1), "FRSk"), (mail(3), ""), (mail(5), ""), (mail(20), ""), (mail(30), "")]),
                               "Work": sorted([(mail(2), ""), (mail(6), ""), (mail(7), "")])}
    assert p.remote.state()["INBOX"] == sorted([(mail(0), ""), (mail(1), "FS"), (mail(4), ""), (mail(5), ""), (mail(20), "")])


def test_dry_run(srv, tmp_path):
    p = Move(tmp_path, srv, "delete-source = yes", source="pop3", target="imap")
    for n in range(3):
        p.remote.deliver(mail(n))
    r = p.move("--dry-run")
    assert actions_of(r).count("pull") == 3 and all(e["dry_run"] for e in r.of("message")), r
    assert p.local.bodies() == [] and len(p.remote.bodies()) == 3 and not os.path.exists(p.db)


def test_what_is_said(srv, tmp_path):
    """Where there is no server, none is blamed; and what is copied is not said to be moved."""
    p = Move(tmp_path, source="maildir", target="maildir")
    p.remote.deliver(mail(1), "INBOX", "S")
    r = p.call("-v", "run", "move")
    assert "INBOX: 1 message to copy\n" in r.out and "1 message copied" in r.out, r
    os.rename(p.remote.path, p.remote.path + ".away")
    r = p.move(code=74)
    assert "there is no Maildir %s (is its disk not mounted?)" % p.remote.path in r.of("error")[0]["text"], r
    os.mkdir(p.remote.path)
    r = p.move(code=74)
    assert "the source shows no folders at all" in r.of("error")[0]["text"] and "in the right layout" in r.of("error")[0]["text"], r
    os.rmdir(p.remote.path)
    os.rename(p.remote.path + ".away", p.remote.path)
    os.rename(p.local.path, p.local.path + ".away")
    os.mkdir(p.local.path)
    r = p.move(code=74)
    assert "is its disk mounted?" in r.of("error")[0]["text"], r


@needs_strace
def test_no_room_for_the_state(tmp_path):
    """SQLite maps a file that has to grow: where the disk is full its own words are no help."""
    p = Move(tmp_path, source="maildir", target="maildir")
    p.remote.deliver(mail(1), "INBOX", "S")
    r = p.call("run", "move", prefix=failing("ftruncate", "ENOSPC", "1+"))
    assert r.code == 74 and "make room on that file system" in r.err, r
    p.settle()


class Moving(Scene):
    """Some of it is at the target, by an earlier run or another hand; some was changed since; more has come."""

    def __init__(self, directory, srv, source, target, empties):
        super().__init__(directory, srv, "", lambda where, server, job: Move(where, server, job, source=source, target=target))
        p = self.p
        plain = source == "pop3"
        for n in range(4):
            p.remote.deliver(mail(n), "INBOX", age=n * DAY)
        p.settle()
        if not plain:
            p.remote.flag("INBOX", mail(1), "FSj")
        for n in range(10, 16):
            p.remote.deliver(mail(n, b"X-Long: %s\n" % (b"z" * 900)), "INBOX" if plain or n < 14 else "New", "" if plain else "S", age=n * DAY)
        p.remote.deliver(mail(10, b"X-Long: %s\n" % (b"z" * 900)), "INBOX", "" if plain else "S", age=10 * DAY)
        p.local.deliver(mail(11, b"X-Long: %s\n" % (b"z" * 900)), "INBOX", "" if plain else "S", age=2 * DAY)
        if empties:
            p.configure("\tdelete-source = yes")
        want = self.plain(p.remote.state())
        self.want = {"remote": {f: [] for f in want} if empties else want, "local": want}
        self.keep()

    def plain(self, state):
        """Some servers flag as seen what POP3 has read."""
        return {f: [(body, "") for body, _ in rows] for f, rows in state.items()} if self.p.source == "pop3" else state

    def state(self):
        out = super().state()
        return {"remote": self.plain(out["remote"]), "local": out["local"]}

    def when(self):
        """What tells when the messages at the target came."""
        return dates(self.p.local)


KINDS = [("imap", "imap", False), ("pop3", "imap", False), ("pop3", "imap", True), ("maildir", "imap", False), ("imap", "maildir", True), ("imap", "imap", True)]


@pytest.mark.crash
@pytest.mark.deadline(300)
@pytest.mark.parametrize("source, target, empties", KINDS if LONG else [k for k in KINDS if k[2]] + KINDS[:1])
def test_stopped(srv, tmp_path, source, target, empties):
    scene = Moving(tmp_path, srv, source, target, empties)
    scene.finish("undisturbed")
    when = scene.when() if target == "imap" else None
    for step in scene.stopped():
        scene.finish("step %d" % step)
        assert when is None or {n: d for n, d in scene.when().items() if n != 11} == {n: d for n, d in when.items() if n != 11}
    assert step > 6


@pytest.mark.crash
@pytest.mark.deadline(300)
@needs_strace
@pytest.mark.parametrize("source, target, empties", KINDS[:3] if LONG else KINDS[1:3])
@pytest.mark.parametrize("calls", ["write,writev,sendto", "pwrite64", "fdatasync,fsync"])
def test_killed(srv, tmp_path, source, target, empties, calls):
    scene = Moving(tmp_path, srv, source, target, empties)
    n = 0
    for what in scene.killed(calls, 8):
        scene.finish(what)
        n += 1
    assert n > 3


@pytest.mark.crash
@pytest.mark.deadline(300)
@pytest.mark.parametrize("source", ["pop3", "imap"])
@pytest.mark.parametrize("cut", ["source", "target"])
def test_cut(srv, tmp_path, source, cut):
    """The link to one of the two breaks after so many bytes, in one run after the other: in the end all is there, once."""
    scene = Moving(tmp_path, srv, source, "imap", False)
    port = srv.pop3s_port if (cut, source) == ("source", "pop3") else srv.front_port
    account = "account %s {" % ("old" if cut == "source" else "work")
    with open(scene.p.conf, encoding="utf-8") as f:
        conf = f.read()
    head, rest = conf.split(account)
    runs = 100 if LONG else 15
    for i in range(runs):
        if i % 5 == 0:
            scene.reset()
        proxy = Proxy(port, "--cut-up" if i % 2 and cut == "target" else "--cut-down", str(1000 + (i * 1237) % 12000))
        try:
            scene.p.write_private(scene.p.conf, head + account + rest.replace(":%d\"" % port, ":%d\"" % proxy.port, 1))
            r = scene.p.run("move")
            assert r.code in (0, 1, 69, 75, 76), r
        finally:
            proxy.stop()
        if i % 5 == 4:
            scene.p.write_private(scene.p.conf, conf)
            scene.finish("cut %d" % i)


@pytest.mark.deadline(120)
def test_memory(srv, tmp_path):
    """Bodies wait in a file, not in memory."""
    p = Move(tmp_path, srv, source="pop3", target="imap")
    srv.deliver(p.remote.user, corpus.large(40 << 20))
    log = os.path.join(p.dir, "measured")
    r = p.call("run", "move", prefix=(haul.built("bench/measure"), log))
    assert r.code == 0, r
    assert len(p.local.bodies()) == 1
    with open(log, encoding="ascii") as f:
        assert json.load(f)["rss"] < 32 << 20, r


@pytest.mark.parametrize("source", ["pop3", "imap", "maildir"])
def test_flood_of_equal_sizes(srv, tmp_path, source):
    """Many messages of one size, some of them there already: only the missing ones are sent."""
    p = Move(tmp_path, srv, source=source, target="imap")
    texts = [HELLO % (100 + n, 100 + n) for n in range(60)]
    for text in texts:
        p.remote.deliver(text, age=DAY)
    for text in texts[::2]:
        p.local.deliver(text, age=5 * DAY)
    r = p.move()
    assert sent(r) == 30, r
    assert collections.Counter(p.local.bodies()) == collections.Counter(texts)
