"""`mailhaul watch`: what changes on one side is soon on the other, its own changes cause nothing, and it survives what happens to links, servers, clocks and configurations."""

import contextlib
import os
import re
import shutil
import signal
import socket
import time

import pytest

from line import Line
from twoway import Accounts, Boxes, Sync, start
from watching import Watch, until


@pytest.fixture(scope="module")
def servers(tmp_path_factory):
    """Of each kind one, when it is needed."""
    with contextlib.ExitStack() as stack:
        made = {}

        def of(kind):
            if kind not in made:
                made[kind] = stack.enter_context(start(tmp_path_factory.mktemp("dovecot"), kind))
            return made[kind]
        yield of


#: How the server is waited for: what the server is, what the account and the job say.
WAYS = {"NOTIFY": ("all", "", "every = 1h"), "IDLE": ("all", "disable-extensions = {NOTIFY}", "every = 1h"), "STATUS": ("bare", "", "every = 2s")}


def mail(n):
    return b"From: a@example.org\nSubject: %d\nMessage-ID: <%d@example.org>\n\nbody %d\n" % (n, n, n)


@pytest.fixture(params=list(WAYS))
def p(request, servers, tmp_path):
    kind, account, job = WAYS[request.param]
    made = Sync(tmp_path, servers(kind), "\t" + job, account=account)
    made.way = request.param
    return made


@pytest.fixture
def one(servers, tmp_path):
    """For what has nothing to do with the server's ways."""
    made = Sync(tmp_path, servers("all"), "\tevery = 1h")
    made.way = "NOTIFY"
    return made


def up(w):
    """It stands, and has nothing to do."""
    w.wait("waiting", side="local", text="inotify")
    until(lambda: [e for e in w.of("waiting", side="remote") if e["text"].startswith(w.job.way)], what=lambda: repr(w))
    w.settle()
    return w.mark()


def test_local_change(p):
    p.remote.deliver(mail(1))
    with Watch(p, "both") as w:
        at = up(w)
        assert p.local.bodies() == [mail(1)]
        p.local.flag("INBOX", mail(1), "F")
        until(lambda: p.remote.state()["INBOX"] == [(mail(1), "F")], what=lambda: repr(w))
        w.settle()
        assert len(w.of("changed", at)) == len(w.of("start", at)) == 1, w


def test_remote_change(p):
    """New mail, a flag, a deletion; in the inbox, and in folders of which the server tells or is asked."""
    p.remote.deliver(mail(1))
    with Watch(p, "both") as w:
        at = up(w)
        for change, like in ((lambda: p.remote.deliver(mail(2)), {"pulled": 1}), (lambda: p.remote.flag("INBOX", mail(1), "F"), {"flagged": 1}),
                             (lambda: p.remote.delete("INBOX", mail(1)), {"deleted": 1})):
            at = w.mark()
            change()
            w.wait("end", at, **like)
            w.settle()
            assert len(w.of("start", at)) == 1, w
            p.same()


def test_burst(p):
    """Many changes are a few runs, not as many."""
    n = 1000
    p.remote.fill("INBOX", n)
    with Watch(p, "both") as w:
        at = up(w)
        cur = os.path.join(p.local.box("INBOX"), "cur")
        for name in os.listdir(cur):
            base = name.split(":2,")[0]
            os.rename(os.path.join(cur, name), os.path.join(cur, base + ":2,FS"))
            time.sleep(0.0005)
        until(lambda: sum(e["flagged"] for e in w.of("end", at)) == n, what=lambda: repr(w))
        w.settle()
        assert len(w.of("start", at)) <= 6, w
    p.same()


def test_its_own_changes(p):
    """What a run does on either side makes no other run: messages, flags, deletions, moves, folders."""
    p.remote.fill("INBOX", 5)
    with Watch(p, "both") as w:
        up(w)
        for change in (lambda: p.local.deliver(mail(50)), lambda: p.local.delete("INBOX", mail(50)), lambda: p.local.make("New"),
                       lambda: p.local.deliver(mail(51), "New"), lambda: p.local.move("New", mail(51), "INBOX"), lambda: p.local.remove("New")):
            at = w.mark()
            change()
            w.wait("end", at)
            w.settle()
            assert len(w.of("start", at)) == 1 or len(w.of("changed", at)) == len(w.of("start", at)) <= 2, (change, w.events[at:])
            p.same()


