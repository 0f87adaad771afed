"""Whole returns read from a ring: what Monte Carlo value learning regresses on."""

from __future__ import annotations

import torch
from torch import Tensor

from accel.algos.rollout_samples import RAW, View
from accel.replay.ring import FrameRing
from accel.replay.transitions import Transitions, transitions_of, viewed_steps
from accel.types import Rollout

END = 2  # the mark of a step that ends an episode; of other steps it is 1


class EpisodeReader:
    """Reads transitions to the end of their episodes (Sutton and Barto 2018, section 5.1).

    Their returns hold all rewards that are left. A truncated episode leads to its true last frame,
    to be bootstrapped there: a time limit is no end (Pardo et al. 2018).

    A reader belongs to one ring. What it knows of its episodes it works out itself, from the rows
    written since it last read; so nothing of it needs to be saved.
    """

    def __init__(self, discount: float = 0.99, view: View = RAW) -> None:
        self.discount, self._view = discount, view
        self._num_seen = 0  # rows since the start of the run
        self._unfinished: list[int] = []  # first row of the episode that each column is in
        self._returns = torch.empty(0)  # [R, B] float32: of whole episodes
        self._steps = torch.empty(0)  # [R, B] int32: to the episode's end; 0: not known yet

    @property
    def reach(self) -> int:
        """Rows read after an episode's last step: its last frame."""
        return 1

    def stride(self, rollout_length: int) -> int:
        """Rows from one item to the next."""
        return 1

    def marks(self, rollout: Rollout) -> Tensor:
        """Which items of a rollout may be drawn some day, [T, B] uint8: not 0; END or 1."""
        ended = rollout.terminated | rollout.truncated
        if self._view.terminal_on_life_loss:
            ended = ended | rollout.life_lost
        return rollout.valid.to(torch.uint8).masked_fill_(ended & rollout.valid, END)

    def read(self, ring: FrameRing, rows: Tensor, columns: Tensor) -> Transitions:
        """Read the transitions that start at `rows` and `columns` [n] int64 of the ring.

        The ends of their episodes, and the rows after them, must be there.
        """
        self._follow(ring)
        cells = ring.cells(rows, columns)
        length = self._steps.take(cells).long()
        _, terminated, _ = self._viewed(ring, rows + length - 1, columns)
        bootstrap = (self.discount ** length.double()).float().masked_fill(terminated, 0.0)
        return transitions_of(ring, rows, columns, length, self._returns.take(cells), bootstrap)

    def _follow(self, ring: FrameRing) -> None:
        """Take in the rows written since the last time: all that are held after a resume.

        Where there are any this waits for the device: how long the episodes were sets the shapes.
        """
        if self._num_seen == ring.num_written:
            return
        if self._num_seen == 0:
            self._returns = torch.zeros_like(ring.rewards)
            self._steps = torch.zeros_like(ring.rewards, dtype=torch.int32)
            self._unfinished = [0] * ring.num_envs
        held, device = ring.held, ring.rewards.device
        new = torch.arange(max(self._num_seen, held.start), held.stop, device=device).unsqueeze(1)
        ended = self._viewed(ring, new, torch.arange(ring.num_envs, device=device))[2]
        self._num_seen = ring.num_written
        finished = ended.any(0).nonzero().squeeze(1)
        if len(finished) == 0:
            return
        columns = finished.tolist()
        first = max(held.start, min(self._unfinished[column] for column in columns))
        rows = torch.arange(first, held.stop, device=device).unsqueeze(1)
        rewards, _, ended = self._viewed(ring, rows, finished)
        returns, steps = whole_returns(rewards, ended, self.discount)
        cells = ring.cells(rows, finished)
        self._returns.put_(cells, returns)
        self._steps.put_(cells, steps)
        for column, num_left in zip(columns, (steps == 0).sum(0).tolist()):
            self._unfinished[column] = held.stop - num_left

    def _viewed(
        self, ring: FrameRing, rows: Tensor, columns: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        cells = ring.cells(rows, columns)
        return viewed_steps(ring, cells, self._view)


def whole_returns(rewards: Tensor, ended: Tensor, discount: float) -> tuple[Tensor, Tensor]:
    """Discounted returns to the episodes' ends [T, B] float32, and steps to there [T, B] int32.

    `rewards` are [T, B] float32, `ended` [T, B] bool is true on an episode's last step. Where no
    end follows there are 0 steps, and the return means nothing.

    Takes log2(T) passes, each of which doubles how many rewards a return holds. Its bits depend on
    nothing but the rewards to the episode's end, however the rows are cut.
    """
    num_rows = len(rewards)
    rows = torch.arange(num_rows, dtype=torch.int32, device=rewards.device).unsqueeze(1)
    ends = torch.where(ended, rows, num_rows).flip(0).cummin(0).values.flip(0)
    steps = torch.where(ends < num_rows, ends - rows + 1, 0).int()
    returns, span = rewards.clone(), 1
    while span < num_rows:
        further = torch.where(steps[:-span] > span, discount**span * returns[span:], 0.0)
        returns[:-span] += further
        span *= 2
    return returns, steps
