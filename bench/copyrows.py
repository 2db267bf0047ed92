"""The rows of migration: all that one account holds into another of the same Dovecot, which both
are reached by TLS through the proxy; and the clients' settings for it. The client's own side,
seat.near, is the target here."""

import os
import shlex

from harness import PASSWORD

import corpus
from imapclients import Interimap, Mailhaul, Mbsync, MbsyncPlain, Raw
from imapsides import Account, differ
from imaprows import LARGE, SLOW_RATE, Mailbox, Noop, Pull, Server, judged, one, unsorted


# -- clients ----------------------------------------------------------------------------------

def target(seat):
    """A user who has no mail yet."""
    account = Account(seat.account.srv, seat.account.user + "-to", seat.account.exact)
    account.settle()
    return account


class CopyRaw(Raw):
    """Takes all that the source has and throws it away, and gives the target as much from files
    meanwhile: what has come needs not have come before it goes."""

    def near(self, seat):
        return target(seat)

    def command(self, seat, port, seeding=False):
        far = near = seat.raw
        if seat.raw[0] == "push":
            far = ("--discard", "pull", "/")
        return both(self.words(seat, seat.account, port, far),
                    self.words(seat, seat.near, port, near))


def both(far, near):
    """Runs two commands at once; it fails if one does."""
    return ["sh", "-c", "%s & far=$!; %s && wait $far" % (shlex.join(far), shlex.join(near))], {}


class CopyMailhaul(Mailhaul):
    scheme = "imaps"

    def near(self, seat):
        return target(seat)

    def command(self, seat, port, seeding=False, second=None):
        return self.run(seat, self.account("old", self.scheme, seat.account, seat, port) +
                        self.account("new", "imaps", seat.near, seat, second or port) +
                        "migrate work {\n  from = old\n  to = new\n}\n")


class CopyMbsync(Mbsync):
    channel = "Sync Pull\nCreate Near\n"

    def near(self, seat):
        return target(seat)

    def side(self, seat, port):
        return self.store("near", seat.near, seat, port)


class CopyMbsyncPlain(CopyMbsync):
    name, settings = MbsyncPlain.name, MbsyncPlain.settings


class CopyInterimap(Interimap):
    def near(self, seat):
        return target(seat)

    def side(self, seat, port):
        return self.server(seat.near, seat, port)


class PopRaw(CopyRaw):
    """The same with a source that speaks POP3."""

    speaks_pop3 = True

    def __init__(self, pop, imap):
        super().__init__(imap)
        self.pop = pop

    def command(self, seat, port, seeding=False, second=None):
        return both([self.pop, "--ca", seat.ca, "--user", seat.account.user, "--password", PASSWORD,
                     "--keep", "--discard", "127.0.0.1", str(port), "/"],
                    self.words(seat, seat.near, second, seat.raw))


class PopMailhaul(CopyMailhaul):
    scheme, speaks_pop3 = "pop3s", True


# -- works ------------------------------------------------------------------------------------

def unequal(seat):
    """What is wrong with source or target; None if both are as they ought to be."""
    return (differ(seat.want, seat.account.state(), "source") or
            differ(seat.want, seat.near.state(), "target"))


def unequal_mail(seat):
    """The same where the source tells no flags."""
    return (differ(seat.want, seat.account.state(), "source") or
            differ(unsorted(seat.want), unsorted(seat.near.state()), "target"))


class Copy(Pull):
    """The first run into an empty account."""

    wrong = staticmethod(unequal)

    def once(self, client, line, limit=None):
        server, made = self.server, self.server.template(self.template)
        seat = server.fresh(client, self.template, limit)
        if not client.syncs:
            seat.raw = ("push", os.path.join(made.account.srv.maildir(made.account.user), "cur"))
        return judged(seat, self.run(seat, line), self.wrong)

    def run(self, seat, line):
        return self.server.run(seat, line, self.harness.opt.limit * 1.5 + 60)


class CopySlow(Copy):
    """The same over a slow line, which both accounts share."""

    rtts, rate = (80,), SLOW_RATE


class PopCopy(Copy):
    """The same from a source that speaks POP3. Those who don't speak it have the same by IMAP."""

    wrong = staticmethod(unequal_mail)

    def prepare(self):
        """The server's first answer takes longer; the copies have it in their index."""
        title = super().prepare()
        account = self.server.template(self.template).account
        p = account.srv.pop3(account.user)
        p.list()
        p.uidl()
        p.quit()
        return title

    def run(self, seat, line):
        srv = seat.account.srv

        def command(port, second):
            if getattr(seat.client, "speaks_pop3", False):
                return seat.client.command(seat, port, second=second)
            return seat.client.command(seat, second)
        return self.harness.measure(
            command, seat.dir, line,
            srv.pop3s_port, self.harness.opt.limit * 1.5 + 60, second=srv.imaps_port)


class CopyAgain(Noop):
    """The run after it, with nothing to do."""


def works(harness, quick):
    """The server, and the rows in the order of the table."""
    def sized(full, few=500):
        return few if quick else full

    server = Server(harness, {
        "mixed": Mailbox(lambda: one(corpus.mix(sized(10000), large=LARGE))),
        "mixed2": Mailbox(lambda: one(corpus.mix(sized(2000, 200), large=LARGE))),
        "small10": Mailbox(lambda: one(corpus.small(sized(10000)))),
        "small5": Mailbox(lambda: one(corpus.small(sized(5000)))),
    }, "copy-")
    tools, mailhaul = harness.tools, harness.opt.mailhaul
    clients = [CopyRaw(tools["rawimap"]), CopyMailhaul(mailhaul), CopyMbsync(), CopyMbsyncPlain(),
               CopyInterimap()]
    pops = [PopRaw(tools["rawpop3"], tools["rawimap"]), PopMailhaul(mailhaul)] + clients[2:]

    def row(kind, name, template, clients):
        return kind(harness, clients, server, name, template)
    return server, [
        row(Copy, "copy", "mixed", clients),
        row(CopySlow, "copyslow", "mixed2", clients),
        row(Copy, "copysmall", "small10", clients),
        row(CopyAgain, "copyagain", "small10", clients),
        row(PopCopy, "popcopy", "small5", pops),
    ]
