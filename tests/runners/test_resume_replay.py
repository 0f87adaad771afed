"""Runs that learn from replay go on from a stop at any moment, bit for bit."""

from __future__ import annotations

import errno
import os
import random
import shutil
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from accel.runners.replay_segments import Segment, Segments
from accel.runners.train import train
from accel.runs.checkpoint import Checkpoints, load_checkpoint
from accel.runs.checkpoint_file import CheckpointError
from accel.runs.reading import read_manifest
from tests.run_commands import SMALL, Command, wait_until, words
from tests.runners.run_results import computed
from tests.runners.runs_here import BY_THE_CLOCK, assert_equal, final_state, run

# A replay of 32 rows, which is full after 128 agent steps.
GAME = words(
    "env=gym env.game=replayed_game:Replayed-v0 env.frame_stack=2 model=mlp model.hidden_size=8 "
    "sampler=serial sampler.num_envs=4 algo.rollout_length=4 algo.replay_capacity=128 "
    "algo.learning_starts=64 algo.batch_size=8 algo.replay_ratio=1 total_agent_steps=800 "
    "algo.target_interval_agent_steps=100 algo.epsilon_decay_agent_steps=400"
)
ALGORITHMS = {
    "dqn": words("algo=dqn"),
    "monte_carlo": words("algo=dqn algo.target=monte_carlo"),
    "eps_rainbow": words("algo=eps_rainbow algo.num_atoms=11"),
    "noisy_iqn": words("algo=iqn algo.noisy=true algo.prioritized=true algo.num_quantiles=8"),
    "r2d2": words(
        "algo=r2d2 algo.burn_in=4 algo.sequence_length=4 algo.n_step=2 model.core_size=4"
    ),
}


@pytest.mark.parametrize("algo", ALGORITHMS)
def test_a_resumed_run_equals_an_uninterrupted_one(algo: str, make_config, tmp_path) -> None:
    """Stopped while the replay is empty, before learning starts, and as it wraps around."""
    chosen = [*ALGORITHMS[algo], *GAME]
    run(make_config(*chosen, run_dir=tmp_path / "whole"), stop_after=1000)
    for stop_after in (0, 2, 3, 9, 1, 14, 1000):
        run(make_config(*chosen, run_dir=tmp_path / "parts"), stop_after)
    whole, parts = final_state(tmp_path / "whole"), final_state(tmp_path / "parts")
    assert whole["learner"]["num_updates"] > 20 and whole["replay"]["draws"]["num_written"] == 200
    assert_equal(whole, parts)
    assert not (tmp_path / "parts" / "replay").exists()  # it is finished


LONGER = (*GAME, BY_THE_CLOCK, "total_agent_steps=1600")


def kill(command: Command, folder: Path, after: int) -> None:
    """Kill all its processes at once at some moment after a checkpoint beyond `after` steps."""
    wait_until(lambda: max(Checkpoints(folder / "checkpoints").steps(), default=0) > after)
    time.sleep(random.SystemRandom().uniform(0, 0.1))
    for pid in command.pids():
        os.kill(pid, signal.SIGKILL)
    assert command.process.wait() == -signal.SIGKILL, f"it ended first: {command.stdout}"


@pytest.mark.parametrize(
    ("algo", "moments"),
    [("dqn", [500]), pytest.param("eps_rainbow", [400, 900], marks=pytest.mark.slow)],
)
def test_a_run_killed_at_any_moment_equals_one_that_was_not(
    algo: str, moments: list[int], start, make_config, tmp_path
) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    chosen = (*ALGORITHMS[algo], *LONGER)
    for after in moments:  # agent steps: the replay has wrapped around several times
        command = start("train", *SMALL, *chosen, f"run_dir={killed}")
        kill(command, killed, after)
    assert ("continuing from" in command.stdout) == (len(moments) > 1)
    run(make_config(*chosen, run_dir=killed), stop_after=1000)
    run(make_config(*chosen, run_dir=whole), stop_after=1000)
    assert_equal(final_state(whole), final_state(killed))
    rows = computed(whole)
    assert len(rows) > 20 and rows == computed(killed)


