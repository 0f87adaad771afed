"""Sweeps over two slots as a user runs them: failures, Ctrl-C, what the same command does next."""

from __future__ import annotations

import os
import runpy
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from faulty_games import UPDATES_BEFORE_FAULT

from accel.launching.launcher import tell_apart
from accel.runs.reading import read_manifest
from tests.run_commands import ROOT, SLOW, SMALL, Command, wait_until

TRAIN = ROOT / "launch" / "train.py"
SWEEP = (
    *("train", "-m", "hydra/launcher=slots", "hydra.launcher.cpu_slots=2", "results_root=out"),
    *(*SMALL, *SLOW, "sampler=serial"),
)
LONG = (*SWEEP, "total_agent_steps=100000000", "seed=0,1,2")


@pytest.fixture
def type_words(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., None]:
    """Pretend the command line had these words, in an empty folder on a machine without GPUs."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setitem(sys.modules, "accel.runners.train", None)  # a mistake gone unnoticed fails
    return lambda *words: monkeypatch.setattr(sys, "argv", [str(TRAIN), *words])


def run_of(tmp_path: Path, seed: int, game: str = "none") -> Path:
    (found,) = (tmp_path / "out").glob(f"*Game-{game}-v0*/**/seed{seed}")
    return found


def wait_for_both(command: Command, tmp_path: Path, rows: int = 3) -> None:
    """Until the sweep's first two runs have logged."""

    def have_logged() -> bool:
        assert command.process.poll() is None, command.stdout + command.stderr
        logs = [*(tmp_path / "out").glob("**/metrics.csv")]
        return len(logs) == 2 and all(len(log.read_text().splitlines()) > rows for log in logs)

    wait_until(have_logged)


def status(run: Path) -> tuple[str, str]:
    data = read_manifest(run).data
    return data["status"], data["exit_reason"]


def test_a_failed_job_is_reported_and_the_others_finish(start, tmp_path) -> None:
    games = "env.game=faulty_games:Game-raise-v0,faulty_games:Game-none-v0"
    steps = 4 * 8 * (UPDATES_BEFORE_FAULT + 10)
    command = start(*SWEEP, games, f"total_agent_steps={steps}")
    command.ends_with(1)
    assert command.pids() == []
    assert "failed: job 0 (env.game=faulty_games:Game-raise-v0) (exit code 1)" in command.stdout
    assert "    ZeroDivisionError: the game divided by zero" in command.stdout
    assert command.stdout.endswith("1 finished, 1 failed\n")
    assert status(run_of(tmp_path, 0)) == ("finished", "reached total_agent_steps")
    assert status(run_of(tmp_path, 0, "raise"))[0] == "failed"
    manifest = read_manifest(run_of(tmp_path, 0)).data
    assert manifest["machine"]["cores_usable"] == len(os.sched_getaffinity(0)) // 2
    assert "finished: out/" in (run_of(tmp_path, 0) / "train.log").read_text()


def test_asked_to_stop_it_saves_and_the_same_sweep_goes_on_and_then_skips(start, tmp_path) -> None:
    words = (*SWEEP, "seed=0,1", "total_agent_steps=2400")
    first = start(*words)
    wait_for_both(first, tmp_path)
    for pid in first.pids():  # as a cluster's scheduler does it: each job is then asked two ways
        os.kill(pid, signal.SIGTERM)
    first.ends_with(0)
    assert first.pids() == []
    assert "SIGTERM: 2 jobs save and leave" in first.stdout
    assert "2 stopped; the same command goes on with the rest" in first.stdout
    runs = [run_of(tmp_path, seed) for seed in (0, 1)]
    assert [status(run)[0] for run in runs] == ["interrupted"] * 2
    left_at = [read_manifest(run).data["agent_steps"] for run in runs]

    second = start(*words)
    second.ends_with(0, within_s=120)
    assert second.stdout.endswith("2 finished\n")
    assert {status(run)[0] for run in runs} == {"finished"}
    for run, steps in zip(runs, left_at):
        log = (run / "train.log").read_text()
        assert "saved; the same command continues this run" in log
        assert f"continuing from {steps:,} agent steps" in log

    third = start(*words, "total_agent_steps=6400")
    third.ends_with(0)
    assert third.stdout.endswith("2 skipped\n")
    why = "finished at 2,400 agent steps (reached total_agent_steps), not 6,400: overwrite=true"
    assert why in third.stdout


def test_nothing_survives_a_killed_launcher(start, tmp_path) -> None:
    command = start(*LONG, "sampler=parallel")
    wait_for_both(command, tmp_path)
    assert len(command.workers()) >= 6  # two jobs, each with two workers
    command.process.kill()
    command.ends_with(-signal.SIGKILL)
    assert wait_until(lambda: command.pids() == [], within_s=20) < 10


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (["hydra.launcher.cpu_slots=0"], ["hydra.launcher.cpu_slots=0", "at least 1"]),
        (["hydra.launcher.cpu_slot=2"], ["no such key", "hydra.launcher.cpu_slots=..."]),
        (["hydra.launcher.pin=perhaps"], ["must be true or false", "hydra.launcher.pin="]),
        (["hydra.launcher.cpu_slots=1", "run_dir=x"], ["job 0 (seed=0) and job 1 (seed=1)"]),
        (["hydra.launcher.cpu_slots=1", "device=cuda"], ["torch sees 0 CUDA devices"]),
        (["hydra.sweeper.max_batch_size=1"], ["max_batch_size=1", "leave it out"]),
        (["runs_per_gpu=2"], ["hydra.launcher.runs_per_gpu=..."]),
        (["hydra/launcher=slot"], ["must be basic or slots"]),
        (["hydra/launcher=basic", "hydra.launcher.pin=false"], ["add -m hydra/launcher=slots"]),
    ],
)
def test_a_mistake_is_explained_and_exits_with_2(words, shown, type_words, capsys) -> None:
    launcher = [] if words[0].startswith("hydra/launcher") else ["hydra/launcher=slots"]
    type_words("-m", *launcher, "experiment=cartpole", "seed=0,1", *words)
    with pytest.raises(SystemExit) as stopped:
        runpy.run_path(str(TRAIN), run_name="__main__")
    assert stopped.value.code == 2
    err = capsys.readouterr().err
    for text in shown:
        assert text in err
    assert "Traceback" not in err
    assert not [*Path().glob("**/train.log")]


def test_without_m_the_launcher_is_named_as_ignored(type_words, capsys) -> None:
    type_words("hydra/launcher=slots", "algo.discount=2")
    with pytest.raises(SystemExit):
        runpy.run_path(str(TRAIN), run_name="__main__")
    err = capsys.readouterr().err
    assert "warning: hydra/launcher=slots" in err and "add -m" in err


def test_jobs_are_named_by_what_tells_them_apart() -> None:
    jobs = [["a=1", "seed=0", "b=2"], ["a=1", "seed=1", "b=2"]]
    assert tell_apart(jobs) == ["seed=0", "seed=1"]
    assert tell_apart(jobs[:1]) == [""]
    assert tell_apart([["game=a\\:b"], ["game=c"]]) == ["game=a:b", "game=c"]
