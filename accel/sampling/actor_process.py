"""An actor in a process of its own: plays rollouts ahead while the learner learns.

Started by `remote.py` as `python -m accel.sampling.actor_process FD`, where FD is its end of a
socket. It does one request after the other, in their order: collect (as often as the learner has
room for), start, save, load, close. So a checkpoint needs no rule of its own for what is under way:
"saved" comes when all that was asked for before is played.
"""

from __future__ import annotations

import sys
from multiprocessing.connection import Connection
from multiprocessing.reduction import send_handle
from time import perf_counter
from typing import Any

from accel.sampling.actor_messages import ActorPlan, Filled, send
from accel.sampling.build import build_sampler
from accel.sampling.child import run_child
from accel.sampling.sampler import Sampler
from accel.sampling.versioned import VersionedWeights
from accel.shared import SharedBlock


def run_actor(connection: Connection, plan: ActorPlan) -> None:
    """Serve until told to close, or until the learner is gone."""
    inbox = SharedBlock(plan.fields, plan.block_fd).arrays
    weights = VersionedWeights(inbox)
    policy, load_weights = plan.build_policy()
    sampler = build_sampler(
        policy=policy, shared=True, signs_of_life=inbox["signs_of_life"], **plan.sampler
    )
    try:
        send(connection, "ready", sampler.block.fields)
        send_handle(connection, sampler.block.fd, None)
        idle_s = 0.0  # waited for leave to play on
        while True:
            idle_since = perf_counter()
            request, payload = connection.recv()
            idle_s += perf_counter() - idle_since
            if request == "close":
                return
            if request == "collect":
                version = weights.read(load_weights)
                send(connection, "rollout", _collect(sampler, version, payload, idle_s))
            else:
                send(connection, *_answer(sampler, request, payload))
            if request != "save":  # after which the same wait goes on
                idle_s = 0.0
    finally:
        sampler.close()


def _collect(sampler: Sampler, version: int, agent_steps: int, idle_s: float) -> Filled:
    environment_s = sampler.environment_seconds()
    _, episodes = sampler.collect(version, agent_steps)
    sampler.time.room = idle_s
    environment_s = sampler.environment_seconds() - environment_s
    return Filled(sampler.slot, version, episodes, sampler.time, environment_s)


def _answer(sampler: Sampler, request: str, payload: Any) -> tuple[str, Any]:
    if request == "start":
        sampler.start()
        return "started", None
    if request == "load":
        sampler.load_state_dict(payload)
        return "loaded", None
    return "saved", sampler.state_dict()


if __name__ == "__main__":
    run_child(int(sys.argv[1]), run_actor)