def test_files_of_mbox(servers, tmp_path):
    """At the local side a tree of mbox files."""
    p = Boxes(tmp_path, servers("all"), "\tevery = 1h")
    p.way = "NOTIFY"
    p.remote.fill("INBOX", 3)
    with Watch(p, "both") as w:
        up(w)
        for change in (lambda: p.local.deliver(mail(50)), lambda: p.local.flag("INBOX", mail(50), "F"), lambda: p.remote.deliver(mail(51)), lambda: p.local.delete("INBOX", mail(51))):
            at = w.mark()
            change()
            w.wait("end", at)
            w.settle()
            assert len(w.of("start", at)) == 1, w.events[at:]
            p.same()


def test_two_servers(servers, tmp_path):
    """Both are waited for, and neither's answer to what a run does there makes another."""
    p = Accounts(tmp_path, servers("all"), "\tevery = 1h")
    p.remote.fill("INBOX", 3)
    with Watch(p, "both") as w:
        for side in ("remote", "local"):
            until(lambda s=side: [e for e in w.of("waiting", side=s) if e["text"].startswith("NOTIFY")], what=lambda: repr(w))
        w.settle()
        for change in (lambda: p.local.deliver(mail(50)), lambda: p.remote.deliver(mail(51)), lambda: p.local.flag("INBOX", mail(51), "F"), lambda: p.remote.delete("INBOX", mail(50))):
            at = w.mark()
            change()
            w.wait("end", at)
            w.settle()
            assert len(w.of("start", at)) == 1, w.events[at:]
            p.same()


def test_now(one):
    with Watch(one, "both") as w:
        at = up(w)
        w.proc.send_signal(signal.SIGUSR1)
        w.wait("end", at)
        w.settle()
        assert len(w.of("start", at)) == 1


def section(p, name, kind):
    """A job's configuration under another name, its account too."""
    with open(p.conf, encoding="utf-8") as f:
        return f.read().replace("account work {", "account %s {" % name).replace("remote = work", "remote = %s" % name).replace("sync both {", "sync %s {" % name)


def pids(w):
    return set(w.processes())


@pytest.fixture
def three(servers, tmp_path):
    """Three accounts with a job each, in one configuration."""
    made = [Sync(tmp_path / str(i), servers("all"), "\tevery = 1h") for i in range(3)]
    texts = [section(q, "job%d" % i, q) for i, q in enumerate(made)]
    made[0].write_private(made[0].conf, "".join(texts))
    made[0].texts = texts
    return made


def test_another_configuration(three):
    """SIGHUP: who is as before notices nothing, who is other begins anew, who is gone ends, who is new begins; and one that is wrong changes nothing."""
    p = three[0]
    with Watch(p) as w:
        for i in range(3):
            w.wait("waiting", job="job%d" % i)
            w.wait("end", job="job%d" % i)
        w.settle()
        before = pids(w)
        at = w.mark()
        changed = p.texts[1].replace("every = 1h", "every = 2h")
        p.write_private(p.conf, "# said otherwise\n" + p.texts[0].replace("every = 1h", "every = 60m") + changed + p.texts[2].replace("sync job2", "sync job3"))
        w.proc.send_signal(signal.SIGHUP)
        w.wait("end", at, job="job1")
        w.wait("end", at, job="job3")
        w.settle()
        assert w.of("start", at, job="job0") == w.of("start", at, job="job2") == [], w
        assert len(before & pids(w)) >= 2 and before != pids(w)
        at, before = w.mark(), pids(w)
        p.write_private(p.conf, p.texts[0] + "sync torn {\n")
        w.proc.send_signal(signal.SIGHUP)
        w.wait("warning", at)
        assert b"".join(w.errors).decode() == "" or "mailhaul.conf" in b"".join(w.errors).decode(), w
        assert pids(w) == before
        three[1].local.deliver(mail(7))
        w.wait("end", at, job="job1")


def test_ends_at_once(three):
    """Also while runs are under way; here with servers that say nothing."""
    p = three[0]
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(16)
        p.write_private(p.conf, re.sub(r"localhost:\d+", "localhost:%d" % deaf.getsockname()[1], "".join(p.texts)))
        with Watch(p) as w:
            w.wait("start", count=3)


