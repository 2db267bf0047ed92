#!/usr/bin/python3
"""How long a change takes to the other side while `mailhaul watch` runs: from the server's answer to an APPEND until the message is in the Maildir, and from the renaming of a file here
until another session at the server sees the flag. See README.md beside this file.
"""

import argparse
import os
import random
import shutil
import statistics
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "tests", "lib"))

import imappeer  # noqa: E402
import tlscert  # noqa: E402
from disturb import Proxy  # noqa: E402
from twoway import Job, Side, Sync, start  # noqa: E402
from watching import Watch  # noqa: E402

#: What the server may tell by, and what is switched off at the client for that.
WAYS = {"NOTIFY": "", "IDLE": "disable-extensions = {NOTIFY}"}
HEAD = "%-7s %5s  %-18s %8s %8s %8s" % ("by", "rtt", "what", "median", "p95", "max")
FIELDS = ("median", "p95", "max")


def mail(n):
    return b"From: a@example.org\nSubject: %d\nMessage-ID: <%d@example.org>\n\nbody %d\n" % (n, n, n)


def wait(true, what):
    end = time.monotonic() + 30
    while not true():
        if time.monotonic() > end:
            sys.exit("%s: nothing within 30 s" % what)
        time.sleep(0.002)


class Ear:
    """An IDLE client right beside the server: when does that tell?"""

    def __init__(self, p):
        self.c = p.remote.connect()
        self.c.select("INBOX", readonly=True)
        self.c.send(b"X IDLE\r\n")
        self.c.readline()

    def wait(self):
        while b"EXISTS" not in self.c.readline():
            pass

    def close(self):
        self.c.shutdown()


def arrivals(p, n, pause, told):
    """Seconds until each message that comes to the server's inbox is in the Maildir; told: until the server says so to who is beside it."""
    cur = [os.path.join(p.local.box("INBOX"), sub) for sub in ("new", "cur")]

    def count():
        return sum(len(os.listdir(d)) for d in cur)
    out = []
    ear = Ear(p)
    with p.remote.connect() as c:
        for i in range(n):
            pause()
            before = count()
            p.remote.append(c, mail(i), "INBOX", "", time.time())
            began = time.monotonic()
            ear.wait()
            told.append(time.monotonic() - began)
            wait(lambda was=before: count() > was, "arrival")
            out.append(time.monotonic() - began)
    ear.close()
    return out


def flags(p, n, pause):
    """Seconds until a flag that is set on a file is seen by another session at the server."""
    out = []
    cur = os.path.join(p.local.box("INBOX"), "cur")
    with p.remote.connect() as c:
        for i in range(n):
            pause()
            name = sorted(x for x in os.listdir(cur) if "F" not in x.partition(":2,")[2])[0]
            base, _, letters = name.partition(":2,")
            c.select("INBOX", readonly=True)
            had = len(c.search(None, "FLAGGED")[1][0].split())
            os.rename(os.path.join(cur, name), os.path.join(cur, base + ":2," + "".join(sorted(letters + "F"))))
            began = time.monotonic()

            def seen(was=had):
                c.noop()
                return len(c.search(None, "FLAGGED")[1][0].split()) > was
            wait(seen, "flag")
            out.append(time.monotonic() - began)
    return out


class Prompt(imappeer.Peer):
    """A server that tells of new mail at once."""

    caps = imappeer.Peer.caps + ["IDLE", "NOTIFY"]


class Told(Job):
    """A job with such a server."""

    def __init__(self, directory, port, ca_file, way):
        super().__init__(directory, port, ca_file=ca_file)
        self.local = Side(os.path.join(self.dir, "local"))
        self.write_private(self.conf, "account work {\n\turl = \"imaps://anna@localhost:%d\"\n\tpassword-file = \"%s\"\n\tca-file = \"%s\"\n\t%s\n}\n"
                           "sync both {\n\tremote = work\n\tlocal = \"maildir:%s\"\n\tevery = 1h\n}\n" % (port, self.secret, ca_file, WAYS[way], self.local.path))


