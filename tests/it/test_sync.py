"""Two-way jobs between a tree of Maildirs and a real Dovecot, with all that the server can and with less and less of it, or another tree: the end must be the same."""

import os
import re
import shutil
import sqlite3

import pytest

import dovecot
import haul
from twoway import HELLO, SERVERS, Accounts, Sync, actions, between, counts, stopped

#: For tests in which the other side may be a tree, too, or the local side an account, or files; or both.
or_a_tree = pytest.mark.parametrize("each_server", [*SERVERS, None, "two accounts", "mbox", "files"], indirect=True)


@pytest.fixture
def pair(each_server, tmp_path):
    p = between(tmp_path, each_server)
    p.remote.fill("INBOX", 5)
    return p


def of(p, side):
    """That side, and the other."""
    return (p.remote, p.local) if side == "remote" else (p.local, p.remote)


# -- with every kind of server --------------------------------------------------------------------------------


@or_a_tree
def test_first_run(pair):
    pair.remote.fill("Work/2026", 2, 100)
    pair.remote.deliver(b"\nunseen\n")
    pair.remote.make("Empty")
    pair.remote.make("caf\xe9 & 100% tea")
    r = pair.settle()
    assert counts(r) == {"pulled": 8, "folders_made": 3 if isinstance(pair, Accounts) else 4}, r
    pair.same()
    assert {"Empty", "caf\xe9 & 100% tea"} <= pair.local.folders()
    assert os.stat(pair.db).st_mode & 0o777 == 0o600


def test_the_order_of_arrival_is_kept(each_server, tmp_path):
    p = Sync(tmp_path, each_server)
    p.remote.fill("INBOX", 25)
    p.settle()
    with p.remote.connect() as c:
        arrived = [body for _, body, _ in p.remote.fetch(c, "INBOX")]
    names = sorted(haul.maildir_files(p.local.box("INBOX")), key=lambda path: [int(n) for n in re.findall(r"\d+", os.path.basename(path))[:2]])
    assert [open(path, "rb").read() for path in names] == arrived
    p.local.fill("INBOX", 25, 100)
    p.settle()
    with p.remote.connect() as c:
        assert [body for _, body, _ in p.remote.fetch(c, "INBOX")] == arrived + [HELLO % (n, n) for n in range(100, 125)]


def test_first_push(each_server, tmp_path):
    p = Sync(tmp_path, each_server)
    p.local.fill("INBOX", 40, flags="FS")
    p.local.fill("Lists/C", 3, 100, flags="")
    p.local.deliver(b"no header at all", "Odd")
    p.local.deliver(b"S: large\n\n" + b"x" * 1000000 + b"\n", "Odd", "S")
    p.local.deliver(b"S: 8bit \xff\n\n\x80\n", "Odd", "R")
    r = p.settle()
    assert counts(r)["pushed"] == 46, r
    p.same()


@or_a_tree
def test_both_ways(synced):
    synced.remote.deliver(HELLO % (10, 10), flags="F")
    synced.remote.deliver(HELLO % (11, 11), "Work/2026")
    synced.local.deliver(HELLO % (12, 12))
    synced.local.deliver(HELLO % (13, 13), "Work/2026", flags="RS")
    r = synced.settle()
    assert counts(r) == {"pulled": 2, "pushed": 2} and set(actions(r)) == {("pull", "local"), ("push", "remote")}, r
    synced.same()
    assert (HELLO % (13, 13), "RS") in synced.remote.state()["Work/2026"]


@or_a_tree
@pytest.mark.parametrize("side, where", [("remote", "local"), ("local", "remote")])
def test_flags(synced, side, where):
    near, _ = of(synced, side)
    near.flag("INBOX", HELLO % (1, 1), "FRS")
    near.flag("INBOX", HELLO % (2, 2), "")
    near.flag("Work/2026", HELLO % (100, 100), "DPST")
    r = synced.settle()
    assert counts(r) == {"flagged": 3} and set(actions(r)) == {("flags", where)}, r
    synced.same()
    assert (HELLO % (100, 100), "DPST") in synced.remote.state()["Work/2026"]


