import time
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from accel.metrics.tensorboard import TensorBoardWriter


def _load(log_dir: Path) -> EventAccumulator:
    accumulator = EventAccumulator(str(log_dir))
    accumulator.Reload()
    return accumulator


def _points(log_dir: Path, tag: str) -> list[tuple[int, float]]:
    return [(event.step, event.value) for event in _load(log_dir).Scalars(tag)]


def test_points_are_on_disk_before_close(tmp_path: Path) -> None:
    writer = TensorBoardWriter(tmp_path)
    writer.write({"charts/episodic_return": 2.5, "losses/value": 1.0}, 100)
    assert _points(tmp_path, "charts/episodic_return") == [(100, 2.5)]
    writer.close()


def test_resume_hides_what_lies_beyond_and_keeps_the_rest(tmp_path: Path) -> None:
    first = TensorBoardWriter(tmp_path)
    for steps in (100, 200, 300):
        first.write({"charts/SPS": 1.0}, steps)
    first.close()
    second = TensorBoardWriter(tmp_path, resume_step=200)
    second.write({"charts/SPS": 2.0}, 250)
    second.close()
    assert _points(tmp_path, "charts/SPS") == [(100, 1.0), (200, 1.0), (250, 2.0)]


def test_a_clock_set_back_between_two_attempts_does_not_mix_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for attempt, resume_step in enumerate((None, 100, 200)):
        now = 2e9 - 5000 * attempt
        monkeypatch.setattr(time, "time", lambda now=now: now)
        writer = TensorBoardWriter(tmp_path, resume_step=resume_step)
        for steps in (100, 200):
            writer.write({"charts/SPS": attempt}, 100 * attempt + steps)
        writer.close()
    assert _points(tmp_path, "charts/SPS") == [(100, 0), (200, 1), (300, 2), (400, 2)]
    times = [event.wall_time for event in _load(tmp_path).Scalars("charts/SPS")]
    assert times == sorted(times) and times[0] >= 2e9


def test_the_config_is_a_table_and_the_pictures_are_laid_out(tmp_path: Path) -> None:
    writer = TensorBoardWriter(tmp_path)
    writer.write_config({"seed": 0, "algo": {"name": "ppo", "note": "a|b"}})
    writer.close()
    tensors = _load(tmp_path).Tags()["tensors"]
    assert "config/text_summary" in tensors
    assert "custom_scalars__config__" in tensors
    (event,) = _load(tmp_path).Tensors("config/text_summary")
    table = event.tensor_proto.string_val[0].decode()
    assert table == "|key|value|\n|-|-|\n|seed|0|\n|algo.name|ppo|\n|algo.note|a\\|b|"
