"""Folders that get another name on one side get it on the other, with what is in them and below them; no body goes over the wire for it."""

import os
import re

import pytest

from moving import AGE, SIZE, mail, on_wire, where
from twoway import MOVERS, Scene, Sync, counts, server_of_each

pytestmark = pytest.mark.crash
each_server = server_of_each(MOVERS)

B = "Lists/b"


def sorted_mail(p, n=9):
    """In two folders, one below the other."""
    for i in range(n):
        p.remote.deliver(mail(i), "Lists" if i % 3 else B, "S", age=AGE + i)
    p.settle()
    p.same()
    return p


@pytest.mark.parametrize("side", ["remote", "local"])
def test_a_folder_with_another_name(each_server, tmp_path, side):
    p = sorted_mail(Sync(tmp_path, each_server))
    s, o = (p.remote, p.local) if side == "remote" else (p.local, p.remote)
    s.rename("Lists", "Old lists")
    o.flag("Lists", mail(1), "FS")
    o.delete("Lists", mail(2))
    s.flag("Old lists", mail(4), "RS")
    s.deliver(mail(100), "Old lists", "S", age=AGE)
    r = p.sync()
    assert counts(r) == {"pulled" if side == "remote" else "pushed": 1, "deleted": 1, "flagged": 2, "folders_renamed": 1}, r
    assert on_wire(r) < 1.45 * SIZE + 20000
    p.quiet()
    assert p.local.folders() == {"INBOX", "Old lists", "Old lists/b"}
    want = {i: [("Old lists" if i % 3 else "Old lists/b", "S")] for i in (0, 1, 3, 4, 5, 6, 7, 8, 100)}
    want[1], want[4] = [("Old lists", "FS")], [("Old lists", "RS")]
    assert where(p) == want


@pytest.mark.parametrize("side", ["remote", "local"])
def test_a_folder_with_another_name_and_less_in_it(best, tmp_path, side):
    """What is missing then was deleted."""
    p = sorted_mail(Sync(tmp_path, best))
    s = getattr(p, side)
    s.rename("Lists", "Old lists")
    s.delete("Old lists", mail(5))
    r = p.sync()
    assert counts(r) == {"folders_renamed": 1, "deleted": 1}, r
    p.quiet()
    p.same()


@pytest.mark.parametrize("side", ["remote", "local"])
def test_two_folders_that_swap_names(best, tmp_path, side):
    p = sorted_mail(Sync(tmp_path, best))
    s = getattr(p, side)
    s.rename(B, "tmp")
    for i in (1, 2, 4, 5, 7, 8):
        s.move("Lists", mail(i), B)
    for i in (0, 3, 6):
        s.move("tmp", mail(i), "Lists")
    s.remove("tmp")
    r = p.sync()
    assert counts(r) == {"moved": 9} and on_wire(r) < (2 * SIZE if side == "remote" else 0) * 1.45 + 20000, r  # one in each: are the sizes lies?
    p.quiet()
    assert where(p) == {i: [(B if i % 3 else "Lists", "S")] for i in range(9)}


class Names(Scene):
    """A folder has another name on one side."""

    def __init__(self, directory, srv, side):
        super().__init__(directory, srv, "max-delete = none")
        sorted_mail(self.p)
        s, o = (self.p.remote, self.p.local) if side == "remote" else (self.p.local, self.p.remote)
        s.rename("Lists", "Old lists")
        s.flag("Old lists", mail(1), "FS")
        o.flag("Lists", mail(2), "RS")
        self.keep()
        one = {"INBOX": [], B.replace("Lists", "Old lists"): [(mail(i), "S") for i in (0, 3, 6)],
               "Old lists": sorted((mail(i), {1: "FS", 2: "RS"}.get(i, "S")) for i in (1, 2, 4, 5, 7, 8))}
        self.want = {"remote": one, "local": one}


