"""Gmail, as a scripted server: labels that are folders of one message, deletions that take one label away, uploads that are merged, folders that show messages of others."""

import collections
import json
import os
import re

import pytest

import gmailpeer
import haul
from disturb import steps
from gmailpeer import ALL, DRAFTS, IMPORTANT, SENT, SPAM, STARRED, TRASH, Gmail
from hostile import clean, forget_pauses
from imappeer import Hangup, Refused
from test_hostile_imap import Job
from twoway import actions, counts

TRASHES = {"no trash": "", "trash": 'trash = "@trash"'}


def letter(i, mid=True):
    return (("Message-ID: <%d@example.org>\n" % i if mid else "") + "From: x@example.org\nSubject: letter %d\n\ntext %d\n" % (i, i)).encode()


A, B, C, D, E, N, M = (letter(i) for i in range(1, 8))


def start(directory, job="", kind=Gmail, **more):
    """Both sides agreed: A in the inbox and under Work, B in the inbox, C under Work, D in the archive, E under Home and Work."""
    srv = kind(["Home", "Work"])
    for name, value in more.items():
        setattr(srv, name, value)
    srv.put(A, "INBOX", "Work")
    srv.put(B, "INBOX")
    srv.put(C, "Work")
    srv.put(D)
    srv.put(E, "Home", "Work")
    h = Job(directory, srv, job=job)
    h.settle()
    h.same()
    return srv, h


def settled(h, runs=3):
    """After so many runs without an error at most there is nothing to do, and both sides are the same."""
    for _ in range(runs + 1):
        r = clean(h.run("both"))
        assert r.code == 0 and r.of("error") == [] and r.of("warning") == [], r
        if not actions(r):
            break
    assert actions(r) == []
    h.same()


def here(h, body):
    """{folder: how many of it there are}"""
    return {f: n for f, n in ((f, [b for b, _ in rows].count(body)) for f, rows in h.local.state().items()) if n}


def only_error(r):
    assert len(r.of("error")) == 1, r
    return r.of("error")[0]


# What the server holds comes here, and goes there

def test_labels_are_pulled_and_then_nothing_is_done(tmp_path):
    srv, h = start(tmp_path)
    with srv:
        assert here(h, A) == {"INBOX": 1, "Work": 1} and here(h, E) == {"Home": 1, "Work": 1} and here(h, D) == {}
        assert not {ALL, STARRED, IMPORTANT} & h.local.folders() and {SENT, DRAFTS, SPAM, TRASH} < h.local.folders()
        given, before = srv.bodies_given(), len(srv.lines())
        assert given == {A: 1, B: 1, C: 1, E: 1}
        assert os.path.samefile(h.local.find("INBOX", A), h.local.find("Work", A)) and os.path.samefile(h.local.find("Home", E), h.local.find("Work", E))
        h.quiet()
        assert not [line for line in srv.lines()[before:] if re.match("SELECT|EXAMINE|UID", line)]
        assert srv.bodies_given() == given


def test_new_mail_and_labels_that_come_and_go(tmp_path):
    srv, h = start(tmp_path)
    with srv:
        srv.put(N, "INBOX", "Home", flags="")
        srv.tag(C, "INBOX")
        srv.untag(A, "INBOX")
        srv.untag(E, "Home")
        srv.untag(E, "Work")
        r = h.sync()
        assert counts(r) == {"pulled": 3, "deleted": 3}, r
        assert here(h, N) == {"INBOX": 1, "Home": 1} and here(h, C) == {"INBOX": 1, "Work": 1} and here(h, A) == {"Work": 1} and here(h, E) == {}
        settled(h)
        assert srv.labels(E) == [] and srv.is_kept(E)


def test_a_label_more_for_what_was_edited_here(tmp_path):
    """To the same length: what comes under the other label is the message, and what was edited stays as it is."""
    srv, h = start(tmp_path)
    with srv:
        edited = B.replace(b"text", b"TEXT")
        path = h.local.find("INBOX", B)
        with open(path, "r+b") as f:
            f.write(edited)
        srv.tag(B, "Home")
        assert counts(h.sync()) == {"pulled": 1}
        assert here(h, B) == {"Home": 1} and here(h, edited) == {"INBOX": 1} and srv.bodies_given()[B] == 2
        h.quiet()


