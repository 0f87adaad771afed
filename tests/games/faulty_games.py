"""Games that go wrong, and one that takes its time. Registered on import."""

from __future__ import annotations

import time
from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Discrete

STEPS_TO_FAULT = 200
# With rollouts of 8 steps, of which the one after each game of 10 is a reset.
UPDATES_BEFORE_FAULT = STEPS_TO_FAULT * 11 // 10 // 8


class Game(gymnasium.Env):
    """Ten steps of noise, a millisecond each, until the fault: none, raise, or hang."""

    observation_space = Box(-1.0, 1.0, (3,), np.float32)
    action_space = Discrete(2)

    def __init__(self, fault: str = "none") -> None:
        self._fault, self._played = fault, 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict]:
        super().reset(seed=seed)
        self._steps = 0
        return self._observation(), {}

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict]:
        time.sleep(0.001)
        self._played += 1
        self._steps += 1
        if self._played == STEPS_TO_FAULT and self._fault == "raise":
            raise ZeroDivisionError("the game divided by zero")
        if self._played == STEPS_TO_FAULT and self._fault == "hang":
            time.sleep(3600)
        return self._observation(), float(action), self._steps == 10, False, {}

    def _observation(self) -> np.ndarray:
        return self.np_random.uniform(-1, 1, 3).astype(np.float32)


for _fault in ("none", "raise", "hang"):
    gymnasium.register(f"Game-{_fault}-v0", entry_point=Game, kwargs={"fault": _fault})


class Unbounded(Game):
    """Rewards that are no finite numbers, from the fault on."""

    def __init__(self, reward: float) -> None:
        super().__init__()
        self._reward = reward

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict]:
        observation, reward, *flags = super().step(action)
        return observation, self._reward if self._played >= STEPS_TO_FAULT else reward, *flags


for _reward in ("nan", "inf"):
    gymnasium.register(
        f"Game-{_reward}-v0", entry_point=Unbounded, kwargs={"reward": float(_reward)}
    )
