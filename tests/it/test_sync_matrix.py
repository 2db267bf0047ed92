"""What happens to a message on one side, by what happens to it on the other, by where deletions may go, by what the server can: run, run again, and stopped before every step."""

import pytest

from disturb import LONG
from twoway import HELLO, SERVERS, Rewind, Sync, start

pytestmark = pytest.mark.crash

FATES = ("nothing", "flags", "deleted", "new", "not there")
#: All that can happen: on the remote side, here.
CASES = [(there, here) for there in FATES[:3] for here in FATES[:3]] + [("new", "new"), ("new", "not there"), ("not there", "new")]
FLAGS = {"remote": "F", "local": "R"}
GOES = {"both": {"remote", "local"}, "local": {"local"}, "remote": {"remote"}, "none": set()}


@pytest.fixture(scope="module", params=list(SERVERS))
def server(request, tmp_path_factory):
    with start(tmp_path_factory.mktemp("dovecot"), request.param) as srv:
        yield srv


def body(case):
    return HELLO % (CASES.index(case), CASES.index(case))


def old(case):
    return "new" not in case


def wanted(where):
    """{side: [(bytes, flags)]} in the end; where: `delete`."""
    out = {"remote": [], "local": []}
    for case in CASES:
        fates = dict(zip(("remote", "local"), case))
        flags = "".join(sorted({"S"} | {FLAGS[s] for s in fates if fates[s] in ("flags", "new")}))
        gone = {s for s in fates if fates[s] == "deleted"}
        if gone:
            # without the other side a message keeps the flags that it has
            flags = "".join(sorted({"S"} | {FLAGS[s] for s in fates if fates[s] == "flags"}))
            gone |= GOES[where]
        for side in set(out) - gone:
            out[side].append((body(case), flags))
    return {side: sorted(rows) for side, rows in out.items()}


class Scene:
    """A job to whose messages all has happened since the last run; it can be put back to there."""

    def __init__(self, directory, srv, where):
        self.srv = srv
        self.p = p = Sync(directory / "job", srv, "max-delete = none\n\tdelete = " + where)
        self.sides = {"remote": p.remote, "local": p.local}
        for case in filter(old, CASES):
            p.remote.deliver(body(case), "INBOX", "S")
        p.settle()
        for i, (name, side) in enumerate(self.sides.items()):
            for case in CASES:
                if case[i] == "flags":
                    side.flag("INBOX", body(case), "S" + FLAGS[name])
                elif case[i] == "deleted":
                    side.delete("INBOX", body(case))
                elif case[i] == "new":
                    side.deliver(body(case), "INBOX", "".join(sorted("S" + FLAGS[name])))
        self.reset = Rewind(p, directory).reset

    def ends_as(self, want, what):
        self.srv.wait_for_quiet()
        self.p.sync()
        self.p.quiet()
        assert {name: side.state()["INBOX"] for name, side in self.sides.items()} == want, what


@pytest.mark.deadline(300)
@pytest.mark.parametrize("where", list(GOES))
def test_matrix(server, tmp_path, where):
    scene, want = Scene(tmp_path, server, where), wanted(where)
    scene.ends_as(want, "undisturbed")
    # one in four is enough for a check, where `delete` changes what is planned and not how it is done
    stride = 1 if LONG or where == "both" else 4
    step, code = 1, None
    while code != 0:
        scene.reset()
        code = scene.p.call("run", env={"MAILHAUL_STOP_AT": str(step)}).code
        assert code in (0, 100), step
        scene.ends_as(want, "step %d" % step)
        step += stride
    assert step > 10
