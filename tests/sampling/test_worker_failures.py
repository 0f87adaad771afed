"""A worker that raises, dies or hangs: told in seconds, with its own words, nothing left behind."""

import os
import signal
import time
from pathlib import Path

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete

from accel.sampling.workers import WorkerError
from tests.run_commands import ROOT


class Faulty(gymnasium.Env):
    """Raises or sleeps at its fifth step, by name."""

    observation_space = Box(0.0, 1.0, (2,))
    action_space = Discrete(2)

    def __init__(self, fault: str) -> None:
        self.fault, self.steps = fault, 0

    def reset(self, *, seed=None, options=None):
        return np.zeros(2, np.float32), {}

    def step(self, action):
        self.steps += 1
        if self.steps == 5 and self.fault == "raise":
            raise ZeroDivisionError("the fault of this environment")
        if self.steps == 5 and self.fault == "hang":
            time.sleep(60)
        return np.zeros(2, np.float32), 0.0, False, False, {}


for fault in ("raise", "hang", "none"):
    gymnasium.register(f"Faulty-{fault}-v0", entry_point=Faulty, kwargs={"fault": fault})


def is_running(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rsplit(")", 1)[1].split()[0] != "Z"


def start(play, fault: str, **settings: object):
    maker = play(f"{__name__}:Faulty-{fault}-v0", kind="gym")
    sampler = maker.sampler(num_workers=2, num_groups=2, **settings)
    sampler.start()
    return sampler, sampler._stepper.pids


def fails(sampler, pids: list[int], within_s: float) -> str:
    began = time.monotonic()
    with pytest.raises(WorkerError) as caught:
        for version in range(100):
            sampler.collect(version)
    sampler.close()
    assert time.monotonic() - began < within_s
    assert not any(is_running(pid) for pid in pids)
    return str(caught.value)


def test_an_exception_comes_with_its_own_traceback(play, leaves_nothing) -> None:
    message = fails(*start(play, "raise"), within_s=10)
    assert "ZeroDivisionError: the fault of this environment" in message
    assert "in step" in message and "environment worker" in message


def test_a_hang_ends_by_time_out(play, leaves_nothing) -> None:
    message = fails(*start(play, "hang", timeout_s=1.5), within_s=10)
    assert "no answer from the environment workers within 1.5 s" in message


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_a_killed_worker_is_named_with_its_signal(
    play, leaves_nothing, number: signal.Signals
) -> None:
    sampler, pids = start(play, "none")
    sampler.collect(0)
    os.kill(pids[1], number)
    assert f"environment worker 1 died: killed by {number.name}" in fails(sampler, pids, 10)


def test_a_failing_start_is_told_at_once(play, leaves_nothing) -> None:
    maker = play("CartPole-v1", kind="gym")
    object.__setattr__(maker.recipe, "game", "NoSuchEnvironment-v0")
    with pytest.raises(WorkerError, match="NoSuchEnvironment"):
        maker.sampler(num_workers=2, num_groups=2)


def test_closing_twice_is_harmless(play, leaves_nothing) -> None:
    sampler, pids = start(play, "none")
    sampler.close()
    sampler.close()
    assert not any(is_running(pid) for pid in pids)


def test_workers_end_when_the_parent_is_killed(tmp_path) -> None:
    """SIGKILL leaves no time to clean up: the workers notice that the other side hung up."""
    import subprocess
    import sys

    script = (
        "import sys, time\n"
        "from tests.sampling.plays import Play\n"
        "s = Play('CartPole-v1', kind='gym').sampler(num_workers=2, num_groups=2)\n"
        "s.start(); print(*s._stepper.pids, flush=True); time.sleep(60)\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, cwd=ROOT, text=True
    )
    pids = [int(word) for word in parent.stdout.readline().split()]
    assert len(pids) == 2 and all(map(is_running, pids))
    parent.kill()
    parent.wait()
    deadline = time.monotonic() + 10
    while any(map(is_running, pids)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(is_running, pids))
    parent.stdout.close()
