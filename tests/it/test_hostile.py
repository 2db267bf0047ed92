"""Servers that lie, stall, break off and attack: a clear error, nothing lost, nothing doubled."""

import base64
import collections
import contextlib
import hashlib
import hmac
import os
import re
import socket
import sqlite3
import time

import pytest

import haul
import pop3peer
import tlscert
from hostile import CLEAR, ESCAPES, TLS, bad_certificate, clean, each_bad_certificate, forget_pauses, measured
from pop3peer import Hangup, Peer


def letters(n, size=200):
    """Messages that differ."""
    return [b"From: x@example.org\nSubject: letter %d\n\n" % (i + 1) + b"text %d\n" % i * (size // 7) for i in range(n)]


def says(r, code, *words):
    """The exit code, and what the error must tell; with a job's events one of them says it, too."""
    clean(r)
    assert r.code == code, r
    for word in words:
        assert word.lower() in r.err.lower() or word.lower() in r.out.lower(), "%r is not in %r" % (word, r)
    return r


def counter(want):
    return collections.Counter(want)


def nothing_lost(h, srv, want):
    """What the server removed was delivered, what was not delivered is there, and nothing was delivered twice."""
    have = h.delivered()
    assert not have - counter(want), "delivered what was not sent, or twice"
    assert not counter(want) - have - counter(srv.contents()), "lost"


def recover(h, srv, want, pair=None):
    """Once the server behaves, everything is there once, and the server is empty."""
    nothing_lost(h, srv, want)
    srv.behave(pair)
    forget_pauses(h)
    r = clean(h.run("isp"))
    assert r.code == 0, r
    assert h.delivered() == counter(want)
    assert srv.contents() == [] and h.leftovers() == []


def in_clear(tmp_path, srv, account="", **more):
    return haul.Haul(tmp_path, srv.port, scheme="pop3", account=CLEAR + "\t" + account, **more)


# The server that behaves

@pytest.mark.parametrize("scheme", ["pop3", "pop3s"])
def test_the_peer_itself_is_fetched_from(tmp_path, ca, certificate, scheme):
    want = letters(5)
    with Peer(want, pair=certificate, tls=scheme == "pop3s") as srv:
        h = haul.Haul(tmp_path, srv.port, ca_file=ca.cert, scheme=scheme, account=TLS)
        assert clean(h.run()).code == 0
        assert h.delivered() == counter(want) and srv.contents() == []
        assert sorted(set(srv.in_clear())) == (["CAPA", "STLS"] if scheme == "pop3" else [])


# STLS

class NoStls(Peer):
    stls = False


class StlsRefused(Peer):
    def do_stls(self, link, arg):
        link.no("not today")


class StlsInjected(Peer):
    def do_stls(self, link, arg):
        link.send(b"+OK begin\r\n+OK injected\r\n")
        link.start_tls()


class StlsGarbled(Peer):
    def do_stls(self, link, arg):
        link.send(b"250 go ahead\r\n")


class StlsThenPlain(Peer):
    """+OK, and then plain POP3 instead of a handshake."""

    def do_stls(self, link, arg):
        link.ok("begin")
        link.sock.recv(1)
        link.send(b"+OK still here, tell me all\r\n" * 10)
        link.hang()


@pytest.mark.parametrize("peer,code,words", [
    (NoStls, 77, ["does not offer STLS"]),
    (StlsRefused, 77, ["refuses STLS", "not today"]),
    (StlsInjected, 77, ["injected"]),
    (StlsGarbled, 76, ["250 go ahead"]),
    (StlsThenPlain, 76, ["TLS"]),
])
def test_without_tls_no_secret_is_said(tmp_path, ca, certificate, peer, code, words):
    want = letters(2)
    with peer(want, pair=certificate) as srv:
        h = haul.Haul(tmp_path, srv.port, ca_file=ca.cert, scheme="pop3", account=TLS)
        says(h.run(), code, *words)
        assert set(srv.commands()) <= {"CAPA", "STLS"}
        assert h.messages() == []
        recover(h, srv, want)
        assert set(srv.in_clear()) <= {"CAPA", "STLS"}


# Certificates

@pytest.mark.parametrize("scheme", ["pop3", "pop3s"])
@each_bad_certificate
def test_a_wrong_certificate_is_refused(tmp_path, ca, certificate, scheme, which, words):
    want = letters(1)
    with Peer(want, pair=bad_certificate(ca, which, tmp_path), tls=scheme == "pop3s") as srv:
        h = haul.Haul(tmp_path, srv.port, ca_file=ca.cert, scheme=scheme, account=TLS)
        says(h.run(), 77, *words)
        assert set(srv.commands()) <= {"CAPA", "STLS"}
        recover(h, srv, want, certificate)


def test_the_right_fingerprint_is_enough(tmp_path):
    own = tlscert.self_signed(str(tmp_path / "own"), "own", names=("DNS:elsewhere.example",))
    want = letters(2)
    with Peer(want, pair=own, tls=True) as srv:
        h = haul.Haul(tmp_path, srv.port, account=TLS + '\tfingerprint = "%s"' % tlscert.fingerprint(own.cert))
        assert clean(h.run()).code == 0
        assert h.delivered() == counter(want)


@pytest.mark.parametrize("scheme", ["pop3", "pop3s"])
def test_a_wrong_fingerprint_is_refused(tmp_path, certificate, scheme):
    want = letters(1)
    with Peer(want, pair=certificate, tls=scheme == "pop3s") as srv:
        h = haul.Haul(tmp_path, srv.port, scheme=scheme, account=TLS + '\tfingerprint = "%s"' % ("ab" * 32))
        says(h.run(), 77, "fingerprint", tlscert.fingerprint(certificate.cert))
        assert set(srv.commands()) <= {"CAPA", "STLS"}
        h.reconfigure("ab" * 32, tlscert.fingerprint(certificate.cert))
        recover(h, srv, want)


# Not there

def test_nobody_listens(tmp_path):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))    # taken, but nobody accepts
        h = haul.Haul(tmp_path, s.getsockname()[1], scheme="pop3", account=CLEAR)
        says(h.run(), 69, "refused")


def test_no_such_host(tmp_path):
    h = haul.Haul(tmp_path, 995, host="a" * 64 + ".invalid", account=TLS)
    says(h.run(), 68, "not found")


# Greetings

class Greets(Peer):
    what = b""
    after = "hang"

    def greeting(self, link):
        link.send(self.what)
        if self.after == "close":
            raise Hangup


@pytest.mark.parametrize("what,after,code,words", [
    (b"-ERR we are closed\r\n", "close", 69, ["we are closed"]),
    (b"-ERR [SYS/TEMP] soon\r\n", "close", 75, ["soon"]),
    (b"* OK IMAP4rev1 ready\r\n", "close", 76, ["IMAP"]),
    (b"220 mx.example ESMTP\r\n", "close", 76, ["SMTP"]),
    (b"\0\xff\xfe\r\n", "close", 76, ["POP3"]),
    (b"+OKAY\r\n", "close", 76, ["+OKAY"]),
    (b"+OK one\r\n+OK two\r\n", "go on", 76, ["more than one line"]),
    (b"", "close", 75, ["closed"]),
    (b"+OK half", "close", 75, ["closed"]),
    (b"+OK " + b"x" * 100000, "go on", 76, ["line longer than"]),
    (b"", "go on", 75, ["within 2 seconds"]),
    (b"+OK never ends", "go on", 75, ["within 2 seconds"]),
])
def test_a_bad_greeting(tmp_path, what, after, code, words):
    want = letters(1)
    with Greets(want) as srv:
        srv.what, srv.after = what, after
        h = in_clear(tmp_path, srv)
        begun = time.monotonic()
        says(h.run(), code, *words)
        assert time.monotonic() - begun < 10
        assert srv.commands() == []
        recover(h, srv, want)


class SilentHandshake(Peer):
    def connected(self, link):
        link.hang()


