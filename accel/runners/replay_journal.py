"""A run's replay on disk: written piece by piece while training goes on, read when it resumes.

Gigabytes written at each checkpoint would stall training, and most of them again and again. So each
rank writes the rows of its own environments once, as they come, in files of successive rows, the
segments (`replay_segments.py`). A checkpoint then writes only the rest of them, and holds what is
small: what may be drawn, with which weight, and the state of the draws.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable
from typing import Any

from accel.config.errors import ConfigError, Problem
from accel.learning.sync import Alone
from accel.replay import Replay, overlap
from accel.runners.replay_segments import Segment, Segments
from accel.runs.checkpoint_file import CheckpointError, DamagedCheckpoint
from accel.runs.disk import os_error_behind

SEGMENT_BYTES = 64 * 2**20  # on a slow disk (100 MB/s) written in less than a second


class Journal:
    """Keeps nothing: of a run without replay, or one that does not want it kept."""

    def __init__(self, segments: Segments) -> None:
        self._segments = segments

    def follow(self) -> None:
        """After each rollout: write a segment if enough has come for one.

        Raises CheckpointError where the disk refuses; as much again must come before it tries anew.
        """

    def save(self) -> dict[str, Any] | None:
        """Write what is left; what the checkpoint has to hold. All ranks call this.

        Raises CheckpointError on all ranks if one could not write.
        """
        return None

    def load(self, state: dict[str, Any] | None) -> None:
        """Go on from where `save` returned `state`, with any number of ranks. All call this.

        Raises:
            ConfigError: the replay has other sizes now.
            DamagedCheckpoint: on all ranks; rows are damaged or missing.
        """

    def note_checkpoint(self) -> None:
        """Know that a checkpoint is written that holds what `save` returned. By the first rank."""
        self.clear()  # of a time when it was kept

    def clear(self) -> None:
        """Remove everything: the run is finished. By the first rank."""
        self._segments.remove()


class ReplayJournal(Journal):
    """Keeps the rows that the newest checkpoints need, and those that the next one will."""

    def __init__(
        self,
        replay: Replay[Any],
        segments: Segments,
        team: Alone,
        keep_checkpoints: int,
        warn: Callable[[str], None],
    ) -> None:
        super().__init__(segments)
        self._replay, self._ring, self._team = replay, replay.ring, team
        self._warn = warn
        self._segment_rows = self._ring.rows_in(SEGMENT_BYTES)
        self._num_saved = 0  # rows on disk or overwritten, since the start of the run
        self._next_try = self._segment_rows
        self._needed: deque[range] = deque(maxlen=keep_checkpoints)  # rows, by the checkpoints

    def follow(self) -> None:
        if self._ring.num_written >= self._next_try:
            self._write()
            if self._team.ranks.rank == 0:
                self._tidy()

    def save(self) -> dict[str, Any]:
        self._together(self._write)
        return self._replay.state_dict()

    def note_checkpoint(self) -> None:
        self._needed.append(self._ring.held)
        self._tidy()

    def load(self, state: dict[str, Any] | None) -> None:
        if state is None:
            self._warn(
                "the replay starts empty: learning waits for algo.learning_starts steps in it"
            )
        else:
            self._load_table(state)
        held = self._ring.held
        self._num_saved, self._next_try = held.stop, held.stop + self._segment_rows
        self._needed.append(held)
        self._together(self._read)

    def _load_table(self, state: dict[str, Any]) -> None:
        try:
            self._replay.load_state_dict(state)
        except ValueError as error:
            rule = "cannot bring back a replay of other sizes or of another kind"
            fix = "the settings it was saved with, or algo.save_replay=false to start with none"
            raise ConfigError([Problem("algo.save_replay", True, rule, fix, str(error))]) from error

    def _read(self) -> None:
        """Bring the rows of this rank's environments from whichever ranks' segments hold them."""
        held, ours = self._ring.held, self._replay.columns
        if self._team.ranks.rank == 0:
            self._segments.abandon(held.stop)
        try:
            for segment, fields in self._segments.read(held, ours):
                first, last = segment.columns.start - ours.start, segment.columns.stop - ours.start
                self._ring.load_rows(fields, segment.rows, range(first, last))
        except DamagedCheckpoint as error:
            way_out = "algo.save_replay=false continues with an empty replay"
            raise DamagedCheckpoint(f"{error}; {way_out}") from error

    def _write(self) -> None:
        """Bring all rows that are held to disk."""
        held, most = self._ring.held, self._segment_rows
        self._next_try = held.stop + most
        self._num_saved = max(self._num_saved, held.start)
        while self._num_saved < held.stop:
            rows = overlap(range(self._num_saved, self._num_saved + most), held)
            self._segments.write(Segment(rows, self._replay.columns), self._ring.copy_rows(rows))
            self._num_saved = rows.stop

    def _tidy(self) -> None:
        """Remove what no checkpoint needs any more. Other ranks may be a rollout ahead of us."""
        self._segments.keep([*self._needed, range(self._ring.held.start, sys.maxsize)])

    def _together(self, act: Callable[[], None]) -> None:
        """Do what may fail on some ranks only, and fail on all then: none must wait for another."""
        failure = None
        try:
            act()
        except (CheckpointError, OSError) as error:
            failure = (error, os_error_behind(error))
        for each in self._team.gather(failure):
            if each is not None:
                error, cause = each
                raise error from cause
