"""Two-way jobs with a real server, stopped at every step, killed at every system call, cut off at every byte: the next run ends as an undisturbed one would have."""

import json
import os
import re

import pytest

from disturb import CALLS, LONG, Proxy, needs_strace, points, strace
from twoway import HELLO, SERVERS, Boxes, Scene, Sync

pytestmark = pytest.mark.crash

#: Of each kind of disturbance, spread over the run; all of them in the long runs.
SHORT_KILLS, SHORT_CUTS = 6, 12
every_server = pytest.mark.parametrize("each_server", list(SERVERS) if LONG else ["all", "bare"], indirect=True)
LARGE = b"From: a@example.org\nSubject: large\n\n" + b"a line of the large one\n" * 3000


class Changed(Scene):
    """Both sides have changed in every way."""

    def __init__(self, directory, srv, make=Sync):
        super().__init__(directory, srv, "max-delete = none\nremove-folders = both", make)
        p = self.p
        p.remote.fill("INBOX", 8)
        p.remote.fill("Old", 2, 300)
        p.remote.fill("Older", 1, 310)
        p.settle()
        p.remote.fill("INBOX", 2, 10)
        p.remote.deliver(LARGE, flags="Fj")
        p.local.fill("INBOX", 2, 20)
        p.local.deliver(LARGE.replace(b"large", b"big"), flags="RSk")
        p.remote.deliver(HELLO % (30, 30), flags="S")
        p.local.deliver(HELLO % (30, 30), flags="Fj")
        p.remote.delete("INBOX", HELLO % (0, 0))
        p.local.delete("INBOX", HELLO % (1, 1))
        p.remote.flag("INBOX", HELLO % (2, 2), "FSj")
        p.local.flag("INBOX", HELLO % (3, 3), "RSk")
        p.remote.flag("INBOX", HELLO % (4, 4), "")
        p.local.flag("INBOX", HELLO % (4, 4), "FSn")
        p.remote.delete("INBOX", HELLO % (5, 5))
        p.local.flag("INBOX", HELLO % (5, 5), "DS")
        p.local.delete("INBOX", HELLO % (6, 6))
        p.remote.flag("INBOX", HELLO % (6, 6), "RS")
        p.local.fill("New", 2, 40, "Sk")
        p.remote.fill("Newer/caf\xe9", 2, 50, "Sj")
        p.local.remove("Old")
        p.remote.remove("Older")
        self.keep()
        assert p.sync().end["failed"] == 0
        self.want = self.state()
        assert self.want["local"] == self.want["remote"] and set(self.want["local"]) == {"INBOX", "New", "Newer/caf\xe9"}
        assert len(self.want["local"]["INBOX"]) == 11


@pytest.fixture
def scene(each_server, tmp_path):
    return Changed(tmp_path, each_server)


@pytest.fixture
def best_scene(best, tmp_path):
    return Changed(tmp_path, best)


@every_server
@pytest.mark.deadline(300)
def test_stopped_at_every_step(scene):
    for step in scene.stopped(stride=1 if scene.srv.kind == "all" else 3):
        scene.finish("step %d" % step)
    assert step > 25


@every_server
@pytest.mark.deadline(120)
def test_stopped_at_every_step_of_a_row_of_runs(scene):
    """One step further in each run on the same state, never an undisturbed one before the end."""
    scene.reset()
    for step in range(1, 100):
        if scene.p.call("run", env={"MAILHAUL_STOP_AT": str(step)}).code == 0:
            break
        scene.srv.wait_for_quiet()
    scene.finish("in a row")


@needs_strace
@pytest.mark.deadline(600)
@pytest.mark.parametrize("calls", CALLS)
def test_killed_at_every_nth_system_call(best_scene, calls):
    for what in best_scene.killed(calls, SHORT_KILLS):
        best_scene.finish(what)


