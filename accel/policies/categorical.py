"""Acting with a categorical distribution over discrete actions."""

from __future__ import annotations

import torch
from torch import Tensor

from accel.models import ActorCritic
from accel.policies.step import PolicyStep, ask


class CategoricalPolicy:
    """Act by inverse-CDF sampling: one uniform number per environment decides its action.

    So an action depends on the policy's output and that environment's own noise alone, whatever
    else is in the batch.
    """

    def __init__(self, model: ActorCritic, greedy: bool = False) -> None:
        self.model = model
        self.greedy = greedy

    @property
    def state_size(self) -> int:
        """Numbers that the network remembers of each environment."""
        return self.model.state_size

    def begin(self, agent_steps: int) -> None:
        """Nothing to do: what is learned decides alone how much is explored."""

    @torch.inference_mode()
    def act(
        self, observations: Tensor, noise: Tensor, columns: slice, state: Tensor | None = None
    ) -> PolicyStep:
        """Choose actions for observations [N, K, *frame] with noise [N] float32 in [0, 1).

        `state` [N, S] float32 is what a recurrent network remembers; zero at an episode's start.
        """
        (logits, values), state = ask(self.model, observations, state)
        log_probs = logits.log_softmax(1)
        actions = log_probs.argmax(1) if self.greedy else sample_categorical(log_probs, noise)
        return PolicyStep(actions, log_probs, values, state)

    @torch.inference_mode()
    def values(self, observations: Tensor, state: Tensor | None = None) -> Tensor:
        """Return the value estimates [N] float32 of observations [N, K, *frame]."""
        return ask(self.model, observations, state)[0].values


def sample_categorical(log_probs: Tensor, noise: Tensor) -> Tensor:
    """Return the actions [N] int64 whose slice of the CDF of log_probs [N, A] contains noise [N].

    Rounding makes the last entry of the CDF differ from 1 by some 1e-7, so the noise is scaled by
    it. An action of probability zero has an empty slice and is never chosen.
    """
    cdf = log_probs.exp().cumsum(1)
    position = noise.unsqueeze(1) * cdf[:, -1:]
    actions = torch.searchsorted(cdf, position, right=True).squeeze(1)
    return actions.clamp_(max=log_probs.shape[1] - 1)
