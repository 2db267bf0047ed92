"""In a first contact INBOX is looked at in the flight of the list of folders: what that spares, and servers that make nothing of it."""

import os
import re
import time

import pytest

from hostile import clean
from imappeer import Folder, Hangup, Peer, Refused, text
from test_hostile_imap import Job

LETTERS = [b"Message-ID: <%d@example.org>\nSubject: letter %d\n\ntext %d\n" % (i, i, i) for i in range(5)]


def talk(p, *args):
    """What a run says and hears, without the answers' text: ("> ", "SELECT") and so on."""
    r = p.call("-vv", "run", *args, "both")
    assert r.code == 0, r
    return re.findall(r"^both: ([<>]) A\d+ ((?:UID )?[A-Z]+)", r.err, re.M), r


def settled(side):
    """A tree that was changed just now is read twice, while the server is asked already."""
    newest = max(os.stat(d).st_ctime for d, _, _ in os.walk(side.path))
    while time.time() < newest + 0.2:
        time.sleep(0.01)


def is_in_flight(sent):
    """Did the look leave before LIST was answered, and once?"""
    looks = [i for i, (way, verb) in enumerate(sent) if way == ">" and verb in ("SELECT", "EXAMINE")]
    at = sent.index((">", "LIST"))
    heard = next(i for i in range(at, len(sent)) if sent[i][0] == "<")
    return len(looks) == 1 and sent[looks[0] + 1] == (">", "UID FETCH") and at < looks[0] < heard


@pytest.mark.parametrize("here,there", [(0, 3), (3, 0), (3, 3), (0, 0)])
@pytest.mark.parametrize("args", [[], ["--dry-run"]])
def test_inbox_comes_with_the_list(far, here, there, args):
    for i in range(there):
        far.remote.deliver(LETTERS[i], flags="S")
    if here:
        far.local.make("INBOX")
    for i in range(here):
        far.local.deliver(LETTERS[i], flags="S")
    sent, r = talk(far, *args)
    if there and not args and not here:
        assert sent.count((">", "UID FETCH")) == 2, r       # and the bodies
    assert (">", "EXAMINE" if args else "SELECT") in sent
    asks = re.search(r"> A\d+ UID FETCH 1:\* .*", r.err)
    assert asks and ("MESSAGE-ID" in asks.group().upper()) == (here > 0), r
    if not (here and there):
        assert is_in_flight(sent), r
    if args:
        assert far.call("run", "both").code == 0
    far.same()
    assert len(far.remote.bodies("INBOX")) == max(here, there)
    far.settle()


def test_recognized(far):
    """A state that was lost, and keywords, other flags and other mail on both sides since."""
    for i in range(4):
        far.remote.deliver(LETTERS[i], flags="S")
    far.settle()
    far.forget()
    far.local.flag("INBOX", LETTERS[0], "FS")
    far.local.deliver(b"Message-ID: <here@example.org>\n\nhere\n", flags="S")
    far.remote.deliver(b"Message-ID: <there@example.org>\n\nthere\n", flags="S")
    sent, r = talk(far)
    assert sent[sent.index((">", "LIST")) + 1] == (">", "SELECT"), r
    assert len(re.findall(r"> A\d+ UID FETCH [\d,:]+ .*BODY\.PEEK\[\]", r.err)) == 1, r
    far.same()
    assert len(far.local.bodies("INBOX")) == 6


@pytest.mark.parametrize("job", ["folders = Work", "folders = *, !INBOX", "folders = @sent"])
def test_an_inbox_that_is_not_the_jobs(far, job):
    far.remote.deliver(LETTERS[0], flags="S")
    far.remote.make("Work")
    far.configure(job)
    r = far.call("-vv", "run", "both")
    assert not re.search(r"> A\d+ (SELECT|EXAMINE) \"?INBOX", r.err), r


# Scripted servers

class Mixing(Peer):
    """Begins with the second command before the first is done."""

    depth = 0

    def list(self, link, tag, args):
        if self.folders["INBOX"].messages and b"SELECT" in link.buf:
            self.obey(link, *self.command(link))
        super().list(link, tag, args)


class MixingData(Peer):
    """Its data alone come early, those of `early`."""

    early = ""

    def list(self, link, tag, args):
        link.mixed = b"SELECT" in link.buf
        for row in self.select_lines(link, self.inbox()) if link.mixed else []:
            if self.early in row:
                link.star(row)
        super().list(link, tag, args)

    def select(self, link, tag, args):
        link.late = link.mixed
        super().select(link, tag, args)

    def select_lines(self, link, folder):
        rows = super().select_lines(link, folder)
        return [row for row in rows if self.early not in row] if getattr(link, "late", False) else rows


class MixingFlags(MixingData):
    early = "PERMANENTFLAGS"


class MixingExists(MixingData):
    early = "EXISTS"


class Closing(Peer):
    """Can't bear anything behind LIST."""

    def list(self, link, tag, args):
        if b"SELECT" in link.buf:
            raise Hangup
        super().list(link, tag, args)


