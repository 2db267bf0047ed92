"""Both sides of a two-way job as their users see and change them: a tree of Maildirs, and a mailbox on a server by IMAP."""

import contextlib
import imaplib
import os
import re
import shutil
import sqlite3
import time

import pytest

import boxside
import disturb
import dovecot
import haul
import objectid

HELLO = b"From: a@example.org\nSubject: hello %d\n\nbody %d\n"

EVERYTHING = ("IMAP4rev1 SASL-IR ID ENABLE IDLE NAMESPACE UIDPLUS LIST-EXTENDED UNSELECT CHILDREN MULTIAPPEND CONDSTORE QRESYNC ESEARCH SEARCHRES "
              "LIST-STATUS MOVE STATUS=SIZE LITERAL+ SPECIAL-USE")


def without(*names):
    return " ".join(word for word in EVERYTHING.split() if word not in names)


#: Kinds of servers, by what they say they can; None: all that Dovecot can.
SERVERS = {
    "all": None,
    "no QRESYNC": without("QRESYNC"),
    "no CONDSTORE": without("QRESYNC", "CONDSTORE"),
    "no UIDPLUS": without("UIDPLUS"),
    "bare": "IMAP4rev1",
}
#: For moves and renames: two more that differ from the first in these alone.
MOVERS = {**SERVERS, "no MOVE": without("MOVE"), "OBJECTID": None}
ROLES = r"""
namespace inbox {
  mailbox "Sent Items" {
    special_use = \Sent
  }
  mailbox Bin {
    special_use = \Trash
  }
}
"""


#: What tests call keywords by; in a Maildir they are spelled by the letters that its dovecot-keywords gives them.
KEYWORDS = {"j": "Junk", "k": "$Label1", "n": "NonJunk"}


@contextlib.contextmanager
def locked(path):
    """With a dotlock; one whose process is no more is taken away."""
    end = time.monotonic() + 30
    while True:
        try:
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
            break
        except FileExistsError:
            assert time.monotonic() < end, path
        try:
            with open(path, encoding="ascii") as f:
                pid = f.read().partition(":")[0]
            if pid and not os.path.exists("/proc/" + pid):
                os.unlink(path)
        except FileNotFoundError:
            pass
        time.sleep(0.005)
    try:
        yield
    finally:
        os.unlink(path)


