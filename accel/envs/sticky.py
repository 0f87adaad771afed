"""Sticky actions: at some frames the last action is repeated (Machado et al. 2018, section 5).

ALE has them too, but leaves the action it would repeat out of its saved states, where it can be
neither read nor set: a restored game would go on otherwise. So ALE's own are switched off, and the
same random numbers are drawn here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

NOOP = 0  # ALE's number of it, whatever the action set
_BLOCK = 1024  # frames whose random numbers are drawn at a time


class StickyActions:
    """Wraps an emulator's `act`: with the given probability, a frame repeats the last action."""

    def __init__(self, act: Callable[[int], float], probability: float, seed: int) -> None:
        self._act = act
        self._probability = np.float32(probability)  # in ALE's precision
        self._generator = np.random.RandomState(seed % 2**32)  # ALE's: MT19937, seeded the same way
        self._last_action = NOOP
        self._draw()

    def act(self, action: int) -> float:
        """One frame of `action`, or of the last one; returns the reward."""
        if not self._repeats:
            self._draw()
        if not self._repeats.pop():
            self._last_action = action
        return self._act(self._last_action)

    def forget(self) -> None:
        """The last action was NOOP: a game starts."""
        self._last_action = NOOP

    def state_dict(self) -> dict[str, Any]:
        """The last action, the random generator and how many numbers of its block are unused."""
        _, key, position, _, _ = self._block_start
        return {
            "last_action": self._last_action,
            "generator": (key.tobytes(), position),
            "unused": len(self._repeats),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        key, position = state["generator"]
        self._generator.set_state(("MT19937", np.frombuffer(key, np.uint32), position))
        self._draw()
        del self._repeats[state["unused"] :]
        self._last_action = state["last_action"]

    def _draw(self) -> None:
        self._block_start = self._generator.get_state()
        numbers = self._generator.randint(0, 2**32, size=(_BLOCK, 2), dtype=np.uint32)
        repeats = numbers[:, 0] / 2.0**32 < self._probability  # the other is for a second player
        self._repeats: list[bool] = repeats[::-1].tolist()  # popped from the end
