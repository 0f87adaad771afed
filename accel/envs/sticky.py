"""The action that a sticky frame repeats: ALE keeps it outside of the states it saves.

It can be neither read nor set. But acting often enough makes it certain, whatever the random
numbers, and restoring a state afterwards leaves it as it is.
"""

from __future__ import annotations

import math
from collections import deque

from ale_py import ALEInterface, ALEState

NOOP = 0  # ALE's number of it, whatever the action set
_MOST_STICKY = 0.9  # above, making an action certain would take as long as a reset of the game
_DOUBT = 1e-12  # left where an action is called certain
_MOST_RECENT = 8  # agent steps


class StickyAction:
    """Finds, keeps and puts back the action that `ale` repeats at a sticky frame.

    `note(action)` tells of every action given to ALE for an agent step.
    """

    def __init__(self, ale: ALEInterface, repeat_action_probability: float) -> None:
        self._ale = ale
        self.can_be_set = repeat_action_probability <= _MOST_STICKY
        self._acts = 0  # that make an action certain
        if self.can_be_set and repeat_action_probability > 0:
            self._acts = math.ceil(math.log(_DOUBT) / math.log(repeat_action_probability))
        self._recent: deque[int] = deque([NOOP], maxlen=_MOST_RECENT)  # latest first
        self.note = self._recent.appendleft

    def find(self, state: ALEState) -> int:
        """The action at ALE's present `state`, random generator included; ALE is elsewhere then.

        It is one of those given last, mostly the very last: the one with which the game goes on
        from `state` as it does now.
        """
        candidates = list(dict.fromkeys(self._recent))
        if self._acts:
            future = self._look_ahead()
            for action in candidates:
                self.go_to(state, action)
                if self._look_ahead() == future:
                    return action
        return candidates[0]

    def go_to(self, state: ALEState, action: int) -> None:
        """Restore `state`, with `action` as the one that a sticky next frame repeats."""
        for _ in range(self._acts):
            self._ale.act(action)
        self._ale.restoreState(state)
        self._recent.clear()
        self.note(action)

    def _look_ahead(self) -> list[bytes]:
        """The states after each of the next frames, until the sticky action is surely forgotten."""
        states = []
        for _ in range(self._acts):
            self._ale.act(NOOP)
            states.append(self._ale.cloneState(include_rng=True).__getstate__())
        return states
