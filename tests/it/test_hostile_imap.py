"""IMAP servers that lie, stall, break off and attack: a clear error, nothing lost and nothing doubled on either side."""

import base64
import collections
import copy
import os
import re
import socket
import time
import zlib

import pytest

import haul
import imappeer
import twoway
from hostile import CLEAR, ESCAPES, TLS, bad_certificate, clean, computed, each_bad_certificate, forget_pauses, measured
from imappeer import Hangup, Peer, Refused
from twoway import actions


def letters(n, first=1):
    """Messages that differ."""
    return [b"From: x@example.org\nMessage-ID: <%d@example.org>\nSubject: letter %d\n\n" % (i, i) + b"text %d\n" % i * 20 for i in range(first, first + n)]


class Job(twoway.Job):
    """A two-way job "both" between a scripted server and a tree of Maildirs."""

    def __init__(self, directory, srv, job="", account="", scheme="imap", ca_file=None, tls=CLEAR, host="127.0.0.1"):
        super().__init__(directory, 1)
        self.srv, self.local = srv, twoway.Side(os.path.join(self.dir, "local"))
        lines = ["account work {", "\turl = %s" % haul.quoted("%s://anna@%s:%d" % (scheme, host, srv.port)), "\tpassword-file = %s" % haul.quoted(self.secret),
                 "\t" + tls, "\t" + account]
        if ca_file:
            lines.append("\tca-file = %s" % haul.quoted(ca_file))
        self.write_private(self.conf, "\n".join(lines) + "\n}\nsync both {\n\tremote = work\n\tlocal = %s\n\t%s\n}\n" % (
            haul.quoted("maildir:" + self.local.path), job))

    def same(self):
        assert self.srv.state() == self.local.state()


def says(r, code, *words):
    """The exit code, and what the error must tell; the account is named by it, too."""
    clean(r)
    assert r.code == code, r
    told = " ".join([r.err] + [e.get("folder", "") + ": " + e.get("text", "") for e in r.events] if r.events else [r.err, r.out]).lower()
    placed = r.events and all(e.get("folder") or re.search("gone at the server|both sides hold|no folders at all", e["text"]) for e in r.of("error"))
    for word in words + (() if placed else ("work",)):
        assert word.lower() in told, "%r is not in %r" % (word, r)
    return r


def bodies(state):
    """{folder: Counter of bytes}"""
    return {f: collections.Counter(body for body, _ in rows) for f, rows in state.items() if rows}


def nothing_lost(h, want):
    """Each message is where it is wanted on one side at least, and nowhere twice."""
    here, there = bodies(h.local.state()), bodies(h.srv.state())
    for folder, messages in bodies(want).items():
        both = here.get(folder, collections.Counter()) | there.get(folder, collections.Counter())
        assert not messages - both, "lost in " + folder
        for side in here, there:
            assert not [m for m, n in side.get(folder, {}).items() if n > 1], "doubled in " + folder


def recover(h, want, pair=None):
    """Once the server behaves both sides are as they should be, and a further run has nothing to do."""
    nothing_lost(h, want)
    h.srv.behave(pair)
    forget_pauses(h)
    r = clean(h.run("both"))
    assert r.code == 0, r
    h.same()
    assert {f: rows for f, rows in h.local.state().items() if rows} == {f: sorted(rows) for f, rows in want.items()}
    h.quiet()
    h.same()


def rows(messages, flags="S"):
    return sorted((m, flags) for m in messages)


def lively(directory, folders=None, less=(), **more):
    """Two sides that agreed and then changed, so that all is to be done: (server, job, what both hold in the end)."""
    srv = Peer({"INBOX": letters(6), "Work": letters(2, 100)}, pair=more.pop("pair", None), tls=more.get("scheme") == "imaps")
    srv.less = set(less)
    h = Job(directory, srv, **more)
    assert clean(h.run("both")).code == 0
    return srv, h, change(srv, h)


def change(srv, h):
    """What happens on both sides after the first run."""
    inbox = srv.inbox()
    for m in letters(2, 20):
        inbox.add(m)
    inbox.flag(inbox.find(1), {"\\Flagged"})
    inbox.expunge([2])
    for m in letters(2, 30):
        h.local.deliver(m, flags="S")
    h.local.flag("INBOX", letters(1, 3)[0], "RS")
    h.local.delete("INBOX", letters(1, 4)[0])
    return {"INBOX": sorted([(letters(1, 1)[0], "F"), (letters(1, 3)[0], "RS")] + rows(letters(2, 5)) + rows(letters(2, 20), "") + rows(letters(2, 30))),
            "Work": rows(letters(2, 100))}


# The server that behaves

CAPS = {"all": set(), "no QRESYNC": {"QRESYNC"}, "no CONDSTORE": {"QRESYNC", "CONDSTORE"}, "no UIDPLUS": {"UIDPLUS"}, "no LITERAL+": {"LITERAL+"},
        "bare": set(Peer.caps) - {"IMAP4rev1"}}


@pytest.mark.parametrize("less", list(CAPS))
def test_the_peer_itself_is_synced(tmp_path, less):
    """Both ways, and a second run has nothing to do."""
    with Peer({"INBOX": letters(5), "Work/2026": letters(2, 100)}) as srv:
        srv.less = CAPS[less]
        h = Job(tmp_path, srv)
        h.settle()
        h.same()
        h.local.deliver(letters(1, 50)[0], flags="F")
        h.local.deliver(letters(1, 51)[0], "Mine")
        h.local.flag("INBOX", letters(1, 2)[0], "RS")
        h.local.delete("INBOX", letters(1, 3)[0])
        inbox = srv.inbox()
        inbox.flag(inbox.find(4), {"\\Flagged"})
        inbox.expunge([5])
        inbox.add(letters(1, 60)[0], {"\\Draft"})
        h.settle()
        h.same()
        assert [len(b) for b in srv.state().values()] == [5, 2, 1]


# STARTTLS

class NoStarttls(Peer):
    starttls = False


class StarttlsRefused(Peer):
    def do_starttls(self, link, tag, args):
        raise Refused("NO not today" + ESCAPES)


class StarttlsBad(Peer):
    def do_starttls(self, link, tag, args):
        raise Refused("BAD what?")


class StarttlsInjected(Peer):
    def do_starttls(self, link, tag, args):
        link.send(b"%s OK begin\r\n* OK [ALERT] call 0900\r\n" % tag.encode())
        link.start_tls()


class StarttlsAhead(Peer):
    """The answer comes before the question."""

    def greeting(self, link):
        super().greeting(link)
        link.send(b"A1 OK begin\r\n")

    def do_starttls(self, link, tag, args):
        link.hang()


class StarttlsThenPlain(Peer):
    def do_starttls(self, link, tag, args):
        link.ok(tag, "begin")
        link.sock.recv(1)
        link.send(b"* OK still here, tell me all\r\n" * 10)
        link.hang()


class StarttlsSilent(Peer):
    def do_starttls(self, link, tag, args):
        link.hang()


class Preauth(Peer):
    def greeting(self, link):
        link.in_ = True
        link.star("PREAUTH [CAPABILITY %s] welcome" % " ".join(self.caps))


class Referral(Peer):
    """Sends the client and its password elsewhere."""

    def greeting(self, link):
        link.star("BYE [REFERRAL imap://evil.example/] go there")
        raise Hangup


@pytest.mark.parametrize("peer,code,words", [
    (NoStarttls, 77, ["does not offer STARTTLS"]),
    (StarttlsRefused, 77, ["STARTTLS is refused", "not today"]),
    (StarttlsBad, 77, ["STARTTLS is refused", "what?"]),
    (StarttlsInjected, 77, ["injected"]),
    (StarttlsAhead, 75, ["TLS"]),
    (StarttlsThenPlain, 76, ["TLS"]),
    (StarttlsSilent, 75, ["STARTTLS", "2 seconds"]),
    (Preauth, 77, ["PREAUTH"]),
    (Referral, 69, ["go there"]),
])
def test_without_tls_no_secret_is_said(tmp_path, ca, certificate, peer, code, words):
    want = {"INBOX": rows(letters(2))}
    with peer({"INBOX": letters(2)}, pair=certificate) as srv:
        h = Job(tmp_path, srv, ca_file=ca.cert, tls=TLS)
        says(h.run("both"), code, *words)
        assert set(srv.in_clear()) <= {"CAPABILITY", "STARTTLS"} and "0900" not in h.call("-v", "run").err
        recover(h, want)
        assert set(srv.in_clear()) <= {"CAPABILITY", "STARTTLS"}


class LiesInClear(Peer):
    """What it says before TLS is forgotten."""

    def greeting(self, link):
        link.star("OK [ALERT] your password has expired, see http://evil.example")
        for row in ("CAPABILITY IMAP4rev1 STARTTLS LOGINDISABLED AUTH=CRAM-MD5", "99 EXISTS", 'LIST () "/" "evil"', "1 FETCH (FLAGS (\\Deleted))",
                    "ENABLED UTF8=ACCEPT QRESYNC", 'NAMESPACE (("evil" "!")) NIL NIL'):
            link.star(row)


def test_what_is_said_before_tls_is_forgotten(tmp_path, ca, certificate):
    want = {"INBOX": rows(letters(2))}
    with LiesInClear({"INBOX": letters(2)}, pair=certificate) as srv:
        h = Job(tmp_path, srv, ca_file=ca.cert, tls=TLS)
        r = clean(h.run("both"))
        assert r.code == 0 and "evil" not in r.out + r.err + clean(h.call("-v", "run")).err
        recover(h, want)


def test_preauth_in_clear_is_no_login(tmp_path):
    with Preauth({"INBOX": letters(2)}) as srv:
        h = Job(tmp_path, srv)
        says(h.run("both"), 77, "PREAUTH", "encrypted")
        assert srv.commands() == []


def test_preauth_over_tls_is_login(tmp_path, ca, certificate):
    with Preauth({"INBOX": letters(2)}, pair=certificate, tls=True) as srv:
        h = Job(tmp_path, srv, ca_file=ca.cert, scheme="imaps", tls=TLS)
        assert clean(h.run("both")).code == 0
        assert srv.commands("LOGIN") == srv.commands("AUTHENTICATE") == []
        h.same()


class LoginDisabled(Peer):
    caps = ["IMAP4rev1", "LOGINDISABLED"]


def test_logindisabled_is_obeyed(tmp_path):
    with LoginDisabled({"INBOX": letters(2)}) as srv:
        h = Job(tmp_path, srv)
        says(h.run("both"), 77, "LOGINDISABLED")
        assert srv.commands("LOGIN") == []


# Certificates

