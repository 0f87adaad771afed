"""metrics.csv: one row per log point, one column per tag, for spreadsheets and pandas."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from time import perf_counter

from accel.metrics.appended import AppendedFile

_STEPS = "agent_steps"
_WALL_TIME = "wall_time_s"


class CsvWriter:
    """Appends rows that other programs can read while the run goes on.

    Columns are agent_steps, wall_time_s (seconds since the run began, less the time between a crash
    and its resume) and the tags in the order in which they first came. A tag without a value
    at a log point leaves its cell empty. A new tag adds a column: the file is then replaced by a
    wider one, which is rare and harmless to readers.
    """

    def __init__(self, path: Path, *, resume_step: int | None = None) -> None:
        """Start `path` anew, or with `resume_step` go on after cutting the rows beyond it."""
        self._path = path
        self._columns = [_STEPS, _WALL_TIME]
        rows: list[dict[str, str]] = []
        if resume_step is not None and path.exists():
            self._columns, rows = _read_until(path, resume_step)
        self._start_time = perf_counter() - (float(rows[-1][_WALL_TIME]) if rows else 0.0)
        self._file = self._rewrite(self._columns, rows)

    def write(self, metrics: Mapping[str, float], agent_steps: int) -> None:
        """Append one row; the operating system has it when this returns."""
        new_tags = [tag for tag in metrics if tag not in self._columns]
        if new_tags:
            self._add_columns(new_tags)
        row = {_STEPS: str(agent_steps), _WALL_TIME: f"{self.wall_time_s:.2f}"}
        row.update({tag: _format(value) for tag, value in metrics.items()})
        self._file.append(_lines(self._columns, [row]).encode())

    @property
    def wall_time_s(self) -> float:
        """What a row written now would have."""
        return perf_counter() - self._start_time

    def close(self) -> None:
        self._file.close()

    def _add_columns(self, tags: Sequence[str]) -> None:
        _, rows = _read(self._path)
        columns = [*self._columns, *tags]
        narrower, self._file = self._file, self._rewrite(columns, rows)
        self._columns = columns
        narrower.close()

    def _rewrite(self, columns: list[str], rows: Sequence[Mapping[str, str]]) -> AppendedFile:
        """Replace the file; where the disk refuses, it stays as it was."""
        header = dict(zip(columns, columns))
        wider = self._path.with_name(f".{self._path.name}.tmp")
        try:
            wider.write_text(_lines(columns, [header, *rows]), encoding="utf-8", newline="")
            os.replace(wider, self._path)  # a reader sees the old file or the new one, never half
        except OSError:
            wider.unlink(missing_ok=True)
            raise
        return AppendedFile(self._path)


def _read(path: Path) -> tuple[list[str], list[dict[str, str]]]:
    """Columns and whole rows of a metrics.csv, without a last line that a crash cut short."""
    text = path.read_text(encoding="utf-8").split("\0")[0]  # a power cut can leave zeros at the end
    whole = text[: text.rfind("\n") + 1]
    reader = csv.reader(io.StringIO(whole))
    columns = next(reader, [_STEPS, _WALL_TIME])
    return columns, [dict(zip(columns, cells)) for cells in reader if len(cells) == len(columns)]


def _read_until(path: Path, last_step: int) -> tuple[list[str], list[dict[str, str]]]:
    columns, rows = _read(path)
    if columns[:2] != [_STEPS, _WALL_TIME]:
        raise ValueError(f"{path} is not a file of metrics: its first columns are {columns[:2]}")
    return columns, [row for row in rows if int(row[_STEPS]) <= last_step]


def _lines(columns: Sequence[str], rows: Sequence[Mapping[str, str]]) -> str:
    buffer = io.StringIO()
    csv.DictWriter(buffer, columns, restval="", lineterminator="\n").writerows(rows)
    return buffer.getvalue()


def _format(value: float) -> str:
    """Whole numbers in full, others to eight digits: more than any curve has, less than noise."""
    number = float(value)
    return str(int(number)) if number.is_integer() else f"{number:.8g}"