class PlainOnTlsPort(Peer):
    def connected(self, link):
        link.ok("POP3 ready")
        link.hang()


@pytest.mark.parametrize("peer,code,words", [(SilentHandshake, 75, ["TLS"]), (PlainOnTlsPort, 76, ["doesn't speak TLS"])])
def test_no_handshake(tmp_path, ca, certificate, peer, code, words):
    want = letters(1)
    with peer(want, pair=certificate, tls=True) as srv:
        h = haul.Haul(tmp_path, srv.port, ca_file=ca.cert, account=TLS)
        begun = time.monotonic()
        says(h.run(), code, *words)
        assert time.monotonic() - begun < 10
        recover(h, srv, want)


# Login

class Login(Peer):
    answer = ""

    def pass_(self, link, arg):
        link.no(self.answer)


@pytest.mark.parametrize("answer,code", [
    ("[IN-USE] another session", 75), ("[LOGIN-DELAY] too soon", 75), ("[SYS/TEMP] disk", 75), ("[SYS/PERM] gone", 69), ("[AUTH] wrong", 77),
    ("wrong password", 77), ("mailbox is locked by another session", 75), ("Web login required: https://example.org/x", 77), ("", 77),
])
def test_a_refused_login(tmp_path, answer, code):
    want = letters(2)
    with Login(want) as srv:
        srv.answer = answer
        h = in_clear(tmp_path, srv)
        r = says(h.run(), code, re.sub(r"^\[.*\] ", "", answer))
        assert "secret" not in r.out + r.err.replace(h.secret, "")
        assert len(srv.commands("PASS")) == 1, "an account must not be locked out by trying again and again"
        recover(h, srv, want)


class DropsWhatIsAhead(Peer):
    """Offers PIPELINING, and throws away what comes behind the first command."""

    def session(self, link):
        whole = link.readline

        def one():
            line = whole()
            link.buf = b""
            return line

        link.readline = one
        return super().session(link)


class NeverAnswersPass(Peer):
    def pass_(self, link, arg):
        while link.readline() is not None:
            pass
        raise Hangup


def test_pipelining_that_is_only_offered(tmp_path):
    want = letters(3)
    with DropsWhatIsAhead(want) as srv:
        h = in_clear(tmp_path, srv)
        says(h.run(), 75, "did not answer within", "disable-extensions = {PIPELINING}")
        h.reconfigure("tls = none", "tls = none disable-extensions = {PIPELINING}")
        assert clean(h.run("isp")).code == 0 and h.delivered() == counter(want)


def test_no_answer_where_nothing_was_sent_ahead(tmp_path):
    with NeverAnswersPass(letters(1)) as srv:
        srv.caps = ["UIDL", "USER"]
        r = says(in_clear(tmp_path, srv).run(), 75, "did not answer within")
        assert "PIPELINING" not in r.out, r


class UserRefused(Peer):
    def user(self, link, arg):
        link.no("who is that?")


@pytest.mark.parametrize("caps", [Peer.caps, ["UIDL"]], ids=["pipelining", "one by one"])
def test_a_refused_user(tmp_path, caps):
    want = letters(2)
    with UserRefused(want) as srv:
        srv.caps = caps
        h = in_clear(tmp_path, srv)
        says(h.run(), 77, "who is that?")
        del srv.caps
        recover(h, srv, want)


class WrongPassword(Peer):

    def pass_(self, link, arg):
        link.no("wrong password for anna")


@pytest.mark.parametrize("args", [["-vv", "run"], ["--json", "-vv", "run"], ["-vv", "check", "--connect"]], ids=" ".join)
@pytest.mark.parametrize("peer", [Peer, WrongPassword])
def test_the_trace_shows_no_secret(tmp_path, peer, args):
    with peer(letters(1)) as srv:
        srv.secret = "Hunter2-xyzzy"
        h = in_clear(tmp_path, srv, password=srv.secret)
        r = clean(h.call(*args))
        assert srv.commands("PASS") == ["PASS " + srv.secret]
        assert "Hunter2" not in r.out + r.err
        if "--json" not in args:
            assert "USER anna" in r.err, r


class Repeats(Peer):
    """Says to everybody what it was told."""

    said = "-ERR [AUTH] user anna password %s is wrong"

    def pass_(self, link, arg):
        link.send((self.said % arg).encode() + b"\r\n")


@pytest.mark.parametrize("said", [Repeats.said, "-ERR %s", "%s", "-ERR " + 180 * "x" + " %s", "-ERR " + 388 * "x" + "%s"], ids=len)
def test_a_server_that_repeats_the_password(tmp_path, said):
    with Repeats(letters(1)) as srv:
        srv.said = said
        h = in_clear(tmp_path, srv, password="Hunter2-xyzzy")
        for args in [["run"], ["--json", "run"], ["-vv", "run"], ["status"], ["check", "--connect"], ["-vv", "info", "isp"]]:
            r = clean(h.call(*args))
            assert "Hunter" not in r.out + r.err and "xyzzy" not in r.out + r.err, r
        with open(h.db, "rb") as f:
            assert b"Hunter" not in f.read()


class LyingScram(Peer):
    """Does not know the password: it accepts anybody, with a signature that it makes up."""

    caps = Peer.caps + ["SASL SCRAM-SHA-256"]

    def auth(self, link, arg):
        name, _, first = arg.partition(" ")
        assert name == "SCRAM-SHA-256"
        if not first:
            link.send(b"+ \r\n")
            first = link.readline()
        nonce = re.search(r",r=([^,]+)", base64.b64decode(first).decode()).group(1)
        link.send(b"+ " + base64.b64encode(("r=%sserver,s=%s,i=4096" % (nonce, base64.b64encode(b"salty").decode())).encode()) + b"\r\n")
        link.readline()
        link.send(b"+ " + base64.b64encode(b"v=" + base64.b64encode(hmac.new(b"no", b"idea", hashlib.sha256).digest())) + b"\r\n")
        if link.readline() == "*":
            return link.no("as you like")    # RFC 5034 section 4
        link.listed = self.visible(link)
        return link.ok("welcome")


def test_a_server_that_does_not_know_the_password_is_no_server(tmp_path):
    want = letters(2)
    with LyingScram(want) as srv:
        h = in_clear(tmp_path, srv)
        says(h.run(), 77, "SCRAM-SHA-256", "does not know the password")
        assert srv.commands("RETR") == [] and srv.commands("PASS") == []
        recover(h, srv, want)


# Listings

class EndlessCapa(Peer):
    def capa(self, link, arg):
        link.send(b"+OK\r\n")
        while True:
            link.send(b"X-NOTHING at all\r\n" * 1000)


class EndlessUidl(Peer):
    def uidl(self, link, arg):
        link.send(b"+OK\r\n")
        rows = b"x" * 8000 + b"\r\n"
        while True:
            link.send(rows * 20)


class EndlessMessages(Peer):
    def uidl(self, link, arg):
        link.send(b"+OK\r\n")
        while True:
            link.send(b"1 a\r\n" * 50000)


class EndlessRow(Peer):
    def uidl(self, link, arg):
        link.send(b"+OK\r\n1 ")
        while True:
            link.send(b"u" * 100000)


class SilentUidl(Peer):
    def uidl(self, link, arg):
        link.send(b"+OK\r\n1 uid-1\r\n")
        link.hang()


class TwiceTheSameNumber(Peer):
    def uidl(self, link, arg):
        link.ok(more=["1 uid-1", "2 uid-2", "1 uid-3"])


class CutUidl(Peer):
    def uidl(self, link, arg):
        link.send(b"+OK\r\n1 uid-1\r\n2 ui")
        raise Hangup


