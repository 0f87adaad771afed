"""The sum tree equals a plain list of weights, and never finds what weighs nothing."""

from __future__ import annotations

import pytest
import torch

from accel.replay.sum_tree import MOST_ROOTS, WIDTH, SumTree

SIZES = [1, WIDTH, WIDTH + 1, 3 * MOST_ROOTS, MOST_ROOTS * WIDTH + 1]  # the last: three levels
MOST = 1 << 36


def random_weights(size: int, seed: int, most: int = MOST) -> torch.Tensor:
    """From 0 on; half of them 0."""
    generator = torch.Generator().manual_seed(seed)
    weights = torch.randint(1, most + 1, (size,), generator=generator)
    return weights * (torch.rand(size, generator=generator) < 0.5)


def tree_of(weights: torch.Tensor, device: str) -> SumTree:
    tree = SumTree(len(weights), device)
    tree.set(torch.arange(len(weights), device=device), weights.to(device))
    return tree


@pytest.mark.parametrize("size", SIZES)
def test_equals_a_list_of_weights_after_many_changes(size, device):
    weights = random_weights(size, seed=0)
    tree = tree_of(weights, device)
    generator = torch.Generator().manual_seed(1)
    for seed in range(20):
        items = torch.randint(size, (100,), generator=generator).unique()
        weights[items] = new = random_weights(len(items), seed)
        tree.set(items.to(device), new.to(device))
        assert tree.total.cpu() == weights.sum()
    assert torch.equal(tree.get(torch.arange(size, device=device)).cpu(), weights)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("seed", range(3))
def test_finds_the_item_that_owns_a_place_in_the_running_sum(size, seed, device):
    """The first and the last place of items that weigh anything; no other is found."""
    weights = random_weights(size, seed)
    weights[size // 2] = 1
    tree = tree_of(weights, device)
    owners = weights.nonzero().squeeze(1)
    owners = torch.cat([owners[:: 1 + size // 20_000], owners[-1:]])
    ends = weights.cumsum(0)[owners]
    starts = ends - weights[owners]
    assert starts[0] == 0 and ends[-1] == int(tree.total)
    assert torch.equal(tree.find(starts.to(device)).cpu(), owners)
    assert torch.equal(tree.find(ends.to(device) - 1).cpu(), owners)


def test_is_exact_where_the_sums_nearly_fill_64_bits(device):
    weights = torch.full((1 << 20,), MOST)
    weights[0] = weights[-1] = 1
    tree = tree_of(weights, device)
    total = (len(weights) - 2) * MOST + 2
    assert int(tree.total) == total
    mass = torch.tensor([0, 1, MOST, MOST + 1, total - 2, total - 1], device=device)
    last = len(weights) - 1
    assert tree.find(mass).tolist() == [0, 1, 1, 2, last - 1, last]


def test_of_one_item_set_twice_the_greatest_weight_counts(device):
    tree = SumTree(20_000, device)
    items = torch.tensor([7, 15_000, 7, 15_000, 7], device=device)
    tree.set(items[:1], torch.tensor([9], device=device))
    tree.set(items, torch.tensor([1, 4, 3, 0, 2], device=device))
    assert tree.get(items[:2]).tolist() == [3, 4]
    assert int(tree.total) == 7


def test_is_found_as_often_as_it_weighs(device):
    weights = random_weights(60, seed=4, most=1000)
    tree = tree_of(weights, device)
    generator = torch.Generator().manual_seed(4)
    mass = torch.randint(int(tree.total), (200_000,), generator=generator)
    counts = torch.bincount(tree.find(mass.to(device)).cpu(), minlength=60)
    expected = 200_000 * weights / weights.sum()
    there = weights > 0
    assert not counts[~there].any()
    squares = ((counts - expected)[there] ** 2 / expected[there]).sum()
    freedom = int(there.sum()) - 1  # chi-square: this is the mean, twice it the variance
    assert abs(float(squares) - freedom) < 4 * (2 * freedom) ** 0.5


@pytest.mark.parametrize("size", SIZES)
def test_goes_on_from_its_state(size, device):
    tree = tree_of(random_weights(size, seed=5), device)
    other = SumTree(size, device)
    other.load_state_dict(tree.state_dict())
    assert torch.equal(tree.total, other.total)
    last = torch.tensor([size - 1], device=device)
    for one in (tree, other):
        one.set(last, torch.tensor([5], device=device))
    mass = torch.arange(0, int(tree.total), 1 + int(tree.total) // 999, device=device)
    assert torch.equal(tree.find(mass), other.find(mass))
