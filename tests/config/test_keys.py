"""What a mistyped key may have meant, and which values a key takes."""

from __future__ import annotations

import pytest

from accel.config.keys import _OTHER_NAMES as OTHER_NAMES
from accel.config.keys import close_keys, known_keys, wrong_type


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("learning_rate", "algo.learning_rate"),
        ("algo.learning_rat", "algo.learning_rate"),
        ("sampler.n_envs", "sampler.num_envs"),
        ("env.gmae", "env.game"),
        ("game", "env.game"),
        ("total_steps", "total_agent_steps"),
        ("model.nam", "model.name"),
        ("gamma", "algo.discount"),
        ("runner", "runner.policy_lag"),
        ("runner.lag", "runner.policy_lag"),
    ],
)
def test_the_meant_key_comes_first(typed: str, meant: str) -> None:
    assert close_keys(typed)[0] == meant


def test_nothing_is_offered_for_what_resembles_no_key() -> None:
    assert close_keys("xyzzy") == []


def test_names_of_other_libraries_lead_to_real_keys() -> None:
    assert set(OTHER_NAMES.values()) <= set(known_keys())


@pytest.mark.parametrize(
    ("key", "value", "rule"),
    [
        ("seed", "x", "a whole number"),
        ("seed", 1.5, "a whole number"),
        ("seed", None, "a whole number"),
        ("algo.learning_rate", "fast", "a number"),
        ("overwrite", "perhaps", "true or false"),
        ("algo.target_kl", "x", "a number, or null"),
        ("env.clip_rewards", "x", "true or false, or null"),
    ],
)
def test_wrong_types(key: str, value: object, rule: str) -> None:
    problem = wrong_type(key, value)
    assert problem is not None and problem.rule == f"must be {rule}"


@pytest.mark.parametrize(
    ("key", "value"),
    [("seed", 1), ("algo.learning_rate", 1), ("algo.target_kl", None), ("env.game", "pong")],
)
def test_right_types(key: str, value: object) -> None:
    assert wrong_type(key, value) is None
