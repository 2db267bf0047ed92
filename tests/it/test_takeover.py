"""A Maildir that another program filled and kept in sync is taken over as it stands: nothing is transferred for what both sides hold, flags are merged as it would have
merged them, and it can still read what is its own. With the real mbsync and offlineimap."""

import os
import random
import re
import shutil
import time

import pytest

import haul
from makers import Mbsync, OfflineImap
from twoway import Scene, Sync, actions, counts, server_of_each

SIZE = 20000
AGE = 90000
N = 12


def mail(n, size=SIZE):
    """A message whose body can't be compressed: what moves is seen."""
    rng = random.Random(n)
    text = "".join(rng.choice("abcdefghijklmnopqrstuvwxyz0123456789") for _ in range(size))
    return ("From: a@example.org\nTo: b@example.org\nSubject: %d\nMessage-ID: <%d@example.org>\n\n" % (n, n) + "\n".join(re.findall(".{1,76}", text)) + "\n").encode()


def number(body):
    return int(re.search(rb"Subject: (\d+)", body).group(1))


def bare(body):
    """Without the mark of another program."""
    return re.sub(rb"(?im)\A((?:.+\n)*?)X-(?:TUID|OfflineIMAP): .*\n", rb"\1", body)


def flags(state, folder="INBOX"):
    """{number: flags}; a message that is there twice is an error."""
    found = [(number(body), letters) for body, letters in state[folder]]
    assert len(dict(found)) == len(found), sorted(n for n, _ in found)
    return dict(found)


def same(p):
    """Both sides hold the same, but for marks; and nothing twice."""
    remote, local = p.remote.state(), p.local.state()
    assert {f: sorted((bare(b), l) for b, l in rows) for f, rows in remote.items()} == {f: sorted((bare(b), l) for b, l in rows) for f, rows in local.items()}
    for folder in remote:
        flags(remote, folder)


def cheap(r, bodies=0):
    """As many bodies moved, and no more."""
    end = r.end
    assert end["bytes_in"] + end["bytes_out"] < 40000 + bodies * 1.4 * SIZE, (end["bytes_in"], end["bytes_out"])
    assert end["bytes_in"] + end["bytes_out"] > bodies * SIZE


def edit(p, body, letters=None, gone=False, folder="INBOX"):
    """As a mail reader does it, whatever the file's bytes are."""
    n = number(body)
    found = [path for path in haul.maildir_files(p.local.box(folder)) if number(open(path, "rb").read()) == n]
    assert len(found) == 1, found
    if gone:
        os.unlink(found[0])
    else:
        base = os.path.basename(found[0]).split(":2,")[0]
        os.rename(found[0], os.path.join(p.local.box(folder), "cur", "%s:2,%s" % (base, "".join(sorted(letters)))))


def fill(p):
    """Mail at the server, in two folders, some of it old and flagged."""
    with p.remote.connect() as c:
        c.create(p.remote.wire("Lists/b"))
        for i in range(N):
            p.remote.append(c, mail(i), "INBOX" if i < 8 else "Lists/b", "FS" if i % 4 == 1 else "S" if i % 2 else "", time.time() - AGE - i)


def filled(p, maker):
    """And all of it here, brought by maker, with one message that went the other way."""
    fill(p)
    maker.sync()
    p.local.deliver(mail(20), flags="S", age=AGE)
    maker.sync()
    same(p)
    assert len(p.local.bodies()) == 9
    maker.idle()
    return maker


MAKERS = {"mbsync": Mbsync, "offlineimap": OfflineImap}


#: What is taken over does not depend on more.
each_server = server_of_each(["all", "bare"])


@pytest.fixture(params=list(MAKERS))
def maker(request, each_server, tmp_path):
    p = Sync(tmp_path, each_server)
    return filled(p, MAKERS[request.param](p))


@pytest.fixture
def mbsync(best, tmp_path):
    p = Sync(tmp_path, best)
    return filled(p, Mbsync(p))


def quiet(p):
    r = p.sync()
    assert actions(r) == [] and r.of("warning") == [] and r.of("error") == [], r
    cheap(r)


# -- as it stands ---------------------------------------------------------------------------------------------------


