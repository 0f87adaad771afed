"""Sticky actions: at some frames the last action is repeated (Machado et al. 2018, section 5).

ALE has them too, but leaves the action it would repeat out of its saved states, where it can be
neither read nor set: a restored game would go on otherwise. So ALE's own are switched off, and the
same random numbers are drawn here.
"""

from __future__ import annotations

from typing import Any

import numpy as np

NOOP = 0  # ALE's number of it, whatever the action set
_BLOCK = 1024  # frames whose random numbers are drawn at a time


class StickyActions:
    """Says which actions an emulator takes: with some probability, a frame's is the last one's.

    Within a step only the first frames can repeat an older action: once the step's own was taken,
    to repeat is to take it again. So a step needs one number, the length of the run of repeats.
    """

    def __init__(self, probability: float, seed: int) -> None:
        self._probability = np.float32(probability)  # in ALE's precision
        self._generator = np.random.RandomState(seed % 2**32)  # ALE's: MT19937, seeded the same way
        self._last_action = NOOP
        self._foresee(np.zeros(0, bool))

    def plan(self, action: int, num_frames: int) -> list[int]:
        """What to do at the next frames when `action` is wanted; `advance` says how many came."""
        if self._frame + num_frames > len(self._runs):
            self._foresee(self._repeats[self._frame :])
        run = self._runs[self._frame]
        if run == 0:
            return [action] * num_frames
        run = min(run, num_frames)
        return [self._last_action] * run + [action] * (num_frames - run)

    def advance(self, plan: list[int], num_frames: int) -> None:
        """The first `num_frames` (at least 1) of the plan have been played."""
        self._frame += num_frames
        self._last_action = plan[num_frames - 1]

    def forget(self) -> None:
        """The last action was NOOP: a game starts."""
        self._last_action = NOOP

    def state_dict(self) -> dict[str, Any]:
        """The last action, what was foreseen for the next frames, and the random generator."""
        _, key, position, _, _ = self._generator.get_state()
        return {
            "last_action": self._last_action,
            "foreseen": self._repeats[self._frame :].tobytes(),
            "generator": (key.tobytes(), position),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        key, position = state["generator"]
        self._generator.set_state(("MT19937", np.frombuffer(key, np.uint32), position))
        self._last_action = state["last_action"]
        self._use(np.frombuffer(state["foreseen"], bool))

    def _foresee(self, unused: np.ndarray) -> None:
        """Draw for another block of frames, after those that are left."""
        numbers = self._generator.randint(0, 2**32, size=(_BLOCK, 2), dtype=np.uint32)
        repeats = numbers[:, 0] / 2.0**32 < self._probability  # the other is for a second player
        self._use(np.concatenate([unused, repeats]))

    def _use(self, repeats: np.ndarray) -> None:
        """Count from each frame on how many repeats come in a row."""
        self._repeats, self._frame = repeats, 0
        frames = np.arange(len(repeats))
        next_own = np.where(repeats, len(repeats), frames)[::-1]
        self._runs = (np.minimum.accumulate(next_own)[::-1] - frames).tolist()
