"""A sampler's state, cut and joined by environment: checkpoints are the same for any layout."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

_ENV_AXIS = {"frames": 1, "age": 0, "state": 0}  # "state" is a recurrent policy's
_VERSION = "policy_version"  # the one tensor of a rollout without an axis of environments


def join_states(parts: Sequence[dict[str, Any]], in_step: bool = True) -> dict[str, Any]:
    """The state of one sampler of all environments, from those of samplers that share them.

    Those of asynchronous learners are not `in_step`: of rollouts played ahead, what only some have
    is left out. Raises ValueError where samplers in step have different numbers of them.
    """
    return {
        "environments": [state for part in parts for state in part["environments"]],
        "noise": [state for part in parts for state in part["noise"]],
        "last": {
            name: torch.cat([part["last"][name] for part in parts], dim=_ENV_AXIS[name])
            for name in parts[0]["last"]
        },
        "ahead": [
            _join_collected(same)
            for same in zip(*(part["ahead"] for part in parts), strict=in_step)
        ],
    }


def part_of_state(state: dict[str, Any], columns: slice) -> dict[str, Any]:
    """The state of a sampler that has only the environments `columns`."""
    count = columns.stop - columns.start
    return {
        "environments": state["environments"][columns],
        "noise": state["noise"][columns],
        "last": {
            name: tensor.narrow(_ENV_AXIS[name], columns.start, count)
            for name, tensor in state["last"].items()
        },
        "ahead": [_part_of_collected(each, columns) for each in state.get("ahead", [])],
    }


def _join_collected(parts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """A rollout of all environments; actors that run freely may have had different weights."""
    rollouts = [part["rollout"] for part in parts]
    joined = {
        name: torch.cat([rollout[name] for rollout in rollouts], dim=_axis(name))
        for name in rollouts[0]
        if name != _VERSION
    }
    joined[_VERSION] = torch.stack([rollout[_VERSION] for rollout in rollouts]).amin(0)
    return {
        "rollout": joined,
        "episodes": [episode for part in parts for episode in part["episodes"]],
    }


def _part_of_collected(state: dict[str, Any], columns: slice) -> dict[str, Any]:
    count = columns.stop - columns.start
    return {
        "rollout": {
            name: t if name == _VERSION else t.narrow(_axis(name), columns.start, count)
            for name, t in state["rollout"].items()
        },
        "episodes": [
            episode
            for episode in state["episodes"]
            if columns.start <= episode["env_index"] < columns.stop
        ],
    }


def _axis(name: str) -> int:
    """The axis of environments of a rollout's tensor."""
    return 0 if name == "state" else 1
