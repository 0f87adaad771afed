"""A random order of the global batch, of which each rank works out its own part alone."""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from accel.algos.ranks import ALONE, Ranks

# Fewer leave small sets uneven: with 6, distances of neighbors of 8 units gave a chi-square of 15
# over 6 degrees of freedom (4000 orders), with 8 rounds 7.
_NUM_ROUNDS = 8


def deal(
    num_units: int, num_columns: int, num_parts: int, generator: Generator, ranks: Ranks = ALONE
) -> tuple[Tensor, ...]:
    """Return the units of this rank, [m] int64 each, in nearly equal parts of the global batch.

    The `size * num_units` units of all ranks are put in random order and cut. They lie row by row,
    and this rank holds the rank-th `num_columns` columns. With equal generators (on the CPU) the
    parts do not depend on the number of ranks, and the time depends on this rank's units alone.
    """
    unit = torch.arange(num_units)
    row, column = unit // num_columns, unit % num_columns
    ours = (row * ranks.size + ranks.rank) * num_columns + column
    total = num_units * ranks.size
    places, order = permuted(ours, total, generator).sort()
    least, longer = divmod(total, num_parts)  # as `Tensor.tensor_split` cuts
    ends = torch.tensor([part * least + min(part, longer) for part in range(1, num_parts)])
    return order.tensor_split(torch.searchsorted(places, ends.long()))


def permuted(index: Tensor, size: int, generator: Generator) -> Tensor:
    """Return where a random permutation of [0, size), size < 2^31, puts `index` [n] int64.

    A shuffle by a keyed bijection rather than by a list (Mitchell et al. 2021, arXiv 2106.06161):
    of the numbers of so many bits as `size` takes, here by rounds of steps that can each be undone,
    adding, multiplying by an odd number, and folding the upper half into the lower. What lands
    outside of [0, size) goes on until it is inside (cycle walking: Black and Rogaway 2002), which
    takes less than twice as long, since less than half lands outside.
    """
    num_bits = (size - 1).bit_length()
    keys = torch.randint(1 << 31, (_NUM_ROUNDS, 2), generator=generator).tolist()
    places = _scattered(index, num_bits, keys)
    outside = (places >= size).nonzero().squeeze(1)
    while len(outside):
        places[outside] = _scattered(places[outside], num_bits, keys)
        outside = outside[places[outside] >= size]
    return places


def _scattered(numbers: Tensor, num_bits: int, keys: list[list[int]]) -> Tensor:
    """Map [0, 2^num_bits) onto itself; both factors are below 2^31, so products fit in int64."""
    mask, half = (1 << num_bits) - 1, max(1, num_bits // 2)
    for shift, factor in keys:
        numbers = (((numbers + shift) & mask) * (factor | 1)) & mask
        numbers = numbers ^ (numbers >> half)
    return numbers
