"""The run folder: decides whether a run starts, goes on or is refused, and guards the folder.

- run.lock: held while a process uses the folder
- manifest.json: what was run and how it ended
- tb/: TensorBoard events
- metrics.csv: one row per log point
- checkpoints/: step_*.pt and best.pt
- replay/: the steps that runs with a replay go on learning from; gone once finished
- train.log: what a run of a sweep over slots printed, attempt after attempt; kept when overwritten
- eval*.json: results of evaluations
- videos/: films of games
"""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Callable
from contextlib import nullcontext, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

from accel.runs.checkpoint import Checkpoints
from accel.runs.checkpoint_file import read_header
from accel.runs.lock import FolderLock, LockedError
from accel.runs.machine import describe_machine, package_versions
from accel.runs.manifest import EndStatus, Manifest

Resume = Literal["auto", "off", "must"]
REPLAY = "replay"
# Everything a run writes, the manifest last: a deletion cut short still leaves a known run.
_OUTPUTS = (
    *("tb", "checkpoints", REPLAY, "metrics.csv", "eval*.json", "profile.*", "videos"),
    "manifest.json",
)
_WAYS_OUT = "Either pass overwrite=true, which deletes this run, or choose another run_dir or seed."


class RunFolderError(ValueError):
    """The folder cannot be used as asked; the text says why and what to do."""