@pytest.mark.deadline(300)
@pytest.mark.parametrize("side", ["remote", "local"])
def test_another_name_at_every_step(each_server, tmp_path, side):
    scene = Names(tmp_path, each_server, side)
    scene.finish("undisturbed")
    for step in scene.stopped():
        scene.finish("step %d" % step)
    assert step > 3


def renames(r):
    return [(e["folder"], e["to"], e["where"]) for e in r.events if e.get("action") == "rename"]


def test_it_is_the_same_mailbox_there(best, tmp_path):
    """RENAME, and not a new one: what others know of it stays true, and its subscription, and those below, have the new name."""
    p = sorted_mail(Sync(tmp_path, best))
    with p.remote.connect() as c:
        before = [c.status(p.remote.wire(f), "(UIDVALIDITY UIDNEXT)")[1][0].split(b" ", 1)[1] for f in ("Lists", B)]
    for f in ("Lists", B):
        p.remote.do("subscribe", p.remote.wire(f))
    p.settle()
    p.local.rename("Lists", "Old")
    r = p.sync()
    assert renames(r) == [("Lists", "Old", "remote")] and counts(r) == {"folders_renamed": 1}, r
    with p.remote.connect() as c:
        after = [c.status(p.remote.wire(f), "(UIDVALIDITY UIDNEXT)")[1][0].split(b" ", 1)[1] for f in ("Old", "Old/b")]
        listed = {p.remote.name(re.search(r'"\." "?([^"]*)"?$', line.decode()).group(1)) for line in c.lsub()[1]}
    assert [x.split()[-3:] for x in after] == [x.split()[-3:] for x in before]
    assert {"Old", "Old/b"} <= listed and not {"Lists", B} & listed, listed
    p.quiet()


@pytest.mark.parametrize("side", ["remote", "local"])
def test_one_below_gets_another_place(each_server, tmp_path, side):
    p = sorted_mail(Sync(tmp_path, each_server))
    getattr(p, side).rename(B, "Keep/2026/b")
    r = p.sync()
    assert counts(r) == {"folders_renamed": 1}, r
    p.quiet()
    assert where(p) == {i: [("Lists" if i % 3 else "Keep/2026/b", "S")] for i in range(9)}


def test_the_inbox_keeps_its_name(best, tmp_path):
    """RENAME of INBOX moves what is in it (RFC 3501 section 6.3.5); so it is taken here."""
    p = Sync(tmp_path, best)
    for i in range(5):
        p.remote.deliver(mail(i), "INBOX", "S", age=AGE + i)
    p.settle()
    p.local.rename("INBOX", "Was in")
    p.local.make("INBOX")
    r = p.sync()
    assert counts(r) == {"moved": 5, "folders_made": 1} and on_wire(r) < 20000, r
    p.quiet()
    assert where(p) == {i: [("Was in", "S")] for i in range(5)}


@pytest.mark.parametrize("layout, side", [("maildir++", "remote"), ("maildir++", "local"), ("flat", "remote"), ("flat", "local")])
def test_layouts_in_which_folders_are_not_below(best, tmp_path, layout, side):
    """There each directory is renamed by itself."""
    p = sorted_mail(Sync(tmp_path, best))
    root = os.path.join(p.dir, "other")
    with open(p.conf) as f:
        text = f.read()
    p.write_private(p.conf, text.replace('local = "maildir:%s"' % p.local.path, "local = tree") + 'maildir tree { path = "%s" layout = "%s" }\n' % (root, layout))
    p.forget()
    p.settle()
    name = {"maildir++": lambda f: "." + f.replace("/", "."), "flat": lambda f: f.replace("/", ".")}[layout]
    assert os.path.isdir(os.path.join(root, name("Lists"), "cur")) and os.path.isdir(os.path.join(root, name(B), "cur"))
    if side == "remote":
        p.remote.rename("Lists", "Old")
    else:
        os.rename(os.path.join(root, name("Lists")), os.path.join(root, name("Old")))
        os.rename(os.path.join(root, name(B)), os.path.join(root, name("Old/b")))
    r = p.sync()
    assert counts(r) == {"folders_renamed": 1}, r
    p.quiet()
    for f, n in (("Old", 6), ("Old/b", 3)):
        assert len(os.listdir(os.path.join(root, name(f), "cur"))) == n and len(p.remote.bodies(f)) == n
    assert "Lists" not in p.remote.folders() and not os.path.exists(os.path.join(root, name(B)))


