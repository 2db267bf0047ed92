"""Moves between folders: what a reader moves on one side is moved on the other. No body goes over the wire for it, nothing is doubled and nothing lost."""

import os
import re
import time

import pytest

from moving import AGE, SIZE, mail, on_wire, where
from twoway import MOVERS, Accounts, Move, Scene, Sync, actions, counts, server_of_each

pytestmark = pytest.mark.crash
each_server = server_of_each(MOVERS)

A, B, C = "INBOX", "Lists/b", "Keep"


def filled(p, n, mid=True):
    with p.remote.connect() as c:
        for name in (B, C):
            c.create(p.remote.wire(name))
        for i in range(n):
            p.remote.append(c, mail(i, mid), A, "S", time.time() - AGE - i)
    p.settle()
    p.same()
    return p


# -- one at a time -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("side", ["remote", "local"])
@pytest.mark.parametrize("n", [1, 7])
def test_moved(each_server, tmp_path, side, n):
    p = filled(Sync(tmp_path, each_server), 9)
    for i in range(n):
        getattr(p, side).move(A, mail(i), B)
    r = p.sync()
    assert counts(r) == {"moved": n}, r
    assert actions(r) == [("move", "local" if side == "remote" else "remote")] * n
    assert {(e["folder"], e["to"]) for e in r.events if e.get("action") == "move"} == {(A, B)}
    assert on_wire(r) < 20000, on_wire(r)
    p.quiet()
    assert where(p) == {i: [(B if i < n else A, "S")] for i in range(9)}


@pytest.mark.parametrize("side", ["remote", "local"])
def test_what_was_sent_is_moved_as_well(each_server, tmp_path, side):
    """What the base knows of it comes from its way to the server."""
    p = Sync(tmp_path, each_server)
    for name in (B, C):
        p.local.make(name)
    for i in range(4):
        p.local.deliver(mail(i), A, "S", age=AGE + i)
    p.settle()
    for i in range(3):
        getattr(p, side).move(A, mail(i), B)
    r = p.sync()
    assert counts(r) == {"moved": 3} and on_wire(r) < 20000, r
    p.quiet()
    assert where(p) == {i: [(B if i < 3 else A, "S")] for i in range(4)}


@pytest.mark.parametrize("side", ["remote", "local"])
def test_moved_and_flagged(each_server, tmp_path, side):
    """Flags that were changed on both sides, before and after the move."""
    p = filled(Sync(tmp_path, each_server), 3)
    s = getattr(p, side)
    s.flag(A, mail(0), "FS")
    s.move(A, mail(0), B)
    (p.local if side == "remote" else p.remote).flag(A, mail(0), "RS")
    s.move(A, mail(1), B)
    s.flag(B, mail(1), "")
    r = p.sync()
    assert r.end["moved"] == 2 and r.end["pulled"] + r.end["pushed"] + r.end["deleted"] == 0, r
    assert on_wire(r) < 20000
    p.quiet()
    assert where(p) == {0: [(B, "FRS")], 1: [(B, "")], 2: [(A, "S")]}


@pytest.mark.parametrize("side", ["remote", "local"])
def test_moved_to_a_new_folder(each_server, tmp_path, side):
    p = filled(Sync(tmp_path, each_server), 3)
    s = getattr(p, side)
    s.make("Neu & schön")
    s.move(A, mail(0), "Neu & schön")
    r = p.sync()
    assert counts(r) == {"moved": 1, "folders_made": 1}, r
    assert on_wire(r) < 20000
    p.quiet()
    assert where(p) == {0: [("Neu & schön", "S")], 1: [(A, "S")], 2: [(A, "S")]}


def test_another_name(best, tmp_path):
    """Some readers give a file another name when they move it."""
    p = filled(Sync(tmp_path, best), 3)
    p.local.move(A, mail(0), B, "1234.reader.host")
    r = p.sync()
    assert counts(r) == {"moved": 1} and on_wire(r) < 20000, r
    p.quiet()