class AllTheSame(Gmail):
    """Its names of messages are none."""
    def more_items(self, link, m):
        return {**super().more_items(link, m), "X-GM-MSGID": "7"}


@pytest.mark.parametrize("mid", [True, False], ids=["Message-ID", "no Message-ID"])
def test_a_name_that_is_none(tmp_path, mid):
    """Of two of one length, which arrived in the same second, each comes as itself."""
    first, second, third = (letter(i, mid) for i in range(1, 4))
    with AllTheSame(["Home", "Work"]) as srv:
        srv.put(first, "INBOX", date=1600000000)
        srv.put(second, "Work", date=1600000000)
        h = Job(tmp_path, srv)
        h.settle()
        h.same()
        srv.put(third, "Home", date=1600000000)
        settled(h)
        assert here(h, first) == {"INBOX": 1} and here(h, second) == {"Work": 1} and here(h, third) == {"Home": 1}


def test_mail_that_is_moved_there(tmp_path):
    """From label to label, to the trash, and out of it."""
    srv, h = start(tmp_path)
    with srv:
        srv.tag(B, "Home")
        srv.untag(B, "INBOX")
        srv.tag(E, TRASH)
        settled(h)
        assert here(h, B) == {"Home": 1} and here(h, E) == {TRASH: 1}
        srv.tag(E, "INBOX")
        settled(h)
        assert here(h, E) == {"INBOX": 1}


def test_flags_are_of_the_message(tmp_path):
    srv, h = start(tmp_path)
    with srv:
        srv.mark(A, "FS")
        assert counts(h.sync()) == {"flagged": 2}
        settled(h)
        h.local.flag("Work", A, "RS")
        h.local.flag("INBOX", B, "")
        r = h.sync()
        assert sorted(actions(r)) == [("flags", "remote")] * 2, r
        settled(h)
        assert [f for rows in h.local.state().values() for b, f in rows if b == A] == ["RS", "RS"]
        assert srv.state()["INBOX"] == sorted([(A, "RS"), (B, "")])


def test_different_flags_under_two_labels(tmp_path):
    srv, h = start(tmp_path)
    with srv:
        h.local.flag("Work", E, "RS")
        h.local.flag("Home", E, "FS")
        settled(h)
        assert srv.state()["Home"] == [(E, "FRS")]


# Deletions here

EXPUNGES = pytest.mark.parametrize("auto", [True, False], ids=["auto-expunge", "expunge"])
MOVES = pytest.mark.parametrize("less", [(), ("MOVE",)], ids=["MOVE", "no MOVE"])


@EXPUNGES
@MOVES
@pytest.mark.parametrize("trash", TRASHES)
def test_a_deletion_takes_one_label_away(tmp_path, trash, less, auto):
    srv, h = start(tmp_path, TRASHES[trash], less=set(less), auto_expunge=auto)
    with srv:
        before = len(srv.lines())
        h.local.delete("INBOX", A)
        h.local.delete("INBOX", B)
        h.local.delete("Home", E)
        assert counts(h.sync()) == {"deleted": 3}
        assert len([line for line in srv.lines()[before:] if "X-GM-LABELS" in line]) == (2 if trash == "trash" else 0)
        settled(h)
        assert srv.labels(A) == ["Work"] and srv.is_kept(A) and here(h, A) == {"Work": 1}
        assert srv.labels(E) == ["Work"] and srv.is_kept(E)
        assert srv.labels(B) == ([TRASH] if trash == "trash" else []) and srv.is_kept(B) == (trash != "trash")
        assert here(h, B) == ({TRASH: 1} if trash == "trash" else {})


@pytest.mark.parametrize("last", ["archive", "trash", "delete"])
@pytest.mark.parametrize("trash", TRASHES)
def test_a_deletion_under_the_last_label(tmp_path, trash, last):
    """In one run or in two; without a trash the server has its own settings for it."""
    srv, h = start(tmp_path, TRASHES[trash], last=last)
    with srv:
        h.local.delete("INBOX", A)
        h.local.delete("Work", A)
        h.local.delete("Work", E)
        settled(h)
        h.local.delete("Home", E)
        settled(h)
        want = [TRASH] if trash == "trash" or last == "trash" else [] if last == "archive" else None
        assert srv.labels(A) == srv.labels(E) == want


