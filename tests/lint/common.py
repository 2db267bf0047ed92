"""What the lints share: finding files, and C source without comments and literals."""

import os
import re
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
GENERATED = ("autom4te.cache", "build-aux", "configure", "configure~", "aclocal.m4", "Makefile.in",
             "Makefile", "build_config.h", "build_config.h.in", "build_config.h.in~", "config.log",
             "config.status", "check.summary", "it.xml", "stamp-h1")
SKIP_STATUS = 77


def root():
    """The tree to look at: the first argument (the self-test gives one), else ours."""
    return os.path.abspath(sys.argv[1]) if len(sys.argv) > 1 else ROOT


def is_build_dir(path):
    """Whether somebody configured in this folder, or distcheck is at work in it."""
    return os.path.exists(os.path.join(path, "config.status")) or \
        os.path.basename(path) in ("_build", "_inst")


def files(top, suffixes=None, below=""):
    """Files of the project, relative and sorted; none of what the build made."""
    found = []
    for folder, dirs, names in os.walk(os.path.join(top, below)):
        dirs[:] = [d for d in dirs if d not in GENERATED and d not in ("build", "__pycache__") and
                   not (d.startswith(".") and d != ".ci") and
                   not is_build_dir(os.path.join(folder, d))]
        for name in names:
            rel = os.path.relpath(os.path.join(folder, name), top)
            if name in GENERATED or name.endswith((".o", ".a", "~", ".Po")):
                continue
            if suffixes is None or name.endswith(suffixes):
                found.append(rel)
    return sorted(found)


def text_of(top, rel):
    """A file's text, or None if it is no text."""
    with open(os.path.join(top, rel), "rb") as f:
        data = f.read()
    if b"\0" in data:
        return None
    return data.decode("utf-8", "replace")


TOKEN = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)


def code_only(text):
    """C source with comments and literals blanked; every line keeps its number."""
    def blank(m):
        s = m.group(0)
        if s[0] in "\"'":
            return s[0] + s[-1]
        return " " + "\n" * s.count("\n")
    return TOKEN.sub(blank, text)


def report(name, problems, looked_at):
    """Print the problems and end: 0 if there are none, and there was something to look at."""
    for p in problems:
        print(p)
    if not looked_at:
        print("%s: nothing to look at: this lint would never fail" % name)
        sys.exit(1)
    print("%s: %d problems in %d files" % (name, len(problems), looked_at))
    sys.exit(1 if problems else 0)
