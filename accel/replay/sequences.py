"""Sequences read from a ring and the recurrent states they start from (Kapturowski et al. 2019)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from accel.replay.ring import FrameRing
from accel.types import Rollout


@dataclass(frozen=True)
class Sequences:
    """n sequences of L rows each, time-major, raw. They run on over the ends of episodes."""

    observations: Tensor  # [L, n, K, *frame] frame dtype
    actions: Tensor  # [L, n] int64
    rewards: Tensor  # [L, n] float32
    terminated: Tensor  # [L, n] bool, as are the next three
    truncated: Tensor
    life_lost: Tensor
    valid: Tensor  # false on the step after an episode's end, whose observation is the last one
    starts: Tensor  # [L, n] bool: an episode's first observation, where a core forgets
    state: Tensor | None  # [n, S] float32: before the first row; None if the ring holds none


@dataclass(frozen=True)
class SequenceReader:
    """Reads L = burn_in + length + n_step rows from where a rollout started.

    `length` rows are learned from: `burn_in` rows before them warm the core up, and the `n_step`
    rows after them hold the last ones' bootstrap observations.
    """

    burn_in: int
    length: int
    n_step: int = 1

    @property
    def reach(self) -> int:
        """Rows read after an item's first."""
        return self.burn_in + self.length + self.n_step - 1

    def stride(self, rollout_length: int) -> int:
        """Rows from one item to the next."""
        return rollout_length

    def marks(self, rollout: Rollout) -> Tensor:
        """Which items of a rollout may be drawn, [1, B] bool: all."""
        return torch.ones_like(rollout.valid[:1])

    def read(self, ring: FrameRing, rows: Tensor, columns: Tensor) -> Sequences:
        """Read the sequences that start at `rows` and `columns` [n] int64 of the ring."""
        steps = torch.arange(self.reach + 1, device=rows.device).unsqueeze(1)
        cells = ring.cells(rows + steps, columns)
        return Sequences(
            observations=ring.observations(rows + steps, columns),
            actions=ring.actions.take(cells).long(),
            rewards=ring.rewards.take(cells),
            terminated=ring.terminated.take(cells),
            truncated=ring.truncated.take(cells),
            life_lost=ring.life_lost.take(cells),
            valid=ring.valid.take(cells),
            starts=ring.age.take(cells) == 0,
            state=ring.states(rows, columns),
        )