@pytest.mark.parametrize("peer,code,words", [
    (EndlessCapa, 76, ["does not end"]),
    (EndlessUidl, 76, ["does not end"]),
    pytest.param(EndlessMessages, 76, ["more than 10000000 messages"], marks=pytest.mark.long),
    (EndlessRow, 76, ["a line of more than"]),
    (SilentUidl, 75, ["UIDL"]),
    (TwiceTheSameNumber, 76, ["message 1", "more than once"]),
    (CutUidl, 75, ["closed"]),
])
def test_a_bad_listing(tmp_path, peer, code, words):
    want = letters(3)
    with peer(want) as srv:
        h = in_clear(tmp_path, srv)
        says(h.run(), code, *words)
        assert h.messages() == [] and srv.commands("DELE") == []
        recover(h, srv, want)


@pytest.mark.parametrize("peer", [EndlessCapa, EndlessUidl, EndlessRow])
def test_no_server_fills_the_memory(tmp_path, peer):
    with peer(letters(1)) as srv:
        r, used = measured(in_clear(tmp_path, srv))
        assert r.code == 76 and used["rss"] < 32 * 1024 * 1024, (used, r)


class Uidls(Peer):
    """UIDLs as a test says, by position."""

    names = ()

    def uidl_of(self, uid):
        return self.names[int(uid[4:]) - 1]


@pytest.mark.parametrize("keep", ["no", "yes"])
@pytest.mark.parametrize("names", [
    ["a", "u" * (1 << 20), "c"],                        # longer than any line we take
    ["a" * 71, "a" * 70, "a" * 69],                     # RFC 1939: at most 70
    ["x" * 3000 + "1", "x" * 3000 + "2", "x" * 3000],
    ["same", "same", "other"],
    ["", "", "x"],
    ["with blank", "with blank 2", "sha256:" + "0" * 64],
    [ESCAPES, ESCAPES + "2", "\udcff\udcfe"],
], ids=["1MB", "71", "3000", "twice", "none", "blanks", "escapes"])
def test_odd_uidls(tmp_path, names, keep):
    want = letters(3)
    with Uidls(want) as srv:
        srv.names = names
        h = in_clear(tmp_path, srv, fetch="keep = " + keep)
        assert clean(h.run("-v")).code == 0
        assert h.delivered() == counter(want)
        assert srv.contents() == (want if keep == "yes" else [])
        assert clean(h.run()).code == 0
        assert h.delivered() == counter(want)
        assert clean(h.call("list", "isp")).code == 0
        assert clean(h.call("status")).code == 0


@pytest.mark.parametrize("first", [0, 1])
def test_a_uidl_that_another_message_has_already(tmp_path, first):
    """The second arrives later, and looks the same in every listing."""
    want = letters(2)
    with Uidls() as srv:
        srv.names = ["same", "same"]
        h = in_clear(tmp_path, srv, fetch="keep = yes")
        srv.maildrop = {"uid-%d" % (first + 1): want[first]}
        assert clean(h.run()).code == 0
        srv.maildrop = {"uid-1": want[0], "uid-2": want[1]}
        for _ in range(2):
            assert clean(h.run()).code == 0
            assert h.delivered() == counter(want)


class EverNew(Peer):
    """UIDLs that are others in every session."""

    def uidl(self, link, arg):
        link.ok(more=["%d s%d-%s" % (n, link.number, u) for n, u in self.rows(link)])


class NoUidl(Peer):
    def capabilities(self, link):
        return [c for c in super().capabilities(link) if c != "UIDL"]

    def uidl(self, link, arg):
        link.no("unknown command")


class NoCapa(Peer):
    def capa(self, link, arg):
        link.no("unknown command")


class OneByOne(Peer):
    """No PIPELINING; and whoever speaks before being answered is found out."""

    caps = ["USER", "UIDL"]

    def session(self, link):
        whole = link.readline

        def readline():
            assert link.buf == b"", "%r came before its turn" % link.buf
            return whole()
        link.readline = readline
        super().session(link)


@pytest.mark.parametrize("keep", ["no", "yes"])
@pytest.mark.parametrize("peer", [EverNew, NoUidl, NoCapa, OneByOne])
def test_servers_that_can_do_little(tmp_path, peer, keep):
    want = letters(12)
    with peer(want) as srv:
        h = in_clear(tmp_path, srv, fetch="keep = " + keep)
        for _ in range(3):
            assert clean(h.run()).code == 0
            assert h.delivered() == counter(want)
            assert srv.contents() == (want if keep == "yes" else [])
        more = b"Subject: one more\n\nx\n"
        srv.maildrop["uid-99"] = more
        assert clean(h.run()).code == 0
        assert h.delivered() == counter(want + [more])


class Sizes(Peer):
    lie = ""

    def list(self, link, arg):
        link.ok(more=["%d %s" % (n, self.lie) for n, _ in self.rows(link)])

    def stat(self, link, arg):
        link.ok("%d %s" % (len(self.rows(link)), self.lie))


@pytest.mark.parametrize("lie", ["0", "1", "9223372036854775807", "99999999999999999999999", "-5", "many", "", "0x10", "1e9"])
@pytest.mark.parametrize("fetch", ["", "max-size = 100M"], ids=["plain", "max-size"])
def test_sizes_that_lie(tmp_path, lie, fetch):
    want = letters(3, 5000)
    with Sizes(want) as srv:
        srv.lie = lie
        h = in_clear(tmp_path, srv, fetch=fetch)
        r = clean(h.run())
        nothing_lost(h, srv, want)
        if fetch and lie == "9223372036854775807":
            assert r.code in (0, 1) and srv.deleted == []
        else:
            assert r.code == 0, r
        recover(h, srv, want)


class StatLies(Peer):
    answer = ""

    def stat(self, link, arg):
        link.send(self.answer.encode())


@pytest.mark.parametrize("answer", ["+OK 0 0\r\n", "+OK 1000000000 5\r\n", "+OK\r\n", "+OK -1 -1\r\n", "+OK many mails\r\n", "-ERR no STAT\r\n"])
def test_a_stat_that_lies(tmp_path, answer):
    want = letters(3)
    with StatLies(want) as srv:
        srv.answer = answer
        h = in_clear(tmp_path, srv)
        assert clean(h.run()).code == 0
        recover(h, srv, want)


class SecondStat(Peer):
    """Can answer STAT once in a session."""

    refuses = True

    def stat(self, link, arg):
        if not getattr(link, "counted", False):
            link.counted = True
            super().stat(link, arg)
        elif self.refuses:
            link.no("[SYS/TEMP] busy")
        else:
            link.ok("%d messages" % len(self.rows(link)))


@pytest.mark.parametrize("pipelining", [True, False])
@pytest.mark.parametrize("refuses", [True, False])
def test_a_second_stat_is_not_answered(tmp_path, refuses, pipelining):
    want = letters(4)
    with SecondStat(want) as srv:
        srv.refuses = refuses
        if not pipelining:
            srv.caps = [c for c in srv.caps if c != "PIPELINING"]
        h = in_clear(tmp_path, srv)
        r = clean(h.run())
        assert r.code == 0 and r.of("error") == [] and r.of("warning") == []
        assert h.delivered() == counter(want) and srv.contents() == []


class OutOfOrder(Peer):
    """Names its messages in another order, and one not at all."""

    order = ()

    def uidl(self, link, arg):
        link.ok(more=["%d %s" % (n, u) for n, u in sorted(self.rows(link), key=lambda r: -r[0]) if n in self.order])


@pytest.mark.parametrize("order", [(3, 2, 1), (2, 1), (3, 1), (1,), ()])
@pytest.mark.parametrize("fetch", ["keep = no", "keep = yes", "keep = yes\n\tmax-size = 10k"])
def test_a_message_that_is_not_named_comes_all_the_same(tmp_path, fetch, order):
    want = letters(3)
    with OutOfOrder(want) as srv:
        srv.order = order
        h = in_clear(tmp_path, srv, fetch=fetch)
        assert clean(h.run()).code == 0
        assert h.delivered() == counter(want)
        srv.order = (1, 2, 3)
        assert clean(h.run()).code == 0
        assert h.delivered() == counter(want) and srv.contents() == ([] if fetch == "keep = no" else want)


