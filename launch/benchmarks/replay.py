"""Replay: prioritized batches against a loop in Python and torchrl, and what they cost in memory.

Every contender lives in a process of its own; short rounds alternate between them. Figures are
medians over the rounds.
"""

from __future__ import annotations

import statistics
import sys
from argparse import Namespace
from pathlib import Path

from benchmarks.contender import Contender
from benchmarks.report import Result, Table

NAMES = {
    "copy": "copying as many bytes (limit)",
    "ours": "accel",
    "loop": "Python loop, numpy (as rlpyt)",
    "torchrl": "torchrl",
}
INSTALL = "torchrl==0.14.1 torch==2.14.1"
SHARES = (8, 4, 2, 1)  # of the capacity, to see how time grows with it
PARTS = {"copy": 8, "ours": 1, "loop": 1, "torchrl": 16}  # of the capacity that each holds

SETTINGS = (
    "One batch: draw it with importance weights, return both stacks of 4 frames of each 3-step "
    "transition, set new priorities. The loop uses one thread, the others {threads}. torchrl keeps "
    "two stacks a step in place of one frame, so it has a {share}th of the frames. Memory is the "
    "growth of resident memory from an eighth of the frames to all of them. The copy and accel "
    "are on {device}."
)


def run(options: Namespace, result: Result) -> None:
    """Measure the contenders, then accel alone at several capacities."""
    result.tables.append(_compare(options, result))
    result.tables.append(_grow(options, result))


def _compare(options: Namespace, result: Result) -> Table:
    table = Table(
        f"Prioritized replay of {options.capacity:,} frames, batches of {options.batch_size}",
        ["replay", "frames", _unit(options), "lowest", "highest", "times accel", "bytes a frame"],
        notes=[SETTINGS.format(**vars(options), share=PARTS["torchrl"])],
    )
    sizes = {name: options.capacity // part for name, part in PARTS.items()}
    small = {name: _resident_bytes_of(name, size, options) for name, size in sizes.items()}
    contenders = {name: _open(name, size, options) for name, size in sizes.items()}
    ready = {name: contender for name, contender in contenders.items() if not contender.missing}
    times = _alternate(ready, sizes, options, result)
    ours = statistics.median(times["ours"])
    for name, contender in contenders.items():
        result.rival_versions |= contender.versions if name == "torchrl" else {}
        cells = ["-"] * 6
        if contender.missing:
            how = f"pip install {INSTALL}"
            table.notes.append(f"{NAMES[name]}: not installed: {how} ({contender.missing})")
        else:
            ratio = f"{statistics.median(times[name]) / ours:.2f}"
            grown = _resident_bytes(contender) - small[name]
            per_frame = f"{grown / (sizes[name] - sizes[name] // SHARES[0]):,.0f}"
            is_resident = name != "copy" and options.device == "cpu"
            per_frame = per_frame if is_resident else "-"
            cells = [f"{sizes[name]:,}", *_milliseconds(times[name]), ratio, per_frame]
        table.rows.append([NAMES[name], *cells])
        contender.close()
    return table


def _grow(options: Namespace, result: Result) -> Table:
    table = Table(
        f"accel's prioritized replay as it grows, batches of {options.batch_size}",
        ["frames", _unit(options), "lowest", "highest", "times the smallest"],
    )
    capacities = {str(share): options.capacity // share for share in SHARES}
    contenders = {share: _open("ours", n, options) for share, n in capacities.items()}
    times = _alternate(contenders, capacities, options, result)
    smallest = statistics.median(times[str(SHARES[0])])
    for share, frames in capacities.items():
        ratio = statistics.median(times[share]) / smallest
        table.rows.append([f"{frames:,}", *_milliseconds(times[share]), f"{ratio:.2f}"])
        contenders[share].close()
    return table


def _open(name: str, capacity: int, options: Namespace) -> Contender:
    python = options.rival_python if name == "torchrl" else sys.executable
    print(f"{name}, {capacity:,} frames ...", file=sys.stderr)
    words = (name, str(capacity), str(options.batch_size), str(options.threads), options.device)
    return Contender("replaying.py", *words, python=python)


def _alternate(
    contenders: dict[str, Contender], capacities: dict[str, int], options: Namespace, result: Result
) -> dict[str, list[float]]:
    """Seconds a batch of every round, back and forth between the contenders."""
    times: dict[str, list[float]] = {key: [] for key in contenders}
    for repeat in range(options.repeats):
        for key in contenders if repeat % 2 == 0 else reversed(contenders):
            contender = contenders[key]
            contender.start(options.seconds)
            timed = contender.finish(options.seconds)
            batches = timed.pop("agent_steps")
            times[key].append(timed[f"{options.clock}_s"] / batches)
            about = {"contender": contender.name, "frames": capacities[key], "batches": batches}
            result.rounds.append(about | timed)
    return times


def _unit(options: Namespace) -> str:
    return "ms a batch" if options.clock == "wall" else "CPU ms a batch"


def _milliseconds(seconds: list[float]) -> list[str]:
    return [f"{1000 * s:.2f}" for s in (statistics.median(seconds), min(seconds), max(seconds))]


def _resident_bytes_of(name: str, capacity: int, options: Namespace) -> int:
    """What the contender holds with an eighth of `capacity`."""
    contender = _open(name, capacity // SHARES[0], options)
    held = _resident_bytes(contender)
    contender.close()
    return held


def _resident_bytes(contender: Contender) -> int:
    """Memory that a contender holds, shared memory included; 0 if it has ended."""
    try:
        lines = Path(f"/proc/{contender.pid}/status").read_text().splitlines()
    except FileNotFoundError:
        return 0
    fields = dict(line.split(":", 1) for line in lines)
    return 1024 * sum(int(fields.get(name, "0 kB").split()[0]) for name in ("RssAnon", "RssShmem"))
