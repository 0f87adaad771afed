"""Value learning finds the known values of a little game, and balances a pole.

On the chain of `chain_game.py` every algorithm has to find the best policy and its values. All
values are known, but who rarely tries the other action does not learn its value.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import chain_game
import numpy as np
import pytest
import torch

from accel.runners.build_q import q_algorithm
from accel.runners.train import train
from accel.runners.trained import load_agent
from accel.runs.curves import read_curve
from tests.run_commands import words

CHAIN = words(
    "env=gym env.game=chain_game:Chain-v0 model=mlp model.hidden_size=32 sampler=serial "
    f"sampler.num_envs=8 algo.rollout_length=8 algo.discount={chain_game.DISCOUNT} "
    "algo.learning_rate=3e-3 algo.learning_rate_schedule=linear total_agent_steps=6000 "
    "log_interval_s=1"
)
REPLAY = words(
    "algo.replay_capacity=2000 algo.learning_starts=400 algo.batch_size=64 algo.replay_ratio=16 "
    "algo.target_interval_agent_steps=128 algo.optimizer_epsilon=1e-6"
)
HALF_RANDOM = words("algo.epsilon_initial=0.5 algo.epsilon_final=0.5 total_agent_steps=4000")
# Where targets depend on later actions: at first many random ones, then few.
LESS_AND_LESS = words("algo.epsilon_final=0.1 algo.epsilon_decay_agent_steps=4000")
WITHOUT_EPSILON = words("algo.epsilon_initial=0 algo.epsilon_final=0")
ATOMS = words("algo.v_min=-0.5 algo.v_max=1.5")


@dataclass(frozen=True)
class Kind:
    """How an algorithm is run and how close its values come: those of all actions, or the best."""

    words: tuple[str, ...]
    all_within: float | None
    best_within: float = 0.05


DQN = ("algo=dqn", *REPLAY)
KINDS = {
    "dqn": Kind((*DQN, *HALF_RANDOM), 0.02),
    "double": Kind((*DQN, *HALF_RANDOM, "algo.double=true"), 0.02),
    "dueling": Kind((*DQN, *HALF_RANDOM, "algo.dueling=true"), 0.02),
    "noisy": Kind((*DQN, *WITHOUT_EPSILON, "algo.noisy=true", "algo.rollout_length=1"), None),
    "munchausen": Kind((*DQN, *HALF_RANDOM, "algo.munchausen=true"), 0.05),
    "sarsa": Kind((*DQN, *HALF_RANDOM, "algo.target=sarsa"), 0.08),
    "monte_carlo": Kind((*DQN, *HALF_RANDOM, "algo.target=monte_carlo"), 0.08),
    "c51": Kind(("algo=c51", *ATOMS, *REPLAY, *HALF_RANDOM), 0.02),
    "qr_dqn": Kind(("algo=qr_dqn", "algo.num_quantiles=16", *REPLAY, *HALF_RANDOM), 0.05),
    "iqn": Kind(("algo=iqn", "algo.num_quantiles=8", *REPLAY, *HALF_RANDOM), 0.05),
    "eps_rainbow": Kind(("algo=eps_rainbow", *ATOMS, *REPLAY, *LESS_AND_LESS), 0.15),
    "rainbow": Kind(("algo=rainbow", *ATOMS, *REPLAY), None),
    "pqn": Kind(("algo=pqn", "algo.num_minibatches=4", "algo.num_epochs=4", *LESS_AND_LESS), 0.15),
}


OF_THE_POLICY = ("sarsa", "monte_carlo")


def expected_values(name: str) -> np.ndarray:
    """What the action values [states, actions] must come to.

    Sarsa's and Monte Carlo's are those of the policy that acts. Munchausen's, with its cold policy,
    leave the best action's value as it is and widen the gap below it to
    gap + 0.9 * min(widened gap, 1).
    """
    if name in OF_THE_POLICY:
        return chain_game.action_values(epsilon=0.5)
    values = chain_game.action_values()
    if name == "munchausen":
        gaps = values.max(1, keepdims=True) - values
        values = values - 0.9 * np.minimum(gaps / (1 - 0.9), 1)
    return values


def learned_values(run: Path) -> np.ndarray:
    agent = load_agent(run, device="cpu")
    observations = torch.eye(chain_game.NUM_STATES).unsqueeze(1)
    with torch.inference_mode():
        return q_algorithm(agent.config.algo).q_values(agent.model(observations)).numpy()


@pytest.mark.parametrize("name", KINDS)
def test_the_values_of_a_chain(name: str, make_config, tmp_path: Path) -> None:
    kind = KINDS[name]
    train(make_config(*CHAIN, *kind.words))
    actual, expected = learned_values(tmp_path / "run"), expected_values(name)
    if name not in OF_THE_POLICY:
        assert actual.argmax(1).tolist() == expected.argmax(1).tolist() == [0, 1, 1, 1, 1]
    np.testing.assert_allclose(actual.max(1), expected.max(1), atol=kind.best_within)
    if kind.all_within is not None:
        np.testing.assert_allclose(actual, expected, atol=kind.all_within)


SOLVED = 475  # of 500 points, as Gymnasium puts it
POLE_ATOMS = words("algo.v_min=0 algo.v_max=100")
SLOW_POLES = {
    "dueling": ("algo.dueling=true",),
    "noisy": ("algo.noisy=true", *WITHOUT_EPSILON),
    "munchausen": ("algo.double=false", "algo.munchausen=true"),
    "monte_carlo": words("algo.target=monte_carlo algo.double=false algo.n_step=1"),
    "c51": ("algo=c51", *POLE_ATOMS),
    "qr_dqn": ("algo=qr_dqn", "algo.num_quantiles=32"),
    "iqn": words("algo=iqn algo.num_quantiles=8 algo.learning_rate=2e-3 total_agent_steps=80000"),
    "eps_rainbow": ("algo=eps_rainbow", *POLE_ATOMS),
    "rainbow": ("algo=rainbow", *POLE_ATOMS),
}


AT_THE_END = words("eval_interval_agent_steps=40000 eval_episodes=20 log_interval_s=1")


def last_score(run: Path) -> float:
    return float(read_curve(run, "eval/episodic_return").values[-1])


@pytest.mark.parametrize(
    "experiment", ["cartpole_dqn", pytest.param("cartpole_pqn", marks=pytest.mark.slow)]
)
def test_a_pole_is_balanced(experiment: str, make_config, tmp_path: Path) -> None:
    train(make_config(f"experiment={experiment}", *AT_THE_END))
    assert last_score(tmp_path / "run") >= SOLVED


@pytest.mark.slow
@pytest.mark.parametrize("name", SLOW_POLES)
def test_a_pole_is_balanced_by_every_algorithm(name: str, make_config, tmp_path: Path) -> None:
    train(make_config("experiment=cartpole_dqn", *SLOW_POLES[name], *AT_THE_END))
    assert last_score(tmp_path / "run") >= SOLVED
