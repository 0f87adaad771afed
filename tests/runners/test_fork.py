"""fork=RUN@STEP: what a child takes over, what it refuses, and how it goes on by itself."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from accel.config.errors import ConfigError
from accel.config.schema import Config
from accel.runners.fork import check_fork
from accel.runners.train import train
from accel.runs.checkpoint import load_checkpoint
from accel.runs.checkpoint_file import read_digest
from accel.runs.reading import read_manifest
from tests.run_commands import CATCH, SMALL
from tests.runners.runs_here import assert_equal, final_state
from tests.runners.runs_here import run as run_until

LONGER = (*CATCH, "total_agent_steps=384", "eval_episodes=2")  # the parent stands at 256
Make = Callable[..., Config]


@pytest.fixture
def make_child(run: Path, tmp_path: Path, make_config: Make) -> Make:
    """make_child("seed=1", at="best") forks a copy of the finished little run of Catch."""

    def make(*overrides: str, at: str = "last") -> Config:
        fork = f"fork='{run}@{at}'"
        return make_config(*LONGER, fork, *overrides, run_dir=tmp_path / "child")

    return make


def first_state(child: Config) -> dict:
    """What the child saved before its first step."""
    return load_checkpoint(Path(child.run_dir) / "checkpoints" / "step_000000000256.pt")


def test_a_fork_without_changes_equals_its_parent_going_on(make_config: Make, tmp_path) -> None:
    run_until(make_config(*LONGER, run_dir=tmp_path / "parent"), 2)
    parent = shutil.copytree(tmp_path / "parent", tmp_path / "kept")
    train(make_config(*LONGER, run_dir=tmp_path / "parent"))
    train(make_config(*LONGER, f"fork='{parent}@last'", run_dir=tmp_path / "child"))
    assert_equal(final_state(tmp_path / "parent"), final_state(tmp_path / "child"))


def test_the_manifest_names_the_parent(make_child: Make, run: Path, capsys) -> None:
    child = make_child("algo.learning_rate=1e-4")
    train(child)
    manifest = read_manifest(Path(child.run_dir)).data
    checkpoint = run / "checkpoints" / "step_000000000256.pt"
    assert manifest["parent"] == {
        "run": str(run),
        "checkpoint": checkpoint.name,
        "agent_steps": 256,
        "sha256": read_digest(checkpoint),
        "code": read_manifest(run).data["code"],
    }
    assert manifest["attempts"][0]["from_agent_steps"] == 256
    assert (manifest["status"], manifest["agent_steps"]) == ("finished", 384)
    shown = capsys.readouterr().out
    assert f"forked from  {run} at 256 agent steps" in shown and "starts anew  nothing" in shown


@pytest.mark.parametrize(
    ("override", "reason"),
    [
        ("sampler.num_envs=4", "games (sampler.num_envs 8 -> 4)"),
        ("env.game=catch_game:Unfilmed-v0", "games (env.game catch_game:Catch-v0 -> catch_game"),
        ("seed=3", "shuffling (another seed), games (seed 0 -> 3)"),
        ("algo.optimizer=rmsprop", "optimizer (other kind)"),
    ],
)
def test_what_does_not_fit_starts_anew(
    override: str, reason: str, make_child: Make, run: Path, capsys
) -> None:
    child = make_child(override)
    train(child)
    assert reason in capsys.readouterr().out
    parent, state = final_state(run), first_state(child)
    assert_equal(parent["learner"]["model"], state["learner"]["model"])
    assert state["learner"]["num_updates"] == parent["learner"]["num_updates"] == 2
    same_games = state["sampler"]["noise"] == parent["sampler"]["noise"]
    assert same_games == ("games" not in reason)
    same_records = state["records"] == parent["records"]
    assert same_records == ("env.game" not in reason)
    assert final_state(Path(child.run_dir))["agent_steps"] >= 384


@pytest.mark.parametrize("override", ["", "algo=impala algo.optimizer=adam", "fork_partial=true"])
def test_rollouts_played_ahead_are_for_the_same_algorithm(
    override: str, make_config: Make, tmp_path: Path, capsys
) -> None:
    run_until(make_config(*LONGER, "runner.policy_lag=1", run_dir=tmp_path / "parent"), 2)
    words = [*override.split(), f"fork='{tmp_path / 'parent'}@last'"]
    child = make_config(*LONGER, *words, run_dir=tmp_path / "child")
    train(child)
    first = min((tmp_path / "child" / "checkpoints").glob("step_*.pt"))
    is_dropped = "impala" in override
    assert ("rollouts played ahead" in capsys.readouterr().out) == is_dropped
    assert (load_checkpoint(first)["sampler"]["ahead"] == []) == is_dropped


def test_another_network_is_refused_before_anything_is_written(make_child: Make) -> None:
    child = make_child("model.hidden_size=32")
    for start in (check_fork, train):
        with pytest.raises(ConfigError) as refusal:
            start(child)
        text = str(refusal.value)
        assert "torso.linear.weight [64 x 64]" in text and "torso.linear.weight [32 x 64]" in text
        assert "model.hidden_size=64" in text and "fork_partial=true" in text
    assert not (Path(child.run_dir) / "manifest.json").exists()


def test_a_partial_fork_keeps_what_fits(make_child: Make, run: Path, capsys) -> None:
    child = make_child("model.hidden_size=32", "fork_partial=true")
    check_fork(child)
    train(child)
    lines = capsys.readouterr().out.splitlines()
    rows = dict(line.strip().split("  ", 1) for line in lines if line.startswith("  "))
    kept = rows["tensors kept"].strip().split(", ")
    assert "torso.conv3.weight" in kept and "value_head.bias" in kept and len(kept) == 8
    assert "torso.linear.weight [32 x 64]" in rows["tensors new"]
    assert "torso.linear.weight [64 x 64]" in rows["tensors dropped"]
    assert "optimizer (other tensors)" in rows["starts anew"]
    assert not final_state(run)["records"]["dead_units"]["is_new"]
    assert first_state(child)["records"]["dead_units"]["is_new"]  # of another network
    parent, learner = final_state(run)["learner"], first_state(child)["learner"]
    for name in kept:
        assert torch.equal(parent["model"][name], learner["model"][name])
    assert learner["optimizer"]["state"] == {}


def test_a_partial_fork_to_a_recurrent_network_starts_new_games(make_child: Make, capsys) -> None:
    """The parent's games have no memory to go on with."""
    train(make_child("model.core=gru", "model.core_size=64", "fork_partial=true"))
    rows = capsys.readouterr().out
    assert "games (model.core none -> gru, model.core_size 256 -> 64)" in rows
    assert "core.recurrent.weight [192 x 64]" in rows


