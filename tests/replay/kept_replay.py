"""A replay and its journal, and rollouts that are the same for all of them."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any, ClassVar

import torch

from accel.learning.sync import Alone
from accel.replay import Replay, TransitionReader
from accel.runners.replay_journal import ReplayJournal
from accel.runners.replay_segments import Segments
from tests.replay.plain_replay import RandomGames, columns_of, make_spec

ENVS, LENGTH, ROWS = 4, 4, 16
ROLLOUT_BYTES = LENGTH * ENVS * (8 + 10)  # two int32 of frame, and all else
SEGMENT_ROWS = 2 * LENGTH


class Run:
    """A replay and its journal on one rank, fed with games that are the same for all runs."""

    all: ClassVar[list[Run]] = []  # that are to be closed

    def __init__(self, folder: Path, team: Alone | None = None, num_rows: int = ROWS) -> None:
        team = team or Alone()
        self.folder, self.games = folder, RandomGames(ENVS, LENGTH, 4, seed=0)
        self.replay = Replay(
            make_spec(4),
            TransitionReader(),
            capacity=num_rows * ENVS,
            num_envs=ENVS,
            rollout_length=LENGTH,
            priority_exponent=0.5,
            ranks=team.ranks,
        )
        self.warnings: list[str] = []
        self.journal = ReplayJournal(
            self.replay, Segments(folder), team, keep_checkpoints=2, warn=self.warnings.append
        )
        self.all.append(self)

    def play(self, rollouts: int = 1) -> None:
        """And have what is due written, before the next rollout."""
        for _ in range(rollouts):
            self.add_rollout()
            self.journal.follow()
            self.settle()

    def add_rollout(self) -> None:
        columns = self.replay.columns
        self.replay.append(columns_of(self.games.rollout(), slice(columns.start, columns.stop)))

    def settle(self) -> None:
        """Let the thread come to its end, and take in what it did."""
        self.journal._writer.wait()
        self.journal.follow()

    def checkpoint(self) -> dict[str, Any]:
        state = copy.deepcopy(self.journal.save())
        self.journal.note_checkpoint()
        return state

    def resume(self, state: dict[str, Any], num_rows: int = ROWS) -> Run:
        run = Run(self.folder, num_rows=num_rows)
        run.journal.load(state)
        while run.games.num_rows < run.replay.ring.num_written:
            run.games.rollout()
        return run

    def rows(self) -> list[tuple[int, int]]:
        """Rows of each file."""
        names = sorted(path.name for path in self.folder.glob("*.pt"))
        return [tuple(int(row) for row in name.split("_")[1].split("-")) for name in names]


def assert_same(left: Replay, right: Replay) -> None:
    """The same steps in the same places, drawn the same way."""
    held = left.ring.held
    assert held == right.ring.held and len(held) > 0
    others = right.ring.copy_rows(held)
    for name, tensor in left.ring.copy_rows(held).items():
        assert torch.equal(tensor, others[name]), name
    for _ in range(3):
        (draw, record), (other_draw, other) = left.sample(20), right.sample(20)
        assert torch.equal(draw.items, other_draw.items)
        assert torch.equal(record.observations, other.observations)
