"""An actor in a process of its own: plays rollouts ahead while the learner learns.

Started by `remote.py` as `python -m accel.sampling.actor_process FD`, where FD is its end of a
socket. It does one request after the other, in their order: collect (as often as the learner has
room for), start, save, load, close. So a checkpoint needs no rule of its own for what is under way:
"saved" comes when all that was asked for before is played. A rollout's end runs into the next one's
beginning only where that is the next request.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from multiprocessing.reduction import send_handle
from time import perf_counter
from typing import Any

import torch

from accel.sampling.actor_messages import ActorPlan, Filled, Order, send
from accel.sampling.build import build_sampler
from accel.sampling.child import run_child
from accel.sampling.pinned import PinnedMemory
from accel.sampling.sampler import Start
from accel.sampling.versioned import VersionedWeights
from accel.shared import SharedBlock


def run_actor(connection: Connection, plan: ActorPlan) -> None:
    """Serve until told to close, or until the learner is gone."""
    with _inbox(plan) as inbox:
        actor = Actor(plan, inbox, Requests(connection))
        try:
            send(connection, "ready", actor.sampler.block.fields)
            send_handle(connection, actor.sampler.block.fd, None)
            while (answer := actor.serve_next()) is not None:
                send(connection, *answer)
        finally:
            actor.sampler.close()


class Requests:
    """What the learner asks for, in its order."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._seen: tuple[str, Any] | None = None  # the next one, looked at but not taken
        self.idle_s = 0.0  # waited for leave to play on

    def take(self) -> tuple[str, Any]:
        """The next request, waited for if need be."""
        if self._seen is None:
            idle_since = perf_counter()
            request = self._connection.recv()
            self.idle_s += perf_counter() - idle_since
            return request
        request, self._seen = self._seen, None
        return request

    def order_ahead(self) -> Order | None:
        """What the next request orders, if it has come and is to collect. It remains the next."""
        if self._seen is None and self._connection.poll():
            self._seen = self._connection.recv()
        if self._seen is None or self._seen[0] != "collect":
            return None
        return self._seen[1]


class Actor:
    """A sampler and the weights that it is to play with."""

    def __init__(self, plan: ActorPlan, inbox: SharedBlock, requests: Requests) -> None:
        self._requests = requests
        self._weights = VersionedWeights(inbox.arrays)
        policies = [plan.build_policy()]
        # For the last values of a rollout its weights are needed when the next ones have come.
        if plan.sampler.get("bootstrap_values", True):
            policies.append(plan.build_policy())
        self._load_weights = [load for _, load in policies]
        self.sampler = build_sampler(
            policy=policies[0][0],
            twin=policies[1][0] if len(policies) > 1 else None,
            shared=True,
            signs_of_life=inbox.arrays["signs_of_life"],
            **plan.sampler,
        )

    def serve_next(self) -> tuple[str, Any] | None:
        """Do what is asked for next; return the answer, None if it is to close."""
        request, payload = self._requests.take()
        if request == "close":
            return None
        if request == "save":  # after which the same wait goes on
            return "saved", self.sampler.state_dict()
        idle_s, self._requests.idle_s = self._requests.idle_s, 0.0
        if request == "collect":
            return "rollout", self._collect(payload, idle_s)
        if request == "start":
            self.sampler.start()
            return "started", None
        self.sampler.load_state_dict(payload)
        return "loaded", None

    def _collect(self, order: Order, idle_s: float) -> Filled:
        sampler = self.sampler
        start = sampler.begun or self._begin(order)
        environment_s = sampler.environment_seconds()
        _, episodes = sampler.collect(*start, following=self._following)
        sampler.time.room = idle_s
        environment_s = sampler.environment_seconds() - environment_s
        return Filled(sampler.slot, start.policy_version, episodes, sampler.time, environment_s)

    def _following(self) -> Start | None:
        """What the next rollout begins with, if it has been ordered."""
        order = self._requests.order_ahead()
        return None if order is None else self._begin(order)

    def _begin(self, order: Order) -> Start:
        """Load the weights of a rollout into who plays it."""
        version = self._weights.read(self._load_weights[self.sampler.next_policy], order.buffer)
        return Start(version, order.agent_steps)


@contextmanager
def _inbox(plan: ActorPlan) -> Iterator[SharedBlock]:
    """What the learner shares, page-locked here too if weights go on to a GPU."""
    inbox = SharedBlock(plan.fields, plan.block_fd)
    device = torch.device(plan.sampler.get("device", "cpu"))
    pinned = PinnedMemory(inbox.memory, device) if device.type == "cuda" else None
    try:
        yield inbox
    finally:
        if pinned is not None:
            pinned.close()
        inbox.close()


if __name__ == "__main__":
    run_child(int(sys.argv[1]), run_actor)
