"""What changed between two resolved configs, e.g. of a run and of the command that resumes it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_MISSING = object()


def config_differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, str]:
    """Dotted key to `old -> new` for each value that differs; a tuple may equal a list."""
    before, after = dict(flatten(old)), dict(flatten(new))
    differences = {}
    for key in sorted(before.keys() | after.keys()):
        left, right = before.get(key, _MISSING), after.get(key, _MISSING)
        if left is _MISSING or right is _MISSING or left != right:
            differences[key] = f"{_show(left)} -> {_show(right)}"
    return differences


def flatten(config: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Dotted keys with their values."""
    pairs: list[tuple[str, Any]] = []
    for key, value in config.items():
        if isinstance(value, Mapping):
            pairs.extend(flatten(value, f"{prefix}{key}."))
        else:  # JSON has no tuples, so a manifest's config comes back with lists
            pairs.append((f"{prefix}{key}", list(value) if isinstance(value, tuple) else value))
    return pairs


def _show(value: Any) -> str:
    return "(not set)" if value is _MISSING else str(value)
