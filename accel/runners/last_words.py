"""What a failed run tells its user: what happened, what is left, what to do."""

from __future__ import annotations

import sys
from pathlib import Path

from accel.learning import NonFiniteLoss
from accel.learning.sync import RankError
from accel.runs.checkpoint import Checkpoints
from accel.runs.checkpoint_file import DamagedCheckpoint
from accel.runs.folder import RunFolder


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
    goes_on = f"stopped: {error}. {kept}: the same command continues from it"
    return f"{goes_on}." if isinstance(error, RankError) else f"{goes_on} once the disk takes more."


def tell_loss(folder: RunFolder, loss: str) -> None:
    """Record that a rank was lost and tell the user, where the main thread can do neither."""
    error = RankError(loss)
    folder.end_abruptly("failed", f"RankError: {error}")
    sys.stderr.write(last_words(error, str(folder.path)) + "\n")
    sys.stderr.flush()
