"""Q-learning from replay: a rollout in, as many updates as the replay ratio asks for, metrics out.

As in `learner.py`, nothing waits for the device before the end of an update, and on a GPU gradient
and optimizer step are CUDA graphs. What is drawn and prepared for them is not.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Generator, Tensor

from accel.algos import ALONE, Ranks, Schedule
from accel.learning.finite import finite_means
from accel.learning.flat import FlatParameters
from accel.learning.learner import CPU_SAMPLES_PER_PASS, apply_gradient, copied
from accel.learning.optimizers import Optimizer
from accel.models import QNetwork
from accel.models.graphs import Graphed, Graphs
from accel.replay import Draw, Replay
from accel.types import Rollout

# Of batches drawn and prepared together: the target network answers 256 samples in 0.6 of the time
# that it takes for 8 x 32 (2 CPU cores, AMX), and a GPU is hardly busy with fewer.
SAMPLES_AHEAD = 256


class Lesson(Protocol):
    """Turns what is read from a replay into a loss: `TransitionLesson`, `SequenceLesson`."""

    @property
    def looks_ahead(self) -> bool:
        """Whether several batches may be prepared together: each needs no noise of its own."""

    def prepare(
        self, draw: Draw, batch: Any, parts: list[slice], generator: Generator
    ) -> list[Any]:
        """Add to what was drawn all that does not depend on the weights that learn, batch by batch.

        `parts` are what suits the device at a time. Random numbers are the same on all ranks.
        """

    def outcome(
        self, batch: Any, weights: Tensor, part: slice
    ) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """The loss, the priorities [n] and the terms of the items `part` of what is prepared."""


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
        lesson: Lesson,
        replay: Replay[Any],
        flat: FlatParameters,
        target: FlatParameters,
        optimizer: Optimizer,
        learning_rate: Schedule,
        importance_exponent: Schedule,
        pace: Pace,
        *,
        max_grad_norm: float | None,
        seed: int = 0,
        max_samples_per_pass: int | None = None,
        ranks: Ranks = ALONE,
        graphs: Graphs | None = None,
    ) -> None:
        """`flat` and `target` hold the weights of the lesson's two networks.

        `seed` is of the lesson's random numbers, the same on all ranks. `graphs` records gradient
        and optimizer step; None calls them as they are.
        """
        self.lesson, self.replay = lesson, replay
        self.flat, self.target = flat, target
        self.optimizer, self.learning_rate = optimizer, learning_rate
        self.importance_exponent, self.pace = importance_exponent, pace
        self.max_grad_norm = max_grad_norm
        self._generator = torch.Generator()  # on the CPU: the same numbers on every device
        self._generator.manual_seed(seed)
        if max_samples_per_pass is None and flat.master.device.type == "cpu":
            max_samples_per_pass = CPU_SAMPLES_PER_PASS
        self.max_items_per_pass = max_samples_per_pass and max(
            1, max_samples_per_pass // pace.samples_per_item
        )
        ahead = replay.draws_ahead and lesson.looks_ahead
        self._most_batches = max(1, SAMPLES_AHEAD // pace.batch_size) if ahead else 1
        self.ranks = ranks
        self.num_updates = 0  # optimizer steps
        self._now: int | None = None  # agent steps after the last rollout; then others' may follow
        self._credit = 0.0  # optimizer steps that are due
        self._generated = 0  # agent steps since learning started
        self._copy_to_target()
        self._find_gradient = Graphed(self._gradient, graphs)
        self._take_step = Graphed(self._apply_gradient, graphs)

    def replace_optimizer(self, optimizer: Optimizer) -> None:
        """Step by another one from here on, which works on the host and is not recorded."""
        self.optimizer = optimizer
        self._take_step = Graphed(self._apply_gradient, None)

    def update(self, rollout: Rollout, agent_steps: int) -> dict[str, Tensor]:
        """Store a rollout, learn what is due, and return scalar metrics, averaged over updates.

        `agent_steps` is the schedules' clock: global agent steps taken before the rollout was
        collected. Without updates there are no metrics. Raises NonFiniteLoss, naming the terms, if
        any became infinite or NaN.
        """
        self.replay.append(rollout)
        now = agent_steps + rollout.actions.numel() * self.ranks.size
        history: list[dict[str, Tensor]] = []
        due = self._updates_due(agent_steps, now)
        while len(history) < due:
            num_batches = min(self._most_batches, due - len(history))
            history += self._steps(num_batches, agent_steps)
        before = agent_steps if self._now is None else self._now
        self._now = now
        if now // self.pace.target_interval > before // self.pace.target_interval:
            self._copy_to_target()
        if not history:
            return {}
        return finite_means(history, self.ranks, f"update {self.num_updates}", self.replay.ring)

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

    def _steps(self, num_batches: int, agent_steps: int) -> list[dict[str, Tensor]]:
        """Take an optimizer step on each of some batches that are drawn together.

        The target network's answers are asked for once for all: between its copies it stands still.
        """
        beta = self.importance_exponent(agent_steps)
        draw, batch = self.replay.sample(self.pace.batch_size, beta, num_batches)
        parts = self._parts(slice(0, len(draw.weights)))
        prepared = self.lesson.prepare(draw, batch, parts, self._generator)
        return [
            self._step(draw, batch, draw.weights[items], agent_steps)
            for batch, items in zip(prepared, draw.batches)
        ]

    def _step(self, draw: Draw, batch: Any, weights: Tensor, agent_steps: int) -> dict[str, Tensor]:
        """Take one optimizer step on one batch of a draw, of which this rank may hold any part."""
        terms, priorities = self._find_gradient(batch=batch, weights=weights)
        self.ranks.total(self.flat.gradient)
        norm = self._take_step(learning_rate=self.learning_rate(agent_steps))
        if not self.replay.draws_ahead:
            self.replay.update_priorities(draw, priorities)
        self.num_updates += 1
        return copied({**terms, "grad_norm": norm / self.ranks.size})

    def _gradient(self, batch: Any, weights: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        """Write the gradient of this rank's part of a batch; return terms and priorities [n]."""
        metrics: dict[str, Tensor] = {}
        priorities = []
        for part in self._parts(slice(0, len(weights))):
            loss, errors, terms = self.lesson.outcome(batch, weights, part)
            self.flat.backward(loss, accumulate=bool(metrics))
            metrics = {name: metrics.get(name, 0) + term for name, term in terms.items()}
            priorities.append(errors)
        return metrics, torch.cat(priorities)

    def _apply_gradient(self, learning_rate: float | Tensor) -> Tensor:
        """Take an optimizer step against the gradient; return its norm before clipping."""
        return apply_gradient(self.flat, self.optimizer, learning_rate, self.max_grad_norm)

    def _parts(self, items: slice) -> list[slice]:
        """Cut `items` into parts that suit the device; of none, one empty part."""
        most = self.max_items_per_pass or max(1, items.stop - items.start)
        starts = range(items.start, max(items.start + 1, items.stop), most)
        return [slice(start, min(start + most, items.stop)) for start in starts]

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
            "now": self._now,
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
        self._now = state.get("now")  # it is not in old checkpoints
        self._take_step.forget()  # the optimizer's state has moved


def target_network(model: QNetwork) -> QNetwork:
    """A copy of `model` that learns nothing itself."""
    return copy.deepcopy(model).requires_grad_(False)
