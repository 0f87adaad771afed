"""Returns and advantages on [T, B] tensors.

Conventions, shared by every function here:

- `rewards`, `terminated`, `truncated` are [T, B]; `values` is [T + 1, B], the last row being the
  bootstrap. Discounts and lambdas are floats.
- Reset is NEXT_STEP: `values[t + 1]` is the value of the true last frame of an episode that ended
  at t. A truncated episode therefore bootstraps from it, a terminated one from zero, and nothing
  flows back over either end.
- The reset step after an end is not a step of any episode. Its result is meaningless and has to be
  left out by the caller (`valid` is false there); it cannot reach valid steps, because the end
  before it cuts the chain.
"""

from __future__ import annotations

import torch
from torch import Tensor


def gae(
    rewards: Tensor,
    values: Tensor,
    terminated: Tensor,
    truncated: Tensor,
    discount: float,
    gae_lambda: float,
) -> tuple[Tensor, Tensor]:
    """Generalized advantage estimation (Schulman et al. 2016, equation 16).

    Returns (advantages, returns), both [T, B]; returns = advantages + values[:-1] are the
    lambda-returns. With lambda 1, as in A2C, those use all the rewards that follow in the rollout.
    """
    bootstrap = discount * ~terminated
    deltas = rewards + bootstrap * values[1:] - values[:-1]
    carry = (discount * gae_lambda) * ~(terminated | truncated)
    advantages = carried_back(deltas, carry)
    return advantages, advantages + values[:-1]


def carried_back(deltas: Tensor, carry: Tensor) -> Tensor:
    """Return sums [T, B] with sums[t] = deltas[t] + carry[t] * sums[t + 1], and 0 at T."""
    sums = torch.empty_like(deltas)
    following = torch.zeros_like(deltas[0])
    for t in range(deltas.shape[0] - 1, -1, -1):
        following = torch.addcmul(deltas[t], carry[t], following, out=sums[t])
    return sums


def n_step_returns(
    rewards: Tensor,
    values: Tensor,
    terminated: Tensor,
    truncated: Tensor,
    discount: float,
    n_step: int,
) -> Tensor:
    """Returns [T, B] of at most `n_step` rewards, then the value of the state reached.

    An episode's end or the rollout's end comes first where it is nearer.
    """
    if n_step < 1:
        raise ValueError(f"n_step={n_step}: at least one reward is needed")
    done = terminated | truncated
    live = discount * ~terminated
    returns = values[1:]  # the zero-step return of the state that follows
    for step in range(n_step):
        if step > 0:
            # Extend by one reward: the successor's shorter return, unless the episode or the
            # rollout ends here.
            longer = torch.cat([returns[1:], values[-1:]])
            returns = torch.where(done, values[1:], longer)
        returns = rewards + live * returns
    return returns
