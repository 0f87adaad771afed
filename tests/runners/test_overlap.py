"""An actor process ahead of the learner: which weights play what, and that runs repeat exactly."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from accel.config.derive import derive
from accel.config.machine import Machine
from accel.config.schema import Config
from accel.learning.sync import Alone
from accel.metrics.console import Console
from accel.metrics.timers import Timers
from accel.models import stack_frames
from accel.runners.train import Training
from accel.runs.folder import RunFolder
from accel.types import Episode, Rollout
from tests.run_commands import GAME, SMALL, words
from tests.runners.run_results import assert_did_the_same, rows
from tests.runners.runs_here import PONG, RECALL, SAMPLERS, assert_equal, final_state, run

LAG_1, FREE = "runner.policy_lag=1", "runner.policy_lag=free"
POLE = words(
    "experiment=cartpole sampler.num_envs=4 algo.rollout_length=8 algo.num_epochs=2 "
    "model.hidden_size=16 total_agent_steps=320"
)
REPLAY = words(
    "experiment=cartpole_dqn sampler.num_envs=4 algo.rollout_length=4 algo.batch_size=8 "
    "algo.replay_ratio=2 algo.learning_starts=64 algo.target_interval_agent_steps=32 "
    "algo.replay_capacity=1000 model.hidden_size=16 total_agent_steps=320"
)


class NotStopped:
    signal_name = None


class Watched:
    """A run of which every rollout is looked at as it is learned from."""

    def __init__(self, config: Config) -> None:
        self.versions: list[tuple[int, list[int]]] = []  # the learner's, the rollout's
        # Recorded, by the weights that acted, and by the learner's present ones.
        self.log_probs: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]] = []
        derived = derive(config, Machine.detect("cpu"))
        with RunFolder(config.run_dir) as folder:
            training = Training(config, derived, Alone(), folder, Console())
            learner, self._model = training.learner, training.model
            update, self._weights = learner.update, {0: learner.flat.state_dict()}

            def watched_update(rollout: Rollout, agent_steps: int) -> dict[str, torch.Tensor]:
                self.versions.append((learner.num_updates, rollout.policy_version.tolist()))
                self._look(rollout, learner.flat)
                losses = update(rollout, agent_steps)
                self._weights[learner.num_updates] = learner.flat.state_dict()
                return losses

            learner.update = watched_update
            try:
                training.run(NotStopped())
            finally:
                training.close()

    def _look(self, rollout: Rollout, flat: Any) -> None:
        """Ask the weights of the rollout's version again."""
        length, num_envs = rollout.actions.shape
        time = torch.arange(length).repeat_interleave(num_envs)
        env = torch.arange(num_envs).repeat(length)
        observations = stack_frames(rollout.frames, rollout.age, time, env)
        with torch.no_grad():
            present = self._model(observations).logits.log_softmax(1)
            weights = flat.state_dict()
            flat.load_state_dict(self._weights[int(rollout.policy_version[0])])
            acted = self._model(observations).logits.log_softmax(1)
            flat.load_state_dict(weights)
        self.log_probs.append((rollout.log_probs.flatten(0, 1).clone(), acted, present))


def test_update_k_learns_from_what_version_k_minus_1_played(make_config) -> None:
    watched = Watched(make_config(*POLE, LAG_1))
    assert [learner for learner, _ in watched.versions] == list(range(10))
    assert all(acted == [max(0, k - 1)] * 8 for k, acted in watched.versions)
    for k, (recorded, acted, present) in enumerate(watched.log_probs):
        torch.testing.assert_close(recorded, acted, rtol=0, atol=1e-6)
        assert k == 0 or (recorded - present).abs().max() > 1e-4  # other weights would have shown


def test_running_freely_never_mixes_weights_nor_runs_too_far_ahead(make_config) -> None:
    watched = Watched(make_config(*POLE, FREE))
    for learner, acted in watched.versions:
        assert len(set(acted)) == 1 and learner - 2 <= acted[0] <= learner
    for recorded, acted, _ in watched.log_probs:
        torch.testing.assert_close(recorded, acted, rtol=0, atol=1e-6)


@pytest.mark.parametrize("chosen", [POLE, REPLAY, RECALL], ids=["ppo", "dqn", "recurrent"])
def test_with_a_lag_of_one_runs_repeat_bit_for_bit(chosen, make_config, tmp_path) -> None:
    for name in ("one", "other"):
        config = make_config(*chosen, "sampler=serial", LAG_1, run_dir=tmp_path / name)
        run(config, stop_after=1000)
    assert_equal(final_state(tmp_path / "one"), final_state(tmp_path / "other"))


def test_who_steps_the_games_does_not_matter(make_config, tmp_path) -> None:
    """One group each time, so that the policy rounds its sums alike."""
    layouts = ("sampler=serial", "sampler.num_workers=2")
    for name, layout in enumerate(layouts):
        chosen = (*PONG, LAG_1, "sampler.num_groups=1", layout)
        run(make_config(*chosen, run_dir=tmp_path / str(name)), stop_after=1000)
    assert_equal(final_state(tmp_path / "0"), final_state(tmp_path / "1"))


@pytest.mark.parametrize("sampler", ["parallel", pytest.param("serial", marks=pytest.mark.slow)])
def test_a_resumed_run_equals_an_uninterrupted_one(sampler: str, make_config, tmp_path) -> None:
    chosen = [*PONG, *SAMPLERS[sampler], LAG_1]
    run(make_config(*chosen, run_dir=tmp_path / "whole"), stop_after=1000)
    for stop_after in (2, 1, 1000):
        run(make_config(*chosen, run_dir=tmp_path / "parts"), stop_after)
    whole, parts = final_state(tmp_path / "whole"), final_state(tmp_path / "parts")
    assert whole["records"]["games"]["total"] > 0 and whole["agent_steps"] == 384
    (ahead,) = whole["sampler"]["ahead"]
    assert ahead["rollout"]["policy_version"].tolist() == [5] * 16
    assert_equal(whole, parts)


