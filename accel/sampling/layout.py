"""The arrays a rollout's environment side is made of, and how environments are dealt out."""

from __future__ import annotations

import math

from accel.shared import Field
from accel.types import EnvSpec


def rollout_fields(
    spec: EnvSpec, rollout_length: int, num_envs: int, slots: int, raw_screens: bool = False
) -> list[Field]:
    """What workers and actor share: `slots` rollouts (axes [slot, T, B]) and running totals.

    With `raw_screens` workers write those, of the newest step alone, and the actor the frames: it
    has read an environment's screens before it releases the step that writes the next.
    """
    t, b, k = rollout_length, num_envs, spec.frame_stack
    screens = [Field("screens", (b, *spec.screen_shape), "uint8")] if raw_screens else []
    return [
        *screens,
        Field("frames", (slots, t + k, b, *spec.frame_shape), spec.frame_dtype),
        Field("age", (slots, t + 1, b), "int32"),
        Field("actions", (slots, t, b), "int64"),
        Field("rewards", (slots, t, b), "float32"),
        Field("terminated", (slots, t, b), "bool"),
        Field("truncated", (slots, t, b), "bool"),
        Field("life_lost", (slots, t, b), "bool"),
        Field("valid", (slots, t, b), "bool"),
        Field("episodic_return", (b,), "float64"),
        Field("episodic_length", (b,), "int64"),
    ]


def policy_fields(
    spec: EnvSpec, rollout_length: int, num_envs: int, slots: int, state_size: int
) -> list[Field]:
    """The rest of `accel.types.Rollout`, for an actor that hands rollouts to another process."""
    t, b = rollout_length, num_envs
    state = [Field("state", (slots, b, state_size), "float32")] if state_size else []
    return [
        Field("log_probs", (slots, t, b, spec.num_actions), "float32"),
        Field("values", (slots, t + 1, b), "float32"),
        Field("policy_version", (slots, t), "int64"),
        *state,
    ]


def split(count: int, parts: int) -> list[slice]:
    """Cut range(count) into `parts` equal contiguous slices.

    Raises:
        ValueError: `parts` does not divide `count`.
    """
    if count % parts:
        raise ValueError(f"{count} environments do not split into {parts} equal parts")
    size = count // parts
    return [slice(i * size, (i + 1) * size) for i in range(parts)]


def enough_workers(num_envs: int, most: int) -> int:
    """The least number of workers that leave the busiest as few environments as `most` would."""
    share = math.ceil(num_envs / min(most, num_envs))
    return math.ceil(num_envs / share)


def deal(groups: list[slice], num_workers: int) -> list[list[slice]]:
    """The columns of each worker in each group: `[worker][group]`.

    They lie together, and their numbers differ by one at most, in a group as in all of them: the
    workers that have one more take turns from group to group.

    Raises:
        ValueError: a group has fewer environments than there are workers.
    """
    dealt: list[list[slice]] = [[] for _ in range(num_workers)]
    next_to_have_more = 0
    for group in groups:
        share, num_more = divmod(group.stop - group.start, num_workers)
        if not share:
            count = group.stop - group.start
            raise ValueError(f"{count} environments do not go round {num_workers} workers")
        start = group.start
        for worker, columns in enumerate(dealt):
            stop = start + share + ((worker - next_to_have_more) % num_workers < num_more)
            columns.append(slice(start, stop))
            start = stop
        next_to_have_more += num_more
    return dealt