@or_a_tree
def test_flags_of_both_sides_are_merged(synced):
    synced.remote.flag("INBOX", HELLO % (1, 1), "FS")
    synced.local.flag("INBOX", HELLO % (1, 1), "R")
    synced.settle()
    synced.same()
    assert (HELLO % (1, 1), "FR") in synced.local.state()["INBOX"]


@or_a_tree
@pytest.mark.parametrize("side, where", [("remote", "local"), ("local", "remote")])
def test_deletions(synced, side, where):
    near, _ = of(synced, side)
    near.delete("INBOX", HELLO % (1, 1))
    near.delete("INBOX", HELLO % (4, 4))
    near.delete("Work/2026", HELLO % (102, 102))
    near.deliver(HELLO % (50, 50))
    r = synced.settle()
    assert counts(r) == {"deleted": 3, "pulled" if side == "remote" else "pushed": 1}, r
    assert sorted(actions(r))[:3] == [("delete", where)] * 3, r
    synced.same()
    assert len(synced.local.bodies()) == 4


@or_a_tree
def test_all_at_once(synced):
    synced.remote.delete("INBOX", HELLO % (0, 0))
    synced.local.delete("INBOX", HELLO % (1, 1))
    synced.remote.delete("INBOX", HELLO % (2, 2))
    synced.local.delete("INBOX", HELLO % (2, 2))
    synced.remote.flag("INBOX", HELLO % (3, 3), "FS")
    synced.local.flag("INBOX", HELLO % (4, 4), "RS")
    synced.remote.fill("INBOX", 2, 10)
    synced.local.fill("INBOX", 2, 20)
    synced.remote.deliver(HELLO % (30, 30), flags="F")
    synced.local.deliver(HELLO % (30, 30), flags="S")
    plan = synced.sync("--dry-run")
    synced.settle()
    synced.same()
    assert len(synced.local.bodies()) == 7 and (HELLO % (30, 30), "FS") in synced.local.state()["INBOX"]
    assert ("delete", "local") in actions(plan) and ("delete", "remote") in actions(plan)


@pytest.mark.parametrize("side", ["remote", "local"])
@pytest.mark.parametrize("more", [0, 3])
def test_what_was_just_brought_there_can_be_deleted(synced, side, more):
    """What a folder was like is remembered from before the run's own changes: a message that they brought, and that is gone by the next run, must not be overlooked."""
    near, far = of(synced, side)
    far.deliver(HELLO % (60, 60))
    far.deliver(HELLO % (61, 61))
    synced.sync()
    assert HELLO % (60, 60) in near.bodies() and HELLO % (61, 61) in near.bodies()
    near.delete("INBOX", HELLO % (60, 60))
    near.fill("INBOX", more, 70)
    synced.settle()
    synced.same()
    assert HELLO % (60, 60) not in far.bodies() and HELLO % (61, 61) in far.bodies()


def test_others_deleted_messages_stay(synced):
    """What somebody else has marked as deleted, and not expunged, is not ours to expunge."""
    synced.remote.flag("INBOX", HELLO % (3, 3), "ST")
    synced.settle()
    synced.local.delete("INBOX", HELLO % (1, 1))
    if synced.srv.kind not in ("no UIDPLUS", "bare"):
        synced.settle()
        synced.same()
        assert HELLO % (1, 1) not in synced.remote.bodies()
    else:
        r = synced.sync(code=1)
        assert "no UIDPLUS" in r.of("error")[0]["text"], r
        synced.remote.flag("INBOX", HELLO % (3, 3), "S")
        synced.settle()
        synced.same()
        assert HELLO % (1, 1) not in synced.remote.bodies()
    assert HELLO % (3, 3) in synced.remote.bodies()


@or_a_tree
@pytest.mark.parametrize("side, where", [("remote", "local"), ("local", "remote")])
def test_folders_come_and_go(synced, side, where):
    near, _ = of(synced, side)
    near.make("Empty")
    near.fill("Lists/C/2026", 2, 200)
    near.make("caf\xe9 & 100% tea")
    r = synced.settle()
    assert counts(r)["folders_made"] == 3 and actions(r).count(("create", where)) == 3, r
    synced.same()
    near.remove("Empty")
    r = synced.settle()
    assert counts(r) == {"folders_removed": 1} and actions(r) == [("remove", where)], r
    synced.same()
    assert synced.local.folders() == {"INBOX", "Work/2026", "Lists/C/2026", "caf\xe9 & 100% tea"}


