"""Listeners by themselves, on a real server: what it tells, by NOTIFY or IDLE, or is asked for; and what becomes of a link that breaks."""

import imaplib
import os
import select
import subprocess
import time

import pytest

import disturb
import dovecot
import haul

LETTER = b"Subject: x\r\n\r\nhello\r\n"
JOB = ("INBOX", "Work", "Work.2026")
LIMIT = 20


class Listener:
    """tests/lib/listener, and what it says."""

    def __init__(self, *args):
        self.p = subprocess.Popen([haul.built("tests/lib/listener"), *map(str, args)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        self.rest = b""
        self.known = set()

    def line(self, seconds=LIMIT):
        """The next line; None when none comes in time, or no more."""
        end = time.monotonic() + seconds
        while b"\n" not in self.rest:
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.p.stdout], [], [], left)[0]:
                return None
            more = os.read(self.p.stdout.fileno(), 65536)
            if not more:
                return None
            self.rest += more
        line, self.rest = self.rest.split(b"\n", 1)
        return line.decode()

    def until(self, wanted, maybe=()):
        """Lines until this one; those that were wanted before may come again, and some that may come anyway."""
        self.known |= {wanted, *maybe}
        while True:
            line = self.line()
            assert line in self.known, (line, wanted)
            if line == wanted:
                return

    def tell(self, text):
        self.p.stdin.write(text.encode() + b"\n")

    def ask(self, text):
        """What is answered; hints that come before are passed over."""
        self.tell(text)
        word = text.split()[0]
        while True:
            line = self.line()
            assert line is not None, text
            if line.split()[0] in (word, "lost"):
                return line

    def stop(self):
        self.p.stdin.close()
        self.p.stdout.close()
        self.p.wait(LIMIT)


class Other:
    """Another client of the same user."""

    def __init__(self, srv, user):
        self.c = imaplib.IMAP4("127.0.0.1", srv.imap_port)
        self.c.login(user, "secret")

    def ok(self, *answer):
        assert answer[0][0] == "OK", answer

    def append(self, folder):
        self.ok(self.c.append(folder, None, None, LETTER))

    def flag(self, folder, flags):
        self.ok(self.c.select(folder))
        self.ok(self.c.store("1", "+FLAGS", flags))
        self.ok(self.c.unselect())

    def expunge(self, folder):
        self.ok(self.c.select(folder))
        self.ok(self.c.store("1:*", "+FLAGS", r"(\Deleted)"))
        self.ok(self.c.expunge())
        self.ok(self.c.unselect())


@pytest.fixture
def user(server, request):
    """A user with some folders."""
    name = "listen%d" % (abs(hash(request.node.name)) % 10 ** 8)
    server.add_user(name, "secret")
    other = Other(server, name)
    for folder in JOB[1:] + ("Other",):
        other.ok(other.c.create(folder))
    yield name, other
    other.c.logout()


@pytest.fixture
def listen(server, user):
    """Starts listeners; each has said that it is ready."""
    begun = []

    def start(idle="", disabled="", period=0, interval=0, port=None, folders=JOB):
        begun.append(Listener("imap", port or server.imaps_port, server.ca_file, user[0], "secret", period, interval, idle, disabled, *[f.replace(".", "/") for f in folders]))
        begun[-1].how = begun[-1].line()
        return begun[-1]
    yield start
    for one in begun:
        one.stop()


def stamp_of(server, user, folder):
    """As a listing would give it."""
    status = Other(server, user)
    answer = status.c.status(folder, "(UIDVALIDITY UIDNEXT MESSAGES HIGHESTMODSEQ)")[1][0].decode()
    status.c.logout()
    found = dict(zip(*[iter(answer[answer.index("(") + 1:-1].split())] * 2))
    return " ".join(found[k] for k in ("UIDVALIDITY", "UIDNEXT", "MESSAGES", "HIGHESTMODSEQ"))


