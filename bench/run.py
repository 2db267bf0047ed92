#!/usr/bin/python3
"""Measures mailhaul against a raw client and its peers; see README.md beside this file."""

import argparse
import json
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "tests", "lib"))

import corpus  # noqa: E402
from dovecot import Dovecot  # noqa: E402

PASSWORD = "secret"
PROBE = 100                     # messages of the probe that decides whether a slow row is run
ONCE_SECONDS = 60               # rows slower than this are run once


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


# -- clients ----------------------------------------------------------------------------------
#
# Each makes its configuration in the directory t.dir for the server at 127.0.0.1:t.port and user
# t.user with t.ca to trust, delivers into t.dest, and returns (argv, environment).

class Client:
    name = None
    slow = False                # needs a round trip or more for each message
    keeps = False               # can leave the messages and take only new ones
    unroot = False              # does not work as root

    def path(self):
        return have(self.name)

    def command(self, t):
        raise NotImplementedError

    def seed(self, t, uidls):
        """Makes the client believe that it has taken the messages with these UIDLs; False if it
        has to take them first."""
        return False


class Raw(Client):
    name = "raw"

    def __init__(self, path, *options):
        self.exe, self.options = path, options

    def path(self):
        return self.exe

    def command(self, t):
        return [self.exe, "--ca", t.ca, "--user", t.user, "--password", PASSWORD, *self.options,
                "127.0.0.1", str(t.port), os.path.join(t.dest, "new")], {}


class RawSync(Raw):
    name = "raw+fsync"


class Mailhaul(Client):
    name = "mailhaul"
    keeps = True

    def __init__(self, path):
        self.exe = path

    def path(self):
        return self.exe if self.exe and os.access(self.exe, os.X_OK) else None

    def command(self, t):
        secret = write(os.path.join(t.dir, "password"), PASSWORD + "\n")
        conf = write(os.path.join(t.dir, "mailhaul.conf"), (
            'account isp {\n  url = "pop3s://%s@127.0.0.1:%d"\n  password-file = "%s"\n'
            '  ca-file = "%s"\n}\nfetch isp {\n  from = isp\n  to = "maildir:%s"\n%s}\n')
            % (t.user, t.port, secret, t.ca, t.dest, "  keep = yes\n" if t.keep else ""))
        state = os.path.join(t.dir, "state")
        os.makedirs(state, mode=0o700, exist_ok=True)
        return [self.exe, "-c", conf, "--state-dir", state, "run"], {}


class Mpop(Client):
    name = "mpop"
    keeps = True

    def command(self, t):
        conf = write(os.path.join(t.dir, "mpoprc"), (
            "defaults\ntls on\ntls_starttls off\ntls_trust_file %s\n"
            "account isp\nhost 127.0.0.1\nport %d\nuser %s\npassword %s\nkeep %s\n"
            "delivery maildir %s\nuidls_file %s\nreceived_header off\npipelining on\n")
            % (t.ca, t.port, t.user, PASSWORD, "on" if t.keep else "off", t.dest,
               os.path.join(t.dir, "uidls")))
        return [self.path(), "-q", "-C", conf, "isp"], {}


class Fdm(Client):
    name = "fdm"
    slow = True

    def command(self, t):
        # fdm trusts the system's CAs only; OpenSSL lets the environment replace their file. Under
        # root it fetches as another user, who must be able to read that file.
        me = "root" if os.geteuid() == 0 else None
        conf = write(os.path.join(t.dir, "fdm.conf"), (
            'set verify-certificates\nset maximum-size 1G\nset no-received\n'
            'set lock-file "%s/fdm.lock"\n%s'
            'account "isp" pop3s server "127.0.0.1" port %d user "%s" pass "%s" no-apop\n'
            'action "in" maildir "%s"\nmatch all action "in"\n')
            % (t.dir, 'set default-user "%s"\n' % me if me else "", t.port, t.user, PASSWORD,
               t.dest))
        return [self.path(), "-q", "-f", conf, "fetch"], {"SSL_CERT_FILE": t.ca}