class OddRows(Peer):
    odd = ["0 zero", "-1 minus", "4294967297 four", "99999999999999999999 many", "x y", "", "  ", "\udcff"]

    def uidl(self, link, arg):
        link.ok(more=self.odd + ["%d %s" % row for row in self.rows(link)])

    def list(self, link, arg):
        link.ok(more=self.odd + ["%d %s" % (n, self.size(u)) for n, u in self.rows(link)])


@pytest.mark.parametrize("fetch", ["", "max-size = 100M"], ids=["plain", "max-size"])
def test_rows_that_make_no_sense(tmp_path, fetch):
    want = letters(3)
    with OddRows(want) as srv:
        h = in_clear(tmp_path, srv, fetch=fetch)
        says(h.run(), 0, "make no sense")
        assert h.delivered() == counter(want) and srv.contents() == []
        assert {c.split()[1] for c in srv.commands("RETR")} == {"1", "2", "3"}


class Ghost(Peer):
    """Lists a message that is not there."""

    def uidl(self, link, arg):
        link.ok(more=["%d %s" % row for row in self.rows(link)] + ["%d ghost" % (len(link.listed) + 1)])


def test_a_message_that_is_not_there(tmp_path):
    want = letters(3)
    with Ghost(want) as srv:
        h = in_clear(tmp_path, srv)
        says(h.run(), 1, "no such message")
        assert h.delivered() == counter(want) and srv.contents() == []
        recover(h, srv, want)


# Bodies

class StallsInBody(Peer):
    at = 3

    def retr(self, link, arg):
        if int(arg) != self.at:
            return super().retr(link, arg)
        uid = self.uid_of(link, arg)
        link.send(b"+OK\r\n" + self.body(uid)[:40])
        return link.hang()


class CutsBody(StallsInBody):
    def retr(self, link, arg):
        if int(arg) != self.at:
            return Peer.retr(self, link, arg)
        link.send(b"+OK\r\n" + self.body(self.uid_of(link, arg))[:40])
        raise Hangup


class ClosesBeforeRetr(StallsInBody):
    def retr(self, link, arg):
        if int(arg) == self.at:
            raise Hangup
        return Peer.retr(self, link, arg)


class Gibberish(StallsInBody):
    def retr(self, link, arg):
        if int(arg) == self.at:
            return link.send(b"Subject: no status line\r\n\r\nx\r\n.\r\n")
        return Peer.retr(self, link, arg)


@pytest.mark.parametrize("at", [1, 3])
@pytest.mark.parametrize("peer,words", [
    (StallsInBody, "middle of message"), (CutsBody, "middle of message"), (ClosesBeforeRetr, "closed"), (Gibberish, "no status line"),
])
def test_a_body_that_breaks_off(tmp_path, peer, words, at):
    want = letters(5)
    with peer(want) as srv:
        srv.at = at
        h = in_clear(tmp_path, srv)
        begun = time.monotonic()
        r = clean(h.run())
        assert any(words in w["text"] for w in r.of("warning")), r
        assert time.monotonic() - begun < 30
        assert r.end["failed"] + r.end["pulled"] == 5 and r.end["failed"] <= 1 and r.code == r.end["failed"]
        recover(h, srv, want)


class RefusesAfterMail(Peer):
    """Lets nobody in any more once mail was fetched."""

    def dele(self, link, arg):
        self.secret = "another"
        raise Hangup


def test_on_new_runs_also_when_the_run_ends_with_an_error(tmp_path):
    with RefusesAfterMail(letters(3)) as srv:
        h = in_clear(tmp_path, srv, fetch="on-new = 'echo $MAILHAUL_NEW > ~/told'")
        r = clean(h.run())
        assert r.code not in (0, 1) and len(h.delivered()) == 3, r
        assert (tmp_path / "told").read_text() == "3\n"


class TrickleCapa(Peer):
    """Says something all the time, and nothing much."""

    def trickle(self, link, line):
        link.send(b"+OK\r\n")
        begun = time.monotonic()
        while time.monotonic() - begun < 60:
            link.send(line)
            time.sleep(0.1)

    def capa(self, link, arg):
        self.trickle(link, b"X-CAPABILITY\r\n")


class TrickleBody(TrickleCapa):
    capa = Peer.capa

    def retr(self, link, arg):
        self.trickle(link, b"x" * 20 + b"\r\n")


class SlowBody(TrickleBody):
    """1.2 kB in a second are enough."""

    def retr(self, link, arg):
        wire = self.body(self.uid_of(link, arg))
        link.send(b"+OK\r\n")
        for at in range(0, len(wire), 120):
            link.send(wire[at:at + 120])
            time.sleep(0.1)


@pytest.mark.parametrize("peer,words", [(TrickleCapa, ["capa"]), (TrickleBody, ["middle of message"])])
def test_who_trickles_is_given_up(tmp_path, peer, words):
    with peer(letters(2)) as srv:
        begun = time.monotonic()
        says(in_clear(tmp_path, srv).run(), 75, "no more than", "in 2 seconds", *words)
        assert time.monotonic() - begun < 15


def test_who_is_slow_is_waited_for(tmp_path):
    want = letters(1, size=5000)
    with SlowBody(want) as srv:
        h = in_clear(tmp_path, srv)
        assert clean(h.run()).code == 0 and h.delivered() == counter(want)


class NeverEnds(Peer):
    def retr(self, link, arg):
        if int(arg) != 1:
            return super().retr(link, arg)
        link.send(b"+OK\r\n")
        while True:
            link.send((b"x" * 70 + b"\r\n") * 1000)


def test_a_body_without_end_that_can_not_be_kept(tmp_path):
    """The error is told; the body is not read over until its end."""
    want = letters(3)
    with NeverEnds(want) as srv:
        h = in_clear(tmp_path, srv)
        r = clean(h.run(prefix=("sh", "-c", 'ulimit -f 2000; exec "$@"', "sh"), seconds=30))
        assert r.code != 0 and "File too large" in r.out, r
        recover(h, srv, want)


class Poison(Peer):
    """Breaks at one message, or two, whenever they are asked for."""

    how, which = "", ()

    def retr(self, link, arg):
        if self.uid_of(link, arg) not in self.which:
            return super().retr(link, arg)
        if self.how == "garbage":
            link.send(b"INTERNAL ERROR\r\n")
        elif self.how != "before":
            link.send(b"+OK\r\nSubject: poison\r\n\r\nhalf")
        if self.how == "stalls":
            link.hang()
        raise Hangup


@pytest.mark.parametrize("which", [(0,), (2,), (5,), (0, 1), (1, 4)])
@pytest.mark.parametrize("how", ["before", "in the middle", "stalls", "garbage"])
def test_a_message_that_breaks_the_server_keeps_no_other_back(tmp_path, how, which):
    names = ["long-enough-uid-%d" % n for n in range(6)]
    want = letters(6)
    with Poison(dict(zip(names, want))) as srv:
        srv.how, srv.which = how, [names[i] for i in which]
        h = in_clear(tmp_path, srv)
        healthy = counter(want) - counter(want[i] for i in which)
        r = clean(h.run())
        assert h.delivered() == healthy and counter(srv.contents()) == counter(want) - healthy
        assert r.code == 1 and {e["uid"] for e in r.of("error")} == set(srv.which)
        assert clean(h.run()).code == 1
        read = len(srv.commands("RETR"))
        assert clean(h.run()).code == 0 and len(srv.commands("RETR")) == read, "left out for a while"
        srv.maildrop["long-enough-uid-new"] = new = b"Subject: new\n\nx\n"
        forget_pauses(h)
        assert clean(h.run()).code == 1
        assert h.delivered() == healthy + counter([new])
        recover(h, srv, want + [new])


class CutsOnce(Peer):
    def retr(self, link, arg):
        if link.number > 1 or int(arg) != 3:
            return super().retr(link, arg)
        link.send(b"+OK\r\n" + self.body(self.uid_of(link, arg))[:40])
        raise Hangup


