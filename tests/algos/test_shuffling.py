"""A permutation worked out index by index: a bijection, as random as a list, equal on all ranks."""

from collections import Counter
from itertools import chain
from math import factorial, sqrt

import pytest
import torch

from accel.algos.ranks import Ranks
from accel.algos.shuffling import deal, permuted


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def standard_score(observed: torch.Tensor, expected: float, freedom: int) -> float:
    """How many standard deviations a chi-square statistic lies above its mean."""
    statistic = float(((observed.double() - expected).square() / expected).sum())
    return (statistic - freedom) / sqrt(2 * freedom)


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8, 127, 128, 129, 1000, 65_537])
def test_every_place_is_taken_once(size):
    for seed in range(3):
        places = permuted(torch.arange(size), size, seeded(seed))
        assert torch.equal(places.sort().values, torch.arange(size))


def test_the_greatest_size_does_not_overflow():
    size = 2**31 - 1
    index = torch.tensor([0, 1, size - 2, size - 1])
    places = permuted(index, size, seeded())
    assert len(places.unique()) == 4
    assert ((places >= 0) & (places < size)).all()


def test_a_place_depends_on_its_index_alone():
    whole = permuted(torch.arange(1000), 1000, seeded())
    some = torch.tensor([999, 3, 500])
    assert torch.equal(permuted(some, 1000, seeded()), whole[some])


def test_epochs_differ():
    generator = seeded()
    first = permuted(torch.arange(100), 100, generator)
    assert not torch.equal(permuted(torch.arange(100), 100, generator), first)


@pytest.mark.parametrize("size", [3, 4, 5])
def test_all_orders_are_as_likely(size):
    generator, repeats = seeded(), 100 * factorial(size)
    index = torch.arange(size)
    orders = Counter(tuple(permuted(index, size, generator).tolist()) for _ in range(repeats))
    counts = torch.tensor([*orders.values()] + [0] * (factorial(size) - len(orders)))
    assert standard_score(counts, 100, factorial(size) - 1) < 4


@pytest.mark.parametrize("size", [24, 64])
def test_every_index_is_as_likely_at_every_place_and_neighbors_part(size):
    generator, repeats = seeded(), 2000
    index = torch.arange(size)
    places = torch.stack([permuted(index, size, generator) for _ in range(repeats)])
    counts = torch.stack([column.bincount(minlength=size) for column in places.T])
    assert standard_score(counts, repeats / size, (size - 1) ** 2) < 4
    distances = ((places[:, 1:] - places[:, :-1]) % size).flatten().bincount(minlength=size)[1:]
    assert standard_score(distances, repeats, size - 2) < 4


@pytest.mark.parametrize(("rows", "all_columns", "parts"), [(6, 8, 5), (1, 8, 2), (128, 8, 4)])
def test_parts_are_nearly_equal_and_do_not_depend_on_the_number_of_ranks(rows, all_columns, parts):
    total = rows * all_columns
    alone = deal(total, all_columns, parts, seeded())
    sizes = [len(part) for part in torch.arange(total).tensor_split(parts)]
    assert [len(part) for part in alone] == sizes
    assert sorted(chain(*(part.tolist() for part in alone))) == list(range(total))
    for size in (2, 4):
        own = all_columns // size
        dealt = [deal(rows * own, own, parts, seeded(), Ranks(r, size)) for r in range(size)]
        for part, *pieces in zip(alone, *dealt):
            units = [
                unit // own * all_columns + rank * own + unit % own
                for rank, piece in enumerate(pieces)
                for unit in piece.tolist()
            ]
            assert sorted(units) == sorted(part.tolist())


def test_the_order_within_a_part_is_random_too():
    [part] = deal(64, 8, 1, seeded())
    assert part.tolist() != sorted(part.tolist())
