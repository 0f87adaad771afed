"""How far acting runs ahead: what is chosen where, what it costs, what the start report says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from accel.config.derive import derive, rollout_bytes
from accel.config.describe import describe
from accel.config.machine import Machine
from accel.config.schema import Config
from accel.config.validate import validate

Compose = Callable[..., Config]


@pytest.mark.parametrize(
    ("algo", "on_gpu"),
    [("ppo", "1"), ("impala", "1"), ("dqn", "1"), ("a2c", "0"), ("pqn", "0")],
)
def test_only_a_gpu_and_an_algorithm_that_allows_it_overlap_by_themselves(
    algo: str, on_gpu: str, make_config: Compose, machine: Machine
) -> None:
    config = make_config(f"algo={algo}")
    assert derive(config, machine).policy_lag == "0"
    with_gpu = replace(machine, cuda_devices=1)
    assert derive(config, with_gpu).policy_lag == on_gpu
    assert derive(make_config(f"algo={algo}", "device=cpu"), with_gpu).policy_lag == "0"
    assert validate(config, with_gpu) == []


@pytest.mark.parametrize(("lag", "slots"), [("0", 1), ("1", 2), ("free", 3)])
def test_what_is_set_holds_and_takes_its_memory(
    lag: str, slots: int, make_config: Compose, machine: Machine
) -> None:
    config = make_config(f"runner.policy_lag={lag}")
    derived = derive(config, machine)
    assert (derived.policy_lag, derived.num_slots) == (lag, slots)
    enough = slots * rollout_bytes(config)
    assert validate(config, replace(machine, memory_bytes=enough)) == []
    (problem,) = validate(config, replace(machine, memory_bytes=enough - 1))
    assert problem.key == "sampler.num_envs" and "sampler.num_envs=7 or less" in problem.fix
    rows = dict(describe(config, derived))
    assert rows["policy lag"].startswith(f"{lag}: ") and "(as set)" in rows["policy lag"]
    assert ("7.55 MB" if lag == "0" else f"{slots} x 7.55 MB") in rows["memory"]


def test_acting_and_learning_at_once_share_the_cores(make_config: Compose, machine) -> None:
    def threads(*words: str) -> tuple[int, int]:
        derived = derive(make_config(*words), machine)
        return derived.learner_threads, derived.actor_threads

    assert threads("runner.policy_lag=0") == (4, 1)
    assert threads("runner.policy_lag=1") == (2, 1)
    assert threads("runner.policy_lag=free", "sampler=serial") == (2, 2)
    as_set = ("hardware.learner_threads=4", "hardware.actor_threads=3")
    assert threads("runner.policy_lag=1", *as_set) == (4, 3)


def test_the_report_says_whose_process_serial_environments_are_in(make_config: Compose, machine):
    for lag, whose in (("0", "learner"), ("1", "actor")):
        config = make_config("sampler=serial", f"runner.policy_lag={lag}")
        assert dict(describe(config, derive(config, machine)))["sampler"].endswith(
            f"in the {whose}'s process"
        )
