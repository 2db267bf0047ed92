"""Bodies over further connections of an account: from a server that gives each so much and no more. Whatever goes wrong with them, a run ends as if there had been none."""

import json
import os
import threading
import time

import pytest

import haul
import imappeer
import twoway
from disturb import LONG, Proxy, points
from dovecot import Dovecot
from hostile import clean, forget_pauses
from imappeer import Hangup, Peer, Refused

N, PAUSE = 600, 0.004
MEASURE = {"MAILHAUL_MEASURE": "200"}


def letters(n, first=1):
    return [b"From: x@example.org\nMessage-ID: <%d@example.org>\nSubject: letter %d\n\n" % (i, i) + (b"text %d " % i * 10 + b"\n") * 120 for i in range(first, first + n)]


class Slow(Peer):
    """Gives each connection its messages slowly; what it gave is in `given`: (connection, UID)."""

    pause, quick_aides = PAUSE, False

    def __init__(self, *args, **more):
        self.given, self.now, self.most = [], set(), 0
        super().__init__(*args, **more)

    def session(self, link):
        self.now.add(link.number)
        self.most = max(self.most, len(self.now))
        try:
            super().session(link)
        finally:
            self.now.discard(link.number)

    def give(self, link, m, head, data, tail):
        self.lock.release()     # the others don't wait for it
        try:
            time.sleep(self.pause / 4 if self.is_aide(link) and self.quick_aides else self.pause)
        finally:
            self.lock.acquire()
        if self.is_aide(link):
            self.give_aide(link, m, head, data, tail)
        else:
            super().give(link, m, head, data, tail)
        self.given.append((link.number, m.uid))

    def give_aide(self, link, m, head, data, tail):
        """To a further connection."""
        super().give(link, m, head, data, tail)

    def is_aide(self, link):
        """Is it not the first?"""
        return link.number > self.noted()[0][0]

    def by_aides(self):
        return [uid for n, uid in self.given if n > self.noted()[0][0]]

    def opened(self, number):
        """What a connection selected."""
        return [line.split(" ", 1)[1].split(" (")[0].replace('"', "") for n, _, line in self.noted() if n == number and line.split(" ")[1] in ("SELECT", "EXAMINE")]

    def links(self):
        """Those that logged in, or tried."""
        return {n for n, _, line in self.noted() if line.split(" ")[1] in ("LOGIN", "AUTHENTICATE")}


class Pull(twoway.Job):
    """Jobs between a scripted server and Maildirs; by default one, "both"."""

    def __init__(self, directory, srv, account="", jobs=None, port=None, scheme="imap", timeout=20):
        super().__init__(directory, 1)
        self.srv, self.local = srv, twoway.Side(os.path.join(self.dir, "local"))
        jobs = jobs or "sync both {\n\tremote = work\n\tlocal = %s\n}\n" % self.place("local")
        self.write_private(self.conf, "account work {\n\turl = %s\n\tpassword-file = %s\n\t%s\n\t%s\n}\n%s" % (
            haul.quoted("%s://anna@127.0.0.1:%d" % (scheme, port or srv.port)), haul.quoted(self.secret), ("tls = none\n\t" if scheme == "imap" else "") + "timeout = %ds" % timeout, account, jobs))

    def place(self, name):
        return haul.quoted("maildir:" + os.path.join(self.dir, name))

    def go(self, code=0):
        r = clean(self.run(env=MEASURE))
        assert r.code == code, [e["text"] for e in r.of("error")]
        self.links, self.most = sorted(self.srv.links()), self.srv.most
        return r

    def same(self):
        assert self.local.state() == self.srv.state()


def undisturbed(h, r, n=N):
    """As if there had been one connection."""
    assert (r.end["pulled"], r.end["failed"]) == (n, 0) and not r.of("error") and not r.of("warning"), r
    h.same()
    assert twoway.counts(clean(h.run())) == {}
    h.same()


def test_two_share_the_work(tmp_path):
    with Slow({"INBOX": letters(N)}) as srv:
        h = Pull(tmp_path, srv)
        r = h.go()
        undisturbed(h, r)
        assert srv.most == 2 and len(srv.by_aides()) > N / 4, len(srv.by_aides())
        assert sorted(uid for _, uid in srv.given) == list(range(1, N + 1)), "asked for twice"
        first, second = h.links
        assert srv.opened(second) == ["EXAMINE INBOX"] and srv.opened(first) == ["SELECT INBOX"]


