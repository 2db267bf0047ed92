"""IMAP targets that will not have a message, and sources that will not give one: it is named with the reason, the others go over, and nothing is doubled by trying again."""

import os
import re

import pytest

import haul
from hostile import clean, forget_pauses
from imappeer import Hangup, Peer, Refused
from test_hostile_imap import CAPS, Job, letters, says
from twoway import actions

BAD = b"letter 105\n"   # the message that they won't have


def pushing(directory, peer, n=10, less="all", **attrs):
    """A server that behaves so, and n messages for it."""
    srv = peer({"INBOX": []})
    srv.less = CAPS[less]
    for name, value in attrs.items():
        setattr(srv, name, value)
    h = Job(directory, srv)
    for m in letters(n, 101):
        h.local.deliver(m, flags="S")
    return srv, h


def failures(h):
    """What status tells of single messages: [reason]"""
    return [f["reason"] for f in h.call("--json", "status").of("status")[0]["failures"]]


def all_but_the_bad(srv, h, n=10):
    """The others are there, each once."""
    assert sorted(srv.inbox().bodies()) == sorted(m for m in letters(n, 101) if BAD not in m)
    assert len(h.local.bodies()) == n


def in_the_end(srv, h, n=10):
    """Once the server takes it, it is there too, and nothing is there twice."""
    srv.behave()
    forget_pauses(h)
    assert clean(h.run("both")).code == 0
    h.same()
    assert len(srv.inbox().messages) == n
    assert failures(h) == []
    h.quiet()


class Drops(Peer):
    """Hangs up when it is sent that message, before or after it has read it."""

    after = True

    def literal(self, link, tag, size, plus):
        data = super().literal(link, tag, size, plus)
        if not self.after and BAD in data.replace(b"\r\n", b"\n"):
            raise Hangup
        return data

    def take_in(self, link, folder, data, flags, date):
        if self.after and BAD in data:
            raise Hangup
        return super().take_in(link, folder, data, flags, date)


@pytest.mark.parametrize("less", ["all", "no UIDPLUS", "no LITERAL+", "bare"])
@pytest.mark.parametrize("after", [False, True], ids=["half", "whole"])
def test_a_message_at_which_the_server_breaks_off(tmp_path, less, after):
    """All others are there after two runs at most, it is told, and tried again later, with pauses that grow."""
    srv, h = pushing(tmp_path, Drops, less=less, after=after)
    with srv:
        runs = [clean(h.run("both")) for _ in range(2)]
        assert runs[-1].code in (1, 75), runs
        all_but_the_bad(srv, h)
        (reason,) = failures(h)
        assert "breaks when this message is sent" in reason
        assert any("breaks when this message is sent" in e.get("text", "") for r in runs for e in r.of("error")), runs
        sent = len(srv.commands("APPEND"))
        for _ in range(3):
            clean(h.run("both"))
        pausing = clean(h.run("both"))
        assert actions(pausing) == [] and len(srv.commands("APPEND")) <= sent + 3
        in_the_end(srv, h)


class TwoDrop(Drops):
    def take_in(self, link, folder, data, flags, date):
        if b"letter 103\n" in data or b"letter 105\n" in data:
            raise Hangup
        return Peer.take_in(self, link, folder, data, flags, date)


def test_two_such_messages(tmp_path):
    srv, h = pushing(tmp_path, TwoDrop)
    with srv:
        for _ in range(3):
            clean(h.run("both"))
        assert sorted(srv.inbox().bodies()) == sorted(m for m in letters(10, 101) if not re.search(b"letter 10[35]\n", m))
        assert len(failures(h)) == 2
        in_the_end(srv, h)


class DropsOnce(Peer):
    """A link that breaks."""

    broken = False

    def take_in(self, link, folder, data, flags, date):
        if BAD in data and not self.broken:
            self.broken = True
            raise Hangup
        return super().take_in(link, folder, data, flags, date)


def test_a_link_that_breaks_once_is_no_message_s_fault(tmp_path):
    srv, h = pushing(tmp_path, DropsOnce)
    with srv:
        assert clean(h.run("both")).code in (0, 75)
        r = clean(h.run("both"))
        assert r.code == 0, r
        assert len(srv.inbox().messages) == 10 and failures(h) == []
        h.same()
        h.quiet()


