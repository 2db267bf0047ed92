"""What lies in contrib: units, recipes, examples are what the tools take, and what the program knows."""

import glob
import json
import os
import plistlib
import re
import shlex
import shutil
import subprocess

import pytest

import haul

CONTRIB = os.path.join(os.environ.get("MAILHAUL_SRCDIR", "."), "contrib")
UNITS = sorted(os.path.relpath(p, CONTRIB) for p in glob.glob(os.path.join(CONTRIB, "systemd", "*", "mailhaul*")))
SERVICES = [u for u in UNITS if u.endswith(".service")]
PATIENCE = 60


def read(name):
    with open(os.path.join(CONTRIB, name), encoding="utf-8") as f:
        return f.read()


def takes(command):
    """Does the program know this command line? It is asked for help instead."""
    words = [haul.MAILHAUL, *shlex.split(command.replace("%i", "work"))[1:]]
    r = subprocess.run([*words, "--help"], capture_output=True, timeout=PATIENCE, check=False)
    assert r.returncode == 0 and r.stdout.startswith(b"mailhaul " + (b"watch" if "watch" in words else b"run")), r


@pytest.fixture
def unit(tmp_path):
    """A unit as it would be installed beside the others, with the program where it is here, and an instance of a template: (path, words for systemd-analyze)."""
    if not shutil.which("systemd-analyze"):
        pytest.skip("no systemd-analyze here")

    def make(name):
        for other in glob.glob(os.path.join(CONTRIB, os.path.dirname(name), "*")):
            with open(other, encoding="utf-8") as f:
                text = f.read().replace("ExecStart=mailhaul ", "ExecStart=%s " % os.path.abspath(haul.MAILHAUL))
            (tmp_path / os.path.basename(other).replace("@.", "@work.")).write_text(text)
        return str(tmp_path / os.path.basename(name).replace("@.", "@work.")), ["--user"] if "/user/" in name else []

    return make


def analyze(words, tmp_path):
    return subprocess.run(["systemd-analyze", *words], capture_output=True, timeout=PATIENCE, check=False, text=True, cwd=tmp_path,
                          env={**os.environ, "XDG_RUNTIME_DIR": str(tmp_path), "HOME": str(tmp_path), "SYSTEMD_COLORS": "0"})


def test_all_are_seen():
    assert len(UNITS) == 7 and len(SERVICES) == 5


@pytest.mark.parametrize("name", UNITS)
def test_units_are_valid(unit, name, tmp_path):
    path, how = unit(name)
    r = analyze([*how, "verify", "--man=no", path], tmp_path)
    assert r.returncode == 0 and os.path.basename(path) not in r.stderr, r


@pytest.mark.parametrize("name", SERVICES)
def test_services_expose_little(unit, name, tmp_path):
    path, how = unit(name)
    r = analyze([*how, "security", "--offline=yes", "--threshold=30", "--no-pager", path], tmp_path)
    score = float(re.search(r"Overall exposure level for .*: ([0-9.]+)", r.stdout).group(1))
    assert r.returncode == 0 and score < 3, (score, r.stderr)


@pytest.mark.parametrize("name", SERVICES)
def test_services_run_what_there_is(name):
    takes(re.search(r"(?m)^ExecStart=(.*)$", read(name)).group(1))


def test_those_that_stay_say_so():
    for name in SERVICES:
        stays = "watch" in re.search(r"(?m)^ExecStart=(.*)$", read(name)).group(1)
        assert ("Type=notify" in read(name), "WatchdogSec=" in read(name)) == (stays, stays), name


def test_cron():
    lines = [line for line in read("mailhaul.cron").splitlines() if not line.startswith("#")]
    assert len(lines) == 1
    takes(re.fullmatch(r"(?:[*/0-9,-]+ +){5}(.*)", lines[0]).group(1))


