"""launch/evaluate.py: fresh whole games, a table, json; and what a user's mistake looks like."""

from __future__ import annotations

import json
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
import torch

from accel.config.commands import EvaluateConfig, check_command
from accel.config.errors import UserError
from accel.config.machine import Machine
from accel.config.schema import EnvConfig
from accel.runners.evaluate_run import evaluate_run
from accel.runners.scores import Scores
from accel.runners.train import train
from accel.runners.trained import load_agent
from accel.runs.checkpoint import load_checkpoint
from accel.runs.folder import RunFolderError
from accel.types import Episode
from tests.run_commands import CATCH, Command, wait_until


def evaluate(start, *words: str) -> Command:
    command = start("evaluate", "device=cpu", *words)
    command.process.wait(timeout=60)
    return command


def test_a_run_is_evaluated_both_ways(start, run: Path) -> None:
    # The folder's name holds what Hydra's grammar would not take unquoted.
    command = evaluate(start, f"run={run}", "episodes=5", "num_workers=2", "max_envs=4")
    assert command.process.returncode == 0, command.stderr
    assert "sampled" in command.stdout and "greedy" in command.stdout
    report = json.loads((run / "eval_256.json").read_text())
    assert report["command"][-2:] == ["num_workers=2", "max_envs=4"]
    assert report["checkpoint"].endswith("step_000000000256.pt")
    assert (report["agent_steps"], report["frames"], report["seed"]) == (256, 256, 0)
    assert report["protocol"] == "the environment's own"
    for mode in ("sampled", "greedy"):
        scores = report[mode]
        returns = np.array(scores["episodic_return"])
        assert len(returns) == scores["episodes"] == 5 and set(returns) <= {-1.0, 1.0}
        assert scores["episodic_length"] == [8] * 5
        assert scores["mean"] == returns.mean() and scores["std"] == pytest.approx(returns.std())
        assert (scores["min"], scores["max"]) == (returns.min(), returns.max())
        assert scores["median"] == np.median(returns) and scores["human_normalized"] is None
    assert [entry.name for entry in run.glob(".*")] == []  # written at once


@pytest.mark.parametrize(("algo", "modes"), [("dqn", ["exploring", "greedy"]), ("pqn", ["greedy"])])
def test_action_values_are_judged_as_in_training_and_greedily(
    algo: str, modes: list[str], make_config, tmp_path: Path
) -> None:
    """Which is the same for PQN: its epsilon_eval is 0."""
    parts = ["algo.num_minibatches=4"] if algo == "pqn" else []
    train(make_config(*CATCH, f"algo={algo}", *parts, "total_agent_steps=128"))
    config = EvaluateConfig(run=str(tmp_path / "run"), episodes=3, num_workers=0, device="cpu")
    report = json.loads(evaluate_run(config).read_text())
    assert [mode for mode in ("sampled", "exploring", "greedy") if mode in report] == modes


def test_ctrl_c_ends_it_and_its_workers(start, run: Path) -> None:
    command = start("evaluate", f"run={run}", "episodes=100000", "num_workers=2", "device=cpu")
    wait_until(lambda: len(command.workers()) == 2)
    command.process.send_signal(signal.SIGINT)
    command.ends_with(130, within_s=10)
    assert command.pids() == [] and "Traceback" not in command.stderr


def test_the_same_seed_plays_the_same_games(run: Path) -> None:
    def returns(**settings: object) -> list[float]:
        config = EvaluateConfig(run=str(run), episodes=20, num_workers=0, device="cpu", **settings)
        return json.loads(evaluate_run(config).read_text())["sampled"]["episodic_return"]

    assert returns() == returns() == returns(seed=0)
    assert returns() != returns(seed=1)


@pytest.mark.parametrize("checkpoint", ["last", "best"])
def test_the_weights_are_the_checkpoints(checkpoint: str, run: Path) -> None:
    agent = load_agent(run, checkpoint, "cpu")
    weights = load_checkpoint(agent.checkpoint)["learner"]["model"]
    for name, parameter in agent.model.named_parameters():
        assert torch.equal(parameter, weights[name])
    assert load_agent(run, str(agent.checkpoint), "cpu").agent_steps == agent.agent_steps


def test_scores_of_a_game_with_a_human_reference() -> None:
    episodes = [Episode(-20.7, 1000, 0), Episode(14.6, 2000, 1)]
    scores = Scores.of(episodes, EnvConfig(game="ALE/Pong-v5"))
    assert scores.human_normalized == pytest.approx(0.5)
    assert scores.mean_length == 1500


def test_a_mistake_is_explained_and_exits_with_2(start, run: Path, tmp_path: Path) -> None:
    for words, shown in (
        ((), "run=..."),
        ((f"run={tmp_path}",), f"run={run}"),  # names the runs below
        ((f"run={run}", "episode=3", "max_envs=x", "seed=1.5"), "3 problems"),
        ((str(run),), "key=value"),
    ):
        command = evaluate(start, *words)
        assert command.process.returncode == 2, (words, command.stdout, command.stderr)
        assert shown in command.stderr, (words, command.stderr)
        assert "Traceback" not in command.stderr and command.stdout == ""
    assert list(run.glob("eval*.json")) == []


def test_a_run_without_a_whole_checkpoint_says_so(run: Path) -> None:
    for path in (run / "checkpoints").glob("*.pt"):
        path.write_bytes(path.read_bytes()[:-100])
    for checkpoint in ("last", "best"):
        with pytest.raises(RunFolderError, match="damaged"):
            load_agent(run, checkpoint, "cpu")
    shutil.rmtree(run / "checkpoints")
    for checkpoint, shown in (
        ("last", "has no checkpoint"),
        ("best", "eval_interval_agent_steps"),
        ("x.pt", "no such file"),
    ):
        with pytest.raises(RunFolderError, match=shown):
            load_agent(run, checkpoint, "cpu")
    with pytest.raises(RunFolderError, match="no such folder"):
        load_agent(run / "nowhere", "last", "cpu")


def test_weights_of_another_network_are_refused(run: Path) -> None:
    manifest = json.loads((run / "manifest.json").read_text())
    manifest["config"]["model"]["hidden_size"] = 32
    (run / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(UserError, match="does not fit the network"):
        load_agent(run, "last", "cpu")


def test_values_out_of_range_are_reported_together() -> None:
    config = EvaluateConfig(run="x", episodes=0, max_envs=0, num_workers=-1, seed=-1, device="gpu")
    problems = check_command(config, Machine(cores=2, memory_bytes=10**9))
    keys = [problem.key for problem in problems]
    assert keys == ["episodes", "max_envs", "num_workers", "seed", "device"]


def test_a_run_of_another_version_is_refused_with_its_reason(run: Path) -> None:
    manifest = json.loads((run / "manifest.json").read_text())
    manifest["config"]["env"]["flavour"] = "sweet"
    (run / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(UserError, match="flavour"):
        load_agent(run, "last", "cpu")
