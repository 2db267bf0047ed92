#!/usr/bin/python3
"""A private Dovecot for tests, the demo and the benchmark: IMAP and POP3, plain and TLS.

    with Dovecot(tmp_path, users={"anna": "secret"}) as srv:
        srv.deliver("anna", b"Subject: x\\n\\nhello\\n")
        ... connect to 127.0.0.1:srv.pop3s_port, trust srv.ca_file ...
        assert srv.messages("anna") == []

It listens on free ports of 127.0.0.1, keeps everything in the given directory, and runs in the
foreground as our child: it ends when we end. It needs no root. Under root Dovecot gives nobody
access to root's mail, so there the whole server runs as the user "dovecot" and owns its files; if
that user cannot get into the given directory, a new one below /tmp takes its place (srv.dir tells).
Code that writes into a home itself calls srv.give(path) afterwards.

As a command it starts a server, fills it with sample mail, prints one line of JSON with ports,
users and the CA file, and stays until it gets SIGTERM or SIGINT:

    /usr/bin/python3 tests/lib/dovecot.py DIR --messages 20
"""

import argparse
import ctypes
import grp
import imaplib
import json
import os
import poplib
import pwd
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import weakref

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import tlscert  # noqa: E402

PORTS = ("pop3", "pop3s", "imap", "imaps")
MECHANISMS = "plain login cram-md5 scram-sha-1 scram-sha-256"
READY_SECONDS = 20
STOP_SECONDS = 15


def available():
    """True if a Dovecot with POP3 and IMAP is installed."""
    return program() is not None and os.path.exists("/usr/lib/dovecot/pop3")