def test_more_than_two(tmp_path):
    with Slow({"INBOX": letters(3 * N)}) as srv:
        srv.pause = 0.012
        h = Pull(tmp_path, srv, "connections = 4")
        r = h.go()
        undisturbed(h, r, 3 * N)
        assert srv.most >= 3 and srv.most <= 4
        assert sorted(uid for _, uid in srv.given) == list(range(1, 3 * N + 1))


@pytest.mark.parametrize("account,job", [("connections = 1", ""), ("", "rate = 100M/s")])
def test_one(tmp_path, account, job):
    """As the person wants it."""
    with Slow({"INBOX": letters(N)}) as srv:
        h = Pull(tmp_path, srv, account)
        h.reconfigure("remote = work", "remote = work\n" + job)
        undisturbed(h, h.go())
        assert srv.most == 1


def test_none_for_what_is_quick(tmp_path):
    with Slow({"INBOX": letters(100)}) as srv:
        h = Pull(tmp_path, srv)
        undisturbed(h, h.go(), 100)
        assert srv.most == 1


def test_the_next_folder_too(tmp_path):
    """They stay for it."""
    with Slow({"INBOX": letters(N), "Work": letters(N, 2000)}) as srv:
        h = Pull(tmp_path, srv)
        undisturbed(h, h.go(), 2 * N)
        assert h.most == 2 and len(h.links) == 2
        assert sorted(srv.opened(h.links[1])) == ["EXAMINE INBOX", "EXAMINE Work"]


@pytest.mark.parametrize("connections,each", [(2, 1), (4, 2)])
def test_what_the_account_allows_is_shared(tmp_path, connections, each):
    """Two jobs of one account at once."""
    with Slow({"INBOX": letters(N), "Work": letters(N, 2000)}) as srv:
        jobs = "".join("sync %s {\n\tremote = work\n\tlocal = %s\n\tfolders = %s\n}\n" % (name, haul.quoted("maildir:%s" % (tmp_path / name)), folder)
                       for name, folder in (("a", "INBOX"), ("b", "Work")))
        h = Pull(tmp_path / "two", srv, "connections = %d" % connections, jobs)
        r = h.go()
        assert srv.most <= connections and (srv.most > 2) == (each > 1), srv.most
        assert sum(e["pulled"] for e in r.of("end")) == 2 * N, r
        for name in "ab":
            assert sum(len(rows) for rows in twoway.Side(str(tmp_path / name)).state().values()) == N


# ---- what goes wrong with one ----

class RefusedAtLogin(Slow):
    def let_in(self, link, tag, user, password):
        if self.is_aide(link):
            raise Refused("NO [LIMIT] Too many simultaneous connections")
        super().let_in(link, tag, user, password)


class WrongPassword(Slow):
    def let_in(self, link, tag, user, password):
        super().let_in(link, tag, user, "wrong" if self.is_aide(link) else password)


class ByeAtOnce(Slow):
    def greeting(self, link):
        if self.noted():
            link.bye("too many connections")
        super().greeting(link)


class NotThere(Slow):
    def examine(self, link, tag, args):
        raise Refused("NO [NONEXISTENT] no such mailbox")


class OtherValidity(Slow):
    """Where another one stands behind the same name."""

    def select_lines(self, link, folder):
        folder.validity += self.is_aide(link)
        try:
            return super().select_lines(link, folder)
        finally:
            folder.validity -= self.is_aide(link)


class CutInABody(Slow):
    def give_aide(self, link, m, head, data, tail):
        if len(self.by_aides()) == 20:
            link.send(head + data[:1000])
            raise Hangup
        super().give_aide(link, m, head, data, tail)


class CutBehindABody(Slow):
    def give_aide(self, link, m, head, data, tail):
        if len(self.by_aides()) == 20:
            link.send(head + data)
            raise Hangup
        super().give_aide(link, m, head, data, tail)


class Bye(Slow):
    def give_aide(self, link, m, head, data, tail):
        if len(self.by_aides()) == 20:
            link.bye("[UNAVAILABLE] enough")
        super().give_aide(link, m, head, data, tail)


class Silent(Slow):
    def give_aide(self, link, m, head, data, tail):
        if len(self.by_aides()) == 20:
            link.send(head + data[:1000])
            self.lock.release()
            try:
                link.hang()
            finally:
                self.lock.acquire()
        super().give_aide(link, m, head, data, tail)


class TooShort(Slow):
    """Says that a message is shorter than it is: what it says ends in its midst."""

    wrong = -9

    def give_aide(self, link, m, head, data, tail):
        if len(self.by_aides()) == 20:
            link.send(head.replace(b"{%d}" % len(data), b"{%d}" % (len(data) + self.wrong)) + data[:-9])
            time.sleep(0.1)     # what comes now shows it
            link.send(data[-9:] + tail)
        else:
            super().give_aide(link, m, head, data, tail)


