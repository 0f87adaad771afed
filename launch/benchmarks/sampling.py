"""Sampling: our worker loop against the bare emulator and the rivals, one core and one thread each.

Every contender lives in a process of its own, opened once per game; short rounds alternate between
them, so that whatever else the machine does hits all alike. Figures are medians over the rounds.
"""

from __future__ import annotations

import statistics
import sys
from argparse import Namespace

from accel.config.machine import allowed_cores
from benchmarks.contender import Contender
from benchmarks.report import Result, Table

Rates = dict[str, list[float]]  # contender -> agent steps per second of each round

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


def run(options: Namespace, result: Result) -> None:
    """Measure every game."""
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
    result.tables += [one_core, all_cores]
    for game in options.games:
        print(f"{game} ...", file=sys.stderr)
        one_core.rows.append(_measure_one_core(game, options, result))
        all_cores.rows.append(_measure_all_cores(game, options, result))


def _measure_one_core(game: str, options: Namespace, result: Result) -> list[str]:
    contenders = [_open_stepper(name, game, options, options.core) for name in COLUMNS]
    ready = [[contender] for contender in contenders if not contender.missing]
    rates = _alternate(ready, game, options, options.clock, result)
    for contender in contenders:
        result.rival_versions |= contender.versions
        if contender.missing:
            how = f"pip install {INSTALL[contender.name]}"
            note = f"{COLUMNS[contender.name]}: not installed: {how} ({contender.missing})"
            notes = result.tables[0].notes
            notes += [note] if note not in notes else []
        contender.close()
    medians = {name: statistics.median(rates[name]) if name in rates else None for name in COLUMNS}
    ratios = [_ratio(medians[one], medians[other]) for one, other in RATIOS.values()]
    return [game, *map(_rate, medians.values()), *ratios]


def _measure_all_cores(game: str, options: Namespace, result: Result) -> list[str]:
    cores = allowed_cores()
    workers = [_open_stepper("ours", game, options, core) for core in cores]
    arguments = ("sampler", game, str(options.num_envs * len(cores)), str(len(cores)))
    sampler = Contender("all_cores.py", *arguments, python=sys.executable)
    rates = _alternate([workers, [sampler]], game, options, "wall", result)
    for contender in (*workers, sampler):
        contender.close()
    alone, sampled = statistics.median(rates["ours"]), statistics.median(rates["sampler"])
    return [game, _rate(alone), _rate(sampled), _ratio(sampled, alone)]


def _open_stepper(name: str, game: str, options: Namespace, core: int) -> Contender:
    python = options.rival_python if name == "envpool" else sys.executable
    return Contender("stepping.py", name, game, str(options.num_envs), str(core), python=python)


def _alternate(
    teams: list[list[Contender]], game: str, options: Namespace, clock: str, result: Result
) -> Rates:
    """Time the teams in turn, back and forth; the members of a team run at the same time."""
    rates: Rates = {team[0].name: [] for team in teams}
    for repeat in range(options.repeats):
        for team in teams if repeat % 2 == 0 else reversed(teams):
            for member in team:
                member.start(options.seconds)
            times = [member.finish(options.seconds) for member in team]
            name = team[0].name
            rates[name].append(sum(time["agent_steps"] / time[f"{clock}_s"] for time in times))
            about = {"game": game, "contender": name, "team": len(team)}
            result.rounds += [about | time for time in times]
    return rates


def _rate(rate: float | None) -> str:
    return "-" if rate is None else f"{rate:,.0f}"


def _ratio(ours: float | None, other: float | None) -> str:
    return "-" if not ours or not other else f"{ours / other:.2f}"
