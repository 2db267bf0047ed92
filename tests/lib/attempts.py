"""What is known of a job's attempts, and time that passes: instead of waiting, what was noted becomes older."""

import re

TIMES = ("started", "since", "last", "next", "telling")


def read(db):
    """{name: text}; numbers as such."""
    with open(db + ".attempts", encoding="utf-8") as f:
        rows = (line.partition(" ")[::2] for line in f.read().split("\n")[1:] if line)
        return {k: int(v) if re.fullmatch(r"\d+", v) and k not in ("text", "salt", "digest", "told") else v for k, v in rows}


def age(db, seconds):
    """So much time has passed since."""
    with open(db + ".attempts", "r+", encoding="utf-8") as f:
        text = f.read()
        for name in TIMES:
            text = re.sub(r"(?m)^%s ([1-9]\d*)$" % name, lambda m, n=name: "%s %d" % (n, int(m.group(1)) - seconds), text)
        f.seek(0)
        f.write(text)
