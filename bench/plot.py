#!/usr/bin/python3
"""Writes the numbers of run.py --growth --json as a table and as a picture: FILE.csv, FILE.png.

    bench/plot.py RESULTS.json... FILE

It needs matplotlib (python3-matplotlib), which nothing else does.
"""

import csv
import sys

import matplotlib

matplotlib.use("Agg")

from matplotlib import pyplot  # noqa: E402

from page import merged  # noqa: E402

SORTS = [("noop-messages", "nothing new", "messages in one folder"),
         ("noop-folders", "nothing new", "folders of 10 messages"),
         ("pull-messages", "first pull", "messages in one folder")]
FIGURES = ("seconds", "cpu s", "memory MB", "bytes", "waits")
CLIENTS = {"mailhaul": "C0", "mbsync": "C1", "raw": "0.6"}


def table(rows):
    """(sort, number, client, *FIGURES) of each row that went well."""
    for row in rows:
        sort, number = row["work"].rsplit("-", 1)
        r = row["result"]
        if "error" not in r:
            yield (sort, int(number), row["client"], r["seconds"], r["user"] + r["system"],
                   r["rss"] / 2**20, r["up"] + r["down"], r["waits"])


def draw(lines, head, path):
    shown = FIGURES[:4]
    fig, axes = pyplot.subplots(len(shown), len(SORTS), figsize=(12, 13), squeeze=False)
    for col, (sort, title, label) in enumerate(SORTS):
        for at, figure in enumerate(shown):
            ax = axes[at][col]
            for client, colour in CLIENTS.items():
                points = sorted((x[1], x[3 + at]) for x in lines if x[:3:2] == (sort, client))
                if points:
                    ax.plot(*zip(*points), "o-", color=colour, label=client, markersize=4)
            ax.set(xscale="log", yscale="log", ylabel=figure, xlabel=label)
            ax.set_title(title if at == 0 else "")
            ax.grid(True, which="major", alpha=0.3)
            if ax.lines:
                ax.legend(fontsize="small")
    fig.suptitle("%s, %s, load %.1f at the start" % (head["time"], head["machine"], head["load"]),
                 fontsize="small")
    fig.tight_layout()
    fig.savefig(path, dpi=80)


def main():
    *files, name = sys.argv[1:]
    heads, rows = merged(files)
    lines = list(table(rows.values()))
    with open(name + ".csv", "w", newline="") as f:
        out = csv.writer(f, lineterminator="\n")
        out.writerow(("sort", "number", "client") + FIGURES)
        out.writerows(tuple("%.6g" % v if isinstance(v, float) else v for v in x)
                      for x in lines)
    draw(lines, heads[-1], name + ".png")


if __name__ == "__main__":
    main()
