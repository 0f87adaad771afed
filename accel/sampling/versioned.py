"""Weights in shared memory, a new version now and then: readers never wait and never see two mixed.

Each version goes into the next of a few buffers. A buffer's sequence number is odd while it is
written; a reader copies the newest buffer and takes another if the number moved meanwhile (a
seqlock). That happens only where the writer has come round to the very buffer being copied.

A reader can also be told which buffer to take: that one must not be written again before.

Stores have to become visible in program order, as on x86; elsewhere the calls into the kernel that
announce a version to the reader order them.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from accel.shared import Field

NUM_BUFFERS = 3

Copy = Callable[[np.ndarray], None]


class VersionedWeights:
    """One writer's numbers [P] float32 and their version, which only grows."""

    @staticmethod
    def fields(size: int) -> list[Field]:
        """The arrays to share for `size` numbers."""
        return [
            Field("newest", (1,), "int64"),
            Field("sequence", (NUM_BUFFERS,), "int64"),
            Field("version", (NUM_BUFFERS,), "int64"),
            Field("weights", (NUM_BUFFERS, size), "float32"),
        ]

    def __init__(self, arrays: dict[str, np.ndarray]) -> None:
        """Use the shared `arrays` of `fields`, new ones all zero."""
        self._newest, self._sequence = arrays["newest"], arrays["sequence"]
        self._version, self._weights = arrays["version"], arrays["weights"]

    def write(self, version: int, fill: Copy) -> int:
        """Have `fill` write the weights of `version` into an array [P] float32.

        Returns the buffer, where they stay while at most `NUM_BUFFERS` - 1 more are written.
        """
        buffer = (int(self._newest[0]) + 1) % NUM_BUFFERS
        self._sequence[buffer] += 1
        fill(self._weights[buffer])
        self._version[buffer] = version
        self._sequence[buffer] += 1
        self._newest[0] = buffer
        return buffer

    def read(self, take: Copy, wanted: int | None = None) -> int:
        """Have `take` copy the weights [P] float32 of buffer `wanted`; return their version.

        None: the newest ones; `take` may then be called several times: what it was given the last
        time is whole.
        """
        while True:
            buffer = int(self._newest[0]) if wanted is None else wanted
            sequence = int(self._sequence[buffer])
            if sequence % 2:
                continue
            take(self._weights[buffer])
            version = int(self._version[buffer])
            if self._sequence[buffer] == sequence:
                return version
