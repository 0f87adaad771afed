"""What a run ran on: processor, memory, GPUs and package versions, as JSON values."""

from __future__ import annotations

import os
import platform
import shutil
import socket
import subprocess
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES = (
    "accel",
    "torch",
    "numpy",
    "ale-py",
    "gymnasium",
    "numba",
    "opencv-python-headless",
    "hydra-core",
    "tensorboard",
)
_QUERY_TIMEOUT_S = 10
_KILL_TIMEOUT_S = 1


def describe_machine() -> dict[str, Any]:
    """Host, operating system, processor, cores, memory in GB and GPUs of this machine."""
    return {
        "host": socket.gethostname(),
        "platform": platform.platform(),
        "python": platform.python_version(),
        "cpu_model": _cpu_model(),
        "cores": os.cpu_count(),
        "cores_usable": _count_usable_cores(),
        "memory_gb": _memory_gb(),
        "gpus": list_gpus(),
    }


def package_versions(packages: tuple[str, ...] = PACKAGES) -> dict[str, str]:
    """Installed versions of those `packages` that are installed."""
    versions = {}
    for package in packages:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return versions


def list_gpus() -> list[dict[str, str]]:
    """Name, memory and driver of each NVIDIA GPU by nvidia-smi; empty without GPUs or driver.

    Asks the driver's own tool because torch would initialize CUDA, which forked workers inherit.
    """
    rows = ask_nvidia_smi("name", "memory.total", "driver_version")
    return [dict(zip(("name", "memory", "driver"), row)) for row in rows]


def ask_nvidia_smi(*properties: str) -> list[tuple[str, ...]]:
    """These properties (nvidia-smi --help-query-gpu) of each GPU; empty where it has no answer."""
    query = ["nvidia-smi", f"--query-gpu={','.join(properties)}", "--format=csv,noheader"]
    if shutil.which("nvidia-smi") is None:
        return []
    try:
        asked = subprocess.Popen(
            query, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
    except OSError:
        return []
    try:
        answer, _ = asked.communicate(timeout=_QUERY_TIMEOUT_S)
    except (subprocess.TimeoutExpired, UnicodeDecodeError):
        asked.kill()
        with suppress(subprocess.TimeoutExpired):  # one stuck in the driver does not even die
            asked.wait(_KILL_TIMEOUT_S)
        asked.stdout.close()
        return []
    rows = [tuple(line.split(", ")) for line in answer.splitlines()] if not asked.returncode else []
    return [row for row in rows if len(row) == len(properties)]


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _count_usable_cores() -> int | None:
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count()


def _memory_gb() -> float:
    return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1)