def program():
    """The path of the dovecot binary, which often lies outside an ordinary user's PATH."""
    return shutil.which("dovecot", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")


def free_ports(count):
    """Ports of 127.0.0.1 that nobody listens on at this moment."""
    socks = [socket.socket() for _ in range(count)]
    try:
        for s in socks:
            s.bind(("127.0.0.1", 0))
        return [s.getsockname()[1] for s in socks]
    finally:
        for s in socks:
            s.close()


def _server_user():
    """Who runs the server: we, or under root a user without power."""
    if os.geteuid() != 0:
        return pwd.getpwuid(os.geteuid())
    known = {u.pw_name: u for u in pwd.getpwall()}
    return known.get("dovecot") or known["nobody"]


def _die_with_parent():
    """Runs in the child: SIGTERM when the process that started it is gone."""
    try:
        ctypes.CDLL(None).prctl(1, signal.SIGTERM, 0, 0, 0)
    except (OSError, AttributeError):
        pass


def _block(settings):
    return "".join("  %s = %s\n" % item for item in (settings or {}).items())


class Dovecot:
    """One server. Attributes after start(): pop3_port, pop3s_port, imap_port, imaps_port,
    host ("127.0.0.1"), ca_file, cert (the server's pair), users, pid, log_file."""

    host = "127.0.0.1"

    def __init__(self, directory, users=None, mail_location="maildir:~/Maildir", pop3=None,
                 imap=None, auth_mechanisms=MECHANISMS, tls="yes", cert=None, extra=""):
        """pop3 and imap: dicts of settings for that protocol, as {"pop3_uidl_format": "%g"}.
        mail_location: as in Dovecot; ~ is the user's home, see home().
        tls: Dovecot's ssl setting: yes, no, required. cert: a tlscert.Pair to serve instead.
        extra: text added at the end of the configuration."""
        self.me = _server_user()
        self.dir = self._reachable(os.path.abspath(str(directory)))
        self.users = dict(users or {"user": "secret"})
        self.mail_location = mail_location
        self.pop3_settings = dict(pop3 or {})
        self.imap_settings = dict(imap or {})
        self.auth_mechanisms = auth_mechanisms
        self.tls = tls
        self.extra = extra
        self.log_file = os.path.join(self.dir, "dovecot.log")
        self.conf = os.path.join(self.dir, "dovecot.conf")
        self.proc = None
        self.pid = None
        self._ports = None
        self._count = 0
        self._scratch = None
        self.ca = tlscert.CA(os.path.join(self.dir, "tls"))
        self.ca_file = self.ca.cert
        self.cert = cert or self.ca.issue("localhost")
        for user, password in list(self.users.items()):
            self.add_user(user, password)

    # -- life ---------------------------------------------------------------------------------

    def start(self):
        """Starts the server and returns self once every port answers."""
        if self.proc:
            return self
        again = self._ports is not None
        open(self.log_file, "ab").close()
        for attempt in range(5):
            if not again:
                self._ports = dict(zip(PORTS, free_ports(len(PORTS))))
            self._write_conf()
            self.give(self.dir)
            self.proc = subprocess.Popen(
                [program(), "-F", "-c", self.conf], stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL, stderr=open(self.log_file, "ab"),
                cwd=self.dir, start_new_session=True, preexec_fn=_die_with_parent,
                **self._identity())
            self.pid = self.proc.pid
            if self._ready():
                return self
            status = self.proc.poll()
            self.stop()
            if status is None or "in use" not in self.log()[-2000:]:
                break
        raise RuntimeError("dovecot did not start (%s):\n%s" % (status, self.log()[-3000:]))

    def stop(self):
        """Ends the server, waits for it; the same object can be started again on its ports."""
        proc, self.proc, self.pid = self.proc, None, None
        if proc is None:
            return
        if proc.poll() is None:
            proc.terminate()
            end = time.monotonic() + STOP_SECONDS
            while proc.poll() is None and time.monotonic() < end \
                    and not self._only_log_left(proc.pid):
                time.sleep(0.01)
            proc.kill()
            proc.wait()
        if self._scratch:
            shutil.rmtree(self._scratch, ignore_errors=True)
            self._scratch = None

    @staticmethod
    def _only_log_left(master):
        """True if the master has no child but its log process, for which it waits a second;
        that process ends by itself when its pipes close."""
        try:
            with open("/proc/%d/task/%d/children" % (master, master)) as f:
                children = f.read().split()
            if len(children) > 1:
                return False
            for child in children:
                with open("/proc/%s/comm" % child) as f:
                    return f.read().strip() == "log"
        except OSError:
            pass
        return False

    def __enter__(self):
        return self.start()

    def __exit__(self, *exc):
        self.stop()

    def _ready(self):
        """Waits until each port greets, or the server is gone, or the time is up."""
        end = time.monotonic() + READY_SECONDS
        names = [n for n in PORTS if not (self.tls == "no" and n.endswith("s"))]
        for name in names:
            while True:
                if self.proc.poll() is not None or time.monotonic() > end:
                    return False
                try:
                    with socket.create_connection((self.host, self._ports[name]), 5) as s:
                        if name.endswith("s") or s.recv(1):
                            break
                except OSError:
                    pass
                time.sleep(0.02)
        return True

    def log(self):
        """What the server has logged so far."""
        try:
            with open(self.log_file, errors="replace") as f:
                return f.read()
        except FileNotFoundError:
            return ""

    def wait_for_log(self, text, times):
        """Waits until it has logged that so many times; how often it has."""
        end = time.monotonic() + STOP_SECONDS
        while self.log().count(text) < times and time.monotonic() < end:
            time.sleep(0.01)
        return self.log().count(text)

    def wait_for_quiet(self):
        """Waits until no session is left: what a client that is gone had still sent has
        then been carried out."""
        end = time.monotonic() + STOP_SECONDS
        while self._sessions() and time.monotonic() < end:
            time.sleep(0.002)
        assert not self._sessions(), "a session does not end"

    def _sessions(self):
        """True if a session is served, as the server's own list of them says."""
        with socket.socket(socket.AF_UNIX) as anvil:
            anvil.settimeout(STOP_SECONDS)
            anvil.connect(os.path.join(self._base_dir(), "anvil"))
            anvil.sendall(b"VERSION\tanvil\t1\t0\nCONNECT-DUMP\n")
            said = b""
            while not said.endswith(b"\n\n") and said != b"\n":
                more = anvil.recv(65536)
                assert more, "the server's anvil hung up"
                said += more
        return said != b"\n"

    # -- where --------------------------------------------------------------------------------

    @property
    def pop3_port(self):
        return self._ports["pop3"]

    @property
    def pop3s_port(self):
        return self._ports["pop3s"]

    @property
    def imap_port(self):
        return self._ports["imap"]

    @property
    def imaps_port(self):
        return self._ports["imaps"]

    def home(self, user):
        """The user's home directory, the ~ of mail_location."""
        return os.path.join(self.dir, "home", user)

    def maildir(self, user, folder="INBOX"):
        """The Maildir of the folder (mail_location must be a Maildir++ one below ~)."""
        m = re.match(r"maildir:~/([^:]+)", self.mail_location)
        if not m:
            raise ValueError("%s is no Maildir below ~" % self.mail_location)
        top = os.path.join(self.home(user), m.group(1))
        return top if folder == "INBOX" else os.path.join(top, "." + folder)

    # -- users and mail -----------------------------------------------------------------------

    def add_user(self, user, password):
        """Adds or changes a user, also while the server runs."""
        self.users[user] = password
        os.makedirs(self.home(user), mode=0o700, exist_ok=True)
        self.give(self.home(user))
        self._write_user(user)

    def deliver(self, user, data, folder="INBOX"):
        """Puts the bytes as they are into the user's Maildir; returns the file's path.

        The server sends CRLF for LF; CRLF and bare CR in the file stay as they are, so a bare
        LF cannot reach the wire this way. Messages are listed in the order of delivery."""
        base = self.maildir(user, folder)
        if not os.path.isdir(os.path.join(base, "tmp")):
            for sub in ("cur", "new", "tmp"):
                os.makedirs(os.path.join(base, sub), mode=0o700, exist_ok=True)
            if folder != "INBOX":
                open(os.path.join(base, "maildirfolder"), "a").close()
            self.give(self.home(user))
        self._count += 1
        lone = data.count(b"\n") - data.count(b"\r\n")
        name = "%d.M%09dP%d.test,S=%d,W=%d" % (
            time.time(), self._count, os.getpid(), len(data), len(data) + lone)
        tmp = os.path.join(base, "tmp", name)
        with open(tmp, "wb") as f:
            f.write(data)
        self.give(tmp)
        final = os.path.join(base, "new", name)
        os.rename(tmp, final)
        return final

    def append(self, user, data, folder="INBOX", flags=None):
        """Uploads one message (any line ends, sent as CRLF) by IMAP APPEND."""
        data = re.sub(rb"(?<!\r)\n", b"\r\n", data)
        with self.imap(user) as c:
            if folder != "INBOX":
                c.create(folder)
            saved, imaplib.MapCRLF = imaplib.MapCRLF, re.compile(b"(?!)")
            try:
                typ, answer = c.append(folder, flags, None, data)
            finally:
                imaplib.MapCRLF = saved
            if typ != "OK":
                raise RuntimeError("append: %s" % answer)

    def messages(self, user, folder="INBOX"):
        """All messages of the folder as the server sends them by IMAP (CRLF line ends)."""
        with self.imap(user) as c:
            typ, answer = c.select(folder, readonly=True)
            if typ != "OK":
                raise RuntimeError("select %s: %s" % (folder, answer))
            if int(answer[0]) == 0:
                return []
            typ, answer = c.fetch("1:*", "(BODY.PEEK[])")
            return [part[1] for part in answer if isinstance(part, tuple)]

    def stored(self, user, folder="INBOX"):
        """All messages of a Maildir folder as they lie on disk, in order of delivery."""
        found = []
        for sub in ("cur", "new"):
            where = os.path.join(self.maildir(user, folder), sub)
            if os.path.isdir(where):
                found += [(n, os.path.join(where, n)) for n in os.listdir(where)]
        out = []
        for _, path in sorted(found):
            with open(path, "rb") as f:
                out.append(f.read())
        return out

    def count(self, user, folder="INBOX"):
        """How many messages the folder holds, asked by IMAP."""
        with self.imap(user) as c:
            return int(c.select(folder, readonly=True)[1][0])

    def flags(self, user, folder="INBOX"):
        """The set of flags of each message, in order."""
        with self.imap(user) as c:
            if int(c.select(folder, readonly=True)[1][0]) == 0:
                return []
            lines = c.fetch("1:*", "(FLAGS)")[1]
            return [set(f.decode() for f in imaplib.ParseFlags(line)) for line in lines]

    def context(self):
        """An SSL context that trusts this server's CA and nothing else."""
        return ssl.create_default_context(cafile=self.ca_file)

    def imap(self, user):
        """A logged-in imaplib connection by TLS; use it with "with"."""
        c = imaplib.IMAP4_SSL(self.host, self.imaps_port, ssl_context=self.context(), timeout=60)
        c.login(user, self.users[user])
        return c

    def pop3(self, user):
        """A logged-in poplib connection by TLS; end it with quit() or close()."""
        poplib._MAXLINE = 1 << 30
        c = poplib.POP3_SSL(self.host, self.pop3s_port, context=self.context(), timeout=60)
        c.user(user)
        c.pass_(self.users[user])
        return c

    def doveadm(self, *args):
        """Runs doveadm against this server and returns its output."""
        tool = shutil.which("doveadm", path=os.environ.get("PATH", "") + ":/usr/bin")
        return subprocess.run([tool, "-c", self.conf, *args], check=True,
                              stdout=subprocess.PIPE).stdout.decode()

    # -- files --------------------------------------------------------------------------------

    def _write_user(self, user):
        """One file for each user, as Dovecot looks for changes in a file once a second only."""
        path = os.path.join(self.dir, "passwd", user)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path + "~", "w") as f:
            f.write("%s:{PLAIN}%s\n" % (user, self.users[user]))
        os.chmod(path + "~", 0o600)
        self.give(path + "~")
        os.replace(path + "~", path)

    def _base_dir(self):
        """Where the server's own sockets lie; a Unix socket's path has 108 bytes at most."""
        base = os.path.join(self.dir, "run")
        if len(base) > 70:
            self._scratch = self._scratch or tempfile.mkdtemp(prefix="dv-", dir="/tmp")
            self.give(self._scratch)
            base = self._scratch
        return base

    def _reachable(self, directory):
        """The directory, made; or a scratch one if the server's user could not get into it."""
        os.makedirs(directory, exist_ok=True)
        if self.me.pw_uid == os.geteuid():
            return directory
        above = os.path.dirname(os.path.realpath(directory))
        while os.stat(above).st_mode & 0o001:
            if above == "/":
                return directory
            above = os.path.dirname(above)
        scratch = tempfile.mkdtemp(prefix="dovecot-", dir="/tmp")
        self._finalizer = weakref.finalize(self, shutil.rmtree, scratch, True)
        return scratch

    def _identity(self):
        """Arguments for Popen that make the child the server's user."""
        if self.me.pw_uid == os.geteuid():
            return {}
        return {"user": self.me.pw_uid, "group": self.me.pw_gid, "extra_groups": []}

    def give(self, path):
        """Makes the server's user own the path and what is below it; nothing without root."""
        if self.me.pw_uid == os.geteuid():
            return
        uid, gid = self.me.pw_uid, self.me.pw_gid
        os.lchown(path, uid, gid)
        if not os.path.isdir(path) or os.path.islink(path):
            return
        for entry in os.scandir(path):
            if entry.is_dir(follow_symlinks=False):
                self.give(entry.path)
            elif entry.stat(follow_symlinks=False).st_uid != uid:
                os.lchown(entry.path, uid, gid)

    def _write_conf(self):
        p = self._ports
        tls_port = 0 if self.tls == "no" else 1
        text = CONF.format(
            dir=self.dir, base=self._base_dir(), log=self.log_file,
            me=self.me.pw_name, group=grp.getgrgid(self.me.pw_gid).gr_name, uid=self.me.pw_uid,
            gid=self.me.pw_gid, mechanisms=self.auth_mechanisms,
            mail_location=self.mail_location, tls=self.tls, cert=self.cert.cert, key=self.cert.key,
            pop3=p["pop3"], imap=p["imap"],
            pop3s=p["pop3s"] * tls_port, imaps=p["imaps"] * tls_port,
            pop3_settings=_block(self.pop3_settings), imap_settings=_block(self.imap_settings))
        with open(self.conf, "w") as f:
            f.write(text + self.extra + "\n")


