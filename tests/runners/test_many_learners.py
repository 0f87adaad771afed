"""Runs of several learners on this machine: started, stopped, killed and resumed as commands."""

from __future__ import annotations

import os
import random
import signal
import time

import pytest
import torch

from accel.runs.reading import read_manifest
from tests.run_commands import GAME, SMALL, wait_until, words
from tests.runners.run_results import assert_did_the_same, results, rows

TRAIN = ("train", *SMALL, *GAME)
TORCHRUN = words("-m torch.distributed.run --standalone --nproc-per-node=2 --monitor-interval=0.1")


def test_two_learners_do_what_one_does(start, tmp_path) -> None:
    for learners in (1, 2):
        run = f"run_dir={learners}"
        command = start(*TRAIN, run, f"hardware.learners={learners}", "total_agent_steps=480")
        command.ends_with(0)
        assert ("% comm " in command.stdout) == (learners == 2)  # what it took is measured
    assert_did_the_same(tmp_path / "1", tmp_path / "2")


def test_asked_once_all_ranks_save_and_another_number_of_them_goes_on(start, tmp_path) -> None:
    run = tmp_path / "run"
    command = start(*TRAIN, "run_dir=run", "hardware.learners=2", "total_agent_steps=100_000")
    command.wait_for_rows(run, 3)
    os.kill(command.process.pid, signal.SIGINT)
    command.ends_with(0, within_s=20)
    assert command.pids() == []
    manifest = read_manifest(run).data
    assert (manifest["status"], manifest["exit_reason"]) == ("interrupted", "SIGINT")
    steps = manifest["agent_steps"]

    more = f"total_agent_steps={steps + 320}"
    second = start(*TRAIN, "run_dir=run", "hardware.learners=1", more)
    second.ends_with(0)
    assert f"continuing from {steps:,} agent steps" in second.stdout
    assert read_manifest(run).data["status"] == "finished"


def test_a_killed_rank_ends_the_others_by_name(start, tmp_path) -> None:
    command = start(*TRAIN, "run_dir=run", "hardware.learners=2", "total_agent_steps=100_000")
    command.wait_for_rows(tmp_path / "run", 3)
    os.kill(command.ranks()[1], signal.SIGKILL)
    command.ends_with(1, within_s=20)
    assert "rank 1 was killed by SIGKILL" in command.stderr
    assert command.pids() == []
    assert read_manifest(tmp_path / "run").data["status"] == "failed"


def test_a_killed_launcher_leaves_no_rank(start, tmp_path) -> None:
    command = start(*TRAIN, "run_dir=run", "hardware.learners=2", "total_agent_steps=100_000")
    command.wait_for_rows(tmp_path / "run", 3)
    command.process.kill()
    wait_until(lambda: command.pids() == [], within_s=20)
    assert read_manifest(tmp_path / "run").data["status"] == "interrupted"  # saved on the way out


def test_a_mistake_is_told_once_with_exit_code_2(start, tmp_path) -> None:
    finished = (*TRAIN, "run_dir=run", "hardware.learners=2", "total_agent_steps=64")
    start(*finished).ends_with(0)
    command = start(*finished)
    command.ends_with(2)
    assert command.stderr.count("is finished") == 1
    assert "Traceback" not in command.stderr
    uneven = start(*TRAIN, "run_dir=other", "hardware.learners=3")
    uneven.ends_with(2)
    assert "3 learners" in uneven.stderr


def test_torchrun_restarts_a_lost_rank_from_the_last_checkpoint(
    start, tmp_path, monkeypatch
) -> None:
    # torch 2.13 hands restarted ranks the dead ones' addresses without it (see the README).
    monkeypatch.setenv("TORCH_DISABLE_SHARE_RDZV_TCP_STORE", "1")
    run = tmp_path / "run"
    settings = ("run_dir=run", "total_agent_steps=1920", "checkpoint_interval_s=0.2")
    command = start(*TRAIN, *settings, through=(*TORCHRUN, "--max-restarts=1"))
    wait_until(lambda: (run / "checkpoints").exists() and any((run / "checkpoints").iterdir()))
    os.kill(command.ranks()[1], signal.SIGKILL)
    command.ends_with(0, within_s=120)
    assert "continuing from" in command.stdout
    manifest = read_manifest(run).data
    assert (manifest["status"], manifest["agent_steps"]) == ("finished", 1920)
    steps = [int(row["agent_steps"]) for row in rows(run)]
    assert steps == sorted(set(steps))


@pytest.mark.parametrize("algorithm", ["ppo", pytest.param("a2c", marks=pytest.mark.slow)])
def test_killed_and_resumed_two_learners_end_where_they_would_have(
    algorithm, start, tmp_path
) -> None:
    """All processes at once by SIGKILL, at a random moment: bit for bit from there on."""
    settings = [word for word in TRAIN if algorithm == "ppo" or "num_" not in word]
    settings += ["algo=a2c", "sampler.num_envs=4"] if algorithm == "a2c" else []
    settings += ["hardware.learners=2", "total_agent_steps=1440", "checkpoint_interval_s=0.1"]
    whole = start(*settings, "run_dir=whole")
    killed = start(*settings, "run_dir=killed")
    killed.wait_for_rows(tmp_path / "killed", 6)
    wait_until(lambda: any((tmp_path / "killed").glob("checkpoints/step_*.pt")))
    time.sleep(random.uniform(0, 0.3))
    for pid in killed.pids():
        os.kill(pid, signal.SIGKILL)
    killed.process.wait()
    assert killed.process.returncode < 0
    whole.ends_with(0, within_s=120)
    second = start(*settings, "run_dir=killed")
    second.ends_with(0, within_s=120)
    assert "continuing from" in second.stdout
    expected, actual = results(tmp_path / "whole"), results(tmp_path / "killed")
    for name, weights in expected["model"].items():
        assert torch.equal(actual["model"][name], weights), name
    by_step = {row["agent_steps"]: row for row in expected["metrics"]}
    common = [row for row in actual["metrics"] if row["agent_steps"] in by_step]
    assert len(common) > 10
    start_of_second = int(second.stdout.split("continuing from ")[1].split(" ")[0].replace(",", ""))
    for row in common:
        if int(row["agent_steps"]) > start_of_second + 32:
            assert row == by_step[row["agent_steps"]]
