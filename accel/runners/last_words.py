"""What a failed run tells its user: what happened, what is left, what to do."""

from __future__ import annotations

from pathlib import Path

from accel.learning import NonFiniteLoss
from accel.runs.checkpoint import Checkpoints
from accel.runs.checkpoint_file import DamagedCheckpoint


def last_words(error: Exception, run_dir: str) -> str:
    """A message for the end of a run that `error` stopped."""
    if isinstance(error, DamagedCheckpoint):
        return f"stopped: {error}."
    steps = Checkpoints(Path(run_dir) / "checkpoints").steps()
    if not steps:
        return f"stopped: {error}. No checkpoint had been saved before."
    kept = f"The last checkpoint, at {steps[-1]:,} agent steps, is from before"
    if isinstance(error, NonFiniteLoss):
        fix = f"the same settings would fail again; fork={run_dir}@last takes others"
        return f"stopped: {error}. {kept}: {fix}, such as a lower algo.learning_rate."
    return f"stopped: {error}. {kept}: the same command continues from it once the disk takes more."
