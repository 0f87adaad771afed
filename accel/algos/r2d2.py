"""Recurrent Q-learning from replayed sequences: R2D2 (Kapturowski et al. 2019)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from accel.algos.q_targets import huber, sequence_priorities
from accel.algos.returns import n_step_returns
from accel.algos.value_rescaling import rescale, unrescale
from accel.types import QOutput


@dataclass(frozen=True)
class Steps:
    """What happened in L rows of n sequences, as the learner sees it."""

    actions: Tensor  # [L, n] int64
    rewards: Tensor  # [L, n] float32
    terminated: Tensor  # [L, n] bool
    truncated: Tensor  # [L, n] bool
    valid: Tensor  # [L, n] bool: false on the autoreset step


@dataclass(frozen=True)
class R2D2:
    """Regress Q(s_t, a_t) on n-step returns with the target network's value at their end.

    With `value_rescaling` the network learns h(Q): targets are h(returns + discount^n h^-1(Q)).
    A sequence's loss is the mean over its learned steps, its priority a mix of its greatest and its
    mean absolute error.
    """

    n_step: int = 5
    discount: float = 0.997
    double: bool = True
    value_rescaling: bool = True
    huber_delta: float | None = None  # None: squared error, as in the paper
    priority_eta: float = 0.9

    def q_values(self, output: QOutput) -> Tensor:
        """Return the action values [n, A] float32 of an output with M = 1."""
        return output.values.squeeze(2)

    def loss(
        self, online: Tensor, target: Tensor, steps: Steps, weights: Tensor
    ) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """Return the loss, priorities [n] and detached terms, summed with `weights` [n].

        `online` and `target` are the two networks' values [L, n, A] of the rows of `steps`. The
        first L - n_step rows are learned from; the others only end their returns.
        """
        length = len(online) - self.n_step
        valid = steps.valid[:length]
        taken = online[:length].gather(2, steps.actions[:length].unsqueeze(2)).squeeze(2)
        errors = self.targets(online.detach(), target, steps) - taken
        losses = (huber(errors, self.huber_delta) * valid).sum(0) / length
        loss = (weights * losses).sum()
        sizes = errors.detach().abs()
        return (
            loss,
            sequence_priorities(sizes, valid, self.priority_eta),
            {
                "loss": loss.detach(),
                "q_values": (weights * (taken.detach() * valid).sum(0) / length).sum(),
                "td_error": (weights * (sizes * valid).sum(0) / length).sum(),
            },
        )

    @torch.no_grad()
    def targets(self, online: Tensor, target: Tensor, steps: Steps) -> Tensor:
        """Return what the values of the learned steps should be, [L - n_step, n]."""
        best = (online if self.double else target).argmax(2, keepdim=True)
        values = target.gather(2, best).squeeze(2)
        returns = n_step_returns(
            steps.rewards[:-1],
            unrescale(values) if self.value_rescaling else values,
            steps.terminated[:-1],
            steps.truncated[:-1],
            self.discount,
            self.n_step,
        )[: len(online) - self.n_step]
        return rescale(returns) if self.value_rescaling else returns
