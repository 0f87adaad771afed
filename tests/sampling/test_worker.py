"""A worker's end of the line, run in a thread of this process."""

import dataclasses
import os
import subprocess
import sys
import threading
from multiprocessing import Pipe

import pytest

from accel.envs.batch import EnvRecipe
from accel.sampling import worker
from accel.shared import Countdown, Field, SharedBlock, Signal

NUM_GROUPS = 3


@dataclasses.dataclass
class FakeStepper:
    """Notes what it is told to do."""

    group: int
    told: list[tuple[int, int, int]]

    def run(self, slot: int, t: int) -> None:
        self.told.append((self.group, slot, t))

    def close(self) -> None:
        pass


@pytest.fixture
def line(monkeypatch):
    """What `Workers` would hold, and what the worker was told."""
    told: list[tuple[int, int, int]] = []
    steppers = [FakeStepper(group, told) for group in range(NUM_GROUPS)]
    monkeypatch.setattr(worker, "_build_steppers", lambda *_: steppers)
    fields = [
        Field("commands", (NUM_GROUPS, 3), "int64"),
        Field("busy_ns", (1,), "int64"),
        Field("spans", (1, 2, 3), "int64"),
    ]
    block = SharedBlock(fields)
    go, done = Signal(), [Signal() for _ in range(NUM_GROUPS)]
    last = [Countdown(1) for _ in range(NUM_GROUPS)]
    ours, theirs = Pipe()
    plan = worker.WorkerPlan(
        index=0, recipe=EnvRecipe("atari", "pong"), seed=0, first_index=0, decorrelation_steps=0,
        slices=[], fields=fields, block_fd=os.dup(block.fd), go_fds=go.fds,
        done_fds=[signal.fds for signal in done], num_workers=1,
        last_fds=[countdown.fds for countdown in last],
    )  # fmt: skip
    thread = threading.Thread(target=worker.run_worker, args=(theirs, plan))

    def finish() -> list[tuple[int, int, int]]:
        thread.start()
        assert ours.recv() == ("ready", None)
        ours.send(("close", None))  # read after all that is pending
        thread.join(5)
        return told

    yield block.arrays, go, finish
    for signal in (go, *done, *last):
        signal.close()


def test_steps_are_done_in_the_order_of_their_release(line) -> None:
    """All pending at once, as after a delay: a worker must not pick a group by its number."""
    arrays, go, finish = line
    commands = arrays["commands"]
    released = [(2, 0, 7), (0, 1, 7), (1, 0, 6)]
    for place, command in enumerate(released):
        commands[place] = command
        go.post()
    assert finish() == released
    groups, starts, ends = arrays["spans"][0].T
    assert groups.tolist() == [1, 0]  # the ring of two has kept the last two
    assert (starts > 0).all() and (starts <= ends).all() and ends[1] <= starts[0]


@pytest.mark.skipif(not hasattr(os, "SCHED_BATCH"), reason="Linux's scheduling policies")
def test_children_are_batch_jobs_too() -> None:
    grandchild = "import os; print(os.sched_getscheduler(0))"
    child = (
        "import subprocess, sys\n"
        "from accel.sampling.scheduling import run_as_batch_job\n"
        "run_as_batch_job()\n"
        f"subprocess.run([sys.executable, '-c', {grandchild!r}], check=True)\n"
    )
    printed = subprocess.run([sys.executable, "-c", child], capture_output=True, check=True).stdout
    assert int(printed) == os.SCHED_BATCH
