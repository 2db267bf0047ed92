"""What a run waits for between connect and the list of folders, and servers that are not any more what they were."""

import os
import re
import shutil

import pytest

import disturb
import dovecot
import haul
import tlscert
import twoway
from hostile import TLS, clean
from imappeer import Hangup, Peer, Refused
from test_hostile_imap import Job
from twoway import Sync

LETTERS = [b"Message-ID: <%d@example.org>\nSubject: letter %d\n\ntext\n" % (i, i) for i in range(3)]


@pytest.fixture
def far(far):
    """With some mail."""
    far.remote.fill("INBOX", 3)
    return far


def known(p):
    """The file of what is known of the server."""
    return os.path.join(p.state, "server", "work")


def waits(p):
    """How often, at the most, a run that has nothing to do stands still for the server: a slow client may find that an answer is there already."""
    r = clean(p.run("both"))
    assert r.code == 0 and twoway.actions(r) == [] and not r.of("warning"), r
    return r.end["round_trips"] + 1     # connect()


def said(p, sent, got):
    """Whether we say the one before we hear the other."""
    r = p.call("-vv", "run", "both")
    assert r.code == 0 and "nothing new" in r.out, r
    return re.search("^both: > " + sent, r.err, re.M).start() < re.search("^both: < " + got, r.err, re.M).start()


def flies(p):
    """Whether LIST leaves before the login is answered."""
    return said(p, r"A\d+ LIST ", "(A1 OK|<secret>)")


def is_ahead(p):
    """Whether the login leaves before the greeting came."""
    return said(p, "A1 AUTHENTICATE ", r"(\* OK |<secret>)")


def test_waits(far):
    """Connect, TLS, greeting, and the login with all that comes behind it."""
    assert clean(far.run("both")).code == 0
    assert os.stat(known(far)).st_mode & 0o777 == 0o600
    before = os.stat(known(far)).st_mtime_ns
    assert max(waits(far) for _ in range(2)) <= 4
    assert flies(far)
    assert os.stat(known(far)).st_mtime_ns == before, "a run that learns nothing writes nothing"
    far.same()


def test_changes_here(far):
    """What is to be deleted at the server is proven to be it along with the flags of others and with what is put there, and removed along with its mark."""
    far.settle()
    bodies = sorted(far.local.bodies("INBOX"))
    far.local.deliver(b"Message-ID: <new@example.org>\n\nnew\n")
    far.local.flag("INBOX", bodies[0], "FS")
    far.local.delete("INBOX", bodies[1])
    r = far.call("-vv", "run", "both")
    assert r.code == 0, r
    sent = re.findall(r"^both: ([<>]) A\d+ (\w+(?: \w+)?)", r.err, re.M)
    at = sent.index((">", "APPEND"))
    assert sent[at:at + 4] == [(">", "APPEND"), (">", "NOOP"), (">", "UID STORE"), (">", "UID FETCH")], r
    at = sent.index((">", "UID EXPUNGE"))
    assert sent[at - 1] == (">", "UID STORE"), r
    far.same()
    assert len(far.remote.bodies("INBOX")) == 3


