#!/usr/bin/python3
"""Measures mailhaul against raw clients and its peers; see README.md beside this file."""

import argparse
import copy
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from harness import HEAD, Harness, Line, first_line, have, show, tool
from dovecot import available

import copyrows
import imaprows
import manyrows
import pop3rows

QUICK_LIMIT = 15


def versions():
    dovecot = first_line(have("dovecot") or "dovecot", "--version")
    told = [first_line(name, "--version") for name in ("mpop", "getmail", "mbsync")]
    # These would rather not tell, or tell it in other words.
    told += [first_line("dpkg-query", "-W", "-f", "${Package} ${Version}", name)
             for name in ("fdm", "fetchmail", "interimap", "offlineimap3")]
    return ["dovecot %s" % dovecot] + [v for v in told if v and "no packages" not in v]


def filesystem(path):
    try:
        done = subprocess.run(["stat", "-f", "-c", "%T", path], stdout=subprocess.PIPE)
        return done.stdout.decode().strip()
    except OSError:
        return "?"


def cpu():
    """What the processor calls itself."""
    with open("/proc/cpuinfo") as f:
        names = [line.split(":", 1)[1].strip() for line in f if line.startswith("model name")]
    return names[0] if names else os.uname().machine


def machine(work):
    """What the figures depend on."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return "%d x %s, %.0f GB, %s, Linux %s" % (
        os.cpu_count(), cpu(), memory / 2**30, filesystem(work), os.uname().release)


def beside(clients, program):
    """These clients, and another build of mailhaul beside each mailhaul."""
    out = []
    for c in clients:
        out.append(c)
        if c.name == "mailhaul":
            out.append(copy.copy(c))
            out[-1].name, out[-1].exe = "before", program
    return out


def main():
    par = argparse.ArgumentParser(description="Measure mailhaul, raw clients and the peers.")
    par.add_argument("--mailhaul", default=os.environ.get("MAILHAUL"), help="the program")
    par.add_argument("--before", metavar="PROGRAM", type=os.path.abspath,
                     help="another build of it, measured beside it under the name `before`")
    par.add_argument("--builddir", default=os.environ.get("MAILHAUL_BUILDDIR", ""))
    par.add_argument("--quick", action="store_true",
                     help="a tenth of the messages or less, one run")
    par.add_argument("--repeat", type=int, help="runs of each row (default 3)")
    par.add_argument("--rtt", type=int, action="append", help="ms; may repeat (default 0 and 40)")
    par.add_argument("--work", action="append", help="only these rows, as in README.md, or pop3, imap or"
                     " migrate for all of a sort; may repeat")
    par.add_argument("--client", action="append", help="only these clients; may repeat")
    par.add_argument("--growth", action="store_true",
                     help="the rows that show what grows with the mailbox instead")
    par.add_argument("--limit", type=float,
                     help="rows longer than so many seconds are projected (default 1200, with"
                     " --quick %d)" % QUICK_LIMIT)
    par.add_argument("--dir", type=os.path.abspath, help="work there (default: a new directory below /var/tmp)")
    par.add_argument("--json", help="write all figures to this file")
    opt = par.parse_args()
    if not available():
        par.error("needs Dovecot: apt-get install dovecot-pop3d dovecot-imapd")
    opt.repeat = opt.repeat or (1 if opt.quick else 3)
    # Clients run in directories of their own.
    opt.mailhaul = opt.mailhaul and os.path.abspath(opt.mailhaul)
    opt.builddir = opt.builddir and os.path.abspath(opt.builddir)
    opt.limit = opt.limit or (QUICK_LIMIT if opt.quick else 1200)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))

    work = tempfile.mkdtemp(prefix="mailhaul-bench-", dir=opt.dir or "/var/tmp")
    os.chmod(work, 0o711)
    openssl = ("-lssl", "-lcrypto")
    tools = {"delayproxy": tool("delayproxy", opt.builddir, work),
             "measure": tool("measure", opt.builddir, work),
             "rawpop3": tool("rawpop3", opt.builddir, work, ["raw"], openssl),
             "rawimap": tool("rawimap", opt.builddir, work, ["raw"], openssl)}
    harness = Harness(opt, tools, work)
    about = {"time": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()), "machine": machine(work),
             "load": os.getloadavg()[0],         # other work: of the last minute
             "versions": versions(), "repeat": opt.repeat, "quick": opt.quick}
    servers, works = [], []
    makers = {"pop3": pop3rows.works, "imap": imaprows.works, "migrate": copyrows.works,
              "accounts": manyrows.works}
    if opt.growth:
        makers = {"growth": imaprows.growth}
    for protocol, maker in makers.items():
        server, made = maker(harness, opt.quick)
        servers.append(server)
        works += [w for w in made if not opt.work or {w.name, protocol} & set(opt.work)]
    if opt.before:
        for w in works:
            w.clients = beside(w.clients, opt.before)
    rows = []

    def keep():
        if opt.json:
            with open(opt.json, "w") as f:
                json.dump(dict(about, rows=rows), f, indent=1)

    rtts = opt.rtt or ([40] if opt.growth else [0, 40])
    try:
        if not works:
            par.error("no such work")
        print("%s, load %.1f\n%s" % (about["machine"], about["load"],
                                     "; ".join(about["versions"])))
        for w in works:
            title = w.prepare()
            print("\n%s: %s\n%s" % (w.name, title, HEAD), flush=True)
            clients = [c for c in w.clients if not opt.client or c.name in opt.client]
            for rtt in w.rtts or rtts:
                results = w.results(clients, Line(rtt, w.rate, w.each))
                raw = next((r.get("seconds") for c, r in zip(clients, results)
                            if c.name == "raw"), None)
                for client, result in zip(clients, results):
                    row = {"work": w.name, "title": title, "rtt_ms": rtt,
                           "client": client.name, "messages": w.count, "result": result}
                    if raw and "seconds" in result:
                        row["ratio"] = result["seconds"] / raw
                    rows.append(row)
                    print(show(row), flush=True)
                keep()
    finally:
        for server in servers:
            server.close()
        shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    main()
