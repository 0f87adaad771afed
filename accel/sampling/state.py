"""A sampler's state, cut and joined by environment: checkpoints are the same for any layout."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch


def join_states(parts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The state of one sampler of all environments, from those of samplers that share them."""
    return {
        "environments": [state for part in parts for state in part["environments"]],
        "noise": [state for part in parts for state in part["noise"]],
        "last": {
            "frames": torch.cat([part["last"]["frames"] for part in parts], dim=1),
            "age": torch.cat([part["last"]["age"] for part in parts]),
        },
    }


def part_of_state(state: dict[str, Any], columns: slice) -> dict[str, Any]:
    """The state of a sampler that has only the environments `columns`."""
    last = state["last"]
    return {
        "environments": state["environments"][columns],
        "noise": state["noise"][columns],
        "last": {"frames": last["frames"][:, columns], "age": last["age"][columns]},
    }
