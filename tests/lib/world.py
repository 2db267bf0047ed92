"""A job between mail readers, who act at random at both sides, and runs to which things happen; and what must become of every message."""

import os
import random
import re
import signal
import subprocess
import time

import fates
import haul
from disturb import CALLS, Proxy, failing, killed, known_calls, strace
from twoway import Sync

REMOTE, LOCAL = 0, 1

#: Which of a system call is the first in a worker (the parent makes as many before it has one), and how many a run makes, roughly.
OFTEN = {"openat": (17, 8), "pwrite64": (1, 25), "write": (1, 10), "write,pwrite64": (1, 35)}


def compose(rng, n):
    """A message that tells its number."""
    lines = [b"line %d" % rng.randrange(1000) for _ in range(rng.choice((0, 1, 5, 40, 3000)))]
    odd = (b"", b".", b"..", b"From me", b">From me", b"8bit \xff\xe9", b" ", b"x" * 1200)
    for _ in range(rng.randrange(4)):
        lines.insert(rng.randrange(len(lines) + 1), rng.choice(odd))
    text = b"From: a@example.org\nSubject: number %d\nX-Pad: %s\n\n" % (n, b"y" * rng.randrange(60)) + b"\n".join(lines)
    return text + b"\n" * rng.randrange(2)


def number(text):
    return int(re.search(rb"^Subject: number (\d+)\r?$", text, re.M).group(1))


class Refused(Exception):
    """The server did not do it."""


class LocalReader:
    """A reader of Maildirs for a short while: who, and a listing that it keeps."""

    side = LOCAL

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        pass

    def __init__(self, world):
        self.tree, self.rng = world.p.local, world.rng
        self.rows = {}              # folder -> {number: path}
        for folder in self.tree.folders():
            self.rows[folder] = {}
            try:
                self._list(folder, world.busy)
            except FileNotFoundError:
                if not world.busy:
                    raise

    def _list(self, folder, busy):
        for path in haul.maildir_files(self.tree.box(folder)):
            with open(path, "rb") as f:
                n = number(f.read(4096))
            # while a run is on it may be seen before and after it was renamed
            assert busy or n not in self.rows[folder], "message %d is twice in %s" % (n, folder)
            self.rows[folder][n] = path

    def listing(self):
        return {f: set(row) for f, row in self.rows.items()}

    def flags(self, folder, n):
        return set(self.tree.read(folder, os.path.basename(self.rows[folder][n]).partition(":2,")[2]))

    def deliver(self, folder, n, text, flags):
        self._put(folder, n, text, "".join(sorted(flags)) if flags or self.rng.random() < 0.3 else None)

    def _put(self, folder, n, text, flags):
        name = self.tree.deliver(text, folder, flags)
        self.rows[folder][n] = os.path.join(self.tree.box(folder), "new/" + name if flags is None else "cur/%s:2,%s" % (name, self.tree.spell(folder, flags)))

    def _unique(self, path):
        return os.path.basename(path).partition(":2,")[0]

    def toggle(self, folder, n, flag):
        self._rename(folder, n, self.flags(folder, n) ^ {flag})

    def look_at(self, folder, n):
        """What a reader does with new mail."""
        self._rename(folder, n, self.flags(folder, n))

    def _rename(self, folder, n, flags):
        path = os.path.join(self.tree.box(folder), "cur", "%s:2,%s" % (self._unique(self.rows[folder][n]), self.tree.spell(folder, flags)))
        os.rename(self.rows[folder][n], path)
        self.rows[folder][n] = path

    def delete(self, folder, n):
        os.unlink(self.rows[folder].pop(n))

    def copy(self, folder, n, to):
        with open(self.rows[folder][n], "rb") as f:
            text = f.read()
        self._put(to, n, text, "".join(sorted(self.flags(folder, n))))

    def move(self, folder, n, to):
        """By a rename: some readers keep the name, others give a new one."""
        path = self.rows[folder].pop(n)
        self.tree.count += 1
        unique = self._unique(path) if self.rng.random() < 0.5 else "%d.M%dP%dQ1.reader" % (1600000000, self.tree.count, os.getpid())
        flags = self.tree.spell(to, self.tree.read(folder, os.path.basename(path).partition(":2,")[2]))
        self.rows[to][n] = os.path.join(self.tree.box(to), "cur", "%s:2,%s" % (unique, flags))
        os.rename(path, self.rows[to][n])

    def make(self, folder):
        self.tree.make(folder)
        self.rows[folder] = {}

    def remove(self, folder):
        self.tree.remove(folder)
        del self.rows[folder]


