"""What the algorithm is built with, from the config."""

import pytest

from accel.algos import ALONE
from accel.config.derive import derive
from accel.config.machine import Machine
from accel.runners import build, build_q
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
