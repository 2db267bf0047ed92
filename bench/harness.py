"""What all rows of the benchmark share: programs and files, one measured run of a command through
a delayproxy of its own, the turns that the clients take, medians, projections, and the table."""

import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
from collections import Counter, namedtuple

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "tests", "lib"))

PASSWORD = "secret"
ONCE_SECONDS = 60               # rows slower than this are run once
FIGURES = ("seconds", "user", "system", "rss", "waits", "turns", "up", "down")

# Between client and server: round-trip time in ms, and bytes per second each way (0: no limit).
Line = namedtuple("Line", "rtt rate each", defaults=(0, False))
LOCAL = Line(0)


# -- programs and files -----------------------------------------------------------------------

def have(name):
    """The path of a program, which may lie where only root looks."""
    return shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")


def write(path, text, mode=0o600):
    with open(path, "w") as f:
        f.write(text)
    os.chmod(path, mode)
    return path


def maildir(path):
    for sub in ("cur", "new", "tmp"):
        os.makedirs(os.path.join(path, sub), exist_ok=True)
        os.chmod(os.path.join(path, sub), 0o700)
    os.chmod(path, 0o700)
    return path


def tool(name, build, work, sources=(), libs=()):
    """The program from the build tree, else compiled now."""
    path = os.path.join(build, "bench", name)
    if build and os.access(path, os.X_OK):
        return path
    path = os.path.join(work, name)
    subprocess.run([os.environ.get("CC", "cc"), "-O2", "-std=gnu17", "-D_GNU_SOURCE",
                    *(os.path.join(HERE, s + ".c") for s in (name, *sources)),
                    "-o", path, *libs], check=True)
    return path


def first_line(*argv):
    """What a program says about itself, or None if it is not there."""
    try:
        done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=10,
                              stdin=subprocess.DEVNULL)
        return done.stdout.decode(errors="replace").split("\n")[0]
    except (OSError, subprocess.TimeoutExpired):
        return None


# -- clients ----------------------------------------------------------------------------------

class Client:
    """One program with one setting."""

    name = None
    slow = False                # needs a round trip or more for each message
    unroot = False              # does not work as root

    def path(self):
        """Where the program is; None if it is not there."""
        return have(self.name)

    def missing(self):
        """Why it cannot be measured at all; None if it can."""
        if self.path():
            return None
        return "not built" if self.name == "mailhaul" else "not installed"


# -- one run ----------------------------------------------------------------------------------

