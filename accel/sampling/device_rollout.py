"""The rollout as the policy and the learner see it: tensors on their device.

On a CPU they are the shared arrays themselves. On a GPU each new row of frames is copied up once,
when the policy acts on it, and the learner finds the whole rollout there already. Where workers
hand out raw screens, those are copied up instead and made into the row of frames on the device.

Where another process learns, it finds the whole rollout in the shared arrays: frames that only the
device has go down row by row behind the actions, the policy's numbers once at the end.

All copies go through the present stream. The CPU waits for that of the actions, and at the end of
a rollout for another process once for all that has gone down. A group's frames, its forward pass
and its actions follow each other, and the actor, which has nothing else to do for this group, waits
for just these. A stream of their own would gain the copies nothing to run beside.

Each copy is of one piece on both sides, or torch would take it through memory of its own and wait.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from accel.models import stack_frames, view_stacks
from accel.types import Rollout

_WORKER_FIELDS = ("rewards", "terminated", "truncated", "life_lost", "valid")
_POLICY_FIELDS = ("log_probs", "values", "policy_version", "state")


class DeviceRollout:
    """One slot of the shared arrays with its tensors on `device`."""

    def __init__(
        self,
        arrays: dict[str, np.ndarray],
        slot: int,
        num_actions: int,
        device: torch.device,
        state_size: int = 0,
        make_frames: Callable[..., Tensor] | None = None,
    ) -> None:
        """`arrays` are the shared ones of `layout.rollout_fields`, axes [slot, T, B, ...].

        With those of `layout.policy_fields` among them, another process finds the whole rollout
        there. `state_size` is that of a recurrent policy; `make_frames`, a `FrameMaker` or a
        recording of one, is needed where `arrays` have raw screens.
        """
        names = ("frames", "age", "actions", *_WORKER_FIELDS)
        self._host = {name: torch.from_numpy(arrays[name][slot]) for name in names}
        self._ages = arrays["age"][slot]  # a plain array, quicker to ask for single numbers
        self._screens = torch.from_numpy(arrays["screens"]) if "screens" in arrays else None
        self._make_frames = make_frames
        self._device = device
        self._sent: torch.cuda.Event | None = None  # after the last copies from or to the host
        self._is_copy = has_own_memory(device)
        on_device = {
            name: torch.zeros_like(tensor, device=device) if self._is_copy else tensor
            for name, tensor in self._host.items()
        }
        length, num_envs = self._host["actions"].shape
        self._history = self._host["frames"].shape[0] - length - 1
        from_policy = {
            "log_probs": torch.zeros(length, num_envs, num_actions, device=device),
            "values": torch.zeros(length + 1, num_envs, device=device),
            "policy_version": torch.zeros(length, dtype=torch.int64, device=device),
            "state": torch.zeros(num_envs, state_size, device=device) if state_size else None,
        }
        self._outlet = {
            name: torch.from_numpy(arrays[name][slot]) for name in _POLICY_FIELDS if name in arrays
        }
        if not self._is_copy:
            from_policy |= self._outlet
        self.tensors = Rollout(**on_device, **from_policy)
        self._handed_on = Rollout(**self._host, **self._outlet) if self._outlet else None

    def upload_row(self, t: int, columns: slice) -> None:
        """Bring the newest frames of step `t` to the device, or make them there."""
        row, frames, age = self._history + t, self.tensors.frames, self.tensors.age
        if self._screens is not None:
            screens = self._screens[columns].to(frames.device, non_blocking=True)
            frames[row, columns] = self._make_frames(screens=screens)
        elif self._is_copy:
            frames[row, columns].copy_(self._host["frames"][row, columns], non_blocking=True)
        if self._is_copy:
            age[t, columns].copy_(self._host["age"][t, columns], non_blocking=True)

    def observations(self, t: int, columns: slice, env: Tensor) -> Tensor:
        """The observations of step `t` of `columns`, also given as `env` [G]: [G, K, *frame]."""
        if self._ages[t, columns].min() >= self._history:
            return view_stacks(self.tensors.frames, self._history + 1, t, columns)
        return stack_frames(self.tensors.frames, self.tensors.age, torch.full_like(env, t), env)

    def send_actions(self, t: int, columns: slice, actions: Tensor) -> None:
        """Begin to hand `actions` to the workers; they are there after `wait_for_copies`."""
        self._host["actions"][t, columns].copy_(actions, non_blocking=True)
        if self._is_copy:
            self._sent = torch.cuda.current_stream(self._device).record_event()
            if self._handed_on is None:
                self.tensors.actions[t, columns] = actions

    def hand_on_frames(self, t: int, columns: slice) -> None:
        """Begin to bring down to another process, if there is one, frames that it does not have.

        Those made here, and at step 0 those that the rollout before this one has left. They are
        there after `finish`.
        """
        if not self._is_copy or self._handed_on is None:
            return
        newest = self._history + t
        first = 0 if t == 0 else newest if self._screens is not None else newest + 1
        for row in range(first, newest + 1):
            made = self.tensors.frames[row, columns]
            self._host["frames"][row, columns].copy_(made, non_blocking=True)

    def wait_for_copies(self) -> None:
        """Wait for what was sent last, and so for the policy that chose it: the one wait a step.

        After `finish`, for all of the rollout: the host's arrays may then be given up.
        """
        if self._sent is not None:
            self._sent.synchronize()

    def finish(self) -> Rollout:
        """Return the whole rollout, where it is learned from.

        Here the workers' rewards and flags are brought to the device, which nobody waits for. With
        another process, all that it finds in the shared arrays has arrived there.
        """
        if not self._is_copy:
            return self.tensors
        if self._handed_on is None:
            for name in _WORKER_FIELDS:
                getattr(self.tensors, name).copy_(self._host[name], non_blocking=True)
        for name, tensor in self._outlet.items():
            tensor.copy_(getattr(self.tensors, name), non_blocking=True)
        self._sent = torch.cuda.current_stream(self._device).record_event()
        if self._handed_on is None:
            return self.tensors
        self._sent.synchronize()
        return self._handed_on

    def continue_from(self, previous: DeviceRollout, columns: slice) -> None:
        """Make the end of `previous` the start of `columns`: history, current frame, age."""
        keep = self._history + 1
        frames = previous.tensors.frames[-keep:, columns]
        if previous is self:
            frames = frames.clone()  # they may overlap
        self.tensors.frames[:keep, columns] = frames
        self._ages[0, columns] = previous._ages[-1, columns]
        if self._is_copy:
            self.tensors.age[0, columns] = previous.tensors.age[-1, columns]

    def adopt_first_frames(self, started: DeviceRollout) -> None:
        """Take the first frames that a reset wrote at the start of `started` for this one's end."""
        started.upload_row(0, slice(None))
        first_frames = started.tensors.frames[: self._history + 1].clone()  # they may overlap
        self.load_state_dict({"frames": first_frames, "age": started._host["age"][0]})

    def state_dict(self) -> dict[str, Tensor]:
        """What the next rollout starts from: the last K frames and ages."""
        keep = self._history + 1
        return {
            "frames": self.tensors.frames[-keep:].to("cpu", copy=True),
            "age": self._host["age"][-1].clone(),
        }

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        keep = self._history + 1
        self.tensors.frames[-keep:] = state["frames"].to(self.tensors.frames.device)
        self._host["age"][-1] = state["age"]
        self.tensors.age[-1] = state["age"].to(self.tensors.age.device)


def has_own_memory(device: torch.device) -> bool:
    """Whether tensors on `device` are others than those that workers share."""
    return device.type != "cpu"
