"""Numbers as people read them."""

from __future__ import annotations


def in_units(count: int) -> str:
    """Bytes as people read them: 14.9 MB."""
    size = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} TB"