def test_taken_over(maker):
    """Nothing is transferred, no file is touched, and its maker finds nothing to do afterwards."""
    p = maker.p
    local, remote = p.local.files(), p.remote.files()
    r = p.sync("--dry-run")
    assert actions(r) == [] and r.of("warning") == [], r
    r = p.sync()
    assert actions(r) == [] and r.of("warning") == [], r
    cheap(r)
    assert p.local.files() == local and p.remote.files() == remote
    quiet(p)
    maker.idle()
    quiet(p)
    same(p)


def test_what_it_has_changed(maker):
    """Neither maker keeps a CR that stands alone, and one adds a line's end: their copies are of the same messages all the same. One that was cut off is none."""
    p = maker.p
    odd = [b"Subject: 4%d\nMessage-ID: <4%d@example.org>\n\none\rtwo\rthree%s" % (i, i, b"\n" if i else b"") for i in range(3)]
    for body in odd:
        p.srv.deliver(p.user, body)
    p.srv.deliver(p.user, mail(50))
    maker.sync()
    local = {number(b): b for b in p.local.bodies()}
    assert not {local[40 + i] for i in range(3)} & set(odd)
    path = next(x for x in haul.maildir_files(p.local.box("INBOX")) if number(open(x, "rb").read()) == 50)
    os.truncate(path, 8192)
    r = p.sync()
    assert counts(r) == {"pulled": 1, "pushed": 1}, r
    quiet(p)
    for side in (p.remote, p.local):
        found = sorted(number(b) for b in side.bodies())
        assert found == [0, 1, 2, 3, 4, 5, 6, 7, 20, 40, 41, 42, 50, 50]


def test_changed_since(maker):
    """Flags on both sides, and new mail on both: that alone is done. What the maker's state says of flags (mbsync) tells what was taken away."""
    p = maker.p
    p.remote.flag("INBOX", p_body(p, 0), "F")
    edit(p, mail(2), "S")
    p.remote.flag("INBOX", p_body(p, 3), "")
    edit(p, mail(5), "S")
    edit(p, mail(7), "RS")
    p.remote.flag("INBOX", p_body(p, 7), "FS")
    p.remote.flag("Lists/b", p_body(p, 9, "Lists/b"), "")
    r = p.sync()
    known = isinstance(maker, Mbsync)
    assert r.end["flagged"] == 7 and set(counts(r)) == {"flagged"}, r
    cheap(r)
    quiet(p)
    same(p)
    state = flags(p.local.state())
    assert (state[0], state[2], state[7]) == ("F", "S", "FRS")
    assert (state[3], state[5]) == (("", "S") if known else ("S", "FS"))
    assert flags(p.local.state(), "Lists/b")[9] == ("" if known else "FS")
    maker.idle()
    quiet(p)
    same(p)


def p_body(p, n, folder="INBOX"):
    """The server's copy, marks and all."""
    found = [b for b in p.remote.bodies(folder) if number(b) == n]
    assert len(found) == 1
    return found[0]


def test_deleted_since(mbsync):
    """Whether it was deleted, or is kept on one side by the maker's rules, is not known: it comes back, and is told of; a person's word has it deleted."""
    p = mbsync.p
    for folder in ("INBOX", "Lists/b"):  # of this very second, it would not be believed
        os.utime(mbsync.state(folder), (time.time() - AGE, time.time() - AGE))
    edit(p, mail(1), gone=True)
    p.remote.delete("INBOX", p_body(p, 2))
    p.remote.delete("Lists/b", p_body(p, 9, "Lists/b"))
    for way in ("--dry-run", "--dry-run --allow-deletions", "--allow-deletions"):
        r = p.sync(*way.split())
        if "allow" in way:
            assert counts(r) == {"deleted": 3} and r.of("warning") == [], r
        else:
            assert counts(r) == {"pulled": 1, "pushed": 2}, r
            assert [re.sub(r" that mbsync.*?sides", "", w["text"]).split(";")[0] for w in r.of("warning")] == [
                "of the messages of 'INBOX' 1 are gone here and 1 at the server", "of the messages of 'Lists/b' 0 are gone here and 1 at the server"], r
        if way != "--dry-run":
            cheap(r)
    quiet(p)
    same(p)
    assert sorted(flags(p.local.state())) == [0, 3, 4, 5, 6, 7, 20]
    mbsync.idle()
    quiet(p)


