"""Action noise: one independent stream of uniform numbers per environment."""

from __future__ import annotations

from typing import Any

import numpy as np


class ActionNoise:
    """Uniform numbers that decide the actions, by global environment index.

    Environment i draws from its own generator, seeded by the run's seed and i, so its actions do
    not depend on how environments are split over workers, groups or ranks.
    """

    def __init__(self, seed: int, first_index: int, num_envs: int) -> None:
        self._generators = [
            np.random.default_rng((seed, first_index + i, 2)) for i in range(num_envs)
        ]

    def draw(self, rollout_length: int) -> np.ndarray:
        """Noise of the next rollout: [T, B] float32 in [0, 1)."""
        columns = [g.random(rollout_length, dtype=np.float32) for g in self._generators]
        return np.stack(columns, axis=1)

    def state_dict(self) -> list[dict[str, Any]]:
        return [generator.bit_generator.state for generator in self._generators]

    def load_state_dict(self, states: list[dict[str, Any]]) -> None:
        for generator, state in zip(self._generators, states):
            generator.bit_generator.state = state
