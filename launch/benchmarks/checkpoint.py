"""Checkpoints: what one save of a whole run costs, and its share of the wall time by default.

Each row is a run as train.py builds it, saved again and again after a first update: gathering the
state (weights, optimizer, every emulator), writing it, and flushing it to the disk.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from time import perf_counter

from accel.config.derive import derive
from accel.config.machine import Machine
from accel.config.schema import Config
from accel.envs.games import display_name
from accel.metrics.console import Console
from accel.runners.train import Training
from accel.runs.folder import RunFolder
from benchmarks.composing import compose_config
from benchmarks.parts import Parts
from benchmarks.report import Table

PROTOCOLS = ("classic", "modern")
COLUMNS = ["environments, protocol", "ms a save", "lowest", "highest", "of it state", "MB"]


def measure(options: Namespace, parts: Parts) -> None:
    """Measure every game, number of environments and protocol."""
    for layout in product(options.games, options.num_envs, PROTOCOLS):
        name = _name(*layout)
        print(f"{name} ...", file=sys.stderr)
        parts.take(name, lambda layout=layout: {"saves": _measure(*layout, options)})


def tables(options: Namespace, parts: Parts) -> list[Table]:
    """What has been measured so far."""
    interval, found = Config.checkpoint_interval_s, []
    for game in options.games:
        share = f"% of wall time, every {interval:g} s"
        table = Table(f"Checkpoints of PPO on {display_name(game)}", [*COLUMNS, share])
        for num_envs, protocol in product(options.num_envs, PROTOCOLS):
            answer = parts.results.get(_name(game, num_envs, protocol))
            if answer is not None:
                table.rows.append(_row(f"{num_envs}, {protocol}", answer["saves"], interval))
        found.append(table)
    return found


def _name(game: str, num_envs: int, protocol: str) -> str:
    return f"{game}, {num_envs} environments, {protocol}"


def _measure(game: str, num_envs: int, protocol: str, options: Namespace) -> list[dict[str, float]]:
    """Seconds and bytes of each save."""
    overrides = [
        f"env.game={game}",
        f"env.protocol={protocol}",
        f"sampler.num_envs={num_envs}",
        f"device={options.device}",
        "total_agent_steps=1000000000",
    ]
    with _training(overrides) as training:
        training._restore_or_start()
        training._update()
        return [_save(training, repeat) for repeat in range(options.repeats)]


def _save(training: Training, repeat: int) -> dict[str, float]:
    start = perf_counter()
    state = training.state_dict()
    gathered = perf_counter()
    path = training.folder.checkpoints.save(state, repeat)
    return {
        "save_s": perf_counter() - start,
        "state_s": gathered - start,
        "bytes": path.stat().st_size,
    }


@contextmanager
def _training(overrides: list[str]) -> Iterator[Training]:
    """A run in a temporary folder, on the disk that holds temporary files."""
    with tempfile.TemporaryDirectory(prefix="accel-benchmark-") as folder:
        run_dir = Path(folder) / "run"
        config = compose_config([*overrides, f"run_dir='{run_dir}'"])
        console = Console(sys.stderr)
        with RunFolder(run_dir) as run_folder:
            derived = derive(config, Machine.detect(config.device))
            training = Training(config, derived, run_folder, console)
            try:
                yield training
            finally:
                training.close()


def _row(name: str, rounds: list[dict[str, float]], interval: float) -> list[str]:
    saves = [a_round["save_s"] for a_round in rounds]
    median = statistics.median(saves)
    state = statistics.median(a_round["state_s"] for a_round in rounds)
    milliseconds = [f"{1000 * s:,.0f}" for s in (median, min(saves), max(saves), state)]
    share = 100 * median / (interval + median)
    return [name, *milliseconds, f"{rounds[-1]['bytes'] / 1e6:.1f}", f"{share:.3f}"]
