"""Commands in the background, and configs for runs in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from run_commands import GAMES, SMALL, WITHOUT_GIT, Command

from accel.config.compose import register_schema, to_config
from accel.config.schema import Config
from accel.runners.cli import CONFIGS


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Command]]:
    """start("train", "seed=1") runs launch/train.py in the background; cleaned up afterwards."""
    commands: list[Command] = []

    def start(*words: str) -> Command:
        commands.append(Command(words, tmp_path))
        return commands[-1]

    yield start
    for command in commands:
        command.kill()


@pytest.fixture
def make_config(tmp_path: Path) -> Callable[..., Config]:
    """make_config("algo=a2c", run_dir=...) composes as the command line does."""
    register_schema()

    def make(*overrides: str, run_dir: Path = tmp_path / "run") -> Config:
        with initialize_config_dir(str(CONFIGS), version_base="1.3"):
            composed = compose("train", [*SMALL, *overrides, f"run_dir='{run_dir}'"])
        return to_config(composed)

    return make


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Runs in this process can import the games here, and leave threads and git alone."""
    monkeypatch.syspath_prepend(GAMES)
    for key, value in WITHOUT_GIT.items():
        monkeypatch.setenv(key, value)
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)
