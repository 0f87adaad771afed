"""Learners joined in one update, on torch.distributed: NCCL between GPUs, gloo elsewhere.

Every rank runs the same program and meets the others in the same order of calls. Tensors of the
update go through the update's own group; flags, games and states of the program go through a gloo
group beside it, so that no GPU has to be waited for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from time import perf_counter
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from accel.algos import ALONE, Ranks
from accel.learning.links import notice_lost_machines

T = TypeVar("T")


class RankError(RuntimeError):
    """Another rank was lost, or differs from this one."""


class Alone:
    """A job of one learner: nobody to meet."""

    ranks = ALONE
    # Spent adding up tensors, waiting for the others included; None where it cannot be told without
    # waiting for the GPU, or there are no others.
    communication_s: float | None = None

    @property
    def update_ranks(self) -> Ranks:
        """Those among whom an update is shared."""
        return self.ranks

    def any(self, flags: Sequence[bool]) -> list[bool]:
        """For each flag, whether any rank raises it."""
        return list(flags)

    def gather(self, value: T) -> list[T]:
        """The values of all ranks, in their order, on every rank."""
        return [value]

    def gather_first(self, value: T) -> list[T] | None:
        """The values of all ranks, in their order, on the first; None on the others.

        For what is large: rollouts played ahead are hundreds of megabytes a rank.
        """
        return [value]

    def check_equal(self, weights: Tensor) -> None:
        """Compare a checksum of all ranks' weights [P]; raises RankError naming who differs."""

    def start(self, agent_steps: int) -> None:
        """Begin together, at `agent_steps` of the job."""

    def advance(self, agent_steps: int, new: int) -> int:
        """The job's agent steps: `agent_steps` when last asked, now `new` more of this rank."""
        return agent_steps + new * self.ranks.size

    def close(self) -> None:
        """Leave."""


class Together(Alone):
    """One rank of several. Its launcher's address is in the environment, as torchrun sets it."""

    def __init__(self, rank: int, size: int, *, backend: str, timeout_s: float) -> None:
        """Meet the others; `backend` (nccl or gloo) carries the update's tensors.

        Raises:
            RankError: they did not all come within `timeout_s`.
        """
        try:
            dist.init_process_group(
                backend, rank=rank, world_size=size, timeout=timedelta(seconds=timeout_s)
            )
            self._talk = dist.new_group(backend="gloo")
        except (RuntimeError, ValueError) as error:
            raise RankError(f"the {size} ranks did not all meet: {error}") from error
        self.ranks = Ranks(rank, size, self._total)
        self.communication_s = 0.0 if backend == "gloo" else None  # NCCL returns at once
        self._addresses: list[set[str]] = []  # of each rank, to other machines
        self._addresses = self.gather(notice_lost_machines())

    def any(self, flags: Sequence[bool]) -> list[bool]:
        raised = torch.tensor(flags, dtype=torch.int32)
        with self._explained("agreeing with the other ranks"):
            dist.all_reduce(raised, op=dist.ReduceOp.MAX, group=self._talk)
        return [bool(flag) for flag in raised]

    def gather(self, value: T) -> list[T]:
        values: list[Any] = [None] * self.ranks.size
        with self._explained("gathering from the other ranks"):
            dist.all_gather_object(values, value, group=self._talk)
        return values

    def gather_first(self, value: T) -> list[T] | None:
        values: list[Any] | None = [None] * self.ranks.size if self.ranks.rank == 0 else None
        with self._explained("gathering from the other ranks"):
            dist.gather_object(value, values, group=self._talk)
        return values

    def check_equal(self, weights: Tensor) -> None:
        sums = self.gather(_checksum(weights))
        common = max(set(sums), key=sums.count)
        others = [str(rank) for rank, own in enumerate(sums) if own != common]
        if others:
            raise RankError(
                f"the weights of rank {', '.join(others)} differ from those of the other ranks: "
                f"checksums {sums}"
            )

    def close(self) -> None:
        dist.destroy_process_group()

    def _total(self, tensor: Tensor) -> Tensor:
        start = perf_counter()
        with self._explained("adding up gradients with the other ranks"):
            dist.all_reduce(tensor)
        if self.communication_s is not None:
            self.communication_s += perf_counter() - start
        return tensor

    @contextmanager
    def _explained(self, doing: str) -> Iterator[None]:
        """Turns a failed exchange into an error that says what it most often means."""
        try:
            yield
        except RuntimeError as error:
            raise RankError(f"{self._whom(error)} was lost while {doing}: {error}") from error

    def _whom(self, error: RuntimeError) -> str:
        """The ranks at the address in brackets that gloo's message names, if it is one of theirs.

        The first to lose a connection names who was lost; the next may name that first one.
        """
        named = [
            str(rank)
            for rank, addresses in enumerate(self._addresses)
            if any(f"[{address}]" in str(error) for address in addresses)
        ]
        return f"rank {' or '.join(named)}" if named else "a rank"


def _checksum(weights: Tensor) -> int:
    """A sum over the bits of float32 `weights` that depends on their order."""
    bits = weights.view(torch.int32).to(torch.int64)
    place = torch.arange(1, len(bits) + 1, device=bits.device)
    return int((bits * place).sum())
