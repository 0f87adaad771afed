"""What this machine gives the process: cores, memory, CUDA devices."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, field
from pathlib import Path

from accel.config.gpus import compute_modes, mps_serves
from accel.config.place import Place

EXCLUSIVE, PROHIBITED = (
    "Exclusive_Process",
    "Prohibited",
)  # compute modes, as nvidia-smi writes them
_UNKNOWN = 1 << 62  # bytes: no limit could be read


@dataclass(frozen=True)
class Machine:
    """Resources this process may use, which in a container or a job are fewer than are built in."""

    cores: int  # CPU cores: affinity mask, cgroup quota and SLURM's grant, whichever is least
    memory_bytes: int  # available now, within the cgroup's limit
    cuda_devices: int = 0
    place: Place = field(default_factory=Place)
    compute_modes: tuple[str, ...] = ()  # of the CUDA devices; "" or absent where unknown
    has_mps: bool = False  # NVIDIA's Multi-Process Service shares GPUs among processes

    def compute_mode(self, gpu: int) -> str:
        """The compute mode of a CUDA device; "" if it is unknown, which is taken for Default."""
        return self.compute_modes[gpu] if gpu < len(self.compute_modes) else ""

    @classmethod
    def detect(cls, device: str = "auto") -> Machine:
        """Look at this machine. torch is imported only if `device` may turn out to be CUDA."""
        cuda_devices = _cuda_devices(device)
        return cls(
            cores=usable_cores(),
            memory_bytes=_memory_bytes(),
            cuda_devices=cuda_devices,
            place=Place.from_environment(),
            compute_modes=compute_modes() if cuda_devices else (),
            has_mps=bool(cuda_devices) and mps_serves(),
        )


def allowed_cores() -> list[int]:
    """Numbers of the cores that this process may run on: its affinity mask."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))  # macOS


def usable_cores() -> int:
    """How many cores this process may keep busy: affinity mask, cgroup quota, SLURM's grant."""
    return max(1, math.ceil(min(len(allowed_cores()), _cgroup_quota(), _slurm_grant())))


def has_cuda_driver() -> bool:
    """Whether an NVIDIA driver is loaded, told without asking it."""
    return any(Path(node).exists() for node in ("/dev/nvidiactl", "/dev/dxg"))


def _cgroup_quota() -> float:
    """CPU time per wall time the cgroup allows, in cores; infinite without a quota."""
    quota = math.inf
    for folder in _cgroup_folders():
        words = _read(folder / "cpu.max").split()  # version 2: "<quota|max> <period>"
        if len(words) == 2 and words[0] != "max":
            quota = min(quota, int(words[0]) / int(words[1]))
    micros = _read(Path("/sys/fs/cgroup/cpu/cpu.cfs_quota_us")).strip()  # version 1; -1: none
    period = _read(Path("/sys/fs/cgroup/cpu/cpu.cfs_period_us")).strip()
    if period.isdigit() and micros.isdigit():
        quota = min(quota, int(micros) / int(period))
    return quota


def _slurm_grant() -> float:
    """Cores that SLURM gave this task or, in a batch script, this node's part of the job.

    Where SLURM does not bind processes to their cores, the affinity mask does not show it.
    """
    in_task = "SLURM_STEP_ID" in os.environ and "SLURM_CPUS_PER_TASK" in os.environ
    granted = os.environ.get("SLURM_CPUS_PER_TASK" if in_task else "SLURM_CPUS_ON_NODE", "")
    return int(granted) if granted.isdigit() and int(granted) > 0 else math.inf


def _memory_bytes() -> int:
    available = _UNKNOWN
    for line in _read(Path("/proc/meminfo")).splitlines():
        if line.startswith("MemAvailable:"):
            available = int(line.split()[1]) * 1024
    if available == _UNKNOWN and "SC_PHYS_PAGES" in os.sysconf_names:
        available = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    for folder in _cgroup_folders():
        limit = _read(folder / "memory.max").strip()
        used = _read(folder / "memory.current").strip()
        if limit.isdigit() and used.isdigit():
            available = min(available, max(0, int(limit) - int(used)))
    return available


def _cgroup_folders() -> list[Path]:
    """This process's version 2 cgroup and its ancestors, whose limits all apply."""
    root = Path("/sys/fs/cgroup")
    for line in _read(Path("/proc/self/cgroup")).splitlines():
        if line.startswith("0::"):
            own = root / line[3:].strip("/")
            return [own, *(parent for parent in own.parents if parent.is_relative_to(root))]
    return [root]


def _cuda_devices(device: str) -> int:
    if not (device.startswith("cuda") or (device == "auto" and has_cuda_driver())):
        return 0
    import torch

    return torch.cuda.device_count()


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
