import subprocess
import sys
from collections.abc import Mapping

import pytest

from accel.metrics.writers import Writers


class _Recorder:
    def __init__(self, error: Exception | None = None) -> None:
        self.written: list[tuple[dict[str, float], int]] = []
        self.is_closed = False
        self._error = error

    def write(self, metrics: Mapping[str, float], agent_steps: int) -> None:
        self.written.append((dict(metrics), agent_steps))

    def close(self) -> None:
        self.is_closed = True
        if self._error is not None:
            raise self._error


def test_everything_goes_everywhere() -> None:
    recorders = [_Recorder(), _Recorder()]
    writers = Writers(recorders)
    writers.write({"a": 1.0}, 10)
    writers.close()
    for recorder in recorders:
        assert recorder.written == [({"a": 1.0}, 10)] and recorder.is_closed


def test_all_are_closed_even_if_one_fails() -> None:
    recorders = [_Recorder(OSError("disk")), _Recorder()]
    with pytest.raises(OSError, match="disk"):
        Writers(recorders).close()
    assert recorders[1].is_closed


def test_the_room_needs_no_torch_but_for_tensorboard() -> None:
    rooms = "console, csv_writer, episodes, reduce, timers, writers"
    code = f"import sys; from accel.metrics import {rooms}; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
