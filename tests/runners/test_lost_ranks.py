"""A rank is lost while another waits for it in C: gone in time, by name, with nothing left over."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from accel.launching.signals import ECHO_S
from accel.runs.reading import read_manifest
from tests.run_commands import SMALL, Command, wait_until, words
from tests.shared_names import nothing_new, shared_names

TRAIN = (
    "train",
    *SMALL,
    *words(
        "env=gym env.game=nccl_like:Game-none-v0 model=mlp model.hidden_size=8 sampler=serial "
        "sampler.num_envs=6 algo.rollout_length=8 algo.num_minibatches=1 algo.num_epochs=1 "
        "total_agent_steps=100_000 checkpoint_interval_s=0.01 run_dir=run"
    ),
)


@pytest.fixture
def start_until_stuck(start, tmp_path: Path) -> Callable[..., Command]:
    """A run of so many ranks, all but the second of which wait for that one."""

    def start_it(learners: int) -> Command:
        command = start(*TRAIN, f"hardware.learners={learners}")
        wait_until(lambda: (tmp_path / "stuck").exists() or command.process.poll() is not None)
        assert command.process.poll() is None, command.stderr
        return command

    return start_it


@pytest.mark.parametrize(
    ("sent", "learners", "how"),
    [
        (signal.SIGKILL, 2, "its process ended"),
        (signal.SIGSTOP, 3, "no sign of life for 8 s"),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_the_others_end_by_themselves(sent, learners, how, start_until_stuck, tmp_path) -> None:
    shared = shared_names()
    command = start_until_stuck(learners)
    os.kill(command.ranks()[1], sent)
    command.ends_with(1, within_s=20)
    assert command.pids() == []
    assert nothing_new(shared)
    manifest = read_manifest(tmp_path / "run").data
    assert manifest["status"] == "failed"
    told = f"rank 1 was lost ({how}) while rank 0 waited for it"
    assert manifest["exit_reason"] == f"RankError: {told}"
    assert f"stopped: {told}. The last checkpoint, at " in command.stderr
    assert "the same command continues from it." in command.stderr
    assert "rank 0 was lost" not in command.stderr and "rank 2 was lost" not in command.stderr


def test_asked_twice_who_waits_for_a_stuck_rank_leaves(start_until_stuck, tmp_path) -> None:
    """The stuck rank lives, and could go on; the one that waits hears no signal."""
    command = start_until_stuck(2)
    for _ in range(2):
        time.sleep(2 * ECHO_S)
        command.process.send_signal(signal.SIGTERM)
    command.ends_with(130, within_s=20)
    assert command.pids() == []
    manifest = read_manifest(tmp_path / "run").data
    assert manifest["status"] == "interrupted"
    assert manifest["exit_reason"] == (
        "second signal (SIGTERM), which the main thread did not hear"
    )
