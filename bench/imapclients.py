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
        what = seat.raw
        options, rest = what[:-2], what[-2:]
        return [self.exe, "--ca", seat.ca, "--user", seat.account.user, "--password", PASSWORD,
                *self.options, *options, "127.0.0.1", str(port), *(r for r in rest if r)], {}


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
        secret = write(os.path.join(seat.dir, "password"), PASSWORD + "\n")
        conf = write(os.path.join(seat.dir, "mailhaul.conf"), (
            'account work {\n  url = "imaps://%s@127.0.0.1:%d"\n  password-file = "%s"\n'
            '  ca-file = "%s"\n%s}\nsync work {\n  remote = work\n  local = "maildir:%s"\n}\n')
            % (seat.account.user, port, secret, seat.ca, self.settings, seat.near.path))
        state = os.path.join(seat.dir, "state")
        os.makedirs(state, mode=0o700, exist_ok=True)
        return [self.exe, "-c", conf, "--state-dir", state, "run"], {}


class MailhaulPlain(Mailhaul):
    name = "mailhaul-plain"
    settings = "  compress = no\n"


class Mbsync(ImapClient):
    name = "mbsync"
    settings = ""               # of the account

    def path(self):
        return have("mbsync")

    def command(self, seat, port, seeding=False):
        state = os.path.join(seat.dir, "state")
        os.makedirs(state, exist_ok=True)
        os.makedirs(seat.near.path, exist_ok=True)
        conf = write(os.path.join(seat.dir, "mbsyncrc"), (
            "%sIMAPAccount work\nHost localhost\nPort %d\nUser %s\nPass %s\nSSLType IMAPS\n"
            "SystemCertificates no\nCertificateFile %s\n%s\n"
            "IMAPStore far\nAccount work\n\n"
            "MaildirStore near\nPath %s/\nInbox %s/INBOX\nSubFolders Verbatim\n\n"
            "Channel work\nFar :far:\nNear :near:\nPatterns *\nCreate Both\nExpunge Both\n"
            "SyncState %s/\n")
            % ("FSync no\n" if seeding else "", port, seat.account.user, PASSWORD, seat.ca,
               self.settings, seat.near.path, seat.near.path, state))
        return [self.path(), "-q", "-c", conf, "work"], {}


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
            "database = %s/work.db\n\n[local]\ntype = imap\nhost = 127.0.0.1\nport = %d\n"
            "STARTTLS = NO\nusername = %s\npassword = %s\n\n"
            "[remote]\ntype = imaps\nhost = localhost\nport = %d\nusername = %s\npassword = %s\n"
            "SSL_CAfile = %s\n")
            % (data, seat.near.srv.imap_port, seat.near.user, PASSWORD, port, seat.account.user,
               PASSWORD, seat.ca))
        return [self.path(), "--config", conf, "--quiet"], {}


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
