"""Proximal policy optimization with the clipped ratio (Schulman et al. 2017)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Generator, Tensor

from accel.algos.actor_critic import Batch, prepare_batch, shuffled_minibatches
from accel.algos.ranks import ALONE, Ranks
from accel.algos.rollout_samples import RAW, View
from accel.algos.schedules import Constant, Schedule
from accel.types import ActorCriticOutput, Rollout


@dataclass(frozen=True)
class PPO:
    """Several epochs of shuffled minibatches per rollout; equal in detail to CleanRL's PPO.

    `value_coef` multiplies half the squared error. The ancestors differ: accel_rl's PPO coefficient
    multiplied the whole squared error (its 1.0 is 2.0 here), rlpyt's half of it, as here.
    """

    discount: float = 0.99
    gae_lambda: float = 0.95
    num_epochs: int = 4
    num_minibatches: int = 4
    clip_range: Schedule = field(default_factory=lambda: Constant(0.1))  # of the ratio, around 1
    clip_value: float | None = None  # greatest counted change of a value estimate; None: no limit
    entropy_coef: Schedule = field(default_factory=lambda: Constant(0.01))
    value_coef: float = 0.5
    normalize_advantages: bool = True
    target_kl: float | None = None  # skip further epochs once the last minibatch's KL exceeds it
    view: View = RAW

    def prepare(self, rollout: Rollout) -> Batch:
        """Turn a rollout into samples with advantages and value targets."""
        return prepare_batch(
            rollout, discount=self.discount, gae_lambda=self.gae_lambda, view=self.view
        )

    def minibatches(
        self, batch: Batch, generator: Generator, ranks: Ranks = ALONE
    ) -> Iterator[Batch]:
        """Yield the shuffled minibatches of one epoch."""
        return shuffled_minibatches(
            batch, self.num_minibatches, self.normalize_advantages, generator, ranks
        )

    def loss(
        self, output: ActorCriticOutput, samples: Batch, agent_steps: int
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss and its detached terms for the network's output on `samples` [n]."""
        logits, values = output
        weights = samples.weights
        clip_range = self.clip_range(agent_steps)
        log_probs = logits.log_softmax(1)
        taken = log_probs.gather(1, samples.actions.unsqueeze(1)).squeeze(1)
        log_ratio = taken - samples.log_probs
        ratio = log_ratio.exp()
        clipped_ratio = ratio.clamp(1 - clip_range, 1 + clip_range)
        objective = torch.minimum(samples.advantages * ratio, samples.advantages * clipped_ratio)
        policy_loss = -(weights * objective).sum()
        value_loss = 0.5 * (weights * self._squared_error(values, samples)).sum()
        entropy = -(weights * (log_probs.exp() * log_probs).sum(1)).sum()
        bonus = self.entropy_coef(agent_steps) * entropy
        loss = policy_loss + self.value_coef * value_loss - bonus
        with torch.no_grad():
            # Schulman's low-variance, always positive estimate: http://joschu.net/blog/kl-approx.html
            approx_kl = (weights * (ratio - 1 - log_ratio)).sum()
            clip_fraction = (weights * ((ratio - 1).abs() > clip_range)).sum()
        return loss, {
            "policy_loss": policy_loss.detach(),
            "value_loss": value_loss.detach(),
            "entropy": entropy.detach(),
            "approx_kl": approx_kl,
            "clipfrac": clip_fraction,
        }

    def should_stop(self, metrics: dict[str, Tensor], ranks: Ranks = ALONE) -> bool:
        """Compare the last minibatch's KL divergence with `target_kl` (one host-device sync)."""
        if self.target_kl is None:
            return False
        return bool(ranks.total(metrics["approx_kl"].clone()) > self.target_kl)

    def _squared_error(self, values: Tensor, samples: Batch) -> Tensor:
        error = (values - samples.returns).square()
        if self.clip_value is None:
            return error
        change = (values - samples.values).clamp(-self.clip_value, self.clip_value)
        return torch.maximum(error, (samples.values + change - samples.returns).square())
