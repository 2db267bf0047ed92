"""What must become of every message and folder of a two-way job: a model that is told what readers did and which runs came to their end.

A message is a content in a folder. After a run that came to its end both sides agree, and what was on both is `settled`: whatever a reader does
to it from then on is believed. What only runs that were broken off have copied is not: a copy that is taken away again may look as if it had never been made, and
then comes back, which loses nothing (EITHER). Likewise a flag that was set, then perhaps carried over, then taken back may end both ways (`hazy`).
"""

ALIVE, DEAD, EITHER = "alive", "dead", "either"


class Message:
    """One content in one folder."""

    def __init__(self, folder, content, origin, flags):
        self.folder, self.content, self.origin = folder, content, origin
        self.fate = ALIVE
        self.settled = False
        self.saves = False          # its folder stays because of it
        self.exposed = False        # a run that was broken off may have copied it
        self.base = set(flags)      # flags that both sides had, or that it came with
        self.now = [set(), set()]   # flags changed on each side since the last run of any kind
        self.changed, self.touched, self.hazy = set(), set(), set()

    def toggle(self, side, flag, meanwhile=False):
        """meanwhile: while a run is on."""
        if meanwhile:
            self.hazy.add(flag)
        elif not self.settled and self.exposed and flag.islower() and self.origin not in (None, side):
            # a keyword of a copy that a run which was broken off has brought to a server: the base does not say that it came with it
            self.hazy.add(flag)
        elif not self.settled and not self.exposed and self.origin == side:
            self.base ^= {flag}     # nobody else has seen it
        elif flag in self.touched or self.origin is None:
            self.hazy.add(flag)
        else:
            self.now[side] ^= {flag}

    def run_broken(self):
        self.exposed = True
        self._fold()

    def blur(self):
        """What was done to its flags may get lost with the copy that it was done to."""
        self._fold()
        self.hazy |= self.changed

    def _fold(self):
        for flags in self.now:
            self.changed |= flags
            self.touched |= flags
            flags.clear()

    def want(self):
        """The flags that both sides shall have; those that are hazy are left out."""
        self._fold()
        return (self.base ^ self.changed) - self.hazy

    def run_ended(self, flags):
        self.base = set(flags)
        self.changed, self.touched, self.hazy = set(), set(), set()
        self.now = [set(), set()]
        self.settled, self.saves, self.origin = True, False, -1


class Folder:
    """A name; it is never given twice, since a folder that is made anew is another one for the server."""

    def __init__(self, name, origin):
        self.name, self.origin = name, origin
        self.fate = ALIVE
        self.settled = False
        self.removed_at = None      # the side that a reader removed it on, since the last run that came to its end


class Model:
    """All folders and messages there ever were. Sides are 0 and 1."""

    def __init__(self):
        self.folders = {"INBOX": Folder("INBOX", None)}
        self.messages = {}          # (folder, content) -> Message
        self.dirty = False          # a run was broken off since the last one that came to its end

    def of(self, folder):
        return [m for m in self.messages.values() if m.folder == folder]

    # -- what readers do --------------------------------------------------------------------------------------

    def add_folder(self, name, side):
        assert name not in self.folders
        self.folders[name] = Folder(name, side)

    def add(self, folder, content, side, flags):
        """side None: it came to both sides, each for itself."""
        f = self.folders[folder]
        assert (folder, content) not in self.messages
        if f.removed_at is not None:
            f.fate = ALIVE          # new mail saves it, and what is still in it
            for m in self.of(folder):
                if not m.saves:
                    m.fate = EITHER
        m = self.messages[folder, content] = Message(folder, content, side, flags)
        m.saves = f.removed_at is not None

    def delete(self, folder, content, side):
        m = self.messages[folder, content]
        if m.settled or (m.origin == side):
            m.fate = DEAD
        elif m.exposed or m.origin is None:
            m.fate = EITHER
            m.blur()
        else:
            raise AssertionError("a message was found where no run can have brought it: %s %s" % (folder, content))
        m.saves = False
        f = self.folders[folder]
        if f.removed_at is not None and f.fate == ALIVE and not any(x.saves for x in self.of(folder)):
            f.fate = EITHER         # now it may go, and all with it
            for x in self.of(folder):
                x.fate = EITHER if x.fate == ALIVE else x.fate

    def remove_folder(self, name, side, other):
        """other: contents that are in it on the other side at this moment; None: it is not there."""
        f = self.folders[name]
        f.removed_at = side
        for m in self.of(name):
            m.saves = False
        if not f.settled:
            f.fate = EITHER if self.dirty else DEAD
        elif other is None:
            f.fate = DEAD           # gone there, too
        elif all(self.messages[name, c].settled for c in other):
            f.fate = DEAD
        else:
            f.fate = EITHER if self.dirty else ALIVE
        for m in self.of(name):
            m.blur()
            if f.fate == EITHER:
                m.fate = EITHER
            elif f.fate == DEAD or m.content not in other:
                m.fate = DEAD
            else:
                m.saves = not m.settled
                m.fate = EITHER if m.fate == DEAD else m.fate   # it was to follow a deletion, but what is in the folder stays

    # -- what runs do -----------------------------------------------------------------------------------------

    def run_broken(self):
        self.dirty = True
        for m in self.messages.values():
            m.run_broken()

    def _linked(self):
        """{message: those of the same content that it may have been moved from or to}: a copy that no run has settled is a move, if the other is gone.

        What was done to the flags of the one may then show on the other."""
        same, out, known = {}, {}, {}
        for m in self.messages.values():
            same.setdefault(m.content, []).append(m)
            known[m] = m.changed | m.touched | m.hazy | m.now[0] | m.now[1]
        for group in same.values():
            for m in group:
                out[m] = [x for x in group if x is not m and not (m.settled and x.settled)]
                for x in out[m]:
                    m.hazy |= known[x]
        return out

    def run_ended(self, state):
        """Both sides agree on {folder: {content: flags}}: is it what must be? From now on it is."""
        self.dirty = False
        for f in self.folders.values():
            there = f.name in state
            assert not (f.fate == ALIVE and not there), "folder %s is lost" % f.name
            assert not (f.fate == DEAD and there), "folder %s has come back" % f.name
            f.fate, f.settled, f.removed_at = ALIVE if there else DEAD, there, None
        assert set(state) <= set(self.folders), "folders that nobody made: %s" % (set(state) - set(self.folders))
        linked = self._linked()
        for m in self.messages.values():
            flags = state.get(m.folder, {}).get(m.content)
            what = "message %s of %s" % (m.content, m.folder)
            elsewhere = any(m.content in state.get(x.folder, {}) for x in linked.get(m, ()))
            assert not (m.fate == ALIVE and flags is None and not elsewhere), what + " is lost"
            assert not (m.fate == DEAD and flags is not None), what + " has come back"
            if flags is None:
                m.fate = DEAD
                continue
            m.fate = ALIVE
            assert set(flags) - m.hazy == m.want(), "%s has flags %s, not %s (not sure: %s)" % (
                what, "".join(sorted(flags)), "".join(sorted(m.want())), "".join(sorted(m.hazy)))
            m.run_ended(flags)
        strange = {(f, c) for f, row in state.items() for c in row} - set(self.messages)
        assert not strange, "messages that nobody put there: %s" % sorted(strange)
