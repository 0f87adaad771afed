"""What every command in `launch/` shares: composing its config and reporting a user's mistakes.

A mistake (a mistyped key, a value out of range, a folder in the way) ends with a plain message and
exit code 2. Anything else is a failure of ours and keeps its traceback.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import hydra
from hydra.conf import HydraConf
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from accel.config.commands import EvaluateConfig, PlayConfig, PlotConfig, check_command
from accel.config.compose import explain, register_schema, to_config
from accel.config.derive import scale_to_learners
from accel.config.errors import ConfigError, Problem, UserError
from accel.config.machine import Machine
from accel.config.run_dir import run_dir, swept_keys, typed_keys
from accel.config.schema import AlgoConfig, Config
from accel.config.slots import LAUNCHER
from accel.config.validate import validate
from accel.launching.launcher import register_launcher
from accel.launching.ranks import is_our_rank
from accel.runners.override_help import explain_dashes, explain_foreign_keys, explain_overrides
from accel.runners.path_words import quote_paths
from accel.sampling.scheduling import run_as_batch_job

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
USER_MISTAKE = 2  # exit code, as argparse and Hydra's own option parser use
INTERRUPTED = 130  # exit code of a shell command ended by Ctrl-C

Task = Callable[[DictConfig], object]
Command = TypeVar("Command", EvaluateConfig, PlayConfig, PlotConfig)


def _limit_spinning() -> None:
    """Let threads that wait for one another spin for a millisecond or two, then sleep.

    Without a limit an update is several times slower next to any other busy process, workers
    included; without any spinning it is 1.6 times slower on idle cores (2 cores, 80 samples). Both
    variables are read when torch is imported; the second is GNU's, as in torch's Linux wheels.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("GOMP_SPINCOUNT", "30000")


def hydra_entry(
    config_name: str, task: Task, check: Task | None = None, schema: type = Config
) -> None:
    """Compose configs/<config_name>.yaml with the command line and run `task` on it.

    With -m the task runs once per combination, one after the other; `check` sees all combinations
    before the first of them runs, so a mistake in the last one costs seconds and not hours. With
    hydra/launcher=slots the combinations run in processes of their own after the check, which has
    to return their Config, and this process ends with theirs. Exits with code 2 on a user's
    mistake, whose traceback HYDRA_FULL_ERROR=1 in the environment shows, and with 130 when
    interrupted. `schema` is the dataclass of the command's keys.
    """
    _limit_spinning()
    run_as_batch_job()
    sys.path.append(str(Path.cwd()))  # where the module of env.game=my_module:MyEnv-v0 may lie
    words = sorted(quote_paths(sys.argv[1:]), key=_is_setting)  # Hydra wants options first
    sys.argv[1:] = words
    register_schema()
    wants_traceback = os.environ.get("HYDRA_FULL_ERROR") == "1"
    os.environ["HYDRA_FULL_ERROR"] = "1"  # lets exceptions reach us instead of exiting with 1
    is_sweep = "-m" in words or "--multirun" in words
    dashed = explain_dashes(words, CONFIGS, schema)
    try:
        if dashed:
            raise ConfigError(dashed)
        if not wants_traceback:
            task, check = _exit_on_mistake(task), check and _exit_on_mistake(check)
        if check is not None:
            register_launcher(check)
        for step in (check, task) if check is not None and is_sweep else (task,):
            hydra.main(version_base="1.3", config_path=str(CONFIGS), config_name=config_name)(
                step
            )()
    except (HydraException, OmegaConfBaseException, UserError) as error:
        if wants_traceback:
            raise
        _exit(_explanation(error, words, schema))
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    finally:
        if not wants_traceback:
            del os.environ["HYDRA_FULL_ERROR"]


def _is_setting(word: str) -> bool:
    return "=" in word and not word.startswith("-")


def load_config(composed: DictConfig) -> Config:
    """Dataclasses of a composed training config, its run folder named, all rules checked.

    Warnings go to stderr. Raises ConfigError with every problem found. Must be called inside a task
    of `hydra_entry`, where Hydra tells which experiment and overrides were asked for.
    """
    job = HydraConfig.get()
    machine = Machine.detect(composed.device)
    config = scale_to_learners(to_config(composed), machine)
    swept = swept_keys(sys.argv[1:])  # Hydra tells a job its own values only
    folder = run_dir(config, job.runtime.choices.experiment, job.overrides.task, swept)
    config = replace(config, run_dir=folder)
    typed = typed_keys(job.overrides.task)
    problems = [*validate(config, machine, typed), *_check_launcher(job)]
    if any(problem.severity == "error" for problem in problems):
        raise ConfigError(problems)
    for problem in problems if not is_our_rank() else ():  # the launcher has told them
        sys.stderr.write(f"warning: {problem}\n")
    if config.fork is not None:
        from accel.runners.fork import check_fork  # loads torch, to compare networks

        check_fork(config)
    return config


def _check_launcher(job: HydraConf) -> Iterator[Problem]:
    if job.mode is RunMode.RUN and job.runtime.choices.get("hydra/launcher") == LAUNCHER:
        rule = "divides a sweep, and is ignored without -m"
        yield Problem("hydra/launcher", LAUNCHER, rule, "add -m", severity="warning")


def load_command(composed: DictConfig, schema: type[Command]) -> Command:
    """The dataclass of a composed config of another command. Raises ConfigError as above."""
    config = to_config(composed, schema)
    problems = check_command(config, Machine.detect(getattr(config, "device", "cpu")))
    if problems:
        raise ConfigError(problems)
    return config


def _exit_on_mistake(task: Task) -> Task:
    """Exit from inside the task: an exception would make Hydra add a report of its own."""

    @functools.wraps(task)
    def guarded(composed: DictConfig) -> object:
        from accel.runs.folder import RunFolderError  # loads NumPy, which --help need not wait for

        try:
            return task(composed)
        except (UserError, RunFolderError) as error:
            _exit(str(error))

    return guarded


def _explanation(error: Exception, words: Sequence[str], schema: type) -> str:
    if isinstance(error, UserError):
        return str(error)
    problems = explain_overrides(words, CONFIGS, schema)
    # Hydra says which step failed; the OmegaConf error it came from says which key and why.
    cause = (
        error if isinstance(error, OmegaConfBaseException) else error.__cause__ or error.__context__
    )
    if not problems and isinstance(cause, OmegaConfBaseException):
        chosen = cause.object_type  # the part of the config that has no such key
        if isinstance(chosen, type) and issubclass(chosen, AlgoConfig):
            problems = explain_foreign_keys(words, chosen)
        problems = problems or [explain(cause, schema)]
    return str(ConfigError(problems)) if problems else str(error)


def _exit(message: str) -> None:
    sys.stderr.write(message + "\n")
    sys.exit(USER_MISTAKE)
