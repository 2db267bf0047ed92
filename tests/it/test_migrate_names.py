"""Folders of a migration between two servers: what the target calls them, what it would not have, and what two names for one folder end in."""

import contextlib
import os

import pytest

import haul
import twoway
from hostile import clean
from imappeer import Peer, Refused, text
from test_hostile_imap import letters
from twoway import counts


class Move(twoway.Job):
    """A job "move" from one scripted server to another."""

    def __init__(self, directory, source, target, job=""):
        super().__init__(directory, 1)
        self.source, self.target = source, target
        lines = []
        for name, srv in (("old", source), ("new", target)):
            lines += ["account %s {" % name, "\turl = %s" % haul.quoted("imap://%s@127.0.0.1:%d" % (srv.user_name, srv.port)), "\tpassword-file = %s" % haul.quoted(self.secret),
                      "\ttls = none\n\ttimeout = 5s\n}"]
        self.write_private(self.conf, "\n".join(lines) + "\nmigrate move {\n\tfrom = old\n\tto = new\n\t%s\n}\n" % job)

    @property
    def db(self):
        return os.path.join(self.state, "move.db")

    def move(self, code=0):
        r = clean(self.run("move"))
        assert r.code == code, r
        return r

    def there(self):
        """{folder of the target: how many messages}, of those that hold some"""
        return {name: len(rows) for name, rows in self.target.state().items() if rows}


@contextlib.contextmanager
def moving(directory, folders, target=None, there=(), roles=(), target_roles=(), job="", source_class=Peer, **attrs):
    """folders: {name: messages}; roles: {name: "\\\\Sent"}."""
    with source_class({name: letters(n, 1 + 100 * i) for i, (name, n) in enumerate(folders.items())}) as old, \
            (target or Peer)({name: [] for name in there}) as new:
        new.user_name = "bert"
        for srv, of in ((old, roles), (new, target_roles)):
            for name, role in dict(of).items():
                srv.folders[name].attrs = [role]
        for name, value in attrs.items():
            setattr(new, name, value)
        m = Move(directory, old, new, job)
        before = old.state()
        yield m
        assert old.state() == before


def quiet(m):
    """Another run finds all as it was left."""
    before = m.target.state()
    r = m.move()
    assert counts(r) == {} and m.target.state() == before, r


def refused(r):
    """{folder: what is said of it}"""
    return {e["folder"]: e["text"] for e in r.of("error")}


def test_roles(tmp_path):
    roles = {"Gesendet": "\\Sent", "Papierkorb": "\\Trash", "Wichtig": "\\Important"}
    with moving(tmp_path, {"INBOX": 1, "Gesendet": 2, "Gesendet/2025": 3, "Papierkorb": 4, "Wichtig": 1, "Work": 5}, there=["Sent Items", "Deleted Items"], roles=roles,
                target_roles={"Sent Items": "\\Sent", "Deleted Items": "\\Trash"}) as m:
        r = m.call("list", "move")
        assert r.code == 0 and "-> Sent Items" in r.out and "-> Deleted Items" in r.out, r
        m.move()
        assert m.there() == {"INBOX": 1, "Sent Items": 2, "Sent Items/2025": 3, "Deleted Items": 4, "Work": 5}
        quiet(m)
        # what was decided holds, whatever is said of roles later
        m.target.folders["Sent Items"].attrs = []
        m.target.create(type("Link", (), {"ok": lambda *a: None})(), "", ["Other"])
        m.target.folders["Other"].attrs = ["\\Sent"]
        m.source.folders["Gesendet"].add(letters(1, 900)[0])
        r = clean(m.run("move"))
        assert r.code == 0 and m.there()["Sent Items"] == 3 and "Other" not in m.there(), r
        m.source.folders["Gesendet"].expunge([3])


def test_another_separator(tmp_path):
    """A name that holds it is changed, told, and found again."""
    with moving(tmp_path, {"INBOX": 1, "a.b": 2, "a.b/c.d": 3}, separator=".") as m:
        r = m.move()
        assert m.there() == {"INBOX": 1, "a_b": 2, "a_b.c_d": 3}
        assert any("'a.b' becomes 'a_b'" in e["text"] for e in r.of("warning")), r
        quiet(m)


def test_two_that_would_be_one(tmp_path):
    with moving(tmp_path, {"INBOX": 1, "a.b": 2, "a_b": 3}, separator=".") as m:
        r = m.call("-v", "list", "move")
        assert "folder 'a.b': it is left out" in r.out + r.err, r
        r = m.move(1)
        assert m.there() == {"INBOX": 1, "a_b": 3}
        assert list(refused(r)) == ["a.b"] and 'folder "a.b" { to = ' in refused(r)["a.b"], r
        m.reconfigure("to = new", 'to = new\n\tfolder "a.b" { to = "ab" }')
        m.move()
        assert m.there() == {"INBOX": 1, "a_b": 3, "ab": 2}
        quiet(m)


class AnyCase(Peer):
    """Case makes no difference in names (Exchange)."""

    def spelled(self, word):
        return next((f for f in self.folders if f.lower() == text(word).lower()), text(word))

    def folder(self, word, make=False):
        return super().folder(self.spelled(word), make)

    def create(self, link, tag, args):
        super().create(link, tag, [self.spelled(args[0])])


