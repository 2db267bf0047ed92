"""A configuration that is wrong, as a person meets it: every problem with file and line and what is allowed, all in one go, and nothing is run."""

import os
import re
import subprocess

import pytest

import haul


class Config:
    """A scratch home with a configuration that names no server that answers."""

    def __init__(self, directory, text, mode=0o600):
        self.dir = str(directory)
        self.conf = os.path.join(self.dir, "mailhaul.conf")
        self.state = os.path.join(self.dir, "state")
        self.maildir = os.path.join(self.dir, "Mail")
        self.put("secret", "geheim\n")
        self.put("mailhaul.conf", text.replace("@DIR@", self.dir), mode)

    def put(self, name, text, mode=0o600):
        path = os.path.join(self.dir, name)
        haul.Haul.write_private(path, text)
        os.chmod(path, mode)
        return path

    def call(self, *args, env=None):
        full = {k: v for k, v in os.environ.items() if not k.startswith("XDG_")}
        full.update({"HOME": self.dir}, **(env or {}))
        return haul.Result(subprocess.run([haul.MAILHAUL, "-c", self.conf, "--state-dir", self.state, *args], env=full, stdin=subprocess.DEVNULL,
                                          capture_output=True, timeout=30, check=False))

    def refused(self, *wanted, code=78, env=None, name=None):
        """check and run refuse it, with exactly these problems: (line, what must stand there...)."""
        for command in ("check", "run"):
            r = self.call(command, env=env)
            assert r.code == code and r.out == "", (command, r)
            lines = r.err.splitlines()
            assert len(lines) == len(wanted), (command, r)
            for line, (number, *words) in zip(lines, wanted):
                assert line.startswith("%s:%d: " % (name or self.conf, number)), (line, number)
                for word in words:
                    assert word in line, (line, word)
            assert "geheim" not in r.err
        assert not os.path.exists(self.state) and not os.path.exists(self.maildir)
        return r


ACCOUNT = 'account isp {\n\turl = "pop3s://anna@127.0.0.1:1"\n\tpassword-file = "@DIR@/secret"\n}\n'      # lines 1 to 4
IMAP = 'account work {\n\turl = "imaps://jane@localhost:1"\n\tpassword-command = "x"\n}\n'
SYNC = 'sync both {\n\tremote = work\n\tlocal = "maildir:@DIR@/Mail"\n}\n'                                 # 5 to 8
MIGRATE = 'migrate move {\n\tfrom = work\n\tto = "maildir:@DIR@/Mail"\n}\n'                                 # 5 to 8
FETCH = 'fetch in {\n\tfrom = isp\n\tto = "maildir:@DIR@/Mail"\n}\n'                                      # 5 to 8


def test_a_good_one(tmp_path):
    r = Config(tmp_path, ACCOUNT + FETCH).call("check")
    assert (r.code, r.err) == (0, "") and "jobs: 1" in r.out and "no problem" in r.out


@pytest.mark.parametrize("line, words", [
    ("evrey = 10m", ["unknown key 'evrey'", "did you mean 'every'?"]),
    ("colour = red", ["unknown key 'colour'", "keep", "max-size"]),
    ("every = 10", ["every", "10", "s, m, h, d, w or y"]),
    ("every = 3x", ["every", "3x", "10m"]),
    ("every = 0s", ["every"]),
    ("every = -1m", ["every"]),
    ("every = 99999999999999999999d", ["every"]),
    ("max-size = 10q", ["max-size", "10q"]),
    ("keep = maybe", ["keep", "maybe", "no", "yes"]),
    ('flags = "SX"', ["flags", "D F P R S T"]),
    ("purge-after = many", ["purge-after", "many"]),
    ('folder = "a//b"', ["folder", "empty"]),
])
def test_a_bad_line_of_a_job(tmp_path, line, words):
    Config(tmp_path, ACCOUNT + FETCH.replace("}\n", "\t%s\n}\n" % line)).refused((8, *words))


@pytest.mark.parametrize("line, words", [
    ("timeout = 0s", ["timeout"]),
    ("tls = maybe", ["tls", "implicit", "starttls", "none"]),
    ("tls-min = 1.1", ["tls-min", "1.2", "1.3"]),
    ("netrc = perhaps", ["netrc", "yes", "no"]),
    ('auth = {"PLAIN", "NTLM"}', ["auth", "NTLM", "SCRAM-SHA-256"]),
    ('fingerprint = {"abc"}', ["fingerprint", "64 hexadecimal"]),
    ('ca-file = "/nonexistent/ca.pem"', ["ca-file", "/nonexistent/ca.pem", "No such file"]),
    ('proxy = "http://localhost"', ["proxy", "socks5://"]),
    ('disable-extensions = {"PIPELINIG"}', ["disable-extensions", "did you mean 'PIPELINING'?"]),
    ('password-command = "echo"', ["password-file", "password-command", "exclude each other"]),
    ("host = other.example", ["host and url exclude each other"]),
    ("port = 70000", ["port"]),
])
def test_a_bad_line_of_an_account(tmp_path, line, words):
    c = Config(tmp_path, ACCOUNT.replace("}\n", "\t%s\n}\n" % line) + FETCH)
    r = c.call("check")
    assert r.code == 78 and r.out == "", r
    mine = [one for one in r.err.splitlines() if one.startswith(c.conf + ":4: ")]
    assert mine and all(any(w in one for one in mine) for w in words), r


