"""A tree of mbox files at the local side, and other programs that have it open: Python's mailbox, Dovecot with its own mbox driver. What matters at every kind of side is in test_sync_matrix.py and
test_sync_model.py, the files themselves in unit/store/test_mboxtree.c."""

import mailbox
import os
import re
import shutil
import time

import pytest

import boxside
import dovecot
import haul
from moving import mail
from disturb import needs_strace
from twoway import HELLO, Boxes, Remote, Scene, actions, counts, stopped

pytestmark = pytest.mark.deadline(60)


def hello(n):
    return HELLO % (n, n)


@pytest.fixture
def job(best, tmp_path):
    return Boxes(tmp_path, best, "max-delete = none\nremove-folders = both")


def contents(p, folder="INBOX"):
    with open(p.local.box(folder), "rb") as f:
        return f.read()


def test_first_run(job):
    job.remote.deliver(hello(1), "INBOX", "FSj")
    job.remote.deliver(hello(2), "Work/2026", "RTD")
    job.remote.deliver(b"S: a\n\nFrom the start\n>From\n", "Work", "")
    job.remote.deliver(b"From: x\nStatus: RO\nX-UID: 9\nContent-Length: 4\nX-IMAPbase: 1 2\n\nnotes\n", "Work", "F")
    r = job.sync()
    assert counts(r) == {"pulled": 4, "folders_made": 3}, r
    assert re.search(rb"\AFrom MAILER-DAEMON .* 20\d\d\nX-IMAPbase: \d{10} 0{10} Junk\nStatus: R \nX-Status: F   \nX-Keywords: Junk {40}\nFrom: a@", contents(job)), contents(job)
    assert b"\n>From the start\n>From\n" in contents(job, "Work") and b"X-UID" not in contents(job, "Work")
    job.quiet()
    assert job.local.state()["Work"] == [(b"From: x\n\nnotes\n", "F"), (b"S: a\n\nFrom the start\n>From\n", "")]
    assert job.local.state()["Work/2026"] == job.remote.state()["Work/2026"] == [(hello(2), "DRT")]


def test_the_order_of_arrival_is_kept(job):
    """Keys say nothing of it."""
    def order(side):
        with job.remote.connect() as c:
            return [m.text for m in job.local.messages("INBOX")] if side is job.local else [body for _, body, _ in job.remote.fetch(c, "INBOX")]

    job.remote.fill("INBOX", 25)
    job.settle()
    assert order(job.local) == order(job.remote) == [hello(n) for n in range(25)]
    job.local.fill("INBOX", 25, 100)
    job.settle()
    assert order(job.remote)[25:] == [hello(n) for n in range(100, 125)]


def test_nothing_is_read_that_has_not_changed(job):
    """Nor locked, nor changed."""
    job.remote.fill("INBOX", 30)
    job.settle()
    while time.time() - max(os.stat(path).st_mtime for path in job.local.files()) < 0.2:
        time.sleep(0.02)    # what the files' times say is believed when it is old enough
    job.quiet()
    before = job.local.files()
    log = os.path.join(job.dir, "strace.log")
    if shutil.which("strace"):
        r = job.run("both", prefix=("strace", "-f", "-qq", "-E", "ASAN_OPTIONS=detect_leaks=0", "-o", log, "-e", "trace=open,openat,link,linkat"))
        assert r.code == 0
        with open(log, encoding="utf-8", errors="replace") as f:
            assert "local/INBOX" not in f.read()
    job.quiet()
    assert job.local.files() == before
    assert job.sync("--dry-run").code == 0 and job.local.files() == before


