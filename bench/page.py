#!/usr/bin/python3
"""Puts results of run.py --json into doc/performance.md, between its two marks.

    bench/page.py RESULTS.json... doc/performance.md

Of a row that several files hold the last one counts. What the rows ought to show is held against
the goals below; what time it takes only if nothing else was at work then.
"""

import json
import sys

from harness import HEAD, show, size

BEGIN, END = "<!-- results -->", "<!-- end of results -->"
QUIET = 1                       # a machine with more load than this at the start has other work


def cpu(r):
    return r["user"] + r["system"]


def wire(r):
    return r["up"] + r["down"]


def ms(v):
    return "%.0f ms" % (1000 * v)


def mb(v):
    return "%.1f MB" % (v / 2**20)


def number(v):
    return "%d" % v


# Of mailhaul: work, what of its result, how that is written, and the most that it may be.
GOALS = [goal for work in ("inoop", "inoop100k", "inoop1m") for goal in (
    (work, "waits", lambda r: r["waits"], number, 4),
    (work, "CPU", cpu, ms, 0.020),
    (work, "bytes after the handshake", wire, size, 4000),
    (work, "memory", lambda r: r["rss"], mb, 12 * 2**20))]
GOALS += [
    ("folders", "waits", lambda r: r["waits"], number, 4),
    ("folders-nocond", "waits", lambda r: r["waits"], number, 10),
    ("pullfolders", "waits", lambda r: r["waits"], number, 20),
    ("pull", "memory", lambda r: r["rss"], mb, 16 * 2**20),
    ("pulllarge", "memory", lambda r: r["rss"], mb, 16 * 2**20),
    ("copy", "memory", lambda r: r["rss"], mb, 32 * 2**20),
    ("copysmall", "memory", lambda r: r["rss"], mb, 32 * 2**20),
    # what a sync of one account waits for, at each of the two
    ("copyagain", "waits", lambda r: r["waits"], number, 8),
]
# The same, of its seconds or CPU time over those of another client; with at least such a round-trip time.
RATIOS = [
    ("pull", "raw", "seconds", 0, 1.3), ("push", "raw", "seconds", 0, 1.5),
    ("pullslow", "mbsync", "seconds", 0, 1.0), ("pullslow", "mailhaul-plain", "seconds", 0, 1.0),
    ("accounts", "mbsync", "seconds", 40, 1 / 15), ("accounts", "raw", "CPU", 0, 1.5),
]


def merged(files):
    """The heads of the files, and the last result of each row in the order of the rows."""
    heads, rows = [], {}
    for name in files:
        with open(name) as f:
            got = json.load(f)
        heads.append(got)
        for row in got["rows"]:
            row["quiet"] = got["load"] <= QUIET
            rows[(row["work"], row["rtt_ms"], row["client"])] = row
    return heads, rows


def judged(work, what, rtt, value, text, most, quiet=True):
    met = "yes" if value <= most else "**no**"
    return "| %s | %s | %d | %s | %s | %s |" % (
        work, what, rtt, text(value), text(most), met if quiet else "the machine was busy")


def goals(rows):
    good = {at: row for at, row in rows.items() if "error" not in row["result"]}
    for work, what, of, text, most in GOALS:
        for (name, rtt, client), row in good.items():
            # Without a delay nobody waits.
            if (name, client) == (work, "mailhaul") and (what != "waits" or rtt):
                yield judged(work, what, rtt, of(row["result"]), text, most,
                             row["quiet"] or what != "CPU")
    for work, other, what, least, most in RATIOS:
        of = cpu if what == "CPU" else lambda r: r["seconds"]
        for (name, rtt, client), row in good.items():
            than = good.get((name, rtt, other))
            if (name, client) == (work, "mailhaul") and than and rtt >= least:
                yield judged(work, "%s over %s of %s" % (what, "that" if what == "CPU" else "those", other), rtt,
                             of(row["result"]) / of(than["result"]),
                             "{:.3g}".format, most, row["quiet"] and than["quiet"])


def page(heads, rows):
    for where in dict.fromkeys((h["machine"], "; ".join(h["versions"])) for h in heads):
        yield "%s; %s.\n" % where
    for head in heads:
        yield "- taken %s, %d run%s of each row, load %.1f at the start%s" % (
            head["time"], head["repeat"], "" if head["repeat"] == 1 else "s", head["load"],
            ", with few messages (`--quick`)" if head["quick"] else "")
    yield ""
    yield "| work | of mailhaul | rtt | is | goal | met |\n| --- | --- | --- | --- | --- | --- |"
    yield from goals(rows)
    yield "\n```"
    for work in dict.fromkeys(row["work"] for row in rows.values()):
        of_work = [row for row in rows.values() if row["work"] == work]
        yield "%s: %s\n%s" % (work, of_work[0]["title"], HEAD)
        yield from (show(row).rstrip() for row in of_work)
        yield ""
    yield "```"


def main():
    *files, path = sys.argv[1:]
    with open(path) as f:
        before, rest = f.read().split(BEGIN)
    after = rest.split(END)[1]
    with open(path, "w") as f:
        f.write("%s%s\n\n%s\n\n%s%s" % (before, BEGIN, "\n".join(page(*merged(files))), END,
                                        after))


if __name__ == "__main__":
    main()
