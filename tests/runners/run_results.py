"""What runs leave behind, to be compared."""

from __future__ import annotations

import csv
from pathlib import Path

import torch

from accel.runs.checkpoint import load_checkpoint
from accel.runs.reading import find_checkpoint


def rows(run: Path) -> list[dict[str, str]]:
    """The run's metrics.csv."""
    with (run / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def results(run: Path) -> dict[str, object]:
    """What must not depend on when things happened: the final weights and all but timings."""
    state = load_checkpoint(find_checkpoint(run, "last")[0])
    kept = ("agent_steps", "charts/episod", "losses/", "charts/learning_rate", "charts/frames")
    metrics = [{k: v for k, v in row.items() if k.startswith(kept)} for row in rows(run)]
    return {"model": state["learner"]["model"], "metrics": metrics}


def assert_did_the_same(run: Path, other: Path) -> None:
    """Equal games, and weights but for the order in which learners add up their gradients."""
    one, two = results(run), results(other)
    for name, weights in one["model"].items():
        torch.testing.assert_close(two["model"][name], weights, rtol=0, atol=1e-5)
    # Every update is a log point of one run; of the other, whose updates are faster, most are.
    by_step = {row["agent_steps"]: row for row in one["metrics"]}
    assert len(two["metrics"]) >= 8
    for row in two["metrics"]:
        for key in ("charts/episodes", "charts/episodic_return", "charts/episodic_length"):
            assert row[key] == by_step[row["agent_steps"]][key]


def computed(run: Path) -> list[dict[str, str]]:
    """The rows of metrics.csv without what the machine's speed decides."""
    with (run / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    timed = {"wall_time_s", "charts/SPS", *(k for k in rows[0] if k.endswith("_percent"))}
    return [{key: row[key] for key in row if key not in timed} for row in rows]
