"""`mailhaul verify` says whether both sides of a job hold the same, and in what they differ; it changes nothing."""

import os
import re

import pytest

import disturb
import haul
import pop3peer
from hostile import CLEAR
from twoway import HELLO, Accounts, Move, Pair, Sync

MAIL = b"Message-ID: <%d@example.org>\nSubject: hello %d\n\nbody %d\n"


def mail(i):
    return MAIL % (i, i, i)


def verify(p, *args, code=0, job="both"):
    r = p.call("--json", "verify", job, *args)
    assert r.code == code, r
    assert [e["event"] for e in r.events if e["event"] not in ("drift", "error", "warning")] == ["start", "end"], r
    if code in (0, 1):
        assert r.end["agree"] is (code == 0) and r.end["exit"] == code, r
    return r


def drifts(r):
    """What is not the same: [(kind, folder, where)], sorted; the summary must count as many."""
    found = sorted((e["kind"], e["folder"], e.get("where")) for e in r.of("drift"))
    counted = {"missing": r.end["missing_remote"] + r.end["missing_local"], "folder": r.end["folders_missing_remote"] + r.end["folders_missing_local"]}
    for kind in ("missing", "folder", "content", "flags", "refused"):
        assert sum(k == kind for k, _, _ in found) == counted.get(kind, r.end.get(kind)), r
    return found


@pytest.fixture
def p(best, tmp_path):
    p = Sync(tmp_path, best)
    for i in range(6):
        p.remote.deliver(mail(i), "INBOX", "S" if i % 2 else "")
    p.remote.fill("Work/2026", 5, 100)
    p.local.deliver(mail(200), "Sent", "S")
    p.settle()
    p.same()
    return p


def test_agree(p):
    before = p.local.files(), p.remote.files(), sorted((os.path.join(d, n), os.stat(os.path.join(d, n)).st_mtime_ns) for d, _, names in os.walk(p.state) for n in names)
    for args in ((), ("--full",)):
        r = verify(p, *args)
        assert (r.end["folders"], r.end["messages_remote"], r.end["messages_local"], r.end["same"]) == (3, 12, 12, 12) and drifts(r) == [], r
    after = p.local.files(), p.remote.files(), sorted((os.path.join(d, n), os.stat(os.path.join(d, n)).st_mtime_ns) for d, _, names in os.walk(p.state) for n in names)
    assert before == after
    r = p.call("verify", "both")
    assert r.code == 0 and r.out == "both: both sides agree: 12 messages in 3 folders\n" and r.err == "", r
    r = p.call("-v", "verify", "both")
    assert r.code == 0 and "both: Sent: 1 message, the same\n" in r.out, r
    r = p.call("-q", "verify", "both")
    assert r.code == 0 and r.out == r.err == "", r


def test_every_server(each_server, tmp_path):
    p = Sync(tmp_path, each_server)
    for i in range(4):
        p.remote.deliver(mail(i), "AB"[i % 2], "S")
    p.remote.fill("B", 3)
    p.settle()
    for args in ((), ("--full",)):
        r = verify(p, *args)
        assert (r.end["folders"], r.end["same"], drifts(r)) == (3, 7, []), r
    p.local.delete("A", mail(0))
    p.remote.delete("B", mail(1))
    p.local.flag("A", mail(2), "FS")
    for args in ((), ("--full",)):
        assert drifts(verify(p, *args, code=1)) == [("flags", "A", None), ("missing", "A", "local"), ("missing", "B", "remote")]


def test_without_a_state(p):
    p.forget()
    assert drifts(verify(p)) == [] and not os.path.exists(p.state)


def test_each_kind(p):
    p.remote.delete("INBOX", mail(0))
    p.local.delete("INBOX", mail(1))
    p.local.flag("INBOX", mail(2), "FS")
    path = p.local.find("INBOX", mail(3))
    with open(path, "r+b") as f:
        f.write(mail(3).replace(b"body 3", b"BODY 3"))
    r = verify(p, code=1)
    assert drifts(r) == [("flags", "INBOX", None), ("missing", "INBOX", "local"), ("missing", "INBOX", "remote")], r
    assert [(e["flags_remote"], e["flags_local"]) for e in r.of("drift") if e["kind"] == "flags"] == [("()", r"(\Seen \Flagged)")]
    assert {e["where"]: e["message_id"] for e in r.of("drift") if e["kind"] == "missing"} == {"local": "<1@example.org>", "remote": "<0@example.org>"}, r
    # of equal size, so that only its body tells
    r = verify(p, "--full", code=1)
    assert drifts(r) == [("content", "INBOX", None), ("flags", "INBOX", None), ("missing", "INBOX", "local"), ("missing", "INBOX", "remote")], r
    r = p.call("verify", "--full", "both")
    assert r.code == 1 and "both: INBOX: 1 missing at the server, 1 missing here, 1 with another content, 1 with other flags\n" in r.out, r
    assert r.out.endswith("both: they differ: 1 missing at the server, 1 missing here, 1 with another content, 1 with other flags; the same are 9 messages in 3 folders\n"), r
    assert re.search(r"^both:     message \d+ \(\d+ bytes\), <1@example.org>: missing here$", r.out, re.M) and "Sent" not in r.out, r


