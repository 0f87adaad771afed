"""A sampler's state, cut and joined by environment: checkpoints are the same for any layout."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

_ENV_AXIS = {"frames": 1, "age": 0, "state": 0}  # "state" is a recurrent policy's


def join_states(parts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The state of one sampler of all environments, from those of samplers that share them."""
    return {
        "environments": [state for part in parts for state in part["environments"]],
        "noise": [state for part in parts for state in part["noise"]],
        "last": {
            name: torch.cat([part["last"][name] for part in parts], dim=_ENV_AXIS[name])
            for name in parts[0]["last"]
        },
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
    }
