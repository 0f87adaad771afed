"""The learner's side of an actor process: rollouts are collected ahead, while it learns.

With a lag of one the actor plays one rollout ahead, with the weights from before the update that
runs meanwhile: which weights play which rollout is fixed, so runs repeat exactly. Running freely it
plays as far ahead as there are slots, each rollout with the newest weights that it finds. Either
way every rollout is learned from once, in order, so schedules and replay ratios hold by themselves.
"""

from __future__ import annotations

import os
import socket
import struct
import subprocess
import sys
from collections import deque
from contextlib import suppress
from dataclasses import replace
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from multiprocessing.reduction import recv_handle
from time import monotonic, perf_counter
from typing import Any

import torch

from accel.sampling.actor_messages import ActorPlan, Filled, Order, inbox_fields, send
from accel.sampling.child import how_it_ended
from accel.sampling.collected import Collected, collected_ahead
from accel.sampling.pinned import PinnedMemory
from accel.sampling.sample_time import SampleTime
from accel.sampling.versioned import Copy, VersionedWeights
from accel.sampling.workers import WorkerError
from accel.shared import SharedBlock
from accel.types import Episode, Rollout

_START_TIMEOUT_S = 240.0  # imports torch, starts its workers, which may compile, starts all games
_STOP_TIMEOUT_S = 2.0
_LOOK_S = 0.2  # between looks whether the actor lives
_GRACE_S = 5.0  # an actor whose worker hangs has time to say so


