"""Catch: a ball falls through a tiny image and a paddle has to be under it. Registered on import.

The smallest game that an image network has to look at: minutes of Atari become seconds.
"""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Discrete

SIZE = 36  # pixels: the least that nature_cnn takes
CELL = 4  # pixels
CELLS = SIZE // CELL


class Catch(gymnasium.Env):
    """One ball a game, reward 1 if caught and -1 if not; random play scores about -0.75."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}  # noqa: RUF012
    observation_space = Box(0, 255, (SIZE, SIZE), np.uint8)
    action_space = Discrete(3)  # left, stay, right

    def __init__(self, render_mode: str | None = None) -> None:
        self.render_mode = render_mode

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict]:
        super().reset(seed=seed)
        self.row, self.ball = 0, int(self.np_random.integers(CELLS))
        self.paddle = CELLS // 2
        return self._picture(), {}

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict]:
        self.paddle = min(max(self.paddle + int(action) - 1, 0), CELLS - 1)
        self.row += 1
        is_over = self.row == CELLS - 1
        reward = (1.0 if self.ball == self.paddle else -1.0) if is_over else 0.0
        return self._picture(), reward, is_over, False, {}

    def render(self) -> np.ndarray:
        return self._picture()[:, :, None].repeat(3, axis=2)

    def _picture(self) -> np.ndarray:
        cells = np.zeros((CELLS, CELLS), np.uint8)
        cells[self.row, self.ball] = 255
        cells[-1, self.paddle] = 255
        return cells.repeat(CELL, axis=0).repeat(CELL, axis=1)


class Unfilmed(Catch):
    """Catch without pictures."""

    metadata = {"render_modes": []}  # noqa: RUF012


gymnasium.register("Catch-v0", entry_point=Catch)
gymnasium.register("Unfilmed-v0", entry_point=Unfilmed)
