"""`profile=true`: the timeline of a few iterations, in the run's folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from time import perf_counter

from torch import Tensor

from accel.config.schema import Config
from accel.learning.optimizers import Optimizer
from accel.metrics.console import Console
from accel.runs.timeline import save_trace
from accel.types import Span

FIRST, COUNT = 5, 2  # iterations: the ones before have compiled, allocated and warmed up


class Profile:
    """Notes what learner, actor and workers do in `COUNT` iterations from `FIRST` on.

    And in `num_ahead` more, if an actor process plays so many rollouts ahead: what it did beside an
    update is known when that rollout is learned from. Times are those of the host: of a GPU's work
    they show when it was asked for.
    """

    def __init__(self, config: Config, num_ahead: int, folder: Path, console: Console) -> None:
        """Write `profile.json` and `profile.png` to `folder` as soon as they are complete."""
        self._count = COUNT + num_ahead
        self._title = _title(config, self._count)
        self._folder, self._console = folder, console
        self._iteration = 0
        self._spans: list[Span] = []
        self._update: list[Span] = []  # what the update under way has done
        self._last_end, self._has_stepped = 0.0, False

    @property
    def num_updates(self) -> int:
        """Updates that learn, until the files are written."""
        return FIRST + self._count

    @property
    def is_done(self) -> bool:
        """Whether the files are written."""
        return self._iteration >= self.num_updates

    def watch(self, optimizer: Optimizer) -> None:
        """Note each step of `optimizer`, and the time since the one before as a gradient's."""
        step = optimizer.step

        def noted_step(gradient: Tensor, learning_rate: float) -> None:
            start = perf_counter()
            step(gradient, learning_rate)
            end = perf_counter()
            self._update.append(Span("learner", "forward and backward", self._last_end, start))
            self._update.append(Span("learner", "optimizer", start, end))
            self._last_end, self._has_stepped = end, True

        optimizer.step = noted_step

    def begin_update(self, sampling: Sequence[Span]) -> None:
        """The learner starts on samples; `sampling` tells how actor and workers got them."""
        self._update, self._has_stepped = list(sampling), False
        self._last_end = perf_counter()

    def end_update(self, has_learned: bool) -> None:
        """The update is complete. A replay that fills up before anything is learned is left out."""
        # The steps within a CUDA graph cannot be noted: then there is one long span.
        rest = "metrics" if self._has_stepped else "update"
        self._update.append(Span("learner", rest, self._last_end, perf_counter()))
        if self.is_done or not has_learned:
            return
        if self._iteration >= FIRST:
            self._spans += self._update
        self._iteration += 1
        if self.is_done:
            self._write()

    def _write(self) -> None:
        from accel.runs.timeline_picture import save_timeline  # matplotlib takes a second to load

        try:
            save_trace(self._folder / "profile.json", self._spans)
            save_timeline(self._folder / "profile.png", self._spans, self._title)
        except OSError as error:  # no reason to end a run
            self._console.warn(f"profile=true: {error}. Training goes on without a profile")
            return
        self._console.note(f"profile.json and profile.png are in {self._folder}")


def _title(config: Config, count: int) -> str:
    """What the picture shows."""
    name = f"{config.algo.name} on {config.env.game}"
    batch = f"{config.sampler.num_envs} environments x {config.algo.rollout_length} steps"
    return f"{name}: {count} iterations of {batch}; below, some steps"
