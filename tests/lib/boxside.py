"""A tree of mbox files as a mail reader sees and changes it that shares no code with the program: as twoway.Side is for Maildirs.

It locks as others do (fcntl and a dotlock), writes a file anew in its place as mutt does, or beside it as Python's mailbox does, and keeps notes as Dovecot writes them.
"""

import contextlib
import fcntl
import os
import re
import socket
import time

HELLO = b"From: a@example.org\nSubject: hello %d\n\nbody %d\n"
KEYWORDS = {"j": "Junk", "k": "$Label1", "n": "NonJunk", "P": "$Forwarded"}
STATUS = {"S": "R"}
XSTATUS = {"R": "A", "F": "F", "D": "T", "T": "D"}
NOTES = (b"status", b"x-status", b"x-keywords", b"x-uid", b"x-imapbase", b"x-imap", b"content-length", b"lines")


class Message:
    """One record: its From_ line, the message, and the notes of it."""

    def __init__(self, from_line, text, flags="", notes=(), old=b""):
        self.from_line, self.text, self.flags, self.notes, self.old = from_line, text, flags, list(notes), old

    @staticmethod
    def read(raw):
        first, _, rest = raw.partition(b"\n")
        head, sep, body = rest.partition(b"\n\n")
        if rest.startswith(b"\n"):
            head, sep, body = b"", b"\n", rest[1:]
        kept, notes, flags, last = [], [], set(), None
        for line in head.split(b"\n"):
            last = last if line[:1] in (b" ", b"\t") else line.partition(b":")[0].strip().lower()
            if last not in NOTES:
                kept.append(line)
                continue
            value = line.partition(b":")[2].strip().decode()
            if last == b"status":
                flags |= {f for f, x in STATUS.items() if x in value}
            elif last == b"x-status":
                flags |= {f for f, x in XSTATUS.items() if x in value}
            elif last == b"x-keywords":
                words = {w.lower() for w in value.split()}
                flags |= {f for f, w in KEYWORDS.items() if w.lower() in words}
            else:
                notes.append(line)
        # notes alone are no header of the message
        text = b"\n".join(kept) + sep + body if kept or not head else body
        return Message(first, re.sub(rb"(?m)^>(>*From )", rb"\1", text), "".join(sorted(flags)), notes)

    def raw(self):
        text = re.sub(rb"(?m)^(>*From )", rb">\1", self.text if self.text.endswith(b"\n") else self.text + b"\n")
        head, sep, body = text.partition(b"\n\n") if re.match(rb"[!-9;-~]+:", text) else (b"", b"\n\n", text)
        lines = [self.from_line] + ([head] if head else []) + self.notes
        if self.flags is None and not head:
            return self.from_line + b"\n" + text + b"\n"
        if self.flags is not None:
            lines.append(("Status: %sO" % "".join(STATUS[f] for f in self.flags if f in STATUS)).encode())
            letters = "".join(XSTATUS[f] for f in self.flags if f in XSTATUS)
            if letters:
                lines.append(b"X-Status: " + letters.encode())
            words = " ".join(KEYWORDS[f] for f in self.flags if f in KEYWORDS)
            if words:
                lines.append(b"X-Keywords: " + words.encode() + b" " * 10)
        return b"\n".join(lines) + sep + body + b"\n"


