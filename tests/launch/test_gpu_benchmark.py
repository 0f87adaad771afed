"""launch/benchmark.py gpu: what it keeps, what it leaves for the next time, and its sums."""

from __future__ import annotations

import argparse
import csv
import json
import time
from argparse import Namespace
from contextlib import contextmanager
from pathlib import Path

import pytest
from benchmarks import gpu, gpu_report, report, training, until_score
from benchmarks.composing import compose_config
from benchmarks.contender import ContenderFailed
from benchmarks.parts import Part, Parts

from accel.config.derive import derive
from accel.config.machine import Machine


def part(name: str, takes_s: float = 1.0, answer: object = None) -> Part:
    def measure() -> dict:
        if answer is None:
            raise ContenderFailed(f"{name} broke")
        return {"steps_per_s": answer}

    return Part(name, takes_s, measure)


def test_what_is_measured_is_not_measured_again(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "parts.json"
    about = {"commit": "a", "machine": ("b", 2)}
    first = Parts(path, about)
    first.measure([part("one", answer=1), part("two"), part("long", 99, 3)], limit_s=10)
    assert first.failures == {"two": "two broke"}
    again = Parts(path, about)
    assert again.results == {"one": {"steps_per_s": 1}}
    again.measure([part("one", answer=5), part("two", answer=2)], limit_s=10)
    assert Parts(path, about).results == {"one": {"steps_per_s": 1}, "two": {"steps_per_s": 2}}
    assert Parts(path, about | {"commit": "c"}).results == {}


def options(**changes: object) -> Namespace:
    settings = dict(
        game="pong", device="cpu", num_envs=8, seconds=2.0, repeats=3, warm_up_s=1.0, capacity=100,
        parts=gpu.GROUPS, score_s=50.0, limit_s=1e6, output=None, batch_size=4, threads=1,
        clock="wall", measure=gpu.measure, tables=gpu.tables, finish=gpu.finish, keeps_parts=True,
    )  # fmt: skip
    return Namespace(**(settings | changes))


RESULTS = {
    "sampling, random actions": {"steps_per_s": 1000.0, "rates": [1000.0]},
    "ppo": {"steps_per_s": 900.0, "percent": {"env": 80.4, "learn": 15.0}},
    "ppo, no graphs": {"steps_per_s": 600.0},
    "score": {
        "reached": False, "score": 12.25, "wall_s": 300.0, "agent_steps": 70_000, "game": "Pong",
        "wanted": 20.0, "limit_s": 400.0,
    },
}  # fmt: skip


def test_speeds_are_shown_against_sampling_alone_and_without_graphs(tmp_path: Path) -> None:
    speeds, score = gpu_report.tables(RESULTS, options())
    assert speeds.rows == [
        ["sampling, random actions", "1,000", "1.00", "-", "-", "-", "-", "-"],
        ["ppo", "900", "0.90", "1.50", "80", "-", "-", "15"],
        ["ppo, no graphs", "600", "0.60", "-", "-", "-", "-", "-"],
    ]
    assert score.rows == [["experiment=pong_quick", "not within 400", "70,000", "12.2"]]
    gpu_report.write(tmp_path / "new" / "gpu", RESULTS)
    with (tmp_path / "new" / "gpu.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["steps_per_s"]) for row in rows] == [1000.0, 900.0, 600.0]
    assert (tmp_path / "new" / "gpu.png").stat().st_size > 1000


def test_a_command_measures_what_is_asked_for_and_keeps_it(tmp_path: Path, monkeypatch) -> None:
    asked = []

    def measure_run(arguments: dict, options: Namespace, start_s: float) -> dict:
        asked.append(arguments)
        return {"agent_steps": 100 * len(asked), "wall_s": 0.5, "percent": {"env": 50.0}}

    monkeypatch.setattr(training, "measure_run", measure_run)
    some = {name: gpu.ALGORITHMS[name] for name in ("ppo", "dqn_512")}
    monkeypatch.setattr(gpu, "ALGORITHMS", some)
    output = tmp_path / "gpu"
    for changed in ([], ["results/benchmarks/gpu_parts.json"]):  # then nothing is left to do
        code = {"head": "a", "changed": changed}
        monkeypatch.setattr(report, "record_code_state", lambda folder, code=code: code)
        assert (
            report.run(options(parts=["training", "eager"], output=output), report.origin()) is None
        )
        tables = json.loads((tmp_path / "gpu.json").read_text())["tables"]
        assert [row[:2] for row in tables[0]["rows"]] == [
            ["ppo", "200"],
            ["dqn_512", "400"],
            ["ppo, no graphs", "600"],
            ["dqn_512, no graphs", "800"],
        ]
    assert ["hardware.cuda_graphs" in arguments for arguments in asked] == [False] * 2 + [True] * 2
    assert asked[1]["experiment"] == "dqn_512" and asked[0]["sampler.num_envs"] == 8
    kept = json.loads((tmp_path / "gpu_parts.json").read_text())
    assert kept["about"]["code"] == {"head": "a", "dirty": False}


def test_a_part_that_fails_leaves_the_others_and_a_failure(tmp_path: Path, monkeypatch) -> None:
    def measure_run(arguments: dict, options: Namespace, start_s: float) -> dict:
        if arguments["algo"] == "ppo":
            raise ContenderFailed("/some/python train.py\nlast words")
        return {"agent_steps": 100, "wall_s": 0.5, "percent": {}}

    monkeypatch.setattr(training, "measure_run", measure_run)
    some = {name: gpu.ALGORITHMS[name] for name in ("ppo", "a2c")}
    monkeypatch.setattr(gpu, "ALGORITHMS", some)
    chosen, parts = options(parts=["training"]), Parts(None, {})
    with pytest.raises(ContenderFailed, match=r"last words\nfailed: ppo \(see above\)"):
        gpu.measure(chosen, parts)
    (table,) = gpu.tables(chosen, parts)
    assert [row[:2] for row in table.rows] == [["a2c", "200"]]
    assert table.notes[1:] == ["Not measured: ppo: failed"]


def test_what_there_is_no_time_for_is_left_for_the_same_command(monkeypatch) -> None:
    """A run takes 20 s to start and 5 to stop as a rule, with 1 + 2 s between."""
    monkeypatch.setattr(
        training, "measure_run", lambda *_: {"agent_steps": 9, "wall_s": 1.0, "percent": {}}
    )
    chosen, parts = options(parts=["training", "replay"], limit_s=30), Parts(None, {})
    gpu.measure(chosen, parts)
    (table,) = gpu.tables(chosen, parts)
    assert [row[0] for row in table.rows] == list(gpu.ALGORITHMS)
    assert table.notes[1:] == ["Not measured: replay: no time left; the same command goes on"]


def test_a_device_that_is_not_there_is_told_before_anything_is_overwritten() -> None:
    with pytest.raises(SystemExit, match=r"device=cuda:99\n"):
        gpu.measure(options(device="cuda:99"), Parts(None, {}))


def test_the_main_figures_fit_into_a_quarter_of_an_hour() -> None:
    """The algorithms against sampling, and the time to a score: within one command of many."""
    parser = argparse.ArgumentParser()
    gpu.add_options(parser)
    defaults = parser.parse_args([])
    plan = gpu._plan(defaults, Parts(None, {}))
    names = [part.name for part in plan]
    assert len(set(names)) == len(names) >= 10 and defaults.limit_s < 600
    assert names[:3] == ["sampling, random actions", "ppo", "score"]
    takes_s = {part.name: part.takes_s for part in plan}
    main = ["sampling, random actions", "sampling, network", "score", *gpu.ALGORITHMS]
    assert sum(takes_s[name] for name in main) < defaults.limit_s
    assert (
        sum(takes_s[name] for name in [*main, "ppo, no graphs"]) + 60 < 900 - defaults.limit_s / 2
    )


def test_the_sampler_alone_has_the_workers_of_a_run(monkeypatch) -> None:
    """Environments and groups, too: as derived of the same keys."""
    asked = []

    class Sampler:
        def __init__(self, script: str, *words: str, python: str) -> None:
            asked.append(words)

        def __enter__(self) -> Sampler:
            return self

        def __exit__(self, *error: object) -> None:
            pass

        def start(self, seconds: float) -> None:
            pass

        def finish(self, seconds: float) -> dict:
            return {"agent_steps": 300, "wall_s": 2.0}

    monkeypatch.setattr(gpu, "Contender", Sampler)
    monkeypatch.setattr(gpu.Machine, "detect", lambda device: Machine(4, 1 << 40))
    arguments = {"env.game": "breakout", "sampler.num_envs": 24, "device": "cpu"}
    config = compose_config([f"{key}={value}" for key, value in arguments.items()])
    derived = derive(config, Machine(4, 1 << 40))
    answer = gpu.sample(arguments, 2, 1.0, "cpu")
    assert answer["steps_per_s"] == 150.0
    assert answer["arguments"]["sampler.num_workers"] == derived.num_workers
    numbers = ("24", str(derived.num_workers), str(derived.num_groups))
    assert asked == [("sampler", "breakout", *numbers, "cpu")]


HEADER = "agent_steps,wall_time_s,charts/episodic_return,stats/env_percent\n"


@pytest.fixture
def scripted_run(tmp_path: Path, monkeypatch):
    """scripted_run(rows, code, exit_reason) takes a training run's place; code None: it goes on."""
    monkeypatch.setattr(time, "sleep", lambda seconds: None)

    def script(rows: str, code: int | None, exit_reason: str | None = None) -> list[dict]:
        (tmp_path / "metrics.csv").write_text(HEADER + rows)
        (tmp_path / "log").write_text("last words")
        manifest = {"exit_reason": exit_reason, "agent_steps": 320, "wall_time_s": 3.75}
        (tmp_path / "manifest.json").write_text(json.dumps(manifest))
        process, asked = Namespace(poll=lambda: code), []

        @contextmanager
        def training_run(arguments: dict):
            asked.append(arguments)
            yield training.TrainingRun(process, ["train.py"], tmp_path, tmp_path / "log")

        monkeypatch.setattr(until_score, "training_run", training_run)
        return asked

    return script


def test_a_run_that_stops_at_the_score_tells_when(scripted_run, tmp_path: Path) -> None:
    rows = "100,1.5,,9\n200,2.5,19.5,9\n300,3.5,20.5,9\n"
    asked = scripted_run(rows, 0, "reached stop_at_return=20 (mean 20.50 ...")
    answer = until_score.measure({"seed": 1}, score=20.0, limit_s=60)
    assert answer == {"reached": True, "score": 20.5, "wall_s": 3.75, "agent_steps": 320}
    assert asked == [{"seed": 1, "stop_at_return": "20"}]


def test_a_score_not_reached_is_told_with_the_best(scripted_run, tmp_path: Path) -> None:
    scripted_run("100,1.5,,9\n200,2.5,3,9\n300,3.5,-4,9\n", None)
    curve = tmp_path / "curve.csv"
    answer = until_score.measure({}, score=20.0, limit_s=0.05, curve=curve)
    assert answer == {"reached": False, "score": 3.0, "wall_s": 2.5, "agent_steps": 200}
    assert curve.read_text() == (tmp_path / "metrics.csv").read_text()
    scripted_run("100,1.5,7,9\n", 0, "reached total_agent_steps")  # the run's own end
    assert until_score.measure({}, score=20.0, limit_s=60)["score"] == 7.0


def test_a_run_that_fails_shows_its_log(scripted_run) -> None:
    scripted_run("", 1)
    with pytest.raises(ContenderFailed, match="last words"):
        until_score.measure({}, score=20.0, limit_s=60)


def test_the_time_split_leaves_out_the_warm_up(tmp_path: Path) -> None:
    metrics = tmp_path / "metrics.csv"
    metrics.write_text(HEADER + "1,10.0,,90\n2,11.0,,80\n3,12.5,,40\n4,13.0,,20\n")
    assert training.time_split(metrics, warm_up_s=2.0) == {"env": 30.0}
