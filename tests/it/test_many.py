"""Many accounts at once: what happens to one touches no other."""

import json
import os
import signal
import subprocess
import time

import pop3peer
from disturb import SmallDisk
from haul import Haul, maildir_messages, quoted
from watching import until

N = 50


class Silent(pop3peer.Peer):
    """Accepts, and never says a word."""

    def greeting(self, link):
        link.hang()


class Many:
    """A configuration with a job for each of many users of a Dovecot: fetches by POP3 and syncs by IMAP in turn."""

    def __init__(self, directory, srv, n, top="", names=None):
        self.srv, self.top, self.dir = srv, top, str(directory)
        self.h = Haul(directory, 1)
        self.users = names or ["m%dp%d" % (i, os.getpid()) for i in range(n)]
        self.accounts, self.jobs = {}, {}
        for i, user in enumerate(self.users):
            srv.add_user(user, "secret of " + user)
            srv.deliver(user, b"Subject: to %s\n\nhello\n" % user.encode())
            secret = os.path.join(self.dir, user + ".secret")
            Haul.write_private(secret, "secret of %s\n" % user)
            scheme, port = ("pop3s", srv.pop3s_port) if i % 2 == 0 else ("imaps", srv.imaps_port)
            self.accounts[user] = {"url": quoted("%s://%s@localhost:%d" % (scheme, user, port)), "password-file": quoted(secret), "ca-file": quoted(srv.ca_file)}
            self.jobs[user] = (("fetch", "from", "to") if i % 2 == 0 else ("sync", "remote", "local")) + (self.local(user),)

    def local(self, user):
        return os.path.join(self.dir, "mail", user)

    def write(self):
        text = self.top + "\n"
        for user in self.users:
            kind, left, right, where = self.jobs[user]
            text += "account %s {\n%s\n}\n" % (user, "\n".join("\t%s = %s" % kv for kv in self.accounts[user].items()))
            text += "%s %s {\n\t%s = %s\n\t%s = %s\n}\n" % (kind, user, left, user, right, quoted("maildir:" + where))
        Haul.write_private(self.h.conf, text)

    def arrived(self, user):
        kind, _, _, where = self.jobs[user]
        return maildir_messages(os.path.join(where, "INBOX") if kind == "sync" else where)


def test_one_touches_no_other(server, tmp_path):
    """One hangs, one is refused, one has a full disk, one's worker is killed: the others are done in time, and the four are named with their reasons."""
    m = Many(tmp_path, server, N, "parallel = 8")
    hangs, refused, full, killed = bad = [m.users[i] for i in (4, 12, 24, 38)]
    disk = None
    disk_path = os.path.join(m.dir, "disk")
    os.mkdir(disk_path)
    m.jobs[full] = m.jobs[full][:3] + (os.path.join(disk_path, "Mail"),)
    server.deliver(full, b"Subject: large\n\n" + b"x" * 70 * 1000 + b"\n")
    if os.geteuid() == 0:
        disk = SmallDisk(disk_path, 64)
    else:
        os.chmod(disk_path, 0o500)
    started, go = os.path.join(m.dir, "started"), os.path.join(m.dir, "go")
    m.accounts[killed]["password-command"] = quoted("echo $$ >%s; while [ ! -e %s ]; do sleep 0.05; done; cat %s" % (started, go, m.accounts[killed].pop("password-file")[1:-1]))
    Haul.write_private(os.path.join(m.dir, refused + ".secret"), "wrong\n")
    with Silent([]) as silent:
        m.accounts[hangs].update(url=quoted("pop3://%s@127.0.0.1:%d" % (hangs, silent.port)), tls="none", timeout="3s")
        del m.accounts[hangs]["ca-file"]
        m.write()
        begun = time.monotonic()
        p = subprocess.Popen(m.h.command("run"), env=m.h.environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        until(lambda: os.path.exists(started) and os.path.getsize(started))
        until(lambda: json.loads(m.h.call("--json", "status", killed).out)["running"])
        os.kill(json.loads(m.h.call("--json", "status", killed).out)["running"], signal.SIGKILL)
        out, err = p.communicate(timeout=60)
        took = time.monotonic() - begun
    try:
        lines = err.decode().splitlines()
        assert p.returncode == 1 and out == b"", (p.returncode, out, err)
        told = {user: [line for line in lines if line.startswith("mailhaul: %s: " % user)] for user in bad}
        assert sum(map(len, told.values())) == len(lines) and all(len(t) == 1 for t in told.values()), lines
        assert "did not answer within 3 seconds" in told[hangs][0] and "login" in told[refused][0] and "killed by signal 9" in told[killed][0], lines
        assert ("No space left" if disk else "Permission denied") in told[full][0], lines
        for user in m.users:
            if user not in bad:
                assert m.arrived(user) == [b"Subject: to %s\n\nhello\n" % user.encode()], user
        with open(started, encoding="ascii") as f:
            helper = int(f.read())
        until(lambda: not os.path.exists("/proc/%d" % helper))   # it went with its worker
        assert took < 40, took
        # and once nothing is in the way any more, the four get theirs
        open(go, "w", encoding="ascii").close()
        Haul.write_private(os.path.join(m.dir, refused + ".secret"), "secret of %s\n" % refused)
        r = m.h.call("run", refused, killed)
        assert r.code == 0 and m.arrived(refused) and m.arrived(killed), r
    finally:
        if disk:
            disk.close()


def test_as_many_on_one_account_as_it_may_have(server, tmp_path):
    """Jobs that share an account wait for one another, by its `connections`; all are done."""
    m = Many(tmp_path, server, 2, "parallel = 16\nparallel-per-host = 16")
    pop3, imap = m.users
    m.write()
    with open(m.h.conf, "a", encoding="ascii") as f:
        for i in range(6):
            f.write("fetch f%d { from = %s to = %s keep = yes }\n" % (i, pop3, quoted("maildir:%s/f%d" % (m.dir, i))))
            f.write("sync s%d { remote = %s local = %s }\n" % (i, imap, quoted("maildir:%s/s%d" % (m.dir, i))))
    r = m.h.run(*["%s%d" % (kind, i) for kind in "fs" for i in range(6)])
    assert r.code == 0 and len(r.of("end")) == 12, r
    running, most = set(), {"f": 0, "s": 0}
    for e in r.events:
        if e["event"] == "start":
            running.add(e["job"])
        elif e["event"] == "end":
            running.discard(e["job"])
        for kind in most:
            most[kind] = max(most[kind], len([j for j in running if j.startswith(kind)]))
    assert most["f"] == 1 and most["s"] <= 2, most
