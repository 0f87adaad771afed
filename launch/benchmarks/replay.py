"""Replay: prioritized batches against a loop in Python and torchrl, and what they cost in memory.

Every contender lives in a process of its own; short rounds alternate between them. Figures are
medians over the rounds.
"""

from __future__ import annotations

import statistics
import sys
from argparse import Namespace
from functools import partial
from pathlib import Path

from benchmarks.contender import Contender
from benchmarks.parts import Parts, Values
from benchmarks.report import Table
from benchmarks.rounds import Team, alternate, opened, times_of

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


def measure(options: Namespace, parts: Parts) -> None:
    """Measure the contenders, then accel alone at several capacities."""
    for name, size in _sizes(options).items():
        small = size // SHARES[0]
        parts.take(_small(name), partial(_describe_and_close, name, small, options))
    alternate(_compared(options), options.repeats, options.seconds, parts)
    alternate(_growing(options), options.repeats, options.seconds, parts)


def tables(options: Namespace, parts: Parts) -> list[Table]:
    """What has been measured so far."""
    return [_compare(options, parts), _grow(options, parts)]


def _compare(options: Namespace, parts: Parts) -> Table:
    table = Table(
        f"Prioritized replay of {options.capacity:,} frames, batches of {options.batch_size}",
        ["replay", "frames", _unit(options), "lowest", "highest", "times accel", "bytes a frame"],
        notes=[SETTINGS.format(**vars(options), share=PARTS["torchrl"])],
    )
    seconds = {name: _seconds(f"replay, {name}", options, parts) for name in PARTS}
    ours = seconds["ours"] and statistics.median(seconds["ours"])
    for name, frames in _sizes(options).items():
        cells, facts = ["-"] * 6, opened(f"replay, {name}", parts)
        if facts.get("missing"):
            how = f"pip install {INSTALL}"
            table.notes.append(f"{NAMES[name]}: not installed: {how} ({facts['missing']})")
        elif seconds[name]:
            ratio = f"{statistics.median(seconds[name]) / ours:.2f}" if ours else "-"
            grown = facts["resident_bytes"] - parts.results[_small(name)]["resident_bytes"]
            per_frame = f"{grown / (frames - frames // SHARES[0]):,.0f}"
            is_resident = name != "copy" and options.device == "cpu"
            per_frame = per_frame if is_resident else "-"
            cells = [f"{frames:,}", *_milliseconds(seconds[name]), ratio, per_frame]
        table.rows.append([NAMES[name], *cells])
    return table


def _grow(options: Namespace, parts: Parts) -> Table:
    table = Table(
        f"accel's prioritized replay as it grows, batches of {options.batch_size}",
        ["frames", _unit(options), "lowest", "highest", "times the smallest"],
    )
    smallest = None
    for share in SHARES:
        seconds = _seconds(_growth(share), options, parts)
        if not seconds:
            continue
        smallest = smallest or statistics.median(seconds)
        ratio = statistics.median(seconds) / smallest
        frames = f"{options.capacity // share:,}"
        table.rows.append([frames, *_milliseconds(seconds), f"{ratio:.2f}"])
    return table


def _sizes(options: Namespace) -> dict[str, int]:
    """Frames of each contender."""
    return {name: options.capacity // part for name, part in PARTS.items()}


def _compared(options: Namespace) -> list[Team]:
    sizes = _sizes(options).items()
    return [_team(f"replay, {name}", name, size, options) for name, size in sizes]


def _growing(options: Namespace) -> list[Team]:
    return [_team(_growth(n), "ours", options.capacity // n, options) for n in SHARES]


def _team(title: str, name: str, frames: int, options: Namespace) -> Team:
    about = {"contender": name, "frames": frames}
    return Team(title, about, [partial(_open, name, frames, options)], _describe)


def _growth(share: int) -> str:
    return f"replay, 1/{share} of the frames"


def _small(name: str) -> str:
    return f"replay, {name} with 1/{SHARES[0]} of its frames"


def _open(name: str, capacity: int, options: Namespace) -> Contender:
    python = options.rival_python if name == "torchrl" else sys.executable
    print(f"{name}, {capacity:,} frames ...", file=sys.stderr)
    words = (name, str(capacity), str(options.batch_size), str(options.threads), options.device)
    return Contender("replaying.py", *words, python=python)


def _describe(contender: Contender) -> Values:
    versions = contender.versions if contender.name == "torchrl" else {}
    return {"versions": versions, "resident_bytes": _resident_bytes(contender)}


def _describe_and_close(name: str, capacity: int, options: Namespace) -> Values:
    with _open(name, capacity, options) as contender:
        return _describe(contender)


def _seconds(title: str, options: Namespace, parts: Parts) -> list[float]:
    """Seconds a batch of every round so far."""
    rounds = times_of(title, options.repeats, parts)
    return [one[f"{options.clock}_s"] / one["agent_steps"] for (one,) in rounds]


def _unit(options: Namespace) -> str:
    return "ms a batch" if options.clock == "wall" else "CPU ms a batch"


def _milliseconds(seconds: list[float]) -> list[str]:
    return [f"{1000 * s:.2f}" for s in (statistics.median(seconds), min(seconds), max(seconds))]


def _resident_bytes(contender: Contender) -> int:
    """Memory that a contender holds, shared memory included; 0 if it has ended."""
    try:
        lines = Path(f"/proc/{contender.pid}/status").read_text().splitlines()
    except FileNotFoundError:
        return 0
    fields = dict(line.split(":", 1) for line in lines)
    return 1024 * sum(int(fields.get(name, "0 kB").split()[0]) for name in ("RssAnon", "RssShmem"))