@or_a_tree
@pytest.mark.parametrize("side, code", [("local", 74), ("remote", 69)])
def test_wiped(each_server, tmp_path, side, code):
    p = between(tmp_path, each_server)
    p.remote.fill("INBOX", 40)
    p.remote.fill("Work", 20, 100)
    p.settle()
    near, far = of(p, side)
    near.empty("INBOX")
    near.empty("Work")
    kept = far.files()
    for _ in range(2):
        stopped(p.run("both"), code, "60 of 60 messages", "--allow-deletions", "--restore")
    stopped(p.run("both", "--dry-run"), code, "60 of 60 messages")
    assert far.files() == kept
    r = p.sync("--restore")
    assert actions(r) == [("pull" if side == "local" else "push", side)] * 60
    p.quiet()
    p.same()
    near.empty("INBOX")
    near.empty("Work")
    stopped(p.run("both"), code)
    r = p.sync("--allow-deletions")
    assert actions(r) == [("delete", "remote" if side == "local" else "local")] * 60
    p.quiet()
    p.same()
    assert p.remote.bodies() == p.remote.bodies("Work") == []


@or_a_tree
def test_dry_run_changes_nothing(synced):
    synced.remote.deliver(HELLO % (10, 10))
    synced.local.deliver(HELLO % (11, 11))
    synced.local.make("New")
    synced.remote.delete("INBOX", HELLO % (1, 1))
    synced.local.delete("INBOX", HELLO % (2, 2))
    synced.local.flag("INBOX", HELLO % (3, 3), "FS")
    synced.remote.flag("INBOX", HELLO % (4, 4), "RS")

    def everything():
        with open(synced.db, "rb") as f:
            return synced.remote.files(), synced.local.files(), f.read()

    before = everything()
    plan = synced.sync("--dry-run")
    assert everything() == before
    text = synced.call("run", "--dry-run", "both")
    places = ("on the remote side", "on the local side") if isinstance(synced, Accounts) else ("at the server", "here")
    assert "would make folder New " + places[0] in text.out and " %s\n" % places[1] in text.out and "nothing was changed" in text.out, text
    done = synced.sync()
    assert sorted(actions(plan)) == sorted(actions(done)) and counts(plan) == counts(done)
    synced.quiet()
    synced.same()


# -- with a good one ------------------------------------------------------------------------------------------


def test_dates(best, tmp_path):
    p = Sync(tmp_path, best)
    p.remote.deliver(b"S: a\n\n", age=400 * 86400)
    p.local.deliver(b"S: b\n\n", flags="S", age=300 * 86400)
    p.local.make("INBOX")
    p.settle()
    p.same()
    with p.remote.connect() as c:
        c.select("INBOX", readonly=True)
        dates = [dovecot.imaplib.Internaldate2tuple(d) for d in c.fetch("1:*", "(INTERNALDATE)")[1]]
    local = sorted(os.path.getmtime(f) for f in haul.maildir_files(p.local.box("INBOX")))
    remote = sorted(dovecot.time.mktime(d) for d in dates)
    assert all(abs(a - b) < 2 for a, b in zip(local, remote)) and local[1] - local[0] > 99 * 86400


def test_roles(best, tmp_path):
    p = Sync(tmp_path, best, 'trash = "@trash"\n\tfolders = {"*", "!@trash"}\n\tfolder "@sent" { local = Sent }\n')
    for folder in ("INBOX", "Sent Items", "Bin"):
        p.remote.fill(folder, 2)
    p.settle()
    assert p.local.folders() == {"INBOX", "Sent"}
    rows = {e["folder"]: e for e in p.call("--json", "list", "both").of("list")}
    assert rows["INBOX"]["to_messages"] == 2 and rows["INBOX"]["bytes"] > 50
    p.local.delete("INBOX", HELLO % (0, 0))
    p.settle()
    assert sorted(p.remote.bodies("Bin")) == [HELLO % (0, 0), HELLO % (0, 0), HELLO % (1, 1)] and p.remote.bodies() == [HELLO % (1, 1)]
    rows = {e["folder"]: e for e in p.call("--json", "list", "both").of("list")}
    assert rows["Bin"]["left_out"] and rows["Bin"]["roles"] == ["trash"] and rows["Bin"]["messages"] == 3
    assert rows["Sent Items"]["to_folder"] == "Sent" and rows["Sent Items"]["roles"] == ["sent"] and rows["Sent Items"]["messages"] == 2
    p.configure('trash = "@archive"')
    r = p.run("both")
    assert r.code == 78 and "@archive" in r.of("error")[0]["text"], r


