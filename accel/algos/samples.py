"""Records of samples: tensors with one row per sample, selected and cut together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TypeVar

from torch import Tensor

Record = TypeVar("Record", bound="Samples")


class Samples:
    """Base of a frozen dataclass: each tensor field is a column [n, ...], others are shared.

    Samples that do not count stay in with weight zero. So the shapes never depend on how many there
    are, which keeps compiled kernels and CUDA graphs reusable and needs no host-device sync.
    """

    weights: Tensor  # [n] float32, a field of every record

    def __len__(self) -> int:
        return self.weights.shape[0]

    def select(self: Record, index: Tensor) -> Record:
        """Return the samples at `index` [m] int64."""
        return replace(self, **{k: column.index_select(0, index) for k, column in self._columns()})

    def split(self: Record, max_samples: int | None) -> list[Record]:
        """Cut into the fewest nearly equal pieces of at most `max_samples` (None: no limit)."""
        if max_samples is None or len(self) <= max_samples:
            return [self]
        num_pieces = -(-len(self) // max_samples)
        columns = {k: column.tensor_split(num_pieces) for k, column in self._columns()}
        return [
            replace(self, **{k: pieces[i] for k, pieces in columns.items()})
            for i in range(num_pieces)
        ]

    def _columns(self) -> Iterator[tuple[str, Tensor]]:
        return ((name, value) for name, value in vars(self).items() if isinstance(value, Tensor))
