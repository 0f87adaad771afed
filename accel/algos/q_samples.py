"""The samples that action values are learned from when old experience is replayed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from accel.algos.samples import Samples
from accel.types import QOutput


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


class QAlgorithm(Protocol):
    """What a learner asks of an algorithm. Implementations hold settings only, no state."""

    @property
    def uses_next_online(self) -> bool:
        """Whether `loss` needs the online network's output in the bootstrap state."""

    @property
    def uses_current_target(self) -> bool:
        """Whether `loss` needs the target network's output in the sampled state."""

    def q_values(self, output: QOutput) -> Tensor:
        """Return the expected values [n, A] float32, which greedy acting maximizes."""

    def loss(
        self,
        output: QOutput,
        samples: QSamples,
        next_target: QOutput,
        next_online: QOutput | None = None,
        current_target: QOutput | None = None,
    ) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """Return the loss, detached priorities [n] and detached terms.

        `output` is the online network's in the sampled state, `next_target` and `next_online` are
        the two networks' in the bootstrap state and `current_target` is the target network's in the
        sampled state; the optional ones may be None where the properties above say so.

        Loss and terms are sums weighted by `samples.weights`: adding them up over the pieces of a
        minibatch and over all ranks gives the minibatch's means, and so does adding up gradients.
        """
