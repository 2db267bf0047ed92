"""The program under test, from outside: a scratch home with a configuration, runs of it, and what lies in the stores."""

import collections
import json
import mailbox
import os
import re
import subprocess

MAILHAUL = os.environ.get("MAILHAUL", "./mailhaul")
RUN_SECONDS = 60


def built(name):
    """The path of a program that was built beside mailhaul."""
    return os.path.join(os.environ.get("MAILHAUL_BUILDDIR", "."), name)


def quoted(path):
    """A text as a string of the configuration file."""
    return '"%s"' % str(path).replace("\\", "\\\\").replace('"', '\\"')


def maildir_files(path):
    """Paths of all messages that a reader of the Maildir sees."""
    found = []
    for sub in ("new", "cur"):
        where = os.path.join(path, sub)
        if os.path.isdir(where):
            found += [os.path.join(where, n) for n in sorted(os.listdir(where))]
    return found


def maildir_messages(path):
    """The messages of a Maildir, as bytes."""
    out = []
    for name in maildir_files(path):
        with open(name, "rb") as f:
            out.append(f.read())
    return out


def mbox_messages(path):
    """The messages of an mbox as Python's reader of the field sees them, mboxrd quoting taken back."""
    if not os.path.exists(path):
        return []
    box = mailbox.mbox(path, create=False)
    try:
        return [re.sub(rb"(?m)^>(>*From )", rb"\1", box.get_bytes(key)) for key in box.keys()]
    finally:
        box.close()


class Result:
    """What a run left: exit code, stdout, stderr, and its events if it was asked for JSON."""

    def __init__(self, done):
        self.code = done.returncode
        self.out = done.stdout.decode("utf-8", "replace")
        self.err = done.stderr.decode("utf-8", "replace")

    @property
    def events(self):
        return [json.loads(line) for line in self.out.splitlines() if line.startswith("{")]

    def of(self, kind):
        return [e for e in self.events if e["event"] == kind]

    @property
    def end(self):
        ends = self.of("end")
        assert len(ends) == 1, self
        return ends[0]

    def __repr__(self):
        return "exit %d\n--- stdout\n%s\n--- stderr\n%s" % (self.code, self.out, self.err)


class Haul:
    """A scratch directory with a configuration for one account "isp" and one fetch job "isp"."""

    def __init__(self, directory, port, ca_file=None, user="anna", password="secret", scheme="pop3s", host="127.0.0.1", to="maildir", account="", fetch="",
                 extra=""):
        self.dir = str(directory)
        os.makedirs(self.dir, exist_ok=True)
        self.conf = os.path.join(self.dir, "mailhaul.conf")
        self.state = os.path.join(self.dir, "state")
        self.secret = os.path.join(self.dir, "secret")
        self.maildir = os.path.join(self.dir, "Mail")
        self.mbox = os.path.join(self.dir, "inbox.mbox")
        self.to = to
        self.write_private(self.secret, password + "\n")
        target = {"maildir": "maildir:" + self.maildir, "mbox": "mbox:" + self.mbox}.get(to, to)
        lines = ["account isp {", "\turl = %s" % quoted("%s://%s@%s:%d" % (scheme, user, host, port)), "\tpassword-file = %s" % quoted(self.secret)]
        if ca_file:
            lines.append("\tca-file = %s" % quoted(ca_file))
        lines += ["\t" + account, "}", "fetch isp {", "\tfrom = isp", "\tto = %s" % quoted(target), "\t" + fetch, "}", extra, ""]
        self.write_private(self.conf, "\n".join(lines))

    @property
    def db(self):
        """The job's state."""
        return os.path.join(self.state, "isp.db")

    @staticmethod
    def write_private(path, text):
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(fd, "w", encoding="utf-8") as f:
            f.write(text)

    def reconfigure(self, old, new):
        """Change a text of the configuration; it must be there."""
        with open(self.conf, encoding="utf-8") as f:
            text = f.read()
        assert old in text
        self.write_private(self.conf, text.replace(old, new))

    def command(self, *args):
        return [MAILHAUL, "-c", self.conf, "--state-dir", self.state, *args]

    def environment(self, **more):
        env = {k: v for k, v in os.environ.items() if not k.startswith("XDG_")}
        env["HOME"] = self.dir
        env["MAILHAUL_SPREAD"] = "0"
        env.update(more)
        return env

    def start(self, *args, prefix=(), env=None):
        """The program, running."""
        return subprocess.Popen([*prefix, *self.command(*args)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                env=self.environment(**(env or {})))

    def call(self, *args, prefix=(), env=None, seconds=RUN_SECONDS):
        """Run the program to its end, which must come in time."""
        return Result(subprocess.run([*prefix, *self.command(*args)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                     env=self.environment(**(env or {})), timeout=seconds, check=False))

    def run(self, *args, **more):
        """`mailhaul run` with JSON events."""
        return self.call("--json", "run", *args, **more)

    def messages(self):
        """What was delivered, as bytes with LF."""
        return mbox_messages(self.mbox) if self.to == "mbox" else maildir_messages(self.maildir)

    def delivered(self):
        return collections.Counter(self.messages())

    def leftovers(self):
        """Files that no reader sees: there must be none after a good run."""
        found = []
        tmp = os.path.join(self.maildir, "tmp")
        if os.path.isdir(tmp):
            found += [os.path.join(tmp, n) for n in os.listdir(tmp)]
        found += [os.path.join(self.dir, n) for n in os.listdir(self.dir) if n.startswith("inbox.mbox.")]
        return found
