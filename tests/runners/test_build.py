"""What the algorithm is built with, from the config."""

import pytest

from accel.config.derive import derive
from accel.config.machine import Machine
from accel.runners import build

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