@contextlib.contextmanager
def locked(path):
    """The file, open, with both locks; a dotlock whose process is no more is taken away."""
    end = time.monotonic() + 30
    while True:
        try:
            fd = os.open(path + ".lock", os.O_CREAT | os.O_EXCL | os.O_WRONLY)
            os.write(fd, b"%d" % os.getpid())
            os.close(fd)
            break
        except FileExistsError:
            assert time.monotonic() < end, path
            with contextlib.suppress(OSError, ValueError):
                with open(path + ".lock", encoding="ascii") as f:
                    pid = f.read().partition(":")[0]
                if pid and not os.path.exists("/proc/" + pid):
                    os.unlink(path + ".lock")
            time.sleep(0.003)
    try:
        with open(path, "r+b") as f:
            while True:
                try:
                    fcntl.lockf(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except OSError:
                    assert time.monotonic() < end, path
                    time.sleep(0.003)
            yield f
    finally:
        os.unlink(path + ".lock")


class BoxSide:
    """The tree. beside: files are written anew beside themselves, instead of in place."""

    beside = False

    def __init__(self, path):
        self.path = str(path)
        self.count = 0

    # -- where

    def box(self, folder):
        at = self.path
        *above, name = folder.split("/")
        for level in above:
            at = os.path.join(at, level)
            if os.path.isdir(at + ".sbd") or not os.path.isdir(at):
                at += ".sbd"
        return os.path.join(at, name)

    def make(self, folder):
        at = self.path
        *above, name = folder.split("/")
        os.makedirs(at, exist_ok=True)
        for level in above:
            at = os.path.join(at, level)
            if os.path.isfile(at) or os.path.isdir(at + ".sbd") or level == "INBOX":
                at += ".sbd"
            os.makedirs(at, exist_ok=True)
        at = os.path.join(at, name)
        if os.path.isdir(at):
            os.rename(at, at + ".sbd")
        with open(at, "ab"):
            pass

    def remove(self, folder):
        os.unlink(self.box(folder))

    def rename(self, folder, to):
        """With those below it."""
        old = self.box(folder)
        self.make(to)
        new = self.box(to)
        os.rename(old, new)
        if os.path.isdir(old + ".sbd"):
            os.rename(old + ".sbd", new + ".sbd")

    def folders(self):
        found = set()
        for top, dirs, names in os.walk(self.path):
            dirs[:] = [d for d in dirs if not d.startswith(".")]
            where = [p[:-4] if p.endswith(".sbd") else p for p in os.path.relpath(top, self.path).split(os.sep) if p != "."]
            found |= {"/".join(where + [n]) for n in names if not n.startswith(".") and not n.endswith((".lock", ".msf"))
                      and ".lock." not in n}
        return found

    # -- messages

    @staticmethod
    def parse(data):
        if not data:
            return []
        assert data.startswith(b"From "), data[:80]
        starts = [0] + [m.start() + 2 for m in re.finditer(rb"\n\nFrom ", data)]
        return [Message.read(data[a:b][:-1]) for a, b in zip(starts, starts[1:] + [len(data)])]

    def messages(self, folder):
        with locked(self.box(folder)) as f:
            return self.parse(f.read())

    @contextlib.contextmanager
    def changing(self, folder):
        """A list of its messages to be changed; then the file is written anew."""
        path = self.box(folder)
        with locked(path) as f:
            f.seek(0)
            rows = self.parse(f.read())
            yield rows
            data = b"".join(m.raw() for m in rows)
            if self.beside:
                with open("%s.%d.%s.%d" % (path, time.time(), socket.gethostname(), os.getpid()), "wb") as out:
                    out.write(data)
                os.rename(out.name, path)
            else:
                f.seek(0)
                f.write(data)
                f.truncate()

    def deliver(self, body, folder="INBOX", flags=None, age=0):
        """flags None: as a delivery agent does, who knows none."""
        if folder not in self.folders():
            self.make(folder)
        date = time.strftime("%a %b %d %H:%M:%S %Y", time.gmtime(time.time() - age))
        self.append(folder, Message(b"From someone@example.org " + date.encode(), body, flags))

    def append(self, folder, m):
        with locked(self.box(folder)) as f:
            f.seek(0, os.SEEK_END)
            f.write(m.raw())

    def fill(self, folder, n, start=0, flags="S"):
        for i in range(start, start + n):
            self.deliver(HELLO % (i, i), folder, flags)

    @staticmethod
    def one(rows, body):
        found = [m for m in rows if m.text == body]
        assert len(found) == 1, (body, [m.text for m in rows])
        return found[0]

    def delete(self, folder, body):
        with self.changing(folder) as rows:
            rows.remove(self.one(rows, body))

    def delete_one(self, folder, body, which=0):
        with self.changing(folder) as rows:
            rows.remove([m for m in rows if m.text == body][which])

    def empty(self, folder):
        with self.changing(folder) as rows:
            rows.clear()

    def copy(self, folder, body, to):
        m = self.one(self.messages(folder), body)
        if to not in self.folders():
            self.make(to)
        self.append(to, m)

    def move(self, folder, body, to, name=None):
        self.copy(folder, body, to)
        self.delete(folder, body)

    def flag(self, folder, body, flags):
        with self.changing(folder) as rows:
            self.one(rows, body).flags = "".join(sorted(flags))

    def state(self):
        return {f: sorted((m.text, m.flags or "") for m in self.messages(f)) for f in self.folders()}

    def bodies(self, folder="INBOX"):
        return sorted(m.text for m in self.messages(folder))

    def files(self):
        """What a dry run must leave alone."""
        out = {}
        for top, dirs, names in os.walk(self.path):
            for name in names:
                st = os.lstat(os.path.join(top, name))
                out[os.path.join(top, name)] = (st.st_ino, st.st_size, st.st_mtime_ns)
        return out