@pytest.mark.parametrize(
    "chosen",
    [pytest.param(REPLAY, id="dqn"), pytest.param(RECALL, id="recurrent", marks=pytest.mark.slow)],
)
def test_replay_and_memory_resume_exactly_too(chosen, make_config, tmp_path) -> None:
    chosen = [*chosen, "sampler=serial", LAG_1]
    run(make_config(*chosen, run_dir=tmp_path / "whole"), stop_after=1000)
    for stop_after in (3, 1, 1000):
        run(make_config(*chosen, run_dir=tmp_path / "parts"), stop_after)
    assert_equal(final_state(tmp_path / "whole"), final_state(tmp_path / "parts"))


def test_a_run_goes_on_with_any_lag_and_loses_no_game(make_config, tmp_path) -> None:
    """Every step taken is learned from, whoever took it: the games add up to the steps."""
    for lag, stop_after in (("0", 2), ("1", 2), ("0", 2), ("free", 2), ("1", 2), ("0", 1000)):
        chosen = (*PONG, "sampler=serial", f"runner.policy_lag={lag}")
        run(make_config(*chosen, "total_agent_steps=768"), stop_after)
    state = final_state(tmp_path / "run")
    # Games of 40 steps and a reset, all begun together: in 192 steps of each four have ended.
    assert state["agent_steps"] == 768 and state["sampler"]["ahead"] == []
    assert state["records"]["games"]["total"] == 4 * 4


def test_two_learners_do_what_one_does(start, tmp_path) -> None:
    for learners in (1, 2):
        settings = (f"hardware.learners={learners}", f"run_dir={learners}")
        start("train", *SMALL, *POLE, LAG_1, "algo.num_minibatches=2", *settings).ends_with(0)
    assert_did_the_same(tmp_path / "1", tmp_path / "2")


@pytest.mark.slow
def test_two_learners_repeat_and_resume_exactly(start, tmp_path) -> None:
    settings = ("train", *SMALL, *GAME, LAG_1, "hardware.learners=2", "total_agent_steps=2880")
    first = start(*settings, "run_dir=parts")
    first.wait_for_rows(tmp_path / "parts", 3)
    first.process.send_signal(signal.SIGINT)
    first.ends_with(0)
    assert 0 < final_state(tmp_path / "parts")["agent_steps"] < 2880
    start(*settings, "run_dir=parts").ends_with(0)
    start(*settings, "run_dir=whole").ends_with(0)
    whole, parts = final_state(tmp_path / "whole"), final_state(tmp_path / "parts")
    assert whole["sampler"]["ahead"][0]["rollout"]["frames"].shape[1] == 4  # of both ranks
    assert_equal(whole, parts)


def test_the_lag_and_the_waits_are_recorded(make_config, tmp_path) -> None:
    run(make_config(*POLE, LAG_1, run_dir=tmp_path / "1"), stop_after=1000)
    recorded = rows(tmp_path / "1")
    for name in ("min", "mean", "max"):
        assert [float(row[f"stats/policy_lag_{name}"]) for row in recorded] == [0.0] + [1.0] * 9
    assert all(float(row["stats/learner_wait_percent"]) >= 0 for row in recorded)
    assert all(float(row["stats/actor_wait_percent"]) >= 0 for row in recorded)
    run(make_config(*POLE, run_dir=tmp_path / "0"), stop_after=1000)
    assert {row["stats/policy_lag_max"] for row in rows(tmp_path / "0")} == {"0"}
    assert "stats/actor_wait_percent" not in rows(tmp_path / "0")[0]


def test_an_evaluation_is_no_wait_for_the_learner(make_config, monkeypatch, tmp_path) -> None:
    def evaluation(*arguments: Any, **settings: Any) -> list[Episode]:
        time.sleep(1.0)  # the whole run takes some 0.2 s
        return [Episode(1.0, 10, 0)]

    noted: dict[str, float] = {}

    def add(timers: Timers, name: str, seconds: float) -> None:
        noted[name] = noted.get(name, 0.0) + seconds

    monkeypatch.setattr("accel.runners.train.evaluate", evaluation)
    monkeypatch.setattr(Timers, "add", add)
    run(make_config(*POLE, LAG_1, "eval_interval_agent_steps=96", run_dir=tmp_path), 1000)
    assert 0 < noted["actor_wait"] < 0.9  # it sat out two of the three


def test_a_resumed_run_can_be_profiled(make_config, tmp_path) -> None:
    for stop_after in (2, 1000):
        run(make_config(*POLE, LAG_1, "profile=true", run_dir=tmp_path / "run"), stop_after)
    assert (tmp_path / "run" / "profile.json").exists()


def test_asked_to_stop_it_saves_what_was_played_ahead(start, tmp_path: Path) -> None:
    endless = ("train", *SMALL, *POLE, FREE, "run_dir=run")
    command = start(*endless, "total_agent_steps=100000000")
    command.wait_for_rows(tmp_path / "run", 3)
    command.process.send_signal(signal.SIGINT)
    command.ends_with(0, within_s=20)
    assert command.pids() == []
    state = final_state(tmp_path / "run")
    assert len(state["sampler"]["ahead"]) == 2
    more = f"total_agent_steps={state['agent_steps'] + 320}"
    second = start(*endless, more)
    second.ends_with(0)
    assert f"continuing from {state['agent_steps']:,} agent steps" in second.stdout
    assert final_state(tmp_path / "run")["agent_steps"] == state["agent_steps"] + 320