def test_a_role_that_no_folder_has(best, tmp_path):
    p = Sync(tmp_path, best, '\tfolder "@archive" { local = Old }\n')
    p.remote.fill("INBOX", 1)
    p.local.fill("Old", 1, 50)
    for _ in range(2):
        r = p.sync()
        assert ["'Old' is left out" in e["text"] and "@archive" in e["text"] for e in r.of("warning")] == [True], r
    assert p.remote.folders() == {"INBOX"}
    p.configure('\tfolder "@sent" { local = Old }\n')
    p.remote.make("Sent Items")
    p.settle()
    assert p.remote.bodies("Sent Items") == [HELLO % (50, 50)]


def test_a_folder_here_that_a_server_would_take_for_the_inbox(best, tmp_path):
    """It is no copy of the inbox: its messages must not be sent there, whence they would come back."""
    p = Sync(tmp_path, best)
    p.remote.fill("INBOX", 2)
    p.local.fill("Inbox", 1, 50)
    p.local.fill("inbox/Sub", 1, 60)
    for _ in range(2):
        r = p.sync(code=1)
        assert [e["folder"] for e in r.of("error")] == ["Inbox", "inbox/Sub"] and all("is the inbox" in e["text"] for e in r.of("error")), r
        assert p.remote.state() == {"INBOX": p.local.state()["INBOX"]} and len(p.remote.bodies()) == 2, r


@pytest.mark.parametrize("each_server", ["all", None], indirect=True)
def test_limits_leave_out_and_never_delete(each_server, tmp_path):
    p = between(tmp_path, each_server, "max-size = 1k\nmax-age = 30d\n\tfolder All { max-size = 0 max-age = 0s }\n")
    for folder in ("INBOX", "All"):
        p.remote.deliver(b"S: small\n\n", folder, "S")
        p.remote.deliver(b"S: large\n\n" + b"x" * 5000, folder, "S")
        p.remote.deliver(b"S: old\n\n", folder, "S", age=60 * 86400)
    p.settle()
    assert p.local.bodies() == [b"S: small\n\n"] and len(p.local.bodies("All")) == 3 and len(p.remote.bodies()) == 3
    p.configure("")
    p.settle()
    p.same()
    p.configure("max-size = 1k\nmax-age = 30d")
    p.settle()
    p.same()


def test_limits_hold_in_later_runs(each_server, tmp_path):
    """Not every way to look at a folder tells sizes and dates by itself."""
    p = Sync(tmp_path, each_server, "max-size = 1k\nmax-age = 30d\n")
    for body, age in ((b"S: small\n\n", 0), (b"S: large\n\n" + b"x" * 5000, 0), (b"S: old\n\n", 60 * 86400)):
        p.remote.deliver(body, "INBOX", "S", age=age)
    p.settle()
    p.remote.flag("INBOX", b"S: large\n\n" + b"x" * 5000, "FS")
    p.remote.flag("INBOX", b"S: old\n\n", "FS")
    p.quiet()
    p.remote.delete("INBOX", b"S: small\n\n")
    p.settle()
    assert p.local.bodies() == [] and len(p.remote.bodies()) == 2


@pytest.mark.parametrize("account, scheme", [("", "imap"), ("tls = none", "imap"), ("compress = no", "imaps"), ("tls-min = 1.3", "imaps"),
                                             ('disable-extensions = {QRESYNC, UIDPLUS, "LITERAL+", LIST-STATUS}', "imaps"), ("auth = {plain}", "imaps")])
