"""The learners that share an update, as far as an algorithm's arithmetic needs to know them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor


def _only_ours(tensor: Tensor) -> Tensor:
    return tensor


@dataclass(frozen=True)
class Ranks:
    """One of `size` learners with equal numbers of environments: means are over all of them.

    Rank r holds the r-th part of the global batch's columns.
    """

    rank: int = 0
    size: int = 1
    total: Callable[[Tensor], Tensor] = _only_ours  # sums a tensor over all learners, in place


ALONE = Ranks()
