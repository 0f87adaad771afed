"""The actor: serves actions to the environments, group by group, and fills a rollout."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from accel.models.graphs import Graphed, Graphs
from accel.sampling.acting import Acting, Policy
from accel.sampling.collected import Collected, collected_ahead
from accel.sampling.device_rollout import DeviceRollout
from accel.sampling.frame_maker import FrameMaker
from accel.sampling.noise import ActionNoise
from accel.sampling.pinned import PinnedMemory
from accel.sampling.sample_time import SampleTime
from accel.sampling.stepping import RESET, Stepper
from accel.shared import SharedBlock
from accel.types import Episode, Rollout, Span


class Start(NamedTuple):
    """What a rollout begins with."""

    policy_version: int
    agent_steps: int  # global ones taken before: the clock of the policy's exploration


@dataclass(frozen=True)
class _Turn:
    """The place of one rollout, and who plays it."""

    slot: int
    rollout: DeviceRollout
    acting: Acting


class Sampler:
    """Collects rollouts of T steps from B environments with a policy.

    While one group of environments is stepping, the policy serves another. Slots are filled in
    turn; with one slot a rollout is valid until the next `collect`.

    Where it is known in time how the next rollout begins, its first step is served before the last
    values of this one are asked for, so that no environment waits for a rollout's end.
    """

    def __init__(
        self,
        stepper: Stepper,
        arrays: dict[str, np.ndarray],
        groups: list[slice],
        policy: Policy,
        *,
        num_actions: int,
        seed: int,
        first_index: int = 0,
        bootstrap_values: bool = True,
        device: torch.device | str = "cpu",
        frame_maker: FrameMaker | None = None,
        pinned: PinnedMemory | None = None,
        graphs: Graphs | None = None,
        record_spans: bool = False,
        block: SharedBlock | None = None,
        signs_of_life: np.ndarray | None = None,
        twin: Policy | None = None,
    ) -> None:
        """Use `stepper` over `arrays` (see `layout.py`); call `start` before `collect`.

        Without `bootstrap_values` the last row of `Rollout.values` means nothing. `twin`, with
        weights of its own, plays every other rollout in place of `policy`. `frame_maker`, on
        `device`, is needed where the environments hand out raw screens. `pinned` is what keeps the
        arrays' memory locked, closed with this sampler. `graphs` records how frames are made and
        how the policy acts; it must then read nothing but its arguments and memory that stays.
        With `record_spans` both this and the stepper, made alike, keep when they did what. `block`
        is the shared memory that the arrays lie in, if they do. `signs_of_life` [1] counts the
        steps served, for whoever watches this process.
        """
        self._signs_of_life = np.zeros(1, np.int64) if signs_of_life is None else signs_of_life
        self._record_spans = record_spans
        self.block = block
        self._stepper = stepper
        self._pinned = pinned
        self._groups = groups
        self._device = torch.device(device)
        make_frames = None if frame_maker is None else Graphed(frame_maker, graphs)
        self._slots = [
            DeviceRollout(arrays, slot, num_actions, self._device, policy.state_size, make_frames)
            for slot in range(arrays["frames"].shape[0])
        ]
        self._totals = arrays["episodic_return"], arrays["episodic_length"]
        self._ended = arrays["terminated"], arrays["truncated"]
        self._length, num_envs = arrays["actions"].shape[1:]
        self._noise = ActionNoise(seed, first_index, num_envs, self._length, self._device)
        self._drawn: Tensor | None = None  # noise [T, B] of the rollout begun last
        self._first_index = first_index
        self._bootstrap_values = bootstrap_values
        # What a recurrent policy remembers of each environment after its last step, [B, S].
        self._state = (
            torch.zeros(num_envs, policy.state_size, device=self._device)
            if policy.state_size
            else None
        )
        policies = [policy] if twin is None else [policy, twin]
        self._actings = [
            Acting(each, groups, self._state, self._device, graphs) for each in policies
        ]
        # The last values are asked of the weights that played, which a twin leaves as they are.
        can_begin = len(policies) > 1 or not bootstrap_values
        self._begins_early = can_begin and len(self._slots) > 1
        self._number = -1  # of the rollout collected last; decides its slot and who plays it
        self._begun: Start | None = None  # the rollout after it, of which step 0 is under way
        self._seen: dict[str, float] = {}  # start of the newest span returned, by track
        self._left_over: deque[Collected] = deque()
        self.time = SampleTime()
        self.policy_lag = 0

    @property
    def slot(self) -> int:
        """The slot that the last `collect` filled."""
        return self._turn_of(self._number).slot

    @property
    def next_policy(self) -> int:
        """Who begins the next rollout: 0 `policy`, 1 its twin."""
        return (self._number + 1) % len(self._actings)

    @property
    def begun(self) -> Start | None:
        """What the last `collect` has begun the next rollout with; None: it has not."""
        return self._begun

    def start(self) -> None:
        """Start all games; their first frames become the end of a rollout not collected."""
        first = self._slots[0]
        for group in range(len(self._groups)):
            self._stepper.release(group, 0, RESET)
        for group in range(len(self._groups)):
            self._stepper.wait(group)
        self._slots[self.slot].adopt_first_frames(first)

    def collect(
        self,
        policy_version: int,
        agent_steps: int = 0,
        following: Callable[[], Start | None] | None = None,
    ) -> tuple[Rollout, list[Episode]]:
        """Play T steps and return them, with the whole games that ended on the way.

        `agent_steps`, global ones taken before, is the clock of the policy's exploration. After a
        checkpoint of an actor process, what that had collected ahead comes first.

        `following` is asked, once the last step of this rollout is under way, what the next one
        begins with; if it says so the next one is `begun`, and `collect` has to go on with that.
        The policy that is next must by then have its weights.
        """
        self.time = SampleTime(spans=[] if self._record_spans else None)
        if self._left_over:
            ahead = self._left_over.popleft()
            self.policy_lag = policy_version - ahead.policy_version
            return ahead.rollout, ahead.episodes
        self.policy_lag = 0
        start, turn = Start(policy_version, agent_steps), self._turn_of(self._number + 1)
        if self._begun is None:
            self._begin(turn, start)
            for group in range(len(self._groups)):
                self._first_step(turn, group)
        assert self._begun == start, "another rollout has been begun"
        self._begun = None
        self._number += 1
        episodes: list[Episode] = []
        for t in range(1, self._length):
            for group in range(len(self._groups)):
                self._wait(turn, group, t - 1, episodes)
                self._step(turn, group, t)
        self._end(turn, episodes, following)
        rollout = turn.rollout.finish()
        if self.time.spans is not None:
            self.time.spans += self._new_spans()
        return rollout, episodes

    def state_dict(self) -> dict[str, Any]:
        """Everything the next `collect` depends on but the policy.

        Only between rollouts: not while the next one is `begun`.
        """
        assert self._begun is None, "the environments are in the middle of a step"
        last = self._slots[self.slot].state_dict()
        if self._state is not None:
            last["state"] = self._state.to("cpu", copy=True)
        return {
            "environments": self._stepper.state_dict(),
            "noise": self._noise.state_dict(),
            "last": last,
            "ahead": [collected.state_dict() for collected in self._left_over],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on exactly where `state_dict` was taken; takes the place of `start`."""
        self._stepper.load_state_dict(state["environments"])
        self._noise.load_state_dict(state["noise"])
        self._slots[self.slot].load_state_dict(state["last"])
        if self._state is not None:
            self._state.copy_(state["last"]["state"])
        self._left_over = collected_ahead(state, self._length, self._device)

    def environment_seconds(self) -> float:
        """Time the environments have taken so far, averaged over the workers."""
        return self._stepper.busy_seconds()

    def close(self) -> None:
        if self._pinned is not None:
            with suppress(RuntimeError):  # of a device that has failed, as was told before
                for slot in self._slots:
                    slot.wait_for_copies()
            self._pinned.close()
        self._stepper.close()
        if self.block is not None:
            self.block.close()

    def _turn_of(self, number: int) -> _Turn:
        """Where rollout `number` of this sampler is played, and by whom."""
        slot = number % len(self._slots)
        return _Turn(slot, self._slots[slot], self._actings[number % len(self._actings)])

    def _begin(self, turn: _Turn, start: Start) -> None:
        """Prepare a rollout for its first steps."""
        turn.acting.policy.begin(start.agent_steps)
        turn.rollout.tensors.policy_version.fill_(start.policy_version)
        self._drawn = self._noise.draw()
        self._begun = start

    def _first_step(self, turn: _Turn, group: int) -> None:
        """Serve step 0 of a rollout, from where the one before it has ended."""
        columns, rollout = self._groups[group], turn.rollout
        rollout.continue_from(self._turn_of(self._number).rollout, columns)
        if self._state is not None:
            rollout.tensors.state[columns] = self._state[columns]
        self._step(turn, group, 0)

    def _step(self, turn: _Turn, group: int, t: int) -> None:
        """Choose the actions of step t for one group and have them played."""
        start = time.perf_counter()
        if t > 0:  # row 0 came along with the end of the rollout before
            turn.rollout.upload_row(t, self._groups[group])
        turn.acting.serve(turn.rollout, group, t, self._drawn)
        self._signs_of_life += 1
        self.time.note("inference", group, start)
        self._stepper.release(group, turn.slot, t)

    def _end(
        self, turn: _Turn, episodes: list[Episode], following: Callable[[], Start | None] | None
    ) -> None:
        """Wait for the last step of each group; its next one comes before its last values."""
        after = self._turn_of(self._number + 1)
        rollout, acting, length = turn.rollout, turn.acting, self._length
        for group, columns in enumerate(self._groups):
            self._wait(turn, group, length - 1, episodes)
            rollout.upload_row(length, columns)
            state = acting.remembered(rollout, group, length)
            if group == 0 and self._begins_early and following is not None:
                start = following()
                if start is not None:
                    self._begin(after, start)
            if self._begun is not None:
                self._first_step(after, group)
            began = time.perf_counter()
            if self._bootstrap_values:
                acting.value(rollout, group, length, state)
            rollout.hand_on_frames(length, columns)
            self.time.note("inference", group, began)

    def _wait(self, turn: _Turn, group: int, t: int, episodes: list[Episode]) -> None:
        """Wait until `group` has finished step t, and note the games that it ended."""
        start = time.perf_counter()
        self._stepper.wait(group)
        self.time.note("wait", group, start)
        columns = self._groups[group]
        terminated, truncated = (ended[turn.slot, t, columns] for ended in self._ended)
        if terminated.any() or truncated.any():
            returns, lengths = self._totals
            for i in (columns.start + np.flatnonzero(terminated | truncated)).tolist():
                index = self._first_index + i
                episodes.append(Episode(float(returns[i]), int(lengths[i]), index))

    def _new_spans(self) -> list[Span]:
        """The steps of the workers that are complete and were not returned before."""
        seen = dict(self._seen)
        # One that is being written at this moment ends before it starts: it is new the next time.
        new = [s for s in self._stepper.spans() if s.end_s >= s.start_s > seen.get(s.track, 0.0)]
        for span in new:
            self._seen[span.track] = max(self._seen.get(span.track, 0.0), span.start_s)
        return new
