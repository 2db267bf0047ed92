"""Two-way jobs between two trees of Maildirs: no server is needed to see what goes where, and what stops it."""

import json
import os
import shutil

import pytest

import haul
from twoway import HELLO, Pair, actions, counts, stopped, stopped_anew


@pytest.fixture
def pair(tmp_path):
    p = Pair(tmp_path)
    p.remote.fill("INBOX", 5)
    return p


# -- the ordinary life ----------------------------------------------------------------------------------------


def test_an_empty_remote_side(tmp_path):
    p = Pair(tmp_path)
    p.remote.make("INBOX")
    assert counts(p.settle()) == {"folders_made": 1}
    p.same()
    p.local.deliver(HELLO % (1, 1))
    assert counts(p.settle()) == {"pushed": 1}
    p.same()


def test_bytes_and_dates_survive(pair):
    odd = [b"no header at all", b"\n", b"Subject: x\n\n" + b"8bit \xff\x80\n" * 3, b"A: b\r\n\r\nwire form\r\n", b"A: b\n\nmixed\r\nends\n", b"x" * 70000 + b"\n"]
    pair.remote.make("Odd")
    pair.settle()
    for body in odd:
        pair.remote.deliver(body, "Odd", "S", age=86400 * 400)
        pair.local.deliver(body + b"2", "Odd", "S", age=86400 * 300)
    pair.settle()

    def unified(side):
        """Line ends are LF in what was copied; a file that came with others keeps them."""
        return sorted(body.replace(b"\r\n", b"\n") for body in side.bodies("Odd"))

    assert unified(pair.remote) == unified(pair.local) and len(pair.local.bodies("Odd")) == 2 * len(odd)
    for body in (b for b in odd if b"\r" not in b):
        assert abs(os.path.getmtime(pair.local.find("Odd", body)) - os.path.getmtime(pair.remote.find("Odd", body))) < 2
        assert abs(os.path.getmtime(pair.remote.find("Odd", body + b"2")) - os.path.getmtime(pair.local.find("Odd", body + b"2"))) < 2


def test_the_same_message_on_both_sides_is_one(tmp_path):
    p = Pair(tmp_path)
    p.remote.fill("INBOX", 2)
    p.settle()
    p.remote.deliver(HELLO % (7, 7), flags="F")
    p.local.deliver(HELLO % (7, 7), flags="S")
    r = p.settle()
    assert not counts(r).get("pulled") and not counts(r).get("pushed"), r
    p.same()
    assert (HELLO % (7, 7), "FS") in p.local.state()["INBOX"]


def test_a_deletion_wins_over_flags_and_both_may_delete(synced):
    synced.remote.delete("INBOX", HELLO % (1, 1))
    synced.local.flag("INBOX", HELLO % (1, 1), "FS")
    synced.remote.delete("INBOX", HELLO % (2, 2))
    synced.local.delete("INBOX", HELLO % (2, 2))
    r = synced.settle()
    assert counts(r) == {"deleted": 1}, r
    synced.same()
    assert len(synced.local.bodies()) == 3


@pytest.mark.parametrize("word, remote_goes, local_goes", [("both", True, True), ("local", False, True), ("remote", True, False), ("none", False, False)])
def test_where_deletions_go(tmp_path, word, remote_goes, local_goes):
    p = Pair(tmp_path, "delete = %s" % word)
    p.remote.fill("INBOX", 6)
    p.settle()
    p.local.delete("INBOX", HELLO % (1, 1))   # is to go at the remote side
    p.remote.delete("INBOX", HELLO % (2, 2))  # is to go here
    p.settle()
    assert (HELLO % (1, 1) not in p.remote.bodies()) == remote_goes and HELLO % (1, 1) not in p.local.bodies()
    assert (HELLO % (2, 2) not in p.local.bodies()) == local_goes and HELLO % (2, 2) not in p.remote.bodies()


def test_trash(tmp_path):
    p = Pair(tmp_path, "trash = Trash")
    p.remote.fill("INBOX", 3)
    p.remote.make("Trash")
    p.settle()
    p.local.delete("INBOX", HELLO % (1, 1))
    r = p.sync()
    assert ("delete", "remote") in actions(r)
    p.sync()
    p.quiet()
    p.same()
    assert p.remote.bodies("Trash") == [HELLO % (1, 1)]
    p.local.delete("Trash", HELLO % (1, 1))
    p.settle()
    p.same()
    assert p.remote.bodies("Trash") == []


