"""The settings of the commands around training: evaluate, play, plot.

Like the schema of training: types, units and defaults here, the yaml files only name the schema.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from accel.config.errors import Problem
from accel.config.gpu_sharing import check_allowed
from accel.config.learners import resolve_device
from accel.config.machine import Machine
from accel.config.validate import check_device

_LEAST = {"episodes": 1, "max_envs": 1, "num_workers": 0, "seed": 0, "max_frames": 1}


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig:
    """Whole games of a trained agent: acting as it is judged in training, and greedily."""

    run: str  # run folder
    episodes: int = 30  # whole games, for each way of choosing actions
    checkpoint: str = "last"  # last | best (by evaluations while training) | path of a checkpoint
    seed: int | None = None  # of the games, disjoint from training's; None: the run's own seed
    device: str = "auto"  # auto | cpu | cuda | cuda:N
    num_workers: int | None = None  # worker processes, 0: none; None: one per usable core
    max_envs: int = 16  # games played side by side, at most


@dataclass(frozen=True, kw_only=True)
class PlayConfig:
    """One whole game of a trained agent as a video."""

    run: str  # run folder
    checkpoint: str = "last"  # last | best (by evaluations while training) | path of a checkpoint
    seed: int | None = None  # of the game, disjoint from training's; None: the run's own seed
    greedy: bool = False  # always the best action, without sampling or exploring
    max_frames: int | None = None  # frames of video after which the game is left; None: to its end
    output: str | None = None  # video file; None: <run>/videos/<game>_<return>.mp4
    device: str = "auto"  # auto | cpu | cuda | cuda:N


@dataclass(frozen=True, kw_only=True)
class PlotConfig:
    """Learning curves of runs, against agent steps and against wall time."""

    runs: list[str] = field(default_factory=list)  # run folders, folders of runs, glob patterns
    output: str = "curves.png"  # picture file; its ending says the format: png, svg, pdf
    metric: str = "charts/episodic_return"  # a column of metrics.csv


_ENDINGS: dict[type, tuple[str, ...]] = {
    PlayConfig: (".mp4",),
    PlotConfig: (".png", ".svg", ".pdf"),
}


def check_command(
    config: EvaluateConfig | PlayConfig | PlotConfig, machine: Machine
) -> list[Problem]:
    """All problems of a command's settings that show before it looks at any file."""
    return [
        *_check_least(config),
        *_check_device(config, machine),
        *_check_output(config),
        *_check_runs(config),
    ]


def _check_least(config: object) -> Iterator[Problem]:
    for key, least in _LEAST.items():
        value = getattr(config, key, None)
        if value is not None and value < least:
            yield Problem(key, value, f"must be at least {least}", f"{key}={least} or more")


def _check_device(config: object, machine: Machine) -> Iterator[Problem]:
    device = getattr(config, "device", None)
    if device is None:
        return
    problems = [*check_device(device, machine)]
    yield from problems
    found, _ = resolve_device(device, machine)
    if found.startswith("cuda") and not problems:
        yield from check_allowed(device, [int(found.partition(":")[2] or 0)], machine)


def _check_output(config: object) -> Iterator[Problem]:
    endings = _ENDINGS.get(type(config), ())
    output = getattr(config, "output", None)
    if endings and output is not None and not output.endswith(endings):
        stem = output.rpartition(".")[0] or output
        rule = f"must end in {' or '.join(endings)}"
        yield Problem("output", output, rule, f"output={stem}{endings[0]}")


def _check_runs(config: object) -> Iterator[Problem]:
    if isinstance(config, PlotConfig) and not config.runs:
        yield Problem("runs", None, "must name run folders", "runs=[results/runs/pong_quick/*]")
