"""A GPU that takes one process alone: what is derived there, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from accel.config.commands import PlayConfig, check_command
from accel.config.derive import derive
from accel.config.describe import describe
from accel.config.machine import Machine
from accel.config.place import Place
from accel.config.schema import Config
from accel.config.validate import validate

Compose = Callable[..., Config]


def having(*modes: str, has_mps: bool = False, **others: object) -> Machine:
    return Machine(
        cores=16, memory_bytes=10**12, cuda_devices=len(modes), compute_modes=modes,
        has_mps=has_mps, **others,
    )  # fmt: skip


SHARED, ALONE = having("Default"), having("Exclusive_Process")
ONE_OF_TWO = having("Default", "Exclusive_Process")
WITH_MPS = having("Exclusive_Process", has_mps=True)


@pytest.mark.parametrize(
    ("machine", "words", "lag"),
    [
        (SHARED, "", "1"),
        (ALONE, "", "0"),
        (WITH_MPS, "", "1"),
        (having(""), "", "1"),  # unknown
        (ONE_OF_TWO, "", "0"),  # learners on both are to do the same
        (ONE_OF_TWO, "device=cuda:0", "1"),
        (ONE_OF_TWO, "device=cuda:1", "0"),
        (ONE_OF_TWO, "hardware.learners=1", "1"),
        (replace(ONE_OF_TWO, place=Place(0, 2, 0, 2, is_given=True)), "", "0"),
        (replace(ONE_OF_TWO, place=Place(0, 1, 0, 1, is_given=True)), "", "1"),
    ],
)
def test_a_gpu_for_one_process_means_that_actor_and_learner_are_one(
    machine: Machine, words: str, lag: str, make_config: Compose
) -> None:
    config = make_config("sampler.num_envs=256", *words.split())
    derived = derive(config, machine)
    assert derived.policy_lag == lag
    assert validate(config, machine) == []
    assert derived.num_workers == (16 // derived.num_learners) - (1 if lag == "0" else 2)


def test_the_report_says_why_and_how_the_gpu_is_shared(make_config: Compose) -> None:
    def told(machine: Machine, *words: str) -> str:
        config = make_config(*words)
        return dict(describe(config, derive(config, machine)))["policy lag"]

    assert "compute mode EXCLUSIVE_PROCESS, and no MPS" in told(ALONE)
    assert told(SHARED).endswith("the two share the GPU by time slices, without MPS")
    assert told(WITH_MPS).endswith("the two share the GPU through MPS")
    assert told(SHARED, "device=cpu", "runner.policy_lag=1").endswith("(as set)")


@pytest.mark.parametrize(
    ("machine", "words", "key", "shown"),
    [
        (ALONE, "runner.policy_lag=1", "runner.policy_lag", "EXCLUSIVE_PROCESS, and no MPS"),
        (ALONE, "runner.policy_lag=free", "runner.policy_lag", "nvidia-cuda-mps-control -d"),
        (ALONE, "runner.policy_lag=1", "runner.policy_lag", "runner.policy_lag=0, or"),
        (ALONE, "hardware.learners=2 device=cuda:0", "hardware.learners", "all on cuda:0"),
        (having("Prohibited"), "", "device", "PROHIBITED: GPU 0"),
        (having("Default", "Prohibited"), "device=cuda:1", "device", "PROHIBITED: GPU 1"),
        (having("Default", "Prohibited"), "", "device", "PROHIBITED: GPU 1"),
        (having("Prohibited", has_mps=True), "", "device", "nvidia-smi -c DEFAULT"),
    ],
)
def test_what_cannot_run_is_refused(
    machine: Machine, words: str, key: str, shown: str, make_config: Compose
) -> None:
    (problem,) = validate(make_config(*words.split()), machine)
    assert (problem.key, problem.severity) == (key, "error")
    assert shown in str(problem)


@pytest.mark.parametrize(
    ("machine", "words"),
    [
        (SHARED, "runner.policy_lag=1"),
        (WITH_MPS, "runner.policy_lag=1"),
        (WITH_MPS, "hardware.learners=2 device=cuda:0"),
        (ALONE, "runner.policy_lag=0"),
        (ALONE, "runner.policy_lag=1 device=cpu"),
        (having("Default", "Prohibited"), "device=cuda:0"),
        (having("Prohibited"), "device=cpu"),
    ],
)
def test_what_can_run_is_not(machine: Machine, words: str, make_config: Compose) -> None:
    problems = validate(make_config(*words.split()), machine)
    assert [problem for problem in problems if problem.severity == "error"] == []


def test_other_commands_refuse_a_closed_gpu_as_well() -> None:
    closed = having("Default", "Prohibited")
    for device, count in (("auto", 0), ("cuda:0", 0), ("cuda:1", 1), ("cpu", 0)):
        config = PlayConfig(run="somewhere", device=device)
        assert [p.key for p in check_command(config, closed)] == ["device"] * count
