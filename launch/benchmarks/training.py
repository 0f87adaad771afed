"""Training: agent steps per second of whole runs, ours and stable-baselines3's, at equal settings.

Each figure is a fresh process: it warms up, then is measured over whole updates. The systems take
turns, so that whatever else the machine does hits all alike; the table shows medians.
"""

from __future__ import annotations

import csv
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

from accel.envs.games import display_name
from benchmarks.contender import REPOSITORY, ContenderFailed, bound
from benchmarks.parts import Parts, Values
from benchmarks.report import Table
from benchmarks.training_rivals import (
    CLEANRL,
    ENDLESS,
    SAMPLE_FACTORY,
    START_TIMEOUT_S,
    measure_program,
    measure_sb3,
)

SETTINGS = {
    "ppo": "8 environments x 128 steps, 4 epochs x 4 minibatches",
    "a2c": "16 x 5 steps",
    "dqn": "8 environments, an update of 32 samples every 4 agent steps, replay of 100,000",
}
NUM_ENVS = {"ppo": 8, "a2c": 16, "dqn": 8}
DQN_KEYS = {"algo.replay_capacity": 100_000, "algo.learning_starts": 1000}
SYSTEMS = {
    "accel-auto": "accel, precision=auto",
    "accel-fp32": "accel, precision=fp32",
    "accel-lag1": "accel, runner.policy_lag=1",
    "accel-free": "accel, runner.policy_lag=free",
    "sb3-dummy": "stable-baselines3, in one process",
    "sb3-subproc": "stable-baselines3, subprocesses",
    "cleanrl": "CleanRL, ppo_atari.py",
    "sample-factory": "Sample Factory, APPO",
}
_ACCEL_KEYS = {
    "auto": {"precision": "auto"},
    "fp32": {"precision": "fp32"},
    "lag1": {"runner.policy_lag": 1},
    "free": {"runner.policy_lag": "free"},
}
PROGRAMS = {"cleanrl": CLEANRL, "sample-factory": SAMPLE_FACTORY}  # they have PPO alone
_SB3 = "pip install stable-baselines3==2.9.2 ale-py opencv-python-headless"
_HOW_TO_INSTALL = {
    "sb3-dummy": _SB3,
    "sb3-subproc": _SB3,
    "cleanrl": (
        "--cleanrl takes a clone of its repository; pip install stable-baselines3==2.3.2 "
        "gymnasium==0.29.1 ale-py==0.10.1 tyro tensorboard opencv-python-headless 'numpy<2'"
    ),
    "sample-factory": "pip install sample-factory==2.1.1 ale-py==0.10.1 'numpy<2'",
}
STOP_TIMEOUT_S = 15  # of a run that was interrupted, whose figures are taken already


def measure(options: Namespace, parts: Parts) -> None:
    """Measure every game and algorithm."""
    for game, algorithm in product(options.games, options.algorithms):
        systems = _systems(algorithm, options)
        for repeat in range(options.repeats):
            for system in systems if repeat % 2 == 0 else reversed(systems):
                name = _name(game, algorithm, system, repeat)
                parts.take(name, partial(_measure, system, game, algorithm, options))


def tables(options: Namespace, parts: Parts) -> list[Table]:
    """What has been measured so far."""
    found = []
    for game, algorithm in product(options.games, options.algorithms):
        rates = {
            system: _rates(game, algorithm, system, options, parts)
            for system in _systems(algorithm, options)
        }
        if any(rates.values()):
            found.append(_table(game, algorithm, rates))
    return found


def _systems(algorithm: str, options: Namespace) -> list[str]:
    return [name for name in options.systems if algorithm == "ppo" or name not in PROGRAMS]


def _name(game: str, algorithm: str, system: str, repeat: int) -> str:
    return f"{game}, {algorithm}, {system}, round {repeat}"


def _rates(
    game: str, algorithm: str, system: str, options: Namespace, parts: Parts
) -> list[float] | str:
    """Agent steps per second of each round so far, or why there are none."""
    names = [_name(game, algorithm, system, repeat) for repeat in range(options.repeats)]
    rounds = [parts.results[name] for name in names if name in parts.results]
    for answer in rounds:
        if "missing" in answer:
            return f"not installed: {_HOW_TO_INSTALL[system]} ({answer['missing']})"
    return [answer["agent_steps"] / answer["wall_s"] for answer in rounds]


def _measure(system: str, game: str, algorithm: str, options: Namespace) -> Values:
    answer = _measure_system(system, game, algorithm, options)
    if "missing" not in answer:
        rate = answer["agent_steps"] / answer["wall_s"]
        print(f"{game} {algorithm} {system}: {rate:,.0f} steps/s", file=sys.stderr)
    return {"game": game, "algorithm": algorithm, "system": system} | answer


def _measure_system(system: str, game: str, algorithm: str, options: Namespace) -> dict[str, Any]:
    kind, _, variant = system.partition("-")
    if kind == "accel":
        return _measure_accel(game, algorithm, variant, options)
    if kind == "sb3":
        return measure_sb3(game, algorithm, variant, options)
    return measure_program(PROGRAMS[system], game, options)