# -- folders ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("side, where", [("remote", "local"), ("local", "remote")])
def test_a_folder_with_mail_stays_unless_it_is_wished(synced, side, where):
    near, far = getattr(synced, side), getattr(synced, where)
    near.remove("Work/2026")
    r = synced.sync()
    assert actions(r) == [] and len(r.of("warning")) == 1 and "Work/2026" in r.of("warning")[0]["text"], r
    assert len(far.bodies("Work/2026")) == 3
    synced.configure("remove-folders = both\nmax-delete = none")
    r = synced.settle()
    assert counts(r) == {"deleted": 3, "folders_removed": 1} and actions(r) == [("remove", where)], r
    synced.same()
    assert "Work/2026" not in synced.local.folders()


@pytest.mark.parametrize("side", ["remote", "local"])
def test_a_folder_comes_back(synced, side):
    getattr(synced, side).remove("Work/2026")
    r = synced.sync("--restore")
    assert counts(r)["folders_made"] == 1, r
    synced.quiet()
    synced.same()
    assert len(synced.local.bodies("Work/2026")) == 3


@pytest.mark.parametrize("word, made", [("both", "both"), ("local", "local"), ("remote", "remote"), ("none", "")])
def test_where_folders_are_made(tmp_path, word, made):
    p = Pair(tmp_path, "create = %s" % word)
    p.remote.make("INBOX")
    p.local.make("INBOX")
    p.remote.fill("A", 1)
    p.local.fill("B", 1)
    p.settle()
    assert ("A" in p.local.folders()) == (made in ("both", "local"))
    assert ("B" in p.remote.folders()) == (made in ("both", "remote"))


def test_patterns_and_names(tmp_path):
    p = Pair(tmp_path, 'folders = {"*", "!Spam", "!Lists/*", "Lists/C"}\n\tfolder "Sent Items" { local = Sent }\n')
    for folder in ("INBOX", "Spam", "Lists/C", "Lists/D", "Sent Items"):
        p.remote.fill(folder, 1)
    p.local.fill("Spam", 1, 50)
    p.settle()
    assert p.local.folders() == {"INBOX", "Lists/C", "Sent", "Spam"}
    assert p.local.bodies("Spam") == [HELLO % (50, 50)]
    p.local.deliver(HELLO % (60, 60), "Sent")
    p.settle()
    assert HELLO % (60, 60) in p.remote.bodies("Sent Items") and "Sent" not in p.remote.folders()
    r = p.call("--json", "list", "both")
    assert r.code == 0, r
    rows = {e["folder"]: e for e in r.of("list")}
    assert rows["Sent Items"]["to_folder"] == "Sent" and not rows["Sent Items"]["left_out"]
    assert rows["Spam"]["left_out"] and rows["Lists/D"]["left_out"] and not rows["Lists/C"]["left_out"]
    r = p.call("list", "both")
    assert "Sent Items" in r.out and "<-> Sent" in r.out and "Spam" in r.out and "left out" in r.out, r


# -- dry run ------------------------------------------------------------------------------------------------


def test_dry_run_before_the_first_run(pair):
    before = pair.remote.files()
    r = pair.sync("--dry-run")
    assert set(actions(r)) == {("create", "local"), ("pull", "local")} and all(e["dry_run"] for e in r.of("message")), r
    assert counts(r) == {"pulled": 5, "folders_made": 1}
    assert pair.remote.files() == before and not os.path.exists(pair.local.path) and not os.path.exists(pair.state)


# -- guards -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("side", ["local", "remote"])
def test_a_side_without_folders(synced, side):
    near = getattr(synced, side)
    shutil.rmtree(near.path)
    os.mkdir(near.path)
    stopped(synced.run("both"), 74, "folders")
    assert len((synced.remote if side == "local" else synced.local).bodies()) == 5


@pytest.mark.parametrize("side", ["local", "remote"])
def test_a_missing_root(synced, side):
    near, other = getattr(synced, side), synced.remote if side == "local" else synced.local
    os.rename(near.path, near.path + ".away")
    kept = other.files()
    stopped(synced.run("both"), 74, near.path)
    assert not os.path.exists(near.path) and other.files() == kept
    os.rename(near.path + ".away", near.path)
    synced.quiet()
    synced.same()


def test_a_missing_local_root_is_filled_again(synced):
    shutil.rmtree(synced.local.path)
    stopped(synced.run("both"), 74, "--restore")
    r = synced.sync("--restore")
    assert counts(r) == {"pulled": 8, "folders_made": 2}, r
    synced.quiet()
    synced.same()


def test_a_missing_inbox(synced):
    shutil.rmtree(synced.local.box("INBOX"))
    r = synced.run("both")
    assert r.code == 1 and r.of("error")[0]["scope"] == "folder" and "inbox" in r.of("error")[0]["text"], r
    assert len(synced.remote.bodies()) == 5
    synced.sync("--restore")
    synced.quiet()
    synced.same()


