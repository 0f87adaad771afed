"""Stopping a run from outside: once, twice, by force; and what the same command does next."""

from __future__ import annotations

import csv
import os
import signal
import time
from pathlib import Path

import pytest
from faulty_games import UPDATES_BEFORE_FAULT

from accel.launching import signals
from accel.runners.stop import StopRequest
from accel.runs.reading import find_checkpoint, read_manifest
from tests.run_commands import SLOW, SMALL, wait_until

TRAIN = ("train", *SMALL, *SLOW, "run_dir=run")


def rows(run: Path) -> list[dict[str, str]]:
    with (run / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize(
    "stop",
    [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)],
    ids=lambda s: s.name,
)
def test_asked_once_a_run_saves_and_its_command_goes_on(stop, start, tmp_path) -> None:
    run = tmp_path / "run"
    first = start(*TRAIN)
    first.wait_for_rows(run, 3)
    for pid in first.pids():  # as a cluster's scheduler does it: to every process of the job
        os.kill(pid, stop)
    first.ends_with(0, within_s=10)
    assert first.pids() == []
    manifest = read_manifest(run).data
    assert (manifest["status"], manifest["exit_reason"]) == ("interrupted", stop.name)
    assert find_checkpoint(run, "last")[1] == manifest["agent_steps"] < 3200

    second = start(*TRAIN)
    second.ends_with(0)
    assert f"continuing from {manifest['agent_steps']:,} agent steps" in second.stdout
    manifest = read_manifest(run).data
    assert (manifest["status"], manifest["agent_steps"]) == ("finished", 3200)
    steps = [int(row["agent_steps"]) for row in rows(run)]
    assert steps == sorted(set(steps)) and steps[-1] == 3200
    times = [float(row["wall_time_s"]) for row in rows(run)]
    assert times == sorted(times)


def test_asked_during_an_evaluation_a_run_leaves_its_games(start, tmp_path) -> None:
    run = tmp_path / "run"
    command = start(*TRAIN, "eval_interval_agent_steps=1600", "eval_episodes=100_000")
    wait_until(lambda: len(command.workers()) > 2)
    command.process.send_signal(signal.SIGINT)
    command.ends_with(0, within_s=10)
    assert command.pids() == []
    assert read_manifest(run).data["agent_steps"] == 1600

    start(*TRAIN, "eval_interval_agent_steps=1600", "eval_episodes=2").ends_with(0)
    evaluated = [int(row["agent_steps"]) for row in rows(run) if row["eval/episodic_return"]]
    assert evaluated == [1600, 3200]  # the one it left was made up for


def test_asked_twice_a_run_ends_at_once(start, tmp_path) -> None:
    command = start(*TRAIN)
    command.wait_for_rows(tmp_path / "run", 3)
    workers = command.workers()
    assert len(workers) == 2
    os.kill(workers[0], signal.SIGSTOP)  # so that the update cannot be finished
    command.process.send_signal(signal.SIGINT)
    wait_until(lambda: "Again to stop at once" in command.stdout)
    time.sleep(signals.ECHO_S)
    command.process.send_signal(signal.SIGINT)
    command.ends_with(130, within_s=10)
    assert command.pids() == []
    assert read_manifest(tmp_path / "run").data["status"] == "interrupted"
    assert "Traceback" not in command.stderr


@pytest.mark.parametrize("fault", ["none", "hang"])
def test_workers_go_with_a_killed_parent(fault: str, start, tmp_path) -> None:
    command = start(*TRAIN, f"env.game=faulty_games:Game-{fault}-v0", "sampler.timeout_s=60")
    command.wait_for_rows(tmp_path / "run", UPDATES_BEFORE_FAULT - 1)
    time.sleep(0.5 if fault == "hang" else 0)  # until they hang
    assert len(command.workers()) == 2
    command.process.kill()
    command.process.wait()
    assert wait_until(lambda: command.pids() == [], within_s=10) < 5


def test_a_killed_run_goes_on(start, tmp_path) -> None:
    run = tmp_path / "run"
    command = start(*TRAIN, "checkpoint_interval_s=0.01")
    command.wait_for_rows(run, 5)
    command.process.kill()
    command.process.wait()
    wait_until(lambda: command.pids() == [])
    assert read_manifest(run).data["status"] == "running"
    start(*TRAIN).ends_with(0)
    manifest = read_manifest(run).data
    assert [attempt["status"] for attempt in manifest["attempts"]] == ["killed", "finished"]
    steps = [int(row["agent_steps"]) for row in rows(run)]
    assert steps == sorted(set(steps)) and steps[-1] == 3200


def test_a_finished_run_is_refused_until_told_to_overwrite(start, tmp_path) -> None:
    short = (*TRAIN, "total_agent_steps=64", "sampler=serial")
    start(*short).ends_with(0)
    before = (tmp_path / "run" / "metrics.csv").read_bytes()
    refused = start(*short)
    refused.ends_with(2)
    assert "overwrite=true" in refused.stderr and "Traceback" not in refused.stderr
    assert (tmp_path / "run" / "metrics.csv").read_bytes() == before
    start(*short, "overwrite=true").ends_with(0)
    assert len(read_manifest(tmp_path / "run").data["attempts"]) == 1


@pytest.fixture
def clock(monkeypatch) -> list[float]:
    """Seconds at which signals arrive, in a list of one."""
    now = [100.0]
    monkeypatch.setattr(signals, "monotonic", lambda: now[0])
    return now


def test_one_of_each_signal_asks_once(clock) -> None:
    notes: list[str] = []
    with pytest.raises(KeyboardInterrupt), StopRequest(notes.append) as stop:
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGINT)
        assert stop.signal_name == "SIGTERM" and len(notes) == 1
        clock[0] += 1
        signal.raise_signal(signal.SIGINT)


def test_a_signal_and_its_echo_ask_once(clock) -> None:
    """SLURM's scancel may send SIGTERM twice within milliseconds."""
    notes: list[str] = []
    with pytest.raises(KeyboardInterrupt, match="second"), StopRequest(notes.append):
        signal.raise_signal(signal.SIGTERM)
        clock[0] += 0.02
        signal.raise_signal(signal.SIGTERM)
        clock[0] += 0.46
        signal.raise_signal(signal.SIGTERM)
        assert len(notes) == 1
        clock[0] += 0.04
        signal.raise_signal(signal.SIGTERM)
        pytest.fail("asked twice, it goes on")
