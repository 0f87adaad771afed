"""Start, command, watch and stop the environment workers.

No wait is without a time-out and every wait also watches the workers' sockets, so a worker that
raises, is killed or hangs ends the run within seconds with its own traceback or exit code.
"""

from __future__ import annotations

import os
import select
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import replace
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any

from accel.envs.batch import EnvRecipe
from accel.sampling.child import how_it_ended
from accel.sampling.layout import deal
from accel.sampling.stepping import RESET
from accel.sampling.worker import WorkerPlan
from accel.shared import Countdown, Field, SharedBlock, Signal
from accel.types import Span

_START_TIMEOUT_S = 120.0  # where nothing can be cached, each compiles the frame kernel first
_STOP_TIMEOUT_S = 2.0


class WorkerError(RuntimeError):
    """A worker raised, died or hung; the message holds its own traceback or exit code."""


class Workers:
    """`num_workers` processes that step the environments of a shared rollout, group by group.

    `release(group, slot, t)` tells all workers to do step t of a group; `wait(group)` returns when
    all have. Groups are independent: while one steps, the other can be served.
    """

    def __init__(
        self,
        recipe: EnvRecipe,
        fields: list[Field],
        groups: list[slice],
        *,
        num_workers: int,
        seed: int,
        first_index: int = 0,
        decorrelation_steps: int = 0,
        timeout_s: float = 10.0,
        num_spans: int = 0,
    ) -> None:
        """Start the workers and wait until each has built its environments.

        Each remembers its last `num_spans` steps for `spans`.

        Raises:
            WorkerError: one failed to start.
        """
        recipe.prepare()  # once here, and not in all workers at once
        self._timeout_s = timeout_s
        # Starting games takes up to `decorrelation_steps` steps of each at a stretch.
        self._reset_timeout_s = _START_TIMEOUT_S if decorrelation_steps else timeout_s
        self._num_workers = num_workers
        self._slices = deal(groups, num_workers)
        self.block = SharedBlock(
            [*fields, Field("commands", (len(groups), 3), "int64"),
             Field("busy_ns", (num_workers,), "int64"),
             Field("spans", (num_workers, num_spans, 3), "int64")]
        )  # fmt: skip
        self.arrays = self.block.arrays
        self._go = [Signal() for _ in range(num_workers)]
        self._done = [Signal() for _ in groups]
        self._last = [Countdown(num_workers) for _ in groups]
        self._is_reset = [False] * len(groups)
        self._num_released = 0
        self._processes: list[subprocess.Popen[bytes]] = []
        self._connections: list[Connection] = []
        plan = WorkerPlan(
            index=0, recipe=recipe, seed=seed, first_index=first_index,
            decorrelation_steps=decorrelation_steps, slices=[], fields=self.block.fields,
            block_fd=self.block.fd, go_fds=(-1, -1), done_fds=[done.fds for done in self._done],
            num_workers=num_workers, last_fds=[last.fds for last in self._last],
        )  # fmt: skip
        try:
            for index, slices in enumerate(self._slices):
                self._start(replace(plan, index=index, slices=slices, go_fds=self._go[index].fds))
            self._polls = [self._poll_for(done) for done in self._done]
            for index in range(num_workers):
                self._receive(index, "ready", _START_TIMEOUT_S)
        except BaseException:
            self.close()
            raise

    def release(self, group: int, slot: int, t: int) -> None:
        """Have every worker do step `t` (or RESET) of `group` in `slot`."""
        # A ring with room for every group: what stood here before has been done by all workers.
        commands = self.arrays["commands"]
        commands[self._num_released % len(commands)] = group, slot, t
        self._num_released += 1
        self._is_reset[group] = t == RESET
        for go in self._go:
            go.post()

    def wait(self, group: int) -> None:
        """Return when every worker has finished its last released step of `group`.

        The last of them to finish wakes this process, the others do not.

        Raises:
            WorkerError: a worker failed, died, or took longer than the time-out.
        """
        done = self._done[group]
        deadline = None
        while not done.take():
            now = time.monotonic()
            if deadline is None:
                timeout_s = self._reset_timeout_s if self._is_reset[group] else self._timeout_s
                deadline = now + timeout_s
            if now >= deadline:
                raise _hung(f"step of group {group}", timeout_s)
            for fd, _ in self._polls[group].poll(1000 * (deadline - now)):
                if fd != done.fd:
                    raise self._failure(fd)

    def busy_seconds(self) -> float:
        """Seconds a worker has spent stepping so far, on average."""
        return float(self.arrays["busy_ns"].mean()) / 1e9

    def spans(self) -> list[Span]:
        """The last steps of each worker, as many as were asked for."""
        return [
            Span(f"worker {index}", f"step, group {group}", start / 1e9, end / 1e9)
            for index, steps in enumerate(self.arrays["spans"].tolist())
            for group, start, end in steps
        ]

    @property
    def pids(self) -> list[int]:
        """Process ids of the workers."""
        return [process.pid for process in self._processes]

    def state_dict(self) -> list[dict[str, Any]]:
        """States of all environments in the order of their global index, whatever the layout.

        Only between steps.
        """
        by_column: dict[int, dict[str, Any]] = {}
        answers = self._ask("save", [None] * self._num_workers, "saved")
        for slices, groups in zip(self._slices, answers):
            for columns, states in zip(slices, groups):
                by_column.update(zip(range(columns.start, columns.stop), states))
        return [by_column[column] for column in sorted(by_column)]

    def load_state_dict(self, states: list[dict[str, Any]]) -> None:
        """Put every environment back to where `state_dict` of any layout found it.

        Only between steps.
        """
        parts = [[states[columns] for columns in slices] for slices in self._slices]
        self._ask("load", parts, "loaded")

    def seed(self, seed: int) -> None:
        """Build all environments anew with another seed; `release` RESET next."""
        self._ask("seed", [seed] * self._num_workers, "seeded")

    def close(self) -> None:
        """End all workers: asked first, killed after two seconds. May be called twice."""
        for connection in self._connections:
            with suppress(OSError):  # it may be gone already
                connection.send(("close", None))
        deadline = time.monotonic() + _STOP_TIMEOUT_S
        for process in self._processes:
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for connection in self._connections:
            connection.close()
        self._processes, self._connections = [], []
        self.block.close()
        for signal in (*self._done, *self._go, *self._last):
            signal.close()
        self._done, self._go, self._last = [], [], []

    def _start(self, plan: WorkerPlan) -> None:
        ours, theirs = Pipe()
        fds = {plan.block_fd, theirs.fileno()}
        fds.update(fd for pair in (plan.go_fds, *plan.done_fds, *plan.last_fds) for fd in pair)
        self._processes.append(
            subprocess.Popen(
                [sys.executable, "-m", "accel.sampling.worker", str(theirs.fileno())],
                pass_fds=tuple(fds),
                stdin=subprocess.DEVNULL,
                start_new_session=True,  # a terminal's Ctrl-C reaches the main process alone
                env={**os.environ, **_ONE_THREAD, "PYTHONPATH": os.pathsep.join(sys.path)},
            )
        )
        theirs.close()
        self._connections.append(ours)
        ours.send(plan)

    def _poll_for(self, done: Signal) -> select.poll:
        poll = select.poll()
        for fd in (done.fd, *(connection.fileno() for connection in self._connections)):
            poll.register(fd, select.POLLIN)
        return poll

    def _ask(self, request: str, payloads: list[Any], answer: str) -> list[Any]:
        """The answers of all workers, each about all its environments, which may take a while."""
        for index, (connection, payload) in enumerate(zip(self._connections, payloads)):
            try:
                connection.send((request, payload))
            except OSError:
                raise self._death(index) from None
        return [self._receive(i, answer, _START_TIMEOUT_S) for i in range(self._num_workers)]

    def _receive(self, index: int, expected: str, timeout_s: float) -> Any:
        connection = self._connections[index]
        if not connection.poll(timeout_s):
            raise _hung(expected, timeout_s)
        try:
            kind, payload = connection.recv()
        except (EOFError, OSError):
            raise self._death(index) from None
        if kind == "failed":
            raise WorkerError(f"environment worker {index} failed:\n{payload}")
        assert kind == expected, (kind, expected)
        return payload

    def _failure(self, fd: int) -> WorkerError:
        fds = [connection.fileno() for connection in self._connections]
        index = fds.index(fd)
        try:
            self._receive(index, "failed", timeout_s=1.0)
        except WorkerError as error:
            return error
        raise AssertionError("a worker spoke without being asked")

    def _death(self, index: int) -> WorkerError:
        return WorkerError(f"environment worker {index} {how_it_ended(self._processes[index])}")


def _hung(what: str, timeout_s: float) -> WorkerError:
    return WorkerError(
        f"no answer from the environment workers within {timeout_s:g} s ({what}); "
        "if the environment is that slow, raise sampler.timeout_s"
    )


_ONE_THREAD = {name: "1" for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
