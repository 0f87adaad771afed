"""Q-learning from replay: a rollout in, as many updates as the replay ratio asks for, metrics out.

As in `learner.py`, nothing waits for the device before the end of an update.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from accel.algos import ALONE, QAlgorithm, QSamples, Ranks, Schedule
from accel.learning.finite import finite_means
from accel.learning.flat import FlatParameters
from accel.learning.learner import CPU_SAMPLES_PER_PASS, clip_norm
from accel.learning.optimizers import Optimizer
from accel.models import QNetwork
from accel.replay import Draw, Replay, Transitions
from accel.types import Rollout


@dataclass(frozen=True)
class Pace:
    """When to learn, in global agent steps and samples, whatever the number of ranks."""

    batch_size: int  # items per optimizer step
    replay_ratio: float  # samples learned per sample generated, once learning has started
    learning_starts: int  # agent steps that the replay must hold
    target_interval: int  # agent steps between copies of the weights to the target network
    samples_per_item: int = 1  # steps of a sequence that are learned from


class ReplayLearner:
    """Updates the weights of one model on one device; with others, the same update on each.

    The acting network may be this very model: its parameters are changed in place.
    """

    def __init__(
        self,
        model: QNetwork,
        target_model: QNetwork,
        algorithm: QAlgorithm,
        replay: Replay[Transitions],
        flat: FlatParameters,
        target: FlatParameters,
        optimizer: Optimizer,
        learning_rate: Schedule,
        importance_exponent: Schedule,
        pace: Pace,
        *,
        max_grad_norm: float | None,
        num_taus: int | None = None,
        seed: int = 0,
        max_samples_per_pass: int | None = None,
        ranks: Ranks = ALONE,
    ) -> None:
        """`flat` and `target` hold the weights of `model` and `target_model`.

        `num_taus` random fractions are drawn for each pass of an implicit head (IQN); `seed` is of
        those and of noisy layers' noise, the same on all ranks.
        """
        self.model, self.target_model = model, target_model
        self.algorithm, self.replay = algorithm, replay
        self.flat, self.target = flat, target
        self.optimizer, self.learning_rate = optimizer, learning_rate
        self.importance_exponent, self.pace = importance_exponent, pace
        self.max_grad_norm = max_grad_norm
        self._num_taus = num_taus
        self._generator = torch.Generator()  # on the CPU: the same numbers on every device
        self._generator.manual_seed(seed)
        if max_samples_per_pass is None and flat.master.device.type == "cpu":
            max_samples_per_pass = CPU_SAMPLES_PER_PASS
        self.max_samples_per_pass = max_samples_per_pass
        self.ranks = ranks
        self.num_updates = 0  # optimizer steps
        self._credit = 0.0  # optimizer steps that are due
        self._generated = 0  # agent steps since learning started
        self._target_copies = 0
        self._copy_to_target()

    def update(self, rollout: Rollout, agent_steps: int) -> dict[str, Tensor]:
        """Store a rollout, learn what is due, and return scalar metrics, averaged over updates.

        `agent_steps` is the schedules' clock: global agent steps taken before the rollout was
        collected. Without updates there are no metrics. Raises NonFiniteLoss, naming the terms, if
        any became infinite or NaN.
        """
        self.replay.append(rollout)
        now = agent_steps + rollout.actions.numel() * self.ranks.size
        history = [self._step(agent_steps) for _ in range(self._updates_due(agent_steps, now))]
        if now // self.pace.target_interval > self._target_copies:
            self._target_copies = now // self.pace.target_interval
            self._copy_to_target()
        if not history:
            return {}
        return finite_means(history, self.ranks, f"update {self.num_updates}", rollout)

    def charts(self, agent_steps: int) -> dict[str, float]:
        """Settings and figures of the present, for the record."""
        learned = self.num_updates * self.pace.batch_size * self.pace.samples_per_item
        return {
            "learning_rate": self.learning_rate(agent_steps),
            "replay_ratio": learned / max(1, self._generated),
            "replay_agent_steps": float(self.replay.num_steps),
        }

    def _updates_due(self, before: int, now: int) -> int:
        """Optimizer steps that keep samples learned : samples generated at the replay ratio."""
        if self.replay.num_steps < self.pace.learning_starts or not self.replay.can_sample:
            return 0
        new = now - before
        self._generated += new
        samples = self.pace.batch_size * self.pace.samples_per_item
        self._credit += new * self.pace.replay_ratio / samples
        due = int(self._credit)
        self._credit -= due
        return due

    def _step(self, agent_steps: int) -> dict[str, Tensor]:
        """Take one optimizer step on one batch, of which this rank may hold any part."""
        beta = self.importance_exponent(agent_steps)
        draw, transitions = self.replay.sample(self.pace.batch_size, beta)
        taus = self._draw_taus(draw)
        for network in (self.model, self.target_model):
            network.draw_noise(self._generator)
        metrics: dict[str, Tensor] = {}
        priorities = []
        for piece, samples, part in self._pieces(transitions, draw.weights):
            loss, errors, terms = self._loss(piece, samples, [each[part] for each in taus])
            self.flat.backward(loss, accumulate=bool(metrics))
            metrics = {name: metrics.get(name, 0) + term for name, term in terms.items()}
            priorities.append(errors)
        gradient = self.ranks.total(self.flat.gradient)
        metrics["grad_norm"] = clip_norm(gradient, self.max_grad_norm) / self.ranks.size
        self.optimizer.step(gradient, self.learning_rate(agent_steps))
        self.flat.refresh()
        self.replay.update_priorities(draw, torch.cat(priorities))
        self.num_updates += 1
        return metrics

    def _pieces(
        self, transitions: Transitions, weights: Tensor
    ) -> Iterator[tuple[Transitions, QSamples, slice]]:
        """Cut a batch into parts that suit the device; a rank that holds none gets an empty one."""
        most = self.max_samples_per_pass or max(1, len(weights))
        for start in range(0, max(1, len(weights)), most):
            part = slice(start, start + most)
            piece = Transitions(**{name: field[part] for name, field in vars(transitions).items()})
            yield (
                piece,
                QSamples(
                    actions=piece.actions,
                    returns=piece.returns,
                    bootstrap=piece.bootstrap,
                    next_actions=piece.next_actions,
                    weights=weights[part],
                ),
                part,
            )

    def _draw_taus(self, draw: Draw) -> list[Tensor]:
        """Fractions [n, M] for the sampled and the bootstrap states, if the head needs any.

        Drawn for the batch of all ranks, so that they do not depend on who holds which sample.
        """
        if self._num_taus is None:
            return []
        shape = (2, len(draw.items), self._num_taus)
        device = self.flat.master.device
        taus = torch.rand(shape, generator=self._generator).to(device, non_blocking=True)
        return list(taus[:, draw.positions.to(device)])

    def _loss(
        self, piece: Transitions, samples: QSamples, taus: Sequence[Tensor]
    ) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """The algorithm's loss with the outputs of the two networks that it needs."""
        current_taus, next_taus = taus or (None, None)
        next_online = current_target = None
        with torch.no_grad():
            next_target = self.target_model(piece.next_observations, next_taus)
            if self.algorithm.uses_next_online:
                next_online = self.model(piece.next_observations)
            if self.algorithm.uses_current_target:
                current_target = self.target_model(piece.observations)
        output = self.model(piece.observations, current_taus)
        return self.algorithm.loss(output, samples, next_target, next_online, current_target)

    def _copy_to_target(self) -> None:
        self.target.master.copy_(self.flat.master)
        self.target.refresh()

    def state_dict(self) -> dict[str, Any]:
        """Return everything a resumed run needs but the replay: see `Replay.state_dict`."""
        return {
            "model": self.flat.state_dict(),
            "target": self.target.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "generator": self._generator.get_state(),
            "num_updates": self.num_updates,
            "credit": self._credit,
            "generated": self._generated,
            "target_copies": self._target_copies,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Load what `state_dict` returned."""
        self.flat.load_state_dict(state["model"])
        self.target.load_state_dict(state["target"])
        self.optimizer.load_state_dict(state["optimizer"])
        self._generator.set_state(state["generator"].cpu())
        self.num_updates = state["num_updates"]
        self._credit = state["credit"]
        self._generated = state["generated"]
        self._target_copies = state["target_copies"]


def build_replay_learner(
    model: QNetwork,
    algorithm: QAlgorithm,
    replay: Replay[Transitions],
    learning_rate: Schedule,
    importance_exponent: Schedule,
    pace: Pace,
    optimizer: Callable[[Tensor], Optimizer],
    *,
    device: torch.device | str = "cpu",
    precision: str = "fp32",
    max_grad_norm: float | None = None,
    num_taus: int | None = None,
    seed: int = 0,
    max_samples_per_pass: int | None = None,
    ranks: Ranks = ALONE,
) -> ReplayLearner:
    """Flatten `model` and a copy of it, the target network, onto `device`, with their learner.

    From here on the model's parameters are views owned by the learner. `optimizer` builds one for
    the flat parameters [P] float32.
    """
    target_model = copy.deepcopy(model).requires_grad_(False)
    flat = FlatParameters(model, torch.device(device), precision)
    return ReplayLearner(
        model,
        target_model,
        algorithm,
        replay,
        flat,
        FlatParameters(target_model, torch.device(device), precision),
        optimizer(flat.master),
        learning_rate,
        importance_exponent,
        pace,
        max_grad_norm=max_grad_norm,
        num_taus=num_taus,
        seed=seed,
        max_samples_per_pass=max_samples_per_pass,
        ranks=ranks,
    )