def test_unknown_section(tmp_path):
    Config(tmp_path, ACCOUNT + 'fecth in {\n\tfrom = isp\n}\n').refused((5, "fecth", "did you mean 'fetch'?"))


def test_missing_account(tmp_path):
    Config(tmp_path, ACCOUNT + FETCH.replace("from = isp", "from = ips")).refused((6, "'ips'", "did you mean 'isp'?"))
    Config(tmp_path, ACCOUNT + FETCH.replace("from = isp", "from = elsewhere")).refused((6, "'elsewhere'", "defined: isp"))


def test_missing_keys(tmp_path):
    Config(tmp_path, ACCOUNT + "fetch in {\n}\n").refused((5, "from"), (5, "to"))


def test_duplicates(tmp_path):
    Config(tmp_path, ACCOUNT + FETCH + FETCH).refused((9, "'in' is taken already, in line 5"))
    Config(tmp_path, ACCOUNT + ACCOUNT + FETCH).refused((5, "'isp' is taken already, in line 1"))


def test_password_file(tmp_path):
    c = Config(tmp_path, ACCOUNT + FETCH)
    os.chmod(os.path.join(c.dir, "secret"), 0o644)
    c.refused((3, "password-file", "secret", "600"), code=77)
    os.remove(os.path.join(c.dir, "secret"))
    c.refused((3, "password-file", "secret", "No such file"))
    os.mkdir(os.path.join(c.dir, "secret"), 0o700)
    c.refused((3, "password-file", "regular file"), code=77)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_unreadable_password_file(tmp_path):
    c = Config(tmp_path, ACCOUNT + FETCH)
    os.chmod(os.path.join(c.dir, "secret"), 0)
    c.refused((3, "password-file", "Permission denied"))


def literal(value):
    return ACCOUNT.replace('password-file = "@DIR@/secret"', "password = " + value) + FETCH


def test_password_with_what_would_be_replaced(tmp_path):
    c = Config(tmp_path, literal('"geheim${HOME}"'))
    r = c.refused((3, "password", "single quotes"))
    assert c.dir + "}" not in r.err
    assert Config(tmp_path, literal("'geheim${HOME}'")).call("check").code == 0


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604])
def test_password_in_a_file_that_others_read(tmp_path, mode):
    Config(tmp_path, literal("geheim"), mode).refused((3, "password", "%04o" % mode, "chmod 600"), code=77)
    assert Config(tmp_path, ACCOUNT + FETCH, mode).call("check").code == 0


@pytest.mark.parametrize("mode", [0o620, 0o602])
def test_a_file_that_others_write(tmp_path, mode):
    r = Config(tmp_path, ACCOUNT + FETCH, mode).call("run")
    assert r.code == 77 and "mailhaul.conf" in r.err and len(r.err.splitlines()) == 1, r


def test_all_in_one_go_in_order(tmp_path):
    c = Config(tmp_path, 'account a {\n\turl = "pop3s://x@localhost"\n\tfoo = 1\n}\nfetch f {\n\tfrom = b\n\tto = "maildir:relative"\n\tevery = 5\n}\n'
                         'sync s {\n\tremote = a\n}\nmigrate m {\n}\n')
    c.refused((3, "unknown key 'foo'"), (6, "'b'"), (7, "relative"), (8, "every"), (10, "local"), (11, "'a'", "POP3"), (13, "migrate m needs 'from"),
              (13, "migrate m needs 'to"))


def test_modes_and_other_problems_are_78(tmp_path):
    c = Config(tmp_path, ACCOUNT + FETCH.replace("}", "\tfoo = 1\n}"))
    os.chmod(os.path.join(c.dir, "secret"), 0o644)
    c.refused((3, "password-file"), (8, "foo"))


def test_only_modes_are_77(tmp_path):
    c = Config(tmp_path, ACCOUNT + ACCOUNT.replace("isp", "other").replace("/secret", "/second") + FETCH)
    c.put("second", "geheim\n", 0o644)
    os.chmod(os.path.join(c.dir, "secret"), 0o644)
    c.refused((3, "password-file", "secret"), (7, "password-file", "second"), code=77)