STRANGE = "Gr\xfc\xdfe & \\ \"x\"/\u65e5\u672c"
KEEPS = [
    ("INBOX", [STARRED], True), ("INBOX", [IMPORTANT], True), ("INBOX", [STARRED, IMPORTANT], True), ("INBOX", [SENT], False), ("INBOX", [DRAFTS], False), (SENT, [], True),
    (SENT, ["INBOX"], False), (SENT, ["Home", STARRED], False), (DRAFTS, [], True), (DRAFTS, [SENT], False), ("Home", [STARRED], True), ("Home", ["INBOX"], False),
    (STRANGE, [], True), ("Home", [STRANGE], False), (SPAM, [], True), (TRASH, [], None)]


@pytest.mark.parametrize("own", [False, True], ids=["others", "own label too"])
@pytest.mark.parametrize("where,others,trashed,less,utf7", [(*row, (), False) for row in KEEPS] + [
    (*row, *more) for more in (((), True), (("UTF8=ACCEPT",), True)) for row in KEEPS if STRANGE in (row[0], *row[1])])
def test_what_keeps_a_message_out_of_the_trash(tmp_path, where, others, trashed, less, utf7, own):
    with Gmail(["Home", STRANGE]) as srv:
        srv.tells_own_label, srv.less, srv.utf7_labels, srv.earlier = own, set(less), utf7, ["INBOX", "Home"]
        srv.put(N, where, *others)
        srv.put(M, where)
        h = Job(tmp_path, srv, job=TRASHES["trash"] + "\nmax-delete = none")
        h.settle()
        h.local.delete(where, N)
        settled(h)
        assert srv.labels(N) == ([TRASH] if trashed else None if trashed is None else sorted(others))
        assert srv.labels(M) == [where]


class AsLiterals(Gmail):
    def label_word(self, name):
        word = (gmailpeer.SYSTEM.get(name) or self.wire(name)).encode()
        return b"{%d}\r\n%s" % (len(word), word)


class AsAtoms(Gmail):
    def label_word(self, name):
        return (gmailpeer.SYSTEM.get(name) or self.wire(name)).encode()


class Nil(Gmail):
    """NIL for no labels."""
    def label_words(self, link, m):
        words = super().label_words(link, m)
        return b"NIL" if words == b"()" else words


class Thousands(Gmail):
    """Views in thousands, and what else there is behind them."""
    def label_words(self, link, m):
        return b"(" + b'"\\\\Important" {8}\r\n\\Starred ' * 5000 + super().label_words(link, m)[1:]


class Empty(Gmail):
    """Labels without a name are none."""
    def label_words(self, link, m):
        return b'("" {0}\r\n ' + super().label_words(link, m)[1:]


class Twice(Gmail):
    """Told twice; the first time, as if there were no labels."""
    def fetch_row(self, link, m, items):
        if "X-GM-LABELS" in items:
            link.star("%d FETCH (X-GM-LABELS () UID %d)" % (self.seq(link, m), m.uid))
        super().fetch_row(link, m, items)


class Unasked(Gmail):
    """News of flags, and labels of a message that nobody asked for, in between."""
    def fetch_row(self, link, m, items):
        if "X-GM-LABELS" in items:
            link.star("%d FETCH (FLAGS (\\Seen) UID %d)" % (self.seq(link, m), m.uid))
            link.star("%d FETCH (UID 4000000000 X-GM-LABELS ())" % self.seq(link, m))
        super().fetch_row(link, m, items)


@pytest.mark.parametrize("kind", [AsLiterals, AsAtoms, Nil, Thousands, Empty, Twice, Unasked])
def test_labels_as_they_come(tmp_path, kind):
    srv, h = start(tmp_path, TRASHES["trash"], kind=kind)
    with srv:
        for folder, body in ("INBOX", A), ("INBOX", B), ("Home", E):
            h.local.delete(folder, body)
        settled(h)
        assert (srv.labels(A), srv.labels(E)) == (["Work"], ["Work"])
        assert srv.labels(B) == [TRASH]


