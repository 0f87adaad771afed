"""Runs of asynchronous learners on this machine: learning, stopped, killed and resumed."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

import pytest
import torch

from accel.runners.train import train
from accel.runs.checkpoint import load_checkpoint
from accel.runs.curves import read_curve
from accel.runs.reading import find_checkpoint, read_manifest
from tests.run_commands import SMALL, wait_until, words
from tests.runners.run_results import results, rows

# Some 3 ms of playing per update and rank.
GAME = words(
    "env=gym env.game=faulty_games:Game-none-v0 model=mlp model.hidden_size=8 sampler=serial "
    "sampler.num_envs=4"
)
LEARNERS = words("hardware.learners=2 log_interval_s=0.1")
SETTINGS = {
    "a3c": words("algo=a3c"),
    "appo": words("algo=appo algo.rollout_length=8 algo.num_minibatches=2 algo.num_epochs=2"),
    "async_dqn": words(
        "algo=async_dqn algo.learning_starts=64 algo.replay_capacity=640 algo.batch_size=8 "
        "algo.target_interval_agent_steps=64"
    ),
}
LONG = "total_agent_steps=1_000_000"


def run_words(algorithm: str) -> tuple[str, ...]:
    return ("train", *SMALL, *GAME, *SETTINGS[algorithm], *LEARNERS, "run_dir=run")


@pytest.mark.parametrize("algorithm", SETTINGS)
def test_two_learners_share_the_work(algorithm: str, start, tmp_path: Path) -> None:
    """Whole runs with evaluations, which all do together; what is counted is of both."""
    more = words("total_agent_steps=2000 eval_interval_agent_steps=900 eval_episodes=3")
    command = start(*run_words(algorithm), *more)
    command.ends_with(0, within_s=120)
    assert "2 asynchronous learners" in command.stdout
    run = tmp_path / "run"
    manifest = read_manifest(run).data
    assert manifest["status"] == "finished"
    assert 2000 <= manifest["agent_steps"] < 2000 + 2 * 4 * 8
    assert len(read_curve(run, "eval/episodic_return").values) == 2
    logged = [row for row in rows(run) if row["stats/async_pushes"]]
    steps = [int(row["agent_steps"]) for row in logged]
    assert steps == sorted(set(steps)) and steps[-1] == manifest["agent_steps"]
    state = load_checkpoint(find_checkpoint(run, "last")[0])
    pushes = sum(float(row["stats/async_pushes"]) for row in logged)
    assert pushes > state["learner"]["num_updates"] > 0  # those of the first rank alone
    assert len(state["sampler"]["environments"]) == 4
    for row in logged:
        assert 0 <= float(row["stats/async_lag_min"]) <= float(row["stats/async_lag_mean"])
        assert float(row["stats/async_lag_mean"]) <= float(row["stats/async_lag_max"])


def test_two_learners_learn_to_balance_a_pole(start, tmp_path: Path) -> None:
    settings = words("experiment=cartpole_a3c hardware.learners=2 total_agent_steps=30000")
    start("train", *settings, *SMALL[:-1], "log_interval_s=1", "run_dir=run").ends_with(0, 300)
    returns = read_curve(tmp_path / "run", "charts/episodic_return").values
    assert max(returns) > 80  # random: 22


def test_one_learner_does_what_it_does_without_asynchrony(make_config, tmp_path: Path) -> None:
    for algo in ("a2c", "a3c"):
        overrides = (f"algo={algo}", "total_agent_steps=400", "hardware.learners=1")
        train(make_config(*GAME, *overrides, run_dir=tmp_path / algo))
    one, other = results(tmp_path / "a2c"), results(tmp_path / "a3c")
    for name, weights in one["model"].items():
        assert torch.equal(other["model"][name], weights)


def test_asked_once_all_save_and_any_number_of_learners_goes_on(start, tmp_path: Path) -> None:
    run, steps = tmp_path / "run", 0
    for learners in (2, 4):
        command = start(*run_words("a3c"), f"hardware.learners={learners}", LONG)
        command.wait_for_rows(run, len(rows(run)) + 3 if steps else 3)
        os.kill(command.process.pid, signal.SIGINT)
        command.ends_with(0, within_s=60)
        assert command.pids() == []
        manifest = read_manifest(run).data
        assert (manifest["status"], manifest["exit_reason"]) == ("interrupted", "SIGINT")
        assert manifest["agent_steps"] > steps
        steps = manifest["agent_steps"]
    more = f"total_agent_steps={steps + 400}"
    command = start(*run_words("a3c"), "hardware.learners=1", more)
    command.ends_with(0, within_s=120)
    assert f"continuing from {steps:,} agent steps" in command.stdout
    assert read_manifest(run).data["status"] == "finished"


@pytest.mark.parametrize("algorithm", ["a3c", pytest.param("async_dqn", marks=pytest.mark.slow)])
def test_killed_learners_go_on_from_the_last_checkpoint(algorithm, start, tmp_path) -> None:
    run = tmp_path / "run"
    command = start(*run_words(algorithm), LONG, "checkpoint_interval_s=0.1")
    wait_until(lambda: len(list(run.glob("checkpoints/step_*.pt"))) > 1)
    for pid in command.pids():
        os.kill(pid, signal.SIGKILL)
    command.process.wait()
    saved = load_checkpoint(find_checkpoint(run, "last")[0])
    more = f"total_agent_steps={saved['agent_steps'] + 200}"
    command = start(*run_words(algorithm), more, "checkpoint_interval_s=1000")
    command.ends_with(0, within_s=120)
    assert f"continuing from {saved['agent_steps']:,} agent steps" in command.stdout
    state = load_checkpoint(find_checkpoint(run, "last")[0])
    assert state["agent_steps"] >= saved["agent_steps"] + 200
    assert state["learner"]["num_updates"] >= saved["learner"]["num_updates"]


def test_a_learner_killed_at_any_moment_ends_the_others_by_name(start, tmp_path: Path) -> None:
    """While it plays, learns, waits, or holds a chunk of the weights."""
    command = start(*run_words("a3c"), LONG, "log_interval_s=0.5")
    command.wait_for_rows(tmp_path / "run", 2)
    time.sleep(random.uniform(0, 0.5))
    os.kill(command.ranks()[1], signal.SIGKILL)
    command.ends_with(1, within_s=30)
    assert "rank 1 was " in command.stderr  # killed by SIGKILL, or lost while it changed a chunk
    assert command.pids() == []
    assert read_manifest(tmp_path / "run").data["status"] == "failed"
