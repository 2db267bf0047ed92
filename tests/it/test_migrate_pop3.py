"""From POP3 into IMAP: what stands there in the end, with which date, and that it is known again."""

import email.utils
import imaplib
import os
import time

import haul

DAY = 86400
FIRST = 1000000000


def message(n, size=0):
    when = email.utils.formatdate(FIRST + n * DAY)
    head = ("Received: from a (b)\r\n\tby mx; %s\r\nFrom: a@example.org\r\nSubject: %d\r\nMessage-ID: <%d@example.org>\r\nDate: %s\r\n\r\n"
            % (when, n, n, email.utils.formatdate(FIRST + n * DAY - 3600)))
    return head.encode() + b"text %d\r\n.dot\r\n" % n + b"x" * 70 * (size > 0) + b"line\r\n" * size


class Change:
    """A job from the POP3 of one user to the IMAP of another, of one server."""

    def __init__(self, directory, old, new, job=""):
        self.old, self.new = old, new
        self.h = old.haul(directory)
        secret = self.h.secret + ".new"
        self.h.write_private(secret, new.password + "\n")
        with open(self.h.conf, encoding="utf-8") as f:
            text = f.read()
        self.h.write_private(self.h.conf, text + "account new {\n\turl = %s\n\tpassword-file = %s\n\tca-file = %s\n}\nmigrate move {\n\tfrom = isp\n\tto = new\n%s\n}\n" % (
            haul.quoted("imaps://%s@localhost:%d" % (new.user, new.srv.imaps_port)), haul.quoted(secret), haul.quoted(new.srv.ca_file), job))

    def run(self, code=0):
        r = self.h.run("move")
        assert r.code == code, r
        return r.of("end")[-1]

    def lose_state(self):
        os.unlink(os.path.join(self.h.state, "move.db"))

    def there(self, folder="INBOX"):
        """[(text, date)] in the order of their UIDs."""
        c = self.new.srv.imap(self.new.user)
        try:
            assert c.select('"%s"' % folder, readonly=True)[0] == "OK"
            rows = c.uid("FETCH", "1:*", "(INTERNALDATE BODY.PEEK[])")[1]
            found = []
            for row in rows:
                if isinstance(row, tuple):
                    found.append((row[1], int(time.mktime(imaplib.Internaldate2tuple(row[0])))))
            return found
        finally:
            c.logout()


def deliver(box, numbers, size=0):
    for n in numbers:
        box.srv.deliver(box.user, message(n, size))


def texts(rows):
    return [text.split(b"Subject: ")[1].split(b"\r\n")[0] for text, _ in rows]


def test_moves_over(tmp_path, new_mailbox):
    c = Change(tmp_path, new_mailbox(), new_mailbox(), '\tfolder = "Old/ISP"')
    deliver(c.old, range(1, 8))
    wanted = c.old.messages()
    assert c.run()["pulled"] == 7
    rows = c.there("Old.ISP")
    assert [text.replace(b"\r\n", b"\n") for text, _ in rows] == wanted
    assert texts(rows) == [b"%d" % n for n in range(1, 8)]
    assert c.run()["pulled"] == 0
    deliver(c.old, [8])
    assert c.run()["pulled"] == 1
    assert texts(c.there("Old.ISP")) == [b"%d" % n for n in range(1, 9)]
    assert c.old.count() == 8


def test_dates_are_those_of_the_header(tmp_path, new_mailbox):
    c = Change(tmp_path, new_mailbox(), new_mailbox())
    deliver(c.old, [1, 2, 3])
    c.run()
    assert [date for _, date in c.there()] == [FIRST + n * DAY for n in (1, 2, 3)]


def test_known_again(tmp_path, new_mailbox):
    c = Change(tmp_path, new_mailbox(), new_mailbox())
    deliver(c.old, range(1, 6))
    deliver(c.old, [6], 5000)
    c.run()
    c.lose_state()
    deliver(c.old, [7])
    end = c.run()
    assert end["pulled"] == 1, end
    assert len(c.there()) == 7
    assert c.run()["pulled"] == 0


def test_deleted_at_the_source(tmp_path, new_mailbox):
    c = Change(tmp_path, new_mailbox(), new_mailbox(), "\tdelete-source = yes")
    deliver(c.old, range(1, 6))
    assert c.run()["pulled"] == 5
    assert c.old.count() == 0 and len(c.there()) == 5
    deliver(c.old, [6])
    assert c.run()["pulled"] == 1
    assert c.old.count() == 0 and len(c.there()) == 6


def test_one_login(tmp_path, new_mailbox):
    c = Change(tmp_path, new_mailbox(), new_mailbox())
    deliver(c.old, range(1, 4))

    def logins():
        with open(c.old.srv.log_file, encoding="utf-8", errors="replace") as f:
            return sum("pop3-login" in line and "Login: user=<%s>" % c.old.user in line for line in f)

    for _ in range(2):
        before = logins()
        c.run()
        c.old.srv.wait_for_quiet()
        assert logins() == before + 1


def test_sizes_are_asked_for_with_the_names_at_first(tmp_path, new_mailbox):
    """All is looked at then. Where nothing is new they are not asked for."""
    c = Change(tmp_path, new_mailbox(), new_mailbox())
    deliver(c.old, range(1, 4))
    first, then = (c.h.call("-vv", "run", "move").err for _ in range(2))
    assert "> CAPA\nmove: > STAT\nmove: > UIDL\nmove: > LIST\n" in first and first.count("> LIST\n") == 1, first
    assert "> UIDL\n" in then and "> LIST\n" not in then, then
