"""The program as people, cron and scripts meet it: commands, options, output, exit codes, logins, and what nobody may see."""

import base64
import datetime
import fcntl
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import termios
import threading
import time

import pytest

import corpus
import dovecot
import haul
import pop3peer
import tlscert

FAR = "a" * 64 + ".invalid"  # no name server is asked for a label that is too long (RFC 1035)
STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")


def wait_for(condition, seconds=20):
    """Until it is true; what it gave."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        got = condition()
        if got:
            return got
        time.sleep(0.01)
    raise AssertionError("it never came true")


class Stalls(pop3peer.Peer):
    """Says nothing any more, from its greeting or from the password on."""

    def __init__(self, at="PASS"):
        self.at, self.reached = at, threading.Event()
        super().__init__()

    def stall(self, link):
        self.reached.set()
        link.hang()

    def greeting(self, link):
        if self.at == "greeting":
            self.stall(link)
        super().greeting(link)

    def pass_(self, link, arg):
        self.stall(link)

    def haul(self, directory, **more):
        return haul.Haul(directory, self.port, scheme="pop3", **{"account": "tls = none", **more})


def free_port():
    return dovecot.free_ports(1)[0]


def without_password(h, instead=""):
    """The configuration with another source of the password, or none."""
    h.reconfigure("\tpassword-file = %s\n" % haul.quoted(h.secret), instead)
    return h


def family(pid):
    """The process and all below it."""
    found = [pid]
    try:
        for task in os.listdir("/proc/%d/task" % pid):
            with open("/proc/%d/task/%s/children" % (pid, task), encoding="ascii") as f:
                for child in f.read().split():
                    found += family(int(child))
    except OSError:
        pass
    return found


def end(p, sig=signal.SIGKILL):
    """End a process that we started, and give what it said."""
    if p.poll() is None:
        p.send_signal(sig)
    return p.communicate(timeout=20)


# -- usage --------------------------------------------------------------------------------------------------


@pytest.fixture
def idle(tmp_path):
    """A good configuration whose server nobody listens for."""
    return haul.Haul(tmp_path, free_port())


@pytest.mark.parametrize("words, says", [
    ([], "what is to be done?"),
    (["runn"], "no command 'runn'"),
    (["run", "isq"], "did you mean 'isp'?"),
    (["run", "nosuch"], "no job 'nosuch'"),
    (["status", "isq"], "did you mean 'isp'?"),
    (["list", "isq"], "did you mean 'isp'?"),
    (["info", "isq"], "did you mean 'isp'?"),
    (["info"], "use: mailhaul info ACCOUNT"),
    (["list"], "use: mailhaul list"),
    (["list", "a", "b"], "use: mailhaul list"),
    (["fetch", "isp"], "use: mailhaul fetch A B"),
    (["fetch", "isq", "maildir:x"], "did you mean 'isp'?"),
    (["fetch", "maildir:x", "isp"], "maildir:x"),
    (["fetch", "--keep", "perhaps", "isp", "maildir:x"], "keep = perhaps"),
    (["sync", "isp"], "use: mailhaul sync A B"),
    (["sync", "isp", "maildir:x"], "POP3 account, which can't be synced"),
    (["sync", "maildir:x", "mbox:x/y"], "one within the other"),
    (["sync", "maildir:x", "maildir:x/y"], "one within the other"),
    (["sync", "maildir:x", "isp"], "'isp' is a POP3 account"),
    (["sync", "--keep", "yes", "maildir:x", "maildir:y"], "does not take --keep"),
    (["migrate", "isp"], "use: mailhaul migrate A B"),
    (["migrate", "isp", "isp"], "'isp' is a POP3 account"),
    (["migrate", "maildir:x", "mbox:x/y"], "one within the other"),
    (["migrate", "--folder", "A", "maildir:x", "mbox:y"], "has folders of its own"),
    (["migrate", "--folder", "A//B", "isp", "mbox:y"], "folder"),
    (["migrate", "imaps://u@h", "imap://u@h"], "the same mailbox"),
    (["migrate", "--keep", "yes", "isp", "maildir:x"], "does not take --keep"),
    (["migrate", "--restore", "isp", "maildir:x"], "does not take --restore"),
    (["sync", "--restore", "--allow-deletions", "maildir:x", "maildir:y"], "contradict"),
    (["run", "--restore"], "jobs that are named"),
    (["run", "--allow-deletions", "isp"], "'isp' is none"),
    (["fetch", "--restore", "isp", "maildir:x"], "does not take --restore"),
    (["check", "isp"], "use: mailhaul check"),
    (["-Z", "run"], "-Z"),
    (["run", "--nope"], "--nope"),
    (["run", "--connect"], "does not take --connect"),
    (["check", "--dry-run"], "does not take --dry-run"),
    (["run", "-q", "-v"], "contradict"),
    (["run", "--jobs", "0"], "1 to 256"),
    (["run", "--jobs", "x"], "1 to 256"),
    (["run", "--jobs"], "needs a value"),
    (["-c"], "needs a value"),
    (["help", "runn"], "no command 'runn'"),
])
def test_usage(idle, words, says):
    r = idle.call(*words)
    assert r.code == 64 and r.out == "" and says in r.err, r
    assert len(r.err.splitlines()) == 1 and r.err.startswith("mailhaul: ")
    assert not os.path.exists(idle.state)


def test_help_and_version(idle):
    r = idle.call("help")
    commands = ["run", "fetch", "sync", "migrate", "check", "info", "list", "status", "undo", "verify", "help"]
    assert r.code == 0 and r.err == ""
    for name in commands:
        assert "  mailhaul " + name in r.out
        one = idle.call("help", name)
        assert one.code == 0 and one.out.startswith("mailhaul %s " % name) and "--config" in one.out, one
        assert idle.call(name, "--help").out == one.out
    assert "--due" in idle.call("help", "run").out and "--due" not in idle.call("help", "check").out
    assert idle.call("--help").out == r.out
    r = idle.call("--version")
    assert r.code == 0 and r.err == "" and re.fullmatch(r"mailhaul \d+\.\d+\S*\n", r.out)


# -- check, info, list ----------------------------------------------------------------------------------------


def test_check_connect(mailbox, tmp_path):
    mailbox.fill(corpus.small(3))
    h = mailbox.haul(tmp_path)
    r = h.call("check", "--connect")
    assert r.code == 0 and r.err == "" and "login works, 3 messages" in r.out, r
    r = h.call("check", "--connect", "-q")
    assert (r.code, r.out, r.err) == (0, "", "")
    r = h.call("check", "--connect", "--json")
    assert [e["event"] for e in r.events] == ["check", "account"] and len(r.events) == len(r.out.splitlines())
    assert r.events[1]["account"] == "isp" and r.events[1]["messages"] == 3 and r.events[1]["bytes"] > 0
    assert mailbox.count() == 3 and not os.path.exists(h.state)


def test_check_connect_wrong_password(mailbox, tmp_path):
    h = mailbox.haul(tmp_path)
    h.write_private(h.secret, "hunter2\n")
    r = h.call("check", "--connect")
    assert r.code == 77 and "isp" in r.err and mailbox.user in r.err and len(r.err.splitlines()) == 1, r
    assert "hunter2" not in r.err + r.out


def test_check_connect_unreachable(idle):
    r = idle.call("check", "--connect")
    assert r.code == 69 and "refused" in r.err and "isp" in r.err, r


def test_check_connect_unknown_host(tmp_path):
    h = haul.Haul(tmp_path, 995, host=FAR)
    start = time.monotonic()
    r = h.call("check", "--connect")
    assert r.code == 68 and FAR in r.err and time.monotonic() - start < 10, r


def test_check_connect_untrusted(mailbox, tmp_path):
    other = tlscert.CA(str(tmp_path / "tls"))
    h = haul.Haul(tmp_path, mailbox.srv.pop3s_port, other.cert, user=mailbox.user, password=mailbox.password, host="localhost")
    r = h.call("check", "--connect")
    assert r.code == 77 and "certificate" in r.err and tlscert.fingerprint(mailbox.srv.cert.cert) in r.err.replace(":", ""), r


def test_check_connect_tries_all(mailbox, tmp_path):
    extra = "\n".join('account %s { url = "pop3s://x@%s"  password-file = "%s/secret" }' % (name, at, tmp_path)
                      for name, at in [("shut", "127.0.0.1:%d" % free_port()), ("lost", FAR)])
    r = mailbox.haul(tmp_path, extra=extra).call("check", "--connect")
    assert r.code == 1 and "isp" in r.out and "login works" in r.out, r
    assert len(r.err.splitlines()) == 2 and "shut" in r.err and "lost" in r.err, r


def test_info(mailbox, tmp_path):
    h = mailbox.haul(tmp_path)
    h.write_private(h.secret, "wrong\n")  # nobody logs in
    r = h.call("info", "isp")
    pin = tlscert.fingerprint(mailbox.srv.cert.cert)
    assert r.code == 0 and r.err == ""
    for word in ("ready", "TLSv1.", "CN=localhost", pin, "PIPELINING", "UIDL", "SCRAM-SHA-256", "AES"):
        assert word in r.out, (word, r)
    e, = h.call("--json", "info", "isp").events
    assert e["event"] == "info" and e["job"] == "" and STAMP.match(e["time"])
    assert e["tls"]["sha256"] == pin and e["tls"]["version"].startswith("TLSv1.") and "PIPELINING" in e["capabilities"]
    url = h.call("info", "pop3s://%s@localhost:%d" % (mailbox.user, mailbox.srv.pop3s_port))
    assert url.code == 77 and pin in url.err.replace(":", ""), url


def test_the_fingerprint_of_info_can_be_pinned(mailbox, tmp_path):
    h = mailbox.haul(tmp_path)
    pin = h.call("--json", "info", "isp").events[0]["tls"]["sha256"]
    h.reconfigure("\tca-file = %s" % haul.quoted(mailbox.srv.ca_file), '\tfingerprint = {"%s"}' % pin)
    assert h.call("check", "--connect").code == 0
    h.reconfigure(pin, pin[::-1])
    assert h.call("check", "--connect").code == 77


def test_list(mailbox, tmp_path):
    mailbox.fill(corpus.small(4))
    extra = 'account other { url = "pop3s://%s@localhost:%d"  password-file = "%s/secret"  ca-file = "%s" }' % (
        mailbox.user, mailbox.srv.pop3s_port, tmp_path, mailbox.srv.ca_file)
    h = mailbox.haul(tmp_path, extra=extra)
    job, account = h.call("list", "isp"), h.call("list", "other")
    for r in (job, account):
        assert r.code == 0 and r.err == "" and "4 messages" in r.out, r
    assert h.maildir in job.out and h.maildir not in account.out
    e, = h.call("--json", "list", "isp").events
    assert (e["event"], e["job"], e["messages"], e["to"]) == ("list", "isp", 4, "maildir:" + h.maildir)
    e, = h.call("--json", "list", "other").events
    assert (e["event"], e["job"], e["messages"]) == ("list", "", 4) and "to" not in e
    assert mailbox.count() == 4 and not os.path.exists(h.state)


# -- status, due ----------------------------------------------------------------------------------------------


def status(h):
    e, = h.call("--json", "status").events
    assert e["event"] == "status" and e["job"] == "isp" and STAMP.match(e["time"])
    return e


def test_status(mailbox, tmp_path):
    h = mailbox.haul(tmp_path, fetch="keep = yes  every = 1h")
    assert "never" in h.call("status").out and "now" in h.call("status", "isp").out
    e = status(h)
    assert e["last_end"] is None and STAMP.match(e["due"]) and e["held"] == 0 and e["failures"] == [] and "last_run" not in e
    assert not os.path.exists(h.state)

    mailbox.fill(corpus.small(3))
    assert h.call("run").code == 0
    text, e = h.call("status"), status(h)
    assert text.code == 0 and "3 fetched" in text.out and "never" not in text.out
    assert e["held"] == 3 and e["paused_until"] is None and e["running"] == 0
    assert e["last_run"]["kind"] == "ok" and e["last_run"]["pulled"] == 3 and STAMP.match(e["last_run"]["ended"])
    started, due = (datetime.datetime.fromisoformat(e[k].replace("Z", "+00:00")) for k in ("last_start", "due"))
    assert (due - started).total_seconds() == 3600

    h.write_private(h.secret, "wrong\n")
    assert h.call("run").code == 77
    text, e = h.call("status"), status(h)
    assert "stopped at" in text.out and "login" in text.out
    assert e["last_run"]["kind"] == "auth" and "login" in e["last_run"]["text"] and e["held"] == 3


def test_status_of_what_was_left(mailbox, tmp_path):
    mailbox.fill([("large", corpus.large(300000))])
    h = mailbox.haul(tmp_path, fetch="max-size = 100k")
    assert h.call("run").code == 0
    e = status(h)
    one, = e["failures"]
    assert e["skipped"] == 1 and e["failed"] == 0 and one["kind"] == "skipped" and one["size"] > 300000 and one["uid"] and "max-size" in one["reason"]
    assert one["uid"] in h.call("status").out


def test_status_when_the_state_is_damaged(mailbox, tmp_path):
    h = mailbox.haul(tmp_path)
    os.mkdir(h.state, 0o700)
    h.write_private(h.db, "no database at all\n" * 1000)
    r = h.call("status")
    assert r.code == 74 and "isp" in r.err and len(r.err.splitlines()) == 1, r


@pytest.mark.parametrize("mode,code", [(0o777, 77), (0o720, 77), (0o702, 77), (0o1777, 0), (0o755, 0)], ids=oct)
def test_a_state_directory_that_others_can_write_to(mailbox, tmp_path, mode, code):
    mailbox.fill(corpus.small(1))
    h = mailbox.haul(tmp_path)
    os.mkdir(h.state)
    os.chmod(h.state, mode)
    r = h.call("run")
    assert r.code == code and len(h.messages()) == (code == 0) and (code == 0 or ("chmod go-w" in r.err and h.state in r.err)), r
    assert h.call("status").code == 0


def in_the_way(h, what):
    """Something that keeps the state file from being one."""
    if what == "the file is a directory":
        os.makedirs(h.db)
    elif what == "the file is a link":
        os.mkdir(h.state)
        os.symlink("elsewhere", h.db)
    elif what == "the lock is a directory":
        os.makedirs(os.path.join(h.state, "isp.db.lock"))
    else:
        h.write_private(h.state, "")
        if what == "the parent is a file":
            h.state = os.path.join(h.state, "deep")


@pytest.mark.parametrize("what", ["the file is a directory", "the file is a link", "the lock is a directory", "the directory is a file", "the parent is a file"])
def test_a_state_that_cannot_be_used_is_local_trouble(tmp_path, what):
    h = haul.Haul(tmp_path, free_port())
    in_the_way(h, what)
    r = h.call("run")
    assert r.code == 74 and r.err.startswith("mailhaul: isp: ") and len(r.err.splitlines()) == 1, r
    assert os.path.join(h.dir, "state") in r.err and ("move it away" in r.err or "--state-dir names another" in r.err), r
    if what != "the lock is a directory":
        for words in (["run", "--dry-run"], ["status"]):
            r = h.call(*words)
            assert r.code == 74 and h.state in r.err, r


def test_a_state_file_that_others_may_read_is_made_private(mailbox, tmp_path):
    h = mailbox.haul(tmp_path)
    assert h.call("run").code == 0
    os.chmod(h.db, 0o644)
    assert h.call("run").code == 0
    assert os.stat(h.db).st_mode & 0o777 == 0o600


def test_due(mailbox, tmp_path):
    mailbox.fill(corpus.small(1))
    h = mailbox.haul(tmp_path, fetch="keep = yes  every = 1h",
                     extra='fetch never { from = isp  to = "maildir:%s/never" }' % tmp_path)
    r = h.run("--due")
    assert r.code == 0 and r.end["job"] == "isp" and r.end["pulled"] == 1, r
    r = h.run("--due")
    assert (r.code, r.out, r.err) == (0, "", "")
    assert h.run("isp").end["job"] == "isp"  # named: at once
    h.reconfigure("every = 1h", "every = 1s")
    wait_for(lambda: h.run("--due").of("end"))
    assert not os.path.exists(tmp_path / "never")


# -- output ---------------------------------------------------------------------------------------------------


def test_silent_in_cron(mailbox, tmp_path):
    mailbox.fill(corpus.small(3))
    h = mailbox.haul(tmp_path)
    for _ in range(2):
        r = h.call("run")
        assert (r.code, r.out, r.err) == (0, "", "")
    h.write_private(h.secret, "wrong\n")
    for quiet in ([], ["-q"]):
        r = h.call("run", *quiet)
        assert r.code == 77 and r.out == "" and len(r.err.splitlines()) == 1 and r.err.startswith("mailhaul: isp: "), r


def test_quiet(mailbox, tmp_path):
    mailbox.fill(corpus.small(2))
    h = mailbox.haul(tmp_path)
    r = h.call("-q", "run")
    assert (r.code, r.out, r.err) == (0, "", "") and mailbox.count() == 0


def test_verbose_names_each_action(mailbox, tmp_path):
    mailbox.fill(corpus.small(3))
    r = mailbox.haul(tmp_path).call("run", "-v")
    assert r.code == 0 and r.err == ""
    assert len(re.findall(r"(?m)^isp: (fetch|pull)", r.out)) == 3 and len(re.findall("(?m)^isp: delete", r.out)) == 3, r
    assert "3 messages fetched" in r.out.splitlines()[-1]


def hidden_forms(user, password):
    """What must not be seen of a password."""
    raw = password.encode()
    forms = [raw, base64.b64encode(raw), base64.b64encode(b"\0" + user.encode() + b"\0" + raw), base64.b64encode(user.encode() + b"\0" + raw)]
    return [f.decode().rstrip("=") for f in forms]


MECHANISMS = ["SCRAM-SHA-256", "SCRAM-SHA-1", "CRAM-MD5", "PLAIN", "LOGIN", "USER"]


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_mechanisms_and_what_vv_shows(mailbox, tmp_path, mechanism):
    mailbox.fill(corpus.small(1))
    h = mailbox.haul(tmp_path, account='auth = {"%s"}' % mechanism)
    r = h.call("run", "-vv")
    assert r.code == 0 and len(h.messages()) == 1, r
    seen = r.out + r.err
    assert re.search(r"(?m)> CAPA$", r.err) and re.search(r"(?m)< \+OK", r.err) and "RETR 1" in seen
    for form in hidden_forms(mailbox.user, mailbox.password):
        assert form not in seen
    h.write_private(h.secret, "hunter2 is wrong\n")
    r = h.call("run", "-vv")
    assert r.code == 77
    for form in hidden_forms(mailbox.user, "hunter2 is wrong"):
        assert form not in r.out + r.err


def test_mechanism_that_the_server_has_not(tmp_path, tmp_path_factory):
    with dovecot.Dovecot(tmp_path_factory.mktemp("plain"), users={"u": "pw"}, auth_mechanisms="plain") as srv:
        h = haul.Haul(tmp_path, srv.pop3s_port, srv.ca_file, user="u", password="pw", host="localhost", account='auth = {"CRAM-MD5"}')
        r = h.call("run")
        assert r.code == 77 and "PLAIN" in r.err and "CRAM-MD5" in r.err, r
        h.reconfigure('"CRAM-MD5"', '"PLAIN"')
        assert h.call("run").code == 0


def test_json_lines(mailbox, tmp_path):
    mailbox.fill(corpus.small(3))
    h = mailbox.haul(tmp_path)
    for options in ([], ["--dry-run"], ["-v"]):
        r = h.call("--json", "run", *options)
        assert r.code == 0 and r.err == "", r
        for line in r.out.splitlines():
            e = json.loads(line)
            assert e["job"] == "isp" and STAMP.match(e["time"]) and e["event"] in ("start", "folder", "message", "warning", "end")
        assert [e["event"] for e in r.events][0] == "start" and r.events[-1]["event"] == "end"
    h.write_private(h.secret, "wrong\n")
    r = h.run()
    e, = r.of("error")
    assert r.code == 77 and e["kind"] == "auth" and e["scope"] == "account" and e["text"] and r.end["exit"] == 77


def test_several_jobs(mailbox, new_mailbox, tmp_path):
    """One that fails does not keep the others; the status tells of it."""
    mailbox.fill(corpus.small(2))
    extra = 'account shut { url = "pop3s://x@127.0.0.1:%d"  password-file = "%s/secret" }\nfetch shut { from = shut  to = "maildir:%s/shut" }' % (
        free_port(), tmp_path, tmp_path)
    h = mailbox.haul(tmp_path, extra=extra)
    r = h.run()
    ends = {e["job"]: e for e in r.of("end")}
    assert ends["isp"]["exit"] == 0 and ends["isp"]["pulled"] == 2 and ends["shut"]["exit"] == 69
    assert r.code == 69 and {e["job"] for e in r.of("error")} == {"shut"}, r
    assert h.call("run", "isp").code == 0


@pytest.mark.parametrize("words", [["status"], ["run", "--dry-run"], ["run", "--json"], ["help"], ["--version"], ["list", "isp"]])
def test_output_that_cannot_be_written(mailbox, tmp_path, words):
    mailbox.fill(corpus.small(2))
    h = mailbox.haul(tmp_path)
    with open("/dev/full", "wb") as full:
        done = subprocess.run(h.command(*words), env=h.environment(), stdin=subprocess.DEVNULL, stdout=full, stderr=subprocess.PIPE, timeout=30, check=False)
    assert done.returncode == 74 and b"No space left" in done.stderr, done
    if words == ["run", "--json"]:
        assert mailbox.count() == 0 and len(h.messages()) == 2  # the mail is not the output


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", "<&- >&- 2>&-"])
def test_closed_descriptors(mailbox, tmp_path, closed):
    mailbox.fill(corpus.small(2))
    h = mailbox.haul(tmp_path)
    for words in (["--json", "run"], ["status"], ["--version"]):
        r = h.call(*words, prefix=("sh", "-c", 'exec "$@" ' + closed, "sh"))
        assert r.code == 0 and r.err == "", r
    assert mailbox.count() == 0 and len(h.messages()) == 2


def test_reader_that_is_gone(mailbox, tmp_path):
    mailbox.fill(corpus.small(2))
    h = mailbox.haul(tmp_path)
    r, w = os.pipe()
    os.close(r)
    try:
        done = subprocess.run(h.command("--json", "run"), env=h.environment(), stdin=subprocess.DEVNULL, stdout=w, stderr=subprocess.PIPE, timeout=30, check=False)
    finally:
        os.close(w)
    assert done.returncode == 0 and mailbox.count() == 0 and len(h.messages()) == 2, done


# -- where passwords come from, and where they don't go --------------------------------------------------------


def test_netrc(mailbox, tmp_path):
    mailbox.srv.add_user(mailbox.user, "fromnetrc")  # before the first login: Dovecot looks for changes once a second only
    mailbox.fill(corpus.small(1))
    h = without_password(mailbox.haul(tmp_path), "\tnetrc = yes\n")
    r = h.call("run")
    assert r.code == 74 and "netrc: No such file" in r.err, r
    path = tmp_path / ".netrc"
    h.write_private(str(path), "".join("machine %s login %s password %s\n" % (machine, mailbox.user, password)
                                       for machine, password in [("elsewhere", "no"), ("localhost", "fromnetrc")]))
    os.chmod(path, 0o644)
    r = h.call("run")
    assert r.code == 77 and "netrc" in r.err and "fromnetrc" not in r.err, r
    os.chmod(path, 0o600)
    assert h.call("run").code == 0 and len(h.messages()) == 1


def test_fetch_of_a_url(mailbox, tmp_path):
    """No configuration at all: the password from .netrc, the target in the current directory, the state from the words."""
    mailbox.srv.add_user(mailbox.user, "fromnetrc")
    mailbox.fill(corpus.small(3))
    h = mailbox.haul(tmp_path)
    os.remove(h.conf)
    h.write_private(str(tmp_path / ".netrc"), "machine localhost login %s password fromnetrc\n" % mailbox.user)
    here = tmp_path / "here"
    here.mkdir()
    url = "pop3s://%s@localhost:%d" % (mailbox.user, mailbox.srv.pop3s_port)
    for pulled in (3, 0):
        done = subprocess.run([haul.MAILHAUL, "fetch", "--json", "--keep=yes", url, "maildir:In"], cwd=here, stdin=subprocess.DEVNULL, capture_output=True,
                              env=h.environment(SSL_CERT_FILE=mailbox.srv.ca_file), timeout=60, check=False)
        ends = [e for e in map(json.loads, done.stdout.splitlines()) if e["event"] == "end"]
        assert done.returncode == 0 and [e["pulled"] for e in ends] == [pulled], done
    assert len(haul.maildir_messages(str(here / "In"))) == 3 and mailbox.count() == 3
    assert os.listdir(tmp_path / ".local" / "state" / "mailhaul")


def test_password_command(mailbox, tmp_path):
    mailbox.fill(corpus.small(1))
    h = without_password(mailbox.haul(tmp_path), '\tpassword-command = "exit 3"\n')
    r = h.call("run")
    assert r.code == 74 and "password command" in r.err and "status 3" in r.err, r
    h.reconfigure('"exit 3"', '"echo hunter2; echo no key >&2; exit 3"')
    r = h.call("-vv", "run")
    assert r.code == 74 and "no key" in r.err and "hunter2" not in r.out + r.err, r
    h.reconfigure('"echo hunter2; echo no key >&2; exit 3"', '"exit 3"')
    h.reconfigure('"exit 3"', haul.quoted("cat %s; echo second line" % h.secret))
    assert h.call("run").code == 0 and len(h.messages()) == 1


def test_token_for_a_server_without_oauth(mailbox, tmp_path):
    h = without_password(mailbox.haul(tmp_path), '\ttoken-command = "echo ya29.token"\n')
    r = h.call("run")
    assert r.code == 77 and "SCRAM-SHA-256" in r.err and "token" in r.err and "ya29" not in r.err, r


@pytest.mark.parametrize("source", ["file", "command", "literal"])
def test_password_is_in_no_command_line_and_environment(tmp_path, source):
    with Stalls("PASS") as peer:
        h = peer.haul(tmp_path, password="geheim123")
        if source == "command":
            without_password(h, "\tpassword-command = %s\n" % haul.quoted("cat " + h.secret))
        elif source == "literal":
            without_password(h, '\tpassword = "geheim123"\n')
        p = h.start("run")
        try:
            assert peer.reached.wait(20)
            pids = family(p.pid)
            assert len(pids) >= 2
            for pid in pids:
                for name in ("cmdline", "environ"):
                    try:
                        with open("/proc/%d/%s" % (pid, name), "rb") as f:
                            data = f.read()
                    except PermissionError:
                        continue  # hardened: not even we may look
                    assert b"geheim123" not in data and (name == "environ" or b"mailhaul" in data), (pid, name)
        finally:
            out, err = end(p)
        assert b"geheim123" not in out + err


# -- the ways to a server -------------------------------------------------------------------------------------


def test_stls(mailbox, tmp_path):
    mailbox.fill(corpus.small(2))
    h = haul.Haul(tmp_path, mailbox.srv.pop3_port, mailbox.srv.ca_file, user=mailbox.user, password=mailbox.password, scheme="pop3", host="localhost")
    r = h.call("run", "-vv")
    assert r.code == 0 and len(h.messages()) == 2 and "> STLS" in r.err, r
    assert h.call("--json", "info", "isp").events[0]["tls"]["version"].startswith("TLSv1.")


def test_stls_that_is_not_offered_stops(tmp_path, tmp_path_factory):
    with dovecot.Dovecot(tmp_path_factory.mktemp("bare"), users={"u": "pw"}, tls="no") as srv:
        h = haul.Haul(tmp_path, srv.pop3_port, user="u", password="pw", scheme="pop3", host="localhost")
        r = h.call("run", "-vv")
        assert r.code in (69, 76, 77) and "STLS" in r.err and "> USER" not in r.err and "AUTH" not in re.sub("< .*", "", r.err), r


def test_no_tls_on_loopback(mailbox, tmp_path):
    mailbox.fill(corpus.small(2))
    h = haul.Haul(tmp_path, mailbox.srv.pop3_port, user=mailbox.user, password=mailbox.password, scheme="pop3", account="tls = none")
    assert h.call("run").code == 0 and len(h.messages()) == 2
    assert h.call("--json", "info", "isp").events[0]["tls"] is None


RELAY = """
import os, select, socket, sys
s = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
while True:
    for fd in select.select([0, s], [], [])[0]:
        data = os.read(0, 65536) if fd == 0 else s.recv(65536)
        if not data:
            sys.exit(0)
        if fd == 0:
            s.sendall(data)
        else:
            os.write(1, data)