# The login and the internal user are the server's own and nothing changes its root directory: so no
# privilege is needed. All limits are far above what a test does. Nothing is delayed on
# purpose, except that a failed login always takes Dovecot half a second.
CONF = """\
base_dir = {base}
state_dir = {base}
log_path = {log}
protocols = imap pop3
listen = 127.0.0.1
instance_name = test
default_internal_user = {me}
default_internal_group = {group}
default_login_user = {me}
default_vsz_limit = 0
default_process_limit = 500
default_client_limit = 2000
shutdown_clients = yes
verbose_proctitle = no
login_greeting = ready
auth_mechanisms = {mechanisms}
auth_failure_delay = 0
auth_cache_size = 0
auth_debug = no
disable_plaintext_auth = no
mail_max_userip_connections = 0
first_valid_uid = 0
first_valid_gid = 0
mail_uid = {uid}
mail_gid = {gid}
mail_access_groups =
mail_location = {mail_location}
mail_fsync = never
mbox_write_locks = fcntl
mbox_lazy_writes = no
ssl = {tls}
ssl_cert = <{cert}
ssl_key = <{key}
ssl_dh =
ssl_min_protocol = TLSv1.2
passdb {{
  driver = passwd-file
  args = scheme=PLAIN username_format=%u {dir}/passwd/%u
}}
userdb {{
  driver = static
  args = home={dir}/home/%u
}}
namespace inbox {{
  inbox = yes
}}
service anvil {{
  chroot =
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service stats {{
  chroot =
}}
service pop3-login {{
  chroot =
  service_count = 0
  process_min_avail = 1
  process_limit = 4
  inet_listener pop3 {{
    port = {pop3}
  }}
  inet_listener pop3s {{
    port = {pop3s}
    ssl = yes
  }}
}}
service imap-login {{
  chroot =
  service_count = 0
  process_min_avail = 1
  process_limit = 4
  inet_listener imap {{
    port = {imap}
  }}
  inet_listener imaps {{
    port = {imaps}
    ssl = yes
  }}
}}
service imap {{
  service_count = 1000
}}
service pop3 {{
  service_count = 1000
}}
protocol pop3 {{
{pop3_settings}}}
protocol imap {{
{imap_settings}}}
"""


