"""Sample mail, the same bytes on every run.

    small(n)      n messages of about 2.8 kB, for counting cost per message
    mix(n)        n messages of about 50 kB in the mean, some with attachments of 1 to 5 MB
    tiny(n)       n messages of 150 bytes, for very many
    awkward()     messages that break careless programs, each with a telling name
    sample(kind, n)

Each yields pairs (name, bytes). Lines end with LF unless the line end is the point of the message.
wire() gives what a server that stores LF sends, unix() what a client stores of that.
"""

import base64
import email.utils
import random
import re

WORDS = ("the of and to in is that for it was on are as with they be at one have this from by hot "
         "but some what there we can out other were all your when up use word how said each she "
         "which do their time if will way about many then them would write like these her long "
         "make thing see him two has look more day could go come did my sound no most number who "
         "over know water than call first people may down side been now find any new work part "
         "meeting invoice budget schedule release server backup mailbox delivery account").split()
NAMES = "anna bela carl dora emil frida georg hanna ivan judit karel lena mario nora otto".split()
HOSTS = "example.org example.com mail.example.net lists.example.edu".split()
SMALL_BYTES = 2800
EPOCH = 1700000000


def wire(data):
    """The message as a server sends it that stores lines with LF: CRLF everywhere."""
    return re.sub(rb"(?<!\r)\n", b"\r\n", data)


def unix(data):
    """The message with LF for every CRLF; a bare CR stays."""
    return data.replace(b"\r\n", b"\n")


def _lines(rng, size):
    """Prose of about the given number of bytes in lines of up to 76."""
    out, line, total = [], "", 0
    while total < size:
        word = rng.choice(WORDS)
        if len(line) + len(word) > 75:
            out.append(line)
            total += len(line) + 1
            line = ""
        line = line + " " + word if line else word
    return out


class _Prose:
    """Prose cut out of one prepared text, since choosing every word takes too long."""

    def __init__(self, rng):
        self.rng = rng
        self.lines = _lines(rng, 400000)

    def take(self, size):
        at = self.rng.randrange(len(self.lines))
        out, total = [], 0
        while total < size:
            line = self.lines[at % len(self.lines)]
            out.append(line)
            total += len(line) + 1
            at += 1
            if self.rng.random() < 0.1:
                out.append("")
                total += 1
        return "\n".join(out) + "\n"


def _header(rng, n, extra=""):
    who, to = rng.choice(NAMES), rng.choice(NAMES)
    host = rng.choice(HOSTS)
    date = email.utils.formatdate(EPOCH + n * 61)
    subject = " ".join(rng.choice(WORDS) for _ in range(rng.randrange(2, 8)))
    token = "%016x" % rng.getrandbits(64)
    return ("Return-Path: <%s@%s>\n"
            "Delivered-To: %s@example.org\n"
            "Received: from mx.%s (mx.%s [192.0.2.%d])\n"
            "\tby mail.example.org (Postfix) with ESMTPS id %s\n"
            "\tfor <%s@example.org>; %s\n"
            "Date: %s\n"
            "From: %s <%s@%s>\n"
            "To: %s@example.org\n"
            "Subject: %s\n"
            "Message-ID: <%s.%d@%s>\n"
            "MIME-Version: 1.0\n"
            "%s" % (who, host, to, host, host, rng.randrange(1, 255), token[:10].upper(), to, date,
                    date, who.title(), who, host, to, subject, token, n, host,
                    extra or "Content-Type: text/plain; charset=utf-8\n"))


def small(count, seed=1, size=SMALL_BYTES):
    """count messages of about the size; with headers, hardly less than 700 bytes."""
    rng = random.Random(seed)
    prose = _Prose(rng)
    for n in range(count):
        head = _header(rng, n)
        body = prose.take(size - len(head) - 1 + rng.randrange(-600, 600))
        yield "small-%06d" % n, (head + "\n" + body).encode()


