"""The sum tree equals a plain list of weights, at the edges too."""

from __future__ import annotations

import math

import pytest
import torch

from accel.replay.sum_tree import WIDTH, SumTree

SIZES = [1, WIDTH, WIDTH + 1, WIDTH**2 + 1, 40_000]  # 1 to 4 levels


def all_weights(tree: SumTree, size: int, device: str) -> torch.Tensor:
    return tree.get(torch.arange(size, device=device))


def random_tree(size: int, device: str, seed: int = 0) -> tuple[SumTree, torch.Tensor]:
    """A tree of random weights, half of them 0, and the weights as a plain tensor."""
    generator = torch.Generator().manual_seed(seed)
    weights = torch.rand(size, dtype=torch.float64, generator=generator)
    weights *= torch.rand(size, generator=generator) < 0.5
    weights[torch.randint(size, (1,), generator=generator)] = 1.0  # one at least is not 0
    tree = SumTree(size, device)
    tree.set(torch.arange(size, device=device), weights.to(device))
    return tree, weights


@pytest.mark.parametrize("size", SIZES)
def test_equals_a_list_of_weights_after_many_changes(size, device):
    tree, weights = random_tree(size, device)
    generator = torch.Generator().manual_seed(1)
    for _ in range(20):
        items = torch.randperm(size, generator=generator)[:100]
        new = torch.rand(len(items), dtype=torch.float64, generator=generator)
        new *= torch.rand(len(items), generator=generator) < 0.5
        weights[items] = new
        tree.set(items.to(device), new.to(device))
    assert torch.equal(all_weights(tree, size, device).cpu(), weights)
    assert float(tree.total) == pytest.approx(math.fsum(weights.tolist()), rel=1e-12)


@pytest.mark.parametrize("size", SIZES)
def test_finds_the_item_that_a_running_sum_reaches(size, device):
    """Whole numbers, so that the running sum is exact: each is found for its own part."""
    generator = torch.Generator().manual_seed(2)
    weights = torch.randint(0, 4, (size,), generator=generator)
    weights[size // 2] = 2
    tree = SumTree(size, device)
    tree.set(torch.arange(size, device=device), weights.double().to(device))
    starts = torch.arange(weights.sum(), dtype=torch.float64, device=device)
    expected = torch.arange(size).repeat_interleave(weights)
    assert torch.equal(tree.find(starts).cpu(), expected)
    assert torch.equal(tree.find(starts + 0.999).cpu(), expected)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("seed", range(5))
def test_never_finds_an_item_of_weight_zero(size, seed, device):
    """At both ends, beyond them, and on every border of the running sum, where rounding tells."""
    tree, weights = random_tree(size, device, seed)
    borders = weights.cumsum(0)
    infinity = torch.tensor(math.inf, dtype=torch.float64)
    mass = torch.cat(
        [
            borders,
            borders.nextafter(infinity),
            borders.nextafter(-infinity).clamp(min=0),
            torch.tensor([0.0, 5e-324], dtype=torch.float64),
            tree.total.cpu() * torch.tensor([1.0, 1.0 + 1e-15], dtype=torch.float64),
        ]
    )
    found = tree.find(mass.to(device)).cpu()
    assert (weights[found] > 0).all()
    first, last = weights.nonzero()[[0, -1], 0]
    assert found[-4] == first
    assert found[-2] == found[-1] == last


def test_of_one_item_set_twice_the_greatest_weight_counts(device):
    tree = SumTree(2000, device)
    items = torch.tensor([7, 1500, 7, 1500, 7], device=device)
    new = torch.tensor([1.0, 4.0, 3.0, 0.5, 2.0], dtype=torch.float64, device=device)
    tree.set(torch.tensor([7], device=device), new[1:2])
    tree.set(items, new)
    assert tree.get(items[:2]).tolist() == [3.0, 4.0]
    assert float(tree.total) == 7.0


def test_does_not_drift(device):
    """Tiny weights after huge ones: sums adjusted by differences would keep an error of 1e4."""
    tree = SumTree(5000, device)
    items = torch.arange(5000, device=device)
    generator = torch.Generator().manual_seed(3)
    for _ in range(10):
        huge = 1e20 * torch.rand(5000, dtype=torch.float64, generator=generator)
        tree.set(items, huge.to(device))
    tiny = torch.full((5000,), 2.0**-10, dtype=torch.float64, device=device)
    tree.set(items, tiny)
    assert float(tree.total) == 5000 * 2.0**-10


def test_is_found_as_often_as_it_weighs(device):
    tree, weights = random_tree(60, device)
    generator = torch.Generator().manual_seed(4)
    mass = torch.rand(200_000, dtype=torch.float64, generator=generator).to(device) * tree.total
    counts = torch.bincount(tree.find(mass).cpu(), minlength=60)
    expected = 200_000 * weights / weights.sum()
    there = weights > 0
    squares = ((counts - expected)[there] ** 2 / expected[there]).sum()
    freedom = int(there.sum()) - 1
    assert abs(float(squares) - freedom) < 4 * (2 * freedom) ** 0.5


def test_goes_on_from_its_state(device):
    tree, _ = random_tree(5000, device)
    other = SumTree(5000, device)
    other.load_state_dict(tree.state_dict())
    items = torch.arange(0, 5000, 7, device=device)
    for one in (tree, other):
        one.set(items, torch.full(items.shape, 0.1, dtype=torch.float64, device=device))
    mass = torch.linspace(0, 1, 999, dtype=torch.float64, device=device) * tree.total
    assert torch.equal(tree.total, other.total)
    assert torch.equal(tree.find(mass), other.find(mass))