class Fetchmail(Client):
    name = "fetchmail"
    slow = True

    def command(self, t):
        conf = write(os.path.join(t.dir, "fetchmailrc"), (
            'set no bouncemail\nset no spambounce\nset idfile "%s/ids"\nset pidfile "%s/pid"\n'
            'poll localhost service %d protocol pop3 no dns user "%s" password "%s"\n'
            '  ssl sslproto "TLS1.2+" sslcertck sslcertfile "%s" no rewrite fetchall nokeep\n'
            '  fetchsizelimit 0 mda "%s %s"\n')
            % (t.dir, t.dir, t.port, t.user, PASSWORD, t.ca,
               os.path.join(HERE, "mda.sh"), t.dest))
        return [self.path(), "--silent", "--nosyslog", "-f", conf], {"FETCHMAILHOME": t.dir}


class Getmail(Client):
    name = "getmail6"
    slow = True
    keeps = True
    unroot = True               # it refuses to deliver as root

    def path(self):
        return have("getmail")

    def command(self, t):
        write(os.path.join(t.dir, "getmailrc"), (
            "[retriever]\ntype = SimplePOP3SSLRetriever\nserver = 127.0.0.1\nport = %d\n"
            "username = %s\npassword = %s\nca_certs = %s\n"
            "[destination]\ntype = Maildir\npath = %s/\n"
            "[options]\nread_all = %s\ndelete = %s\ndelivered_to = false\nreceived = false\n"
            "verbose = 0\n")
            % (t.port, t.user, PASSWORD, t.ca, t.dest, "false" if t.keep else "true",
               "false" if t.keep else "true"))
        return [self.path(), "--getmaildir", t.dir, "--rcfile", "getmailrc"], {}

    def seed(self, t, uidls):
        # It would take a quarter of an hour to take them.
        write(os.path.join(t.dir, "oldmail-127.0.0.1-%d-%s" % (t.port, t.user)),
              "".join("%s\0%d\n" % (u, time.time()) for u in uidls))
        return True


# -- one run ----------------------------------------------------------------------------------

class Task:
    """Where one run of a client finds everything."""

    def __init__(self, directory, port, user, ca, keep):
        self.dir, self.port, self.user, self.ca, self.keep = directory, port, user, ca, keep
        self.dest = maildir(os.path.join(directory, "Maildir"))