def test_names_prove_nothing(best, tmp_path):
    """Files that are called by numbers: what is deleted in one folder, and comes into another, has the same name and is another message."""
    p = Sync(tmp_path, best)
    for i, folder in enumerate((A, A, B)):
        p.local.make(folder)
        with open(os.path.join(p.local.box(folder), "cur", "%d:2,S" % i), "wb") as f:
            f.write(mail(i))
    p.settle()
    p.local.delete(A, mail(1))
    with open(os.path.join(p.local.box(B), "cur", "1:2,S"), "wb") as f:
        f.write(mail(100))
    r = p.sync()
    assert counts(r) == {"pushed": 1, "deleted": 1}, r
    p.quiet()
    assert where(p) == {0: [(A, "S")], 2: [(B, "S")], 100: [(B, "S")]}


def test_away_and_back(each_server, tmp_path):
    """The message is where it was, under another key. Its content proves it, and nothing has to be done; at the server it is read for that, unless EMAILID says so."""
    p = filled(Sync(tmp_path, each_server), 4)
    p.remote.move(A, mail(0), B)
    p.remote.move(B, mail(0), A)
    p.remote.flag(A, mail(0), "FS")
    p.local.move(A, mail(1), A, "other.name")
    p.local.flag(A, mail(1), "FS")
    r = p.sync()
    assert counts(r) == {"flagged": 2}, r
    p.quiet()
    assert where(p) == {0: [(A, "FS")], 1: [(A, "FS")], 2: [(A, "S")], 3: [(A, "S")]}


def test_edited(each_server, tmp_path):
    """As some readers save a draft: by the same Message-ID, size and time, but it is another."""
    p = filled(Sync(tmp_path, each_server), 3)
    first, = alike(p, b"one")
    p.remote.delete(A, first)
    with p.remote.connect() as c:
        p.remote.append(c, first.replace(b"one", b"two"), A, "S", 1700000000)
    assert counts(p.sync()) == {"pulled": 1, "deleted": 1}
    p.quiet()
    p.same()
    assert first.replace(b"one", b"two") in p.local.bodies(A) and first not in p.local.bodies(A)


def test_twice_the_same(each_server, tmp_path):
    """The same bytes more than once are as many messages, on the way and there."""
    p = filled(Sync(tmp_path, each_server), 2)
    for _ in range(2):
        p.remote.deliver(mail(50), A, "S", age=AGE)
        p.remote.deliver(mail(51), A, "S", age=AGE)
    p.settle()
    for _ in range(2):
        with p.remote.connect() as c:
            uid = [str(u) for u, text, _ in p.remote.fetch(c, A) if text == mail(50)][0]
            c.select(A)
            c.uid("copy", uid, p.remote.wire(B))
            c.uid("store", uid, "+FLAGS", r"(\Deleted)")
            c.uid("expunge", uid)
        path = [f for f in os.listdir(os.path.join(p.local.box(A), "cur")) if open(os.path.join(p.local.box(A), "cur", f), "rb").read() == mail(51)][0]
        os.rename(os.path.join(p.local.box(A), "cur", path), os.path.join(p.local.box(B), "cur", path))
    r = p.sync()
    assert counts(r) == {"moved": 4} and on_wire(r) < 25000, r
    p.quiet()
    assert where(p) == {0: [(A, "S")], 1: [(A, "S")], 50: [(B, "S")] * 2, 51: [(B, "S")] * 2}


def test_without_message_id(each_server, tmp_path):
    """It is known by its content, which goes over the wire once, or by EMAILID."""
    p = filled(Sync(tmp_path, each_server), 3, mid=False)
    p.remote.move(A, mail(0, False), B)
    p.local.move(A, mail(1, False), B)
    r = p.sync()
    assert counts(r) == {"moved": 2} and on_wire(r) < 20000 + (each_server.kind != "OBJECTID") * 1.45 * SIZE, r
    p.quiet()
    assert where(p) == {0: [(B, "S")], 1: [(B, "S")], 2: [(A, "S")]}


