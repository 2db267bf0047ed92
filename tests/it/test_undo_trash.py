"""What a run moved to the trash at the server, because it was deleted here, `undo` moves back to its folders there, once."""

import json
import os
import re
import sqlite3
import time

import pytest

import twoway
from disturb import CALLS, LONG, needs_strace
from hostile import forget_pauses
from imappeer import Folder, Hangup, Peer, Refused
from test_hostile_imap import Job, letters
from twoway import HELLO, Scene, Sync, between

MAIL = b"Message-ID: <%d@example.org>\n" + HELLO
ALL = "max-delete = none\ntrash = Bin\n"
NOT_SYNCED = ALL + "folders = {\"*\", \"!Bin\"}"
SHORT_KILLS = 4

each = twoway.server_of_each(["all", "no MOVE", "OBJECTID", "no UIDPLUS", "bare", None])


def mail(i):
    return MAIL % (i, i, i)


def undo(p, *args, code=0, **more):
    r = p.call("--json", "undo", *args, **more)
    assert r.code == code, r
    return r


def rows(p):
    with sqlite3.connect(p.db) as db:
        return db.execute("SELECT run, folder, trash, state FROM trashed ORDER BY run, folder, left").fetchall()


def change(p, sql, *args):
    db = sqlite3.connect(p.db)
    db.execute(sql, args)
    db.commit()
    db.close()


def kept(p):
    return [(k["run"], k["messages"], k["trashed"]) for k in json.loads(p.call("--json", "status").out)["kept"]]


def age(p):
    """Undo is asked for a while after the run, which was a while after those before it; times are noted in whole seconds."""
    change(p, "UPDATE pair SET made = made - 10")
    change(p, "UPDATE trashed SET noted = noted - 5")


def fill(p, folder, numbers, flags="S"):
    """Messages with a Message-ID, of each number one."""
    for i in numbers:
        p.remote.deliver(mail(i), folder, flags)


def lose(p, *numbers, folder="INBOX"):
    """A person deletes them here, and runs the job. The run's number."""
    for i in numbers:
        p.local.delete(folder, mail(i))
    r = p.sync()
    assert r.end["deleted"] == r.end["trashed"] == len(numbers) and r.end["run"] > 0, r
    return r.end["run"]


def same_but_trash(p, before):
    """Both sides are as before, and the trash is empty."""
    here, there = p.local.state(), p.remote.state()
    assert here.pop("Bin", []) == there.pop("Bin", []) == []
    assert here == there == before


@pytest.fixture
def p(best, tmp_path):
    p = Sync(tmp_path, best, NOT_SYNCED)
    p.remote.make("Bin")
    return p