@pytest.mark.parametrize("scheme", ["imap", "imaps"])
@each_bad_certificate
def test_a_wrong_certificate_is_refused(tmp_path, ca, certificate, scheme, which, words):
    with Peer({"INBOX": letters(1)}, pair=bad_certificate(ca, which, tmp_path), tls=scheme == "imaps") as srv:
        h = Job(tmp_path, srv, ca_file=ca.cert, scheme=scheme, tls=TLS)
        says(h.run("both"), 77, *words)
        assert set(srv.in_clear()) <= {"CAPABILITY", "STARTTLS"} and srv.commands("AUTHENTICATE") == []
        recover(h, {"INBOX": rows(letters(1))}, certificate)


# Greetings and logins

class Greets(Peer):
    what = b""
    after = "hang"

    def greeting(self, link):
        link.send(self.what)
        if self.after == "close":
            raise Hangup
        if self.after == "hang":
            link.hang()


@pytest.mark.parametrize("what,after,code,words", [
    (b"* BYE we are closed\r\n", "close", 69, ["we are closed"]),
    (b"* BYE [UNAVAILABLE] soon\r\n", "close", 75, ["soon"]),
    (b"* NO go away\r\n", "close", 76, ["OK nor PREAUTH"]),
    (b"* BAD go away\r\n", "close", 76, ["OK nor PREAUTH"]),
    (b"A1 OK tagged\r\n", "close", 76, ["IMAP"]),
    (b"+OK POP3 ready\r\n", "close", 76, ["POP3"]),
    (b"220 mx.example ESMTP\r\n", "close", 76, ["SMTP"]),
    (b"HTTP/1.1 400 Bad Request\r\n", "close", 76, ["web"]),
    (b"\0\xff\xfe\r\n", "close", 76, ["IMAP"]),
    (b"", "close", 75, ["closed"]),
    (b"* OK half", "close", 75, ["closed"]),
    (b"* OK " + b"x" * (2 << 20), "hang", 76, ["response of more than"]),
    (b"", "hang", 75, ["within 2 seconds"]),
    (b"* OK never ends", "hang", 75, ["2 seconds"]),
    (b"* OK [CAPABILITY IMAP2 X] old\r\n", "hang", 76, ["IMAP4rev1"]),
], ids=["bye", "unavailable", "NO", "BAD", "tagged", "POP3", "SMTP", "HTTP", "binary", "nothing", "half", "endless", "silent", "stalled", "IMAP2"])
def test_a_bad_greeting(tmp_path, what, after, code, words):
    with Greets({"INBOX": letters(1)}) as srv:
        srv.what, srv.after = what, after
        h = Job(tmp_path, srv)
        begun = time.monotonic()
        says(h.run("both"), code, *words)
        assert time.monotonic() - begun < 10
        assert srv.commands("AUTHENTICATE") == []
        recover(h, {"INBOX": rows(letters(1))})


class Login(Peer):
    answer = ""

    def let_in(self, link, tag, user, password):
        raise Refused(self.answer)


@pytest.mark.parametrize("answer,code,pause", [
    ("NO [AUTHENTICATIONFAILED] wrong", 77, 0), ("NO wrong", 77, 0), ("NO [UNAVAILABLE] LDAP is down", 75, 60), ("NO [INUSE] locked", 75, 0),
    ("NO [ALERT] Please log in via your web browser " + ESCAPES, 77, 0), ("NO [CONTACTADMIN] closed", 69, 0), ("BAD no", 77, 0),
    ("NO Maximum number of connections from user+IP exceeded", 75, 60), ("NO [PRIVACYREQUIRED] encrypt", 77, 0), ("NO", 77, 0),
    ("NO [EXPIRED] change it", 77, 0), ("NO User is authenticated but not connected.", 77, 0),
])
@pytest.mark.parametrize("by", ["AUTHENTICATE", "LOGIN"])
def test_a_refused_login(tmp_path, answer, code, pause, by):
    with Login({"INBOX": letters(1)}) as srv:
        srv.answer = answer
        srv.less = {"AUTH=PLAIN"} if by == "LOGIN" else set()
        h = Job(tmp_path, srv)
        r = says(h.run("both"), code, re.sub(r"^NO ?|BAD |\[.*?\] |\x1b.*$", "", answer))
        assert len(srv.commands(by)) == 1, "an account must not be locked out by trying again and again"
        assert "secret" not in r.out + r.err.replace(h.secret, "")
        assert (clean(h.run()).code == 75) == (pause > 0 or code == 75)
        assert len(srv.commands(by)) == (1 if pause else 2)
        recover(h, {"INBOX": rows(letters(1))})


class Forgets(Peer):
    """Its capabilities are gone once it let somebody in."""

    def capabilities(self, link):
        return ["IMAP4rev1"] if link.in_ else super().capabilities(link)


class Promises(Peer):
    """It can do all before the login, and nothing after."""

    def capabilities(self, link):
        return super().capabilities(link) + ([] if link.in_ else ["UTF8=ACCEPT", "COMPRESS=DEFLATE", "X-" + ESCAPES.replace("\x08", "")])


@pytest.mark.parametrize("peer", [Forgets, Promises])
def test_capabilities_that_change(tmp_path, peer):
    srv, h, want = lively(tmp_path)
    with srv:
        srv.__class__ = peer
        assert clean(h.run("both")).code == 0
        recover(h, want)


# Links that break

class Breaks(Peer):
    """Ends it at a station: the nth time, and on the first connections only, or on all."""

    at, how, nth, links = "", "close", 1, 1000

    def stage(self, link, where):
        if where != self.at or link.number > self.links:
            return
        link.came = getattr(link, "came", 0) + 1
        if link.came != self.nth:
            return
        if self.how == "bye":
            link.bye("over " + ESCAPES)
        if self.how == "stall":
            link.hang()
        raise Hangup


class Trickles(Peer):
    """Says something all the time, and nothing much."""

    def stage(self, link, where):
        if where == "body":
            for _ in range(600):
                link.send(b"x")
                time.sleep(0.1)


class StillHere(Peer):
    """Works on a command for three times as long as a wait may take, and says so."""

    def list(self, link, tag, args):
        for _ in range(12):
            link.star("OK Still here")
            time.sleep(0.25)
        return super().list(link, tag, args)


class Enormous(Peer):
    """A body of four gigabytes."""

    def uid_fetch(self, link, tag, args):
        if "BODY.PEEK[]" not in str(args):
            return super().uid_fetch(link, tag, args)
        link.send(b"* 1 FETCH (UID 1 BODY[] {4200000000}\r\n")
        while True:
            link.send(b"x" * 70 * 1000 + b"\r\n")


def test_an_enormous_body_that_can_not_be_kept(tmp_path):
    """The error is told; the body is not read over until its end."""
    with Enormous({"INBOX": letters(3)}) as srv:
        h = Job(tmp_path, srv)
        r = clean(h.run("both", prefix=("sh", "-c", 'ulimit -f 2000; exec "$@"', "sh"), seconds=30))
        assert r.code != 0 and "File too large" in r.out, r.out


def test_who_trickles_is_given_up(tmp_path):
    srv, h, want = lively(tmp_path, tls=CLEAR.replace("2s", "1s"))
    with srv:
        srv.__class__ = Trickles
        begun = time.monotonic()
        says(h.run("both"), 75, "no more than", "in 1 seconds")
        assert time.monotonic() - begun < 20
        recover(h, want)


def test_who_says_that_it_works_is_waited_for(tmp_path):
    srv, h, want = lively(tmp_path, tls=CLEAR.replace("2s", "1s"))
    with srv:
        srv.__class__ = StillHere
        assert clean(h.run("both")).code == 0
        recover(h, want)


class Late(Peer):
    """Lets a person do something before it answers at a station, once."""

    at, act = "greeting", None

    def stage(self, link, where):
        if where == self.at and self.act:
            act, self.act = self.act, None
            time.sleep(0.3)   # time enough for what lies here to be read
            act()
        super().stage(link, where)


@pytest.mark.parametrize("at", ["greeting", "list", "select"])
def test_a_file_that_is_replaced_in_a_first_contact(tmp_path, at):
    """What was read while the server is dialled is not taken for what lies there later: that is another message, and the server has it not."""
    other = letters(1, 2)[0] + b"and more\n"
    with Late({"INBOX": letters(3)}) as srv:
        h = Job(tmp_path, srv)
        for m in letters(3):
            h.local.deliver(m, flags="S")
        cur = os.path.join(h.local.box("INBOX"), "cur")
        for m, name in zip(srv.inbox().messages, sorted(os.listdir(cur))):
            os.utime(os.path.join(cur, name), (m.date, m.date))

        def replace():
            name = sorted(os.listdir(cur))[1]
            path = os.path.join(h.dir, "other")
            with open(path, "wb") as f:
                f.write(other)
            os.rename(path, os.path.join(cur, name))

        srv.at, srv.act = at, replace
        assert clean(h.run("both")).code == 0
        assert not srv.act
        h.same()
        assert h.local.state()["INBOX"] == sorted(rows(letters(3) + [other]))
        h.quiet()


STATIONS = ["greeting", "authenticate", "id", "enable", "namespace", "list", "select", "uid fetch", "body", "uid store", "literal", "append", "uid expunge"]


@pytest.mark.parametrize("how", ["bye", "close", "stall"])
@pytest.mark.parametrize("at", STATIONS)
def test_a_link_that_ends(tmp_path, at, how):
    srv, h, want = lively(tmp_path, tls=CLEAR.replace("2s", "1s"))
    with srv:
        srv.number = 0
        srv.__class__ = Breaks
        srv.at, srv.how = at, how
        begun = time.monotonic()
        # the second time it may be the message: then it is left out, and the run comes to its end
        r = says(h.run("both"), 69 if (at, how) == ("greeting", "bye") else 1 if at in ("literal", "append") else 75,
                 "'INBOX': message 7" if at == "body" else {"bye": "over \\x1b", "close": "connection", "stall": "1 second"}[how])
        # a socket that is closed with something unread in it tells the other side by a reset, which may overtake what was sent
        assert how != "close" or at == "body" or re.search("closed the connection|connection lost", r.out), r
        assert time.monotonic() - begun < 20
        recover(h, want)


@pytest.mark.parametrize("less", ["no UIDPLUS", "no LITERAL+", "bare"])
@pytest.mark.parametrize("at", ["uid fetch", "body", "uid store", "literal", "append", "expunge", "uid expunge"])
def test_a_link_that_ends_once(tmp_path, at, less):
    """Where something was done before, the run goes on with a new one."""
    srv, h, want = lively(tmp_path, less=CAPS[less])
    with srv:
        srv.__class__ = Breaks
        srv.at, srv.links = at, 2
        r = clean(h.run("both"))
        assert r.code in (0, 75), r
        recover(h, want)


# Words without measure

class Says(Peer):
    """Puts bytes before the answer to the first command of a kind."""

    verb, what, then = "list", b"", "go on"

    def stage(self, link, where):
        if where == self.verb and not getattr(link, "said", False):
            link.said = True
            link.send(self.what)
            if self.then == "close":
                raise Hangup
            if self.then == "hang":
                link.hang()


