"""Saving and loading the state of a run, and keeping the few checkpoints worth keeping.

A run's directory holds the newest `keep` checkpoints, `step_<agent steps>.pt`, and `best.pt`, the
one that scored highest in evaluation.
"""

from __future__ import annotations

import math
import pickle
import re
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from accel.runs.atomic import remove_leftovers, replacing
from accel.runs.checkpoint_file import CheckpointError, DamagedCheckpoint, read_header, seal
from accel.runs.disk import is_full, os_error_behind
from accel.runs.state_tree import from_storable, to_storable

_STEP_NAME = re.compile(r"step_(\d{12,})\.pt")


def save_checkpoint(
    path: Path, state: dict[str, Any], header: dict[str, Any] | None = None
) -> None:
    """Write `state` to `path`, or raise and leave what was there before.

    `header` (JSON values) can be read back without torch. Raises CheckpointError where the disk
    refuses, TypeError (with the key path) for a value that a checkpoint cannot hold.
    """
    import torch

    storable = to_storable(state)
    try:
        with replacing(path) as temporary:
            with temporary.open("wb") as file:
                torch.save(storable, file)
            seal(temporary, header or {})
    except (OSError, RuntimeError) as error:
        raise CheckpointError(_explain_failure(path, error)) from error


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint, tensors on the CPU, after checking that it holds the bytes once written.

    Raises DamagedCheckpoint, naming the file, or FileNotFoundError. No code in the file is run.
    """
    import torch

    read_header(path)
    try:
        return from_storable(torch.load(path, map_location="cpu", weights_only=True))
    except (RuntimeError, pickle.UnpicklingError) as error:
        raise DamagedCheckpoint(
            f"checkpoint {path} is intact but holds what this torch cannot read: {error}"
        ) from error


class Checkpoints:
    """The checkpoints of one run. One process at a time may write (see the run folder's lock)."""

    def __init__(
        self, directory: Path, keep: int = 2, warn: Callable[[str], None] = warnings.warn
    ) -> None:
        if keep < 1:
            raise ValueError(f"keep={keep}: at least one checkpoint has to be kept")
        self.directory = directory
        self.best_path = directory / "best.pt"
        self._keep = keep
        self._warn = warn
        self._best_score: float | None = None
        self._best_is_known = False

    def save(self, state: dict[str, Any], agent_steps: int) -> Path:
        """Save `state`, then delete all but the newest `keep`; return the new file's path.

        Files of later steps go too: they belong to a future that a resume has abandoned.
        """
        path = self.path_of(agent_steps)
        self._write(path, state, {"agent_steps": agent_steps})
        kept = [steps for steps in self.steps() if steps <= agent_steps][-self._keep :]
        for steps in self.steps():
            if steps not in kept:
                self.path_of(steps).unlink(missing_ok=True)
        return path

    def save_best(self, state: dict[str, Any], score: float, agent_steps: int) -> Path | None:
        """Save `state` as best.pt if `score` is the best."""
        if not self.is_best(score):
            return None
        self._write(self.best_path, state, {"agent_steps": agent_steps, "score": float(score)})
        self._best_score = float(score)
        return self.best_path

    def is_best(self, score: float) -> bool:
        """Whether `score` beats all that were saved before it, also those before a resume."""
        best = self.best_score
        return not math.isnan(score) and (best is None or score > best)

    @property
    def best_score(self) -> float | None:
        """The score of best.pt, read from the file once; None without one."""
        if not self._best_is_known:
            header = self._header_or_none(self.best_path) if self.best_path.exists() else None
            self._best_score = None if header is None else header.get("score")
            self._best_is_known = True
        return self._best_score

    def steps(self) -> list[int]:
        """Agent steps of the checkpoints on disk, damaged ones included, ascending."""
        names = (entry.name for entry in self.directory.glob("step_*.pt"))
        return sorted(int(match[1]) for name in names if (match := _STEP_NAME.fullmatch(name)))

    def latest(self) -> Path | None:
        """The newest checkpoint that verifies; warns of each damaged one it skips. No torch."""
        for steps in reversed(self.steps()):
            path = self.path_of(steps)
            if self._header_or_none(path) is not None:
                return path
        return None

    def path_of(self, agent_steps: int) -> Path:
        """Where the checkpoint of so many agent steps is, or would be."""
        return self.directory / f"step_{agent_steps:012d}.pt"

    def _write(self, path: Path, state: dict[str, Any], header: dict[str, Any]) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        remove_leftovers(self.directory)
        save_checkpoint(path, state, header)

    def _header_or_none(self, path: Path) -> dict[str, Any] | None:
        try:
            return read_header(path)
        except (DamagedCheckpoint, OSError) as error:
            self._warn(f"skipped: {error}")
            return None


def _explain_failure(path: Path, error: BaseException) -> str:
    """Say what went wrong; torch hides a full disk behind an error of its own."""
    cause = os_error_behind(error)
    reason = str(error) if cause is None else str(cause.strerror or cause)
    if is_full(error):
        free = shutil.disk_usage(path.parent).free / 1e6
        reason = f"{reason} ({free:,.0f} MB free in {path.parent})"
    return f"checkpoint {path} was not written: {reason}; earlier checkpoints are untouched"
