"""Schedules of a number over global agent steps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

# Global agent steps -> value; within a CUDA graph both are tensors [] float64.
Schedule = Callable[[Any], Any]


@dataclass(frozen=True)
class Constant:
    """The same value at all times."""

    value: float

    def __call__(self, agent_steps: int | Tensor) -> float:
        return self.value


@dataclass(frozen=True)
class Linear:
    """A straight line from `initial` at step 0 to `final` at `total_agent_steps`, then `final`."""

    initial: float
    final: float
    total_agent_steps: int

    def __call__(self, agent_steps: int | Tensor) -> float | Tensor:
        progress = agent_steps / self.total_agent_steps
        if isinstance(progress, Tensor):
            progress = progress.clamp(0.0, 1.0)
        else:
            progress = min(max(progress, 0.0), 1.0)
        return self.initial + progress * (self.final - self.initial)


@dataclass(frozen=True)
class WarmedUp:
    """A schedule times a straight line from 0 to 1, for the first agent steps of learning.

    The line counts an update at the agent steps after its rollout, `steps_per_update` more than the
    schedule is told: the first of n updates has 1 / n of the rate, where it would have none.
    """

    schedule: Schedule
    warmup_agent_steps: int
    steps_per_update: int  # agent steps of a rollout
    start: int = 0  # agent steps before the first rollout that is learned from

    def __call__(self, agent_steps: int | Tensor) -> float | Tensor:
        line = Linear(0.0, 1.0, self.warmup_agent_steps)
        return line(agent_steps + self.steps_per_update - self.start) * self.schedule(agent_steps)


def build_schedule(name: str, initial: float, total_agent_steps: int) -> Schedule:
    """Build "constant", or "linear" from `initial` to zero over `total_agent_steps`."""
    if name == "constant":
        return Constant(initial)
    if name == "linear":
        return Linear(initial, 0.0, total_agent_steps)
    raise ValueError(f"schedule {name!r}: choose constant or linear")
