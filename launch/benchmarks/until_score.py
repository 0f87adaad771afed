"""Training until a score: how long a run takes to a mean return over its last games."""

from __future__ import annotations

import time
from typing import Any

from benchmarks.training import read_rows, training_run


def measure(arguments: dict[str, object], score: float, limit_s: float) -> dict[str, Any]:
    """Train until the mean of the last 100 games reaches `score`, or for `limit_s`.

    The time is the run's own, from its start to the row of metrics that shows the score.
    """
    deadline = time.monotonic() + limit_s
    best: dict[str, Any] = {"reached": False, "score": None, "wall_s": None, "agent_steps": 0}
    with training_run(arguments) as run:
        while time.monotonic() < deadline:
            time.sleep(0.5)
            has_ended = run.process.poll() is not None
            for row in read_rows(run.metrics):
                if not row.get("charts/episodic_return"):
                    continue
                value = float(row["charts/episodic_return"])
                if best["score"] is None or value > best["score"]:
                    wall_s, steps = float(row["wall_time_s"]), int(row["agent_steps"])
                    best = {"score": value, "wall_s": wall_s, "agent_steps": steps}
                    best["reached"] = value >= score
                if best["reached"]:
                    return best
            if has_ended:
                if run.process.returncode:
                    raise run.failure()
                break
    return best
