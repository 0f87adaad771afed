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
        returns = torch.zeros(rows.shape, device=rows.device)
        terminated = torch.zeros(rows.shape, dtype=torch.bool, device=rows.device)
        ended = terminated.clone()
        steps = torch.zeros_like(rows)
        for step in range(self.n_step):
            rewards, terminal, truncated = self._step(ring, rows + step, columns)
            returns += self.discount**step * rewards.masked_fill(ended, 0.0)
            steps += ~ended
            terminated |= terminal & ~ended
            ended |= terminal | truncated
        exponents = torch.arange(self.n_step + 1, dtype=torch.float64, device=rows.device)
        powers = (self.discount**exponents).float()
        following = rows + steps
        return Transitions(
            observations=ring.observations(rows, columns),
            actions=ring.read(ring.actions, rows, columns).long(),
            returns=returns,
            bootstrap=powers[steps].masked_fill(terminated, 0.0),
            next_observations=ring.observations(following, columns),
            next_actions=ring.read(ring.actions, following, columns).long(),
        )

    def _step(
        self, ring: FrameRing, rows: Tensor, columns: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The learner's view of one step: rewards, terminated, truncated, [n] each."""
        rewards = ring.read(ring.rewards, rows, columns)
        terminated = ring.read(ring.terminated, rows, columns)
        if self.terminal_on_life_loss:
            terminated = terminated | ring.read(ring.life_lost, rows, columns)
        truncated = ring.read(ring.truncated, rows, columns)
        return rewards.sign() if self.clip_rewards else rewards, terminated, truncated
