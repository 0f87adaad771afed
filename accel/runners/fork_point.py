"""Which checkpoint `fork=RUN@STEP` means, and what to type instead where it means none."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accel.config.errors import ConfigError, Problem
from accel.config.keys import did_you_mean
from accel.config.schema import Config
from accel.runs.checkpoint import Checkpoints
from accel.runs.checkpoint_file import DamagedCheckpoint, read_digest, read_header
from accel.runs.folder import RunFolderError
from accel.runs.reading import find_runs, read_manifest

_SYNTAX = "RUN@STEP: STEP agent steps of a checkpoint, last or best"


@dataclass(frozen=True)
class ForkPoint:
    """A whole checkpoint of another run."""

    run: Path
    checkpoint: Path
    agent_steps: int
    sha256: str  # of the checkpoint's contents
    manifest: dict[str, Any]  # the parent's

    def facts(self) -> dict[str, Any]:
        """What the child's manifest keeps about its parent."""
        return {
            "run": str(self.run.resolve()),
            "checkpoint": self.checkpoint.name,
            "agent_steps": self.agent_steps,
            "sha256": self.sha256,
            "code": self.manifest.get("code"),
        }


def find_fork_point(config: Config) -> ForkPoint | None:
    """Where `config` starts from; None without a fork, or where its own run has begun already.

    Raises ConfigError: no such run or checkpoint, a damaged one, the run itself, nothing to do.
    """
    if config.fork is None:
        return None
    run, which = _split(config.fork)
    if run.resolve() == Path(config.run_dir).resolve():
        fix = "leave fork out to continue that run, or choose another run_dir"
        raise _refusal(config, "must be another run than the one to start", fix)
    if has_begun(config):
        return None
    manifest = _read_manifest(config, run, which)
    checkpoint = _find_checkpoint(config, run, which)
    agent_steps = _verified_steps(config, run, checkpoint)
    if config.total_agent_steps <= agent_steps:
        raise ConfigError([_nothing_to_do(config, agent_steps)])
    return ForkPoint(run, checkpoint, agent_steps, read_digest(checkpoint), manifest)


def has_begun(config: Config) -> bool:
    """Whether the run folder has a checkpoint of its own to go on from."""
    folder = Path(config.run_dir)
    if config.overwrite or not (folder / "manifest.json").exists():
        return False
    return bool(Checkpoints(folder / "checkpoints").steps())


def _split(fork: str) -> tuple[Path, str]:
    """The run and the checkpoint; a folder whose own name holds an @ is meant as it stands."""
    whole = Path(fork).expanduser()
    name, at, which = fork.rpartition("@")
    if not at or whole.is_dir():
        return whole, "last"
    return Path(name).expanduser(), which


def _read_manifest(config: Config, run: Path, which: str) -> dict[str, Any]:
    if not (run / "manifest.json").is_file():
        what = "holds no manifest.json" if run.is_dir() else "does not exist"
        fix = " or ".join(f"fork={close}@{which}" for close in _runs_like(config, run))
        fix = fix or "the folder of a run, as train.py prints it at the end"
        raise _refusal(config, f"must name a run folder, {_SYNTAX}", fix, f"{run} {what}")
    try:
        return read_manifest(run).data
    except RunFolderError as error:
        fix = "another run"
        raise _refusal(config, "must name a run that can be read", fix, str(error)) from error


def _runs_like(config: Config, run: Path) -> list[str]:
    try:
        return did_you_mean(str(run), map(str, find_runs([config.results_root])))
    except RunFolderError:  # there are none
        return []


def _find_checkpoint(config: Config, run: Path, which: str) -> Path:
    checkpoints = Checkpoints(run / "checkpoints")
    steps = checkpoints.steps()
    best = _best_steps(checkpoints)
    there = {f"{step}": checkpoints.path_of(step) for step in steps}
    if steps:
        there["last"] = checkpoints.path_of(steps[-1])
    if checkpoints.best_path.exists():
        there |= {"best": checkpoints.best_path}
        there.setdefault(f"{best}", checkpoints.best_path)
    path = there.get(which.replace("_", ""))
    if path is not None:
        return path
    if not there:
        fix = "another run, or let this one run until it saves"
        raise _refusal(config, "must name a run with a checkpoint", fix, f"{run} has saved none")
    numbers = f"checkpoints there: {', '.join(f'{step:,}' for step in steps) or 'none but best'}"
    if "best" in there:
        numbers += f"; best at {best:,}" if best is not None else "; best (damaged)"
    fix = " or ".join(f"fork={run}@{name}" for name in _closest(which, there))
    raise _refusal(config, f"must name a checkpoint, {_SYNTAX}", fix, numbers)


def _best_steps(checkpoints: Checkpoints) -> int | None:
    try:
        return int(read_header(checkpoints.best_path)["agent_steps"])
    except (DamagedCheckpoint, OSError):
        return None


def _closest(which: str, there: dict[str, Path]) -> list[str]:
    """Up to two names of checkpoints to offer instead of `which`."""
    numbers = [name for name in there if name.isdigit()]
    if which.isdigit() and numbers:
        return sorted(numbers, key=lambda name: abs(int(name) - int(which)))[:2]
    return did_you_mean(which, there)[:1] or list(there)[-1:]


def _verified_steps(config: Config, run: Path, checkpoint: Path) -> int:
    try:
        return int(read_header(checkpoint)["agent_steps"])
    except (DamagedCheckpoint, OSError) as error:
        checkpoints = Checkpoints(run / "checkpoints")
        others = [step for step in checkpoints.steps() if checkpoints.path_of(step) != checkpoint]
        fix = f"fork={run}@{others[-1]}" if others else "another run: this one has no other"
        raise _refusal(config, "must name a whole checkpoint", fix, str(error)) from error


def _nothing_to_do(config: Config, agent_steps: int) -> Problem:
    total = config.total_agent_steps
    return Problem(
        "total_agent_steps",
        total,
        "must lie beyond the fork: agent steps are counted on from there",
        f"total_agent_steps={agent_steps + total}, or an earlier checkpoint",
        f"the fork is at {agent_steps:,}, {total:,} - {agent_steps:,} leaves none",
    )


def _refusal(config: Config, rule: str, fix: str, numbers: str = "") -> ConfigError:
    return ConfigError([Problem("fork", config.fork, rule, fix, numbers)])