def test_launchd():
    plist = plistlib.loads(read("launchd/mailhaul.plist").encode())
    assert plist["Label"] == "mailhaul" and plist["StartInterval"] == 60
    takes(shlex.join(plist["ProgramArguments"]))


@pytest.fixture
def recipe(tmp_path):
    """Run a recipe among programs that only note how they were called: (exit code, [their words])."""
    bin_dir, note = tmp_path / "bin", tmp_path / "note"
    bin_dir.mkdir()
    for name in "notmuch", "mu", "notify-send", "emacsclient", "pgrep":
        (bin_dir / name).write_text('#!/usr/bin/python3\nimport json, os, sys\nwith open(%r, "a") as f:\n    f.write(json.dumps([%r, *sys.argv[1:]]) + "\\n")\n'
                                    'if %r == "pgrep":\n    sys.exit(int(os.environ.get("NO_MU", "1")))\nif sys.argv[1:2] == ["config"]:\n    print(%r)\n'
                                    % (str(note), name, name, str(tmp_path)))
        (bin_dir / name).chmod(0o755)

    def run(name, lines=(), **env):
        r = subprocess.run([os.path.join(CONTRIB, "recipes", name)], input="".join(json.dumps(line) + "\n" for line in lines).encode(), capture_output=True, timeout=PATIENCE,
                           check=False, env={**os.environ, "PATH": "%s:%s" % (bin_dir, os.environ["PATH"]), "HOME": str(tmp_path), **env})
        assert r.returncode == 0 and r.stdout == b"" and r.stderr == b"", r
        return [json.loads(line) for line in note.read_text().splitlines()]

    return run


def changed(folder, pulled):
    return {"event": "changed", "job": "work", "time": "2026-03-01T14:05:07Z", "folder": folder, "local": folder, "pulled": pulled, "pushed": 0, "deleted": 0, "flagged": 0, "moved": 0}


def test_notify_shows_names_as_they_are(recipe, tmp_path):
    """Markup, control characters and what a shell would run are text."""
    name = "$(touch %s/owned) <b>&\n\x1b[2J" % tmp_path
    calls = recipe("notify", [changed(name, 2), changed("Sent", 0), changed("--help", 1), {"event": "end", "job": "work", "time": "x", "pulled": 3}], MAILHAUL_JOB="work", MAILHAUL_NEW="3")
    assert calls == [["notify-send", "--app-name=mailhaul", "--icon=mail-unread", "--", "work: 3 new messages",
                      "$(touch %s/owned) &lt;b&gt;&amp;\ufffd\ufffd[2J: 2\n--help: 1" % tmp_path]]
    assert not (tmp_path / "owned").exists()


def test_notify_of_many_folders(recipe):
    (call,) = recipe("notify", [changed("f%d" % i, 1) for i in range(12)], MAILHAUL_JOB="work", MAILHAUL_NEW="12")
    assert call[-1].splitlines() == ["f%d: 1" % i for i in range(10)] + ["and 2 more folders"]


def test_notmuch(recipe):
    assert recipe("notmuch") == [["notmuch", "config", "get", "database.path"], ["notmuch", "new", "--quiet"]]


def test_mu(recipe):
    assert recipe("mu")[1:] == [["mu", "index", "--quiet"]]
    assert recipe("mu", NO_MU="0")[-1][0] == "emacsclient"


def test_a_job_runs_them(mailbox, tmp_path, recipe):
    """The real input, from a real run."""
    mailbox.fill([("one", b"Subject: x\r\n\r\nx\r\n")])
    h = mailbox.haul(tmp_path / "h", fetch="on-new = %s" % haul.quoted(os.path.abspath(os.path.join(CONTRIB, "recipes", "notify"))))
    r = h.run(env={"PATH": "%s:%s" % (tmp_path / "bin", os.environ["PATH"])})
    assert r.code == 0 and r.of("warning") == [], r
    call = json.loads((tmp_path / "note").read_text())
    assert call[0] == "notify-send" and call[-2:] == ["isp: 1 new message", "INBOX: 1"]
