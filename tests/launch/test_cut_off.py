"""Benchmarks that are cut off: what was measured is kept, shown, and not measured again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from argparse import Namespace
from pathlib import Path
from types import ModuleType

import pytest
from benchmarks import checkpoint, replay, report, sampling, scaling, training
from benchmarks.cut_off import CutOff, cut_off_by_signals
from benchmarks.parts import Parts

LAUNCH = Path(__file__).resolve().parents[2] / "launch"
OPTIONS = dict(
    games=["pong", "breakout"], seconds=1.0, repeats=3, num_envs=4, core=0, clock="wall",
    rival_python="rival", algorithms=["ppo"], systems=["accel-auto", "accel-fp32"], device="cpu",
    learners=[1, 2], num_workers=[1], cores=1, capacity=160, batch_size=4, threads=2,
)  # fmt: skip


class Bench:
    """Stands where benchmarks measure; every `patience` measurements it is cut off."""

    def __init__(self) -> None:
        self.patience, self.measured = 10**9, 0

    def measure(self, *about: object) -> int:
        """A figure that depends on what is asked alone."""
        if self.measured == self.patience:
            raise CutOff(signal.SIGTERM)
        self.measured += 1
        return 100 + sum(str(about).encode()) % 997

    def opener(self) -> type:
        """A class to take Contender's place."""
        bench = self

        class Opened:
            def __init__(self, script: str, name: str, *words: str, python: str) -> None:
                self.name, self.words, self.missing, self.versions = name, words, None, {name: "1"}

            def __enter__(self) -> Opened:
                return self

            def __exit__(self, *error: object) -> None:
                pass

            def start(self, seconds: float) -> None:
                pass

            def finish(self, seconds: float) -> dict:
                steps = bench.measure(self.name, self.words)
                return {"agent_steps": steps, "wall_s": 2.0, "cpu_s": 1.0}

        return Opened


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    bench = Bench()

    def run(*about: object) -> dict:
        return {"agent_steps": bench.measure(*about), "wall_s": 0.5}

    for kind in (sampling, replay):
        monkeypatch.setattr(kind, "Contender", bench.opener())
    monkeypatch.setattr(replay, "_resident_bytes", lambda contender: 5)
    monkeypatch.setattr(sampling, "allowed_cores", lambda: [0])
    monkeypatch.setattr(scaling, "allowed_cores", lambda: [0, 1])
    monkeypatch.setattr(scaling, "measure_run", lambda arguments, options: run(arguments))
    monkeypatch.setattr(scaling, "_time_all_reduce", lambda *about: {"ms": bench.measure(*about)})
    monkeypatch.setattr(training, "_measure_system", lambda *about: run(*about[:3]))
    monkeypatch.setattr(
        checkpoint,
        "_measure",
        lambda *about: [{"save_s": bench.measure(about[:3]) / 1e3, "state_s": 0.1, "bytes": 1}],
    )
    monkeypatch.setattr(report, "record_code_state", lambda folder: {"head": "abc123"})
    return bench


@pytest.mark.parametrize("kind", [sampling, training, scaling, checkpoint, replay])
def test_the_same_command_goes_on_with_what_is_missing(
    kind: ModuleType, bench: Bench, tmp_path: Path, capsys
) -> None:
    """Cut off again and again, each after two figures: in the end as if it had been left alone."""
    listed = {"num_envs": [4, 8]} if kind in (scaling, checkpoint) else {}
    settings = OPTIONS | listed | dict(measure=kind.measure, tables=kind.tables)
    whole = Parts(None, {})
    kind.measure(Namespace(**settings), whole)
    wanted, bench.measured, bench.patience = bench.measured, 0, 2
    assert wanted > 4
    options = Namespace(**settings, output=tmp_path / "new" / "result")
    for commands in range(1, wanted):  # noqa: B007
        ending = report.run(options, report.origin())
        found = json.loads((tmp_path / "new" / "result.json").read_text())
        if ending is None:
            break
        assert ending == 128 + signal.SIGTERM
        assert bench.measured == bench.patience
        text = (tmp_path / "new" / "result.md").read_text()
        assert text.startswith(capsys.readouterr().out.rstrip("\n"))
        bench.patience += 2
    assert commands >= 3 and bench.measured == wanted
    tables = kind.tables(Namespace(**settings), whole)
    assert [table["rows"] for table in found["tables"]] == [table.rows for table in tables]
    assert not (tmp_path / "new" / "result_parts.json").exists()  # the next one begins anew
    bench.patience = 10**9
    assert report.run(options, report.origin()) is None and bench.measured == 2 * wanted


