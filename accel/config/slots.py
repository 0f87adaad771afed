"""The settings of the launcher that runs a sweep one experiment per GPU: hydra/launcher=slots."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from accel.config.errors import Problem

LAUNCHER = "slots"  # as in hydra/launcher=slots
PREFIX = "hydra.launcher."  # of the settings on the command line


@dataclass(frozen=True, kw_only=True)
class SlotsConfig:
    """How the machine is divided into slots; each runs one job of the sweep at a time."""

    gpus_per_run: int = 1  # visible GPUs that one run gets
    runs_per_gpu: int = 1  # runs that share a GPU, or the GPUs of gpus_per_run
    cpu_slots: int | None = None  # slots without GPUs; None: one per two cores if no GPU is visible
    pin: bool = True  # keep each run on cores of its own; false: all runs share all cores


def check_slots(settings: SlotsConfig) -> Iterator[Problem]:
    """Problems that show whatever the machine."""
    for name in ("gpus_per_run", "runs_per_gpu", "cpu_slots"):
        value = getattr(settings, name)
        if value is not None and value < 1:
            yield Problem(f"{PREFIX}{name}", value, "must be at least 1", f"{PREFIX}{name}=1")
