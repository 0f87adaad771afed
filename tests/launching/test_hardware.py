"""What CUDA_VISIBLE_DEVICES leaves, and what is near what, out of the files the kernel gives."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from accel.config.errors import ConfigError
from accel.launching import hardware
from accel.launching.hardware import (
    Core,
    Gpu,
    Hardware,
    InstalledGpu,
    find_cores,
    find_gpus,
    parse_list,
    visible_gpus,
)

FOUR = [InstalledGpu(f"GPU-{letter}{letter}11", "H100", i // 2) for i, letter in enumerate("abcd")]
MIXED = [InstalledGpu("GPU-a", "T4", 0), InstalledGpu("GPU-b", "H100", 1)]


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        (None, [("GPU-aa11", 0), ("GPU-bb11", 0), ("GPU-cc11", 1), ("GPU-dd11", 1)]),
        ("", []),
        ("-1", []),
        ("NoDevFiles", []),
        ("2", [("2", 1)]),
        ("3, 0", [("3", 1), ("0", 0)]),
        ("0,-1,1", [("0", 0)]),
        ("1,9,2", [("1", 0)]),
        ("1,1", []),
        ("GPU-cc11,GPU-a", [("GPU-cc11", 1), ("GPU-a", 0)]),
        ("GPU-,1", []),
        ("GPU-ee,1", []),
        ("MIG-5f,MIG-6e", [("MIG-5f", None), ("MIG-6e", None)]),
    ],
)
def test_visible_devices_are_read_as_cuda_reads_them(named, expected) -> None:
    assert [(gpu.id, gpu.node) for gpu in visible_gpus(named, FOUR)] == expected


def test_a_number_says_where_a_gpu_is_only_if_cuda_counts_by_bus() -> None:
    assert visible_gpus("0", MIXED) == [Gpu("0", None)]
    assert visible_gpus("0", MIXED, order="PCI_BUS_ID") == [Gpu("0", 0)]
    assert visible_gpus("GPU-b", MIXED) == [Gpu("GPU-b", 1)]


def test_names_are_taken_as_they_stand_where_nvidia_smi_is_missing() -> None:
    assert visible_gpus("0,5,GPU-a", []) == [Gpu("0"), Gpu("5"), Gpu("GPU-a")]


def test_gpus_come_with_the_node_of_their_bus(monkeypatch, tmp_path: Path) -> None:
    rows = [
        ("GPU-a", "H100", "00000000:3B:00.0", "Default"),
        ("GPU-b", "H100", "00000000:C7:00.0", "Prohibited"),
    ]
    monkeypatch.setattr(hardware, "ask_nvidia_smi", lambda *properties: rows)
    monkeypatch.setattr(hardware, "_SYS", tmp_path)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    for bus, node in (("0000:3b:00.0", "1"), ("0000:c7:00.0", "-1")):
        write(tmp_path / "bus/pci/devices" / bus / "numa_node", node)
    assert find_gpus() == [Gpu("GPU-a", 1, "Default"), Gpu("GPU-b", None, "Prohibited")]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1,0")
    assert find_gpus() == [Gpu("1", None, "Prohibited"), Gpu("0", 1, "Default")]


def test_gpus_that_cannot_be_counted_are_not_guessed(monkeypatch) -> None:
    monkeypatch.setattr(hardware, "ask_nvidia_smi", lambda *properties: [])
    monkeypatch.setattr(hardware, "has_cuda_driver", lambda: True)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    with pytest.raises(ConfigError, match="nvidia-smi lists none"):
        Hardware.detect()
    assert Hardware.detect(with_gpus=False).gpus == ()


def test_cores_are_ordered_by_node_and_hyperthreads_stay_together(monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(hardware, "_SYS", tmp_path)
    write(tmp_path / "devices/system/node/node0/cpulist", "0-1,4-5\n")
    write(tmp_path / "devices/system/node/node1/cpulist", "2-3,6-7\n")
    for core in range(8):
        siblings = f"{core % 4},{core % 4 + 4}\n"
        topology = tmp_path / f"devices/system/cpu/cpu{core}/topology"
        write(topology / "thread_siblings_list", siblings)
    assert [core.number for core in find_cores(range(8))] == [0, 4, 1, 5, 2, 6, 3, 7]
    assert find_cores([6, 1]) == (Core(1, 0), Core(6, 1))


def test_cores_of_an_unknown_place(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setattr(hardware, "_SYS", tmp_path)
    assert find_cores([1, 0]) == (Core(0), Core(1))


def test_lists_of_the_kernel() -> None:
    assert parse_list("0-2,8\n") == [0, 1, 2, 8]
    assert parse_list("") == []


def test_this_machine_is_looked_at_without_torch(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)  # importing it would raise
    found = Hardware.detect(with_gpus=False)
    assert 1 <= found.usable <= len(found.cores)


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
