"""The IMAP clients with their settings.

Each keeps an account of the server and a side of its own (seat.near) the same. command() makes its
configuration in the directory seat.dir for the server at the given port of 127.0.0.1, and returns
(argv, environment). seeding: the run only makes the state that measured runs begin with, and may
do without durability."""

import os

from harness import PASSWORD, Client, have, write

from imapsides import Account, Tree


class ImapClient(Client):
    syncs = True                # keeps state, and both sides the same
    bare = True                 # works with a server that has no CONDSTORE

    def near(self, seat):
        """Its own side, empty."""
        return Tree(os.path.join(seat.dir, "Mail"), seat.account.exact)

    def command(self, seat, port, seeding=False):
        raise NotImplementedError


class Raw(ImapClient):
    """What it is to do, seat.raw, differs from work to work: options, work and directory."""

    name = "raw"
    syncs = False

    def __init__(self, path, *options):
        self.exe, self.options = path, options

    def path(self):
        return self.exe

    def command(self, seat, port, seeding=False):
        return self.words(seat, seat.account, port, seat.raw), {}

    def words(self, seat, account, port, what):
        options, rest = what[:-2], what[-2:]
        return [self.exe, "--ca", seat.ca, "--user", account.user, "--password", PASSWORD,
                *self.options, *options, "127.0.0.1", str(port), *(r for r in rest if r)]


class RawSync(Raw):
    name = "raw+fsync"


class Mailhaul(ImapClient):
    name = "mailhaul"
    settings = ""               # of the account

    def __init__(self, path):
        self.exe = path

    def path(self):
        return self.exe if self.exe and os.access(self.exe, os.X_OK) else None

    def command(self, seat, port, seeding=False):
        return self.run(seat, self.account("work", "imaps", seat.account, seat, port) + (
            'sync work {\n  remote = work\n  local = "maildir:%s"\n}\n' % seat.near.path))

    def account(self, name, scheme, account, seat, port):
        """Its section of the configuration."""
        secret = write(os.path.join(seat.dir, "password"), PASSWORD + "\n")
        return ('account %s {\n  url = "%s://%s@127.0.0.1:%d"\n  password-file = "%s"\n'
                '  ca-file = "%s"\n%s}\n'
                % (name, scheme, account.user, port, secret, seat.ca, self.settings))

    def run(self, seat, conf):
        conf = write(os.path.join(seat.dir, "mailhaul.conf"), conf)
        state = os.path.join(seat.dir, "state")
        os.makedirs(state, mode=0o700, exist_ok=True)
        return [self.exe, "-c", conf, "--state-dir", state, "run"], {}


class MailhaulPlain(Mailhaul):
    name = "mailhaul-plain"
    settings = "  compress = no\n"


class MailhaulOne(Mailhaul):
    name = "mailhaul-one"
    settings = "  connections = 1\n"


class Mbsync(ImapClient):
    name = "mbsync"
    settings = ""               # of the accounts
    channel = "Create Both\nExpunge Both\n"

    def path(self):
        return have("mbsync")

    def command(self, seat, port, seeding=False):
        state = os.path.join(seat.dir, "state")
        os.makedirs(state, exist_ok=True)
        conf = write(os.path.join(seat.dir, "mbsyncrc"), (
            "%s%s%s\nChannel work\nFar :far:\nNear :near:\nPatterns *\n%sSyncState %s/\n")
            % ("FSync no\n" if seeding else "", self.store("far", seat.account, seat, port),
               self.side(seat, port), self.channel, state))
        return [self.path(), "-q", "-c", conf, "work"], {}

    def store(self, name, account, seat, port):
        """The sections of an account."""
        return ("IMAPAccount %s\nHost localhost\nPort %d\nUser %s\nPass %s\nSSLType IMAPS\n"
                "SystemCertificates no\nCertificateFile %s\n%s\nIMAPStore %s\nAccount %s\n\n"
                % (name, port, account.user, PASSWORD, seat.ca, self.settings, name, name))

    def side(self, seat, port):
        """The section of its own side."""
        os.makedirs(seat.near.path, exist_ok=True)
        return ("MaildirStore near\nPath %s/\nInbox %s/INBOX\nSubFolders Verbatim\n"
                % (seat.near.path, seat.near.path))


class MbsyncPlain(Mbsync):
    name = "mbsync-plain"
    settings = "DisableExtension COMPRESS=DEFLATE\n"


class Interimap(ImapClient):
    """Syncs two servers only: its own side is a second account, without TLS and delay."""

    name = "interimap"
    bare = False

    def near(self, seat):
        near = Account(seat.account.srv, seat.account.user + "-near", seat.account.exact)
        near.settle()
        return near

    def command(self, seat, port, seeding=False):
        where = os.path.join(seat.dir, ".config", "interimap")
        data = os.path.join(seat.dir, "state")
        os.makedirs(where, mode=0o700, exist_ok=True)
        os.makedirs(data, mode=0o700, exist_ok=True)
        conf = write(os.path.join(where, "config"), (
            "database = %s/work.db\n\n[local]\n%s\n[remote]\n%s")
            % (data, self.side(seat, port), self.server(seat.account, seat, port)))
        return [self.path(), "--config", conf, "--quiet"], {}

    @staticmethod
    def server(account, seat, port):
        """The lines of an account behind the proxy."""
        return ("type = imaps\nhost = localhost\nport = %d\nusername = %s\npassword = %s\n"
                "SSL_CAfile = %s\n" % (port, account.user, PASSWORD, seat.ca))

    def side(self, seat, port):
        """The lines of its own side."""
        return ("type = imap\nhost = 127.0.0.1\nport = %d\nSTARTTLS = NO\nusername = %s\n"
                "password = %s\n" % (seat.near.srv.imap_port, seat.near.user, PASSWORD))


class Offlineimap(ImapClient):
    name = "offlineimap"
    slow = True

    def command(self, seat, port, seeding=False):
        conf = write(os.path.join(seat.dir, "offlineimaprc"), (
            "[general]\nmetadata = %s/state\naccounts = work\n%s"
            "[Account work]\nlocalrepository = near\nremoterepository = far\n"
            "[Repository near]\ntype = Maildir\nlocalfolders = %s\n"
            "[Repository far]\ntype = IMAP\nremotehost = localhost\nremoteport = %d\n"
            "remoteuser = %s\nremotepass = %s\nssl = yes\nsslcacertfile = %s\n")
            % (seat.dir, "fsync = false\n" if seeding else "", seat.near.path, port,
               seat.account.user, PASSWORD, seat.ca))
        return [self.path(), "-o", "-u", "quiet", "-c", conf], {}
