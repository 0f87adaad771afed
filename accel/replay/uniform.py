"""Uniform replay (Mnih et al. 2015): everything in the window is drawn equally often."""

from __future__ import annotations

from typing import Any

import torch
from torch import Generator, Tensor

from accel.replay.items import Items


class Uniform:
    """Draws with replacement; needs no priorities."""

    def __init__(self, items: Items) -> None:
        self._items = items

    def append(self, marks: Tensor) -> None:
        """Follow the ring by one rollout; `marks` as for `Items.append`."""
        self._items.append(marks, torch.ones((), dtype=torch.int64, device=marks.device))

    def draw(self, num_items: int, generator: Generator, beta: float) -> tuple[Tensor, Tensor]:
        """Items [n] int64 and their importance weights [n] float32, all 1 whatever `beta`."""
        share = torch.rand(num_items, dtype=torch.float64, generator=generator)
        items = self._items.find(share)
        return items, torch.ones_like(items, dtype=torch.float32)

    def state_dict(self) -> dict[str, Any]:
        """Which items are open; it changes with the next `append`."""
        return self._items.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on exactly where `state_dict` was taken."""
        self._items.load_state_dict(state)