@pytest.mark.parametrize("synced", ["synced", "not synced"])
def test_five_hundred(each, tmp_path, synced):
    """Or fewer, with servers that differ in how they are asked."""
    part = 1 if each and each.kind in ("all", "no MOVE") else 10
    total = 500 // part
    p = between(tmp_path, each, ALL if synced == "synced" else NOT_SYNCED)
    p.remote.make("Bin")
    fill(p, "INBOX", range(430 // part))
    fill(p, "F\xfcr mich/2026", range(1000, 1000 + 50 // part), "")
    p.remote.fill("INBOX", 20 // part, 2000, "FS")  # without a Message-ID
    p.settle()
    before = p.local.state()
    before.pop("Bin", None)
    assert sum(map(len, before.values())) == total
    for folder in before:
        p.local.empty(folder)
    r = p.sync()
    assert (r.end["deleted"], r.end["trashed"], r.end["quarantined"]) == (total, total, 0) and len(p.remote.bodies("Bin")) == total
    run = r.end["run"]
    assert kept(p) == [(run, 0, total)]
    # what it would do
    plan = undo(p, "both", "--dry-run")
    assert plan.end["restored"] == total == len([e for e in plan.of("message") if e["action"] == "restore" and e["where"] == "remote" and e["dry_run"]])
    assert len(p.remote.bodies("Bin")) == total and kept(p) == [(run, 0, total)]
    # either before the next run has seen the trash or after it
    seen = synced == "synced" and (each is None or each.kind != "no MOVE")
    if seen:
        p.settle()
        assert len(p.local.bodies("Bin")) == total
    r = undo(p, "both")
    assert (r.end["restored"], r.end["pushed"], r.end["failed"]) == (total, 0, 0) and r.end["pulled"] + r.end["moved"] == total, r
    # what has no Message-ID, too, is known again as moved
    assert (r.end["moved"], r.end["deleted"]) == (total if seen else 0, 0), r
    assert {e["where"] for e in r.of("message") if e["action"] == "restore"} == {"remote"}
    same_but_trash(p, before)
    assert rows(p) == [] and run not in [n for n, _, _ in kept(p)] and r.of("warning") == []
    # once
    r = undo(p, "both", str(run), code=64)
    assert "nothing is kept of what run %d deleted" % run in r.of("error")[0]["text"] and "for good" not in r.of("error")[0]["text"]
    p.quiet()
    same_but_trash(p, before)
    # and they can be deleted again
    for folder in before:
        p.local.empty(folder)
    assert p.sync().end["trashed"] == total
    undo(p)
    same_but_trash(p, before)


def test_both_sides(p):
    """A run that deleted here, and at the server, is undone as a whole; another keeps what it has."""
    fill(p, "INBOX", range(6))
    p.settle()
    p.remote.delete("INBOX", mail(0))
    p.local.delete("INBOX", mail(1))
    p.local.delete("INBOX", mail(2))
    r = p.call("-v", "run", "both")
    assert r.code == 0 and "3 messages deleted; `mailhaul undo both 2` brings 3 back; " in r.out, r
    later = lose(p, 3)
    assert kept(p) == [(later, 0, 1), (2, 1, 2)]
    status = p.call("status").out
    assert re.search(r"run 2, \d{4}-.*: 1 message deleted here, 2 at the server; `mailhaul undo both 2` brings them back\n", status), status
    assert re.search(r"run %d, \d{4}-.*: 1 message deleted at the server; `mailhaul undo both %d` brings it back\n" % (later, later), status), status
    r = undo(p, "both", "2")
    assert r.end["restored"] == 3 and r.of("warning") == [], r
    assert p.remote.bodies() == sorted(p.local.bodies()) == [mail(i) for i in (0, 1, 2, 4, 5)] and p.remote.bodies("Bin") == [mail(3)]
    r = p.call("undo")
    assert r.code == 0 and "both: 1 message fetched, 1 put back; " in r.out, r
    assert p.remote.bodies() == sorted(p.local.bodies()) == [mail(i) for i in range(6)] and p.remote.bodies("Bin") == []
    p.quiet()


def test_without_a_trash(best, tmp_path):
    p = Sync(tmp_path, best, "max-delete = none")
    fill(p, "INBOX", range(3))
    p.settle()
    p.local.delete("INBOX", mail(1))
    r = p.sync()
    assert (r.end["deleted"], r.end["trashed"], r.end["run"]) == (1, 0, 0) and rows(p) == []
    r = undo(p, "both", "2", code=64)
    assert "nothing is kept of what run 2 deleted" in r.of("error")[0]["text"] and "at the server is gone for good" in r.of("error")[0]["text"]
    r = undo(p, code=64)
    assert "for good" not in r.of("error")[0]["text"]


def test_what_is_noted(p):
    """Not what is deleted in the trash itself, and nothing where nothing is to be kept."""
    fill(p, "INBOX", range(4))
    p.configure(ALL)
    p.settle()
    run = lose(p, 0, 1)
    assert rows(p) == [(run, "INBOX", "Bin", 0)] * 2
    p.settle()
    p.local.delete("Bin", mail(0))
    r = p.sync()
    assert (r.end["deleted"], r.end["trashed"], r.end["run"]) == (1, 0, 0) and len(rows(p)) == 2
    p.configure(ALL + "quarantine = 0")
    time.sleep(1.1 - time.time() % 1)  # it is noted in whole seconds when
    p.local.delete("INBOX", mail(2))
    r = p.sync()
    assert (r.end["trashed"], r.end["run"]) == (0, 0) and rows(p) == []  # nor is what was noted kept any longer
    p.configure(ALL)
    assert sorted(p.remote.bodies("Bin")) == [mail(1), mail(2)]
    undo(p, code=64)


def test_it_expires(p):
    fill(p, "INBOX", range(3))
    p.settle()
    runs = [lose(p, 0), lose(p, 1)]
    change(p, "UPDATE trashed SET noted = ? WHERE run = ?", int(time.time()) - 7 * 86400 - 60, runs[0])
    change(p, "UPDATE trashed SET noted = ? WHERE run = ?", int(time.time()) - 7 * 86400 + 600, runs[1])
    p.quiet()
    assert kept(p) == [(runs[1], 0, 1)]
    undo(p, "both", str(runs[0]), code=64)
    # who asks in time is not told that it is too late
    change(p, "UPDATE trashed SET noted = 1")
    assert undo(p).end["restored"] == 1 and p.remote.bodies() == [mail(1), mail(2)]


def test_which_of_them(p):
    """The one that was deleted, by all that is known of it; of the same the newest."""
    fill(p, "INBOX", range(3))
    p.remote.deliver(HELLO % (7, 7), "INBOX", "S", age=1000)  # without a Message-ID
    p.remote.deliver(mail(5), "INBOX", "F", age=3000)
    p.remote.deliver(mail(6), "INBOX", "FS", age=4000)
    p.settle()
    # in the trash there are others: of the same size, of the same Message-ID, and the same but of another time
    p.remote.deliver(mail(8), "Bin", "", age=100)
    p.remote.deliver(HELLO % (8, 8), "Bin", "", age=999)
    p.remote.deliver(HELLO % (9, 9), "Bin", "", age=1001)
    p.remote.deliver(b"X: y\n" + mail(1), "Bin", "")
    p.remote.deliver(mail(5), "Bin", "", age=3001)
    p.remote.copy("INBOX", mail(6), "Bin")
    p.remote.flag("Bin", mail(6), "")
    before = p.local.state()
    p.local.delete("INBOX", HELLO % (7, 7))
    p.local.delete("INBOX", mail(1))
    p.local.delete("INBOX", mail(5))
    p.local.delete("INBOX", mail(6))
    assert p.sync().end["trashed"] == 4
    p.remote.deliver(mail(5), "Bin", "", age=10)
    undo(p)
    assert p.remote.state()["INBOX"] == p.local.state()["INBOX"] == before["INBOX"]
    assert sorted(p.remote.bodies("Bin")) == sorted([mail(8), HELLO % (8, 8), HELLO % (9, 9), b"X: y\n" + mail(1), mail(5), mail(5), mail(6)])
    p.quiet()


def test_the_same_in_several_folders(p):
    for folder in ("INBOX", "Work", "Work/2026"):
        fill(p, folder, range(2))
    p.remote.deliver(mail(0), "INBOX", "S")  # and twice in one
    p.settle()
    before = p.local.state()
    for folder in before:
        p.local.empty(folder)
    assert p.sync().end["trashed"] == 7
    assert undo(p).end["restored"] == 7
    assert {f: m for f, m in p.remote.state().items() if f != "Bin"} == p.local.state() == before and p.remote.bodies("Bin") == []
    # of two of which one was deleted the other is no reason not to bring that back
    os.unlink([path for path in map(lambda n: os.path.join(p.local.box("INBOX"), "cur", n), os.listdir(os.path.join(p.local.box("INBOX"), "cur")))
               if open(path, "rb").read() == mail(0)][0])
    assert p.sync().end["trashed"] == 1
    undo(p)
    assert {f: m for f, m in p.remote.state().items() if f != "Bin"} == p.local.state() == before and p.remote.bodies("Bin") == []


def test_what_is_not_in_the_trash_any_more(p):
    fill(p, "INBOX", range(5))
    p.settle()
    run = lose(p, 0, 1, 2)
    p.remote.move("Bin", mail(0), "INBOX")  # by hand
    p.remote.delete("Bin", mail(1))
    r = undo(p)
    assert r.end["restored"] == 1 and "2 messages that run %d moved to the trash at the server are not there any more" % run in r.of("warning")[0]["text"], r
    assert p.remote.bodies() == sorted(p.local.bodies()) == [mail(i) for i in (0, 2, 3, 4)]
    # that is said once
    assert rows(p) == [] and kept(p) == []
    undo(p, code=64)


def test_a_folder_that_is_gone(best, tmp_path):
    """It is made again, and what is still here of it is not removed for that."""
    p = Sync(tmp_path, best, NOT_SYNCED + "\nremove-folders = both")
    p.remote.make("Bin")
    fill(p, "Work", range(4))
    fill(p, "INBOX", [10])
    p.settle()
    lose(p, 0, 1, folder="Work")
    p.remote.remove("Work")
    r = undo(p)
    assert r.end["restored"] == 2
    assert p.remote.bodies("Work") == sorted(p.local.bodies("Work")) == [mail(i) for i in range(4)]
    p.quiet()
    # gone on both sides
    lose(p, 0, 1, folder="Work")
    p.remote.remove("Work")
    p.sync()
    assert "Work" not in p.local.folders()
    undo(p, "both", str(kept(p)[1][0]))
    assert p.remote.bodies("Work") == sorted(p.local.bodies("Work")) == [mail(0), mail(1)]


@pytest.mark.parametrize("later", [0, 1000])
def test_a_folder_that_was_made_anew(p, later):
    """Its UIDs begin anew: what has one that was noted is another message, whenever it came."""
    fill(p, "Work", range(2))
    p.settle()
    run = lose(p, 0, 1, folder="Work")
    change(p, "UPDATE trashed SET noted = noted + ?", later)
    p.remote.remove("Work")
    p.remote.make("Work")
    fill(p, "Work", [7, 8])
    p.sync()
    r = undo(p, "both", str(run))
    assert r.end["restored"] == 2 and r.of("warning") == [], r
    assert p.remote.bodies("Work") == sorted(p.local.bodies("Work")) == [mail(i) for i in (0, 1, 7, 8)]


def test_folders_that_have_other_names(p):
    fill(p, "Work", range(3))
    p.configure(ALL)
    p.settle()
    run = lose(p, 0, folder="Work")
    p.settle()
    p.remote.rename("Work", "Play")
    p.remote.rename("Bin", "Waste")
    p.configure(ALL.replace("Bin", "Waste"))
    p.sync()
    assert rows(p) == [(run, "Play", "Waste", 0)]
    undo(p)
    assert p.remote.bodies("Play") == sorted(p.local.bodies("Play")) == [mail(i) for i in range(3)] and "Work" not in p.remote.folders()
    p.quiet()


def test_a_trash_that_is_gone(p):
    fill(p, "INBOX", range(3))
    p.settle()
    run = lose(p, 0, 1)
    p.remote.rename("Bin", "Waste")
    r = undo(p, code=1)
    assert "the trash 'Bin' is not there any more: 2 messages that run %d moved to it" % run in r.of("error")[0]["text"]
    assert "say so by `trash`" in r.of("error")[0]["text"] and kept(p) == [(run, 0, 2)]
    # whatever it is called now
    p.configure(NOT_SYNCED.replace("Bin", "Waste"))
    assert undo(p).end["restored"] == 2
    assert p.remote.bodies() == [mail(i) for i in range(3)]
    # and the trash of then counts, if there is one
    p.remote.make("Other")
    lose(p, 2)
    p.configure(NOT_SYNCED.replace("Bin", "Other"))
    assert undo(p).end["restored"] == 1
    lose(p, 2)
    p.configure("max-delete = none")
    assert undo(p).end["restored"] == 1
    assert p.remote.bodies() == sorted(p.local.bodies()) == [mail(i) for i in range(3)]


def test_a_role(p):
    p.configure(NOT_SYNCED.replace("trash = Bin", "trash = \"@trash\""))
    fill(p, "INBOX", range(2))
    p.settle()
    run = lose(p, 0)
    assert rows(p) == [(run, "INBOX", "Bin", 0)]
    change(p, "UPDATE trashed SET trash = 'Before'")
    assert undo(p).end["restored"] == 1 and p.remote.bodies() == [mail(0), mail(1)]


def test_a_server_that_is_not_there(p):
    fill(p, "INBOX", range(3))
    p.settle()
    p.remote.delete("INBOX", mail(0))
    lose_here = mail(1)
    p.local.delete("INBOX", lose_here)
    p.sync()
    port = p.srv.imaps_port
    p.reconfigure(":%d" % port, ":1")
    r = undo(p, code=69)
    assert r.end["restored"] == 1 and "the same again does the rest" in r.of("error")[0]["text"], r
    p.reconfigure(":1", ":%d" % port)
    assert undo(p).end["restored"] == 1
    assert p.remote.bodies() == sorted(p.local.bodies()) == [mail(i) for i in range(3)] and p.remote.bodies("Bin") == []


def test_what_is_marked_as_deleted_in_the_trash(p):
    fill(p, "INBOX", range(3), "FS")
    p.settle()
    before = p.local.state()
    lose(p, 0, 1)
    p.remote.flag("Bin", mail(0), "FST")
    undo(p)
    assert p.local.state() == before and p.remote.state()["INBOX"] == before["INBOX"]


def test_what_was_not_noted(p):
    fill(p, "INBOX", range(4))
    p.settle()
    p.remote.delete("INBOX", mail(0))
    for i in (1, 2):
        p.local.delete("INBOX", mail(i))
    run = p.sync().end["run"]
    change(p, "DELETE FROM trashed WHERE left = (SELECT min(left) FROM trashed)")
    r = undo(p)
    assert r.end["restored"] == 2 and len(p.remote.bodies()) == 3 and len(p.remote.bodies("Bin")) == 1
    assert "of 1 message that run %d deleted at the server nothing was noted" % run in r.of("warning")[0]["text"], r


def test_state_of_before(p):
    """Pairs of which the base does not know what the server says."""
    fill(p, "INBOX", range(3))
    p.settle()
    change(p, "UPDATE pair SET told_size = 0, told_date = 0, mid = NULL, object = NULL")
    lose(p, 0, 1)
    assert undo(p).end["restored"] == 2 and p.remote.bodies() == [mail(i) for i in range(3)]


def test_what_a_mail_reader_here_has_sent(p):
    """It came from here, so that nothing was told of it when it went."""
    p.local.deliver(mail(1), "INBOX", "S")
    p.local.deliver(HELLO % (2, 2), "INBOX", "F")
    p.sync()
    before = p.local.state()
    p.local.empty("INBOX")
    p.sync()
    assert undo(p).end["restored"] == 2
    assert p.local.state() == before and p.remote.state()["INBOX"] == before["INBOX"]


# ---- servers that do not do as they are told ----


class Stubborn(Peer):
    """Lets one message not out of a folder."""

    holds = None

    def copy(self, link, args):
        if link.folder.name == self.holds and any(m.data == letters(1, 2)[0] for m in self.chosen(link, args[0])):
            raise Refused("NO not that one")
        return super().copy(link, args)


class Cut(Peer):
    """What was in the trash is copied, and nobody hears of it."""

    def copy(self, link, args):
        out = super().copy(link, args)
        if link.folder.name == "Bin":
            raise Hangup
        return out


class AllTheSame(Peer):
    """Its names of messages (EMAILID) are none."""
    caps = Peer.caps + ["OBJECTID"]

    def more_items(self, link, m):
        return {"EMAILID": "(M1)"}


def scripted(directory, srv, n):
    """A job with a scripted server; of the inbox's messages all but one were deleted here, and are in the trash."""
    srv.folders["Bin"] = Folder("Bin", 2000)
    srv.folders["Bin"].attrs = ["\\Trash"]
    h = Job(directory, srv, "max-delete = none\n\ttrash = \"@trash\"\n\tfolders = INBOX")
    h.sync()
    for body in letters(n):
        h.local.delete("INBOX", body)
    assert h.sync().end["trashed"] == n and len(srv.folders["Bin"].messages) == n
    return h


MOVES = pytest.mark.parametrize("less", [[], ["MOVE"]], ids=["all", "no MOVE"])


@MOVES
def test_one_is_refused(tmp_path, less):
    """It is told, and stays there; the others go on."""
    with Stubborn({"INBOX": letters(5)}) as srv:
        srv.less, srv.holds = set(less), "Bin"
        h = scripted(tmp_path, srv, 4)
        r = undo(h, code=1)
        assert (r.end["restored"], r.end["failed"], r.end["pulled"]) == (3, 1, 3) and "not that one" in r.of("error")[0]["text"], r
        assert srv.folders["Bin"].bodies() == letters(1, 2) and [state for _, _, _, state in rows(h)] == [2, 0, 2, 2] and kept(h) == [(2, 0, 1)]
        h.quiet()
        srv.behave()
        assert undo(h).end["restored"] == 1
        assert srv.state()["INBOX"] == h.local.state()["INBOX"] == sorted((body, "S") for body in letters(5)) and srv.folders["Bin"].messages == []


@MOVES
def test_what_did_not_go_there(tmp_path, less):
    with Stubborn({"INBOX": letters(5)}) as srv:
        srv.less = set(less)
        h = scripted(tmp_path, srv, 1)
        srv.holds = "INBOX"
        for body in letters(3, 2):
            h.local.delete("INBOX", body)
        r = h.sync(code=1)
        assert r.end["trashed"] == 2 and kept(h) == [(3, 0, 2), (2, 0, 1)], r
        r = undo(h, code=1)
        assert r.end["restored"] == 2 and r.of("warning") == [] and len(r.of("error")) == 1 and "can't be" in r.of("error")[0]["text"], r
        assert sorted(srv.inbox().bodies()) == sorted(letters(4, 2))
        srv.behave()


@pytest.mark.parametrize("run_between", [False, True], ids=["at once", "a run between"])
def test_a_copy_of_which_nobody_heard(tmp_path, run_between):
    """Without MOVE the message is in both folders then; it comes back once all the same."""
    with Cut({"INBOX": letters(5)}) as srv:
        srv.less = {"MOVE"}
        h = scripted(tmp_path, srv, 4)
        age(h)
        r = undo(h, code=75)
        assert r.end["restored"] == 0 and len(srv.folders["Bin"].messages) == 4 and len(srv.inbox().messages) == 5, r
        srv.behave()
        forget_pauses(h)
        if run_between:
            assert h.sync().end["pulled"] == 4
        r = undo(h)
        assert r.end["restored"] == 0 and r.of("warning") == [], r
        h.quiet()
        assert srv.state()["INBOX"] == h.local.state()["INBOX"] == sorted((body, "S") for body in letters(5))
        assert kept(h) == [] and len(srv.folders["Bin"].messages) == 4


@pytest.mark.parametrize("noted", [True, False], ids=["time", "no time"])
def test_a_name_that_is_none(tmp_path, noted):
    """What is of the same length, but came at another time, or has another Message-ID, is another message."""
    with AllTheSame({"INBOX": letters(4)}) as srv:
        h = scripted(tmp_path, srv, 3)
        srv.folders["Bin"].add(letters(1, 7)[0])
        if not noted:
            change(h, "UPDATE trashed SET told_date = 0")
        r = undo(h)
        assert r.end["restored"] == 3 and r.of("warning") == [], r
        assert srv.state()["INBOX"] == h.local.state()["INBOX"] == sorted((body, "S") for body in letters(4)) and srv.folders["Bin"].bodies() == letters(1, 7)


# ---- disturbed ----


class Lost(Scene):
    """Here messages were deleted."""

    def __init__(self, directory, srv, job=NOT_SYNCED):
        super().__init__(directory, srv, job)
        p = self.p
        p.remote.make("Bin")
        fill(p, "INBOX", range(8))
        # without a Message-ID they differ in nothing that was noted, if they arrive in the same second; but what has none is not known again as moved
        if job == NOT_SYNCED:
            p.remote.fill("Work", 4, 300)
        else:
            fill(p, "Work", range(300, 304))
        p.settle()
        self.full = p.local.state()["INBOX"], p.local.state()["Work"]
        for i in range(5):
            p.local.delete("INBOX", mail(i))
        for i in range(300, 303):
            p.local.delete("Work", HELLO % (i, i) if job == NOT_SYNCED else mail(i))

    def folders(self):
        """INBOX and Work of both sides."""
        here, there = self.p.local.state(), self.p.remote.state()
        return (here["INBOX"], here["Work"]), (there["INBOX"], there["Work"])

    def whole(self, what):
        """What can still be put back is put back: all is there, on both sides, once."""
        code = 0
        while code == 0:
            self.srv.wait_for_quiet()
            r = self.p.call("--json", "undo", "both")
            code = r.code
            assert code in (0, 64) and r.of("warning") == [], (what, r)
        self.srv.wait_for_quiet()
        r = self.p.run("both")
        assert r.code == 0 and r.of("error") == [], (what, r)
        self.p.quiet()
        assert self.folders() == (self.full, self.full), what


killers = twoway.server_of_each(["all", "no MOVE"])


@pytest.fixture(params=["synced", "not synced"])
def lost(killers, tmp_path, request):
    """Before the run that deletes at the server."""
    scene = Lost(tmp_path, killers, ALL if request.param == "synced" else NOT_SYNCED)
    scene.keep()
    return scene


@pytest.fixture
def gone(lost):
    """After it."""
    r = lost.p.sync()
    assert r.end["trashed"] == 8
    age(lost.p)
    lost.keep()
    return lost


@pytest.mark.crash
@pytest.mark.deadline(300)
def test_a_run_that_is_stopped_at_every_step(lost):
    for step in lost.stopped():
        if step % 2:
            # undone at once: what it came to delete comes back, and the rest is deleted
            r = lost.p.call("--json", "undo")
            assert r.code in (0, 64), (step, r)
            lost.srv.wait_for_quiet()
        r = lost.p.run("both")
        assert r.code == 0, (step, r)
        lost.srv.wait_for_quiet()
        for run, _, _ in kept(lost.p)[1:]:
            undo(lost.p, "both", str(run))
        here, there = lost.folders()
        assert here == there, step
        # all that was deleted can be put back
        count = sum(n for _, _, n in kept(lost.p))
        assert sum(map(len, here)) + count == 12, (step, here, kept(lost.p))
        lost.whole("step %d" % step)
    assert step > 4


@needs_strace
@pytest.mark.crash
@pytest.mark.deadline(600)
@pytest.mark.parametrize("calls", ["write,pwrite64", "sendto,writev,sendmsg"])
def test_a_run_that_is_killed_at_every_nth_system_call(lost, calls):
    for what in lost.killed(calls, SHORT_KILLS):
        assert lost.p.run("both").code == 0, what
        lost.whole(what)


@pytest.mark.crash
@pytest.mark.deadline(300)
def test_an_undo_that_is_stopped_at_every_step(gone):
    for step in gone.stopped("undo"):
        if step % 2:
            assert gone.p.run("both").code == 0
        gone.whole("step %d" % step)
        assert gone.p.remote.bodies("Bin") == [], step
    assert step > 12


@needs_strace
@pytest.mark.crash
@pytest.mark.deadline(600)
@pytest.mark.parametrize("calls", CALLS if LONG else ["rename,renameat,renameat2,linkat", "unlink,unlinkat", "write", "pwrite64"])
def test_an_undo_that_is_killed_at_every_nth_system_call(gone, calls):
    for i, what in enumerate(gone.killed(calls, SHORT_KILLS, "undo")):
        if i % 2 == 0:
            assert gone.p.run("both").code == 0
        gone.whole(what)


@needs_strace
@pytest.mark.crash
@pytest.mark.deadline(600)
@pytest.mark.parametrize("calls", ["write,pwrite64", "fsync,fdatasync"])
def test_system_calls_of_an_undo_that_fail(gone, calls):
    for what in gone.failing(calls, "EIO", SHORT_KILLS // 2, "undo"):
        gone.whole(what)
