"""A policy at the rows of a rollout: what it sees and does there, and where that is written."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Protocol

import torch
from torch import Tensor

from accel.models.graphs import Graphed, Graphs
from accel.policies import PolicyStep
from accel.sampling.device_rollout import DeviceRollout


class Policy(Protocol):
    """What the sampler needs of a policy; see `accel.policies`."""

    @property
    def state_size(self) -> int: ...

    def begin(self, agent_steps: int) -> None: ...

    def act(
        self, observations: Tensor, noise: Tensor, columns: slice, state: Tensor | None
    ) -> PolicyStep: ...

    def values(self, observations: Tensor, state: Tensor | None) -> Tensor: ...


class Acting:
    """One policy that acts for `groups` of environments, a group and a row at a time."""

    def __init__(
        self,
        policy: Policy,
        groups: Sequence[slice],
        memory: Tensor | None,
        device: torch.device,
        graphs: Graphs | None,
    ) -> None:
        """`memory` [B, S] is what a recurrent policy remembers of each environment; changed here.

        `graphs` records how the policy acts.
        """
        self.policy = policy
        self._memory = memory
        self._groups = groups
        self._act = [Graphed(partial(policy.act, columns=group), graphs) for group in groups]
        self._envs = [torch.arange(g.start, g.stop, device=device) for g in groups]

    def serve(self, rollout: DeviceRollout, group: int, t: int, noise: Tensor) -> None:
        """Choose the actions of step t and write what the learner will need of it.

        The actions are with the workers when this returns.
        """
        columns = self._groups[group]
        observations = rollout.observations(t, columns, self._envs[group])
        state = self.remembered(rollout, group, t)
        step = self._act[group](observations=observations, noise=noise[t, columns], state=state)
        rollout.send_actions(t, columns, step.actions)
        tensors = rollout.tensors
        tensors.log_probs[t, columns] = step.log_probs
        tensors.values[t, columns] = step.values
        if self._memory is not None:
            self._memory[columns] = step.state
        rollout.hand_on_frames(t, columns)
        rollout.wait_for_copies()

    def remembered(self, rollout: DeviceRollout, group: int, t: int) -> Tensor | None:
        """The policy's state [G, S] before step t: zero where an episode starts.

        A copy: serving step t advances what is remembered.
        """
        if self._memory is None:
            return None
        columns = self._groups[group]
        starts = rollout.tensors.age[t, columns] == 0
        return self._memory[columns].masked_fill(starts.unsqueeze(1), 0.0)

    def value(self, rollout: DeviceRollout, group: int, t: int, state: Tensor | None) -> None:
        """Write the values of row t alone; `state` is what was remembered before its step."""
        columns = self._groups[group]
        observations = rollout.observations(t, columns, self._envs[group])
        rollout.tensors.values[t, columns] = self.policy.values(observations, state)
