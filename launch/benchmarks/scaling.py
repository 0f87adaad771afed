"""Scaling: PPO with more and more learners, each with as many cores and environments of its own.

Weak scaling, because a learner's minibatches must stay large enough to be worth a GPU: perfect is
as many times the steps/s as there are learners. Beside it, the time of one all-reduce of the
network's gradient.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product

from accel.config.machine import Machine, allowed_cores
from accel.envs.games import display_name
from benchmarks.contender import HERE, ContenderFailed
from benchmarks.report import Result, Table
from benchmarks.training import measure_run

Layout = tuple[int, int, int]  # learners, environments of each, workers of each

_NOTE = (
    "Each learner has {cores} core(s){gpu} and its own environments and workers (hardware.scaling="
    "weak); efficiency is the steps/s per learner against one learner on the same share of the "
    "machine. 8 environments x 128 steps, 4 epochs x 4 minibatches and multiples of it."
)
_NATURE_PARAMETERS = 1_687_872  # of the Nature network with 512 units and 6 actions
_ALL_REDUCE_TIMEOUT_S = 120


def run(options: Namespace, result: Result) -> None:
    """Measure every game, layout and number of learners."""
    most = _most_learners(options)
    gpu = ", a GPU" if options.device.startswith("cuda") else ""
    for game in options.games:
        table = Table(
            f"PPO on {display_name(game)} with several learners",
            ["learners", "environments", "workers", "agent steps/s", "efficiency"],
            notes=[_NOTE.format(cores=options.cores, gpu=gpu)],
        )
        result.tables.append(table)
        for num_envs, num_workers in product(options.num_envs, options.num_workers):
            layouts = [(learners, num_envs, num_workers) for learners in options.learners]
            rates = _measure(game, [it for it in layouts if it[0] <= most], options, result)
            table.rows += [_row(layout, rates) for layout in layouts]
    result.tables.append(_all_reduce_table(options, most))


def _most_learners(options: Namespace) -> int:
    by_cores = len(allowed_cores()) // options.cores
    if not options.device.startswith("cuda"):
        return by_cores
    return min(by_cores, Machine.detect(options.device).cuda_devices)


def _measure(
    game: str, layouts: list[Layout], options: Namespace, result: Result
) -> dict[Layout, float]:
    """Median steps/s of each layout; they take turns."""
    rates: dict[Layout, list[float]] = {layout: [] for layout in layouts}
    for repeat in range(options.repeats):
        for layout in layouts if repeat % 2 == 0 else reversed(layouts):
            learners, num_envs, num_workers = layout
            arguments = {
                "algo": "ppo",
                "env.game": game,
                "env.protocol": "classic",
                "sampler.num_envs": num_envs,
                "sampler.num_workers": num_workers,
                "hardware.learners": learners,
                "hardware.scaling": "weak",
                "device": options.device,
            }
            with _on_cores(learners * options.cores):
                answer = measure_run(arguments, options)
            rates[layout].append(answer["agent_steps"] / answer["wall_s"])
            print(f"{game} {layout}: {rates[layout][-1]:,.0f} steps/s", file=sys.stderr)
            result.rounds.append({"game": game, "layout": layout} | answer)
    return {layout: statistics.median(measured) for layout, measured in rates.items()}


@contextmanager
def _on_cores(count: int) -> Iterator[None]:
    """Processes started meanwhile may use the first `count` cores only."""
    if not hasattr(os, "sched_setaffinity"):  # macOS
        yield
        return
    everything = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(everything)[:count])
    try:
        yield
    finally:
        os.sched_setaffinity(0, everything)


def _row(layout: Layout, rates: dict[Layout, float]) -> list[str]:
    learners, num_envs, num_workers = layout
    cells = [str(learners), f"{learners} x {num_envs}", f"{learners} x {num_workers}"]
    if layout not in rates:
        return [*cells, "not measured", "-"]
    alone = rates.get((1, num_envs, num_workers))
    efficiency = f"{rates[layout] / learners / alone:.2f}" if alone else "-"
    return [*cells, f"{rates[layout]:,.0f}", efficiency]


def _all_reduce_table(options: Namespace, most: int) -> Table:
    megabytes = 4 * _NATURE_PARAMETERS / 1e6
    table = Table(
        f"One all-reduce of the Nature network's gradient ({megabytes:.1f} MB)",
        ["learners", "ms"],
    )
    for learners in (n for n in options.learners if n > 1):
        if learners > most:
            table.rows.append([str(learners), "not measured"])
            continue
        with _on_cores(learners * options.cores):
            table.rows.append([str(learners), f"{_time_all_reduce(learners, options.device):.2f}"])
    return table


def _time_all_reduce(learners: int, device: str) -> float:
    command = [sys.executable, str(HERE / "all_reduce.py"), str(learners), device]
    command.append(str(_NATURE_PARAMETERS))
    try:
        answer = subprocess.run(
            command, capture_output=True, text=True, timeout=_ALL_REDUCE_TIMEOUT_S, check=True
        )
    except subprocess.SubprocessError as error:
        raise ContenderFailed(f"{error}\n{(error.stderr or '')[-2000:]}") from error
    return json.loads(answer.stdout.splitlines()[-1])["ms"]
