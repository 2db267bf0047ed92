"""The two sides of a sync as the benchmark sees them: an account of the Dovecot, and a tree of
Maildirs. Both tell their state as {(folder, Message-ID): flags}, so that sides can be compared
with each other and with what they ought to be, and both can be changed as a person would."""

import os
import random
import re
import shutil
import socket
import time

from harness import PASSWORD, maildir

LETTERS = {"D": "\\Draft", "F": "\\Flagged", "R": "\\Answered", "S": "\\Seen", "T": "\\Deleted"}
SYSTEM = frozenset(LETTERS.values())
MESSAGE_ID = re.compile(rb"^message-id:\s*(<[^>]*>)", re.I | re.M)
HEADER_MAX = 16384
APPEND = 10000                  # messages of one command


def message_id(data):
    found = MESSAGE_ID.search(data)
    return found.group(1).decode() if found else "?"


def parts_of(data):
    """A message is bytes, or, if it is very long, a list of its parts, none of which ends in CR."""
    return [data] if isinstance(data, bytes) else data


def file_name(n, parts):
    size = sum(len(p) for p in parts)
    lone = sum(p.count(b"\n") - p.count(b"\r\n") for p in parts)
    return "%d.M%dP%d.bench,S=%d,W=%d" % (time.time(), n, os.getpid(), size, size + lone)


def tally(counted):
    """A state that tells only how many messages are seen and how many are not, for mailboxes too
    large for more; counted: folder, messages, unseen."""
    out = {}
    for folder, messages, unseen in counted:
        out.update({(folder, "seen"): messages - unseen, (folder, "unseen"): unseen})
    return {at: n for at, n in out.items() if n}


def link_tree(src, dst):
    """A copy of a tree of Maildirs: messages linked, what else there is copied."""
    os.makedirs(dst, mode=0o700, exist_ok=True)
    messages = os.path.basename(src) in ("cur", "new", "tmp")
    for entry in os.scandir(src):
        to = os.path.join(dst, entry.name)
        if entry.is_dir():
            link_tree(entry.path, to)
        elif messages:
            os.link(entry.path, to)
        else:
            shutil.copy2(entry.path, to)


def volume(path):
    """The bytes of all files below a directory."""
    return sum(os.path.getsize(os.path.join(top, n)) for top, _, names in os.walk(path)
               for n in names)


def differ(want, got, side):
    """What is wrong with a state; None if nothing is."""
    if want == got:
        return None
    lacks = sum(k not in got for k in want)
    more = sum(k not in want for k in got)
    if any(isinstance(n, int) for n in want.values()):
        return "%s: other numbers of messages, or other flags" % side
    return "%s: %d of %d messages missing, %d too many, %d with other flags" % (
        side, lacks, len(want), more, sum(k in got and got[k] != f for k, f in want.items()))


class Picks:
    """The messages of the inbox that a round of changes touches: not the same in two rounds,
    spread over the whole."""

    def __init__(self, state, seed=5):
        self.left = sorted(mid for folder, mid in state if folder == "INBOX")
        random.Random(seed).shuffle(self.left)
        self.rounds = 0

    def take(self, count):
        if len(self.left) < count:
            raise RuntimeError("too few messages for so many changes")
        taken, self.left = self.left[:count], self.left[count:]
        return taken


