"""What every command in `launch/` shares: composing its config and reporting a user's mistakes.

A mistake (a mistyped key, a value out of range, a folder in the way) ends with a plain message and
exit code 2. Anything else is a failure of ours and keeps its traceback.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from accel.config.compose import explain, register_schema, to_config
from accel.config.errors import ConfigError, UserError
from accel.config.machine import Machine
from accel.config.run_dir import run_dir
from accel.config.schema import Config
from accel.config.validate import validate
from accel.runners.override_help import explain_dashes, explain_overrides

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
USER_MISTAKE = 2  # exit code, as argparse and Hydra's own option parser use

Task = Callable[[DictConfig], object]


def hydra_entry(config_name: str, task: Task, check: Task | None = None) -> None:
    """Compose configs/<config_name>.yaml with the command line and run `task` on it.

    With -m the task runs once per combination, one after the other; `check` sees all combinations
    before the first of them runs, so a mistake in the last one costs seconds and not hours. Exits
    with code 2 on a user's mistake, whose traceback HYDRA_FULL_ERROR=1 in the environment shows.
    """
    words = sys.argv[1:]
    register_schema()
    wants_traceback = os.environ.get("HYDRA_FULL_ERROR") == "1"
    os.environ["HYDRA_FULL_ERROR"] = "1"  # let exceptions reach us instead of exiting with 1
    is_sweep = "-m" in words or "--multirun" in words
    dashed = explain_dashes(words, CONFIGS)
    try:
        if dashed:
            raise ConfigError(dashed)
        for step in (check, task) if check is not None and is_sweep else (task,):
            guarded = step if wants_traceback else _exit_on_mistake(step)
            hydra.main(version_base="1.3", config_path=str(CONFIGS), config_name=config_name)(
                guarded
            )()
    except (HydraException, OmegaConfBaseException, UserError) as error:
        if wants_traceback:
            raise
        _exit(_explanation(error, words))


def load_config(composed: DictConfig) -> Config:
    """Dataclasses of a composed training config, its run folder named, all rules checked.

    Warnings go to stderr. Raises ConfigError with every problem found. Must be called inside a task
    of `hydra_entry`, where Hydra tells which experiment and overrides were asked for.
    """
    job = HydraConfig.get()
    config = to_config(composed)
    is_sweep = job.mode == RunMode.MULTIRUN
    folder = run_dir(config, job.runtime.choices.experiment, job.overrides.task, is_sweep)
    config = replace(config, run_dir=folder)
    problems = validate(config, Machine.detect(config.device))
    if any(problem.severity == "error" for problem in problems):
        raise ConfigError(problems)
    for problem in problems:
        sys.stderr.write(f"warning: {problem}\n")
    return config


def _exit_on_mistake(task: Task) -> Task:
    """Exit from inside the task: an exception would make Hydra add a report of its own."""

    @functools.wraps(task)
    def guarded(composed: DictConfig) -> None:
        from accel.runs.folder import RunFolderError  # loads NumPy, which --help need not wait for

        try:
            task(composed)
        except (UserError, RunFolderError) as error:
            _exit(str(error))

    return guarded


def _explanation(error: Exception, words: Sequence[str]) -> str:
    if isinstance(error, UserError):
        return str(error)
    problems = explain_overrides(words, CONFIGS)
    # Hydra says which step failed; the OmegaConf error it came from says which key and why.
    cause = error if isinstance(error, OmegaConfBaseException) else error.__cause__
    if not problems and isinstance(cause, OmegaConfBaseException):
        problems = [explain(cause)]
    return str(ConfigError(problems)) if problems else str(error)


def _exit(message: str) -> None:
    sys.stderr.write(message + "\n")
    sys.exit(USER_MISTAKE)