@pytest.mark.parametrize("side", ["remote", "local"])
def test_one_above_alone(best, tmp_path, side):
    """What is below has its old name still: a rename would take it along."""
    p = sorted_mail(Sync(tmp_path, best))
    s = getattr(p, side)
    s.rename("Lists", "Old")
    s.rename("Old/b", B)
    r = p.sync()
    assert counts(r) == {"moved": 6, "folders_made": 1, "folders_removed": 1} and on_wire(r) < 20000, r
    p.quiet()
    assert where(p) == {i: [("Old" if i % 3 else B, "S")] for i in range(9)}


def test_the_name_is_taken_here(best, tmp_path):
    """By a directory that is no folder: nothing is put over it."""
    p = sorted_mail(Sync(tmp_path, best))
    os.makedirs(os.path.join(p.local.path, "Old", "papers"))
    p.remote.rename("Lists", "Old")
    r = p.sync()
    assert "moved instead" in r.of("warning")[0]["text"], r
    assert r.end["moved"] == 6 and renames(r) == [(B, "Old/b", "local")] and on_wire(r) < 30000, r
    p.quiet()
    assert os.path.isdir(os.path.join(p.local.path, "Old", "papers"))
    assert where(p) == {i: [("Old" if i % 3 else "Old/b", "S")] for i in range(9)}


def test_both_sides_give_it_the_same_name(best, tmp_path):
    p = sorted_mail(Sync(tmp_path, best))
    p.remote.rename("Lists", "Old")
    p.local.rename("Lists", "Old")
    p.remote.flag("Old", mail(1), "FS")
    p.local.delete("Old", mail(2))
    r = p.sync()
    assert counts(r) == {"flagged": 1, "deleted": 1}, r
    p.quiet()
    assert where(p)[1] == [("Old", "FS")] and 2 not in where(p)


def test_both_sides_give_it_another_name(best, tmp_path):
    p = sorted_mail(Sync(tmp_path, best))
    p.remote.rename(B, "There")
    p.local.rename(B, "Here")
    r = p.sync()
    assert r.end["moved"] == 3 and r.end["pulled"] == r.end["pushed"] == r.end["deleted"] == 0, r
    p.settle()
    assert where(p) == {i: [("Lists" if i % 3 else "There", "S")] for i in range(9)}


@pytest.mark.parametrize("side", ["remote", "local"])
def test_one_goes_below_another_that_is_renamed_there(each_server, tmp_path, side):
    """Each side gives one of them a name, and both are followed: the one goes along with the other, wherever that has its new name from."""
    p = sorted_mail(Sync(tmp_path, each_server))
    s, o = (p.remote, p.local) if side == "remote" else (p.local, p.remote)
    s.deliver(mail(100), "Apart", "S", age=AGE)
    p.settle()
    s.rename("Apart", "Lists/apart")
    o.rename("Lists", "Old")
    r = p.sync()
    assert r.end["folders_renamed"] == 2 and r.end["moved"] == r.end["pulled"] == r.end["pushed"] == r.end["deleted"] == 0, r
    p.settle()
    assert where(p) == {100: [("Old/apart", "S")], **{i: [("Old" if i % 3 else "Old/b", "S")] for i in range(9)}}