def test_deleted_since_comes_back(mbsync):
    p = mbsync.p
    edit(p, mail(1), gone=True)
    p.remote.delete("INBOX", p_body(p, 2))
    r = p.sync()
    assert counts(r) == {"pulled": 1, "pushed": 1} and len(r.of("warning")) == 1, r
    cheap(r, 2)
    quiet(p)
    same(p)
    assert sorted(flags(p.local.state())) == [0, 1, 2, 3, 4, 5, 6, 7, 20]


def test_a_mirror_of_one_way(best, tmp_path):
    """What mbsync was told to keep on one side is not taken for deleted, however long ago."""
    p = Sync(tmp_path, best)
    maker = Mbsync(p, more="Sync Pull New Flags")
    fill(p)
    maker.sync()
    p.remote.delete("INBOX", mail(1))
    p.remote.delete("INBOX", mail(2))
    maker.sync()
    assert len(p.local.bodies()) == 8
    r = p.sync()
    assert counts(r) == {"pushed": 2} and len(r.of("warning")) == 1, r
    quiet(p)
    same(p)
    assert len(p.local.bodies()) == 8


def test_marked_for_deletion(best, tmp_path):
    """A maker that expunges nothing: what was deleted at the server has a mark here, and comes back; it is told of."""
    p = Sync(tmp_path, best)
    maker = Mbsync(p, more="Expunge None", expunge="")
    fill(p)
    maker.sync()
    p.remote.delete("INBOX", mail(1))
    maker.sync()
    assert flags(p.local.state())[1] == "FST" and "\n0 2 FS\n" in open(maker.state()).read()
    r = p.sync()
    assert counts(r) == {"pushed": 1} and "0 are gone here and 1 at the server" in r.of("warning")[0]["text"], r
    quiet(p)
    same(p)


def test_new_since(maker):
    """New mail of both sides is brought over, and only that. Its maker would take it for new as well, and loses nothing."""
    p = maker.p
    p.remote.deliver(mail(30), age=AGE)
    p.local.deliver(mail(31), flags="F", age=AGE)
    p.remote.deliver(mail(32), folder="Lists/b", flags="S", age=AGE)
    r = p.sync()
    assert counts(r) == {"pulled": 2, "pushed": 1}, r
    cheap(r, 3)
    quiet(p)
    same(p)
    assert sorted(flags(p.local.state())) == [0, 1, 2, 3, 4, 5, 6, 7, 20, 30, 31]
    assert not [n for n in os.listdir(os.path.join(p.local.box("INBOX"), "new")) + os.listdir(os.path.join(p.local.box("INBOX"), "cur"))
                if ",U=" in n and number(open(next(x for x in haul.maildir_files(p.local.box("INBOX")) if x.endswith("/" + n)), "rb").read()) >= 30]
    maker.sync()
    held = {number(b) for b in p.local.bodies()}
    assert held == {number(b) for b in p.remote.bodies()} == {0, 1, 2, 3, 4, 5, 6, 7, 20, 30, 31}


def test_moved_afterwards(mbsync):
    """A file that moves to another folder leaves the UID behind, which would be another message's there."""
    p = mbsync.p
    p.settle()
    with p.remote.connect() as c:
        c.select("INBOX")
        c.uid("move", p.remote.uid_of(c, "INBOX", p_body(p, 20)), p.remote.wire("Lists/b"))
    p.sync()
    same(p)
    names = os.listdir(os.path.join(p.local.box("Lists/b"), "cur")) + os.listdir(os.path.join(p.local.box("Lists/b"), "new"))
    assert len(names) == 5 and len([n for n in names if ",U=" in n]) == 4, names
    quiet(p)


# -- where it keeps its state ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("state, take_over", [("SyncState %s/state/", "%s/state/"), ("", "%s/maker/.mbsync/:far:*_:near:*"), ("SyncState %s/state/x", "%s/state/x*")])
def test_state_elsewhere(best, tmp_path, state, take_over):
    p = Sync(tmp_path, best)
    maker = filled(p, Mbsync(p, state=state and state % p.dir))
    if not state:
        assert os.path.exists(os.path.join(p.dir, "maker/.mbsync/:far:Lists!b_:near:Lists!b"))
    p.configure("take-over = " + haul.quoted(take_over % p.dir))
    edit(p, mail(5), "")
    r = p.sync()
    assert counts(r) == {"flagged": 1} and r.of("warning") == [], r
    cheap(r)
    assert flags(p.local.state())[5] == ""
    quiet(p)
    same(p)
    maker.idle()
    quiet(p)


