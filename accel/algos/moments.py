"""Means and variances over the samples of all ranks, of many columns in one exchange."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from accel.algos.ranks import ALONE, Ranks


class Moments(NamedTuple):
    """Of m columns of samples, over the valid ones of all ranks; 0 where there are none."""

    count: Tensor  # [m] float32
    mean: Tensor  # [m] float32
    variance: Tensor  # [m] float32: the mean square of the deviation, not the unbiased estimate


def moments(columns: Sequence[Tensor], valid: Sequence[Tensor], ranks: Ranks = ALONE) -> Moments:
    """Return the moments of each of `columns` [n] float32 over its `valid` [n] bool samples.

    An exchange costs a message to and from every rank whatever its size, so all sums travel at
    once: squares too, before the means are known. In float64 the variance is then left with more
    digits than float32 samples have.
    """
    sums = ranks.total(torch.stack([_sums(*pair) for pair in zip(columns, valid)]))
    count, total, squares = sums.unbind(1)
    mean = total / count.clamp(min=1)
    variance = (squares / count.clamp(min=1) - mean.square()).clamp(min=0)
    return Moments(count.float(), mean.float(), variance.float())


def _sums(column: Tensor, valid: Tensor) -> Tensor:
    """Number, sum and sum of squares of the valid samples: [3] float64."""
    kept = column.double() * valid
    return torch.stack([valid.sum().double(), kept.sum(), kept.square().sum()])