def test_ways_to_the_server(best, tmp_path, account, scheme):
    p = Sync(tmp_path, best, account=account, scheme=scheme)
    if account == "tls = none":
        p.reconfigure("\tca-file = %s\n" % haul.quoted(best.ca_file), "")
    p.remote.fill("INBOX", 3)
    p.local.make("INBOX")
    p.settle()
    p.local.deliver(HELLO % (9, 9), flags="S")
    p.settle()
    p.same()


@pytest.mark.parametrize("why", ["other limits", "a message to be tried again", "an unfinished run"])
def test_renumbered_folder_that_is_to_be_listed_whole(best, tmp_path, why):
    """Whatever made us ask for everything: keys that mean other messages now prove nothing."""
    p = Sync(tmp_path, best)
    p.remote.fill("Work", 3, 100)
    steps = 0
    while len(p.local.state().get("Work", [])) < 3:
        steps += 1
        p.run("both", env={"MAILHAUL_STOP_AT": str(steps)} if why == "an unfinished run" else {})
    p.remote.remove("Work")
    dovecot.time.sleep(1.1)  # UIDVALIDITY is the second of its making
    p.remote.fill("Work", 3, 200)
    if why == "other limits":
        p.configure("max-size = 1M\n")
    if why == "a message to be tried again":
        with sqlite3.connect(p.db) as db:
            db.execute("INSERT INTO failure SELECT id, 0, '7', 1, 'refused', 9, 1, 1, 1 FROM folder WHERE left = 'Work'")
    r = p.run("both")
    assert r.code == 1 and "UIDVALIDITY" in r.of("error")[0]["text"], r
    assert actions(r) == [] and len(p.remote.bodies("Work")) == 3
    assert p.local.bodies("Work") == [HELLO % (n, n) for n in (100, 101, 102)]


def test_two_machines(best, tmp_path):
    a = Sync(tmp_path / "a", best)
    b = Sync(tmp_path / "b", best)
    b.user, b.remote = a.user, a.remote
    shutil.copy(a.secret, b.secret)
    b.configure("")
    a.remote.fill("INBOX", 3)
    a.settle()
    b.settle()
    a.local.deliver(HELLO % (10, 10), flags="S")
    b.local.deliver(HELLO % (11, 11), flags="S")
    a.local.delete("INBOX", HELLO % (0, 0))
    b.local.flag("INBOX", HELLO % (1, 1), "FS")
    for p in (a, b, a, b):
        p.sync()
    a.quiet()
    b.quiet()
    a.same()
    b.same()
    assert len(a.local.bodies()) == 4


def test_a_folder_that_is_listed_though_it_was_removed(best, tmp_path):
    """With its list index Dovecot goes on to list one that has others below it, as if it could be selected."""
    p = Sync(tmp_path, best)
    p.remote.make("P")
    p.remote.fill("P/C", 2)
    p.settle()
    p.remote.remove("P")
    r = p.settle()
    assert actions(r) == [("remove", "local")] and counts(r) == {"folders_removed": 1}, r
    assert "P" not in p.local.folders() and len(p.local.bodies("P/C")) == 2
    p.remote.fill("P/C", 1, 10)
    assert counts(p.settle()) == {"pulled": 1}


def test_a_message_that_the_server_changes(best, tmp_path):
    """There are no NULs in a Dovecot: the two are a pair all the same, and neither is copied over the other."""
    p = Sync(tmp_path, best)
    p.local.deliver(b"S: \0 nul\n\n\0\n", flags="S")
    assert counts(p.settle())["pushed"] == 1
    assert p.remote.bodies() == [b"S: \x80 nul\n\n\x80\n"] and p.local.bodies() == [b"S: \0 nul\n\n\0\n"]


# -- looking --------------------------------------------------------------------------------------------------