@pytest.mark.parametrize("line, words", [
    ("gmail-recent = yes", ["gmail-recent is for POP3 accounts"]),
    ('disable-extensions = {"QRESINC"}', ["disable-extensions", "did you mean 'QRESYNC'?"]),
    ("compress = perhaps", ["compress", "auto or no"]),
    ("tls = starttls", ["tls = starttls contradicts imaps", "write imap"]),
    ("auth = {APOP}", ["auth", "APOP"]),
])
def test_a_bad_line_of_an_imap_account(tmp_path, line, words):
    Config(tmp_path, IMAP.replace("}\n", "\t%s\n}\n" % line)).refused((4, *words))


@pytest.mark.parametrize("line, words", [
    ("evrey = 10m", ["unknown key 'evrey'", "did you mean 'every'?"]),
    ("keep = yes", ["unknown key 'keep'", "max-delete"]),
    ("delete = all", ["delete knows no 'all'", "both, local, remote or none"]),
    ("max-delete = lots", ["max-delete", "25% and 50"]),
    ('folders = {"*", "@snt"}', ["@snt", "did you mean '@sent'?"]),
    ('folders = {"!"}', ["folders"]),
    ("trash = '@frob'", ["trash", "@frob"]),
    ("folder { local = x }", ["folder NAME"]),
    ("folder A { locl = x }", ["unknown key 'locl'", "did you mean 'local'?"]),
    ("folder A { local = INBOX }", ["INBOX is the inbox already"]),
    ("folder A { local = x } folder B { local = x }", ["folder 'A' (line 8)"]),
    ("box A { local = x }", ["unknown section 'box'", "sync holds folder"]),
])
def test_a_bad_line_of_a_sync(tmp_path, line, words):
    Config(tmp_path, IMAP + SYNC.replace("}\n", "\t%s\n}\n" % line)).refused((8, *words))


def test_what_can_not_be_synced(tmp_path):
    Config(tmp_path, IMAP + SYNC.replace("maildir:", "mbox:").replace("}\n", "\tquarantine = 1d\n}\n")).refused((8, "quarantine", "mbox"))
    Config(tmp_path, IMAP + SYNC.replace("= work", "= wrk")).refused((6, "'wrk'", "did you mean 'work'?"))
    Config(tmp_path, ACCOUNT + SYNC.replace("= work", "= isp")).refused((6, "POP3 account", "fetch takes mail from it"))
    Config(tmp_path, IMAP + FETCH.replace("= isp", "= work")).refused((6, "IMAP account", "sync can"))
    Config(tmp_path, IMAP + SYNC + "folder x { local = y }\n").refused((9, "inside of a sync or migrate section"))


@pytest.mark.parametrize("line, words", [
    ("evrey = 10m", ["unknown key 'evrey'", "did you mean 'every'?"]),
    ("delete-sorce = yes", ["unknown key 'delete-sorce'", "did you mean 'delete-source'?"]),
    ("delete-source = perhaps", ["delete-source", "yes or no"]),
    ("max-delete = 5%", ["unknown key 'max-delete'", "delete-source"]),
    ('folders = {"*", "@snt"}', ["@snt", "did you mean '@sent'?"]),
    ("folders = {}", ["no folder would be copied"]),
    ("folder = Old", ["'work' has folders of its own"]),
    ("folder A { local = x }", ["local has no meaning in a migrate section", "'to' says"]),
    ("folder A { to = 'x//y' }", ["to", "empty"]),
    ("folder A { to = x } folder B { to = x }", ["folder 'A' (line 8)"]),
    ("box A { to = x }", ["unknown section 'box'", "migrate holds folder"]),
])
def test_a_bad_line_of_a_migration(tmp_path, line, words):
    Config(tmp_path, IMAP + MIGRATE.replace("}\n", "\t%s\n}\n" % line)).refused((8, *words))


def test_what_can_not_be_migrated(tmp_path):
    def refused(text, *words, line=7):
        Config(tmp_path, text).refused((line, *words))

    refused(ACCOUNT + MIGRATE.replace("= work", "= @DIR@/x").replace('"maildir:@DIR@/Mail"', "isp").replace("@DIR@/x", '"maildir:@DIR@/x"'), "POP3 account", "can only give mail")
    refused(IMAP + MIGRATE.replace('"maildir:@DIR@/Mail"', "work"), "the same mailbox")
    refused(IMAP + MIGRATE.replace("= work", '= "mbox:@DIR@/Mail/x"'), "one within the other")
    refused(IMAP + MIGRATE.replace("= work", "= wrk"), "'wrk'", "did you mean 'work'?", line=6)
    refused(ACCOUNT + MIGRATE.replace("= work", "= isp").replace("}\n", "\tfolders = Work\n}\n"), "a POP3 account has but one", line=8)


