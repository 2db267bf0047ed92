"""A Gmail-like IMAP server: one message under many labels, which are its folders.

    with gmailpeer.Gmail(["Work"]) as srv:
        srv.put(b"Subject: 1\n\nx\n", "INBOX", "Work")

What it does as Gmail does: flags belong to the message, not to the folder; to remove a message from a folder takes the label away, and the message stays in All
Mail; only from Trash and Spam it is removed for good; to move it to one of these takes it from everywhere else; what is appended and is in the account already
gets the label, and no second copy is made. No QRESYNC.
"""

import collections
import re

import imappeer
from imappeer import Folder, Refused, atoms, quoted, text

ALL, TRASH, SPAM, SENT, DRAFTS = "[Gmail]/All Mail", "[Gmail]/Trash", "[Gmail]/Spam", "[Gmail]/Sent Mail", "[Gmail]/Drafts"
STARRED, IMPORTANT = "[Gmail]/Starred", "[Gmail]/Important"
ROLES = {ALL: "\\All", TRASH: "\\Trash", SPAM: "\\Junk", SENT: "\\Sent", DRAFTS: "\\Drafts", STARRED: "\\Flagged", IMPORTANT: "\\Important"}
VIEWS = (ALL, STARRED, IMPORTANT)
#: What X-GM-LABELS calls the folders that are no labels of the user.
SYSTEM = {"INBOX": "\\Inbox", SENT: "\\Sent", DRAFTS: "\\Draft", STARRED: "\\Starred", IMPORTANT: "\\Important"}


def utf7(name):
    """In modified UTF-7 (RFC 3501 section 5.1.3)."""
    return re.sub("[^\x20-\x7e]+", lambda m: "&" + m.group(0).encode("utf-7").decode().lstrip("+").rstrip("-").replace("/", ",") + "-", name.replace("&", "&-"))


def from_utf7(wire):
    """And back."""
    return re.sub("&([^-]*)-", lambda m: "&" if not m.group(1) else ("+" + m.group(1).replace(",", "/") + "-").encode().decode("utf-7"), wire)


class Mail:
    """A message of the account, and where it is shown."""

    def __init__(self, msgid, data, flags, date):
        self.msgid, self.data, self.date = msgid, data, date
        self.flags = set(flags) - {"\\Deleted"}
        self.shown = {}     # folder's name: Entry


class Entry(imappeer.Message):
    """A message as one folder shows it."""

    def __init__(self, uid, mail, modseq):    # pylint: disable=super-init-not-called
        self.uid, self.mail, self.modseq, self.deleted = uid, mail, modseq, False

    @property
    def data(self):
        return self.mail.data

    @property
    def date(self):
        return self.mail.date

    @property
    def flags(self):
        return self.mail.flags | ({"\\Deleted"} if self.deleted else set())


class Label(Folder):
    """A folder. What is done to it is done to the account."""

    def __init__(self, account, name, validity):
        super().__init__(name, validity)
        self.account = account
        self.attrs = ["\\HasNoChildren"] + ([ROLES[name]] if name in ROLES else [])

    def touch(self):
        self.account.modseq += 1
        self.modseq = self.account.modseq
        return self.modseq

    def show(self, mail):
        """Have it under this label; where it is already it stays as it is."""
        if self.name not in mail.shown:
            mail.shown[self.name] = Entry(self.uidnext, mail, self.touch())
            self.uidnext += 1
            self.messages.append(mail.shown[self.name])
        return mail.shown[self.name]

    def hide(self, mail):
        entry = mail.shown.pop(self.name, None)
        if entry:
            self.messages.remove(entry)
            self.touch()

    def add(self, data, flags=(), date=None):
        return self.account.deliver(self, data, flags, date)

    def expunge(self, uids):
        gone = [m for m in self.messages if m.uid in set(uids)]
        for m in gone:
            self.account.unlabel(m, self)
        return [m.uid for m in gone]

    def flag(self, m, flags):
        self.account.flag(m.mail, set(flags) - {"\\Deleted"})
        if m.deleted != ("\\Deleted" in flags):
            m.deleted = "\\Deleted" in flags
            m.modseq = self.touch()


