"""The loop that keeps the slots filled until every job has run, or until asked to stop."""

from __future__ import annotations

import signal
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

from accel.launching.job import Job, State
from accel.launching.signals import STOP_SIGNALS, Echoes
from accel.launching.slots import Slot
from accel.launching.table import SweepView

FAILED = 1  # exit codes
STOPPED_AT_ONCE = 130
_POLL_S = 0.1  # between looks at the processes
_VIEW_S = 1.0  # between looks into the run folders
_LEAVE_S = 5.0  # what a job asked twice has for leaving before it is killed


class Sweep:
    """Runs jobs, as many at a time as there are slots; the next begins when a slot is free.

    Ctrl-C or SIGTERM once: no more are started, those running are asked to save and leave. Twice:
    they are stopped at once. No job outlives `run`, however that ends.
    """

    def __init__(self, jobs: Sequence[Job], slots: Sequence[Slot], view: SweepView) -> None:
        self._jobs, self._view = jobs, view
        self._waiting = deque(job for job in jobs if job.state is State.WAITING)
        self._free = list(slots)
        self._signals: list[str] = []  # names of those received
        self._echoes = Echoes()
        self._passed_on = 0

    def run(self) -> int:
        """Run everything; return the exit code: 0, 1 if a job failed, 130 if stopped at once."""
        next_view = 0.0
        with self._listening():
            try:
                while self._step():
                    if time.monotonic() >= next_view:
                        self._look()
                        next_view = time.monotonic() + _VIEW_S
                    time.sleep(_POLL_S)
            finally:
                for job in self._running():
                    job.kill()
                    job.poll()
                self._view.close()
        if len(self._signals) > 1:
            return STOPPED_AT_ONCE
        return FAILED if any(job.state is State.FAILED for job in self._jobs) else 0

    def _step(self) -> bool:
        """React to what has happened since; False when all is over."""
        for job in self._running():
            if job.poll():
                self._view.ended(job)
                self._free.append(job.slot)
        self._pass_signals_on()
        if len(self._signals) > 1:
            self._wait_a_little()
            return False
        while self._free and self._waiting and not self._signals:
            self._free.sort(key=lambda slot: slot.index)
            self._start(self._waiting.popleft())
        return bool(self._running())

    def _start(self, job: Job) -> None:
        try:
            job.start(self._free[0])
        except OSError as error:  # its folder or log cannot be written
            job.state = State.FAILED
            self._view.could_not_start(job, error)
        else:
            self._free.pop(0)
            self._view.started(job)

    def _running(self) -> list[Job]:
        return [job for job in self._jobs if job.state.is_running]

    def _look(self) -> None:
        for job in self._running():
            job.read_progress()
        self._view.update()

    def _pass_signals_on(self) -> None:
        """Each job is asked once for each signal, however the launcher got it."""
        for name in self._signals[self._passed_on : 2]:
            running = self._running()
            if self._passed_on == 0:
                self._view.note(
                    f"{name}: {len(running)} jobs save and leave. Again to stop at once."
                )
            for job in running:
                job.ask_to_stop()
            self._passed_on += 1

    def _wait_a_little(self) -> None:
        """Jobs asked twice end by themselves, unless they hang."""
        deadline = time.monotonic() + _LEAVE_S
        while self._running() and time.monotonic() < deadline:
            for job in self._running():
                job.poll()
            time.sleep(_POLL_S)

    @contextmanager
    def _listening(self) -> Iterator[None]:
        before = {number: signal.signal(number, self._note) for number in STOP_SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if not self._echoes.is_echo(number):
            self._signals.append(signal.Signals(number).name)
