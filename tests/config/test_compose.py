"""Every yaml file composes into frozen dataclasses that pass validation."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from accel.config.errors import ConfigError
from accel.config.machine import Machine
from accel.config.schema import A2CConfig, Config, PPOConfig
from accel.config.validate import validate
from accel.runners.cli import CONFIGS

Compose = Callable[..., Config]

OPTIONS = [
    f"{path.parent.name}={path.stem}"
    for path in sorted(CONFIGS.glob("*/*.yaml"))
    if path.parent.name != "experiment"
]
EXPERIMENTS = [path.stem for path in sorted(CONFIGS.glob("experiment/*.yaml"))]
# Options that fit no default of another group say here which choice they need.
COMPANIONS = {"env=gym": ["model=mlp"], "model=mlp": ["env=gym"]}


@pytest.mark.parametrize("option", OPTIONS)
def test_every_group_option_composes_and_is_valid(
    option: str, make_config: Compose, machine: Machine
) -> None:
    config = make_config(option, *COMPANIONS.get(option, []))
    assert validate(config, machine) == []


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_every_experiment_composes_and_is_valid(
    experiment: str, make_config: Compose, machine: Machine
) -> None:
    assert validate(make_config(f"experiment={experiment}"), machine) == []


def test_defaults_are_pong_by_ppo(make_config: Compose) -> None:
    config = make_config()
    assert (config.env.kind, config.env.game, config.env.protocol) == ("atari", "pong", "modern")
    assert isinstance(config.algo, PPOConfig)
    assert (config.model.name, config.sampler.kind) == ("nature_cnn", "parallel")


def test_the_algorithm_brings_its_number_of_environments(make_config: Compose) -> None:
    assert make_config("algo=ppo").sampler.num_envs == 8
    assert make_config("algo=a2c").sampler.num_envs == 16
    assert make_config("algo=a2c", "sampler=serial").sampler.num_envs == 16


def test_an_experiment_overrules_the_algorithm_and_the_command_line_both(
    make_config: Compose,
) -> None:
    assert make_config("experiment=pong_quick").sampler.num_envs == 32
    assert make_config("experiment=pong_quick", "sampler.num_envs=16").sampler.num_envs == 16


def test_real_frozen_dataclasses_at_every_level(make_config: Compose) -> None:
    config = make_config("algo=a2c")
    assert type(config) is Config and type(config.algo) is A2CConfig
    for part in (config, config.env, config.algo, config.model, config.sampler, config.hardware):
        assert dataclasses.is_dataclass(part)
        with pytest.raises(dataclasses.FrozenInstanceError):
            part.name = "changed"  # type: ignore[misc]


def test_numbers_written_with_an_exponent_are_floats(make_config: Compose) -> None:
    assert make_config("algo.learning_rate=1e-3").algo.learning_rate == 0.001


def test_keys_added_with_plus_are_refused_together(make_config: Compose) -> None:
    with pytest.raises(ConfigError) as caught:
        make_config("+algo.clip_ragne=0.2", "+speed=3")
    assert [problem.key for problem in caught.value.problems] == ["algo.clip_ragne", "speed"]
    assert "algo.clip_range" in caught.value.problems[0].fix


def test_a_schema_chosen_without_its_values_is_refused(make_config: Compose) -> None:
    with pytest.raises(ConfigError, match="missing"):
        make_config("algo=base_ppo")


def test_help_names_every_option() -> None:
    words = set(re.findall(r"\w+", (CONFIGS / "train.yaml").read_text()))
    assert words >= {*(option.split("=")[1] for option in OPTIONS), *EXPERIMENTS}


def test_no_yaml_names_a_python_object() -> None:
    for path in CONFIGS.rglob("*.yaml"):
        assert "_target_" not in path.read_text(), path


def test_the_room_loads_without_torch() -> None:
    modules = [path.stem for path in (CONFIGS.parent / "accel/config").glob("[a-z]*.py")]
    imports = "; ".join(f"import accel.config.{module}" for module in modules)
    code = f"{imports}; import sys; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(CONFIGS).parent)
