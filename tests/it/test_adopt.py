"""First contact, and contact lost: both sides hold mail, and the state doesn't know, or not any more, how it belongs together. No body moves for what both hold."""

import os
import random
import re
import shutil
import time

import pytest

import haul
from twoway import Sync, actions, counts, stopped_anew

SIZE = 20000
AGE = 90000


def mail(n, size=SIZE, mid="<%d@example.org>", salt=""):
    """A message whose body can't be compressed: what moves is seen."""
    rng = random.Random("%d%s" % (n, salt))
    text = "".join(rng.choice("abcdefghijklmnopqrstuvwxyz0123456789") for _ in range(size))
    head = "From: a@example.org\nSubject: %d\n%s\n" % (n, "Message-ID: %s\n" % (mid % n) if mid else "")
    return (head + "\n".join(re.findall(".{1,76}", text)) + "\n").encode()


def letters(n):
    return "FRS"[:n % 4]


@pytest.fixture
def pair(each_server, tmp_path):
    """Thirty messages at the server, some of them flagged, and the same after a first run here."""
    return filled(Sync(tmp_path, each_server))


def filled(p, n=30):
    with p.remote.connect() as c:
        c.create("Work")
        for i in range(n):
            p.remote.append(c, mail(i), "INBOX" if i % 3 else "Work", letters(i), time.time() - AGE - i)
    p.settle()
    p.same()
    return p


def validity(p, folder):
    return p.remote.do("status", p.remote.wire(folder), "(UIDVALIDITY)")


def renumber(p, folder="INBOX"):
    """The server's own files of the folder are gone: all messages get other UIDs under another UIDVALIDITY."""
    box = p.srv.maildir(p.user) if folder == "INBOX" else os.path.join(p.srv.maildir(p.user), "." + folder)
    before, deadline = validity(p, folder), time.time() + 20
    while validity(p, folder) == before:
        assert time.time() < deadline
        for name in os.listdir(box):
            if name.startswith("dovecot"):
                path = os.path.join(box, name)
                shutil.rmtree(path) if os.path.isdir(path) else os.unlink(path)
        time.sleep(0.3)  # a UIDVALIDITY is a time: soon it is another


def cheap(r, bodies=0):
    """As many bodies moved, and no more."""
    end = r.end
    assert end["bytes_in"] + end["bytes_out"] < 40000 + bodies * 1.4 * SIZE, (end["bytes_in"], end["bytes_out"])
    assert end["bytes_in"] + end["bytes_out"] > bodies * SIZE


def all_of(p, *folders):
    return sorted(x for f in folders for x in p.local.state()[f])


# -- the state is lost ----------------------------------------------------------------------------------------


def test_lost_state(pair):
    before = pair.local.state()
    pair.forget()
    r = pair.sync()
    assert actions(r) == [], r
    cheap(r)
    assert pair.local.state() == before
    pair.quiet()
    pair.same()


def test_lost_state_and_changes(pair):
    """What differs is brought together: flags are united, what one side alone has is copied."""
    pair.forget()
    pair.remote.flag("INBOX", mail(1), "FR")
    pair.local.flag("INBOX", mail(2), "S")
    pair.remote.deliver(mail(100), age=AGE)
    pair.local.deliver(mail(101), flags="S", age=AGE)
    pair.local.delete("Work", mail(3))
    r = pair.sync()
    assert counts(r) == {"pulled": 2, "pushed": 1, "flagged": 3}, r
    cheap(r, 3)
    pair.quiet()
    pair.same()
    state = dict(pair.local.state()["INBOX"])
    assert state[mail(1)] == "FR" and state[mail(2)] == "FRS" and len(state) == 22


def test_a_dry_run_says_the_same(best, tmp_path):
    p = filled(Sync(tmp_path, best))
    p.forget()
    p.remote.flag("INBOX", mail(1), "FRS")
    p.remote.deliver(mail(100), age=AGE)
    r = p.sync("--dry-run")
    assert counts(r) == {"pulled": 1, "flagged": 1}, r
    cheap(r)
    assert not os.path.exists(p.db)
    r = p.sync()
    assert counts(r) == {"pulled": 1, "flagged": 1}, r
    p.quiet()
    p.same()


