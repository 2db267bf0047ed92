"""Exactly once, whatever happens in between: stopped at every step, killed at every system call, cut off at every byte, out of disk."""

import collections
import os
import signal
import time

import pytest

import corpus
from disturb import CALLS, LONG, Proxy, count_calls, failing, killed, known_calls, needs_strace, points, strace

STORES = ("maildir", "mbox")
SHORT_KILLS = 12  # of each system call, spread over the run; all of them in the long runs

pytestmark = pytest.mark.crash


def letters():
    """Few messages, but with what groups and conversions can trip over."""
    return list(corpus.small(3)) + [("large", corpus.large(200000))] + [m for m in corpus.awkward() if m[0] in ("from-after-blank", "no-final-newline")]


def wanted(h, messages):
    if h.to == "mbox":
        messages = [m if m.endswith(b"\n") else m + b"\n" for m in messages]
    return collections.Counter(messages)


def finish(h, mailbox, want, what):
    """An undisturbed run after the disturbance: now everything must be there, once. (Files in tmp/ that nobody reads go after 36 hours.)"""
    r = h.run()
    assert r.code == 0, (what, r)
    assert h.delivered() == want, (what, "delivered %d, wanted %d" % (sum(h.delivered().values()), sum(want.values())))
    assert mailbox.count() == 0, what


@pytest.mark.deadline(600)
@pytest.mark.parametrize("to", STORES)
def test_stopped_at_every_step(mailbox, tmp_path, to):
    step = 0
    while True:
        step += 1
        want = mailbox.fill(letters())
        h = mailbox.haul(tmp_path / str(step), to=to)
        r = h.call("run", env={"MAILHAUL_STOP_AT": str(step)})
        if r.code == 0:
            break
        assert r.code == 100, r
        finish(h, mailbox, wanted(h, want), "step %d" % step)
    assert step > 8


@pytest.mark.deadline(120)
@pytest.mark.parametrize("to", STORES)
def test_stopped_at_every_step_of_a_row_of_runs(mailbox, tmp_path, to):
    """One step further in each run on the same state, never an undisturbed one before the end."""
    want = mailbox.fill(letters())
    h = mailbox.haul(tmp_path, to=to)
    for step in range(1, 60):
        if h.call("run", env={"MAILHAUL_STOP_AT": str(step)}).code == 0:
            break
    finish(h, mailbox, wanted(h, want), "in a row")


@needs_strace
@pytest.mark.deadline(1500)
@pytest.mark.parametrize("calls", CALLS)
@pytest.mark.parametrize("to", STORES)
def test_killed_at_every_nth_system_call(mailbox, tmp_path, to, calls):
    calls = known_calls(calls)
    mailbox.fill(letters())
    count = count_calls(mailbox.haul(tmp_path / "count", to=to), calls)
    for n in points(count, SHORT_KILLS):
        want = mailbox.fill(letters())
        h = mailbox.haul(tmp_path / str(n), to=to)
        h.call("run", prefix=killed(calls, n))
        finish(h, mailbox, wanted(h, want), "%s %d" % (calls, n))


@needs_strace
@pytest.mark.deadline(1500)
@pytest.mark.parametrize("error", ["ENOSPC", "EIO"])
@pytest.mark.parametrize("calls", ["write,pwrite64", "fsync,fdatasync", "rename,renameat,renameat2,linkat"])
@pytest.mark.parametrize("to", STORES)
def test_system_calls_that_fail(mailbox, tmp_path, to, calls, error):
    calls = known_calls(calls)
    mailbox.fill(letters())
    count = count_calls(mailbox.haul(tmp_path / "count", to=to), calls)
    for n in points(count, SHORT_KILLS):
        # once only, and from then on
        for when in ("%d" % n, "%d+" % n):
            want = mailbox.fill(letters())
            h = mailbox.haul(tmp_path / ("%s%s" % (n, "on" if when[-1] == "+" else "")), to=to)
            r = h.call("run", prefix=failing(calls, error, when))
            assert r.code in (0, 1, 70, 74, 75), (when, r)
            have = h.delivered()
            assert not have - wanted(h, want), (when, "something that was never sent, or twice")
            finish(h, mailbox, wanted(h, want), "%s %s %s" % (calls, error, when))


