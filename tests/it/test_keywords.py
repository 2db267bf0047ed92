"""Keywords between a server and a Maildir: both ways, with a Dovecot that serves either side, and with servers that will not have them."""

import os
import shutil
import sqlite3
import time

import pytest

import dovecot
import haul
import twoway
from disturb import needs_strace, strace
from imappeer import Peer, Refused, text
from twoway import HELLO, Sync, actions, counts, state_of_version

ONE = HELLO % (1, 1)


def letter(i):
    """One that a server knows again when it was moved."""
    return b"Message-ID: <%d@example.org>\n" % i + HELLO % (i, i)


def name(h, folder="INBOX", body=ONE):
    """The letters of a message."""
    return os.path.basename(h.local.find(folder, body)).rpartition(":2,")[2]


def words(h, folder="INBOX"):
    return h.local.words(folder)


def write_words(h, *rows, folder="INBOX"):
    with open(os.path.join(h.local.box(folder), "dovecot-keywords"), "w", encoding="ascii") as f:
        f.writelines(row + "\n" for row in rows)


def keywords(far, folder="INBOX", body=ONE):
    """What the server says of a message, flags of RFC 3501 left out."""
    with far.connect() as c:
        uid = far.uid_of(c, folder, body)
        c.select(far.wire(folder), readonly=True)
        row = c.uid("fetch", uid, "(FLAGS)")[1][0].decode()
    return {w for w in row[row.index("FLAGS (") + 7:row.index(")", row.index("FLAGS ("))].split() if not w.startswith("\\")}


def store(far, how, *names, folder="INBOX", body=ONE):
    with far.connect() as c:
        uid = far.uid_of(c, folder, body)
        c.select(far.wire(folder))
        assert c.uid("store", uid, how, "(%s)" % " ".join(names))[0] == "OK"


@pytest.fixture
def h(best, tmp_path):
    return Sync(tmp_path, best)


def test_both_ways(h):
    h.remote.deliver(ONE, flags="Sj")
    h.local.deliver(HELLO % (2, 2), flags="Fk")
    h.settle()
    h.same()
    assert set(words(h).values()) == {"Junk", "$Label1"}
    assert keywords(h.remote) == {"Junk"}
    h.remote.flag("INBOX", ONE, "Sk")
    h.local.flag("INBOX", HELLO % (2, 2), "Fjk")
    r = h.settle()
    assert actions(r) == [("flags", "local"), ("flags", "remote")]
    h.same()
    assert name(h) == "S" + next(x for x, n in words(h).items() if n == "$Label1")
    # merged, one by one
    h.remote.flag("INBOX", ONE, "Sjk")
    h.local.flag("INBOX", ONE, "Fk")
    h.settle()
    h.same()
    assert dict(h.local.state()["INBOX"])[ONE] == "Fjk"
    h.remote.flag("INBOX", ONE, "")
    h.settle()
    h.same()
    assert name(h) == ""


def test_between_two_trees(tmp_path):
    """Each has its own letters for them."""
    p = twoway.Pair(tmp_path)
    p.remote.deliver(ONE, flags="Sj")
    p.local.deliver(HELLO % (2, 2), flags="Sk")
    p.settle()
    p.same()
    assert p.remote.words("INBOX") == {"a": "Junk", "b": "$Label1"} and p.local.words("INBOX") == {"a": "$Label1", "b": "Junk"}
    p.remote.flag("INBOX", HELLO % (2, 2), "S")
    p.local.flag("INBOX", ONE, "Fk")
    p.settle()
    p.remote.move("INBOX", HELLO % (2, 2), "Work")
    p.settle()
    p.same()
    assert p.local.state() == {"INBOX": [(ONE, "Fk")], "Work": [(HELLO % (2, 2), "S")]}


def test_first_contact(h):
    """What both sides hold has the keywords of both."""
    h.remote.deliver(ONE, flags="Sj", age=100)
    h.local.deliver(ONE, flags="Fk", age=100)
    r = h.settle()
    assert counts(r).keys() == {"flagged"}
    h.same()
    assert dict(h.local.state()["INBOX"])[ONE] == "FSjk"
    h.forget()
    h.settle()
    h.same()


def test_names_in_any_case(h):
    """NonJunk and nonjunk are one; who has it keeps the way it is spelled there."""
    h.remote.deliver(ONE, flags="S")
    h.local.make("INBOX")
    write_words(h, "3 NONJUNK")
    store(h.remote, "+FLAGS", "nonjunk")
    h.settle()
    assert name(h) == "Sd" and words(h) == {"d": "NONJUNK"}
    h.local.deliver(HELLO % (2, 2), flags="n")
    h.settle()
    assert keywords(h.remote, body=HELLO % (2, 2)) == {"nonjunk"}
    h.same()