class Side:
    """A tree of Maildirs in the nested layout, as a mail reader sees and changes it that knows keywords as Dovecot writes them."""

    def __init__(self, path):
        self.path = str(path)
        self.count = 0

    def words(self, folder):
        """{letter: name} as the folder's dovecot-keywords has it."""
        try:
            with open(os.path.join(self.box(folder), "dovecot-keywords"), encoding="ascii") as f:
                rows = [line.rstrip("\n").split(" ", 1) for line in f]
        except FileNotFoundError:
            return {}
        return {chr(ord("a") + int(i)): name for i, name in rows}

    def spell(self, folder, flags):
        """The letters in a file's name for these flags; those that the folder has not get the next that is free."""
        wanted = {KEYWORDS[f] for f in flags if f in KEYWORDS}
        if not wanted <= set(self.words(folder).values()):
            with locked(os.path.join(self.box(folder), "dovecot-uidlist.lock")):
                self.name(folder, wanted)
        known = {name.lower(): letter for letter, name in self.words(folder).items()}
        return "".join(sorted(known[KEYWORDS[f].lower()] if f in KEYWORDS else f for f in flags))

    def name(self, folder, wanted):
        """Have letters for all of these names."""
        words = self.words(folder)
        for name in sorted(wanted):
            if name.lower() not in {w.lower() for w in words.values()}:
                words[next(c for c in map(chr, range(ord("a"), ord("z") + 1)) if c not in words)] = name
        path = os.path.join(self.box(folder), "dovecot-keywords")
        with open(path + ".lock", "w", encoding="ascii") as f:
            f.writelines("%d %s\n" % (ord(x) - ord("a"), words[x]) for x in sorted(words))
        os.rename(path + ".lock", path)

    def read(self, folder, letters, words=None):
        """And back."""
        words = self.words(folder) if words is None else words
        names = {name.lower(): flag for flag, name in KEYWORDS.items()}
        return "".join(sorted(names.get(words[x].lower(), x) if x in words else x for x in letters))

    def box(self, folder):
        return os.path.join(self.path, *folder.split("/"))

    def make(self, folder):
        for sub in ("cur", "new", "tmp"):
            os.makedirs(os.path.join(self.box(folder), sub), exist_ok=True)

    def remove(self, folder):
        """The folder, not those below it."""
        for sub in ("cur", "new", "tmp"):
            shutil.rmtree(os.path.join(self.box(folder), sub))
        if os.path.exists(os.path.join(self.box(folder), "dovecot-keywords")):
            os.unlink(os.path.join(self.box(folder), "dovecot-keywords"))
        try:
            os.rmdir(self.box(folder))
        except OSError:
            pass

    def rename(self, folder, to):
        """With those below it."""
        os.makedirs(os.path.dirname(self.box(to)), exist_ok=True)
        os.rename(self.box(folder), self.box(to))

    def deliver(self, body, folder="INBOX", flags=None, age=0):
        """Put a message; into new/, or into cur/ if it has flags. Its name."""
        self.make(folder)
        self.count += 1
        name = "%d.M%dP%dQ%d.%s" % (1700000000 + self.count, self.count, os.getpid(), self.count, os.path.basename(self.path))
        where = os.path.join("new", name) if flags is None else os.path.join("cur", "%s:2,%s" % (name, self.spell(folder, flags)))
        path = os.path.join(self.box(folder), where)
        with open(path, "wb") as f:
            f.write(body)
        if age:
            os.utime(path, (os.path.getmtime(path) - age,) * 2)
        return name

    def fill(self, folder, n, start=0, flags="S"):
        for i in range(start, start + n):
            self.deliver(HELLO % (i, i), folder, flags)

    def paths(self, folder, body):
        """The paths of all messages with these bytes, the oldest first."""
        return sorted((p for p in haul.maildir_files(self.box(folder)) if open(p, "rb").read() == body), key=os.path.basename)

    def find(self, folder, body):
        """The path of the one message with these bytes."""
        found = self.paths(folder, body)
        assert len(found) == 1, (folder, body, found)
        return found[0]

    def delete(self, folder, body):
        os.unlink(self.find(folder, body))

    def delete_one(self, folder, body, which=0):
        """One of several."""
        os.unlink(self.paths(folder, body)[which])

    def empty(self, folder):
        for path in haul.maildir_files(self.box(folder)):
            os.unlink(path)

    def move(self, folder, body, to, name=None):
        """As a mail reader does; name: it makes a new name."""
        path = self.find(folder, body)
        self.make(to)
        base = os.path.basename(path)
        if ":2," in base:
            unique, _, letters = base.partition(":2,")
            base = "%s:2,%s" % (name or unique, self.spell(to, self.read(folder, letters)))
        elif name:
            base = name
        os.rename(path, os.path.join(self.box(to), os.path.basename(os.path.dirname(path)), base))

    def copy(self, folder, body, to):
        path = self.find(folder, body)
        self.deliver(body, to, self.read(folder, path.rpartition(":2,")[2]) if ":2," in path else None, time.time() - os.path.getmtime(path))

    def flag(self, folder, body, flags):
        path = self.find(folder, body)
        name = os.path.basename(path).split(":2,")[0]
        os.rename(path, os.path.join(self.box(folder), "cur", "%s:2,%s" % (name, self.spell(folder, flags))))

    def folders(self):
        found = set()
        for top, dirs, _ in os.walk(self.path):
            if "cur" in dirs:
                found.add(os.path.relpath(top, self.path))
            dirs[:] = [d for d in dirs if d not in ("cur", "new", "tmp")]
        return found

    def state(self):
        """{folder: sorted [(bytes, flags)]}: what there is, whatever the files are called."""
        out = {}
        for folder in self.folders():
            rows, words = [], self.words(folder)
            for path in haul.maildir_files(self.box(folder)):
                with open(path, "rb") as f:
                    rows.append((f.read(), self.read(folder, path.rpartition(":2,")[2], words) if ":2," in os.path.basename(path) else ""))
            out[folder] = sorted(rows)
        return out

    def bodies(self, folder="INBOX"):
        return [body for body, _ in self.state()[folder]]

    def files(self):
        """Every file and directory with its times: what a dry run must leave alone."""
        out = {}
        for top, dirs, names in os.walk(self.path):
            for name in names + dirs:
                st = os.lstat(os.path.join(top, name))
                out[os.path.join(top, name)] = (st.st_ino, st.st_size, st.st_mtime_ns)
        return out


