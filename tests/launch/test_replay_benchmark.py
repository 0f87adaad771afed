"""launch/benchmark.py replay: the sums behind its tables, and that its contenders draw batches."""

from __future__ import annotations

import os
import sys
from argparse import Namespace

import pytest
from benchmarks import replay
from benchmarks.contender import Contender
from benchmarks.parts import Parts
from benchmarks.report import Table

OPTIONS = Namespace(
    capacity=160,
    batch_size=4,
    threads=2,
    clock="wall",
    seconds=2.0,
    repeats=3,
    rival_python="r",
    device="cpu",
)
BATCHES = {
    ("copy", 20): [4000, 2000, 8000],
    ("ours", 160): [1000, 500, 2000],
    ("loop", 160): [250, 200, 400],
    ("ours", 20): [2000] * 3,
    ("ours", 40): [1600] * 3,
    ("ours", 80): [1000] * 3,
}
started: list[tuple[str, int]] = []


class Scripted:
    """Takes a Contender's place; round k of `BATCHES[name, frames]` is what it says it did."""

    def __init__(self, script: str, name: str, *words: str, python: str) -> None:
        self.name, self.frames, self.python = name, int(words[0]), python
        assert words[1:] == ("4", "2", "cpu")
        self.missing = "no torchrl" if name == "torchrl" else None
        self.versions = {} if self.missing else {name: "1.0"}
        self.pid = name, self.frames
        self._rounds = iter(BATCHES.get((name, self.frames), []))

    def start(self, seconds: float) -> None:
        started.append((self.name, self.frames))

    def finish(self, seconds: float) -> dict[str, float]:
        return {"agent_steps": next(self._rounds), "wall_s": 2.0, "cpu_s": 4.0}

    def __enter__(self) -> Scripted:
        return self

    def __exit__(self, *error: object) -> None:
        pass


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch):
    """measured(clock) gives the tables and the parts of a run with scripted contenders."""
    monkeypatch.setattr(replay, "Contender", Scripted)
    monkeypatch.setattr(replay, "_resident_bytes", lambda c: 5000 + 9 * c.frames)
    started.clear()

    def run(clock: str) -> tuple[list[Table], Parts]:
        options, parts = Namespace(**(vars(OPTIONS) | {"clock": clock})), Parts(None, {})
        replay.measure(options, parts)
        return replay.tables(options, parts), parts

    return run


def test_figures_are_medians_and_memory_is_what_frames_add(measured) -> None:
    (comparison, growth), parts = measured("wall")
    assert [row[1:] for row in comparison.rows] == [
        ["20", "0.50", "0.25", "1.00", "0.25", "-"],
        ["160", "2.00", "1.00", "4.00", "1.00", "9"],
        ["160", "8.00", "5.00", "10.00", "4.00", "9"],
        ["-"] * 6,
    ]
    assert "torchrl: not installed: pip install torchrl" in comparison.notes[-1]
    assert [[row[0], row[1], row[-1]] for row in growth.rows] == [
        ["20", "1.00", "1.00"],
        ["40", "1.25", "1.25"],
        ["80", "2.00", "2.00"],
        ["160", "2.00", "2.00"],
    ]
    there = [("copy", 20), ("ours", 160), ("loop", 160)]
    assert started[:9] == there + there[::-1] + there
    assert parts.results["replay, ours, round 0"] == {
        "contender": "ours",
        "frames": 160,
        "members": [{"agent_steps": 1000, "wall_s": 2.0, "cpu_s": 4.0}],
    }


def test_cpu_seconds_of_all_threads(measured) -> None:
    (table, _), _ = measured("cpu")
    assert table.rows[1][2] == "4.00" and table.columns[2] == "CPU ms a batch"


def test_only_torchrl_runs_in_the_rivals_interpreter(measured) -> None:
    pythons = {name: replay._open(name, 20, OPTIONS).python for name in replay.NAMES}
    assert pythons == {**dict.fromkeys(replay.NAMES, sys.executable), "torchrl": "r"}


@pytest.mark.parametrize("name", ["ours", "loop"])
def test_contenders_draw_batches(name: str) -> None:
    contender = Contender("replaying.py", name, "4096", "32", "1", "cpu", python=sys.executable)
    contender.start(0.02)
    assert contender.finish(0.02)["agent_steps"] >= 1
    assert replay._resident_bytes(contender) > 4096 * 7056
    contender.close()


def test_memory_of_a_process_that_has_ended_is_none() -> None:
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    assert replay._resident_bytes(Namespace(pid=child)) == 0
