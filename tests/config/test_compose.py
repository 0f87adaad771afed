"""Every yaml file composes into frozen dataclasses that pass validation."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from accel.config.derive import derive
from accel.config.errors import ConfigError
from accel.config.machine import Machine
from accel.config.replay import updates_per_rollout
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
COMPANIONS = {
    "env=gym": ["model=mlp"],
    "model=mlp": ["env=gym"],
    "algo=r2d2": ["total_agent_steps=35_200_000"],  # its paper's target network is a slow one
}
GPU_PRESETS = ("dqn_512", "c51_2048", "eps_rainbow_512", "a2c_gpu")


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


@pytest.mark.parametrize("cores", [2, 14, 16, 32])
@pytest.mark.parametrize("experiment", GPU_PRESETS)
def test_a_gpu_preset_keeps_every_core_busy(
    experiment: str, cores: int, make_config: Compose
) -> None:
    """As many workers as cores where its games can be shared so: by 14 of 16 as well as by 16."""
    machine = Machine(cores=cores, memory_bytes=10**11, cuda_devices=1)
    config = make_config(f"experiment={experiment}", f"sampler.num_workers={min(cores, 16)}")
    assert validate(config, machine) == []
    config = make_config(f"experiment={experiment}")
    assert validate(config, machine) == []
    derived = derive(config, machine)
    assert derived.num_groups == 2 and derived.num_workers >= min(cores, 16) - 2


@pytest.mark.parametrize("experiment", GPU_PRESETS[:3])
def test_a_gpu_preset_of_the_dqn_family_writes_no_replay_and_rarely_ends_a_rollout(
    experiment: str, make_config: Compose
) -> None:
    config = make_config(f"experiment={experiment}")
    assert not config.algo.save_replay
    assert 16 <= config.algo.rollout_length <= 32
    assert updates_per_rollout(config).is_integer()
    algo = make_config(f"algo={config.algo.name}").algo
    kept = ("replay_ratio", "target_interval_agent_steps", "learning_starts", "n_step", "discount")
    assert all(getattr(config.algo, key) == getattr(algo, key) for key in kept)
    steps = config.algo.rollout_length * config.sampler.num_envs
    assert steps < algo.target_interval_agent_steps and steps < algo.learning_starts


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
