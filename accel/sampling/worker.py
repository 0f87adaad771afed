"""The environment worker: one process, a slice of each group, one loop.

Started by `workers.py` as `python -m accel.sampling.worker FD`, where FD is its end of a socket.
The socket carries the plan, the rare requests (save, load, seed, close) and a traceback if the
worker fails; that the other side hangs up tells each of them that the other has died.
"""

from __future__ import annotations

import select
import sys
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from accel.envs.batch import EnvRecipe
from accel.sampling.child import run_child
from accel.sampling.stepping import SliceStepper
from accel.shared import Countdown, Field, SharedBlock, Signal


@dataclass(frozen=True)
class WorkerPlan:
    """All a worker needs to know, as plain data."""

    index: int
    recipe: EnvRecipe
    seed: int
    first_index: int  # global index of the rollout's first environment
    decorrelation_steps: int
    slices: list[slice]  # this worker's columns in each group
    fields: list[Field]
    block_fd: int
    go_fds: tuple[int, int]  # this worker's signal: one more command
    done_fds: list[tuple[int, int]]  # one signal per group: all workers have stepped it
    num_workers: int
    last_fds: list[tuple[int, int]]  # one countdown per group: which worker is the last to do so


def run_worker(connection: Connection, plan: WorkerPlan) -> None:
    """Serve until told to close, or until the parent is gone."""
    arrays = SharedBlock(plan.fields, plan.block_fd).arrays
    steppers = _build_steppers(plan, arrays, plan.seed)
    go, done = Signal(plan.go_fds), [Signal(fds) for fds in plan.done_fds]
    last = [Countdown(plan.num_workers, fds) for fds in plan.last_fds]
    poll = select.poll()
    for fd in (go.fd, connection.fileno()):
        poll.register(fd, select.POLLIN)
    commands, busy_ns = arrays["commands"], arrays["busy_ns"][plan.index : plan.index + 1]
    num_done = 0  # steps; the next command's place in the ring
    spans = arrays["spans"][plan.index]  # a ring of (group, start, end); empty if nobody asked
    connection.send(("ready", None))
    while True:
        ready = [fd for fd, _ in poll.poll()]
        # In the order of their release: if one worker chose another group than the rest, every
        # group would be complete only when both are, and the actor could never work alongside.
        for _ in range(go.take()):
            start = time.perf_counter_ns()
            group, slot, t = commands[num_done % len(commands)].tolist()
            steppers[group].run(slot, t)
            end = time.perf_counter_ns()
            busy_ns += end - start
            if len(spans):
                spans[num_done % len(spans)] = group, start, end
            num_done += 1
            if last[group].arrive():  # one wake-up a step for the actor, whatever our number
                done[group].post()
        if connection.fileno() in ready:
            request, payload = _receive(connection)
            if request == "seed":
                steppers = _build_steppers(plan, arrays, payload)
            if not _answer(connection, steppers, request, payload):
                return


def _build_steppers(
    plan: WorkerPlan, arrays: dict[str, np.ndarray], seed: int
) -> list[SliceStepper]:
    return [
        SliceStepper(
            plan.recipe,
            arrays,
            columns,
            seed=seed,
            first_index=plan.first_index,
            decorrelation_steps=plan.decorrelation_steps,
        )
        for columns in plan.slices
    ]


def _receive(connection: Connection) -> tuple[str, Any]:
    try:
        return connection.recv()
    except (EOFError, OSError):
        return "close", None  # the parent died


def _answer(
    connection: Connection, steppers: list[SliceStepper], request: str, payload: Any
) -> bool:
    """Answer one request; false when the worker should end."""
    if request == "save":
        connection.send(("saved", [stepper.state_dict() for stepper in steppers]))
    elif request == "load":
        for stepper, state in zip(steppers, payload):
            stepper.load_state_dict(state)
        connection.send(("loaded", None))
    elif request == "seed":
        connection.send(("seeded", None))
    else:
        for stepper in steppers:
            stepper.close()
        return False
    return True


if __name__ == "__main__":
    run_child(int(sys.argv[1]), run_worker)
