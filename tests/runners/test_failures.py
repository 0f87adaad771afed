"""A run whose environment or worker fails: it ends in seconds, says why, and leaves nothing."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from faulty_games import UPDATES_BEFORE_FAULT

from accel.runs.reading import read_manifest
from tests.run_commands import SLOW, SMALL, Command
from tests.shared_names import nothing_new, shared_names

TRAIN = ("train", *SMALL, *SLOW, "total_agent_steps=100000000", "run_dir=run")


@pytest.fixture
def fails(start, tmp_path: Path) -> Callable[..., Command]:
    """Run a command that has to fail within 10 seconds of `strike`, leaving nothing behind."""

    def fails(*words: str, strike: Callable[[Command], None]) -> Command:
        shared = shared_names()
        command = start(*TRAIN, *words)
        strike(command)
        command.ends_with(1, within_s=10)
        assert command.pids() == []
        assert nothing_new(shared)
        manifest = read_manifest(tmp_path / "run").data
        assert manifest["status"] == "failed" and "WorkerError" in manifest["exit_reason"]
        return command

    return fails


def test_a_killed_worker_ends_the_run(fails, tmp_path) -> None:
    def kill_a_worker(command: Command) -> None:
        command.wait_for_rows(tmp_path / "run", 3)
        os.kill(command.workers()[0], signal.SIGKILL)

    assert "killed by SIGKILL" in fails(strike=kill_a_worker).stderr


def test_an_exception_comes_with_the_games_own_traceback(fails, tmp_path) -> None:
    command = fails(
        "env.game=faulty_games:Game-raise-v0",
        strike=lambda command: command.wait_for_rows(tmp_path / "run", UPDATES_BEFORE_FAULT // 2),
    )
    assert "ZeroDivisionError: the game divided by zero" in command.stderr
    assert 'raise ZeroDivisionError("the game divided by zero")' in command.stderr


def test_a_hang_is_not_waited_for(fails, tmp_path) -> None:
    command = fails(
        "env.game=faulty_games:Game-hang-v0",
        "sampler.timeout_s=2",
        strike=lambda command: command.wait_for_rows(tmp_path / "run", UPDATES_BEFORE_FAULT - 1),
    )
    assert "within 2 s" in command.stderr and "sampler.timeout_s" in command.stderr


def test_a_game_that_raises_in_this_process_ends_the_run_too(start, tmp_path) -> None:
    command = start(*TRAIN, "sampler=serial", "env.game=faulty_games:Game-raise-v0")
    command.ends_with(1)
    assert "the game divided by zero" in command.stderr
    assert read_manifest(tmp_path / "run").data["status"] == "failed"
