"""Measurements in parts: each is on disk as soon as it is taken, and is not taken again.

Access to a large machine is often short. A command that was cut off has lost at most the part it
was at; given again, with the same --output, it goes on with what is missing.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accel.runs.atomic import write_atomically
from benchmarks.contender import ContenderFailed

Values = dict[str, Any]  # of one part, as JSON has them


@dataclass(frozen=True)
class Part:
    """One thing to measure where time is short."""

    name: str
    takes_s: float  # as a rule; not begun with less time left
    measure: Callable[[], Values]


class Parts:
    """Results by name, in a JSON file; those of other code, hardware or settings do not count."""

    def __init__(
        self, path: Path | None, about: Values, on_change: Callable[[], None] = lambda: None
    ) -> None:
        """Read `path` if it is there; without a path results are kept in memory alone.

        `on_change` is called after each new result.
        """
        self._path, self._on_change = path, on_change
        self._about = json.loads(json.dumps(about, default=str))  # as it is read back
        stored = _read(path) if path is not None else {}
        self.results: dict[str, Values] = (
            stored["results"] if stored.get("about") == self._about else {}
        )
        self.failures: dict[str, str] = {}  # of this command, by name, with their last words

    def take(self, name: str, measure: Callable[[], Values]) -> Values:
        """The result of that name; measured, and written, if there is none."""
        if name not in self.results:
            self.keep(name, measure())
        return self.results[name]

    def keep(self, name: str, values: Values) -> None:
        """Write a result down, in place of an earlier one."""
        self.results[name] = values
        if self._path is not None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            kept = {"about": self._about, "results": self.results}
            write_atomically(self._path, json.dumps(kept, indent=1))
        self._on_change()

    def measure(self, parts: list[Part], limit_s: float) -> None:
        """Measure what is missing, as far as `limit_s` allows.

        Failures do not stop the others; they are kept in `failures`.
        """
        deadline = time.monotonic() + limit_s
        for part in parts:
            if part.name in self.results or time.monotonic() + part.takes_s > deadline:
                continue
            print(f"{part.name} ...", file=sys.stderr)
            try:
                self.take(part.name, part.measure)
            except ContenderFailed as error:
                self.failures[part.name] = str(error)

    def forget(self) -> None:
        """Remove the file: the next command begins anew."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)


def _read(path: Path) -> Values:
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return stored if isinstance(stored, dict) else {}
