"""How far a run is, read from its folder while it goes on, without disturbing it."""

from __future__ import annotations

import csv
import os
from dataclasses import dataclass
from pathlib import Path

from accel.runs.manifest import Manifest

_TAIL_BYTES = 8192  # holds several rows of metrics.csv


@dataclass(frozen=True)
class Progress:
    """What a run has said of itself so far."""

    agent_steps: int = 0
    episodic_return: float | None = None  # mean over the last games
    steps_per_second: float | None = None

    def eta_s(self, total_agent_steps: int) -> float | None:
        """Seconds to the end at the latest speed; None before a speed is known."""
        left = max(0, total_agent_steps - self.agent_steps)
        return left / self.steps_per_second if self.steps_per_second else None


NOTHING_YET = Progress()


def read_progress(run: Path) -> Progress:
    """The latest values in a run's metrics.csv."""
    values = _latest_values(run / "metrics.csv")
    return Progress(
        agent_steps=int(values.get("agent_steps", 0)),
        episodic_return=_number(values.get("charts/episodic_return")),
        steps_per_second=_number(values.get("charts/SPS")),
    )


def find_manifest(run: Path) -> Manifest | None:
    """The run's manifest; None where there is none to be read, which the run itself explains."""
    try:
        return Manifest.read(run / "manifest.json")
    except (OSError, ValueError):
        return None


def _latest_values(path: Path) -> dict[str, str]:
    """Each column's last value among the newest rows; a row still being written is passed over."""
    try:
        with path.open("rb") as file:
            header = file.readline().decode()
            size = file.seek(0, os.SEEK_END)
            start = file.seek(max(len(header), size - _TAIL_BYTES))
            tail = file.read().decode(errors="replace")
    except OSError:
        return {}
    lines = tail[: tail.rfind("\n") + 1].splitlines()
    if start > len(header):
        lines = lines[1:]  # begins in the middle of a row
    columns = next(csv.reader([header]), [])
    values: dict[str, str] = {}
    for row in csv.reader(lines):
        if len(row) == len(columns):
            values.update({name: cell for name, cell in zip(columns, row) if cell})
    return values


def _number(text: str | None) -> float | None:
    return float(text) if text else None
