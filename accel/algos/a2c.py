"""Advantage actor-critic: the synchronous form of A3C (Mnih et al. 2016)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from torch import Generator, Tensor

from accel.algos.actor_critic import Batch, as_minibatches, prepare_batch
from accel.algos.ranks import ALONE, Ranks
from accel.algos.rollout_samples import RAW, View
from accel.algos.schedules import Constant, Schedule
from accel.types import ActorCriticOutput, Rollout


@dataclass(frozen=True)
class A2C:
    """One update per rollout, on all of it.

    `value_coef` multiplies half the squared error, as in PPO here and in rlpyt. In accel_rl,
    stable-baselines3 and OpenAI baselines' A2C it multiplies the whole: accel_rl's 0.25 is 0.5
    here, and baselines' 0.5 is 1.
    """

    discount: float = 0.99
    gae_lambda: float = 1.0  # 1: plain returns to the end of the rollout, as in the paper
    entropy_coef: Schedule = field(default_factory=lambda: Constant(0.01))
    value_coef: float = 0.5
    normalize_advantages: bool = False
    view: View = RAW
    num_epochs: int = field(default=1, init=False)

    def prepare(self, rollout: Rollout) -> Batch:
        """Turn a rollout into samples with advantages and value targets."""
        return prepare_batch(
            rollout, discount=self.discount, gae_lambda=self.gae_lambda, view=self.view
        )

    def minibatches(
        self, batch: Batch, generator: Generator, ranks: Ranks = ALONE
    ) -> Iterator[Batch]:
        """Yield the whole batch, once."""
        return as_minibatches([batch], self.normalize_advantages, ranks)

    def loss(
        self, output: ActorCriticOutput, samples: Batch, agent_steps: int
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss and its detached terms for the network's output on `samples` [n]."""
        logits, values = output
        log_probs = logits.log_softmax(1)
        taken = log_probs.gather(1, samples.actions.unsqueeze(1)).squeeze(1)
        policy_loss = -(samples.weights * samples.advantages * taken).sum()
        value_loss = 0.5 * (samples.weights * (values - samples.returns).square()).sum()
        entropy = -(samples.weights * (log_probs.exp() * log_probs).sum(1)).sum()
        bonus = self.entropy_coef(agent_steps) * entropy
        loss = policy_loss + self.value_coef * value_loss - bonus
        return loss, {
            "policy_loss": policy_loss.detach(),
            "value_loss": value_loss.detach(),
            "entropy": entropy.detach(),
        }

    def should_stop(self, metrics: dict[str, Tensor], ranks: Ranks = ALONE) -> bool:
        """There is one epoch only."""
        return False
