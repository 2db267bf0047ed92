"""The POP3 rows: the clients with their settings, and the works."""

import os
import shutil
import time

from harness import HERE, LOCAL, PASSWORD, Client, Work, have, maildir, write

import corpus
from dovecot import Dovecot


# -- clients ----------------------------------------------------------------------------------
#
# Each makes its configuration in the directory t.dir for the server at 127.0.0.1:t.port and user
# t.user with t.ca to trust, delivers into t.dest, and returns (argv, environment).

class Pop3Client(Client):
    keeps = False               # can leave the messages and take only new ones

    def command(self, t):
        raise NotImplementedError

    def seed(self, t, uidls):
        """Makes the client believe that it has taken the messages with these UIDLs; False if it
        has to take them first."""
        return False


class Raw(Pop3Client):
    name = "raw"

    def __init__(self, path, *options):
        self.exe, self.options = path, options

    def path(self):
        return self.exe

    def command(self, t):
        return [self.exe, "--ca", t.ca, "--user", t.user, "--password", PASSWORD, *self.options,
                "127.0.0.1", str(t.port), os.path.join(t.dest, "new")], {}


class RawSync(Raw):
    name = "raw+fsync"


class Mailhaul(Pop3Client):
    name = "mailhaul"
    keeps = True

    def __init__(self, path):
        self.exe = path

    def path(self):
        return self.exe if self.exe and os.access(self.exe, os.X_OK) else None

    def command(self, t):
        secret = write(os.path.join(t.dir, "password"), PASSWORD + "\n")
        conf = write(os.path.join(t.dir, "mailhaul.conf"), (
            'account isp {\n  url = "pop3s://%s@127.0.0.1:%d"\n  password-file = "%s"\n'
            '  ca-file = "%s"\n}\nfetch isp {\n  from = isp\n  to = "maildir:%s"\n%s}\n')
            % (t.user, t.port, secret, t.ca, t.dest, "  keep = yes\n" if t.keep else ""))
        state = os.path.join(t.dir, "state")
        os.makedirs(state, mode=0o700, exist_ok=True)
        return [self.exe, "-c", conf, "--state-dir", state, "run"], {}


class Mpop(Pop3Client):
    name = "mpop"
    keeps = True

    def command(self, t):
        conf = write(os.path.join(t.dir, "mpoprc"), (
            "defaults\ntls on\ntls_starttls off\ntls_trust_file %s\n"
            "account isp\nhost 127.0.0.1\nport %d\nuser %s\npassword %s\nkeep %s\n"
            "delivery maildir %s\nuidls_file %s\nreceived_header off\npipelining on\n")
            % (t.ca, t.port, t.user, PASSWORD, "on" if t.keep else "off", t.dest,
               os.path.join(t.dir, "uidls")))
        return [self.path(), "-q", "-C", conf, "isp"], {}


class Fdm(Pop3Client):
    name = "fdm"
    slow = True

    def command(self, t):
        # fdm trusts the system's CAs only; OpenSSL lets the environment replace their file. Under
        # root it fetches as another user, who must be able to read that file.
        me = "root" if os.geteuid() == 0 else None
        conf = write(os.path.join(t.dir, "fdm.conf"), (
            'set verify-certificates\nset maximum-size 1G\nset no-received\n'
            'set lock-file "%s/fdm.lock"\n%s'
            'account "isp" pop3s server "127.0.0.1" port %d user "%s" pass "%s" no-apop\n'
            'action "in" maildir "%s"\nmatch all action "in"\n')
            % (t.dir, 'set default-user "%s"\n' % me if me else "", t.port, t.user, PASSWORD,
               t.dest))
        return [self.path(), "-q", "-f", conf, "fetch"], {"SSL_CERT_FILE": t.ca}


