"""Units of the last hidden layer that are off on all of a batch of screens.

No gradient reaches the weights of a rectified unit while it is off. Many are off from the start:
at initialization screens differ by a few per cent, and so half the units of the Nature network are
on for all of them and nearly half for none. Only what is added to those tells of a network that
dies.
"""

from __future__ import annotations

from typing import Any

import torch

from accel.learning.finite import read_back
from accel.models import Network, stack_frames
from accel.types import Rollout

MOST_OBSERVATIONS = 256
# Agent steps between two looks, at least: each step costs a pass to act and about three to learn,
# so looking is a quarter of a 64th of that, whatever the network.
STEPS_BETWEEN_LOOKS = 64 * MOST_OBSERVATIONS

# What `DeadUnits.state_dict` returns before the first update; and what stands for the state of a
# checkpoint without one: how many there were at the start nobody can tell any more.
AT_START = {"is_new": True, "at_start": None}
UNKNOWN = {"is_new": False, "at_start": None}


@torch.no_grad()
def share_of_dead_units(model: Network, rollout: Rollout) -> float | None:
    """The share of units that put out 0 for each of up to 256 observations, evenly spread.

    None where units are not rectified. This waits for the device.
    """
    num_steps, num_envs = rollout.actions.shape
    count = min(MOST_OBSERVATIONS, num_steps * num_envs)
    places = torch.arange(count, device=rollout.actions.device) * (num_steps * num_envs) // count
    observations = stack_frames(rollout.frames, rollout.age, places // num_envs, places % num_envs)
    outputs = model.rectified(observations)
    if not outputs:
        return None
    is_dead = torch.cat([(output == 0).all(0) for output in outputs])
    return float(read_back(is_dead.float().mean()))


class DeadUnits:
    """Their share at present, beside that before a run's first update.

    It draws no random number and changes nothing: runs are the same with and without.
    """

    def __init__(self, model: Network) -> None:
        self._model = model
        self._rollout: Rollout | None = None
        self._is_new = True
        self._at_start: float | None = None

    def before_update(self, rollout: Rollout) -> None:
        """Note what is about to be learned from; it must be valid at the next `metrics`."""
        self._rollout = rollout
        if self._is_new:
            self._at_start = share_of_dead_units(self._model, rollout)
            self._is_new = False

    def metrics(self, agent_steps: int, last_log: int) -> dict[str, float]:
        """The shares by tag, on the rollout noted last; nothing where no unit can be dead.

        At a log point after `agent_steps`, the one before it being after `last_log`: nothing either
        unless it is a run's first, or a multiple of `STEPS_BETWEEN_LOOKS` lies between the two.
        """
        is_due = (
            last_log == 0 or agent_steps // STEPS_BETWEEN_LOOKS > last_log // STEPS_BETWEEN_LOOKS
        )
        if self._rollout is None or not is_due:
            return {}
        now = share_of_dead_units(self._model, self._rollout)
        shares = {"stats/dead_units": now, "stats/dead_units_at_start": self._at_start}
        return {tag: share for tag, share in shares.items() if share is not None}

    def state_dict(self) -> dict[str, Any]:
        return {"is_new": self._is_new, "at_start": self._at_start}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._is_new, self._at_start = state["is_new"], state["at_start"]
