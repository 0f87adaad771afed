"""When to tell what limits a run: after the first minute, when it changes, and at the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from accel.metrics.timers import TimeSplit
from accel.metrics.verdict import Setup, TimeShares, Verdict, verdict

_WINDOW_S = 60.0


class LimitWatch:
    """Judges windows of a minute, from the second log interval on: the first one warms up.

    Another limit than told is told once two windows in a row agree on it: of two parts that take
    about as long, each would be the limit now and then.
    """

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._window: Counter[str] = Counter()  # seconds by section
        self._run: Counter[str] = Counter()
        self._num_intervals = 0
        self._told: str | None = None
        self._previous: str | None = None

    def add(self, split: TimeSplit, elsewhere_s: float = 0.0) -> Verdict | None:
        """Note a log interval; its verdict if there is something new to tell.

        `elsewhere_s` of its wall time does not count, as that of evaluations.
        """
        self._num_intervals += 1
        if self._num_intervals == 2:
            self._window.clear()
            self._run.clear()
        seconds = {**split.seconds, "wall": split.wall_s - elsewhere_s}
        self._window.update(seconds)
        self._run.update(seconds)
        if self._window["wall"] < _WINDOW_S:
            return None
        judged = self._judge(self._window)
        self._window.clear()
        previous, self._previous = self._previous, judged.limit
        if judged.limit == self._told or (self._told and judged.limit != previous):
            return None
        self._told = judged.limit
        return judged

    def of_run(self) -> Verdict | None:
        """What has limited the run as a whole; None if nothing was timed."""
        return self._judge(self._run) if self._run["wall"] > 0 else None

    def _judge(self, seconds: Mapping[str, float]) -> Verdict:
        has_workers = self._setup.num_workers > 0
        return verdict(TimeShares.of(seconds, seconds["wall"], has_workers), self._setup)