class Refuses(Gmail):
    def uid_fetch(self, link, tag, args):
        if "X-GM-LABELS" in map(str, args[1]):
            raise Refused("BAD Could not parse command")
        super().uid_fetch(link, tag, args)


class Silent(Gmail):
    """OK, and no labels."""
    def label_words(self, link, m):
        return b"() X-GM-LABELZ ()"

    def fetch_row(self, link, m, items):
        if "X-GM-LABELS" not in items:
            super().fetch_row(link, m, items)


@pytest.mark.parametrize("kind", [Refuses, Silent])
def test_labels_that_are_not_told(tmp_path, kind):
    """Where nobody knows, a message is taken from no other label, nor lost: it is in the archive."""
    srv, h = start(tmp_path, TRASHES["trash"], kind=kind)
    with srv:
        h.local.delete("INBOX", A)
        h.local.delete("INBOX", B)
        settled(h)
        assert srv.labels(A) == ["Work"] and srv.labels(B) == [] and srv.is_kept(B)


class CutAtLabels(Gmail):
    def fetch_row(self, link, m, items):
        if "X-GM-LABELS" in items:
            link.send(b"* 1 FETCH (UID 1 X-GM-LABELS (\"Wo")
            raise Hangup
        super().fetch_row(link, m, items)


class NonsenseLabels(Gmail):
    def label_words(self, link, m):
        return b'(("Work"))'


@pytest.mark.parametrize("kind", [CutAtLabels, NonsenseLabels])
def test_broken_off_at_the_labels(tmp_path, kind):
    srv, h = start(tmp_path, TRASHES["trash"], kind=kind)
    with srv:
        h.local.delete("INBOX", A)
        h.local.delete("INBOX", B)
        assert clean(h.run("both")).code in (75, 76)
        assert srv.labels(A) == ["INBOX", "Work"] and srv.labels(B) == ["INBOX"]
        srv.behave()
        forget_pauses(h)
        settled(h)
        assert srv.labels(A) == ["Work"] and srv.labels(B) == [TRASH]


def test_many_are_asked_about_in_few_commands(tmp_path):
    """Every other message has a second label."""
    with Gmail(["Home", "Work"]) as srv:
        bodies = [letter(i, False) for i in range(1600)]
        srv.folders["Home"].uidnext = 4000000000
        for i, body in enumerate(bodies):
            srv.put(body, "Home", *(["Work"] if i % 4 == 0 else []))
        h = Job(tmp_path, srv, job=TRASHES["trash"] + "\nmax-delete = none\nfolders = { Home, @trash }")
        h.sync()
        for path in haul.maildir_files(h.local.box("Home")):
            with open(path, "rb") as f:
                if int(f.read().split()[-1]) % 2 == 0:
                    os.unlink(path)
        before = len(srv.lines())
        h.sync()
        asked = [line for line in srv.lines()[before:] if "X-GM-LABELS" in line]
        assert len(asked) == 2 and max(map(len, asked)) < 8192
        assert collections.Counter(str(srv.labels(b)) for b in bodies) == {"['Home']": 800, "['Work']": 400, str([TRASH]): 400}


# Moves here

def test_moves_here(tmp_path):
    srv, h = start(tmp_path)
    with srv:
        h.local.move("INBOX", A, "Home")
        h.local.move("Work", C, "INBOX")
        h.local.move("INBOX", B, TRASH)
        h.local.move("Home", E, SENT)
        given = srv.bodies_given()
        assert counts(h.sync()) == {"moved": 4}
        settled(h)
        assert srv.bodies_given() == given
        assert (srv.labels(A), srv.labels(B), srv.labels(C), srv.labels(E)) == (["Home", "Work"], [TRASH], ["INBOX"], ["Work", SENT])


def test_moved_here_to_the_trash(tmp_path):
    """Which takes it from everywhere else, there and then here."""
    srv, h = start(tmp_path)
    with srv:
        h.local.move("Home", E, TRASH)
        assert counts(h.sync()) == {"moved": 1}
        settled(h)
        assert srv.labels(E) == [TRASH] and here(h, E) == {TRASH: 1}
        h.local.move(TRASH, E, "Work")
        settled(h)
        assert srv.labels(E) == ["Work"] and here(h, E) == {"Work": 1}


