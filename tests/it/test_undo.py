"""What a run deletes here is kept for a while, and `undo` puts it back on both sides, once."""

import imaplib
import json
import os
import re
import shutil
import subprocess
import time

import pytest

import haul
from disturb import CALLS, SmallDisk, needs_strace, strace
from twoway import HELLO, Pair, Scene, Sync, actions, state_of_version

SHORT_KILLS = 4


def kept(p, run=None):
    """The files that are kept, of one run or all."""
    top = os.path.join(p.state, "quarantine", "both", *([str(run)] if run else []))
    return sorted(os.path.join(d, n) for d, _, names in os.walk(top) for n in names if os.path.basename(d) in ("cur", "new"))


def undo(p, *args, code=0, **more):
    r = p.call("--json", "undo", *args, **more)
    assert r.code == code, r
    return r


def refused(p, *args, says, code=64):
    r = undo(p, *args, code=code)
    assert len(r.of("error")) == 1 and says in r.of("error")[0]["text"], r


def dates(p):
    """{bytes: time of arrival} of both sides."""
    here, there = {}, {}
    for folder in p.local.folders():
        for path in haul.maildir_files(p.local.box(folder)):
            with open(path, "rb") as f:
                here[f.read()] = int(os.path.getmtime(path))
    with p.remote.connect() as c:
        for folder in p.remote.folders(c):
            if int(c.select(p.remote.wire(folder), readonly=True)[1][0]) == 0:
                continue
            for part in c.fetch("1:*", "(INTERNALDATE BODY.PEEK[])")[1]:
                if isinstance(part, tuple):
                    there[part[1].replace(b"\r\n", b"\n")] = int(time.mktime(imaplib.Internaldate2tuple(re.sub(rb".*INTERNALDATE", b"* INTERNALDATE", part[0]))))
    return here, there


def empty(p, *folders):
    """At the server somebody deletes all; a run follows. Its number."""
    for folder in folders or ("INBOX",):
        p.remote.empty(folder)
    r = p.sync()
    assert r.end["run"] > 0 and r.end["deleted"] == r.end["quarantined"] > 0, r
    return r.end["run"]


@pytest.fixture
def p(best, tmp_path):
    return Sync(tmp_path, best, "max-delete = none")


def test_five_hundred(p):
    p.remote.fill("INBOX", 440)
    p.remote.fill("Work/2026", 50, 1000, flags="")
    for i in range(10):
        p.remote.deliver(HELLO % (2000 + i, 2000 + i), "INBOX", "FRS"[:i % 4], age=86400 * (i + 1))
    p.settle()
    before, when = p.local.state(), dates(p)
    assert sum(map(len, before.values())) == 500 and when[0] == when[1] and len(when[0]) == 500
    for folder in ("INBOX", "Work/2026"):
        p.remote.empty(folder)
    r = p.sync()
    assert (r.end["deleted"], r.end["quarantined"]) == (500, 500) and len(kept(p)) == 500
    assert not any(p.local.state().values())
    p.quiet()
    mode = os.stat(os.path.join(p.state, "quarantine")).st_mode
    assert mode & 0o777 == 0o700
    # what it would do
    plan = undo(p, "both", "--dry-run")
    assert plan.end["restored"] == 500 and len([e for e in plan.of("message") if e["action"] == "restore" and e["dry_run"]]) == 500
    assert len(kept(p)) == 500 and not any(p.local.state().values())
    r = undo(p, "both")
    assert (r.end["restored"], r.end["pushed"], r.end["deleted"], r.end["failed"]) == (500, 500, 0, 0)
    assert {(e["action"], e["where"]) for e in r.of("message")} == {("restore", "local"), ("push", "remote")}
    assert p.local.state() == p.remote.state() == before and dates(p) == when and kept(p) == []
    # once
    refused(p, "both", says="nothing is kept")
    refused(p, "both", str(r.end["run"] or 1), says="nothing is kept of what run")
    p.quiet()
    assert p.local.state() == p.remote.state() == before
    # and it can be deleted again
    again = empty(p, "INBOX", "Work/2026")
    assert len(kept(p, again)) == 500
    undo(p)
    assert p.local.state() == p.remote.state() == before and dates(p) == when