def test_flags_are_changed_in_place(job):
    """Where the program has put the message, and where another has left room."""
    job.remote.fill("INBOX", 3, flags="")
    job.settle()
    job.remote.flag("INBOX", hello(0), "jkP")
    job.sync()
    inode = os.stat(job.local.box("INBOX")).st_ino      # what its keywords are was to be said first
    job.remote.flag("INBOX", hello(1), "FSRjkP")
    job.remote.flag("INBOX", hello(2), "D")
    assert counts(job.sync()) == {"flagged": 2}
    job.same()
    assert os.stat(job.local.box("INBOX")).st_ino == inode
    job.remote.flag("INBOX", hello(1), "")
    job.sync()
    job.same()
    assert os.stat(job.local.box("INBOX")).st_ino == inode
    job.quiet()


def test_pythons_mailbox(job):
    """Adds, flags and removes, and writes the file anew in its own way."""
    job.remote.fill("INBOX", 4, flags="S")
    job.settle()
    box = mailbox.mbox(job.local.box("INBOX"))
    box.lock()
    keys = {box[k]["subject"]: k for k in box.keys()}
    m = box[keys["hello 1"]]
    m.set_flags("RF")
    box[keys["hello 1"]] = m
    del box[keys["hello 2"]]
    box.add(hello(10))
    box.add(mailbox.mboxMessage(hello(11)))
    box.flush()
    box.unlock()
    box.close()
    r = job.sync()
    assert counts(r) == {"pushed": 2, "deleted": 1, "flagged": 1}, r
    job.quiet()
    assert job.remote.state()["INBOX"] == [(hello(0), "S"), (hello(1), "FS"), (hello(10), ""), (hello(11), ""), (hello(3), "S")]
    job.same()


@pytest.fixture
def beside(tmp_path):
    """Another Dovecot, whose users have mbox files; it is to see at once what others have changed in their midst."""
    with dovecot.Dovecot(tmp_path / "beside", mail_location="mbox:~/mail:INBOX=~/mail/INBOX", extra="mbox_dirty_syncs = no\n") as srv:
        yield srv


def uidvalidity(far):
    with far.connect() as c:
        return c.status("INBOX", "(UIDVALIDITY)")[1]


def test_dovecot_has_the_same_files(job, beside):
    beside.add_user("near", "secret")
    near = Remote(beside, "near")
    near.wire = lambda folder: '"%s"' % folder
    near.deliver(hello(1), "INBOX", "S")
    job.local = boxside.BoxSide(os.path.join(beside.home("near"), "mail"))
    job.configure("max-delete = none\nremove-folders = both\nfolders = { INBOX, Work }")
    job.remote.deliver(hello(2), "INBOX", "Fj")
    job.remote.deliver(hello(3), "Work", "S")

    def give():
        beside.give(job.local.path)

    def same():
        beside.wait_for_quiet()
        for folder in ("INBOX", "Work"):
            with near.connect() as a, job.remote.connect() as b:
                here, there = (sorted((text, flags) for _, text, flags in side.fetch(c, folder)) for side, c in ((near, a), (job.remote, b)))
            assert here == there, (folder, here, there)

    assert counts(job.sync())["pulled"] == 2
    give()
    same()
    valid = uidvalidity(near)
    job.quiet()
    for i in range(3):
        near.deliver(hello(10 + i), "INBOX", "RSk")
        job.remote.deliver(hello(20 + i), "INBOX", "")
        near.flag("INBOX", hello(2), "FS" if i % 2 else "SPj")
        job.remote.flag("INBOX", hello(1), "FS" if i % 2 else "Rk")
        if i == 1:
            near.delete("INBOX", hello(10))
            job.remote.delete("INBOX", hello(20))
        if i == 2:
            near.empty("Work")
        beside.wait_for_quiet()
        r = job.sync()
        give()
        same()
        assert r.end["pulled"] == 1 and r.end["pushed"] == 1, r
        job.quiet()
    # the first message has gone with Dovecot's notes of the folder in it, and they went to the next
    job.remote.delete("INBOX", hello(1))
    job.sync()
    give()
    same()
    assert uidvalidity(near) == valid
    job.quiet()