def test_killed_watcher(one):
    """Whoever waits for changes is begun anew, and what changed meanwhile is seen."""
    with Watch(one, "both") as w:
        at = up(w)
        victim = [pid for pid in w.processes() if pid != w.proc.pid]
        assert len(victim) == 1
        os.kill(victim[0], signal.SIGKILL)
        until(lambda: victim[0] not in w.processes())
        one.local.deliver(mail(3))
        w.wait("end", at, pushed=1)
        one.same()


def test_stopped_and_continued(one):
    """A machine that was suspended."""
    with Watch(one, "both") as w:
        at = up(w)
        for pid in w.processes():
            os.kill(pid, signal.SIGSTOP)
        one.remote.deliver(mail(1))
        one.local.deliver(mail(2))
        for pid in w.processes():
            os.kill(pid, signal.SIGCONT)
        w.wait("end", at, pushed=1)
        w.settle()
        one.same()


@contextlib.contextmanager
def manager(path):
    """What the service manager hears."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.bind(path)
        s.settimeout(20)
        yield s


def hear(s, wanted):
    end = time.monotonic() + 20
    while time.monotonic() < end:
        text = s.recv(4096).decode()
        if wanted in text.splitlines():
            return
    raise AssertionError(wanted)


def test_service(one, tmp_path):
    with manager(str(tmp_path / "notify")) as s:
        with Watch(one, "both", env={"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "400000"}) as w:
            hear(s, "READY=1")
            hear(s, "STATUS=1 job watched, 1 running")
            hear(s, "STATUS=1 job watched, 0 running")
            for _ in range(3):
                hear(s, "WATCHDOG=1")
            w.proc.send_signal(signal.SIGHUP)
            hear(s, "READY=1")
            w.settle()
        hear(s, "STOPPING=1")


@pytest.fixture
def lined(servers, tmp_path):
    """A job whose server is at the other end of a line."""
    srv = servers("all")
    with Line(srv.front_port) as line:
        p = Sync(tmp_path, srv, "\tevery = 1h")
        p.way, p.line = "NOTIFY", line
        p.reconfigure(":%d" % srv.front_port, ":%d" % line.port)
        yield p


def standing(w, at):
    """The server is waited for again."""
    until(lambda: [e for e in w.of("waiting", at, side="remote") if e["text"].startswith("NOTIFY")], what=lambda: repr(w))


def test_cut_line(lined):
    """It is noticed at once, told, and made anew within seconds; what came meanwhile is here then."""
    with Watch(lined, "both") as w:
        at = up(w)
        lined.line.cut()
        standing(w, at)
        lost = w.wait("waiting", at, side="remote")
        assert not lost["text"].startswith("NOTIFY"), w
        at = w.mark()
        lined.line.down()
        lined.remote.deliver(mail(1))
        lined.local.deliver(mail(2))
        w.wait("error", at)
        lined.line.up()
        until(lambda: lined.remote.state() == lined.local.state() and len(lined.local.bodies()) == 2, 30, lambda: repr(w))
        standing(w, at)


def test_restarted_server(servers, tmp_path):
    with start(tmp_path / "dovecot", "all") as srv:
        p = Sync(tmp_path / "job", srv, "\tevery = 1h")
        p.way = "NOTIFY"
        with Watch(p, "both") as w:
            up(w)
            srv.stop()
            at = w.mark()
            srv.start()
            p.remote.deliver(mail(1))
            standing(w, at)
            until(lambda: p.local.bodies() == [mail(1)], what=lambda: repr(w))


FAKETIME = next((f for f in ("/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1", "/usr/lib/faketime/libfaketime.so.1") if os.path.exists(f)), None)


@pytest.mark.skipif(not FAKETIME, reason="faketime is not installed")
@pytest.mark.parametrize("was, is_now", [("+0", "+1h"), ("+1h", "+0")], ids=["forwards", "backwards"])
def test_moved_clock(one, tmp_path, was, is_now):
    """The clock is set, forwards or backwards: jobs run as often as before, changes are seen as before."""
    one.reconfigure("every = 1h", "every = 1s")
    offset = tmp_path / "offset"
    offset.write_text(was)
    env = {"LD_PRELOAD": FAKETIME, "FAKETIME_TIMESTAMP_FILE": str(offset), "FAKETIME_NO_CACHE": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
    with Watch(one, "both", env=env) as w:
        w.wait("end", count=2)
        offset.write_text(is_now)
        at = w.mark()
        began = time.monotonic()
        w.wait("end", at, count=4)
        assert time.monotonic() - began < 10, w
        assert len(w.of("end", at)) < 20, w
        one.remote.deliver(mail(1))
        one.local.deliver(mail(2))
        until(lambda: one.remote.state() == one.local.state() and len(one.local.bodies()) == 2, what=lambda: repr(w))
        assert w.of("error") == [], w


def test_refused_login(one):
    """It is tried once, by whoever waits and whoever runs together, until something about it has changed; then all is as it should be."""
    one.reconfigure("every = 1h", "every = 1s")
    right = open(one.secret, encoding="utf-8").read()
    one.write_private(one.secret, "wrong\n")
    with Watch(one, "both") as w:
        w.wait("error", kind="auth")
        w.wait("end", count=3)
        assert refusals(one) == 1
        at = w.mark()
        one.write_private(one.secret, right)
        w.wait("end", at, exit=0)
        up(w)
        one.remote.deliver(mail(1))
        until(lambda: one.local.bodies() == [mail(1)], what=lambda: repr(w))
        assert refusals(one) == 1


def test_reload_after_refusal(one):
    """SIGHUP: perhaps the secret is another now."""
    right = open(one.secret, encoding="utf-8").read()
    one.write_private(one.secret, "wrong\n")
    with Watch(one, "both") as w:
        w.wait("error", kind="auth")
        w.settle(0.5)
        at = w.mark()
        w.proc.send_signal(signal.SIGHUP)
        w.wait("end", at)
        w.settle(0.5)
        assert refusals(one) == 1
        one.write_private(one.secret, right)
        at = w.mark()
        w.proc.send_signal(signal.SIGHUP)
        w.wait("end", at, exit=0)
        up(w)


def test_replaced_tree(one):
    """Another tree in the old one's place, as after a restored backup, is watched as that was."""
    one.remote.deliver(mail(1))
    with Watch(one, "both") as w:
        at = up(w)
        os.rename(one.local.path, one.local.path + ".old")
        shutil.copytree(one.local.path + ".old", one.local.path + ".new", copy_function=shutil.copy2)
        os.rename(one.local.path + ".new", one.local.path)
        w.wait("waiting", at, side="local", text="inotify", seconds=40)
        w.settle()
        one.local.flag("INBOX", mail(1), "F")
        until(lambda: one.remote.state()["INBOX"] == [(mail(1), "F")], what=lambda: repr(w))


