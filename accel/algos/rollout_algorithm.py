"""What a learner asks of an algorithm that learns from rollouts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from torch import Generator, Tensor

from accel.algos.ranks import ALONE, Ranks
from accel.algos.rollout_samples import RolloutSamples
from accel.types import ActorCriticOutput, QOutput, Rollout


class RolloutAlgorithm(Protocol):
    """What a learner asks of an algorithm. Implementations hold settings only, no state."""

    num_epochs: int

    def prepare(self, rollout: Rollout) -> RolloutSamples:
        """Turn a rollout into samples with advantages and value targets."""

    def minibatches(
        self, batch: RolloutSamples, generator: Generator, ranks: Ranks = ALONE
    ) -> Iterator[RolloutSamples]:
        """Yield the minibatches of one epoch: of each, the samples that this rank holds."""

    def loss(
        self, output: ActorCriticOutput | QOutput, samples: RolloutSamples, agent_steps: int
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss and its detached terms for the network's output on `samples` [n].

        Both are sums weighted by `samples.weights`: adding them up over the pieces of a minibatch
        and over all ranks gives the minibatch's means, and so does adding up the gradients.
        """

    def should_stop(self, metrics: dict[str, Tensor], ranks: Ranks = ALONE) -> bool:
        """Tell, from the metrics of an epoch's last minibatch, whether to skip further epochs."""