def test_state_that_is_not_there(best, tmp_path):
    """Without it the content tells, and nothing is doubled."""
    p = Sync(tmp_path, best, "take-over = /no/where/")
    filled(p, Mbsync(p, state="SyncState %s/state/" % p.dir))
    r = p.sync()
    assert actions(r) == [] and len(r.of("warning")) == 2 and "/no/where/INBOX" in r.of("warning")[0]["text"], r
    quiet(p)
    same(p)


@pytest.mark.parametrize("dates", [False, True])
def test_without_state(best, tmp_path, dates):
    """The mark that mbsync puts into its copies makes no other messages of them; nor does a time of arrival that it did not keep."""
    p = Sync(tmp_path, best)
    maker = filled(p, Mbsync(p, more="CopyArrivalDate yes" if dates else ""))
    for folder in ("INBOX", "Lists/b"):
        os.unlink(maker.state(folder))
    assert sum(b"X-TUID: " in b for b in p.local.bodies()) == 8 and b"X-TUID: " in p_body(p, 20)
    r = p.sync()
    assert actions(r) == [], r
    if dates:
        cheap(r)
    quiet(p)
    same(p)


# -- state that is not believed -----------------------------------------------------------------------------------------


def damage(text):
    """[(what it is, the state after it)]"""
    lines = text.splitlines(keepends=True)
    start = lines.index("\n") + 1
    far, near, rest = lines[start].split(" ", 2)
    out = [("cut %d" % i, "".join(lines[:i])) for i in range(len(lines))]
    out += [("cut in %d" % i, "".join(lines[:i]) + lines[i][:-2]) for i in range(len(lines)) if len(lines[i]) > 2]
    for what, line in (("huge", "99999999999999999999 1 S\n"), ("large", "4294967296 4294967296 \n"), ("twice far", "%s 4000 %s" % (far, rest)),
                       ("twice near", "4000 %s %s" % (near, rest)), ("escape", "\x1b[2J\x1b]0;x\x07 1 S\n"), ("letters", "4000 4000 Z\n"), ("nothing", "0 0 \n"),
                       ("long", "5" * 100000 + "\n"), ("NUL", "4000 4000 \0S\n")):
        out.append((what, text + line))
    swapped = [line.split(" ", 2) for line in lines[start:]]
    out.append(("swapped", "".join(lines[:start]) + "".join("%s %s %s" % (a[0], b[1], a[2]) for a, b in zip(swapped, reversed(swapped)))))
    out.append(("of strangers", "".join(lines[:start]) + "".join("%d %d FRST\n" % (5000 + i, 6000 + i) for i in range(50))))
    out += [("bytes", "\xff\xfe\0" * 99), ("empty", "")]
    return out


@pytest.mark.deadline(300)
def test_damaged_state(mbsync, tmp_path):
    """Whatever it says: what verifies is used, the rest is known by its content; nothing is doubled, deleted, or printed."""
    p = mbsync.p
    before = p.local.state()
    remote = p.remote.files()
    with open(mbsync.state(), encoding="latin-1", newline="") as f:
        text = f.read()
    for what, state in damage(text):
        with open(mbsync.state(), "w", encoding="latin-1", newline="") as f:
            f.write(state)
        r = p.sync()
        assert actions(r) == [] and "\x1b" not in r.out + r.err, (what, r)
        assert len(r.of("warning")) <= 1, (what, r)
        if not what.startswith("cut ") and what not in ("swapped", "of strangers"):
            assert "what mbsync noted of 'INBOX' is not used" in r.of("warning")[0]["text"], (what, r)
        assert p.local.state() == before and p.remote.files() == remote, what
        p.forget()


@pytest.mark.parametrize("kind", ["link", "dangling", "fifo", "directory"])
def test_no_state_but(mbsync, tmp_path, kind):
    p = mbsync.p
    aside = str(tmp_path / "aside")
    os.rename(mbsync.state(), aside)
    if kind == "fifo":
        os.mkfifo(mbsync.state())
    elif kind == "directory":
        os.mkdir(mbsync.state())
    else:
        os.symlink(aside if kind == "link" else "/no/where", mbsync.state())
    r = p.sync()
    assert actions(r) == [] and "is not used" in r.of("warning")[0]["text"], r
    quiet(p)
    same(p)


