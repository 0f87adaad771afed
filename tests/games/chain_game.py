"""A chain of states with known action values. Registered on import.

Five states in a row, seen as one-hot vectors. Off the left end is worth 0.5, off the right end 1;
games start anywhere and are cut short after 12 steps, which must not change any value.
"""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Discrete

NUM_STATES = 5
REWARDS = (0.5, 1.0)  # off the left end, off the right one
DISCOUNT = 0.8
MOST_STEPS = 12


class Chain(gymnasium.Env):
    """Actions: 0 to the left, 1 to the right."""

    observation_space = Box(0.0, 1.0, (NUM_STATES,), np.float32)
    action_space = Discrete(2)

    def __init__(self, render_mode: str | None = None) -> None:
        self.render_mode = render_mode

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict]:
        super().reset(seed=seed)
        self.state, self.steps = int(self.np_random.integers(NUM_STATES)), 0
        return self._seen(), {}

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict]:
        following, self.steps = self.state + 2 * int(action) - 1, self.steps + 1
        if not 0 <= following < NUM_STATES:
            return self._seen(), REWARDS[int(action)], True, False, {}
        self.state = following
        return self._seen(), 0.0, False, self.steps == MOST_STEPS, {}

    def _seen(self) -> np.ndarray:
        return np.eye(NUM_STATES, dtype=np.float32)[self.state]


def action_values(epsilon: float = 0.0) -> np.ndarray:
    """[states, actions] of the best policy that acts at random with chance `epsilon`."""
    values = np.zeros((NUM_STATES, 2))
    for _ in range(200):
        state_values = (1 - epsilon) * values.max(1) + epsilon * values.mean(1)
        moved = DISCOUNT * state_values
        values = np.stack([[REWARDS[0], *moved[:-1]], [*moved[1:], REWARDS[1]]], axis=1)
    return values


gymnasium.register("Chain-v0", entry_point=Chain)