class BoxReader:
    """A reader of mbox files, likewise."""

    side = LOCAL

    def __init__(self, world):
        self.tree, self.rng, self.texts = world.p.local, world.rng, world.texts
        self.rows = {}              # folder -> {number: flags}
        for folder in self.tree.folders():
            try:
                messages = self.tree.messages(folder)
            except FileNotFoundError:
                if not world.busy:
                    raise
                continue
            self.rows[folder] = {number(m.text): set(m.flags) for m in messages}
            assert len(self.rows[folder]) == len(messages), "a message is twice in " + folder
        self.tree.beside = self.rng.random() < 0.5

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        pass

    def listing(self):
        return {f: set(row) for f, row in self.rows.items()}

    def flags(self, folder, n):
        return set(self.rows[folder][n])

    def deliver(self, folder, n, text, flags):
        self.tree.deliver(text, folder, "".join(sorted(flags)) if flags or self.rng.random() < 0.3 else None)
        self.rows[folder][n] = set(flags)

    @staticmethod
    def _find(rows, n):
        for m in rows:
            if number(m.text) == n:
                return m
        raise FileNotFoundError(n)

    def toggle(self, folder, n, flag):
        with self.tree.changing(folder) as rows:
            self._find(rows, n).flags = "".join(sorted(self.flags(folder, n) ^ {flag}))
        self.rows[folder][n] ^= {flag}

    def look_at(self, folder, n):
        """What a reader does with new mail: it writes that it is not new any more."""
        with self.tree.changing(folder) as rows:
            self._find(rows, n).flags = "".join(sorted(self.flags(folder, n)))

    def delete(self, folder, n):
        with self.tree.changing(folder) as rows:
            rows.remove(self._find(rows, n))
        del self.rows[folder][n]

    def copy(self, folder, n, to):
        m = self._find(self.tree.messages(folder), n)
        m.flags = "".join(sorted(self.flags(folder, n)))
        self.tree.append(to, m)
        self.rows[to][n] = self.flags(folder, n)

    def move(self, folder, n, to):
        self.copy(folder, n, to)
        self.delete(folder, n)

    def make(self, folder):
        self.tree.make(folder)
        self.rows[folder] = {}

    def remove(self, folder):
        self.tree.remove(folder)
        del self.rows[folder]


class RemoteReader:
    """An IMAP client for a short while."""

    side = REMOTE

    @staticmethod
    def of(p):
        return p.remote

    def __init__(self, world):
        self.far, self.rng, self.busy = self.of(world.p), world.rng, world.busy
        self.c = self.selected = None
        self.rows = {}              # folder -> {number: [uid, flags]}

    def __enter__(self):
        self.c = self.far.connect()
        try:
            for folder in self.far.folders(self.c):
                self._list_if_there(folder)
        except BaseException:
            self.c.logout()
            raise
        return self

    def __exit__(self, *exc):
        self.c.logout()

    def _list_if_there(self, folder):
        try:
            self._list(folder)
        except Refused:
            if not self.busy:
                raise
            del self.rows[folder]   # the run has removed it

    def _list(self, folder):
        row = self.rows[folder] = {}
        self.selected = None
        messages = int(self._ok("select", self.far.wire(folder))[0])
        self.selected = folder
        if messages == 0:
            return
        for part in self._ok("uid", "fetch", "1:*", "(FLAGS BODY.PEEK[HEADER.FIELDS (SUBJECT)])"):
            if isinstance(part, tuple):
                n = number(part[1])
                assert n not in row, "message %d is twice in %s" % (n, folder)
                row[n] = [re.search(rb"UID (\d+)", part[0]).group(1).decode(), self.far.letters(part[0].decode())]

    def _ok(self, what, *args):
        typ, answer = getattr(self.c, what)(*args)
        if typ != "OK":
            raise Refused(what, args, answer)
        return answer

    def _in(self, folder):
        if self.selected != folder:
            self.selected = None
            self._ok("select", self.far.wire(folder))
            self.selected = folder

    def listing(self):
        return {f: set(row) for f, row in self.rows.items()}

    def flags(self, folder, n):
        return set(self.rows[folder][n][1])

    def deliver(self, folder, n, text, flags):
        self.far.append(self.c, text, folder, "".join(sorted(flags)), time.time() - self.rng.randrange(10 ** 8))
        self._list(folder)

    def toggle(self, folder, n, flag):
        self._in(folder)
        uid, flags = self.rows[folder][n]
        self._ok("uid", "store", uid, "-FLAGS" if flag in flags else "+FLAGS", "(%s)" % self.far.LETTERS[flag])
        self.rows[folder][n][1] = set(flags) ^ {flag}

    def look_at(self, folder, n):
        self._in(folder)

    def delete(self, folder, n):
        self._in(folder)
        uid = self.rows[folder].pop(n)[0]
        self._ok("uid", "store", uid, "+FLAGS", r"(\Deleted)")
        self._ok("uid", "expunge", uid)

    def copy(self, folder, n, to):
        self._in(folder)
        self._ok("uid", "copy", self.rows[folder][n][0], self.far.wire(to))
        self._list(to)

    def move(self, folder, n, to):
        self._in(folder)
        self._ok("uid", "move", self.rows[folder].pop(n)[0], self.far.wire(to))
        self._list(to)

    def make(self, folder):
        self._ok("create", self.far.wire(folder))
        self.rows[folder] = {}

    def remove(self, folder):
        if self.selected == folder:
            self._ok("unselect")
            self.selected = None
        self._ok("delete", self.far.wire(folder))
        del self.rows[folder]


