"""Learning curves from metrics.csv alone: one run's points, several seeds' mean and range."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from accel.runs.folder import RunFolderError

AGENT_STEPS = "agent_steps"
WALL_TIME = "wall_time_s"
_MOST_POINTS = 400  # of a mean: more than a picture can show


@dataclass(frozen=True)
class Curve:
    """The points of one metric of one run, in the order of agent steps."""

    agent_steps: np.ndarray  # [n] float64
    wall_time_s: np.ndarray  # [n] float64
    values: np.ndarray  # [n] float64

    def against(self, axis: str) -> np.ndarray:
        """The points' places on an axis, "agent_steps" or "wall_time_s"."""
        return getattr(self, axis)


@dataclass(frozen=True)
class Band:
    """Several curves at equal places: their mean, the lowest and the highest of them."""

    places: np.ndarray  # [m] float64
    mean: np.ndarray  # [m] float64
    low: np.ndarray  # [m] float64
    high: np.ndarray  # [m] float64


def read_curve(run: Path, metric: str) -> Curve:
    """Read one column of a run's metrics.csv; log points without a value are left out.

    Raises RunFolderError where there is no file, no such column (naming those there are), or no
    value yet. A last line that is being written is passed over.
    """
    path = run / "metrics.csv"
    try:
        with path.open(encoding="utf-8", newline="") as file:
            columns, *rows = list(csv.reader(file)) or [[]]
    except FileNotFoundError:
        raise RunFolderError(f"{run} holds no metrics.csv: it has not logged anything.") from None
    if metric not in columns:
        known = ", ".join(column for column in columns if "/" in column) or "no metrics at all"
        raise RunFolderError(f"{path} has no column {metric}; it has {known}.")
    wanted = [columns.index(name) for name in (AGENT_STEPS, WALL_TIME, metric)]
    whole = [row for row in rows if len(row) == len(columns)]
    points = [[float(row[i]) for i in wanted] for row in whole if row[wanted[-1]]]
    if not points:
        raise RunFolderError(f"{path} has no value of {metric} yet.")
    return Curve(*np.array(points).T)


def band(curves: Sequence[Curve], axis: str) -> Band | None:
    """Mean and range of curves where all of them have values; None where they share no place.

    Between its points a curve is taken to be straight.
    """
    places = [curve.against(axis) for curve in curves]
    first, last = max(p[0] for p in places), min(p[-1] for p in places)
    if first >= last:
        return None
    grid = np.linspace(first, last, _MOST_POINTS)
    values = np.array([np.interp(grid, p, curve.values) for p, curve in zip(places, curves)])
    return Band(grid, values.mean(0), values.min(0), values.max(0))