@needs_strace
@pytest.mark.deadline(300)
@pytest.mark.parametrize("how", ["signal=KILL", "error=EIO", "error=ENOSPC"])
def test_groups_that_are_synced_as_one(mailbox, tmp_path, how):
    """Enough files for syncfs, in several groups."""
    letter = list(corpus.small(300))
    mailbox.fill(letter)
    count = count_calls(mailbox.haul(tmp_path / "count"), "syncfs")
    if count == 0:
        pytest.skip("on this file system each file is synced by itself")
    assert mailbox.count() == 0
    for n in range(1, count + 1):
        want = mailbox.fill(letter)
        h = mailbox.haul(tmp_path / str(n))
        r = h.call("run", prefix=strace("-e", "trace=syncfs", "-e", "inject=syncfs:%s:when=%d" % (how, n)))
        assert r.code != 0, r
        finish(h, mailbox, wanted(h, want), "syncfs %s %d" % (how, n))


@needs_strace
@pytest.mark.deadline(300)
@pytest.mark.parametrize("to", STORES)
def test_a_full_disk_is_told(mailbox, tmp_path, to):
    want = mailbox.fill(letters())
    h = mailbox.haul(tmp_path, to=to)
    assert h.call("run", env={"MAILHAUL_STOP_AT": "2"}).code != 0
    r = h.call("run", prefix=strace("-e", "trace=fsync", "-e", "inject=fsync:error=ENOSPC"))
    assert r.code == 74 and "No space left" in r.err, r
    finish(h, mailbox, wanted(h, want), "full disk")


@needs_strace
def test_the_same_mail_of_another_job_is_not_taken_for_ours(new_mailbox, tmp_path):
    """Killed between the journal and the append; then another job puts the same mail where ours was to go."""
    first, second = new_mailbox(), new_mailbox()
    want = first.fill(letters())
    second.fill(letters())
    h = first.haul(tmp_path, to="mbox", extra=(
        'account other { url = "pop3s://%s@localhost:%d"  password-command = "echo \'%s\'"  ca-file = "%s" }\n'
        'fetch other { from = other  to = "mbox:%s" }' % (second.user, second.srv.pop3s_port, second.password, second.srv.ca_file, tmp_path / "inbox.mbox")))
    open(h.mbox, "w", encoding="ascii").close()
    h.call("run", "isp", prefix=strace("-P", h.mbox, "-e", "trace=write,pwrite64", "-e", "inject=write,pwrite64:signal=KILL:when=1"))
    assert h.messages() == [] and first.count() == len(want)
    then = int(time.time())
    deadline = time.monotonic() + 5
    while int(time.time()) == then:  # their From_ lines have another time
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert h.run("other").code == 0
    assert h.run("isp").code == 0
    assert h.delivered() == wanted(h, want + want)
    assert first.count() == 0 and second.count() == 0


@pytest.mark.deadline(60)
def test_leaving_messages_out_is_one_commit(mailbox, tmp_path):
    mailbox.fill(corpus.small(300))
    h = mailbox.haul(tmp_path, fetch="max-size = 100")
    assert count_calls(h, "fdatasync") < 30
    assert h.run().end["skipped"] == 300


@pytest.mark.deadline(120)
@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_safely(mailbox, tmp_path, sig):
    want = mailbox.fill(list(corpus.small(400)))
    h = mailbox.haul(tmp_path)
    p = h.start("-v", "run")
    p.stdout.read(1)
    p.send_signal(sig)
    p.communicate(timeout=20)
    assert p.returncode in (0, 128 + sig)
    finish(h, mailbox, wanted(h, want), sig)


@pytest.mark.deadline(900)
@pytest.mark.parametrize("direction", ["down", "up"])
@pytest.mark.parametrize("to", STORES)
def test_cut_off_after_every_kth_byte(mailbox, tmp_path, to, direction):
    step, n = {"down": 9973, "up": 211}[direction], 1
    if LONG:
        step = step // 16
    ends = 0
    while ends < 2 and n < 400000:
        want = mailbox.fill(letters())
        h = mailbox.haul(tmp_path / str(n), to=to)
        proxy = Proxy(mailbox.srv.pop3s_port, "--cut-" + direction, str(n))
        try:
            h.reconfigure(":%d" % mailbox.srv.pop3s_port, ":%d" % proxy.port)
            r = h.run()
        finally:
            proxy.stop()
        h.reconfigure(":%d" % proxy.port, ":%d" % mailbox.srv.pop3s_port)
        ends += r.code == 0 and r.of("warning") == []
        finish(h, mailbox, wanted(h, want), "cut %s after %d" % (direction, n))
        n += step
    assert ends, "the cut never fell behind the end"