def alike(p, *texts):
    """Messages of one Message-ID, size and time of arrival, whose texts differ."""
    bodies = [b"From: a@example.org\nSubject: 70\nMessage-ID: <same@example.org>\n\n%s\n" % t for t in texts]
    with p.remote.connect() as c:
        for body in bodies:
            p.remote.append(c, body, A, "S", 1700000000)
    p.settle()
    return bodies


@pytest.mark.parametrize("what", ["size", "time"])
def test_other_mail_of_the_same_message_id(each_server, tmp_path, what):
    """One was deleted in a folder, and another came into another: of another size, or at another time."""
    p = filled(Sync(tmp_path, each_server), 3)
    first, = alike(p, b"one")
    other = first.replace(b"one", b"three" if what == "size" else b"two")
    p.remote.delete(A, first)
    with p.remote.connect() as c:
        p.remote.append(c, other, B, "S", 1700000000 + (what == "time"))
    r = p.sync()
    assert counts(r) == {"pulled": 1, "deleted": 1}, r
    p.quiet()
    p.same()
    assert p.local.bodies(B) == [other] and first not in p.local.bodies(A)


@pytest.mark.parametrize("moved", [1, 2])
def test_which_of_two_was_moved(each_server, tmp_path, moved):
    """Both left the folder, and one of them, or both, came into another: only their contents tell, which are read, or EMAILID."""
    p = filled(Sync(tmp_path, each_server), 3)
    both = alike(p, b"one", b"two")
    for i, body in enumerate(both):
        if i < moved:
            p.remote.move(A, body, B)
        else:
            p.remote.delete(A, body)
    r = p.sync()
    assert counts(r) == {k: n for k, n in {"moved": moved, "deleted": 2 - moved}.items() if n}, r
    p.quiet()
    p.same()
    assert p.local.bodies(B) == sorted(both[:moved])


@pytest.mark.parametrize("side", ["remote", "local"])
def test_to_a_folder_that_is_excluded(best, tmp_path, side):
    """From here it looks like a deletion; where it was moved to it stays."""
    p = filled(Sync(tmp_path, best), 3)
    p.configure('folders = { "*", "!%s" }' % B)
    s = getattr(p, side)
    s.move(A, mail(0), B)
    r = p.sync()
    assert counts(r) == {"deleted": 1}, r
    p.quiet()
    assert s.bodies(B) == [mail(0)]
    assert mail(0) not in p.local.bodies(A) + p.remote.bodies(A)


@pytest.mark.parametrize("delete", ["none", "local", "remote"])
def test_where_deletions_do_not_go(best, tmp_path, delete):
    """A message is moved nowhere where none may be deleted: it is there twice then."""
    p = filled(Sync(tmp_path, best, "delete = " + delete), 4)
    p.remote.move(A, mail(0), B)
    p.local.move(A, mail(1), B)
    r = p.sync()
    assert r.end["moved"] == (0 if delete == "none" else 1), r
    p.quiet()
    held = {"remote": p.remote.state(), "local": p.local.state()}
    for side, n in (("local", 0), ("remote", 1)):
        assert (mail(n) in [b for b, _ in held[side][A]]) == (delete != side), (side, delete)
        assert mail(n) in [b for b, _ in held[side][B]]


def test_into_the_trash(best, tmp_path):
    """A reader that moves to the trash what it deletes: it is there once."""
    p = filled(Sync(tmp_path, best), 3)
    p.remote.make("Bin")
    p.configure('trash = "@trash"')
    p.settle()
    p.local.move(A, mail(0), "Bin")
    p.remote.move(A, mail(1), "Bin")
    r = p.sync()
    assert r.end["moved"] == 2, r
    p.quiet()
    assert where(p) == {0: [("Bin", "S")], 1: [("Bin", "S")], 2: [(A, "S")]}


def test_most_of_a_folder(best, tmp_path):
    """A move is no deletion: max-delete has nothing against it."""
    p = filled(Sync(tmp_path, best, "max-delete = 1"), 12)
    for i in range(12):
        p.local.move(A, mail(i), C)
    r = p.sync()
    assert counts(r) == {"moved": 12} and on_wire(r) < 25000, r
    p.quiet()


