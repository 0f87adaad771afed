"""What asks a run or a sweep to stop, and what only looks like asking twice."""

from __future__ import annotations

import signal
from time import monotonic

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)
# Seen of SLURM's scancel: SIGTERM twice within 20 ms. Whoever means it twice reads a line between.
ECHO_S = 0.5


class Echoes:
    """Tells a signal from its echo: the same again within `ECHO_S` is one request, not two."""

    def __init__(self) -> None:
        self._heard_at: dict[int, float] = {}

    def is_echo(self, number: int) -> bool:
        """Note a signal that has just arrived."""
        now = monotonic()
        if now - self._heard_at.get(number, -ECHO_S) < ECHO_S:
            return True
        self._heard_at[number] = now
        return False
