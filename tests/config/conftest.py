"""Configs composed as the command line does it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hydra import compose, initialize_config_dir

from accel.config.compose import register_schema, to_config
from accel.config.machine import Machine
from accel.config.schema import Config
from accel.runners.cli import CONFIGS


@pytest.fixture
def make_config() -> Callable[..., Config]:
    """make_config("algo=a2c", "seed=1") -> Config."""
    register_schema()

    def make(*overrides: str) -> Config:
        with initialize_config_dir(str(CONFIGS), version_base="1.3"):
            return to_config(compose("train", overrides=list(overrides)))

    return make


@pytest.fixture
def machine() -> Machine:
    """Four cores, 8 GB, no CUDA."""
    return Machine(cores=4, memory_bytes=8 * 10**9)
