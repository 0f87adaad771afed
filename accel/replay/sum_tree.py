"""Sums over many weights that change a few at a time, and search by running sum."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor

WIDTH = 32  # children of a node: few levels, and a node's children are few cache lines


class SumTree:
    """Non-negative weights of `size` items, in float64, on any device; no call waits for it.

    A node is always recomputed as the sum of its children, never adjusted by a difference: rounding
    errors do not build up, and setting one item twice does no harm.
    """

    def __init__(self, size: int, device: torch.device | str = "cpu") -> None:
        """All weights are 0."""
        self._levels: list[Tensor] = []  # leaves first; each padded to whole nodes
        while not self._levels or size > 1:
            num_nodes = -(-size // WIDTH)
            self._levels.append(torch.zeros(num_nodes * WIDTH, dtype=torch.float64, device=device))
            size = num_nodes

    @property
    def total(self) -> Tensor:
        """The sum of all weights: a float64 scalar."""
        return self._levels[-1].sum()

    def get(self, items: Tensor) -> Tensor:
        """The weights [n] float64 of `items` [n] int64."""
        return self._levels[0].index_select(0, items)

    def set(self, items: Tensor, weights: Tensor) -> None:
        """Set the weights of `items` [n] int64 to `weights` [n] float64: finite, none below 0.

        Where an item comes several times its greatest weight counts: the same on every device.
        """
        leaves = self._levels[0]
        leaves.index_fill_(0, items, 0.0).scatter_reduce_(0, items, weights, "amax")
        nodes = items
        for children, parents in pairwise(self._levels):
            nodes = nodes // WIDTH
            sums = children.view(-1, WIDTH).index_select(0, nodes).sum(1)
            parents.index_copy_(0, nodes, sums)

    def find(self, mass: Tensor) -> Tensor:
        """The items [n] int64 in whose share of the running sum `mass` [n] float64 falls.

        `mass` is in 0..total; an item of weight 0 is never found, not at either end nor for any
        rounding. The total must not be 0.
        """
        node = torch.zeros_like(mass, dtype=torch.int64)
        for level in reversed(self._levels):
            weights = level.view(-1, WIDTH).index_select(0, node)
            # Where a weight is 0 the running sum is out of reach, so that it cannot be chosen.
            running = weights.cumsum(1).masked_fill_(weights == 0, -1.0)
            # A parent may differ from its children's running sum in the last bits.
            mass = torch.minimum(mass, _just_below(running.amax(1)))
            child = (running > mass.unsqueeze(1)).byte().argmax(1, keepdim=True)  # the first one
            before = running.gather(1, child) - weights.gather(1, child)
            mass = (mass - before.squeeze(1)).clamp_(min=0)
            node = node * WIDTH + child.squeeze(1)
        return node

    def state_dict(self) -> dict[str, list[Tensor]]:
        """All sums, as they are: they change with the next `set`."""
        return {"levels": self._levels}

    def load_state_dict(self, state: dict[str, list[Tensor]]) -> None:
        """Go on exactly where `state_dict` was taken."""
        for level, saved in zip(self._levels, state["levels"], strict=True):
            level.copy_(saved)


def _just_below(positive: Tensor) -> Tensor:
    return torch.nextafter(positive, torch.zeros_like(positive))