def test_state_from_last_week(pair):
    """What happened since looks new to an old state: nothing is lost, doubled, or undone."""
    with pair.last_week():
        for n in range(2):
            pair.remote.deliver(mail(100 + n), flags="S", age=AGE)
            pair.local.deliver(mail(110 + n), flags="F", age=AGE)
        pair.remote.delete("INBOX", mail(1))
        pair.local.delete("INBOX", mail(4))
        pair.remote.flag("INBOX", mail(8), "R")
        pair.local.flag("INBOX", mail(2), "FS")
    before = pair.local.state()
    r = pair.sync()
    assert not counts(r).get("pulled") and not counts(r).get("pushed") and not counts(r).get("deleted"), r
    cheap(r)
    pair.quiet()
    pair.same()
    assert pair.local.state() == before and len(pair.local.bodies()) == 22


def test_a_maildir_of_another_program(pair, tmp_path):
    """Other names, other inodes, the times kept: as a copy by another tool has them."""
    pair.forget()
    for folder in ("INBOX", "Work"):
        for i, path in enumerate(sorted(haul.maildir_files(pair.local.box(folder)))):
            flags = path.rpartition(":2,")[2] if ":2," in path else ""
            other = os.path.join(pair.local.box(folder), "cur", "%d.R%d.host,S=%d:2,%s" % (1600000000 + i, i, os.path.getsize(path), flags))
            shutil.copy2(path, other)
            os.unlink(path)
    r = pair.sync()
    assert actions(r) == [], r
    cheap(r)
    assert all(",S=" in path for path in haul.maildir_files(pair.local.box("INBOX")))
    pair.quiet()
    pair.same()


# -- what is not the same ---------------------------------------------------------------------------------------


def test_times_that_say_nothing(best, tmp_path):
    """Of another time here than there, or without a Message-ID: the content decides, and what was fetched to know it is not kept."""
    p = Sync(tmp_path, best)
    for n in range(4):
        p.remote.deliver(mail(n), age=AGE)
        p.local.deliver(mail(n), flags="S")
    for n in range(10, 14):
        p.remote.deliver(mail(n, mid=None), age=AGE)
        p.local.deliver(mail(n, mid=None), flags="S", age=AGE)
    r = p.sync()
    assert not counts(r).get("pulled") and not counts(r).get("pushed") and counts(r)["flagged"] == 8, r
    p.quiet()
    p.same()
    assert len(p.local.bodies()) == 8


@pytest.mark.parametrize("there, here", [(2, 2), (2, 1), (1, 2), (3, 2), (0, 2)])
def test_duplicates_stay(each_server, tmp_path, there, here):
    """The same bytes twice are two messages: afterwards there are as many as the side with more of them had."""
    p = Sync(tmp_path, each_server)
    now = time.time() - AGE
    with p.remote.connect() as c:
        for _ in range(there):
            p.remote.append(c, mail(1), "INBOX", "", now)
        p.remote.append(c, mail(2), "INBOX", "", now)
    for i in range(here):
        path = os.path.join(p.local.box("INBOX"), "new", p.local.deliver(mail(1)))
        os.utime(path, (int(now),) * 2)
    p.local.deliver(mail(3), age=AGE)
    r = p.sync()
    cheap(r, 2 + (0 if there == here else max(there, here)))
    p.quiet()
    p.same()
    assert p.local.bodies().count(mail(1)) == max(there, here) and len(p.local.bodies()) == 2 + max(there, here)
    p.forget()
    cheap(p.sync())
    p.quiet()
    p.same()


def test_one_message_id_for_several(each_server, tmp_path):
    """Same Message-ID, other bodies; same body, other Message-ID; nothing at all."""
    p = Sync(tmp_path, each_server)
    same = "<one@example.org>%.0s"
    p.remote.deliver(mail(1, mid=same), age=AGE)
    p.local.deliver(mail(1, mid=same, salt="other"), age=AGE + 7)
    p.remote.deliver(mail(2, mid=same, size=5000), age=AGE)
    p.local.deliver(mail(2, mid=same, size=5001), age=AGE)
    p.remote.deliver(mail(3), age=AGE)
    p.local.deliver(mail(3, mid="<other%d@example.org>"), age=AGE)
    p.remote.deliver(b"Subject: empty\n\n", age=AGE)
    p.local.deliver(b"Subject: other\n\n", age=AGE)
    r = p.sync()
    assert counts(r) == {"pulled": 4, "pushed": 4}, r
    p.quiet()
    p.same()
    p.forget()
    r = p.sync()
    assert actions(r) == [], r
    p.quiet()
    p.same()
    assert len(p.local.bodies()) == 8


# -- the server renumbers ---------------------------------------------------------------------------------------


def test_renumbered(pair):
    before = pair.local.state()
    renumber(pair)
    r = pair.sync()
    assert actions(r) == [], r
    assert "renumbered 'INBOX'" in r.of("warning")[0]["text"], r
    cheap(r)
    assert pair.local.state() == before
    pair.quiet()
    pair.same()