def test_what_a_person_sees(p):
    p.remote.fill("INBOX", 3)
    p.settle()
    p.remote.delete("INBOX", HELLO % (0, 0))
    p.local.delete("INBOX", HELLO % (1, 1))
    r = p.call("-v", "run", "both")
    assert r.code == 0 and "2 messages deleted; `mailhaul undo both 2` brings 1 back; " in r.out, r
    status = p.call("status").out
    assert re.search(r"run 2, \d{4}-.*: 1 message deleted here; `mailhaul undo both 2` brings it back\n", status), status
    assert [(k["run"], k["messages"]) for k in json.loads(p.call("--json", "status").out)["kept"]] == [(2, 1)]
    r = p.call("undo", "--dry-run")
    assert r.code == 0 and "both: would put back" in r.out and "1 message to be put back; nothing was changed" in r.out, r
    # without a terminal, too: who asks is told
    r = p.call("undo")
    assert r.code == 0 and "both: 1 message put back, 1 sent; " in r.out, r
    assert "1 message that run 2 deleted at the server is gone for good: there was no `trash`" in r.err, r
    assert "run 2" not in p.call("status").out and json.loads(p.call("--json", "status").out)["kept"] == []
    r = p.call("-q", "undo")
    assert r.code == 64 and r.out == "" and "nothing is kept" in r.err, r


def test_one_run_of_several(p):
    p.remote.fill("INBOX", 4)
    p.settle()
    runs = []
    for i in range(2):
        p.remote.delete("INBOX", HELLO % (i, i))
        runs.append(p.sync().end["run"])
    assert runs[0] < runs[1]
    r = undo(p, "both", str(runs[0]))
    assert r.end["restored"] == 1
    assert p.remote.bodies() == sorted(p.local.bodies()) == sorted(HELLO % (i, i) for i in (0, 2, 3))
    refused(p, "both", str(runs[0]), says="nothing is kept of what run %d" % runs[0])
    refused(p, "both", "99", says="there was no run 99 yet (`mailhaul status` shows those of which something is kept)")
    undo(p, "both")
    assert p.remote.bodies() == sorted(p.local.bodies()) == sorted(HELLO % (i, i) for i in range(4))
    p.quiet()


def test_moves_are_no_deletions(p):
    mail = b"Message-ID: <1@example.org>\n" + HELLO % (0, 0)
    p.remote.deliver(mail, age=1000)
    p.remote.fill("INBOX", 2, 1)
    p.remote.fill("Work", 1, 10)
    p.settle()
    p.remote.move("INBOX", mail, "Work")
    r = p.sync()
    assert r.end["moved"] == 1 and r.end["quarantined"] == r.end["run"] == 0 and kept(p) == []
    refused(p, says="nothing is kept")


def test_a_folder_that_was_removed(best, tmp_path):
    p = Sync(tmp_path, best, "max-delete = none\nremove-folders = both")
    p.remote.fill("Old/2020", 5, 100)
    p.remote.fill("Old", 2, 200)
    p.remote.fill("INBOX", 1)
    p.settle()
    before = p.local.state()
    p.remote.remove("Old/2020")
    p.remote.remove("Old")
    r = p.sync()
    assert r.end["folders_removed"] == 2 and r.end["quarantined"] == 7 and p.local.folders() == {"INBOX"}
    undo(p)
    assert p.local.state() == p.remote.state() == before
    p.quiet()
    # a folder that the person here has removed since the run deleted in it comes back with what the server has of it, and nothing is deleted there
    run = empty(p, "Old")
    p.remote.fill("Old", 1, 300)
    p.sync()
    p.local.remove("Old")
    undo(p, "both", str(run))
    assert p.local.bodies("Old") == sorted(p.remote.bodies("Old")) == sorted(HELLO % (i, i) for i in (200, 201, 300))


def test_nothing_is_kept_if_so_wanted(best, tmp_path):
    p = Sync(tmp_path, best, "max-delete = none\nquarantine = 0")
    p.remote.fill("INBOX", 2)
    p.settle()
    p.remote.delete("INBOX", HELLO % (0, 0))
    r = p.sync()
    assert r.end["deleted"] == 1 and r.end["quarantined"] == 0 and not os.path.exists(os.path.join(p.state, "quarantine"))
    refused(p, says="nothing is kept")
    # who says so later wants the room back
    p.configure("max-delete = none")
    p.remote.delete("INBOX", HELLO % (1, 1))
    p.sync()
    assert len(kept(p)) == 1
    p.configure("max-delete = none\nquarantine = 0")
    time.sleep(1.1 - time.time() % 1)  # times of directories are whole seconds here
    p.sync()
    assert kept(p) == []


