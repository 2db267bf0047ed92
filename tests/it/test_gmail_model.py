"""A person at each side of a Gmail account, and runs that are stopped or cut off, at random: nothing is lost, nothing goes to the trash that nobody deleted, all settles.

$MAILHAUL_SEED is the first seed, $MAILHAUL_SEEDS how many there are. A test that fails shows all that it did.
"""

import collections
import os
import random

import pytest

from gmailpeer import SENT, TRASH, Gmail
from hostile import clean, forget_pauses
from imappeer import Hangup
from test_hostile_imap import Job
from twoway import actions

FIRST = int(os.environ.get("MAILHAUL_SEED", "1"), 0)
SEEDS = 3 * int(os.environ.get("MAILHAUL_SEEDS", "2"))
FOLDERS = ["INBOX", "Home", "Work", SENT]
FLAGS = ["", "S", "RS", "FS"]

pytestmark = pytest.mark.model


class Cutting(Gmail):
    """Hangs up at the n-th station from now."""
    left = None

    def stage(self, link, where):
        if self.left is not None:
            self.left -= 1
            if self.left == 0:
                raise Hangup


class World:
    def __init__(self, directory, seed):
        self.rng = random.Random(seed)
        self.srv = Cutting(["Home", "Work"])
        self.srv.auto_expunge, self.srv.ghosts, self.srv.tells_own_label = self.draw(0.5), self.draw(0.3), self.draw(0.3)
        self.srv.less = {x for x in ("MOVE", "ESEARCH", "UTF8=ACCEPT") if self.draw(0.2)}
        self.h = Job(directory, self.srv, job="max-delete = none\n" + ('trash = "@trash"' if self.draw(0.5) else ""))
        self.made, self.deleted = [], set()
        self.placed, self.taken, self.twice = set(), set(), set()      # (body, folder)
        for _ in range(8):
            self.arrives(0)
        self.h.settle()

    def draw(self, chance):
        return self.rng.random() < chance

    def new(self):
        n = len(self.made)
        self.made.append(b"Message-ID: <%d@example.org>\nSubject: %d\n\ntext %d\n" % (n, n, n))
        return self.made[-1]

    def arrives(self, least):
        body, folders = self.new(), self.rng.sample(FOLDERS, self.rng.randint(least, 3))
        self.srv.put(body, *folders, flags=self.rng.choice(FLAGS))
        self.placed |= {(body, f) for f in folders}

    def act_here(self):
        here, f, to = self.h.local, *self.rng.choices(FOLDERS, k=2)
        what = self.rng.choice(["new", "new under two", "delete", "move", "copy", "again", "flag"])
        bodies = here.bodies(f)
        body = self.rng.choice(bodies) if bodies else None
        print(" here:", what, f, to, body)
        if what.startswith("new"):
            body = self.new()
            for folder in [f] if what == "new" else [f, to]:
                here.deliver(body, folder, flags="S")
                self.placed.add((body, folder))
        elif what == "delete" and body:
            here.delete_one(f, body, self.rng.randrange(bodies.count(body)))
            self.deleted.add(body)
            self.taken.add((body, f))
        elif body and bodies.count(body) == 1:
            if what in ("move", "copy"):
                self.placed.add((body, to))
            if what == "move" and f != to:
                here.move(f, body, to)
                self.taken.add((body, f))
            elif what == "copy":
                here.copy(f, body, to)
            elif what == "again" and self.draw(0.5):
                here.copy(f, body, f)
                self.twice.add((body, f))
            elif what == "flag":
                here.flag(f, body, self.rng.choice(FLAGS))

    def act_there(self):
        what, f, body = self.rng.choice(["new", "tag", "untag", "mark", "trash"]), self.rng.choice(FOLDERS), self.rng.choice(self.srv.mails).data
        print(" there:", what, f, body)
        if what == "new":
            self.arrives(1)
        elif what == "tag":
            self.srv.tag(body, f)
            self.placed.add((body, f))
        elif what == "mark":
            self.srv.mark(body, self.rng.choice(FLAGS))
        elif what == "untag":
            self.srv.untag(body, f)
            self.deleted.add(body)
            self.taken.add((body, f))
        elif self.draw(0.4):
            self.srv.tag(body, TRASH)
            self.deleted.add(body)
            self.taken |= {(body, folder) for folder in FOLDERS}

    def run(self):
        how = self.rng.random()
        if how < 0.4:
            step = self.rng.randint(1, 40)
            code = self.h.call("run", env={"MAILHAUL_STOP_AT": str(step)}).code
        else:
            self.srv.left = step = self.rng.randint(1, 80) if how < 0.7 else None
            code = clean(self.h.run("both")).code
            self.srv.left = None
        print(" run:", "stopped" if how < 0.4 else "cut off", step, code)
        assert code in (0, 1, 75, 100)
        if self.draw(0.3):
            forget_pauses(self.h)

    def calm(self):
        """Second copies are tried a few times, and then wait."""
        for n in range(12):
            if n in (0, 2, 4):
                forget_pauses(self.h)
            r = clean(self.h.run("both"))
            assert r.code in (0, 1)
            if n > 4 and not actions(r):
                break
        assert r.code == 0 and actions(r) == [] and r.of("error") == [], r

    def check(self):
        here, there = self.h.local.state(), self.srv.state()
        assert set(here) == set(there)
        for f, rows in there.items():
            ours = collections.defaultdict(list)
            for body, flags in here[f]:
                ours[body].append(flags)
            assert len({body for body, _ in rows}) == len(rows), f
            assert set(ours) == {body for body, _ in rows}, f
            assert all(len(ours[body]) > 1 or ours[body] == [flags] for body, flags in rows), f
        for body in set(self.made) - self.deleted:
            assert self.srv.mail(body) and self.srv.labels(body) != [TRASH], body
        for body, f in self.placed - self.taken:
            assert f in self.srv.labels(body), (body, f)
        for body, f in self.twice - self.taken:
            assert [b for b, _ in here[f]].count(body) > 1, (body, f)


@pytest.mark.parametrize("seed", range(FIRST, FIRST + SEEDS))
def test_all_settles(tmp_path, seed):
    w = World(tmp_path, seed)
    with w.srv:
        for _ in range(6):
            for _ in range(w.rng.randint(1, 5)):
                (w.act_here if w.draw(0.6) else w.act_there)()
            w.run()
        w.calm()
        w.check()
