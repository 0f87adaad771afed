"""Where the wall time goes."""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter
from types import TracebackType


@dataclass(frozen=True)
class TimeSplit:
    """One log interval: its wall time and each section's share of it."""

    wall_s: float
    seconds: dict[str, float]
    percent: dict[str, float]  # of wall_s; sections of several threads may sum to over 100

    def metrics(self) -> dict[str, float]:
        """The shares as `stats/<section>_percent`."""
        return {f"stats/{name}_percent": share for name, share in self.percent.items()}


class Timers:
    """Adds up the time spent in named sections; an enter and exit cost well under a microsecond.

    A section keeps its name from interval to interval, so one that was idle shows as 0 %.
    """

    def __init__(self) -> None:
        self._sections: dict[str, _Section] = {}
        self._interval_start = perf_counter()

    def section(self, name: str) -> _Section:
        """A context manager that adds the time inside it to `name`; not to be nested in itself."""
        section = self._sections.get(name)
        if section is None:
            section = self._sections[name] = _Section()
        return section

    def add(self, name: str, seconds: float) -> None:
        """Add time measured elsewhere, e.g. by a worker process."""
        self.section(name).seconds += seconds

    def pop(self) -> TimeSplit:
        """The split since the last call; then start a new interval."""
        now = perf_counter()
        wall_s = now - self._interval_start
        self._interval_start = now
        seconds = {name: section.seconds for name, section in self._sections.items()}
        for section in self._sections.values():
            section.seconds = 0.0
        percent = {name: 100.0 * spent / max(wall_s, 1e-9) for name, spent in seconds.items()}
        return TimeSplit(wall_s, seconds, percent)


class _Section:
    """One named section; a class rather than a generator because it is entered every step."""

    __slots__ = ("_start", "seconds")

    def __init__(self) -> None:
        self.seconds = 0.0
        self._start = 0.0

    def __enter__(self) -> None:
        self._start = perf_counter()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.seconds += perf_counter() - self._start
