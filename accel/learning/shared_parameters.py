"""Weights and optimizer state of several learners in shared memory, in chunks with a lock each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch

from accel.algos import ALONE, Ranks
from accel.learning.optimizers import CPU_CHUNK
from accel.learning.range_locks import LockTimeout, RangeLocks
from accel.learning.sync import RankError
from accel.shared import Field, SharedBlock

# Far longer than any push; but processes may be stopped for a while and go on.
_TIMEOUT_S = 300.0
_COUNTERS = {"pushes": "int64", "holder": "int64", "steps": "float32"}


class SharedParameters:
    """Weights [P] and optimizer state of all learners; chunks are as large as optimizers' passes.

    Chunks four times as large would save 0.7 of the 3.4 ms that a push by Adam takes (1.7 million
    weights, one thread; 1.4 ms without sharing), and would hold others up for four times as long.

    All tensors are views of shared memory, to be read or written inside `chunk` only, or while all
    learners are known to wait.
    """

    def __init__(
        self, block: SharedBlock, ranks: Ranks = ALONE, timeout_s: float = _TIMEOUT_S
    ) -> None:
        """`block` has the fields of `shared_fields`, on a file that this rank itself has opened."""
        arrays = dict(block.arrays)
        self.pushes = arrays.pop("pushes")  # [C] int64: gradients that each chunk has taken
        self._holder = arrays.pop("holder")  # [C] int64: rank + 1 while a chunk is being changed
        tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
        self.weights = tensors.pop("weights")
        self.steps = tensors.pop("steps")  # [C] float32: of an optimizer that counts its steps
        self.state = tensors  # name -> [P] float32
        size = len(self.weights)
        self.chunks = [slice(at, min(at + CPU_CHUNK, size)) for at in range(0, size, CPU_CHUNK)]
        self.ranks = ranks
        self._locks = RangeLocks(block.fd, timeout_s)

    @contextmanager
    def chunk(self, index: int) -> Iterator[float]:
        """Hold a chunk for changing it; gives the seconds that were waited for it.

        Raises:
            RankError: a rank was lost, or failed, while it changed this chunk; or it holds it
                for too long.
        """
        holder = self._holder
        try:
            with self._locks.held(index) as waited_s:
                if holder[index]:
                    lost = holder[index] - 1
                    raise RankError(f"rank {lost} was lost while it changed chunk {index}")
                holder[index] = self.ranks.rank + 1
                yield waited_s
                holder[index] = 0  # not after an exception: the chunk may be half done
        except LockTimeout as error:
            who = f"rank {holder[index] - 1}" if holder[index] else "a rank"  # not marked yet
            raise RankError(f"{who} holds a chunk of the weights: {error}") from error


def shared_fields(size: int, state: Sequence[str]) -> list[Field]:
    """The memory of `SharedParameters` for weights [size] and the optimizer's arrays `state`."""
    num_chunks = -(-size // CPU_CHUNK)
    return [
        *(Field(name, (size,), "float32") for name in ("weights", *state)),
        *(Field(name, (num_chunks,), dtype) for name, dtype in _COUNTERS.items()),
    ]
