"""An actor process that fails, or whose worker or learner does: told in seconds, nothing left."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from faulty_games import UPDATES_BEFORE_FAULT

from accel.launching.signals import ECHO_S
from accel.runs.reading import read_manifest
from tests.run_commands import SLOW, SMALL, Command, wait_until
from tests.shared_names import nothing_new, shared_names

ENDLESS = ("train", *SMALL, *SLOW, "total_agent_steps=100000000", "run_dir=run")
LAG_1, FREE = "runner.policy_lag=1", "runner.policy_lag=free"
LAGS = [LAG_1, pytest.param(FREE, marks=pytest.mark.slow)]  # most of the code is the same


def actor_of(command: Command) -> int:
    (pid,) = (pid for pid in command.workers() if "actor_process" in command_line(pid))
    return pid


def worker_of(command: Command) -> int:
    return next(pid for pid in command.workers() if "sampling.worker" in command_line(pid))


def command_line(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_text()


@pytest.fixture
def fails(start, tmp_path: Path) -> Callable[..., str]:
    """Run a command that has to fail soon after `strike`, leaving nothing; return what it said."""

    def fails(*words: str, after_rows: int = 3, strike=lambda command: None) -> str:
        shared = shared_names()
        command = start(*ENDLESS, *words)
        command.wait_for_rows(tmp_path / "run", after_rows)
        strike(command)
        command.ends_with(1, within_s=40)  # on a busy machine; 2 to 9 on an idle one
        wait_until(lambda: command.pids() == [], within_s=10)
        assert nothing_new(shared)
        manifest = read_manifest(tmp_path / "run").data
        assert manifest["status"] == "failed" and "WorkerError" in manifest["exit_reason"]
        return command.stderr

    return fails


@pytest.mark.parametrize("lag", LAGS)
def test_a_killed_actor_ends_the_run(lag: str, fails) -> None:
    said = fails(lag, strike=lambda command: os.kill(actor_of(command), signal.SIGKILL))
    assert "the actor process died: killed by SIGKILL" in said


@pytest.mark.parametrize("lag", LAGS)
def test_a_killed_worker_of_the_actor_ends_it_too(lag: str, fails) -> None:
    said = fails(lag, strike=lambda command: os.kill(worker_of(command), signal.SIGKILL))
    assert "the actor process failed" in said and "died: killed by SIGKILL" in said


@pytest.mark.parametrize("lag", LAGS)
def test_a_stopped_actor_is_not_waited_for(lag: str, fails) -> None:
    said = fails(
        lag,
        "sampler.timeout_s=1",
        strike=lambda command: os.kill(actor_of(command), signal.SIGSTOP),
    )
    assert "no sign of life from the actor process for 6 s" in said


def test_an_exception_comes_with_the_games_own_traceback(fails) -> None:
    said = fails(LAG_1, "env.game=faulty_games:Game-raise-v0", after_rows=UPDATES_BEFORE_FAULT // 2)
    assert 'raise ZeroDivisionError("the game divided by zero")' in said


def test_a_worker_that_hangs_is_named(fails) -> None:
    faulty = ("env.game=faulty_games:Game-hang-v0", "sampler.timeout_s=2")
    said = fails(LAG_1, *faulty, after_rows=UPDATES_BEFORE_FAULT // 2)
    assert "no answer from the environment workers within 2 s" in said


@pytest.mark.slow
def test_an_actor_hangs_with_a_game_of_its_own(fails) -> None:
    faulty = ("env.game=faulty_games:Game-hang-v0", "sampler.timeout_s=1", "sampler=serial")
    assert "no sign of life" in fails(FREE, *faulty, after_rows=UPDATES_BEFORE_FAULT // 2)


@pytest.mark.parametrize("lag", LAGS)
def test_a_killed_learner_leaves_no_process(lag: str, start, tmp_path: Path) -> None:
    command = start(*ENDLESS, lag)
    command.wait_for_rows(tmp_path / "run", 3)
    assert len(command.workers()) == 3
    command.process.kill()
    command.process.wait()
    wait_until(lambda: command.pids() == [], within_s=10)


def test_two_interrupts_end_it_amid_a_rollout(start) -> None:
    command = start(*ENDLESS, FREE, "algo.rollout_length=100000")
    wait_until(lambda: len(command.workers()) == 3 and "precision" in command.stdout)
    command.process.send_signal(signal.SIGINT)
    wait_until(lambda: "finishing this update" in command.stdout)
    time.sleep(ECHO_S + 0.1)
    command.process.send_signal(signal.SIGINT)
    command.ends_with(130, within_s=20)
    wait_until(lambda: command.pids() == [], within_s=10)