def test_undo_gives_the_label_back(tmp_path):
    srv, h = start(tmp_path)
    with srv:
        srv.untag(A, "INBOX")
        srv.untag(B, "INBOX")
        h.sync()
        assert here(h, A) == {"Work": 1} and here(h, B) == {}
        r = h.call("undo", "both")
        assert r.code == 0, r
        settled(h)
        assert srv.labels(A) == ["INBOX", "Work"] and srv.labels(B) == ["INBOX"] and len(srv.mails) == 5


def lose(h):
    """A loses one of its labels, B and E are in the trash: E lost both of its labels for that."""
    h.local.delete("INBOX", A)
    h.local.delete("INBOX", B)
    h.local.delete("Home", E)
    h.local.delete("Work", E)
    r = h.sync()
    assert (r.end["deleted"], r.end["trashed"]) == (4, 4), r
    return r.end["run"]


def whole(srv, h):
    """All have the labels that they had, and each is there once."""
    settled(h)
    assert (srv.labels(A), srv.labels(B), srv.labels(E)) == (["INBOX", "Work"], ["INBOX"], ["Home", "Work"]) and len(srv.mails) == 5
    assert (here(h, A), here(h, B), here(h, E)) == ({"INBOX": 1, "Work": 1}, {"INBOX": 1}, {"Home": 1, "Work": 1})


@MOVES
@EXPUNGES
def test_undo_gives_back_what_was_taken_there(tmp_path, less, auto):
    srv, h = start(tmp_path, TRASHES["trash"], less=set(less), auto_expunge=auto)
    with srv:
        run = lose(h)
        given = srv.bodies_given()
        r = h.call("--json", "undo")
        assert r.code == 0 and r.end["restored"] == 4 and r.of("warning") == [], r
        whole(srv, h)
        assert srv.bodies_given()[A] == given[A]
        r = h.call("--json", "undo", "both", str(run))
        assert r.code == 64, r


def test_undo_gives_back_the_label_of_what_is_nowhere_else(tmp_path):
    """But in All Mail."""
    srv, h = start(tmp_path, TRASHES["trash"])
    with srv:
        run = lose(h)
        srv.untag(A, "Work")
        settled(h)
        assert here(h, A) == {}
        assert h.call("--json", "undo", "both", str(run)).end["restored"] == 4
        settled(h)
        assert srv.labels(A) == ["INBOX"] and here(h, A) == {"INBOX": 1} and len(srv.mails) == 5


def test_undo_of_what_is_in_the_trash_meanwhile(tmp_path):
    srv, h = start(tmp_path, TRASHES["trash"])
    with srv:
        run = lose(h)
        srv.tag(A, TRASH)
        r = h.call("--json", "undo")
        assert r.end["restored"] == 3 and "1 message that run %d took from one folder of several at the server is not there any more" % run in r.of("warning")[0]["text"], r
        settled(h)
        assert srv.labels(A) == [TRASH]


def test_undo_without_all_mail(tmp_path):
    """The server can be told not to show it: then the person is, and the rest comes later."""
    srv, h = start(tmp_path, TRASHES["trash"])
    with srv:
        lose(h)
        shown, srv.folders[ALL].attrs = srv.folders[ALL].attrs, ["\\Noselect"]
        r = h.call("--json", "undo")
        assert r.code == 1 and r.end["restored"] == 2, r
        assert re.search("2 messages that run .* in others there still, and can't be copied back: the server shows no folder of all messages.*let All Mail be shown", only_error(r)["text"])
        assert srv.labels(A) == ["Work"] and srv.labels(B) == ["INBOX"] and srv.labels(E) == ["Work"]
        srv.folders[ALL].attrs = shown
        assert h.call("--json", "undo").end["restored"] == 2
        whole(srv, h)


@pytest.mark.crash
@pytest.mark.deadline(300)
def test_an_undo_of_labels_stopped_at_every_step(tmp_path):
    for step in steps():
        srv, h = start(tmp_path / str(step), TRASHES["trash"])
        with srv:
            lose(h)
            code = h.call("undo", env={"MAILHAUL_STOP_AT": str(step)}).code
            assert code in (0, 100), step
            for _ in range(2):
                r = h.call("--json", "undo")
                assert r.code in (0, 64) and r.of("warning") == [], (step, r)
            whole(srv, h)
        if code != 100:
            break
    assert step > 12


