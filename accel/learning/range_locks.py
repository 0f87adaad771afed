"""Locks between processes on numbered parts of one shared file (Linux).

Open file description locks: the kernel frees them with the last process that has the description
open, so a killed holder blocks nobody. Opened twice in one process, the file locks itself out.
"""

from __future__ import annotations

import fcntl
import os
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager

_PAUSE_S = 5e-5  # between tries; a holder needs some 100 us


class LockTimeout(TimeoutError):
    """Somebody else held a part for too long."""


class RangeLocks:
    """Exclusive locks on the parts of the file that `fd` has open: one byte of it stands for each.

    Nothing is read or written; the bytes need not exist.
    """

    def __init__(self, fd: int, timeout_s: float) -> None:
        self._fd, self._timeout_s = fd, timeout_s

    @contextmanager
    def held(self, part: int) -> Iterator[float]:
        """Hold `part`; gives the seconds that were waited for it. Raises LockTimeout."""
        start = time.monotonic()
        while not self._set(part, fcntl.F_WRLCK):
            if time.monotonic() - start > self._timeout_s:
                raise LockTimeout(f"part {part} was not free within {self._timeout_s:g} s")
            time.sleep(_PAUSE_S)
        try:
            yield time.monotonic() - start
        finally:
            self._set(part, fcntl.F_UNLCK)

    def _set(self, part: int, kind: int) -> bool:
        """Lock or unlock at once; false if another has it."""
        # struct flock: type, whence, start, length, process (0 for these locks), padding
        request = struct.pack("hhqqi0q", kind, os.SEEK_SET, part, 1, 0)
        try:
            fcntl.fcntl(self._fd, fcntl.F_OFD_SETLK, request)
        except (BlockingIOError, PermissionError):  # EAGAIN, or as POSIX also allows, EACCES
            return False
        return True
