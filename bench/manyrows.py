"""Many accounts in which nothing is new: one mailhaul, and the others in a shell's loop."""

import os

from harness import LOCAL, Work

import corpus
from imapclients import Mailhaul, Mbsync, Raw
from imaprows import Server, settled
from imapsides import Account, Tree

PARALLEL = 16                   # jobs of mailhaul at once
MESSAGES = 10                   # of each account


class One:
    """What a client takes for its seat: one of the accounts."""

    def __init__(self, seat, account):
        self.account, self.ca = account, seat.ca
        self.dir = os.path.join(seat.dir, account.user)
        os.makedirs(self.dir, exist_ok=True)
        self.near = Tree(os.path.join(self.dir, "Mail"), True)
        self.raw = ("noop", "")


class Seat:
    """A client with all accounts and the port by which it knows them."""

    def __init__(self, harness, client, accounts):
        self.client, self.dir, self.ca = client, harness.directory(client), accounts[0].srv.ca_file
        self.port = harness.port(accounts[0].srv.imaps_port)
        self.ones = [One(self, a) for a in accounts]
        self.wrong = None


class Loop:
    """One run after the other, as a shell has them."""

    def command(self, seat, port, seeding=False):
        lines = ["set -e"]
        for one in seat.ones:
            argv, _ = super().command(one, port, seeding)
            lines.append(" ".join("'%s'" % a for a in argv))
        return ["/bin/sh", "-c", "\n".join(lines)], {}


class LoopRaw(Loop, Raw):
    pass


class LoopMbsync(Loop, Mbsync):
    pass


class ManyMailhaul(Mailhaul):
    parallel = PARALLEL

    def command(self, seat, port, seeding=False):
        conf = "parallel = %d\nparallel-per-host = %d\n" % (self.parallel, self.parallel)
        for one in seat.ones:
            user = one.account.user
            conf += self.account(user, "imaps", one.account, seat, port) + (
                'sync %s {\n  remote = %s\n  local = "maildir:%s"\n}\n' % (user, user, one.near.path))
        return self.run(seat, conf)


class ManyMailhaulOne(ManyMailhaul):
    name, parallel = "mailhaul-1", 1


class Accounts(Work):
    """The run that finds nothing new in any of them."""

    name = "accounts"

    def __init__(self, harness, clients, server, count):
        super().__init__(harness, clients)
        self.server, self.count, self.seats = server, count, {}
        self.accounts = []

    def prepare(self):
        srv = self.server.dovecot("maildir")
        for n in range(self.count):
            account = Account(srv, "a%d" % n)
            account.fill([("INBOX", corpus.small(MESSAGES, seed=500 + n, size=700))])
            self.accounts.append(account)
        return "%d accounts, %d messages each, one folder" % (self.count, MESSAGES)

    def seat(self, client):
        """Made, and synced until nothing is new, when it is first asked for."""
        if client in self.seats:
            return self.seats[client]
        seat = self.seats[client] = Seat(self.harness, client, self.accounts)
        for _ in range(2 if client.syncs else 1):
            got = self.run(seat, LOCAL)
            seat.wrong = seat.wrong or got.get("error")
            settled()
        if client.syncs and not seat.wrong:
            seat.wrong = self.unequal(seat)
        return seat

    @staticmethod
    def unequal(seat):
        """Which of the accounts is not as its Maildir is, if any."""
        for one in seat.ones:
            if one.near.state() != one.account.state():
                return "%s differs from its Maildir" % one.account.user
        return None

    def run(self, seat, line):
        return self.harness.measure(lambda port: seat.client.command(seat, port), seat.dir, line,
                                    self.accounts[0].srv.imaps_port, self.harness.opt.limit * 1.5 + 60, seat.port)

    def once(self, client, line):
        seat = self.seat(client)
        got = self.run(seat, line)
        if client.syncs and "error" not in got:
            wrong = self.unequal(seat)
            if wrong:
                got["error"] = wrong
        return got

    def results(self, clients, line):
        def usable(client):
            wrong = self.seat(client).wrong
            return {"error": wrong} if wrong else None
        return self.harness.turns(clients, lambda c: self.once(c, line), usable)


def works(harness, quick):
    """The server, and the row."""
    server = Server(harness, {}, "many-")
    mailhaul = harness.opt.mailhaul
    clients = [LoopRaw(harness.tools["rawimap"]), ManyMailhaul(mailhaul), ManyMailhaulOne(mailhaul), LoopMbsync()]
    return server, [Accounts(harness, clients, server, 10 if quick else 100)]