def test_renumbered_and_changed(pair):
    """The base still knows what both sides had agreed on, so that each change of flags is known for what it is, and a message that was deleted here stays known."""
    renumber(pair)
    pair.remote.flag("INBOX", mail(2), "")
    pair.local.flag("INBOX", mail(5), "FRST")
    pair.remote.deliver(mail(100), age=AGE)
    pair.local.deliver(mail(101), flags="", age=AGE)
    r = pair.sync()
    assert counts(r) == {"pulled": 1, "pushed": 1, "flagged": 2}, r
    cheap(r, 2)
    pair.quiet()
    pair.same()
    state = dict(pair.local.state()["INBOX"])
    assert state[mail(2)] == "" and state[mail(5)] == "FRST" and len(state) == 22


def test_renumbered_deleted_here(pair):
    """What was deleted here just before is there again: that is better than to lose other mail for it."""
    pair.local.delete("INBOX", mail(4))
    renumber(pair)
    r = pair.sync()
    assert counts(r) == {"pulled": 1}, r
    cheap(r, 1)
    pair.quiet()
    pair.same()


@pytest.mark.parametrize("way", ["", "--restore", "--allow-deletions"])
def test_renumbered_and_some_missing(each_server, tmp_path, way):
    """Restored from a backup, or deleted by a person? Nobody knows; the person is asked, and both answers do what they say."""
    p = filled(Sync(tmp_path, each_server))
    p.remote.delete("INBOX", mail(1))
    p.remote.delete("INBOX", mail(2))
    renumber(p)
    kept = p.local.files()
    r = p.run("both")
    assert r.code == 1 and "2 of 20 messages are not there any more" in r.of("error")[0]["text"], r
    assert "--restore" in r.of("error")[0]["text"] and actions(r) == [] and p.local.files() == kept
    if not way:
        return
    r = p.sync(way)
    if way == "--restore":
        assert counts(r) == {"pushed": 2}, r
        cheap(r, 2)
    else:
        assert counts(r) == {"deleted": 2}, r
        cheap(r)
    p.quiet()
    p.same()
    assert len(p.local.bodies()) == (20 if way == "--restore" else 18)


@pytest.mark.parametrize("way", ["--restore", "--allow-deletions"])
def test_an_answer_that_is_interrupted(best, tmp_path, way):
    """Wherever: nothing is lost, and no message is left that one side alone holds and the state takes for agreed on."""
    def build(step):
        p = filled(Sync(tmp_path / str(step), best), 9)
        p.remote.delete("INBOX", mail(1))
        renumber(p)
        return p

    for step, p, r in stopped_anew(build, way):
        p.sync()
        p.quiet()
        p.same()
        held = p.local.bodies()
        assert len(held) == len(set(held)) == (6 if mail(1) in held else 5) and (mail(1) in held or way == "--allow-deletions"), (step, r)
    assert step > 2 and (mail(1) in held) == (way == "--restore")


@pytest.mark.parametrize("other", [0, 3])
def test_renumbered_and_nothing_is_left(pair, other):
    """A folder that is there anew, empty or with other mail; the other folders go on."""
    with pair.remote.connect() as c:
        c.delete("Work")
        time.sleep(1.1 - time.time() % 1)  # UIDVALIDITY is the second of its making
        c.create("Work")
    for n in range(other):
        pair.remote.deliver(mail(200 + n), "Work", "S", age=AGE)
    pair.remote.deliver(mail(100), flags="S", age=AGE)
    r = pair.run("both")
    assert r.code == 1 and [e["scope"] for e in r.of("error")] == ["folder"], r
    assert "UIDVALIDITY" in r.of("error")[0]["text"] and "10 of 10 messages are not there" in r.of("error")[0]["text"], r
    assert actions(r) == [("pull", "local")] and len(pair.local.bodies("Work")) == 10, r
    r = pair.sync("--restore")
    assert counts(r) == {"pushed": 10, **({"pulled": other} if other else {})}, r
    pair.quiet()
    pair.same()
    assert len(pair.local.bodies("Work")) == 10 + other