class Bench:
    def __init__(self, opt, tools, work):
        self.opt, self.tools, self.work = opt, tools, work
        # \Seen is not written, so that reading a kept mailbox does not rename its files.
        self.srv = Dovecot(os.path.join(work, "srv"), users={}, auth_mechanisms="plain login",
                           pop3={"pop3_no_flag_updates": "yes"})
        self.srv.start()
        self.runs = 0
        self.sizes = {}
        self.kept = {}          # of clients that keep: directory, port
        self.held = {}          # and how many messages they hold

    def close(self):
        self.srv.stop()

    def prepare(self, name, messages):
        """Makes the mailbox that the runs of a row get copies of, its index included."""
        self.srv.add_user(name, PASSWORD)
        size = count = 0
        for _, data in messages:
            self.srv.deliver(name, data)
            size += len(data)
            count += 1
        p = self.srv.pop3(name)
        p.list()
        p.uidl()
        p.quit()
        self.sizes[name] = (count, size)

    def copy(self, template, limit=None):
        """A user of his own with a copy of the mailbox: messages linked, index copied."""
        self.runs += 1
        user = "r%d" % self.runs
        self.srv.add_user(user, PASSWORD)
        src, dst = self.srv.maildir(template), self.srv.maildir(user)
        for sub in ("cur", "new", "tmp"):
            os.makedirs(os.path.join(dst, sub))
            for name in sorted(os.listdir(os.path.join(src, sub)))[:limit]:
                os.link(os.path.join(src, sub, name), os.path.join(dst, sub, name))
        for name in os.listdir(src):
            if os.path.isfile(os.path.join(src, name)):
                shutil.copy2(os.path.join(src, name), os.path.join(dst, name))
        self.srv.give(self.srv.home(user))
        if limit is not None:
            p = self.srv.pop3(user)
            p.list()
            p.quit()
        return user

    def proxy(self, rtt, port=0):
        p = subprocess.Popen([self.tools["delayproxy"], "--rtt-ms", str(rtt),
                              "--listen", str(port), "127.0.0.1:%d" % self.srv.pop3s_port],
                             stdout=subprocess.PIPE, text=True)
        return p, int(p.stdout.readline().split()[1])

    def run(self, client, directory, user, rtt, keep, timeout, port=0):
        """Runs the client once through a proxy of its own; returns the figures."""
        proxy, port = self.proxy(rtt, port)
        try:
            t = Task(directory, port, user, self.srv.ca_file, keep)
            argv, extra = client.command(t)
            env = dict(os.environ, HOME=directory, **extra)
            out = os.path.join(directory, "measured")
            who = {}
            if client.unroot and os.geteuid() == 0:
                who = {"user": self.srv.me.pw_uid, "group": self.srv.me.pw_gid,
                       "extra_groups": []}
                self.srv.give(directory)
            # What earlier runs wrote must not be flushed in this one's time.
            os.sync()
            with open(os.path.join(directory, "output"), "wb") as log:
                p = subprocess.Popen([self.tools["measure"], out] + argv, cwd=directory, env=env,
                                     stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                     start_new_session=True, **who)
                try:
                    p.wait(timeout)
                except subprocess.TimeoutExpired:
                    os.killpg(p.pid, signal.SIGKILL)
                    p.wait()
                    return {"error": "longer than %d s" % timeout}
        finally:
            proxy.terminate()
            counted = json.loads(proxy.stdout.read())
            proxy.wait()
        with open(out) as f:
            got = json.load(f)
        got.update({k: counted[k] for k in ("waits", "turns", "up", "down", "connections")})
        got["delivered"] = sum(len(os.listdir(os.path.join(t.dest, s))) for s in ("cur", "new"))
        if got["status"] != 0:
            with open(os.path.join(directory, "output"), errors="replace") as f:
                got["error"] = "exit %d: %s" % (got["status"],
                                                f.read().strip()[-300:].replace("\n", " | "))
        return got

    def once(self, client, template, rtt, limit=None):
        """One timed run that takes and deletes everything from a fresh copy."""
        user = self.copy(template, limit)
        directory = tempfile.mkdtemp(dir=self.work, prefix=client.name.strip("+") + "-")
        got = self.run(client, directory, user, rtt, False, self.opt.limit * 1.5 + 60)
        want = min(limit or 1 << 60, self.sizes[template][0])
        if "error" not in got:
            left = self.srv.count(user)
            if got["delivered"] != want or left:
                got["error"] = "delivered %d of %d, %d left on the server" % (
                    got["delivered"], want, left)
        return got

    # -- rows ---------------------------------------------------------------------------------

    def fetch_rows(self, clients, template, rtt):
        """A result for each client: the median of several runs, in turns so that what disturbs
        the machine disturbs all; or a projection where a run would take too long."""
        count = self.sizes[template][0]
        out, got, repeat = {}, {c: [] for c in clients}, {}
        for c in clients:
            repeat[c] = self.opt.repeat
            if not c.path():
                out[c] = {"error": "not built" if c.name == "mailhaul" else "not installed"}
            elif c.slow and count > PROBE:
                guess = self.probe(c, template, rtt)
                if "error" in guess or guess["seconds"] > self.opt.limit:
                    out[c] = guess
                elif guess["seconds"] > ONCE_SECONDS:
                    repeat[c] = 1
        for n in range(self.opt.repeat):
            for c in clients:
                if c not in out and n < repeat[c]:
                    one = self.once(c, template, rtt)
                    got[c].append(one)
                    if "error" in one:
                        out[c] = dict(one, samples=got[c])
        return [out.get(c) or self.median(got[c]) for c in clients]

    def probe(self, client, template, rtt):
        """What the whole would take, from runs with few messages."""
        few = [self.once(client, template, rtt, n) for n in (PROBE // 10, PROBE)]
        bad = [f["error"] for f in few if "error" in f]
        if bad:
            return {"error": bad[0]}
        count = self.sizes[template][0]
        out = {"rss": few[1]["rss"], "samples": few, "projected": PROBE}
        for key in ("seconds", "user", "system", "waits", "up", "down"):
            each = max(0.0, few[1][key] - few[0][key]) / (PROBE - PROBE // 10)
            out[key] = few[1][key] + each * (count - PROBE)
        out["best"] = out["seconds"]
        return out

    @staticmethod
    def median(got):
        keys = ("seconds", "user", "system", "rss", "waits", "turns", "up", "down")
        out = {k: statistics.median(g[k] for g in got) for k in keys}
        out["best"] = min(g["seconds"] for g in got)
        out["samples"] = got
        return out

    def keep(self, client, template):
        """Brings the client to the state of having taken all messages; returns what went wrong.
        Its port stays the same from now on, as some clients know a mailbox by it."""
        directory = tempfile.mkdtemp(dir=self.work, prefix=client.name + "-")
        proxy, port = self.proxy(0)
        proxy.terminate()
        proxy.wait()
        self.kept[client] = (directory, port)
        count = self.sizes[template][0]
        p = self.srv.pop3(template)
        uidls = [line.split()[1].decode() for line in p.uidl()[1]]
        p.quit()
        t = Task(directory, port, template, self.srv.ca_file, True)
        if client.seed(t, uidls):
            self.held[client] = 0
            return None
        self.held[client] = count
        first = self.run(client, directory, template, 0, True, self.opt.limit * 1.5, port)
        if "error" not in first and first["delivered"] != count:
            first["error"] = "delivered %d of %d" % (first["delivered"], count)
        return "first run: " + first["error"] if "error" in first else None

    def noop_rows(self, clients, template, rtt):
        """The run that finds nothing new in a mailbox of which it has taken everything."""
        out, got = {}, {c: [] for c in clients}
        for c in clients:
            if not c.path():
                out[c] = {"error": "not built" if c.name == "mailhaul" else "not installed"}
            elif c not in self.kept:
                wrong = self.keep(c, template)
                if wrong:
                    out[c] = {"error": wrong}
        for _ in range(self.opt.repeat):
            for c in clients:
                if c in out:
                    continue
                directory, port = self.kept[c]
                one = self.run(c, directory, template, rtt, True, self.opt.limit, port)
                got[c].append(one)
                if "error" not in one and one["delivered"] != self.held[c]:
                    one["error"] = "delivered %d more" % (one["delivered"] - self.held[c])
                if "error" in one:
                    out[c] = one
        return [out.get(c) or self.median(got[c]) for c in clients]


# -- report -----------------------------------------------------------------------------------

def show(row):
    """One line of the table."""
    r = row["result"]
    head = "%-10s %4d  %-10s" % (row["work"], row["rtt_ms"], row["client"])
    if "error" in r:
        return "%s  %s" % (head, r["error"])
    return "%s %9.2f %8.2f %7s %8.2f %7.1f %9s %8.1f %8.2f  %s" % (
        head, r["seconds"], r["best"], "%.2f" % row["ratio"] if row.get("ratio") else "-",
        r["user"] + r["system"], r["rss"] / 1048576, "%d" % r["waits"] if row["rtt_ms"] else "-",
        r["down"] / 1e6, r["up"] / 1e6,
        "projected from %d messages" % r["projected"] if "projected" in r else
        "one run" if len(r.get("samples", ())) == 1 else "")


HEAD = "%-10s %4s  %-10s %9s %8s %7s %8s %7s %9s %8s %8s" % (
    "work", "rtt", "client", "seconds", "best", "ratio", "cpu s", "rss MB", "waits", "down MB", "up MB")


def versions():
    def first(*argv):
        try:
            done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                  timeout=10, stdin=subprocess.DEVNULL)
            return done.stdout.decode(errors="replace").split("\n")[0]
        except (OSError, subprocess.TimeoutExpired):
            return None
    fdm = first("dpkg-query", "-W", "-f", "fdm ${Version}", "fdm")
    return [v for v in (first(have("dovecot") or "dovecot", "--version"),
                        first("mpop", "--version"), fdm, first("fetchmail", "-V"),
                        first("getmail", "--version")) if v]


def filesystem(path):
    try:
        done = subprocess.run(["stat", "-f", "-c", "%T", path], stdout=subprocess.PIPE)
        return done.stdout.decode().strip()
    except OSError:
        return "?"


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


def main():
    par = argparse.ArgumentParser(description="Measure mailhaul, a raw client and the peers.")
    par.add_argument("--mailhaul", default=os.environ.get("MAILHAUL"), help="the program")
    par.add_argument("--builddir", default=os.environ.get("MAILHAUL_BUILDDIR", ""))
    par.add_argument("--quick", action="store_true", help="a tenth of the messages, one run")
    par.add_argument("--repeat", type=int, help="runs of each row (default 3)")
    par.add_argument("--rtt", type=int, action="append", help="ms; may repeat (default 0 and 40)")
    par.add_argument("--work", action="append", choices=("small", "mix", "noop", "large"),
                     help="only these rows; may repeat")
    par.add_argument("--client", action="append", help="only these clients; may repeat")
    par.add_argument("--limit", type=float, default=1200,
                     help="rows longer than so many seconds are projected (default 1200)")
    par.add_argument("--dir", help="work there (default: a new directory below /var/tmp)")
    par.add_argument("--json", help="write all figures to this file")
    opt = par.parse_args()
    opt.repeat = opt.repeat or (1 if opt.quick else 3)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))

    work = tempfile.mkdtemp(prefix="mailhaul-bench-", dir=opt.dir or "/var/tmp")
    os.chmod(work, 0o711)
    tools = {"delayproxy": tool("delayproxy", opt.builddir, work),
             "measure": tool("measure", opt.builddir, work),
             "rawpop3": tool("rawpop3", opt.builddir, work, ["raw"], ("-lssl", "-lcrypto"))}
    clients = [Raw(tools["rawpop3"]), RawSync(tools["rawpop3"], "--fsync"),
               Mailhaul(opt.mailhaul), Mpop(), Fdm(), Fetchmail(), Getmail()]
    if opt.client:
        clients = [c for c in clients if c.name in opt.client]
    bench = Bench(opt, tools, work)
    rows = []
    part = 10 if opt.quick else 1
    works = {
        "small": (10000 // part, lambda n: corpus.small(n)),
        "mix": (2000 // part, lambda n: corpus.mix(n)),
        "noop": (100000 // part, lambda n: corpus.small(n, size=700)),
        "large": (1, lambda n: [("large", corpus.large((200 << 20) // part))]),
    }
    rtts = opt.rtt or [0, 40]
    try:
        print("%d processors, %s, %s" % (os.cpu_count(), filesystem(work), "; ".join(versions())))
        for name, (count, make) in works.items():
            if opt.work and name not in opt.work:
                continue
            bench.prepare(name, make(count))
            have_count, size = bench.sizes[name]
            print("\n%s: %d messages, %.1f MB\n%s" % (name, have_count, size / 1e6, HEAD),
                  flush=True)
            for rtt in rtts if name != "large" else rtts[:1]:
                these = [c for c in clients if name != "noop" or c.keeps]
                measure = bench.noop_rows if name == "noop" else bench.fetch_rows
                results = measure(these, name, rtt)
                raw = next((r.get("seconds") for c, r in zip(these, results)
                            if c.name == "raw"), None)
                for client, result in zip(these, results):
                    row = {"work": name, "rtt_ms": rtt, "client": client.name,
                           "messages": count, "result": result}
                    if raw and "seconds" in result:
                        row["ratio"] = result["seconds"] / raw
                    rows.append(row)
                    print(show(row), flush=True)
    finally:
        bench.close()
        shutil.rmtree(work, ignore_errors=True)
        if opt.json:
            with open(opt.json, "w") as f:
                json.dump({"time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
                           "host": socket.gethostname(), "processors": os.cpu_count(),
                           "versions": versions(), "repeat": opt.repeat, "rows": rows}, f,
                          indent=1)


if __name__ == "__main__":
    main()