class CutsAndSulks(CutsBody):
    """And lets nobody in any more."""

    def connected(self, link):
        if link.number > 1:
            raise Hangup


@pytest.mark.parametrize("to", ["maildir", "mbox"])
def test_mail_that_is_read_and_deleted_after_a_break_does_not_come_again(tmp_path, to):
    want = letters(5)
    with CutsAndSulks(want) as srv:
        h = in_clear(tmp_path, srv, to=to)
        says(h.run(), 75, "closed the connection")
        assert h.delivered() == counter(want[:2])
        if to == "mbox":
            os.truncate(h.mbox, 0)
        for name in haul.maildir_files(h.maildir):
            os.unlink(name)
        srv.behave()
        r = clean(h.run())
        assert r.code == 0 and h.delivered() == counter(want[2:]) and srv.contents() == []


class CutsTls(CutsBody):
    """Breaks off as somebody on the way would: without TLS's goodbye."""

    def retr(self, link, arg):
        try:
            super().retr(link, arg)
        except Hangup:
            link.tls = False
            raise


@pytest.mark.parametrize("peer", [CutsBody, CutsTls])
def test_a_body_that_breaks_off_in_tls(tmp_path, ca, certificate, peer):
    want = letters(5)
    with peer(want, pair=certificate, tls=True) as srv:
        h = haul.Haul(tmp_path, srv.port, ca_file=ca.cert, account=TLS)
        says(h.run(), 1, "middle of message")
        assert not any(b"letter 3" in m for m in h.messages())
        recover(h, srv, want)


class OneRefused(Peer):
    def retr(self, link, arg):
        if self.uid_of(link, arg) == "uid-3":
            return link.no("this one is damaged " + ESCAPES)
        return super().retr(link, arg)


@pytest.mark.parametrize("caps", [Peer.caps, ["UIDL"]], ids=["pipelining", "one by one"])
def test_one_message_is_refused_and_the_others_come(tmp_path, caps):
    want = letters(5)
    with OneRefused(want) as srv:
        srv.caps = caps
        h = in_clear(tmp_path, srv)
        r = says(h.run("-v"), 1, "this one is damaged")
        assert r.end["pulled"] == 4 and r.end["failed"] == 1
        assert h.delivered() == counter(want[:2] + want[3:])
        assert list(srv.maildrop) == ["uid-3"]
        assert "damaged" in clean(h.call("status")).out
        del srv.caps
        recover(h, srv, want)


class MostRefused(Peer):
    def retr(self, link, arg):
        if int(arg) % 10:
            return link.no("busy")
        return super().retr(link, arg)


def test_many_refused_messages_are_few_lines_and_all_are_known(tmp_path):
    want = letters(50)
    with MostRefused(want) as srv:
        h = in_clear(tmp_path, srv)
        r = says(h.call("run"), 1, "and 35 more messages failed; `mailhaul status isp` lists", "-v shows all")
        assert r.out == "" and len(r.err.splitlines()) == 11 and r.err.count('"busy"') == 10
        assert h.delivered() == counter(want[9::10])
        r = clean(h.call("status"))
        assert r.out.count("busy") == 45 and "uid-49" in r.out
        # JSON keeps nothing back, nor does -v
        forget_pauses(h)
        r = clean(h.run())
        assert r.code == 1 and len(r.of("error")) == 41 == r.end["failed"]
        forget_pauses(h)
        r = says(h.call("run", "-v"), 1)
        assert r.err.count("busy") > 30 and "more messages" not in r.err
        recover(h, srv, want)


class RawBodies(Peer):
    """Bodies as a test gives them, bytes on the wire."""

    raw = b""

    def body(self, uid):
        return self.raw


@pytest.mark.parametrize("to", ["maildir", "mbox"])
@pytest.mark.parametrize("raw,want", [
    (b"A: b\r\n\r\n..\r\n...\r\n..x\r\n\r\n..\r\n.\r\n", b"A: b\n\n.\n..\n.x\n\n.\n"),
    (b"A: b\r\n\r\nx\n.\ny\r\n.\r\n", b"A: b\r\n\r\nx\n.\ny\r\n"),
    (b"A: b\r\n\r\nx\n.\r\ny\r\n.\r\n", b"A: b\r\n\r\nx\n.\r\ny\r\n"),
    (b"A: b\r\n\r\nx\r\n.y\r\n.\r\n", b"A: b\n\nx\ny\n"),
    (b"A: b\r\n\r\nx\r.\r\ny\r\r\n.\r\n", b"A: b\n\nx\r.\ny\r\n"),
    (b"A: b\r\n\r\n\0\x80\xff\0\r\n\0\r\n.\r\n", b"A: b\n\n\0\x80\xff\0\n\0\n"),
    (b"A: b\r\n\r\n" + b"x" * 3000000 + b"\r\n.\r\n", b"A: b\n\n" + b"x" * 3000000 + b"\n"),
    (b"no header\r\n.\r\n", b"no header\n"),
    (b"\r\n\r\n\r\n.\r\n", b"\n\n\n"),
    (b"A: b\r\n\r\n+OK\r\n-ERR no\r\nQUIT\r\n.\r\n", b"A: b\n\n+OK\n-ERR no\nQUIT\n"),
    (b"From me\r\n\r\nFrom you\r\n>From all\r\n.\r\n", b"From me\n\nFrom you\n>From all\n"),
], ids=["dots", "bare LF dot", "bare LF dot CRLF", "unstuffed", "lone CR", "NUL", "3MB line", "no header", "blank lines", "replies", "From"])
def test_bodies_are_what_they_are(tmp_path, raw, want, to):
    with RawBodies([b"x\n"]) as srv:
        srv.raw = raw
        h = in_clear(tmp_path, srv, to=to)
        assert clean(h.run()).code == 0
        assert h.delivered() == counter([want])
        assert srv.contents() == []
        assert clean(h.run()).code == 0 and h.delivered() == counter([want])


def test_an_empty_message(tmp_path):
    with RawBodies([b""]) as srv:
        srv.raw = b".\r\n"
        h = in_clear(tmp_path, srv)
        r = clean(h.run())
        assert r.code == 0, r
        assert h.messages() == [b""] and srv.contents() == []


def test_a_message_too_large_for_a_file_here_keeps_no_other_back(tmp_path):
    want = [b"Subject: large\n\n" + (b"x" * 70 + b"\n") * 30000] + letters(3)
    with Peer(want) as srv:
        h = in_clear(tmp_path, srv)
        for _ in range(2):
            r = clean(h.run(prefix=("sh", "-c", 'trap "" XFSZ; ulimit -f 1000; exec "$@"', "sh")))
            assert h.delivered() == counter(want[1:]) and srv.contents() == want[:1] and h.leftovers() == []
        assert r.code == 0, "it waits"
        forget_pauses(h)
        says(h.run(prefix=("sh", "-c", 'trap "" XFSZ; ulimit -f 1000; exec "$@"', "sh")), 1, "File too large")
        recover(h, srv, want)


class SendsNothing(Peer):
    """Has a message, and gives an empty one for it."""

    def retr(self, link, arg):
        if self.uid_of(link, arg) == "uid-2":
            return link.send(b"+OK 5000 octets\r\n.\r\n")
        return super().retr(link, arg)


@pytest.mark.parametrize("fetch", ["", "max-size = 10M", "purge-after = 1"])
@pytest.mark.parametrize("naming", [Peer, NoUidl])
def test_nothing_is_sent_where_there_is_something(tmp_path, naming, fetch):
    want = letters(4)
    with type("Both", (SendsNothing, naming), {})(want) as srv:
        h = in_clear(tmp_path, srv, fetch=fetch)
        says(h.run(), 1, "sends nothing")
        assert h.delivered() == counter(want) - counter(want[1:2]) and srv.contents() == want[1:2]
        recover(h, srv, want)


