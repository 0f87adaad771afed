"""Reading limits of a container out of the files the kernel gives."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from accel.config import machine
from accel.config.machine import Machine


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What the files hold, instead of the real ones; absent files read as empty."""
    contents: dict[str, str] = {}
    for name in ("SLURM_CPUS_ON_NODE", "SLURM_CPUS_PER_TASK", "SLURM_STEP_ID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(machine, "_read", lambda path: contents.get(str(path), ""))
    monkeypatch.setattr(machine.os, "sched_getaffinity", lambda pid: set(range(16)), raising=False)
    return contents


@pytest.mark.parametrize(
    ("quota", "cores"),
    [("max 100000", 16), ("400000 100000", 4), ("150000 100000", 2), ("5000000 100000", 16)],
)
def test_cores_follow_the_quota_of_cgroup_2(files: dict[str, str], quota: str, cores: int) -> None:
    files["/proc/self/cgroup"] = "0::/job/step\n"
    files["/sys/fs/cgroup/job/cpu.max"] = quota  # set on an ancestor
    assert Machine.detect("cpu").cores == cores


def test_cores_follow_the_quota_of_cgroup_1(files: dict[str, str]) -> None:
    files["/sys/fs/cgroup/cpu/cpu.cfs_quota_us"] = "300000\n"
    files["/sys/fs/cgroup/cpu/cpu.cfs_period_us"] = "100000\n"
    assert Machine.detect("cpu").cores == 3
    files["/sys/fs/cgroup/cpu/cpu.cfs_quota_us"] = "-1\n"
    assert Machine.detect("cpu").cores == 16


@pytest.mark.parametrize(
    ("variables", "cores"),
    [
        ({}, 16),
        ({"SLURM_CPUS_ON_NODE": "8"}, 8),
        ({"SLURM_CPUS_ON_NODE": "8", "SLURM_CPUS_PER_TASK": "2"}, 8),  # the batch script
        ({"SLURM_CPUS_ON_NODE": "8", "SLURM_CPUS_PER_TASK": "2", "SLURM_STEP_ID": "0"}, 2),
        ({"SLURM_CPUS_ON_NODE": "64"}, 16),  # bound to fewer
    ],
)
def test_cores_follow_what_slurm_gave(files, monkeypatch, variables, cores: int) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert Machine.detect("cpu").cores == cores


def test_memory_is_what_the_cgroup_leaves(files: dict[str, str]) -> None:
    files["/proc/meminfo"] = "MemTotal: 64000000 kB\nMemAvailable: 32000000 kB\n"
    assert Machine.detect("cpu").memory_bytes == 32_000_000 * 1024
    files["/sys/fs/cgroup/memory.max"] = "8000000000\n"
    files["/sys/fs/cgroup/memory.current"] = "3000000000\n"
    assert Machine.detect("cpu").memory_bytes == 5_000_000_000


def test_this_machine_has_a_core_and_memory() -> None:
    found = Machine.detect("cpu")
    assert found.cores >= 1
    assert found.memory_bytes > 0
    assert found.cuda_devices == 0


def test_torch_is_not_asked_for_a_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)  # importing it would raise
    assert Machine.detect("cpu").cuda_devices == 0
    if not any(Path(node).exists() for node in ("/dev/nvidiactl", "/dev/dxg")):
        assert Machine.detect("auto").cuda_devices == 0
