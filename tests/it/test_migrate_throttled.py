"""A migration to a server that says that it is enough: the job ends with that pause, and a later run goes on; each message is there once."""

import os
import re

import pytest

import haul
import imappeer
import twoway
from hostile import CLEAR, clean, forget_pauses
from imappeer import Hangup, Peer, Refused


def letters(n):
    return [b"From: x@example.org\nMessage-ID: <%d@example.org>\nSubject: letter %d\n\n" % (i, i) + b"text %d\n" % i * 20 for i in range(1, n + 1)]


class Move(twoway.Job):
    """A job "both" that copies a tree of Maildirs to a scripted server."""

    def __init__(self, directory, srv, job=""):
        super().__init__(directory, 1)
        self.srv, self.source = srv, twoway.Side(os.path.join(self.dir, "source"))
        self.write_private(self.conf, "account there {\n\turl = %s\n\tpassword-file = %s\n\t%s\n}\nmigrate both {\n\tfrom = %s\n\tto = there\n\t%s\n}\n" % (
            haul.quoted("imap://anna@127.0.0.1:%d" % srv.port), haul.quoted(self.secret), CLEAR, haul.quoted("maildir:" + self.source.path), job))


class Enough(Peer):
    """Takes some messages, and then says no."""

    takes, answer = 3, ""

    def append(self, link, tag, args):
        if self.takes == 0:
            if self.answer.startswith("BYE"):
                link.send(b"* " + self.answer.encode() + b"\r\n")
                raise Hangup
            raise Refused(self.answer)
        self.takes -= 1
        super().append(link, tag, args)


@pytest.mark.parametrize("less", [set(), {"MULTIAPPEND", "LITERAL+", "LITERAL-"}, set(Peer.caps) - {"IMAP4rev1"}], ids=["all", "one by one", "bare"])
@pytest.mark.parametrize("answer,seconds", [
    ("NO [OVERQUOTA] Account exceeded command or bandwidth limits", 3600),
    ("NO [LIMIT] Request is throttled. Suggested Backoff Time: 5000 milliseconds", 5),
    ("BAD Request is throttled. Suggested Backoff Time: 299961 milliseconds", 300),
    ("NO [THROTTLED] slowly", 60),
    ("NO [UNAVAILABLE] later", 60),
    ("BYE Request is throttled. Suggested Backoff Time: 92415 milliseconds", 93),
])
def test_enough(tmp_path, answer, seconds, less):
    with Enough({"INBOX": []}) as srv:
        srv.less, srv.answer = less, answer
        h = Move(tmp_path, srv)
        for m in letters(8):
            h.source.deliver(m, flags="S")
        before = h.source.state()
        r = clean(h.run("both"))
        errors = r.of("error")
        assert r.code == 75 and len(errors) == 1 and errors[0]["retry_after"] == seconds and errors[0]["kind"] == "temp", r
        assert re.sub(r"^(NO|BAD|BYE) ", "", answer)[:30] in errors[0]["text"], r
        there = [body for body, _ in srv.state().get("INBOX", [])]
        assert len(there) == len(set(there)) <= 3
        logins = len(srv.commands("AUTHENTICATE") + srv.commands("LOGIN"))
        again = clean(h.run())
        assert again.code == 75 and "pause of another" in again.of("error")[0]["text"], again
        assert len(srv.commands("AUTHENTICATE") + srv.commands("LOGIN")) == logins
        srv.behave()
        forget_pauses(h)
        r = clean(h.run())
        assert r.code == 0 and r.end["failed"] == 0, r
        assert sorted(srv.state()["INBOX"]) == sorted((m, "S") for m in letters(8)), srv.state()
        assert h.source.state() == before
        assert twoway.counts(clean(h.run())) == {}