class Keeps(Peer):
    """Has that message, and hangs up before it says so, each time."""

    def appended(self, link, tag, folder, uids):
        if BAD in folder.find(uids[-1]).data:
            raise Hangup
        super().appended(link, tag, folder, uids)


@pytest.mark.parametrize("less", ["all", "no UIDPLUS", "bare"])
def test_a_message_that_arrived_all_the_same(tmp_path, less):
    """It is found, not sent again, and no failure."""
    srv, h = pushing(tmp_path, Keeps, less=less)
    with srv:
        for _ in range(3):
            r = clean(h.run("both"))
        assert r.code == 0, r
        assert len(srv.inbox().messages) == 10
        assert failures(h) == []
        h.same()
        h.quiet()


class Dies(Peer):
    """Hangs up whenever it is sent anything."""

    def take_in(self, link, folder, data, flags, date):
        raise Hangup


def test_a_server_that_takes_nothing(tmp_path):
    """Is tried a few times in a run, not once for each message."""
    srv, h = pushing(tmp_path, Dies, n=30)
    with srv:
        for _ in range(3):
            before = len(srv.commands("AUTHENTICATE"))
            assert clean(h.run("both")).code in (1, 75)
            assert len(srv.commands("AUTHENTICATE")) - before <= 5
        in_the_end(srv, h, 30)