def test_another_size_under_the_same_message_id(p):
    path = p.local.find("INBOX", mail(3))
    with open(path, "ab") as f:
        f.write(b"more\n")
    assert drifts(verify(p, code=1)) == drifts(verify(p, "--full", code=1)) == [("content", "INBOX", None)]


def test_how_many_times(p):
    """The same message several times on each side, with flags of its own."""
    for flags in ("S", "S", "F"):
        p.remote.deliver(mail(7), "INBOX", flags)
    p.sync()
    p.same()
    assert drifts(verify(p)) == drifts(verify(p, "--full")) == []
    p.local.delete_one("INBOX", mail(7))
    for args in ((), ("--full",)):
        assert drifts(verify(p, *args, code=1)) == [("missing", "INBOX", "local")]
    p.local.deliver(mail(7), "INBOX", "")
    for args in ((), ("--full",)):
        assert drifts(verify(p, *args, code=1)) == [("flags", "INBOX", None)]
    p.local.deliver(mail(7), "INBOX", "")
    assert drifts(verify(p, code=1)) == [("flags", "INBOX", None), ("missing", "INBOX", "remote")]


def test_keywords(p):
    p.remote.flag("INBOX", mail(0), "jk")
    assert drifts(verify(p, code=1)) == [("flags", "INBOX", None)]
    p.settle()
    assert drifts(verify(p)) == []


def test_a_folder_on_one_side(p):
    p.local.remove("Sent")
    p.remote.fill("New", 2, 300)
    p.local.make("Empty")
    r = verify(p, code=1)
    assert drifts(r) == [("folder", "Empty", "remote"), ("folder", "New", "local"), ("folder", "Sent", "local"), ("missing", "New", "local"), ("missing", "New", "local"),
                         ("missing", "Sent", "local")], r
    r = p.call("verify", "both")
    assert "both:     the folder: missing at the server\n" in r.out, r


def test_left_out(best, tmp_path):
    """What the job leaves out on purpose is no difference."""
    p = Sync(tmp_path, best, 'max-size = 1k\nfolders = {"*", "!Spam"}')
    p.remote.deliver(mail(1) + b"x" * 2000 + b"\n")
    p.remote.deliver(mail(2))
    p.remote.fill("Spam", 3)
    p.settle()
    for args in ((), ("--full",)):
        r = verify(p, *args)
        assert (r.end["left_out"], r.end["same"], r.end["folders"]) == (1, 1, 1) and drifts(r) == [], r
    p.configure('max-size = 1k\nfolders = {"*", "!Spam"}\ndelete = none')
    p.local.delete("INBOX", mail(2))
    p.sync()
    r = verify(p)
    assert (r.end["left_out"], r.end["same"]) == (2, 0) and drifts(r) == [], r


def test_marks_of_other_programs(p):
    """mbsync's line is no part of a message, wherever it is."""
    marked = mail(50).replace(b"Subject", b"X-TUID: abcdefghijkl\nSubject")
    p.remote.deliver(marked, "INBOX", "S")
    p.local.deliver(mail(50), "INBOX", "S")
    p.remote.deliver(mail(51), "INBOX", "S")
    p.local.deliver(mail(51).replace(b"Subject", b"X-TUID: abcdefghijkl\nSubject"), "INBOX", "S")
    for args in ((), ("--full",)):
        assert drifts(verify(p, *args)) == []


def test_many(p):
    """Not all are named to a person; all are in JSON."""
    p.remote.fill("Work/2026", 30, 500)
    r = p.call("verify", "both")
    assert r.code == 1 and r.out.count(": missing here\n") == 20 and "both:     and 10 more; -v names all\n" in r.out, r
    assert len(verify(p, code=1).of("drift")) == 30
    assert p.call("-v", "verify", "both").out.count(": missing here\n") == 30


