"""Which rank a process is, from what a launcher puts into the environment."""

from __future__ import annotations

import pytest

from accel.config.errors import UserError
from accel.config.machine import Machine
from accel.config.place import Place
from accel.config.validate import validate

TORCHRUN = {
    "RANK": "5",
    "WORLD_SIZE": "8",
    "LOCAL_RANK": "1",
    "LOCAL_WORLD_SIZE": "4",
    "MASTER_ADDR": "node0",
    "MASTER_PORT": "29400",
}


def test_no_launcher() -> None:
    assert Place.from_environment({"LOCAL_RANK": "3"}) == Place()


def test_torchrun_and_srun() -> None:
    place = Place.from_environment(TORCHRUN)
    assert place == Place(rank=5, size=8, local_rank=1, cores_shared_by=4, is_given=True)
    srun = {key: value for key, value in TORCHRUN.items() if key != "LOCAL_WORLD_SIZE"}
    assert Place.from_environment(srun).cores_shared_by == 1  # srun confines each task to its own


@pytest.mark.parametrize(
    "change, words",
    [
        ({"MASTER_PORT": None}, ["MASTER_PORT is not set"]),
        ({"RANK": None}, ["RANK is not set"]),
        ({"RANK": "one"}, ["RANK='one'", "must be a number"]),
        ({"RANK": "8"}, ["RANK=8", "WORLD_SIZE=8"]),
    ],
)
def test_what_does_not_fit_is_named(change, words) -> None:
    environment = {**TORCHRUN, **change}
    with pytest.raises(UserError) as error:
        Place.from_environment({key: value for key, value in environment.items() if value})
    for word in words:
        assert word in str(error.value)


def test_learners_must_fit_launcher_gpus_and_environments(make_config) -> None:
    place = Place(rank=0, size=2, is_given=True)
    machine = Machine(cores=8, memory_bytes=10**12, place=place)
    (problem,) = validate(make_config("hardware.learners=4", "sampler.num_envs=16"), machine)
    assert (problem.key, problem.fix) == ("hardware.learners", "hardware.learners=2")

    machine = Machine(cores=8, memory_bytes=10**12, cuda_devices=2)
    config = make_config("hardware.learners=4", "sampler.num_envs=16", "sampler.num_workers=1")
    (problem,) = validate(config, machine)
    assert problem.key == "hardware.learners" and "4 learners, 2 visible" in problem.arithmetic

    config = make_config("hardware.learners=3", "device=cpu", "sampler.num_workers=1")
    (problem,) = validate(config, machine)
    assert problem.key == "sampler.num_envs" and "3 learners" in problem.arithmetic
    assert "sampler.num_envs=6 or sampler.num_envs=12" in problem.fix

    (problem,) = validate(make_config("hardware.learning_rate_scaling=linear"), machine)
    assert problem.severity == "warning"