def test_moved_here_to_where_it_is_already(tmp_path):
    """Two of it here are one there. The one that is too many is told, and stays; nothing is lost when it goes."""
    srv, h = start(tmp_path)
    with srv:
        h.local.move("INBOX", A, "Work")
        told = []
        for _ in range(4):
            r = clean(h.run("both"))
            told += r.of("error")
        assert actions(r) == [] and r.of("error") == [] and r.code == 0
        assert len(told) == 1 and "one copy" in told[0]["text"]
        assert srv.labels(A) == ["Work"] and here(h, A) == {"Work": 2}
        h.local.delete_one("Work", A)
        settled(h)
        assert srv.labels(A) == ["Work"] and here(h, A) == {"Work": 1}


# Uploads that are merged

def test_uploaded_under_another_label(tmp_path):
    srv, h = start(tmp_path)
    with srv:
        h.local.copy("INBOX", B, "Home")
        h.local.deliver(D, "Work", flags="S")
        h.local.deliver(N, "INBOX", flags="S")
        h.local.deliver(N, "Home", flags="S")
        r = h.sync()
        assert counts(r) == {"pushed": 4}, r
        settled(h)
        assert (srv.labels(B), srv.labels(D), srv.labels(N)) == (["Home", "INBOX"], ["Work"], ["Home", "INBOX"])
        assert len(srv.mails) == 6


def second_copy(h, how, mid):
    """Has the local side two of one message, and one known, or none: its bytes, and the folder."""
    if how == "of one that is known":
        h.local.copy("INBOX", B, "INBOX")
        return B
    body = letter(50, mid)
    h.local.deliver(body, "INBOX", flags="S")
    h.local.deliver(body, "INBOX", flags="S")
    return body


@pytest.mark.parametrize("ghosts", [False, True], ids=["merged", "ghost"])
@pytest.mark.parametrize("mid", [True, False], ids=["Message-ID", "no Message-ID"])
@pytest.mark.parametrize("how", ["of one that is known", "both new"])
@pytest.mark.parametrize("goes", [0, 1])
def test_a_second_copy_under_the_same_label(tmp_path, how, mid, ghosts, goes):
    srv, h = start(tmp_path, ghosts=ghosts)
    with srv:
        body = second_copy(h, how, mid)
        r = clean(h.run("both"))
        assert r.code == 1 and re.search("already" if ghosts else "keeps one copy", only_error(r)["text"]), r
        assert r.end["pushed"] == (how == "both new") and r.end["failed"] == 1
        before = len(srv.lines())
        h.quiet()
        h.quiet()
        assert [line for line in srv.lines()[before:] if line.startswith("APPEND")] == []
        assert srv.labels(body) == ["INBOX"] and here(h, body) == {"INBOX": 2} and len(srv.mails) == (5 if body == B else 6)
        # later it is tried again, and the pause gets longer
        forget_pauses(h)
        r = clean(h.run("both"))
        assert r.code == 1 and actions(r) == [] and re.search("already" if ghosts else "keeps one copy", only_error(r)["text"]), r
        h.quiet()
        assert srv.labels(body) == ["INBOX"] and here(h, body) == {"INBOX": 2}
        # whichever of both goes, the message stays
        h.local.delete_one("INBOX", body, goes)
        settled(h)
        assert srv.labels(body) == ["INBOX"] and here(h, body) == {"INBOX": 1}
        h.local.delete("INBOX", body)
        settled(h)
        assert srv.labels(body) == [] and here(h, body) == {}


def test_many_second_copies(tmp_path):
    """All in one group, with others that are new."""
    srv, h = start(tmp_path)
    with srv:
        bodies = [letter(i, i % 2) for i in range(100, 150)]
        for i, body in enumerate(bodies):
            for _ in range(1 + (i % 3 == 0)):
                h.local.deliver(body, "Work", flags="S")
        r = clean(h.run("both"))
        assert r.code == 1 and r.end["pushed"] == 50 and len(r.of("error")) == 17, r
        assert all("keeps one copy" in e["text"] for e in r.of("error"))
        h.quiet()
        assert sorted(b for b, _ in srv.state()["Work"]) == sorted([A, C, E] + bodies)
        assert sum(n for b in bodies for n in here(h, b).values()) == 67


