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
    "sampling/device_rollout.py:_bring_down": Allowance(
        "ppo_ahead", "at a rollout's end an actor's process brings down what was made on the GPU"
    ),
    "sampling/remote.py:_on_device": Allowance(
        "ppo_ahead", "the slot that is copied up is filled again soon"
    ),
    "runners/build_sampling.py:write_weights": Allowance(
        "ppo_ahead", "the weights' inbox is not registered"
    ),
    "runners/build_sampling.py:load_weights": Allowance(
        "ppo_ahead", "the weights' inbox is not registered"
    ),
    "replay/episode_items.py:_open": Allowance(
        "monte_carlo", "how long the episodes were sets the shapes"
    ),
    "replay/episodes.py:_follow": Allowance(
        "monte_carlo", "how long the episodes were sets the shapes"
    ),
}
