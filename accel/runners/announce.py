"""What is written down and said before a run begins."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

from accel.config.derive import Derived
from accel.config.describe import describe
from accel.config.schema import Config
from accel.metrics.console import Console
from accel.runners.continued import changes_since_begun, meanings
from accel.runners.fork import Fork
from accel.runs.code_state import record_code_state
from accel.runs.folder import RunFolder


def announce(
    config: Config,
    derived: Derived,
    fork: Fork | None,
    folder: RunFolder,
    console: Console,
    more: list[tuple[str, str]],
) -> None:
    """Write the manifest and tell the user what is about to run; `more` are rows to add."""
    settings = dataclasses.asdict(config)
    for key, change in changes_since_begun(folder, settings).items():
        console.warn(f"this run was started with another {key}: {change}")
    code = record_code_state(Path(__file__).parent)
    folder.begin(
        config=settings,
        seeds={"seed": config.seed},
        command=sys.argv,
        code=code,
        meanings=meanings(derived),
        parent=fork.point.facts() if fork is not None else None,
    )
    rows = [*describe(config, derived), *more, *(fork.rows if fork is not None else [])]
    if "from" in code:
        changes = " with changes" if code["dirty"] else ""
        rows.append(("code", f"no git; id from {code['from']}: {code['head']}{changes}"))
    console.start(f"accel: {config.algo.name} on {config.env.game}", rows)
    if config.fork is not None and fork is None:
        console.note("fork is ignored: this run has begun and continues from its own")