class ById(Gmail):
    """What has the Message-ID of another is taken for it."""
    def mail(self, data):
        mid = re.search(rb"(?m)^Message-ID: (.*)", data.partition(b"\n\n")[0])
        return super().mail(data) or next((m for m in self.mails if mid and b"Message-ID: " + mid.group(1) + b"\n" in m.data), None)


def test_merged_by_its_message_id(tmp_path):
    """The copy of a sent message that the server makes itself, and the mail reader's, differ: each stays where it is."""
    srv, h = start(tmp_path, kind=ById)
    with srv:
        ours = N.replace(b"text", b"as the mail reader has it")
        srv.put(N, SENT)
        h.local.deliver(ours, SENT, flags="S")
        r = clean(h.run("both"))
        assert r.code == 1 and "Message-ID" in only_error(r)["text"] and counts(r) == {"pulled": 1, "failed": 1}, r
        h.quiet()
        assert here(h, N) == here(h, ours) == {SENT: 1} and srv.labels(N) == [SENT]
        h.local.delete(SENT, ours)
        settled(h)
        assert here(h, N) == {SENT: 1}


class Meanwhile(Gmail):
    """Just before the APPEND the message arrives there by itself."""
    late = None

    def append(self, link, tag, args):
        if self.late:
            late, self.late = self.late, None
            self.put(late, "INBOX")
        super().append(link, tag, args)


def test_it_arrives_there_meanwhile(tmp_path):
    srv, h = start(tmp_path, kind=Meanwhile)
    with srv:
        srv.late = N
        h.local.deliver(N, "INBOX", flags="S")
        assert counts(h.sync()) == {"pushed": 1}
        settled(h)
        assert here(h, N) == {"INBOX": 1} and srv.labels(N) == ["INBOX"]


# Stopped at every step

def stopped(directory, prepare, job="", last=0, **more):
    """A run of a job of its own behind prepare(), stopped before one of its steps after the other (disturb.steps), until one is not, which ends with `last`: step, server, job."""
    for step in steps():
        srv, h = start(directory / str(step), job, **more)
        with srv:
            prepare(srv, h)
            code = h.call("run", env={"MAILHAUL_STOP_AT": str(step)}).code
            assert code in (100, last), step
            yield step, srv, h
        if code == last:
            return


def change(srv, h):
    """Everything at once."""
    h.local.delete("INBOX", A)
    h.local.delete("INBOX", B)
    h.local.move("Work", C, "Home")
    h.local.copy("Home", E, "INBOX")
    h.local.deliver(M, "Work", flags="S")
    h.local.deliver(M, "Home", flags="S")
    h.local.flag("Work", E, "FS")
    srv.put(N, "INBOX", "Home")
    srv.tag(D, "Work")


def ends(srv, h):
    return {"here": h.local.state(), "there": srv.state(), "labels": {m.data: srv.labels(m.data) for m in srv.mails}}


@pytest.mark.crash
@pytest.mark.deadline(300)
@pytest.mark.parametrize("trash,auto", [("no trash", True), ("trash", False)])
def test_stopped_at_every_step(tmp_path, trash, auto):
    left = []
    for step, srv, h in stopped(tmp_path, change, TRASHES[trash], auto_expunge=auto):
        settled(h)
        left.append((step, ends(srv, h)))
    last, want = left[-1]
    assert last > 25
    for step, end in left:
        assert end == want, step
    assert want["labels"] == {A: ["Work"], B: [TRASH] if trash == "trash" else [], C: ["Home"], D: ["Work"], E: ["Home", "INBOX", "Work", STARRED], M: ["Home", "Work"],
                              N: ["Home", "INBOX"]}


