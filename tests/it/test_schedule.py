"""`run --due`: when a job is tried, when it is tried again after a failure, and what is told of one that lasts."""

import contextlib
import os
import re
import signal
import sqlite3
import threading
import time

import pytest

import attempts
import haul
import imappeer
import pop3peer
from watching import Watch, until

MAIL = [b"Subject: 1\n\none\n"]


def in_clear(directory, srv, scheme="pop3", fetch="every = 5m", **more):
    """One job with a server on loopback that needs no TLS: a fetch by POP3, or a sync by IMAP."""
    h = haul.Haul(directory, srv.port, scheme=scheme, account="tls = none\n\t" + more.pop("account", ""), fetch=fetch, **more)
    if scheme == "imap":
        h.reconfigure("fetch isp {\n\tfrom = isp\n\tto = ", "sync isp {\n\tremote = isp\n\tlocal = ")
    return h


def due(h, *args, code=0, says="", **more):
    """What cron does: the exit code, and all that is said."""
    r = h.call("run", "--due", *args, **more)
    assert r.code == code and r.out == "", r
    assert re.fullmatch(says, r.err.strip(), re.S) if says else r.err == "", r
    return r


def pass_time(h, seconds):
    attempts.age(h.db, seconds)
    if os.path.exists(h.db):
        with contextlib.closing(sqlite3.connect(h.db)) as base:
            base.execute("UPDATE meta SET value = value - ? WHERE key = 'pause'", (seconds,))
            base.commit()


def logins(srv):
    return len([line for line in srv.commands() if re.match(r"(?i)PASS|LOGIN|AUTH", line)])


class Says(pop3peer.Peer):
    """Refuses the login with this text."""
    answer = "[SYS/TEMP] come back later"

    def pass_(self, link, arg):
        return link.no(self.answer) if self.answer else super().pass_(link, arg)


class SaysImap(imappeer.Peer):
    answer = "NO [UNAVAILABLE] the user database is away"

    def let_in(self, link, tag, user, password):
        if self.answer.startswith("BYE"):
            link.star(self.answer)
            raise imappeer.Hangup
        if self.answer:
            raise imappeer.Refused(self.answer)
        super().let_in(link, tag, user, password)


def refusing(scheme, answer):
    srv = Says(MAIL) if scheme == "pop3" else SaysImap({"INBOX": MAIL})
    if "25 minutes" in answer:
        srv.caps = srv.caps + ["LOGIN-DELAY 1500"]
    srv.answer = answer
    return srv


def test_by_the_start_of_the_last_run(tmp_path):
    with pop3peer.Peer(MAIL) as srv:
        h = in_clear(tmp_path, srv)
        due(h)
        assert len(h.messages()) == 1
        for seconds, n in ((200, 1), (80, 2), (250, 2), (40, 3)):   # 280 s are near enough
            pass_time(h, seconds)
            srv.maildrop["%d" % n + "x" * 20] = b"Subject: %d\n\n" % n
            due(h)
            assert logins(srv) == n


@pytest.mark.parametrize("scheme, answer, pause", [
    ("pop3", "[SYS/TEMP] come back later", 300), ("pop3", "[IN-USE] locked by another session", 300), ("pop3", "[LOGIN-DELAY] not yet", 300),
    ("pop3", "[LOGIN-DELAY] only every 25 minutes", 1500),
    ("imap", "NO [UNAVAILABLE] the user database is away", 300), ("imap", "NO [INUSE] somebody else is here", 300),
    ("imap", "NO Request is throttled. Suggested Backoff Time: 1200000 milliseconds", 1200), ("imap", "BYE Request is throttled. Suggested Backoff Time: 900 seconds", 900),
])
def test_pauses_that_grow(tmp_path, scheme, answer, pause):
    """A temporary refusal is told once, tried again ever later, and told once more when it is over."""
    with refusing(scheme, answer) as srv:
        h = in_clear(tmp_path, srv, scheme)
        due(h, code=75, says="mailhaul: isp: .*")
        assert logins(srv) == 1
        for n in range(1, 4):
            a = attempts.read(h.db)
            left = a["next"] - time.time()
            wanted = max(pause, 300 * 2 ** (n - 1))
            assert wanted - 5 <= left <= wanted * 1.1 + 5 and a["tries"] == n, a
            pass_time(h, int(left) - 10)
            due(h)
            assert logins(srv) == n, srv.commands()
            pass_time(h, 20)
            due(h, code=75)
            assert logins(srv) == n + 1
        text = h.call("status").out
        assert re.search(r"failing since \S+ \S+, 4 times: ", text) and "next try by schedule" in text, text
        srv.answer = ""
        pass_time(h, 3700)
        due(h, says=r"mailhaul: isp: works again after 2 h|mailhaul: isp: works again after \d+ min")
        assert "failing" not in h.call("status").out
        pass_time(h, 300)
        due(h)