class Leaving(Peer):
    """LIST says nothing of some folders."""

    def status_row(self, link, folder, items):
        if folder.name == "Work" and link.listing:
            return
        super().status_row(link, folder, items)

    def list(self, link, tag, args):
        link.listing = True
        super().list(link, tag, args)
        link.listing = False


class NoStatus(Peer):
    less = {"LIST-STATUS"}


class NoInbox(Peer):
    """Lists it, and lets nobody in."""

    def select(self, link, tag, args):
        if text(args[0]).upper() == "INBOX" and self.locked:
            raise Refused("NO [NOPERM] not for you")
        super().select(link, tag, args)

    locked = True


@pytest.mark.parametrize("kind,links", [(Peer, 1), (Mixing, 2), (MixingData, 2), (MixingFlags, 2), (MixingExists, 2), (Closing, 2), (Leaving, 1), (NoStatus, 1)])
@pytest.mark.parametrize("here", [False, True])
def test_a_server_that_makes_nothing_of_it(tmp_path, kind, links, here):
    """By another connection, or in another flight; and nothing is doubled."""
    with kind({"INBOX": LETTERS, "Work": LETTERS[:1]}) as srv:
        h = Job(tmp_path, srv)
        if here:
            for folder, letters in (("INBOX", LETTERS[:3]), ("Work", LETTERS[:1])):
                h.local.make(folder)
                for x in letters:
                    h.local.deliver(x, folder, flags="S")
            h.local.deliver(b"Message-ID: <x@example.org>\n\nx\n", flags="S")
            settled(h.local)
        r = clean(h.run("both"))
        assert r.code == 0 and not r.of("warning") and not r.of("error"), r
        h.same()
        assert len(h.local.bodies("INBOX")) == 5 + here
        assert len(srv.commands("LOGIN")) + len(srv.commands("AUTHENTICATE")) == links, srv.noted()
        said = srv.commands()
        behind = said[next(i for i, x in enumerate(said) if x.startswith("LIST")) + 1]
        if kind in (Peer, Leaving, NoStatus):
            assert (behind.startswith('SELECT "INBOX"')) == (kind is not NoStatus), said
            assert len(srv.commands("UID FETCH 1:*")) == (3 if kind is Leaving else 2), said


def test_an_inbox_that_is_locked(tmp_path):
    with NoInbox({"INBOX": LETTERS, "Work": LETTERS[:1]}) as srv:
        h = Job(tmp_path, srv)
        r = clean(h.run("both"))
        assert r.code != 0 and [e["folder"] for e in r.of("error")] == ["INBOX"] and "not for you" in r.of("error")[0]["text"], r
        assert h.local.bodies("Work") == LETTERS[:1]
        srv.locked = False
        h.settle()
        h.same()


class Made(Peer):
    """Another tool makes a folder and fills it, between LIST and CREATE."""

    def create(self, link, tag, args):
        name = text(args[0])
        if name not in self.folders:
            f = self.folders[name] = Folder(name, 99)
            for x in LETTERS:
                f.add(x, {"\\Seen"})
        super().create(link, tag, args)


def test_a_folder_that_is_made_meanwhile(tmp_path):
    """What is in it is looked at before anything is put there."""
    with Made({"INBOX": LETTERS}) as srv:
        h = Job(tmp_path, srv)
        h.local.make("Work")
        for x in LETTERS:
            h.local.deliver(x, "Work", flags="S")
        r = clean(h.run("both"))
        assert r.code == 1 and [e["folder"] for e in r.of("error")] == ["Work"] and "with 5 messages" in r.of("error")[0]["text"], r
        assert h.local.bodies("INBOX") and not srv.commands("APPEND")
        h.settle()
        h.same()
        assert len(h.local.bodies("Work")) == 5


@pytest.mark.parametrize("attrs", [None, ["\\Noselect"]])
def test_an_inbox_that_is_not_listed(tmp_path, attrs):
    """It is there, and full, whatever the list says."""
    class Hiding(Peer):
        def list(self, link, tag, args):
            if attrs:
                self.list_row(link, "LIST", attrs, b'"INBOX"')
            link.ok(tag)
    with Hiding({"INBOX": LETTERS}) as srv:
        h = Job(tmp_path, srv)
        h.local.make("INBOX")
        for x in LETTERS:
            h.local.deliver(x, flags="S")
        for _ in range(2):
            r = clean(h.run("both"))
            assert r.code != 0 and r.of("error") and not srv.commands("APPEND"), r
        srv.behave()
        h.settle()
        h.same()
        assert len(h.local.bodies("INBOX")) == 5


def test_a_server_that_hangs(tmp_path):
    """Whoever does not answer in time has had his time: it is not tried again at once."""
    class Mute(Peer):
        def list(self, link, tag, args):
            link.hang()
    with Mute({"INBOX": LETTERS}) as srv:
        h = Job(tmp_path, srv)
        r = clean(h.run("both"))
        assert r.code == 75 and len(srv.commands("LIST")) == 1, r
