"""A thread that writes a replay's rows to disk, so that no learner waits for it.

The learner's thread copies a segment's rows into memory of the host, which costs what it cost to
append them once more, and goes on. So what is written is never overwritten meanwhile, on a GPU the
copy is one more piece of its work, in order with the rest, and this thread knows nothing of it.
Only `MOST_PIECES` are there at a time. Until one is free again, rows stay where they are, in the
replay: nobody waits, and a disk that is too slow leaves more to be written at the next checkpoint.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from queue import SimpleQueue

from torch import Tensor

from accel.replay.ring import Copied, FrameRing

MOST_PIECES = 2  # one that is written, and one that follows at once
_LOOK_S = 1.0  # a wait in C would keep Ctrl-C waiting
_CLOSE_TIMEOUT_S = 10.0  # for what is being written: a segment


@dataclass
class Piece:
    """Rows on their way to disk."""

    rows: range
    write: Callable[[dict[str, Tensor]], None]
    memory: dict[str, Tensor]
    copied: Copied | None  # None: into `memory` already
    is_given: bool = False  # to the thread
    is_over: threading.Event = field(default_factory=threading.Event)
    error: BaseException | None = None  # what `write` raised


class SegmentWriter:
    """Writes segments of one size, in the order they come, in a thread started with the first."""

    def __init__(self, ring: FrameRing, segment_rows: int) -> None:
        self._ring, self._segment_rows = ring, segment_rows
        self._free: list[dict[str, Tensor]] = []  # memory of pieces that are over
        self._pieces: deque[Piece] = deque()  # those that are not, or were not collected
        self._queue: SimpleQueue[Piece | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._is_closing = False

    @property
    def has_room(self) -> bool:
        """Whether another piece may be given."""
        return len(self._pieces) < MOST_PIECES

    def give(self, rows: range, write: Callable[[dict[str, Tensor]], None]) -> None:
        """Copy a segment's `rows` and have the thread call `write` with them. Waits for nothing."""
        memory = self._free.pop() if self._free else self._ring.host_memory(self._segment_rows)
        self._pieces.append(Piece(rows, write, memory, self._ring.bring_rows(rows, memory)))
        self._pass_on()

    def collect(self) -> list[Piece]:
        """The pieces that have come to their end since the last call, in their order."""
        self._pass_on()
        over = []
        while self._pieces and self._pieces[0].is_over.is_set():
            over.append(self._pieces.popleft())
            self._free.append(over[-1].memory)
        return over

    def wait(self) -> None:
        """Return when all pieces have come to their end; as long as the disk takes."""
        for piece in self._pieces:
            if piece.copied is not None:
                piece.copied.synchronize()
        self._pass_on()
        for piece in self._pieces:
            while not piece.is_over.wait(_LOOK_S):
                if self._thread is None or not self._thread.is_alive():
                    raise RuntimeError("the replay is written no more: its writer has been closed")

    def close(self) -> None:
        """End the thread after what it is writing; leave the rest. May be called twice.

        A disk that takes longer than ten seconds even for that is left to itself: the thread ends
        with the process, and what it leaves is a temporary file, which a resumed run removes.
        """
        self._is_closing = True
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join(_CLOSE_TIMEOUT_S)
            self._thread = None

    def _pass_on(self) -> None:
        """Give the thread those pieces whose rows have arrived on the host."""
        for piece in self._pieces:
            if piece.copied is not None and not piece.copied.query():
                return  # nor have the later ones
            piece.copied = None
            if not piece.is_given:
                piece.is_given = True
                self._queue.put(piece)
                self._start()

    def _start(self) -> None:
        if self._thread is None:
            # Nothing may keep the interpreter from its end, least of all a disk.
            self._thread = threading.Thread(target=self._run, name="replay writer", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while (piece := self._queue.get()) is not None and not self._is_closing:
            try:
                piece.write(piece.memory)
            except BaseException as error:  # told to whoever collects the piece
                piece.error = error
            piece.is_over.set()
