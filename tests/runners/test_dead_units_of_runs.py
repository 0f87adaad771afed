"""Runs chart their dead units, and are else what they are without."""

from __future__ import annotations

import io

import pytest
import torch

from accel.config.derive import derive
from accel.config.machine import Machine
from accel.learning import dead_units
from accel.learning.dead_units import AT_START, UNKNOWN
from accel.learning.sync import Alone
from accel.metrics.console import Console
from accel.runners.train import Training, train
from tests.run_commands import CATCH, words
from tests.runners.run_results import results, rows

REPLAY = "algo.replay_capacity=1000 algo.learning_starts=128 algo.batch_size=32"
WORDS = {
    "a2c": "algo=a2c",
    "ppo": "algo.num_epochs=2 algo.num_minibatches=2 model.core=lstm model.core_size=8",
    "rainbow": f"algo=rainbow {REPLAY}",
}
SHORT = "total_agent_steps=640"


@pytest.mark.parametrize("algorithm", WORDS)
def test_a_run_is_the_same_with_and_without(algorithm, make_config, monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(dead_units, "STEPS_BETWEEN_LOOKS", 64)
    train(make_config(*CATCH, *words(WORDS[algorithm]), SHORT, run_dir=tmp_path / "with"))
    logged = [row for row in rows(tmp_path / "with") if row["stats/dead_units"]]
    starts = {row["stats/dead_units_at_start"] for row in logged}
    assert len(logged) > 2 and len(starts) == 1
    assert all(0 < float(share) < 1 for share in (logged[-1]["stats/dead_units"], *starts))

    looks = []
    monkeypatch.setattr(dead_units, "share_of_dead_units", lambda *_: looks.append(1))
    train(make_config(*CATCH, *words(WORDS[algorithm]), SHORT, run_dir=tmp_path / "without"))
    assert len(looks) > 2
    assert "stats/dead_units" not in rows(tmp_path / "without")[0]
    one, other = results(tmp_path / "with"), results(tmp_path / "without")
    for name, weights in one["model"].items():
        assert torch.equal(other["model"][name], weights)


@pytest.fixture
def training(make_config):
    """That of any rank but the first, which has no folder."""
    config = make_config(*CATCH, "algo=a2c", SHORT)
    derived = derive(config, Machine.detect("cpu"))
    training = Training(config, derived, Alone(), None, Console(io.StringIO()))
    yield training
    training.close()


def test_the_first_rank_alone_looks(training, monkeypatch) -> None:
    monkeypatch.setattr(dead_units, "share_of_dead_units", lambda *_: pytest.fail("it looked"))
    training.sampler.start()
    training._update()
    training._log()


def test_a_checkpoint_of_before_there_were_such_charts_can_be_loaded(training) -> None:
    training.sampler.start()
    state = training.state_dict()
    assert state["records"]["dead_units"] == AT_START
    del state["records"]["dead_units"]
    training._restore(state)
    assert training.state_dict()["records"]["dead_units"] == UNKNOWN