def _main():
    par = argparse.ArgumentParser(description="Start a private Dovecot and stay until killed.")
    par.add_argument("dir")
    par.add_argument("--user", action="append", help="user name (default: user); may repeat")
    par.add_argument("--password", default="secret")
    par.add_argument("--messages", type=int, default=0, help="sample messages for each user")
    par.add_argument("--kind", choices=("small", "mix", "awkward"), default="small")
    par.add_argument("--mail-location", default="maildir:~/Maildir")
    par.add_argument("--set", action="append", default=[], metavar="LINE",
                     help="a line added to the configuration; may repeat")
    opt = par.parse_args()

    for sig in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(sig, lambda *_: sys.exit(0))
    users = {u: opt.password for u in opt.user or ["user"]}
    with Dovecot(opt.dir, users, opt.mail_location, extra="\n".join(opt.set)) as srv:
        if opt.messages:
            import corpus
            for user in users:
                for _, data in corpus.sample(opt.kind, opt.messages):
                    srv.deliver(user, data)
        print(json.dumps({
            "host": srv.host, "pop3": srv.pop3_port, "pop3s": srv.pop3s_port,
            "imap": srv.imap_port, "imaps": srv.imaps_port, "ca": srv.ca_file,
            "users": users, "dir": srv.dir, "log": srv.log_file, "pid": srv.pid}), flush=True)
        while srv.proc.poll() is None:
            time.sleep(0.2)
        sys.exit("dovecot ended by itself:\n" + srv.log()[-2000:])


if __name__ == "__main__":
    _main()