def _base64(rng, size):
    return base64.encodebytes(rng.randbytes(size * 3 // 4)).decode()


def mix(count, seed=2, large=0.009):
    """count messages as a mailbox has them: many short, some HTML, few with attachments, of which
    the given share of all messages is large."""
    rng = random.Random(seed)
    prose = _Prose(rng)
    for n in range(count):
        kind = rng.random()
        if kind < 0.60:
            body = prose.take(int(min(60000, rng.lognormvariate(8.0, 0.8))))
            yield "mix-%06d" % n, (_header(rng, n) + "\n" + body).encode()
            continue
        mark = "=_%016x" % rng.getrandbits(64)
        parts = ["Content-Type: text/plain; charset=utf-8\n\n" + prose.take(3000)]
        if kind < 0.90:
            html = "".join("<p style=\"margin:0\">%s</p>\n" % line
                           for line in prose.take(rng.randrange(8000, 60000)).split("\n"))
            parts.append("Content-Type: text/html; charset=utf-8\n\n" + html)
            sort = "alternative"
        else:
            size = rng.randrange(1000000, 5000000) if kind > 1 - large else \
                rng.randrange(20000, 120000)
            parts.append("Content-Type: application/octet-stream\n"
                         "Content-Transfer-Encoding: base64\n"
                         "Content-Disposition: attachment; filename=\"f%d.bin\"\n\n" % n
                         + _base64(rng, size))
            sort = "mixed"
        head = _header(rng, n, "Content-Type: multipart/%s; boundary=\"%s\"\n" % (sort, mark))
        body = "".join("--%s\n%s\n" % (mark, p) for p in parts)
        yield "mix-%06d" % n, (head + "\n" + body + "--%s--\n" % mark).encode()


def tiny(count):
    """count messages with hardly a body, made fast."""
    head = ("From: anna@example.org\nTo: bela@example.org\nDate: %s\nSubject: tiny\n"
            % email.utils.formatdate(EPOCH)).encode()
    for n in range(count):
        yield "tiny-%07d" % n, head + b"Message-ID: <%d.tiny@example.org>\n\nhello\n" % n


def large_parts(size, seed=3):
    """The parts of one message of about the given number of bytes with a base64 attachment; many
    of them are the same object, so that they take no memory."""
    rng = random.Random(seed)
    head = _header(rng, 0, "Content-Type: application/octet-stream\n"
                           "Content-Transfer-Encoding: base64\n").encode()
    unit = _base64(rng, 57 * 20000 * 4 // 3).encode()
    times, rest = divmod(max(0, size - len(head) - 1), len(unit))
    tail = unit[:rest]
    return [head + b"\n"] + [unit] * times + [tail[:-1] + b"\n" if tail else b""]


def large(size, seed=3):
    """The same as bytes."""
    return b"".join(large_parts(size, seed))


def awkward(attachment=0):
    """The messages that go wrong; attachment adds one with so many bytes (50 MB is usual)."""
    h = (b"From: a@example.org\nTo: b@example.org\nDate: Tue, 14 Nov 2023 22:13:20 +0000\n"
         b"Message-ID: <%s@example.org>\nSubject: %s\n")

    def msg(name, body, subject=None):
        return name, h % (name.encode(), subject or name.encode()) + b"\n" + body

    out = [
        msg("plain", b"hello\n"),
        # POP3 and SMTP double a dot at the start of a line.
        msg("dot-lines", b".one\n..two\n...three\n. four\n.\n..\nend.\n"),
        msg("dot-only", b".\n"),
        msg("dots-only", b".\n" * 500 + b"..\n" * 500),
        msg("dot-first-in-body", b".\n\n.\n"),
        msg("dot-no-newline", b"last line is a dot\n."),
        msg("dot-crlf-pairs", b".\r\n.\r\n..\r\n"),
        # mbox has to quote these, and a reader must get them back.
        msg("from-in-body", b"Hello\nFrom here on it is hard.\nFrom the start\n"),
        msg("from-after-blank", b"x\n\nFrom a@example.org Tue Nov 14 22:13:20 2023\n"
                                b"Subject: no message\n\nnot a message\n"),
        msg("from-first-line", b"From the first line of the body on\n"),
        msg("from-last-no-newline", b"x\n\nFrom me"),
        msg("from-quoted", b">From one\n>>From two\n>>>From three\n> From none\n >From none\n"),
        msg("from-with-cr", b"a\rFrom inside\rx\n\rFrom behind a CR\n"),
        msg("from-mixed-case", b"from me\nFROM me\nFrom: me\nFrom\tme\nFrom\n"),
        msg("from-only", b"From \n"),
        msg("from-many-blank-lines", b"\n\n\nFrom x\n\n\n\n"),
        # Line ends.
        msg("bare-cr", b"one\rtwo\rthree\n\r\nfour\r"),
        msg("bare-cr-end", b"the end\r"),
        msg("cr-before-crlf", b"one\r\r\ntwo\r\r\r\nthree\n"),
        msg("crlf-all", b"one\r\ntwo\r\n\r\nthree\r\n"),
        msg("crlf-and-lf", b"one\r\ntwo\nthree\r\nfour\n"),
        msg("lf-cr", b"one\n\rtwo\n\r\n\rthree\n"),
        msg("no-final-newline", b"the line has no end"),
        msg("many-final-newlines", b"x\n\n\n\n\n\n"),
        msg("blank-lines-only", b"\n\n\n\n"),
        # What a message may lack.
        msg("empty-body", b""),
        ("header-only", b"From: a@example.org\nMessage-ID: <header-only@example.org>\n"
                        b"Subject: header only\n"),
        ("header-no-newline", b"Message-ID: <header-no-newline@example.org>\nSubject: cut"),
        ("body-only", b"\nno header at all\n"),
        ("no-header-lines", b"this is not a header line\nnor this\n\nbody\n"),
        ("one-newline", b"\n"),
        ("one-byte", b"x"),
        ("from-line-first", b"From mailer@example.org Tue Nov 14 22:13:20 2023\n"
                            b"Subject: from line first\n\nx\n"),
        ("quoted-from-line-first", b">From mailer@example.org Tue Nov 14 22:13:20 2023\n"
                                   b"Subject: quoted from line first\n\nx\n"),
        # Bytes.
        msg("8-bit", bytes(range(0x80, 0x100)) * 4 + b"\n"),
        msg("utf-8", "Grüße, árvíztűrő tükörfúrógép, 日本語, 🐑\n".encode()),
        msg("control-bytes", bytes(b for b in range(1, 0x20) if b not in (10, 13)) + b"\x7f\n"),
        msg("nul", b"a\0b\n\0\n\0\0\0end\n"),
        msg("nul-at-line-start", b"x\n\0.dot\n.\0\n"),
        msg("utf-16", "two bytes each\n".encode("utf-16")),
        msg("eof-marks", b"\x1a\n\x04\nafter\n"),
        # Terminal escapes: they may be stored and must not be shown.
        msg("escapes", b"\x1b]0;title\x07\x1b[2J\n",
            b"\x1b[31mred\x1b[0m \x1b]52;c;ZXZpbA==\x07 \x9b31m \x08\x08"),
        msg("format-string", b"%s%n%d\n", b"%s%s%n ${HOME} `id` $(id) '\";"),
        # Size of parts.
        msg("long-line", b"x" * 2000000 + b"\n"),
        msg("long-dot-line", b"." * 1000000 + b"\n"),
        msg("long-8-bit-line", b"\xe9" * 300000),
        msg("lines-at-buffer-ends",
            b"".join(b"y" * n + b"\n.\n" for n in range(4080, 4112))
            + b"".join(b"z" * n + b"\r\n..\n" for n in range(8180, 8200))),
        msg("998-and-999", b"a" * 998 + b"\n" + b"b" * 999 + b"\n"),
        ("long-header", b"Subject: " + b"very long " * 20000 + b"\n\nx\n"),
        ("many-headers", b"".join(b"X-H-%d: v\n" % n for n in range(5000))
         + b"Subject: many\n\nx\n"),
        ("folded-header", b"Subject: folded\n\tonce\n twice\n \n not the end\n\nbody\n"),
        # Twice the same bytes are two messages.
        msg("twin", b"we are two\n"),
        ("twin-again", msg("twin", b"we are two\n")[1]),
        # Headers that a store writes for itself.
        ("mbox-status", b"Status: RO\nX-Status: A\nX-UID: 7\nX-Keywords: k\nContent-Length: 3\n"
                        b"Message-ID: <mbox-status@example.org>\nSubject: mine\n\n"
                        b"longer than three\n"),
        ("x-headers", b"X-Mozilla-Status: 0001\nX-TUID: abcdefghijkl\nReturn-Path: <>\n"
                      b"Subject: x headers\n\nx\n"),
    ]
    if attachment:
        out.append(("attachment", large(attachment)))
    return out


def sample(kind, count):
    """count messages of the kind; awkward ones start again from the first if they run out."""
    if kind == "awkward":
        box = awkward()
        return [("%s-%d" % (box[n % len(box)][0], n), box[n % len(box)][1])
                for n in range(count)]
    return {"small": small, "mix": mix}[kind](count)
