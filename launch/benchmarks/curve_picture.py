"""The picture of one run's returns, beside a copy of its metrics.csv."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from accel.runs.curves import read_curve
from accel.runs.folder import RunFolderError
from accel.runs.picture import Captions, Experiment, save_picture

_METRIC = "charts/episodic_return"


def draw(curve: Path, title: str) -> None:
    """Write `curve`.png; nothing where no game has ended yet."""
    if not curve.exists():
        return
    with tempfile.TemporaryDirectory(prefix="accel-curve-") as folder:
        shutil.copyfile(curve, Path(folder) / "metrics.csv")
        try:
            points = read_curve(Path(folder), _METRIC)
        except RunFolderError:
            return
    captions = Captions(title, "training games", "mean return of the last 100 games")
    save_picture(curve.with_suffix(".png"), [Experiment(title, [points])], captions)