class RemoteSampler:
    """The interface of `Sampler` to one in a process of its own."""

    def __init__(
        self,
        plan: ActorPlan,
        write_weights: Copy,
        num_weights: int,
        *,
        is_free: bool,
        agent_steps_per_rollout: int,
        device: torch.device | str = "cpu",
    ) -> None:
        """Start the actor of `plan` and wait until it has built its environments.

        Args:
            write_weights: writes the learner's present weights into an array [P] float32, which
                is page-locked where there is a GPU; they are there when it returns.
            num_weights: P.
            is_free: the actor runs freely, instead of exactly one rollout ahead.
            agent_steps_per_rollout: global ones.
            device: where `collect` puts rollouts. On a CPU they stay in the shared memory.

        Raises:
            WorkerError: the actor or one of its workers failed to start.
        """
        self._write_weights = write_weights
        self._is_free = is_free
        self._agent_steps_per_rollout = agent_steps_per_rollout
        self._device = torch.device(device)
        self._num_slots = plan.sampler["slots"]
        self._rollout_length = plan.sampler["rollout_length"]
        self._silence_s = plan.sampler["timeout_s"] + _GRACE_S
        self._inbox = SharedBlock(inbox_fields(num_weights))
        self._pinned: list[PinnedMemory] = []
        self._weights = VersionedWeights(self._inbox.arrays)
        self._left_over: deque[Collected] = deque()  # of a checkpoint
        self._filled: deque[Filled] = deque()
        self._num_asked = 0  # rollouts that the actor has not yet told of
        self._environment_s = 0.0
        self._block: SharedBlock | None = None  # the actor's, with the rollouts
        self._uploaded: Rollout | None = None
        self._copied: torch.cuda.Event | None = None  # after the last rollout's copies to there
        self.time = SampleTime()
        self.policy_lag = 0
        self._start_process(replace(plan, fields=self._inbox.fields, block_fd=self._inbox.fd))
        try:
            self._pin(self._inbox)
            fields = self._receive("ready", _START_TIMEOUT_S)
            self._block = SharedBlock(fields, recv_handle(self._connection))
            self._pin(self._block)
        except BaseException:
            self.close()
            raise
        arrays = self._block.arrays
        names = [name for name in Rollout.__dataclass_fields__ if name in arrays]
        self._slots = [
            Rollout(**{name: torch.from_numpy(arrays[name][slot]) for name in names})
            for slot in range(self._num_slots)
        ]

    def start(self) -> None:
        """Start all games."""
        self._ask("start")
        self._receive("started", _START_TIMEOUT_S)

    def collect(self, policy_version: int, agent_steps: int = 0) -> tuple[Rollout, list[Episode]]:
        """Return the next rollout, valid until the next `collect`, and have more played meanwhile.

        `policy_version` is that of the learner's weights, `agent_steps` those before the rollout.

        Raises:
            WorkerError: the actor or one of its workers failed, died or hung.
        """
        self._give_back()
        # First of all: the actor, at the end of the rollout to be returned, goes right on.
        self._play_ahead(policy_version, agent_steps)
        collected = self._take()
        self.policy_lag = policy_version - collected.policy_version
        return self._on_device(collected.rollout), collected.episodes

    def state_dict(self) -> dict[str, Any]:
        """What `Sampler.state_dict` returns, after all that was asked for has been played.

        The rollouts that are finished but were not yet returned by `collect` are in it.
        """
        self._ask("save")
        state = self._receive("saved", _START_TIMEOUT_S)
        ahead = [*self._left_over, *map(self._collected, self._filled)]
        return {**state, "ahead": [collected.state_dict() for collected in ahead]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on exactly where `state_dict` was taken; takes the place of `start`."""
        self._ask("load", {**state, "ahead": []})
        self._receive("loaded", _START_TIMEOUT_S)
        self._left_over = collected_ahead(state, self._rollout_length, torch.device("cpu"))

    def environment_seconds(self) -> float:
        """Time the environments took for the rollouts returned so far, averaged over workers."""
        return self._environment_s

    def close(self) -> None:
        """End the actor: asked first, killed after two seconds. May be called twice."""
        with suppress(OSError):  # it may be gone already
            send(self._connection, "close")
        try:
            self._process.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()  # its workers end when they notice
            self._process.wait()
        self._connection.close()
        with suppress(RuntimeError):  # of a device that has failed, as was told before
            self._give_back()
        for pinned in self._pinned:
            pinned.close()
        self._inbox.close()
        if self._block is not None:
            self._block.close()

    @property
    def _num_ahead(self) -> int:
        """Rollouts that are finished or asked for, and not yet returned."""
        return len(self._left_over) + len(self._filled) + self._num_asked

    def _play_ahead(self, policy_version: int, agent_steps: int) -> None:
        """Have rollouts played until every slot has one, the next to be returned among them.

        With a lag of one the weights of now play the rollout after that one: each order says where
        they lie, as the actor may not have begun with those before. There are buffers for both.
        """
        buffer = self._weights.write(policy_version, self._write_weights)
        for number in range(self._num_ahead, self._num_slots):
            clock = agent_steps + number * self._agent_steps_per_rollout
            self._ask("collect", Order(clock, None if self._is_free else buffer))
            self._num_asked += 1

    def _take(self) -> Collected:
        """The oldest rollout, waited for if need be."""
        if self._left_over:
            self.time = SampleTime()
            return self._left_over.popleft()
        start = perf_counter()
        if not self._filled:
            self._receive("rollout", self._silence_s)
        filled = self._filled.popleft()
        self.time = replace(filled.time, learner=perf_counter() - start)
        self._environment_s += filled.environment_seconds
        return self._collected(filled)

    def _collected(self, filled: Filled) -> Collected:
        return Collected(self._slots[filled.slot], filled.episodes, filled.policy_version)

    def _on_device(self, rollout: Rollout) -> Rollout:
        """The rollout where the learner wants it: on a GPU always at the same place."""
        if self._device.type == "cpu":
            return rollout
        tensors = {name: t for name, t in vars(rollout).items() if t is not None}
        if self._uploaded is None:
            copies = {name: torch.empty_like(t, device=self._device) for name, t in tensors.items()}
            self._uploaded = Rollout(**copies)
        for name, tensor in tensors.items():
            getattr(self._uploaded, name).copy_(tensor, non_blocking=True)
        self._copied = torch.cuda.current_stream(self._device).record_event()
        return self._uploaded

    def _give_back(self) -> None:
        """Leave the slot of the rollout returned last to the actor: it has been copied by then."""
        if self._copied is not None:
            self._copied.synchronize()

    def _pin(self, block: SharedBlock) -> None:
        if self._device.type == "cuda":
            self._pinned.append(PinnedMemory(block.memory, self._device))

    def _ask(self, request: str, payload: Any = None) -> None:
        try:
            send(self._connection, request, payload)
        except OSError:  # it has hung up, perhaps after saying why, or takes nothing in
            self._receive(request, _STOP_TIMEOUT_S)
            raise

    def _receive(self, expected: str, silence_s: float) -> Any:
        """Return the payload of the `expected` message; the actor may take its time if it lives."""
        while True:
            self._wait_for_message(expected, silence_s)
            try:
                kind, payload = self._connection.recv()
            except (EOFError, OSError):
                how = how_it_ended(self._process)
                raise WorkerError(f"the actor process {how}") from None
            if kind == "failed":
                raise WorkerError(f"the actor process failed:\n{payload}")
            if kind == "rollout":
                self._filled.append(payload)
                self._num_asked -= 1
            if kind == expected:
                return payload

    def _wait_for_message(self, expected: str, silence_s: float) -> None:
        """Return when there is one. Raises WorkerError after so long without a sign of life.

        A learner that was itself stopped for a while blames nobody: a look counts a second at most.
        """
        seen, silence = self._signs_of_life(), 0.0
        looked_at = monotonic()
        while not self._connection.poll(_LOOK_S):
            before, seen = seen, self._signs_of_life()
            now = monotonic()
            silence = 0.0 if seen != before else silence + min(now - looked_at, 1.0)
            looked_at = now
            if silence >= silence_s:
                raise WorkerError(
                    f"no sign of life from the actor process for {silence_s:g} s ({expected}); "
                    "if an environment is that slow, raise sampler.timeout_s"
                )

    def _signs_of_life(self) -> int:
        return int(self._inbox.arrays["signs_of_life"][0])

    def _start_process(self, plan: ActorPlan) -> None:
        self._connection, theirs = Pipe()
        _bound_waits(self._connection, _START_TIMEOUT_S)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "accel.sampling.actor_process", str(theirs.fileno())],
            pass_fds=(theirs.fileno(), plan.block_fd),
            stdin=subprocess.DEVNULL,
            start_new_session=True,  # a terminal's Ctrl-C reaches the main process alone
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        theirs.close()
        self._connection.send(plan)


def _bound_waits(connection: Connection, timeout_s: float) -> None:
    """Have messages fail with an OSError that the other side leaves half taken or half sent."""
    limit = struct.pack("ll", int(timeout_s), int(timeout_s % 1 * 1e6))  # struct timeval
    with socket.socket(fileno=os.dup(connection.fileno())) as same:
        for way in (socket.SO_SNDTIMEO, socket.SO_RCVTIMEO):
            same.setsockopt(socket.SOL_SOCKET, way, limit)
