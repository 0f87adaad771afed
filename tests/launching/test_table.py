"""What is shown of a sweep, on a terminal and in a log file."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest

from accel.launching import table
from accel.launching.job import Job, State
from accel.launching.progress import Progress
from accel.launching.slots import Slot
from accel.launching.table import SweepView, count_states
from accel.metrics.console import Console


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def jobs(tmp_path: Path) -> list[Job]:
    states = [State.FINISHED, State.FAILED, State.RUNNING, State.WAITING, State.SKIPPED]
    jobs = [Job(i, f"seed={i}", [], tmp_path, 2_000_000, state) for i, state in enumerate(states)]
    jobs[2].slot = Slot(7)
    jobs[2].progress = Progress(500_000, 17.34, 1000.0)
    return jobs


@pytest.fixture
def show(monkeypatch: pytest.MonkeyPatch, jobs: list[Job]):
    """show(lines): the lines of the table on a terminal of that height."""
    monkeypatch.setenv("TERM", "xterm-256color")
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)

    def show(lines: int) -> list[str]:
        monkeypatch.setenv("COLUMNS", "100")
        monkeypatch.setenv("LINES", str(lines))
        out = Terminal()
        SweepView(jobs, Console(out)).update()
        plain = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", out.getvalue())
        return [" ".join(line.split()) for line in plain.splitlines()]

    return show


def test_the_table_has_a_line_for_each_job(show) -> None:
    lines = show(30)
    assert "1 waiting, 1 running, 1 finished, 1 skipped, 1 failed" in lines[0]
    assert "2 seed=2 7 running 500k / 2.00M 17.3 25:00" in lines
    assert "0 seed=0 finished 0 / 2.00M" in lines


def test_on_a_low_terminal_running_and_failed_jobs_come_first(show) -> None:
    text = "\n".join(show(9))
    assert "seed=1" in text and "seed=2" in text and "and 2 more jobs" in text
    assert len(show(9)) <= 9


def test_a_log_file_gets_a_summary_now_and_then(jobs, monkeypatch) -> None:
    monkeypatch.setattr(table, "_LINE_INTERVAL_S", 0.0)
    out = io.StringIO()
    SweepView(jobs, Console(out)).update()
    assert out.getvalue().splitlines() == [
        count_states(jobs),
        "  job 2 (seed=2): agent steps 500k / 2.00M | return 17.3 | ETA 25:00",
    ]


def test_skipped_jobs_are_named_at_the_start_and_the_rest_at_the_end(jobs) -> None:
    out = io.StringIO()
    view = SweepView(jobs, Console(out))
    view.start("accel: 5 jobs over 1 slots", [("slot 0", "core 3")])
    view.close()
    text = out.getvalue()
    assert text.startswith("accel: 5 jobs over 1 slots\n  slot 0  core 3\nskipped job 4 (seed=4)")
    assert "overwrite=true" in text  # it stopped short of what is asked for now
    jobs[4].exit_reason = "reached stop_at_return=18"
    view.start("again", [])
    assert "at 0 agent steps (reached stop_at_return=18), not 2,000,000" in out.getvalue()
    assert text.endswith("1 failed; the same command goes on with the rest\n")
