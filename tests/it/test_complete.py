"""What the shells offer: from the program's own tables and configuration, by its own word."""

import os
import pty
import re
import select
import shutil
import subprocess
import time

import pytest

import haul

PATIENCE = 30
CONTRIB = os.path.join(os.environ.get("MAILHAUL_SRCDIR", "."), "contrib", "completion")


@pytest.fixture
def h(tmp_path):
    """A configuration with an account, two stores and three jobs, one of them in a file that it includes."""
    h = haul.Haul(tmp_path, 1, extra='maildir tree { path = "~/tree" }\nsync both { remote = gmx  local = tree }\n'
                                     'account gmx { url = "imaps://jane@imap.example.org"  password-command = "false" }\ninclude("more.conf")')
    h.write_private(os.path.join(h.dir, "more.conf"), 'migrate away { from = isp  to = gmx  folder = "INBOX" }\n')
    os.makedirs(os.path.join(h.dir, ".config", "mailhaul"))
    os.symlink(h.conf, os.path.join(h.dir, ".config", "mailhaul", "mailhaul.conf"))
    os.symlink(os.path.join(h.dir, "more.conf"), os.path.join(h.dir, ".config", "mailhaul", "more.conf"))
    os.mkdir(os.path.join(h.dir, "bin"))
    os.symlink(os.path.abspath(haul.MAILHAUL), os.path.join(h.dir, "bin", "mailhaul"))
    return h


def offered(h, *words):
    """Candidates, without what they mean."""
    r = haul.Result(subprocess.run([haul.MAILHAUL, "complete", "--", *words], env=h.environment(), capture_output=True, timeout=PATIENCE, check=False))
    assert r.code == 0 and r.err == "", r
    return [line.partition("\t")[0] for line in r.out.splitlines()]


def test_commands_and_options_are_those_of_help(h):
    commands = offered(h, "")
    assert commands == re.findall(r"(?m)^  mailhaul (\w+)", h.call("help").out) and "complete" not in commands and "run" in commands
    for command in commands:
        assert offered(h, command, "--") == re.findall(r"(?m)^  (?:-\w, |    )(--[\w-]+)", h.call("help", command).out), command
    assert offered(h, "help", "") == commands


@pytest.mark.parametrize("words, want", [
    (("run", ""), {"isp", "both", "away"}),
    (("-v", "run", "bo"), {"both"}),
    (("run", "isp", "--due", ""), {"isp", "both", "away"}),
    (("undo", ""), {"both"}),
    (("info", ""), {"isp", "gmx"}),
    (("list", ""), {"isp", "gmx", "both", "away"}),
    (("check", ""), set()),
    (("info", "isp", ""), set()),
    (("fetch", "isp", "t"), {"tree"}),
    (("sync", "im"), {"imaps://", "imap://"}),
    (("fetch", "isp", "maildir:/x"), {":dirs"}),
    (("fetch", "isp", "mbox:"), {":files"}),
    (("run", "--jo"), {"--jobs"}),
    (("run", "-j", ""), set()),
    (("run", "-j", "4", "bo"), {"both"}),
    (("run", "-qj", "4", "bo"), {"both"}),
    (("run", "-j4", "bo"), {"both"}),
    (("--config", ""), {":files"}),
    (("--config=/et",), {":files"}),
    (("--state-dir", "/"), {":dirs"}),
    (("fetch", "--keep", "y"), {"yes"}),
    (("fetch", "--keep=y"), {"--keep=yes"}),
    (("-c", "/nonexistent", "run", ""), set()),
    (("-c", "~/.config/mailhaul/mailhaul.conf", "run", "bo"), {"both"}),
    (("--config=~/mailhaul.conf", "run", "bo"), {"both"}),
    (("bogus", "r"), {"run"}),
])
def test_words(h, words, want):
    assert set(offered(h, *words)) == want


def test_a_configuration_that_is_wrong_offers_nothing_and_says_nothing(h):
    with open(h.conf, "a", encoding="utf-8") as f:
        f.write("nonsense {\n")
    assert offered(h, "run", "") == []


def environment(h):
    return h.environment(PATH=os.path.join(h.dir, "bin") + ":" + os.environ["PATH"], TERM="dumb", LC_ALL="C.UTF-8")


#: Lines up to the cursor, and what the shell makes of the last word.
LINES = [("mailhaul wat", ["watch"]), ("mailhaul run bo", ["both"]), ("mailhaul run --du", ["--due"]), ("mailhaul sync imaps", ["imaps://"]),
         ("mailhaul -c mailh", ["mailhaul.conf"]), ("mailhaul fetch --keep=y", ["--keep=yes"]), ("mailhaul fetch isp maildir:bi", ["maildir:bin"])]


@pytest.mark.parametrize("line, want", LINES)
def test_bash(h, line, want):
    """As readline does it: words are broken at = and :, and only the last piece is replaced."""
    words = [w for part in line.split() for w in re.findall(r"[=:]+|[^=:]+", part)]
    script = 'source "$1"; shift; COMP_LINE=$1; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _mailhaul; printf "%s\\n" "${COMPREPLY[@]}"'
    r = subprocess.run(["bash", "--norc", "-c", script, "bash", os.path.join(CONTRIB, "bash", "mailhaul"), line, *words], cwd=h.dir, env=environment(h), capture_output=True,
                       timeout=PATIENCE, check=False)
    head = line.split()[-1][:-len(words[-1])]
    assert r.returncode == 0 and r.stderr == b"" and [head + x for x in r.stdout.decode().split()] == want, r


@pytest.mark.skipif(not shutil.which("fish"), reason="no fish here")
@pytest.mark.parametrize("line, want", LINES)
def test_fish(h, line, want):
    script = "source %s; complete -C%s" % (os.path.join(CONTRIB, "fish", "mailhaul.fish"), '"%s"' % line)
    r = subprocess.run(["fish", "--no-config", "-c", script], cwd=h.dir, env=environment(h), capture_output=True, timeout=PATIENCE, check=False)
    fits = [x.partition("\t")[0] for x in r.stdout.decode().splitlines()]
    assert r.returncode == 0 and r.stderr == b"" and [x if x in want else x.rstrip("/") for x in fits] == want, r  # a directory has its / already


class Terminal:
    """A shell with a terminal of its own."""

    def __init__(self, argv, cwd, env):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.chdir(cwd)
            os.execvpe(argv[0], argv, env)
        self.seen = b""

    def type(self, text):
        self.seen = b""
        os.write(self.fd, text.encode())

    def wait(self, pattern):
        end = time.monotonic() + PATIENCE
        while not re.search(pattern.encode(), self.seen):
            assert select.select([self.fd], [], [], max(0, end - time.monotonic()))[0], (pattern, self.seen)
            self.seen += os.read(self.fd, 4096)

    def close(self):
        os.close(self.fd)
        os.waitpid(self.pid, 0)


@pytest.mark.skipif(not shutil.which("zsh"), reason="no zsh here")
def test_zsh(h):
    t = Terminal(["zsh", "-f", "-i"], h.dir, environment(h))
    try:
        t.type("PS1='' fpath=(%s $fpath); unsetopt zle_bracketed_paste; autoload -Uz compinit && compinit -u -D && print rea''dy\n" % os.path.join(CONTRIB, "zsh"))
        t.wait("ready")
        for line, want in LINES:
            t.type(line + "\t")
            t.wait(re.escape(" ".join(line.split()[:-1] + want)))
            t.type("\x15")
    finally:
        t.close()
