"""A step as a process group of its own: under a limit, its output in a log, nothing left behind."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from benchmarks.contender import REPOSITORY, bound

GRACE_S = 5.0  # between asking a group to end and ending it
_TAIL_BYTES = 4000


@dataclass(frozen=True)
class Ending:
    """How a step's process ended."""

    code: int | None  # None: over its limit
    last_line: str  # of what it printed


def run_group(
    command: Sequence[str], limit_s: float, log: Path, environment: Mapping[str, str]
) -> Ending:
    """Run `command` for `limit_s` at most; it and all that it started have ended on return.

    `environment` is added to this process's own, `log` added to. Whatever exception interrupts the
    wait, the group ends first.
    """
    with log.open("ab") as output:
        start = output.tell()
        process = subprocess.Popen(
            bound(list(command)),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=REPOSITORY,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **environment},
            start_new_session=True,
        )
        code = None
        try:
            code = process.wait(limit_s)
        except subprocess.TimeoutExpired:
            pass
        finally:
            _end(process)
    return Ending(code, _last_line(log, start))


def _end(process: subprocess.Popen) -> None:
    """Ask the group to end if its leader goes on, then end whoever is left."""
    if process.poll() is None:
        _signal(process.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(GRACE_S)
    _signal(process.pid, signal.SIGKILL)
    process.wait()


def _signal(group: int, number: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def _last_line(log: Path, start: int) -> str:
    with log.open("rb") as file:
        file.seek(max(start, file.seek(0, os.SEEK_END) - _TAIL_BYTES))
        lines = file.read().decode(errors="replace").splitlines()
    return next((line.strip() for line in reversed(lines) if line.strip()), "it printed nothing")
