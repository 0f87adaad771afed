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
from functools import partial
from itertools import product

from accel.config.machine import Machine, allowed_cores
from accel.envs.games import display_name
from benchmarks.contender import HERE, ContenderFailed
from benchmarks.parts import Parts, Values
from benchmarks.report import Table
from benchmarks.training import measure_run

Layout = tuple[int, int, int]  # learners, environments of each, workers of each

_NOTE = (
    "Each learner has {cores} core(s){gpu} and its own environments and workers (hardware.scaling="
    "weak); efficiency is the steps/s per learner against one learner on the same share of the "
    "machine. 8 environments x 128 steps, 4 epochs x 4 minibatches and multiples of it."
)
_NATURE_PARAMETERS = 1_687_872  # of the Nature network with 512 units and 6 actions
_ALL_REDUCE_TIMEOUT_S = 120


def measure(options: Namespace, parts: Parts) -> None:
    """Measure every game, layout and number of learners."""
    most = _most_learners(options)
    for game in options.games:
        for shares in product(options.num_envs, options.num_workers):
            layouts = [(learners, *shares) for learners in options.learners if learners <= most]
            for repeat in range(options.repeats):
                for layout in layouts if repeat % 2 == 0 else reversed(layouts):
                    name = _name(game, layout, repeat)
                    parts.take(name, partial(_measure, game, layout, options))
    for learners in options.learners:
        if 1 < learners <= most:
            with _on_cores(learners * options.cores):
                time_it = partial(_time_all_reduce, learners, options.device)
                parts.take(_all_reduce(learners), time_it)


def tables(options: Namespace, parts: Parts) -> list[Table]:
    """What has been measured so far."""
    gpu = ", a GPU" if options.device.startswith("cuda") else ""
    found = []
    for game in options.games:
        table = Table(
            f"PPO on {display_name(game)} with several learners",
            ["learners", "environments", "workers", "agent steps/s", "efficiency"],
            notes=[_NOTE.format(cores=options.cores, gpu=gpu)],
        )
        found.append(table)
        for shares in product(options.num_envs, options.num_workers):
            layouts = [(learners, *shares) for learners in options.learners]
            rates = {layout: _median(game, layout, options, parts) for layout in layouts}
            table.rows += [_row(layout, rates) for layout in layouts]
    return [*found, _all_reduce_table(options, parts)]


def _most_learners(options: Namespace) -> int:
    by_cores = len(allowed_cores()) // options.cores
    if not options.device.startswith("cuda"):
        return by_cores
    return min(by_cores, Machine.detect(options.device).cuda_devices)


def _measure(game: str, layout: Layout, options: Namespace) -> Values:
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
    rate = answer["agent_steps"] / answer["wall_s"]
    print(f"{game} {layout}: {rate:,.0f} steps/s", file=sys.stderr)
    return {"game": game, "layout": layout} | answer


def _median(game: str, layout: Layout, options: Namespace, parts: Parts) -> float | None:
    names = [_name(game, layout, repeat) for repeat in range(options.repeats)]
    rounds = [parts.results[name] for name in names if name in parts.results]
    rates = [answer["agent_steps"] / answer["wall_s"] for answer in rounds]
    return statistics.median(rates) if rates else None


def _name(game: str, layout: Layout, repeat: int) -> str:
    learners, num_envs, num_workers = layout
    return f"{game}, {learners} x ({num_envs}, {num_workers}), round {repeat}"


def _all_reduce(learners: int) -> str:
    return f"all-reduce of {learners}"


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


def _row(layout: Layout, rates: dict[Layout, float | None]) -> list[str]:
    learners, num_envs, num_workers = layout
    cells = [str(learners), f"{learners} x {num_envs}", f"{learners} x {num_workers}"]
    rate = rates[layout]
    if rate is None:
        return [*cells, "not measured", "-"]
    alone = rates.get((1, num_envs, num_workers))
    efficiency = f"{rate / learners / alone:.2f}" if alone else "-"
    return [*cells, f"{rate:,.0f}", efficiency]


def _all_reduce_table(options: Namespace, parts: Parts) -> Table:
    megabytes = 4 * _NATURE_PARAMETERS / 1e6
    table = Table(
        f"One all-reduce of the Nature network's gradient ({megabytes:.1f} MB)",
        ["learners", "ms"],
    )
    for learners in (n for n in options.learners if n > 1):
        answer = parts.results.get(_all_reduce(learners))
        milliseconds = "not measured" if answer is None else f"{answer['ms']:.2f}"
        table.rows.append([str(learners), milliseconds])
    return table


def _time_all_reduce(learners: int, device: str) -> Values:
    command = [sys.executable, str(HERE / "all_reduce.py"), str(learners), device]
    command.append(str(_NATURE_PARAMETERS))
    try:
        answer = subprocess.run(
            command, capture_output=True, text=True, timeout=_ALL_REDUCE_TIMEOUT_S, check=True
        )
    except subprocess.SubprocessError as error:
        raise ContenderFailed(f"{error}\n{(error.stderr or '')[-2000:]}") from error
    return json.loads(answer.stdout.splitlines()[-1])
