"""What a process asks of its device before it trains."""

from __future__ import annotations

import torch

from accel.learning.allocator import keep_freed_memory


def prepare_device(device: torch.device) -> None:
    """Make training fast on `device`, for the rest of the process.

    On a GPU float32 products are computed in TF32 (float32's range, 10 bits of mantissa), which
    concerns core and heads, and all of a network in "fp32"; convolutions' kernels are chosen by
    timing them once a shape. Two runs may choose differently, and then differ in the last bits.
    """
    if device.type == "cpu":
        keep_freed_memory()
    elif device.type == "cuda":
        torch.set_float32_matmul_precision("high")
        torch.backends.cudnn.benchmark = True
