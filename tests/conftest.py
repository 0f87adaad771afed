"""What tests of several rooms use."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from tests.recorded import Recorded
from tests.run_commands import GAMES, Command

sys.path.append(str(GAMES))  # env.game=catch_game:Catch-v0 names a module, as a user's own would


def pytest_configure(config: pytest.Config) -> None:
    """One thread in each of pytest-xdist's processes: threads that spin take others' cores."""
    if hasattr(config, "workerinput"):
        torch.set_num_threads(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What needs a CUDA device is skipped where there is none."""
    if not torch.cuda.is_available():
        for item in items:
            if "gpu" in item.keywords:
                item.add_marker(pytest.mark.skip(reason="needs a CUDA device"))


@pytest.fixture
def graphs() -> Recorded:
    """What takes CUDA graphs' place where there is no GPU."""
    return Recorded()


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