def test_the_example(tmp_path):
    """All three modes side by side; the names of accounts and jobs don't meet."""
    r = Config(tmp_path, 'account work { url = "imaps://jane@mail.example.org"   password-command = "pass show mail/work" }\n'
                     'sync work    { remote = work   local = "maildir:~/Mail/work" }\n'
                     'account isp  { url = "pop3s://jane@pop.isp.example"    password-command = "pass show mail/isp" }\n'
                     'fetch isp    { from = isp      to = "mbox:~/mail/inbox"   every = 10m }\n'
                     'migrate old  { from = isp      to = work               folder = "INBOX/Old" }\n').call("check")
    assert (r.code, r.err) == (0, "") and "jobs: 3" in r.out, r


@pytest.mark.parametrize("text, words", [
    ("account isp {\n\turl = \n}\n", [""]),
    ("account isp {\n\turl = \"never closed\n}\n", [""]),
    ("account isp {\n", [""]),
    ("account {\n}\n", ["name"]),
    ('account "a b" {\n}\n', ["a b"]),
    ("\x01\n", [""]),
    ("}\n", [""]),
])
def test_bad_form(tmp_path, text, words):
    c = Config(tmp_path, text)
    r = c.call("check")
    assert r.code == 78 and r.out == "" and r.err, r
    for line in r.err.splitlines():
        assert re.match(re.escape(c.conf) + r":\d+: \S", line), r
        assert "\x01" not in line
    assert any(w in r.err for w in words)


def test_environment(tmp_path):
    c = Config(tmp_path, ACCOUNT.replace("anna@", "${MAILHAUL_TEST_USER}@") + FETCH)
    c.refused((2, "MAILHAUL_TEST_USER"))
    assert c.call("check", env={"MAILHAUL_TEST_USER": "anna"}).code == 0
    assert Config(tmp_path, ACCOUNT.replace("anna@", "${MAILHAUL_TEST_USER:-anna}@") + FETCH).call("check").code == 0


def test_include(tmp_path):
    c = Config(tmp_path, 'include("parts/accounts")\n' + FETCH)
    os.mkdir(os.path.join(c.dir, "parts"))
    part = c.put("parts/accounts", ACCOUNT.replace("@DIR@", c.dir))
    assert c.call("check").code == 0
    c.put("parts/accounts", ACCOUNT.replace("@DIR@", c.dir).replace("}", "\tfoo = 1\n}"))
    c.refused((4, "unknown key 'foo'"), name=part)
    c.put("parts/accounts", literal("geheim").replace(FETCH, ""), 0o644)
    c.refused((3, "password", "chmod 600"), name=part, code=77)


def test_include_that_fails(tmp_path):
    c = Config(tmp_path, 'include("missing")\n' + ACCOUNT + FETCH)
    c.refused((1, "missing", "No such file"))
    c = Config(tmp_path, ACCOUNT + FETCH + 'include("mailhaul.conf")\n')
    r = c.call("check")
    assert r.code == 78 and r.err, r


def test_no_configuration(tmp_path):
    env = {k: v for k, v in os.environ.items() if not k.startswith("XDG_")}
    env["HOME"] = str(tmp_path)
    if os.path.exists("/etc/mailhaul.conf"):
        pytest.skip("this machine has a configuration of its own")
    done = subprocess.run([haul.MAILHAUL, "run"], env=env, stdin=subprocess.DEVNULL, capture_output=True, timeout=30, check=False)
    assert done.returncode == 78 and b"mailhaul.conf(5)" in done.stderr and len(done.stderr.splitlines()) == 1
    done = subprocess.run([haul.MAILHAUL, "-c", "nowhere", "run"], env=env, stdin=subprocess.DEVNULL, capture_output=True, timeout=30, check=False)
    assert done.returncode == 78 and b"nowhere: No such file" in done.stderr and len(done.stderr.splitlines()) == 1


def test_a_configuration_without_jobs(tmp_path):
    c = Config(tmp_path, ACCOUNT)
    assert c.call("check").code == 0
    r = c.call("run")
    assert r.code == 78 and "fetch" in r.err, r


def test_json(tmp_path):
    c = Config(tmp_path, ACCOUNT.replace("}", "\tfoo = 1\n}") + FETCH.replace("isp", "elsewhere"))
    r = c.call("--json", "run")
    assert r.code == 78
    assert [(e["event"], e["job"], e["kind"]) for e in r.events] == [("error", "", "conf")] * 2
    assert all("time" in e for e in r.events)
    assert [e["text"] for e in r.events] == r.err.splitlines()