class Fetchmail(Pop3Client):
    name = "fetchmail"
    slow = True

    def command(self, t):
        conf = write(os.path.join(t.dir, "fetchmailrc"), (
            'set no bouncemail\nset no spambounce\nset idfile "%s/ids"\nset pidfile "%s/pid"\n'
            'poll localhost service %d protocol pop3 no dns user "%s" password "%s"\n'
            '  ssl sslproto "TLS1.2+" sslcertck sslcertfile "%s" no rewrite fetchall nokeep\n'
            '  fetchsizelimit 0 mda "%s %s"\n')
            % (t.dir, t.dir, t.port, t.user, PASSWORD, t.ca,
               os.path.join(HERE, "mda.sh"), t.dest))
        return [self.path(), "--silent", "--nosyslog", "-f", conf], {"FETCHMAILHOME": t.dir}


class Getmail(Pop3Client):
    name = "getmail6"
    slow = True
    keeps = True
    unroot = True               # it refuses to deliver as root

    def path(self):
        return have("getmail")

    def command(self, t):
        write(os.path.join(t.dir, "getmailrc"), (
            "[retriever]\ntype = SimplePOP3SSLRetriever\nserver = 127.0.0.1\nport = %d\n"
            "username = %s\npassword = %s\nca_certs = %s\n"
            "[destination]\ntype = Maildir\npath = %s/\n"
            "[options]\nread_all = %s\ndelete = %s\ndelivered_to = false\nreceived = false\n"
            "verbose = 0\n")
            % (t.port, t.user, PASSWORD, t.ca, t.dest, "false" if t.keep else "true",
               "false" if t.keep else "true"))
        return [self.path(), "--getmaildir", t.dir, "--rcfile", "getmailrc"], {}

    def seed(self, t, uidls):
        # It would take a quarter of an hour to take them.
        write(os.path.join(t.dir, "oldmail-127.0.0.1-%d-%s" % (t.port, t.user)),
              "".join("%s\0%d\n" % (u, time.time()) for u in uidls))
        return True


# -- one run ----------------------------------------------------------------------------------

class Task:
    """Where one run of a client finds everything."""

    def __init__(self, directory, port, user, ca, keep):
        self.dir, self.port, self.user, self.ca, self.keep = directory, port, user, ca, keep
        self.dest = maildir(os.path.join(directory, "Maildir"))


class Server:
    """The Dovecot, its mailboxes, and runs against it."""

    def __init__(self, harness):
        self.harness = harness
        # \Seen is not written, so that reading a kept mailbox does not rename its files.
        self.srv = Dovecot(os.path.join(harness.work, "pop3"), users={},
                           auth_mechanisms="plain login", pop3={"pop3_no_flag_updates": "yes"})
        self.started = False
        self.users = 0
        self.sizes = {}

    def close(self):
        self.srv.stop()

    def prepare(self, name, messages):
        """Makes the mailbox that the runs of a row get copies of, its index included."""
        if not self.started:
            self.srv.start()
            self.started = True
        self.srv.add_user(name, PASSWORD)
        size = count = 0
        for _, data in messages:
            self.srv.deliver(name, data)
            size += len(data)
            count += 1
        p = self.srv.pop3(name)
        p.list()
        p.uidl()
        p.quit()
        self.sizes[name] = (count, size)

    def copy(self, template, limit=None):
        """A user of his own with a copy of the mailbox: messages linked, index copied."""
        self.users += 1
        user = "r%d" % self.users
        self.srv.add_user(user, PASSWORD)
        src, dst = self.srv.maildir(template), self.srv.maildir(user)
        for sub in ("cur", "new", "tmp"):
            os.makedirs(os.path.join(dst, sub))
            for name in sorted(os.listdir(os.path.join(src, sub)))[:limit]:
                os.link(os.path.join(src, sub, name), os.path.join(dst, sub, name))
        for name in os.listdir(src):
            if os.path.isfile(os.path.join(src, name)):
                shutil.copy2(os.path.join(src, name), os.path.join(dst, name))
        self.srv.give(self.srv.home(user))
        if limit is not None:
            p = self.srv.pop3(user)
            p.list()
            p.quit()
        return user

    def run(self, client, directory, user, line, keep, timeout, port=0):
        """Runs the client once; returns the figures, and how many messages it holds now."""
        dest = os.path.join(directory, "Maildir")

        def command(port):
            made = client.command(Task(directory, port, user, self.srv.ca_file, keep))
            if who:
                self.srv.give(directory)
            return made

        who = self.srv.me if client.unroot and os.geteuid() == 0 else None
        got = self.harness.measure(command, directory, line, self.srv.pop3s_port, timeout, port,
                                   who)
        got["delivered"] = sum(len(os.listdir(os.path.join(dest, s))) for s in ("cur", "new"))
        return got


