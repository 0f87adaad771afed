"""The actor: serves actions to the environments, group by group, and fills a rollout."""

from __future__ import annotations

import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from accel.models import stack_frames, view_stacks
from accel.models.graphs import Graphed, Graphs
from accel.policies import PolicyStep
from accel.sampling.collected import Collected, collected_ahead
from accel.sampling.device_rollout import DeviceRollout
from accel.sampling.frame_maker import FrameMaker
from accel.sampling.noise import ActionNoise
from accel.sampling.pinned import PinnedMemory
from accel.sampling.stepping import RESET
from accel.shared import SharedBlock
from accel.types import Episode, Rollout, Span


class Policy(Protocol):
    """What the sampler needs of a policy; see `accel.policies`."""

    @property
    def state_size(self) -> int: ...

    def begin(self, agent_steps: int) -> None: ...

    def act(
        self, observations: Tensor, noise: Tensor, columns: slice, state: Tensor | None
    ) -> PolicyStep: ...

    def values(self, observations: Tensor, state: Tensor | None) -> Tensor: ...


class Stepper(Protocol):
    """Who steps the environments: `workers.Workers` or `stepping.SerialStepper`."""

    def release(self, group: int, slot: int, t: int) -> None: ...

    def wait(self, group: int) -> None: ...

    def state_dict(self) -> Any: ...

    def load_state_dict(self, states: Any) -> None: ...

    def busy_seconds(self) -> float: ...

    def spans(self) -> list[Span]: ...

    def close(self) -> None: ...


@dataclass
class SampleTime:
    """Seconds that one `collect` took, by what they went into."""

    wait: float = 0.0  # for the environments
    inference: float = 0.0  # stacking, forward pass, choosing actions
    room: float = 0.0  # of an actor process: waiting for leave to fill another slot
    learner: float = 0.0  # of the learner: waiting for an actor process to finish a rollout
    spans: list[Span] | None = None  # wait and inference one by one, and workers' steps; if asked

    def note(self, name: str, group: int, start_s: float) -> None:
        """Add the time since `start_s` to `name` (wait or inference), spent on `group`."""
        end_s = time.perf_counter()
        setattr(self, name, getattr(self, name) + end_s - start_s)
        if self.spans is not None:
            self.spans.append(Span(f"actor, group {group}", name, start_s, end_s))


