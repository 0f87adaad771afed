"""Whole runs that have to learn: seconds each, far above what random play scores."""

from __future__ import annotations

from pathlib import Path

import pytest
from run_commands import CATCH, words

from accel.runners.train import train
from accel.runs.curves import read_curve
from accel.runs.reading import read_manifest

LEARN_CATCH = words(
    "sampler.num_envs=16 algo.rollout_length=32 algo.num_epochs=3 algo.learning_rate=1e-3 "
    "total_agent_steps=20000 eval_interval_agent_steps=0"
)


def last_return(run: Path) -> float:
    """Mean over the last 100 games of training."""
    return float(read_curve(run, "charts/episodic_return").values[-1])


def test_ppo_learns_to_balance_a_pole(make_config, tmp_path) -> None:
    train(make_config("experiment=cartpole", "total_agent_steps=16384"))
    assert last_return(tmp_path / "run") > 80  # random: 22
    manifest = read_manifest(tmp_path / "run").data
    assert (manifest["status"], manifest["agent_steps"]) == ("finished", 16384)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_ppo_learns_from_images(precision: str, make_config, tmp_path) -> None:
    train(make_config(*CATCH, *LEARN_CATCH, f"precision={precision}"))
    assert last_return(tmp_path / "run") > 0.2  # random: -0.75, the best: 1
