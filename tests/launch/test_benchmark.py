"""launch/benchmark.py: what it writes, what it refuses, and the sums behind its tables."""

from __future__ import annotations

import json
import re
import sys
from argparse import Namespace
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import benchmark
import pytest
from benchmarks import everything, report, sampling, training, training_rivals
from benchmarks.contender import Contender, ContenderFailed
from benchmarks.parts import Parts

SMALL = ["--games", "pong", "--seconds", "0.05", "--repeats", "1", "--num-envs", "2"]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch):
    """command("sampling", ...) runs launch/benchmark.py here; what it exits with comes back."""
    code = {"head": "abc123", "changed": ["accel/types.py"]}
    monkeypatch.setattr(report, "record_code_state", lambda directory: code)  # leaves no git ref

    def run(*words: str) -> object:
        monkeypatch.setattr(sys, "argv", [benchmark.__file__, *words])
        with pytest.raises(SystemExit) as caught:
            benchmark.main()
        return caught.value.code

    return run


@pytest.fixture
def without_envpool(tmp_path: Path) -> str:
    """An interpreter that lacks EnvPool, whatever this one has."""
    (tmp_path / "envpool.py").write_text("raise ImportError('No module named envpool')\n")
    python = tmp_path / "python"
    python.write_text(
        f'#!/bin/sh\nPYTHONPATH="{tmp_path}:$PYTHONPATH" exec "{sys.executable}" "$@"\n'
    )
    python.chmod(0o755)
    return str(python)


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_sampling_writes_what_it_measured(
    command, without_envpool: str, tmp_path: Path, monkeypatch, capsys
) -> None:
    """With one rival missing; on one core of however many there are."""
    core = sampling.allowed_cores()[:1]
    monkeypatch.setattr(sampling, "allowed_cores", lambda: core)
    output = tmp_path / "deep" / "result"
    words = [*SMALL, "--rival-python", without_envpool, "--output", str(output)]
    assert command("sampling", *words) is None
    text = output.with_suffix(".md").read_text()
    assert text.startswith(capsys.readouterr().out.rstrip("\n"))
    tables = [
        [cells(line) for line in part.split("\n") if line[:1] == "|"]
        for part in text.split("**Sampling on ")[1:]
    ]
    (header, _, row), (header_of_all, _, row_of_all) = tables
    assert header == [
        "game",
        "raw act x4 (limit)",
        "accel worker",
        "raw screens to the device",
        "EnvPool",
        "ale_py vector env",
        "ours / limit",
        "raw screens / limit",
        "ours / EnvPool",
        "ours / ale_py",
    ]
    assert header_of_all == ["game", "accel workers alone", "accel sampler", "sampler / workers"]
    assert row[0] == row_of_all[0] == "pong"
    assert row[4] == row[8] == "-"
    assert "EnvPool: not installed: pip install envpool==1.2.5 (No module named envpool)" in text
    assert "commit abc123 with changes" in text
    assert f"--output {output.name}`" in text and str(tmp_path) not in text

    data = json.loads(output.with_suffix(".json").read_text())
    assert data["command"].startswith("python launch/benchmark.py sampling --games pong")
    assert data["code"] == {"head": "abc123", "dirty": True}
    assert [table["columns"] for table in data["tables"]] == [header, header_of_all]
    assert [table["rows"] for table in data["tables"]] == [[row], [row_of_all]]
    rates = {"ours": [], "raw": [], "screens": [], "ale_vector": [], "sampler": []}
    for part in data["rounds"]:
        assert part["game"] == "pong" and part["team"] == 1
        for timed in part.get("members", []):
            assert timed["wall_s"] >= 0.05 and timed["agent_steps"] % 2 == 0
            rates[part["contender"]].append(timed["agent_steps"] / timed["wall_s"])
    assert [len(rates[name]) for name in rates] == [2, 1, 1, 1, 1]
    shown = dict(raw=row[1], screens=row[3], ale_vector=row[5], sampler=row_of_all[2])
    assert {name: [f"{rate:,.0f}" for rate in rates[name]] for name in shown} == {
        name: [cell] for name, cell in shown.items()
    }
    assert [row[2], row_of_all[1]] == [f"{rate:,.0f}" for rate in rates["ours"]]