def test_letters_without_a_name_stay(h):
    """They are nobody's to take away, nor to give another meaning."""
    h.remote.deliver(ONE, flags="S")
    h.settle()
    path = h.local.find("INBOX", ONE)
    os.rename(path, path + "ac")
    h.quiet()
    h.remote.flag("INBOX", ONE, "Fj")
    h.settle()
    assert name(h) == "Fabc" and words(h) == {"b": "Junk"}
    assert keywords(h.remote) == {"Junk"}


def test_what_comes_by_uid_move_and_by_rename(h):
    """In another folder the letters are others."""
    for i in range(4):
        h.remote.deliver(letter(i), flags="Sj")
    h.remote.deliver(letter(9), "Work", flags="Sk")
    h.settle()
    assert words(h) == {"a": "Junk"} and words(h, "Work") == {"a": "$Label1"}
    h.remote.move("INBOX", letter(0), "Work")
    r = h.settle()
    assert actions(r) == [("move", "local")]
    assert words(h, "Work") == {"a": "$Label1", "b": "Junk"} and name(h, "Work", letter(0)) == "Sb"
    h.local.move("INBOX", letter(1), "Work")
    r = h.settle()
    assert actions(r) == [("move", "remote")]
    assert keywords(h.remote, "Work", letter(1)) == {"Junk"}
    # a reader that knows nothing of letters: the server's keyword is kept, and what the letter means there is added
    path = h.local.find("INBOX", letter(2))
    os.rename(path, os.path.join(h.local.box("Work"), "cur", os.path.basename(path)))
    h.settle()
    assert keywords(h.remote, "Work", letter(2)) == {"Junk", "$Label1"}
    h.same()
    # what is no junk after all: the keyword goes as the message does, on either side
    h.remote.flag("Work", letter(1), "n")
    h.remote.move("Work", letter(1), "INBOX")
    h.settle()
    h.same()
    assert dict(h.local.state()["INBOX"])[letter(1)] == "n"
    h.local.flag("Work", letter(0), "")
    h.local.move("Work", letter(0), "INBOX")
    h.settle()
    h.same()
    assert dict(h.local.state()["INBOX"])[letter(0)] == ""


def test_more_than_letters(h):
    """26 are in the Maildir; the rest stay at the server, are told once, and no reason for work."""
    names = ["word%d" % i for i in range(30)]
    h.remote.deliver(ONE, flags="S")
    store(h.remote, "+FLAGS", *names)
    r = h.sync()
    assert [w["text"] for w in r.of("warning")] == ["'INBOX': keywords that can't be kept here stay at the server alone: word26, word27, word28, word29"], r
    h.quiet()
    assert len(words(h)) == 26 and len(name(h)) == 27
    assert keywords(h.remote) == set(names)
    # others go on, and nothing is taken away
    h.remote.fill("INBOX", 1, 5)
    store(h.remote, "-FLAGS", "word3")
    h.settle()
    assert len(name(h)) == 26
    assert keywords(h.remote) == set(names) - {"word3"}


def test_a_new_letter(h):
    """A dovecot-keywords that is lost, or says something else, takes no keyword from anybody."""
    for i in range(3):
        h.remote.deliver(HELLO % (i, i), flags="Sj")
    h.settle()
    os.unlink(os.path.join(h.local.box("INBOX"), "dovecot-keywords"))
    h.local.flag("INBOX", HELLO % (0, 0), "FS")
    h.settle()
    assert all(keywords(h.remote, body=HELLO % (i, i)) == {"Junk"} for i in (0, 1, 2))
    h.local.deliver(HELLO % (7, 7), flags="Sj")
    h.settle()
    for i in (0, 1, 2, 7):
        assert keywords(h.remote, body=HELLO % (i, i)) == {"Junk"}
        assert "j" in dict(h.local.state()["INBOX"])[HELLO % (i, i)]
    write_words(h, "20 Junk")
    h.local.flag("INBOX", HELLO % (0, 0), "S")
    h.settle()
    for i in (0, 1, 2, 7):
        assert keywords(h.remote, body=HELLO % (i, i)) == {"Junk"}


def test_a_state_of_before(h):
    """A state that knew no keywords: they are looked at once, no body moves, and then it costs nothing."""
    for i in range(3):
        h.remote.deliver(HELLO % (i, i), flags="S")
    h.settle()
    h.same()
    store(h.remote, "+FLAGS", "Junk", body=HELLO % (0, 0))
    h.local.flag("INBOX", HELLO % (1, 1), "Sk")
    h.settle()
    with sqlite3.connect(h.db) as db:
        # as it would have been: the looks have passed them over
        db.execute("UPDATE pair SET flags = flags & 63")
    state_of_version(h.db, 2)
    store(h.remote, "-FLAGS", "Junk", body=HELLO % (0, 0))
    r = h.sync()
    assert {a for a, _ in actions(r)} <= {"flags"} and r.end["bytes_in"] < 20000
    h.quiet()
    h.same()
    assert dict(h.local.state()["INBOX"])[HELLO % (0, 0)] == "Sj"
    assert dict(h.local.state()["INBOX"])[HELLO % (1, 1)] == "Sk"


