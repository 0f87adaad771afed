"""What a learner and its actor process say to each other, and the memory they share."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

from accel.sampling.acting import Policy
from accel.sampling.sample_time import SampleTime
from accel.sampling.versioned import Copy, VersionedWeights
from accel.shared import Field
from accel.types import Episode


@dataclass(frozen=True)
class ActorPlan:
    """All that an actor process needs to know."""

    # Called in the actor's process, once for each policy that takes turns: it, and what loads
    # weights [P] float32 into it. That returns when the array may be overwritten.
    build_policy: Callable[[], tuple[Policy, Copy]]
    sampler: dict[str, Any]  # arguments of `build_sampler` but the policy
    fields: Sequence[Field] = ()  # of what the learner shares: `inbox_fields`
    block_fd: int = -1


class Order(NamedTuple):
    """One rollout is to be played."""

    agent_steps: int  # global ones taken before it
    buffer: int | None  # of the inbox, whose weights play it; None: the newest at its start


@dataclass(frozen=True)
class Filled:
    """A slot holds a new rollout; how that went."""

    slot: int
    policy_version: int
    episodes: list[Episode]
    time: SampleTime
    environment_seconds: float


def inbox_fields(num_weights: int) -> list[Field]:
    """What the learner shares with its actor: weights, and a count that shows the actor lives."""
    return [*VersionedWeights.fields(num_weights), Field("signs_of_life", (1,), "int64")]


def send(connection: Connection, kind: str, payload: Any = None) -> None:
    """Send a message by value: a Connection's own `send` would share the memory of tensors."""
    connection.send_bytes(pickle.dumps((kind, payload), protocol=pickle.HIGHEST_PROTOCOL))