DEEP = 10000


@pytest.mark.parametrize("verb", ["list", "uid fetch"])
@pytest.mark.parametrize("what,code,words", [
    (b"* LIST () \"/\" {4294967296}\r\n", 76, ["4294967296 bytes"]),
    (b"* LIST () \"/\" {9223372036854775808}\r\n", 76, ["9223372036854775808 bytes"]),
    (b"* LIST () \"/\" {99999999999999999999999999}\r\n", 76, ["literal"]),
    (b"* LIST () \"/\" {" + b"0" * 30 + b"5}\r\nINBOX\r\n", None, []),
    (b"* LIST () \"/\" {-1}\r\n", 76, ["literal"]),
    (b"* LIST () \"/\" {}\r\n", 76, ["literal"]),
    (b"* LIST () \"/\" {4294967295}\r\n", 76, ["more than"]),
    (b"* 1 FETCH (UID 1 X-NEW {4294967295}\r\n", 76, ["more than"]),
    (b"* 1 FETCH (UID 1 BODY[] {18446744073709551616}\r\n", 76, ["literal"]),
    (b"* 1 FETCH (UID 1 X-NEW " + b"(" * DEEP + b")" * DEEP + b")\r\n", 76, ["parenthes"]),
    (b"* 1 FETCH " + b"(" * DEEP + b"\r\n", 76, ["understood"]),
    (b"* OK " + b"[" * DEEP + b"\r\n", None, []),
    (b"* X-NEW " + b"(" * DEEP + b"\r\n", None, []),
    (b"* LIST (" + b"\\X " * 1000000 + b") \"/\" x\r\n", 76, ["more than"]),
    (b"* OK \0\r\n", 76, ["NUL"]),
    (b"\0\0\0\0\r\n", 76, ["byte 0x00"]),
    (b"\r\n\r\n", 76, ["understood"]),
    (b"* \r\n", 76, ["understood"]),
    (b"*\r\n", 76, ["understood"]),
    (b"A\r\n", 76, ["IMAP"]),
    (b"** OK\r\n", 76, ["answers"]),
    (b"* -1 EXISTS\r\n", None, []),
    (b"* 4294967296 EXISTS\r\n", 76, ["understood"]),
    (b"A999 OK of the future\r\n", 76, ["A999"]),
    (b"A1 OK again\r\n", 76, ["A1"]),
    (b"X7 OK " + ESCAPES.encode("latin-1", "replace") + b"\r\n", 76, ["X7"]),
    (b"A4294967297 OK wraps\r\n", 76, ["A4294967297"]),
    (b"+ \r\n+ go on\r\n+\r\n", None, []),
    (b"* 1 FETCH (UID 4294967296 FLAGS ())\r\n", 76, ["UID"]),
    (b"* 1 FETCH (UID 0 FLAGS ())\r\n", 76, ["UID"]),
    (b"* 1 FETCH (UID 1 UID 2 FLAGS ())\r\n", 76, ["UID"]),
    (b"* 1 FETCH (UID 1 MODSEQ (18446744073709551616))\r\n", 76, ["MODSEQ"]),
    (b"* STATUS INBOX (MESSAGES -1 UIDNEXT 4294967296 HIGHESTMODSEQ 18446744073709551615)\r\n", None, []),
    (b"* SEARCH 1 2 4294967296\r\n", 76, ["UID that is none"]),
    (b"* VANISHED 4294967296\r\n", 76, ["UID that is none"]),
    (b"* VANISHED (EARLIER) 5:1,0\r\n", 76, ["UID that is none"]),
], ids=lambda x: None if not isinstance(x, bytes) else repr(x[:40])[2:-1])
def test_what_no_server_should_say(tmp_path, verb, what, code, words):
    """Whenever it comes: a limit, a word on what is wrong, and nothing done by it."""
    srv, h, want = lively(tmp_path)
    with srv:
        srv.__class__ = Says
        srv.verb, srv.what = verb, what
        r = clean(h.run("both"))
        assert r.code in ((0, 1) if code is None else (code,)), r
        if code:
            says(r, code, *words)
        recover(h, want)


@pytest.mark.parametrize("verb", ["authenticate", "select", "uid store", "append", "uid expunge"])
@pytest.mark.parametrize("what,words", [(b"* OK \0\r\n", ["NUL"]), (b"A999 OK\r\n", ["A999"]), (b"* 1 FETCH (UID 0)\r\n", ["UID"])], ids=["NUL", "tag", "UID"])
def test_nonsense_before_any_answer(tmp_path, verb, what, words):
    srv, h, want = lively(tmp_path)
    with srv:
        srv.__class__ = Says
        srv.verb, srv.what = verb, what
        says(h.run("both"), 76, *words)
        recover(h, want)


@pytest.mark.parametrize("verb", ["list", "uid fetch"])
@pytest.mark.parametrize("what", [b"* 1 FETCH (UID ", b"* OK and ", b'* LIST () "/" {2000000}\r\nINBOX', b"* LIST (", b"* 1 FETCH (UID 7 BODY[] {5000}\r\nx", b"A"],
                         ids=["word", "text", "literal", "parenthesis", "body", "tag"])
@pytest.mark.parametrize("then,words", [("close", ["closed"]), ("hang", ["1 seconds"])])
def test_a_link_that_ends_in_the_middle_of_an_answer(tmp_path, verb, what, then, words):
    if b"2000000" in what:
        words = ["more than"]
    srv, h, want = lively(tmp_path, tls=CLEAR.replace("2s", "1s"))
    with srv:
        srv.__class__ = Says
        srv.verb, srv.what, srv.then = verb, what, then
        says(h.run("both"), 76 if b"2000000" in what else 75, *words)
        recover(h, want)


# Names

class Names(Peer):
    """Shows folders under names as a test says, raw."""

    extra = ()

    def list_rows(self, link, verb, extended):
        super().list_rows(link, verb, extended)
        for name in self.extra:
            self.list_row(link, verb, [], name)

    def folder(self, word, make=False):
        name = imappeer.text(word)
        if name not in self.folders and any(self.raw(x) == name.encode("utf-8", "surrogateescape") for x in self.extra):
            return self.folders["INBOX"]
        return super().folder(word, make)

    @staticmethod
    def raw(x):
        """What a row's name is when read."""
        m = re.match(rb"\{\d+\}\r\n", x)
        return x[m.end():] if m else re.sub(rb"\\(.)", rb"\1", x[1:-1]) if x.startswith(b'"') else x

    def status_row(self, link, folder, items):
        pass


def literal(name):
    return b"{%d}\r\n%s" % (len(name), name)


LEFT_OUT = [b'"../../x"', b'"/etc/x"', b'".."', b'"."', b'"a/../../b"', b'"a//b"', b'""', b'"/"', literal(b""), literal(b"nul\0x"), literal(b"line\r\nA7 OK x"),
            literal(ESCAPES.encode("latin-1", "replace")), b'"\x1b[2J"', b'"&AGE-"', b'"a&b"', b'"&-&"', b'"\xc3\xa9"', b'"\xff\xfe"', literal(b"x" * 10000),
            b'"' + b"y" * 5000 + b'"', b'"&ABs-[2J"', b'"&2D0-"', b'"' + b"/".join([b"z"] * 200) + b'"', b'"&AAA-"', b'"&AAoADQ-"']
KEPT = ["cur", "new", "tmp", "INBOX/cur", "INBOX/new/tmp", "cur/cur", ".hidden", "a.b", "-rf", "~root", "a:2,S", "a\\b", "a\"b", " a", "a ", "%2F", "&-", "w" * 200, "Work",
        "work", "WORK", "con", "*", "%", "a%b", "NIL", "*.*", "&AOk-", "&IC4-x", "Inbox/x", "INBOX.x", "dovecot-uidlist", ".mailhaul"]


def inside(h):
    """All of the local tree, which must be all that there is; no name holds what a terminal would obey."""
    found = []
    for top, dirs, files in os.walk(h.local.path):
        found += [os.path.relpath(os.path.join(top, n), h.local.path) for n in dirs + files]
    assert sorted(os.listdir(h.dir)) == ["local", "mailhaul.conf", "secret", "state"]
    assert not [n for n in found if any(ord(c) < 32 or ord(c) == 127 for c in n)]
    return found


@pytest.mark.parametrize("name", LEFT_OUT, ids=lambda x: repr(x[:24])[2:-1])
def test_a_folder_that_is_left_out(tmp_path, name):
    with Names({"INBOX": letters(2), "Work": letters(1, 9)}) as srv:
        srv.extra = [name]
        h = Job(tmp_path, srv)
        r = clean(h.run("both"))
        assert r.code == 0 and h.local.folders() == {"INBOX", "Work"}, r
        told = [e for e in r.of("warning") if "is left out" in e["text"]]
        assert len(told) == (Names.raw(name) != b""), r
        inside(h)
        r = clean(h.call("run"))
        assert r.code == 0 and r.out == "", r
        clean(h.call("list", "both"))
        h.same()


def test_names_that_are_kept(tmp_path):
    """Whatever a server may call its folders: each has a place of its own here, and comes back under the same name."""
    with Peer({"INBOX": letters(2)}) as srv:
        for i, name in enumerate(KEPT):
            srv.folders[name] = imappeer.Folder(name, 3000 + i)
            srv.folders[name].add(letters(1, 100 + i)[0], {"\\Seen"})
        h = Job(tmp_path, srv)
        r = clean(h.run("both"))
        assert r.code == 0 and r.end["pulled"] == 2 + len(KEPT), r
        names = inside(h)
        assert sum(os.path.basename(n) == "cur" and os.path.isdir(os.path.join(h.local.path, n)) for n in names) >= len(KEPT) + 1
        found = collections.Counter(m for _, _, files in os.walk(h.local.path) for m in files if ":2," in m)
        assert len(found) == 2 + len(KEPT) and set(found.values()) == {1}
        h.quiet()
        before = srv.state()
        for i, name in enumerate(KEPT):
            srv.folders[name].add(letters(1, 200 + i)[0], {"\\Seen"})
        assert clean(h.run("both")).end["pulled"] == len(KEPT)
        h.quiet()
        assert {f: len(x) for f, x in srv.state().items()} == {f: len(x) + (f != "INBOX") for f, x in before.items()}


def test_an_inbox_of_many_spellings(tmp_path):
    with Names({"INBOX": letters(2)}) as srv:
        srv.extra = [b"inbox", b"Inbox", b'"INBOX"', b'"iNbOx"']
        h = Job(tmp_path, srv)
        assert clean(h.run("both")).code == 0
        assert h.local.folders() == {"INBOX"}
        h.quiet()
        h.same()


class EndlessFolders(Peer):
    def list_rows(self, link, verb, extended):
        n = 0
        while True:
            link.send(b"".join(b'* %s () "/" "folder %d"\r\n' % (verb.encode(), i) for i in range(n, n + 1000)))
            n += 1000