def test_made_anew_with_other_mail(best, tmp_path):
    """What is new there comes while what is gone is deleted here: none of it is taken for something that was deleted, and none goes back."""
    p = Sync(tmp_path, best, "max-delete = none")
    with p.remote.connect() as c:
        c.create("Work")
        for i in range(3):
            p.remote.append(c, mail(i), "Work", "S", time.time() - AGE - i)
    p.settle()
    p.remote.remove("Work")
    p.remote.make("Work")
    with p.remote.connect() as c:
        for i in 7, 8:
            p.remote.append(c, mail(i), "Work", "S", time.time() - AGE - i)
    r = p.sync("--allow-deletions")
    assert counts(r) == {"pulled": 2, "deleted": 3}, r
    p.quiet()
    p.same()
    assert sorted(p.remote.bodies("Work")) == sorted([mail(7), mail(8)])


def test_renumbered_needs_no_file(best, tmp_path):
    """What the base says is enough to know the messages again: nothing is read here, whatever became of the files."""
    p = filled(Sync(tmp_path, best))
    for n in 1, 2, 4:
        path = p.local.find("INBOX", mail(n))
        was = os.stat(path)
        with open(path, "r+b") as f:
            f.write(mail(n + 500)[:len(mail(n))])
        os.utime(path, (was.st_atime, was.st_mtime))
    renumber(p)
    r = p.sync()
    assert actions(r) == [], r
    cheap(r)
    p.quiet()


def give_again(p, uid, body):
    """The server has another message under this UID of the inbox, and says nothing of it."""
    box = p.srv.maildir(p.user)
    with open(os.path.join(box, "dovecot-uidlist"), "rb") as f:
        head, *lines = f.read().splitlines(keepends=True)
    for i, line in enumerate(lines):
        if int(line.split()[0]) == uid:
            old = line.split(b":", 1)[1].strip()
            lines[i] = b"%d :another.%d\n" % (uid, uid)
    for part in "cur", "new":
        for name in os.listdir(os.path.join(box, part)):
            if name.encode().split(b":")[0] == old:
                os.unlink(os.path.join(box, part, name))
    with open(os.path.join(box, "cur", "another.%d:2,S" % uid), "wb") as f:
        f.write(body)
    with open(os.path.join(box, "dovecot-uidlist"), "wb") as f:
        f.write(head + b"".join(lines))
    for name in os.listdir(box):
        if name.startswith("dovecot.index.cache"):
            os.unlink(os.path.join(box, name))


def test_a_number_given_again(best, tmp_path):
    """A message is deleted here, and the server has given its UID to another: that is spared, and comes. Then no UID of the folder is believed: so comes what else was hidden so."""
    p = filled(Sync(tmp_path, best))
    with p.remote.connect() as c:
        uids = {n: int(p.remote.uid_of(c, "INBOX", mail(n))) for n in (1, 2, 4)}
    give_again(p, uids[1], mail(701, mid="<new%d@example.org>"))
    p.local.delete("INBOX", mail(1))
    p.local.delete("INBOX", mail(2))
    r = p.sync()
    assert counts(r) == {"deleted": 1}, r
    assert "given the numbers (UIDs) of 1 messages that were deleted here to others" in r.out
    assert mail(701, mid="<new%d@example.org>") in p.remote.bodies("INBOX") and mail(2) not in p.remote.bodies("INBOX")
    r = p.sync()
    assert counts(r) == {"pulled": 1}, r
    assert "its messages were recognized" in r.out
    p.quiet()
    p.same()


def test_renumbered_duplicates(each_server, tmp_path):
    p = Sync(tmp_path, each_server)
    with p.remote.connect() as c:
        for _ in range(3):
            p.remote.append(c, mail(1), "INBOX", "", time.time() - AGE)
        p.remote.append(c, mail(2, mid=None), "INBOX", "S", time.time() - AGE)
    p.settle()
    renumber(p)
    r = p.sync()
    assert not counts(r).get("pulled") and not counts(r).get("pushed") and not counts(r).get("deleted"), r
    cheap(r, 1)
    p.quiet()
    p.same()
    assert len(p.local.bodies()) == 4


@pytest.mark.crash
@pytest.mark.parametrize("what", ["lost", "renumbered"])
def test_stopped_at_every_step(best, tmp_path, what):
    """Whatever is interrupted: the run after it ends the same."""
    def build(step):
        p = filled(Sync(tmp_path / str(step), best), 9)
        p.remote.flag("INBOX", mail(1), "FRS")
        p.local.flag("INBOX", mail(2), "S")
        p.remote.deliver(mail(100), age=AGE)
        p.remote.deliver(mail(50, mid=None), age=AGE)
        p.local.deliver(mail(50, mid=None), age=AGE)
        if what == "lost":
            p.forget()
        else:
            renumber(p)
        return p

    for step, p, _ in stopped_anew(build):
        p.sync()
        p.quiet()
        p.same()
        assert len(p.local.bodies()) == 8, step
    assert step > 3
