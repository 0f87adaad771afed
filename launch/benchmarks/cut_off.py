"""Being asked to stop: an exception where the work is, once, so that what there is can be shown."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from accel.launching.signals import STOP_SIGNALS, Echoes


class CutOff(KeyboardInterrupt):
    """A signal asked to stop, or the time is up."""

    def __init__(self, number: int) -> None:
        super().__init__(f"cut off by {signal.Signals(number).name}")
        self.is_time_up = number == signal.SIGALRM
        self.exit_code = 0 if self.is_time_up else 128 + number  # as a shell has it


@contextmanager
def cut_off_by_signals(limit_s: float | None = None) -> Iterator[None]:
    """SIGINT and SIGTERM raise CutOff inside the block, and so do `limit_s` seconds.

    One of each asks once, as of a run (see accel/runners/stop.py); the same again, while the block
    cleans up, ends the process at once.
    """
    echoes, numbers = Echoes(), (*STOP_SIGNALS, signal.SIGALRM)
    received: set[int] = set()

    def handle(number: int, frame: FrameType | None) -> None:
        if echoes.is_echo(number):
            return
        if number in received:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        received.add(number)
        if len(received) == 1:
            raise CutOff(number)

    before = {number: signal.signal(number, handle) for number in numbers}
    signal.setitimer(signal.ITIMER_REAL, limit_s or 0.0)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        for number, handler in before.items():
            signal.signal(number, handler)
