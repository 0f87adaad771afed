"""The time of day for records, which never goes back."""

from __future__ import annotations

import time


class WallClock:
    """Seconds since 1970 as of its making, then counted on by the clock that nobody can set."""

    def __init__(self, not_before: float = 0.0) -> None:
        """Start now, or at `not_before` where the machine's clock has been set back before it."""
        self._offset = max(time.time(), not_before) - time.perf_counter()

    def now(self) -> float:
        """Seconds since 1970."""
        return self._offset + time.perf_counter()
