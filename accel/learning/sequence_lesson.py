"""What there is to learn from a batch of sequences: a recurrent network's loss after a burn-in."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from accel.algos import R2D2, Steps
from accel.algos.rollout_samples import RAW, View
from accel.learning.transition_lesson import Outcome
from accel.models import QNetwork
from accel.replay import Draw, Sequences


@dataclass(frozen=True)
class SequenceLesson:
    """Unrolls both networks over each sequence; the first `burn_in` rows only warm their states.

    Both start from the state that the acting network had there (R2D2, section 3.1, "stored state").
    """

    model: QNetwork
    target_model: QNetwork
    algorithm: R2D2
    burn_in: int
    view: View = RAW

    looks_ahead = False  # a sequence is long enough for a pass of its own

    def prepare(
        self, draw: Draw, batch: Sequences, parts: list[slice], generator: Generator
    ) -> list[Sequences]:
        """Draw the noise of noisy layers."""
        for network in (self.model, self.target_model):
            network.draw_noise(generator)
        return [batch]

    def outcome(self, batch: Sequences, weights: Tensor, part: slice) -> Outcome:
        """Loss, priorities and terms of a `part` of a batch with importance `weights` [n]."""
        rows = slice(self.burn_in, None)
        rewards, terminated = self.view(batch)
        steps = Steps(
            actions=batch.actions[rows, part],
            rewards=rewards[rows, part],
            terminated=terminated[rows, part],
            truncated=batch.truncated[rows, part],
            valid=batch.valid[rows, part],
        )
        with torch.no_grad():
            target = self._values(self.target_model, batch, part)
        online = self._values(self.model, batch, part)
        return self.algorithm.loss(online, target, steps, weights[part])

    def _values(self, model: QNetwork, batch: Sequences, part: slice) -> Tensor:
        """The network's values [L - burn_in, n, A] of the rows after the burn-in."""
        observations, starts = batch.observations[:, part], batch.starts[:, part]
        state = batch.state[part]
        warm, rows = slice(self.burn_in), slice(self.burn_in, None)
        if self.burn_in:
            with torch.no_grad():
                state = model.unroll(observations[warm], state, starts[warm])[1]
        output, _ = model.unroll(observations[rows], state, starts[rows])
        return self.algorithm.q_values(output).unflatten(0, starts[rows].shape)