class EndlessFlood(Peer):
    def list_rows(self, link, verb, extended):
        while True:
            link.send((b"* OK I am still here " + b"x" * 50000 + b"\r\n") * 20)


class EndlessLine(Peer):
    def list_rows(self, link, verb, extended):
        link.send(b'* LIST () "/" "')
        while True:
            link.send(b"x" * 100000)


class EndlessStatus(Peer):
    def status_row(self, link, folder, items):
        while True:
            link.send(b"* STATUS INBOX (MESSAGES 1)\r\n" * 4000)


class EndlessFetch(Peer):
    """Of messages that nobody asked for, in a look."""

    def fetch_row(self, link, m, items):
        n = 1000
        while True:
            link.send(b"".join(b"* %d FETCH (UID %d FLAGS () INTERNALDATE \"01-Jan-2020 00:00:00 +0000\" RFC822.SIZE 5)\r\n" % (i, i) for i in range(n, n + 1000)))
            n += 1000


class EndlessExpunge(Peer):
    def fetch_row(self, link, m, items):
        while True:
            link.send(b"* 1 EXPUNGE\r\n* 1 EXISTS\r\n" * 4000)


class EndlessSearch(Peer):
    less = {"QRESYNC", "ESEARCH"}

    def found(self, link, tag, uids, extended):
        link.send(b"* SEARCH")
        n = 1
        while True:
            link.send(b"".join(b" %d" % i for i in range(n, n + 20000, 2)))
            n += 20000


@pytest.mark.parametrize("peer,code,words", [
    (EndlessFolders, 76, ["more than 200000 folders"]), (EndlessFlood, 76, ["MB without answering"]), (EndlessLine, 76, ["more than"]),
    (EndlessStatus, 76, ["more than 200000 folders"]), (EndlessFetch, 76, ["INBOX", "lists messages without end"]), (EndlessSearch, 76, ["too much memory"]),
    pytest.param(EndlessExpunge, 76, ["MB without answering"], marks=pytest.mark.long),
])
def test_no_server_fills_the_memory(tmp_path, peer, code, words):
    srv, h, want = lively(tmp_path, less=peer.less)
    with srv:
        srv.__class__ = peer
        r, used = measured(h, "both")
        says(r, code, *words)
        assert used["rss"] < 128 * 1024 * 1024 and computed(used) < 40, (used, r)
        recover(h, want)


# Looks

