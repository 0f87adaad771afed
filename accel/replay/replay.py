"""Replay: rollouts in, batches for learning out, the same whatever the number of ranks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import torch
from torch import Tensor

from accel.algos.ranks import ALONE, Ranks
from accel.replay.episode_items import EpisodeItems
from accel.replay.episodes import EpisodeReader
from accel.replay.items import Items
from accel.replay.prioritized import Prioritized
from accel.replay.ring import FrameRing, ring_rows
from accel.replay.uniform import Uniform
from accel.replay.window import Window
from accel.types import EnvSpec, Rollout

Record = TypeVar("Record", covariant=True)


class Reader(Protocol[Record]):
    """Turns places in a ring into what is learned from.

    `TransitionReader`, `EpisodeReader`, `SequenceReader`.
    """

    @property
    def reach(self) -> int: ...

    def stride(self, rollout_length: int) -> int: ...

    def marks(self, rollout: Rollout) -> Tensor: ...

    def read(self, ring: FrameRing, rows: Tensor, columns: Tensor) -> Record: ...


@dataclass(frozen=True)
class Draw:
    """One global batch or several of N items, all drawn at once; this rank holds n of them."""

    items: Tensor  # [M * N] int64 of M batches, the same on all ranks
    positions: Tensor  # [n] int64: which of them this rank holds
    weights: Tensor  # [n] float32: importance weight / N; sums over pieces and ranks are means
    batches: list[slice]  # M: which of the n are of which batch


class Replay(Generic[Record]):
    """The newest steps of all ranks' environments: each rank holds the frames of its own columns.

    What may be drawn, and how likely, every rank knows for all. All draw the same items from equal
    generators on the CPU and read those that lie in their own columns.
    """

    def __init__(
        self,
        spec: EnvSpec,
        reader: Reader[Record],
        *,
        capacity: int,
        num_envs: int,
        rollout_length: int,
        priority_exponent: float | None = None,
        state_size: int = 0,
        seed: int = 0,
        device: torch.device | str = "cpu",
        ring_device: torch.device | str | None = None,
        ranks: Ranks = ALONE,
    ) -> None:
        """Reserve the memory.

        Args:
            capacity: agent steps to keep, of all ranks.
            num_envs: environments of all ranks; each has an equal part.
            rollout_length: T of each rollout that will be appended.
            priority_exponent: alpha of prioritized replay; None draws uniformly.
            state_size: numbers in a recurrent state, 0: none is kept.
            seed: of the draws, the same on all ranks.
            device: where rollouts come from and batches are wanted.
            ring_device: where the steps are kept, if not there.

        Raises:
            ValueError: the capacity is too small to sample anything from.
        """
        num_rows = ring_rows(capacity, num_envs, rollout_length)
        self._ranks, self._reader, self._num_envs = ranks, reader, num_envs
        self._device = torch.device(device)
        self._ring = FrameRing(
            spec,
            num_rows=num_rows,
            num_envs=num_envs // ranks.size,
            rollout_length=rollout_length,
            state_size=state_size,
            device=device if ring_device is None else ring_device,
        )
        window = Window(
            num_rows,
            rollout_length,
            before=spec.frame_stack - 1,
            reach=reader.reach,
            stride=reader.stride(rollout_length),
        )
        waits = isinstance(reader, EpisodeReader)
        items = (EpisodeItems if waits else Items)(window, num_envs, device)
        self._items = items
        self._chooser = (
            Uniform(items)
            if priority_exponent is None
            else Prioritized(items, priority_exponent, device)
        )
        self._generator = torch.Generator()  # on the CPU: the same draws on every device
        self._generator.manual_seed(seed)

    @property
    def num_steps(self) -> int:
        """Agent steps held, of all ranks."""
        return min(self._ring.num_written, self._ring.num_rows) * self._num_envs

    @property
    def ring(self) -> FrameRing:
        """The steps of this rank's environments, which are no part of `state_dict`."""
        return self._ring

    @property
    def can_sample(self) -> bool:
        """Whether there is anything to draw yet."""
        return self._items.can_find

    @property
    def draws_ahead(self) -> bool:
        """Whether batches may be drawn together: no update changes what the next one draws."""
        return isinstance(self._chooser, Uniform)

    def append(self, rollout: Rollout) -> None:
        """Add a rollout of this rank's environments, in place of the oldest one if full."""
        self._ring.append(rollout)
        self._chooser.append(self._of_all_ranks(self._reader.marks(rollout)))

    def sample(
        self, batch_size: int, beta: float = 1.0, num_batches: int = 1
    ) -> tuple[Draw, Record]:
        """Draw global batches of `batch_size` items, with replacement, and read this rank's part.

        `beta` is the exponent of the importance weights; without priorities they are all 1.
        Several batches at once cost little more than one; only for those that `draws_ahead`.
        """
        items, weights = self._chooser.draw(batch_size * num_batches, self._generator, beta)
        rows, columns = self._items.place(items)
        columns = columns - self.columns.start
        positions = self._held(columns)
        batches = self._batches(positions, batch_size, num_batches)
        draw = Draw(items, positions, weights[positions] / batch_size, batches)
        return draw, self._read(rows[positions], columns[positions])

    def update_priorities(self, draw: Draw, priorities: Tensor) -> None:
        """Give the items of `draw` that this rank holds their new `priorities` [n].

        All ranks call this for the same draw.
        """
        if isinstance(self._chooser, Prioritized):
            every = torch.zeros_like(draw.items, dtype=torch.float32)
            every[draw.positions] = priorities.float()
            self._chooser.update(draw.items, self._ranks.total(every))

    @property
    def columns(self) -> range:
        """This rank's environments among all."""
        first = self._ranks.rank * self._ring.num_envs
        return range(first, first + self._ring.num_envs)

    def state_dict(self) -> dict[str, Any]:
        """All but the steps: the same on every rank, as views that change with the next call."""
        return {
            "layout": self._layout,
            "draws": self._chooser.state_dict(),
            "generator": self._generator.get_state(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where `state_dict` was taken, once the ring has been given all rows it held.

        Raises:
            ValueError: it is of a replay of other sizes, or of another kind.
        """
        layout = self._layout
        saved = {"whole_episodes": False, **state["layout"]}  # it is not in old checkpoints
        if saved != layout:
            pairs = {key: (old, layout[key]) for key, old in saved.items()}
            changes = [f"{key} {old} -> {new}" for key, (old, new) in pairs.items() if old != new]
            raise ValueError(f"the saved replay differs: {', '.join(changes)}")
        self._chooser.load_state_dict(state["draws"])
        self._generator.set_state(state["generator"].cpu())
        self._ring.num_written = self._items.window.num_written

    @property
    def _layout(self) -> dict[str, int]:
        """What two replays must have in common to go on from each other."""
        window = self._items.window
        return {
            "num_envs": self._num_envs,
            "num_rows": window.num_rows,
            "rollout_length": window.rollout_length,
            "before": window.before,
            "reach": window.reach,
            "stride": window.stride,
            "prioritized": isinstance(self._chooser, Prioritized),
            "whole_episodes": isinstance(self._items, EpisodeItems),
        }

    def _read(self, rows: Tensor, columns: Tensor) -> Record:
        """What the items at `rows` and `columns` [n] int64 of the ring are, on our device."""
        ring_device = self._ring.frames.device
        record = self._reader.read(self._ring, rows.to(ring_device), columns.to(ring_device))
        fields = vars(record).items()
        return type(record)(**{k: v if v is None else v.to(self._device) for k, v in fields})

    def _of_all_ranks(self, marks: Tensor) -> Tensor:
        """The marks [t, B] of the global batch, of those of this rank's columns."""
        if self._ranks.size == 1:
            return marks
        every = marks.new_zeros(marks.shape[0], self._num_envs, dtype=torch.uint8)
        every[:, self.columns.start : self.columns.stop] = marks
        return self._ranks.total(every)

    def _batches(self, positions: Tensor, batch_size: int, num_batches: int) -> list[slice]:
        """Which of the items at `positions` [n], in ascending order, are of which batch."""
        if num_batches == 1:
            return [slice(0, len(positions))]
        ends = [batch_size * (1 + batch) for batch in range(num_batches)]
        if self._ranks.size > 1:
            ends = torch.searchsorted(positions, torch.tensor(ends, device=positions.device))
            ends = ends.tolist()
        return [slice(start, end) for start, end in zip([0, *ends], ends)]

    def _held(self, columns: Tensor) -> Tensor:
        """Positions [n] of the `columns` [N] that are this rank's, counted from its first one.

        With several ranks on GPUs this waits for the device: how many there are sets the shapes.
        """
        if self._ranks.size == 1:
            return torch.arange(columns.shape[0], device=columns.device)
        return ((columns >= 0) & (columns < self._ring.num_envs)).nonzero().squeeze(1)
