"""However many workers step a group, the actor is woken once for it."""

from __future__ import annotations

import os
import random
import select
import threading
import time
from multiprocessing import Pipe

import pytest

from accel.envs.batch import EnvRecipe
from accel.sampling import worker
from accel.sampling.workers import WorkerError
from accel.shared import Countdown, Field, SharedBlock, Signal

NUM_GROUPS, NUM_STEPS = 2, 40


class SlowStepper:
    """Takes now long, now short, and says which step it has done."""

    def __init__(self, done: list[int], delays: random.Random) -> None:
        self.done, self.delays = done, delays

    def run(self, slot: int, t: int) -> None:
        time.sleep(self.delays.choice([0.0, 0.0, 2e-4, 1e-3]))
        self.done.append(t)

    def close(self) -> None:
        pass


class Crew:
    """Workers in threads of this process, and what the sampler does with them."""

    def __init__(self, num_workers: int, monkeypatch: pytest.MonkeyPatch) -> None:
        self.logs = [[[] for _ in range(NUM_GROUPS)] for _ in range(num_workers)]
        monkeypatch.setattr(worker, "_build_steppers", self._steppers)
        fields = [
            Field("commands", (NUM_GROUPS, 3), "int64"),
            Field("busy_ns", (num_workers,), "int64"),
            Field("spans", (num_workers, 0, 3), "int64"),
        ]
        self._block = SharedBlock(fields)
        self._go = [Signal() for _ in range(num_workers)]
        self.done = [Signal() for _ in range(NUM_GROUPS)]
        self._last = [Countdown(num_workers) for _ in range(NUM_GROUPS)]
        self._threads, self._lines, self._released = [], [], 0
        for index in range(num_workers):
            plan = worker.WorkerPlan(
                index=index, recipe=EnvRecipe("atari", "pong"), seed=0, first_index=0,
                decorrelation_steps=0, slices=[], fields=fields, block_fd=os.dup(self._block.fd),
                go_fds=self._go[index].fds, done_fds=[signal.fds for signal in self.done],
                num_workers=num_workers, last_fds=[countdown.fds for countdown in self._last],
            )  # fmt: skip
            self._start(plan)

    def _steppers(self, plan: worker.WorkerPlan, arrays, seed: int) -> list[SlowStepper]:
        delays = random.Random(plan.index)
        return [SlowStepper(log, delays) for log in self.logs[plan.index]]

    def _start(self, plan: worker.WorkerPlan) -> None:
        ours, theirs = Pipe()
        self._threads.append(threading.Thread(target=worker.run_worker, args=(theirs, plan)))
        self._threads[-1].start()
        assert ours.recv() == ("ready", None)
        self._lines.append(ours)

    def release(self, group: int, t: int) -> None:
        self._block.arrays["commands"][self._released % NUM_GROUPS] = group, 0, t
        self._released += 1
        for signal in self._go:
            signal.post()

    def wait(self, group: int) -> int:
        """Number of wake-ups that were there when the first was noticed."""
        assert select.select([self.done[group].fd], [], [], 10)[0]
        return self.done[group].take()

    def finish(self) -> None:
        for line in self._lines:
            line.send(("close", None))
        for thread in self._threads:
            thread.join(5)

    def close(self) -> None:
        for signal in (*self._go, *self.done, *self._last):
            signal.close()
        self._block.close()


@pytest.mark.parametrize("kind", ["eventfd", "pipe"])
@pytest.mark.parametrize("num_workers", [1, 2, 3, 8])
def test_one_wake_up_a_group_and_step(num_workers: int, kind: str, monkeypatch) -> None:
    """Two groups served in turn, as the sampler does it, by workers of random delays."""
    if kind == "pipe":
        monkeypatch.delattr(os, "eventfd", raising=False)
    crew = Crew(num_workers, monkeypatch)
    for group in range(NUM_GROUPS):
        crew.release(group, 0)
    for t in range(NUM_STEPS):
        for group in range(NUM_GROUPS):
            assert crew.wait(group) == 1
            assert [log[group][-1] for log in crew.logs] == [t] * num_workers
            if t + 1 < NUM_STEPS:
                crew.release(group, t + 1)
    crew.finish()
    assert [signal.take() for signal in crew.done] == [0] * NUM_GROUPS
    crew.close()


def test_processes_wake_the_actor_once_as_well(play, monkeypatch, leaves_nothing) -> None:
    maker = play("CartPole-v1", kind="gym")
    sampler = maker.sampler(num_envs=6, num_workers=3, num_groups=2)
    posts: list[int] = []
    take = Signal.take
    monkeypatch.setattr(Signal, "take", lambda self: posts.append(take(self)) or posts[-1])
    sampler.start()
    maker.collect(sampler, 2)
    sampler.close()
    assert max(posts) == 1
    assert sum(posts) == 2 * (1 + 2 * 24)  # of each group: a reset, and two rollouts of 24 steps


def test_a_worker_that_dies_once_it_has_stepped_is_named(play, leaves_nothing) -> None:
    """It has taken its token; its group's next step is never complete."""
    maker = play("CartPole-v1", kind="gym")
    sampler = maker.sampler(num_workers=2, num_groups=2)
    sampler.start()
    workers = sampler._stepper
    workers.release(0, 0, 0)
    workers.wait(0)
    os.kill(workers.pids[0], 9)
    workers.release(0, 0, 1)
    began = time.monotonic()
    with pytest.raises(WorkerError, match="environment worker 0 died: killed by SIGKILL"):
        workers.wait(0)
    assert time.monotonic() - began < 5
    sampler.close()
