"""Reducing the many values of a log interval to the one per tag that is written."""

from __future__ import annotations

from collections.abc import Mapping


class MetricSums:
    """Collects named floats between two log points: mean, last, least or greatest of each.

    A NaN makes its mean or extreme NaN: it shows, rather than being averaged away.
    """

    def __init__(self) -> None:
        self._sums: dict[str, float] = {}
        self._counts: dict[str, int] = {}
        self._last: dict[str, float] = {}
        self._min: dict[str, float] = {}
        self._max: dict[str, float] = {}

    def add_mean(self, values: Mapping[str, float]) -> None:
        """Count each value in its tag's mean."""
        for tag, value in values.items():
            self._sums[tag] = self._sums.get(tag, 0.0) + value
            self._counts[tag] = self._counts.get(tag, 0) + 1

    def add_last(self, values: Mapping[str, float]) -> None:
        """Keep these values unless later ones come."""
        self._last.update(values)

    def add_min(self, values: Mapping[str, float]) -> None:
        """Keep these values unless smaller ones come."""
        for tag, value in values.items():
            least = self._min.get(tag, value)
            self._min[tag] = value if value < least or value != value else least

    def add_max(self, values: Mapping[str, float]) -> None:
        """Keep these values unless greater ones come."""
        for tag, value in values.items():
            greatest = self._max.get(tag, value)
            self._max[tag] = value if value > greatest or value != value else greatest

    def pop(self) -> dict[str, float]:
        """The reduced values of everything added since the last call, by tag; then start over."""
        means = {tag: total / self._counts[tag] for tag, total in self._sums.items()}
        reduced = {**means, **self._last, **self._min, **self._max}
        for values in (self._sums, self._counts, self._last, self._min, self._max):
            values.clear()
        return reduced