@needs_strace
def test_a_run_without_changes_does_not_read_them(h, tmp_path):
    """Nor does it open a folder; one that has changed is read."""
    h.remote.deliver(ONE, flags="Sj")
    h.settle()
    end = time.monotonic() + 30
    calls = str(tmp_path / "calls")

    def run():
        h.sync(prefix=strace("-e", "trace=openat,openat2", log=calls))
        with open(calls, encoding="utf-8", errors="replace") as f:
            return "dovecot-keywords" in f.read()

    # stamps of what was changed just now are not believed
    while run():
        assert time.monotonic() < end
        time.sleep(0.2)
    assert not run()
    h.local.flag("INBOX", ONE, "Fj")
    assert run()


def test_dry_run(h):
    h.remote.deliver(ONE, flags="Sj")
    h.local.make("INBOX")
    h.sync()
    h.remote.flag("INBOX", ONE, "Sk")
    files = h.local.files()
    r = h.sync("--dry-run")
    assert actions(r) == [("flags", "local")]
    assert h.local.files() == files
    h.settle()
    h.same()


class Other:
    """A Dovecot that serves a copy of the local inbox."""

    def __init__(self, tmp_path):
        self.srv = dovecot.Dovecot(tmp_path / "other", mail_location="maildir:~/Maildir")

    def __enter__(self):
        self.srv.start()
        self.srv.add_user("reader", "secret")
        self.far = twoway.Remote(self.srv, "reader")
        return self

    def __exit__(self, *exc):
        self.srv.stop()

    def path(self):
        return os.path.join(self.srv.home("reader"), "Maildir")

    def take(self, h):
        shutil.rmtree(self.path(), ignore_errors=True)
        shutil.copytree(h.local.box("INBOX"), self.path())
        self.srv.give(self.srv.home("reader"))

    def give(self, h):
        self.srv.wait_for_quiet()
        shutil.rmtree(h.local.box("INBOX"))
        shutil.copytree(self.path(), h.local.box("INBOX"))


def test_a_dovecot_reads_and_writes_the_maildir(h, tmp_path):
    """What we write it understands, and we what it writes."""
    for i in range(3):
        h.remote.deliver(HELLO % (i, i), flags="Sjk" if i else "")
    h.settle()
    with Other(tmp_path) as other:
        other.take(h)
        assert keywords(other.far, body=HELLO % (1, 1)) == {"Junk", "$Label1"}
        assert keywords(other.far, body=HELLO % (0, 0)) == set()
        store(other.far, "+FLAGS", "Mine", "NonJunk", body=HELLO % (0, 0))
        store(other.far, "-FLAGS", "Junk", body=HELLO % (2, 2))
        store(other.far, "+FLAGS", "$Forwarded", body=HELLO % (2, 2))
        other.give(h)
        h.settle()
        assert keywords(h.remote, body=HELLO % (0, 0)) == {"Mine", "NonJunk"}
        assert keywords(h.remote, body=HELLO % (2, 2)) == {"$Label1", "$Forwarded"}
        store(h.remote, "-FLAGS", "$Forwarded", body=HELLO % (2, 2))
        store(h.remote, "+FLAGS", "Later", body=HELLO % (2, 2))
        h.settle()
        other.take(h)
        assert keywords(other.far, body=HELLO % (2, 2)) == {"$Label1", "Later"}
        assert keywords(other.far, body=HELLO % (0, 0)) == {"Mine", "NonJunk"}


# Servers that will not have them


class Job(twoway.Job):
    def __init__(self, directory, srv):
        super().__init__(directory, 1)
        self.srv, self.local = srv, twoway.Side(os.path.join(self.dir, "local"))
        self.write_private(self.conf, "account work {\n\turl = %s\n\tpassword-file = %s\n\ttls = none\n}\nsync both {\n\tremote = work\n\tlocal = %s\n}\n" % (
            haul.quoted("imap://anna@127.0.0.1:%d" % srv.port), haul.quoted(self.secret), haul.quoted("maildir:" + self.local.path)))

    def stores(self):
        return [line for line in self.srv.lines() if " STORE " in line.upper()]