class Remote:
    """A user's folders on a Dovecot, with the same ways to change them as Side has; "/" between levels here, "." there."""

    LETTERS = {"D": r"\Draft", "F": r"\Flagged", "P": "$Forwarded", "R": r"\Answered", "S": r"\Seen", "T": r"\Deleted", **KEYWORDS}

    def __init__(self, srv, user, path=""):
        self.srv, self.user, self.path = srv, user, path

    @staticmethod
    def wire(folder):
        """In modified UTF-7 (RFC 3501 section 5.1.3), quoted."""
        def shift(m):
            return "&" + m.group(0).encode("utf-7").decode().lstrip("+").rstrip("-").replace("/", ",") + "-"

        text = re.sub("[^\x20-\x7e]+", shift, folder.replace("&", "&-"))
        return '"%s"' % text.replace("/", ".")

    @staticmethod
    def name(wire):
        """And back."""
        def shift(m):
            return "&" if m.group(1) == "" else ("+" + m.group(1).replace(",", "/") + "-").encode().decode("utf-7")

        return re.sub("&([^-]*)-", shift, wire).replace(".", "/")

    def connect(self):
        return self.srv.imap(self.user)

    def do(self, what, *args):
        """One command of imaplib that must work."""
        with self.connect() as c:
            typ, answer = getattr(c, what)(*args)
            assert typ == "OK", (what, args, answer)
            return answer

    def make(self, folder):
        with self.connect() as c:
            c.create(self.wire(folder))

    def remove(self, folder):
        self.do("delete", self.wire(folder))

    def rename(self, folder, to):
        self.do("rename", self.wire(folder), self.wire(to))

    def deliver(self, body, folder="INBOX", flags="", age=0):
        date = time.time() - age
        with self.connect() as c:
            if folder != "INBOX":
                c.create(self.wire(folder))
            self.append(c, body, folder, flags, date)

    def append(self, c, body, folder, flags, date):
        saved, imaplib.MapCRLF = imaplib.MapCRLF, re.compile(b"(?!)")
        try:
            typ, answer = c.append(self.wire(folder), " ".join(self.LETTERS[x] for x in flags or ""), imaplib.Time2Internaldate(date),
                                   re.sub(rb"(?<!\r)\n", b"\r\n", body))
        finally:
            imaplib.MapCRLF = saved
        assert typ == "OK", answer

    def fill(self, folder, n, start=0, flags="S"):
        with self.connect() as c:
            if folder != "INBOX":
                c.create(self.wire(folder))
            for i in range(start, start + n):
                self.append(c, HELLO % (i, i), folder, flags, time.time())

    def fetch(self, c, folder):
        """[(UID, bytes with LF, flags as letters)]"""
        typ, answer = c.select(self.wire(folder), readonly=True)
        assert typ == "OK", (folder, answer)
        if int(answer[0]) == 0:
            return []
        out = []
        for part in c.uid("fetch", "1:*", "(FLAGS BODY.PEEK[])")[1]:
            if isinstance(part, tuple):
                head = part[0].decode()
                out.append((int(re.search(r"UID (\d+)", head).group(1)), part[1].replace(b"\r\n", b"\n"),
                            self.letters(head)))
        return out

    def letters(self, head):
        """The flags in a response to FETCH, as a Maildir has them."""
        flags = set(re.search(r"FLAGS \(([^)]*)\)", head).group(1).lower().split())
        return "".join(x for x, flag in sorted(self.LETTERS.items()) if flag.lower() in flags)

    def uid_of(self, c, folder, body):
        found = [uid for uid, text, _ in self.fetch(c, folder) if text == body]
        assert len(found) == 1, (folder, body, found)
        return str(found[0])

    def delete(self, folder, body):
        with self.connect() as c:
            uid = self.uid_of(c, folder, body)
            c.select(self.wire(folder))
            c.uid("store", uid, "+FLAGS", r"(\Deleted)")
            c.uid("expunge", uid)

    def empty(self, folder):
        with self.connect() as c:
            if int(c.select(self.wire(folder))[1][0]) > 0:
                c.store("1:*", "+FLAGS", r"(\Deleted)")
                c.expunge()

    def move(self, folder, body, to):
        self.copy(folder, body, to)
        self.delete(folder, body)

    def copy(self, folder, body, to):
        if to not in self.folders():
            self.make(to)
        with self.connect() as c:
            uid = self.uid_of(c, folder, body)
            c.select(self.wire(folder))
            assert c.uid("copy", uid, self.wire(to))[0] == "OK"

    def flag(self, folder, body, flags):
        with self.connect() as c:
            uid = self.uid_of(c, folder, body)
            c.select(self.wire(folder))
            c.uid("store", uid, "FLAGS", "(%s)" % " ".join(self.LETTERS[x] for x in flags))

    def folders(self, c=None):
        found = set()
        for line in c.list()[1] if c else self.do("list"):
            attrs, name = re.match(rb'\(([^)]*)\) "." (.*)', line).groups()
            if b"\\noselect" not in attrs.lower():
                found.add(self.name(name.decode().strip('"')))
        return found

    def is_there(self, c, folder):
        """With its list index Dovecot goes on to list a folder that was removed while others are below it."""
        return c.status(self.wire(folder), "(MESSAGES)")[0] == "OK"

    def state(self):
        folders = self.folders()
        with self.connect() as c:
            return {f: sorted((body, flags) for _, body, flags in self.fetch(c, f)) for f in folders if self.is_there(c, f)}

    def bodies(self, folder="INBOX"):
        with self.connect() as c:
            return sorted(body for _, body, _ in self.fetch(c, folder))

    def files(self):
        """What must not change."""
        with self.connect() as c:
            return {f: (self.fetch(c, f), c.status(self.wire(f), "(UIDVALIDITY UIDNEXT)")) for f in self.folders()}


