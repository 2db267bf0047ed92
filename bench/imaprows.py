"""The IMAP rows: the server with its mailboxes, and the works."""

import os
import re
import shutil
import time
from collections import namedtuple

from harness import LOCAL, PASSWORD, Work, maildir

import corpus
from dovecot import Dovecot
from imapclients import (Interimap, Mailhaul, MailhaulOne, MailhaulPlain, Mbsync, MbsyncPlain, Offlineimap,
                         Raw, RawSync)
from imapsides import Account, Picks, differ, message_id, volume

SETTLED = 2.1                   # seconds; see settled()
# Nobody but the server changes its files, so it need not read a directory for each change.
DOVECOT = "maildir_very_dirty_syncs = yes"
CHANGES = {"flag": 100, "gone": 10, "new": 10}
SLOW_RATE = 2000000             # bytes per second
LARGE = 0.0062                  # of the messages: then 10,000 have 420 MB

# What a mailbox holds: folders() gives them with their messages; server: the kind that keeps it;
# exact: after each run every message and its flags are compared, else only how many there are.
Mailbox = namedtuple("Mailbox", "folders server exact", defaults=("maildir", True))


def settled():
    """Waits until the clock has left the time at which a Maildir was changed: clients look again,
    or wait themselves, when a directory is as new as the look at it (mailhaul for two seconds),
    which is rare in life."""
    time.sleep(SETTLED)


class Template:
    """A mailbox of which the runs get copies."""

    def __init__(self, account, count, size, bare):
        self.account, self.count, self.size, self.bare = account, count, size, bare
        self.state = account.state()
        self.folders = len({folder for folder, _ in self.state})


class Seat:
    """A client with an account of its own, its own side, its files and its port."""

    def __init__(self, client, account, directory, port):
        self.client, self.account, self.dir, self.port = client, account, directory, port
        self.ca = account.srv.ca_file
        self.near = client.near(self)
        self.want = {}          # how both sides ought to be
        self.picks = None
        self.wrong = None       # why it is of no use
        self.raw = ()