def test_what_came_back_another_way_is_not_doubled(p):
    """The same message is at the server again: put back from a backup, perhaps."""
    mail = b"Message-ID: <1@example.org>\n" + HELLO % (0, 0)
    p.remote.deliver(mail, age=1000)
    p.remote.fill("INBOX", 1, 1)
    p.settle()
    p.remote.delete("INBOX", mail)
    p.sync()
    p.remote.deliver(mail, age=1000)
    r = undo(p)
    assert r.end["restored"] == 1
    p.quiet()
    assert sorted(p.local.bodies()) == p.remote.bodies() == sorted([mail, HELLO % (1, 1)])


def test_it_expires(p):
    p.remote.fill("INBOX", 3)
    p.settle()
    runs = []
    for i in range(2):
        p.remote.delete("INBOX", HELLO % (i, i))
        runs.append(p.sync().end["run"])
    old = time.time() - 7 * 86400 - 60
    os.utime(os.path.join(p.state, "quarantine", "both", str(runs[0])), (old, old))
    fresh = time.time() - 7 * 86400 + 600
    os.utime(os.path.join(p.state, "quarantine", "both", str(runs[1])), (fresh, fresh))
    p.quiet()
    assert kept(p, runs[0]) == [] and len(kept(p, runs[1])) == 1
    assert sorted(os.listdir(os.path.join(p.state, "quarantine", "both"))) == [str(runs[1])]
    refused(p, "both", str(runs[0]), says="nothing is kept")
    # who asks in time is not told that it is too late
    os.utime(os.path.join(p.state, "quarantine", "both", str(runs[1])), (old, old))
    assert undo(p).end["restored"] == 1


@needs_strace
def test_a_run_with_nothing_to_do_writes_nothing(p):
    p.remote.fill("INBOX", 2)
    p.settle()
    p.remote.delete("INBOX", HELLO % (0, 0))
    p.sync()
    time.sleep(2.1)
    p.quiet()
    log = os.path.join(p.dir, "calls")
    p.sync(prefix=strace("-e", "trace=mkdirat,renameat2,unlinkat,utimensat,fsync", log=log))
    with open(log, encoding="utf-8") as f:
        assert [line for line in f if "quarantine" in line or "fsync" in line] == []


def test_a_state_that_is_lost_does_not_give_its_numbers_again(p):
    p.remote.fill("INBOX", 2)
    p.settle()
    p.remote.delete("INBOX", HELLO % (0, 0))
    run = p.sync().end["run"]
    for name in os.listdir(p.state):
        if name.startswith("both.db"):
            os.unlink(os.path.join(p.state, name))
    p.remote.fill("INBOX", 1, 2)
    p.sync()
    p.remote.delete("INBOX", HELLO % (1, 1))
    later = p.sync().end["run"]
    assert later > run and len(kept(p, run)) == len(kept(p, later)) == 1
    undo(p, "both", str(run))
    undo(p)
    assert p.remote.bodies() == sorted(p.local.bodies()) == sorted(HELLO % (i, i) for i in range(3))


def test_a_local_side_that_is_not_there(p):
    p.remote.fill("INBOX", 2)
    p.settle()
    empty(p)
    os.rename(p.local.path, p.local.path + ".away")
    r = undo(p, code=74)
    assert "is its disk not mounted?" in r.of("error")[0]["text"] and not os.path.exists(p.local.path)
    os.mkdir(p.local.path)
    r = undo(p, code=74)
    assert "holds no folders any more" in r.of("error")[0]["text"] and os.listdir(p.local.path) == []
    os.rmdir(p.local.path)
    os.rename(p.local.path + ".away", p.local.path)
    assert undo(p).end["restored"] == 2


