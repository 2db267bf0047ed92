"""IMAP servers that lie, stall, break off and attack: a clear error, nothing lost and nothing doubled on either side."""

import collections
import contextlib
import json
import os
import re
import sqlite3
import time

import pytest

import haul
import imappeer
import tlscert
import twoway
from imappeer import Hangup, Peer, Refused
from twoway import actions

CLEAR = "tls = none\n\ttimeout = 2s\n"
TLS = "timeout = 2s\n"
RAW = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ufffd]")
ESCAPES = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202e\x7f\x08"


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


@pytest.fixture(scope="session")
def ca(tmp_path_factory):
    return tlscert.CA(str(tmp_path_factory.mktemp("ca")))


@pytest.fixture(scope="session")
def pair(ca):
    return ca.issue("good")


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
