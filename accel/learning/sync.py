"""Learners joined in one update, on torch.distributed: NCCL between GPUs, gloo elsewhere.

Every rank runs the same program and meets the others in the same order of calls. Tensors of the
update go through the update's own group; flags, games and states of the program go through a gloo
group beside it, so that no GPU has to be waited for. `rank_watch.py` notices who is lost.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from time import perf_counter
from types import TracebackType
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from accel.algos import ALONE, Ranks
from accel.learning.links import notice_lost_machines
from accel.learning.peers import meet_peers
from accel.learning.rank_watch import RankWatch

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

    def on_loss(self, tell: Callable[[str], None]) -> None:
        """Have `tell` called before this process is ended because its main thread cannot.

        That is so if it waits for a rank that was lost. It is called in another thread.
        """

    def close(self, is_failing: bool = False) -> None:
        """Leave; `is_failing` if the others must not go on."""

    def __enter__(self) -> Alone:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close(is_failing=error is not None)


class Together(Alone):
    """One rank of several. Its launcher's address is in the environment, as torchrun sets it."""

    def __init__(self, rank: int, size: int, *, backend: str, timeout_s: float) -> None:
        """Meet the others; `backend` (nccl or gloo) carries the update's tensors.

        From then on a rank that is lost ends this process within seconds, wherever it waits.

        Raises:
            RankError: they did not all come within `timeout_s`.
        """
        self._is_nccl = backend == "nccl"
        if self._is_nccl:  # its own watchdog would abort the process, and nothing be recorded
            os.environ.setdefault("TORCH_NCCL_ASYNC_ERROR_HANDLING", "0")
        try:
            dist.init_process_group(
                backend, rank=rank, world_size=size, timeout=timedelta(seconds=timeout_s)
            )
            self._talk = dist.new_group(backend="gloo")
            peers = meet_peers(rank, size, notice_lost_machines(), partial(_gather, self._talk))
        except (RuntimeError, ValueError, OSError) as error:
            raise RankError(f"the {size} ranks did not all meet: {error}") from error
        notice_lost_machines()  # on the connections to these, too
        self._watch = RankWatch(rank, peers, timeout_s)
        self.ranks = Ranks(rank, size, self._total)
        self.communication_s = None if self._is_nccl else 0.0  # NCCL returns at once

    def any(self, flags: Sequence[bool]) -> list[bool]:
        raised = torch.tensor(flags, dtype=torch.int32)
        with self._explained("agreeing with the other ranks"):
            dist.all_reduce(raised, op=dist.ReduceOp.MAX, group=self._talk)
        return [bool(flag) for flag in raised]

    def gather(self, value: T) -> list[T]:
        with self._explained("gathering from the other ranks"):
            return _gather(self._talk, value)

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

    def on_loss(self, tell: Callable[[str], None]) -> None:
        self._watch.tell_loss = tell

    def close(self, is_failing: bool = False) -> None:
        if not (is_failing and self._is_nccl):  # which would wait for a lost rank even now
            dist.destroy_process_group()
        self._watch.close(is_failing)

    def _total(self, tensor: Tensor) -> Tensor:
        start = perf_counter()
        with self._explained("adding up gradients with the other ranks", in_update=True):
            dist.all_reduce(tensor)
        if self.communication_s is not None:
            self.communication_s += perf_counter() - start
        return tensor

    def fail_with_the_lost(self) -> None:
        """Raise RankError if a rank is known to be lost."""
        if self._watch.loss is not None:
            raise RankError(f"{self._watch.loss.who} was lost ({self._watch.loss.how})")

    @contextmanager
    def _explained(self, doing: str, in_update: bool = False) -> Iterator[None]:
        """Turns a failed exchange into an error that says what it most often means."""
        self.fail_with_the_lost()
        self._watch.note_exchange(in_update)
        try:
            yield
        except RuntimeError as error:
            raise RankError(f"{self._watch.whom()} was lost while {doing}: {error}") from error


def _gather(group: dist.ProcessGroup, value: T) -> list[T]:
    values: list[Any] = [None] * dist.get_world_size(group)
    dist.all_gather_object(values, value, group=group)
    return values


def _checksum(weights: Tensor) -> int:
    """A sum over the bits of float32 `weights` that depends on their order."""
    bits = weights.view(torch.int32).to(torch.int64)
    place = torch.arange(1, len(bits) + 1, device=bits.device)
    return int((bits * place).sum())