class Account:
    """A user of the server."""

    def __init__(self, srv, user, exact=True):
        self.srv, self.user, self.exact = srv, user, exact
        self.path = srv.home(user)
        self.known = {}         # folder: {UID: Message-ID}
        srv.add_user(user, PASSWORD)

    def fill(self, folders):
        """Puts the messages into the folders, most of them seen, and lets the server index them.
        Returns count and bytes."""
        into_files = self.srv.mail_location.startswith("maildir:")
        count = size = 0
        for folder, messages in folders:
            add = (self.write if into_files else self.upload)(folder, messages, count)
            count, size = count + add[0], size + add[1]
        self.srv.give(self.srv.home(self.user))
        self.settle()
        return count, size

    def write(self, folder, messages, first):
        """Writes them into the server's Maildir."""
        count, size, base = 0, 0, maildir(self.srv.maildir(self.user, folder))
        if folder != "INBOX":
            open(os.path.join(base, "maildirfolder"), "w").close()
        for count, (_, data) in enumerate(messages, 1):
            parts, n = parts_of(data), first + count
            name = file_name(n, parts) + (":2," if n % 10 == 0 else ":2,S")
            with open(os.path.join(base, "cur", name), "wb") as f:
                f.writelines(parts)
            size += sum(len(p) for p in parts)
        return count, size

    def upload(self, folder, messages, first):
        """Appends many at once, each without waiting."""
        count, size = 0, 0
        with socket.create_connection((self.srv.host, self.srv.imap_port)) as s:
            f = s.makefile("rwb", 1 << 20)

            def done(tag):
                f.flush()
                while not (line := f.readline()).startswith(tag + b" "):
                    if not line:
                        raise RuntimeError("the server closed the connection")
                if not line.startswith(tag + b" OK"):
                    raise RuntimeError(line)
            f.write(b"a LOGIN %s %s\r\n" % (self.user.encode(), PASSWORD.encode()))
            done(b"a")
            if folder != "INBOX":
                f.write(b"b CREATE %s\r\n" % folder.encode())
                done(b"b")
            for count, (_, data) in enumerate(messages, 1):
                if count % APPEND == 1:
                    f.write(b"c APPEND %s" % folder.encode())
                size += len(data)
                data = data.replace(b"\n", b"\r\n")
                f.write(b" (%s) {%d+}\r\n" % (b"" if (first + count) % 10 == 0 else b"\\Seen",
                                            len(data)))
                f.write(data)
                if count % APPEND == 0:
                    f.write(b"\r\n")
                    done(b"c")
            if count % APPEND:
                f.write(b"\r\n")
                done(b"c")
        return count, size

    def copy(self, user, limit=None):
        """A user with a copy, its indexes included."""
        new = Account(self.srv, user, self.exact)
        link_tree(self.srv.home(self.user), self.srv.home(user))
        self.srv.give(self.srv.home(user))
        new.known = {f: dict(uids) for f, uids in self.known.items()}
        new.settle()
        if limit is not None:
            new.shorten(limit)
        return new

    def shorten(self, limit):
        """Leaves the first messages of all."""
        with self.srv.imap(self.user) as c:
            for folder in self.folders(c):
                count = int(c.select(folder)[1][0])
                if count > limit:
                    c.store("%d:%d" % (limit + 1, count), "+FLAGS.SILENT", r"(\Deleted)")
                    c.expunge()
                limit -= min(count, limit)

    def folders(self, c):
        lines = c.list()[1]
        return sorted(re.split(r' "[./]" ', line.decode())[1].strip('"') for line in lines if line)

    def settle(self):
        """Opens every folder for writing once, so that no run pays for the server's first look
        at its files."""
        with self.srv.imap(self.user) as c:
            # A folder counts changes from the first time that someone asks for them.
            if b"CONDSTORE" in c.capability()[1][0].split():
                c.enable("QRESYNC")
            for folder in self.folders(c):
                c.select(folder)

    def state(self):
        out = {}
        with self.srv.imap(self.user) as c:
            if not self.exact:
                return tally((f, *self.counts(c, f)) for f in self.folders(c))
            for folder in self.folders(c):
                known = self.known.setdefault(folder, {})
                if int(c.select(folder, readonly=True)[1][0]) == 0:
                    continue
                flags = {}
                for line in c.uid("fetch", "1:*", "(FLAGS)")[1]:
                    m = re.search(rb"UID (\d+)", line)
                    f = re.search(rb"FLAGS \(([^)]*)\)", line)
                    flags[int(m.group(1))] = frozenset(f.group(1).decode().split()) & SYSTEM
                new = sorted(uid for uid in flags if uid not in known)
                if new:
                    self.learn(c, known, "%d:%d" % (new[0], new[-1]))
                for uid, f in flags.items():
                    out[(folder, known[uid])] = f
        return out

    @staticmethod
    def counts(c, folder):
        """Messages, and those that are unseen."""
        line = c.status(folder, "(MESSAGES UNSEEN)")[1][0].decode()
        return (int(re.search(word + r" (\d+)", line).group(1)) for word in ("MESSAGES", "UNSEEN"))

    @staticmethod
    def learn(c, known, uids):
        answer = c.uid("fetch", uids, "(BODY.PEEK[HEADER.FIELDS (MESSAGE-ID)])")[1]
        for part in answer:
            if isinstance(part, tuple):
                known[int(re.search(rb"UID (\d+)", part[0]).group(1))] = message_id(part[1])

    def renumber(self):
        """The server has lost its own files of the inbox: all messages get other UIDs under another
        UIDVALIDITY. Then it reads the messages again, so that no run pays for that."""
        before, box = self.stamp().split(":")[0], self.srv.maildir(self.user)
        while self.stamp().split(":")[0] == before:
            for name in os.listdir(box):
                if name.startswith("dovecot"):
                    os.unlink(os.path.join(box, name))
            time.sleep(0.3)     # an UIDVALIDITY is a time: soon it is another
        self.known.pop("INBOX", None)
        self.settle()
        self.state()

    def chill(self):
        """The server forgets what it has read of the inbox's messages."""
        os.unlink(os.path.join(self.srv.maildir(self.user), "dovecot.index.cache"))

    def stamp(self):
        """Where the inbox is now: VALIDITY:MODSEQ:NEXT."""
        with self.srv.imap(self.user) as c:
            line = c.status("INBOX", "(UIDVALIDITY HIGHESTMODSEQ UIDNEXT)")[1][0].decode()
        return ":".join(re.search(word + r" (\d+)", line).group(1)
                        for word in ("UIDVALIDITY", "HIGHESTMODSEQ", "UIDNEXT"))

    def uids(self, mids):
        """The set of UIDs of messages in the inbox."""
        by_mid = {mid: uid for uid, mid in self.known["INBOX"].items()}
        return ",".join(str(u) for u in sorted(by_mid[m] for m in mids))

    def change(self, flag, gone, new):
        """Flags and expunges the messages of the inbox with these Message-IDs, appends others."""
        with self.srv.imap(self.user) as c:
            c.select("INBOX")
            c.uid("store", self.uids(flag), "+FLAGS.SILENT", r"(\Flagged)")
            uids = self.uids(gone)
            c.uid("store", uids, "+FLAGS.SILENT", r"(\Deleted)")
            c.uid("expunge", uids)
            for data in new:
                c.append("INBOX", None, None, data.replace(b"\n", b"\r\n"))


