"""Configs for runs in this process, and one of them, finished."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir

from accel.config.compose import register_schema, to_config
from accel.config.schema import Config
from accel.runners.cli import CONFIGS
from accel.runners.train import train
from tests.run_commands import CATCH, SMALL, WITHOUT_GIT


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
    """Runs in this process leave threads and git alone."""
    for key, value in WITHOUT_GIT.items():
        monkeypatch.setenv(key, value)
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)
