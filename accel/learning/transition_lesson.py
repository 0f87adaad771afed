"""What there is to learn from a batch of transitions: the algorithm's loss on two networks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Generator, Tensor

from accel.algos import QAlgorithm, QSamples
from accel.models import QNetwork
from accel.replay import Draw, Transitions

Outcome = tuple[Tensor, Tensor, dict[str, Tensor]]  # loss, priorities [n], terms


@dataclass
class TransitionLesson:
    """Gives `algorithm` the outputs of the two networks that it asks for."""

    model: QNetwork
    target_model: QNetwork
    algorithm: QAlgorithm
    num_taus: int | None = None  # random fractions of each pass of an implicit head (IQN)
    _taus: list[Tensor] = field(default_factory=list)

    def prepare(self, draw: Draw, generator: Generator) -> None:
        """Draw the batch's random numbers: noise of noisy layers, fractions of implicit heads.

        Fractions are drawn for the batch of all ranks, so that they do not depend on who holds
        which sample.
        """
        for network in (self.model, self.target_model):
            network.draw_noise(generator)
        if self.num_taus is not None:
            taus = torch.rand(2, len(draw.items), self.num_taus, generator=generator)
            device = next(self.model.parameters()).device
            self._taus = list(taus[:, draw.positions.cpu()].to(device, non_blocking=True))

    def outcome(self, batch: Transitions, weights: Tensor, part: slice) -> Outcome:
        """Loss, priorities and terms of a `part` of a batch with importance `weights` [n]."""
        columns: dict[str, Any] = {name: column[part] for name, column in vars(batch).items()}
        piece = Transitions(**columns)
        taus, next_taus = (each[part] for each in self._taus) if self._taus else (None, None)
        samples = QSamples(
            actions=piece.actions,
            returns=piece.returns,
            bootstrap=piece.bootstrap,
            next_actions=piece.next_actions,
            weights=weights[part],
        )
        next_online = current_target = None
        with torch.no_grad():
            next_target = self.target_model(piece.next_observations, next_taus)
            if self.algorithm.uses_next_online:
                next_online = self.model(piece.next_observations)
            if self.algorithm.uses_current_target:
                current_target = self.target_model(piece.observations)
        output = self.model(piece.observations, taus)
        return self.algorithm.loss(output, samples, next_target, next_online, current_target)