def test_a_server_that_is_not_there(p):
    """What is back stays so; a later run sends it."""
    p.remote.fill("INBOX", 2)
    p.settle()
    empty(p)
    port = p.srv.imaps_port
    p.reconfigure(":%d" % port, ":1")
    r = undo(p, code=69)
    assert r.end["restored"] == 2 and "the next run brings it to the server" in r.of("error")[0]["text"], r
    assert kept(p) == [] and len(p.local.bodies()) == 2
    p.reconfigure(":1", ":%d" % port)
    assert p.sync().end["pushed"] == 2
    assert p.remote.bodies() == sorted(p.local.bodies()) == sorted(HELLO % (i, i) for i in range(2))


def test_what_stands_in_the_way(p):
    p.remote.fill("INBOX", 2)
    p.settle()
    away = os.path.join(p.dir, "away")
    os.mkdir(away)
    os.symlink(away, os.path.join(p.state, "quarantine"))
    p.remote.delete("INBOX", HELLO % (0, 0))
    r = p.run("both")
    assert r.code == 1 and "quarantine" in r.of("error")[0]["text"] and r.end["deleted"] == 0, r
    assert len(p.local.bodies()) == 2 and os.listdir(away) == []
    os.unlink(os.path.join(p.state, "quarantine"))
    assert p.sync().end["quarantined"] == 1
    # nor is a link followed on the way back
    box = os.path.dirname(kept(p)[0])
    os.rename(box, os.path.join(away, "cur"))
    os.symlink(os.path.join(away, "cur"), box)
    refused(p, says="nothing is kept")
    assert len(os.listdir(os.path.join(away, "cur"))) == 1
    os.unlink(box)
    os.rename(os.path.join(away, "cur"), box)
    assert undo(p).end["restored"] == 1


def test_which_job(tmp_path):
    p = Pair(tmp_path)
    other = Pair(tmp_path / "other")
    with open(other.conf, encoding="utf-8") as f:
        text = f.read().replace("sync both", "sync \"77\"")
    with open(p.conf, encoding="utf-8") as f:
        both = f.read()
    p.write_private(p.conf, both + text + "account isp { url = \"pop3s://a@b.example\" }\nfetch isp { from = isp to = \"maildir:/nowhere\" }\n")
    for side in (p.remote, other.remote):
        side.fill("INBOX", 2)
    assert p.call("run", "both", "77").code == 0
    refused(p, says="of which job? Of none anything is kept")
    p.remote.delete("INBOX", HELLO % (0, 0))
    assert p.call("run", "both").code == 0
    refused(p, says="of which job? `mailhaul undo both` for 1 message of run 2")
    refused(p, "2", says="of which job?")
    refused(p, "isp", says="'isp' is no sync job")
    refused(p, "bot", says="has no job 'bot'")
    refused(p, "both", "x", says="'x' is not the number of a run")
    refused(p, "both", "1", says="nothing is kept of what run 1")
    refused(p, "77", says="nothing is kept")
    assert undo(p, "both", "2").end["restored"] == 1
    assert len(p.remote.bodies()) == len(p.local.bodies()) == 2
    # the only one need not be named
    p.write_private(p.conf, both)
    p.remote.delete("INBOX", HELLO % (1, 1))
    run = p.sync().end["run"]
    assert undo(p, str(run)).end["restored"] == 1
    assert len(p.remote.bodies()) == len(p.local.bodies()) == 2


def test_a_state_within_the_mail(tmp_path):
    """What is kept would be taken for folders, and sent to the server."""
    for side in ("remote", "local"):
        p = Pair(tmp_path / side)
        p.remote.fill("INBOX", 2)
        p.local.make("INBOX")
        p.state = os.path.join(getattr(p, side).path, "state")
        r = p.run("both")
        assert r.code == 78 and "would be taken for its folders" in r.of("error")[0]["text"], r
        p.configure("quarantine = 0")
        p.sync()
        assert len(p.local.bodies()) == 2
        p.state = getattr(p, side).path + ".state"  # beside it
        p.configure("")
        p.sync()