def test_lost_state(synced):
    os.unlink(synced.db)
    kept = synced.local.state()
    r = synced.sync()
    assert not counts(r).get("pulled") and not counts(r).get("pushed"), r
    assert synced.local.state() == kept
    synced.quiet()
    synced.same()


def test_state_from_last_week(synced):
    """What happened since looks new to an old base: nothing is lost, nothing is doubled."""
    with synced.last_week():
        synced.remote.fill("INBOX", 3, 10)
        synced.local.fill("INBOX", 2, 20)
        synced.remote.delete("INBOX", HELLO % (1, 1))
        synced.local.flag("INBOX", HELLO % (2, 2), "FS")
    before = synced.local.state()
    r = synced.sync()
    assert not counts(r).get("pulled") and not counts(r).get("pushed"), r
    synced.quiet()
    synced.same()
    assert synced.local.state() == before and len(synced.local.bodies()) == 9


@pytest.mark.parametrize("limit, gone, stops", [
    ("25% and 50", 51, False), ("10% and 50", 51, True), ("10% and 50", 50, False), ("10%", 31, True), ("10%", 30, False), ("20", 21, True), ("20", 20, False),
    ("none", 300, False), ("25% and 50", 300, True),
])
def test_max_delete(tmp_path, limit, gone, stops):
    p = Pair(tmp_path, 'max-delete = "%s"' % limit)
    p.remote.fill("INBOX", 300)
    p.settle()
    for i in range(gone):
        p.remote.delete("INBOX", HELLO % (i, i))
    if stops:
        stopped(p.run("both"), 69, "%d of 300" % gone)
        assert len(p.local.bodies()) == 300
        p.sync("--allow-deletions")
    else:
        p.sync()
    p.quiet()
    p.same()
    assert len(p.local.bodies()) == 300 - gone


def test_a_way_out_is_asked_for_by_name(synced, tmp_path):
    for option in ("--restore", "--allow-deletions"):
        r = synced.call("run", option)
        assert r.code == 64 and "named" in r.err, r
    r = synced.call("run", "--restore", "--allow-deletions", "both")
    assert r.code == 64 and "contradict" in r.err, r
    with open(synced.conf, encoding="utf-8") as f:
        text = f.read()
    synced.write_private(synced.conf, text + "account a { url = 'pop3s://u@127.0.0.1:1' password = x }\nfetch f { from = a to = maildir:/x }\n")
    r = synced.call("run", "--restore", "f")
    assert r.code == 64 and "'f' is none" in r.err, r
    r = synced.call("fetch", "--restore", "a", "maildir:x")
    assert r.code == 64 and "does not take --restore" in r.err, r


# -- from outside --------------------------------------------------------------------------------------------


def test_without_a_configuration(tmp_path):
    p = Pair(tmp_path)
    os.unlink(p.conf)
    p.remote.fill("INBOX", 2)

    def sync(*args):
        return haul.Result(haul.subprocess.run([haul.MAILHAUL, "--state-dir", p.state, "sync", *args, "maildir:remote", "maildir:" + p.local.path], cwd=p.dir,
                                               env=p.environment(), stdin=haul.subprocess.DEVNULL, stdout=haul.subprocess.PIPE,
                                               stderr=haul.subprocess.PIPE, timeout=60, check=False))

    r = sync("--dry-run")
    assert r.code == 0 and "2 messages" in r.out and not os.path.exists(p.local.path), r
    r = sync()
    assert (r.code, r.out, r.err) == (0, "", ""), r
    p.same()
    r = sync("-v")
    assert r.code == 0 and "nothing new" in r.out, r
    assert [n for n in os.listdir(p.state) if n.endswith(".db")] == [n for n in os.listdir(p.state) if n.startswith("sync-") and n.endswith(".db")]


def test_silent_in_cron_and_a_summary_where_it_is_wished(pair):
    r = pair.call("run")
    assert (r.code, r.out, r.err) == (0, "", ""), r
    pair.remote.deliver(HELLO % (20, 20))
    pair.local.delete("INBOX", HELLO % (1, 1))
    pair.local.flag("INBOX", HELLO % (2, 2), "FS")
    r = pair.call("-v", "run")
    assert r.code == 0 and r.err == "" and "both: 1 message fetched, 1 deleted, 1 with changed flags; " in r.out, r
    assert "delete " in r.out and " at the server" in r.out