class Unstuffed(Peer):
    """Knows nothing of dot-stuffing: a message with a dot alone on a line seems to end there."""

    def body(self, uid):
        return self.wire(self.maildrop[uid]) + b".\r\n"


@pytest.mark.parametrize("at", [0, 2, 4])
def test_a_server_that_stuffs_no_dots(tmp_path, at):
    want = letters(5)
    cut = b"Subject: dot\n\nhead\n.\ntail\n"
    want[at] = cut
    with Unstuffed({"long-enough-uid-%d" % n: m for n, m in enumerate(want)}) as srv:
        h = in_clear(tmp_path, srv)
        says(h.run(), 1, "tail")
        # the one is left where it is, whole, and the others are not held up by it
        assert srv.contents() == [cut]
        assert h.delivered() == counter(want) - counter([cut])
        clean(h.run())
        assert srv.contents() == [cut] and h.delivered() == counter(want) - counter([cut])


@pytest.mark.parametrize("pipelining", [True, False])
@pytest.mark.parametrize("line", [b"-ERR quoted", b"+OK quoted", b"+OK 12 octets"])
def test_a_message_that_looks_like_answers(tmp_path, line, pipelining):
    """And such a server holds a message that quotes the protocol: what comes is no proof of anything. Late is fine, lost is not."""
    want = [b"Subject: 1\n\na\n.\n" + line + b"\nthe tail\n"] + letters(4)
    with Unstuffed({"long-enough-uid-%d" % n: m for n, m in enumerate(want)}) as srv:
        if not pipelining:
            srv.caps = [c for c in srv.caps if c != "PIPELINING"]
        h = in_clear(tmp_path, srv)
        for _ in range(4):
            clean(h.run())
            have = h.delivered() + counter(srv.contents())
            assert not counter(want) - have
            assert all(m in want or b"the tail" not in m for m in h.messages())


def test_a_server_that_stuffs_no_dots_and_names_nothing(tmp_path):
    """Without UIDL nothing can be left out; but nothing is taken for whole that isn't."""
    want = letters(3)
    want[1] = b"Subject: dot\n\nhead\n.\ntail\n"

    class Nameless(Unstuffed):
        caps = ["USER", "PIPELINING"]

        def uidl(self, link, arg):
            link.no("what?")

    with Nameless(want) as srv:
        h = in_clear(tmp_path, srv)
        for _ in range(3):
            says(h.run(), 76, "tail")
            assert srv.deleted == []
        srv.behave()
        assert clean(h.run()).code == 0
        assert h.delivered() == counter(want)


class BareLf(Peer):
    """A server that has never heard of CR."""

    def session(self, link):
        send = link.send
        link.send = lambda data: send(data.replace(b"\r\n", b"\n"))
        super().session(link)


def test_a_server_that_sends_bare_lf(tmp_path):
    want = letters(3) + [b"A: b\n\n.\n..\n.x\n", b"A: b\n\nx"]
    with BareLf(want) as srv:
        h = in_clear(tmp_path, srv)
        assert clean(h.run()).code == 0
        assert h.delivered() == counter(want[:4] + [b"A: b\n\nx\n"])
        assert srv.contents() == []


def test_equal_messages_are_two_messages(tmp_path):
    want = letters(1) * 2 + letters(3) + letters(1)
    with Peer(want) as srv:
        h = in_clear(tmp_path, srv)
        assert clean(h.run()).code == 0
        assert h.delivered() == counter(want) and srv.contents() == []


# Terminal escapes

class Escapes(Peer):
    greeting_text = ESCAPES
    caps = Peer.caps + ["IMPLEMENTATION " + ESCAPES, "SASL " + ESCAPES, "LOGIN-DELAY " + ESCAPES, ESCAPES]

    def uidl_of(self, uid):
        return ESCAPES + uid

    def dele(self, link, arg):
        link.no(ESCAPES)


class EscapesAtLogin(Escapes):
    def pass_(self, link, arg):
        link.no(ESCAPES + "wrong")


class EscapesForReply(Escapes):
    def stat(self, link, arg):
        link.send((ESCAPES + "\r\n").encode())


@pytest.mark.parametrize("peer", [Escapes, EscapesAtLogin, EscapesForReply])
@pytest.mark.parametrize("args", [["run"], ["-v", "run"], ["-vv", "run"], ["--json", "run"], ["info", "isp"], ["-vv", "info", "isp"], ["list", "isp"],
                                  ["check", "--connect"]], ids=" ".join)
def test_nothing_reaches_the_terminal_raw(tmp_path, peer, args):
    with peer([b"Subject: " + ESCAPES.encode() + b"\n\nx\n"]) as srv:
        h = in_clear(tmp_path, srv)
        r = clean(h.call(*args))
        shown = "info" in args or "run" in args or peer is not Escapes
        assert ("\\x1b]0;owned\\x07" in (r.out + r.err).replace("\\\\x", "\\x")) == shown, r
        clean(h.call("status"))


# Removal

class QuitSilent(Peer):
    def quit(self, link, arg):
        self.update(link)
        link.hang()


class QuitLost(Peer):
    """Breaks off at QUIT, and removes nothing: RFC 1939 section 6."""

    def quit(self, link, arg):
        raise Hangup


class QuitRefused(Peer):
    def quit(self, link, arg):
        link.no("some deleted messages not removed")


def test_a_quit_that_is_done_but_not_answered(tmp_path):
    """The next session shows that all is well."""
    want = letters(4)
    with QuitSilent(want) as srv:
        h = in_clear(tmp_path, srv)
        says(h.run(), 0, "within 2 seconds")
        assert h.delivered() == counter(want)
        recover(h, srv, want)


@pytest.mark.parametrize("peer,words", [(QuitLost, ["closed"]), (QuitRefused, ["not removed"])])
def test_a_removal_that_is_not_confirmed(tmp_path, peer, words):
    want = letters(4)
    with peer(want) as srv:
        h = in_clear(tmp_path, srv)
        says(h.run(), 75, *words)
        assert h.delivered() == counter(want)
        again = says(h.run(), 75, *words)
        assert again.end["pulled"] == 0 and h.delivered() == counter(want)
        recover(h, srv, want)


NAMING = [Peer, EverNew, NoUidl]


class QuitRefusedForGood(Peer):
    def quit(self, link, arg):
        link.no("[SYS/PERM] can't update")


@pytest.mark.parametrize("naming", [Peer, NoUidl])
@pytest.mark.parametrize("fault", [QuitLost, QuitRefused, QuitRefusedForGood])
def test_with_purge_after_all_comes_though_no_removal_is_confirmed(tmp_path, fault, naming):
    want = letters(6)
    with type("Both", (fault, naming), {})(want) as srv:
        h = in_clear(tmp_path, srv, fetch="purge-after = 2")
        for _ in range(3):
            assert clean(h.run()).code in (69, 75)
        assert h.delivered() == counter(want)
        recover(h, srv, want)


@pytest.mark.parametrize("naming", NAMING)
@pytest.mark.parametrize("fault", [QuitLost, QuitRefused, CutsBody, CutsOnce])
def test_a_break_doubles_nothing_however_messages_are_named(tmp_path, fault, naming):
    want = letters(6)
    both = type("Both", (fault, naming), {})
    with both(want) as srv:
        h = in_clear(tmp_path, srv)
        r = clean(h.run())
        assert r.code == (0 if fault is CutsOnce else 1 if fault is CutsBody and naming is Peer else 75), r
        nothing_lost(h, srv, want)
        clean(h.run())
        recover(h, srv, want)


class DeleRefused(Peer):
    def dele(self, link, arg):
        if self.uid_of(link, arg) == "uid-2":
            return link.no("can't delete this")
        return super().dele(link, arg)


def test_one_removal_is_refused(tmp_path):
    want = letters(4)
    with DeleRefused(want) as srv:
        h = in_clear(tmp_path, srv)
        says(h.run(), 1, "can't delete this")
        assert h.delivered() == counter(want)
        assert list(srv.maildrop) == ["uid-2"]
        clean(h.run())
        assert h.delivered() == counter(want) and list(srv.maildrop) == ["uid-2"]
        recover(h, srv, want)


