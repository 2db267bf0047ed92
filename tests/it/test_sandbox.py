"""The process of a job gives up what it does not need; what it does need goes on."""

import contextlib
import os
import re
import signal
import socket
import time

import pytest

import corpus
import haul
from twoway import HELLO, Pair

PATIENCE = 30


@contextlib.contextmanager
def silent_server():
    """Takes a connection and says nothing. Yields (port, accept)."""
    with socket.create_server(("127.0.0.1", 0)) as s:
        s.settimeout(PATIENCE)
        yield s.getsockname()[1], s.accept


def status(pid):
    """/proc/PID/status as a dictionary."""
    with open("/proc/%d/status" % pid, encoding="utf-8") as f:
        return dict(line.rstrip("\n").split(":\t", 1) for line in f if ":\t" in line)


def confined(pid):
    try:
        return status(pid)["NoNewPrivs"] == "1"
    except (FileNotFoundError, ProcessLookupError):
        return False


def below(pid):
    """All processes below one."""
    found = []
    with contextlib.suppress(FileNotFoundError, ProcessLookupError), open("/proc/%d/task/%d/children" % (pid, pid), encoding="ascii") as f:
        for child in map(int, f.read().split()):
            found += [child] + below(child)
    return found


def what_works(h):
    r = h.call("--json", "check")
    assert r.code == 0, r
    return r.of("check")[0]["sandbox"]


@contextlib.contextmanager
def waiting(tmp_path, fetch=""):
    """A run whose worker waits for a greeting: (haul, its worker)."""
    with silent_server() as (port, accept):
        h = haul.Haul(tmp_path, port, scheme="pop3", account="tls = none", fetch=fetch)
        with h.start("run") as run:
            link, _ = accept()
            try:
                yield h, below(run.pid)
            finally:
                link.close()
                run.send_signal(signal.SIGTERM)
                run.communicate(timeout=PATIENCE)


def test_the_worker_is_confined(tmp_path):
    with waiting(tmp_path) as (h, pids):
        works = what_works(h)
        assert len(pids) == 1
        s = status(pids[0])
        assert s["NoNewPrivs"] == "1" and s["Seccomp"] == ("2" if works["seccomp"] else "0")


def test_what_runs_commands_never_talks_to_a_server(tmp_path):
    with waiting(tmp_path, fetch='on-new = "true"') as (h, pids):
        works = what_works(h)
        assert len(pids) == 2
        confined = [p for p in pids if status(p)["NoNewPrivs"] == "1"]
        assert len(confined) == 1 and status(confined[0])["Seccomp"] == ("2" if works["seccomp"] else "0")
        (broker,) = set(pids) - set(confined)
        assert not any(link.startswith("socket:") and link in open_of(confined[0]) for link in open_of(broker))


def open_of(pid):
    """What the descriptors of a process are."""
    return {os.readlink("/proc/%d/fd/%s" % (pid, fd)) for fd in os.listdir("/proc/%d/fd" % pid) if int(fd) > 2}


def test_nothing_outlives_a_killed_worker(tmp_path):
    with waiting(tmp_path, fetch='on-new = "true"') as (_, pids):
        for pid in pids:
            if status(pid)["NoNewPrivs"] == "1":
                os.kill(pid, signal.SIGKILL)
        end = time.monotonic() + PATIENCE
        while any(os.path.exists("/proc/%d" % p) and status(p)["State"][0] != "Z" for p in pids):
            assert time.monotonic() < end
            time.sleep(0.01)


def test_off(tmp_path):
    with waiting(tmp_path, fetch='on-new = "true"\n\tsandbox = no') as (_, pids):
        assert len(pids) == 1
        assert status(pids[0])["NoNewPrivs"] == "0" and status(pids[0])["Seccomp"] == "0"


def test_the_watcher_is_confined_too(tmp_path):
    """And its commands run all the same, after each run."""
    p = Pair(tmp_path, "on-new = 'echo $MAILHAUL_JOB $MAILHAUL_NEW >> ~/told'")
    p.remote.fill("INBOX", 1)
    told = os.path.join(p.dir, "told")

    def held():
        if not os.path.exists(told):
            return 0
        with open(told, encoding="utf-8") as f:
            assert (lines := f.read()) in ("", "both 1\n", "both 1\nboth 1\n")
        return lines.count("both") if len(haul.maildir_files(p.local.box("INBOX"))) == lines.count("both") else 0

    with p.start("watch") as run:
        try:
            end = time.monotonic() + PATIENCE
            while held() != 1 or not any(confined(pid) for pid in below(run.pid)):
                assert run.poll() is None and time.monotonic() < end
                time.sleep(0.01)
            p.remote.deliver(HELLO % (1, 1))
            while held() != 2:
                assert run.poll() is None and time.monotonic() < end
                time.sleep(0.01)
        finally:
            run.send_signal(signal.SIGTERM)
            run.communicate(timeout=PATIENCE)