def test_twice_the_same(job):
    """The same bytes more than once are as many messages, and stay as many, whichever goes."""
    for _ in range(3):
        job.remote.deliver(hello(50), "INBOX", "S")
    job.local.deliver(hello(51))
    job.local.deliver(hello(51))
    job.settle()
    job.same()
    assert job.local.bodies().count(hello(50)) == 3 and job.remote.bodies().count(hello(51)) == 2
    job.local.delete_one("INBOX", hello(50), 0)
    job.local.delete_one("INBOX", hello(51), 1)
    r = job.sync()
    assert r.end["deleted"] == 2 and r.end["pulled"] + r.end["pushed"] == 0, r
    job.same()
    job.quiet()
    with job.remote.connect() as c:
        uid = str([u for u, text, _ in job.remote.fetch(c, "INBOX") if text == hello(50)][0])
        c.select("INBOX")
        c.uid("store", uid, "+FLAGS", r"(\Deleted)")
        c.uid("expunge", uid)
    r = job.sync()
    assert r.end["deleted"] == 1 and r.end["pulled"] + r.end["pushed"] == 0, r
    job.quiet()
    job.same()
    assert job.local.bodies() == [hello(50), hello(51)]


def test_moves_and_folders(job):
    for i in range(6):
        job.remote.deliver(mail(i), "INBOX", "S")
    job.settle()
    for i, (side, folder) in enumerate(((job.local, "Work"), (job.remote, "Work/2026"), (job.local, "Work/2026"), (job.remote, "Work"))):
        if folder not in side.folders():
            side.make(folder)
        side.move("INBOX", mail(i), folder)
    r = job.sync()
    assert r.end["moved"] == 4 and r.end["pulled"] + r.end["pushed"] + r.end["deleted"] == 0, r
    job.quiet()
    job.same()
    assert sorted(job.local.folders()) == ["INBOX", "Work", "Work/2026"]
    job.local.remove("Work")
    r = job.sync()
    assert r.end["folders_removed"] == 1 and set(job.remote.folders()) >= {"INBOX", "Work/2026"}, r
    job.quiet()
    job.local.rename("Work/2026", "Old")
    r = job.sync()
    assert r.end["folders_renamed"] == 1, r
    job.remote.remove("Old")
    r = job.sync()
    assert r.end["folders_removed"] == 1 and "Old" not in job.local.folders(), r
    job.quiet()


def test_what_is_no_mbox_fails_alone(job):
    job.remote.fill("Work", 2)
    job.settle()
    job.remote.fill("INBOX", 1, 10)
    job.remote.fill("Work", 1, 10)
    with open(job.local.box("Work"), "wb") as f:
        f.write(b"no mail\n")
    r = job.sync(code=1)
    assert counts(r) == {"pulled": 1, "failed": 1} and "no mbox" in r.of("error")[0]["text"], r
    assert contents(job, "Work") == b"no mail\n" and len(job.remote.bodies("Work")) == 3


def test_what_vanished_is_no_wish(job):
    job.configure("max-delete = 10")
    job.remote.fill("INBOX", 30)
    job.remote.fill("Work", 1)
    job.settle()
    os.rename(job.local.path, job.local.path + ".away")
    stopped(job.run("both"), 74, "there is no mbox", "put it back")
    os.rename(job.local.path + ".away", job.local.path)
    job.local.empty("INBOX")
    r = job.run("both")
    assert r.code != 0 and actions(r) == [] and len(job.remote.bodies()) == 30, r
    os.unlink(job.local.box("INBOX"))
    r = job.run("both")
    assert r.code != 0 and "inbox is gone" in r.of("error")[0]["text"] and len(job.remote.bodies()) == 30, r
    job.sync("--restore")
    job.same()


def test_one_file(best, tmp_path):
    p = Boxes(tmp_path, best, "folders = { INBOX }")
    with open(p.local.path, "wb") as f:
        f.write(b"From a Tue Nov 14 22:13:20 2023\nSubject: a\n\nx\n")
    p.remote.fill("INBOX", 2)
    assert counts(p.sync()) == {"pulled": 2, "pushed": 1}
    p.quiet()
    assert sorted(m.text for m in p.local.parse(open(p.local.path, "rb").read())) == p.remote.bodies()


