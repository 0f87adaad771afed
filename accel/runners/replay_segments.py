"""The files of a run's replay: which rows and environments each holds stands in its name."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from accel.replay import overlap
from accel.runs.atomic import remove_leftovers
from accel.runs.checkpoint import load_checkpoint, save_checkpoint
from accel.runs.checkpoint_file import DamagedCheckpoint

_NAME = re.compile(r"rows_(\d+)-(\d+)_envs_(\d+)-(\d+)\.pt")


@dataclass(frozen=True)
class Segment:
    """Rows since the start of the run, of some of all ranks' environments; ends are exclusive."""

    rows: range
    columns: range

    @property
    def name(self) -> str:
        rows, columns = self.rows, self.columns
        return (
            f"rows_{rows.start:012d}-{rows.stop:012d}"
            f"_envs_{columns.start:05d}-{columns.stop:05d}.pt"
        )

    @classmethod
    def of(cls, path: Path) -> Segment | None:
        """What a file holds; None if it is no segment."""
        match = _NAME.fullmatch(path.name)
        if match is None:
            return None
        first_row, last_row, first_column, last_column = map(int, match.groups())
        return cls(range(first_row, last_row), range(first_column, last_column))


class Segments:
    """The segments in a directory. Each rank may write and read; one alone removes."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def write(self, segment: Segment, fields: dict[str, Tensor]) -> None:
        """Raises CheckpointError where the disk refuses."""
        self.directory.mkdir(parents=True, exist_ok=True)
        save_checkpoint(self.directory / segment.name, fields)

    def read(self, rows: range, columns: range) -> Iterator[tuple[Segment, dict[str, Tensor]]]:
        """All segments that hold some of `rows` and `columns`, after checking that none is missing.

        Raises DamagedCheckpoint, naming the file, if one is missing or damaged.
        """
        wanted = [
            (path, segment)
            for path, segment in self._all()
            if overlap(segment.rows, rows) and overlap(segment.columns, columns)
        ]
        self._check_complete([segment for _, segment in wanted], rows, columns)
        for path, segment in wanted:
            yield segment, load_checkpoint(path)

    def keep(self, needed: Sequence[range]) -> None:
        """Remove all segments without any of the `needed` rows."""
        for path, segment in self._all():
            if not any(overlap(segment.rows, rows) for rows in needed):
                path.unlink(missing_ok=True)

    def remove(self) -> None:
        """Remove all."""
        shutil.rmtree(self.directory, ignore_errors=True)

    def abandon(self, first_row: int) -> None:
        """Remove the rows from `first_row` on, of a future that a resume has abandoned."""
        remove_leftovers(self.directory)
        for path, segment in self._all():
            if segment.rows.start >= first_row:
                path.unlink(missing_ok=True)

    def _all(self) -> list[tuple[Path, Segment]]:
        paths = sorted(self.directory.glob("rows_*.pt"))
        return [(path, segment) for path in paths if (segment := Segment.of(path)) is not None]

    def _check_complete(self, found: list[Segment], rows: range, columns: range) -> None:
        missing = torch.ones(len(rows), len(columns), dtype=torch.bool)
        for segment in found:
            inside = _within(rows, segment.rows), _within(columns, segment.columns)
            missing[inside] = False
        if missing.any():
            places = missing.nonzero().unbind(1)
            lost = (whole[at.min() : at.max() + 1] for whole, at in zip((rows, columns), places))
            name = Segment(*lost).name
            raise DamagedCheckpoint(
                f"the replay has a gap: no file holds what {self.directory / name} would"
            )


def _within(whole: range, part: range) -> slice:
    """Where what `part` has of `whole` lies in it."""
    common = overlap(whole, part)
    return slice(common.start - whole.start, common.stop - whole.start)
