"""A replay's state, cut and joined by environment: checkpoints are the same for any ranks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor


def join_states(parts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The state of one replay of all environments, from those of the ranks that share them."""
    rings = [part["ring"] for part in parts]
    joined = {
        name: torch.cat([ring[name] for ring in rings], dim=1) if _is_field(value) else value
        for name, value in rings[0].items()
    }
    return {**parts[0], "ring": joined}


def part_of_state(state: dict[str, Any], columns: slice) -> dict[str, Any]:
    """The state of the rank that has only the environments `columns`; what it draws is all's."""
    ring = {
        name: value[:, columns] if _is_field(value) else value
        for name, value in state["ring"].items()
    }
    return {**state, "ring": ring}


def _is_field(value: object) -> bool:
    return isinstance(value, Tensor)