@pytest.mark.crash
@pytest.mark.deadline(300)
@pytest.mark.parametrize("ghosts", [False, True], ids=["merged", "ghost"])
@pytest.mark.parametrize("how", ["of one that is known", "both new"])
def test_a_second_copy_stopped_at_every_step(tmp_path, how, ghosts):
    body = B if how == "of one that is known" else letter(50)
    for step, srv, h in stopped(tmp_path, lambda _, h: second_copy(h, how, True), last=1, ghosts=ghosts):
        for _ in range(3):
            r = clean(h.run("both"))
            assert not [a for a in actions(r) if a[0] != "push"], (step, r)
        assert r.code == 0 and actions(r) == [] and r.of("error") == [], (step, r)
        assert srv.labels(body) == ["INBOX"] and here(h, body) == {"INBOX": 2}, step
        h.local.delete_one("INBOX", body)
        settled(h)
        assert srv.labels(body) == ["INBOX"], step
    assert step > 5


# Folders that show messages of others

@pytest.mark.parametrize("job,taken", [
    ("", set()),
    ('folders = { "*" }', set()),
    ('folders = { "[Gmail]/*", "INBOX" }', set()),
    ('folders = { "[Gmail]/%" }', set()),
    ('folders = { "!Work" }', set()),
    ('folders = { "*", "@all" }', {ALL}),
    ('folders = { "@all", "*" }', {ALL}),
    ('folders = { "@all", "!*", "INBOX" }', set()),
    ('folders = { "@all", "![Gmail]/*", "INBOX" }', set()),
    ('folders = { "!Work", "[Gmail]/All Mail", "@flagged" }', {ALL, STARRED}),
    ('folders = { "*", "@all", "!@all" }', set()),
    ('folder "@important" { max-age = 3650d }', {IMPORTANT}),
    ('folders = { "*" }\nfolder "[Gmail]/All Mail" { max-size = 1M }', {ALL}),
    ('folders = { "INBOX" }\nfolder "[Gmail]/All Mail" { max-size = 1M }', set()),
])
def test_views_are_taken_where_they_are_named(tmp_path, job, taken):
    with Gmail() as srv:
        srv.put(D, flags="FS")
        h = Job(tmp_path, srv, job=job)
        h.settle()
        assert h.local.folders() & set(gmailpeer.VIEWS) == taken
        shown = {row["folder"]: row for row in map(json.loads, h.call("--json", "list", "both").out.splitlines())}
        assert {name for name in gmailpeer.VIEWS if not shown[name]["left_out"]} == taken
        for line in h.call("list", "both").out.splitlines():
            name = line.strip().partition(" [")[0]
            assert ("shows messages of other folders" in line) == (name in set(gmailpeer.VIEWS) - taken), line


@pytest.mark.parametrize("trash", TRASHES)
def test_all_mail_by_choice(tmp_path, trash):
    srv = Gmail(["Home", "Work"])
    with srv:
        srv.put(A, "INBOX", "Work")
        srv.put(D)
        h = Job(tmp_path, srv, job='folder "@all" { local = "Archive" }\n' + TRASHES[trash])
        h.settle()
        assert here(h, A) == {"INBOX": 1, "Work": 1, "Archive": 1} and here(h, D) == {"Archive": 1}
        # a label less, and it stays here as well as there
        h.local.delete("INBOX", A)
        h.settle()
        assert here(h, A) == {"Work": 1, "Archive": 1} and srv.labels(A) == ["Work"]
        # a new one comes to the archive by itself
        h.local.deliver(N, "INBOX", flags="S")
        for _ in range(2):
            h.sync()
        h.quiet()
        assert here(h, N) == {"INBOX": 1, "Archive": 1} and len(srv.mails) == 3
        # and from the archive it goes to the trash, or not at all
        h.local.delete("Archive", D)
        for _ in range(3):
            h.sync()
        h.quiet()
        assert (srv.labels(D), here(h, D)) == (([TRASH], {TRASH: 1}) if trash == "trash" else ([], {"Archive": 1}))
        # what is under a label, too, comes back
        h.local.delete("Archive", A)
        for _ in range(3):
            h.sync()
        h.quiet()
        assert srv.labels(A) == ["Work"] and here(h, A) == {"Work": 1, "Archive": 1}


def test_what_info_says(tmp_path):
    with Gmail() as srv:
        h = Job(tmp_path, srv)
        assert "yes X-GM-EXT-1" in h.call("info", "work").out
