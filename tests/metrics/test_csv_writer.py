import csv
import errno
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

from accel.metrics import csv_writer as csv_module
from accel.metrics.csv_writer import CsvWriter


def _read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_each_row_is_readable_at_once(tmp_path: Path) -> None:
    writer = CsvWriter(tmp_path / "metrics.csv")
    writer.write({"losses/value": 0.25, "charts/frames": 4e9}, 1000)
    (row,) = _read(tmp_path / "metrics.csv")
    assert row["agent_steps"] == "1000"
    assert float(row["wall_time_s"]) >= 0
    assert (row["losses/value"], row["charts/frames"]) == ("0.25", "4000000000")
    writer.close()


def test_a_new_tag_widens_the_file_and_an_absent_one_leaves_a_gap(tmp_path: Path) -> None:
    writer = CsvWriter(tmp_path / "metrics.csv")
    writer.write({"a": 1}, 1)
    writer.write({"a": 2, 'odd,"tag"': 2.5}, 2)
    writer.write({'odd,"tag"': math.nan, "b": math.inf}, 3)
    writer.close()
    rows = _read(tmp_path / "metrics.csv")
    assert list(rows[0]) == ["agent_steps", "wall_time_s", "a", 'odd,"tag"', "b"]
    assert [row["a"] for row in rows] == ["1", "2", ""]
    assert [row['odd,"tag"'] for row in rows] == ["", "2.5", "nan"]
    assert rows[2]["b"] == "inf"
    assert [entry.name for entry in tmp_path.iterdir()] == ["metrics.csv"]


def test_resume_cuts_what_lies_beyond_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [50.0]
    monkeypatch.setattr(csv_module, "perf_counter", lambda: now[0])
    path = tmp_path / "metrics.csv"
    writer = CsvWriter(path)
    for steps in (100, 200, 300):
        now[0] += 10
        writer.write({"a": steps}, steps)
    writer.close()
    now[0] = 7.0  # another process, another clock
    writer = CsvWriter(path, resume_step=200)
    now[0] += 5
    assert writer.wall_time_s == 25
    writer.write({"a": 250, "b": 1}, 250)
    writer.close()
    rows = _read(path)
    assert [row["agent_steps"] for row in rows] == ["100", "200", "250"]
    assert [float(row["wall_time_s"]) for row in rows] == [10, 20, 25]
    assert [row["b"] for row in rows] == ["", "", "1"]


@pytest.mark.parametrize("torn", ["300,1", "300,1.5,", '300,"', "3", "300\0\0\n\0"])
def test_resume_drops_a_last_line_cut_short(tmp_path: Path, torn: str) -> None:
    path = tmp_path / "metrics.csv"
    path.write_text(f"agent_steps,wall_time_s,a\n100,1,5\n{torn}")
    writer = CsvWriter(path, resume_step=1000)
    writer.write({"a": 6}, 1100)
    writer.close()
    assert [(row["agent_steps"], row["a"]) for row in _read(path)] == [("100", "5"), ("1100", "6")]


def test_resume_without_a_file_starts_one(tmp_path: Path) -> None:
    CsvWriter(tmp_path / "metrics.csv", resume_step=100).close()
    assert _read(tmp_path / "metrics.csv") == []


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "metrics.csv").write_text("name,score\nme,1\n")
    with pytest.raises(ValueError, match=r"metrics\.csv is not a file of metrics"):
        CsvWriter(tmp_path / "metrics.csv", resume_step=100)
    assert (tmp_path / "metrics.csv").read_text() == "name,score\nme,1\n"


def test_rows_survive_a_kill(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys; from pathlib import Path\n"
        "from accel.metrics.csv_writer import CsvWriter\n"
        "writer = CsvWriter(Path(sys.argv[1]))\n"
        "writer.write({'a': 1}, 1); writer.write({'a': 2}, 2)\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "metrics.csv")], check=False)
    assert [row["a"] for row in _read(tmp_path / "metrics.csv")] == ["1", "2"]


def test_a_row_that_does_not_fit_leaves_no_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "metrics.csv"
    writer = CsvWriter(path)
    writer.write({"a": 1}, 100)
    write = os.write

    def write_half(descriptor: int, data: memoryview) -> int:
        if len(data) < 4:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(descriptor, data[: len(data) // 2])

    for metrics in ({"a": 2}, {"a": 2, "b": 3}):
        monkeypatch.setattr(os, "write", write_half)
        if "b" in metrics:
            monkeypatch.setattr(Path, "write_text", lambda *a, **k: write_half(0, memoryview(b"")))
        with pytest.raises(OSError, match="No space"):
            writer.write(metrics, 200)
        monkeypatch.undo()
    writer.write({"a": 4, "b": 5}, 300)
    writer.close()
    assert [(row["agent_steps"], row["a"], row["b"]) for row in _read(path)] == [
        ("100", "1", ""),
        ("300", "4", "5"),
    ]
