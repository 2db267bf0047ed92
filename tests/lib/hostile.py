"""What the tests with servers that misbehave share: what no run may do, whatever it is told."""

import contextlib
import json
import os
import re
import sqlite3

import pytest

import haul
import tlscert

CLEAR = "tls = none\n\ttimeout = 2s\n"
TLS = "timeout = 2s\n"
RAW = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ufffd]")
ESCAPES = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202e\x7f\x08"


#: Which, and what the error says of it.
each_bad_certificate = pytest.mark.parametrize("which,words", [
    ("host", ["certificate", "not for", "elsewhere.example"]),
    ("expired", ["certificate", "expired"]),
    ("self-signed", ["self-signed", "fingerprint"]),
    ("unknown", ["certificate", "fingerprint"]),
])


def bad_certificate(ca, which, directory):
    """A certificate and its key, which the client must not trust."""
    where = str(directory / "bad")
    return {"host": lambda: ca.issue("wrong", names=["DNS:elsewhere.example"]), "expired": lambda: ca.issue("old", expired=True),
            "self-signed": lambda: tlscert.self_signed(where, "own"), "unknown": lambda: tlscert.CA(where, "Other CA").issue("localhost")}[which]()


def clean(r):
    """Nothing that a terminal would obey, and no crash."""
    for what in [r.out, r.err] + [e.get("text", "") for e in r.events]:
        found = RAW.search(what)
        assert not found, "%r in %r" % (found.group(), r)
    assert r.code in (0, 1, 64, 68, 69, 74, 75, 76, 77, 78), r
    return r


def measured(h, *args):
    """A run, and what it used: {"status", "rss" (bytes), ...}."""
    figures = os.path.join(h.dir, "figures")
    r = h.run(*args, prefix=(haul.built("bench/measure"), figures))
    with open(figures, encoding="utf-8") as f:
        used = json.load(f)
    os.unlink(figures)
    r.code = used["status"]
    return clean(r), used


def computed(used):
    """The seconds of it that do not depend on what else the machine, or the scripted server, does."""
    return used["user"] + used["system"]


def forget_pauses(h):
    """Let failed messages, and the account, be tried again at once."""
    if os.path.exists(h.db):
        with contextlib.closing(sqlite3.connect(h.db)) as base:
            base.execute("UPDATE failure SET next = 0")
            base.execute("DELETE FROM meta WHERE key IN ('pause', 'pause_reason')")
            base.commit()
