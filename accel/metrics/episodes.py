"""How the last games went."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Any

from accel.types import Episode


class EpisodeWindow:
    """Returns and lengths of the last `size` finished games, 100 as is the custom in the field."""

    def __init__(self, size: int = 100) -> None:
        self._returns: deque[float] = deque(maxlen=size)
        self._lengths: deque[int] = deque(maxlen=size)
        self.total = 0  # games finished since the run began

    def extend(self, episodes: Iterable[Episode]) -> None:
        """Add finished games, oldest first."""
        for episode in episodes:
            self._returns.append(float(episode.episodic_return))
            self._lengths.append(int(episode.episodic_length))
            self.total += 1

    @property
    def num_games(self) -> int:
        """Games in the window."""
        return len(self._returns)

    @property
    def is_full(self) -> bool:
        """Whether as many games as it holds have ended."""
        return len(self._returns) == self._returns.maxlen

    @property
    def mean_return(self) -> float | None:
        """Mean raw score over the window; None before the first game has ended."""
        return sum(self._returns) / len(self._returns) if self._returns else None

    @property
    def mean_length(self) -> float | None:
        """Mean length in agent steps over the window; None before the first game has ended."""
        return sum(self._lengths) / len(self._lengths) if self._lengths else None

    def metrics(self) -> dict[str, float]:
        """Tagged means and the count of games so far; only the count before the first has ended."""
        metrics = {"charts/episodes": float(self.total)}
        if self._returns:
            metrics["charts/episodic_return"] = sum(self._returns) / len(self._returns)
            metrics["charts/episodic_length"] = sum(self._lengths) / len(self._lengths)
        return metrics

    def state_dict(self) -> dict[str, Any]:
        """Plain lists and numbers."""
        return {
            "returns": list(self._returns),
            "lengths": list(self._lengths),
            "total": self.total,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a saved window; where that was larger than this one, from its newest games."""
        self._returns.clear()
        self._returns.extend(state["returns"])
        self._lengths.clear()
        self._lengths.extend(state["lengths"])
        self.total = state["total"]
