"""What there is to learn from a batch of transitions: the algorithm's loss on two networks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from accel.algos import QAlgorithm, QSamples
from accel.models import QNetwork
from accel.replay import Draw, Transitions
from accel.types import QOutput

Outcome = tuple[Tensor, Tensor, dict[str, Tensor]]  # loss, priorities [n], terms
Taus = tuple[Tensor, Tensor] | tuple[None, None]


@dataclass(frozen=True)
class Prepared:
    """Transitions and what the target network says of them."""

    transitions: Transitions
    taus: Taus  # [n, M] fractions for an implicit head: in the sampled, in the bootstrap state
    next_target: QOutput  # in the bootstrap state
    current_target: QOutput | None  # in the sampled state, for algorithms that use it

    def cut(self, items: slice) -> Prepared:
        """Return some of them."""
        columns = {name: column[items] for name, column in vars(self.transitions).items()}
        now, then = (_of(column, items) for column in self.taus)
        current = None if self.current_target is None else _cut(self.current_target, items)
        return Prepared(Transitions(**columns), (now, then), _cut(self.next_target, items), current)


@dataclass(frozen=True)
class TransitionLesson:
    """Gives `algorithm` the outputs of the two networks that it asks for."""

    model: QNetwork
    target_model: QNetwork
    algorithm: QAlgorithm
    num_taus: int | None = None  # random fractions of each pass of an implicit head (IQN)

    @property
    def looks_ahead(self) -> bool:
        return not self.model.is_noisy

    def prepare(
        self, draw: Draw, batch: Transitions, parts: list[slice], generator: Generator
    ) -> list[Prepared]:
        """Draw noise and fractions, and ask the target network.

        Fractions are drawn for the batch of all ranks, so that they do not depend on who holds
        which sample.
        """
        for network in (self.model, self.target_model):
            network.draw_noise(generator)
        taus = self._taus(draw, generator)
        next_target = self._answers(
            parts, lambda part: self.target_model(batch.next_observations[part], _of(taus[1], part))
        )
        current_target = None
        if self.algorithm.uses_current_target:
            current_target = self._answers(
                parts, lambda part: self.target_model(batch.observations[part])
            )
        prepared = Prepared(batch, taus, next_target, current_target)
        return [prepared.cut(items) for items in draw.batches]

    def outcome(self, batch: Prepared, weights: Tensor, part: slice) -> Outcome:
        """Loss, priorities and terms of a `part` of a batch with importance `weights` [n]."""
        transitions = batch.transitions
        samples = QSamples(
            actions=transitions.actions[part],
            returns=transitions.returns[part],
            bootstrap=transitions.bootstrap[part],
            next_actions=transitions.next_actions[part],
            weights=weights[part],
        )
        next_online = current_target = None
        if self.algorithm.uses_next_online:
            with torch.no_grad():
                next_online = self.model(transitions.next_observations[part])
        if batch.current_target is not None:
            current_target = _cut(batch.current_target, part)
        output = self.model(transitions.observations[part], _of(batch.taus[0], part))
        return self.algorithm.loss(
            output, samples, _cut(batch.next_target, part), next_online, current_target
        )

    def _taus(self, draw: Draw, generator: Generator) -> Taus:
        if self.num_taus is None:
            return None, None
        shape = (2, len(draw.items) // len(draw.batches), self.num_taus)
        taus = torch.cat([torch.rand(shape, generator=generator) for _ in draw.batches], dim=1)
        if draw.positions.is_cuda:  # from pinned memory the copy does not wait for the GPU
            taus = taus.pin_memory()
        now, then = taus.to(draw.positions.device, non_blocking=True)[:, draw.positions]
        return now, then

    @torch.no_grad()
    def _answers(self, parts: list[slice], ask: Callable[[slice], QOutput]) -> QOutput:
        """The answers to all parts in one."""
        outputs = [ask(part) for part in parts]
        if len(outputs) == 1:
            return outputs[0]
        values, taus = zip(*outputs)
        return QOutput(torch.cat(values), None if taus[0] is None else torch.cat(taus))


def _of(column: Tensor | None, part: slice) -> Tensor | None:
    return None if column is None else column[part]


def _cut(output: QOutput, part: slice) -> QOutput:
    return QOutput(output.values[part], _of(output.taus, part))