class Server:
    """The Dovecots by kind ("bare" has neither CONDSTORE nor QRESYNC, "boxed" keeps many messages
    in one file, so that a million can be made); the mailboxes; and the clients that have synced one
    and stay, by mailbox and client. name: of their directories."""

    def __init__(self, harness, contents, name=""):
        self.harness, self.contents, self.name = harness, contents, name
        self.dovecots = {}
        self.templates, self.seats = {}, {}
        self.users = 0

    def close(self):
        for srv in self.dovecots.values():
            srv.stop()

    def dovecot(self, kind):
        if kind not in self.dovecots:
            imap, where = {"mail_plugins": "imap_zlib"}, "maildir:~/Maildir"
            if kind == "bare":
                imap["imap_capability"] = self.without()
            if kind == "boxed":
                where = "mdbox:~/mdbox"
            # What is read by POP3 stays as it is, as with all that reads here.
            srv = Dovecot(os.path.join(self.harness.work, self.name + kind), users={},
                          mail_location=where, auth_mechanisms="plain login", imap=imap,
                          pop3={"pop3_no_flag_updates": "yes"}, extra=DOVECOT)
            self.dovecots[kind] = srv.start()
        return self.dovecots[kind]

    def without(self):
        """What the server can, without the two."""
        srv = self.dovecot("maildir")
        srv.add_user("nobody", PASSWORD)
        with srv.imap("nobody") as c:
            words = c.capability()[1][0].decode().split()
        return " ".join(w for w in words if w not in ("CONDSTORE", "QRESYNC", "COMPRESS=DEFLATE"))

    def template(self, name):
        if name not in self.templates:
            box = self.contents[name]
            account = Account(self.dovecot(box.server), name, box.exact)
            count, size = account.fill(box.folders())
            self.templates[name] = Template(account, count, size, box.server == "bare")
        return self.templates[name]

    def user(self):
        self.users += 1
        return "r%d" % self.users

    def fresh(self, client, template, limit=None):
        """A client that has seen nothing, with a copy of the mailbox."""
        account = self.template(template).account.copy(self.user(), limit)
        seat = Seat(client, account, self.harness.directory(client), 0)
        seat.want = account.state() if limit else self.template(template).state
        return seat

    def run(self, seat, line, timeout, seeding=False):
        return self.harness.measure(lambda port: seat.client.command(seat, port, seeding),
                                    seat.dir, line, seat.account.srv.imaps_port, timeout, seat.port)

    def synced(self, client, template):
        """The client that has synced the mailbox and stays; made if there is none."""
        key = (template, client)
        if key in self.seats:
            return self.seats[key]
        seat = self.seats[key] = self.fresh(client, template)
        seat.want = dict(seat.want)
        seat.port = self.harness.port(seat.account.srv.imaps_port)
        seat.picks = Picks(seat.want)
        if client.syncs:
            seat.wrong = self.seed(seat, template)
        else:
            # The server's first answer takes longer, and the others had theirs.
            seat.raw = ("noop", "")
            if not self.template(template).bare:
                self.run(seat, LOCAL, self.harness.opt.limit)
        return seat

    def seed(self, seat, template):
        """Syncs for the first time, and once more, as many clients do a bit of work then."""
        limit = self.harness.opt.limit
        if seat.client.slow and self.template(template).count > self.harness.probe:
            guess = self.harness.project(
                lambda n: self.pull(seat.client, template, LOCAL, n, seeding=True),
                self.template(template).count)
            if "error" not in guess and guess["seconds"] > limit:
                guess["error"] = "would take %d s" % guess["seconds"]
            if "error" in guess:
                return "first run: " + guess["error"]
        for seeding in (True, False):
            got = self.run(seat, LOCAL, limit * 1.5 + 60, seeding)
            wrong = got.get("error") or unequal(seat)
            if wrong:
                return "first run: " + wrong
            settled()
        return None

    def pull(self, client, template, line, limit=None, seeding=False, wrong=None):
        """A timed first run that takes everything."""
        seat = self.fresh(client, template, limit)
        if not client.syncs:
            into = os.path.join(maildir(os.path.join(seat.near.path, "INBOX")), "cur")
            seat.raw = ("pull" if self.template(template).folders == 1 else "pullall", into)
        got = self.run(seat, line, self.harness.opt.limit * 1.5 + 60, seeding)
        return judged(seat, got, wrong or unequal)


def unsorted(state):
    """A state as the raw client makes it: all in one directory, without flags."""
    if any(isinstance(n, int) for n in state.values()):
        return {"messages": sum(state.values())}
    return {mid: None for _, mid in state}


def unequal(seat):
    """What is wrong with the sides; None if both are as they ought to be."""
    near, want = seat.near.state(), seat.want
    if not seat.client.syncs:
        near, want = unsorted(near), unsorted(want)
    return differ(seat.want, seat.account.state(), "server") or differ(want, near, "client")


def unequal_far(seat):
    """The same of the server's side alone."""
    return differ(seat.want, seat.account.state(), "server")


def judged(seat, got, wrong):
    """The figures of a run, with an error if the sides are wrong."""
    if "error" not in got:
        why = wrong(seat)
        if why:
            got["error"] = why
    return got


# -- works ------------------------------------------------------------------------------------

class ImapWork(Work):
    def __init__(self, harness, clients, server, name, template):
        super().__init__(harness, clients)
        self.server, self.name, self.template = server, name, template

    def prepare(self):
        made = self.server.template(self.template)
        self.count = made.count
        text = "%d message%s, %.1f MB, %d folder%s" % (
            made.count, "" if made.count == 1 else "s", made.size / 1e6, made.folders,
            "" if made.folders == 1 else "s")
        if made.bare:
            text += ", a server without CONDSTORE"
        if self.rate:
            text += ", %s of %.0f MB/s" % ("each connection a line" if self.each else "a line",
                                           self.rate / 1e6)
        return text

    def usable(self, client):
        """For turns(): whether the client has synced the mailbox and stays."""
        wrong = self.server.synced(client, self.template).wrong
        return {"error": wrong} if wrong else None

    def again(self, client, line, wrong):
        """Runs the client that stays once more; after an error it is of no use."""
        seat = self.server.synced(client, self.template)
        got = judged(seat, self.server.run(seat, line, self.harness.opt.limit * 1.5 + 60), wrong)
        seat.wrong = got.get("error")
        return got


