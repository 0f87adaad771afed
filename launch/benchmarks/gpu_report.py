"""What `launch/benchmark.py gpu` shows of its parts: tables, a csv file and a picture."""

from __future__ import annotations

import csv
from argparse import Namespace
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from benchmarks.report import Table

Results = dict[str, dict[str, Any]]  # of each part by name

EAGER = ", no graphs"  # added to the name of a run without them
SHARES = ("env", "inference", "wait", "learn")  # of the wall time
_LIMIT = "sampling, random actions"
_NOTE = (
    "Sampling: workers on all cores, served random actions or those of a Nature network on "
    "{device} that learns nothing. Training: whole runs with {num_envs} environments. These step "
    "beside the learner's process, whose own shares are inference, wait (for environments) and "
    "learn; on a GPU the wait for the network is part of inference."
)


def tables(results: Results, options: Namespace) -> list[Table]:
    """The speeds against sampling alone, then what else was measured."""
    speeds = Table(
        f"{options.game} on {options.device}, {options.num_envs} environments",
        ["", "agent steps/s", "of sampling", "x without graphs", *(f"{s} %" for s in SHARES)],
        [list(row.values()) for row in rows(results)],
        [_NOTE.format(**vars(options))],
    )
    return [speeds, *([_score_table(results["score"])] if "score" in results else [])]


def rows(results: Results) -> list[dict[str, str]]:
    """One row for each speed, as the table and the csv file have it."""
    limit = results.get(_LIMIT, {}).get("steps_per_s")
    found = []
    for name, values in results.items():
        if "steps_per_s" not in values:
            continue
        rate = values["steps_per_s"]
        eager = results.get(name + EAGER, {}).get("steps_per_s")
        percent = values.get("percent", {})
        found.append(
            {
                "part": name,
                "steps_per_s": f"{rate:,.0f}",
                "of_sampling": f"{rate / limit:.2f}" if limit else "-",
                "x_without_graphs": f"{rate / eager:.2f}" if eager else "-",
                **{share: f"{percent[share]:.0f}" if share in percent else "-" for share in SHARES},
            }
        )
    return found


def _score_table(score: dict[str, Any]) -> Table:
    reached = score["reached"]
    best = "-" if score["score"] is None else f"{score['score']:.1f}"
    wall = f"{score['wall_s']:,.0f}" if reached else f"not within {score['limit_s']:,.0f}"
    return Table(
        f"{score['game']} to a mean of +{score['wanted']:g} over the last 100 games",
        ["run", "seconds", "agent steps", "mean return"],
        [["experiment=pong_quick", wall, f"{score['agent_steps']:,}", best]],
    )


def write(output: Path, results: Results) -> None:
    """Write the speeds to `output`.csv, and draw them to `output`.png."""
    found = rows(results)
    if not found:
        return
    output.parent.mkdir(parents=True, exist_ok=True)
    with output.with_suffix(".csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(found[0]))
        writer.writeheader()
        writer.writerows(
            row | {"steps_per_s": row["steps_per_s"].replace(",", "")} for row in found
        )
    draw(results).savefig(output.with_suffix(".png"), dpi=160, facecolor="white")


def draw(results: Results) -> Figure:
    """A bar for each speed; a line where sampling alone ends."""
    rates = {name: v["steps_per_s"] for name, v in results.items() if "steps_per_s" in v}
    figure = Figure(figsize=(8, 1 + 0.35 * len(rates)), layout="constrained")
    axes = figure.subplots()
    axes.barh(list(rates), list(rates.values()), color="#0072B2")
    axes.invert_yaxis()
    axes.set_xlabel("agent steps per second")
    if _LIMIT in rates:
        axes.axvline(rates[_LIMIT], color="#D55E00")
    return figure
