"""The memory of a replay: the newest steps of one rank's environments, each frame once."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from accel.models.frame_stack import gather_frames, stacked_rows
from accel.shared import Field, SharedBlock
from accel.types import EnvSpec, Rollout

_MAX_AGE = 255  # ages are bytes; stacks and episode starts need only know small ones
_MAX_ACTIONS = 256


class Copied(Protocol):
    """Tells of a copy from a device; a CUDA event."""

    def query(self) -> bool:
        """Whether it is done."""

    def synchronize(self) -> None:
        """Wait until it is."""


class FrameRing:
    """Time-major arrays [R, B] in which each rollout takes the place of the oldest one.

    A row is one step, as in a rollout: its `frames` are the newest of the observation acted on. An
    episode's true last frame is in the row after its last step, which is not `valid`.

    Row numbers count from the start of the run, or are the same modulo R.
    """

    def __init__(
        self,
        spec: EnvSpec,
        *,
        num_rows: int,
        num_envs: int,
        rollout_length: int,
        state_size: int = 0,
        device: torch.device | str = "cpu",
    ) -> None:
        """Reserve the memory: on a CPU shared with forked processes, and used as it fills.

        `num_envs` are this rank's; `state_size` the numbers in a recurrent state, 0: none.

        Raises:
            ValueError: `num_rows` is no multiple of `rollout_length`, or there are more actions
                than a byte can tell apart.
        """
        if num_rows < rollout_length or num_rows % rollout_length:
            raise ValueError(
                f"{num_rows} rows do not hold whole rollouts of {rollout_length} steps: "
                "use `ring_rows`"
            )
        fields = ring_fields(spec, num_rows, num_envs, rollout_length, state_size)
        self.num_rows, self.num_envs, self.rollout_length = num_rows, num_envs, rollout_length
        self.num_written = 0  # rows, since the start of the run
        self._frame_stack = spec.frame_stack
        self._tensors = _allocate(fields, torch.device(device))
        self.frames = self._tensors["frames"]  # [R, B, *frame] frame dtype
        self.age = self._tensors["age"]  # [R, B] uint8: as in a rollout, at most 255
        self.actions = self._tensors["actions"]  # [R, B] uint8
        self.rewards = self._tensors["rewards"]  # [R, B] float32, raw
        self.terminated = self._tensors["terminated"]  # [R, B] bool, as are the next three
        self.truncated = self._tensors["truncated"]
        self.life_lost = self._tensors["life_lost"]
        self.valid = self._tensors["valid"]
        self.state = self._tensors.get("state")  # [R / T, B, S] float32: at rollouts' first rows

    def append(self, rollout: Rollout) -> None:
        """Copy a rollout of T steps in, one copy a field."""
        length = self.rollout_length
        start = self.num_written % self.num_rows
        rows = slice(start, start + length)
        history = self._frame_stack - 1
        self.frames[rows] = rollout.frames[history : history + length]
        self.age[rows] = rollout.age[:length].clamp(max=_MAX_AGE)
        for name in ("actions", "rewards", "terminated", "truncated", "life_lost", "valid"):
            self._tensors[name][rows] = getattr(rollout, name)
        if self.state is not None:
            self.state[start // length] = rollout.state
        self.num_written += length

    def cells(self, rows: Tensor, columns: Tensor) -> Tensor:
        """Where `rows` and `columns` (int64, broadcast) are in a flat field: for `Tensor.take`."""
        return rows % self.num_rows * self.num_envs + columns

    def observations(self, rows: Tensor, columns: Tensor) -> Tensor:
        """The observations [..., K, *frame] at `rows` [...] and `columns`, int64, broadcast."""
        age = self.age.take(self.cells(rows, columns))
        stacks = stacked_rows(rows, age, self._frame_stack)
        return gather_frames(self.frames, stacks % self.num_rows, columns)

    def states(self, rows: Tensor, columns: Tensor) -> Tensor | None:
        """The recurrent states [n, S] at `rows` [n], rollouts' first rows; None: not kept."""
        if self.state is None:
            return None
        places = rows % self.num_rows // self.rollout_length * self.num_envs + columns
        return self.state.flatten(0, 1).index_select(0, places)

    @property
    def held(self) -> range:
        """The rows that are there, counted from the start of the run."""
        return range(max(self.num_written - self.num_rows, 0), self.num_written)

    def rows_in(self, num_bytes: int) -> int:
        """How many rows take `num_bytes`: whole rollouts, at least one."""
        rollouts = self.num_rows // self.rollout_length
        rollout_bytes = sum(tensor.nbytes for tensor in self._tensors.values()) // rollouts
        return max(1, num_bytes // rollout_bytes) * self.rollout_length

    def copy_rows(self, rows: range) -> dict[str, Tensor]:
        """A copy of `rows` that are held, whole rollouts, of every field."""
        return {
            name: tensor.index_select(0, self._places(tensor, rows))
            for name, tensor in self._tensors.items()
        }

    def host_memory(self, num_rows: int) -> dict[str, Tensor]:
        """Memory of the host for `bring_rows`: page-locked, where they come from a GPU."""
        return {
            name: torch.empty(
                len(self._entries(tensor, range(num_rows))), *tensor.shape[1:],
                dtype=tensor.dtype, pin_memory=tensor.is_cuda,
            )
            for name, tensor in self._tensors.items()
        }  # fmt: skip

    def bring_rows(self, rows: range, memory: dict[str, Tensor]) -> Copied | None:
        """What `copy_rows` does, into `host_memory` and without waiting for the device.

        On a GPU the copy is in order with its other work, so that rows may be overwritten next, but
        `memory` must not be read before what this returns tells; None: it may be at once.
        """
        for name, tensor in self._tensors.items():
            entries = self._entries(tensor, rows)
            first = entries.start % len(tensor)
            until_end = min(len(entries), len(tensor) - first)
            for part, start in ((slice(until_end), first), (slice(until_end, len(entries)), 0)):
                room = memory[name][part]
                room.copy_(tensor[start : start + len(room)], non_blocking=True)
        if not self.frames.is_cuda:
            return None
        return torch.cuda.current_stream(self.frames.device).record_event()

    def load_rows(self, fields: dict[str, Tensor], rows: range, columns: range) -> None:
        """Put in what `copy_rows` of `rows` returned for `columns`, counted from our first one.

        What is not held any more or not ours is left out.
        """
        ours = overlap(columns, range(self.num_envs))
        column = slice(ours.start - columns.start, ours.stop - columns.start)
        kept = overlap(rows, self.held)
        for name, tensor in self._tensors.items():
            first = self._entries(tensor, rows).start
            entries = self._entries(tensor, kept)
            part = fields[name][entries.start - first : entries.stop - first, column]
            places = self._places(tensor, kept)
            tensor[places, ours.start : ours.stop] = part.to(tensor.device)

    def _places(self, tensor: Tensor, rows: range) -> Tensor:
        """Where `rows` lie in a field."""
        entries = self._entries(tensor, rows)
        return torch.arange(entries.start, entries.stop, device=tensor.device) % len(tensor)

    def _entries(self, tensor: Tensor, rows: range) -> range:
        """The numbers, since the start of the run, of a field's entries: one a row or a rollout."""
        stride = self.num_rows // len(tensor)
        return range(rows.start // stride, rows.stop // stride)


def overlap(left: range, right: range) -> range:
    """What lies in both; of length 0 if nothing does."""
    start = max(left.start, right.start)
    return range(start, max(start, min(left.stop, right.stop)))


def ring_rows(capacity: int, num_envs: int, rollout_length: int) -> int:
    """Rows of a ring that holds at most `capacity` steps of `num_envs` environments (all ranks').

    A multiple of `rollout_length`, so that a rollout never wraps around.

    Raises:
        ValueError: not even one rollout fits.
    """
    num_rows = capacity // num_envs // rollout_length * rollout_length
    if num_rows == 0:
        raise ValueError(
            f"a replay of {capacity:,} steps is smaller than one rollout: {num_envs} environments "
            f"x {rollout_length} steps = {num_envs * rollout_length:,}"
        )
    return num_rows


def ring_fields(
    spec: EnvSpec, num_rows: int, num_envs: int, rollout_length: int, state_size: int = 0
) -> list[Field]:
    """The arrays of a ring. Raises ValueError for more than 256 actions."""
    if spec.num_actions > _MAX_ACTIONS:
        raise ValueError(
            f"{spec.num_actions} actions: a replay stores an action in one byte, so 256 at most"
        )
    cells = (num_rows, num_envs)
    fields = [
        Field("frames", (*cells, *spec.frame_shape), spec.frame_dtype),
        Field("age", cells, "uint8"),
        Field("actions", cells, "uint8"),
        Field("rewards", cells, "float32"),
        *(Field(name, cells, "bool") for name in ("terminated", "truncated", "life_lost", "valid")),
    ]
    if state_size:
        shape = (num_rows // rollout_length, num_envs, state_size)
        fields.append(Field("state", shape, "float32"))
    return fields


def bytes_needed(fields: list[Field]) -> int:
    """Bytes that the arrays take once they are full."""
    return sum(int(np.prod(field.shape)) * np.dtype(field.dtype).itemsize for field in fields)


def _allocate(fields: list[Field], device: torch.device) -> dict[str, Tensor]:
    if device.type == "cpu":
        block = SharedBlock(fields)
        block.close()  # the arrays keep the memory
        return {name: torch.from_numpy(array) for name, array in block.arrays.items()}
    return {
        field.name: torch.zeros(field.shape, dtype=getattr(torch, field.dtype), device=device)
        for field in fields
    }
