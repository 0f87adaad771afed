"""Parallelized Q-network: Q(lambda) without replay or target network (Gallici et al. 2024)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from torch import Generator, Tensor

from accel.algos.q_targets import huber, of_actions, weighted_sums
from accel.algos.ranks import ALONE, Ranks
from accel.algos.returns import gae
from accel.algos.rollout_samples import (
    RAW,
    RolloutSamples,
    View,
    flat_fields,
    reweighted,
    shuffled,
)
from accel.types import QOutput, Rollout


@dataclass(frozen=True)
class PQN:
    """Several epochs of shuffled minibatches per rollout, regressing Q(s, a) on lambda-returns.

    The targets are G_t = r_t + discount * (lambda * G_{t+1} + (1 - lambda) * V_{t+1}), with G = V
    where the rollout ends or an episode is truncated. GAE's returns are the same numbers, so one
    function serves both.

    V is what the acting policy writes into `rollout.values`, and decides what is learned. With
    max_a Q(s, a) it is Q(lambda) in Peng's form, the paper's: returns are not cut at exploratory
    actions. With the expectation of Q under the policy's own action probabilities it is expected
    SARSA(lambda). With any V and lambda = 1 it is Monte Carlo to the rollout's end.

    The loss is half the squared error and the defaults are those for Atari, as in the authors' code
    (purejaxql, pqn_atari).
    """

    discount: float = 0.99
    q_lambda: float = 0.65
    num_epochs: int = 2
    num_minibatches: int = 32
    view: View = RAW

    def prepare(self, rollout: Rollout) -> RolloutSamples:
        """Turn a rollout into samples whose `returns` are the targets."""
        rewards, terminated = self.view(rollout)
        _, returns = gae(
            rewards, rollout.values, terminated, rollout.truncated, self.discount, self.q_lambda
        )
        return RolloutSamples(**flat_fields(rollout, returns))

    def minibatches(
        self, batch: RolloutSamples, generator: Generator, ranks: Ranks = ALONE
    ) -> Iterator[RolloutSamples]:
        """Yield the shuffled minibatches of one epoch."""
        return reweighted(shuffled(batch, self.num_minibatches, generator, ranks), ranks)

    def q_values(self, output: QOutput) -> Tensor:
        """Return the action values [n, A] float32 of an output with M = 1."""
        return output.values.squeeze(2)

    def loss(
        self, output: QOutput, samples: RolloutSamples, agent_steps: int
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return half the mean squared error and its detached terms, see `weighted_sums`."""
        taken = of_actions(output.values, samples.actions).squeeze(1)
        errors = samples.returns - taken
        return weighted_sums(huber(errors, None), taken, errors, samples.weights)

    def should_stop(self, metrics: dict[str, Tensor], ranks: Ranks = ALONE) -> bool:
        """All epochs are always run."""
        return False
