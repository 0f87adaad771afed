"""What a benchmark leaves behind: a table to read and the numbers behind it, with their origin."""

from __future__ import annotations

import json
import os
import platform
import shlex
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from accel.runs.code_state import record_code_state
from accel.runs.machine import describe_machine, package_versions
from benchmarks.contender import REPOSITORY


@dataclass
class Table:
    """One table of a report; cells are text already."""

    title: str
    columns: Sequence[str]
    rows: list[list[str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def markdown(self) -> str:
        """Aligned markdown: as readable in a terminal as on a page."""
        cells = [list(self.columns), *self.rows]
        widths = [max(len(row[i]) for row in cells) for i in range(len(self.columns))]
        lines = [_line(cells[0], widths), "| " + " | ".join("-" * w for w in widths) + " |"]
        lines += [_line(row, widths) for row in self.rows]
        notes = "".join(f"\n\n{note}" for note in self.notes)
        return f"**{self.title}**\n\n" + "\n".join(lines) + notes + "\n"


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    first, *rest = [
        cell.rjust(width) if column else cell.ljust(width)
        for column, (cell, width) in enumerate(zip(row, widths))
    ]
    return "| " + " | ".join([first, *rest]) + " |"


@dataclass
class Result:
    """What a benchmark found."""

    tables: list[Table] = field(default_factory=list)
    rounds: list[dict[str, Any]] = field(default_factory=list)  # every single measurement
    rival_versions: dict[str, str] = field(default_factory=dict)


def origin() -> dict[str, Any]:
    """Command, date, code, machine, versions and load, taken at the benchmark's start."""
    machine = describe_machine()
    del machine["host"]  # says nothing to a reader, nor does the kernel's build
    machine["platform"] = f"{platform.system()} {platform.machine()}"
    code = record_code_state(REPOSITORY)
    return {
        "command": _command(),
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "code": {"head": code.get("head"), "dirty": _has_changes(code)},
        "machine": machine,
        "versions": package_versions(),
        "load_average_before": os.getloadavg()[0],
    }


def _has_changes(code: dict[str, Any]) -> bool | None:
    """Whether files other than results differ from the commit; None where that is not known.

    What a benchmark has written must not make the next command's code look like another.
    """
    changed = code.get("changed")
    return None if changed is None else any(not name.startswith("results/") for name in changed)


def write(output: Path, origin: dict[str, Any], result: Result) -> None:
    """Write `output`.md with the tables and `output`.json with every round."""
    output.parent.mkdir(parents=True, exist_ok=True)
    header = origin | {"load_average_after": os.getloadavg()[0]}
    output.with_suffix(".json").write_text(json.dumps(header | asdict(result), indent=1) + "\n")
    header["versions"] = result.rival_versions | origin["versions"]
    body = "\n".join(table.markdown() for table in result.tables)
    output.with_suffix(".md").write_text(f"{body}\n{_provenance(header)}")


def _provenance(origin: dict[str, Any]) -> str:
    machine, code = origin["machine"], origin["code"]
    gpus = ", ".join(gpu["name"] for gpu in machine["gpus"])
    versions = ", ".join(f"{name} {version}" for name, version in origin["versions"].items())
    lines = [
        f"`{origin['command']}`",
        f"{machine['cpu_model']}, {machine['cores_usable']} cores, {machine['memory_gb']} GB"
        + (f", {gpus}" if gpus else ""),
        f"{machine['platform']}, Python {machine['python']}, {versions}",
        f"{origin['date']}, commit {code['head']}{' with changes' if code['dirty'] else ''}",
        f"load average {origin['load_average_before']:.1f} before and "
        f"{origin['load_average_after']:.1f} after",
    ]
    return "".join(f"- {line}\n" for line in lines)


def _command() -> str:
    """The command line, without the folders of this machine."""
    script, *arguments = sys.argv
    shown = [Path(word).name if Path(word).is_absolute() else word for word in arguments]
    return shlex.join(["python", f"launch/{Path(script).name}", *shown])