def test_between_accounts(best, tmp_path):
    p = Accounts(tmp_path, best)
    for i in range(5):
        p.remote.deliver(mail(i), "A", "S")
    p.settle()
    for args in ((), ("--full",)):
        assert verify(p, *args).end["same"] == 5
    p.local.delete("A", mail(1))
    p.local.flag("A", mail(2), "F")
    for args in ((), ("--full",)):
        assert drifts(verify(p, *args, code=1)) == [("flags", "A", None), ("missing", "A", "local")]
    r = p.call("verify", "both")
    assert "both: A: 1 missing on the local side, 1 with other flags\n" in r.out, r


@pytest.mark.parametrize("there", [True, False], ids=["imap", "maildir"])
def test_migration(best, tmp_path, there):
    m = Move(tmp_path, best if there else None, 'folders = {"*", "!Junk"}\n\tfolder "Sent Items" { to = "Old/Sent" }\n\tmax-size = 1k')
    for i in range(5):
        m.remote.deliver(mail(i), "Sent Items", "FS")
    m.remote.fill("Junk", 3)
    m.remote.deliver(mail(9) + b"x" * 2000 + b"\n", "INBOX", "")
    m.move()
    for args in ((), ("--full",)):
        r = verify(m, *args, job="move")
        assert (r.end["same"], r.end["left_out"], r.end["extra"], drifts(r)) == (5, 1, 0, []), r
    # people go on with the target
    m.local.deliver(mail(20), "Old/Sent", "S")
    m.local.deliver(mail(21), "New", "S")
    m.local.flag("Old/Sent", mail(3), "FRSk")
    r = verify(m, job="move")
    assert (r.end["same"], r.end["extra"], drifts(r)) == (5, 2, []), r
    # so does somebody with the source: what was taken away there is to go at the target, too
    m.remote.flag("Sent Items", mail(3), "S")
    for args in ((), ("--full",)):
        r = verify(m, *args, job="move", code=1)
        assert drifts(r) == [("flags", "Sent Items", None)], r
    m.move()
    assert verify(m, job="move").end["same"] == 5 and ("k" in dict(m.local.state()["Old/Sent"])[mail(3)])
    m.forget()
    assert verify(m, job="move").end["same"] == 5
    m.move()
    m.local.delete("Old/Sent", mail(1))
    m.local.flag("Old/Sent", mail(2), "S")
    m.remote.deliver(mail(30), "Late", "S")
    for args in ((), ("--full",)):
        r = verify(m, *args, job="move", code=1)
        assert drifts(r) == [("flags", "Sent Items", None), ("folder", "Late", "local"), ("missing", "Late", "local"), ("missing", "Sent Items", "local")], r
    assert "move: Sent Items: 1 missing at the target, 1 with other flags\n" in m.call("verify", "move").out


def test_migration_from_pop3(mailbox, tmp_path):
    mailbox.fill([("%d" % i, mail(i).replace(b"\n", b"\r\n")) for i in range(5)])
    h = mailbox.haul(tmp_path / "job")
    h.reconfigure("fetch isp {", "migrate isp {")
    assert h.run().code == 0
    for args in ((), ("--full",)):
        assert verify(h, *args, job="isp").end["same"] == 5
    os.unlink([f for f in (os.path.join(d, n) for d, _, names in os.walk(h.maildir) for n in names) if b"body 3" in open(f, "rb").read()][0])
    assert drifts(verify(h, job="isp", code=1)) == [("missing", "INBOX", "local")]


def test_the_line_of_a_migration(tmp_path):
    """Without a configuration, the job that has left a state is meant."""
    m = Move(tmp_path)
    m.remote.fill("INBOX", 3)
    places = "maildir:" + m.remote.path, "maildir:" + m.local.path
    assert m.call("migrate", *places).code == 0
    m.local.fill("INBOX", 1, 50)
    r = m.call("verify", *places)
    assert r.code == 0 and "both sides agree: 3 messages in 1 folder, 1 more is at the target alone" in r.out, r


def test_between_trees(tmp_path):
    p = Pair(tmp_path)
    p.remote.fill("INBOX", 5)
    p.remote.deliver(mail(1), "A/B", "FS")
    p.settle()
    for args in ((), ("--full",)):
        assert verify(p, *args).end["same"] == 6
    p.local.deliver(mail(2), "A/B", "S")
    assert drifts(verify(p, code=1)) == [("missing", "A/B", "remote")]
    # the line that sync was given
    r = p.call("verify", "maildir:" + p.remote.path, "maildir:" + p.local.path)
    assert r.code == 1 and "1 missing at the server" in r.out, r