class AccountReader(RemoteReader):
    """One of the account at the local side."""

    side = LOCAL

    @staticmethod
    def of(p):
        return p.local


class World:
    """One job, its readers, and what must become of everything."""

    def __init__(self, directory, disk, srv, seed, make=Sync):
        self.rng = random.Random(seed)
        self.srv = srv
        self.disk = disk
        self.busy = False           # readers act while a run is on
        self.p = make(directory, srv, "max-delete = none\nremove-folders = both\ncreate = both")
        self.local_reader = {"maildir": LocalReader, "mbox": BoxReader, "imap": AccountReader}[self.p.kind]
        self.p.local.make("INBOX")
        self.model = fates.Model()
        self.texts = {}
        self.names = 0
        # without UIDPLUS a message that somebody else has marked as deleted keeps ours from going
        self.letters = "DFPRSjk" if srv.kind in ("no UIDPLUS", "bare") else "DFPRSTjk"

    @staticmethod
    def say(*what, sep=" "):
        print(*what, sep=sep)

    # -- readers ----------------------------------------------------------------------------------------------

    def read_mail(self, times):
        """Readers do so many things."""
        while times > 0:
            some = min(times, self.rng.randrange(1, 6))
            with self.rng.choice((self.local_reader, RemoteReader))(self) as reader:
                for _ in range(some):
                    self._act(reader)
            times -= some

    def _other(self, r):
        return (RemoteReader, self.local_reader)[r.side == REMOTE](self)

    def _act(self, r):
        if self.busy:
            try:
                self._act_meanwhile(r)
            except (FileNotFoundError, Refused) as e:
                self.say("  the run was faster:", e)
            self.model.run_broken()     # it may have been copied already
            return
        what = self.rng.choices(("deliver", "both", "toggle", "look_at", "delete", "copy", "move", "make", "remove"), (30, 3, 25, 6, 16, 6, 6, 5, 3))[0]
        there = r.listing()
        if what == "deliver":
            self._deliver(r, self.rng.choice(sorted(there)))
        elif what == "both":
            self._deliver_both(r)
        elif what == "make":
            self._make(r, sorted(there))
        elif what == "remove":
            self._remove(r, sorted(set(there) - {"INBOX"}))
        else:
            self._handle(r, what, there)

    def _act_meanwhile(self, r):
        """In folders that no run will remove, with what was there when the reader looked."""
        what = self.rng.choices(("deliver", "toggle", "delete", "copy", "move"), (4, 5, 3, 1, 1))[0]
        there = {f: row for f, row in r.listing().items() if self.model.folders[f].settled and self.model.folders[f].removed_at is None}
        if what == "deliver":
            self._deliver(r, self.rng.choice(sorted(there)))
        else:
            self._handle(r, what, there)

    def _new(self):
        n = len(self.texts) + 1
        self.texts[n] = compose(self.rng, n)
        if self.p.kind == "mbox" and not self.texts[n].endswith(b"\n"):
            self.texts[n] += b"\n"   # an mbox can't tell
        return n, {x for x in self.letters if self.rng.random() < 0.2}

    def _deliver(self, r, folder):
        n, flags = self._new()
        self.say("  side %d: deliver %d to %s with %s" % (r.side, n, folder, sorted(flags)))
        r.deliver(folder, n, self.texts[n], flags)
        self.model.add(folder, n, r.side, flags)

    def _deliver_both(self, r):
        """The same message comes to both sides."""
        n, flags = self._new()
        self.say("  both sides: deliver %d to INBOX with %s" % (n, sorted(flags)))
        r.deliver("INBOX", n, self.texts[n], flags)
        with self._other(r) as other:
            other.deliver("INBOX", n, self.texts[n], flags)
        self.model.add("INBOX", n, None, flags)

    def _make(self, r, there):
        self.names += 1
        name = self.rng.choice(("F%d", "caf\xe9 & %d", "two words %d")) % self.names
        above = self.rng.choice(there)
        if self.rng.random() < 0.3 and above != "INBOX":
            name = above + "/" + name
        self.say("  side %d: make %s" % (r.side, name))
        r.make(name)
        self.model.add_folder(name, r.side)

    def _remove(self, r, there):
        if not there:
            return
        name = self.rng.choice(there)
        self.say("  side %d: remove %s" % (r.side, name))
        with self._other(r) as other:
            r.remove(name)
            self.model.remove_folder(name, r.side, other.listing().get(name))

    def _handle(self, r, what, there):
        """Something that is done with a message."""
        known = [(f, n) for f in sorted(there) for n in sorted(there[f]) if not ("T" not in self.letters and "T" in r.flags(f, n))]
        if not known:
            return
        folder, n = self.rng.choice(known)
        if what == "toggle":
            flag = self.rng.choice(self.letters)
            self.say("  side %d: toggle %s of %d in %s" % (r.side, flag, n, folder))
            r.toggle(folder, n, flag)
            self.model.messages[folder, n].toggle(r.side, flag, self.busy)
        elif what == "look_at":
            r.look_at(folder, n)
        elif what == "delete":
            self.say("  side %d: delete %d in %s" % (r.side, n, folder))
            r.delete(folder, n)
            self.model.delete(folder, n, r.side)
        else:
            to = [f for f in sorted(there) if (f, n) not in self.model.messages]
            if not to:
                return
            to = self.rng.choice(to)
            self.say("  side %d: %s %d from %s to %s" % (r.side, what, n, folder, to))
            flags = r.flags(folder, n)
            getattr(r, what)(folder, n, to)
            if n not in r.listing()[to]:
                raise Refused("it was not there any more")
            self.model.add(to, n, r.side, r.flags(to, n) if self.busy else flags)
            if what == "move":
                self.model.delete(folder, n, r.side)

    # -- runs -------------------------------------------------------------------------------------------------

    def ended(self, r):
        """A run came to its end: both sides are the same, and as they must be."""
        self.say(*("  " + line for line in r.out.splitlines()), sep="\n")
        warnings = [e["text"] for e in r.of("warning") if "is gone" in e["text"]]
        if warnings:
            # new mail in a folder that was removed on the other side: a person is asked, and wants it back
            self.say("  restore:", *warnings)
            r = self.p.sync("--restore")
            assert [e for e in r.of("warning") if "is gone" in e["text"]] == [], r
        self.srv.wait_for_quiet()
        self.agree()

    def agree(self):
        """Both sides are the same, and as they must be."""
        near, far = self.p.local.state(), self.p.remote.state()
        state = {}
        for name, rows in (("local", near), ("remote", far)):
            here = {}
            for folder, row in rows.items():
                here[folder] = {}
                for text, flags in row:
                    n = number(text)
                    assert n not in here[folder], "message %d is twice in %s, %s" % (n, folder, name)
                    assert text == self.texts[n], "message %d in %s, %s, is not what it was" % (n, folder, name)
                    here[folder][n] = flags
            state[name] = here
        for folder in sorted(set(near) | set(far)):
            assert state["local"].get(folder) == state["remote"].get(folder), "the sides differ in " + folder
        self.model.run_ended(state["local"])

    def run_calmly(self):
        r = self.p.run("both")
        assert r.code == 0 and r.of("error") == [], (r.of("error"), r)
        self.ended(r)
        return r

    def run_badly(self):
        """A run to which something happens."""
        how = self.rng.choice((self.stopped, self.killed_at_a_call, self.killed_some_time, self.cut, self.starved, self.among_readers))
        r = how()
        self.srv.wait_for_quiet()
        if how != self.among_readers and r.code == 0 and r.of("error") == []:
            self.say("  it came to its end")
            self.ended(r)
            return
        assert [e for e in r.of("error") if e["kind"] == "bug" and "the worker" not in e["text"]] == [], r
        self.say(*("  " + line for line in r.out.splitlines()), sep="\n")
        self.model.run_broken()

    def stopped(self):
        n = int(self.rng.expovariate(1 / 9)) + 1
        self.say(" run, stopped before step %d" % n)
        return self.p.run("both", env={"MAILHAUL_STOP_AT": str(n)})

    def killed_at_a_call(self):
        calls = known_calls(self.rng.choice(CALLS))
        first, often = OFTEN.get(calls, (1, 4))
        n = first + int(self.rng.expovariate(1 / often))
        self.say(" run, killed at %s %d" % (calls, n))
        return self.p.run("both", prefix=killed(calls, n))

    def killed_some_time(self):
        """The worker, the process that started it, or both, by somebody else."""
        whom, after = self.rng.choice(("worker", "parent", "all")), self.rng.uniform(0, 0.1)
        self.say(" run, %s killed after %.3f s" % (whom, after))
        p = self.p.start("--json", "run", "both")
        try:
            out, err = p.communicate(timeout=after)
        except subprocess.TimeoutExpired:
            workers = children(p.pid)
            if whom != "worker":
                p.send_signal(signal.SIGKILL)
            for pid in workers if whom != "parent" else ():
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            out, err = p.communicate(timeout=haul.RUN_SECONDS)
            wait_for_end(workers)
        return haul.Result(subprocess.CompletedProcess(p.args, p.returncode, out, err))

    def cut(self):
        way = self.rng.choice(("down", "up"))
        n = int(self.rng.expovariate(1 / {"down": 4000, "up": 2000}[way])) + 1
        once = ("--cut-once",) if self.rng.random() < 0.5 else ()
        self.say(" run, cut %s after %d" % (way, n), *once)
        proxy = Proxy(self.srv.front_port, "--cut-" + way, str(n), *once)
        try:
            self.p.reconfigure(":%d" % self.srv.front_port, ":%d" % proxy.port)
            r = self.p.run("both")
        finally:
            proxy.stop()
        self.p.reconfigure(":%d" % proxy.port, ":%d" % self.srv.front_port)
        return r

    def among_readers(self):
        """Slow enough for readers to come in between."""
        self.say(" run, among readers")
        p = self.p.start("--json", "run", "both", prefix=strace("-e", "trace=fsync,fdatasync,getdents64,sendto", "-e",
                                                               "inject=fsync,fdatasync,getdents64,sendto:delay_exit=%d" % self.rng.choice((2000, 10000))))
        self.model.run_broken()     # from now on anything may have been copied
        self.busy = True
        try:
            times = self.rng.randrange(1, 6)
            while times > 0 and p.poll() is None:
                self.read_mail(2)
                times -= 1
        finally:
            self.busy = False
            out, err = p.communicate(timeout=haul.RUN_SECONDS)
        return haul.Result(subprocess.CompletedProcess(p.args, p.returncode, out, err))

    def starved(self):
        if self.disk and self.rng.random() < 0.7:
            room = int(self.rng.expovariate(1 / 30000))
            self.say(" run, with %d bytes of disk left" % room)
            with self.disk.full(room):
                return self.p.run("both")
        calls = known_calls(self.rng.choice(("write,pwrite64", "fsync,fdatasync", "rename,renameat,renameat2,linkat", "mkdir,mkdirat")))
        when = "%d%s" % (1 + int(self.rng.expovariate(1 / OFTEN.get(calls, (1, 4))[1])), self.rng.choice(("", "+")))
        error = self.rng.choice(("ENOSPC", "ENOSPC", "EIO", "EDQUOT"))
        self.say(" run, %s fails with %s from %s" % (calls, error, when))
        return self.p.run("both", prefix=failing(calls, error, when))

    def rest(self):
        """Long enough for the stamps of the Maildirs to be believed: the next run may pass folders over."""
        end = time.monotonic() + 5
        while self.p.kind == "maildir" and time.time() - max(os.stat(d).st_mtime for d, _, _ in os.walk(self.p.local.path)) < 2.1:
            assert time.monotonic() < end
            time.sleep(0.02)


def children(pid):
    try:
        with open("/proc/%d/task/%d/children" % (pid, pid), encoding="ascii") as f:
            return [int(x) for x in f.read().split()]
    except OSError:
        return []


def runs(pid):
    """Whether there is such a process that has not ended, be its end noticed or not."""
    try:
        with open("/proc/%d/stat" % pid, encoding="utf-8", errors="replace") as f:
            return f.read().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def wait_for_end(pids):
    """Those whose parent was killed are nobody's children, and end when they notice."""
    end = time.monotonic() + 30
    while any(runs(pid) for pid in pids):
        assert time.monotonic() < end, "a worker outlives its parent"
        time.sleep(0.005)
