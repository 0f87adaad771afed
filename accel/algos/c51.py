"""Categorical distributional Q-learning: C51 (Bellemare et al. 2017)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from accel.algos.q_samples import QSamples
from accel.algos.q_targets import of_actions, weighted_sums
from accel.types import QOutput


@dataclass(frozen=True)
class C51:
    """Learn the distribution of returns as probabilities of M equally spaced atoms.

    The atoms span v_min..v_max, both included; outputs are their logits. With `double` the online
    network chooses the next action, as in Rainbow (Hessel et al. 2018). Raises ValueError on an
    empty span.
    """

    v_min: float = -10.0
    v_max: float = 10.0
    double: bool = False

    uses_current_target = False

    def __post_init__(self) -> None:
        if self.v_min >= self.v_max:
            raise ValueError(f"v_min={self.v_min} must be less than v_max={self.v_max}")

    @property
    def uses_next_online(self) -> bool:
        return self.double

    def q_values(self, output: QOutput) -> Tensor:
        """Return the expected returns [n, A] float32 of logits [n, A, M]."""
        return output.values.softmax(2) @ self.atoms(output.values)

    def loss(
        self,
        output: QOutput,
        samples: QSamples,
        next_target: QOutput,
        next_online: QOutput | None = None,
        current_target: QOutput | None = None,
    ) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """Return the cross-entropy to the projected targets, priorities and terms.

        Priorities [n] are the Kullback-Leibler divergence, as in Rainbow: the cross-entropy less
        the target's own entropy, so 0 where there is nothing to learn. See `QAlgorithm`.
        """
        targets = self.targets(samples, next_target, next_online)
        log_probs = of_actions(output.values, samples.actions).log_softmax(1)
        losses = -(targets * log_probs).sum(1)
        priorities = (losses.detach() - torch.special.entr(targets).sum(1)).clamp(min=0)
        atoms = self.atoms(targets)
        taken = log_probs.detach().exp() @ atoms
        loss, terms = weighted_sums(losses, taken, targets @ atoms - taken, samples.weights)
        return loss, priorities, terms

    @torch.no_grad()
    def targets(
        self, samples: QSamples, next_target: QOutput, next_online: QOutput | None = None
    ) -> Tensor:
        """Return the distribution [n, M] that Q(s, a) should have."""
        chooser = next_online if self.double else next_target
        actions = self.q_values(chooser).argmax(1)
        probs = of_actions(next_target.values, actions).softmax(1)
        return self.project(probs, samples.returns, samples.bootstrap)

    def project(self, probs: Tensor, returns: Tensor, bootstrap: Tensor) -> Tensor:
        """Move atoms z to returns + bootstrap * z and share each out to its two neighbors.

        Takes probs [n, M], returns [n] and bootstrap [n], gives [n, M]; the paper's equation 7.
        Written as its sum over [n, M, M] and not as a scatter, whose order of additions, and with
        it the last bits, differ from run to run on a GPU.
        """
        num_atoms = probs.shape[1]
        moved = returns.unsqueeze(1) + bootstrap.unsqueeze(1) * self.atoms(probs)
        spacing = (self.v_max - self.v_min) / (num_atoms - 1)
        position = (moved.clamp(self.v_min, self.v_max) - self.v_min) / spacing  # in 0..M - 1
        grid = torch.arange(num_atoms, device=probs.device)
        shares = (1 - (position.unsqueeze(1) - grid.unsqueeze(1)).abs()).clamp(min=0)
        return (shares @ probs.unsqueeze(2)).squeeze(2)

    def atoms(self, like: Tensor) -> Tensor:
        """Return the atoms' values [M] for a tensor [..., M], on its device."""
        return torch.linspace(self.v_min, self.v_max, like.shape[-1], device=like.device)
