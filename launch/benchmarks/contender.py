"""The parent's end of one contender process: start it, time rounds through its pipe, end it."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from accel.launching import bound as launching_bound

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parent.parent
_START_TIMEOUT_S = 180  # compiling kernels and loading emulators included
_GRACE_S = 60  # beyond a round's own length, on a busy machine


def bound(command: list[str]) -> list[str]:
    """The command, made to die with this process, however it ends."""
    return [sys.executable, "-IS", str(launching_bound.__file__), str(os.getpid()), *command]


class ContenderFailed(RuntimeError):
    """A contender's process broke down; the message ends with its own last words."""


class Contender:
    """A process that stays idle, blocked on its input, until `start` asks it for one timed round.

    `missing` names the package it could not import, None when it is ready; `versions` has those of
    its libraries.
    """

    def __init__(self, script: str, *arguments: str, python: str) -> None:
        """Start `script`, a file of this folder, in the given interpreter and wait until ready."""
        self.name = arguments[0]
        self._stderr = tempfile.TemporaryFile("w+")  # noqa: SIM115 (open until `close`)
        self._process = subprocess.Popen(
            [python, str(HERE / script), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            env=_environment(python),
        )
        self.pid = self._process.pid
        self._buffer = b""
        greeting = self._receive(_START_TIMEOUT_S)
        self.missing: str | None = greeting.get("missing")
        self.versions: dict[str, str] = greeting.get("ready", {})

    def start(self, seconds: float) -> None:
        """Begin a round of `seconds` seconds."""
        self._process.stdin.write(f"{seconds}\n".encode())
        self._process.stdin.flush()

    def finish(self, seconds: float) -> dict[str, float]:
        """Wait for the round's end: {"agent_steps", "wall_s", "cpu_s"}."""
        return self._receive(seconds + _GRACE_S)

    def close(self) -> None:
        """End the process."""
        self._process.stdin.close()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
        self._stderr.close()

    def __enter__(self) -> Contender:
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        if kind is not None:  # its round need not end first
            self._process.kill()
        self.close()

    def _receive(self, timeout_s: float) -> dict[str, Any]:
        """One JSON line of the process, read no later than `timeout_s` seconds from now."""
        while b"\n" not in self._buffer:
            readable, _, _ = select.select([self._process.stdout], [], [], timeout_s)
            chunk = os.read(self._process.stdout.fileno(), 65536) if readable else b""
            if not chunk:
                what = "ended" if readable else f"said nothing for {timeout_s:.0f} s"
                self._process.kill()
                self._process.wait()
                self._stderr.seek(0)
                raise ContenderFailed(f"{self.name} {what}:\n{self._stderr.read()[-2000:]}")
            self._buffer += chunk
        line, _, self._buffer = self._buffer.partition(b"\n")
        return json.loads(line)


def _environment(python: str) -> dict[str, str]:
    """Ours; packages that came on PYTHONPATH go to this very interpreter alone."""
    ours = os.environ.get("PYTHONPATH") if python == sys.executable else None
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, (str(REPOSITORY), ours)))}
