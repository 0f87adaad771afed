"""What every policy gives back for one step, and how it asks its network."""

from __future__ import annotations

from typing import Any, NamedTuple

from torch import Tensor

from accel.models import Network


class PolicyStep(NamedTuple):
    """What the policy did for N observations."""

    actions: Tensor  # [N] int64
    log_probs: Tensor  # [N, A] float32: the whole distribution
    values: Tensor  # [N] float32
    state: Tensor | None = None  # [N, S] float32: after this step; None without a recurrent core


def ask(model: Network, observations: Tensor, state: Tensor | None) -> tuple[Any, Tensor | None]:
    """Return the network's answer for observations [N, K, *frame] and the state after them.

    `state` is None for a network without a recurrent core.
    """
    if state is None:
        return model(observations), None
    return model.step(observations, state)
