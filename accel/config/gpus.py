"""Which GPUs a CUDA program started here would see, and how processes may share them.

Told by CUDA's variables, nvidia-smi and the files of MPS; torch is not asked, and no process gets a
CUDA context by it.
"""

from __future__ import annotations

import errno
import os
import socket
import stat
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from accel.runs.machine import ask_nvidia_smi

VISIBLE = "CUDA_VISIBLE_DEVICES"
_ORDER = "CUDA_DEVICE_ORDER"
_MPS_FOLDER = "/tmp/nvidia-mps"  # unless CUDA_MPS_PIPE_DIRECTORY names another


@dataclass(frozen=True)
class Gpu:
    """A visible GPU."""

    id: str  # as CUDA_VISIBLE_DEVICES names it: number, GPU-<uuid> or MIG-<uuid>
    node: int | None = None  # NUMA node its bus belongs to
    compute_mode: str = ""  # as nvidia-smi writes it: Default, Exclusive_Process; "": unknown


@dataclass(frozen=True)
class InstalledGpu:
    """A GPU that the driver shows to this process, in nvidia-smi's order."""

    uuid: str
    model: str
    node: int | None = None
    compute_mode: str = ""


def visible_gpus(
    named: str | None, installed: Sequence[InstalledGpu], order: str | None = None
) -> list[Gpu]:
    """The GPUs that CUDA_VISIBLE_DEVICES=`named` leaves of those installed, as CUDA reads it.

    Without the variable all are visible; they are then named by UUID, because CUDA counts by speed
    and nvidia-smi by bus unless CUDA_DEVICE_ORDER=`order` makes them agree. Like CUDA, this stops
    at the first name that fits no GPU, and a GPU named twice leaves none.
    """
    if named is None:
        return [Gpu(gpu.uuid, gpu.node, gpu.compute_mode) for gpu in installed]
    found: list[Gpu] = []
    for name in (word.strip() for word in named.split(",")):
        if name.isdecimal() and (not installed or int(name) < len(installed)):
            found.append(_by_number(name, installed, order))
        elif name.startswith("GPU-"):
            meant = [gpu for gpu in installed if gpu.uuid.startswith(name)]  # may be shortened
            if installed and len(meant) != 1:
                break
            found.append(Gpu(name, meant[0].node, meant[0].compute_mode) if meant else Gpu(name))
        elif name.startswith("MIG-"):
            found.append(Gpu(name))
        else:
            break
    return found if len({gpu.id for gpu in found}) == len(found) else []


def compute_modes() -> tuple[str, ...]:
    """The compute mode of each visible GPU, in CUDA's order; "" where it cannot be told."""
    installed = _installed()
    named, order = os.environ.get(VISIBLE), os.environ.get(_ORDER)
    if named is None:  # CUDA's numbers are what counts here
        named = ",".join(str(number) for number in range(len(installed)))
    return tuple(gpu.compute_mode for gpu in visible_gpus(named, installed, order))


@cache
def _installed() -> tuple[InstalledGpu, ...]:
    """Asked once a process: a sweep checks each of its jobs against them."""
    rows = ask_nvidia_smi("uuid", "name", "compute_mode")
    return tuple(InstalledGpu(uuid, model, compute_mode=mode) for uuid, model, mode in rows)


def mps_serves() -> bool:
    """Whether an MPS daemon listens where a CUDA program started here would look for it."""
    folder = Path(os.environ.get("CUDA_MPS_PIPE_DIRECTORY") or _MPS_FOLDER)
    with suppress(OSError):
        kind = (folder / "control").stat().st_mode
        if stat.S_ISSOCK(kind):
            return _is_bound(folder / "control")
        if stat.S_ISFIFO(kind):  # fails unless somebody reads
            os.close(os.open(folder / "control", os.O_WRONLY | os.O_NONBLOCK))
            return True
    return False


def _by_number(name: str, installed: Sequence[InstalledGpu], order: str | None) -> Gpu:
    """A GPU by CUDA's number, and of what nvidia-smi says that which surely is about this one."""
    if installed and (order == "PCI_BUS_ID" or len({gpu.model for gpu in installed}) == 1):
        gpu = installed[int(name)]
        return Gpu(name, gpu.node, gpu.compute_mode)
    modes = {gpu.compute_mode for gpu in installed}
    return Gpu(name, None, modes.pop() if len(modes) == 1 else "")


def _is_bound(path: Path) -> bool:
    """Whether a process holds this socket. It does not hear of the question.

    A socket of another kind than ours turns us away, but not as one that was left behind does.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ours:
        ours.setblocking(False)
        try:
            ours.connect(str(path))
        except OSError as error:
            return error.errno == errno.EPROTOTYPE
        return True
