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
from benchmarks.contender import ContenderFailed
from benchmarks.parts import Part, Parts


def part(name: str, most_s: float = 1.0, answer: object = None) -> Part:
    def measure() -> dict:
        if answer is None:
            raise ContenderFailed(f"{name} broke")
        return {"steps_per_s": answer}

    return Part(name, most_s, measure)


def test_what_is_measured_is_not_measured_again(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "parts.json"
    about = {"commit": "a", "machine": ("b", 2)}
    first = Parts(path, about)
    left = first.measure([part("one", answer=1), part("two"), part("long", 99, 3)], limit_s=10)
    assert (left, first.failures) == (["long"], {"two": "two broke"})
    again = Parts(path, about)
    assert again.results == {"one": {"steps_per_s": 1}}
    assert again.measure([part("one", answer=5), part("two", answer=2)], limit_s=10) == []
    assert Parts(path, about).results == {"one": {"steps_per_s": 1}, "two": {"steps_per_s": 2}}
    assert Parts(path, about | {"commit": "c"}).results == {}


def options(**changes: object) -> Namespace:
    settings = dict(
        game="pong", device="cpu", num_envs=8, seconds=2.0, repeats=3, warm_up_s=1.0, capacity=100,
        parts=gpu.GROUPS, score_s=50.0, limit_s=1e6, output=None,
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
        result = report.Result()
        gpu.run(options(parts=["training", "eager"], output=output), result)
        assert [row[:2] for row in result.tables[0].rows] == [
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
    monkeypatch.setattr(report, "record_code_state", lambda folder: {})
    result = report.Result()
    with pytest.raises(ContenderFailed, match=r"last words\nfailed: ppo \(see above\)"):
        gpu.run(options(parts=["training"], output=tmp_path / "gpu"), result)
    assert [row[:2] for row in result.tables[0].rows] == [["a2c", "200"]]
    assert result.tables[0].notes[1:] == ["Not measured: ppo: failed"]


def test_a_device_that_is_not_there_is_told_before_anything_is_overwritten() -> None:
    with pytest.raises(SystemExit, match=r"device=cuda:99\n"):
        gpu.run(options(device="cuda:99"), report.Result())


def test_every_part_fits_into_a_command() -> None:
    parser = argparse.ArgumentParser()
    gpu.add_options(parser)
    defaults = parser.parse_args([])
    plan = gpu._plan(defaults)
    assert len({part.name for part in plan}) == len(plan) >= 10
    assert all(part.most_s < defaults.limit_s < 600 for part in plan)


@pytest.mark.parametrize(("num_envs", "workers"), [(64, 4), (24, 4), (20, 2), (2, 1)])
def test_as_many_workers_as_a_run_would_have(num_envs: int, workers: int, monkeypatch) -> None:
    monkeypatch.setattr(gpu, "usable_cores", lambda: 4)
    assert gpu._num_workers(options(num_envs=num_envs)) == workers


HEADER = "agent_steps,wall_time_s,charts/episodic_return,stats/env_percent\n"


@pytest.fixture
def scripted_run(tmp_path: Path, monkeypatch):
    """scripted_run(rows, code) takes a training run's place; code None: it goes on."""
    monkeypatch.setattr(time, "sleep", lambda seconds: None)

    def script(rows: str, code: int | None) -> None:
        (tmp_path / "metrics.csv").write_text(HEADER + rows)
        (tmp_path / "log").write_text("last words")
        process = Namespace(poll=lambda: code, returncode=code, args=["train.py"])

        @contextmanager
        def training_run(arguments: dict):
            yield training.TrainingRun(process, tmp_path / "metrics.csv", tmp_path / "log")

        monkeypatch.setattr(until_score, "training_run", training_run)

    return script


def test_the_first_row_that_shows_the_score_ends_the_run(scripted_run) -> None:
    scripted_run("100,1.5,,9\n200,2.5,19.5,9\n300,3.5,20.5,9\n400,4.5,21,9\n", None)
    answer = until_score.measure({}, score=20.0, limit_s=60)
    assert answer == {"reached": True, "score": 20.5, "wall_s": 3.5, "agent_steps": 300}


def test_a_score_not_reached_is_told_with_the_best(scripted_run) -> None:
    scripted_run("100,1.5,,9\n200,2.5,3,9\n300,3.5,-4,9\n", None)
    answer = until_score.measure({}, score=20.0, limit_s=0.05)
    assert answer == {"reached": False, "score": 3.0, "wall_s": 2.5, "agent_steps": 200}
    scripted_run("100,1.5,7,9\n", 0)  # the run's own end
    assert until_score.measure({}, score=20.0, limit_s=60)["score"] == 7.0


def test_a_run_that_fails_shows_its_log(scripted_run) -> None:
    scripted_run("", 1)
    with pytest.raises(ContenderFailed, match="last words"):
        until_score.measure({}, score=20.0, limit_s=60)


def test_the_time_split_leaves_out_the_warm_up(tmp_path: Path) -> None:
    metrics = tmp_path / "metrics.csv"
    metrics.write_text(HEADER + "1,10.0,,90\n2,11.0,,80\n3,12.5,,40\n4,13.0,,20\n")
    assert training.time_split(metrics, warm_up_s=2.0) == {"env": 30.0}