def test_figures_of_other_code_are_measured_again(
    bench: Bench, tmp_path: Path, monkeypatch
) -> None:
    settings = OPTIONS | dict(measure=training.measure, tables=training.tables)
    options = Namespace(**settings, output=tmp_path / "result")
    bench.patience = 3
    report.run(options, report.origin())
    monkeypatch.setattr(report, "record_code_state", lambda folder: {"head": "def456"})
    bench.patience = 10**9
    assert report.run(options, report.origin()) is None
    assert bench.measured == 3 + 12


def test_before_the_first_figure_an_earlier_result_stays(bench: Bench, tmp_path: Path) -> None:
    settings = OPTIONS | dict(measure=training.measure, tables=training.tables)
    (tmp_path / "result.md").write_text("earlier")
    bench.patience = 0
    report.run(Namespace(**settings, output=tmp_path / "result"), report.origin())
    assert (tmp_path / "result.md").read_text() == "earlier"


PROGRAM = """
import sys, time
from argparse import Namespace
from pathlib import Path
sys.path.insert(0, {launch!r})
from benchmarks import contender, report
from benchmarks.contender import bound
import subprocess

report.record_code_state = lambda folder: {{"head": "abc123"}}

def measure(options, parts):
    parts.take("one", lambda: {{"figure": 1}})
    child = subprocess.Popen(bound(["/bin/sleep", "1000"]))
    try:
        parts.take("two", lambda: wait(child))
    finally:
        child.kill()

def wait(child):
    print("child", child.pid, flush=True)
    time.sleep(1000)

def tables(options, parts):
    return [report.Table("T", ["name"], [[name] for name in parts.results])]

options = Namespace(output=Path({output!r}), measure=measure, tables=tables, limit_s={limit_s})
sys.exit(report.run(options, report.origin()))
"""


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGALRM, 0),
        (signal.SIGKILL, -signal.SIGKILL),
    ],
)  # fmt: skip
def test_whatever_cuts_it_off_leaves_what_there_is(number: int, code: int, tmp_path: Path) -> None:
    """And no process; SIGALRM stands for the command's own limit."""
    limit_s = 2.0 if number == signal.SIGALRM else None
    output = tmp_path / "result"
    text = PROGRAM.format(launch=str(LAUNCH), output=str(output), limit_s=limit_s)
    process = subprocess.Popen([sys.executable, "-c", text], stdout=subprocess.PIPE, text=True)
    child = int(process.stdout.readline().split()[1])
    if limit_s is None:
        process.send_signal(number)
    shown, _ = process.communicate(timeout=30)
    assert process.returncode == code
    assert "| one" in output.with_suffix(".md").read_text()
    assert json.loads(output.with_suffix(".json").read_text())["rounds"] == [
        {"part": "one", "figure": 1}
    ]
    kept = json.loads((tmp_path / "result_parts.json").read_text())["results"]
    assert kept == {"one": {"figure": 1}}
    if number != signal.SIGKILL:
        assert "| one" in shown
    deadline = time.monotonic() + 10
    while _is_alive(child):
        assert time.monotonic() < deadline, "the child goes on"
        time.sleep(0.02)


def test_one_of_each_asks_once_and_the_same_again_ends_at_once() -> None:
    """A terminal's Ctrl-C reaches the whole group, whose first process then passes on another."""
    with pytest.raises(CutOff), cut_off_by_signals():
        try:
            signal.raise_signal(signal.SIGINT)
        finally:
            signal.raise_signal(signal.SIGTERM)  # goes on
            signal.raise_signal(signal.SIGINT)  # an echo
    text = (
        "import signal, time\n"
        "from benchmarks.cut_off import cut_off_by_signals\n"
        "with cut_off_by_signals():\n"
        "    try:\n        signal.raise_signal(signal.SIGTERM)\n"
        "    finally:\n"
        "        time.sleep(0.6)\n        signal.raise_signal(signal.SIGTERM)\n"
        "        print('goes on')\n"
    )
    path = os.pathsep.join([str(LAUNCH), str(LAUNCH.parent)])
    done = subprocess.run(
        [sys.executable, "-c", text],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (-signal.SIGTERM, "")


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False
