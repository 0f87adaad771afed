"""The commands of launch/ as a user runs them: as processes, watched from outside."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
GAMES = ROOT / "tests" / "games"  # modules that env.game=module:Name-v0 can name
_MARK = "ACCEL_TEST_COMMAND"
# Keeps code_state.py from finding the checkout, which it would leave a git ref in.
WITHOUT_GIT = {"GIT_CEILING_DIRECTORIES": str(ROOT)}


def words(text: str) -> tuple[str, ...]:
    """Words of a command line without spaces in them."""
    return tuple(text.split())


# One core, no GPU, and a log point at every update.
SMALL = words(
    "device=cpu precision=fp32 hardware.learner_threads=1 hardware.actor_threads=1 "
    "log_interval_s=0.001"
)
# A run of a slow little game with two workers, which takes some seconds.
SLOW = words(
    "env=gym env.game=faulty_games:Game-none-v0 model=mlp model.hidden_size=8 sampler.num_envs=4 "
    "sampler.num_workers=2 algo.rollout_length=8 algo.num_minibatches=1 algo.num_epochs=1 "
    "total_agent_steps=3200"
)
# Images of 36 x 36 pixels, in this process.
CATCH = words(
    "env=gym env.game=catch_game:Catch-v0 model=nature_cnn model.hidden_size=64 sampler=serial "
    "sampler.num_envs=8 algo.rollout_length=16 eval_interval_agent_steps=128"
)


class Command:
    """A running command of launch/, its output in files, all its processes known by a mark."""

    def __init__(
        self,
        words: tuple[str, ...],
        folder: Path,
        through: tuple[str, ...] = (),
        on: tuple[str, ...] = (),
    ) -> None:
        """Run launch/<first word>.py, if asked through another Python program (torchrun).

        `on` are words that make the command after them run elsewhere (on one of TwoMachines).
        """
        self._mark = f"{_MARK}={uuid.uuid4().hex}"
        key, value = self._mark.split("=")
        self._files = [folder / f"{value}.{name}" for name in ("out", "err")]
        program = ROOT / "launch" / f"{words[0]}.py"
        path = os.pathsep.join([str(ROOT), str(GAMES)])
        with self._files[0].open("w") as out, self._files[1].open("w") as err:
            self.process = subprocess.Popen(
                [*on, sys.executable, *through, str(program), *words[1:]],
                cwd=folder,
                env={
                    **os.environ,
                    **WITHOUT_GIT,
                    "PYTHONPATH": path,
                    "OMP_NUM_THREADS": "1",
                    key: value,
                },
                stdout=out,
                stderr=err,
                start_new_session=True,
            )

    @property
    def stdout(self) -> str:
        return self._files[0].read_text()

    @property
    def stderr(self) -> str:
        return self._files[1].read_text()

    def ends_with(self, code: int, within_s: float = 60.0) -> float:
        """Wait for the end, check the exit code, return the seconds it took."""
        start = time.monotonic()
        got = self.process.wait(timeout=within_s)
        assert got == code, f"exit code {got}, not {code}:\n{self.stdout}\n{self.stderr}"
        return time.monotonic() - start

    def wait_for_rows(self, run: Path, count: int) -> None:
        """Wait until the run's metrics.csv has more than `count` lines."""

        def has_rows() -> bool:
            assert self.process.poll() is None, self.stderr
            path = run / "metrics.csv"
            return path.exists() and len(path.read_text().splitlines()) > count

        wait_until(has_rows)

    def pids(self) -> list[int]:
        """Every living process that this command started, itself included."""
        return [pid for pid in _all_pids() if self._mark in _environment(pid)]

    def workers(self) -> list[int]:
        """The living processes besides the main one."""
        return [pid for pid in self.pids() if pid != self.process.pid]

    def ranks(self) -> dict[int, int]:
        """Process id of each living rank."""
        environments = {pid: _environment(pid) for pid in self.pids()}
        return {
            int(entry.partition("=")[2]): pid
            for pid, environment in environments.items()
            for entry in environment
            if entry.startswith("RANK=")
        }

    def kill(self) -> None:
        for pid in self.pids():
            os.kill(pid, signal.SIGKILL)
        self.process.wait()


def wait_until(holds: Callable[[], bool], within_s: float = 60.0) -> float:
    """Poll until `holds()`; return the seconds it took."""
    start = time.monotonic()
    while not holds():
        assert time.monotonic() - start < within_s, "waited in vain"
        time.sleep(0.02)
    return time.monotonic() - start


def _all_pids() -> list[int]:
    return [int(entry) for entry in os.listdir("/proc") if entry.isdigit()]


def _environment(pid: int) -> list[str]:
    """A process's environment; empty for one that has ended, a zombie included."""
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return []


# Some 3 ms of playing per update and rank.
GAME = words(
    "env=gym env.game=faulty_games:Game-none-v0 model=mlp model.hidden_size=8 sampler=serial "
    "sampler.num_envs=4 algo.rollout_length=8 algo.num_minibatches=2 algo.num_epochs=2"
)
