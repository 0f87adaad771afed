"""IMPALA: an actor-critic whose rollouts may come from an older policy (Espeholt et al. 2018)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Generator, Tensor

from accel.algos.ranks import ALONE, Ranks
from accel.algos.returns import gae
from accel.algos.rollout_samples import (
    RAW,
    RolloutSamples,
    View,
    mean_weights,
    reweighted,
    shuffled,
)
from accel.algos.schedules import Constant, Schedule
from accel.algos.vtrace import VTrace, vtrace
from accel.types import ActorCriticOutput, Rollout


@dataclass(frozen=True)
class Trajectories(RolloutSamples):
    """Whole columns of T + 1 rows, the last one the bootstrap at weight 0.

    One forward pass over them gives all that V-trace needs: the learner's log-probabilities and
    values at every step and the value after the last. `returns` are those of the policy that acted,
    by its own values: a measure of those, not what is learned from.
    """

    rewards: Tensor  # [N] float32
    terminated: Tensor  # [N] bool
    truncated: Tensor  # [N] bool
    log_probs: Tensor  # [N, A] float32: the behavior policy's whole distribution


@dataclass(frozen=True)
class IMPALA:
    """One pass over each rollout, in minibatches of whole columns, corrected by V-trace.

    On a rollout of the learner's own policy, with vtrace_lambda = 1, it is A2C with gae_lambda = 1.
    `value_coef` multiplies half the squared error, as in the authors' code; their losses are sums
    over the minibatch, these are means.
    """

    discount: float = 0.99
    vtrace_lambda: float = 1.0
    rho_bar: float = 1.0
    c_bar: float = 1.0
    num_minibatches: int = 1
    entropy_coef: Schedule = field(default_factory=lambda: Constant(0.01))
    value_coef: float = 0.5
    view: View = RAW
    num_epochs: int = field(default=1, init=False)

    def prepare(self, rollout: Rollout) -> Trajectories:
        """Turn a rollout into trajectories; the targets wait for the learner's own values."""
        rewards, terminated = self.view(rollout)
        _, returns = gae(
            rewards, rollout.values, terminated, rollout.truncated, self.discount, gae_lambda=1.0
        )
        num_rows, num_envs = rollout.values.shape
        place = torch.arange(num_rows * num_envs, device=rewards.device)
        return Trajectories(
            time=place // num_envs,
            env=place % num_envs,
            actions=_with_last_row(rollout.actions),
            values=rollout.values.flatten(),
            returns=_with_last_row(returns),
            weights=mean_weights(_with_last_row(rollout.valid)),
            num_envs=num_envs,
            steps_together=num_rows,
            rewards=_with_last_row(rewards),
            terminated=_with_last_row(terminated),
            truncated=_with_last_row(rollout.truncated),
            log_probs=_with_last_row(rollout.log_probs),
        )

    def minibatches(
        self, batch: Trajectories, generator: Generator, ranks: Ranks = ALONE
    ) -> Iterator[Trajectories]:
        """Yield the minibatches, of columns in random order."""
        return reweighted(shuffled(batch, self.num_minibatches, generator, ranks), ranks)

    def loss(
        self, output: ActorCriticOutput, samples: Trajectories, agent_steps: int
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss and its detached terms for the network's output on `samples` [n]."""
        logits, values = output
        weights = samples.weights
        log_probs = logits.log_softmax(1)
        actions = samples.actions.unsqueeze(1)
        taken = log_probs.gather(1, actions).squeeze(1)
        log_ratios = taken - samples.log_probs.gather(1, actions).squeeze(1)
        targets, advantages, rho = self.corrected(log_ratios, values, samples)
        policy_loss = -(weights * advantages * taken).sum()
        value_loss = 0.5 * (weights * (values - targets).square()).sum()
        entropy = -(weights * (log_probs.exp() * log_probs).sum(1)).sum()
        bonus = self.entropy_coef(agent_steps) * entropy
        loss = policy_loss + self.value_coef * value_loss - bonus
        with torch.no_grad():
            # The ratio is reported as it is used: its plain mean is 1 but for chance, and one
            # improbable action can make it infinite. Rounding alone is not counted as a clip.
            mean_rho = (weights * rho).sum()
            clip_fraction = (weights * (log_ratios.exp() > 1.001 * self.rho_bar)).sum()
            divergence = (samples.log_probs.exp() * (samples.log_probs - log_probs)).sum(1)
            behavior_kl = (weights * divergence).sum()
        return loss, {
            "policy_loss": policy_loss.detach(),
            "value_loss": value_loss.detach(),
            "entropy": entropy.detach(),
            "rho": mean_rho,
            "clipfrac": clip_fraction,
            "behavior_kl": behavior_kl,
        }

    def corrected(self, log_ratios: Tensor, values: Tensor, samples: Trajectories) -> VTrace:
        """V-trace on the columns of `samples` [n], flat again; 0 in the bootstrap rows.

        `log_ratios` [n] and `values` [n] are the learner's, of those samples.
        """
        columns = (samples.steps_together, samples.num_units)
        steps = (log_ratios.detach(), samples.rewards, samples.terminated, samples.truncated)
        log_ratios, rewards, terminated, truncated = (step.view(columns)[:-1] for step in steps)
        corrected = vtrace(
            log_ratios,
            rewards,
            values.detach().view(columns),
            terminated,
            truncated,
            self.discount,
            vtrace_lambda=self.vtrace_lambda,
            rho_bar=self.rho_bar,
            c_bar=self.c_bar,
        )
        return VTrace(*map(_with_last_row, corrected))

    def should_stop(self, metrics: dict[str, Tensor], ranks: Ranks = ALONE) -> bool:
        """There is one epoch only."""
        return False


def _with_last_row(steps: Tensor) -> Tensor:
    """Append a row of zeros to `steps` [T, B, ...] for the bootstrap; return [(T + 1) * B, ...]."""
    return torch.cat([steps, torch.zeros_like(steps[:1])]).flatten(0, 1)
