"""`mailhaul watch` for as long as $MAILHAUL_SOAK says (seconds): readers at both sides, who do things at random, and faults of all kinds. At the end both sides are the same, each
message has met its fate, and the program has neither more memory nor more descriptors than it had.
"""

import os
import random
import signal
import time

import pytest

from line import Line
from twoway import Boxes, Sync, start
from watching import Watch, children, until
from world import World

SECONDS = float(os.environ.get("MAILHAUL_SOAK", "15"))
SEED = int(os.environ.get("MAILHAUL_SEED", "1"), 0)
ROUND = 10              # seconds between two looks at everything
PAUSE = 0.3             # between readers
SPARE = 2 << 20         # bytes that a process may grow by
SPARE_FDS = 3           # and descriptors: what a link or a look has open at the moment

pytestmark = pytest.mark.model


@pytest.fixture(scope="module", params=["all", "bare"])
def server(request, tmp_path_factory):
    srv = start(tmp_path_factory.mktemp("dovecot"), request.param)
    # With the index Dovecot 2.3 goes on to list a folder that was removed while there are others beneath it, as if it could be opened.
    srv.extra += "mailbox_list_index = no\n"
    with srv:
        yield srv


class Soak:
    """A world whose job is watched."""

    def __init__(self, directory, srv, line, make):
        self.rng = random.Random(SEED)
        self.srv, self.line = srv, line
        self.world = World(directory, None, srv, SEED, make)
        self.p = self.world.p
        self.p.reconfigure(":%d" % srv.front_port, ":%d" % line.port)
        self.p.reconfigure("max-delete", "every = 20s\nmax-delete")
        self.w = None

    # -- faults -------------------------------------------------------------------------------------------------

    def some_children(self):
        return children(self.w.proc.pid)

    def hit(self, sig):
        for pid in self.some_children():
            if self.rng.random() < 0.5:
                try:
                    os.kill(pid, sig)
                except ProcessLookupError:
                    pass

    def kill(self):
        self.hit(signal.SIGKILL)

    def cut(self):
        self.line.cut()

    def away(self):
        self.line.down()
        time.sleep(self.rng.uniform(0, 1))
        self.line.up()

    def silence(self):
        self.line.freeze()
        time.sleep(self.rng.uniform(0, 1))
        self.line.thaw()

    def suspend(self):
        stopped = self.w.processes()
        for pid in stopped:
            try:
                os.kill(pid, signal.SIGSTOP)
            except ProcessLookupError:
                pass
        time.sleep(self.rng.uniform(0, 0.5))
        for pid in stopped:
            try:
                os.kill(pid, signal.SIGCONT)
            except ProcessLookupError:
                pass

    def again(self):
        self.w.proc.send_signal(self.rng.choice((signal.SIGHUP, signal.SIGUSR1)))

    def restart(self):
        self.srv.stop()
        self.srv.start()

    # -- rounds -------------------------------------------------------------------------------------------------

    def traffic(self, until_when):
        faults = (self.kill, self.cut, self.away, self.silence, self.suspend, self.again, self.restart)
        self.world.busy = True
        while time.monotonic() < until_when:
            self.world.model.run_broken()   # from now on anything may have been copied
            self.world.read_mail(self.rng.randrange(1, 6))
            if self.rng.random() < 0.15:
                fault = self.rng.choice(faults)
                self.world.say(" fault:", fault.__name__)
                fault()
            time.sleep(self.rng.uniform(0, PAUSE))
        self.world.busy = False

    def look(self):
        """Nothing happens any more: soon both sides are the same. What a fault has put off is done by a run of its own."""
        self.w.proc.send_signal(signal.SIGUSR1)
        until(self.same, 60, lambda: "the sides differ: %r" % self.w)
        self.w.settle()
        self.world.agree()

    def same(self):
        try:
            return self.p.remote.state() == self.p.local.state()
        except (FileNotFoundError, IndexError):     # a run has just done something there
            return False

    def costs(self):
        """Of the process that stays, and of its watcher: bytes and descriptors."""
        # one that was killed a few times is begun anew after a while
        pids = until(lambda: self.w.processes() if len(self.w.processes()) == 2 else [], 90, lambda: repr(self.w))
        out = []
        for pid in pids:
            with open("/proc/%d/smaps_rollup" % pid, encoding="ascii") as f:
                rss = sum(int(line.split()[1]) << 10 for line in f if line.startswith(("Private_Dirty:", "Private_Clean:")))
            out.append((rss, len(os.listdir("/proc/%d/fd" % pid))))
        return out


@pytest.mark.deadline(SECONDS * 3 + 120)
@pytest.mark.parametrize("make", [Sync, Boxes])
def test_soak(server, tmp_path, make):
    with Line(server.front_port) as line:
        s = Soak(tmp_path, server, line, make)
        with Watch(s.p, "both") as w:
            s.w = w
            w.wait("end")
            s.look()
            end = time.monotonic() + SECONDS
            first = None
            while first is None or time.monotonic() < end:
                s.traffic(min(time.monotonic() + ROUND, end))
                s.look()
                first = first or s.costs()
                s.w.events.clear()
            s.look()
            last = s.costs()
            for (was, fds_were), (is_now, fds_are) in zip(first, last):
                assert fds_are <= fds_were + SPARE_FDS and is_now <= was + SPARE, (first, last)