def _measure_accel(game: str, algorithm: str, variant: str, options: Namespace) -> dict:
    arguments = {
        "algo": algorithm,
        "env.game": game,
        "env.protocol": "classic",
        "sampler.num_envs": NUM_ENVS[algorithm],
        "device": options.device,
        **_ACCEL_KEYS[variant],
        **(DQN_KEYS if algorithm == "dqn" else {}),
    }
    return measure_run(arguments, options)


@dataclass(frozen=True)
class TrainingRun:
    """A run of launch/train.py that goes on until it is left."""

    process: subprocess.Popen
    command: list[str]
    folder: Path
    log: Path

    @property
    def metrics(self) -> Path:
        """The csv file of its curves."""
        return self.folder / "metrics.csv"

    def failure(self) -> ContenderFailed:
        """What to raise if it ends by itself or does not begin."""
        return ContenderFailed(f"{' '.join(self.command)}\n{self.log.read_text()[-3000:]}")


@contextmanager
def training_run(arguments: dict[str, object]) -> Iterator[TrainingRun]:
    """Start launch/train.py in a folder of its own; interrupt it and remove the folder after."""
    with tempfile.TemporaryDirectory(prefix="accel-benchmark-") as folder:
        run_dir, log = Path(folder) / "run", Path(folder) / "log"
        arguments = {"log_interval_s": 1, **arguments, "run_dir": run_dir}
        command = [sys.executable, str(REPOSITORY / "launch" / "train.py")]
        command += [f"{key}={value}" for key, value in arguments.items()]
        with log.open("w") as output:
            process = subprocess.Popen(
                bound(command), stdout=output, stderr=subprocess.STDOUT, cwd=REPOSITORY
            )
            try:
                yield TrainingRun(process, command, run_dir, log)
            finally:
                _stop(process)


def measure_run(
    arguments: dict[str, object], options: Namespace, start_s: float = START_TIMEOUT_S
) -> dict[str, Any]:
    """Run launch/train.py until its metrics span the measured time, then interrupt it.

    It has `start_s` until the first row of metrics. Returns agent_steps, wall_s and the time split
    in percent.
    """
    with training_run({**arguments, "total_agent_steps": ENDLESS}) as run:
        answer = _watch_metrics(run, options, start_s)
        return answer | {"percent": time_split(run.metrics, options.warm_up_s)}


def time_split(metrics: Path, warm_up_s: float) -> dict[str, float]:
    """The mean share of each part of the wall time after the warm-up, in percent."""
    rows = read_rows(metrics)
    start = float(rows[0]["wall_time_s"]) + warm_up_s
    steady = [row for row in rows if float(row["wall_time_s"]) > start]
    names = [name for name in rows[0] if name.startswith("stats/") and name.endswith("_percent")]
    return {
        name.removeprefix("stats/").removesuffix("_percent"): statistics.mean(
            float(row[name]) for row in steady
        )
        for name in names
    }


def _watch_metrics(run: TrainingRun, options: Namespace, start_s: float) -> dict[str, float]:
    deadline = time.monotonic() + start_s + options.warm_up_s + 2 * options.seconds
    while time.monotonic() < deadline and run.process.poll() is None:
        time.sleep(0.5)
        rows = _read_progress(run.metrics)
        steady = [row for row in rows if row[1] >= rows[0][1] + options.warm_up_s]
        if steady and steady[-1][1] - steady[0][1] >= options.seconds:
            (first_step, start), (last_step, end) = steady[0], steady[-1]
            return {"agent_steps": last_step - first_step, "wall_s": end - start}
    raise run.failure()


def _read_progress(metrics: Path) -> list[tuple[int, float]]:
    """(agent steps, seconds since the run began) of every whole row so far."""
    return [(int(row["agent_steps"]), float(row["wall_time_s"])) for row in read_rows(metrics)]


def read_rows(metrics: Path) -> list[dict[str, str]]:
    """Every whole row so far."""
    if not metrics.exists():
        return []
    text = metrics.read_text()
    return list(csv.DictReader(text[: text.rfind("\n") + 1].splitlines()))


def _stop(process: subprocess.Popen) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
    try:
        process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _table(game: str, algorithm: str, rates: dict[str, list[float] | str]) -> Table:
    table = Table(
        f"{algorithm.upper()} on {display_name(game)}, {SETTINGS[algorithm]}",
        ["system", "agent steps/s", "lowest", "highest", "x best rival"],
    )
    known = {name: found for name, found in rates.items() if isinstance(found, list) and found}
    medians = {name: statistics.median(found) for name, found in known.items()}
    best = max((m for name, m in medians.items() if not name.startswith("accel")), default=None)
    for name, values in rates.items():
        if name not in known:
            table.rows.append([SYSTEMS[name], "-", "-", "-", "-"])
            table.notes += [f"{SYSTEMS[name]}: {values}"] if values else []
            continue
        times = f"{medians[name] / best:.2f}" if best else "-"
        figures = (medians[name], min(values), max(values))
        table.rows.append([SYSTEMS[name], *(f"{figure:,.0f}" for figure in figures), times])
    return table