@pytest.mark.parametrize("side", ["remote", "local"])
def test_other_mail_in_a_new_folder(each_server, tmp_path, side):
    """A folder is removed, and another made: that is no rename, however alike they look."""
    p = sorted_mail(Sync(tmp_path, each_server, "max-delete = none\n\tremove-folders = both"))
    s = getattr(p, side)
    s.remove(B)
    s.make("Other")
    for i in (100, 103, 106):
        s.deliver(mail(i), "Other", "S", age=AGE)
    r = p.sync()
    assert r.end["folders_renamed"] == 0 and r.end["deleted"] == 3 and r.end["pulled" if side == "remote" else "pushed"] == 3, r
    p.quiet()
    assert where(p) == {**{i: [("Lists", "S")] for i in (1, 2, 4, 5, 7, 8)}, **{i: [("Other", "S")] for i in (100, 103, 106)}}


@pytest.mark.parametrize("side", ["remote", "local"])
def test_a_copy_of_a_folder(best, tmp_path, side):
    """Which of the two it is nobody can tell."""
    p = sorted_mail(Sync(tmp_path, best, "remove-folders = both\n\tmax-delete = none"))
    s = getattr(p, side)
    for i in (0, 3, 6):
        for to in ("One", "Two"):
            s.copy(B, mail(i), to)
    s.remove(B)
    r = p.sync()
    assert r.end["folders_renamed"] == 0, r
    p.settle()
    assert where(p) == {**{i: [("Lists", "S")] for i in (1, 2, 4, 5, 7, 8)}, **{i: [("One", "S"), ("Two", "S")] for i in (0, 3, 6)}}


@pytest.mark.parametrize("side", ["remote", "local"])
def test_a_dry_run_of_a_rename(best, tmp_path, side):
    p = sorted_mail(Sync(tmp_path, best))
    s, o = (p.remote, p.local) if side == "remote" else (p.local, p.remote)
    s.rename("Lists", "Old")
    s.flag("Old", mail(1), "FS")
    o.delete("Lists", mail(2))
    before = p.remote.files(), p.local.files()
    dry = p.sync("--dry-run")
    assert (p.remote.files(), p.local.files()) == before
    r = p.sync()
    assert counts(dry) == counts(r) == {"folders_renamed": 1, "flagged": 1, "deleted": 1}, (dry, r)
    assert renames(dry) == renames(r) == [("Lists", "Old", "local" if side == "remote" else "remote")]


def test_it_is_told(best, tmp_path):
    p = sorted_mail(Sync(tmp_path, best))
    p.remote.rename("Lists", "Old")
    r = p.call("run", "both", "--dry-run")
    assert "would rename folder Lists to Old here" in r.out and "1 folder to be renamed" in r.out, r
    r = p.call("run", "both", "-v")
    assert "rename folder Lists to Old here" in r.out + r.err and "1 folder renamed" in r.out + r.err, r


@pytest.mark.parametrize("level", ["folder", "name"])
@pytest.mark.parametrize("side", ["remote", "local"])
def test_many_below(best, tmp_path, side, level):
    """They come along, unless what is above them is a name only: then each is renamed."""
    p = Sync(tmp_path, best)
    with p.remote.connect() as c:
        if level == "folder":
            c.create(p.remote.wire("Lists"))
            p.remote.append(c, mail(100), "Lists", "S", 1700000000)
        for i in range(30):
            c.create(p.remote.wire("Lists/%d" % i))
            p.remote.append(c, mail(i), "Lists/%d" % i, "S", 1700000000 + i)
    p.settle()
    getattr(p, side).rename("Lists", "Old")
    r = p.sync()
    assert counts(r) == {"folders_renamed": 1 if level == "folder" else 30}, r
    assert r.end["round_trips"] < (20 if (side, level) == ("local", "folder") else 110), r
    p.quiet()
    p.same()


def test_the_new_name_is_left_out(best, tmp_path):
    p = sorted_mail(Sync(tmp_path, best, 'folders = { "*", "!Old*" }\n\tmax-delete = none'))
    p.remote.rename("Lists", "Old")
    r = p.sync()
    assert r.end["folders_renamed"] == 0 and r.end["deleted"] == 0, r
    assert "is gone at the server" in r.of("warning")[0]["text"], r
    assert sorted(p.local.bodies("Lists")) == sorted(mail(i) for i in (1, 2, 4, 5, 7, 8))
