"""Where the time of collecting a rollout went."""

from __future__ import annotations

import time
from dataclasses import dataclass

from accel.types import Span


@dataclass
class SampleTime:
    """Seconds that one `collect` took, by what they went into."""

    wait: float = 0.0  # for the environments
    inference: float = 0.0  # stacking, forward pass, choosing actions
    room: float = 0.0  # of an actor process: waiting for leave to fill another slot
    learner: float = 0.0  # of the learner: waiting for an actor process to finish a rollout
    spans: list[Span] | None = None  # wait and inference one by one, and workers' steps; if asked

    def note(self, name: str, group: int, start_s: float) -> None:
        """Add the time since `start_s` to `name` (wait or inference), spent on `group`."""
        end_s = time.perf_counter()
        setattr(self, name, getattr(self, name) + end_s - start_s)
        if self.spans is not None:
            self.spans.append(Span(f"actor, group {group}", name, start_s, end_s))