class Looks(Peer):
    """Rows of a look as a test bends them: text -> text, for each."""

    def bend(self, link, m, row):
        return row

    def give_row(self, link, m, row):
        link.send(self.bend(link, m, row.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape"))


class NoUid(Looks):
    def bend(self, link, m, row):
        return re.sub(r"UID \d+ ", "", row)


class UidLast(Looks):
    def bend(self, link, m, row):
        return re.sub(r"(?s)\(UID (\d+) (.*)\)\r\n$", r"(\2 UID \1)\r\n", row)


class RowsTwice(Looks):
    def bend(self, link, m, row):
        return row * 2


class Descending(Peer):
    def chosen(self, link, word):
        return super().chosen(link, word)[::-1]


class AboveUidnext(Looks):
    """UIDs that UIDNEXT says cannot be."""

    def bend(self, link, m, row):
        return re.sub(r"UID (\d+)", lambda x: "UID %d" % (int(x.group(1)) + 4000000000), row)


class Strangers(Looks):
    """Rows of messages that are none of the question, and with bodies that nobody asked for."""

    def bend(self, link, m, row):
        return row + "* 99 FETCH (UID 77 FLAGS (\\Deleted))\r\n* 98 FETCH (UID 78 BODY[] {12}\r\nhello\r\nyou\r\n FLAGS ())\r\n* 97 FETCH (FLAGS (\\Seen))\r\n"


class Storm(Looks):
    """EXPUNGE and EXISTS between all rows."""

    def bend(self, link, m, row):
        return "* 1 EXPUNGE\r\n* 5 EXPUNGE\r\n* 9999 EXPUNGE\r\n* 0 EXPUNGE\r\n* VANISHED 1:4294967295\r\n* 3 EXISTS\r\n" + row + "* 0 EXISTS\r\n* 2 RECENT\r\n"


class FewerThanExists(Peer):
    """Says how many there are, but lists only some."""

    def chosen(self, link, word):
        return super().chosen(link, word)[::2]


class ListsNothing(Peer):
    def chosen(self, link, word):
        return []


class MoreExists(Peer):
    def select_lines(self, link, folder):
        return [re.sub(r"^\d+ EXISTS", "4294967295 EXISTS", x) for x in super().select_lines(link, folder)]


class Lines(Peer):
    """What SELECT says, as a test bends it."""

    bends = ()

    def select_lines(self, link, folder):
        out = []
        for line in super().select_lines(link, folder):
            for old, new in self.bends:
                line = re.sub(old, new, line)
            if line:
                out.append(line)
        return out


class VanishedAll(Peer):
    """All is gone, says a server where all is there."""

    def vanished_earlier(self, link, uids, since):
        link.star("VANISHED (EARLIER) 1:4294967295")


class VanishedSome(Peer):
    def vanished_earlier(self, link, uids, since):
        link.star("VANISHED (EARLIER) 2,5:6")


class EmptySearch(Peer):
    def found(self, link, tag, uids, extended):
        super().found(link, tag, [], extended)


class WrongStatus(Peer):
    numbers = {}

    def status_numbers(self, link, folder):
        return {**super().status_numbers(link, folder), **self.numbers}


class ReversedEnds(Peer):
    """Answers the FETCH before the SELECT that it follows."""

    def open(self, link, tag, args, writes):
        got = self.command(link)
        super().open(link, got[0], args, writes)
        self.obey(link, tag, got[1])


class EndsTwice(Peer):
    def uid_fetch(self, link, tag, args):
        super().uid_fetch(link, tag, args)
        link.ok(tag, "again")


class BadChangedSince(Peer):
    """Announces QRESYNC, enables it, and knows nothing of it."""

    def uid_fetch(self, link, tag, args):
        if len(args) > 2:
            raise Refused("BAD what is CHANGEDSINCE?")
        super().uid_fetch(link, tag, args)


class BadEnable(Peer):
    def enable(self, link, tag, args):
        raise Refused("BAD what?")


class SilentEnable(Peer):
    """OK, but nothing was enabled."""

    def enable(self, link, tag, args):
        link.ok(tag)


class CondstoreWithoutModseq(Looks):
    less = {"QRESYNC"}

    def bend(self, link, m, row):
        return re.sub(r" MODSEQ \(\d+\)", "", row)

    def select_lines(self, link, folder):
        return [x for x in super().select_lines(link, folder) if "MODSEQ" not in x]


FOLDER = ["INBOX"]
LOOKS = [
    # what is wrong; capabilities; exit codes; words
    (NoUid, "all", (76,), FOLDER), (NoUid, "bare", (76,), FOLDER), (UidLast, "all", (0,), []), (RowsTwice, "all", (0,), []), (RowsTwice, "bare", (0,), []),
    (Descending, "all", (0,), []), (Descending, "bare", (0,), []), (AboveUidnext, "bare", (76,), FOLDER), (Strangers, "all", (0, 1), []),
    (Strangers, "bare", (0, 1), []), (Storm, "all", (0, 1, 76), []), (Storm, "bare", (0, 1, 76), []), (FewerThanExists, "bare", (76,), FOLDER + ["says that there are"]),
    (FewerThanExists, "no QRESYNC", (76,), FOLDER), (ListsNothing, "bare", (76,), FOLDER), (ListsNothing, "no QRESYNC", (76,), FOLDER),
    (MoreExists, "bare", (76,), FOLDER), (MoreExists, "no QRESYNC", (76,), FOLDER), (VanishedAll, "all", (76,), FOLDER), (VanishedSome, "all", (76,), FOLDER),
    (EmptySearch, "no QRESYNC", (76,), FOLDER), (ReversedEnds, "all", (76,), []), (ReversedEnds, "bare", (76,), []), (EndsTwice, "all", (76,), []),
    (BadChangedSince, "all", (1, 76), FOLDER), (BadChangedSince, "no QRESYNC", (1, 76), FOLDER), (BadEnable, "all", (0,), []), (SilentEnable, "all", (0,), []),
    (CondstoreWithoutModseq, "no QRESYNC", (0,), []),
]


@pytest.mark.parametrize("peer,less,codes,words", LOOKS, ids=lambda x: getattr(x, "__name__", None) if isinstance(x, type) else None)
def test_a_look_that_lies(tmp_path, peer, less, codes, words):
    """Nothing that a server says of a folder makes this side delete what is there."""
    srv, h, want = lively(tmp_path, less=CAPS[less])
    with srv:
        before = h.local.state()
        srv.__class__ = peer
        srv.less |= peer.less
        r = clean(h.run("both"))
        assert r.code in codes or (r.code == 1 and 76 in codes), repr(r)[:3000]
        if 0 not in codes:
            says(r, r.code, *words)
            assert set(before["INBOX"]) <= set(h.local.state()["INBOX"])
        srv.less -= peer.less
        recover(h, want)


SELECTS = [
    ([(r"^OK \[UIDVALIDITY.*", "")], 1, ["UIDVALIDITY"]), ([(r"UIDVALIDITY \d+", "UIDVALIDITY 0")], 1, ["UIDVALIDITY"]),
    ([(r"UIDVALIDITY \d+", "UIDVALIDITY 4294967296")], 1, ["UIDVALIDITY"]), ([(r"UIDVALIDITY \d+", "UIDVALIDITY -7")], 1, ["UIDVALIDITY"]),
    ([(r"UIDVALIDITY \d+", "UIDVALIDITY 7")], 1, ["renumbered"]), ([(r"^\d+ EXISTS", "")], 1, ["how many messages"]),
    ([(r"UIDNEXT \d+", "UIDNEXT 1")], 1, ["lists 0"]), ([(r"UIDNEXT \d+", "UIDNEXT 0")], 0, []),
    ([(r"^OK \[UIDNEXT.*", "")], 0, []), ([(r"HIGHESTMODSEQ \d+", "HIGHESTMODSEQ 1")], 0, []), ([(r"HIGHESTMODSEQ \d+", "HIGHESTMODSEQ 0")], 0, []),
    ([(r"HIGHESTMODSEQ \d+", "HIGHESTMODSEQ 9223372036854775808")], 0, []), ([(r"HIGHESTMODSEQ \d+", "HIGHESTMODSEQ 18446744073709551616")], 0, []),
    ([(r"^OK \[HIGHESTMODSEQ.*", "OK [NOMODSEQ] none")], 0, []), ([(r"^OK \[PERMANENTFLAGS.*", "")], 0, []), ([(r"^FLAGS.*", "")], 0, []),
]


@pytest.mark.parametrize("less", ["all", "no QRESYNC", "bare"])
@pytest.mark.parametrize("bends,code,words", SELECTS, ids=lambda x: x[0][1] or x[0][0] if isinstance(x, list) and x and isinstance(x[0], tuple) else None)
def test_a_select_that_lies(tmp_path, bends, code, words, less):
    srv, h, want = lively(tmp_path, less=CAPS[less])
    with srv:
        srv.__class__ = Lines
        srv.bends = bends
        r = clean(h.run("both"))
        assert r.code == code, r
        if code:
            says(r, code, "INBOX", *words)
            assert actions(r) == []
        recover(h, want)


STATUSES = [{"MESSAGES": 0}, {"MESSAGES": 4294967295}, {"UIDNEXT": 1}, {"UIDNEXT": 4294967295}, {"HIGHESTMODSEQ": 1}, {"HIGHESTMODSEQ": 1 << 63}, {"UIDVALIDITY": 5},
            {"UIDVALIDITY": 0}, {"MESSAGES": "()"}, {"MESSAGES": "NIL"}]


@pytest.mark.parametrize("less", ["all", "no QRESYNC"])
@pytest.mark.parametrize("numbers", STATUSES, ids=lambda x: "%s=%s" % list(x.items())[0])
def test_a_status_that_lies(tmp_path, numbers, less):
    """What is done goes by what SELECT says."""
    srv, h, want = lively(tmp_path, less=CAPS[less])
    with srv:
        srv.__class__ = WrongStatus
        srv.numbers = numbers
        assert clean(h.run("both")).code == 0
        recover(h, want)


def test_a_status_that_says_that_nothing_changed(tmp_path):
    """The change waits, and what is local is not lost by it."""
    srv, h, want = lively(tmp_path)
    with srv:
        old = Peer.status_numbers(srv, None, srv.inbox())
        srv.__class__ = WrongStatus
        srv.numbers = {"MESSAGES": 6, "UIDNEXT": 7, "HIGHESTMODSEQ": 7, "UIDVALIDITY": old["UIDVALIDITY"]}
        assert clean(h.run("both")).code == 0
        recover(h, want)


# Bodies

class Bodies(Peer):
    """Bodies as a test bends them: what comes for each message."""

    def give(self, link, m, head, data, tail):
        link.send(self.whole(link, m, head, data, tail))

    def whole(self, link, m, head, data, tail):
        return head + data + tail


class UidBehind(Bodies):
    def whole(self, link, m, head, data, tail):
        return re.sub(rb"UID \d+ ", b"", head) + data + b" UID %d" % m.uid + tail


class NoUidAtAll(Bodies):
    def whole(self, link, m, head, data, tail):
        return re.sub(rb"UID \d+ ", b"", head) + data + tail


class OtherUid(Bodies):
    """Bodies of messages that nobody asked for, before each that was."""

    def whole(self, link, m, head, data, tail):
        return re.sub(rb"UID (\d+)", rb"UID 4\1", head) + data + tail + head + data + tail


class BodyTwice(Bodies):
    def whole(self, link, m, head, data, tail):
        return (head + data + tail) * 2


class TwoUids(Bodies):
    """One UID before the body, another behind it."""

    def whole(self, link, m, head, data, tail):
        return head + data + b" UID 12345" + tail


class OneNil(Bodies):
    def whole(self, link, m, head, data, tail):
        return head + data + tail if m.uid != 7 else b"* 6 FETCH (UID 7 BODY[] NIL)\r\n"


class OneEmpty(Bodies):
    def whole(self, link, m, head, data, tail):
        return head + data + tail if m.uid != 7 else b'* 6 FETCH (UID 7 BODY[] "")\r\n'


class OneMissing(Bodies):
    def whole(self, link, m, head, data, tail):
        return head + data + tail if m.uid != 7 else b""


class OneBare(Bodies):
    def whole(self, link, m, head, data, tail):
        return head + data + tail if m.uid != 7 else b"* 6 FETCH (UID 7 FLAGS ())\r\n"


class OneRefused(Peer):
    def uid_fetch(self, link, tag, args):
        if "BODY" in str(args) and 7 in [m.uid for m in self.chosen(link, args[0])]:
            raise Refused("NO [SERVERBUG] this one is damaged " + ESCAPES)
        super().uid_fetch(link, tag, args)


class StormInBodies(Bodies):
    def whole(self, link, m, head, data, tail):
        return b"* 1 EXPUNGE\r\n* VANISHED 1:4294967295\r\n* 1 FETCH (FLAGS (\\Deleted))\r\n* 0 EXISTS\r\n" + head + data + tail + b"* 3 EXPUNGE\r\n"


class SizesLie(Peer):
    lie = 0

    def size(self, m):
        return self.lie


class PartsOnly(Bodies):
    def whole(self, link, m, head, data, tail):
        return head.replace(b"BODY[]", b"BODY[TEXT]") + data + tail + head.replace(b"BODY[]", b"BODY[]<0>") + data + tail + head + data + tail


class LongerThanSaid(Bodies):
    """The literal is longer than its number says: what is behind it is no IMAP."""

    def whole(self, link, m, head, data, tail):
        return re.sub(rb"\{(\d+)\}", lambda x: b"{%d}" % (int(x.group(1)) - 5), head) + data + tail


class ShorterThanSaid(Bodies):
    def whole(self, link, m, head, data, tail):
        return re.sub(rb"\{(\d+)\}", lambda x: b"{%d}" % (int(x.group(1)) + 5), head) + data + tail


BODIES = [(UidBehind, (0,), []), (NoUidAtAll, (0,), []), (OtherUid, (0,), []), (BodyTwice, (0,), []), (TwoUids, (76,), ["UID"]), (OneNil, (1,), ["message 7", "no content"]),
          (OneEmpty, (1,), ["message 7", "nothing"]), (OneMissing, (0,), []), (OneBare, (1,), ["message 7", "no content"]), (OneRefused, (1,), ["message 7", "damaged"]),
          (StormInBodies, (0,), []), (PartsOnly, (0,), []), (LongerThanSaid, (76,), ["message 7", "not be as long"]), (ShorterThanSaid, (75, 76), ["message 7"])]


@pytest.mark.parametrize("less", ["all", "bare"])
@pytest.mark.parametrize("peer,codes,words", BODIES)
def test_bodies_that_lie(tmp_path, peer, codes, words, less):
    """Each message comes whole and under its own name, or not at all."""
    srv, h, want = lively(tmp_path, less=CAPS[less])
    with srv:
        srv.__class__ = peer
        r = clean(h.run("both"))
        assert r.code in codes, r
        if r.code:
            says(r, r.code, *words)
        assert set(b for b, _ in h.local.state()["INBOX"]) <= set(letters(6) + letters(2, 20) + letters(2, 30))
        recover(h, want)


@pytest.mark.parametrize("lie", ["0", "1", "4294967296", "9223372036854775807", "99999999999999999999999", "-5", "NIL"])
@pytest.mark.parametrize("job", ["", "max-size = 100M"], ids=["plain", "max-size"])
def test_sizes_that_lie(tmp_path, lie, job):
    srv, h, want = lively(tmp_path, job=job)
    with srv:
        srv.__class__ = SizesLie
        srv.lie = lie
        r = clean(h.run("both"))
        assert r.code == 0, r
        if job and lie in ("4294967296", "9223372036854775807"):
            assert r.end["skipped"] == 2, r     # they count as too large
            return nothing_lost(h, want)
        recover(h, want)


@pytest.mark.parametrize("wire,local", [
    (b"A: b\r\n\r\nx\ny\r\n", b"A: b\r\n\r\nx\ny\r\n"), (b"A: b\r\n\r\nx\ry\r\n", b"A: b\n\nx\ry\n"), (b"A: b\r\n\r\nno end", b"A: b\n\nno end"),
    (b"A: b\r\n\r\n\0\x80\xff\0\r\n", b"A: b\n\n\0\x80\xff\0\n"), (b"A: b\r\n\r\n" + b"x" * 3000000 + b"\r\n", b"A: b\n\n" + b"x" * 3000000 + b"\n"),
    (b")\r\nA7 OK done\r\n* 1 EXPUNGE\r\n", b")\nA7 OK done\n* 1 EXPUNGE\n"), (b"\r\n", b"\n"), (b"x", b"x"), (b"{4294967295}\r\n", b"{4294967295}\n"),
], ids=["bare LF", "lone CR", "no end", "NUL", "3MB line", "protocol", "blank", "one byte", "literal"])
@pytest.mark.parametrize("eight", [False, True], ids=["literal", "literal8"])
def test_bodies_are_what_they_are(tmp_path, wire, local, eight):
    class Raw(Bodies):
        def whole(self, link, m, head, data, tail):
            return re.sub(rb"\{\d+\}", b"%s{%d}" % (b"~" * eight, len(wire)), head) + wire + tail

    with Raw({"INBOX": [b"x\n"]}) as srv:
        h = Job(tmp_path, srv)
        assert clean(h.run("both")).code == 0
        assert h.local.bodies() == [local]
        assert actions(clean(h.run("both"))) == []


# What is asked of the server

class AppendOne(Peer):
    """Takes all messages but one."""

    answer = ""

    def append(self, link, tag, args):
        if b"letter 30" in args[-1]:
            raise Refused(self.answer)
        super().append(link, tag, args)


@pytest.mark.parametrize("less", ["all", "bare"])
@pytest.mark.parametrize("answer,code,pause", [
    ("NO [TOOBIG] Message too large", 1, False), ("NO no", 1, False), ("BAD Command Argument Error. 11", 1, False), ("NO [CANNOT] bare newline" + ESCAPES, 1, False),
    ("NO [LIMIT] too many keywords", 1, False), ("NO [OVERQUOTA] the mailbox is full", 75, True), ("NO [UNAVAILABLE] later", 75, True),
    ("BAD Request is throttled. Suggested Backoff Time: 5000 milliseconds", 75, True), ("NO [SERVERBUG] oops", 1, False), ("NO [TRYCREATE] it is gone", 1, False),
    ("NO [ALERT] your quota is at 99% " + ESCAPES, 1, False), ("NO [NOPERM] you may not", 1, False),
])
def test_an_append_that_is_refused(tmp_path, answer, code, pause, less):
    """One message is one failure; and a pause that is asked for is kept."""
    srv, h, want = lively(tmp_path, less=CAPS[less])
    with srv:
        srv.__class__ = AppendOne
        srv.answer = answer
        r = says(h.run("both"), code, re.sub(r"^(NO|BAD) |\x1b.*$", "", answer)[:30])
        logins = len(srv.commands("AUTHENTICATE") + srv.commands("LOGIN"))
        again = clean(h.run())
        if pause:
            says(again, 75, "pause of another")
            assert len(srv.commands("AUTHENTICATE") + srv.commands("LOGIN")) == logins
        else:
            # these two are said of the folder, not of the message
            folder = answer.startswith(("NO [TRYCREATE]", "NO [NOPERM]"))
            assert r.end["failed"] == 1 and r.end["pushed"] == (not folder), r
            failures = h.call("--json", "status").of("status")[0]["failures"]
            assert [(f["folder"], f["from"]) for f in failures] == [("INBOX", "local")] * (not folder), failures
            assert actions(again) == []
        recover(h, want)


@pytest.mark.parametrize("what,code", [("NO [OVERQUOTA] full", 75), ("NO no", 1), ("BAD what?", 1), ("NO [NOPERM] not you", 1), ("NO [INUSE] locked", 1), ("NO [UNAVAILABLE] later", 75)])
@pytest.mark.parametrize("verb", ["uid_store", "uid_expunge", "select", "create"])
def test_a_command_that_is_refused(tmp_path, verb, what, code):
    def refuse(self, link, tag, args):
        raise Refused(what + ESCAPES)

    srv, h, want = lively(tmp_path)
    with srv:
        if verb == "create":
            h.local.deliver(letters(1, 70)[0], "New", flags="S")
            want["New"] = rows(letters(1, 70))
        srv.__class__ = type("Refuses", (Peer,), {verb: refuse})
        r = clean(h.run("both"))
        assert r.code == code or (r.code in (1, 75) and "INUSE" in what), r
        says(r, r.code, re.sub(r"^(NO|BAD) (\[.*\] )?", "", what))
        recover(h, want)


class Lags(Peer):
    """Says OK to what it does not do."""

    def uid_store(self, link, tag, args):
        link.ok(tag)

    def uid_expunge(self, link, tag, args):
        link.ok(tag)


def test_a_server_that_only_says_that_it_did_it(tmp_path):
    """What it kept is there still, and comes back: nothing is lost by it."""
    srv, h, want = lively(tmp_path)
    with srv:
        srv.__class__ = Lags
        assert clean(h.run("both")).code == 0
        nothing_lost(h, want)
        srv.behave()
        assert clean(h.run("both")).code == 0
        nothing_lost(h, want)


class Inflated(Peer):
    """UIDNEXT is far beyond what it gives."""

    def status_numbers(self, link, folder):
        return {**super().status_numbers(link, folder), "UIDNEXT": folder.uidnext + 400000}

    def select_lines(self, link, folder):
        return [re.sub(r"UIDNEXT (\d+)", lambda m: "UIDNEXT %d" % (int(m.group(1)) + 400000), x) for x in super().select_lines(link, folder)]


@pytest.mark.parametrize("less", ["no QRESYNC", "no CONDSTORE", "bare"])
def test_a_uidnext_that_is_too_high(tmp_path, less):
    """New messages come below it, and so do those that we bring there."""
    with Inflated({"INBOX": letters(6), "Work": letters(2, 100)}) as srv:
        srv.less = CAPS[less]
        h = Job(tmp_path, srv)
        assert clean(h.run("both")).code == 0
        want = change(srv, h)
        assert clean(h.run("both")).code == 0
        h.same()
        assert h.local.state()["INBOX"] == want["INBOX"]
        h.quiet()


# Where a message went

class AppendUid(Peer):
    """What is said of a message that was added, as a test says."""

    code = ""

    def appended(self, link, tag, folder, uids):
        link.ok(tag, self.code % {"validity": folder.validity, "uids": imappeer.uid_set(uids), "first": uids[0]} + "done")


@pytest.mark.parametrize("code", [
    "", "[APPENDUID %(validity)d 1] ", "[APPENDUID 7 %(uids)s] ", "[APPENDUID %(validity)d 1:4294967295] ", "[APPENDUID %(validity)d 4294967295] ",
    "[APPENDUID %(validity)d %(uids)s,%(first)d] ", "[APPENDUID %(validity)d] ", "[APPENDUID x y] ", "[APPENDUID 0 0] ", "[APPENDUID %(validity)d *] ",
    "[COPYUID %(validity)d 1:3 %(uids)s] ", "[TOOBIG] ", "[" + "(" * 1000 + "] ", "[APPENDUID %(validity)d 5000] ",
], ids=["none", "old", "validity", "all", "highest", "two", "short", "letters", "zero", "star", "COPYUID", "other", "nested", "strange"])
@pytest.mark.parametrize("less", ["all", "bare"])
def test_an_appenduid_that_lies(tmp_path, code, less):
    """The pair is made with the message that was added, or with none; never with another's."""
    srv, h, want = lively(tmp_path, less=CAPS[less])
    with srv:
        srv.__class__ = AppendUid
        srv.code = code
        r = clean(h.run("both"))
        assert r.code in (0, 1), r
        srv.behave()
        forget_pauses(h)
        clean(h.run("both"))
        clean(h.run("both"))
        if code.endswith((" 5000] ", " 4294967295] ")) and less == "all":
            # a UID that may well be is believed
            assert set(srv.inbox().bodies()) == set(h.local.bodies()) == {m for m, _ in want["INBOX"]}
            return
        recover(h, want)
        # what is deleted here is that very message there
        h.local.delete("INBOX", letters(1, 30)[0])
        assert clean(h.run("both")).code == 0
        h.same()
        assert letters(1, 30)[0] not in srv.inbox().bodies() and len(srv.inbox().messages) == len(want["INBOX"]) - 1


class Talkative(Peer):
    """Has much to say of each message that is added, and takes no more before it was heard."""

    caps = Peer.caps + ["MULTIAPPEND"]

    def appended(self, link, tag, folder, uids):
        link.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
        super().appended(link, tag, folder, uids)
        for i in range(len(uids)):
            link.star("OK " + "so it is " * 200)


def test_a_server_that_must_be_heard(tmp_path):
    """While we write many messages, what it says must not pile up until nobody reads."""
    srv = Talkative()
    with srv:
        h = Job(tmp_path, srv)
        for i in range(1600):
            h.local.deliver(b"Message-ID: <%d@x>\n\n" % i + (b"%d and so on " % i * 700))
        r = clean(h.run("both"))
        assert r.code == 0 and r.end["pushed"] == 1600 and not r.of("warning"), r
        assert len(srv.inbox().messages) == 1600 and len(srv.commands("APPEND")) < 30


class EarlyOk(Peer):
    """OK before the message was sent."""

    def literal(self, link, tag, size, plus):
        raise Refused("OK [APPENDUID 1000 77] have it already")


class EarlyOkAndMutters(EarlyOk):
    """And says of no line of it whose it is."""

    def unknown(self, link, tag, verb):
        link.star("BAD what is that?")


class LiteralPlusRefused(Peer):
    """Announces LITERAL+, but takes what follows for commands."""

    def literal(self, link, tag, size, plus):
        raise Refused("BAD no such literal")


class TakesOnlyThePlus(Peer):
    """Asks for a message, and hangs up with it half read."""

    def literal(self, link, tag, size, plus):
        if not plus:
            link.line("+ go on")
        link.take(size // 2)
        raise Hangup


class StoresTwice(Peer):
    """Keeps what was sent, and breaks off before it says so."""

    def appended(self, link, tag, folder, uids):
        raise Hangup


class ManyPluses(Peer):
    def literal(self, link, tag, size, plus):
        link.send(b"+ a\r\n+ b\r\n+ c\r\n")
        return link.take(size)


@pytest.mark.parametrize("less", ["all", "bare"])
@pytest.mark.parametrize("peer,codes", [(EarlyOk, (1, 76)), (LiteralPlusRefused, (1, 76, 75)), (TakesOnlyThePlus, (1, 75)), (StoresTwice, (0, 1, 75)), (ManyPluses, (0,))])
def test_an_append_that_goes_wrong(tmp_path, peer, codes, less):
    srv, h, want = lively(tmp_path, less=CAPS[less])
    with srv:
        srv.__class__ = peer
        r = clean(h.run("both"))
        assert r.code in codes, r
        if peer is EarlyOk and less == "bare":
            says(r, 76, "only the beginning")
        clean(h.run("both"))
        recover(h, want)


@pytest.mark.parametrize("peer", [EarlyOk, EarlyOkAndMutters])
def test_an_ok_that_comes_too_early_for_one(tmp_path, peer):
    """With no other message behind it whose answer would show that it made no sense."""
    srv = Peer({"INBOX": letters(6)})
    with srv:
        h = Job(tmp_path, srv)
        assert clean(h.run("both")).code == 0
        h.local.deliver(letters(1, 30)[0], flags="S")
        srv.__class__ = peer
        r = clean(h.run("both"))
        assert r.code in (1, 76), r
        clean(h.run("both"))
        recover(h, {"INBOX": rows(letters(6)) + rows(letters(1, 30))})


# Many at once: while a group is on its way, the next is sent behind it

class Many(Peer):
    caps = Peer.caps + ["MULTIAPPEND"]


def many(directory, n, peer=Many, less=()):
    """(server, job, what both hold in the end): messages to be sent, more than go in one group; among them some twins."""
    srv = peer({"INBOX": letters(3)})
    srv.less = set(less)
    h = Job(directory, srv)
    assert clean(h.run("both")).code == 0
    new = letters(n, 30)
    for m in new:
        h.local.deliver(m, flags="S")
    return srv, h, {"INBOX": rows(letters(3)) + rows(new)}


def steps(h):
    """Where a run stops that ends before its n-th step, but for those that read a message."""
    r = h.call("-vv", "run", "both")
    return [int(n) for n, what in re.findall(r"step (\d+): (.*)", r.err + r.out) if what != "stage"]


@pytest.mark.parametrize("less", ["all", "no UIDPLUS"])
@pytest.mark.deadline(120)
def test_groups_on_their_way_are_stopped(tmp_path, less):
    """Before each step: none of both groups is lost, or comes twice."""
    srv, h, want = many(tmp_path / "a", 600, less=CAPS[less])
    with srv:
        at = steps(h)
        h.same()
    assert len(at) >= 8
    for step in at:
        srv, h, want = many(tmp_path / str(step), 600, less=CAPS[less])
        with srv:
            assert h.call("run", "both", env={"MAILHAUL_STOP_AT": str(step)}).code != 0
            nothing_lost(h, want)
            assert clean(h.run("both")).code == 0
            h.same()
            assert {f: rows for f, rows in h.local.state().items() if rows} == {f: sorted(rows) for f, rows in want.items()}
            h.quiet()


class ManyBreak(Many, Breaks):
    pass


@pytest.mark.parametrize("how,links", [("bye", 2), ("close", 2), ("close", 1000)])
@pytest.mark.parametrize("at,nth", [("append", 1), ("append", 3), ("append", 4), ("append", 6), ("noop", 2), ("noop", 3), ("literal", 250), ("literal", 300), ("literal", 599)])
@pytest.mark.deadline(120)
def test_groups_on_their_way_are_cut_off(tmp_path, at, nth, how, links):
    srv, h, want = many(tmp_path, 600, ManyBreak)
    with srv:
        srv.at, srv.how, srv.nth, srv.links = at, how, nth, links
        r = clean(h.run("both"))
        assert r.code in (0, 1, 75), r
        recover(h, want)


class ManyEarlyOk(Many):
    """OK before the messages were sent, as the n-th APPEND."""

    nth, came = 1, 0

    def literal(self, link, tag, size, plus):
        if getattr(link, "appending", None) != tag:
            link.appending = tag
            self.came += 1
        if self.came == self.nth:
            raise Refused("OK [APPENDUID 1000 77] have it already")
        return super().literal(link, tag, size, plus)


@pytest.mark.parametrize("nth", [1, 3, 4, 6])
def test_an_ok_that_comes_too_early_for_many(tmp_path, nth):
    srv, h, want = many(tmp_path, 600, ManyEarlyOk)
    with srv:
        srv.nth = nth
        r = clean(h.run("both"))
        assert r.code in (0, 1, 75, 76), r
        clean(h.run("both"))
        recover(h, want)


class CopyUid(Peer):
    def uid_copy(self, link, tag, args):
        self.copy(link, args)
        link.ok(tag, "[COPYUID 4294967296 1:99999 0] copied")

    def uid_move(self, link, tag, args):
        found, _ = self.copy(link, args)
        link.star("OK [COPYUID 5 7,8,9 1] moved")
        self.expunge_these(link, tag, [m.uid for m in found])


@pytest.mark.parametrize("less", ["all", "bare"])
def test_a_copyuid_that_lies(tmp_path, less):
    with CopyUid({"INBOX": letters(6), "Bin": []}) as srv:
        srv.less = CAPS[less]
        h = Job(tmp_path, srv, job='trash = Bin')
        assert clean(h.run("both")).code == 0
        h.local.delete("INBOX", letters(1, 4)[0])
        assert clean(h.run("both")).code == 0
        assert srv.folders["Bin"].bodies() == letters(1, 4) and letters(1, 4)[0] not in srv.inbox().bodies()
        h.settle()
        h.same()


@pytest.mark.parametrize("deleted", [True, False])
def test_what_others_marked_is_not_expunged(tmp_path, deleted):
    """Without UIDPLUS there is only an EXPUNGE of all."""
    srv, h, _ = lively(tmp_path, less=CAPS["no UIDPLUS"])
    with srv:
        inbox = srv.inbox()
        if deleted:
            inbox.flag(inbox.find(6), {"\\Seen", "\\Deleted"})
        r = clean(h.run("both"))
        assert r.code == deleted, r
        assert (inbox.find(6) is not None) and (inbox.find(4) is not None) == deleted
        assert bool(srv.commands("EXPUNGE")) != deleted
        if deleted:
            says(r, 1, "INBOX", "UIDPLUS", "marked")
            inbox.flag(inbox.find(6), {"\\Seen"})
            assert clean(h.run("both")).code == 0
        h.settle()
        h.same()
        assert letters(1, 4)[0] not in inbox.bodies() and letters(1, 6)[0] in inbox.bodies()


class MarksMeanwhile(Peer):
    """Another client marks a message between our mark and our EXPUNGE."""

    def uid_store(self, link, tag, args):
        super().uid_store(link, tag, args)
        if "\\Deleted" in str(args[2]):
            link.folder.flag(link.folder.find(6), {"\\Seen", "\\Deleted"})


@pytest.mark.parametrize("less", ["all", "no UIDPLUS"])
def test_what_others_mark_meanwhile_is_not_expunged(tmp_path, less):
    srv, h, want = lively(tmp_path, less=CAPS[less])
    with srv:
        srv.__class__ = MarksMeanwhile
        r = clean(h.run("both"))
        assert srv.inbox().find(6) is not None
        assert r.code == (0 if less == "all" else 1), r
        if less != "all":
            says(r, 1, "INBOX", "somebody else marked", "UIDPLUS")
        srv.inbox().flag(srv.inbox().find(6), {"\\Seen"})
        recover(h, want)


@pytest.mark.parametrize("permanent", ["", "\\Seen", "\\*", None])
def test_flags_that_are_not_kept(tmp_path, permanent):
    srv, h, want = lively(tmp_path)
    with srv:
        srv.permanent = permanent
        r = clean(h.run("both"))
        assert r.code == 0, r
        nothing_lost(h, want)
        assert {m for m, _ in h.local.state()["INBOX"]} == {m for m, _ in want["INBOX"]} | ({letters(1, 4)[0]} if letters(1, 4)[0] in h.local.bodies() else set())
        clean(h.run("both"))
        assert actions(clean(h.run("both"))) == []


def test_a_folder_that_can_only_be_read(tmp_path):
    """It is pulled from, and nothing is sent; nor is anything undone here."""
    srv, h, want = lively(tmp_path)
    with srv:
        srv.inbox().read_only = True
        r = clean(h.run("both"))
        assert r.code in (0, 1), r
        assert not srv.commands("APPEND") and not srv.commands("UID STORE") and not srv.commands("UID EXPUNGE")
        assert {m for m, _ in h.local.state()["INBOX"]} >= {m for m, _ in want["INBOX"]} - {letters(1, 4)[0]}
        srv.inbox().read_only = False
        recover(h, want)


# Compression

class Inflating(Peer):
    """Compresses as it should, over a link over which bodies come so slowly that it is asked to."""

    caps = Peer.caps + ["COMPRESS=DEFLATE"]

    def stage(self, link, where):
        if where == "body" and not link.deflate:
            time.sleep(0.0015)


class Bomb(Inflating):
    """A few kilobytes that become gigabytes."""

    def compress(self, link, tag, args):
        link.ok(tag, "compressed")
        deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
        bomb = deflate.compress(b"* OK ") + deflate.flush(zlib.Z_FULL_FLUSH)
        block = deflate.compress(b"A" * (4 << 20)) + deflate.flush(zlib.Z_FULL_FLUSH)
        link.raw(bomb + block * 1000)
        link.hang()


class BombOfLines(Bomb):
    """And each line of it is short."""

    def compress(self, link, tag, args):
        link.ok(tag, "compressed")
        deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
        link.raw((deflate.compress(b"* OK still here\r\n" * (1 << 18)) + deflate.flush(zlib.Z_FULL_FLUSH)) * 1000)
        link.hang()


class NotDeflate(Inflating):
    def compress(self, link, tag, args):
        link.ok(tag, "compressed")
        link.raw(b"* OK this is plain text\r\n" * 100)
        link.hang()


class CompressInjected(Inflating):
    def compress(self, link, tag, args):
        link.raw(b"%s OK done\r\n* OK and more in clear\r\n" % tag.encode())
        link.hang()


class CompressRefused(Inflating):
    def compress(self, link, tag, args):
        raise Refused("NO [COMPRESSIONACTIVE] no")


class CompressCut(Inflating):
    def compress(self, link, tag, args):
        link.ok(tag, "compressed")
        raise Hangup


@pytest.mark.parametrize("peer,code,words", [(Inflating, 0, []), (CompressRefused, 0, []), (Bomb, 76, ["response of more than"]), pytest.param(BombOfLines, 76, ["MB without answering"], marks=pytest.mark.long), (NotDeflate, 76, ["compress"]),
                                             (CompressInjected, 76, ["COMPRESS", "not compressed"]), (CompressCut, 0, [])])
def test_compression(tmp_path, peer, code, words):
    want = [b"Subject: %d\n\n" % i + b"%06x " % (i * 7919) * 1200 + b"\n" for i in range(860)]
    with peer({"INBOX": want}) as srv:
        h = Job(tmp_path, srv)
        r, used = measured(h, "both")
        assert srv.commands("COMPRESS") and used["rss"] < 64 * 1024 * 1024, (used, r)
        assert r.code == code, r
        if code:
            says(r, code, *words)
            assert r.end["failed"] == 0
        recover(h, {"INBOX": rows(want)})


# What is shown

class Escapes(Peer):
    """Says it everywhere."""

    greeting_text = ESCAPES
    caps = Peer.caps + ["X-" + ESCAPES.replace("\x07", "").replace("\x7f", "").replace("\x08", "").replace("\x1b", "")]

    def id(self, link, tag, args):
        link.send(('* ID ("name" {%d}\r\n%s "version" {3}\r\n\x1b[m)\r\n' % (len(ESCAPES.encode()), ESCAPES)).encode())
        link.ok(tag, ESCAPES)

    def list_rows(self, link, verb, extended):
        super().list_rows(link, verb, extended)
        self.list_row(link, verb, ["\\X" + "\u202e"], b"{8}\r\n\x1b]0;own\x07")
        link.star("OK [ALERT] read this " + ESCAPES)

    def uid_store(self, link, tag, args):
        raise Refused("NO " + ESCAPES)


class EscapesAtLogin(Escapes):
    def let_in(self, link, tag, user, password):
        raise Refused("NO [AUTHENTICATIONFAILED] " + ESCAPES)


class EscapesForWords(Escapes):
    def namespace(self, link, tag, args):
        link.send(ESCAPES.encode() + b"\r\n")


@pytest.mark.parametrize("peer", [Escapes, EscapesAtLogin, EscapesForWords])
@pytest.mark.parametrize("args", [["run"], ["-v", "run"], ["-vv", "run"], ["--json", "run"], ["info", "work"], ["-vv", "info", "work"], ["list", "work"], ["list", "both"],
                                  ["check", "--connect"], ["run", "--dry-run"]], ids=" ".join)
def test_nothing_reaches_the_terminal_raw(tmp_path, peer, args):
    srv, h, _ = lively(tmp_path)
    with srv:
        srv.__class__ = peer
        clean(h.call(*args))
        clean(h.call("status"))


@pytest.mark.parametrize("args", [["-vv", "run"], ["--json", "-vv", "run"], ["-vv", "check", "--connect"]], ids=" ".join)
@pytest.mark.parametrize("less", ["all", "bare", "no SASL-IR"])
@pytest.mark.parametrize("peer", [Peer, Login])
def test_the_trace_shows_no_secret(tmp_path, peer, less, args):
    with peer({"INBOX": letters(1)}) as srv:
        srv.answer = "NO no"
        srv.secret = "Hunter2-xyzzy"
        srv.less = {"SASL-IR"} if less == "no SASL-IR" else CAPS[less]
        h = Job(tmp_path, srv)
        h.write_private(h.secret, srv.secret + "\n")
        r = clean(h.call(*args))
        plain = base64.b64encode(b"\0anna\0Hunter2-xyzzy").decode()
        assert "Hunter2" not in r.out + r.err and plain[:12] not in r.out + r.err and plain[-12:] not in r.out + r.err
        assert "LIST" in r.err or peer is Login or "--json" in args or "check" in args


class Repeats(Peer):
    """Says to everybody what it was told."""

    def let_in(self, link, tag, user, password):
        told = "%s is not %s" % (base64.b64encode(b"\0%s\0%s" % (user.encode(), password.encode())).decode(), password)
        link.star("NO [ALERT] " + told)
        if "BYE" in self.answer:
            link.star("BYE " + told)
            raise Hangup
        link.send(self.answer.replace("TAG", tag).encode() + told.encode() + b"\r\n")


@pytest.mark.parametrize("answer", ["TAG NO [AUTHENTICATIONFAILED] ", "TAG BAD ", "BYE", "", "X", "+ "], ids=repr)
@pytest.mark.parametrize("less", ["all", "bare"])
def test_a_server_that_repeats_the_password(tmp_path, less, answer):
    with Repeats({"INBOX": letters(1)}) as srv:
        srv.secret, srv.answer, srv.less = "Hunter2-xyzzy", answer, CAPS[less]
        h = Job(tmp_path, srv)
        h.write_private(h.secret, srv.secret + "\n")
        code = base64.b64encode(b"\0anna\0Hunter2-xyzzy").decode()
        for args in [["run"], ["--json", "run"], ["-vv", "run"], ["status"], ["check", "--connect"], ["-vv", "info", "work"]]:
            forget_pauses(h)
            r = clean(h.call(*args))
            assert r.code != 0 or args == ["status"]
            assert not any(s in r.out + r.err for s in ("Hunter", "xyzzy", code[:12], code[-12:])), r
        with open(h.db, "rb") as f:
            assert b"Hunter" not in f.read()


class CutsTls(Peer):
    """Breaks off in a body as somebody on the way would: without TLS's goodbye."""

    def stage(self, link, where):
        if where == "body":
            link.tls = False
            raise Hangup


def test_a_body_that_breaks_off_in_tls(tmp_path, ca, certificate):
    srv, h, want = lively(tmp_path, pair=certificate, scheme="imaps", ca_file=ca.cert, tls=TLS)
    with srv:
        srv.__class__ = CutsTls
        says(h.run("both"), 75, "'INBOX': message 7")
        assert not set(letters(2, 20)) & set(h.local.bodies())
        recover(h, want)


def test_names_that_hold_a_slash(tmp_path):
    """Where levels are parted by another character; and none is taken for another."""
    names = ["a/b", "a%2Fb", "a%252Fb", "a.b", "INBOX.c"]

    class Dots(Peer):
        separator = "."

    with Dots({n: letters(1, i) for i, n in enumerate(names)}) as srv:
        h = Job(tmp_path, srv)
        r = clean(h.run("both"))
        assert r.code == 0 and r.end["pulled"] == len(names), r
        h.quiet()
        for i, n in enumerate(names):
            srv.folders[n].add(letters(1, 100 + i)[0])
        assert clean(h.run("both")).end["pulled"] == len(names)
        assert sorted(len(rows_) for rows_ in h.local.state().values()) == [0] + [2] * len(names)
        assert set(srv.folders) == set(names) | {"INBOX"}
        inside(h)


# Guards: a side that vanished, came back old, or is another

class EmptyList(Peer):
    def list_rows(self, link, verb, extended):
        pass

    def status_row(self, link, folder, items):
        pass


class ListRefused(Peer):
    def list(self, link, tag, args):
        raise Refused("NO [SERVERBUG] the index is broken" + ESCAPES)


class LosesFolders(Peer):
    lost = ()

    def list_rows(self, link, verb, extended):
        for f in list(self.folders.values()):
            if f.name not in self.lost:
                self.list_row(link, verb, [], self.name_of(f))


class AllEmpty(Peer):
    """All folders are there, and nothing is in them."""

    def select_lines(self, link, folder):
        return [re.sub(r"^\d+ EXISTS", "0 EXISTS", x) for x in super().select_lines(link, folder)]

    def chosen(self, link, word):
        return []

    def status_numbers(self, link, folder):
        return {**super().status_numbers(link, folder), "MESSAGES": 0, "HIGHESTMODSEQ": folder.modseq + 1}

    def vanished_earlier(self, link, uids, since):
        link.star("VANISHED (EARLIER) 1:4294967295")


def big(directory, n=60, **more):
    """Enough messages for the limits on deletions."""
    srv = Peer({"INBOX": letters(n), "Work": letters(n, 1000), "Old": letters(3, 2000)})
    h = Job(directory, srv, **more)
    assert clean(h.run("both")).code == 0
    return srv, h, {"INBOX": rows(letters(n)), "Work": rows(letters(n, 1000)), "Old": rows(letters(3, 2000))}


def untouched(h, want):
    assert h.local.state() == {f: sorted(r) for f, r in want.items()}


@pytest.mark.parametrize("peer,code,words", [(EmptyList, 69, ["no folders at all", "try again"]), (ListRefused, None, ["list of folders", "broken"])])
def test_an_account_that_shows_nothing(tmp_path, peer, code, words):
    srv, h, want = big(tmp_path, 3)
    with srv:
        srv.__class__ = peer
        for args in [], ["--allow-deletions"], ["--restore"]:
            r = clean(h.run("both", *args))
            says(r, code or r.code, *words)
            assert r.code and actions(r) == []
        untouched(h, want)
        recover(h, want)


@pytest.mark.parametrize("job", ["", "remove-folders = both"])
@pytest.mark.parametrize("lost,left", [(["INBOX"], ["INBOX"]), (["Work"], []), (["INBOX", "Work"], ["INBOX"]), (["Work", "Old"], [])], ids=["INBOX", "one", "two", "half"])
def test_an_account_that_loses_folders(tmp_path, lost, left, job):
    srv, h, want = big(tmp_path, job=job)
    with srv:
        srv.__class__ = LosesFolders
        srv.lost = lost
        r = clean(h.run("both"))
        assert actions(r) == [] and r.code == (69 if job and "Work" in lost else 1 if "INBOX" in lost else 0), r
        if "INBOX" in lost and not (job and "Work" in lost):
            says(r, 1, "inbox is gone at the server", "--restore")
        elif job and "Work" in lost:
            says(r, 69, "gone at the server", "--allow-deletions")
        else:
            assert [w for w in r.of("warning") if "is gone at the server" in w["text"]], r
        untouched(h, want)
        recover(h, want)


@pytest.mark.parametrize("less", ["all", "no QRESYNC", "bare"])
def test_an_account_that_is_empty_all_at_once(tmp_path, less):
    srv, h, want = big(tmp_path, job="create = both")
    with srv:
        srv.less = CAPS[less]
        assert clean(h.run("both")).code == 0
        srv.__class__ = AllEmpty
        for _ in range(2):
            says(h.run("both"), 69, "123 of 123 messages are gone at the server", "--allow-deletions", "--restore")
            untouched(h, want)
        recover(h, want)


@pytest.mark.parametrize("less", ["all", "bare"])
def test_another_uidvalidity(tmp_path, less):
    """The folder is left alone, the others go on; and --restore leads out of it."""
    srv, h, want = big(tmp_path, 5)
    with srv:
        srv.less = CAPS[less]
        assert clean(h.run("both")).code == 0
        srv.inbox().expunge([2])
        srv.inbox().renumber()
        new = letters(1, 900)[0]
        srv.folders["Work"].add(new, {"\\Seen"})
        for _ in range(2):
            r = says(h.run("both"), 1, "INBOX", "renumbered", "UIDVALIDITY", "--restore")
        assert h.local.state()["INBOX"] == want["INBOX"] and new in h.local.bodies("Work")
        os.rename(h.local.box("INBOX"), os.path.join(h.dir, "aside"))
        r = clean(h.run("both", "--restore"))
        assert r.code == 0, r
        h.quiet()
        h.same()


@pytest.mark.parametrize("less", ["all", "bare"])
def test_another_uidvalidity_where_sizes_are_lies(tmp_path, less):
    """Then the content tells which messages are the same."""
    srv, h, want = big(tmp_path, 5)
    with srv:
        srv.less = CAPS[less]
        assert clean(h.run("both")).code == 0
        srv.__class__ = Lines
        srv.bends = [(r"RFC822\.SIZE \d+", "RFC822.SIZE 77")]
        srv.inbox().renumber()
        r = clean(h.run("both"))
        assert r.code == 0 and actions(r) == [] and "renumbered" in str(r.of("warning")), r
        h.quiet()
        assert h.local.state() == want and any("BODY.PEEK[]" in line for line in srv.commands("UID FETCH"))


class ValidityChanges(Peer):
    """Between STATUS and SELECT, and with each SELECT."""

    def select_lines(self, link, folder):
        folder.validity += 1
        return super().select_lines(link, folder)


@pytest.mark.parametrize("less", ["all", "no QRESYNC", "bare"])
def test_a_uidvalidity_that_changes_each_time(tmp_path, less):
    srv, h, want = lively(tmp_path, less=CAPS[less])
    with srv:
        before = h.local.state()
        srv.__class__ = ValidityChanges
        says(h.run("both"), 1, "INBOX", "UIDVALIDITY")
        assert h.local.state() == before
        assert not srv.commands("UID EXPUNGE") + srv.commands("APPEND") + srv.commands("UID STORE")


def test_a_new_account_whose_uidvalidity_changes_each_time(tmp_path):
    with ValidityChanges({"INBOX": letters(3)}) as srv:
        h = Job(tmp_path, srv)
        for _ in range(2):
            r = clean(h.run("both"))
            assert r.code in (0, 1, 75), r
            assert max(collections.Counter(h.local.bodies()).values(), default=0) <= 1 if h.local.folders() else True


@pytest.mark.parametrize("less", ["all", "no QRESYNC", "bare"])
def test_a_server_that_went_back_to_an_old_copy(tmp_path, less):
    """UIDs that were given are free again: nothing here is deleted for it, and nothing there."""
    srv, h, _ = lively(tmp_path, less=CAPS[less])
    with srv:
        old = copy.deepcopy(srv.folders)
        h.settle()
        before = h.local.state()
        srv.folders = old
        for _ in range(2):
            says(h.run("both"), 1, "INBOX", "older copy", "--restore")
        assert h.local.state() == before
        assert len(srv.inbox().messages) == 7


class ManyFolders(Peer):
    """A hundred thousand."""

    def list_rows(self, link, verb, extended):
        super().list_rows(link, verb, extended)
        link.send(b"".join(b'* %s () "/" "folder %d"\r\n' % (verb.encode(), n) for n in range(100000)))


def test_a_hundred_thousand_folders(tmp_path):
    with ManyFolders({"INBOX": letters(3), "Work": letters(2, 100)}) as srv:
        h = Job(tmp_path, srv, job='folders = { INBOX, Work }')
        r, used = measured(h, "both")
        assert r.code == 0 and used["rss"] < 128 * 1024 * 1024 and computed(used) < 10, (used, r)
        assert r.end["pulled"] == 5
        before = os.times()
        r = h.call("list", "work")
        after = os.times()
        assert r.code == 0 and len(r.out.splitlines()) > 100000
        assert after.children_user + after.children_system - before.children_user - before.children_system < 10
