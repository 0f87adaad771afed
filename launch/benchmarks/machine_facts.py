"""What a speed depends on besides the code: versions, clocks, hyperthreads, links and limits."""

from __future__ import annotations

import importlib.util
import shutil
import statistics
from pathlib import Path
from typing import Any

from accel.config.machine import allowed_cores, usable_cores
from accel.runs.machine import ask_nvidia_smi, describe_machine, package_versions

_PACKAGES = (
    "torch", "numpy", "ale-py", "gymnasium", "numba", "hydra-core", "opencv-python-headless",
    "tensorboard",
)  # fmt: skip
_MODULES = ("ale_py", "gymnasium", "hydra", "numba", "cv2", "tensorboard", "matplotlib", "rich",
            "atarihns", "pytest", "xdist", "pytest_timeout", "hypothesis", "imageio_ffmpeg",
            "stable_baselines3")  # fmt: skip
_GPU = {
    "driver": "driver_version",
    "compute_mode": "compute_mode",
    "persistence": "persistence_mode",
    "sm_clock": "clocks.current.sm",
    "sm_clock_max": "clocks.max.sm",
    "memory_clock": "clocks.current.memory",
    "memory_clock_max": "clocks.max.memory",
    "power_limit": "power.limit",
    "pcie_generation": "pcie.link.gen.max",
    "pcie_width": "pcie.link.width.max",
    "temperature": "temperature.gpu",
    "utilization": "utilization.gpu",
    "mig": "mig.mode.current",
}
_CPUS = Path("/sys/devices/system/cpu")


def collect() -> dict[str, Any]:
    """All of it, as JSON values; CUDA is not touched."""
    import torch

    return {
        **describe_machine(),
        "cores_usable": usable_cores(),
        "versions": package_versions(_PACKAGES),
        "missing": [name for name in _MODULES if importlib.util.find_spec(name) is None],
        "cuda": torch.version.cuda,
        "gpu": _ask_gpu(),
        "mps": shutil.which("nvidia-cuda-mps-control"),
        **_cores(),
        "cpu_mhz": _cpu_mhz(),
        "shared_memory_gb": round(shutil.disk_usage("/dev/shm").total / 1e9, 1),
    }


def describe(facts: dict[str, Any]) -> str:
    """In one line."""
    words = [f"Python {facts['python']}"]
    words += [f"{name} {version}" for name, version in facts["versions"].items()]
    cores = f"{facts['cores_usable']} cores usable of {facts['cores']}"
    if facts["physical_cores"]:
        cores += f", {facts['physical_cores']} physical"
    megahertz = f" at {facts['cpu_mhz']:,.0f} MHz" if facts["cpu_mhz"] else ""
    parts = [", ".join(words), f"{facts['cpu_model']}, {cores}{megahertz}"]
    gpu = facts["gpu"]
    for found in facts["gpus"]:
        parts.append(
            f"{found['name']}, driver {found['driver']}, CUDA {facts['cuda']}, "
            f"SM {gpu['sm_clock']} of {gpu['sm_clock_max']}, compute mode {gpu['compute_mode']}, "
            f"PCIe {gpu['pcie_generation']} x{gpu['pcie_width']}, {gpu['power_limit']}, "
            f"MPS {'there' if facts['mps'] else 'not there'}"
        )
    if facts["missing"]:
        parts.append(f"without {', '.join(facts['missing'])}")
    return "; ".join(parts)


def _ask_gpu() -> dict[str, str | None]:
    """Of the first GPU; one by one where the driver lacks a property and refuses the question."""
    rows = ask_nvidia_smi(*_GPU.values())
    if rows:
        return dict(zip(_GPU, rows[0]))
    answers = {name: ask_nvidia_smi(question) for name, question in _GPU.items()}
    return {name: rows[0][0] if rows else None for name, rows in answers.items()}


def _cores() -> dict[str, int | None]:
    """Physical cores behind those this process may use: fewer where hyperthreads share one."""
    siblings = set()
    for core in allowed_cores():
        try:
            topology = _CPUS / f"cpu{core}" / "topology" / "thread_siblings_list"
            siblings.add(topology.read_text().strip())
        except OSError:
            return {"physical_cores": None}
    return {"physical_cores": len(siblings)}


def _cpu_mhz() -> float | None:
    """The mean over the cores, now."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return None
    clocks = [float(line.split(":")[1]) for line in lines if line.startswith("cpu MHz")]
    return statistics.mean(clocks) if clocks else None