@needs_strace
@pytest.mark.deadline(600)
@pytest.mark.parametrize("calls", CALLS if LONG else ["rename,renameat,renameat2,linkat", "unlink,unlinkat", "write", "pwrite64"])
def test_killed_at_every_nth_system_call_with_mbox_files(best, tmp_path, calls):
    scene = Changed(tmp_path, best, Boxes)
    for what in scene.killed(calls, SHORT_KILLS // 2):
        scene.finish(what)


@needs_strace
@pytest.mark.deadline(600)
@pytest.mark.parametrize("error", ["ENOSPC", "EIO"])
@pytest.mark.parametrize("calls", ["write,pwrite64", "fsync,fdatasync", "rename,renameat,renameat2,linkat", "mkdir,mkdirat"])
def test_system_calls_that_fail(best_scene, calls, error):
    for what in best_scene.failing(calls, error, SHORT_KILLS // 2):
        best_scene.finish(what)


@pytest.mark.deadline(600)
@pytest.mark.parametrize("once", [True, False], ids=["once", "always"])
@pytest.mark.parametrize("way", ["down", "up"])
def test_cut_off_after_every_kth_byte(best_scene, way, once):
    """Whether it comes through again at once, or not before the next run."""
    port = best_scene.srv.imaps_port

    def run(*args):
        best_scene.reset()
        proxy = Proxy(port, *args)
        try:
            best_scene.p.reconfigure(":%d" % port, ":%d" % proxy.port)
            r = best_scene.p.run("both")
        finally:
            counted = json.loads(proxy.stop())
        best_scene.p.reconfigure(":%d" % proxy.port, ":%d" % port)
        return r, counted

    r, counted = run()
    assert r.code == 0 and counted["connections"] == 1
    for n in points(counted[way], SHORT_CUTS) if not LONG else range(1, counted[way], max(97, counted[way] // 400)):
        r, _ = run("--cut-" + way, str(n), *(["--cut-once"] if once else []))
        # where it breaks at one message each time, that is left out, and the rest comes to its end
        assert r.code in ((0, 75) if once else (0, 1, 75)), (n, r)
        best_scene.finish("cut %s after %d" % (way, n))


@needs_strace
def test_two_runs_at_once(best_scene):
    best_scene.reset()
    first = best_scene.p.start("--json", "run", "both", prefix=strace("-e", "trace=fsync", "-e", "inject=fsync:delay_enter=300000"))
    try:
        while json.loads(first.stdout.readline())["event"] != "folder":
            pass
        second = best_scene.p.run("both")
        assert second.code == 75 and second.of("error")[0]["kind"] == "busy", second
    finally:
        first.communicate(timeout=60)
    assert first.returncode == 0
    assert best_scene.state() == best_scene.want
    best_scene.finish("two at once")


@needs_strace
def test_nothing_gets_its_name_before_it_is_on_disk(best, tmp_path):
    """
    Of a first run: the state file, and each message, for which the base has said so before, on disk, when all of its group were there; and after that the directory's. What is remembered of a server
    may be lost.
    """
    p = Sync(tmp_path, best)
    p.remote.fill("INBOX", 3)
    log = str(tmp_path / "calls")
    p.call("run", "both", prefix=strace("-y", "-e", "trace=fsync,fdatasync,linkat,rename,renameat,renameat2", log=log))
    p.same()
    at = r"(?:(?:AT_FDCWD|\d+)(?:<([^>]*)>(?:\(deleted\))?)?, )?"
    with open(log, encoding="utf-8", errors="replace") as f:
        calls = re.findall(r'(?:fsync|fdatasync)\(\d+<([^>]*)>|(?:linkat|rename\w*)\(%s"([^"]*)", %s"([^"]*)"' % (at, at), f.read())
    synced, unsynced, named, open_ends, said = set(), [], [], set(), False
    of = {}  # the names of files that began without one
    for path, here, old, there, new in calls:
        if path:
            synced.update([path], of.get(path, []))
            open_ends.discard(path)
            said = path.endswith(".db-wal") or (said and "/INBOX/tmp/" not in path)
            continue
        new = os.path.join(there, new)
        if not old:
            of.setdefault(here, []).append(new)
            continue
        old = os.path.join(here, old)
        if os.path.basename(os.path.dirname(new)) == "server":
            continue
        named.append(new)
        open_ends.add(os.path.dirname(new))
        if old not in synced or ("/INBOX/tmp/" in old and not said):
            unsynced.append((old, new))
    assert unsynced == [] and open_ends == set() and len([n for n in named if "/cur/" in n or "/new/" in n]) == 3 and any(n.endswith(".db") for n in named), (unsynced, open_ends, named)
