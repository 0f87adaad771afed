"""The division of machines, pretended ones and this one."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest

from accel.config.errors import ConfigError
from accel.config.slots import SlotsConfig
from accel.launching.hardware import Core, Gpu, Hardware
from accel.launching.slots import Slot, assign, can_pin, describe, format_list

# Two sockets of 32 cores with two threads each, four GPUs on either.
DGX = Hardware(
    cores=tuple(Core(core + 64 * thread, core // 32) for core in range(64) for thread in range(2)),
    usable=128,
    gpus=tuple(Gpu(str(i), i // 4) for i in range(8)),
)
LAPTOP = Hardware(cores=tuple(map(Core, range(8))), usable=8)


def modes(*compute_modes: str) -> Hardware:
    """Eight cores and a GPU of each of these compute modes."""
    found = tuple(Gpu(str(i), None, mode) for i, mode in enumerate(compute_modes))
    return Hardware(LAPTOP.cores, usable=8, gpus=found)


def divide(machine: Hardware, **settings) -> list[Slot]:
    return assign(machine, SlotsConfig(**settings))


def gpus(slots: list[Slot]) -> list[str]:
    return [",".join(gpu.id for gpu in slot.gpus) for slot in slots]


def check_cores(slots: list[Slot], machine: Hardware) -> None:
    """Disjoint, equal but for one, none too many, near the GPUs."""
    counts = [len(slot.cores) for slot in slots]
    assert sum(counts) == machine.usable and max(counts) - min(counts) <= 1
    assert len({core for slot in slots for core in slot.cores}) == sum(counts)
    for slot in slots:
        assert {core.node for core in slot.cores} <= {
            gpu.node for gpu in slot.gpus
        } or not slot.gpus


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, list("01234567")),
        ({"gpus_per_run": 2}, ["0,1", "2,3", "4,5", "6,7"]),
        ({"runs_per_gpu": 2}, list("0123456701234567")),
        ({"gpus_per_run": 2, "runs_per_gpu": 2}, ["0,1", "2,3", "4,5", "6,7"] * 2),
        ({"gpus_per_run": 8}, ["0,1,2,3,4,5,6,7"]),
        ({"cpu_slots": 3}, ["", "", ""]),
    ],
)
def test_eight_gpus(settings, expected) -> None:
    slots = divide(DGX, **settings)
    assert gpus(slots) == expected
    assert [slot.index for slot in slots] == list(range(len(expected)))
    if settings.get("gpus_per_run") != 8:
        check_cores(slots, DGX)


def test_both_threads_of_a_core_go_to_one_slot() -> None:
    for slot in divide(DGX, runs_per_gpu=2):
        numbers = {core.number for core in slot.cores}
        assert {(number + 64) % 128 for number in numbers} == numbers


def test_when_all_gpus_are_on_one_socket_the_others_cores_are_used_as_well() -> None:
    slots = divide(Hardware(DGX.cores, 128, DGX.gpus[4:]))
    assert [{core.node for core in slot.cores} for slot in slots] == [{1}, {1}, {0}, {0}]


def test_gpus_that_fill_no_slot_are_named() -> None:
    slots = divide(DGX, gpus_per_run=3)
    assert gpus(slots) == ["0,1,2", "3,4,5"]
    assert describe(slots, DGX)[-1] == ("idle", "GPU 6, 7")


@pytest.mark.parametrize(("cores", "slots"), [(1, 1), (2, 1), (3, 1), (8, 4)])
def test_without_gpus_there_is_a_slot_for_two_cores(cores: int, slots: int) -> None:
    machine = Hardware(tuple(map(Core, range(cores))), cores)
    found = divide(machine)
    assert len(found) == slots
    check_cores(found, machine)


def test_a_quota_is_shared_and_not_the_mask() -> None:
    slots = divide(Hardware(LAPTOP.cores, usable=5), cpu_slots=2)
    assert [len(slot.cores) for slot in slots] == [3, 2]


def test_unpinned_slots_have_no_cores() -> None:
    assert [slot.cores for slot in divide(LAPTOP, cpu_slots=20, pin=False)] == [()] * 20
    assert [slot.cores for slot in assign(LAPTOP, SlotsConfig(), can_pin=False)] == [()] * 4


@pytest.mark.parametrize(
    ("machine", "settings", "shown"),
    [
        (DGX, {"gpus_per_run": 9}, ["gpus_per_run=9", "8 visible", "=8 or less"]),
        (LAPTOP, {"gpus_per_run": 2}, ["0 visible", "cpu_slots=..."]),
        (LAPTOP, {"runs_per_gpu": 2}, ["no GPU is visible", "cpu_slots=2"]),
        (DGX, {"runs_per_gpu": 0}, ["runs_per_gpu=0", "at least 1"]),
        (DGX, {"gpus_per_run": 0, "cpu_slots": -1}, ["2 problems", "gpus_per_run=0", "=-1"]),
        (
            DGX,
            {"runs_per_gpu": 17},
            ["136 slots, 128 usable cores", "runs_per_gpu=16", "pin=false"],
        ),
        (DGX, {"cpu_slots": 2, "gpus_per_run": 2}, ["leave out", "cpu_slots"]),
        (LAPTOP, {"cpu_slots": 9}, ["9 slots, 8 usable cores", "cpu_slots=8"]),
        (
            modes("Default", "Exclusive_Process"),
            {"runs_per_gpu": 2},
            ["runs_per_gpu=2", "no MPS: GPU 1", "runs_per_gpu=1", "nvidia-cuda-mps-control -d"],
        ),
        (
            modes("Default", "Prohibited"),
            {},
            ["hydra/launcher=slots", "PROHIBITED: GPU 1", "CUDA_VISIBLE_DEVICES"],
        ),
    ],
)
def test_mistakes_are_explained(machine, settings, shown) -> None:
    with pytest.raises(ConfigError) as raised:
        divide(machine, **settings)
    for text in shown:
        assert text in str(raised.value)


def test_modes_that_let_runs_share_a_gpu() -> None:
    """MPS serves a GPU to many; and what no slot has need not be shared."""
    with_mps = replace(modes("Exclusive_Process", "Exclusive_Process"), has_mps=True)
    assert gpus(divide(with_mps, runs_per_gpu=2)) == ["0", "1", "0", "1"]
    assert gpus(divide(modes("Exclusive_Process", "Exclusive_Process"))) == ["0", "1"]
    assert gpus(divide(modes("Default", "Default", "Prohibited"), gpus_per_run=2)) == ["0,1"]
    assert gpus(divide(modes("Prohibited"), cpu_slots=1)) == [""]


def test_a_system_that_forbids_pinning_is_noticed(monkeypatch) -> None:
    def forbid(pid: int, cores: set[int]) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "sched_setaffinity", forbid)
    assert not can_pin()


def test_the_map_names_gpus_and_cores() -> None:
    assert describe(divide(DGX, gpus_per_run=2), DGX)[1] == (
        "slot 1",
        "GPU 2, 3, cores 16-31,80-95 (NUMA node 0)",
    )
    uuid = Gpu("GPU-8f3a2b1c-77aa-0000-1111-222233334444")
    assert Slot(0, (uuid,), (Core(3),)).describe() == "GPU GPU-8f3a2b1c, core 3"
    assert Slot(0).describe() == "not pinned"
    assert format_list([8, 0, 2, 1]) == "0-2,8"


def test_a_slot_is_occupied_and_left(monkeypatch) -> None:
    assert can_pin()
    before = os.sched_getaffinity(0)
    core = min(before)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5")
    with Slot(0, (Gpu("5"),), (Core(core),)).occupied():
        assert os.environ["CUDA_VISIBLE_DEVICES"] == "5"
        assert os.sched_getaffinity(0) == {core}
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "4,5"
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    with Slot(0).occupied():
        assert os.environ["CUDA_VISIBLE_DEVICES"] == ""
    assert "CUDA_VISIBLE_DEVICES" not in os.environ
    assert os.sched_getaffinity(0) == before