class NeverRemoves(Peer):
    def update(self, link):
        link.marked.clear()


@pytest.mark.parametrize("naming", [Peer, NoUidl])
def test_a_server_that_removes_nothing(tmp_path, naming):
    """Nothing is delivered again, and from the second run on it is told."""
    want = letters(5) + letters(1)
    with type("Both", (NeverRemoves, naming), {})(want) as srv:
        h = in_clear(tmp_path, srv)
        for i in range(3):
            r = clean(h.run())
            assert r.code == 0 and h.delivered() == counter(want)
            assert ["gives back messages" in w["text"] for w in r.of("warning")] == [True] * (i > 0)
        assert "gives back messages" in clean(h.call("run", "-v")).err
        new = b"Subject: new\n\nx\n"
        srv.maildrop["uid-new"] = new
        assert clean(h.run()).end["pulled"] == 1
        srv.maildrop["uid-twin"] = want[0]
        assert clean(h.run()).end["pulled"] == 1
        srv.__class__ = naming
        r = clean(h.run())
        assert r.code == 0 and r.end["pulled"] == 0 and srv.contents() == []
        assert h.delivered() == counter(want + [new, want[0]])


@pytest.mark.parametrize("naming", NAMING)
def test_a_server_that_removes_nothing_is_not_read_for_ever(tmp_path, naming):
    want = letters(5)
    with type("Both", (NeverRemoves, naming), {})(want) as srv:
        h = in_clear(tmp_path, srv, fetch="purge-after = 2")
        clean(h.run())
        assert h.delivered() - counter(want) == counter([]), "twice in one run"
        nothing_lost(h, srv, want)
        if naming is not EverNew:
            clean(h.run())
            clean(h.run())
            assert h.delivered() == counter(want)
            srv.__class__ = naming
            assert clean(h.run()).code == 0 and srv.contents() == []
            assert h.delivered() == counter(want)


# The same mail is not fetched again and again in one run, though nothing tells that it is the same.

class Varies(Peer):
    """Each reading of a message shows another header; its names are too short to be trusted."""

    read = 0

    def body(self, uid):
        self.read += 1
        return b"X-Retrieved: %d\r\n" % self.read + super().body(uid)


class DeleHangsUp(Peer):
    def dele(self, link, arg):
        raise Hangup


class HangsUpAtThird(Peer):
    def retr(self, link, arg):
        if arg == "3":
            raise Hangup
        super().retr(link, arg)


class GmailWithoutNames(NoUidl):
    greeting_text = "Gpop ready"


@pytest.mark.parametrize("fault,fetch,files", [
    (QuitRefused, "", 4), (type("Nameless", (QuitRefused, NoUidl), {}), "", 4), (DeleHangsUp, "", 4), (NeverRemoves, "purge-after = 1", 5),
    (GmailWithoutNames, "keep = yes", 4), (HangsUpAtThird, "", 4)])
def test_a_run_has_an_end_where_nothing_tells_that_mail_is_the_same(tmp_path, fault, fetch, files):
    with type("Both", (fault, Varies), {})(letters(4)) as srv:
        h = in_clear(tmp_path, srv, fetch=fetch)
        clean(h.run(seconds=20))
        assert len(h.messages()) <= files
        assert max(n for n, _, _ in srv.noted()) <= 6


def test_what_may_be_new_mail_is_told_in_cron(tmp_path):
    """Without names a message that is the same as one that was removed is taken for that, given back: somebody must hear of it."""
    want = letters(2)
    with NoUidl(want) as srv:
        h = in_clear(tmp_path, srv)
        assert clean(h.call("run")).err == ""
        srv.maildrop["again"] = want[0]
        srv.maildrop["new"] = letters(3)[2]
        r = clean(h.call("run"))
        assert r.code == 0 and "the same to the byte" in r.err
        assert h.delivered() == counter(letters(3)) and srv.contents() == []
        assert clean(h.call("run")).err == ""


def test_mail_that_may_have_come_twice_is_told_in_cron(tmp_path):
    with type("Both", (QuitRefused, Varies), {})(letters(2)) as srv:
        h = in_clear(tmp_path, srv)
        assert "other messages under the names" not in clean(h.call("run")).err
        assert "other messages under the names" in clean(h.call("run")).err


class Numbers(Peer):
    """Calls its messages by their position: a name is used again as soon as it is free."""

    def uidl(self, link, arg):
        link.ok(more=["%d %d" % (n, n) for n, _ in self.rows(link)])


def test_uidls_that_are_used_again(tmp_path):
    want = letters(2)
    with Numbers(want) as srv:
        h = in_clear(tmp_path, srv)
        assert clean(h.run()).code == 0
        for i in range(3):
            new = [b"Subject: later %d.%d\n\nx\n" % (i, k) for k in range(2)]
            srv.maildrop.update({"new-%d-%d" % (i, k): m for k, m in enumerate(new)})
            want = want + new
            assert clean(h.run()).code == 0
            assert h.delivered() == counter(want) and srv.contents() == []


@pytest.mark.parametrize("keep", ["keep = no", "keep = no\n\tmax-size = 1k"])
def test_a_dry_run_tells_what_the_run_does_with_mail_that_was_kept(tmp_path, keep):
    """The names are short: it is read once more before it is removed. That is no fetching, and max-size is not for it."""
    want = letters(3, size=3000)
    with Peer(want) as srv:
        h = in_clear(tmp_path, srv, fetch="keep = yes")
        assert clean(h.run()).code == 0
        h.reconfigure("keep = yes", keep)
        plan = lambda r: sorted((e["action"], e["uid"]) for e in r.of("message"))
        dry = clean(h.run("--dry-run"))
        real = clean(h.run())
        assert plan(dry) == plan(real) == [("delete", "uid-%d" % n) for n in (1, 2, 3)]
        assert dry.end["deleted"] == real.end["deleted"] == 3 and real.end["skipped"] == 0
        assert h.delivered() == counter(want) and srv.contents() == []


class LongNumbers(Peer):
    """Names that look as if they were made for one message alone, and are its position."""

    def uidl(self, link, arg):
        link.ok(more=["%d msg-%012d" % (n, n) for n, _ in self.rows(link)])


class WritesStatus(Peer):
    """Notes in a message that it was read, as qpopper did."""

    first = b""

    def __init__(self, *args):
        self.seen = set()
        super().__init__(*args)

    def body(self, uid):
        line = b"Status: RO\r\n" if uid in self.seen else self.first
        self.seen.add(uid)
        return b"From: x@example.org\r\n" + line + super().body(uid)


@pytest.mark.parametrize("first", [b"", b"Status: O\r\n", b"Status: U\r\nX-Status: \r\n"])
@pytest.mark.parametrize("naming", [Peer, LongNumbers, NoUidl])
@pytest.mark.parametrize("fault", [Peer, QuitRefused])
def test_a_status_line_makes_no_other_message(tmp_path, fault, naming, first):
    """Read again because keep has changed, or a removal was not confirmed, it is the same."""
    if first and (naming is NoUidl or (naming is LongNumbers and fault is QuitRefused)):
        return  # without a name, or under one that was trusted: nothing is known of it but what it was with the first line
    bases = (fault, WritesStatus, naming) if fault is not Peer else (WritesStatus,) + ((naming,) if naming is not Peer else ())
    with type("Both", bases, {})(letters(4)) as srv:
        srv.first = first
        h = in_clear(tmp_path, srv, fetch="keep = yes" if fault is Peer else "")
        clean(h.run())
        if fault is Peer:
            h.reconfigure("keep = yes", "keep = no")
        else:
            srv.quit = lambda link, arg: Peer.quit(srv, link, arg)
        assert clean(h.run()).code == 0
        assert len(h.messages()) == 4 and srv.contents() == []


