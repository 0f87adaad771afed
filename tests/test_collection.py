"""The tests are found on a machine that lacks what only tests use, whatever folders are named."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.run_commands import ROOT

# Not on every GPU machine: references of tests, and the encoder of play.
OPTIONAL = ("atarihns", "cv2", "imageio_ffmpeg", "stable_baselines3")


@pytest.fixture
def without_optional(tmp_path: Path) -> dict[str, str]:
    """An environment in which importing any of `OPTIONAL` fails, as where it is not installed."""
    hidden = dict.fromkeys(OPTIONAL)
    (tmp_path / "hidden.py").write_text(f"import sys\nsys.modules.update({hidden!r})\n")
    path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {**os.environ, "PYTHONPATH": path}


def collected(environment: dict[str, str], *words: str) -> set[str]:
    """The ids of the tests that pytest finds."""
    command = [sys.executable, "-m", "pytest", "-p", "hidden", "-p", "no:cacheprovider"]
    command += ["--collect-only", "-q", *words]
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return {line for line in done.stdout.splitlines() if "::" in line}


def test_gpu_tests_are_found_without_optional_packages(without_optional) -> None:
    everywhere = collected(without_optional, "-m", "gpu")
    rooms = {name.split("/")[1] for name in everywhere}
    assert {"learning", "models", "replay", "runners", "sampling"} <= rooms
    folders = [f"tests/{room}" for room in sorted(rooms, reverse=True)]
    assert collected(without_optional, "-m", "gpu", *folders) == everywhere
