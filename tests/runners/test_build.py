"""What the algorithm is built with, from the config."""

import pytest
import torch

from accel.algos import ALONE
from accel.config.derive import derive
from accel.config.machine import Machine
from accel.runners import build, build_q
from accel.runners.build_learning import learning_rate, optimizer
from accel.sampling.stepping import probe_spec

STEPS = "total_agent_steps=4000"
SETTINGS = ("algo.entropy_coef=0.4", "algo.entropy_coef_schedule=linear", STEPS)


@pytest.mark.parametrize("name", ["ppo", "a2c", "impala"])
def test_the_entropy_bonus_falls_to_zero_over_the_whole_run(make_config, name) -> None:
    config = make_config(f"algo={name}", "env.game=pong", *SETTINGS)
    algorithm = build.algorithm(config, derive(config, Machine.detect()))
    coefs = [algorithm.entropy_coef(steps) for steps in (0, 3000, 4000)]
    assert coefs == pytest.approx([0.4, 0.1, 0.0])
    plain = make_config(f"algo={name}", "env.game=pong", "algo.entropy_coef=0.4", STEPS)
    algorithm = build.algorithm(plain, derive(plain, Machine.detect()))
    assert algorithm.entropy_coef(3000) == 0.4


@pytest.mark.parametrize(
    ("words", "start", "end"),
    [("algo=r2d2", 0.6, 0.6), ("algo=eps_rainbow", 0.4, 1.0)],
)
def test_the_importance_exponent_ends_as_published(make_config, words, start, end) -> None:
    small = ("algo.replay_capacity=100_000", "model.hidden_size=8", "model.core_size=8")
    config = make_config(words, *small, "total_agent_steps=1000")
    derived = derive(config, Machine(cores=2, memory_bytes=10**10))
    spec = probe_spec(build.env_recipe(config, derived))
    learner = build_q.replay_learner(
        config, derived, spec, build.network(config, spec), "fp32", ALONE
    )
    exponents = [learner.importance_exponent(steps) for steps in (0, 1000)]
    assert exponents == pytest.approx([start, end])


WARMUP = "algo.learning_rate_warmup_agent_steps"
DQN = "learning_starts=1000 algo.rollout_length=4 algo.replay_capacity=4000"
WARMED_UP = {
    # words, agent steps -> share of the rate
    "a2c": (f"algo=a2c {WARMUP}=160", {0: 0.5, 80: 1.0, 800: 1.0}),  # 16 x 5 an update
    "ppo": (f"algo=ppo {WARMUP}=4096", {0: 0.25, 1024: 0.5, 3072: 1.0}),
    "impala": (f"algo=impala {WARMUP}=1280", {0: 0.5, 640: 1.0}),
    "pqn": (f"algo=pqn {WARMUP}=8192", {0: 0.5, 4096: 1.0}),
    # The first update is at 1,000 agent steps, rounded up to whole rollouts of 32: 1,024.
    "dqn": (f"algo=dqn algo.{DQN} {WARMUP}=128", {0: 0.0, 992: 0.25, 1024: 0.5, 1088: 1.0}),
    # Of two learners each has 8 environments; agent steps are both learners'.
    "a3c": (f"algo=a3c hardware.learners=2 {WARMUP}=160", {0: 0.25, 40: 0.5, 120: 1.0}),
}


@pytest.mark.parametrize("words, shares", WARMED_UP.values(), ids=WARMED_UP)
def test_the_learning_rate_is_warmed_up_over_global_agent_steps(make_config, words, shares) -> None:
    config = make_config(*words.split(), "env.game=pong", "total_agent_steps=40_000")
    plain = make_config(*words.split()[:-1], "env.game=pong", "total_agent_steps=40_000")
    rates = [learning_rate(each, derive(each, Machine.detect("cpu"))) for each in (config, plain)]
    for agent_steps, share in shares.items():
        assert rates[0](agent_steps) == pytest.approx(share * rates[1](agent_steps), rel=1e-12)


def test_pong_a2c_is_warmed_up_in_fifty_updates_as_its_chart_shows(make_config) -> None:
    config = make_config("experiment=pong_a2c")
    derived = derive(config, Machine.detect("cpu"))
    model = build.network(config, probe_spec(build.env_recipe(config, derived)))
    learner = build.rollout_learner(config, derived, model, "fp32", ALONE)
    shown = [learner.charts(128 * update)["learning_rate"] for update in (0, 24, 49, 99)]
    falling = [5e-4 * (1 - 128 * update / 5_000_000) for update in (0, 24, 49, 99)]
    expected = [share * rate for share, rate in zip((0.02, 0.5, 1, 1), falling)]
    assert shown == pytest.approx(expected)


@pytest.mark.parametrize(
    "words, start",
    [
        ("algo=a2c", 1.0),
        ("algo=a3c", 1.0),
        ("algo=impala", pytest.approx(1 / 640**2, rel=1e-3)),
        ("experiment=cartpole_a2c", 0.0),  # torch's, as in rl-baselines3-zoo
        ("algo=ppo algo.optimizer=rmsprop", 0.0),
        ("algo=dqn algo.optimizer=rmsprop algo.rmsprop_initial_mean_square=0.5", 0.5),
    ],
)
def test_where_the_mean_square_starts(make_config, words, start) -> None:
    config = make_config(*words.split())
    state = optimizer(config.algo, torch.zeros(3)).state_dict()
    assert state["mean_square"].tolist() == [start] * 3