# -- works ------------------------------------------------------------------------------------

class Pop3Work(Work):
    def __init__(self, harness, clients, server, name, messages):
        super().__init__(harness, clients)
        self.server, self.name, self.messages = server, name, messages

    def prepare(self):
        self.server.prepare(self.name, self.messages())
        self.count, size = self.server.sizes[self.name]
        return "%d messages, %.1f MB" % (self.count, size / 1e6)


class Fetch(Pop3Work):
    """Everything taken and deleted."""

    def once(self, client, line, limit=None):
        """One timed run on a fresh copy."""
        user = self.server.copy(self.name, limit)
        directory = self.harness.directory(client)
        got = self.server.run(client, directory, user, line, False,
                              self.harness.opt.limit * 1.5 + 60)
        want = min(limit or 1 << 60, self.count)
        if "error" not in got:
            left = self.server.srv.count(user)
            if got["delivered"] != want or left:
                got["error"] = "delivered %d of %d, %d left on the server" % (
                    got["delivered"], want, left)
        return got

    def results(self, clients, line):
        def probe(c):
            if c.slow and self.count > self.harness.probe:
                return self.harness.project(lambda n: self.once(c, line, n), self.count)
            return None
        return self.harness.turns(clients, lambda c: self.once(c, line), probe)


class Large(Fetch):
    rtts = (0,)


class Noop(Pop3Work):
    """The run that finds nothing new in a mailbox of which it has taken everything."""

    def __init__(self, *args):
        super().__init__(*args)
        self.kept = {}          # of each client: directory, port, messages it holds, what is wrong

    def keep(self, client):
        """Brings the client to the state of having taken all messages; returns what went wrong.
        Its port stays the same from now on, as some clients know a mailbox by it."""
        if client in self.kept:
            return self.kept[client].get("wrong")
        directory = self.harness.directory(client)
        srv = self.server.srv
        port = self.harness.port(srv.pop3s_port)
        p = srv.pop3(self.name)
        uidls = [line.split()[1].decode() for line in p.uidl()[1]]
        p.quit()
        kept = self.kept[client] = {"directory": directory, "port": port, "held": self.count}
        if client.seed(Task(directory, port, self.name, srv.ca_file, True), uidls):
            kept["held"] = 0
            return None
        first = self.server.run(client, directory, self.name, LOCAL, True,
                                self.harness.opt.limit * 1.5 + 60, port)
        if "error" not in first and first["delivered"] != self.count:
            first["error"] = "delivered %d of %d" % (first["delivered"], self.count)
        if "error" in first:
            kept["wrong"] = {"error": "first run: " + first["error"]}
        return kept.get("wrong")

    def once(self, client, line):
        kept = self.kept[client]
        one = self.server.run(client, kept["directory"], self.name, line, True,
                              self.harness.opt.limit, kept["port"])
        if "error" not in one and one["delivered"] != kept["held"]:
            one["error"] = "delivered %d more" % (one["delivered"] - kept["held"])
        return one

    def results(self, clients, line):
        return self.harness.turns(clients, lambda c: self.once(c, line), self.keep)


def works(harness, quick):
    """The server, and the rows in the order of the table."""
    tools, part = harness.tools, 10 if quick else 1
    server = Server(harness)
    clients = [Raw(tools["rawpop3"]), RawSync(tools["rawpop3"], "--fsync"),
               Mailhaul(harness.opt.mailhaul), Mpop(), Fdm(), Fetchmail(), Getmail()]
    keepers = [c for c in clients if c.keeps]

    def large():
        return [("large", corpus.large((200 << 20) // part))]

    return server, [
        Fetch(harness, clients, server, "small", lambda: corpus.small(10000 // part)),
        Fetch(harness, clients, server, "mix", lambda: corpus.mix(2000 // part)),
        Noop(harness, keepers, server, "noop", lambda: corpus.small(100000 // part, size=700)),
        Large(harness, clients, server, "large", large),
    ]
