"""A migrate job as a person meets it: its section, its commands, what is said of it. What is copied, and that nothing is lost, is the business of other tests."""

import os

import pytest

import haul
from twoway import Move, counts


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
    assert r.code == 0 and " -> maildir:" in r.out and "5 copied" in r.out and "on both sides: messages: 5" in r.out, r
    r = move.call("--json", "status", "move")
    assert [(e["mode"], e["held"]) for e in r.of("status")] == [("migrate", 5)] and "kept" not in r.of("status")[0], r
    r = move.call("list", "move")
    assert r.code == 0 and "Work/2026" in r.out and " -> " in r.out and "<->" not in r.out, r
    r = move.call("undo", "move")
    assert r.code == 64 and "'move' is no sync job" in r.err, r
    r = move.call("run", "--restore", "move")
    assert r.code == 64 and "'move' is none" in r.err, r


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
