"""Waits of today's code in the steady loop: remove an entry once its place waits no more.

A place is file:function, as the dry run's message names it. If it does not wait any more in the
training that is named beside it, the test fails, so that no entry outlives its reason.
"""

from __future__ import annotations

from typing import NamedTuple


class Allowance(NamedTuple):
    """Where it is seen, and why it may be."""

    training: str
    reason: str


ALLOWED = {
    "replay/episode_items.py:_open": Allowance(
        "monte_carlo", "how long the episodes were sets the shapes"
    ),
    "replay/episodes.py:_follow": Allowance(
        "monte_carlo", "how long the episodes were sets the shapes"
    ),
}