def test_what_keeps_it_from_comparing(p):
    p.write_private(p.secret, "wrong\n")
    r = verify(p, code=77)
    assert r.of("drift") == [] and [e["kind"] for e in r.of("error")] == ["auth"], r
    assert p.call("verify", "both").out == "both: stopped: not all was compared\n"


def test_a_side_that_vanished(p):
    os.rename(p.local.path, p.local.path + ".aside")
    r = verify(p, code=74)
    assert r.of("drift") == [] and "there is no Maildir" in r.of("error")[0]["text"], r
    os.mkdir(p.local.path)
    r = verify(p, code=74)
    assert "holds no folders any more" in r.of("error")[0]["text"], r


def test_a_file_that_cannot_be_read(p):
    path = p.local.find("INBOX", mail(3))
    os.unlink(path)
    os.symlink("/nowhere", path)
    r = verify(p, code=1)
    assert r.end["failed"] == 1 and [e["scope"] for e in r.of("error")] == ["message"], r


def test_usage(p):
    r = p.call("verify", "nosuch")
    assert r.code == 64 and "no job 'nosuch'" in r.err, r
    assert p.call("verify").code == 64
    assert p.call("run", "--full").code == 64


def test_fetch_from_pop3(mailbox, tmp_path):
    want = mailbox.fill([("%d" % i, mail(i).replace(b"\n", b"\r\n")) for i in range(5)])
    h = mailbox.haul(tmp_path / "job", fetch="keep = yes")
    assert h.run().code == 0
    for args in ((), ("--full",)):
        r = verify(h, *args, job="isp")
        assert (r.end["messages_remote"], r.end["same"]) == (5, 5), r
    # what the target has besides is none of the source's
    with open(os.path.join(h.maildir, "cur", "1700000000.x.y:2,S"), "wb") as f:
        f.write(mail(99))
    r = verify(h, job="isp")
    assert (r.end["same"], r.end["extra"]) == (5, 1), r
    r = h.call("verify", "isp")
    assert r.out == "isp: both sides agree: 5 messages in 1 folder, 1 more is at the target alone\n", r
    os.unlink([f for f in haul.maildir_files(h.maildir) if open(f, "rb").read() == want[0]][0])
    r = verify(h, job="isp", code=1)
    assert drifts(r) == [("missing", "", "local")], r
    assert mailbox.count() == 5


def test_fetch_into_an_mbox(mailbox, tmp_path):
    mailbox.fill([("1", mail(1).replace(b"\n", b"\r\n"))])
    h = mailbox.haul(tmp_path / "job", fetch="keep = yes", to="mbox")
    assert h.run().code == 0
    for args in (), ("--full",):
        r = h.call("--json", "verify", *args, "isp")
        assert r.code == 0 and r.of("drift") == [], r
    mailbox.fill([("2", mail(2).replace(b"\n", b"\r\n"))])
    r = h.call("--json", "verify", "isp")
    assert r.code == 1 and len(r.of("drift")) == 1, r


@pytest.mark.parametrize("args", [(), ("--full",)], ids=["listed", "read"])
def test_a_link_that_breaks(best, tmp_path, args):
    """Wherever it does, the rest is compared over another; nothing is taken for missing."""
    p = Sync(tmp_path, best)
    for i in range(60):
        p.remote.deliver(mail(i) + b"x" * 2000 + b"\n", "AB"[i % 2])
    p.settle()
    port = best.imaps_port
    ends = []
    for n in (1000, 5000, 6000, 8000, 12000, 20000, 30000, 60000, 100000):
        proxy = disturb.Proxy(port, "--cut-down", str(n), "--cut-once")
        try:
            p.reconfigure(":%d" % port, ":%d" % proxy.port)
            r = p.call("--json", "verify", *args, "both")
        finally:
            proxy.stop()
        p.reconfigure(":%d" % proxy.port, ":%d" % port)
        assert r.code in (0, 75) and r.of("drift") == [], (n, r)
        ends.append((r.code, len(r.of("warning"))))
        assert r.code == 75 or r.end["same"] == 60, (n, r)
    assert (0, 1) in ends and (75, 0) in ends, ends


def test_a_server_that_shows_messages_once(tmp_path):
    """Nothing may be read there but by a run that delivers it."""
    class Once(pop3peer.Peer):
        caps = pop3peer.Peer.caps + ["EXPIRE 0"]

    with Once([mail(1)]) as srv:
        h = haul.Haul(tmp_path, srv.port, scheme="pop3", account=CLEAR)
        r = verify(h, job="isp", code=78)
        assert "shows a message once only" in r.of("error")[0]["text"] and not any("RETR" in str(line) or "TOP" in str(line) for line in srv.log), r