"""


def test_tunnel(mailbox, tmp_path):
    """Its host need not exist here: the command knows the way."""
    mailbox.fill(corpus.small(3))
    relay, note = tmp_path / "relay.py", tmp_path / "note"
    relay.write_text(RELAY)
    command = "echo %%h %%p > %s; exec %s %s %d" % (note, sys.executable, relay, mailbox.srv.pop3_port)
    h = haul.Haul(tmp_path, 4711, user=mailbox.user, password=mailbox.password, scheme="pop3", host=FAR,
                  account="tls = none\n\ttunnel = " + haul.quoted(command))
    r = h.call("run")
    assert r.code == 0 and len(h.messages()) == 3, r
    assert note.read_text() == FAR + " 4711\n"
    h.reconfigure("exec ", "exit 1; exec ")
    r = h.call("run")
    assert r.code in (69, 75) and "tunnel" in r.err, r


# -- a person at a terminal ------------------------------------------------------------------------------------


class Terminal:
    """A run on a pseudo-terminal of its own."""

    def __init__(self, h, *args, stdio=True, env=None):
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, b"\x18\0\x50\0\0\0\0\0")

        def own():
            os.setsid()
            fcntl.ioctl(slave, termios.TIOCSCTTY, 0)

        fd = slave if stdio else subprocess.DEVNULL
        self.p = subprocess.Popen(h.command(*args), stdin=fd, stdout=fd, stderr=fd, preexec_fn=own, pass_fds=(slave,),
                                  env=h.environment(TERM="xterm", **(env or {})))
        os.close(slave)
        self.text = ""

    def read(self, seconds):
        """What comes in this time; False at the end."""
        if not select.select([self.master], [], [], seconds)[0]:
            return True
        try:
            data = os.read(self.master, 65536)
        except OSError:
            data = b""
        self.text += data.decode("utf-8", "replace")
        return bool(data)

    def until(self, wanted, seconds=20):
        limit = time.monotonic() + seconds
        while wanted not in self.text:
            assert self.read(0.1) and time.monotonic() < limit, self.text

    def type(self, text):
        os.write(self.master, text.encode())

    def finish(self, seconds=30):
        """The exit code, after everything was read."""
        limit = time.monotonic() + seconds
        while self.read(0.1):
            assert time.monotonic() < limit, self.text
        code = self.p.wait(seconds)
        os.close(self.master)
        return code


def test_password_is_asked_for(mailbox, tmp_path):
    mailbox.fill(corpus.small(1))
    h = without_password(mailbox.haul(tmp_path))
    for stdio in (True, False):  # /dev/tty, wherever the output goes
        t = Terminal(h, "list", "isp") if stdio else Terminal(h, "run", stdio=False)
        t.until("Password for pop3s://%s@localhost" % mailbox.user)
        assert not termios.tcgetattr(t.master)[3] & termios.ECHO
        t.type(mailbox.password + "\n")
        assert t.finish() == 0, t.text
        assert mailbox.password not in t.text
    assert len(h.messages()) == 1


def test_empty_password(mailbox, tmp_path):
    t = Terminal(without_password(mailbox.haul(tmp_path)), "run")
    t.until("Password for")
    t.type("\n")
    assert t.finish() == 77 and "no password was given" in t.text, t.text


def test_one_password_for_all_jobs_of_an_account(mailbox, tmp_path):
    mailbox.fill(corpus.small(2))
    t = Terminal(without_password(mailbox.haul(tmp_path, extra='fetch second { from = isp  to = "maildir:%s/second" }' % tmp_path)), "run")
    t.until("Password for")
    t.type(mailbox.password + "\n")
    assert t.finish() == 0 and t.text.count("Password for") == 1 and "2 jobs: 2 messages fetched" in t.text, t.text


def test_interrupted_at_the_prompt(mailbox, tmp_path):
    t = Terminal(without_password(mailbox.haul(tmp_path)), "run")
    t.until("Password for")
    t.type("\x03")
    limit = time.monotonic() + 10
    while not termios.tcgetattr(t.master)[3] & termios.ECHO and t.read(0.05):
        assert time.monotonic() < limit, "the terminal was left without echo"
    assert t.finish() == 130, t.text


def test_no_password_for_no_terminal(mailbox, tmp_path):
    h = without_password(mailbox.haul(tmp_path))
    p = subprocess.run(h.command("run"), env=h.environment(), stdin=subprocess.DEVNULL, capture_output=True, timeout=30, check=False, start_new_session=True)
    assert p.returncode == 78 and b"no terminal" in p.stderr and b"password-command" in p.stderr and p.stdout == b""


def test_summary_on_a_terminal(mailbox, tmp_path):
    mailbox.fill(corpus.small(3))
    h = mailbox.haul(tmp_path)
    t = Terminal(h, "run")
    assert t.finish() == 0
    assert "isp: 3 messages fetched, 3 deleted on the server" in t.text and len(t.text.splitlines()) == 1, t.text
    t = Terminal(h, "run")
    assert t.finish() == 0 and t.text.strip() == "isp: nothing new"
    t = Terminal(h, "-q", "run")
    assert t.finish() == 0 and t.text == ""


@pytest.fixture
def proxy():
    """The benchmark's proxy, which makes the way long."""
    program = haul.built("bench/delayproxy")
    started = []

    def start(port, *args):
        p = subprocess.Popen([program, *args, "127.0.0.1:%d" % port], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        started.append(p)
        return int(p.stdout.readline().split()[1])

    yield start
    for p in started:
        end(p, signal.SIGTERM)


def test_progress_on_a_terminal(mailbox, tmp_path, proxy):
    mailbox.fill(corpus.small(30))
    h = mailbox.haul(tmp_path)
    h.reconfigure(":%d" % mailbox.srv.pop3s_port, ":%d" % proxy(mailbox.srv.pop3s_port, "--rtt-ms", "200"))
    t = Terminal(h, "run")
    assert t.finish() == 0
    shown = t.text.split("\r")
    assert any(re.match(r"(\x1b\[K)?isp: ", part) for part in shown[:-1]), repr(t.text)
    assert "isp: 30 messages fetched" in t.text.splitlines()[-1]
    assert h.call("run").out == ""


# -- stopping, and two at once ---------------------------------------------------------------------------------


@pytest.mark.parametrize("stall", ["greeting", "PASS"])
@pytest.mark.parametrize("words, sig, code", [
    (["run"], signal.SIGTERM, 143),
    (["run"], signal.SIGINT, 130),
    (["--json", "run"], signal.SIGTERM, 143),
    (["check", "--connect"], signal.SIGTERM, 143),
    (["list", "isp"], signal.SIGTERM, 143),
])
def test_signals_end_any_wait(tmp_path, stall, words, sig, code):
    with Stalls(stall) as peer:
        h = peer.haul(tmp_path)
        p = h.start(*words)
        try:
            assert peer.reached.wait(20)
            pids = family(p.pid)
            start = time.monotonic()
            p.send_signal(sig)
            out, err = p.communicate(timeout=20)
            assert time.monotonic() - start < 1.0
        finally:
            end(p)
        assert p.returncode == code, (p.returncode, out, err)
        assert not [pid for pid in pids if os.path.exists("/proc/%d" % pid)]


def test_second_run_says_who_holds_the_job(tmp_path):
    with Stalls("PASS") as peer:
        h = peer.haul(tmp_path)
        p = h.start("run")
        try:
            assert peer.reached.wait(20)
            start = time.monotonic()
            r = h.call("run")
            assert r.code == 75 and time.monotonic() - start < 5, r
            named = [int(n) for n in re.findall(r"process (\d+)", r.err)]
            assert named and set(named) <= set(family(p.pid)), r
            e, = h.run().of("error")
            assert e["kind"] == "busy"
            assert status(h)["running"] == named[0] and "running now, process %d" % named[0] in h.call("status").out
            r = h.call("run", "--due")
            assert (r.code, r.out, r.err) == (0, "", "")
        finally:
            end(p)
        wait_for(lambda: status(h)["running"] == 0)  # the lock went with its process


def test_time_out(tmp_path):
    with Stalls("PASS") as peer:
        h = peer.haul(tmp_path, account="tls = none\n\ttimeout = 1s")
        r = h.call("run")
        assert r.code == 75 and "isp" in r.err and len(r.err.splitlines()) == 1, r
        assert status(h)["last_run"]["kind"] == "timeout"
