"""Looking into run folders without touching them: which are runs, what they hold."""

from __future__ import annotations

import glob
from collections.abc import Iterable
from pathlib import Path

from accel.runs.checkpoint import Checkpoints
from accel.runs.checkpoint_file import DamagedCheckpoint, read_header
from accel.runs.folder import RunFolderError
from accel.runs.manifest import Manifest

_MANIFEST = "manifest.json"
_MOST_NAMED = 8  # runs that a message lists


def read_manifest(run: Path) -> Manifest:
    """The manifest of the run in folder `run`. Raises RunFolderError, with what to type instead."""
    if not run.is_dir():
        raise RunFolderError(f"run={run}: there is no such folder.")
    if not (run / _MANIFEST).exists():
        below = _runs_below(run)
        fix = "Runs below it:\n" + _listing(below) if below else "A run folder has one."
        raise RunFolderError(f"run={run}: the folder holds no {_MANIFEST}. {fix}")
    try:
        return Manifest.read(run / _MANIFEST)
    except ValueError as error:
        raise RunFolderError(str(error)) from error


def find_checkpoint(run: Path, which: str) -> tuple[Path, int]:
    """A checkpoint and its agent steps; `which` is "last", "best" or a file's path.

    Damaged files are passed over for the last whole one. Raises RunFolderError where none is left.
    """
    skipped: list[str] = []
    checkpoints = Checkpoints(run / "checkpoints", warn=skipped.append)
    if which == "last":
        path = checkpoints.latest()
        if path is None:
            found = "; ".join(skipped) or "it has saved none"
            raise RunFolderError(f"run={run} has no checkpoint to load: {found}.")
    elif which == "best":
        path = checkpoints.best_path
        if not path.exists():
            raise RunFolderError(
                f"run={run} has no best checkpoint: it was trained without evaluations "
                "(eval_interval_agent_steps=0). checkpoint=last takes the newest one."
            )
    else:
        path = Path(which).expanduser()
        if not path.is_file():
            raise RunFolderError(
                f"checkpoint={which}: there is no such file; give last, best or a file's path."
            )
    try:
        return path, int(read_header(path)["agent_steps"])
    except DamagedCheckpoint as error:
        raise RunFolderError(str(error)) from error


def find_runs(patterns: Iterable[str]) -> list[Path]:
    """Run folders, each once, of paths and glob patterns that name runs or folders of runs.

    Raises RunFolderError for a pattern that leads to no run.
    """
    runs: dict[Path, None] = {}
    for pattern in patterns:
        expanded = str(Path(pattern).expanduser())
        # A name that exists is meant as it stands, whatever brackets it holds.
        paths = [expanded] if Path(expanded).exists() else sorted(glob.glob(expanded))
        found = [run for path in paths for run in _runs_below(Path(path))]
        if not found:
            raise RunFolderError(f"runs: {pattern} leads to no run (a folder with {_MANIFEST}).")
        runs.update(dict.fromkeys(found))
    return list(runs)


def _runs_below(folder: Path) -> list[Path]:
    """`folder` itself if it is a run, else the runs in it at any depth."""
    if (folder / _MANIFEST).is_file():
        return [folder]
    return sorted(path.parent for path in folder.rglob(_MANIFEST)) if folder.is_dir() else []


def _listing(runs: list[Path]) -> str:
    lines = [f"  run={run}" for run in runs[:_MOST_NAMED]]
    if len(runs) > _MOST_NAMED:
        lines.append(f"  and {len(runs) - _MOST_NAMED} more")
    return "\n".join(lines)
