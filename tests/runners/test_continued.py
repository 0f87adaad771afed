"""A run goes on as it began, also where a later version takes an open setting to mean otherwise."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest
import torch

from accel.config.derive import derive
from accel.config.machine import Machine
from accel.config.schema import Config
from accel.learning.sync import Alone
from accel.runners.continued import as_begun, changes_since_begun, meanings
from accel.runners.train import train
from accel.runs.folder import RunFolder
from tests.run_commands import words

Compose = Callable[..., Config]
MACHINE = Machine(cores=2, memory_bytes=8 * 10**9)
PONG = words(
    "algo=r2d2 env.game=pong model=small_cnn model.hidden_size=8 model.core_size=4 sampler=serial "
    "sampler.num_envs=2 algo.rollout_length=4 algo.burn_in=4 algo.sequence_length=4 algo.n_step=2 "
    "algo.batch_size=2 algo.learning_starts=48 algo.replay_capacity=200 algo.save_replay=false"
)


class OtherRank(Alone):
    """A rank that the first one, which has the folder, tells what it found."""

    def __init__(self, of_first: object) -> None:
        super().__init__()
        self.of_first = of_first

    def gather(self, value: object) -> list[object]:
        return [self.of_first, value]


def begin(path: Path, config: Config, *, saves: bool = True, says: bool = True) -> None:
    """A run of `config` that was stopped; without `says` an earlier version wrote its manifest."""
    with RunFolder(path) as folder:
        kept = meanings(derive(config, MACHINE)) if says else None
        folder.begin(config=asdict(config), seeds={}, command=[], code={}, meanings=kept)
        if saves:
            folder.checkpoints.save({"weights": torch.ones(1)}, 100)
        folder.end("interrupted", "a test", 100)
    if not says:
        forget_meanings(path)


def forget_meanings(path: Path) -> None:
    manifest = path / "manifest.json"
    data = json.loads(manifest.read_text())
    del data["meanings"]
    manifest.write_text(json.dumps(data | {"status": "interrupted"}))


def clips(path: Path, config: Config) -> bool:
    with RunFolder(path) as folder:
        return as_begun(config, derive(config, MACHINE), folder, Alone()).clip_rewards


def test_an_earlier_versions_r2d2_run_keeps_its_clipped_rewards(make_config, tmp_path) -> None:
    config = make_config(*PONG)
    assert not derive(config, MACHINE).clip_rewards
    begin(tmp_path / "old", config, says=False)
    assert clips(tmp_path / "old", config)
    begin(tmp_path / "new", config)
    assert not clips(tmp_path / "new", config)
    assert not clips(tmp_path / "none", config)  # nothing to go on with


def test_what_is_set_then_or_now_is_not_overruled(make_config: Compose, tmp_path: Path) -> None:
    config, unclipped = make_config(*PONG), make_config(*PONG, "env.clip_rewards=false")
    begin(tmp_path / "left_open", config, says=False)
    assert not clips(tmp_path / "left_open", unclipped)
    begin(tmp_path / "set", unclipped, says=False)
    assert not clips(tmp_path / "set", config)


def test_a_run_without_a_checkpoint_starts_by_the_new_rule(make_config, tmp_path) -> None:
    config = make_config(*PONG)
    begin(tmp_path / "run", config, saves=False, says=False)
    assert not clips(tmp_path / "run", config)


@pytest.mark.parametrize("clipped", [True, False, None])
def test_the_first_rank_tells_the_others(clipped, make_config: Compose) -> None:
    config = make_config(*PONG)
    derived = as_begun(config, derive(config, MACHINE), None, OtherRank(clipped))
    assert derived.clip_rewards is bool(clipped)


def test_training_goes_on_with_clipped_rewards_and_says_so(make_config, capsys) -> None:
    run = Path(make_config().run_dir)
    train(make_config(*PONG, "total_agent_steps=64"))
    assert "rewards as they are (value_rescaling takes the place" in capsys.readouterr().out
    forget_meanings(run)
    for steps in (80, 96):  # the first resume writes down what it found
        train(make_config(*PONG, f"total_agent_steps={steps}"))
        assert "rewards clipped to their sign (as when this run began)" in capsys.readouterr().out
        manifest = json.loads((run / "manifest.json").read_text())
        assert manifest["meanings"] == {"clip_rewards": True}
        (run / "manifest.json").write_text(json.dumps(manifest | {"status": "interrupted"}))


def test_a_key_that_came_later_had_its_default_all_along(make_config, tmp_path) -> None:
    config = make_config("algo=dqn")
    with RunFolder(tmp_path / "new") as folder:
        assert changes_since_begun(folder, asdict(config)) == {}
    begin(tmp_path / "run", config)
    with RunFolder(tmp_path / "run") as folder:
        del folder.manifest.data["config"]["algo"]["importance_exponent_final"]
        assert changes_since_begun(folder, asdict(config)) == {}
        changed = asdict(make_config("algo=dqn", "algo.importance_exponent_final=0.5", "seed=1"))
        assert changes_since_begun(folder, changed) == {
            "algo.importance_exponent_final": "1.0 -> 0.5",
            "seed": "0 -> 1",
        }
        folder.manifest.data["config"]["flavor"] = "sweet"  # of a version that this one cannot read
        assert changes_since_begun(folder, asdict(config))["flavor"] == "sweet -> (not set)"