class GivesNot(Peer):
    """Breaks off in the middle of one message, whenever it is asked for."""

    def give(self, link, m, head, data, tail):
        if b"letter 105\r\n" in data:
            link.send(head + data[:len(data) // 2])
            raise Hangup
        super().give(link, m, head, data, tail)


def test_a_source_that_breaks_off_at_a_message(tmp_path):
    """The same the other way round."""
    with GivesNot({"INBOX": letters(10, 101)}) as srv:
        h = Job(tmp_path, srv)
        runs = [clean(h.run("both")) for _ in range(2)]
        assert sorted(h.local.bodies()) == sorted(m for m in letters(10, 101) if BAD not in m), runs
        assert runs[-1].code in (1, 75) and len(failures(h)) == 1, runs
        for _ in range(3):
            clean(h.run("both"))
        asked = len(srv.commands("UID FETCH"))
        pausing = clean(h.run("both"))
        assert actions(pausing) == [] and not any("BODY.PEEK[]" in line for line in srv.commands("UID FETCH")[asked:])
        in_the_end(srv, h)


class Says(Peer):
    """Refuses that message."""

    answer = ""

    def take_in(self, link, folder, data, flags, date):
        if BAD in data:
            raise Refused(self.answer)
        return super().take_in(link, folder, data, flags, date)


@pytest.mark.parametrize("answer", [
    "NO [TOOBIG] Message too large", "NO Message size exceeds fixed maximum message size", "NO [CANNOT] Invalid date in message", "BAD Command Argument Error. 11",
    "NO APPEND failed: line too long", "NO try again later", "NO [SERVERBUG] internal error", "NO temporary failure",
])
def test_a_message_that_is_refused(tmp_path, answer):
    """The others go over, whatever is said of it; at once, or in the next run where it might be of all."""
    srv, h = pushing(tmp_path, Says, answer=answer)
    with srv:
        for _ in range(3):
            r = clean(h.run("both"))
        assert r.code in (0, 1, 75), r
        all_but_the_bad(srv, h)
        (reason,) = failures(h)
        assert answer.partition(" ")[2] in reason
        in_the_end(srv, h)


class Unended(Peer):
    """BAD without an end of line (Yahoo), then nothing more."""

    silent = False

    def finished(self, link, tag, answer):
        link.send(("%s %s" % (tag, answer)).encode())
        if self.silent:
            link.hang()
        raise Hangup

    def take_in(self, link, folder, data, flags, date):
        if BAD in data:
            raise Refused("BAD [CLIENTBUG] APPEND Command arguments invalid")
        return super().take_in(link, folder, data, flags, date)


@pytest.mark.parametrize("silent", [False, True])
def test_an_answer_without_an_end(tmp_path, silent):
    srv, h = pushing(tmp_path, Unended, silent=silent)
    with srv:
        for _ in range(2):
            clean(h.run("both"))
        all_but_the_bad(srv, h)
        assert len(failures(h)) == 1
        in_the_end(srv, h)


class Full(Peer):
    """A mailbox with room for five."""

    answer = "NO [OVERQUOTA] Quota exceeded"

    def take_in(self, link, folder, data, flags, date):
        if len(folder.messages) >= 5:
            raise Refused(self.answer)
        return super().take_in(link, folder, data, flags, date)


@pytest.mark.parametrize("answer", ["NO [OVERQUOTA] Quota exceeded", "NO Mailbox is over quota", "NO Quota exceeded (mailbox for user is full)", "NO [LIMIT] mailbox full"])
def test_a_full_mailbox(tmp_path, answer):
    """The account is left alone for a while; told once, with what to do; and no message is blamed for it."""
    srv, h = pushing(tmp_path, Full, answer=answer)
    with srv:
        says(h.run("both"), 75, answer.partition(" ")[2], "make room")
        assert len(srv.inbox().messages) == 5 and failures(h) == []
        logins = len(srv.commands("AUTHENTICATE"))
        says(h.run(), 75, "pause of another")
        assert len(srv.commands("AUTHENTICATE")) == logins
        in_the_end(srv, h)


class Binary(Peer):
    """Takes literal8 (RFC 3516), and notes what came as one."""

    caps = Peer.caps + ["BINARY"]


NUL = b"From: x@example.org\nMessage-ID: <nul@example.org>\nSubject: zero\n\na\0b\n"


def test_a_nul_is_not_sent_where_it_may_not_be(tmp_path):
    srv, h = pushing(tmp_path, Peer, n=3)
    with srv:
        h.local.deliver(NUL, flags="S")
        r = says(h.run("both"), 1, "NUL")
        assert len(srv.inbox().messages) == 3 and r.end["failed"] == 1, r
        (reason,) = failures(h)
        assert "NUL" in reason and "BINARY" in reason
        assert actions(clean(h.run("both"))) == []
        assert not any("~{" in line for line in srv.lines())


def test_a_nul_goes_as_literal8_where_that_may_be(tmp_path):
    srv, h = pushing(tmp_path, Binary, n=3)
    with srv:
        h.local.deliver(NUL, flags="S")
        assert clean(h.run("both")).code == 0
        h.same()
        assert NUL in srv.inbox().bodies()
        assert ["~{" in line for line in srv.commands("APPEND")].count(True) == 1
        h.quiet()


class OldFashioned(Peer):
    """Knows no year before 1970 or behind 2037."""

    def append(self, link, tag, args):
        for a in args[1:]:
            if isinstance(a, bytes) and not isinstance(a, list) and re.fullmatch(rb"[ \d]\d-\w\w\w-(19[0-6]\d|20[4-9]\d|2[1-9]\d\d) .*", a):
                raise Refused("BAD invalid INTERNALDATE")
        super().append(link, tag, args)


@pytest.mark.parametrize("date", [-86400 * 365 * 5, 86400 * 365 * 90])
def test_a_date_that_is_refused(tmp_path, date):
    """The message goes over without, rather than not at all."""
    srv, h = pushing(tmp_path, OldFashioned)
    with srv:
        for path in haul.maildir_files(h.local.box("INBOX")):
            with open(path, "rb") as f:
                if BAD in f.read():
                    os.utime(path, (date, date))
        r = clean(h.run("both"))
        assert r.code == 0, r
        h.same()
        assert len(srv.inbox().messages) == 10
        assert any("time of arrival" in e.get("text", "") for e in r.of("warning")) or "time of arrival" in r.err, r
        h.quiet()


class GivesNoneOfSeveral(Peer):
    """Won't give a message of INBOX together with others."""

    def uid_fetch(self, link, tag, args):
        if link.folder.name == "INBOX" and "BODY" in str(args[1]) and len(self.chosen(link, args[0])) > 1:
            raise Refused("NO [SERVERBUG] can't read one of them")
        super().uid_fetch(link, tag, args)


def test_one_by_one_before_many_folders(tmp_path):
    """All that may fly was asked of the folders behind by then."""
    folders = {"f%03d-%s" % (k, "x" * 80): letters(1, 1000 + k) for k in range(400)}
    with GivesNoneOfSeveral({"INBOX": letters(6), **folders}) as srv:
        h = Job(tmp_path, srv)
        r = clean(h.run("both"))
        assert (r.code, r.end["pulled"], r.end["failed"]) == (0, 406, 0), r.end
        h.same()
        h.quiet()
