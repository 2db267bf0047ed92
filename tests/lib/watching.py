"""A running `mailhaul watch`, its events as they come, and what can be waited for."""

import json
import os
import signal
import subprocess
import threading
import time

SECONDS = 20


def until(true, seconds=SECONDS, what=lambda: ""):
    """Wait for a condition; returns what it gave."""
    end = time.monotonic() + seconds
    while True:
        found = true()
        if found:
            return found
        assert time.monotonic() < end, what() or true
        time.sleep(0.005)


class Watch:
    """with Watch(job) as w: ...; the program ends with the block, within a second, or the test fails. events: all so far, each with "at" (time.monotonic() when it was read)."""

    def __init__(self, job, *args, env=None, prefix=(), end=0):
        self.job, self.end = job, end
        self.events = []
        self.changed = threading.Condition()
        self.proc = subprocess.Popen([*prefix, *job.command("--json", "watch", *args)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                     env=job.environment(**(env or {})))
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        self.errors = []
        self.err_reader = threading.Thread(target=lambda: self.errors.extend(self.proc.stderr), daemon=True)
        self.err_reader.start()

    def _read(self):
        for line in self.proc.stdout:
            event = json.loads(line)
            event["at"] = time.monotonic()
            with self.changed:
                self.events.append(event)
                self.changed.notify_all()

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        try:
            if kind is None:
                assert self.proc.poll() is None, self
                assert self.stop() < 1, self
                assert self.proc.returncode == self.end, self
        finally:
            if self.proc.poll() is None:
                self.proc.kill()
                self.proc.wait()
            self.reader.join()
            self.err_reader.join()

    def stop(self):
        """Ask it to end; how long that took."""
        began = time.monotonic()
        self.proc.send_signal(signal.SIGTERM)
        self.proc.wait(timeout=SECONDS)
        return time.monotonic() - began

    def __repr__(self):
        return "\n".join(map(str, self.events)) + "\n" + b"".join(self.errors).decode("utf-8", "replace")

    def of(self, event, since=0, **members):
        return [e for e in self.events[since:] if e["event"] == event and all(e.get(k) == v for k, v in members.items())]

    def mark(self):
        """Where the events are now, for `since`."""
        return len(self.events)

    def wait(self, event, since=0, seconds=SECONDS, count=1, **members):
        """The first event of that kind, or the count'th; it must come in time."""
        end = time.monotonic() + seconds
        with self.changed:
            while True:
                found = self.of(event, since, **members)
                if len(found) >= count:
                    return found[count - 1]
                assert self.changed.wait(end - time.monotonic()) or time.monotonic() < end, "no %s %s: %r" % (event, members, self)

    def settle(self, quiet=1.0):
        """Wait until it has done what there was to do: nothing runs, and nothing has begun for a while."""
        def still():
            last = self.events[-1]["at"] if self.events else 0
            busy = len(self.of("start")) > len(self.of("end"))
            return self.events and not busy and time.monotonic() - last > quiet
        until(still, SECONDS, what=lambda: repr(self))

    def processes(self):
        """It, and all its children."""
        return [self.proc.pid] + children(self.proc.pid)


def children(pid):
    found = []
    for task in os.listdir("/proc/%d/task" % pid):
        try:
            with open("/proc/%d/task/%s/children" % (pid, task), encoding="ascii") as f:
                found += [int(x) for x in f.read().split()]
        except OSError:
            pass
    return found + [y for x in found for y in children_if(x)]


def children_if(pid):
    try:
        return children(pid)
    except OSError:
        return []
