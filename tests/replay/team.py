"""Ranks as threads of this process, which meet in step."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import torch

from accel.algos import Ranks
from accel.learning.sync import Alone

T = TypeVar("T")


class Member(Alone):
    """One rank of a team."""

    def __init__(self, team: Team, rank: int) -> None:
        self._team, self._rank = team, rank
        self.ranks = Ranks(rank, team.size, self._total)

    def gather(self, value: T) -> list[T]:
        values, barrier = self._team.values, self._team.barrier
        values[self._rank] = value
        barrier.wait()
        gathered = list(values)
        barrier.wait()
        return gathered

    def _total(self, tensor: torch.Tensor) -> torch.Tensor:
        return tensor.copy_(torch.stack(self.gather(tensor.clone())).sum(0))


class Team:
    """Runs one program on `size` ranks at once."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.values: list[Any] = [None] * size
        self.barrier = threading.Barrier(size, timeout=30)

    def run(self, program: Callable[[Member], T]) -> list[T]:
        """What it returned on each rank; raises what it raised on any."""
        with ThreadPoolExecutor(self.size) as pool:
            return list(pool.map(program, [Member(self, rank) for rank in range(self.size)]))
