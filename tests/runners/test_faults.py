"""Faults that a run outlives, or leaves with its last good checkpoint: each really happens here."""

from __future__ import annotations

import itertools
import os
import resource
import signal
import time
from pathlib import Path

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from accel.learning import NonFiniteLoss
from accel.learning.sync import RankError
from accel.runners.train import Training, train
from accel.runs.checkpoint import load_checkpoint
from accel.runs.manifest import Manifest
from accel.runs.reading import find_checkpoint, read_manifest
from tests.run_commands import SLOW, SMALL, Command, wait_until
from tests.runners.run_results import rows
from tests.runners.runs_here import run as run_until

TRAIN = ("train", *SMALL, *SLOW, "run_dir=run", "sampler=serial")
ENDLESS = (*TRAIN, "total_agent_steps=100000000", "model.hidden_size=256")
OFTEN = "checkpoint_interval_s=0.01"
ROOM = 200_000  # bytes: enough for curves, too little for a checkpoint of 256 units


def loaded(run: Path) -> dict:
    return load_checkpoint(find_checkpoint(run, "last")[0])


def assert_ended_by(reward: str, message: str, run: Path) -> None:
    """The run in `run` failed by this reward, said so, and kept its last good checkpoint."""
    assert "value_loss" in message and "is not finite" in message
    assert f"rewards hold {reward} first at row" in message
    assert f"fork={run.name}@last" in message or f"fork={run}@last" in message
    manifest = read_manifest(run).data
    assert manifest["status"] == "failed" and "NonFiniteLoss" in manifest["exit_reason"]
    state = loaded(run)
    assert state["agent_steps"] == manifest["agent_steps"] > 0
    assert all(bool(weight.isfinite().all()) for weight in state["learner"]["model"].values())


def test_a_reward_that_is_no_number_ends_the_run(start, tmp_path: Path) -> None:
    command = start(*TRAIN, "env.game=faulty_games:Game-nan-v0", OFTEN)
    command.ends_with(1)
    assert "Traceback" not in command.stderr
    assert_ended_by("nan", command.stderr, tmp_path / "run")


@pytest.mark.parametrize("algo", ["ppo", "a2c"])
def test_an_infinite_reward_ends_it_too(algo: str, make_config, tmp_path: Path) -> None:
    words = [word for word in SLOW if algo == "ppo" or "num_" not in word or "envs" in word]
    with pytest.raises(SystemExit) as exit:
        train(
            make_config(
                *(word for word in words if "workers" not in word),
                f"algo={algo}",
                "sampler=serial",
                "env.game=faulty_games:Game-inf-v0",
                OFTEN,
            )
        )
    assert_ended_by("inf", str(exit.value), tmp_path / "run")


def test_weights_that_are_no_numbers_are_never_saved(make_config, tmp_path, monkeypatch) -> None:
    update = Training._update

    def update_too_far(training: Training) -> None:
        update(training)
        if training.agent_steps > 96:
            next(training.model.value_head.parameters()).data[:] = torch.inf

    monkeypatch.setattr(Training, "_update", update_too_far)
    with pytest.raises(SystemExit, match=r"weights: value_head\.weight.*at 96 agent steps"):
        train(make_config(*SLOW, "sampler=serial", OFTEN))
    assert find_checkpoint(tmp_path / "run", "last")[1] == 96


def test_a_signal_amid_a_failure_does_not_keep_it_from_being_recorded(
    make_config, tmp_path, monkeypatch
) -> None:
    """A launcher asks all ranks to stop once one is lost; they may be failing just then."""
    end, reached_us = Manifest.end, []

    def end_when_signalled(*arguments: object) -> None:
        signal.raise_signal(signal.SIGTERM)
        end(*arguments)

    def fail(training: Training) -> None:
        raise RankError("rank 1 was lost")

    monkeypatch.setattr(Manifest, "end", end_when_signalled)
    monkeypatch.setattr(Training, "_update", fail)
    before = signal.signal(signal.SIGTERM, lambda *_: reached_us.append("by default: killed"))
    try:
        with pytest.raises(RankError):
            train(make_config(*SLOW, "sampler=serial"))
    finally:
        signal.signal(signal.SIGTERM, before)
    assert reached_us == []
    assert read_manifest(tmp_path / "run").data["status"] == "failed"


def test_the_learner_names_the_weights() -> None:
    from accel.learning import check_weights

    check_weights({"a": torch.zeros(3)})
    with pytest.raises(NonFiniteLoss, match=r"weights: b$"):
        check_weights({"a": torch.zeros(3), "b": torch.tensor([0.0, torch.nan])})


