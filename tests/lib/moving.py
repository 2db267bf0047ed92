"""Mail that is moved about: each message can be told by its number, and shows on the wire if its body goes over it."""

import random
import re

SIZE = 8000
AGE = 90000


def mail(n, mid=True):
    """A message whose body can't be compressed, so that its way over the wire shows."""
    rng = random.Random(n)
    text = "".join(rng.choice("abcdefghijklmnopqrstuvwxyz0123456789") for _ in range(SIZE + n))
    head = "From: a@example.org\nSubject: %d\n%s\n" % (n, "Message-ID: <%d@example.org>\n" % n if mid else "")
    return (head + "\n".join(re.findall(".{1,76}", text)) + "\n").encode()


def on_wire(r):
    return r.end["bytes_in"] + r.end["bytes_out"]


def where(p):
    """{number: [folders]} of what the two sides, which are the same, hold."""
    p.same()
    out = {}
    for folder, rows in p.local.state().items():
        for body, flags in rows:
            n = int(re.search(rb"Subject: (\d+)", body).group(1))
            out.setdefault(n, []).append((folder, flags))
    return {n: sorted(x) for n, x in out.items()}
