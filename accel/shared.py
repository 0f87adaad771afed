"""Memory and wake-ups shared with worker processes, by inherited file descriptors alone.

The memory has no name in /dev/shm and the signals none anywhere, so whatever dies, and however,
the kernel frees them with the last process that holds them: nothing can leak.
"""

from __future__ import annotations

import mmap
import os
import sys
import tempfile
from dataclasses import dataclass

import numpy as np

_ALIGNMENT = 64  # a cache line: two writers of neighboring arrays never share one


@dataclass(frozen=True)
class Field:
    """Name, shape and dtype of one array in a block."""

    name: str
    shape: tuple[int, ...]
    dtype: str


class SharedBlock:
    """Named arrays in one anonymous memory block; another process attaches by file descriptor."""

    def __init__(self, fields: list[Field], fd: int | None = None) -> None:
        """Create the block, or attach to `fd`, which is kept open and owned from here on."""
        offsets, size = _layout(fields)
        self.fields = fields
        self.fd = _create_file(size) if fd is None else fd
        self._map = mmap.mmap(self.fd, size)
        self.memory = np.frombuffer(self._map, np.uint8)  # all of it, from a page's start on
        self.arrays = {
            field.name: np.frombuffer(
                self._map, field.dtype, int(np.prod(field.shape)), offset
            ).reshape(field.shape)
            for field, offset in zip(fields, offsets)
        }

    def close(self) -> None:
        """Give up the descriptor; the memory lives as long as an array of it does."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


class Signal:
    """A wake-up that a process can wait for beside others in one `poll`.

    An eventfd (about 5 us a round trip) on Linux, a pipe elsewhere.
    """

    def __init__(self, fds: tuple[int, int] | None = None) -> None:
        self.fds = _create_signal() if fds is None else fds
        self.fd = self.fds[0]  # becomes readable when posted

    def post(self) -> None:
        """Wake whoever polls `fd`."""
        os.write(self.fds[1], b"\1\0\0\0\0\0\0\0" if self.fds[0] == self.fds[1] else b"\1")

    def take(self) -> int:
        """Number of posts since the last call; 0 if none."""
        try:
            got = os.read(self.fd, 4096 if self.fds[0] != self.fds[1] else 8)
        except BlockingIOError:
            return 0
        return len(got) if self.fds[0] != self.fds[1] else int.from_bytes(got, "little")

    def close(self) -> None:
        for fd in set(self.fds):
            os.close(fd)


class Countdown:
    """Tells the last of `count` processes to arrive that it is the last, round after round.

    count - 1 tokens lie in an eventfd in semaphore mode, in a pipe elsewhere. Whoever arrives takes
    one; whoever finds none is the last, and puts all of them back before it lets anybody begin the
    next round. What each wrote before it arrived the last one's successors can read: every token
    changes hands under the kernel's lock.
    """

    def __init__(self, count: int, fds: tuple[int, int] | None = None) -> None:
        """Create it with all its tokens, or join the one of these descriptors."""
        self.count = count
        self.fds = _create_signal(semaphore=True) if fds is None else fds
        if fds is None:
            self._put_back()

    def arrive(self) -> bool:
        """Whether all others have arrived in this round; never waits."""
        is_eventfd = self.fds[0] == self.fds[1]
        try:
            os.read(self.fds[0], 8 if is_eventfd else 1)
        except BlockingIOError:
            self._put_back()  # nobody else can be here before the round that our caller begins
            return True
        return False

    def close(self) -> None:
        for fd in set(self.fds):
            os.close(fd)

    def _put_back(self) -> None:
        tokens = self.count - 1
        is_eventfd = self.fds[0] == self.fds[1]
        os.write(self.fds[1], tokens.to_bytes(8, sys.byteorder) if is_eventfd else bytes(tokens))


def _layout(fields: list[Field]) -> tuple[list[int], int]:
    offsets, size = [], 0
    for field in fields:
        offsets.append(size)
        nbytes = int(np.prod(field.shape)) * np.dtype(field.dtype).itemsize
        size += -(-nbytes // _ALIGNMENT) * _ALIGNMENT
    return offsets, max(size, _ALIGNMENT)


def _create_file(size: int) -> int:
    if hasattr(os, "memfd_create"):
        fd = os.memfd_create("accel")
    else:  # no name here either: the file is unlinked as soon as it is open
        with tempfile.TemporaryFile() as file:
            fd = os.dup(file.fileno())
    os.ftruncate(fd, size)
    return fd


def _create_signal(semaphore: bool = False) -> tuple[int, int]:
    """Where to read and where to write; the same descriptor twice if it is an eventfd."""
    if hasattr(os, "eventfd"):
        mode = os.EFD_SEMAPHORE if semaphore else 0
        fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC | mode)
        return fd, fd
    read_fd, write_fd = os.pipe()
    os.set_blocking(read_fd, False)
    return read_fd, write_fd