class Job(haul.Haul):
    """A configuration with one two-way job "both"; .remote and .local are its sides."""

    remote = local = None

    @property
    def db(self):
        return os.path.join(self.state, "both.db")

    def sync(self, *args, code=0, **more):
        r = self.run("both", *args, **more)
        assert r.code == code, r
        return r

    def settle(self):
        """A run, and one that has nothing to do any more."""
        r = self.sync()
        self.quiet()
        return r

    def quiet(self):
        r = self.sync()
        assert actions(r) == [] and r.of("warning") == [] and r.of("error") == [], r

    def same(self):
        assert self.remote.state() == self.local.state()

    def forget(self):
        """Lose the state."""
        shutil.rmtree(self.state)

    @contextlib.contextmanager
    def last_week(self):
        """What happens in between is synced, and then the state is again what it was before."""
        aside = self.state + ".aside"
        shutil.copytree(self.state, aside)
        yield
        self.settle()
        self.same()
        self.forget()
        os.rename(aside, self.state)


class Sync(Job):
    """A configuration with one job "both" between a user of a Dovecot and a tree."""

    users = 0
    #: What is at the local side. Any test can be run with the other by hand, if it does not look into the files.
    kind = os.environ.get("MAILHAUL_TEST_LOCAL", "maildir")

    def __init__(self, directory, srv, job="", account="", scheme="imaps"):
        Sync.users += 1
        user = "w%dp%d" % (Sync.users, os.getpid())
        srv.add_user(user, "the secret of " + user)
        self.account, self.scheme, self.srv, self.user = account, scheme, srv, user
        super().__init__(directory, 1, password="the secret of " + user)
        self.remote, self.local = Remote(srv, user), {"maildir": Side, "mbox": boxside.BoxSide}[self.kind](os.path.join(self.dir, "local"))
        self.configure(job)

    def parts(self):
        """The directories that hold all that a run can change, by name; those of the server's users begin with "home"."""
        return {"local": self.local.path, "state": self.state, "home": self.srv.home(self.user)}

    def configure(self, job):
        port = {"imaps": self.srv.front_port, "imap": self.srv.imap_port}[self.scheme]
        self.write_private(self.conf, "account work {\n\turl = %s\n\tpassword-file = %s\n\tca-file = %s\n\t%s\n}\nsync both {\n\tremote = work\n\tlocal = %s\n%s\n}\n" % (
            haul.quoted("%s://%s@localhost:%d" % (self.scheme, self.user, port)), haul.quoted(self.secret), haul.quoted(self.srv.ca_file), self.account,
            haul.quoted(self.kind + ":" + self.local.path), job))


