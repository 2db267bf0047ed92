"""Mail readers at both sides, a real server, and runs that are stopped, killed, cut off and starved of disk, all at random: each message meets its fate.

$MAILHAUL_SEED is the first seed, $MAILHAUL_SEEDS how many there are for each kind of server. A test that fails shows all that it did.
"""

import os

import pytest

from disturb import LONG, SmallDisk, needs_strace
from twoway import MOVERS, Accounts, Boxes, Sync, start
from world import World

FIRST = int(os.environ.get("MAILHAUL_SEED", "1"), 0)
SEEDS = int(os.environ.get("MAILHAUL_SEEDS", "2"))
ROUNDS = 14

pytestmark = [needs_strace, pytest.mark.model]


@pytest.fixture(scope="module")
def server(request, tmp_path_factory):
    """A server of each kind in turn."""
    srv = start(tmp_path_factory.mktemp("dovecot"), request.param)
    # With the index Dovecot 2.3 goes on to list a folder that was removed while there are others beneath it, as if it could be opened.
    srv.extra += "mailbox_list_index = no\n"
    with srv:
        yield srv


@pytest.fixture
def place(tmp_path, seed):
    """Where a world is: a directory, and its disk if that is a small one, as it is for every other seed where we may make it."""
    try:
        disk = SmallDisk(tmp_path, 16384) if seed % 2 == 0 else None
    except OSError:
        disk = None
    yield tmp_path, disk
    if disk:
        disk.close()


#: The kind of server, and what is at the local side: the other servers, which differ at the remote side alone, are met with all of these in a long run.
WORLDS = [(kind, make) for kind in MOVERS for make in (Sync, Boxes, Accounts) if make is Sync or LONG or kind in ("all", "bare")]


@pytest.mark.deadline(120)
@pytest.mark.parametrize("seed", range(FIRST, FIRST + SEEDS))
@pytest.mark.parametrize("server, make", WORLDS, indirect=["server"])
def test_everything_meets_its_fate(server, place, seed, make):
    w = World(*place, server, seed, make)
    w.say("seed %d, server: %s" % (seed, server.kind))
    w.run_calmly()
    for turn in range(ROUNDS):
        w.say("round %d" % turn)
        w.read_mail(w.rng.randrange(12))
        if w.rng.random() < 0.08:
            w.rest()
        if w.rng.random() < 0.7:
            w.run_badly()
        else:
            w.say(" run")
            w.run_calmly()
    w.say("the end")
    w.run_calmly()
    w.p.quiet()
    w.run_calmly()
