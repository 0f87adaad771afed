"""Runs that end where their training games are good enough."""

from __future__ import annotations

import os
import re
import signal
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from accel.config.derive import derive
from accel.config.describe import describe
from accel.config.machine import Machine
from accel.runners.train import train
from accel.runs.checkpoint import load_checkpoint
from accel.runs.folder import RunFolderError
from accel.runs.reading import find_checkpoint, read_manifest
from tests.run_commands import CATCH, SMALL, words
from tests.runners.run_results import results, rows

# One small update a rollout of 16 steps. Random play scores about -0.75, never below -1: the first
# 100 games are enough.
EASY = words("algo=a2c stop_at_return=-0.99 total_agent_steps=4000 eval_interval_agent_steps=0")


def window(run: Path) -> dict:
    return load_checkpoint(find_checkpoint(run, "last")[0])["records"]["games"]


def test_a_run_ends_when_its_last_100_games_average_the_goal(
    make_config, tmp_path: Path, capsys
) -> None:
    """8 games in each 9 steps: the 100th ends in the eighth rollout of 16 steps."""
    run = tmp_path / "run"
    train(make_config(*CATCH, *EASY))
    manifest, state = read_manifest(run).data, window(run)
    assert manifest["status"] == "finished" and manifest["agent_steps"] == 8 * 16 * 8
    mean = sum(state["returns"]) / 100
    seconds = manifest["wall_time_s"]
    reason = (
        f"reached stop_at_return=-0.99 (mean {mean:.2f} of the last 100 games) at 1,024 agent "
        f"steps, {seconds / 60:.1f} minutes of training"
    )
    assert manifest["exit_reason"] == reason
    assert reason in capsys.readouterr().out
    assert float(rows(run)[-1]["wall_time_s"]) == pytest.approx(seconds, abs=5)
    assert int(rows(run)[-1]["agent_steps"]) == 1024
    with pytest.raises(RunFolderError, match=r"is finished.*fork=.*stop_at_return"):
        train(make_config(*CATCH, "stop_at_return=0.9"))


def test_it_ends_at_the_same_step_however_seldom_it_logs(make_config, tmp_path: Path) -> None:
    for name, interval in (("often", "0.001"), ("seldom", "1000")):
        train(make_config(*CATCH, *EASY, f"log_interval_s={interval}", run_dir=tmp_path / name))
    one, other = (results(tmp_path / name) for name in ("often", "seldom"))
    for name, weights in one["model"].items():
        assert torch.equal(other["model"][name], weights)
    assert len(rows(tmp_path / "seldom")) == 1


@pytest.mark.parametrize(
    ("goal", "steps"), [("stop_at_return=-0.99", 896), ("stop_at_return=1.1", 1280)]
)
def test_fewer_games_or_lower_scores_do_not_end_it(goal, steps, make_config, tmp_path) -> None:
    train(make_config(*CATCH, *EASY, goal, f"total_agent_steps={steps}"))
    manifest = read_manifest(tmp_path / "run").data
    assert manifest["exit_reason"] == "reached total_agent_steps"
    games = window(tmp_path / "run")["total"]
    assert games < 100 if steps == 896 else games > 100


def test_a_resumed_run_counts_the_games_from_before(start, tmp_path: Path) -> None:
    """And its minutes; the goal can be set, or changed, on the way."""
    run = tmp_path / "run"
    command = ("train", *SMALL, *CATCH, *EASY, "total_agent_steps=1_000_000", "run_dir=run")
    first = start(*command, "stop_at_return=null")
    first.wait_for_rows(run, 8)
    os.kill(first.process.pid, signal.SIGINT)
    first.ends_with(0)
    before, state = read_manifest(run).data, window(run)
    assert before["status"] == "interrupted" and state["total"] >= 100
    assert before["wall_time_s"] == pytest.approx(float(rows(run)[-1]["wall_time_s"]), abs=5)
    second = start(*command)
    second.ends_with(0)
    after = read_manifest(run).data
    assert (after["status"], after["agent_steps"]) == ("finished", before["agent_steps"])
    assert window(run) == state
    assert after["wall_time_s"] >= float(rows(run)[-1]["wall_time_s"])


@pytest.mark.parametrize("algorithm", ["a2c", "a3c"])
def test_two_learners_agree(algorithm: str, start, tmp_path: Path) -> None:
    """Asynchronous ones at a log point, the others in the update in which one would have ended."""
    settings = [word for word in (*SMALL, *CATCH, *EASY) if not word.startswith("log_")]
    more = words("hardware.learners=2 log_interval_s=0.2 total_agent_steps=100_000 run_dir=run")
    command = start("train", *settings, *more, f"algo={algorithm}")
    command.ends_with(0)
    manifest = read_manifest(tmp_path / "run").data
    assert manifest["status"] == "finished"
    assert re.search(r"stop_at_return=-0.99 \(mean -?\d.\d\d of the", manifest["exit_reason"])
    assert window(tmp_path / "run")["total"] >= 100
    if algorithm == "a2c":
        assert manifest["agent_steps"] == 1024
    assert command.pids() == []


def test_the_start_report_says_it(make_config) -> None:
    config = replace(make_config(), stop_at_return=1_000_000.0)
    rows = dict(describe(config, derive(config, Machine.detect("cpu"))))
    start = (
        "until the mean of the last 100 training games reaches 1,000,000, at most 10,000,000 agent"
    )
    assert rows["length"].startswith(start)