def test_larger_than_allowed(best, tmp_path):
    """Limits leave new messages out. What is here already goes along."""
    p = filled(Sync(tmp_path, best), 3)
    p.configure("max-size = 4K\n\tmax-age = 1h")
    p.remote.move(A, mail(0), B)
    r = p.sync()
    assert counts(r) == {"moved": 1}, r
    p.quiet()
    assert p.local.bodies(B) == [mail(0)]


def test_a_dry_run(best, tmp_path):
    p = filled(Sync(tmp_path, best), 4)
    p.remote.move(A, mail(0), B)
    p.local.move(A, mail(1), C)
    before = p.remote.files(), p.local.files()
    r = p.sync("--dry-run")
    assert counts(r) == {"moved": 2} and [e["dry_run"] for e in r.events if e.get("action")] == [True, True], r
    assert (p.remote.files(), p.local.files()) == before
    r = p.call("run", "both", "--dry-run")
    assert "would move" in r.out and "from %s to %s" % (A, B) in r.out, r


# -- from server to server ---------------------------------------------------------------------------------------

#: What is told apart by nothing but its text: all arrived in one second.
BARE = [b"Subject: %d\n\nnothing to report\n" % n for n in range(8)]


def between_servers(directory, srv, kind):
    """Eight messages without a Message-ID, and the sixth and the seventh two and three times."""
    p = Accounts(directory, srv) if kind == "sync" else Move(directory, srv, source="imap", target="imap")
    p.remote.make(B)
    with p.remote.connect() as c:
        for text in BARE + [BARE[5], BARE[6], BARE[6]]:
            p.remote.append(c, text, A, "S", 1700000000)
    p.settle()
    p.same()
    return p


def held(side):
    """{number: [(folder, flags)]}"""
    out = {}
    for folder, rows in side.state().items():
        for body, flags in rows:
            out.setdefault(BARE.index(body), []).append((folder, flags))
    return {n: sorted(x) for n, x in out.items()}


def move_one(side, body):
    """Of several."""
    with side.connect() as c:
        uid = next(str(u) for u, text, _ in side.fetch(c, A) if text == body)
        c.select(A)
        assert c.uid("copy", uid, side.wire(B))[0] == "OK"
        c.uid("store", uid, "+FLAGS", r"(\Deleted)")
        c.uid("expunge", uid)


@pytest.mark.parametrize("kind", ["migrate", "sync"])
def test_without_message_id_between_servers(each_server, tmp_path, kind):
    """Moved, and flagged, and deleted, and away and back; one of two, two of three; one deleted, and an equal one moved: as many there as here, and none twice."""
    p = between_servers(tmp_path, each_server, kind)
    s = p.remote
    for n in 0, 1, 2:
        s.move(A, BARE[n], B)
    s.flag(B, BARE[1], "FS")
    p.local.flag(A, BARE[2], "RS")
    s.flag(A, BARE[3], "")
    s.move(A, BARE[4], B)
    s.delete(B, BARE[4])
    move_one(s, BARE[5])
    move_one(s, BARE[6])
    move_one(s, BARE[6])
    s.move(A, BARE[7], B)
    s.move(B, BARE[7], A)
    r = p.sync()
    assert counts(r).get("pulled", 0) == 0 and counts(r).get("moved") == 6, r
    p.quiet()
    want = {0: [(B, "S")], 1: [(B, "FS")], 2: [(B, "RS")], 3: [(A, "")], 4: [(A, "S")], 5: [(A, "S"), (B, "S")], 6: [(A, "S"), (B, "S"), (B, "S")], 7: [(A, "S")]}
    if kind == "sync":
        del want[4]
        assert held(s) == want
    assert held(p.local) == want


@pytest.mark.parametrize("kind", ["migrate", "sync"])
def test_one_of_two_equal_was_deleted(best, tmp_path, kind):
    """The other was moved: a migration keeps what is deleted at its source, but once."""
    p = between_servers(tmp_path, best, kind)
    move_one(p.remote, BARE[5])
    p.remote.delete(A, BARE[5])
    r = p.sync()
    assert counts(r).get("pulled", 0) == 0 and counts(r)["moved"] == 1, r
    p.quiet()
    assert held(p.local)[5] == ([(B, "S")] if kind == "sync" else [(A, "S"), (B, "S")])


