"""Groups, workers and threads beside a GPU and without one, and what the start report says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from accel.config.derive import Derived, derive
from accel.config.describe import describe
from accel.config.machine import Machine
from accel.config.saved import config_from_dict
from accel.config.schema import Config
from accel.config.validate import validate

Compose = Callable[..., Config]
ONE_GPU = Machine(cores=16, memory_bytes=10**12, cuda_devices=1)


def of(make_config: Compose, *words: str, machine: Machine = ONE_GPU) -> tuple[Config, Derived]:
    config = make_config(*words)
    return config, derive(config, machine)


@pytest.mark.parametrize(
    ("words", "cores", "workers", "threads", "reason"),
    [
        ("", 16, 14, (1, 1), "16 cores less one for the actor, one for the learner"),
        ("runner.policy_lag=free", 16, 14, (1, 1), "16 cores less one for the actor, one for the"),
        ("runner.policy_lag=0", 16, 15, (16, 1), "16 cores less one for actor and learner"),
        ("sampler.num_envs=128", 16, 13, (2, 1), "14 would be no faster: the busiest has 10"),
        ("sampler.num_envs=16", 16, 8, (7, 1), "one per environment of a group"),
        ("sampler.num_workers=16", 16, 16, (1, 1), "as set"),
        ("algo=a2c sampler.num_envs=256", 16, 15, (16, 1), "one for actor and learner"),
        ("", 4, 2, (1, 1), "4 cores less one for the actor, one for the learner"),
        ("", 3, 2, (1, 1), "half of the cores"),
        ("", 2, 1, (1, 1), "half of the cores"),
        ("", 1, 1, (1, 1), "the only core"),
        ("device=cpu", 16, 16, (16, 1), "one per usable core"),
    ],
)
def test_beside_a_gpu_actor_and_learner_have_cores_of_their_own(
    words: str, cores: int, workers: int, threads: tuple[int, int], reason: str, make_config
) -> None:
    machine = replace(ONE_GPU, cores=cores)
    config, derived = of(make_config, "sampler.num_envs=256", *words.split(), machine=machine)
    assert derived.num_workers == workers
    assert (derived.learner_threads, derived.actor_threads) == threads
    assert reason in dict(describe(config, derived))["sampler"]


def test_every_gpus_learner_keeps_cores_free(make_config: Compose) -> None:
    eight = Machine(cores=128, memory_bytes=10**12, cuda_devices=8)
    _, derived = of(make_config, "sampler.num_envs=2048", machine=eight)
    assert (derived.num_learners, derived.num_workers) == (8, 14)


def test_the_report_says_who_has_how_much_and_why(make_config: Compose) -> None:
    config, derived = of(make_config, "sampler.num_envs=256")
    rows = dict(describe(config, derived))
    assert rows["sampler"] == (
        "256 environments = 14 workers (16 cores less one for the actor, one for the learner) x "
        "18 or 19, in 2 groups (one steps while the other is served)"
    )
    assert rows["cores"] == (
        "16 usable; threads: learner 1 (16 cores less 14 workers and the actor), "
        "actor 1 (the GPU computes)"
    )


@pytest.mark.parametrize(
    ("words", "on_cpu", "beside_gpu"),
    [
        ("algo=ppo", 2, 2),
        ("algo=dqn", 2, 2),
        ("algo=a2c", 1, 2),
        ("algo=a3c hardware.learners=1", 1, 2),
        ("experiment=pong_a2c", 1, 2),
        ("algo=ppo sampler.num_envs=9", 1, 1),
        ("algo=ppo sampler.num_envs=6 sampler.num_workers=4", 1, 1),
        ("algo=ppo sampler.num_envs=1", 1, 1),
        ("algo=ppo sampler=serial", 1, 1),
        ("algo=a2c sampler.num_groups=4", 4, 4),
        ("algo=ppo sampler.num_groups=1", 1, 1),
    ],
)
def test_the_device_decides_how_many_groups_are_served_in_turn(
    words: str, on_cpu: int, beside_gpu: int, make_config: Compose, machine: Machine
) -> None:
    config = make_config(*words.split())
    for where, groups in ((machine, on_cpu), (ONE_GPU, beside_gpu)):
        derived = derive(config, where)
        assert derived.num_groups == groups
        assert [p for p in validate(config, where) if p.severity == "error"] == []
        if config.sampler.kind == "parallel":
            told = dict(describe(config, derived))["sampler"]
            assert f"in {groups} group" in told and derived.reasons["num_groups"] in told


def test_a_manifest_that_names_the_groups_is_still_read(make_config: Compose) -> None:
    from dataclasses import asdict

    saved = asdict(make_config("algo=a2c"))
    assert saved["sampler"]["num_groups"] is None
    saved["sampler"]["num_groups"] = 1
    config = config_from_dict(saved)
    assert derive(config, ONE_GPU).num_groups == 1
    del saved["sampler"]["num_groups"]
    assert derive(config_from_dict(saved), ONE_GPU).num_groups == 2
