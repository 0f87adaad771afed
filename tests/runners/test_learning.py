"""Whole runs that have to learn: seconds each, far above what random play scores."""

from __future__ import annotations

from pathlib import Path

import pytest

from accel.runners.train import train
from accel.runs.curves import read_curve
from accel.runs.reading import read_manifest
from tests.run_commands import CATCH, words

RECALL = words(
    "env=gym env.game=recall_game:Recall-v0 model=mlp model.separate_critic=false "
    "model.hidden_size=16 model.core_size=16 sampler=serial sampler.num_envs=16 "
    "algo.rollout_length=10 algo.discount=0.9 eval_interval_agent_steps=0"
)
LEARN_RECALL = {
    "ppo": words("algo=ppo algo.learning_rate=5e-3 total_agent_steps=10000"),
    "a2c": words("algo=a2c algo.optimizer=adam algo.learning_rate=1e-2 total_agent_steps=20000"),
    "impala": words(
        "algo=impala algo.optimizer=adam algo.learning_rate=1e-2 algo.max_grad_norm=0.5 "
        "total_agent_steps=20000"
    ),
    "r2d2": words(
        "algo=r2d2 algo.learning_rate=5e-3 algo.burn_in=5 algo.sequence_length=10 algo.n_step=2 "
        "algo.batch_size=32 algo.replay_ratio=4 algo.replay_capacity=4000 "
        "algo.learning_starts=1000 algo.target_interval_agent_steps=500 total_agent_steps=10000"
    ),
}
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


def test_impala_balances_a_pole(make_config, tmp_path) -> None:
    often = words("eval_interval_agent_steps=300000 eval_episodes=20 log_interval_s=1")
    train(make_config("experiment=cartpole_impala", *often))
    assert read_curve(tmp_path / "run", "eval/episodic_return").values[-1] >= 475  # the best: 500


@pytest.mark.parametrize("algo", ["ppo", pytest.param("dqn", marks=pytest.mark.slow)])
def test_a_free_actor_is_learned_from(algo: str, make_config, tmp_path) -> None:
    experiment, steps = {"ppo": ("cartpole", 16384), "dqn": ("cartpole_dqn", 12288)}[algo]
    steps = f"total_agent_steps={steps}"
    train(make_config(f"experiment={experiment}", steps, "runner.policy_lag=free"))
    assert last_return(tmp_path / "run") > 60  # random: 22


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_ppo_learns_from_images(precision: str, make_config, tmp_path) -> None:
    train(make_config(*CATCH, *LEARN_CATCH, f"precision={precision}"))
    assert last_return(tmp_path / "run") > 0.2  # random: -0.75, the best: 1


@pytest.mark.parametrize(
    ("algo", "core"),
    [("ppo", "lstm"), ("ppo", "gru"), ("a2c", "lstm"), ("impala", "lstm"), ("r2d2", "lstm")],
)
def test_a_recurrent_network_learns_to_remember(algo: str, core: str, make_config, tmp_path):
    train(make_config(*RECALL, *LEARN_RECALL[algo], f"model.core={core}"))
    assert last_return(tmp_path / "run") > 0.8  # guessing: 0, the best: 1


def test_without_a_memory_the_sign_is_guessed(make_config, tmp_path) -> None:
    """So that the game shows what a core is good for."""
    train(make_config(*RECALL, *LEARN_RECALL["ppo"]))
    assert last_return(tmp_path / "run") < 0.5
