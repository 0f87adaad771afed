"""Where metrics go: any number of writers that each get the same numbers at the same step."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol


class Writer(Protocol):
    """Somewhere to put metrics, by tag, at a count of global agent steps."""

    def write(self, metrics: Mapping[str, float], agent_steps: int) -> None: ...

    def close(self) -> None: ...


class Writers:
    """Hands everything to each of several writers; a point the disk refuses is lost, with a word.

    Training is worth more than a point of its curve. `warn` hears of the first one lost.
    """

    def __init__(
        self, writers: Sequence[Writer], warn: Callable[[str], None] = warnings.warn
    ) -> None:
        self._writers = list(writers)
        self._warn = warn
        self._failing: set[int] = set()  # places in the list

    def write(self, metrics: Mapping[str, float], agent_steps: int) -> None:
        """Write `metrics` at `agent_steps` everywhere."""
        for place, writer in enumerate(self._writers):
            try:
                writer.write(metrics, agent_steps)
            except OSError as error:
                self._note_loss(place, error, agent_steps)
            else:
                self._failing.discard(place)

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

    def _note_loss(self, place: int, error: OSError, agent_steps: int) -> None:
        if place not in self._failing:
            name = type(self._writers[place]).__name__
            self._warn(
                f"{name} cannot write: {error.strerror or error}; points of the curves are lost "
                f"from {agent_steps:,} agent steps on, until it can"
            )
        self._failing.add(place)
