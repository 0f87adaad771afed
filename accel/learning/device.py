"""What a process asks of its device before it trains, and how it waits for it."""

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


def wait_asleep(device: torch.device) -> None:
    """Return when a CUDA `device` has done all of its present stream; the core is free meanwhile.

    A learner waits for milliseconds, beside workers that fill the cores, and may wake up some tens
    of microseconds late. CUDA's other waits spin in a process with as few contexts as ours, also
    those hidden in a copy to the host. That suits an actor: all workers of a group wait with it.
    """
    event = torch.cuda.Event(blocking=True)
    event.record(torch.cuda.current_stream(device))
    event.synchronize()