class Boxes(Sync):
    """The same with a tree of mbox files."""

    kind = "mbox"


class Pair(Job):
    """A configuration with one job "both" between two trees."""

    kind = "maildir"    # of what is at the local side

    def __init__(self, directory, job=""):
        super().__init__(directory, 1)
        self.remote, self.local = Side(os.path.join(self.dir, "remote")), {"maildir": Side, "mbox": boxside.BoxSide}[self.kind](os.path.join(self.dir, "local"))
        self.configure(job)

    def configure(self, job):
        self.write_private(self.conf, "sync both {\n\tremote = %s\n\tlocal = %s\n%s\n}\n" % (
            haul.quoted("maildir:" + self.remote.path), haul.quoted(self.kind + ":" + self.local.path), job))


class Accounts(Job):
    """A configuration with one job "both" between two users of a Dovecot."""

    users = 0
    kind = "imap"

    def __init__(self, directory, srv, job=""):
        Accounts.users += 1
        self.srv, self.user, self.user2 = srv, "r%dp%d" % (Accounts.users, os.getpid()), "l%dp%d" % (Accounts.users, os.getpid())
        for user in self.user, self.user2:
            srv.add_user(user, "secret")
        super().__init__(directory, 1, password="secret")
        self.remote, self.local = Remote(srv, self.user), Remote(srv, self.user2)
        self.configure(job)

    def parts(self):
        return {"state": self.state, "home": self.srv.home(self.user), "home2": self.srv.home(self.user2)}

    def configure(self, job):
        account = "account %s {\n\turl = %s\n\tpassword-file = %s\n\tca-file = %s\n}\n"
        text = "".join(account % (name, haul.quoted("imaps://%s@localhost:%d" % (user, self.srv.front_port)), haul.quoted(self.secret), haul.quoted(self.srv.ca_file))
                       for name, user in (("work", self.user), ("other", self.user2)))
        self.write_private(self.conf, text + "sync both {\n\tremote = work\n\tlocal = other\n%s\n}\n" % job)


