"""Sums over many weights that change a few at a time, and search by running sum.

Weights are whole numbers: sums are exact in any order, so every device and every rank finds the
same items, nothing drifts, and no rounding can lead to an item of weight 0.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor

WIDTH = 64  # children of a node
MOST_ROOTS = 1 << 14  # nodes without a parent: one running sum over them is cheaper than a level


class SumTree:
    """int64 weights of `size` items, on any device; no call waits for it.

    They must be 0 or more and their sum below 2^63; this is not checked.
    """

    def __init__(self, size: int, device: torch.device | str = "cpu") -> None:
        """All weights are 0."""
        self._levels: list[Tensor] = []  # leaves first; each padded to whole nodes
        while not self._levels or size > MOST_ROOTS:
            num_parents = -(-size // WIDTH)
            self._levels.append(_zeros(num_parents * WIDTH, device))
            size = num_parents
        self._levels.append(_zeros(size, device))

    @property
    def total(self) -> Tensor:
        """The sum of all weights: an int64 scalar."""
        return self._levels[-1].sum()

    def get(self, items: Tensor) -> Tensor:
        """The weights [n] int64 of `items` [n] int64."""
        return self._levels[0].index_select(0, items)

    def set(self, items: Tensor, weights: Tensor) -> None:
        """Set the weights of `items` [n] int64 to `weights` [n] int64.

        Where an item comes several times its greatest weight counts: the same on every device.
        """
        leaves = self._levels[0]
        leaves.index_fill_(0, items, 0).scatter_reduce_(0, items, weights, "amax")
        nodes = items
        for children, parents in pairwise(self._levels):
            nodes = nodes // WIDTH
            sums = children.view(-1, WIDTH).index_select(0, nodes).sum(1)
            parents.index_copy_(0, nodes, sums)

    def find(self, mass: Tensor) -> Tensor:
        """The items [n] int64 in whose part of the running sum `mass` [n] int64 falls.

        Item i owns w_i numbers, from the sum of the weights before it on. `mass` is in
        0..total - 1. An item of weight 0 owns none, and is never found.
        """
        roots = self._levels[-1]
        running = roots.cumsum(0)
        node = torch.searchsorted(running, mass, right=True)
        mass = mass - (running - roots).index_select(0, node)
        for level in reversed(self._levels[:-1]):
            weights = level.view(-1, WIDTH).index_select(0, node)
            running = weights.cumsum(1)
            child = torch.searchsorted(running, mass.unsqueeze(1), right=True)
            mass = mass - (running - weights).gather(1, child).squeeze(1)
            node = node * WIDTH + child.squeeze(1)
        return node

    def state_dict(self) -> dict[str, Tensor]:
        """The weights, as they are: they change with the next `set`."""
        return {"weights": self._levels[0]}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Go on exactly where `state_dict` was taken."""
        self._levels[0].copy_(state["weights"])
        for children, parents in pairwise(self._levels):
            parents[: children.shape[0] // WIDTH] = children.view(-1, WIDTH).sum(1)


def _zeros(size: int, device: torch.device | str) -> Tensor:
    return torch.zeros(size, dtype=torch.int64, device=device)
