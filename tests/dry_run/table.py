"""How much each training may ask of a GPU: `launches.yaml`, by torch's minor version.

Of launches, one by one or in recordings, a fifth more is allowed; of all else what is tabled.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import yaml

FILE = Path(__file__).with_name("launches.yaml")
SLACK = {"launches": 1.2, "recorded": 1.2}

Counts = dict[str, dict[str, float]]  # by phase, by what is counted


def version() -> str:
    """Torch's, as the table has it: "2.13"."""
    return ".".join(torch.__version__.split(".")[:2])


def tables() -> dict[str, dict[str, Counts]]:
    """By version, by training."""
    return yaml.safe_load(FILE.read_text()) if FILE.exists() else {}


def known_version() -> str:
    """This version if the table has it, else the newest that it has."""
    known = sorted(tables(), key=lambda name: tuple(map(int, name.split("."))))
    return version() if version() in known else known[-1]


def excess(name: str, counts: Counts) -> list[str]:
    """What of `counts` the table does not allow the training `name`."""
    allowed = tables()[known_version()].get(name, {})
    return [
        f"{name}, {phase}: {count:g} {key}, {limit:g} allowed"
        for phase, found in counts.items()
        for key, count in found.items()
        if count > (limit := allowed.get(phase, {}).get(key, 0) * SLACK.get(key, 1.0)) + 0.005
    ]


def write(found: dict[str, Counts]) -> None:
    """Put in what was `found`, by training, in place of what is there for this version."""
    known = {**tables(), version(): {**tables().get(version(), {}), **found}}
    lines = [
        "# Written by `python -m tests.dry_run.renew`; see `table.py`. Numbers are ATen calls:"
    ]
    lines.append(
        "# per step of a group (act), rollout, update's optimizer step (learn), and, where"
    )
    lines.append("# another process acts, per rollout taken over by the learner (take).")
    for number, trainings in known.items():
        lines.append(f'"{number}":')
        for name, counts in trainings.items():
            lines.append(f"  {name}:")
            lines += [f"    {phase}: {_flow(each)}" for phase, each in counts.items()]
    FILE.write_text("\n".join(lines) + "\n")


def _flow(counts: dict[str, Any]) -> str:
    return "{" + ", ".join(f"{key}: {count:g}" for key, count in sorted(counts.items())) + "}"