def limit_file_size(command: Command, limit: int) -> None:
    """What a full disk is to the process: writes beyond `limit` bytes of a file fail."""
    hard = resource.RLIM_INFINITY
    resource.prlimit(command.process.pid, resource.RLIMIT_FSIZE, (limit, hard))


def test_a_full_disk_is_outlived_until_the_last_checkpoint(start, tmp_path: Path) -> None:
    run = tmp_path / "run"
    command = start(*ENDLESS, "checkpoint_interval_s=0.1", "log_interval_s=0.1")
    wait_until(lambda: any(run.glob("checkpoints/step_*")))
    limit_file_size(command, ROOM)
    wait_until(lambda: command.stdout.count("was not written: File too large") >= 2)
    before = loaded(run)["agent_steps"]
    assert "Training goes on; the next try is at the next interval" in command.stdout
    limit_file_size(command, resource.RLIM_INFINITY)
    wait_until(lambda: find_checkpoint(run, "last")[1] > before)
    limit_file_size(command, ROOM)
    command.process.send_signal(signal.SIGINT)
    command.ends_with(1)
    assert "was not written: File too large" in command.stderr
    assert "the same command continues" in command.stderr and "Traceback" not in command.stderr
    assert read_manifest(run).data["status"] == "failed"
    assert loaded(run)["agent_steps"] >= before  # the last good one is whole


def test_curves_that_find_no_room_do_not_end_the_run(start, tmp_path: Path) -> None:
    command = start(*ENDLESS)
    command.wait_for_rows(tmp_path / "run", 3)
    limit_file_size(command, 2000)  # nor does what is shown
    before, count, deadline = -1, 0, time.monotonic() + 60
    while before != count and time.monotonic() < deadline:  # until the file is full
        time.sleep(1)
        before, count = count, len(rows(tmp_path / "run"))
    assert command.process.poll() is None and before == count
    limit_file_size(command, resource.RLIM_INFINITY)
    command.wait_for_rows(tmp_path / "run", count + 3)
    command.process.send_signal(signal.SIGINT)
    command.ends_with(0)
    steps = [int(row["agent_steps"]) for row in rows(tmp_path / "run")]
    assert steps == sorted(set(steps)) and all(step % 32 == 0 for step in steps)
    assert len(steps) < steps[-1] // 32  # some points were lost
    assert "points of the curves are lost" in command.stdout


def test_a_tampered_checkpoint_is_named_and_the_one_before_is_used(
    start, make_config, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    run_until(make_config(*SLOW, "sampler=serial", OFTEN), 5)
    whole, altered = sorted(run.glob("checkpoints/step_*"))
    data = bytearray(altered.read_bytes())
    data[len(data) // 2] ^= 1
    altered.write_bytes(data)
    second = start(*TRAIN, "total_agent_steps=256")
    second.ends_with(0)
    assert f"{altered.name} is damaged" in second.stdout
    steps = int(whole.stem.removeprefix("step_"))
    assert f"continuing from {steps:,} agent steps" in second.stdout


def test_a_second_process_on_the_same_run_is_refused(start, tmp_path: Path) -> None:
    first = start(*ENDLESS)
    first.wait_for_rows(tmp_path / "run", 1)
    second = start(*ENDLESS)
    second.ends_with(2)
    assert f"in use by process {first.process.pid}" in second.stderr
    assert "Traceback" not in second.stderr
    assert first.process.poll() is None


def test_a_clock_set_back_again_and_again_changes_nothing(
    make_config, tmp_path: Path, monkeypatch
) -> None:
    hours = itertools.count()
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now - 3600 * next(hours))
    config = make_config(*SLOW, "sampler=serial", "total_agent_steps=256", OFTEN)
    for updates in (3, 2, 1000):
        run_until(config, updates)
    run = tmp_path / "run"
    assert read_manifest(run).data["status"] == "finished"
    table = rows(run)
    assert [int(row["agent_steps"]) for row in table] == list(range(32, 257, 32))
    times = [float(row["wall_time_s"]) for row in table]
    assert times == sorted(times) and times[0] >= 0
    curve = EventAccumulator(str(run / "tb")).Reload().Scalars("charts/SPS")
    assert [event.step for event in curve] == list(range(32, 257, 32))
    dates = [event.wall_time for event in curve]
    assert dates == sorted(dates)
    assert len(os.listdir(run / "tb")) == 3
