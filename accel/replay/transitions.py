"""n-step transitions read from a ring: what one-step and n-step Q-learning and SARSA learn from."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from accel.algos.rollout_samples import RAW, View
from accel.replay.ring import FrameRing
from accel.types import Rollout


@dataclass(frozen=True)
class Transitions:
    """n transitions: `returns + bootstrap * value(next_observations)` is the target of each."""

    observations: Tensor  # [n, K, *frame] frame dtype
    actions: Tensor  # [n] int64
    returns: Tensor  # [n] float32: discounted sum of the rewards on the way
    bootstrap: Tensor  # [n] float32: discount^steps, 0 where the episode terminated on the way
    next_observations: Tensor  # [n, K, *frame]: where the steps lead
    next_actions: Tensor  # [n] int64: taken there; of no effect where the episode was truncated


@dataclass(frozen=True)
class TransitionReader:
    """Reads transitions of `n_step` steps, fewer where the episode ends sooner.

    A truncated episode leads to its true last frame.
    """

    n_step: int = 1
    discount: float = 0.99
    view: View = RAW

    @property
    def reach(self) -> int:
        """Rows read after an item's own."""
        return self.n_step

    def stride(self, rollout_length: int) -> int:
        """Rows from one item to the next."""
        return 1

    def marks(self, rollout: Rollout) -> Tensor:
        """Which items of a rollout may be drawn, [T, B] bool: any that are steps."""
        return rollout.valid

    def read(self, ring: FrameRing, rows: Tensor, columns: Tensor) -> Transitions:
        """Read the transitions that start at `rows` and `columns` [n] int64 of the ring."""
        exponents = torch.arange(self.n_step + 1, dtype=torch.float64, device=rows.device)
        powers = (self.discount**exponents).float()
        steps = torch.arange(self.n_step, device=rows.device).unsqueeze(1)
        cells = ring.cells(rows + steps, columns)
        rewards, terminated, ended = viewed_steps(ring, cells, self.view)
        # A step counts if the episode has not ended at one before it.
        counts = ended.cumsum(0) == ended
        length = counts.sum(0)
        returns = (rewards * counts * powers[:-1].unsqueeze(1)).sum(0)
        bootstrap = powers[length].masked_fill((terminated & counts).any(0), 0.0)
        return transitions_of(ring, rows, columns, length, returns, bootstrap)


def transitions_of(
    ring: FrameRing,
    rows: Tensor,
    columns: Tensor,
    length: Tensor,
    returns: Tensor,
    bootstrap: Tensor,
) -> Transitions:
    """The transitions from `rows` and `columns` of the ring that are `length` steps long.

    All are [n]; the first three are int64, the last two are the fields of that name.
    """
    ends = torch.stack([rows, rows + length])
    actions, next_actions = ring.actions.take(ring.cells(ends, columns)).long()
    observations, next_observations = ring.observations(ends, columns)
    return Transitions(
        observations=observations,
        actions=actions,
        returns=returns,
        bootstrap=bootstrap,
        next_observations=next_observations,
        next_actions=next_actions,
    )


def viewed_steps(ring: FrameRing, cells: Tensor, view: View) -> tuple[Tensor, Tensor, Tensor]:
    """The learner's rewards, terminations and ends of the steps in `cells`."""
    rewards = ring.rewards.take(cells)
    terminated = ring.terminated.take(cells)
    if view.terminal_on_life_loss:
        terminated |= ring.life_lost.take(cells)
    ended = terminated | ring.truncated.take(cells)
    return rewards.sign() if view.clip_rewards else rewards, terminated, ended
