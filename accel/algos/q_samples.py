"""The samples that algorithms learn action values from when they replay old experience."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from accel.algos.samples import Samples


@dataclass(frozen=True)
class QSamples(Samples):
    """n transitions over m <= n_step steps, from the sampled state to the bootstrap state.

    Rewards and ends are the learner's view: clipped or not, a lost life an end or not.
    """

    actions: Tensor  # [n] int64: taken in the sampled state
    returns: Tensor  # [n] float32: discounted sum of the m rewards up to the bootstrap state
    bootstrap: Tensor  # [n] float32: discount^m, 0 where the episode terminated on the way
    next_actions: Tensor  # [n] int64: taken in the bootstrap state, for SARSA
    weights: Tensor  # [n] float32: importance weight / global batch size; 0: not counted
