"""A stand-in for a GPU's copies: the device's tensors are others than the shared arrays.

What goes down without being waited for arrives only when somebody waits for an event recorded
after it, as late as a GPU may take.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from accel.shared import SharedBlock


@dataclass(frozen=True)
class Copied:
    """One copy between host and device."""

    is_down: bool
    shape: tuple[int, ...]
    dtype: torch.dtype
    waits: bool  # not asked to go on alone, or not of one piece on both sides


class CopyWatch(TorchDispatchMode):
    """Notes copies to and from the memory of a block, and `waits` for events, while entered."""

    def __init__(self, block: SharedBlock) -> None:
        super().__init__()
        start = block.memory.ctypes.data
        self._block = range(start, start + block.memory.nbytes)
        self._under_way: list[tuple[Tensor, Tensor]] = []
        self.copies: list[Copied] = []
        self.waits = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None):
        kwargs = kwargs or {}
        if function.overloadpacket is not torch.ops.aten.copy_:
            return function(*args, **kwargs)
        target, source = args[:2]
        is_down = self._is_shared(target)
        if is_down == self._is_shared(source):
            return function(*args, **kwargs)
        alone = kwargs.get("non_blocking", len(args) > 2 and args[2])
        alone = alone and target.is_contiguous() and source.is_contiguous()
        self.copies.append(Copied(is_down, tuple(target.shape), target.dtype, not alone))
        if not (is_down and alone):
            return function(*args, **kwargs)
        self._under_way.append((target, source.clone()))
        return target

    def record_event(self) -> Event:
        """As a stream's: what is under way now is there after this event."""
        return Event(self, len(self._under_way))

    def arrive(self, count: int) -> None:
        self.waits += 1
        for target, made in self._under_way[:count]:
            target.numpy()[...] = made.numpy()
        self._under_way[:count] = [(torch.empty(0), torch.empty(0))] * count

    def _is_shared(self, tensor: Tensor) -> bool:
        return tensor.data_ptr() in self._block


@dataclass
class Event:
    """Of a stream."""

    watch: CopyWatch
    count: int

    def synchronize(self) -> None:
        self.watch.arrive(self.count)


@contextmanager
def watched(block: SharedBlock, monkeypatch: pytest.MonkeyPatch) -> Iterator[CopyWatch]:
    """Copies of `block` are noted, and its streams are the stand-in's."""
    watch = CopyWatch(block)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device=None: watch)
    with watch:
        yield watch