class Tree:
    """A tree of Maildirs of a client: INBOX and the other folders beside it."""

    def __init__(self, path, exact=True):
        self.path, self.exact = path, exact
        self.known = {}         # (inode, name without flags): Message-ID
        self.files = {}         # (folder, Message-ID): path

    def put(self, folder, messages):
        base = maildir(os.path.join(self.path, folder))
        os.chmod(self.path, 0o700)
        for name, path in messages:
            os.link(path, os.path.join(base, "cur", name))

    def boxes(self):
        for top, dirs, _ in os.walk(self.path):
            if "cur" in dirs and "new" in dirs:
                folder = os.path.relpath(top, self.path)
                yield "INBOX" if folder == "." else folder, top
            dirs[:] = [d for d in dirs if d not in ("cur", "new", "tmp")]

    def counts(self, top):
        """Messages, and those that are unseen."""
        names = [n for sub in ("cur", "new") for n in os.listdir(os.path.join(top, sub))
                 if not n.startswith(".")]
        return len(names), sum("S" not in n.partition(":2,")[2] for n in names)

    def state(self):
        if not self.exact:
            return tally((folder, *self.counts(top)) for folder, top in self.boxes())
        out, known, self.files = {}, {}, {}
        for folder, top in self.boxes():
            for sub in ("cur", "new"):
                for entry in os.scandir(os.path.join(top, sub)):
                    if entry.name.startswith("."):
                        continue
                    base, _, info = entry.name.partition(":2,")
                    key = (entry.inode(), base)
                    mid = self.known.get(key)
                    if mid is None:
                        with open(entry.path, "rb") as f:
                            mid = message_id(f.read(HEADER_MAX))
                    known[key] = mid
                    # A second copy must not hide behind the first.
                    at = (folder, mid)
                    while at in out:
                        at = (folder, at[1] + "+")
                    out[at] = frozenset(LETTERS[c] for c in info if c in LETTERS)
                    self.files[at] = entry.path
        self.known = known
        return out

    def change(self, flag, gone, new):
        for mid in flag:
            path = self.files[("INBOX", mid)]
            base, _, info = path.partition(":2,")
            top, name = os.path.split(os.path.dirname(path))[0], os.path.basename(base)
            os.rename(path, os.path.join(top, "cur", "%s:2,%s" % (
                name, "".join(sorted(set(info + "F"))))))
        for mid in gone:
            os.unlink(self.files[("INBOX", mid)])
        top = next(top for folder, top in self.boxes() if folder == "INBOX")
        for n, data in enumerate(new):
            name = "%d.M%dP%d.bench" % (time.time(), time.monotonic_ns() + n, os.getpid())
            with open(os.path.join(top, "tmp", name), "wb") as f:
                f.write(data)
            os.rename(os.path.join(top, "tmp", name), os.path.join(top, "new", name))
