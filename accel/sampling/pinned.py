"""Page-locked shared memory: what a GPU copies by itself while the CPU goes on."""

from __future__ import annotations

import warnings
from contextlib import suppress

import numpy as np
import torch
from torch import Tensor

_PORTABLE = 1  # cudaHostRegisterPortable: for all of the process's devices


class PinnedMemory:
    """Memory registered with CUDA until `close`. Without it, copies are right but wait.

    Registration belongs to a process: each one that copies from a shared block registers its own
    mapping of it.
    """

    def __init__(self, memory: np.ndarray, device: torch.device) -> None:
        """Register the pages of `memory` [bytes] uint8; warns where that fails."""
        self._address: int | None = None
        address = memory.ctypes.data
        # int: the binding's own error type changed over torch's releases.
        with torch.cuda.device(device):
            error = int(torch.cuda.cudart().cudaHostRegister(address, memory.nbytes, _PORTABLE))
        if error == 0:
            self._address = address
            return
        with suppress(RuntimeError):  # CUDA would blame the next kernel for it: let this one be it
            torch.zeros(1, device=device)
        warnings.warn(
            f"CUDA cannot lock {memory.nbytes:,} bytes of shared memory (cudaError {error}): "
            "it is copied more slowly; raise the locked-memory limit (ulimit -l)",
            stacklevel=2,
        )

    def close(self) -> None:
        """Unregister. May be called twice."""
        if self._address is not None:
            torch.cuda.cudart().cudaHostUnregister(self._address)
            self._address = None


def copy_whole(target: Tensor, source: Tensor) -> None:
    """Copy between host and device, each in one piece, and wait for this copy alone, asleep."""
    target.copy_(source, non_blocking=True)
    device = target.device if target.is_cuda else source.device
    if device.type == "cuda":
        copied = torch.cuda.Event(blocking=True)
        copied.record(torch.cuda.current_stream(device))
        copied.synchronize()
