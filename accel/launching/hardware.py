"""Which cores and GPUs this process may use, and which of them are near one another.

Read from the affinity mask, the cgroup, SLURM's and CUDA's variables, /sys and nvidia-smi. What
they do not say stays unknown (None) and is never guessed. torch is not asked: it would take a
second and some hundred megabytes, and the GPUs belong to the jobs.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from accel.config.errors import ConfigError, Problem
from accel.config.gpus import VISIBLE, Gpu, InstalledGpu, mps_serves, visible_gpus
from accel.config.machine import allowed_cores, has_cuda_driver, usable_cores
from accel.config.slots import PREFIX
from accel.runs.machine import ask_nvidia_smi

_SYS = Path("/sys")


@dataclass(frozen=True)
class Core:
    """A core as the kernel counts them: with hyperthreads, one of a pair."""

    number: int
    node: int | None = None  # NUMA node


@dataclass(frozen=True)
class Hardware:
    """What a sweep may divide among its jobs."""

    cores: tuple[Core, ...]  # neighbors share a NUMA node and, before that, a physical core
    usable: int  # how many of them may be kept busy: a quota can be less than the mask
    gpus: tuple[Gpu, ...] = ()
    has_mps: bool = False  # NVIDIA's Multi-Process Service shares GPUs among processes

    @classmethod
    def detect(cls, with_gpus: bool = True) -> Hardware:
        """Look at this machine. Raises ConfigError where there are GPUs but no way to count them.

        Without `with_gpus` they are not looked for.
        """
        gpus = find_gpus() if with_gpus and has_cuda_driver() else ()
        cores = find_cores(allowed_cores())
        return cls(cores, usable_cores(), tuple(gpus), bool(gpus) and mps_serves())


def find_cores(numbers: Sequence[int]) -> tuple[Core, ...]:
    """The cores of these numbers, sorted so that a run of them lies close together."""
    nodes: dict[int, int] = {}
    for folder in (_SYS / "devices/system/node").glob("node[0-9]*"):
        for core in parse_list(_read(folder / "cpulist")):
            nodes[core] = int(folder.name.removeprefix("node"))

    def place(number: int) -> tuple[int, int, int]:
        topology = _SYS / f"devices/system/cpu/cpu{number}/topology"
        siblings = parse_list(_read(topology / "thread_siblings_list"))
        return nodes.get(number, -1), min(siblings, default=number), number

    return tuple(Core(number, nodes.get(number)) for number in sorted(numbers, key=place))


def find_gpus() -> list[Gpu]:
    """The GPUs that a CUDA program started here would see."""
    named = os.environ.get(VISIBLE)
    installed = [
        InstalledGpu(uuid, model, _node_of(bus), mode)
        for uuid, model, bus, mode in ask_nvidia_smi("uuid", "name", "pci.bus_id", "compute_mode")
    ]
    if named is None and not installed:
        rule = "must know the GPUs: an NVIDIA driver is loaded, but nvidia-smi lists none"
        fix = f"put {VISIBLE}=0,1 (or =, for none) before the command, or {PREFIX}cpu_slots=..."
        raise ConfigError([Problem("hydra/launcher", "slots", rule, fix)])
    return visible_gpus(named, installed, os.environ.get("CUDA_DEVICE_ORDER"))


def parse_list(text: str) -> list[int]:
    """Numbers of a list as the kernel writes it: "0-2,8" is [0, 1, 2, 8]."""
    numbers: list[int] = []
    for part in filter(None, text.strip().split(",")):
        first, _, last = part.partition("-")
        numbers += range(int(first), int(last or first) + 1)
    return numbers


def _node_of(bus: str) -> int | None:
    """NUMA node of a PCI device; `bus` as nvidia-smi writes it: 00000000:3B:00.0."""
    text = _read(_SYS / "bus/pci/devices" / bus.lower()[-12:] / "numa_node").strip()
    return int(text) if text.isdecimal() else None  # -1: the firmware does not say


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
