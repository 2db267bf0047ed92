"""A migrate job as a person meets it: its section, its commands, what is said of it. What is copied, and that nothing is lost, is the business of other tests."""

import os

import pytest

import haul
from twoway import Move, Remote, counts


@pytest.fixture(params=["imap", "maildir"])
def move(request, tmp_path, best):
    m = Move(tmp_path, best if request.param == "imap" else None)
    m.remote.fill("INBOX", 3)
    m.remote.fill("Work/2026", 2, 100)
    return m


def test_run(move):
    r = move.move("--dry-run")
    assert r.of("start")[0]["mode"] == "migrate" and not os.path.exists(move.state) and move.local.folders() in ({"INBOX"}, set()), r
    assert [e["dry_run"] for e in r.of("message")] == [True] * 5
    r = move.move()
    assert counts(r)["pulled"] == 5 and r.of("start")[0]["mode"] == "migrate", r
    assert len(move.local.bodies("INBOX")) == 3 and len(move.local.bodies("Work/2026")) == 2
    assert counts(move.move()) == {}


def test_what_is_said(move):
    r = move.call("run", "-v")
    assert r.code == 0 and "move: 5 messages copied" in r.out, r
    r = move.call("status")
    assert r.code == 0 and " -> maildir:" in r.out and "5 copied" in r.out and "known at the target: messages: 5" in r.out, r
    r = move.call("--json", "status", "move")
    assert [(e["mode"], e["held"]) for e in r.of("status")] == [("migrate", 5)] and "kept" not in r.of("status")[0], r
    r = move.call("list", "move")
    assert r.code == 0 and "Work/2026" in r.out and " -> " in r.out and "<->" not in r.out, r
    r = move.call("undo", "move")
    assert r.code == 64 and "'move' is no sync job" in r.err, r
    r = move.call("run", "--allow-deletions", "move")
    assert r.code == 64 and "'move' is none" in r.err, r


def test_restore(move):
    """What was deleted at the target comes back only when that is asked for."""
    move.move()
    move.local.delete("INBOX", move.local.bodies("INBOX")[0])
    assert counts(move.move()) == {} and len(move.local.bodies("INBOX")) == 2
    assert counts(move.move("--restore"))["pulled"] == 1 and len(move.local.bodies("INBOX")) == 3
    assert counts(move.move()) == {}


def test_due(move):
    move.reconfigure("from =", "every = 1h\n\tfrom =")
    assert counts(move.run("--due"))["pulled"] == 5
    r = move.run("--due")
    assert r.code == 0 and r.out == "", r


def test_folder_names(tmp_path, best):
    m = Move(tmp_path, best, 'folders = {"*", "!Junk"}\n\tfolder "Sent Items" { to = "Old/Sent" }')
    for folder in ("INBOX", "Sent Items", "Junk"):
        m.remote.fill(folder, 1)
    m.move()
    assert m.local.folders() == {"INBOX", "Old", "Old/Sent"} or m.local.folders() == {"INBOX", "Old/Sent"}


def test_without_a_configuration(tmp_path):
    m = Move(tmp_path)
    m.remote.fill("INBOX", 2)
    os.unlink(m.conf)
    words = [haul.MAILHAUL, "--state-dir", m.state, "--json", "migrate", "maildir:" + m.remote.path, "maildir:" + m.local.path]
    m.command = lambda *args: [*words, *args]
    assert counts(m.call())["pulled"] == 2
    r = m.call()
    assert r.code == 0 and counts(r) == {}, r
    assert [n[:8] for n in sorted(os.listdir(m.state)) if n.endswith(".db")] == ["migrate-"]
    assert len(m.remote.bodies()) == 2


def test_from_server_to_server(tmp_path, best):
    m = Move(tmp_path, best, target="imap", job='folder "Sent Items" { to = Sent }')
    m.remote.fill("INBOX", 3)
    m.remote.fill("Sent Items", 2, 10)
    m.remote.fill("Work/2026", 2, 100, flags="FS")
    m.local.fill("INBOX", 1, 500)
    m.local.fill("Work/2026", 1, 100, flags="S")   # it is there already
    before = m.remote.state()
    r = m.move()
    assert counts(r)["pulled"] == 6, r
    assert m.remote.state() == before
    there = m.local.state()
    assert sorted(there["Sent"]) == sorted(before["Sent Items"]) and len(there["Work/2026"]) == 2 and len(there["INBOX"]) == 4
    assert "Sent Items" not in there
    assert counts(m.move()) == {}
    assert m.local.state() == there
    r = m.call("list", "move")
    assert r.code == 0 and " -> Sent" in r.out, r
    r = m.call("check", "--connect")
    assert r.code == 0 and r.out.count("login works") == 2, r


def test_another_target_is_another_migration(tmp_path, best):
    """What was copied to one account is not taken for copied to the next."""
    m = Move(tmp_path, best, target="imap")
    m.remote.fill("INBOX", 2)
    m.move()
    best.add_user("u" + m.local.user, "the secret")
    m.reconfigure(m.local.user + "@", "u" + m.local.user + "@")
    r = m.move(code=78)
    assert "belongs to imap:" in r.of("error")[0]["text"] and " -> imap:" in r.of("error")[0]["text"], r
    assert Remote(best, "u" + m.local.user).bodies() == []


def test_delete_source(tmp_path, best):
    m = Move(tmp_path, best, target="imap", job="delete-source = yes")
    m.remote.fill("INBOX", 3)
    r = m.move()
    assert counts(r)["pulled"] == 3 and r.end["deleted"] in (0, 3), r
    for _ in range(2):
        m.move()
    assert m.remote.bodies() == [] and len(m.local.bodies()) == 3
    r = m.call("status")
    assert r.code == 0, r


def test_changing_over_from_pop3(tmp_path, best):
    """One user's mail by POP3 into a folder of another's by IMAP; the source may go on to get mail."""
    m = Move(tmp_path, best, "folder = Old/ISP", source="pop3", target="imap")
    m.remote.fill("INBOX", 3)
    m.remote.fill("Other", 1, 50)
    before = m.remote.state()
    r = m.move()
    assert counts(r)["pulled"] == 3 and r.of("start")[0]["mode"] == "migrate", r
    assert sorted(m.local.bodies("Old/ISP")) == sorted(m.remote.bodies()) and m.local.bodies() == []
    assert counts(m.move()) == {}
    m.remote.fill("INBOX", 1, 10)
    assert counts(m.move())["pulled"] == 1
    assert len(m.local.bodies("Old/ISP")) == 4 and m.remote.state() != before
    r = m.call("list", "move")
    assert r.code == 0 and "INBOX" in r.out and " -> Old/ISP" in r.out, r