def told_at_once(where, way, rtt, opt):
    """Seconds until a message of which the server tells at once is in the Maildir: by IDLE in the inbox, by NOTIFY in a folder that is not selected."""
    folder = "Lists" if way == "NOTIFY" else "INBOX"
    ca = tlscert.CA(os.path.join(where, "tls"))
    out = []
    with Prompt({folder: [mail(1000 + i) for i in range(10)]}, pair=ca.issue("localhost"), tls=True) as srv:
        proxy = Proxy(srv.port, "--rtt-ms", str(rtt))
        p = Told(os.path.join(where, "job"), proxy.port, ca.cert, way)
        with Watch(p, "both") as w:
            w.wait("end")
            w.settle()
            how = w.of("waiting", side="remote")[-1]["text"]
            if not how.startswith(way):
                sys.exit("it waits by %s, not by %s" % (how, way))
            for i in range(opt.repeat):
                w.settle(opt.pause)
                with srv.lock:
                    srv.folders[folder].add(mail(i))
                began = time.monotonic()
                wait(lambda m=mail(i): m in p.local.bodies(folder), "arrival")
                out.append(time.monotonic() - began)
        proxy.stop()
    return out


def figures(times):
    ms = sorted(1000 * t for t in times)
    return {"median": statistics.median(ms), "p95": ms[int(0.95 * (len(ms) - 1))], "max": ms[-1]}


def measure(where, srv, way, rtt, opt):
    proxy = Proxy(srv.front_port, "--rtt-ms", str(rtt))
    rng = random.Random(1)
    p = Sync(where, srv, "\tevery = 1h", account=WAYS[way])
    p.reconfigure(":%d" % srv.front_port, ":%d" % proxy.port)
    p.remote.fill("INBOX", opt.messages)
    try:
        with Watch(p, "both") as w:
            w.wait("end")
            w.settle()
            how = w.wait("waiting", side="remote")["text"]
            if not how.startswith(way):
                sys.exit("it waits by %s, not by %s" % (how, way))

            def pause():
                w.settle(opt.pause)
                time.sleep(rng.uniform(0, 0.2))
            told = []
            here = arrivals(p, opt.repeat, pause, told)
            yield "the server tells", told
            yield "new mail is here", here
            yield "so this adds", [x - y for x, y in zip(here, told)]
            yield "a flag is there", flags(p, opt.repeat, pause)
    finally:
        proxy.stop()


def main():
    par = argparse.ArgumentParser(description=__doc__)
    par.add_argument("--rtt", type=int, action="append", help="ms; may repeat (default 0 and 40)")
    par.add_argument("--repeat", type=int, default=20, help="changes of each kind (default 20)")
    par.add_argument("--messages", type=int, default=1000, help="in the inbox (default 1000)")
    par.add_argument("--pause", type=float, default=2.0, help="seconds of rest between two (default 2)")
    par.add_argument("--dir", type=os.path.abspath, help="work there (default: a new directory below /var/tmp)")
    opt = par.parse_args()
    work = tempfile.mkdtemp(prefix="mhb.", dir=opt.dir or "/var/tmp")
    print(HEAD)
    try:
        srv = start(os.path.join(work, "dovecot"), "all")
        srv.auth_mechanisms = "plain login"     # as most have it; SCRAM takes two round trips more
        with srv:
            for way in WAYS:
                for rtt in opt.rtt or [0, 40]:
                    for what, times in measure(os.path.join(work, "%s-%d" % (way, rtt)), srv, way, rtt, opt):
                        f = figures(times)
                        print("%-7s %5d  %-18s" % (way, rtt, what), " ".join("%5.0f ms" % f[k] for k in FIELDS), flush=True)
        for way in WAYS:
            for rtt in opt.rtt or [0, 40]:
                f = figures(told_at_once(os.path.join(work, "told-%s-%d" % (way, rtt)), way, rtt, opt))
                print("%-7s %5d  %-18s" % (way, rtt, "told at once"), " ".join("%5.0f ms" % f[k] for k in FIELDS), flush=True)
    finally:
        shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    main()