@pytest.mark.parametrize(
    "words, message",
    [
        (["sampling", "--games", "pongg"], "unknown game 'pongg': did you mean pong?"),
        (["training", "--games", "warlords"], "for two players only"),
        (["sampling", "--clock", "sun"], "invalid choice: 'sun'"),
        (["training", "--systems", "rllib"], "invalid choice: 'rllib'"),
        (["sampling", "--repeats", "0"], "0: must be a whole number from 1 on"),
        (["scaling", "--learners", "two"], "two: must be a whole number from 1 on"),
        (["sampling", "--core", "9999"], "invalid choice: 9999"),
        (["training", "--cleanrl", "no-such-folder"], "no-such-folder: no such folder"),
        (["training", "--rival-python", "no-such-python"], "no-such-python: no such program"),
        ([], "required: kind"),
    ],
)
def test_wrong_words_are_refused(command, capsys, words: list[str], message: str) -> None:
    assert command(*words) == 2
    assert message in capsys.readouterr().err


class Scripted:
    """Takes a Contender's place; round k of `rates[name, game]` is what it says it did."""

    rates: dict[tuple[str, str], list[float]]
    started: list[str]

    def __init__(self, script: str, name: str, game: str, *arguments: str, python: str) -> None:
        self.name, self.game, self.python = name, game, python
        self.rounds = iter(self.rates.get((name, game), []))
        self.missing = None if (name, game) in self.rates else f"no {name}"
        self.versions = {} if self.missing else {name: "1.0"}

    def start(self, seconds: float) -> None:
        self.started.append(self.name)

    def finish(self, seconds: float) -> dict[str, float]:
        rate = next(self.rounds)
        if rate < 0:
            raise ContenderFailed(f"{self.name} ended:\nboom")
        return {"agent_steps": rate * 2, "wall_s": 2.0, "cpu_s": 1.0}

    def __enter__(self) -> Scripted:
        return self

    def __exit__(self, *error: object) -> None:
        pass


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch):
    """scripted(rates) makes contenders say those; two cores."""
    monkeypatch.setattr(sampling, "Contender", Scripted)
    monkeypatch.setattr(sampling, "allowed_cores", lambda: [0, 1])

    def say(rates: dict[tuple[str, str], list[float]]) -> list[str]:
        monkeypatch.setattr(Scripted, "rates", rates, raising=False)
        monkeypatch.setattr(Scripted, "started", [], raising=False)
        return Scripted.started

    return say


def options(**changes: object) -> Namespace:
    settings = dict(games=["pong"], seconds=1.0, repeats=3, num_envs=4, core=0, clock="wall")
    return Namespace(**(settings | {"rival_python": "rival"} | changes))


ORIGIN = {
    "command": "python launch/benchmark.py sampling",
    "date": "2026-01-01",
    "code": {"head": "abc123", "dirty": False},
    "machine": {
        "gpus": [], "cpu_model": "a", "cores_usable": 1, "memory_gb": 1, "platform": "b",
        "python": "3.12",
    },
    "versions": {},
    "load_average_before": 0.0,
}  # fmt: skip


def measured(kind: ModuleType, options: Namespace) -> Parts:
    """Everything that the benchmark measures."""
    parts = Parts(None, {})
    kind.measure(options, parts)
    return parts


PONG = {
    ("raw", "pong"): [2000, 1000, 4000],
    ("ours", "pong"): [900, 1500, 5000],
    ("screens", "pong"): [1960, 1, 3000],
    ("ale_vector", "pong"): [1200, 1000, 1],
    ("sampler", "pong"): [2400, 1, 9999],
}