class Gmail(imappeer.Peer):
    """The server."""

    greeting_text = "Gimap ready for requests from 127.0.0.1"
    caps = ["IMAP4rev1", "UNSELECT", "IDLE", "NAMESPACE", "QUOTA", "ID", "XLIST", "CHILDREN", "X-GM-EXT-1", "XYZZY", "SASL-IR", "AUTH=XOAUTH2", "AUTH=PLAIN",
            "AUTH=OAUTHBEARER"]
    logged_in = ["IMAP4rev1", "UNSELECT", "IDLE", "NAMESPACE", "QUOTA", "ID", "XLIST", "CHILDREN", "X-GM-EXT-1", "UIDPLUS", "ENABLE", "MOVE", "CONDSTORE", "ESEARCH",
                 "UTF8=ACCEPT", "LIST-EXTENDED", "LIST-STATUS", "LITERAL-", "SPECIAL-USE", "APPENDLIMIT=35651584"]
    permanent = "\\Answered \\Flagged \\Draft \\Deleted \\Seen $Forwarded \\*"
    auto_expunge = True     # what is marked as deleted loses the label at once
    last = "archive"        # what becomes of a message that lost its last label: "archive", "trash" or "delete"
    ghosts = False          # an APPEND of what the label has already is answered by a UID that nobody has
    tells_own_label = False # X-GM-LABELS names the label of the open folder, too
    utf7_labels = False     # and has names in modified UTF-7, whatever is enabled
    earlier = ()            # words that it has of what is in the trash, or spam
    shows_views = ()        # those of VIEWS that state() tells

    def __init__(self, labels=(), pair=None, tls=False):
        self.modseq, self.mails, self.given = 1, [], collections.Counter()
        self.utf8 = False
        super().__init__({}, pair, tls)
        self.folders = {}
        for name in ["INBOX", *labels, "[Gmail]", ALL, DRAFTS, IMPORTANT, SENT, SPAM, STARRED, TRASH]:
            self.folders[name] = Label(self, name, len(self.folders) + 600)
        self.folders["[Gmail]"].attrs = ["\\HasChildren", "\\Noselect"]

    # what a test does and asks

    def behave(self, pair=None):
        self.__class__ = Gmail
        if pair:
            self.show(pair)

    def put(self, data, *labels, flags="S", date=None):
        """A message that arrives, under these labels; none: in All Mail alone."""
        with self.lock:
            mail = None
            for name in labels or [ALL]:
                mail = self.deliver(self.folders[name], data, atoms(flags), date).mail
            return mail

    def mail(self, data):
        """The account's one message with these bytes; None."""
        found = [m for m in self.mails if m.data == data]
        assert len(found) < 2, data
        return found[0] if found else None

    def labels(self, data):
        """Where it is shown, All Mail left out; None: it is gone."""
        with self.lock:
            mail = self.mail(data)
            return None if not mail else sorted(name for name in mail.shown if name != ALL)

    def is_kept(self, data):
        """Is it in All Mail?"""
        with self.lock:
            mail = self.mail(data)
            return mail is not None and ALL in mail.shown

    def tag(self, data, name):
        """The user gives it a label."""
        with self.lock:
            self.label(self.mail(data), self.folders[name])

    def untag(self, data, name):
        """The user takes a label away."""
        with self.lock:
            self.folders[name].hide(self.mail(data))

    def mark(self, data, flags):
        """The user gives it these flags, as letters."""
        with self.lock:
            self.flag(self.mail(data), atoms(flags))

    def state(self):
        hidden = set(VIEWS) - set(self.shows_views)
        return {name: rows for name, rows in super().state().items() if name not in hidden}

    def bodies_given(self):
        """How many times the body of each message was fetched, by its bytes."""
        with self.lock:
            return collections.Counter({m.data: self.given[m.msgid] for m in self.mails if self.given[m.msgid]})

    # the account

    def deliver(self, folder, data, flags, date):
        """An APPEND, or mail that arrives."""
        mail = self.mail(data)
        if not mail:
            n = len(self.mails)
            mail = Mail(1278455344230334865 + 7 * n, data, flags, imappeer.EPOCH + n if date is None else date)
            self.mails.append(mail)
        return self.label(mail, folder)

    def label(self, mail, folder):
        """Show it in a folder; what else that means."""
        if folder.name in (TRASH, SPAM):
            for name in list(mail.shown):
                if name != folder.name:
                    self.folders[name].hide(mail)
            return folder.show(mail)
        for name in (TRASH, SPAM):
            self.folders[name].hide(mail)
        self.folders[ALL].show(mail)
        if folder.name == STARRED:
            self.flag(mail, mail.flags | {"\\Flagged"})
        elif "\\Flagged" in mail.flags:
            self.folders[STARRED].show(mail)
        return folder.show(mail)

    def unlabel(self, entry, folder):
        """It is removed from a folder."""
        mail = entry.mail
        if folder.name in (TRASH, SPAM):
            self.destroy(mail)
        elif folder.name == STARRED:
            self.flag(mail, mail.flags - {"\\Flagged"})
        elif folder.name == ALL:
            self.lost_last(mail)
            entry.deleted = False
        else:
            folder.hide(mail)
            if not set(mail.shown) - set(VIEWS):
                self.lost_last(mail)

    def lost_last(self, mail):
        """It lost its last label."""
        if self.last == "trash":
            self.label(mail, self.folders[TRASH])
        elif self.last == "delete":
            self.destroy(mail)

    def destroy(self, mail):
        """It is no more."""
        for name in list(mail.shown):
            self.folders[name].hide(mail)
        self.mails.remove(mail)

    def flag(self, mail, flags):
        """Give it these flags, wherever it is shown."""
        if flags == mail.flags:
            return
        mail.flags = set(flags)
        for name, entry in mail.shown.items():
            entry.modseq = self.folders[name].touch()
        if not {TRASH, SPAM} & set(mail.shown):
            (self.folders[STARRED].show if "\\Flagged" in flags else self.folders[STARRED].hide)(mail)

    # names and words of the wire

    def wire(self, name):
        return name if self.utf8 else utf7(name)

    def name_of(self, folder):
        return quoted(self.wire(folder.name)).encode()

    def folder(self, word, make=False):
        return super().folder(text(word) if self.utf8 else from_utf7(text(word)), make)

    def label_word(self, name):
        """A label as X-GM-LABELS has it."""
        return quoted(SYSTEM.get(name) or (utf7(name) if self.utf7_labels else self.wire(name))).encode()

    def label_words(self, link, m):
        """The value of X-GM-LABELS."""
        names = [n for n in m.mail.shown if n not in (ALL, TRASH, SPAM) and (self.tells_own_label or n != link.folder.name)]
        if {TRASH, SPAM} & set(m.mail.shown):
            names += self.earlier
        return b"(" + b" ".join(self.label_word(n) for n in names) + b")"

    # commands

    def capabilities(self, link):
        return [c for c in (self.logged_in if link.in_ else self.caps) if c not in self.less] + (
            ["STARTTLS"] if self.starttls and self.context and not link.tls and not link.in_ else [])

    def session(self, link):
        self.utf8 = False
        super().session(link)

    def enable(self, link, tag, args):
        known = {"CONDSTORE", "UTF8=ACCEPT"} & set(self.capabilities(link)) & {text(a).upper() for a in args}
        link.enabled |= known
        self.utf8 |= "UTF8=ACCEPT" in known
        link.star(("ENABLED " + " ".join(sorted(known))).rstrip())
        link.ok(tag, "Success")

    def create(self, link, tag, args):
        name = text(args[0]).rstrip("/")
        name = name if self.utf8 else from_utf7(name)
        if name in self.folders:
            raise Refused("NO [ALREADYEXISTS] Duplicate folder name %s (Failure)" % name)
        if re.search(r"\^|^ | $|  |(^|/) | (/|$)", name) or name.startswith("[Gmail]"):
            raise Refused("NO [CANNOT] Invalid folder: %s (Failure)" % name)
        self.folders[name] = Label(self, name, len(self.folders) + 600)
        link.ok(tag, "Success")

    def take_in(self, link, folder, data, flags, date):
        mail = self.mail(data)
        if self.ghosts and mail and folder.name in mail.shown:
            folder.uidnext += 1
            return Entry(folder.uidnext - 1, mail, 0)
        return folder.add(data, flags, date)

    def copy(self, link, args):
        to = self.folder(args[1], True)
        found = self.chosen(link, args[0])
        old = [m.uid for m in found]
        new = [self.label(m.mail, to).uid for m in found]
        code = "[COPYUID %d %s %s] " % (to.validity, ",".join(map(str, old)), ",".join(map(str, new))) if found else ""
        return found, code

    def more_items(self, link, m):
        return {"X-GM-MSGID": str(m.mail.msgid), "X-GM-THRID": str(m.mail.msgid), "X-GM-LABELS": self.label_words(link, m).decode("utf-8", "surrogateescape")}

    def give(self, link, m, head, data, tail):
        self.given[m.mail.msgid] += 1
        super().give(link, m, head, data, tail)

    def uid_store(self, link, tag, args):
        if not link.writes:
            raise Refused("NO [READ-ONLY] it can only be read")
        how, found = text(args[1]).upper(), self.chosen(link, args[0])
        if how.lstrip("+-").startswith("X-GM-LABELS"):
            return self.store_labels(link, tag, found, how, [text(x) for x in args[2]])
        flags = {text(x) for x in args[2]}
        for m in found:
            self.store_one(link, m, m.flags | flags if how[0] == "+" else m.flags - flags if how[0] == "-" else flags)
        if self.auto_expunge:
            link.folder.expunge([m.uid for m in found if m.deleted])
            self.news(link)
        return link.ok(tag, "Success")

    def store_labels(self, link, tag, found, how, words):
        by_word = {word: name for name, word in SYSTEM.items()}
        names = [by_word.get(w) or (w if self.utf8 else from_utf7(w)) for w in words]
        for m in found:
            if how[0] not in "+-":
                for name in set(m.mail.shown) - {ALL, link.folder.name, *names}:
                    self.folders[name].hide(m.mail)
            for name in names:
                if how[0] == "-":
                    self.folders[name].hide(m.mail)
                else:
                    if name not in self.folders:
                        self.folders[name] = Label(self, name, len(self.folders) + 600)
                    self.label(m.mail, self.folders[name])
        self.news(link)
        link.ok(tag, "Success")