class TooLong(TooShort):
    wrong = 9


class Nonsense(Slow):
    def give_aide(self, link, m, head, data, tail):
        super().give_aide(link, m, head, data, b" WHAT (" * 40 + b"\r\n" if len(self.by_aides()) == 20 else tail)


class Empty(Slow):
    """Sends nothing, where there is something."""

    def give_aide(self, link, m, head, data, tail):
        super().give_aide(link, m, head.replace(b"{%d}" % len(data), b"{0}"), b"", tail)


class None_(Slow):
    def give_aide(self, link, m, head, data, tail):
        link.send(head.replace(b"{%d}\r\n" % len(data), b"NIL") + tail)


class NotAll(Slow):
    """Leaves out each third."""

    def give_aide(self, link, m, head, data, tail):
        if m.uid % 3:
            super().give_aide(link, m, head, data, tail)


class OtherUids(Slow):
    """Names what nobody asked it for."""

    def give_aide(self, link, m, head, data, tail):
        super().give_aide(link, m, head.replace(b"UID %d" % m.uid, b"UID %d" % (m.uid + 10000)), data, tail)


class RefusesToFetch(Slow):
    def uid_fetch(self, link, tag, args):
        if self.is_aide(link):
            raise Refused("NO [THROTTLED] slowly")
        super().uid_fetch(link, tag, args)


FAULTS = [RefusedAtLogin, WrongPassword, ByeAtOnce, NotThere, OtherValidity, CutInABody, CutBehindABody, Bye, Silent, TooShort, TooLong, Nonsense, Empty, None_, NotAll,
          OtherUids, RefusesToFetch]


@pytest.mark.parametrize("peer", FAULTS, ids=lambda f: f.__name__)
def test_faults(tmp_path, peer):
    with peer({"INBOX": letters(N)}) as srv:
        h = Pull(tmp_path, srv, timeout=6 if peer is Silent else 20)
        undisturbed(h, h.go())
        assert h.most == 2 and len(h.links) <= 2
        assert bool(srv.by_aides()) == (peer not in (RefusedAtLogin, WrongPassword, ByeAtOnce, NotThere, OtherValidity, RefusesToFetch))


class RefusesOne(Slow):
    """A message of INBOX, to further connections, once they have brought some."""

    bad, refusals, everywhere = None, 0, False

    def uid_fetch(self, link, tag, args):
        uids = [m.uid for m in self.chosen(link, args[0])]
        if self.is_aide(link) and not self.bad and len(self.by_aides()) > 20:
            self.bad = uids[0]
        if self.bad in uids and link.folder.name == "INBOX" and (self.everywhere or self.is_aide(link)):
            self.refusals += self.is_aide(link)
            raise Refused("NO [SERVERBUG] can't read it")
        super().uid_fetch(link, tag, args)


@pytest.mark.parametrize("everywhere", [False, True])
def test_one_refused_ends_no_other(tmp_path, everywhere):
    """It is asked for over the first connection, which reports what is to be reported, and never again over another; nor is any other message."""
    with RefusesOne({"INBOX": letters(N), "Work": letters(N, 2000)}) as srv:
        srv.everywhere = everywhere
        h = Pull(tmp_path, srv)
        r = h.go(1 if everywhere else 0)
        assert srv.bad and srv.refusals == 2 and len(h.links) == 2 and sorted(srv.opened(h.links[1])) == ["EXAMINE INBOX", "EXAMINE Work"]
        assert sorted(uid for _, uid in srv.given) == sorted(2 * list(range(1, N + 1)) if not everywhere else [i for i in 2 * list(range(1, N + 1)) if i != srv.bad] + [srv.bad])
        if everywhere:
            assert (r.end["pulled"], r.end["failed"]) == (2 * N - 1, 1), r
            assert ["message %d" % srv.bad in e["text"] and "can't read it" in e["text"] for e in r.of("error")] == [True], r
            assert len(h.local.bodies()) == N - 1 and h.local.state()["Work"] == srv.state()["Work"]
        else:
            undisturbed(h, r, 2 * N)


class RefusesAll(Slow):
    def uid_fetch(self, link, tag, args):
        if self.is_aide(link):
            raise Refused("NO not here")
        super().uid_fetch(link, tag, args)


def test_who_is_refused_all_is_sent_away(tmp_path):
    """Each refusal costs a command."""
    with RefusesAll({"INBOX": letters(N)}) as srv:
        h = Pull(tmp_path, srv)
        undisturbed(h, h.go())
        asked = [n for n, _, line in srv.noted() if "UID FETCH" in line and n > srv.noted()[0][0]]
        assert 0 < len(asked) < 40, asked


