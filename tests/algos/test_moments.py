"""Moments of several columns, over all ranks, against torch's own."""

import torch

from accel.algos.moments import moments
from accel.algos.ranks import Ranks


def test_moments_are_over_valid_samples():
    torch.manual_seed(0)
    columns = [torch.randn(50), 1000 + 0.01 * torch.randn(7), torch.randn(3)]
    valid = [torch.rand(len(column)) < 0.7 for column in columns]
    valid[2][:] = False
    columns[0][~valid[0]] = 1e6
    count, mean, variance = moments(columns, valid)
    for i in range(2):
        kept = columns[i][valid[i]].double()
        assert count[i] == len(kept)
        torch.testing.assert_close(mean[i], kept.mean().float())
        torch.testing.assert_close(variance[i], kept.var(unbiased=False).float())
    assert (count[2], mean[2], variance[2]) == (0, 0, 0)


def test_all_ranks_samples_count():
    columns = [torch.tensor([1.0, 2.0, 3.0]), torch.tensor([4.0, 9.0])]
    every = [torch.ones(3, dtype=torch.bool), torch.ones(2, dtype=torch.bool)]
    others = [torch.tensor([7.0, 8.0]), torch.tensor([5.0, 1.0])]
    sums = []
    moments(others, [every[1]] * 2, Ranks(total=lambda tensor: sums.append(tensor) or tensor))
    together = moments(columns, every, Ranks(total=lambda tensor: tensor + sums[0]))
    expected = moments(
        [torch.cat(pair) for pair in zip(columns, others)],
        [torch.ones(5, dtype=torch.bool), torch.ones(4, dtype=torch.bool)],
    )
    for ours, theirs in zip(together, expected):
        torch.testing.assert_close(ours, theirs)
