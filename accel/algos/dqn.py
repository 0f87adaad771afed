"""Deep Q-learning on expected values (Mnih et al. 2015) and the targets it can be given."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from accel.algos.munchausen import Munchausen
from accel.algos.q_samples import QSamples
from accel.algos.q_targets import huber, of_actions, weighted_sums
from accel.algos.value_rescaling import rescale, unrescale
from accel.types import QOutput


@dataclass(frozen=True)
class DQN:
    """Regress Q(s, a) on returns + bootstrap * V(s'), with V from the target network.

    V is max_a Q(s', a), or with one of these switches:
    - `double`: the target network's value of the online network's best action (van Hasselt et al.
      2016);
    - `sarsa`: Q(s', a') of the action a' that was taken;
    - `munchausen`: a soft maximum, and the sampled action's log-policy as a reward. With n-step
      returns only the first of the n actions is rewarded; the paper has n = 1.

    The loss is Huber's, half the squared error near zero, averaged over the samples; rlpyt has the
    same factors. `value_rescaling` makes the network learn h(Q), the targets being rescaled back
    and forth; its reported values are in that scale. Raises ValueError on switches that exclude
    each other.
    """

    double: bool = False
    sarsa: bool = False
    munchausen: Munchausen | None = None
    huber_delta: float | None = 1.0  # None: squared error
    value_rescaling: bool = False

    def __post_init__(self) -> None:
        if self.double + self.sarsa + (self.munchausen is not None) > 1:
            raise ValueError("double, sarsa and munchausen are different targets: choose one")
        if self.value_rescaling and self.munchausen is not None:
            raise ValueError(
                "munchausen adds rewards and values in one scale: turn value_rescaling off"
            )

    @property
    def uses_next_online(self) -> bool:
        return self.double

    @property
    def uses_current_target(self) -> bool:
        return self.munchausen is not None

    def q_values(self, output: QOutput) -> Tensor:
        """Return the action values [n, A] float32 of an output with M = 1."""
        return output.values.squeeze(2)

    def loss(
        self,
        output: QOutput,
        samples: QSamples,
        next_target: QOutput,
        next_online: QOutput | None = None,
        current_target: QOutput | None = None,
    ) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """Return the loss, priorities [n] (absolute errors) and terms; see `QAlgorithm`."""
        taken = of_actions(output.values, samples.actions).squeeze(1)
        errors = self.targets(samples, next_target, next_online, current_target) - taken
        losses = huber(errors, self.huber_delta)
        loss, terms = weighted_sums(losses, taken, errors, samples.weights)
        return loss, errors.detach().abs(), terms

    @torch.no_grad()
    def targets(
        self,
        samples: QSamples,
        next_target: QOutput,
        next_online: QOutput | None = None,
        current_target: QOutput | None = None,
    ) -> Tensor:
        """Return what Q(s, a) should be, [n] float32, for outputs as in `QAlgorithm.loss`."""
        returns = samples.returns
        if self.munchausen is not None:
            returns = returns + self.munchausen.reward(
                self.q_values(current_target), samples.actions
            )
            following = self.munchausen.state_values(self.q_values(next_target))
        else:
            actions = samples.next_actions
            if not self.sarsa:
                actions = self.q_values(next_online if self.double else next_target).argmax(1)
            following = of_actions(next_target.values, actions).squeeze(1)
        if not self.value_rescaling:
            return returns + samples.bootstrap * following
        return rescale(returns + samples.bootstrap * unrescale(following))
