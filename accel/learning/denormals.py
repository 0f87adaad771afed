"""Numbers too small for full precision, which processors are slow with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def flushed_denormals() -> Iterator[None]:
    """Take denormal numbers for zero on the CPU meanwhile, in this thread and those it starts.

    Adam's averages of gradients that have become zero fade into them: after a thousand updates a
    DQN's are a quarter slower (2 cores, batches of 32). The setting is the whole thread's, and who
    comes after training may mind.
    """
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)
