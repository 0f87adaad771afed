"""A run that was stopped and continued equals one that never stopped, bit for bit."""

from __future__ import annotations

import csv
import random
import signal
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from run_commands import SMALL, Command, wait_until, words

from accel.config.derive import derive
from accel.config.machine import Machine
from accel.config.schema import Config
from accel.learning.sync import Alone
from accel.metrics.console import Console
from accel.runners.train import Training
from accel.runs.checkpoint import load_checkpoint
from accel.runs.folder import RunFolder
from accel.runs.reading import find_checkpoint, read_manifest

PONG = words(
    "env.game=pong sampler.num_envs=4 algo.rollout_length=16 algo.num_epochs=2 "
    "algo.num_minibatches=2 model.hidden_size=32 env.max_frames_per_episode=160 "
    "total_agent_steps=384"
)
SAMPLERS = {
    "serial": ["sampler=serial"],
    "parallel": ["sampler=parallel", "sampler.num_workers=2", "sampler.num_groups=2"],
}


class StopAfter:
    """Asks a run to stop when it looks for the n-th time, which it does before every update."""

    def __init__(self, updates: int) -> None:
        self._left = updates

    @property
    def signal_name(self) -> str | None:
        self._left -= 1
        return "SIGINT" if self._left < 0 else None


def run(config: Config, stop_after: int) -> None:
    derived = derive(config, Machine.detect("cpu"))
    with RunFolder(config.run_dir) as folder:
        training = Training(config, derived, Alone(), folder, Console())
        try:
            training.run(StopAfter(stop_after))
        finally:
            training.close()


def final_state(folder: Path) -> dict[str, Any]:
    return load_checkpoint(find_checkpoint(folder, "last")[0])


def assert_equal(left: Any, right: Any, path: str = "state") -> None:
    if isinstance(left, torch.Tensor):
        assert torch.equal(left, right), path
    elif isinstance(left, dict):
        assert left.keys() == right.keys(), path
        for key in left:
            assert_equal(left[key], right[key], f"{path}[{key!r}]")
    elif isinstance(left, list | tuple):
        assert len(left) == len(right), path
        for i, pair in enumerate(zip(left, right)):
            assert_equal(*pair, f"{path}[{i}]")
    else:
        assert left == right, path


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_resumed_run_equals_an_uninterrupted_one(sampler: str, make_config, tmp_path) -> None:
    chosen = [*PONG, *SAMPLERS[sampler]]
    run(make_config(*chosen, run_dir=tmp_path / "whole"), stop_after=1000)
    for stop_after in (2, 1, 1000):
        run(make_config(*chosen, run_dir=tmp_path / "parts"), stop_after)
    whole, parts = final_state(tmp_path / "whole"), final_state(tmp_path / "parts")
    assert whole["records"]["games"]["total"] > 0 and whole["agent_steps"] == 384
    assert_equal(whole, parts)


def test_a_run_goes_on_with_another_layout(make_config, tmp_path) -> None:
    """Workers come and go; one group each time, so that the policy rounds its sums alike."""
    layouts = ("sampler.num_workers=2", "sampler=serial", "sampler.num_workers=1")
    run(make_config(*PONG, "sampler=serial", run_dir=tmp_path / "serial"), stop_after=1000)
    for layout, stop_after in zip(layouts, (2, 1, 1000)):
        chosen = (*PONG, "sampler.num_groups=1", layout)
        run(make_config(*chosen, run_dir=tmp_path / "mixed"), stop_after)
    assert_equal(final_state(tmp_path / "serial"), final_state(tmp_path / "mixed"))


RECALL = words(
    "env=gym env.game=recall_game:Recall-v0 model=mlp model.separate_critic=false model.core=lstm "
    "model.hidden_size=8 model.core_size=8 sampler.num_envs=4 algo.rollout_length=7 "
    "algo.num_epochs=2 algo.num_minibatches=2 total_agent_steps=280"
)


def test_a_resumed_run_remembers_what_its_games_have_shown(make_config, tmp_path) -> None:
    """Stopped in the midst of episodes, with another layout each time."""
    layouts = ("sampler.num_workers=2", "sampler=serial", "sampler.num_workers=1")
    run(make_config(*RECALL, "sampler=serial", run_dir=tmp_path / "whole"), stop_after=1000)
    for layout, stop_after in zip(layouts, (2, 1, 1000)):
        chosen = (*RECALL, "sampler.num_groups=1", layout)
        run(make_config(*chosen, run_dir=tmp_path / "parts"), stop_after)
        state = final_state(tmp_path / "parts")["sampler"]["last"]
        assert state["state"].shape == (4, 16) and (state["age"] > 0).any()
    assert_equal(final_state(tmp_path / "whole"), final_state(tmp_path / "parts"))


# Killed at any moment, a run goes on from a checkpoint that was saved by the clock.
KILLED = {
    "ppo": (*PONG, "sampler=serial", "total_agent_steps=1536"),
    "a2c": words(
        "algo=a2c env.game=pong sampler.num_envs=4 model.hidden_size=32 sampler.num_workers=2 "
        "env.max_frames_per_episode=160 total_agent_steps=2000"
    ),
}
BY_THE_CLOCK = "checkpoint_interval_s=0.05"


def computed(run: Path) -> list[dict[str, str]]:
    """The rows of metrics.csv without what the machine's speed decides."""
    with (run / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    timed = {"wall_time_s", "charts/SPS", *(k for k in rows[0] if k.endswith("_percent"))}
    return [{key: row[key] for key in row if key not in timed} for row in rows]


def kill_at_a_random_moment(command: Command, said: str, run: Path) -> None:
    """Kill it once it has said so and has a checkpoint, and a little later than that."""
    wait_until(lambda: said in command.stdout and any(run.glob("checkpoints/step_*")))
    time.sleep(random.SystemRandom().uniform(0, 0.1))
    command.process.send_signal(signal.SIGKILL)
    assert command.process.wait() == -signal.SIGKILL, f"it ended first: {command.stdout}"
    wait_until(lambda: command.pids() == [])


@pytest.mark.parametrize("algo", [pytest.param("ppo", marks=pytest.mark.slow), "a2c"])
def test_a_run_killed_at_any_moment_equals_one_that_was_not(
    algo: str, start, make_config, tmp_path
) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    run(make_config(*KILLED[algo], run_dir=whole), stop_after=1000)
    for said in ("none while training", "continuing from"):  # before and after its first kill
        command = start("train", *SMALL, *KILLED[algo], BY_THE_CLOCK, f"run_dir={killed}")
        kill_at_a_random_moment(command, said, killed)
    assert read_manifest(killed).data["status"] == "running"
    run(make_config(*KILLED[algo], run_dir=killed), stop_after=1000)
    assert_equal(final_state(whole), final_state(killed))
    rows = computed(whole)
    assert len(rows) > 20 and rows == computed(killed)
