import errno
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


class _Full(_Recorder):
    is_full = True

    def write(self, metrics: Mapping[str, float], agent_steps: int) -> None:
        if self.is_full:
            raise OSError(errno.ENOSPC, "No space left on device")
        super().write(metrics, agent_steps)


def test_a_full_disk_costs_points_and_one_word_each_time() -> None:
    said: list[str] = []
    full, other = _Full(), _Recorder()
    writers = Writers([full, other], said.append)
    for steps, full.is_full in enumerate((True, True, False, True)):
        writers.write({"a": 1.0}, steps)
    assert [steps for _, steps in full.written] == [2]
    assert [steps for _, steps in other.written] == [0, 1, 2, 3]
    assert len(said) == 2 and "_Full cannot write: No space left" in said[0]


def test_the_room_needs_no_torch_but_for_tensorboard() -> None:
    rooms = "appended, clock, console, csv_writer, episodes, reduce, timers, writers"
    code = f"import sys; from accel.metrics import {rooms}; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