class LosesFirstEnd(LongNumbers):
    """The first QUIT does what it should, or nothing; the answer is lost. Then new mail comes."""

    ends, does = 0, True

    def quit(self, link, arg):
        self.ends += 1
        if self.ends > 1:
            return super().quit(link, arg)
        if self.does:
            self.update(link)
        self.maildrop.update({"new-1": b"Subject: new 1\n\nx\n", "new-2": b"Subject: new 2\n\nx\n"})
        raise Hangup


@pytest.mark.parametrize("does", [True, False])
def test_what_may_have_been_removed_is_read_before_it_is_removed_again(tmp_path, does):
    old = letters(2)
    with LosesFirstEnd(old) as srv:
        srv.does = does
        h = in_clear(tmp_path, srv)
        says(h.run(), 75, "closed")
        want = old + [b"Subject: new 1\n\nx\n", b"Subject: new 2\n\nx\n"]
        nothing_lost(h, srv, want)
        assert clean(h.run()).code == 0
        assert h.delivered() == counter(want) and srv.contents() == []
        read = len(srv.commands("RETR"))
        assert clean(h.run()).code == 0 and len(srv.commands("RETR")) == read


def test_a_process_that_is_killed_does_not_forget_what_it_asked_for(tmp_path):
    new = b"Subject: new\n\nx\n"
    for step in range(1, 30):
        old = letters(2)
        with LongNumbers(old) as srv:
            h = in_clear(tmp_path / str(step), srv)
            r = h.call("run", env={"MAILHAUL_STOP_AT": str(step)})
            srv.maildrop["new"] = new
            assert clean(h.run()).code == 0
            assert h.delivered() == counter(old + [new]) and srv.contents() == [], step
            if r.code == 0:
                return
    assert False, "it never came to its end"


# Gmail

class Gmail(Peer):
    greeting_text = "Gpop ready for requests from 127.0.0.1"

    def visible(self, link):
        return list(self.maildrop)[:3]


def test_gmail_gives_its_mail_in_batches(tmp_path):
    want = letters(10)
    with Gmail(want) as srv:
        h = in_clear(tmp_path, srv)
        r = clean(h.run())
        assert r.code == 0 and r.end["pulled"] == 10
        assert h.delivered() == counter(want) and srv.contents() == []


class GmailArchives(Gmail):
    """What was read and confirmed by QUIT is not shown again, but never removed."""

    def __init__(self, *a, **k):
        self.hidden = set()
        super().__init__(*a, **k)

    def visible(self, link):
        return [u for u in self.maildrop if u not in self.hidden][:3]

    def retr(self, link, arg):
        link.read = getattr(link, "read", set()) | {self.uid_of(link, arg)}
        super().retr(link, arg)

    def quit(self, link, arg):
        self.hidden |= getattr(link, "read", set())
        link.ok("Farewell.")


@pytest.mark.parametrize("keep", ["no", "yes"])
def test_gmail_with_an_archive(tmp_path, keep):
    want = letters(10)
    with GmailArchives(want) as srv:
        h = in_clear(tmp_path, srv, fetch="keep = " + keep)
        assert clean(h.run()).code == 0
        assert h.delivered() == counter(want)
        assert clean(h.run()).code == 0
        assert h.delivered() == counter(want)


def test_gmail_is_not_told_goodbye_when_it_sent_nothing(tmp_path):
    want = letters(3)
    with type("Both", (GmailArchives, SendsNothing), {})(want) as srv:
        h = in_clear(tmp_path, srv)
        says(h.run(), 1, "sends nothing")
        assert h.delivered() == counter(want) - counter(want[1:2]) and "uid-2" not in srv.hidden
        recover(h, srv, want)


def test_gmail_is_not_told_goodbye_when_the_mail_could_not_be_kept(tmp_path):
    """QUIT would hide for ever what was read."""
    want = [b"Subject: large\n\n" + b"x" * 70 + b"\n", b"Subject: larger\n\n" + (b"y" * 70 + b"\n") * 30000]
    with GmailArchives(want) as srv:
        h = in_clear(tmp_path, srv)
        r = h.run(prefix=("sh", "-c", 'trap "" XFSZ; ulimit -f 1000; exec "$@"', "sh"))
        assert r.code == 74, r
        assert srv.commands("RETR") != [] and srv.commands("QUIT") == []
        assert clean(h.run()).code == 0
        assert h.delivered() == counter(want)


def test_gmail_recent_removes_nothing(tmp_path):
    want = letters(7)
    with Gmail(want) as srv:
        srv.visible = lambda link: list(srv.maildrop)
        h = in_clear(tmp_path, srv, account="gmail-recent = yes")
        for _ in range(2):
            assert clean(h.run()).code == 0
            assert h.delivered() == counter(want)
        assert set(srv.commands("USER")) == {"USER recent:anna"}
        assert srv.commands("DELE") == [] and srv.contents() == want


# The clock was ahead once, and is right since

YEARS = 10 * 365 * 86400


class RefusesTwo(Peer):
    def retr(self, link, arg):
        if arg == "2":
            return link.no("[SYS/TEMP] not now")
        return super().retr(link, arg)


class AsksForAPause(Peer):
    def pass_(self, link, arg):
        return link.no("[LOGIN-DELAY] wait")


def later(h, statement):
    with contextlib.closing(sqlite3.connect(h.db)) as base:
        assert base.execute(statement.replace("YEARS", str(YEARS))).rowcount == 1
        base.commit()


def test_a_failure_of_the_far_future_is_tried_again(tmp_path):
    want = letters(3)
    with RefusesTwo(want) as srv:
        h = in_clear(tmp_path, srv)
        assert clean(h.run()).code == 1
        later(h, "UPDATE failure SET next = next + YEARS, since = since + YEARS")
        srv.behave()
        assert clean(h.run()).code == 0 and h.delivered() == counter(want)


def test_a_failure_of_the_far_future_is_tried_again_where_nothing_is_new(tmp_path):
    want = letters(3)
    with RefusesTwo(want) as srv:
        h = in_clear(tmp_path, srv, fetch="keep = yes")
        assert clean(h.run()).code == 1
        assert clean(h.run()).code == 0 and len(h.messages()) == 2
        later(h, "UPDATE failure SET next = next + YEARS, since = since + YEARS")
        srv.behave()
        assert clean(h.run()).code == 0 and h.delivered() == counter(want)


@pytest.mark.parametrize("ahead", [YEARS, 600])
def test_a_pause_of_the_far_future_is_over(tmp_path, ahead):
    want = letters(2)
    with AsksForAPause(want) as srv:
        h = in_clear(tmp_path, srv, fetch="every = 10m")
        assert clean(h.run()).code == 75
        later(h, "UPDATE meta SET value = value + %d WHERE key = 'pause'" % ahead)
        os.utime(h.db + ".lock", (1, 1))
        os.unlink(h.db + ".attempts")
        srv.behave()
        paused = ahead != YEARS
        assert clean(h.run("--due")).code == 0 and h.delivered() == counter([] if paused else want)
        assert clean(h.run()).code == (75 if paused else 0)


def test_a_last_run_in_the_future_makes_it_due(tmp_path):
    want = letters(2)
    with Peer(want[:1]) as srv:
        h = in_clear(tmp_path, srv, fetch="every = 10m")
        assert clean(h.run()).code == 0
        srv.maildrop["new"] = want[1]
        assert clean(h.run("--due")).code == 0 and len(h.messages()) == 1
        ahead = time.time() + YEARS
        with open(h.db + ".attempts", "r+", encoding="ascii") as f:
            text = f.read()
            f.seek(0)
            f.write(re.sub(r"(?m)^started \d+$", "started %d" % ahead, text))
        assert "next due: now" in h.call("status").out
        assert clean(h.run("--due")).code == 0 and h.delivered() == counter(want)
        srv.maildrop["newer"] = letters(3)[2]
        assert clean(h.run("--due")).code == 0 and len(h.messages()) == 2