class Pull(ImapWork):
    """The first run with everything on the server."""

    most = None                 # runs; None: as many as were asked for

    def once(self, client, line, limit=None):
        return self.server.pull(client, self.template, line, limit)

    def results(self, clients, line):
        def probe(c):
            if c.slow and self.count > self.harness.probe:
                return self.harness.project(lambda n: self.once(c, line, n), self.count)
            return None
        return self.harness.turns(clients, lambda c: self.once(c, line), probe, self.most)


class PullSlow(Pull):
    """The same over a slow line."""

    rtts, rate = (80,), SLOW_RATE


class PullThrottled(PullSlow):
    """The same from a server that gives each connection no more than that."""

    rtts, each = (40,), True


class PullLarge(Pull):
    """One message that no memory should hold; it is the memory that counts, so one run does."""

    rtts, most = (0,), 1

    def once(self, client, line, limit=None):
        def wrong(seat):
            least = self.server.template(self.template).size
            return unequal(seat) or (volume(seat.near.path) < least and "cut short") or None
        return self.server.pull(client, self.template, line, limit, wrong=wrong)


class Push(Pull):
    """The first run with everything on the own side."""

    def once(self, client, line, limit=None):
        server, made = self.server, self.server.template(self.template)
        account = Account(made.account.srv, server.user())
        account.settle()
        seat = Seat(client, account, self.harness.directory(client), 0)
        if isinstance(seat.near, Account):
            seat.near = made.account.copy(server.user(), limit)
            seat.want = seat.near.state()
        else:
            cur = os.path.join(made.account.srv.maildir(made.account.user), "cur")
            names = sorted(os.listdir(cur))[:limit]
            seat.near.put("INBOX", [(n, os.path.join(cur, n)) for n in names])
            seat.want = seat.near.state()
            seat.raw = ("push", os.path.join(seat.near.path, "INBOX", "cur"))
        settled()
        got = server.run(seat, line, self.harness.opt.limit * 1.5 + 60)
        return judged(seat, got, unequal)


class Noop(ImapWork):
    """The run that finds nothing new."""

    def results(self, clients, line):
        bare = self.server.template(self.template).bare

        def once(client):
            seat = self.server.synced(client, self.template)
            seat.raw = ("--flags", "noop", "") if bare else ("noop", "")
            got = self.again(client, line, unequal if client.syncs else unequal_far)
            folders = len({folder for folder, _ in seat.want} | {"INBOX"})
            if not client.syncs and "error" not in got:
                told = "folders %d exists" % folders, " flags %d " % (len(seat.want) if bare else 0)
                if not all(t in got["output"] for t in told):
                    got["error"] = got["output"]
            return got
        return self.harness.turns(clients, once, self.usable)


