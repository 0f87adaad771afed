"""Curves read back from metrics.csv, and several seeds' mean and range."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from accel.runs.curves import AGENT_STEPS, WALL_TIME, Curve, band, read_curve
from accel.runs.folder import RunFolderError

CSV = """agent_steps,wall_time_s,charts/SPS,charts/episodic_return
100,1.5,900,
200,3.0,900,-20.5
200,3.1,,
300,4.5,900,-19
400,6.0,900,-18"""


def test_points_without_a_value_and_half_lines_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "metrics.csv").write_text(CSV + "\n500,7")
    curve = read_curve(tmp_path, "charts/episodic_return")
    assert curve.agent_steps.tolist() == [200, 300, 400]
    assert curve.wall_time_s.tolist() == [3.0, 4.5, 6.0]
    assert curve.values.tolist() == [-20.5, -19, -18]


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match=r"no metrics\.csv"):
        read_curve(tmp_path, "charts/SPS")
    (tmp_path / "metrics.csv").write_text(CSV)
    with pytest.raises(RunFolderError, match="it has charts/SPS, charts/episodic_return"):
        read_curve(tmp_path, "eval/episodic_return")


def curve(places: list[float], values: list[float], speed: float = 1.0) -> Curve:
    steps = np.array(places, float)
    return Curve(steps, steps / speed, np.array(values, float))


def test_a_band_spans_what_all_curves_share() -> None:
    first, second = curve([0, 10, 20], [0, 10, 10]), curve([10, 30], [20, 40], speed=2)
    shared = band([first, second], AGENT_STEPS)
    assert shared is not None
    assert (shared.places[0], shared.places[-1]) == (10, 20)
    assert (shared.low[0], shared.mean[0], shared.high[0]) == (10, 15, 20)
    assert (shared.low[-1], shared.mean[-1], shared.high[-1]) == (10, 20, 30)
    by_time = band([first, second], WALL_TIME)
    assert by_time is not None and (by_time.places[0], by_time.places[-1]) == (5, 15)


def test_curves_that_share_no_place_have_no_band() -> None:
    assert band([curve([0, 10], [0, 1]), curve([20, 30], [0, 1])], AGENT_STEPS) is None
    assert band([curve([5], [0]), curve([5], [1])], AGENT_STEPS) is None
