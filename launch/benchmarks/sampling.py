"""Sampling: our worker loop against the bare emulator and the rivals, one core and one thread each.

Every contender lives in a process of its own, opened once per game; short rounds alternate between
them, so that whatever else the machine does hits all alike. Figures are medians over the rounds.
"""

from __future__ import annotations

import statistics
import sys
from argparse import Namespace
from collections.abc import Iterator
from functools import partial

from accel.config.machine import allowed_cores
from benchmarks.contender import Contender
from benchmarks.parts import Parts
from benchmarks.report import Table
from benchmarks.rounds import Team, alternate, opened, times_of

COLUMNS = {
    "raw": "raw act x4 (limit)",
    "ours": "accel worker",
    "screens": "raw screens to the device",
    "envpool": "EnvPool",
    "ale_vector": "ale_py vector env",
}
RATIOS = {
    "ours / limit": ("ours", "raw"),
    "raw screens / limit": ("screens", "raw"),
    "ours / EnvPool": ("ours", "envpool"),
    "ours / ale_py": ("ours", "ale_vector"),
}
ALL_CORES_OF = ("workers", "sampler")
_NUM_GROUPS = 2
INSTALL = {"envpool": "envpool==1.2.5", "ale_vector": '"ale-py==0.12.1" "gymnasium>=1.1"'}
SETTINGS = (
    "Random actions, frame skip 4, sticky actions 0.25, maximum of the last two grayscale screens, "
    "84x84 area resize, no clipping, no end at a lost life, no FIRE and no no-ops after a reset "
    "(EnvPool takes one no-op at least). The limit resets games as accel does: a saved state where "
    "that is exact, else `reset_game`. The rivals also copy out a stack of 4 frames: they cannot "
    "leave it."
)
SCREENS = (
    "Raw screens to the device: a worker with env.frames=device, which leaves gray, maximum and "
    "resize to the actor's GPU; the GPU's work is not in the figure."
)

ALL_CORES = (
    "Workers alone: one loop pinned to each core, answering to no one. Sampler: a worker process "
    "per core writing into a shared rollout, and an actor that stacks observations and serves "
    "uniformly random actions."
)


def measure(options: Namespace, parts: Parts) -> None:
    """Measure every game."""
    for game in options.games:
        print(f"{game} ...", file=sys.stderr)
        alternate(_on_one_core(game, options), options.repeats, options.seconds, parts)
        alternate(_on_all_cores(game, options), options.repeats, options.seconds, parts)


def tables(options: Namespace, parts: Parts) -> list[Table]:
    """What has been measured so far; a game without any figure has no row."""
    unit = "wall-clock second" if options.clock == "wall" else "CPU second"
    one_core = Table(
        f"Sampling on one core, {options.num_envs} environments, agent steps per {unit}",
        ["game", *COLUMNS.values(), *RATIOS],
        notes=[SETTINGS, SCREENS],
    )
    all_cores = Table(
        f"Sampling on {len(allowed_cores())} cores, {options.num_envs} environments on each, agent "
        "steps per wall-clock second",
        ["game", "accel workers alone", "accel sampler", "sampler / workers"],
        notes=[ALL_CORES],
    )
    for game in options.games:
        medians = {
            name: _median(_name(game, name), options, options.clock, parts) for name in COLUMNS
        }
        ratios = [_ratio(medians[one], medians[other]) for one, other in RATIOS.values()]
        _add_row(one_core, game, [*medians.values()], ratios)
        one_core.notes += [note for note in _missing(game, parts) if note not in one_core.notes]
        alone, sampled = (_median(_name(game, it), options, "wall", parts) for it in ALL_CORES_OF)
        _add_row(all_cores, game, [alone, sampled], [_ratio(sampled, alone)])
    return [one_core, all_cores]


def _on_one_core(game: str, options: Namespace) -> list[Team]:
    return [
        Team(
            _name(game, name),
            {"game": game, "contender": name, "team": 1},
            [partial(_open_stepper, name, game, options, options.core)],
        )
        for name in COLUMNS
    ]


def _on_all_cores(game: str, options: Namespace) -> list[Team]:
    cores = allowed_cores()
    workers, sampler = (_name(game, name) for name in ALL_CORES_OF)
    numbers = (options.num_envs * len(cores), len(cores), _NUM_GROUPS)
    words = ("sampler", game, *map(str, numbers))
    about = {"game": game, "contender": "ours", "team": len(cores)}
    return [
        Team(workers, about, [partial(_open_stepper, "ours", game, options, c) for c in cores]),
        Team(
            sampler,
            {"game": game, "contender": "sampler", "team": 1},
            [lambda: Contender("all_cores.py", *words, python=sys.executable)],
        ),
    ]


def _open_stepper(name: str, game: str, options: Namespace, core: int) -> Contender:
    python = options.rival_python if name == "envpool" else sys.executable
    return Contender("stepping.py", name, game, str(options.num_envs), str(core), python=python)


def _name(game: str, contender: str) -> str:
    return f"{game}, {contender}"


def _median(name: str, options: Namespace, clock: str, parts: Parts) -> float | None:
    """Agent steps per second of all members of a team together; None before its first round."""
    rates = [
        sum(times["agent_steps"] / times[f"{clock}_s"] for times in members)
        for members in times_of(name, options.repeats, parts)
    ]
    return statistics.median(rates) if rates else None


def _add_row(table: Table, game: str, rates: list[float | None], ratios: list[str]) -> None:
    if any(rate is not None for rate in rates):
        table.rows.append([game, *map(_rate, rates), *ratios])


def _missing(game: str, parts: Parts) -> Iterator[str]:
    for name, title in COLUMNS.items():
        reason = opened(_name(game, name), parts).get("missing")
        if reason:
            how = f"pip install {INSTALL.get(name, '-r requirements.txt')}"
            yield f"{title}: not installed: {how} ({reason})"


def _rate(rate: float | None) -> str:
    return "-" if rate is None else f"{rate:,.0f}"


def _ratio(ours: float | None, other: float | None) -> str:
    return "-" if not ours or not other else f"{ours / other:.2f}"