def test_a_person_need_not_wait(tmp_path):
    with refusing("pop3", "[SYS/TEMP] later") as srv:
        h = in_clear(tmp_path, srv)
        due(h, code=75, says=".*later.*")
        r = h.call("run", "isp")
        assert r.code == 75 and "later" in r.err and logins(srv) == 2, r
        r = h.call("run")
        assert r.code == 75 and "later" in r.err and logins(srv) == 3, r
        srv.answer = ""
        assert h.call("run", "isp").code == 0
        due(h)
        assert logins(srv) == 4


@pytest.mark.parametrize("scheme", ["pop3", "imap"])
def test_a_refused_login(tmp_path, scheme):
    """Not again until the secret or the settings change, a day has passed, or a person says so."""
    answer = "[AUTH] wrong password" if scheme == "pop3" else "NO [AUTHENTICATIONFAILED] wrong password"
    with refusing(scheme, answer) as srv:
        h = in_clear(tmp_path, srv, scheme)
        due(h, code=77, says="mailhaul: isp: .*wrong password.*")
        for _ in range(5):
            pass_time(h, 3600)
            due(h)
        assert logins(srv) == 1
        text = h.call("status").out
        assert "lest the account be locked" in text and "wrong password" in text, text
        with open(h.db + ".attempts", encoding="ascii") as f:
            assert "secret" not in f.read()
        # a new secret is tried once
        h.write_private(h.secret, "changed\n")
        for _ in range(3):
            pass_time(h, 300)
            due(h, code=77 if logins(srv) == 1 else 0)
        assert logins(srv) == 2
        # so are new settings
        h.reconfigure("tls = none", "tls = none\n\tauth = {%s}" % ("USER" if scheme == "pop3" else "LOGIN"))
        for _ in range(3):
            pass_time(h, 300)
            due(h, code=77 if logins(srv) == 2 else 0)
        assert logins(srv) == 3
        assert h.call("run", "isp").code == 77 and logins(srv) == 4
        pass_time(h, 86300)
        due(h)
        assert logins(srv) == 4
        pass_time(h, 400)
        due(h, code=77, says="mailhaul: isp: .*wrong password.*for 30 h now.*")   # once a day
        assert logins(srv) == 5
        srv.answer = ""
        h.write_private(h.secret, "secret\n")
        pass_time(h, 300)
        due(h, says="mailhaul: isp: works again after 30 h")


def test_the_secret_of_a_command_is_compared(tmp_path):
    with refusing("pop3", "[AUTH] wrong") as srv:
        h = in_clear(tmp_path, srv)
        asked = os.path.join(h.dir, "asked")
        h.reconfigure('password-file = "%s"' % h.secret, 'password-command = "echo . >>%s; cat %s"' % (asked, h.secret))
        due(h, code=77, says=".*wrong.*")
        pass_time(h, 600)
        due(h)
        before = os.path.getsize(asked)
        assert logins(srv) == 1
        h.write_private(h.secret, "other\n")
        pass_time(h, 600)
        due(h, code=77)
        assert logins(srv) == 2 and os.path.getsize(asked) > before


def test_a_failure_of_days(tmp_path):
    """Told once when it begins, once a day, once when it is over."""
    with refusing("pop3", "[SYS/TEMP] later") as srv:
        h = in_clear(tmp_path, srv, fetch="every = 1h")
        lines = []
        for _ in range(3 * 24 + 1):
            lines.append(h.call("run", "--due").err)
            pass_time(h, 3960)
        assert [bool(line) for line in lines].count(True) == 4, lines
        assert "for 24 h now" in "".join(lines) or "for 25 h now" in "".join(lines), lines
        srv.answer = ""
        due(h, says="mailhaul: isp: works again after 3 days")


def test_who_looks_sees_all(tmp_path):
    with refusing("pop3", "[SYS/TEMP] later") as srv:
        h = in_clear(tmp_path, srv)
        for args in (("--json",), ("-v",), ("--json",)):
            r = h.call(*args, "run", "--due")
            assert r.code == 75 and "later" in r.out + r.err, r
            pass_time(h, 4000)
        due(h, code=75)


