"""Other programs that fill a Maildir from a server and keep it in sync: the real ones, run on the sides of a job of twoway.Sync."""

import os
import subprocess

import haul

RUN_SECONDS = 60


class Maker:
    """One of them; it works on p's tree and account with a configuration of its own."""

    def __init__(self, p):
        self.p = p
        self.dir = os.path.join(p.dir, "maker")
        self.conf = os.path.join(self.dir, "conf")
        os.makedirs(self.dir, exist_ok=True)
        os.makedirs(p.local.path, exist_ok=True)

    def call(self, *command):
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, timeout=RUN_SECONDS,
                              env=dict(os.environ, HOME=self.dir))
        return done.returncode, done.stdout.decode("utf-8", "replace")

    def sync(self, *args):
        code, out = self.run(*args)
        assert code == 0, out
        return out

    def run(self, *args):
        raise NotImplementedError

    def idle(self):
        """A run of it that brings nothing anywhere, and takes nothing away. It may move a file from cur/ to new/, or back."""
        local, remote = self.names(), self.p.remote.files()
        out = self.sync()
        assert self.p.remote.files() == remote, out
        assert self.names() == local, out

    def names(self):
        """Of all messages here, with their flags."""
        return {(folder, os.path.basename(path)) for folder in self.p.local.folders() for path in haul.maildir_files(self.p.local.box(folder))}


class Mbsync(Maker):
    """mbsync of isync 1.4 or later. state: SyncState; more: lines of the channel."""

    CONF = """
IMAPAccount work
Host localhost
Port %d
User %s
Pass "%s"
SSLType IMAPS
CertificateFile %s
AuthMechs PLAIN

IMAPStore far
Account work

MaildirStore near
Path %s/
Inbox %s/INBOX
SubFolders Verbatim
%s

Channel work
Far :far:
Near :near:
Patterns *
Create Both
%s
"""

    def __init__(self, p, state="SyncState *", more="", store="", expunge="Expunge Both"):
        super().__init__(p)
        haul.Haul.write_private(self.conf, self.CONF % (p.srv.imaps_port, p.user, p.srv.users[p.user], haul.quoted(p.srv.ca_file), p.local.path, p.local.path,
                                                        store, "\n".join(x for x in (expunge, state, more) if x)))

    def run(self, *args):
        return self.call("mbsync", "-c", self.conf, *(args or ("-a",)))

    def state(self, folder="INBOX"):
        return os.path.join(self.p.local.box(folder), ".mbsyncstate")


class OfflineImap(Maker):
    """offlineimap3. more: lines of the Maildir's section."""

    CONF = """
[general]
accounts = work
metadata = %s/metadata
[Account work]
localrepository = near
remoterepository = far
[Repository near]
type = Maildir
localfolders = %s
sep = /
%s
[Repository far]
type = IMAP
remotehost = localhost
remoteport = %d
remoteuser = %s
remotepass = %s
ssl = yes
sslcacertfile = %s
auth_mechanisms = PLAIN
"""

    def __init__(self, p, more=""):
        super().__init__(p)
        haul.Haul.write_private(self.conf, self.CONF % (self.dir, p.local.path, more, p.srv.imaps_port, p.user, p.srv.users[p.user], p.srv.ca_file))

    def run(self, *args):
        return self.call("offlineimap", "-c", self.conf, "-o", "-u", "basic", *args)
