"""Recall: a sign is shown once and asked for some steps later. Registered on import.

The smallest game that needs a memory: what is seen when it counts is always the same.
"""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Discrete

DELAY = 4  # steps from the sign to the question


class Recall(gymnasium.Env):
    """Two signs, two answers: reward 1 if the last action is the sign's, else -1."""

    observation_space = Box(-1, 1, (2,), np.float32)
    action_space = Discrete(2)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict]:
        super().reset(seed=seed)
        self.time, self.sign = 0, int(self.np_random.integers(2))
        return self._observation(), {}

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict]:
        is_over = self.time == DELAY
        reward = (1.0 if action == self.sign else -1.0) if is_over else 0.0
        self.time += 1
        return self._observation(), reward, is_over, False, {}

    def _observation(self) -> np.ndarray:
        sign = 2 * self.sign - 1 if self.time == 0 else 0
        return np.array([sign, self.time == DELAY], np.float32)


gymnasium.register("Recall-v0", entry_point=Recall)
