"""A run that was stopped and continued equals one that never stopped, bit for bit."""

from __future__ import annotations

import random
import signal
import time
from pathlib import Path

import pytest

from accel.runs.reading import read_manifest
from tests.run_commands import SMALL, Command, wait_until, words
from tests.runners.run_results import computed
from tests.runners.runs_here import (
    BY_THE_CLOCK,
    PONG,
    RECALL,
    SAMPLERS,
    assert_equal,
    final_state,
    run,
)


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
