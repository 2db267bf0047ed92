"""A pytest plugin: a test that takes too long fails, with the place where it stood.

The limit is $MAILHAUL_TEST_SECONDS (default 90), or @pytest.mark.deadline(SECONDS) on the test, and
covers set-up and tear-down each anew. If Python itself no longer comes to run the alarm, faulthandler prints
every stack a while later and ends the process, which the runner counts as a failure.
"""

import faulthandler
import os
import signal

import pytest

GRACE_SECONDS = 30


def pytest_configure(config):
    """Say which marks there are."""
    for line in ("deadline(seconds): the test may take this long instead of the usual limit",
                 "long: left out in short mode",
                 "model: readers and broken runs at random; 'make model-long' takes many more seeds",
                 "crash: kills the program at many places; 'make crash-long' visits all of them"):
        config.addinivalue_line("markers", line)


def _seconds(item):
    mark = item.get_closest_marker("deadline")
    usual = float(os.environ.get("MAILHAUL_TEST_SECONDS", "90"))
    if not mark:
        return usual
    return float(mark.args[0]) * max(1.0, usual / 90.0)


def _guarded(item, phase):
    seconds = _seconds(item)

    def ring(_signum, _frame):
        pytest.fail("deadline: %s of %s took longer than %g seconds" % (phase, item.nodeid, seconds))

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    faulthandler.dump_traceback_later(seconds + GRACE_SECONDS, exit=True)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_setup(item):
    """Fixtures must be ready in time."""
    yield from _guarded(item, "set-up")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_call(item):
    """The test itself must end in time."""
    yield from _guarded(item, "the run")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_teardown(item):
    """Cleaning up must end in time."""
    yield from _guarded(item, "tear-down")