def test_figures_are_medians_and_their_ratios(scripted, tmp_path: Path) -> None:
    scripted(
        PONG
        | {
            ("ours", "breakout"): [300] * 3,
            ("raw", "breakout"): [400] * 3,
            ("screens", "breakout"): [390] * 3,
            ("envpool", "breakout"): [150] * 3,
            ("sampler", "breakout"): [500] * 3,
        }
    )
    both = options(games=["pong", "breakout"])
    parts = measured(sampling, both)
    one_core, all_cores = sampling.tables(both, parts)
    assert one_core.rows == [
        ["pong", "2,000", "1,500", "1,960", "-", "1,000", "0.75", "0.98", "-", "1.50"],
        ["breakout", "400", "300", "390", "150", "-", "0.75", "0.97", "2.00", "-"],
    ]
    # On two cores the workers' rates of a round add up, then comes the median.
    assert all_cores.rows == [
        ["pong", "3,000", "2,400", "0.80"],
        ["breakout", "600", "500", "0.83"],
    ]
    missing = [note for note in one_core.notes if "not installed" in note]
    assert [note.split(":")[0] for note in missing] == ["EnvPool", "ale_py vector env"]
    report.write(tmp_path / "result", ORIGIN, [one_core], parts)
    versions = json.loads((tmp_path / "result.json").read_text())["rival_versions"]
    known = {"raw", "ours", "screens", "ale_vector", "envpool", "sampler"}
    assert versions.keys() == known
    assert "wall-clock second" in one_core.title


def test_cpu_seconds_on_one_core_alone(scripted) -> None:
    scripted(PONG)
    chosen = options(clock="cpu")
    one_core, all_cores = sampling.tables(chosen, measured(sampling, chosen))
    assert one_core.rows[0][1:3] == ["4,000", "3,000"]  # half a CPU second each
    assert all_cores.rows[0][1:3] == ["3,000", "2,400"]
    assert "per CPU second" in one_core.title


def test_rounds_go_back_and_forth(scripted) -> None:
    started = scripted(PONG)
    measured(sampling, options())
    there = ["raw", "ours", "screens", "ale_vector"]
    assert started[:12] == there + there[::-1] + there
    assert started[12:] == ["ours", "ours", "sampler", "sampler", *["ours"] * 4, "sampler"]


def test_only_envpool_runs_in_the_rivals_interpreter(scripted, monkeypatch) -> None:
    scripted(PONG)
    opened = [sampling._open_stepper(name, "pong", options(), 0) for name in sampling.COLUMNS]
    assert [contender.python for contender in opened if contender.name == "envpool"] == ["rival"]
    assert {c.python for c in opened if c.name != "envpool"} == {sys.executable}


def test_a_failure_keeps_what_was_measured_before(scripted, command, tmp_path: Path) -> None:
    scripted(PONG | {("ours", "breakout"): [-1]})
    output = tmp_path / "result"
    said = command(
        "sampling", "--games", "pong", "breakout", "--repeats", "3", "--output", str(output)
    )
    assert said == "benchmark: ours ended:\nboom"  # which Python prints, and exits with 1
    tables = json.loads(output.with_suffix(".json").read_text())["tables"]
    assert [row[0] for table in tables for row in table["rows"]] == ["pong", "pong"]


