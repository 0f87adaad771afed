"""Switches are told of the numbers that their papers have with them; the yamls bring their own."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from accel.config.errors import Problem
from accel.config.machine import Machine
from accel.config.papers import paper_rules
from accel.config.schema import Config
from accel.config.validate import validate
from accel.runners.cli import CONFIGS

Compose = Callable[..., Config]
LONG = "total_agent_steps=50_000_000"

TIED = [
    # (switch of algo=dqn, the number that its paper has with it)
    ("algo.munchausen=true", "algo.learning_rate=5e-05"),
    ("algo.prioritized=true", "algo.learning_rate=6.25e-05"),
    ("algo.distribution=quantile", "algo.learning_rate=5e-05"),
    ("algo.distribution=implicit", "algo.learning_rate=5e-05"),
    ("algo.noisy=true", "algo.epsilon_initial=0 algo.epsilon_final=0"),
]


@pytest.mark.parametrize(("switch", "number"), TIED)
def test_a_switch_is_told_of_its_papers_numbers(
    switch: str, number: str, make_config: Compose, machine: Machine
) -> None:
    (problem,) = validate(make_config("algo=dqn", switch), machine)
    assert (problem.key, problem.severity) == (switch.split("=")[0], "warning")
    assert "et al. 20" in problem.rule
    assert problem.fix == f"{number}, unless yours are tuned"
    assert validate(make_config("algo=dqn", switch, *number.split()), machine) == []


def test_a_learning_rate_may_grow_by_the_root_of_the_batch(make_config: Compose, machine) -> None:
    def problems(rate: str) -> list[Problem]:
        words = ("algo.munchausen=true", "algo.batch_size=512", f"algo.learning_rate={rate}")
        return validate(make_config("algo=dqn", *words), machine)

    assert problems("2e-4") == []
    (problem,) = problems("3e-4")
    assert problem.arithmetic == (
        "algo.learning_rate=0.0003 here, 5e-05 there x sqrt(512 / 32) = 0.0002"
    )


def test_several_switches_are_told_each(make_config: Compose, machine: Machine) -> None:
    words = ("algo.munchausen=true", "algo.prioritized=true", "algo.noisy=true")
    problems = validate(make_config("algo=dqn", *words), machine)
    keys = ["algo.munchausen", "algo.prioritized", "algo.noisy"]
    assert [problem.key for problem in problems] == keys


def test_advice_waits_for_mistakes(make_config: Compose, machine: Machine) -> None:
    words = ("algo.munchausen=true", "algo.double=true")
    (problem,) = validate(make_config("algo=dqn", *words), machine)
    assert problem.severity == "error"


@pytest.mark.parametrize("folder", ["algo", "experiment"])
def test_no_preset_needs_the_advice(folder: str, make_config: Compose, machine: Machine) -> None:
    for path in sorted((CONFIGS / folder).glob("*.yaml")):
        config = make_config(f"{folder}={path.stem}", LONG)
        assert list(paper_rules(config, machine)) == [], path.stem