def test_the_optimizers_settings_are_the_childs(make_child: Make) -> None:
    child = make_child("algo.optimizer_epsilon=1e-3")
    train(child)
    (group,) = first_state(child)["learner"]["optimizer"]["param_groups"]
    assert group["eps"] == 1e-3


@pytest.mark.parametrize(("interval", "evaluated"), [(128, [384]), (192, [384]), (100, [384])])
def test_evaluations_go_on_at_the_next_multiple(
    interval: int, evaluated: list[int], make_child: Make, capsys
) -> None:
    train(make_child(f"eval_interval_agent_steps={interval}"))
    lines = [line for line in capsys.readouterr().out.splitlines() if "evaluation at" in line]
    assert [int(line.split()[2].replace(",", "")) for line in lines] == evaluated


def test_an_interrupted_child_goes_on_without_its_parent(
    make_child: Make, run: Path, capsys
) -> None:
    child = make_child("seed=5")
    run_until(child, 0)
    assert "fork is ignored" not in capsys.readouterr().out
    shutil.rmtree(run)
    check_fork(child)
    train(child)
    shown = capsys.readouterr().out
    assert shown.count("fork is ignored") == 1 and "continuing from 256 agent steps" in shown
    manifest = read_manifest(Path(child.run_dir)).data
    assert manifest["parent"]["agent_steps"] == 256 and manifest["status"] == "finished"


def test_the_best_checkpoint_and_a_step_only_it_has(make_child: Make, run: Path) -> None:
    checkpoints = run / "checkpoints"
    (checkpoints / "step_000000000256.pt").unlink()
    for at in ("best", str(final_best(checkpoints))):
        check_fork(make_child(at=at))
    with pytest.raises(ConfigError, match="none but best; best at"):
        check_fork(make_child(at="1000"))


def final_best(checkpoints: Path) -> int:
    return load_checkpoint(checkpoints / "best.pt")["agent_steps"]


@pytest.mark.parametrize(
    ("at", "overrides", "shown"),
    [
        ("100", [], ["checkpoints there: 256", "best at", "@256"]),
        ("lst", [], ["STEP agent steps of a checkpoint, last or best", "@last"]),
        ("last", ["total_agent_steps=256"], ["total_agent_steps=256", "total_agent_steps=512"]),
        ("last", ["fork=nowhere@last"], ["nowhere does not exist"]),
        ("last", ["fork=''"], ["must name a run folder"]),
        ("last", ["run_dir='{run}'"], ["must be another run", "leave fork out"]),
    ],
)
def test_mistakes_say_what_to_type(
    at: str, overrides: list[str], shown: list[str], make_child: Make, make_config: Make, run: Path
) -> None:
    child = make_child(at=at)
    if overrides == ["run_dir='{run}'"]:
        child = make_config(*LONGER, f"fork='{run}'", run_dir=run)
    elif overrides:
        child = make_child(*overrides, at=at)
    with pytest.raises(ConfigError) as refusal:
        check_fork(child)
    for text in shown:
        assert text in str(refusal.value)


@pytest.mark.parametrize("damage", ["cut", "altered"])
def test_a_damaged_checkpoint_is_refused_by_name(damage: str, make_child: Make, run: Path) -> None:
    path = run / "checkpoints" / "step_000000000256.pt"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data if damage == "altered" else data[:-100])
    with pytest.raises(ConfigError, match=r"must name a whole checkpoint[^$]*256\.pt is damaged"):
        check_fork(make_child())


def test_a_folder_named_with_an_at_is_meant_as_it_stands(
    make_config: Make, run: Path, tmp_path: Path
) -> None:
    odd = run.rename(run.with_name("run@5"))
    check_fork(make_config(*LONGER, f"fork='{odd}'", run_dir=tmp_path / "child"))
    check_fork(make_config(*LONGER, f"fork='{odd}@256'", run_dir=tmp_path / "child"))


def test_the_command_exits_with_2_and_makes_no_folder(start, run: Path, tmp_path: Path) -> None:
    words = ("train", *SMALL, *LONGER, f"fork={run}@7", "run_dir=child")
    command = start(*words)
    command.ends_with(2)
    assert "checkpoints there: 256" in command.stderr and "Traceback" not in command.stderr
    assert command.stdout == "" and not (tmp_path / "child").exists()
