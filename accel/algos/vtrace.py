"""V-trace: value targets and advantages of one policy from the steps of another.

Tensors, episode ends and the reset step follow the conventions of `returns.py`.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from accel.algos.returns import carried_back


class VTrace(NamedTuple):
    """What V-trace makes of a rollout, all [T, B] float32."""

    targets: Tensor  # v_s, of the values
    advantages: Tensor  # of the policy gradient: they already hold the clipped ratio
    ratios: Tensor  # pi / mu, clipped to rho_bar


@torch.no_grad()
def vtrace(
    log_ratios: Tensor,
    rewards: Tensor,
    values: Tensor,
    terminated: Tensor,
    truncated: Tensor,
    discount: float,
    *,
    vtrace_lambda: float = 1.0,
    rho_bar: float = 1.0,
    c_bar: float = 1.0,
) -> VTrace:
    """V-trace (Espeholt et al. 2018, section 4.1); nothing here carries a gradient.

    `log_ratios` [T, B] are log pi(a|x) - log mu(a|x) of the actions taken: pi is the policy that
    learns and estimated `values` [T + 1, B], mu the one that acted. With

        rho_t = min(rho_bar, pi / mu)    c_t = lambda min(c_bar, pi / mu)
        delta_t = rho_t (r_t + discount V_{t+1} - V_t)

    the targets are equation 1, v_s = V_s + sum_t discount^(t-s) (c_s ... c_{t-1}) delta_t, and the
    advantages those of section 4.2, rho_s (r_s + discount v_{s+1} - V_s). rho_bar decides which
    policy's values are found, c_bar and lambda how far a surprise reaches back.
    """
    ratios = log_ratios.exp()
    rho = ratios.clamp(max=rho_bar)
    bootstrap = discount * ~terminated
    continues = ~(terminated | truncated)
    deltas = rho * (rewards + bootstrap * values[1:] - values[:-1])
    carry = (discount * vtrace_lambda) * continues * ratios.clamp(max=c_bar)
    corrections = carried_back(deltas, carry)  # v - V
    following = values[1:].clone()  # v_{s+1}: past an episode's or the rollout's end it is V
    following[:-1] += continues[:-1] * corrections[1:]
    advantages = rho * (rewards + bootstrap * following - values[:-1])
    return VTrace(values[:-1] + corrections, advantages, rho)
