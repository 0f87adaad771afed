"""Ctrl-C once: finish the step, save, exit 0. Twice: stop at once."""

from __future__ import annotations

import signal
from collections.abc import Callable
from types import FrameType, TracebackType

from accel.launching.signals import STOP_SIGNALS, Echoes


class StopRequest:
    """Notes the first SIGINT or SIGTERM and raises KeyboardInterrupt when the same comes again.

    One of each asks once: a scheduler sends SIGTERM to every process of its job, and the launcher
    of a sweep passes the one it gets on as SIGINT. So does one that comes twice at once.
    """

    def __init__(self, on_first: Callable[[str], None]) -> None:
        """Call `on_first` with a text for the user when the first signal arrives."""
        self.signal_name: str | None = None
        self._on_first = on_first
        self._received: set[int] = set()
        self._echoes = Echoes()
        self._before: dict[int, object] = {}

    def __enter__(self) -> StopRequest:
        self._before = {number: signal.signal(number, self._handle) for number in STOP_SIGNALS}
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

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
