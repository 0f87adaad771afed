"""Acting with a categorical distribution over discrete actions."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from accel.models import ActorCritic


class PolicyStep(NamedTuple):
    """What the policy did for N observations."""

    actions: Tensor  # [N] int64
    log_probs: Tensor  # [N, A] float32: the whole distribution
    values: Tensor  # [N] float32


class CategoricalPolicy:
    """Act by inverse-CDF sampling: one uniform number per environment decides its action.

    So an action depends on the policy's output and that environment's own noise alone, whatever
    else is in the batch.
    """

    def __init__(self, model: ActorCritic, greedy: bool = False) -> None:
        self.model = model
        self.greedy = greedy

    def begin(self, agent_steps: int) -> None:
        """Nothing to do: what is learned decides alone how much is explored."""

    @torch.inference_mode()
    def act(self, observations: Tensor, noise: Tensor, columns: slice) -> PolicyStep:
        """Choose actions for observations [N, K, *frame] with noise [N] float32 in [0, 1)."""
        logits, values = self.model(observations)
        log_probs = logits.log_softmax(1)
        actions = log_probs.argmax(1) if self.greedy else sample_categorical(log_probs, noise)
        return PolicyStep(actions, log_probs, values)

    @torch.inference_mode()
    def values(self, observations: Tensor) -> Tensor:
        """Return the value estimates [N] float32 of observations [N, K, *frame]."""
        return self.model(observations)[1]


def sample_categorical(log_probs: Tensor, noise: Tensor) -> Tensor:
    """Return the actions [N] int64 whose slice of the CDF of log_probs [N, A] contains noise [N].

    Rounding makes the last entry of the CDF differ from 1 by some 1e-7, so the noise is scaled by
    it. An action of probability zero has an empty slice and is never chosen.
    """
    cdf = log_probs.exp().cumsum(1)
    position = noise.unsqueeze(1) * cdf[:, -1:]
    actions = torch.searchsorted(cdf, position, right=True).squeeze(1)
    return actions.clamp_(max=log_probs.shape[1] - 1)
