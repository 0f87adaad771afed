"""Rollouts that are finished but not yet learned from, in checkpoints."""

from __future__ import annotations

from collections import deque
from dataclasses import asdict, dataclass
from typing import Any

import torch

from accel.types import Episode, Rollout


@dataclass(frozen=True)
class Collected:
    """A rollout, the whole games that ended in it, and the version of the weights that acted."""

    rollout: Rollout
    episodes: list[Episode]
    policy_version: int

    def state_dict(self) -> dict[str, Any]:
        """Copies on the host; environments are axis 1 of [T, B, ...] and axis 0 of "state"."""
        tensors = vars(self.rollout).items()
        return {
            "rollout": {name: t.to("cpu", copy=True) for name, t in tensors if t is not None},
            "episodes": [asdict(episode) for episode in self.episodes],
        }


def collected_ahead(
    state: dict[str, Any], rollout_length: int, device: torch.device
) -> deque[Collected]:
    """What a sampler's `state` holds of them, in their order, on `device`.

    Those of another length than `rollout_length` are left out: a run that goes on with another
    setting, or a fork, could not learn from them.
    """
    ahead: deque[Collected] = deque()
    for each in state.get("ahead", []):
        tensors = each["rollout"]
        if len(tensors["actions"]) == rollout_length:
            version = int(tensors["policy_version"][0])
            rollout = Rollout(**{name: t.to(device).contiguous() for name, t in tensors.items()})
            episodes = [Episode(**episode) for episode in each["episodes"]]
            ahead.append(Collected(rollout, episodes, version))
    return ahead
