"""What can befall a run: killed at a system call, a system call that fails, a link that is cut."""

import collections
import contextlib
import ctypes
import functools
import itertools
import os
import re
import shutil
import subprocess
import zlib

import pytest

import haul

LONG = os.environ.get("MAILHAUL_LONG") == "1"

#: The system calls that change something on disk or commit it, by what they are for.
CALLS = ("fsync", "fdatasync", "rename,renameat,renameat2,linkat", "unlink,unlinkat", "ftruncate", "write", "pwrite64", "sync_file_range,syncfs", "openat")

needs_strace = pytest.mark.skipif(not shutil.which("strace"), reason="strace is not installed")


def strace(*args, log="/dev/null"):
    """A prefix for a program; what it leaks can't be told of one that is traced."""
    return ("strace", "-f", "-qq", "-E", "ASAN_OPTIONS=detect_leaks=0", "-o", log, *args)


def killed(calls, n):
    """A prefix for a program that is killed when it makes one of these system calls for the n-th time."""
    return strace("-e", "trace=" + calls, "-e", "inject=%s:signal=KILL:when=%d" % (calls, n))


def failing(calls, error, when):
    """A prefix for a program for which these system calls fail; when: "3" the third one, "3+" all from then on."""
    return strace("-e", "trace=" + calls, "-e", "inject=%s:error=%s:when=%s" % (calls, error, when))


@functools.lru_cache(maxsize=None)
def known_calls(calls):
    """strace refuses names that this machine does not have."""
    good = [c for c in calls.split(",") if subprocess.run(["strace", "-e", "trace=" + c, "true"], capture_output=True, check=False).returncode == 0]
    return ",".join(good)


def count_calls(h, calls, command="run", code=0):
    """How often an undisturbed command, which ends with that code, makes these system calls, in its busiest process."""
    log = os.path.join(h.dir, "strace.log")
    r = h.call(command, prefix=strace("-e", "trace=" + calls, log=log))
    assert r.code == code, r
    with open(log, encoding="utf-8", errors="replace") as f:
        pids = collections.Counter(line.split()[0] for line in f if re.match(r"\d+ +(%s)\(" % calls.replace(",", "|"), line))
    os.remove(log)
    return max(pids.values(), default=0)


def points(count, most):
    """Which of so many occurrences to disturb: all in a long run, else the first, the last, and some between."""
    if LONG or count <= most:
        return list(range(1, count + 1))
    return sorted({1 + i * (count - 1) // (most - 1) for i in range(most)})


def steps(stride=3):
    """Before which of its steps to stop a command, without end: before each in a long run, else before every so many-th, in each test beginning with another one."""
    test = os.environ.get("PYTEST_CURRENT_TEST", "").rpartition(" (")[0]
    return itertools.count(1) if LONG else itertools.count(1 + zlib.crc32(test.encode()) % stride, stride)


class Proxy:
    """The benchmark's proxy, cutting each connection after so many bytes."""

    def __init__(self, port, *args):
        self.p = subprocess.Popen([haul.built("bench/delayproxy"), *args, "127.0.0.1:%d" % port], stdout=subprocess.PIPE,
                                  stderr=subprocess.DEVNULL)
        self.port = int(self.p.stdout.readline().split()[1])

    def stop(self):
        self.p.terminate()
        return self.p.communicate(timeout=10)[0]


class SmallDisk:
    """A disk with little room on a directory, for us and our children only: it goes when we end. Needs root."""

    CLONE_NEWNS, MS_REC, MS_PRIVATE, MNT_DETACH = 0x20000, 0x4000, 0x40000, 2
    _alone = False

    def __init__(self, path, kilobytes):
        self.path, self.ballast = str(path), os.path.join(str(path), "ballast")
        libc = ctypes.CDLL(None, use_errno=True)
        if not SmallDisk._alone:
            self._do(libc.unshare(self.CLONE_NEWNS))
            self._do(libc.mount(b"none", b"/", None, self.MS_REC | self.MS_PRIVATE, None))
            SmallDisk._alone = True
        self._do(libc.mount(b"tmpfs", self.path.encode(), b"tmpfs", 0, b"size=%dk,mode=0755" % kilobytes))

    @staticmethod
    def _do(rc):
        if rc != 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))

    @contextlib.contextmanager
    def full(self, room):
        """Only so many bytes are left."""
        with open(self.ballast, "wb") as f:
            st = os.statvfs(self.path)
            os.posix_fallocate(f.fileno(), 0, max(1, st.f_bavail * st.f_frsize - room))
        try:
            yield
        finally:
            os.unlink(self.ballast)

    def close(self):
        libc = ctypes.CDLL(None, use_errno=True)
        self._do(libc.umount2(self.path.encode(), self.MNT_DETACH))