def test_a_target_to_which_case_makes_no_difference(tmp_path):
    """Two folders are not put into one; and one that is there under another spelling is the same."""
    with moving(tmp_path, {"INBOX": 1, "Work": 2, "work": 3, "notes": 4}, AnyCase, there=["Notes"]) as m:
        r = m.move(1)
        assert m.there() == {"INBOX": 1, "Work": 2, "Notes": 4}
        assert list(refused(r)) == ["work"] and "'Work'" in refused(r)["work"] and 'folder "work" { to = ' in refused(r)["work"], r
        r = m.move(1)
        assert list(refused(r)) == ["work"] and counts(r) == {"failed": 1}, r
        m.reconfigure("to = new", 'to = new\n\tfolder "work" { to = "work 2" }')
        m.move()
        assert m.there() == {"INBOX": 1, "Work": 2, "Notes": 4, "work 2": 3}
        quiet(m)


def test_a_folder_there_under_another_spelling_that_holds_mail(tmp_path):
    """What it holds already is found, in the next run, and not copied once more."""
    with moving(tmp_path, {"INBOX": 1, "notes": 4}, AnyCase, there=["Notes"]) as m:
        for body in letters(2, 101):
            m.target.folders["Notes"].add(body)
        r = m.move(1)
        assert "next run" in refused(r)["notes"], r
        assert m.there()["Notes"] == 2
        m.move()
        assert m.there() == {"INBOX": 1, "Notes": 4}
        quiet(m)


class Composes(Peer):
    """Keeps names as NFC."""

    def create(self, link, tag, args):
        super().create(link, tag, [self.nfc(args[0])])

    def folder(self, word, make=False):
        return super().folder(self.nfc(word), make)

    @staticmethod
    def nfc(word):
        return text(word).replace("e&AwE-", "&AOk-")


def test_a_target_that_writes_accents_in_another_way(tmp_path):
    with moving(tmp_path, {"INBOX": 1, "Cafe&AwE-": 2}, Composes) as m:
        m.move()
        assert m.there() == {"INBOX": 1, "Caf&AOk-": 2}
        quiet(m)
    with moving(tmp_path / "two", {"INBOX": 1, "Cafe&AwE-": 2, "Caf&AOk-": 3}, Composes) as m:
        r = m.move(1)
        assert len(refused(r)) == 1 and len(m.there()) == 2, r


class Picky(Peer):
    """Has no folder of some names."""

    def create(self, link, tag, args):
        if text(args[0]) in ("Files", "x" * 300):
            raise Refused("NO [CANNOT] that name is reserved")
        super().create(link, tag, args)


def test_a_name_that_is_refused(tmp_path):
    """It is told with the server's reason and with what to do; all others go on."""
    with moving(tmp_path, {"INBOX": 1, "Files": 2, "Files/deep": 1, "x" * 300: 3, "z": 4}, Picky) as m:
        r = m.move(1)
        assert m.there() == {"INBOX": 1, "Files/deep": 1, "z": 4}
        assert sorted(refused(r)) == ["Files", "x" * 300], r
        assert "reserved" in refused(r)["Files"] and 'folder "Files" { to = ' in refused(r)["Files"], r
        m.reconfigure("to = new", 'to = new\n\tfolder "Files" { to = "My files" }')
        m.move(1)
        assert m.there()["My files"] == 2


class Forgets(Peer):
    """Says that it made a folder, and did not."""

    def create(self, link, tag, args):
        if text(args[0]) == "Gone":
            return link.ok(tag)
        return super().create(link, tag, args)

    def subscribe(self, link, tag, args):
        link.ok(tag)


def test_a_folder_that_is_not_shown(tmp_path):
    with moving(tmp_path, {"INBOX": 1, "Gone": 2, "z": 4}, Forgets) as m:
        r = m.move(1)
        assert "does not show" in refused(r)["Gone"], r
        assert m.there() == {"INBOX": 1, "z": 4}


class Gmailish(Peer):
    """Refuses names with blanks at an end of a level, or two in a row."""

    def create(self, link, tag, args):
        for level in text(args[0]).split("/"):
            if level != " ".join(level.split()):
                raise Refused("NO [CANNOT] Folder contains excess whitespace (Failure)")
        super().create(link, tag, args)


each_blank = pytest.mark.parametrize("name,there", [(" lead", "lead"), ("trail ", "trail"), ("two  blanks", "two blanks"), ("a / b", "a/b")])


@each_blank
def test_blanks_that_gmail_would_not_have(tmp_path, name, there):
    with moving(tmp_path, {"INBOX": 1, name: 2}, Gmailish, caps=Peer.caps + ["X-GM-EXT-1"]) as m:
        r = m.move()
        assert m.there() == {"INBOX": 1, there: 2} and any("becomes '%s'" % there in e["text"] for e in r.of("warning")), r
        quiet(m)


@each_blank
def test_blanks_that_another_would_not_have(tmp_path, name, there):
    """Nobody knows this before: it is told how to go on."""
    with moving(tmp_path, {"INBOX": 1, name: 2}, Gmailish) as m:
        r = m.move(1)
        assert "excess whitespace" in refused(r)[name] and 'folder "%s" { to = ' % name in refused(r)[name] and m.there() == {"INBOX": 1}, r
        m.reconfigure("to = new", 'to = new\n\tfolder "%s" { to = "%s" }' % (name, there))
        m.move()
        assert m.there() == {"INBOX": 1, there: 2}
        quiet(m)