def test_locked_by_another(job):
    job.configure("max-delete = none")
    job.reconfigure("sync both", "mbox here {\n\tpath = %s\n\tlock-timeout = 1s\n}\nsync both" % haul.quoted(job.local.path))
    job.reconfigure(haul.quoted("mbox:" + job.local.path), "here")
    job.remote.fill("INBOX", 2)
    job.settle()
    job.remote.fill("INBOX", 1, 10)
    with boxside.locked(job.local.box("INBOX")):
        before = contents(job)
        r = job.run("both")
        assert r.code == 75 or r.code == 1, r
        assert "is locked by" in r.of("error")[0]["text"], r
        assert contents(job) == before
    assert counts(job.sync()) == {"pulled": 1}
    job.quiet()


class Moved(Scene):
    """Messages have been moved on both sides; here they are copied there first, and then removed."""

    def __init__(self, directory, srv):
        super().__init__(directory, srv, "max-delete = none", Boxes)
        p = self.p
        for i in range(7):
            p.remote.deliver(mail(i), "INBOX" if i < 5 else "Work", "Sj" if i % 2 else "F")
        p.settle()
        for i in range(3):
            p.remote.move("INBOX", mail(i), "Work")
        p.local.move("INBOX", mail(3), "Work")
        p.remote.move("Work", mail(5), "INBOX")
        p.remote.flag("INBOX", mail(4), "RS")
        self.keep()
        assert p.sync().end["moved"] == 5
        self.want = self.state()
        assert self.want["local"] == self.want["remote"]


@pytest.mark.crash
@needs_strace
@pytest.mark.deadline(300)
@pytest.mark.parametrize("calls", ["rename,renameat,renameat2,linkat", "fsync", "pwrite64"])
def test_moves_that_are_killed_double_nothing(best, tmp_path, calls):
    scene = Moved(tmp_path, best)
    for what in scene.killed(calls, 5):
        scene.finish(what)


class Migration(Boxes):
    """A job "both" that copies from the tree to the account, or from there to the tree."""

    from_here = True

    def configure(self, job):
        ends = [haul.quoted("mbox:" + self.local.path), "work"]
        super().configure("")
        with open(self.conf, encoding="utf-8") as f:
            account = f.read().partition("sync both")[0]
        self.write_private(self.conf, "%smigrate both {\n\tfrom = %s\n\tto = %s\n%s\n}\n" % (account, *(ends if self.from_here else ends[::-1]), job))


class MigrationHere(Migration):
    from_here = False


@pytest.mark.parametrize("make", [Migration, MigrationHere])
def test_migrated(best, tmp_path, make):
    p = make(tmp_path, best, "delete-source = no")
    source, target = (p.local, p.remote) if p.from_here else (p.remote, p.local)
    for i in range(4):
        source.deliver(mail(i), "INBOX" if i % 2 else "Old/2001", "Fj" if i < 2 else "S")
    target.deliver(mail(1), "INBOX", "")
    before = source.state()
    r = p.sync()
    assert r.end["pulled"] == 3 and r.end["failed"] == 0, r
    for folder in ("INBOX", "Old/2001"):
        assert [text for text, _ in target.state()[folder]] == [text for text, _ in before[folder]]
    assert (mail(0), "Fj") in target.state()["Old/2001"] and source.state() == before
    p.quiet()
    source.flag("INBOX", mail(3), "RS")
    source.deliver(mail(9))
    r = p.sync()
    assert r.end["pulled"] == 1, r
    assert (mail(3), "RS") in target.state()["INBOX"] and len(target.state()["INBOX"]) == 3
    r = p.call("verify", "--full", "both")
    assert r.code == 0, r
