"""A run's config inside a benchmark, as launch/train.py would compose it."""

from __future__ import annotations

from hydra import compose, initialize_config_dir

from accel.config.compose import register_schema, to_config
from accel.config.schema import Config
from accel.runners.cli import CONFIGS


def compose_config(overrides: list[str]) -> Config:
    """The dataclasses of a training command with these words."""
    register_schema()
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        return to_config(compose("train", overrides))
