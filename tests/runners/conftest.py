"""Commands in the background, and configs for runs in this process."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from run_commands import CATCH, GAMES, SMALL, WITHOUT_GIT, Command

from accel.config.compose import register_schema, to_config
from accel.config.schema import Config
from accel.runners.cli import CONFIGS
from accel.runners.train import train


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Command]]:
    """start("train", "seed=1") runs launch/train.py in the background; cleaned up afterwards."""
    commands: list[Command] = []

    def start(*words: str, folder: Path = tmp_path, **how: tuple[str, ...]) -> Command:
        commands.append(Command(words, folder, **how))
        return commands[-1]

    yield start
    for command in commands:
        command.kill()


def compose_config(run_dir: Path, *overrides: str) -> Config:
    register_schema()
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        return to_config(compose("train", [*SMALL, *overrides, f"run_dir='{run_dir}'"]))


@pytest.fixture
def make_config(tmp_path: Path) -> Callable[..., Config]:
    """make_config("algo=a2c", run_dir=...) composes as the command line does."""

    def make(*overrides: str, run_dir: Path = tmp_path / "run") -> Config:
        return compose_config(run_dir, *overrides)

    return make


@pytest.fixture(scope="session")
def catch_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished little run of Catch, with a best checkpoint; tests work on copies of it."""
    run = tmp_path_factory.mktemp("trained") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(GAMES)
        for key, value in WITHOUT_GIT.items():
            patch.setenv(key, value)
        train(compose_config(run, *CATCH, "total_agent_steps=256", "eval_episodes=2"))
    return run


@pytest.fixture
def run(catch_run: Path, tmp_path: Path) -> Path:
    """A copy of `catch_run`, to write into."""
    return Path(shutil.copytree(catch_run, tmp_path / "algo.learning_rate=0.001,seed=0"))


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Runs in this process can import the games here, and leave threads and git alone."""
    monkeypatch.syspath_prepend(GAMES)
    for key, value in WITHOUT_GIT.items():
        monkeypatch.setenv(key, value)
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)