@pytest.mark.parametrize("side", ["server", "files"])
def test_numbered_anew(mbsync, side):
    """The state speaks of other numbers: it is not used, and said so."""
    p = mbsync.p
    if side == "files":
        path = os.path.join(p.local.box("INBOX"), ".uidvalidity")
        with open(path) as f:
            text = f.read()
        with open(path, "w") as f:
            f.write(str(int(text.split()[0]) + 1) + text[text.index("\n"):])
    else:
        with open(mbsync.state()) as f:
            text = f.read()
        with open(mbsync.state(), "w") as f:
            f.write(re.sub(r"FarUidValidity \d+", "FarUidValidity 1", text))
    r = p.sync()
    assert actions(r) == [] and "numbered" in r.of("warning")[0]["text"] and len(r.of("warning")) == 1, r
    quiet(p)
    same(p)


def test_another_way_to_keep_uids(best, tmp_path):
    p = Sync(tmp_path, best)
    filled(p, Mbsync(p, store="AltMap yes"))
    assert os.path.exists(os.path.join(p.local.box("INBOX"), ".isyncuidmap.db"))
    r = p.sync()
    assert actions(r) == [] and ".isyncuidmap.db are not read" in r.of("warning")[0]["text"], r
    quiet(p)
    same(p)


# -- what is not to be touched ---------------------------------------------------------------------------------------


def test_interrupted(mbsync):
    """A journal means that the state is not all: that folder is left alone, the others go on."""
    p = mbsync.p
    for suffix in (".journal", ".new"):
        with open(mbsync.state() + suffix, "w") as f:
            f.write("4\n")
    before, remote = p.local.files(), p.remote.files()
    r = p.run("both")
    assert r.code == 1 and actions(r) == [], r
    assert [e["folder"] for e in r.of("error")] == ["INBOX"] and "mbsync was interrupted" in r.of("error")[0]["text"], r
    assert p.local.files() == before and p.remote.files() == remote
    os.unlink(mbsync.state() + ".new")
    os.unlink(mbsync.state() + ".journal")
    assert actions(p.sync()) == []
    quiet(p)


def test_at_work(mbsync):
    import fcntl
    p = mbsync.p
    with open(mbsync.state() + ".lock", "w") as f:
        fcntl.lockf(f, fcntl.LOCK_EX)
        r = p.run("both")
        assert r.code == 1 and actions(r) == [] and "mbsync is at work" in r.of("error")[0]["text"], r
    assert actions(p.sync()) == []
    quiet(p)


def test_placeholders(best, tmp_path):
    """They are no messages: neither is one sent, nor taken for what it stands for."""
    p = Sync(tmp_path, best)
    maker = Mbsync(p, store="MaxSize 25k")
    p.remote.deliver(mail(1), age=AGE)
    p.remote.deliver(mail(2, 40000), age=AGE)
    maker.sync()
    assert len(p.local.bodies()) == 2 and any(b"[placeholder]" in b for b in p.local.bodies())
    remote, local = p.remote.files(), p.local.files()
    r = p.run("both")
    assert r.code == 1 and actions(r) == [] and "placeholders where 1 message was too large" in r.of("error")[0]["text"], r
    assert p.remote.files() == remote and p.local.files() == local
    os.unlink(next(x for x in haul.maildir_files(p.local.box("INBOX")) if b"[placeholder]" in open(x, "rb").read()))
    r = p.sync()
    assert counts(r) == {"pulled": 1}, r
    quiet(p)
    same(p)
    assert len(p.local.bodies()) == 2


def test_a_file_that_was_copied(mbsync):
    """Two files with one UID: which of them is the message that the state means? The content tells."""
    p = mbsync.p
    path = haul.maildir_files(p.local.box("INBOX"))[0]
    body = open(path, "rb").read()
    name = os.path.basename(path)
    shutil.copy2(path, os.path.join(os.path.dirname(path), "copy" + name))
    r = p.sync()
    assert counts(r) == {"pushed": 1}, r
    quiet(p)
    remote = [number(b) for b in p.remote.bodies()]
    assert remote.count(number(body)) == 2 and len(remote) == 10


