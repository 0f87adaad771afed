"""Training until a score: how long a run takes to a mean return over its last 100 games."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Any

from benchmarks.training import TrainingRun, read_rows, training_run

_POLL_S = 0.5


def measure(
    arguments: dict[str, object], score: float, limit_s: float, curve: Path | None = None
) -> dict[str, Any]:
    """Train with `stop_at_return=score`, for `limit_s` at most.

    The time is the run's own, from its start on, start-up left out. Without the score, figures are
    of the best mean on the way. `curve` becomes a copy of metrics.csv as the run goes on.

    Returns {"reached", "score", "wall_s", "agent_steps"}. Raises ContenderFailed.
    """
    deadline = time.monotonic() + limit_s
    with training_run({**arguments, "stop_at_return": f"{score:g}"}) as run:
        while time.monotonic() < deadline and run.process.poll() is None:
            time.sleep(_POLL_S)
            if curve is not None:
                _copy(run.metrics, curve)
        if run.process.poll():
            raise run.failure()
        return _end(run) or _best(run)


def _copy(metrics: Path, curve: Path) -> None:
    if metrics.exists():
        new = curve.with_suffix(".new")
        shutil.copyfile(metrics, new)
        new.replace(curve)


def _end(run: TrainingRun) -> dict[str, Any] | None:
    """What the manifest of a run says that stopped at the score."""
    path = run.folder / "manifest.json"
    manifest = json.loads(path.read_text()) if path.exists() else {}
    if not (manifest.get("exit_reason") or "").startswith("reached stop_at_return"):
        return None
    seconds, agent_steps = manifest["wall_time_s"], manifest["agent_steps"]
    last = _returns(run)[-1]["score"]
    return {"reached": True, "score": last, "wall_s": seconds, "agent_steps": agent_steps}


def _best(run: TrainingRun) -> dict[str, Any]:
    best = max(_returns(run), key=lambda row: row["score"], default=None)
    nothing = {"score": None, "wall_s": None, "agent_steps": 0}
    return {"reached": False, **(best or nothing)}


def _returns(run: TrainingRun) -> list[dict[str, Any]]:
    """Every row of metrics with a mean return."""
    return [
        {
            "score": float(row["charts/episodic_return"]),
            "wall_s": float(row["wall_time_s"]),
            "agent_steps": int(row["agent_steps"]),
        }
        for row in read_rows(run.metrics)
        if row.get("charts/episodic_return")
    ]
