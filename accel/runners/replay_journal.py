"""A run's replay on disk: written piece by piece while training goes on, read when it resumes.

Gigabytes written at each checkpoint would stall training, and most of them again and again. So each
rank writes the rows of its own environments once, as they come, in files of successive rows, the
segments (`replay_segments.py`), in a thread (`segment_writer.py`). A checkpoint then writes only
the rest of them, and holds what is small: what may be drawn, with which weight, and the state of
the draws.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

from torch import Tensor

from accel.config.errors import ConfigError, Problem
from accel.learning.sync import Alone
from accel.replay import Replay, overlap
from accel.runners.replay_segments import Segment, Segments
from accel.runners.segment_writer import SegmentWriter
from accel.runs.checkpoint_file import CheckpointError, DamagedCheckpoint
from accel.runs.disk import os_error_behind

SEGMENT_BYTES = 64 * 2**20  # on a slow disk (100 MB/s) written in less than a second


class Journal:
    """Keeps nothing: of a run without replay, or one that does not want it kept."""

    def __init__(self, segments: Segments) -> None:
        self._segments = segments

    def follow(self) -> None:
        """After each rollout: have a segment written if enough has come for one. Waits for nothing.

        Raises CheckpointError where the disk has refused one that was given to it before; as much
        again must come before it tries anew.
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

    def close(self) -> None:
        """End what is done beside training; what was not written by then is lost."""


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
        self._writer = SegmentWriter(self._ring, self._segment_rows)
        self._num_saved = 0  # rows on disk or overwritten, since the start of the run
        self._num_given = 0  # or on their way there
        self._next_try = 0  # rows that must have come before there is another, after a failure
        self._needed: deque[range] = deque(maxlen=keep_checkpoints)  # rows, by the checkpoints

    def follow(self) -> None:
        failure = self._note_written()
        if failure is not None:
            self._num_given = self._num_saved
            self._next_try = self._ring.num_written + self._segment_rows
            raise failure
        while self._writer.has_room and self._ring.num_written >= self._next_try:
            start = max(self._num_given, self._ring.held.start)
            rows = range(start, start + self._segment_rows)
            if rows.stop > self._ring.num_written:
                return
            self._writer.give(rows, partial(self._write_segment, rows, self._needed_now()))
            self._num_given = rows.stop

    def close(self) -> None:
        self._writer.close()

    def save(self) -> dict[str, Any]:
        self._together(self._write)
        return self._replay.state_dict()

    def note_checkpoint(self) -> None:
        self._needed.append(self._ring.held)
        self._segments.keep(self._needed_now())

    def load(self, state: dict[str, Any] | None) -> None:
        if state is None:
            self._warn(
                "the replay starts empty: learning waits for algo.learning_starts steps in it"
            )
        else:
            self._load_table(state)
        held = self._ring.held
        self._num_saved = self._num_given = held.stop
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
        """Bring all rows that are held to disk; what the thread could not write is tried again."""
        self._writer.wait()
        failure = self._note_written()
        if failure is not None and not isinstance(failure, CheckpointError | OSError):
            raise failure
        held, most = self._ring.held, self._segment_rows
        self._next_try = held.stop + most
        self._num_saved = self._num_given = max(self._num_saved, held.start)
        while self._num_saved < held.stop:
            rows = overlap(range(self._num_saved, self._num_saved + most), held)
            self._segments.write(Segment(rows, self._replay.columns), self._ring.copy_rows(rows))
            self._num_saved = self._num_given = rows.stop

    def _write_segment(self, rows: range, needed: list[range], fields: dict[str, Tensor]) -> None:
        """In the thread: write these rows, and remove what no checkpoint needs any more."""
        self._segments.write(Segment(rows, self._replay.columns), fields)
        if self._team.ranks.rank == 0:
            self._segments.keep(needed)

    def _note_written(self) -> BaseException | None:
        """Take in what the thread has done; the first error that it met."""
        failure = None
        for piece in self._writer.collect():
            reached = max(self._num_saved, self._ring.held.start)
            if piece.error is not None:
                failure = failure or piece.error
            elif piece.rows.start <= reached:  # none is missing that is held, and comes before it
                self._num_saved = max(reached, piece.rows.stop)
        return failure

    def _needed_now(self) -> list[range]:
        """The rows of the checkpoints, and of the next one. Other ranks may be a rollout ahead."""
        return [*self._needed, range(self._ring.held.start, sys.maxsize)]

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