class Lacking(Slow):
    """As a copy of the server that is behind: it has none of them."""

    def uid_fetch(self, link, tag, args):
        if self.is_aide(link):
            return link.ok(tag)
        super().uid_fetch(link, tag, args)


def test_what_is_not_there_is_not_asked_for_again(tmp_path):
    with Lacking({"INBOX": letters(N)}) as srv:
        h = Pull(tmp_path, srv)
        undisturbed(h, h.go())
        asked = [n for n, _, line in srv.noted() if "UID FETCH" in line and n > srv.noted()[0][0]]
        assert 0 < len(asked) < 60, asked


class Mute(Slow):
    """A further connection says nothing any more in the midst of its work; what it was to bring last is `held`."""

    held, meanwhile = None, False

    def give(self, link, m, head, data, tail):
        if m.uid == self.held and link.folder.name == "INBOX" and not self.is_aide(link):
            self.meanwhile = any(n > link.number for n in self.now)
        super().give(link, m, head, data, tail)

    def give_aide(self, link, m, head, data, tail):
        if len(self.by_aides()) == 20:
            self.held = m.uid
            self.lock.release()
            try:
                self.hold(link)
            finally:
                self.lock.acquire()
        try:
            super().give_aide(link, m, head, data, tail)
        except OSError as e:
            raise Hangup from e

    def hold(self, link):
        link.hang()


def test_silence_is_not_waited_for(tmp_path):
    """The first connection has nothing to do meanwhile but to bring it. What came before stays, and the next folder is read without further ones."""
    with Mute({"INBOX": letters(N), "Work": letters(N, 2000)}) as srv:
        h = Pull(tmp_path, srv, timeout=120)    # who waited for that would be here for too long
        r = h.go()
        undisturbed(h, r, 2 * N)
        assert srv.held and srv.meanwhile
        assert len(h.links) == 2 and srv.opened(h.links[1]) == ["EXAMINE INBOX"]


class Late(Mute):
    """It goes on when the first one was asked for the same, which waits for that."""

    def __init__(self, *args, **more):
        self.asked, self.came = threading.Event(), threading.Event()
        super().__init__(*args, **more)

    def hold(self, link):
        self.asked.wait(30)

    def give(self, link, m, head, data, tail):
        if m.uid == self.held and not self.is_aide(link):
            self.asked.set()
            self.lock.release()
            try:
                self.came.wait(30)
            finally:
                self.lock.acquire()
        super().give(link, m, head, data, tail)
        if m.uid == self.held:
            self.came.set()


def test_what_comes_twice_counts_once(tmp_path):
    with Late({"INBOX": letters(N)}) as srv:
        h = Pull(tmp_path, srv)
        undisturbed(h, h.go())
        assert len([n for n, uid in srv.given if uid == srv.held]) == 2 and srv.came.is_set()


class Drops(Late):
    """And what it brings behind that comes in drops."""

    drops = 0

    def give_aide(self, link, m, head, data, tail):
        if self.came.is_set():
            self.drops += 1
            self.lock.release()
            try:
                time.sleep(1)
            finally:
                self.lock.acquire()
        super().give_aide(link, m, head, data, tail)


def test_what_has_come_is_not_waited_for(tmp_path):
    with Drops({"INBOX": letters(N)}) as srv:
        h = Pull(tmp_path, srv)
        undisturbed(h, h.go())
        assert srv.came.is_set() and srv.drops < 4, srv.drops


class Large(Slow):
    """The last of its messages is too large for a shelf."""

    def give_aide(self, link, m, head, data, tail):
        self.sent = getattr(self, "sent", 0) + (len(data) > 1 << 20)
        try:
            super().give_aide(link, m, head, data, tail)
        except OSError as e:
            raise Hangup from e


def test_a_large_one_is_read_over_the_first(tmp_path):
    """And so comes once."""
    want = letters(N) + [b"Message-ID: <large@example.org>\n\n" + (b"x" * 70 + b"\n") * (70 << 20 >> 6)]
    with Large({"INBOX": want}) as srv:
        h = Pull(tmp_path, srv)
        r = h.go()
        undisturbed(h, r, N + 1)
        assert srv.sent == 1 and r.end["bytes_in"] < 2 * len(want[-1]), (srv.sent, r.end)


