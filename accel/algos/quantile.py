"""Quantile regression of returns: QR-DQN (Dabney et al. 2018a) and IQN (Dabney et al. 2018b)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from accel.algos.q_samples import QSamples
from accel.algos.q_targets import huber, of_actions, weighted_sums
from accel.types import QOutput


@dataclass(frozen=True)
class QuantileRegression:
    """Learn the distribution of returns as its values at the fractions `output.taus`.

    QR-DQN's fractions are fixed midpoints, IQN's are drawn by the model for each pass, and their
    number may differ between the outputs: the loss is the same. With `double` the online network
    chooses the next action. Raises ValueError unless kappa is positive.
    """

    kappa: float = 1.0  # errors up to here count by their square
    double: bool = False

    uses_current_target = False

    def __post_init__(self) -> None:
        if self.kappa <= 0:
            raise ValueError(f"kappa={self.kappa} must be positive; the papers use 1")

    @property
    def uses_next_online(self) -> bool:
        return self.double

    def q_values(self, output: QOutput) -> Tensor:
        """Return the expected returns [n, A] float32: the mean over the fractions."""
        return output.values.mean(2)

    def loss(
        self,
        output: QOutput,
        samples: QSamples,
        next_target: QOutput,
        next_online: QOutput | None = None,
        current_target: QOutput | None = None,
    ) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """Return the quantile Huber loss, priorities [n] (each sample's loss) and terms.

        See `QAlgorithm`.
        """
        targets = self.targets(samples, next_target, next_online)
        predicted = of_actions(output.values, samples.actions)
        losses = quantile_huber(predicted, output.taus, targets, self.kappa)
        taken = predicted.mean(1)
        loss, terms = weighted_sums(losses, taken, targets.mean(1) - taken, samples.weights)
        return loss, losses.detach(), terms

    @torch.no_grad()
    def targets(
        self, samples: QSamples, next_target: QOutput, next_online: QOutput | None = None
    ) -> Tensor:
        """Return samples [n, M'] of the distribution that Q(s, a) should have."""
        chooser = next_online if self.double else next_target
        actions = self.q_values(chooser).argmax(1)
        following = of_actions(next_target.values, actions)
        return samples.returns.unsqueeze(1) + samples.bootstrap.unsqueeze(1) * following


def quantile_huber(predicted: Tensor, taus: Tensor, targets: Tensor, kappa: float) -> Tensor:
    """Return the losses [n] of predicted [n, M] at fractions taus [n, M] for targets [n, M'].

    |tau - 1{error < 0}| * huber(error) / kappa, summed over the predictions and averaged over the
    targets (IQN's equation 3 and QR-DQN's algorithm 1). Dividing by kappa is IQN's convention: the
    loss tends to plain quantile regression with kappa. At kappa 1 both papers agree.
    """
    errors = targets.unsqueeze(1) - predicted.unsqueeze(2)  # [n, M, M']
    tilt = (taus.unsqueeze(2) - (errors.detach() < 0).float()).abs()
    return (tilt * huber(errors, kappa) / kappa).mean(2).sum(1)
