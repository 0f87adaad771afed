"""Ctrl-C once: finish the step, save, exit 0. Twice: stop at once."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
from collections.abc import Callable
from types import FrameType, TracebackType

from accel.launching.signals import STOP_SIGNALS, Echoes

INTERRUPTED_TWICE = 130  # exit code of a shell command ended by Ctrl-C
_GRACE_S = 4.0  # for the main thread to leave once it is asked twice; less than after a lost rank


class StopRequest:
    """Notes the first SIGINT or SIGTERM and raises KeyboardInterrupt when the same comes again.

    One of each asks once: a scheduler sends SIGTERM to every process of its job, and the launcher
    of a sweep passes the one it gets on as SIGINT. So does one that comes twice at once.

    Where the main thread cannot hear, as in a wait for a GPU, a second one ends the process without
    it; `tell_deaf` is then called with what has come, by another thread.
    """

    def __init__(self, on_first: Callable[[str], None]) -> None:
        """Call `on_first` with a text for the user when the first signal arrives."""
        self.signal_name: str | None = None
        self._on_first = on_first
        self._received: set[int] = set()
        self._echoes = Echoes()
        self._before: dict[int, object] = {}
        self.tell_deaf: Callable[[str], None] = lambda text: None

    def __enter__(self) -> StopRequest:
        self._before = {number: signal.signal(number, self._handle) for number in STOP_SIGNALS}
        self._has_left = threading.Event()
        self._arrivals, self._wakeup = socket.socketpair()
        self._wakeup.setblocking(False)
        self._wakeup_before = signal.set_wakeup_fd(self._wakeup.fileno(), warn_on_full_buffer=False)
        threading.Thread(target=self._listen, name="signals", daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._wakeup_before)
        self._has_left.set()
        self._wakeup.close()  # the thread ends

    def _listen(self) -> None:
        """Hear of signals when they arrive, not when the main thread gets to them."""
        echoes, received = Echoes(), set()
        with self._arrivals:
            while numbers := self._arrivals.recv(64):
                for number in numbers:
                    if number not in STOP_SIGNALS or echoes.is_echo(number):
                        continue
                    if number in received:
                        self._end_in_time(f"second signal ({signal.Signals(number).name})")
                    received.add(number)

    def _end_in_time(self, request: str) -> None:
        if self._has_left.wait(_GRACE_S):
            return
        try:
            self.tell_deaf(f"{request}, which the main thread did not hear")
            sys.stderr.flush()
        finally:
            os._exit(INTERRUPTED_TWICE)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._echoes.is_echo(number):
            return
        if number in self._received:
            raise KeyboardInterrupt(f"second signal ({signal.Signals(number).name})")
        self._received.add(number)
        if self.signal_name is not None:
            return
        self.signal_name = signal.Signals(number).name
        self._on_first(
            f"{self.signal_name}: finishing this update, then saving. Again to stop at once."
        )