def test_absent_disk(one):
    """A tree that is not there when it begins, and is put there."""
    one.remote.deliver(mail(1))
    one.settle()
    os.rename(one.local.path, one.local.path + ".aside")
    with Watch(one, "both") as w:
        w.wait("error")
        w.settle()
        at = w.mark()
        os.rename(one.local.path + ".aside", one.local.path)
        w.wait("end", at, exit=0, seconds=40)
        up(w)
        one.same()


def test_server_down(lined):
    """What happens here makes a server that is not there no more willing: runs wait for their time."""
    lined.remote.deliver(mail(1))
    with Watch(lined, "both") as w:
        up(w)
        lined.line.down()
        at = w.mark()
        for i in range(30):
            lined.local.flag("INBOX", mail(1), "" if i % 2 else "F")
            time.sleep(0.1)
        assert len(w.of("start", at)) <= 4, w
        lined.line.up()
        until(lambda: lined.remote.state() == lined.local.state(), 40, lambda: repr(w))


def refusals(p):
    with open(p.srv.log_file, encoding="utf-8", errors="replace") as f:
        return sum(1 for line in f if "auth failed" in line and "user=<%s>" % p.user in line)


def test_where_nothing_can_be_noted(one):
    """As on a disk that has become read-only, or where the state is somebody else's: a job is tried as often as its `every` says, and not again and again."""
    one.reconfigure("every = 1h", "every = 2s")
    os.makedirs(one.db)
    os.makedirs(one.db + ".attempts")
    with Watch(one, "both") as w:
        assert w.wait("start", count=3)["at"] - w.wait("start", count=2)["at"] > 1.5, w
        assert len(w.of("error")) >= 2, w
