"""The contender's end of the pipe: time rounds when the parent asks for them.

JSON lines on standard output: first {"ready": versions} or {"missing": package}, then, for each
number of seconds read from standard input, {"agent_steps", "wall_s", "cpu_s"}.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from importlib import metadata
from time import perf_counter, process_time

_WARM_UP_S = 0.5
_PACKAGES = ("envpool", "ale-py", "gymnasium", "numpy", "torch", "torchrl", "tensordict")


def serve(build: Callable[[], Callable[[], int]]) -> None:
    """Build the thing to time, which returns the agent steps of each call, and serve until EOF."""
    replies = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # libraries print to standard output, which belongs to the replies
    try:
        advance = build()
    except ImportError as error:
        replies.write(json.dumps({"missing": str(error)}) + "\n")
        return
    _time_round(advance, _WARM_UP_S)
    replies.write(json.dumps({"ready": _versions()}) + "\n")
    for line in sys.stdin:
        replies.write(json.dumps(_time_round(advance, float(line))) + "\n")


def _time_round(advance: Callable[[], int], seconds: float) -> dict[str, float]:
    """Call `advance` for `seconds`; `cpu_s` counts every thread of this process."""
    agent_steps, wall, cpu = 0, perf_counter(), process_time()
    while perf_counter() - wall < seconds:
        agent_steps += advance()
    return {
        "agent_steps": agent_steps,
        "wall_s": perf_counter() - wall,
        "cpu_s": process_time() - cpu,
    }


def _versions() -> dict[str, str]:
    installed = {}
    for package in _PACKAGES:
        try:
            installed[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return installed