# -- interrupted -----------------------------------------------------------------------------------------------------


class TakenOver(Scene):
    """Filled by mbsync, and changed in every way since."""

    def __init__(self, directory, srv, args=()):
        super().__init__(directory, srv, "")
        p = self.p
        self.args = args
        filled(p, Mbsync(p))
        p.remote.flag("INBOX", p_body(p, 0), "F")
        edit(p, mail(1), "")
        p.remote.flag("INBOX", p_body(p, 3), "")
        edit(p, mail(4), gone=True)
        p.remote.delete("INBOX", p_body(p, 5))
        p.remote.deliver(mail(30), age=AGE)
        p.local.deliver(mail(31), flags="F", age=AGE)
        p.remote.flag("Lists/b", p_body(p, 9, "Lists/b"), "")
        os.makedirs(p.state, 0o700)
        self.keep()
        p.sync(*args)
        self.want = self.state()
        assert dict(flags(p.local.state()), lists=flags(p.local.state(), "Lists/b")[9]) == {
            0: "F", 1: "", 2: "", 3: "", **({} if args else {4: "", 5: "FS"}), 6: "", 7: "S", 20: "S", 30: "", 31: "F", "lists": ""}


@pytest.mark.crash
@pytest.mark.parametrize("args", [(), ("--allow-deletions",)], ids=["", "allow-deletions"])
@pytest.mark.deadline(300)
def test_stopped_at_every_step(best, tmp_path, args):
    scene = TakenOver(tmp_path, best, args)
    for step in scene.stopped("run", "both", *args):
        scene.p.sync(*args)
        scene.finish("step %d" % step)
    assert step > 8


# -- others ----------------------------------------------------------------------------------------------------------


def test_dovecots_own(best, tmp_path):
    """A Maildir that a Dovecot has served (S=, W=, its own files), as a copy of the account at another server: known by its content, and served by it again."""
    p = Sync(tmp_path, best, scheme="imaps")
    fill(p)
    shutil.copytree(p.srv.maildir(p.user), p.local.path, dirs_exist_ok=True)
    p.configure("")
    p.reconfigure("local = " + haul.quoted("maildir:" + p.local.path), "local = copy")
    with open(p.conf) as f:
        text = f.read()
    haul.Haul.write_private(p.conf, "maildir copy { path = %s\n layout = maildir++ }\n" % haul.quoted(p.local.path) + text)
    names = {os.path.basename(x).split(":2,")[0] for x in haul.maildir_files(p.local.path)}
    assert len(names) == 8 and all(",S=" in n for n in names)
    own = {n: open(os.path.join(p.local.path, n), "rb").read() for n in os.listdir(p.local.path) if n.startswith("dovecot") and "index" not in n}
    assert own
    p.remote.flag("INBOX", mail(1), "")
    r = p.sync()
    assert counts(r) == {"flagged": 1}, r
    cheap(r)
    assert {os.path.basename(x).split(":2,")[0] for x in haul.maildir_files(p.local.path)} == names
    assert {n: open(os.path.join(p.local.path, n), "rb").read() for n in own} == own
    quiet(p)
    # the copy takes the place of the account's own
    uids = p.remote.files()
    shutil.rmtree(p.srv.maildir(p.user))
    shutil.copytree(p.local.path, p.srv.maildir(p.user))
    p.srv.give(p.srv.home(p.user))
    assert {f: sorted(rows[0]) for f, rows in p.remote.files().items()} == {f: sorted(rows[0]) for f, rows in uids.items()}
    quiet(p)


def test_getmails_own(best, tmp_path):
    """Lines that getmail puts before a message make it another one: both are kept, on both sides."""
    p = Sync(tmp_path, best)
    p.remote.deliver(mail(1), age=AGE)
    name = p.local.deliver(b"Return-Path: <unknown>\nDelivered-To: unknown\nReceived: from localhost (127.0.0.1:995) by localhost with POP3-SSL\n"
                           b"  getmail6 msgid:000000016b0cbbef; 29 Nov 2026 23:57:36 -0000\n" + mail(1), age=AGE)
    r = p.sync()
    assert counts(r) == {"pulled": 1, "pushed": 1}, r
    quiet(p)
    p.same()
    assert len(p.local.bodies()) == 2 and name in os.listdir(os.path.join(p.local.box("INBOX"), "new"))