class RunFolder:
    """An opened, locked run folder; as a context manager it records how the run ended.

    `checkpoint` is the file to go on from and `resume_step` its agent steps; both are None where
    the run starts from nothing.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        resume: Resume = "auto",
        overwrite: bool = False,
        keep_checkpoints: int = 2,
        warn: Callable[[str], None] = warnings.warn,
    ) -> None:
        """Open or create `path`. Raises RunFolderError where that would lose or mix up runs."""
        if resume == "must" and overwrite:
            raise RunFolderError("resume=must and overwrite=true contradict each other: pass one")
        self.path = Path(path)
        self.tb_dir = self.path / "tb"
        self.csv_path = self.path / "metrics.csv"
        self.manifest_path = self.path / "manifest.json"
        self.checkpoints = Checkpoints(self.path / "checkpoints", keep_checkpoints, warn)
        self.checkpoint: Path | None = None
        self.resume_step: int | None = None
        self._is_running = False
        self._lock = _lock(self.path, warn)
        try:
            self.manifest = self._claim(resume, overwrite)
        except BaseException:
            self._lock.release()
            raise

    def begin(
        self,
        *,
        config: dict[str, Any],
        seeds: dict[str, int],
        command: list[str],
        code: dict[str, Any],
        meanings: dict[str, Any] | None = None,
        parent: dict[str, Any] | None = None,
    ) -> None:
        """Record a start or resume: all arguments are JSON values; see manifest.py for the rest.

        `meanings` are what settings left open stand for, for a resume to keep to. `parent` says, at
        the start of a forked run, which checkpoint it goes on from.
        """
        facts = {"config": config, "seeds": seeds, "command": command, "code": code}
        facts["meanings"] = meanings or {}
        facts.update(versions=package_versions(), machine=describe_machine())
        if self.resume_step is None:
            facts["parent"] = parent
        start = parent["agent_steps"] if parent is not None else 0
        self.manifest.begin(facts, start if self.resume_step is None else self.resume_step)
        self._is_running = True

    def end(
        self,
        status: EndStatus,
        exit_reason: str,
        agent_steps: int,
        wall_time_s: float | None = None,
    ) -> None:
        """Record how the run ended. A finished run is never resumed; the others are."""
        self.manifest.end(status, exit_reason, agent_steps, wall_time_s)
        self._is_running = False

    def end_abruptly(self, status: EndStatus, exit_reason: str) -> None:
        """Record, in place of a main thread that cannot, how the run ends if it is running."""
        if self._is_running:
            with suppress(OSError):
                self.manifest.end(status, exit_reason)

    def close(self) -> None:
        """Let other processes use the folder."""
        self._lock.release()

    def __enter__(self) -> RunFolder:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if self._is_running:
                status, reason = _describe_exit(error)
                # A full disk must not hide the error that is on its way.
                with suppress(OSError) if error else nullcontext():
                    self.manifest.end(status, reason)
        finally:
            self.close()

    def _claim(self, resume: Resume, overwrite: bool) -> Manifest:
        """Decide: set where to go on from and return the manifest to go on with, or raise."""
        if not self.manifest_path.exists():
            self._refuse_unknown_outputs()
            if resume == "must":
                raise RunFolderError(f"resume=must, but {self.path} holds no run to resume.")
            return Manifest.new(self.manifest_path)
        if overwrite:
            self._delete_outputs()
            return Manifest.new(self.manifest_path)
        try:
            manifest = Manifest.read(self.manifest_path)
        except ValueError as error:
            raise RunFolderError(f"{error}. {_WAYS_OUT}") from error
        if manifest.is_finished:
            raise RunFolderError(
                f"{self._holds(manifest)}. {_WAYS_OUT} A longer one can start from its end: "
                f"fork={self.path}@last with a larger total_agent_steps or stop_at_return."
            )
        if resume == "off":
            raise RunFolderError(
                f"{self._holds(manifest)}, and resume=off. {_WAYS_OUT} "
                "resume=auto would go on with it."
            )
        return self._resume(manifest, resume)

    def _resume(self, manifest: Manifest, resume: Resume) -> Manifest:
        self.checkpoint = self.checkpoints.latest()
        if self.checkpoint is not None:
            self.resume_step = read_header(self.checkpoint)["agent_steps"]
            return manifest
        if self.checkpoints.steps():
            raise RunFolderError(
                f"{self._holds(manifest)}, and every checkpoint of it is damaged. {_WAYS_OUT}"
            )
        if resume == "must":
            raise RunFolderError(
                f"{self._holds(manifest)}, which saved no checkpoint, so resume=must cannot go on. "
                "resume=auto would start it again."
            )
        self._delete_outputs(keep_manifest=True)  # ended before its first checkpoint: start again
        return manifest

    def _refuse_unknown_outputs(self) -> None:
        found = self._outputs()
        if found:
            names = ", ".join(entry.name for entry in found)
            raise RunFolderError(
                f"{self.path} holds {names} but no manifest.json, so it may not be a run. "
                "Choose another run_dir or move these files away."
            )

    def _holds(self, manifest: Manifest) -> str:
        data = manifest.data
        was_killed = data["status"] == "running"
        status = "unfinished" if was_killed else data["status"]
        when = f"started {data.get('started')}" if was_killed else f"ended {data.get('ended')}"
        steps = data.get("agent_steps", 0)
        return f"{self.path} holds a run that is {status} ({steps:,} agent steps, {when})"

    def _outputs(self) -> list[Path]:
        return [entry for name in _OUTPUTS for entry in sorted(self.path.glob(name))]

    def _delete_outputs(self, keep_manifest: bool = False) -> None:
        for entry in self._outputs():
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            elif not (keep_manifest and entry == self.manifest_path):
                entry.unlink()


def _lock(path: Path, warn: Callable[[str], None]) -> FolderLock:
    if path.exists() and not path.is_dir():
        raise RunFolderError(f"{path} is a file, not a folder. Choose another run_dir.")
    path.mkdir(parents=True, exist_ok=True)
    try:
        return FolderLock(path / "run.lock", warn)
    except LockedError as error:
        raise RunFolderError(
            f"{path} is in use by {error}. Stop that run first, or choose another run_dir or seed."
        ) from None


def _describe_exit(error: BaseException | None) -> tuple[EndStatus, str]:
    if error is None:
        return "interrupted", "left before it was finished"
    if isinstance(error, KeyboardInterrupt | SystemExit):
        return "interrupted", f"{type(error).__name__} {error}".strip()
    return "failed", f"{type(error).__name__}: {error}"