def test_status(pair):
    r = pair.call("status")
    assert r.code == 0 and "last run: never" in r.out and "<->" in r.out, r
    pair.settle()
    r = pair.call("--json", "status")
    s = r.of("status")[0]
    assert s["held"] == 5 and s["folders"] == 1 and s["last_run"]["pulled"] == 5 and s["last_run"]["pushed"] == 0, r
    pair.local.flag("INBOX", HELLO % (2, 2), "FS")
    pair.local.deliver(HELLO % (20, 20))
    pair.settle()
    s = pair.call("--json", "status").of("status")[0]
    assert s["held"] == 6 and s["last_run"]["pushed"] == 1 and s["last_run"]["flagged"] == 1
    r = pair.call("status", "both")
    assert "messages: 6, folders: 1" in r.out and "1 sent" in r.out, r


def test_on_new(tmp_path):
    p = Pair(tmp_path, "on-new = 'echo $MAILHAUL_JOB $MAILHAUL_NEW >> \"$HOME/told\"'")
    p.remote.fill("INBOX", 2)
    p.settle()
    p.local.deliver(HELLO % (9, 9))
    p.settle()
    with open(os.path.join(p.dir, "told"), encoding="utf-8") as f:
        assert f.read() == "both 2\n"


def test_on_change(tmp_path):
    """After whatever changed, on either side; what was done comes on stdin, with the names that a server may choose."""
    p = Pair(tmp_path, "on-change = 'cat >> \"$HOME/told\"; echo $MAILHAUL_JOB $MAILHAUL_NEW $MAILHAUL_CHANGED >> \"$HOME/sums\"'\n"
                       "folder '$(touch owned)' { local = Odd }")
    told, sums = (os.path.join(p.dir, name) for name in ("told", "sums"))

    def took(name):
        try:
            with open(name, encoding="utf-8") as f:
                return f.read()
        except FileNotFoundError:
            return ""
        finally:
            if os.path.exists(name):
                os.unlink(name)

    p.remote.make("$(touch owned)")
    p.remote.fill("$(touch owned)", 2)
    p.remote.fill("INBOX", 1)
    assert p.run("--dry-run").code == 0
    assert took(told) == ""
    p.settle()
    lines = [json.loads(line) for line in took(told).splitlines()]
    assert all(x["job"] == "both" and x["time"].endswith("Z") for x in lines)
    changed = {x["folder"]: x for x in lines if x["event"] == "changed"}
    assert changed["$(touch owned)"]["local"] == "Odd" and changed["$(touch owned)"]["pulled"] == 2 and changed["INBOX"]["pulled"] == 1
    assert lines[-1]["event"] == "end" and lines[-1]["pulled"] == 3 and [x["folder"] for x in lines if x["event"] == "folder"] == ["INBOX", "Odd"]
    assert took(sums) == "both 3 5\n"
    p.remote.flag("INBOX", HELLO % (0, 0), "FS")
    p.settle()
    assert json.loads(took(told).splitlines()[0])["flagged"] == 1 and took(sums) == "both 0 1\n"
    p.local.deliver(HELLO % (9, 9))
    p.settle()
    assert json.loads(took(told).splitlines()[0])["pushed"] == 1 and took(sums) == "both 0 1\n"
    assert not [f for _, _, files in os.walk(p.dir) for f in files if f == "owned"]
    p.settle()
    assert took(told) == ""


def test_a_second_run_is_refused(synced):
    import fcntl
    with open(synced.db + ".lock", "a", encoding="utf-8") as f:
        fcntl.lockf(f, fcntl.LOCK_EX)
        r = synced.run("both")
    assert r.code == 75 and r.of("error")[0]["kind"] == "busy", r


@pytest.mark.crash
@pytest.mark.deadline(300)
def test_stopped_at_every_step(tmp_path):
    """Ended before each of its steps and run again: the same as if nothing had happened."""
    def build(name):
        p = Pair(tmp_path / name, "max-delete = none\nremove-folders = both")
        p.remote.fill("INBOX", 4)
        p.remote.fill("Old", 1, 300)
        p.settle()
        p.remote.fill("INBOX", 2, 10)
        p.local.fill("INBOX", 2, 20)
        p.remote.delete("INBOX", HELLO % (0, 0))
        p.local.delete("INBOX", HELLO % (1, 1))
        p.remote.flag("INBOX", HELLO % (2, 2), "FS")
        p.local.flag("INBOX", HELLO % (3, 3), "RS")
        p.local.fill("New", 2, 30)
        p.local.remove("Old")
        return p

    whole = build("whole")
    whole.sync()
    whole.quiet()
    want = whole.local.state()
    for step, p, _ in stopped_anew(lambda step: build("s%d" % step)):
        r = p.run("both")
        assert r.code == 0, (step, r)
        p.quiet()
        p.same()
        assert p.local.state() == want, step
        shutil.rmtree(p.dir)
    assert step > 14