class Fixed(Peer):
    """Has two keywords, and takes no others."""

    permanent = "\\Answered \\Flagged \\Deleted \\Seen \\Draft Junk $MDNSent"

    def store_one(self, link, m, flags):
        super().store_one(link, m, {f for f in flags if f in self.permanent.split()})

    def take_in(self, link, folder, data, flags, date):
        return super().take_in(link, folder, data, {f for f in flags if f in self.permanent.split()}, date)


def test_a_server_that_has_its_own(tmp_path):
    """What it can't hold stays here, and is not tried again; what it can goes both ways."""
    with Fixed({"INBOX": [ONE]}) as srv:
        h = Job(tmp_path, srv)
        h.sync()
        h.local.flag("INBOX", ONE, "Sjk")
        h.local.deliver(HELLO % (2, 2), flags="Fjk")
        r = h.sync()
        assert any("$Label1" in w["text"] and "at the server" in w["text"] for w in r.of("warning")), r
        h.quiet()
        assert srv.inbox().find(1).flags == {"\\Seen", "Junk"} and srv.inbox().find(2).flags == {"\\Flagged", "Junk"}
        stores = len(h.stores())
        h.local.deliver(HELLO % (3, 3), flags="S")
        h.settle()
        assert len(h.stores()) == stores
        srv.inbox().flag(srv.inbox().find(1), {"\\Seen", "$MDNSent"})
        h.settle()
        assert set(words(h)[x] for x in name(h)[1:]) == {"$Label1", "$MDNSent"}
        # the server learns
        srv.permanent = Fixed.permanent + " $Label1"
        h.local.flag("INBOX", ONE, "FSk")
        h.sync()
        assert "$Label1" in srv.inbox().find(1).flags and "\\Flagged" in srv.inbox().find(1).flags


class Refuses(Peer):
    """Says that keywords can be made, and then knows nothing of it."""

    answer = "NO Keywords are not supported"

    def uid_store(self, link, tag, args):
        if any(not text(w).startswith("\\") for w in args[2]):
            raise Refused(self.answer)
        super().uid_store(link, tag, args)

    def append(self, link, tag, args):
        for a in args[1:]:
            if isinstance(a, list) and any(not text(w).startswith("\\") for w in a):
                raise Refused(self.answer)
        super().append(link, tag, args)


@pytest.mark.parametrize("answer", ["NO Keywords are not supported", "NO [LIMIT] too many", "BAD Invalid system flag $NotJunk", "NO [CANNOT] never"])
def test_a_server_that_refuses(tmp_path, answer):
    """Flags and messages go there all the same; keywords stay here, and are not offered again."""
    with Refuses({"INBOX": [ONE]}) as srv:
        srv.answer = answer
        h = Job(tmp_path, srv)
        h.sync()
        h.local.flag("INBOX", ONE, "FSj")
        h.local.deliver(HELLO % (2, 2), flags="Rk")
        r = h.sync()
        assert r.of("error") == [] and [w["text"] for w in r.of("warning")] == [
            "'INBOX': keywords that can't be kept at the server stay here alone: Junk, $Label1"], r
        assert srv.inbox().find(1).flags == {"\\Seen", "\\Flagged"} and srv.inbox().find(2).flags == {"\\Answered"}
        tried = len(h.stores())
        h.quiet()
        h.local.deliver(HELLO % (3, 3), flags="Sj")
        h.settle()
        assert srv.inbox().find(3).flags == {"\\Seen"}
        assert len(h.stores()) == tried
        state = dict(h.local.state()["INBOX"])
        assert state[ONE] == "FSj" and state[HELLO % (2, 2)] == "Rk" and state[HELLO % (3, 3)] == "Sj"
        # it is mended: what is set from now on goes there, once it says of it that it knows it
        srv.__class__ = Peer
        srv.permanent = Peer.permanent + " Junk $Label1"
        h.local.flag("INBOX", ONE, "Sj")
        h.local.flag("INBOX", HELLO % (2, 2), "Sk")
        h.settle()
        assert srv.inbox().find(1).flags == {"\\Seen", "Junk"} and srv.inbox().find(2).flags == {"\\Seen", "$Label1"}


def test_a_flood_of_keywords(tmp_path):
    """More than there is room for: some are synced, and the person is told once that others are left alone."""
    with Peer({"INBOX": [ONE]}) as srv:
        for i in range(200):
            srv.inbox().add(HELLO % (i + 10, i + 10), {"\\Seen", "flood%d" % i})
        h = Job(tmp_path, srv)
        r = h.sync()
        assert len([w for w in r.of("warning") if "has more than 55 keywords" in w["text"]]) == 1, r
        h.quiet()
        srv.inbox().add(HELLO % (2, 2), {"\\Seen", "more"})
        assert h.sync().of("warning") == []
        assert len(h.local.bodies()) == 202