class Changes(ImapWork):
    """Flags set, messages deleted and others new in one folder of the server."""

    rounds = 0

    def prepare(self):
        return super().prepare() + "; %(flag)d flags, %(gone)d deleted, %(new)d new" % CHANGES

    def plan(self, seat):
        """What changes now; the seat expects it from here on."""
        Changes.rounds += 1
        flag, gone = seat.picks.take(CHANGES["flag"]), seat.picks.take(CHANGES["gone"])
        new = [data for _, data in corpus.small(CHANGES["new"], seed=1000 + Changes.rounds)]
        for mid in flag:
            seat.want[("INBOX", mid)] |= {"\\Flagged"}
        for mid in gone:
            del seat.want[("INBOX", mid)]
        for data in new:
            seat.want[("INBOX", message_id(data))] = frozenset()
        return flag, gone, new

    def once(self, client, line):
        seat = self.server.synced(client, self.template)
        flag, gone, new = self.plan(seat)
        if client.syncs:
            seat.account.change(flag, gone, new)
            return self.again(client, line, unequal)
        since = seat.account.stamp()
        seat.account.change(flag, gone, new)
        seat.raw = ("--since", since, "changes", self.harness.directory(client))
        got = self.again(client, line, unequal_far)
        told = re.search(r"flags (\d+) messages (\d+) gone (\d+) ", got.get("output", ""))
        if "error" not in got and (not told or int(told.group(1)) < len(flag) or
                                   [int(told.group(n)) for n in (2, 3)] != [len(new), len(gone)]):
            got["error"] = got["output"]
        return got

    def results(self, clients, line):
        return self.harness.turns(clients, lambda c: self.once(c, line), self.usable)


class LocalChanges(Changes):
    """The same on the client's own side."""

    def once(self, client, line):
        seat = self.server.synced(client, self.template)
        flag, gone, new = self.plan(seat)
        if client.syncs:
            seat.near.change(flag, gone, new)
            settled()
            return self.again(client, line, unequal)
        files = self.harness.directory(client)
        for n, data in enumerate(new):
            with open(os.path.join(files, str(n)), "wb") as f:
                f.write(data)
        seat.raw = ("--flag", seat.account.uids(flag), "--delete", seat.account.uids(gone),
                    "push", files)
        return self.again(client, line, unequal_far)


class BothChanges(Changes):
    """The same on both sides at once."""

    def once(self, client, line):
        seat = self.server.synced(client, self.template)
        seat.account.change(*self.plan(seat))
        seat.near.change(*self.plan(seat))
        settled()
        return self.again(client, line, unequal)


class Heal(Changes):
    """The run that finds nothing new, and has to find that out: the server has renumbered the folder,
    or the client's state is lost, or as old as the last changes. No other client goes on then.
    Cold: the server has to read the messages to tell of them, as after an accident of its own."""

    def __init__(self, harness, clients, server, name, template, what, cold=False):
        super().__init__(harness, clients, server, name, template)
        self.what, self.cold = what, cold

    def prepare(self):
        return ImapWork.prepare(self)

    def hurt(self, seat):
        state = os.path.join(seat.dir, "state")
        if self.what == "renumbered":
            seat.account.renumber()
        elif self.what == "lost":
            shutil.rmtree(state)
        else:
            old = os.path.join(seat.dir, "old")
            shutil.copytree(state, old)
            seat.account.change(*self.plan(seat))
            if self.server.run(seat, LOCAL, 60).get("error") or unequal(seat):
                raise RuntimeError("a run without an accident failed")
            shutil.rmtree(state)
            os.rename(old, state)

    def chill(self, seat):
        settled()
        if self.cold:
            seat.account.chill()

    def results(self, clients, line):
        def once(client):
            seat = self.server.synced(client, self.template)
            if client.syncs:
                self.hurt(seat)
                self.chill(seat)
                got = self.again(client, line, unequal)
                if "error" not in got and got.get("down", 0) > 8e6:
                    got["error"] = "bodies were transferred"
                return got
            if self.what == "renumbered":
                seat.account.renumber()
            self.chill(seat)
            seat.raw = ("idents",)
            return self.again(client, line, unequal_far)
        return self.harness.turns(clients, once, self.usable)


def many(folders, each, size=700):
    for n in range(folders):
        yield "f%03d" % n, corpus.small(each, seed=100 + n, size=size)


def one(messages):
    return [("INBOX", messages)]


