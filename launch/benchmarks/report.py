"""What a benchmark leaves behind: a table to read and the numbers behind it, with their origin."""

from __future__ import annotations

import json
import os
import platform
import shlex
import sys
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from accel.runs.atomic import write_atomically
from accel.runs.code_state import record_code_state
from accel.runs.machine import describe_machine, package_versions
from benchmarks.contender import REPOSITORY, ContenderFailed
from benchmarks.cut_off import CutOff, cut_off_by_signals
from benchmarks.parts import Parts

_ABOUT_MACHINE = ("cpu_model", "cores_usable", "gpus", "python")
# Options that do not change what a figure means: where it goes, and how much of all is asked for.
_NOT_SETTINGS = (
    "output", "parts", "limit_s", "score_s", "games", "algorithms", "systems", "learners",
    "measure", "tables", "keeps_parts", "finish",
)  # fmt: skip


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


def origin() -> dict[str, Any]:
    """Command, date, code, machine, versions and load, taken at the benchmark's start."""
    machine = describe_machine()
    del machine["host"]  # says nothing to a reader, nor does the kernel's build
    machine["platform"] = f"{platform.system()} {platform.machine()}"
    code = record_code_state(REPOSITORY)
    return {
        "command": _command(),
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "code": _describe_code(code),
        "machine": machine,
        "versions": package_versions(),
        "load_average_before": os.getloadavg()[0],
    }


def run(options: Namespace, origin: dict[str, Any]) -> str | int | None:
    """Measure, show and write what `options` ask for; return what to exit with.

    `options.measure(options, parts)` measures what is missing, `options.tables(options, parts)`
    makes the tables of what there is, at the end and after each new figure.
    """
    output = options.output
    path = output and output.with_name(f"{output.name}_parts.json")

    def write_all() -> None:
        if output and parts.results:  # else an earlier result stays
            write(output, origin, options.tables(options, parts), parts)

    parts = Parts(path, about(options, origin), write_all)
    ending: str | int | None = None
    is_whole = False
    try:
        with cut_off_by_signals(getattr(options, "limit_s", None)):
            options.measure(options, parts)
        is_whole = True
    except ContenderFailed as error:  # what was measured before is worth keeping
        ending = f"benchmark: {error}"
    except CutOff as cut:
        sys.stderr.write(f"benchmark: {cut}; the same command goes on with what is missing\n")
        ending = cut.exit_code
    print("\n".join(table.markdown() for table in options.tables(options, parts)), flush=True)
    write_all()
    if output and parts.results and hasattr(options, "finish"):
        options.finish(output, parts)
    if is_whole and not getattr(options, "keeps_parts", False):
        parts.forget()
    return ending


def about(options: Namespace, origin: dict[str, Any]) -> dict[str, Any]:
    """What results must have in common to stand in one table."""
    settings = {key: value for key, value in vars(options).items() if key not in _NOT_SETTINGS}
    return {
        "code": origin["code"],
        "versions": origin["versions"],
        "machine": {name: origin["machine"][name] for name in _ABOUT_MACHINE},
        "settings": settings,
    }


def _describe_code(code: dict[str, Any]) -> dict[str, Any]:
    """The commit, and whether files other than results differ from it; None where not known.

    What a benchmark has written must not make the next command's code look like another.
    """
    changed = code.get("changed")
    if changed is None:
        dirty = code.get("dirty")
    else:
        dirty = any(not name.startswith("results/") for name in changed)
    source = {"from": code["from"]} if "from" in code else {}
    return {"head": code.get("head"), "dirty": dirty, **source}


def write(output: Path, origin: dict[str, Any], tables: Sequence[Table], parts: Parts) -> None:
    """Write `output`.md with the tables and `output`.json with every single measurement."""
    output.parent.mkdir(parents=True, exist_ok=True)
    header = origin | {"load_average_after": os.getloadavg()[0]}
    versions: dict[str, str] = {}
    for values in parts.results.values():
        versions |= values.get("versions", {})
    content = header | {
        "tables": [asdict(table) for table in tables],
        "rounds": [{"part": name} | values for name, values in parts.results.items()],
        "rival_versions": versions,
    }
    write_atomically(output.with_suffix(".json"), json.dumps(content, indent=1) + "\n")
    header["versions"] = versions | origin["versions"]
    body = "\n".join(table.markdown() for table in tables)
    write_atomically(output.with_suffix(".md"), f"{body}\n{_provenance(header)}")


def _provenance(origin: dict[str, Any]) -> str:
    machine = origin["machine"]
    gpus = ", ".join(gpu["name"] for gpu in machine["gpus"])
    versions = ", ".join(f"{name} {version}" for name, version in origin["versions"].items())
    lines = [
        f"`{origin['command']}`",
        f"{machine['cpu_model']}, {machine['cores_usable']} cores, {machine['memory_gb']} GB"
        + (f", {gpus}" if gpus else ""),
        f"{machine['platform']}, Python {machine['python']}, {versions}",
        f"{origin['date']}, {describe_code(origin['code'])}",
        f"load average {origin['load_average_before']:.1f} before and "
        f"{origin['load_average_after']:.1f} after",
    ]
    return "".join(f"- {line}\n" for line in lines)


def describe_code(code: dict[str, Any]) -> str:
    """In words: `commit abc123 with changes`."""
    source = f" from {code['from']}" if "from" in code else ""
    return f"commit {code['head']}{' with changes' if code['dirty'] else ''}{source}"


def _command() -> str:
    """The command line, without the folders of this machine."""
    script, *arguments = sys.argv
    shown = [Path(word).name if Path(word).is_absolute() else word for word in arguments]
    return shlex.join(["python", f"launch/{Path(script).name}", *shown])
