"""POP3 into Maildir and mbox, from a real server: bytes, policies, state."""

import collections
import hashlib
import os
import re
import stat
import time

import pytest

import corpus
import haul

STORES = ("maildir", "mbox")


def lf(messages):
    """What an mbox reader gives: a message always ends in a line end."""
    return collections.Counter(m if m.endswith(b"\n") else m + b"\n" for m in messages)


def as_stored(h, messages):
    return lf(messages) if h.to == "mbox" else collections.Counter(messages)


@pytest.mark.parametrize("to", STORES)
def test_every_message_arrives_once_and_leaves_the_server(mailbox, tmp_path, to):
    want = mailbox.fill(corpus.small(25))
    h = mailbox.haul(tmp_path, to=to)
    r = h.run()
    assert r.code == 0, r
    assert r.end["pulled"] == 25 and r.end["deleted"] == 25 and r.end["failed"] == 0
    assert h.delivered() == as_stored(h, want)
    assert mailbox.count() == 0
    assert h.leftovers() == []
    again = h.run()
    assert again.code == 0 and again.end["pulled"] == 0 and h.delivered() == as_stored(h, want)


def test_two_lines_of_configuration_are_enough(mailbox, tmp_path):
    want = mailbox.fill(corpus.small(2))
    h = mailbox.haul(tmp_path)
    os.makedirs(tmp_path / ".config" / "mailhaul")
    h.write_private(str(tmp_path / ".config" / "mailhaul" / "mailhaul.conf"),
                    'account isp { url = "pop3s://%s@localhost:%d"  password-command = "cat %s"  ca-file = "%s" }\n'
                    'fetch isp { from = isp  to = "maildir:~/In" }\n' % (mailbox.user, mailbox.srv.pop3s_port, h.secret, mailbox.srv.ca_file))
    import subprocess
    done = subprocess.run([haul.MAILHAUL, "run"], env=h.environment(), stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert collections.Counter(haul.maildir_messages(str(tmp_path / "In"))) == collections.Counter(want)
    assert os.path.isdir(tmp_path / ".local" / "state" / "mailhaul")


@pytest.mark.deadline(240)
@pytest.mark.parametrize("to", STORES)
def test_awkward_messages_are_kept_byte_for_byte(mailbox, tmp_path, to):
    want = mailbox.fill(corpus.awkward(50 * 1000 * 1000))
    h = mailbox.haul(tmp_path, to=to)
    r = h.run()
    assert r.code == 0, r
    have = h.delivered()
    if to == "mbox":
        assert sorted(have.elements()) == sorted(lf(want).elements())
    else:
        assert have == collections.Counter(want)
    assert mailbox.count() == 0


def test_dovecot_reads_the_mbox_back(mailbox, tmp_path, tmp_path_factory):
    import dovecot
    want = mailbox.fill(m for m in corpus.awkward() if b"\0" not in m[1])
    h = mailbox.haul(tmp_path, to="mbox")
    assert h.run().code == 0
    with dovecot.Dovecot(tmp_path_factory.mktemp("reader"), users={"reader": "x"}, mail_location="mbox:~/mail:INBOX=~/inbox") as srv:
        with open(h.mbox, "rb") as f:
            data = f.read()
        with open(os.path.join(srv.home("reader"), "inbox"), "wb") as f:
            f.write(data)
        srv.give(srv.home("reader"))
        have = [m.replace(b"\r\n", b"\n") for m in srv.messages("reader")]
    assert len(have) == len(want)
    def plain(m):
        """Dovecot hides its own status headers, does not undo mboxrd's quoting, and takes CR LF in the file for a line end."""
        m = m.replace(b"\r\n", b"\n").replace(b"\r\n", b"\n")
        lines = [x for x in m.split(b"\n") if not x.lower().startswith((b"status:", b"x-status:", b"x-keywords:", b"x-uid:", b"content-length:"))]
        return b"\n".join(x.lstrip(b">") if x.lstrip(b">").startswith(b"From ") else x for x in lines).rstrip(b"\n")
    assert collections.Counter(plain(m) for m in have) == collections.Counter(plain(m) for m in want)


@pytest.mark.parametrize("variant", ["mboxrd", "mboxo", "mboxcl2"])
def test_mbox_variants(mailbox, tmp_path, variant):
    want = mailbox.fill(corpus.small(5))
    box = tmp_path / "box"
    h = mailbox.haul(tmp_path, to="box", extra='mbox box { path = "%s"  variant = %s }' % (box, variant))
    assert h.run().code == 0
    have = haul.mbox_messages(str(box))
    if variant == "mboxcl2":
        assert all(b"Content-Length: " in m for m in have) and len(have) == 5
    else:
        assert collections.Counter(have) == lf(want)


@pytest.mark.parametrize("layout, where", [("nested", "Work/2026"), ("maildir++", ".Work.2026"), ("flat", "Work.2026")])
def test_maildir_layouts(mailbox, tmp_path, layout, where):
    want = mailbox.fill(corpus.small(3))
    h = mailbox.haul(tmp_path, to="box", fetch='folder = "Work/2026"', extra='maildir box { path = "%s/tree"  layout = "%s" }' % (tmp_path, layout))
    assert h.run().code == 0
    assert collections.Counter(haul.maildir_messages(str(tmp_path / "tree" / where))) == collections.Counter(want)


def test_flags_of_delivered_messages(mailbox, tmp_path):
    mailbox.fill(corpus.small(2))
    h = mailbox.haul(tmp_path, fetch='flags = "S"')
    assert h.run().code == 0
    files = haul.maildir_files(h.maildir)
    assert len(files) == 2 and all("/cur/" in f and f.endswith(":2,S") for f in files)


def test_files_are_private_and_names_follow_the_maildir_rules(mailbox, tmp_path):
    mailbox.fill(corpus.small(3))
    h = mailbox.haul(tmp_path)
    assert h.run().code == 0
    for name in haul.maildir_files(h.maildir):
        assert stat.S_IMODE(os.stat(name).st_mode) & 0o077 == 0
        assert "/new/" in name and ":" not in os.path.basename(name) and "/" not in os.path.basename(name)
    for root, dirs, files in os.walk(h.state):
        assert stat.S_IMODE(os.stat(root).st_mode) == 0o700
        for name in files:
            assert stat.S_IMODE(os.stat(os.path.join(root, name)).st_mode) == 0o600


def test_keep_leaves_them_and_takes_each_once(mailbox, tmp_path):
    want = mailbox.fill(corpus.small(10))
    h = mailbox.haul(tmp_path, fetch="keep = yes")
    assert h.run().end["pulled"] == 10
    assert mailbox.count() == 10
    r = h.run()
    assert r.code == 0 and r.end["pulled"] == 0 and r.end["deleted"] == 0
    want += [m for m in mailbox.fill(corpus.small(2, seed=9)) if m not in want]
    assert h.run().end["pulled"] == 2
    assert h.delivered() == collections.Counter(want)
    assert mailbox.count() == 12


def test_keep_for_a_time_counts_from_our_download(mailbox, tmp_path):
    mailbox.fill(corpus.small(3))
    h = mailbox.haul(tmp_path, fetch="keep = 2s")
    assert h.run().end["deleted"] == 0 and mailbox.count() == 3
    deadline = time.monotonic() + 20
    while mailbox.count() and time.monotonic() < deadline:
        assert h.run().code == 0
    assert mailbox.count() == 0
    assert len(h.messages()) == 3


def test_keep_turned_off_later_removes_what_was_kept(mailbox, tmp_path):
    mailbox.fill(corpus.small(3))
    h = mailbox.haul(tmp_path, fetch="keep = yes")
    assert h.run().code == 0
    h.reconfigure("keep = yes", "keep = no")
    r = h.run()
    assert r.end["pulled"] == 0 and r.end["deleted"] == 3 and mailbox.count() == 0


def test_max_size_leaves_large_ones_names_them_and_takes_them_later(mailbox, tmp_path):
    mailbox.fill(corpus.small(3))
    mailbox.fill([("large", corpus.large(300000))])
    h = mailbox.haul(tmp_path, fetch="max-size = 100k")
    r = h.run()
    assert r.code == 0 and r.end["pulled"] == 3 and r.end["skipped"] == 1
    assert [e["size"] > 300000 for e in r.of("message") if e["action"] == "skip"] == [True]
    assert mailbox.count() == 1
    assert h.run().end["skipped"] == 1
    assert "max-size" in h.call("status").out
    h.reconfigure("max-size = 100k", "max-size = 1M")
    r = h.run()
    assert r.end["pulled"] == 1 and r.end["skipped"] == 0 and mailbox.count() == 0 and len(h.messages()) == 4
    assert "max-size" not in h.call("status").out


def test_purge_after_makes_removals_final_on_the_way(mailbox, tmp_path):
    want = mailbox.fill(corpus.small(10))
    h = mailbox.haul(tmp_path, fetch="purge-after = 3")
    r = h.run()
    assert r.code == 0 and r.end["pulled"] == 10 and r.end["deleted"] == 10
    assert h.delivered() == collections.Counter(want) and mailbox.count() == 0


def test_two_runs_at_once(mailbox, tmp_path):
    want = mailbox.fill(corpus.small(300))
    h = mailbox.haul(tmp_path)
    runs = [h.start("run") for _ in range(3)]
    codes = []
    for p in runs:
        _, err = p.communicate(timeout=60)
        codes.append(p.returncode)
        if p.returncode == 75:
            assert b"process" in err
    assert codes.count(0) >= 1 and set(codes) <= {0, 75}
    assert h.run().code == 0
    assert h.delivered() == collections.Counter(want) and mailbox.count() == 0


def test_two_jobs_on_one_account_take_turns(mailbox, tmp_path):
    want = mailbox.fill(corpus.small(40))
    other = str(tmp_path / "other")
    h = mailbox.haul(tmp_path, extra='fetch second { from = isp  to = "maildir:%s" }' % other)
    r = h.run()
    assert r.code == 0, r
    assert h.delivered() + collections.Counter(haul.maildir_messages(other)) == collections.Counter(want)


def test_dry_run_tells_the_plan_and_changes_nothing(mailbox, tmp_path):
    mailbox.fill(corpus.small(4))
    h = mailbox.haul(tmp_path)
    r = h.run("--dry-run")
    assert r.code == 0, r
    assert [e["action"] for e in r.of("message")].count("pull") == 4
    assert [e["action"] for e in r.of("message")].count("delete") == 4
    assert not os.path.exists(h.maildir) and not os.path.exists(h.state) and mailbox.count() == 4
    text = h.call("run", "--dry-run")
    assert text.code == 0 and len(text.out.splitlines()) >= 4


def test_nothing_new_costs_no_listing_and_no_write(mailbox, tmp_path):
    mailbox.fill(corpus.small(20))
    h = mailbox.haul(tmp_path, fetch="keep = yes", account='auth = {"PLAIN"}')
    assert h.run().code == 0
    def picture():
        out = {}
        for root, _, files in os.walk(h.state):
            for name in files:
                if name.endswith(".db"):
                    with open(os.path.join(root, name), "rb") as f:
                        out[name] = f.read()
        return out
    before = picture()
    r = h.run()
    assert r.code == 0 and r.end["round_trips"] <= 5
    assert picture() == before and before


def test_ad_hoc_fetch_keeps_state(mailbox, tmp_path):
    want = mailbox.fill(corpus.small(5))
    h = mailbox.haul(tmp_path)
    to = str(tmp_path / "adhoc")
    for pulled in (5, 0):
        r = h.call("--json", "fetch", "--keep", "yes", "isp", "maildir:" + to)
        assert r.code == 0 and r.end["pulled"] == pulled, r
    assert collections.Counter(haul.maildir_messages(to)) == collections.Counter(want)
    assert mailbox.count() == 5


def test_ad_hoc_fetch_knows_a_place_however_it_is_written(mailbox, tmp_path):
    mailbox.fill(corpus.small(3))
    h = mailbox.haul(tmp_path)
    real, link = tmp_path / "real", tmp_path / "link"
    real.mkdir()
    link.symlink_to("real")
    for n, to in enumerate([real / "Mail", "%s/Mail/" % real, link / "Mail", link / ".." / "real" / "." / "Mail"]):
        r = h.call("--json", "fetch", "--keep", "yes", "isp", "maildir:%s" % to)
        assert r.code == 0 and r.end["pulled"] == (0 if n else 3), r
    # and what an earlier version called the state
    now = [n for n in os.listdir(h.state) if n.startswith("fetch-") and n.endswith(".db")]
    assert len(now) == 1
    with open(h.conf, encoding="utf-8") as f:
        url = re.search(r'url = "(.*)"', f.read()).group(1)
    then = "fetch-%s.db" % hashlib.sha256(("%s\0maildir:%s/Mail" % (url, link)).encode()).hexdigest()[:12]
    os.rename(os.path.join(h.state, now[0]), os.path.join(h.state, then))
    r = h.call("--json", "fetch", "--keep", "yes", "isp", "maildir:%s/Mail" % link)
    assert r.code == 0 and r.end["pulled"] == 0 and not os.path.exists(os.path.join(h.state, now[0])), r


def test_a_vanished_maildir_is_not_made_anew(mailbox, tmp_path):
    mailbox.fill(corpus.small(2))
    h = mailbox.haul(tmp_path)
    assert h.run().code == 0
    os.rename(h.maildir, h.maildir + ".away")
    os.mkdir(h.maildir)
    mailbox.fill(corpus.small(1, seed=5))
    r = h.run()
    assert r.code == 74 and "mounted" in r.out and mailbox.count() == 1 and os.listdir(h.maildir) == []
    os.rmdir(h.maildir)
    os.rename(h.maildir + ".away", h.maildir)
    assert h.run().code == 0 and len(h.messages()) == 3 and mailbox.count() == 0


def test_an_mbox_that_is_a_link_to_nothing(mailbox, tmp_path):
    mailbox.fill(corpus.small(1))
    h = mailbox.haul(tmp_path, to="mbox")
    os.symlink(str(tmp_path / "nowhere"), h.mbox)
    r = h.run()
    assert r.code == 74 and "link to nothing" in r.out and mailbox.count() == 1


@pytest.mark.parametrize("keep", ["yes", "no"])
def test_another_target_is_made_and_known_mail_stays_where_it_is(mailbox, tmp_path, keep):
    mailbox.fill(corpus.small(3))
    h = mailbox.haul(tmp_path, fetch="keep = " + keep)
    assert h.run().code == 0
    mailbox.fill(corpus.small(1, seed=5))
    h.reconfigure(h.maildir + '"', h.maildir + '2"')
    r = h.call("run")
    assert r.code == 0 and r.out == "" and len(haul.maildir_messages(h.maildir + "2")) == 1 and len(h.messages()) == 3, r
    assert ("warning: `to` is another" in r.err and "3 messages" in r.err and len(r.err.splitlines()) == 1) if keep == "yes" else r.err == ""
    mailbox.fill(corpus.small(1, seed=6))
    r = h.call("run")
    assert r.code == 0 and r.err == "" and len(haul.maildir_messages(h.maildir + "2")) == 2, r
    os.rename(h.maildir + "2", h.maildir + "3")
    mailbox.fill(corpus.small(1, seed=7))
    r = h.run()
    assert r.code == 74 and "mounted" in r.out and not os.path.exists(h.maildir + "2"), r


def test_damaged_state_stops_the_job_and_says_what_to_do(mailbox, tmp_path):
    mailbox.fill(corpus.small(5))
    h = mailbox.haul(tmp_path, fetch="keep = yes")
    assert h.run().code == 0
    with open(h.db, "r+b") as f:
        f.seek(0)
        f.write(b"x" * 4096)
    r = h.run()
    assert r.code == 74 and "damaged" in r.out and "backup" in r.out
    assert len(h.messages()) == 5 and mailbox.count() == 5


def test_lost_state_stops_the_job_and_says_what_to_do(mailbox, tmp_path):
    mailbox.fill(corpus.small(5))
    h = mailbox.haul(tmp_path, fetch="keep = yes")
    assert h.run().code == 0
    os.unlink(h.db)
    for dry in ([], ["--dry-run"], []):
        r = h.run(*dry)
        assert r.code == 74 and "was lost" in r.out and h.db + ".lock" in r.out
        assert len(h.messages()) == 5 and mailbox.count() == 5
    os.unlink(h.db + ".lock")
    assert h.run().code == 0
    assert len(h.messages()) == 10


def test_state_of_another_mailbox_is_refused(mailbox, new_mailbox, tmp_path):
    mailbox.fill(corpus.small(2))
    h = mailbox.haul(tmp_path, fetch="keep = yes")
    assert h.run().code == 0
    other = new_mailbox()
    other.srv.add_user(other.user, mailbox.password)
    h.reconfigure(mailbox.user + "@", other.user + "@")
    r = h.run()
    assert r.code == 78 and "--same-source" in r.out
    assert h.run("--same-source").code == 0


def test_on_new_runs_when_mail_came(mailbox, tmp_path):
    mailbox.fill(corpus.small(2))
    note = tmp_path / "note"
    h = mailbox.haul(tmp_path, fetch='on-new = "echo $MAILHAUL_JOB $MAILHAUL_NEW >> %s"' % note)
    assert h.run().code == 0
    assert note.read_text() == "isp 2\n"
    assert h.run().code == 0
    assert note.read_text() == "isp 2\n"


def test_on_new_that_fails_is_told_without_a_terminal(mailbox, tmp_path):
    mailbox.fill(corpus.small(1))
    h = mailbox.haul(tmp_path, fetch='on-new = "echo oops >&2; exit 3"')
    r = h.call("run")
    assert r.code == 0 and r.out == "" and "warning: on-new" in r.err and "status 3" in r.err and "oops" in r.err and len(r.err.splitlines()) == 1, r
    r = h.call("run")
    assert r.code == 0 and r.err == "", r
