"""NVIDIA's Multi-Process Service for the length of a step: a daemon with folders of its own.

Processes that find it share the GPU at once in place of taking turns. The GPU's compute mode stays
as it is.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PROGRAM = "nvidia-cuda-mps-control"
_TIMEOUT_S = 15  # of starting it, and of ending it


class MpsFailed(RuntimeError):
    """The daemon did not start."""


def why_not() -> str | None:
    """What is missing for it, None if nothing is."""
    return None if shutil.which(PROGRAM) else f"{PROGRAM} is not there"


@contextmanager
def mps_daemon(folder: Path) -> Iterator[dict[str, str]]:
    """Start the daemon, yield the environment that finds it, and end it. Raises MpsFailed."""
    places = {"CUDA_MPS_PIPE_DIRECTORY": folder / "pipe", "CUDA_MPS_LOG_DIRECTORY": folder / "log"}
    for place in places.values():
        place.mkdir(parents=True, exist_ok=True)
    found_by = {name: str(place) for name, place in places.items()}
    try:
        _call([PROGRAM, "-d"], "", found_by)
        yield found_by
    finally:
        with suppress(MpsFailed):
            _call([PROGRAM], "quit\n", found_by)
        _end_what_is_left(folder / "pipe" / f"{PROGRAM}.pid")


def _call(command: list[str], text_in: str, found_by: dict[str, str]) -> None:
    try:
        # Not into pipes: the daemon would keep them open, and this would wait for it.
        done = subprocess.run(
            command,
            input=text_in,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            text=True,
            timeout=_TIMEOUT_S,
            env={**os.environ, **found_by},
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise MpsFailed(f"{' '.join(command)}: {error}") from error
    if done.returncode:
        log = Path(found_by["CUDA_MPS_LOG_DIRECTORY"]) / "control.log"
        last = log.read_text(errors="replace").splitlines()[-1:] if log.exists() else []
        raise MpsFailed(f"{' '.join(command)}: exit code {done.returncode} {' '.join(last)}")


def _end_what_is_left(pid_file: Path) -> None:
    """A daemon that did not quit: its number stands in its folder."""
    with suppress(OSError, ValueError):
        os.kill(int(pid_file.read_text()), signal.SIGTERM)
