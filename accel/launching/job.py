"""One run of a sweep as a process of its own, from waiting for a slot to its end."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from accel.launching import bound
from accel.launching.progress import NOTHING_YET, Progress, find_manifest, read_progress
from accel.launching.slots import Slot
from accel.runs.manifest import utc_now

LOG = "train.log"  # in the run folder: everything that the run printed
_ENDED_BY_REQUEST = (130, -signal.SIGINT, -signal.SIGTERM, -signal.SIGKILL)  # exit codes


class State(Enum):
    """Where a job stands; the value is the word shown."""

    WAITING = "waiting"
    RUNNING = "running"
    STOPPING = "stopping"  # asked to save and leave
    FINISHED = "finished"
    SKIPPED = "skipped"  # was finished before
    STOPPED = "stopped"  # unfinished; the same sweep goes on with it
    FAILED = "failed"

    @property
    def is_running(self) -> bool:
        return self in (State.RUNNING, State.STOPPING)


@dataclass(eq=False)
class Job:
    """A run, its process while it has one, and how it ended."""

    index: int
    label: str  # what tells it from the sweep's other jobs: "env.game=pong seed=1"
    command: Sequence[str]
    folder: Path
    total_agent_steps: int
    state: State = State.WAITING
    slot: Slot | None = None
    exit_code: int | None = None
    progress: Progress = NOTHING_YET
    exit_reason: str = ""  # of a run that was finished before
    _process: subprocess.Popen[bytes] | None = None
    _log_start: int = 0

    @property
    def log(self) -> Path:
        return self.folder / LOG

    def start(self, slot: Slot) -> None:
        """Start the process in a slot. To be called from the main thread: it is bound to it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        # hydra_entry sets this for itself; in a job it would turn mistakes into tracebacks.
        hidden = {"HYDRA_FULL_ERROR"}
        binding = [sys.executable, "-IS", str(bound.__file__), str(os.getpid())]
        with self.log.open("ab") as log, slot.occupied():
            log.write(f"{utc_now()} {shlex.join(self.command)}\n".encode())
            log.flush()
            self._log_start = log.tell()
            self._process = subprocess.Popen(
                [*binding, *self.command],
                env={key: value for key, value in os.environ.items() if key not in hidden},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # a terminal's Ctrl-C reaches the launcher alone
            )
        self.slot, self.state = slot, State.RUNNING

    def poll(self) -> bool:
        """Note whether the process has ended, and how; True when it just has."""
        if self._process is None or not self.state.is_running or self._process.poll() is None:
            return False
        self.exit_code = self._process.returncode
        self.state = self._judge(was_asked=self.state is State.STOPPING)
        self.read_progress()
        return True

    def read_progress(self) -> None:
        """Look into the run folder."""
        self.progress = read_progress(self.folder)

    def ask_to_stop(self) -> None:
        """Pass on one Ctrl-C: asked once, a run saves and leaves; asked twice, it leaves at once.

        Only the run's main process is told: it takes care of its own workers.
        """
        if self._process is not None and self._process.poll() is None:
            self.state = State.STOPPING
            self._process.send_signal(signal.SIGINT)

    def kill(self) -> None:
        """End the process and all that it has started."""
        if self._process is not None and self._process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def last_lines(self, count: int) -> list[str]:
        """The end of what the process printed since it was last started."""
        with self.log.open("rb") as log:
            log.seek(max(self._log_start, log.seek(0, os.SEEK_END) - 200 * count))
            return log.read().decode(errors="replace").splitlines()[-count:]

    def describe_end(self) -> str:
        """What became of the process: `exit code 1`, or the signal that killed it."""
        assert self.exit_code is not None
        if self.exit_code >= 0:
            return f"exit code {self.exit_code}"
        return f"killed by {signal.Signals(-self.exit_code).name}"

    def _judge(self, was_asked: bool) -> State:
        if self.exit_code == 0:
            manifest = find_manifest(self.folder)
            was_left = manifest is not None and manifest.data["status"] == "interrupted"
            return State.STOPPED if was_left else State.FINISHED
        return State.STOPPED if was_asked and self.exit_code in _ENDED_BY_REQUEST else State.FAILED
