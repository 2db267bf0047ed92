"""rate and budget: how much goes over the wire in a second, and in a day."""

import os
import re
import sqlite3
import time

import pytest

import haul
from twoway import Move, Sync, counts


def put_back(db, seconds):
    """As if that much time had passed since the budget was begun."""
    with sqlite3.connect(db) as c:
        for key, value in c.execute("SELECT key, value FROM meta WHERE key LIKE 'traffic%'").fetchall():
            since, used = value.split()
            c.execute("UPDATE meta SET value = ? WHERE key = ?", ("%d %s" % (int(since) - seconds, used), key))
    c.close()


def test_budget(tmp_path, best):
    """It stops between messages, cleanly, says when it goes on, waits, and goes on."""
    size, budget = 40000, 200 << 10
    m = Move(tmp_path, best, "every = 1h\n\tbudget = 200k/d")
    for n in range(12):
        m.remote.deliver(b"Subject: %d\n\n" % n + os.urandom(size // 2).hex().encode(), "INBOX" if n < 8 else "More")
    r = m.run()
    assert r.code == 75 and len(r.of("error")) == 1, r
    error = r.of("error")[0]
    assert error["kind"] == "temp" and "budget of 200k a day is used up" in error["text"] and re.search(r"goes on at \d\d:\d\d", error["text"]), r
    assert 86300 < error["retry_after"] <= 86400
    assert r.end["pulled"] == 5 and r.end["failed"] == 0, r
    assert r.end["bytes_in"] + r.end["bytes_out"] < budget + size, r
    assert len(m.local.bodies("INBOX")) == 5

    r = m.run("move")
    assert r.code == 75 and r.end["pulled"] == 0 and r.end["round_trips"] == 0 and "used up" in r.of("error")[0]["text"], r
    r = m.run("--due")
    assert r.code == 0 and r.out == "", r
    assert "paused until" in m.call("status").out and "is used up" in m.call("status").out
    put_back(m.db, 80000)
    assert m.run("--due").out == ""
    put_back(m.db, 6500)
    os.utime(m.db + ".lock", (1e9, 1e9)) # the last run is long ago
    os.unlink(m.db + ".attempts")
    r = m.run("--due")
    assert r.code == 75 and r.end["pulled"] == 5, r

    # who has more to spend need not wait
    m.reconfigure("200k/d", "10M/d")
    r = m.run()
    assert r.code == 0 and counts(r)["pulled"] == 2, r
    assert sorted(len(m.local.bodies(f)) for f in ("INBOX", "More")) == [4, 8]
    assert counts(m.move()) == {}


def test_a_message_larger_than_the_budget(tmp_path, best):
    """It comes all the same, one a day."""
    m = Move(tmp_path, best, "budget = 100k/d")
    for n in range(2):
        m.remote.deliver(b"Subject: %d\n\n" % n + os.urandom(100000).hex().encode())
    for n in (1, 2):
        r = m.run()
        assert r.code == 75 if n == 1 else r.code == 0, r
        assert r.end["pulled"] == 1, r
        put_back(m.db, 86500)
    assert len(m.local.bodies()) == 2


def test_budget_counts_what_a_killed_run_has_used(tmp_path, best):
    m = Move(tmp_path, best, "budget = 200k/d")
    for n in range(4):
        m.remote.deliver(b"Subject: %d\n\n" % n + os.urandom(15000).hex().encode())
    for step in range(1, 100):
        r = m.run(env={"MAILHAUL_STOP_AT": str(step)})
        with sqlite3.connect(m.db) as c:
            noted = c.execute("SELECT value FROM meta WHERE key = 'traffic_left'").fetchall()
        c.close()
        if len(m.local.bodies()) == 4:
            break
    assert noted and int(noted[0][0].split()[1]) > 4 * 30000


@pytest.mark.parametrize("scheme", ["imaps", "imap"])
def test_rate(tmp_path, best, scheme):
    """So many bytes take so long, and it is not the server that is blamed for it, however impatient we are."""
    p = Sync(tmp_path, best, "rate = 40k/s", account="timeout = 1s\n\tcompress = no", scheme=scheme)
    p.remote.deliver(b"Subject: slow\n\n" + b"\n".join(os.urandom(30).hex().encode() for _ in range(1500)) + b"\n")
    start = time.monotonic()
    r = p.run()
    assert counts(r)["pulled"] == 1 and time.monotonic() - start > 1.5, r
    p.same()
    p.local.deliver(b"Subject: slow, too\n\n" + b"\n".join(os.urandom(30).hex().encode() for _ in range(1500)) + b"\n")
    start = time.monotonic()
    r = p.run()
    assert counts(r)["pushed"] == 1 and time.monotonic() - start > 1.5, r
    p.same()


def test_rate_of_a_fetch(mailbox, tmp_path):
    wanted = mailbox.fill([("m", b"Subject: slow\n\n" + b"\n".join(os.urandom(30).hex().encode() for _ in range(1500)) + b"\n")])
    h = mailbox.haul(tmp_path, account="timeout = 1s", fetch="rate = 40k/s")
    start = time.monotonic()
    r = h.run()
    assert r.code == 0 and time.monotonic() - start > 1.5, r
    assert haul.maildir_messages(h.maildir) == wanted


def test_each_server_has_a_budget(tmp_path, best):
    """What is read from one and sent to the other counts once at each."""
    m = Move(tmp_path, best, "budget = 200k/d", target="imap")
    for n in range(8):
        m.remote.deliver(b"Subject: %d\n\n" % n + b"\n".join(os.urandom(30).hex().encode() for _ in range(600)) + b"\n")
    before = m.remote.state()
    r = m.run()
    assert r.code == 75 and 5 <= r.end["pulled"] <= 6, r
    put_back(m.db, 86500)
    r = m.run()
    assert r.code == 0 and 2 <= r.end["pulled"] <= 3, r
    assert m.remote.state() == before and len(m.local.bodies()) == 8


def test_budget_of_a_fetch(mailbox, tmp_path):
    """What was delivered before it was used up is removed the next day, and nothing comes twice."""
    wanted = mailbox.fill([("m%d" % n, b"Subject: %d\n\n" % n + b"\n".join(os.urandom(30).hex().encode() for _ in range(600)) + b"\n") for n in range(8)])
    h = mailbox.haul(tmp_path, fetch="budget = 200k/d")
    r = h.run()
    assert r.code == 75 and 5 <= r.end["pulled"] <= 6 and "used up" in r.of("error")[0]["text"], r
    assert r.end["bytes_in"] + r.end["bytes_out"] < (200 << 10) + 40000
    put_back(h.db, 86500)
    r = h.run()
    assert r.code == 0 and r.end["failed"] == 0, r
    assert sorted(haul.maildir_messages(h.maildir)) == sorted(wanted)
    assert mailbox.count() == 0


def test_budget_without_sizes(tmp_path, best):
    """A migration from POP3 learns how large a message is by reading it."""
    m = Move(tmp_path, best, "budget = 200k/d", source="pop3")
    for n in range(12):
        m.remote.deliver(b"Subject: %d\n\n" % n + b"\n".join(os.urandom(30).hex().encode() for _ in range(600)) + b"\n")
    pulled = 0
    for _ in range(12):
        r = m.run()
        assert r.code in (0, 75) and r.end["failed"] == 0 and r.end["bytes_in"] + r.end["bytes_out"] < (200 << 10) + 2 * 40000, r
        pulled += r.end["pulled"]
        if r.code == 0:
            break
        put_back(m.db, 86500)
    assert pulled == 12 and sorted(m.local.bodies()) == sorted(m.remote.bodies())


def test_budget_of_what_is_sent(tmp_path, best):
    p = Sync(tmp_path, best, "budget = 200k/d")
    for n in range(8):
        p.local.deliver(b"Subject: %d\n\n" % n + b"\n".join(os.urandom(30).hex().encode() for _ in range(600)) + b"\n")
    r = p.run()
    assert r.code == 75 and 5 <= r.end["pushed"] <= 6, r
    assert r.end["bytes_in"] + r.end["bytes_out"] < (200 << 10) + 40000
    put_back(p.db, 86500)
    r = p.run()
    assert r.code == 0 and 2 <= r.end["pushed"] <= 3, r
    p.same()
