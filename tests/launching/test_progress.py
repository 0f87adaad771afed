"""Reading how far a run is while it writes."""

from __future__ import annotations

from pathlib import Path

import pytest

from accel.launching.progress import NOTHING_YET, find_manifest, read_progress
from accel.metrics.csv_writer import CsvWriter


def test_the_latest_value_of_each_column_counts(tmp_path: Path) -> None:
    assert read_progress(tmp_path) == NOTHING_YET
    writer = CsvWriter(tmp_path / "metrics.csv")
    writer.write({"charts/SPS": 100}, 64)
    writer.write({"charts/SPS": 200, "charts/episodic_return": -3.5}, 128)
    writer.write({"eval/episodic_return": 1}, 192)
    progress = read_progress(tmp_path)
    assert (progress.agent_steps, progress.episodic_return) == (192, -3.5)
    assert progress.eta_s(392) == 1.0
    assert progress.eta_s(100) == 0.0


def test_only_the_end_of_a_long_file_is_read(tmp_path: Path) -> None:
    writer = CsvWriter(tmp_path / "metrics.csv")
    for step in range(3000):
        writer.write({"charts/SPS": 1.25}, step)
    assert read_progress(tmp_path).agent_steps == 2999


@pytest.mark.parametrize("cut", ["65,", "65,1.0", "65,1.0,9\n6"])
def test_a_row_being_written_is_passed_over(cut: str, tmp_path: Path) -> None:
    text = "agent_steps,wall_time_s,charts/SPS\n64,1.0,8\n"
    (tmp_path / "metrics.csv").write_text(text + cut)
    assert read_progress(tmp_path).agent_steps == (65 if "\n" in cut else 64)


@pytest.mark.parametrize("text", ["", "agent_steps,wall"])
def test_a_file_without_rows_says_nothing(text: str, tmp_path: Path) -> None:
    (tmp_path / "metrics.csv").write_text(text)
    assert read_progress(tmp_path) == NOTHING_YET


def test_no_manifest_is_no_mistake_here(tmp_path: Path) -> None:
    assert find_manifest(tmp_path) is None
    (tmp_path / "manifest.json").write_text("{")
    assert find_manifest(tmp_path) is None