class Move(Job):
    """A configuration with one job "move": .remote is its source, .local its target. source: "imap", "pop3", "maildir"; target: "imap", "maildir", "mbox"."""

    users = 0
    urls = {"imap": "imaps://%s@localhost:%d", "pop3": "pop3s://%s@localhost:%d"}

    def __init__(self, directory, srv=None, job="", more="", source=None, target="maildir"):
        super().__init__(directory, 1, password="the secret")
        self.srv, self.source, self.target = srv, source or ("imap" if srv else "maildir"), target
        self.remote, self.local = self.make(self.source, "remote"), self.make(target, "local")
        self.configure(job, more)

    def make(self, kind, name):
        if kind in ("maildir", "mbox"):
            return {"maildir": Side, "mbox": boxside.BoxSide}[kind](os.path.join(self.dir, name))
        Move.users += 1
        user = "m%dp%d" % (Move.users, os.getpid())
        self.srv.add_user(user, "the secret")
        return Remote(self.srv, user)

    def end(self, kind, side, name):
        """The account of a side, and how the job names it."""
        if kind in ("maildir", "mbox"):
            return "", haul.quoted(kind + ":" + side.path)
        url = self.urls[kind] % (side.user, {"imap": self.srv.front_port, "pop3": self.srv.pop3s_port}[kind])
        return "account %s {\n\turl = %s\n\tpassword-file = %s\n\tca-file = %s\n}\n" % (name, haul.quoted(url), haul.quoted(self.secret), haul.quoted(self.srv.ca_file)), name

    def configure(self, job, more=""):
        (one, a), (two, b) = self.end(self.source, self.remote, "old"), self.end(self.target, self.local, "work")
        self.write_private(self.conf, "%s%smigrate move {\n\tfrom = %s\n\tto = %s\n%s\n}\n%s" % (one, two, a, b, job, more))

    @property
    def db(self):
        return os.path.join(self.state, "move.db")

    def parts(self):
        out = {"state": self.state}
        for name, side in ("remote", self.remote), ("local", self.local):
            out[("home " if isinstance(side, Remote) else "tree ") + name] = self.srv.home(side.user) if isinstance(side, Remote) else side.path
        return out

    def move(self, *args, code=0):
        r = self.run("move", *args)
        assert r.code == code, r
        return r

    sync = move

    def quiet(self):
        r = self.move()
        assert actions(r) == [] and r.of("warning") == [] and r.of("error") == [], r


class Files(Pair):
    """The same between a tree of Maildirs and one of mbox files."""

    kind = "mbox"


def between(directory, srv, job=""):
    """A job with that server, and with what else its kind says; or, where there is none, with a second tree, or one of mbox files."""
    if srv in (None, "files"):
        return (Files if srv else Pair)(directory, job)
    return {"two accounts": Accounts, "mbox": Boxes}.get(srv.kind, Sync)(directory, srv, job)


class Scene:
    """A job to whose sides something has happened since the last run: it can be put back to there, and must end as .want says."""

    want = None     # what state() is to be in the end

    def __init__(self, directory, srv, job, make=Sync):
        self.srv, self.dir = srv, str(directory)
        self.p = make(directory / "job", srv, job)

    def keep(self):
        """Here it is put back to from now on."""
        self.srv.wait_for_quiet()
        self.parts = self.p.parts()
        for name, path in self.parts.items():
            shutil.rmtree(os.path.join(self.dir, name + ".kept"), ignore_errors=True)
            shutil.copytree(path, os.path.join(self.dir, name + ".kept"))

    def reset(self):
        self.srv.wait_for_quiet()
        for name, path in self.parts.items():
            shutil.rmtree(path)
            shutil.copytree(os.path.join(self.dir, name + ".kept"), path)
            if name.startswith("home"):
                self.srv.give(path)

    def state(self):
        return {"local": self.p.local.state(), "remote": self.p.remote.state()}

    def finish(self, what):
        """An undisturbed run, and one more."""
        self.srv.wait_for_quiet()
        r = self.p.sync()
        assert r.of("error") == [], (what, r)
        assert self.state() == self.want, (what, r)
        self.p.quiet()

    def stopped(self, *command, stride=3, ends=0):
        """Put it back and stop a command before one of its steps after the other (disturb.steps), the last time behind them all, when it ends with that code: the number of each, to see what it left."""
        for step in disturb.steps(stride):
            self.reset()
            code = self.p.call(*(command or ("run",)), env={"MAILHAUL_STOP_AT": str(step)}).code
            assert code in (ends, 100), step
            self.srv.wait_for_quiet()
            yield step
            if code == ends:
                return

    def _points(self, calls, most, command, ends=0):
        self.reset()
        return disturb.points(disturb.count_calls(self.p, calls, command, ends), most)

    def killed(self, calls, most, command="run", ends=0):
        """Likewise, killed at one of these system calls after the other, at so many of them at the most but in a long run: what was done."""
        calls = disturb.known_calls(calls)
        for n in self._points(calls, most, command, ends):
            self.reset()
            self.p.call(command, prefix=disturb.killed(calls, n))
            self.srv.wait_for_quiet()
            yield "%s %d" % (calls, n)

    def failing(self, calls, error, most, command="run"):
        """Likewise, when such a system call fails: once only, and from then on."""
        calls = disturb.known_calls(calls)
        for n in self._points(calls, most, command):
            for when in ("%d" % n, "%d+" % n):
                self.reset()
                r = self.p.call(command, prefix=disturb.failing(calls, error, when))
                assert r.code in (0, 1, 70, 74, 75), (when, r)
                self.srv.wait_for_quiet()
                yield "%s %s %s" % (calls, error, when)