def test_without_a_configuration(tmp_path):
    p = Pair(tmp_path)
    p.remote.fill("INBOX", 2)
    words = ["maildir:" + p.remote.path, "maildir:" + p.local.path]
    assert p.call("sync", *words).code == 0
    p.remote.delete("INBOX", HELLO % (0, 0))
    r = p.call("-v", "sync", *words)
    assert r.code == 0 and "`mailhaul undo A B 2` brings 1 back" in r.out, r
    r = p.call("undo", *words, "1")
    assert r.code == 64 and "nothing is kept of what run 1" in r.err, r
    r = p.call("undo", *words, "2")
    assert r.code == 0 and "1 message put back, 1 sent" in r.out, r
    assert len(p.remote.bodies()) == len(p.local.bodies()) == 2


def test_another_file_system(best, tmp_path):
    """Where there is one: then a deletion is a copy."""
    if os.stat("/dev/shm").st_dev == os.stat(tmp_path).st_dev:
        pytest.skip("/dev/shm is no other file system")
    p = Sync(tmp_path, best, "max-delete = none")
    p.state = "/dev/shm/mailhaul-test-%d" % os.getpid()
    try:
        p.remote.fill("INBOX", 30)
        p.remote.deliver(HELLO % (99, 99), "INBOX", "FS", age=86400)
        p.settle()
        before, when = p.local.state(), dates(p)
        empty(p)
        assert len(kept(p)) == 31 and p.local.bodies() == []
        undo(p)
        assert p.local.state() == p.remote.state() == before and dates(p) == when and kept(p) == []
        p.quiet()
    finally:
        shutil.rmtree(p.state)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, for a disk of its own")
def test_a_full_disk(best, tmp_path):
    """What can't be kept is not deleted; the rest is."""
    p = Sync(tmp_path, best, "max-delete = none")
    os.makedirs(p.state)
    disk = SmallDisk(p.state, 8192)
    large = b"From: a@example.org\nSubject: large\n\n" + b"a line of the large one\n" * 50000
    try:
        p.remote.fill("INBOX", 2)
        p.remote.deliver(large)
        p.settle()
        p.remote.empty("INBOX")
        with disk.full(700000):
            r = p.run("both")
            assert r.code == 1 and r.end["deleted"] == r.end["quarantined"] == 2 and r.end["failed"] == 1, r
            assert "quarantine = 0" in r.of("error")[0]["text"], r
            assert p.local.bodies() == [large]
        r = p.sync()
        assert r.end["deleted"] == 1 and p.local.bodies() == []
        for run in sorted({int(path.split("/quarantine/both/")[1].split("/")[0]) for path in kept(p)}):
            undo(p, "both", str(run))
        assert p.remote.bodies() == sorted(p.local.bodies()) == sorted([large, HELLO % (0, 0), HELLO % (1, 1)])
    finally:
        disk.close()


# ---- disturbed ----


class Deleted(Scene):
    """At the server messages and a folder were deleted."""

    def __init__(self, directory, srv, state=None):
        super().__init__(directory, srv, "max-delete = none\nremove-folders = both")
        p = self.p
        if state:
            p.state = state
        p.remote.fill("INBOX", 8)
        p.remote.fill("Old", 4, 300)
        p.local.deliver(HELLO % (50, 50))
        p.settle()
        self.full = self.state()
        for i in range(5):
            p.remote.delete("INBOX", HELLO % (i, i))
        p.remote.remove("Old")

    def whole(self, what):
        """What is still kept is put back: all is there, on both sides, once."""
        code = 0
        while code == 0:
            self.srv.wait_for_quiet()
            r = self.p.call("--json", "undo", "both")
            code = r.code
            assert code in (0, 64), (what, r)
        self.srv.wait_for_quiet()
        r = self.p.run("both")
        assert r.code == 0 and r.of("error") == [], (what, r)
        assert self.state() == self.full, (what, r)
        self.p.quiet()
        assert kept(self.p) == [], what


def elsewhere(name):
    path = "/dev/shm/mailhaul-%s-%d" % (name, os.getpid())
    return None if os.stat("/dev/shm").st_dev == os.stat("/tmp").st_dev else path


@pytest.fixture(params=["here", "elsewhere"])
def state(request):
    """Where the state is: None for the usual place."""
    if request.param == "here":
        yield None
        return
    path = elsewhere("state")
    if not path:
        pytest.skip("/dev/shm is no other file system")
    yield path
    shutil.rmtree(path)


@pytest.fixture
def deleted(best, tmp_path, state):
    """Before the run that deletes here."""
    scene = Deleted(tmp_path, best, state)
    scene.keep()
    return scene