class Holds(pop3peer.Peer):
    """Holds the first login back until it is told to go on."""

    def __init__(self, *args):
        self.came, self.go = threading.Event(), threading.Event()
        super().__init__(*args)

    def pass_(self, link, arg):
        self.came.set()
        self.go.wait(20)
        return super().pass_(link, arg)


def test_a_run_that_is_going_on_is_left_alone(tmp_path):
    with Holds(MAIL) as srv:
        h = in_clear(tmp_path, srv)
        p = h.start("run", "--due")
        assert srv.came.wait(20)
        attempts.age(h.db, 3600)
        for _ in range(3):
            due(h)
        srv.go.set()
        assert p.communicate(timeout=20) == (b"", b"") and p.returncode == 0
        assert len(srv.commands("USER")) == 1


def test_a_run_that_is_stopped_is_due_still(tmp_path):
    """The machine is shut down, or cron's time is over: also what waited for its turn does not wait for another day."""
    with Holds(MAIL) as srv:
        h = in_clear(tmp_path, srv, fetch="every = 1d", extra='fetch next { from = isp  to = "maildir:%s"  every = 1d }' % (tmp_path / "next"))
        p = h.start("run", "--due", "--jobs", "1")
        assert srv.came.wait(20)
        p.send_signal(signal.SIGTERM)
        assert p.wait(timeout=20) == 143
        p.communicate()
        srv.go.set()
        due(h)
        assert h.messages() + haul.maildir_messages(str(tmp_path / "next")) == MAIL
        at = logins(srv)
        due(h)
        assert logins(srv) == at >= 3


def test_killed_workers_are_failures(tmp_path):
    """A worker that is killed is told, noted, and tried again later as other failures are."""
    with Holds(MAIL) as srv:
        h = in_clear(tmp_path, srv)
        p = h.start("run", "--due")
        assert srv.came.wait(20)
        os.kill(int(open("/proc/%d/task/%d/children" % (p.pid, p.pid), encoding="ascii").read()), signal.SIGKILL)
        err = p.communicate(timeout=20)[1].decode()
        assert p.returncode == 70 and "killed by signal 9" in err, err
        srv.go.set()
        a = attempts.read(h.db)
        assert a["tries"] == 1 and a["code"] == 70 and "killed by signal 9" in a["text"] and a["next"] > time.time() + 200
        due(h)
        pass_time(h, 400)
        due(h, says="mailhaul: isp: works again after .*")


def test_spread(tmp_path):
    """Each job has its own moment within a tenth of its `every`, and keeps it."""
    with pop3peer.Peer(MAIL) as srv:
        h = in_clear(tmp_path, srv, fetch="every = 10s")
        due(h)
        took = []
        for _ in range(3):
            pass_time(h, 10)
            begun = time.monotonic()
            due(h, env={"MAILHAUL_SPREAD": "1"})
            took.append(time.monotonic() - begun)
        assert logins(srv) == 4
        pass_time(h, 10)
        begun = time.monotonic()
        due(h)
        assert all(t < 1 + time.monotonic() - begun + 1 for t in took), took


def test_a_deadline(tmp_path):
    """A run that takes too long is stopped with its helpers, in a line that says so."""
    with pop3peer.Peer(MAIL) as srv:
        h = in_clear(tmp_path, srv, fetch="every = 5m\n\tdeadline = 1s")
        pids = os.path.join(h.dir, "pids")
        h.reconfigure('password-file = "%s"' % h.secret, 'password-command = "echo $$ >>%s; sleep 100 & echo $! >>%s; wait"' % (pids, pids))
        due(h, code=75, says="mailhaul: isp: the run took longer than its deadline of 1s and was stopped.*")
        with open(pids, encoding="ascii") as f:
            started = [int(line) for line in f]
        assert len(started) == 2
        until(lambda: not any(os.path.exists("/proc/%d" % p) for p in started))
        assert attempts.read(h.db)["tries"] == 1


def test_watch_does_not_try_a_refused_login_again(tmp_path):
    with refusing("pop3", "[AUTH] wrong password") as srv:
        h = in_clear(tmp_path, srv, fetch="every = 1s")
        with Watch(h, "isp") as w:
            w.wait("end", count=3)
            assert [e["exit"] for e in w.of("end")][:3] == [77, 0, 0] and logins(srv) == 1, w
            # whoever asks for it has it
            w.proc.send_signal(signal.SIGUSR1)
            until(lambda: logins(srv) == 2)