class Harness:
    """Measures commands; work is the directory that all runs lie in."""

    def __init__(self, opt, tools, work):
        self.opt, self.tools, self.work = opt, tools, work
        # Messages of the probe that decides whether a slow row is run.
        self.probe = 20 if opt.quick else 100

    def directory(self, client):
        """A new one for a client's files."""
        return tempfile.mkdtemp(dir=self.work, prefix=client.name.replace("+", "-") + "-")

    def proxy(self, line, target, port=0):
        """A delayproxy to the port target: its process and the port it listens on."""
        p = subprocess.Popen([self.tools["delayproxy"], "--rtt-ms", str(line.rtt),
                              "--rate", str(line.rate), "--listen", str(port),
                              *(["--each"] if line.each else []), "127.0.0.1:%d" % target],
                             stdout=subprocess.PIPE, text=True)
        return p, int(p.stdout.readline().split()[1])

    def port(self, target):
        """A port that is free now, for a client that knows a mailbox by its port."""
        proxy, port = self.proxy(LOCAL, target)
        proxy.terminate()
        proxy.wait()
        return port

    def measure(self, command, directory, line, target, timeout, port=0, user=None, second=None):
        """Runs what command(port) gives, (argv, environment), once through a proxy of its own;
        returns the figures, or an error. user: who it runs as, if not we. second: another port
        that it needs, through another proxy; then it is command(port, port of that proxy)."""
        proxies = [self.proxy(line, target, port)]
        if second:
            proxies.append(self.proxy(line, second))
        counted = Counter()
        try:
            argv, extra = command(*(port for _, port in proxies))
            env = dict(os.environ, HOME=directory, **extra)
            out = os.path.join(directory, "measured")
            who = {}
            if user:
                who = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
            # What earlier runs wrote must not be flushed in this one's time.
            os.sync()
            with open(os.path.join(directory, "output"), "wb") as log:
                p = subprocess.Popen([self.tools["measure"], out] + argv, cwd=directory, env=env,
                                     stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                     start_new_session=True, **who)
                try:
                    p.wait(timeout)
                except subprocess.TimeoutExpired:
                    return {"error": "longer than %d s" % timeout}
                finally:
                    if p.returncode is None:
                        os.killpg(p.pid, signal.SIGKILL)
                        p.wait()
        finally:
            for proxy, _ in proxies:
                proxy.terminate()
                counted.update(json.loads(proxy.stdout.read()))
                proxy.wait()
        with open(out) as f:
            got = json.load(f)
        got.update({k: counted[k] for k in ("waits", "turns", "connections", "hello_up",
                                            "hello_down")})
        for way in ("up", "down"):
            got[way] = counted[way] - counted["hello_" + way]
        with open(os.path.join(directory, "output"), errors="replace") as f:
            got["output"] = f.read().strip()[-300:].replace("\n", " | ")
        if got["status"] != 0:
            got["error"] = "exit %d: %s" % (got["status"], got["output"])
        return got

    # -- many runs ----------------------------------------------------------------------------

    def turns(self, clients, once, probe=None, most=None):
        """A result for each client: the median of several runs once(client), in turns so that
        what disturbs the machine disturbs all. probe(client) may give {"error"}, or what one run
        will take: then it is run once, or not at all and the projection is the result. most: so
        many runs are enough."""
        out, got, repeat = {}, {c: [] for c in clients}, {}
        for c in clients:
            repeat[c] = min(self.opt.repeat, most or self.opt.repeat)
            missing = c.missing()
            if missing:
                out[c] = {"error": missing}
                continue
            guess = probe(c) if probe else None
            if guess and ("error" in guess or guess["seconds"] > self.opt.limit):
                out[c] = guess
            elif guess and guess["seconds"] > ONCE_SECONDS:
                repeat[c] = 1
        for n in range(self.opt.repeat):
            for c in clients:
                if c in out or n >= repeat[c]:
                    continue
                one = once(c)
                got[c].append(one)
                if "error" in one:
                    out[c] = dict(one, samples=got[c])
                elif one["seconds"] > ONCE_SECONDS:
                    repeat[c] = 1
        return [out.get(c) or median(got[c]) for c in clients]

    def project(self, once, count):
        """What a run with count messages would take, from runs once(n) with few."""
        least = self.probe // 10
        few = [once(n) for n in (least, self.probe)]
        bad = [f["error"] for f in few if "error" in f]
        if bad:
            return {"error": bad[0]}
        out = {"rss": few[1]["rss"], "samples": few, "projected": self.probe}
        for key in FIGURES:
            if key != "rss":
                each = max(0.0, few[1][key] - few[0][key]) / (self.probe - least)
                out[key] = few[1][key] + each * (count - self.probe)
        out["best"] = out["seconds"]
        return out


def median(got):
    out = {k: statistics.median(g[k] for g in got) for k in FIGURES}
    out["best"] = min(g["seconds"] for g in got)
    out["samples"] = got
    return out


# -- report -----------------------------------------------------------------------------------

HEAD = "%-18s %4s  %-14s %9s %8s %7s %9s %7s %6s %9s %9s" % (
    "work", "rtt", "client", "seconds", "best", "ratio", "cpu s", "rss MB", "waits", "down",
    "up")


def size(count):
    """Bytes for a person."""
    return "%.1f kB" % (count / 1e3) if count < 1e6 else "%.1f MB" % (count / 1e6)


def show(row):
    """One line of the table."""
    r = row["result"]
    head = "%-18s %4d  %-14s" % (row["work"], row["rtt_ms"], row["client"])
    if "error" in r:
        return "%s  %s" % (head, r["error"])
    return "%s %9.2f %8.2f %7s %9.3f %7.1f %6s %9s %9s  %s" % (
        head, r["seconds"], r["best"], "%.2f" % row["ratio"] if row.get("ratio") else "-",
        r["user"] + r["system"], r["rss"] / 1048576, "%d" % r["waits"] if row["rtt_ms"] else "-",
        size(r["down"]), size(r["up"]),
        "projected from %d messages" % r["projected"] if "projected" in r else
        "one run" if len(r.get("samples", ())) == 1 else "")


class Work:
    """One row of the table for each client and round-trip time."""

    name = None
    rtts = None                 # ms; None: those that were asked for
    rate = 0                    # bytes per second that the line carries each way; 0: no limit
    each = False                # it is the rate of each connection, not of all together

    def __init__(self, harness, clients):
        self.harness, self.clients = harness, clients

    def prepare(self):
        """Makes what the runs need; returns the row's headline."""
        raise NotImplementedError

    def results(self, clients, line):
        """A result for each of these clients."""
        raise NotImplementedError