def test_info(best, tmp_path):
    p = Sync(tmp_path, best)
    r = p.call("info", "work")
    assert r.code == 0 and r.err == "", r
    for text in ("account:", "TLSv1", "CN=localhost", "Dovecot", "yes QRESYNC", "yes COMPRESS=DEFLATE", "yes AUTH", "no  X-GM-EXT-1", "personal", "by SCRAM-SHA-256"):
        assert text in r.out, (text, r)
    p.reconfigure("\tca-file", '\tdisable-extensions = {MOVE, "COMPRESS=DEFLATE"}\n\tca-file')
    r = p.call("--json", "info", "work")
    info = r.of("info")[0]
    assert info["logged_in"] and "QRESYNC" in info["capabilities"] and "MOVE" not in info["capabilities"] and "AUTH" in info["capabilities"]
    assert info["namespaces"][0] == {"kind": "personal", "prefix": "", "separator": "."} and info["server"] == "Dovecot"
    assert info["keywords"] == "any" and "keywords:     the inbox takes any\n" in p.call("info", "work").out
    assert "off COMPRESS=DEFLATE" in p.call("info", "work").out
    # a login that is refused: all that can be said before it, and why
    p.write_private(p.secret, "wrong\n")
    r = p.call("info", "work")
    assert r.code == 77 and "capabilities (before login)" in r.out and "login as:" in r.out and p.user in r.err, r
    # nobody is asked for a password
    p.reconfigure("\tpassword-file = %s\n" % haul.quoted(p.secret), "")
    r = p.call("info", "work")
    assert r.code == 0 and "capabilities (before login)" in r.out, r


def test_check_connect(each_server, tmp_path):
    p = Sync(tmp_path, each_server)
    p.remote.fill("INBOX", 3)
    p.remote.fill("Work", 2)
    r = p.call("check", "--connect")
    assert r.code == 0 and r.err == "" and "login works, 2 folders, 5 messages" in r.out, r
    assert ("has no UIDPLUS" in r.out) == (each_server.kind in ("no UIDPLUS", "bare")), r
    r = p.call("--json", "check", "--connect")
    account = r.of("account")[0]
    assert account["folders"] == 2 and account["messages"] == 5 and ("QRESYNC" in account["capabilities"]) == (each_server.kind in ("all", "no UIDPLUS")), r
    assert not os.path.exists(p.state)
    p.write_private(p.secret, "wrong\n")
    r = p.call("check", "--connect")
    assert r.code == 77 and p.user in r.err and len(r.err.splitlines()) == 1, r


def test_list_account(each_server, tmp_path):
    p = Sync(tmp_path, each_server)
    p.remote.fill("INBOX", 3)
    p.remote.fill("Work/2026", 2)
    p.remote.make("caf\xe9")
    r = p.call("--json", "list", "work")
    assert r.code == 0, r
    assert {e["folder"]: e["messages"] for e in r.of("list") if e["selectable"]} == {"INBOX": 3, "Work/2026": 2, "caf\xe9": 0}
    r = p.call("list", "work")
    assert "Work/2026: 2 messages" in r.out and "3 folders, 5 messages" in r.out and (" bytes" in r.out) == (each_server.kind != "bare"), r


def test_without_a_configuration(best, tmp_path):
    p = Sync(tmp_path, best)
    p.remote.fill("INBOX", 2)
    url = "imap://%s@localhost:%d" % (p.user, best.imap_port)
    p.write_private(os.path.join(p.dir, ".netrc"), "machine localhost login %s password \"%s\"\n" % (p.user, "the secret of " + p.user))
    env = {"SSL_CERT_FILE": best.ca_file}
    r = p.call("sync", url, "maildir:" + p.local.path, env=env)
    assert (r.code, r.out, r.err) == (0, "", ""), r
    p.same()
    r = p.call("-v", "sync", url, "maildir:" + p.local.path, env=env)
    assert r.code == 0 and "nothing new" in r.out, r


def test_wrong_password_stops_the_job(best, tmp_path):
    p = Sync(tmp_path, best)
    p.write_private(p.secret, "hunter2\n")
    r = p.run("both")
    assert r.code == 77 and r.of("error")[0]["kind"] == "auth" and "hunter2" not in r.out + r.err, r
    assert not os.path.exists(p.local.path)


def test_no_secret_in_the_trace(best, tmp_path):
    p = Sync(tmp_path, best, account="auth = {plain}")
    p.remote.fill("INBOX", 1)
    r = p.call("-vv", "run")
    assert r.code == 0 and "AUTHENTICATE PLAIN" in r.err and "the secret of" not in r.err and "LIST" in r.err, r
    import base64
    assert base64.b64encode(b"the secret of " + p.user.encode()).decode().rstrip("=")[:-2] not in r.err
