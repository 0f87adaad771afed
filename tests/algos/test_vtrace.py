"""V-trace against equation 1 of its paper, against plain returns, and against known values."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from accel.algos.returns import gae
from accel.algos.vtrace import vtrace
from tests.algos.time_series import column, episodes, flags
from tests.algos.worlds import Walkers, chain, mostly_greedy

NEVER = flags(0, 0, 0)
REWARDS = column(1.0, 2.0, 3.0)
VALUES = column(0.5, 1.0, 1.5, 2.0)


def test_by_hand():
    """Ratios 2, 1/2 and 1: the first is clipped, the second carries half of what follows."""
    log_ratios = column(math.log(2), math.log(0.5), 0.0)
    corrected = vtrace(log_ratios, REWARDS, VALUES, NEVER, NEVER, discount=0.5)
    # deltas: 1 + .5 * 1 - .5 = 1;  .5 (2 + .5 * 1.5 - 1) = .875;  3 + .5 * 2 - 1.5 = 2.5
    second = 0.875 + 0.5 * 0.5 * 2.5
    targets = (0.5 + 1 + 0.5 * second, 1 + second, 1.5 + 2.5)
    torch.testing.assert_close(corrected.targets, column(*targets))
    torch.testing.assert_close(corrected.ratios, column(1.0, 0.5, 1.0))
    advantages = (1 + 0.5 * targets[1] - 0.5, 0.5 * (2 + 0.5 * targets[2] - 1), 3 + 0.5 * 2 - 1.5)
    torch.testing.assert_close(corrected.advantages, column(*advantages))


def last_step(episode, start):
    """The last step of the rollout, or of the episode that step `start` is of."""
    rewards, _, terminated, truncated, _ = episode
    return next(
        (t for t in range(start, len(rewards)) if terminated[t] or truncated[t]), len(rewards) - 1
    )


def equation_1(episode, ratios, start, discount, lam, rho_bar, c_bar):
    """The paper's double sum of products, written out: the target v_s of one step."""
    rewards, values, terminated, _, _ = episode
    total = values[start]
    for t in range(start, last_step(episode, start) + 1):
        following = 0.0 if terminated[t] else values[t + 1]
        delta = min(rho_bar, ratios[t]) * (rewards[t] + discount * following - values[t])
        carried = math.prod(lam * min(c_bar, ratios[i]) for i in range(start, t))
        total += discount ** (t - start) * carried * delta
    return total


def written_out_advantage(episode, ratios, start, discount, lam, rho_bar, c_bar):
    """Section 4.2's rho_s (r_s + discount v_{s+1} - V_s), past an episode's last step with V."""
    rewards, values, terminated, truncated, _ = episode
    following = values[start + 1]
    if terminated[start]:
        following = 0.0
    elif not truncated[start] and start + 1 < len(rewards):
        following = equation_1(episode, ratios, start + 1, discount, lam, rho_bar, c_bar)
    rho = min(rho_bar, ratios[start])
    return rho * (rewards[start] + discount * following - values[start])


@settings(deadline=None, max_examples=200)
@given(
    episode=episodes(),
    log_ratios=st.lists(st.floats(-2, 2, width=32), min_size=9, max_size=9),
    discount=st.sampled_from([0.0, 0.5, 0.99, 1.0]),
    lam=st.sampled_from([0.0, 0.5, 1.0]),
    bars=st.sampled_from([(1.0, 1.0), (2.0, 1.0), (math.inf, 1.5), (0.7, 0.5)]),
)
def test_equals_the_double_sum_on_valid_steps(episode, log_ratios, discount, lam, bars):
    rewards, values, terminated, truncated, valid = episode
    log_ratios = log_ratios[: len(rewards)]
    ratios = [math.exp(ratio) for ratio in log_ratios]
    corrected = vtrace(
        column(*log_ratios),
        *(column(*rewards), column(*values), flags(*terminated), flags(*truncated)),
        discount,
        vtrace_lambda=lam,
        rho_bar=bars[0],
        c_bar=bars[1],
    )
    for t in (t for t in range(len(rewards)) if valid[t]):
        rest = (episode, ratios, t, discount, lam, *bars)
        assert corrected.targets[t, 0].item() == pytest.approx(equation_1(*rest), abs=1e-3)
        advantage = written_out_advantage(*rest)
        assert corrected.advantages[t, 0].item() == pytest.approx(advantage, abs=1e-3)


@settings(deadline=None, max_examples=100)
@given(episode=episodes(), lam=st.sampled_from([0.0, 0.5, 1.0]))
def test_of_the_acting_policy_itself_the_targets_are_lambda_returns(episode, lam):
    rewards, values, terminated, truncated, valid = episode
    steps = (column(*rewards), column(*values), flags(*terminated), flags(*truncated))
    corrected = vtrace(torch.zeros_like(steps[0]), *steps, 0.9, vtrace_lambda=lam)
    advantages, returns = gae(*steps, 0.9, lam)
    kept = flags(*valid)
    torch.testing.assert_close(corrected.targets[kept], returns[kept], rtol=0, atol=1e-5)
    if lam == 1:
        torch.testing.assert_close(corrected.advantages[kept], advantages[kept], rtol=0, atol=1e-5)


def test_nothing_carries_a_gradient_and_no_ratio_overflows():
    log_ratios = column(500.0, 0.0, -500.0).requires_grad_()
    corrected = vtrace(log_ratios, REWARDS, VALUES.clone().requires_grad_(), NEVER, NEVER, 0.9)
    for tensor in corrected:
        assert not tensor.requires_grad and tensor.isfinite().all()
    assert corrected.ratios.flatten().tolist() == [1, 1, 0]


@pytest.mark.parametrize(("rho_bar", "c_bar"), [(1.0, 1.0), (0.8, 0.5), (1e6, 1.0)])
def test_the_values_found_are_those_of_the_policy_that_rho_bar_stands_for(rho_bar, c_bar):
    """From another policy's steps: that of section 4.1, min(rho_bar mu, pi) made chances again.

    With rho_bar far above every ratio it is pi itself.
    """
    world = chain()
    optimal = world.optimal_values()
    acting, learning = mostly_greedy(-optimal, epsilon=0.8), mostly_greedy(optimal, epsilon=0.4)
    clipped = torch.minimum(rho_bar * acting, learning)
    meant = clipped / clipped.sum(1, keepdim=True)
    expected = (meant * world.values_of(meant)).sum(1)
    acted = (acting * world.values_of(acting)).sum(1)
    assert (expected - acted).abs().max() > 0.1
    log_ratios = (learning / acting).log()
    walkers = Walkers(world, num_envs=1024, seed=0)
    table = torch.zeros(5)
    for update in range(300):
        states, rollout = walkers.rollout(acting, table, num_steps=8)
        corrected = vtrace(
            log_ratios[states[:-1], rollout.actions],
            rollout.rewards,
            rollout.values,
            rollout.terminated,
            rollout.truncated,
            world.discount,
            rho_bar=rho_bar,
            c_bar=c_bar,
        )
        kept = rollout.valid
        seen, errors = states[:-1][kept], (corrected.targets - rollout.values[:-1])[kept]
        count = torch.zeros(5).index_add(0, seen, torch.ones_like(errors))
        mean_error = torch.zeros(5).index_add(0, seen, errors) / count.clamp(min=1)
        table = table + mean_error / (1 + update / 30)
    torch.testing.assert_close(table, expected, rtol=0, atol=0.02)