def same_stamp(one, server, user, folder):
    """The listener comes to know what a listing would tell."""
    end = time.monotonic() + LIMIT
    while True:
        got = one.ask("stamp " + folder.replace(".", "/"))
        want = "stamp 1 " + stamp_of(server, user, folder)
        if got == want:
            return
        assert time.monotonic() < end, (got, want)
        one.line(0.1)


def test_notify(listen, user, server):
    """Everything in every folder, the inbox as well when others deliver there past the server."""
    name, other = user
    one = listen()
    assert one.how == "ready NOTIFY"
    for folder in ("INBOX", "Work.2026"):
        shown = folder.replace(".", "/")
        for change in (other.append, lambda f: other.flag(f, r"(\Flagged)"), other.expunge):
            change(folder)
            one.until("hint " + shown)
            same_stamp(one, server, name, folder)
    server.deliver(name, LETTER)
    one.until("hint INBOX")
    other.append("Other")           # is not synced
    other.append("Work")
    one.until("hint Work")
    assert one.ask("stamp Other") == "stamp 0 "
    assert one.ask("stamp Nowhere") == "stamp 0 "


def test_notify_folders(listen, user):
    """Folders that come and go; a new one is synced, without another connection."""
    _, other = user
    one = listen()
    other.ok(other.c.create("New"))
    one.until("hint *")
    assert one.ask("folders INBOX Work New") == "folders 0"
    assert one.ask("how") == "how NOTIFY"
    other.append("New")
    one.until("hint New", maybe=("hint *",))
    other.append("Work.2026")           # not any more
    other.append("Work")
    one.until("hint Work")
    other.ok(other.c.rename("New", "Newer"))
    one.until("hint *")
    other.ok(other.c.delete("Newer"))
    one.until("hint *")


def test_idle(listen, user, server):
    """Without NOTIFY: two folders on two connections, the rest by asking."""
    name, other = user
    one = listen(idle="INBOX,Work", disabled="NOTIFY", interval=300)
    assert one.how == "ready IDLE on INBOX, Work, STATUS of 1 folder every 0.3 s"
    for folder in JOB:
        shown = folder.replace(".", "/")
        other.append(folder)
        one.until("hint " + shown)
        other.flag(folder, r"(\Flagged)")
        one.until("hint " + shown)
        same_stamp(one, server, name, folder)
    other.ok(other.c.create("New"))
    one.until("hint *")
    assert one.ask("folders INBOX New") == "folders 0"
    assert one.ask("how") == "how IDLE on INBOX, Work, STATUS of 1 folder every 0.3 s"
    other.append("New")
    one.until("hint New")


def test_status(listen, user, server):
    """Without both: all is asked for; one without CONDSTORE tells no stamps."""
    name, other = user
    one = listen(disabled="NOTIFY,IDLE", interval=300)
    assert one.how == "ready STATUS of 3 folders every 0.3 s"
    other.append("Work")
    one.until("hint Work")
    other.append("INBOX")
    one.until("hint INBOX")
    same_stamp(one, server, name, "Work")
    poor = listen(disabled="NOTIFY,IDLE,CONDSTORE,LIST-STATUS", interval=300)
    other.append("Work")
    poor.until("hint Work")
    other.flag("Work", r"(\Seen)")
    poor.until("hint Work")
    assert poor.ask("stamp Work") == "stamp 0 "


def test_renewed(listen, user):
    """A wait that is begun anew again and again loses nothing."""
    _, other = user
    for disabled in ("", "NOTIFY"):
        one = listen(disabled=disabled, period=100)
        for _ in range(6):
            other.append("INBOX")
            one.until("hint INBOX")


def test_cut(listen, user, server):
    """A link that is cut, and a server that stops answering: told, with the reason."""
    proxy = disturb.Proxy(server.imaps_port)
    one = listen(port=proxy.port)
    assert one.how == "ready NOTIFY"
    proxy.stop()
    line = one.line()
    assert line.startswith("lost work: "), line
