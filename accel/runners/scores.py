"""Scores of several games in one record."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from accel.config.schema import EnvConfig
from accel.envs.games import resolve_game
from accel.envs.scores import human_normalized_score
from accel.types import Episode


@dataclass(frozen=True)
class Scores:
    """Raw scores of whole games, summed up."""

    mean: float
    std: float  # of the games at hand: divided by their number, not by one less
    median: float
    min: float
    max: float
    mean_length: float  # agent steps
    human_normalized: float | None  # the mean, 0: random play, 1: human; None without reference

    @classmethod
    def of(cls, episodes: Sequence[Episode], env: EnvConfig) -> Scores:
        """Sum up at least one game of `env`."""
        returns = np.array([episode.episodic_return for episode in episodes])
        mean = float(returns.mean())
        is_atari = env.kind == "atari"
        return cls(
            mean=mean,
            std=float(returns.std()),
            median=float(np.median(returns)),
            min=float(returns.min()),
            max=float(returns.max()),
            mean_length=float(np.mean([episode.episodic_length for episode in episodes])),
            human_normalized=(
                human_normalized_score(resolve_game(env.game), mean) if is_atari else None
            ),
        )
