"""A stand-in for CUDA graphs that needs no GPU."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import is_dataclass, replace
from typing import Any
from weakref import WeakSet

import torch
from torch import Tensor


class Recorded:
    """Replays by calling, through the same buffers and into the same outputs as a CUDA graph.

    Like a graph it hands out the same output tensors after every replay, so that whoever keeps one
    too long sees it overwritten. `num_recorded` and `num_replayed` count; `pools` are those used,
    and like torch it refuses to record into one of which no recording is left.
    """

    device = torch.device("cpu")

    def __init__(self) -> None:
        self.num_recorded = self.num_replayed = 0
        self.pools: dict[object, WeakSet[Callable[[], Any]]] = {}

    def warm_up(self, function: Callable[[], Any]) -> Any:
        return function()

    def new_pool(self) -> object:
        """A name alone: memory is the system's."""
        return object()

    def record(self, function: Callable[[], Any], pool: object) -> Callable[[], Any]:
        self.num_recorded += 1
        assert pool not in self.pools or len(self.pools[pool]), "no recording of it is left"
        outputs: list[Any] = []

        def replay() -> Any:
            self.num_replayed += 1
            new = function()
            if not outputs:
                outputs.append(new)
            with torch.inference_mode():  # policies' outputs can be written in no other
                for old, tensor in zip(tensors_of(outputs[0]), tensors_of(new), strict=True):
                    old.copy_(tensor)
            return outputs[0]

        self.pools.setdefault(pool, WeakSet()).add(replay)
        return replay


def tensors_of(value: Any) -> list[Tensor]:
    """The tensors of a tensor, a dict, a tuple or a dataclass."""
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, dict):
        value = value.values()
    elif is_dataclass(value):
        value = vars(value).values()
    elif not isinstance(value, tuple):
        return []
    return [tensor for part in value for tensor in tensors_of(part)]


def on_meta(value: Any) -> Any:
    """A record as it is, but for the numbers: the meta device has none to give.

    What would wait for a GPU fails with such tensors.
    """
    if isinstance(value, Tensor):
        return value.to("meta")
    if is_dataclass(value):
        return replace(value, **{name: on_meta(part) for name, part in vars(value).items()})
    if isinstance(value, tuple):
        parts = [on_meta(part) for part in value]
        return type(value)(*parts) if hasattr(value, "_fields") else tuple(parts)
    return value
