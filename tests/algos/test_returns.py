"""Returns against hand-computed numbers and against sums written out term by term."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from accel.algos.returns import gae, n_step_returns
from tests.algos.time_series import column, episodes, flags

NEVER = flags(0, 0, 0)
REWARDS = column(1.0, 2.0, 3.0)
VALUES = column(0.5, 1.0, 1.5, 2.0)


def test_gae_by_hand():
    advantages, returns = gae(REWARDS, VALUES, NEVER, NEVER, discount=0.5, gae_lambda=0.5)
    # deltas: 1 + .5 * 1 - .5 = 1;  2 + .5 * 1.5 - 1 = 1.75;  3 + .5 * 2 - 1.5 = 2.5
    torch.testing.assert_close(advantages, column(1 + 0.25 * 2.375, 1.75 + 0.25 * 2.5, 2.5))
    torch.testing.assert_close(returns, advantages + VALUES[:-1])


def test_termination_bootstraps_from_zero():
    advantages, _ = gae(REWARDS, VALUES, flags(0, 1, 0), NEVER, 0.5, 0.5)
    torch.testing.assert_close(advantages, column(1 + 0.25 * 1.0, 2 - 1.0, 2.5))
    _, returns = gae(REWARDS, VALUES, flags(0, 1, 0), NEVER, 0.5, gae_lambda=1.0)
    torch.testing.assert_close(returns, column(1 + 0.5 * 2, 2, 3 + 0.5 * 2))


def test_truncation_bootstraps_from_the_true_last_frame():
    advantages, _ = gae(REWARDS, VALUES, NEVER, flags(0, 1, 0), 0.5, 0.5)
    torch.testing.assert_close(advantages, column(1 + 0.25 * 1.75, 2 + 0.5 * 1.5 - 1.0, 2.5))
    _, returns = gae(REWARDS, VALUES, NEVER, flags(0, 1, 0), 0.5, gae_lambda=1.0)
    torch.testing.assert_close(returns, column(1 + 0.5 * 2.75, 2 + 0.5 * 1.5, 3 + 0.5 * 2))


def test_two_steps_by_hand():
    returns = n_step_returns(REWARDS, VALUES, NEVER, NEVER, discount=0.5, n_step=2)
    expected = column(1 + 0.5 * 2 + 0.25 * 1.5, 2 + 0.5 * 3 + 0.25 * 2, 3 + 0.5 * 2)
    torch.testing.assert_close(returns, expected)


def test_no_reward_is_no_return():
    with pytest.raises(ValueError, match="n_step=0"):
        n_step_returns(REWARDS, VALUES, NEVER, NEVER, 0.5, 0)


def summed_return(episode, start, discount, n_step):
    """Add up at most n_step rewards from `start`, then the value of where that leads."""
    rewards, values, terminated, truncated, _ = episode
    total, scale = 0.0, 1.0
    for t in range(start, min(start + n_step, len(rewards))):
        total += scale * rewards[t]
        scale *= discount
        if terminated[t]:
            return total
        if truncated[t]:
            break
    return total + scale * values[t + 1]


def lambda_return(episode, start, discount, lam):
    """The lambda-return as its definition: a mixture of all n-step returns of the episode."""
    rewards, _, terminated, truncated, _ = episode
    last = start
    while last + 1 < len(rewards) and not (terminated[last] or truncated[last]):
        last += 1
    longest = last - start + 1
    total = sum(
        (1 - lam) * lam ** (n - 1) * summed_return(episode, start, discount, n)
        for n in range(1, longest)
    )
    return total + lam ** (longest - 1) * summed_return(episode, start, discount, longest)


@settings(deadline=None, max_examples=200)
@given(
    episode=episodes(),
    discount=st.sampled_from([0.0, 0.5, 0.99, 1.0]),
    lam=st.sampled_from([0.0, 0.5, 0.95, 1.0]),
    n_step=st.integers(1, 10),
)
def test_all_returns_equal_their_definition_on_valid_steps(episode, discount, lam, n_step):
    rewards, values, terminated, truncated, valid = episode
    tensors = (column(*rewards), column(*values), flags(*terminated), flags(*truncated))
    advantages, returns = gae(*tensors, discount, lam)
    n_steps = n_step_returns(*tensors, discount, n_step)
    for t in range(len(rewards)):
        if valid[t]:
            expected = lambda_return(episode, t, discount, lam)
            assert returns[t, 0].item() == pytest.approx(expected, abs=1e-5)
            assert advantages[t, 0].item() == pytest.approx(expected - values[t], abs=1e-5)
            short = summed_return(episode, t, discount, n_step)
            assert n_steps[t, 0].item() == pytest.approx(short, abs=1e-5)


def test_environments_do_not_mix():
    torch.manual_seed(0)
    rewards, values = torch.randn(7, 3), torch.randn(8, 3)
    terminated, truncated = torch.rand(7, 3) < 0.2, torch.rand(7, 3) < 0.2
    together, _ = gae(rewards, values, terminated, truncated, 0.99, 0.95)
    for b in range(3):
        own = slice(b, b + 1)
        alone, _ = gae(
            rewards[:, own], values[:, own], terminated[:, own], truncated[:, own], 0.99, 0.95
        )
        assert torch.equal(together[:, own], alone)
