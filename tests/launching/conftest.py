"""Commands in the background, as in tests/runners, whose games and helpers are shared."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

RUNNERS = Path(__file__).resolve().parents[1] / "runners"
sys.path.append(str(RUNNERS))

from run_commands import Command  # noqa: E402


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
