"""Measurements in parts: what has been measured is kept, and a command ends in time.

Access to a large machine is often short. The same command, given again, measures what is missing.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.contender import ContenderFailed


@dataclass(frozen=True)
class Part:
    """One thing to measure."""

    name: str
    most_s: float  # it takes no longer; not begun with less time left
    measure: Callable[[], dict[str, Any]]


class Parts:
    """Results by name, in a JSON file; those of other code, hardware or settings do not count."""

    def __init__(self, path: Path | None, about: dict[str, Any]) -> None:
        """Read `path` if it is there; without a path results are kept in memory alone."""
        self._path = path
        self._about = json.loads(json.dumps(about))  # as it will be read back
        stored = json.loads(path.read_text()) if path is not None and path.exists() else {}
        self.results: dict[str, dict[str, Any]] = (
            stored["results"] if stored.get("about") == self._about else {}
        )
        self.failures: dict[str, str] = {}  # of this command, by name, with their last words

    def measure(self, parts: list[Part], limit_s: float) -> list[str]:
        """Measure what is missing, as far as `limit_s` allows; return what is left for next time.

        Failures do not stop the others; they are kept in `failures`.
        """
        deadline = time.monotonic() + limit_s
        left = []
        for part in parts:
            if part.name in self.results:
                continue
            if time.monotonic() + part.most_s > deadline:
                left.append(part.name)
                continue
            print(f"{part.name} ...", file=sys.stderr)
            try:
                self.results[part.name] = part.measure()
            except ContenderFailed as error:
                self.failures[part.name] = str(error)
                continue
            self._write()
        return left

    def _write(self) -> None:
        if self._path is None:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self._path.with_suffix(".new")
        temporary.write_text(json.dumps({"about": self._about, "results": self.results}, indent=1))
        os.replace(temporary, self._path)