def test_check_and_info_say_it(mailbox, tmp_path):
    h = mailbox.haul(tmp_path)
    works = what_works(h)
    line = re.search(r"(?m)^sandbox: (.*)$", h.call("check").out).group(1)
    assert ("Landlock (version %d)" % works["landlock"] in line) == (works["landlock"] > 0) and ("no seccomp" in line) == (not works["seccomp"])
    assert h.call("--json", "info", "isp").of("info")[0]["sandbox"] == works
    assert re.search(r"(?m)^sandbox: +(.*)$", h.call("info", "isp").out).group(1) == line


def test_a_store_deep_down_that_is_not_there_yet(mailbox, tmp_path):
    mailbox.fill(corpus.small(2))
    h = mailbox.haul(tmp_path, to="maildir:%s/a/b/c" % tmp_path)
    assert h.run().code == 0
    assert len(haul.maildir_messages(tmp_path / "a/b/c")) == 2
    mailbox.fill(corpus.small(1))
    assert h.run().end["pulled"] == 1


def test_an_mbox_by_a_link(mailbox, tmp_path):
    """Its locks and what replaces it are beside the file that the link leads to."""
    mailbox.fill(corpus.small(2))
    (tmp_path / "spool").mkdir()
    (tmp_path / "spool/anna").touch(0o600)
    (tmp_path / "inbox").symlink_to("spool/anna")
    h = mailbox.haul(tmp_path, to="mbox:%s/inbox" % tmp_path)
    assert h.run().code == 0
    assert len(haul.mbox_messages(tmp_path / "spool/anna")) == 2 and (tmp_path / "inbox").is_symlink()


def test_a_folder_of_a_tree_of_mbox_files_by_a_link(tmp_path):
    p = Pair(tmp_path)
    p.reconfigure("local = " + haul.quoted("maildir:" + p.local.path), "local = " + haul.quoted("mbox:" + p.local.path))
    p.remote.fill("INBOX", 1)
    p.remote.fill("Lists/far", 1)
    p.settle()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    here = os.path.join(p.local.path, "Lists", "far")
    os.rename(here, elsewhere / "far")
    os.symlink(elsewhere / "far", here)
    p.remote.deliver(HELLO % (7, 7), "Lists/far")
    p.settle()
    assert len(haul.mbox_messages(elsewhere / "far")) == 2 and os.path.islink(here)


def test_a_password_in_a_home_that_is_not_to_be_read(mailbox, tmp_path):
    """Files that the configuration names are within reach, wherever they are, and commands see all."""
    mailbox.fill(corpus.small(1))
    h = mailbox.haul(tmp_path)
    (tmp_path / "deep/down").mkdir(parents=True)
    os.rename(h.secret, tmp_path / "deep/down/secret")
    h.reconfigure("password-file = %s" % haul.quoted(h.secret), "password-file = ~/deep/down/secret")
    assert h.run().code == 0
    mailbox.fill(corpus.small(1))
    h.reconfigure("password-file = ~/deep/down/secret", 'password-command = "cat ~/deep/down/secret; touch ~/was-here"')
    assert h.run().end["pulled"] == 1 and (tmp_path / "was-here").exists()


def test_large_messages_are_kept_aside_where_they_always_were(mailbox, tmp_path):
    """With $TMPDIR that only this run has."""
    (tmp_path / "tmp").mkdir()
    mailbox.fill([("large", b"Subject: large %d\r\n\r\n" % i + (b"x" * 70 + b"\r\n") * 30000) for i in range(2)])
    h = mailbox.haul(tmp_path, to="mbox")
    assert h.run(env={"TMPDIR": str(tmp_path / "tmp")}).code == 0
    assert len(haul.mbox_messages(h.mbox)) == 2


def test_what_a_directory_forbids_is_told_with_the_sandbox_in_mind(tmp_path):
    """Mode 0 is no matter to root, the sandbox is: a store whose path is a link that is made only later leads outside."""
    if what_works(haul.Haul(tmp_path, 1))["landlock"] == 0:
        pytest.skip("no Landlock here")
    with silent_server() as (port, accept):
        h = haul.Haul(tmp_path, port, scheme="pop3", account="tls = none", fetch="keep = yes")
        with h.start("run") as run:
            link, _ = accept()
            outside = tmp_path.parent / (tmp_path.name + "-outside")
            for sub in ("cur", "new", "tmp"):
                (outside / sub).mkdir(parents=True)
            os.symlink(outside, h.maildir)
            with link, link.makefile("rwb") as f:
                answers = {b"CAPA": b"+OK\r\nUSER\r\nUIDL\r\n.\r\n", b"STAT": b"+OK 1 20\r\n", b"UIDL": b"+OK\r\n1 a\r\n.\r\n", b"LIST": b"+OK\r\n1 20\r\n.\r\n",
                           b"RETR": b"+OK\r\nSubject: x\r\n\r\nx\r\n.\r\n"}
                f.write(b"+OK\r\n")
                f.flush()
                for line in f:
                    f.write(answers.get(line.split()[0].upper(), b"+OK\r\n"))
                    f.flush()
            out, err = run.communicate(timeout=PATIENCE)
    assert run.returncode == 74 and b"Permission denied" in err and b"sandbox" in err, (out, err)
    assert not any(files for _, _, files in os.walk(outside))