@pytest.fixture
def gone(best, tmp_path, state):
    """After it."""
    scene = Deleted(tmp_path, best, state)
    r = scene.p.sync()
    assert r.end["quarantined"] == 9
    scene.keep()
    return scene


@pytest.mark.crash
@pytest.mark.deadline(300)
def test_a_run_that_is_stopped_at_every_step(deleted):
    for step in deleted.stopped():
        if step % 2:
            # undone at once: what it came to delete comes back, and the rest is deleted
            assert deleted.p.call("undo").code in (0, 64), step
            deleted.srv.wait_for_quiet()
        r = deleted.p.run("both")
        assert r.code == 0, (step, r)
        deleted.whole("step %d" % step)
    assert step > 4


@needs_strace
@pytest.mark.crash
@pytest.mark.deadline(600)
@pytest.mark.parametrize("calls", CALLS)
def test_a_run_that_is_killed_at_every_nth_system_call(deleted, calls):
    for what in deleted.killed(calls, SHORT_KILLS):
        r = deleted.p.run("both")
        assert r.code == 0, (what, r)
        assert deleted.p.local.folders() == {"INBOX"}
        # an interrupted run and the one that ends it are one
        assert deleted.p.call("undo", "both").code == 0, what
        deleted.srv.wait_for_quiet()
        assert deleted.state() == deleted.full, what
        deleted.whole(what)


@needs_strace
@pytest.mark.crash
@pytest.mark.deadline(600)
@pytest.mark.parametrize("calls", ["fsync", "rename,renameat,renameat2,linkat", "unlink,unlinkat", "mkdir,mkdirat", "pwrite64"])
def test_a_run_that_is_killed_and_undone_at_once(deleted, calls):
    """It may have been in the midst of a folder's removal."""
    for what in deleted.killed(calls, SHORT_KILLS):
        here = sum(len(rows) for rows in deleted.p.local.state().values()) + len(kept(deleted.p))
        assert here >= 13, what
        r = deleted.p.call("--json", "undo")
        assert r.code in (0, 64), (what, r)
        deleted.srv.wait_for_quiet()
        assert deleted.p.run("both").code == 0, what
        deleted.whole(what)


@pytest.mark.crash
@pytest.mark.deadline(300)
def test_an_undo_that_is_stopped_at_every_step(gone):
    for step in gone.stopped("undo"):
        gone.whole("step %d" % step)
    assert step > 12


@needs_strace
@pytest.mark.crash
@pytest.mark.deadline(600)
@pytest.mark.parametrize("calls", (*CALLS, "mkdir,mkdirat"))
def test_an_undo_that_is_killed_at_every_nth_system_call(gone, calls):
    for what in gone.killed(calls, SHORT_KILLS, "undo"):
        gone.whole(what)


@needs_strace
@pytest.mark.crash
@pytest.mark.deadline(600)
@pytest.mark.parametrize("error", ["ENOSPC", "EIO"])
@pytest.mark.parametrize("calls", ["write,pwrite64", "fsync,fdatasync", "rename,renameat,renameat2,linkat", "mkdir,mkdirat", "unlink,unlinkat"])
def test_system_calls_of_an_undo_that_fail(gone, calls, error):
    for what in gone.failing(calls, error, SHORT_KILLS // 2, "undo"):
        gone.whole(what)


def test_a_run_that_was_interrupted_can_be_undone_as_it_is(best, tmp_path):
    """Between the deletion here and its note in the state."""
    scene = Deleted(tmp_path, best)
    scene.keep()
    found = 0
    for step in scene.stopped(stride=1):
        n = len(kept(scene.p))
        if n == 0:
            continue
        found += 1
        r = undo(scene.p)
        assert r.end["restored"] == n, (step, r)
        have = [body for folder in scene.p.local.state().values() for body, _ in folder] + kept(scene.p)
        assert len(have) == 13, (step, have)
    assert found > 3


def test_the_state_of_an_older_version(p):
    """A schema without what came with undo is brought up to date."""
    p.remote.fill("INBOX", 1)
    p.settle()
    state_of_version(p.db, 3)
    empty(p)
    undo(p)
    assert actions(p.sync()) == []