@pytest.mark.parametrize("damage", ["lost", "empty", "cut", "other words", "garbage", "readable", "other settings"])
def test_what_is_known_is_damaged(far, damage):
    far.settle()
    path, text = known(far), open(known(far), "rb").read()
    if damage == "lost":
        os.unlink(path)
    elif damage == "readable":
        os.chmod(path, 0o644)
    elif damage == "other settings":
        far.account = "disable-extensions = QRESYNC"
        far.configure("")
    else:
        with open(path, "wb") as f:
            f.write({"empty": b"", "cut": text[:len(text) // 2], "other words": text.replace(b"flies yes", b"flies high"), "garbage": os.urandom(500)}[damage])
    assert not flies(far)
    assert os.stat(path).st_mode & 0o777 == 0o600
    if damage == "other settings":
        assert b"QRESYNC" in text and b"QRESYNC" not in open(path, "rb").read()
    assert flies(far)


@pytest.mark.parametrize("mechanisms", ["plain", "plain scram-sha-256"])
def test_a_session_is_taken_up(tmp_path, mechanisms):
    """Connect, TLS, and all the rest; SCRAM's two questions before it."""
    with dovecot.Dovecot(tmp_path / "srv", auth_mechanisms=mechanisms) as srv:
        proxy = disturb.Proxy(srv.imaps_port, "--rtt-ms", "60")
        srv.front_port = proxy.port
        p = Sync(tmp_path, srv)
        p.remote.fill("INBOX", 3)
        assert clean(p.run("both")).code == 0
        before = os.stat(known(p)).st_mtime_ns
        assert b"\nsession " in open(known(p), "rb").read()
        assert max(waits(p) for _ in range(2)) <= (3 if mechanisms == "plain" else 5)
        assert is_ahead(p)
        assert os.stat(known(p)).st_mtime_ns == before
        srv.stop()
        srv.start()     # with another key
        assert not is_ahead(p)
        p.same()
        proxy.stop()


@pytest.mark.parametrize("command", ["list", "run", "run --dry-run"])
def test_a_first_run_lists_once(far, command):
    """Though nothing is here to be held against it."""
    r = far.call("-vv", *command.split(), "both")
    assert r.code == 0 and len(re.findall(r"^(?:both: )?> A\d+ LIST ", r.err, re.M)) == 1, r
    assert os.path.exists(far.local.path) == (command == "run")


def test_a_dry_run_keeps_nothing(far):
    assert clean(far.run("--dry-run", "both")).code == 0
    assert not os.path.exists(os.path.join(far.state, "server"))


def test_a_wrong_password(far):
    """The error is that of the login alone, and the server is asked once."""
    far.settle()
    with open(far.secret, "w") as f:
        f.write("wrong\n")
    refused = far.srv.log().count("auth failed")
    r = clean(far.run("both"))
    assert r.code == 77 and [e["kind"] for e in r.of("error")] == ["auth"], r
    assert "AUTHENTICATIONFAILED" in r.of("error")[0]["text"]
    assert far.srv.wait_for_log("auth failed", refused + 1) == refused + 1


# Scripted servers

def job(directory, srv, ca):
    return Job(directory, srv, scheme="imaps", ca_file=ca.cert, tls=TLS, host="localhost")


class Other(Peer):
    """It can less than before."""

    less = {"LIST-EXTENDED", "LIST-STATUS", "NAMESPACE"}


class Dropping(Peer):
    """What came along with the login is dropped."""

    def let_in(self, link, tag, user, password):
        super().let_in(link, tag, user, password)
        link.buf = b""


class Closing(Peer):
    """It can't bear anything behind a login."""

    def let_in(self, link, tag, user, password):
        if link.buf:
            raise Hangup
        super().let_in(link, tag, user, password)


class Asking(Peer):
    """The initial response is not taken, but asked for: the next command would be sent for it."""

    def authenticate(self, link, tag, args):
        try:
            super().authenticate(link, tag, args[:1] if link.buf else args)
        except ValueError as e:
            raise Refused("BAD no base64") from e


class NoPlain(Peer):
    """PLAIN is gone; the greeting says so."""

    less = {"AUTH=PLAIN", "SASL-IR"}


class Mute(Peer):
    """Silence behind the login, if anything came along with it."""

    def let_in(self, link, tag, user, password):
        if not link.buf:
            return super().let_in(link, tag, user, password)
        super().let_in(link, tag, user, password)
        return link.hang()


def start(ca, certificate, kind=Peer):
    return kind({"INBOX": LETTERS, "Work": LETTERS[:1]}, pair=certificate, tls=True)


@pytest.mark.parametrize("kind,links", [(Other, 1), (Dropping, 2), (Closing, 2), (Asking, 2), (NoPlain, 2), (Mute, 2)])
def test_a_server_that_is_another(tmp_path, ca, certificate, kind, links):
    """It took what stood behind the login, and takes it no more."""
    with start(ca, certificate) as srv:
        h = job(tmp_path, srv, ca)
        h.settle()
        assert b"flies yes" in open(known(h), "rb").read()
        srv.__class__ = kind
        srv.inbox().add(b"\nnew\n")
        first = max(n for n, _, _ in srv.noted()) + 1
        h.settle()
        h.same()
        runs = [len([1 for n in range(first, first + 9) if any(m == n for m, _, _ in srv.noted())])]
        assert runs == [links + 1], srv.noted()
        srv.behave()
        h.settle()
        h.same()


@pytest.mark.parametrize("kind", [Dropping, Closing, Asking, Mute])
def test_a_server_that_never_took_it(tmp_path, ca, certificate, kind):
    with start(ca, certificate, kind) as srv:
        h = job(tmp_path, srv, ca)
        r = clean(h.run("both"))
        assert r.code == (0 if kind in (Dropping, Closing, Asking) else 75), r
        h.settle()
        h.same()
        assert b"flies no" in open(known(h), "rb").read()


def test_a_folder_that_came_too_early(tmp_path, ca, certificate):
    """What is said before the login is answered is nobody's list."""
    class Early(Peer):
        def let_in(self, link, tag, user, password):
            link.star('LIST () "/" Forged')
            super().let_in(link, tag, user, password)
    with start(ca, certificate) as srv:
        h = job(tmp_path, srv, ca)
        h.settle()
        srv.__class__ = Early
        h.settle()
        assert "Forged" not in h.local.state()
        h.same()


def told_once(h, srv):
    tried = len(srv.commands("AUTHENTICATE"))
    r = clean(h.run("both"))
    assert r.code == 77 and [e["kind"] for e in r.of("error")] == ["auth"] and "not today" in r.of("error")[0]["text"], r
    assert len(srv.commands("AUTHENTICATE")) == tried + 1


def test_a_refused_login_is_tried_once(tmp_path, ca, certificate):
    class Refusing(Peer):
        def let_in(self, link, tag, user, password):
            raise Refused("NO [AUTHENTICATIONFAILED] not today")
    with start(ca, certificate) as srv:
        h = job(tmp_path, srv, ca)
        h.settle()
        srv.__class__ = Refusing
        told_once(h, srv)


# The session of TLS: what is trusted now counts, not what was when it was made

def refused(r):
    assert clean(r).code == 77 and "certificate" in r.of("error")[0]["text"], r


def talkative(srv):
    """Sessions in which something was said to the server; the last word of one may come late."""
    return {session for session, _, _ in srv.noted()}


def test_another_certificate(tmp_path, ca, certificate):
    """The server shows one that nobody should trust."""
    with start(ca, certificate) as srv:
        h = job(tmp_path, srv, ca)
        h.settle()
        assert b"\nsession " in open(known(h), "rb").read()
        srv.show(ca.issue("wrong", names=["DNS:elsewhere.example"]))
        said_before = talkative(srv)
        refused(h.run("both"))
        assert talkative(srv) == said_before
        srv.show(certificate)
        h.settle()


@pytest.mark.parametrize("how", ["another file", "another content", "a fingerprint"])
def test_trust_is_withdrawn(tmp_path, ca, certificate, how):
    """The server still takes up the session."""
    other = tlscert.CA(str(tmp_path / "other"), "Other CA").cert
    mine = str(tmp_path / "trusted.pem")
    shutil.copy(ca.cert, mine)
    with start(ca, certificate) as srv:
        def configured(ca_file, account=""):
            return Job(tmp_path, srv, scheme="imaps", ca_file=ca_file, tls=TLS, host="localhost", account=account)
        h = configured(mine)
        h.settle()
        if how == "another content":
            shutil.copy(other, mine)
        elif how == "another file":
            h = configured(other)
        else:
            h = configured(None, "fingerprint = \"%s\"" % (64 * "0"))
        said_before = talkative(srv)
        refused(h.run("both"))
        assert talkative(srv) == said_before


def test_a_client_certificate_is_not_kept(tmp_path, ca, certificate):
    with start(ca, certificate) as srv:
        h = Job(tmp_path, srv, scheme="imaps", ca_file=ca.cert, tls=TLS, host="localhost",
                account="client-cert = %s\n\tclient-key = %s" % (haul.quoted(certificate.cert), haul.quoted(certificate.key)))
        h.settle()
        text = open(known(h), "rb").read()
        assert b"flies yes" in text and b"session" not in text


def test_preauth_where_the_greeting_is_not_waited_for(tmp_path, ca, certificate):
    class Preauth(Peer):
        def greeting(self, link):
            link.in_ = True
            link.star("PREAUTH [CAPABILITY %s] welcome" % " ".join(self.caps))

        def authenticate(self, link, tag, args):
            raise Refused("BAD you are in")
    with start(ca, certificate) as srv:
        h = job(tmp_path, srv, ca)
        h.settle()
        srv.__class__ = Preauth
        h.settle()
        h.same()


def test_a_stronger_mechanism_is_taken_at_once(tmp_path, ca, certificate):
    """Where no session is taken up, the greeting counts, not what is remembered."""
    class Stronger(Peer):
        caps = Peer.caps + ["AUTH=SCRAM-SHA-256"]

        def authenticate(self, link, tag, args):
            assert args[0] != "PLAIN"
            raise Refused("NO [AUTHENTICATIONFAILED] not today")
    with start(ca, certificate) as srv:
        h = job(tmp_path, srv, ca)
        h.settle()
        srv.show(certificate)
        srv.__class__ = Stronger
        r = clean(h.run("both"))
        assert r.code == 77 and "SCRAM-SHA-256" in r.of("error")[0]["text"], r


class Parallel(Peer):
    """What stands behind a login is answered before that, as to somebody who is not in yet."""

    def let_in(self, link, tag, user, password):
        while b"\n" in link.buf:
            other, parts = self.command(link)
            try:
                self.obey(link, other, parts)
            except Refused as why:
                self.finished(link, other, str(why))
        super().let_in(link, tag, user, password)


class Strict(Peer):
    """What came along with a login is refused behind it."""

    def let_in(self, link, tag, user, password):
        super().let_in(link, tag, user, password)
        link.in_ = False
        while b"\n" in link.buf:
            other, parts = self.command(link)
            try:
                self.obey(link, other, parts)
            except Refused as why:
                self.finished(link, other, str(why))
        link.in_ = True


@pytest.mark.parametrize("mechanism", ["AUTH=PLAIN", "LOGIN"])
@pytest.mark.parametrize("kind", [Parallel, Strict])
def test_a_server_that_refuses_what_is_behind_the_login(tmp_path, ca, certificate, kind, mechanism):
    """From the first, and later."""
    class Good(Peer):
        less = {"AUTH=PLAIN"} if mechanism == "LOGIN" else set()

        def namespace(self, link, tag, args):
            if not link.in_:
                raise Refused("BAD log in first")
            link.star('NAMESPACE (("Mail/" "/")) NIL NIL')
            link.ok(tag)

        def name_of(self, folder):
            return super().name_of(folder) if folder.name == "INBOX" else b'"Mail/%s"' % folder.name.encode()

        def folder(self, word, make=False):
            return super().folder(re.sub("^Mail/", "", word.decode() if isinstance(word, bytes) else word), make)

    class This(kind, Good):
        pass

    with start(ca, certificate, This) as srv:
        h = job(tmp_path, srv, ca)
        for _ in range(4):
            h.settle()
        srv.__class__ = Good
        os.unlink(known(h))
        h.settle()
        h.settle()
        assert b"flies yes" in open(known(h), "rb").read()
        srv.__class__ = This
        for _ in range(3):
            srv.inbox().add(b"\nnew\n")
            h.settle()
            h.same()


@pytest.mark.parametrize("known_before", [True, False])
def test_a_wrong_password_and_good_bye(tmp_path, ca, certificate, known_before):
    """A server that closes behind the refusal is told the password once."""
    class Refusing(Peer):
        def let_in(self, link, tag, user, password):
            link.line(tag + " NO [AUTHENTICATIONFAILED] not today")
            raise Hangup
    with start(ca, certificate, Peer if known_before else Refusing) as srv:
        h = job(tmp_path, srv, ca)
        if known_before:
            h.settle()
        srv.__class__ = Refusing
        told_once(h, srv)