def works(harness, quick):
    """The server, and the rows in the order of the table."""
    def sized(full, few):
        return few if quick else full

    def folders():
        return many(sized(200, 20), sized(50, 20))

    server = Server(harness, {
        "mixed": Mailbox(lambda: one(corpus.mix(sized(10000, 500), large=LARGE))),
        "mixed2": Mailbox(lambda: one(corpus.mix(sized(2000, 200), large=LARGE))),
        "large": Mailbox(lambda: one([("large", corpus.large_parts(sized(2 << 30, 100 << 20)))])),
        "small10": Mailbox(lambda: one(corpus.small(sized(10000, 500)))),
        "small5": Mailbox(lambda: one(corpus.small(sized(5000, 500)))),
        "small100": Mailbox(lambda: one(corpus.small(sized(100000, 2000), size=700))),
        "million": Mailbox(lambda: one(corpus.tiny(sized(1000000, 5000))), "boxed", False),
        "folders": Mailbox(folders), "folders-bare": Mailbox(folders, "bare"),
    })
    raw = Raw(harness.tools["rawimap"])
    rawsync = RawSync(harness.tools["rawimap"], "--fsync")
    mailhaul, mbsync, plain, interimap = peers = [
        Mailhaul(harness.opt.mailhaul), Mbsync(), MbsyncPlain(), Interimap()]
    if not quick or "offlineimap" in (harness.opt.client or ()):
        peers.append(Offlineimap())
    bare = [c for c in peers if c.bare]
    slow = [mailhaul, MailhaulPlain(harness.opt.mailhaul), mbsync, plain, interimap]
    lean = [mailhaul, mbsync, interimap]
    heal = [raw, mailhaul]

    def row(kind, name, template, clients, *more):
        return kind(harness, clients, server, name, template, *more)
    return server, [
        row(Pull, "pull", "mixed", [raw, rawsync] + peers),
        row(PullSlow, "pullslow", "mixed2", [raw] + slow),
        row(PullThrottled, "pullthrottled", "mixed2",
            [raw, mailhaul, MailhaulOne(harness.opt.mailhaul), mbsync, plain]),
        row(PullLarge, "pulllarge", "large", [raw] + lean),
        row(Pull, "pullsmall", "small10", [raw, rawsync] + peers),
        row(Pull, "pullfolders", "folders", [raw] + peers),
        row(Push, "push", "small5", [raw] + peers),
        row(Noop, "inoop", "small10", [raw] + peers),
        row(Noop, "inoop100k", "small100", [raw] + peers),
        row(Noop, "inoop1m", "million", [raw] + lean),
        row(Noop, "folders", "folders", [raw] + peers),
        row(Noop, "folders-nocond", "folders-bare", [raw] + bare),
        row(Changes, "changes", "small100", [raw] + peers),
        row(LocalChanges, "localchanges", "small100", [raw] + peers),
        row(BothChanges, "bothchanges", "small100", peers),
        row(Heal, "renumbered", "small10", heal, "renumbered"),
        row(Heal, "lost", "small10", heal, "lost"),
        row(Heal, "oldstate", "small10", heal, "old"),
        row(Heal, "renumbered-cold", "small10", heal, "renumbered", True),
        row(Heal, "lost-cold", "small10", heal, "lost", True),
        row(Heal, "oldstate-cold", "small10", heal, "old", True),
    ]


def growth(harness, quick):
    """The server, and the rows that show what grows with the mailbox; each is named after its
    sort and the number that grows."""
    messages = (1000, 5000) if quick else (1000, 10000, 100000, 1000000)
    folders = (1, 20) if quick else (1, 10, 100, 1000, 2000)
    boxes = {"tiny%d" % n: Mailbox(lambda n=n: one(corpus.tiny(n)), "boxed", False)
             for n in messages}
    boxes.update(("tree%d" % n, Mailbox(lambda n=n: many(n, 10), "boxed", False))
                 for n in folders)
    server = Server(harness, boxes)
    clients = [Raw(harness.tools["rawimap"]), Mailhaul(harness.opt.mailhaul), Mbsync()]
    rows = [(Noop, "noop-messages-%d", "tiny%d", messages),
            (Noop, "noop-folders-%d", "tree%d", folders),
            (Pull, "pull-messages-%d", "tiny%d", messages[:3])]
    return server, [kind(harness, clients, server, name % n, template % n)
                    for kind, name, template, numbers in rows for n in numbers]
