"""One command, many learners: the process that was typed becomes the launcher of its ranks."""

from __future__ import annotations

import sys

from hydra.core.hydra_config import HydraConfig

from accel.config.derive import resolve_learners
from accel.config.machine import Machine
from accel.config.schema import Config
from accel.launching.ranks import end_with_launcher, launch_ranks


def start_ranks(config: Config) -> bool:
    """Run `config` in ranks of its own if it has several learners; false where it has not.

    False too in a rank that is already started, by this function, torchrun or srun. Must be called
    inside a Hydra task. Exits with the ranks' code if that is not 0.
    """
    machine = Machine.detect(config.device)
    if machine.place.is_given:
        end_with_launcher()
        return False
    learners, _ = resolve_learners(config, machine)
    if learners == 1:
        return False
    overrides = [word for word in HydraConfig.get().overrides.task if not _names_folder(word)]
    command = [sys.executable, sys.argv[0], *overrides, f"run_dir={_quoted(config.run_dir)}"]
    code = launch_ranks(command, learners)
    if code:
        sys.exit(code)
    return True


def _names_folder(override: str) -> bool:
    return override.startswith("run_dir=")


def _quoted(path: str) -> str:
    """As a string of Hydra's grammar, in which paths may hold = and other signs."""
    escaped = path.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