def test_two_killed_learners_go_on_together_or_as_one(start, make_config, tmp_path) -> None:
    """Together bit for bit; as one, whose sums round differently, with the same games at least."""
    chosen = (*ALGORITHMS["noisy_iqn"], *LONGER, "total_agent_steps=960", "algo.epsilon_final=1")
    train = ("train", *SMALL, *chosen, "hardware.learners=2")
    whole, killed = start(*train, "run_dir=whole"), start(*train, "run_dir=killed")
    kill(killed, tmp_path / "killed", after=300)
    shutil.copytree(tmp_path / "killed", tmp_path / "alone")
    resumed = start(*train, "run_dir=killed")
    run(make_config(*chosen, run_dir=tmp_path / "alone"), stop_after=1000)
    whole.ends_with(0, within_s=120)
    resumed.ends_with(0, within_s=120)
    assert "continuing from" in resumed.stdout and "starts empty" not in resumed.stdout
    expected, together, alone = (final_state(tmp_path / n) for n in ("whole", "killed", "alone"))
    assert_equal(expected, together)
    assert_equal(expected["records"], alone["records"])
    assert_equal(expected["replay"]["draws"]["is_valid"], alone["replay"]["draws"]["is_valid"])
    assert not (tmp_path / "killed" / "replay").exists()


# The rest in this process, with rows that are written at each update but one.
DQN = (*ALGORITHMS["dqn"], *GAME)


def test_a_full_disk_delays_what_is_written(make_config, tmp_path, monkeypatch, capsys) -> None:
    write, failures = Segments.write, iter(range(4))

    def write_on_a_full_disk(segments: Segments, segment: Segment, fields: Any) -> None:
        if next(failures, None) is None:
            return write(segments, segment, fields)
        full = OSError(errno.EFBIG, "File too large")
        raise CheckpointError(f"{segment.name} was not written: {full.strerror}") from full

    run(make_config(*DQN, run_dir=tmp_path / "whole"), stop_after=1000)
    monkeypatch.setattr(Segments, "write", write_on_a_full_disk)
    for stop_after in (30, 1000):
        run(make_config(*DQN, run_dir=tmp_path / "parts"), stop_after)
    assert_equal(final_state(tmp_path / "whole"), final_state(tmp_path / "parts"))
    shown = capsys.readouterr().out
    assert next(failures, None) is None
    assert "replay writer" not in {thread.name for thread in threading.enumerate()}
    assert 1 <= shown.count("was not written: File too large") <= 4  # one for all that waited
    assert "Training goes on; the next try is after as many steps again" in shown


def test_a_damaged_segment_ends_the_run_and_says_how_to_go_on(
    make_config, tmp_path, capsys
) -> None:
    run(make_config(*DQN), stop_after=20)
    segment = max((tmp_path / "run" / "replay").iterdir())
    segment.write_bytes(segment.read_bytes()[:-1])
    with pytest.raises(SystemExit) as exit:
        train(make_config(*DQN))
    assert f"{segment} is damaged" in str(exit.value)
    assert str(exit.value).endswith("algo.save_replay=false continues with an empty replay.")
    train(make_config(*DQN, "algo.save_replay=false"))
    assert read_manifest(tmp_path / "run").data["status"] == "finished"


def test_a_replay_that_is_not_saved_starts_empty(make_config, tmp_path, capsys) -> None:
    unsaved = (*DQN, "algo.save_replay=false")
    run(make_config(*unsaved), stop_after=20)
    assert final_state(tmp_path / "run")["replay"] is None
    assert not (tmp_path / "run" / "replay").exists()
    shown = capsys.readouterr().out
    assert "none (save_replay=false): a resumed run starts with an empty replay" in shown
    run(make_config(*DQN), stop_after=10)
    assert "warning: the replay starts empty" in capsys.readouterr().out
    assert (tmp_path / "run" / "replay").exists()
    held = [float(row["charts/replay_agent_steps"]) for row in computed(tmp_path / "run")]
    assert held == [*range(16, 128, 16), *[128] * 13, *range(16, 128, 16), *[128] * 3]
    run(make_config(*unsaved), stop_after=1)
    assert not (tmp_path / "run" / "replay").exists()  # what nobody can use any more


@pytest.mark.parametrize("which", ["last", "best"])
def test_a_fork_starts_with_an_empty_replay(which: str, make_config, tmp_path, capsys) -> None:
    chosen = (*DQN, "eval_interval_agent_steps=160", "eval_episodes=2")
    run(make_config(*chosen), stop_after=20)
    fork = (f"fork='{tmp_path / 'run'}@{which}'", "model.hidden_size=4", "fork_partial=true")
    run(make_config(*chosen, *fork, run_dir=tmp_path / "child"), stop_after=8)
    shown = capsys.readouterr().out
    assert "optimizer (other tensors), replay\n" in shown
    assert final_state(tmp_path / "child")["replay"]["draws"]["num_written"] < 40  # there: 76
    assert "replay" not in load_checkpoint(tmp_path / "run" / "checkpoints" / "best.pt")