def state_of_version(path, version):
    """A state file as an earlier version of the schema has it, as far as that one knows what there is: 2 or later."""
    with contextlib.closing(sqlite3.connect(path)) as db:
        if version < 5:
            db.executescript("DROP TABLE trashed; DROP INDEX pair_object;" + "".join("ALTER TABLE pair DROP COLUMN %s;" % c for c in ("told_size", "told_date", "mid", "object")))
        if version < 4:
            db.execute("ALTER TABLE run DROP COLUMN deleted_left")
        if version < 3:
            db.execute("DROP TABLE keyword")
        db.execute("PRAGMA user_version = %d" % version)
        db.commit()


def stopped_anew(build, *args):
    """build(step) makes a job, whose run is stopped before one of its steps (disturb.steps); until one is not stopped any more: each step, job, and what the run said."""
    for step in disturb.steps():
        p = build(step)
        r = p.run("both", *args, env={"MAILHAUL_STOP_AT": str(step)})
        assert r.code in (0, 100), (step, r)
        yield step, p, r
        if r.code == 0:
            return


class Kind(dovecot.Dovecot):
    """One of MOVERS: .kind, and .front_port for the program."""

    kind = "all"
    front = None

    def __enter__(self):
        super().__enter__()
        if self.kind == "OBJECTID":
            self.front = objectid.Front(self).__enter__()
        return self

    def __exit__(self, *exc):
        if self.front:
            self.front.__exit__(*exc)
        return super().__exit__(*exc)

    @property
    def front_port(self):
        return self.front.imaps_port if self.front else self.imaps_port


def start(directory, kind):
    """A server of one of MOVERS, not started yet; or one that can all, to be used for other sides than a Maildir (between)."""
    imap = {"mail_plugins": "$mail_plugins imap_zlib"}
    if MOVERS.get(kind):
        imap = {"imap_capability": MOVERS[kind]}
    srv = Kind(directory, imap=imap, extra=ROLES)
    srv.kind = kind
    return srv


def server_of_each(kinds):
    """A fixture: a server of each kind in turn; or, if a test asks for it by None or "files", no server, but that."""
    @pytest.fixture(scope="module", params=list(kinds))
    def each_server(request, tmp_path_factory):
        if request.param in (None, "files"):
            yield request.param
            return
        with start(tmp_path_factory.mktemp("dovecot"), request.param) as srv:
            yield srv
    return each_server


def actions(r):
    """[(action, where)] of what a run did, in order."""
    return [(e["action"], e.get("where")) for e in r.events if e["event"] in ("message", "folder") and "action" in e]


def counts(r):
    names = ("pulled", "pushed", "deleted", "flagged", "moved", "failed", "folders_made", "folders_removed", "folders_renamed")
    return {n: r.end[n] for n in names if r.end[n]}


def stopped(r, code, *says):
    """The run ended with this code and one error that says so, and did nothing."""
    assert r.code == code and actions(r) == [] and len(r.of("error")) == 1, r
    for text in says:
        assert text in r.of("error")[0]["text"], r