class Sampler:
    """Collects rollouts of T steps from B environments with a policy.

    While one group of environments is stepping, the policy serves another. Slots are filled in
    turn; with one slot a rollout is valid until the next `collect`.
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
    ) -> None:
        """Use `stepper` over `arrays` (see `layout.py`); call `start` before `collect`.

        Without `bootstrap_values` the last row of `Rollout.values` means nothing. `frame_maker`, on
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
        self._policy = policy
        self._act = [Graphed(partial(policy.act, columns=group), graphs) for group in groups]
        self._device = torch.device(device)
        make_frames = None if frame_maker is None else Graphed(frame_maker, graphs)
        self._slots = [
            DeviceRollout(arrays, slot, num_actions, self._device, policy.state_size, make_frames)
            for slot in range(arrays["frames"].shape[0])
        ]
        self._totals = arrays["episodic_return"], arrays["episodic_length"]
        self._ended = arrays["terminated"], arrays["truncated"]
        self._ages = arrays["age"]
        self._length, num_envs = arrays["actions"].shape[1:]
        self._noise = ActionNoise(seed, first_index, num_envs)
        self._first_index = first_index
        self._bootstrap_values = bootstrap_values
        self._columns = [
            torch.arange(group.start, group.stop, device=self._device) for group in groups
        ]
        # What a recurrent policy remembers of each environment after its last step, [B, S].
        self._state = (
            torch.zeros(num_envs, policy.state_size, device=self._device)
            if policy.state_size
            else None
        )
        self._slot = len(self._slots) - 1  # the slot filled last
        self._left_over: deque[Collected] = deque()
        self.time = SampleTime()
        self.policy_lag = 0

    @property
    def slot(self) -> int:
        """The slot that the last `collect` filled."""
        return self._slot

    def start(self) -> None:
        """Start all games; their first frames become the end of a rollout not collected."""
        first = self._slots[0]
        for group in range(len(self._groups)):
            self._stepper.release(group, 0, RESET)
        for group in range(len(self._groups)):
            self._stepper.wait(group)
        self._slots[self._slot].adopt_first_frames(first)

    def collect(self, policy_version: int, agent_steps: int = 0) -> tuple[Rollout, list[Episode]]:
        """Play T steps and return them, with the whole games that ended on the way.

        `agent_steps`, global ones taken before, is the clock of the policy's exploration. After a
        checkpoint of an actor process, what that had collected ahead comes first.
        """
        self.time = SampleTime(spans=[] if self._record_spans else None)
        if self._left_over:
            ahead = self._left_over.popleft()
            self.policy_lag = policy_version - ahead.policy_version
            return ahead.rollout, ahead.episodes
        self.policy_lag = 0
        self._policy.begin(agent_steps)
        previous, self._slot = self._slots[self._slot], (self._slot + 1) % len(self._slots)
        rollout = self._slots[self._slot]
        rollout.continue_from(previous)
        if self._state is not None:
            rollout.tensors.state.copy_(self._state)
        rollout.tensors.policy_version.fill_(policy_version)
        noise = rollout.upload(torch.from_numpy(self._noise.draw(self._length)))
        episodes: list[Episode] = []
        for t in range(self._length):
            for group, columns in enumerate(self._groups):
                if t > 0:
                    self._wait(group, t - 1, episodes)
                self._serve(rollout, group, columns, t, noise)
                self._stepper.release(group, self._slot, t)
        for group, columns in enumerate(self._groups):
            self._wait(group, self._length - 1, episodes)
            self._bootstrap(rollout, group, columns)
        if self.time.spans is not None:
            self.time.spans += self._stepper.spans()
        return rollout.finish(), episodes

    def state_dict(self) -> dict[str, Any]:
        """Everything the next `collect` depends on but the policy. Only between rollouts."""
        last = self._slots[self._slot].state_dict()
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
        self._slots[self._slot].load_state_dict(state["last"])
        if self._state is not None:
            self._state.copy_(state["last"]["state"])
        self._left_over = collected_ahead(state, self._length, self._device)

    def environment_seconds(self) -> float:
        """Time the environments have taken so far, averaged over the workers."""
        return self._stepper.busy_seconds()

    def close(self) -> None:
        if self._pinned is not None:
            with suppress(RuntimeError):  # of a device that has failed, as was told before
                self._slots[self._slot].wait_for_copies()
            self._pinned.close()
        self._stepper.close()
        if self.block is not None:
            self.block.close()

    def _wait(self, group: int, t: int, episodes: list[Episode]) -> None:
        """Wait until `group` has finished step t, and note the games that it ended."""
        start = time.perf_counter()
        self._stepper.wait(group)
        self.time.note("wait", group, start)
        columns = self._groups[group]
        terminated, truncated = (ended[self._slot, t, columns] for ended in self._ended)
        if terminated.any() or truncated.any():
            returns, lengths = self._totals
            for i in (columns.start + np.flatnonzero(terminated | truncated)).tolist():
                index = self._first_index + i
                episodes.append(Episode(float(returns[i]), int(lengths[i]), index))

    def _serve(
        self, rollout: DeviceRollout, group: int, columns: slice, t: int, noise: Tensor
    ) -> None:
        """Choose the actions of step t for one group and write what the learner will need."""
        start = time.perf_counter()
        observations = self._observe(rollout, group, columns, t)
        state = self._remembered(rollout, columns, t)
        step = self._act[group](observations=observations, noise=noise[t, columns], state=state)
        rollout.send_actions(t, columns, step.actions)
        tensors = rollout.tensors
        tensors.log_probs[t, columns] = step.log_probs
        tensors.values[t, columns] = step.values
        if self._state is not None:
            self._state[columns] = step.state
        rollout.wait_for_copies()
        self._signs_of_life += 1
        self.time.note("inference", group, start)

    def _bootstrap(self, rollout: DeviceRollout, group: int, columns: slice) -> None:
        if not self._bootstrap_values:
            rollout.upload_row(self._length, columns)
            return
        start = time.perf_counter()
        observations = self._observe(rollout, group, columns, self._length)
        state = self._remembered(rollout, columns, self._length)  # the next step advances it
        rollout.tensors.values[self._length, columns] = self._policy.values(observations, state)
        self.time.note("inference", group, start)

    def _observe(self, rollout: DeviceRollout, group: int, columns: slice, t: int) -> Tensor:
        """Observations of step t: [G, K, *frame]."""
        if t > 0:  # row 0 came along with the previous rollout's end
            rollout.upload_row(t, columns)
        frames, age = rollout.tensors.frames, rollout.tensors.age
        num_stacked = frames.shape[0] - self._length
        if self._ages[self._slot, t, columns].min() >= num_stacked - 1:
            return view_stacks(frames, num_stacked, t, columns)
        env = self._columns[group]
        return stack_frames(frames, age, torch.full_like(env, t), env)

    def _remembered(self, rollout: DeviceRollout, columns: slice, t: int) -> Tensor | None:
        """The policy's state [G, S] before step t: zero where an episode starts."""
        if self._state is None:
            return None
        starts = rollout.tensors.age[t, columns] == 0
        return self._state[columns].masked_fill(starts.unsqueeze(1), 0.0)
