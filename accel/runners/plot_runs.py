"""Learning curves of runs as a picture, from their manifests and metrics.csv; needs no torch."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from accel.config.commands import PlotConfig
from accel.config.describe import game_protocol
from accel.config.schema import EnvConfig
from accel.envs.games import display_name, resolve_game
from accel.runs.curves import read_curve
from accel.runs.differences import flatten
from accel.runs.picture import Captions, Experiment, save_picture
from accel.runs.reading import find_runs, read_manifest

# Runs that differ in nothing but these are seeds of one experiment.
_SAME_EXPERIMENT = {
    "seed",
    "run_dir",
    "results_root",
    "resume",
    "overwrite",
    "log_interval_s",
    "checkpoint_interval_s",
    "keep_checkpoints",
    "eval_interval_agent_steps",
    "eval_episodes",
    "profile",
    "sampler.timeout_s",
}
# A choice brings values of other keys with it: those are told apart within one choice only.
_BROUGHT_BY = {
    "algo": "algo.name",
    "sampler": "algo.name",
    "model": "model.name",
    "env": "env.kind",
}
_VALUES = {
    "charts/episodic_return": "episodic return\n(mean of the last 100 games)",
    "charts/episodic_length": "episodic length, agent steps\n(mean of the last 100 games)",
    "charts/SPS": "agent steps per second",
    "eval/episodic_return": "episodic return in evaluation",
}


@dataclasses.dataclass(frozen=True)
class _Run:
    path: Path
    settings: dict[str, Any]  # dotted keys
    env: EnvConfig
    machine: dict[str, Any]


def plot_runs(config: PlotConfig) -> Path:
    """Draw the curves of `config.runs` and return the picture's path.

    Raises RunFolderError where a pattern leads to no run or a run lacks the metric.
    """
    runs = [_read(path) for path in find_runs(config.runs)]
    groups: dict[tuple[tuple[str, str], ...], list[_Run]] = {}
    for run in runs:
        groups.setdefault(_identity(run), []).append(run)
    labels = _labels([group[0].settings for group in groups.values()])
    experiments = [
        Experiment(
            f"{label} ({len(group)} seeds)" if len(group) > 1 else label,
            [read_curve(run.path, config.metric) for run in group],
        )
        for label, group in zip(labels, groups.values())
    ]
    output = Path(config.output).expanduser()
    save_picture(output, experiments, _captions(runs, config.metric, experiments))
    return output


def _read(path: Path) -> _Run:
    data = read_manifest(path).data
    env = data["config"]["env"]
    known = {field.name for field in dataclasses.fields(EnvConfig)}
    return _Run(
        path,
        dict(flatten(data["config"])),
        EnvConfig(**{key: value for key, value in env.items() if key in known}),
        data.get("machine", {}),
    )


def _identity(run: _Run) -> tuple[tuple[str, str], ...]:
    items = run.settings.items()
    return tuple(sorted((key, str(v)) for key, v in items if key not in _SAME_EXPERIMENT))


def _labels(experiments: Sequence[dict[str, Any]]) -> list[str]:
    """What tells experiments apart: `algo=a2c`, `learning_rate=0.001, num_envs=32`."""
    if len(experiments) == 1:
        settings = experiments[0]
        return [f"{settings['algo.name']}, {settings['model.name']}"]
    keys = sorted({key for settings in experiments for key in settings} - _SAME_EXPERIMENT)
    telling = [key for key in keys if _tells_apart(key, experiments)]
    return [
        ", ".join(_setting(key, settings[key]) for key in telling if key in settings)
        for settings in experiments
    ]


def _tells_apart(key: str, experiments: Sequence[dict[str, Any]]) -> bool:
    """Whether `key` differs between two experiments that made the choice that brings it alike."""
    choice = _BROUGHT_BY.get(key.partition(".")[0])
    if choice == key:
        choice = None
    values: dict[str, set[str]] = {}
    for settings in experiments:
        made = str(settings.get(choice)) if choice else ""
        values.setdefault(made, set()).add(str(settings.get(key)))
    return any(len(different) > 1 for different in values.values())


def _setting(key: str, value: Any) -> str:
    group, _, name = key.rpartition(".")
    if name in ("name", "kind"):  # algo.name=ppo is typed algo=ppo
        return f"{group}={value}"
    return f"{name}={_as_typed(value)}"


def _as_typed(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return f"{value:,}" if isinstance(value, int) else str(value)


def _captions(runs: Sequence[_Run], metric: str, experiments: Sequence[Experiment]) -> Captions:
    games = dict.fromkeys(_game(run.env) for run in runs)
    protocols = {game_protocol(run.env) for run in runs if run.env.kind == "atari"}
    skips = {run.env.frame_skip for run in runs}
    machines = {_machine(run.machine) for run in runs}
    several = max(len(experiment.curves) for experiment in experiments) > 1
    notes = [
        f"protocol {protocols.pop()}" if len(protocols) == 1 else "",
        "line: mean of the seeds, band: from the lowest to the highest" if several else "",
    ]
    skip = skips.pop() if len(skips) == 1 else 1
    return Captions(
        title=", ".join(games),
        subtitle="\n".join(note for note in notes if note),
        values=_VALUES.get(metric, metric),
        agent_steps=f"agent steps (x {skip} = frames)" if skip > 1 else "agent steps",
        machine=machines.pop() if len(machines) == 1 else "",
    )


def _game(env: EnvConfig) -> str:
    return display_name(resolve_game(env.game)) if env.kind == "atari" else env.game


def _machine(machine: dict[str, Any]) -> str:
    """Cores and GPU, which wall time depends on."""
    cores = machine.get("cores_usable")
    gpus = [gpu["name"] for gpu in machine.get("gpus", [])]
    parts = [f"{cores} CPU core{'s' if cores > 1 else ''}"] if cores else []
    return ", ".join(parts + gpus[:1])
