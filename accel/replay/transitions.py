"""n-step transitions read from a ring: what one-step and n-step Q-learning and SARSA learn from."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from accel.replay.ring import FrameRing


@dataclass(frozen=True)
class Transitions:
    """n transitions: `returns + bootstrap * value(next_observations)` is an n-step target."""

    observations: Tensor  # [n, K, *frame] frame dtype
    actions: Tensor  # [n] int64
    returns: Tensor  # [n] float32: discounted sum of the rewards on the way
    bootstrap: Tensor  # [n] float32: discount^steps, 0 where the episode terminated on the way
    next_observations: Tensor  # [n, K, *frame]: where the steps lead
    next_actions: Tensor  # [n] int64: taken there; of no effect where the episode was truncated


@dataclass(frozen=True)
class TransitionReader:
    """Reads transitions of `n_step` steps, fewer where the episode ends sooner.

    A truncated episode leads to its true last frame. `terminal_on_life_loss` treats a lost life as
    an episode's end and `clip_rewards` keeps only a reward's sign: both are this learner's view of
    raw data.
    """

    n_step: int = 1
    discount: float = 0.99
    terminal_on_life_loss: bool = False
    clip_rewards: bool = False

    @property
    def reach(self) -> int:
        """Rows read after an item's own."""
        return self.n_step

    def stride(self, rollout_length: int) -> int:
        """Rows from one item to the next."""
        return 1

    def may_start(self, valid: Tensor) -> Tensor:
        """Which items of a rollout may be drawn, of its `valid` [T, B]: any that are steps."""
        return valid

    def read(self, ring: FrameRing, rows: Tensor, columns: Tensor) -> Transitions:
        """Read the transitions that start at `rows` and `columns` [n] int64 of the ring."""
        steps = torch.arange(self.n_step, device=rows.device)
        rewards, terminated, ended = self._view(ring, rows.unsqueeze(1) + steps, columns)
        # A step counts if the episode has not ended at one before it: [n, n_step].
        counts = ended.cumsum(1) - ended.long() == 0
        length = counts.sum(1)
        following = rows + length
        return Transitions(
            observations=ring.observations(rows, columns),
            actions=ring.read(ring.actions, rows, columns).long(),
            returns=(rewards * counts * self._powers(steps)).sum(1),
            bootstrap=self._powers(length).masked_fill((terminated & counts).any(1), 0.0),
            next_observations=ring.observations(following, columns),
            next_actions=ring.read(ring.actions, following, columns).long(),
        )

    def _view(
        self, ring: FrameRing, rows: Tensor, columns: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The learner's rewards, terminations and ends, [n, n_step] each, of `rows`."""
        columns = columns.unsqueeze(1)
        rewards = ring.read(ring.rewards, rows, columns)
        terminated = ring.read(ring.terminated, rows, columns)
        if self.terminal_on_life_loss:
            terminated |= ring.read(ring.life_lost, rows, columns)
        ended = terminated | ring.read(ring.truncated, rows, columns)
        return rewards.sign() if self.clip_rewards else rewards, terminated, ended

    def _powers(self, exponents: Tensor) -> Tensor:
        return (self.discount ** exponents.double()).float()
