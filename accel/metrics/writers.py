"""Where metrics go: any number of writers that each get the same numbers at the same step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol


class Writer(Protocol):
    """Somewhere to put metrics, by tag, at a count of global agent steps."""

    def write(self, metrics: Mapping[str, float], agent_steps: int) -> None: ...

    def close(self) -> None: ...


class Writers:
    """Hands everything to each of several writers."""

    def __init__(self, writers: Sequence[Writer]) -> None:
        self._writers = list(writers)

    def write(self, metrics: Mapping[str, float], agent_steps: int) -> None:
        """Write `metrics` at `agent_steps` everywhere."""
        for writer in self._writers:
            writer.write(metrics, agent_steps)

    def close(self) -> None:
        """Close all of them, then raise the first error that one of them met."""
        errors = []
        for writer in self._writers:
            try:
                writer.close()
            except Exception as error:
                errors.append(error)
        if errors:
            raise errors[0]