@pytest.mark.parametrize("peer", [CutInABody, TooShort, NotAll], ids=lambda f: f.__name__)
def test_faults_where_messages_are_deleted_behind(tmp_path, peer):
    """What was taken is deleted at the server: nothing else may be."""
    with peer({"INBOX": letters(N)}) as srv:
        h = Pull(tmp_path, srv)
        want = sorted(body for body, _ in srv.state()["INBOX"])
        h.write_private(h.conf, open(h.conf, encoding="utf-8").read().split("sync both")[0] + "migrate in {\n\tfrom = work\n\tto = %s\n\tdelete-source = yes\n}\n" % h.place("in"))
        r = clean(h.run(env=MEASURE))
        assert r.code == 0 and r.end["failed"] == 0, r
        assert srv.state()["INBOX"] == [] and len(srv.links()) == 2
        assert sorted(body for rows in twoway.Side(os.path.join(h.dir, "in")).state().values() for body, _ in rows) == want


class FirstLies(Slow):
    """It is the first connection that says of a message, when others bring theirs, that it is shorter than it is."""

    lied, quick_aides = None, True

    def give(self, link, m, head, data, tail):
        if not self.is_aide(link) and len(self.by_aides()) > 20 and not self.lied:
            self.lied = m.uid
            link.send(head.replace(b"{%d}" % len(data), b"{%d}" % (len(data) - 9)))
            self.lock.release()     # the others bring something meanwhile
            try:
                time.sleep(0.1)
            finally:
                self.lock.acquire()
            link.send(data[:-9])
            time.sleep(0.1)
            head, data = b"", data[-9:]
        super().give(link, m, head, data, tail)


def test_the_first_lies(tmp_path):
    """Whether a message is whole is seen before another one is taken for a sign of that."""
    with FirstLies({"INBOX": letters(N)}) as srv:
        h = Pull(tmp_path, srv)
        r = clean(h.run(env=MEASURE))
        assert r.code == 76 and srv.lied and h.local.bodies(), r
        assert set(h.local.bodies()) <= set(letters(N))
        srv.behave()
        forget_pauses(h)
        assert clean(h.run("both")).code == 0
        h.same()


# ---- a real server ----

@pytest.fixture(scope="module")
def real(tmp_path_factory):
    with Dovecot(tmp_path_factory.mktemp("dovecot"), users={"anna": "secret"}) as srv:
        for m in letters(N):
            srv.deliver("anna", m)
        yield srv


def real_run(tmp_path, srv, *args):
    """A first run over a line that gives each connection 1 MB/s; what the proxy counted, and how long it took."""
    proxy = Proxy(srv.imaps_port, "--rate", "1000000", "--each", "--rtt-ms", "10", *args)
    try:
        h = Pull(tmp_path, srv, "ca-file = %s\n\tcompress = no" % haul.quoted(srv.ca_file), port=proxy.port, scheme="imaps")
        begin = time.monotonic()
        r = clean(h.run(env=MEASURE))
        return h, r, json.loads(proxy.stop()), time.monotonic() - begin
    finally:
        if proxy.p.poll() is None:
            proxy.stop()


def here(h):
    return sorted(body for rows in h.local.state().values() for body, _ in rows)


def test_dovecot(tmp_path, real):
    h, r, counted, took = real_run(tmp_path, real)
    assert r.code == 0 and r.end["pulled"] == N and r.end["failed"] == 0, r
    assert counted["connections"] == 2 and here(h) == sorted(letters(N))
    assert took < counted["down"] / 1000000 * 0.8, (took, counted)
    assert r.end["bytes_in"] >= counted["down"] * 0.9 if "bytes_in" in r.end else True


def test_dovecot_lets_in_one(tmp_path):
    with Dovecot(tmp_path / "dovecot", users={"anna": "secret"}, imap={"mail_max_userip_connections": "1"}) as srv:
        for m in letters(N):
            srv.deliver("anna", m)
        h, r, counted, _ = real_run(tmp_path, srv)
        assert r.code == 0 and r.end["pulled"] == N and r.end["failed"] == 0 and not r.of("warning"), r
        assert counted["connections"] > 1 and here(h) == sorted(letters(N))


@pytest.mark.crash
@pytest.mark.deadline(300)
def test_cut_off_at_any_byte(tmp_path, real):
    """Each connection, after so many bytes; the next runs bring the rest, once."""
    for k, n in enumerate(points(4000000, 8) if not LONG else range(1000, 4000000, 50021)):
        h, r, _, _ = real_run(tmp_path / str(k), real, "--cut-down", str(n))
        assert r.code in (0, 75), r
        h.reconfigure(re_port(h), ":%d" % real.imaps_port)
        r = clean(h.run())
        assert r.code == 0, r
        assert here(h) == sorted(letters(N)), n


def re_port(h):
    with open(h.conf, encoding="utf-8") as f:
        return ":" + f.read().split("127.0.0.1:")[1].split('"')[0].split("\n")[0]
