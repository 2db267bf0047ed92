"""What happens to a message on one side, by what happens to it on the other, by where deletions may go, by what the server can: run, run again, and stopped before every step."""

import pytest

from twoway import HELLO, Accounts, Boxes, Scene, Sync

pytestmark = pytest.mark.crash

FATES = ("nothing", "flags", "deleted", "new", "not there")
#: All that can happen: on the remote side, here.
CASES = [(there, here) for there in FATES[:3] for here in FATES[:3]] + [("new", "new"), ("new", "not there"), ("not there", "new")]
#: What is set there; the lower case are keywords.
FLAGS = {"remote": "Fj", "local": "Rk"}
GOES = {"both": {"remote", "local"}, "local": {"local"}, "remote": {"remote"}, "none": set()}


def body(case):
    return HELLO % (CASES.index(case), CASES.index(case))


def old(case):
    return "new" not in case


def wanted(where):
    """What each side holds in the end; where: `delete`."""
    out = {"remote": [], "local": []}
    for case in CASES:
        fates = dict(zip(("remote", "local"), case))
        flags = "".join(sorted("S" + "".join(FLAGS[s] for s in fates if fates[s] in ("flags", "new"))))
        gone = {s for s in fates if fates[s] == "deleted"}
        if gone:
            # without the other side a message keeps the flags that it has
            flags = "".join(sorted("S" + "".join(FLAGS[s] for s in fates if fates[s] == "flags")))
            gone |= GOES[where]
        for side in set(out) - gone:
            out[side].append((body(case), flags))
    return {side: {"INBOX": sorted(rows)} for side, rows in out.items()}


class Fates(Scene):
    """All has happened."""

    def __init__(self, directory, srv, where, make):
        super().__init__(directory, srv, "max-delete = none\n\tdelete = " + where, make)
        self.want = wanted(where)
        p = self.p
        for case in filter(old, CASES):
            p.remote.deliver(body(case), "INBOX", "S")
        p.settle()
        for i, (name, side) in enumerate((("remote", p.remote), ("local", p.local))):
            for case in CASES:
                if case[i] == "flags":
                    side.flag("INBOX", body(case), "S" + FLAGS[name])
                elif case[i] == "deleted":
                    side.delete("INBOX", body(case))
                elif case[i] == "new":
                    side.deliver(body(case), "INBOX", "".join(sorted("S" + FLAGS[name])))
        self.keep()


@pytest.mark.deadline(300)
@pytest.mark.parametrize("where, make", [(where, Sync) for where in GOES] + [("both", Accounts), ("both", Boxes)])
def test_matrix(each_server, tmp_path, where, make):
    scene = Fates(tmp_path, each_server, where, make)
    scene.finish("undisturbed")
    # a few are enough for a check, where `delete` changes what is planned and not how it is done, and with the other sides, which the unit tests stop at every step
    for step in scene.stopped(stride=2 if where == "both" and make is Sync else 4):
        scene.finish("step %d" % step)
    assert step > 9