def test_another_of_the_same_size_and_time(best, tmp_path):
    """One was deleted, and one that differs in its text alone came elsewhere: nothing is done to the first."""
    p = between_servers(tmp_path, best, "migrate")
    p.remote.delete(A, BARE[0])
    with p.remote.connect() as c:
        p.remote.append(c, b"Subject: 9\n\nnothing to report\n", B, "", 1700000000)
    r = p.sync()
    assert counts(r) == {"pulled": 1}, r
    p.quiet()
    assert BARE[0] in p.local.bodies(A) and p.local.bodies(B) == [b"Subject: 9\n\nnothing to report\n"]


# -- everything at once ------------------------------------------------------------------------------------------

#: What a reader does on a side: remote moves go to B, local ones to C.
FATES = ("stays", "flagged", "moved", "moved and flagged", "copied", "deleted", "met")
CASES = [(there, here) for there in FATES for here in FATES if (there == "met") <= (here == "met") and (here == "met") <= (there == "met")]
FLAG = {"remote": "F", "local": "R"}
GOAL = {"remote": B, "local": C}


def wanted():
    out = {}
    for n, case in enumerate(CASES):
        fates = dict(zip(("remote", "local"), case))
        flags = "".join(sorted({"S"} | {FLAG[s] for s in fates if "flagged" in fates[s]}))
        moved = [s for s in ("remote", "local") if "moved" in fates[s]]
        places = []
        if case == ("met", "met"):
            places = [(B, "S")]
        elif len(moved) == 2:
            places = [(B, flags)]  # the server's word counts
        elif moved:
            other = fates["local" if moved[0] == "remote" else "remote"]
            if other == "deleted":  # where it went it is a new message
                flags = "".join(sorted({"S"} | {FLAG[moved[0]] for _ in (1,) if "flagged" in fates[moved[0]]}))
            places = [(GOAL[moved[0]], flags)]
        elif "deleted" not in case:
            places = [(A, flags)]
        places += [(GOAL[s], "S") for s in fates if fates[s] == "copied"]
        out[n] = sorted(places)
    return {n: x for n, x in out.items() if x}


class Moves(Scene):
    def __init__(self, directory, srv):
        super().__init__(directory, srv, "max-delete = none")
        p = filled(self.p, len(CASES))
        for n, case in enumerate(CASES):
            for side, fate in zip(("remote", "local"), case):
                s = getattr(p, side)
                if "flagged" in fate:
                    s.flag(A, mail(n), "".join(sorted("S" + FLAG[side])))
                if "moved" in fate:
                    s.move(A, mail(n), GOAL[side])
                if fate == "met":
                    s.move(A, mail(n), B)
                if fate == "copied":
                    s.copy(A, mail(n), GOAL[side])
                if fate == "deleted":
                    s.delete(A, mail(n))
        self.keep()

    def ends_well(self, what):
        r = self.p.sync()
        self.p.quiet()
        assert where(self.p) == wanted(), what
        return r


@pytest.mark.deadline(600)
def test_matrix(each_server, tmp_path):
    scene = Moves(tmp_path, each_server)
    r = scene.ends_well("undisturbed")
    # over the wire go copies, unless the server says that they are such, and what was deleted on the other side while it was moved
    bodies = sum("copied" in c for case in CASES for c in (case[1:] if each_server.kind == "OBJECTID" else case)) + sum(sorted(x.split(" ")[0] for x in case) == ["deleted", "moved"] for case in CASES)
    assert bodies * SIZE < on_wire(r) < (bodies + 1.5) * 1.45 * SIZE + 20000, (bodies, on_wire(r))
    for step in scene.stopped(stride=3 if each_server.kind == "all" else 5):
        scene.ends_well("step %d" % step)
    assert step > 19