def test_a_process_that_breaks_down_says_why(tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho no such thing >&2\nexit 3\n")
    python.chmod(0o755)
    with pytest.raises(ContenderFailed, match=r"^envpool ended:\nno such thing\n$"):
        Contender("stepping.py", "envpool", "pong", "1", "0", python=str(python))


@pytest.mark.parametrize(
    "ours, other, shown",
    [(300.0, 200.0, "1.50"), (1.0, 3.0, "0.33"), (None, 2.0, "-"), (2.0, None, "-"), (2.0, 0, "-")],
)
def test_ratios(ours: float | None, other: float | None, shown: str) -> None:
    assert sampling._ratio(ours, other) == shown


def test_training_compares_with_the_faster_rival() -> None:
    rates = {
        "accel-auto": [500, 100, 900],
        "accel-fp32": "gone",
        "sb3-dummy": [100, 300, 200],
        "sb3-subproc": [250, 1, 1251],
    }
    table = training._table("ms_pacman", "ppo", rates)
    assert table.title.startswith("PPO on Ms. Pac-Man, 8 environments x 128 steps")
    assert table.rows == [
        ["accel, precision=auto", "500", "100", "900", "2.00"],
        ["accel, precision=fp32", "-", "-", "-", "-"],
        ["stable-baselines3, in one process", "200", "100", "300", "0.80"],
        ["stable-baselines3, subprocesses", "250", "1", "1,251", "1.00"],
    ]
    assert table.notes == ["accel, precision=fp32: gone"]
    alone = training._table("pong", "a2c", {"accel-auto": [1000]})
    assert alone.rows == [["accel, precision=auto", "1,000", "1,000", "1,000", "-"]]


def test_training_measures_in_turns_and_says_what_is_missing(monkeypatch) -> None:
    turns = []

    def ours(game: str, algorithm: str, variant: str, options: Namespace) -> dict:
        turns.append(f"accel-{variant}")
        return {"agent_steps": 100 * len(turns), "wall_s": 0.5}

    def script(program: training_rivals.Program, game: str, options: Namespace) -> dict:
        turns.append("cleanrl")
        assert program is training_rivals.CLEANRL
        return {"agent_steps": 75, "wall_s": 0.5, "versions": {"y": "3"}}

    def theirs(game: str, algorithm: str, variant: str, options: Namespace) -> dict:
        turns.append(f"sb3-{variant}")
        if variant == "dummy":
            return {"missing": "No module named x"}
        return {"agent_steps": 50, "wall_s": 0.5, "versions": {"x": "2"}}

    monkeypatch.setattr(training, "_measure_accel", ours)
    monkeypatch.setattr(training, "measure_sb3", theirs)
    monkeypatch.setattr(training, "measure_program", script)
    systems = ["accel-auto", "sb3-dummy", "sb3-subproc", "cleanrl"]
    chosen = options(algorithms=["ppo"], systems=systems, repeats=2)
    parts = measured(training, chosen)
    assert turns == systems + systems[::-1]
    (table,) = training.tables(chosen, parts)
    # Ours: the median of 200 and 1,600.
    assert [row[1] for row in table.rows] == ["900", "-", "100", "150"]
    assert table.rows[0][-1] == "6.00"
    assert "pip install stable-baselines3" in table.notes[0] and "module named x" in table.notes[0]
    versions = [answer["versions"] for answer in parts.results.values() if "versions" in answer]
    assert versions == [{"x": "2"}, {"y": "3"}, {"y": "3"}, {"x": "2"}]


def test_programs_with_ppo_alone_sit_out_the_rest(monkeypatch) -> None:
    monkeypatch.setattr(training, "_measure_accel", lambda *_: {"agent_steps": 1, "wall_s": 1.0})
    systems = ["accel-auto", "cleanrl", "sample-factory"]
    chosen = options(algorithms=["a2c"], systems=systems, repeats=1)
    (table,) = training.tables(chosen, measured(training, chosen))
    assert [row[0] for row in table.rows] == ["accel, precision=auto"]


COUNTED = replace(training_rivals.CLEANRL, progress=re.compile(r"frames: (\d+)"), steps_per_line=0)


@pytest.mark.parametrize(
    "program, lines",
    [
        (training_rivals.CLEANRL, ["start", "SPS: 1", "SPS: 2", "noise", "SPS: 3", "SPS: 4"]),
        (COUNTED, ["frames: 0", *(f"all frames: {1024 * k} in 5 s" for k in (1, 2, 3, 4))]),
    ],
)
def test_a_program_is_timed_by_what_it_prints(monkeypatch, program, lines: list[str]) -> None:
    """Progress every 2 s: warm from the second sign on, measured up to the fourth."""
    clock = iter(range(10, 100, 2))
    signs = {line for line in lines if program.progress.search(line)}
    monkeypatch.setattr(training_rivals.time, "monotonic", lambda: next(clock))
    measured = training_rivals.watch(iter(lines), program, warm_up_s=1.5, seconds=3)
    assert measured == {"agent_steps": 2048, "wall_s": 4} and len(signs) >= 4


def test_a_program_that_ends_early_shows_its_last_words() -> None:
    lines = iter(["SPS: 1\n", "out of memory\n"])
    with pytest.raises(
        ContenderFailed, match="CleanRL's script ended before its time:\nSPS: 1\nout of mem"
    ):
        training_rivals.watch(lines, training_rivals.CLEANRL, warm_up_s=0, seconds=1)


def test_a_program_runs_with_the_games_and_leaves_nothing_behind(tmp_path: Path) -> None:
    script = tmp_path / "cleanrl" / "ppo_atari.py"
    script.parent.mkdir()
    script.write_text(
        "import subprocess, sys, time\n"
        "import gymnasium\n"
        "assert gymnasium.spec(sys.argv[3]).id == 'PongNoFrameskip-v4', sys.argv\n"
        "child = subprocess.Popen(['sleep', '100'])\n"
        f"open({str(tmp_path / 'child')!r}, 'w').write(str(child.pid))\n"
        "while True:\n    print('SPS:', 1)\n    time.sleep(0.05)\n"
    )
    chosen = options(
        cleanrl=str(tmp_path), script_python=sys.executable, device="cpu", warm_up_s=0, seconds=0.2
    )
    answer = training_rivals.measure_program(training_rivals.CLEANRL, "pong", chosen)
    assert answer["agent_steps"] > 0 and answer["agent_steps"] % 1024 == 0
    assert answer["wall_s"] >= 0.2 and "ale-py" in answer["versions"]["CleanRL's script"]
    child = Path("/proc") / (tmp_path / "child").read_text() / "stat"
    assert not child.exists() or child.read_text().split()[2] == "Z"


def test_a_program_that_is_not_there_is_missing(tmp_path: Path) -> None:
    chosen = options(
        cleanrl=str(tmp_path), script_python=sys.executable, device="cpu", warm_up_s=0, seconds=1
    )
    answer = training_rivals.measure_program(training_rivals.CLEANRL, "pong", chosen)
    assert answer == {"missing": f"no {tmp_path}/cleanrl/ppo_atari.py"}


def test_metrics_are_read_up_to_the_last_whole_row(tmp_path: Path) -> None:
    metrics = tmp_path / "metrics.csv"
    assert training._read_progress(metrics) == []
    metrics.write_text("agent_steps,loss,wall_time_s\n640,0.1,1.5\n1280,0.2,2.75\n1920,0.3,4")
    assert training._read_progress(metrics) == [(640, 1.5), (1280, 2.75)]


def test_warm_up_is_left_out(tmp_path: Path, monkeypatch) -> None:
    """Two seconds of it, then at least three measured."""
    monkeypatch.setattr(training.time, "sleep", lambda seconds: None)
    reads = iter([[], [(10, 1.0)], [(10, 1.0), (20, 2.9), (30, 3.0), (55, 5.9)]])
    rows = [(10, 1.0), (20, 2.9), (30, 3.0), (55, 5.9), (60, 6.5)]
    monkeypatch.setattr(training, "_read_progress", lambda path: next(reads, rows))
    run = training.TrainingRun(Namespace(poll=lambda: None), ["train"], tmp_path, tmp_path / "log")
    answer = training._watch_metrics(run, options(warm_up_s=2.0, seconds=3.0), 9)
    assert answer == {"agent_steps": 30, "wall_s": 3.5}


def test_a_run_that_ends_early_shows_its_log(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("out of memory")
    command = ["train.py", "env.game=pong"]
    ended = training.TrainingRun(Namespace(poll=lambda: 1), command, tmp_path, tmp_path / "log")
    with pytest.raises(ContenderFailed, match=r"train\.py env\.game=pong\nout of memory"):
        training._watch_metrics(ended, options(warm_up_s=0.0), 9)


def test_tables_are_aligned_markdown() -> None:
    table = report.Table("Title", ["name", "x"], [["a", "1,000"], ["longer", "-"]], ["A note."])
    assert table.markdown() == (
        "**Title**\n\n"
        "| name   |     x |\n"
        "| ------ | ----- |\n"
        "| a      | 1,000 |\n"
        "| longer |     - |\n\n"
        "A note.\n"
    )


def test_all_runs_the_others_and_names_those_that_failed(command, tmp_path: Path, monkeypatch):
    calls: list[list[str]] = []

    def call(words: list[str]) -> int:
        calls.append(words[2:])
        return int(words[2] == "replay")

    monkeypatch.setattr(everything, "_call", call)
    monkeypatch.setattr(everything.torch.cuda, "is_available", lambda: False)
    said = command("all", "--folder", str(tmp_path), "--rival-python", sys.executable)
    assert said == "benchmark: failed: replay (see above)"
    assert [words[0] for words in calls] == list(everything._KINDS)
    for kind, flag, output, *rivals in calls:
        assert (flag, output) == ("--output", str(tmp_path / kind))
        assert bool(rivals) == (kind != "checkpoint")
        monkeypatch.setattr(sys, "argv", [benchmark.__file__, kind, flag, output, *rivals])
        assert benchmark._parse().kind == kind  # the benchmark knows its options
