"""Hydra's side of it: with `hydra/launcher=slots` a sweep's jobs are processes of their own."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, ClassVar

from hydra._internal.core_plugins.basic_launcher import BasicLauncher
from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn
from hydra.types import TaskFunction
from omegaconf import DictConfig

from accel.config.compose import writable
from accel.config.errors import ConfigError, Problem
from accel.config.schema import Config
from accel.config.slots import LAUNCHER, SlotsConfig

if TYPE_CHECKING:
    from accel.launching.job import Job
    from accel.launching.slots import Slot

# Hydra takes plugins from the package hydra_plugins alone. Ours would have to be a package of the
# top level to be found there, so this module goes by a second name.
_PACKAGE = "hydra_plugins"
_MODULE = f"{_PACKAGE}.accel"


@dataclass(frozen=True, kw_only=True)
class _Node(SlotsConfig):
    _target_: str = f"{_MODULE}.SlotsLauncher"


class SlotsLauncher(BasicLauncher):
    """Checks every job in this process, then runs them over the machine's slots and exits."""

    __module__ = _MODULE
    check: ClassVar[TaskFunction]  # returns a job's Config, or exits because of a mistake

    def __init__(self, **settings: Any) -> None:
        super().__init__()
        self._settings = SlotsConfig(**settings)

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> Sequence[JobReturn]:
        """Run the whole sweep and exit: 0, 1 if a job failed, 2 for a mistake, 130 if stopped."""
        # Imported late: rich and the rest are not needed by --help, tab completion and plain runs.
        from accel.launching.hardware import Hardware
        from accel.launching.slots import assign, can_pin, describe
        from accel.launching.sweep import Sweep
        from accel.launching.table import SweepView
        from accel.metrics.console import Console

        console, is_pinning = Console(), can_pin()
        if self._settings.pin and not is_pinning:
            console.warn("jobs cannot have cores of their own on this system: all share all")
        hardware = Hardware.detect(with_gpus=self._settings.cpu_slots is None)
        slots = assign(hardware, self._settings, is_pinning)
        jobs = self._check_all(job_overrides, slots[0])
        view = SweepView(jobs, console)
        view.start(f"accel: {len(jobs)} jobs over {len(slots)} slots", describe(slots, hardware))
        sys.exit(Sweep(jobs, slots, view).run())

    def _check_all(self, job_overrides: Sequence[Sequence[str]], slot: Slot) -> list[Job]:
        """Every job of the sweep, after all of them have been found right."""
        assert self.config is not None
        if self.config.hydra.sweeper.get("max_batch_size") is not None:
            key, rule = "hydra.sweeper.max_batch_size", "means nothing to slots: all jobs queue up"
            value = self.config.hydra.sweeper.max_batch_size
            raise ConfigError([Problem(key, value, rule, "leave it out")])
        self.task_function = type(self).check
        with slot.occupied():  # jobs have to fit the cores and GPUs that they will find there
            configs = [job.return_value for job in super().launch(job_overrides, 0)]
        labels = tell_apart(job_overrides)
        problems = [*_check_folders(configs, labels)]
        if problems:
            raise ConfigError(problems)
        return [
            _make_job(index, label, _command(self.config, overrides, config), config)
            for index, (label, overrides, config) in enumerate(zip(labels, job_overrides, configs))
        ]


def register_launcher(check: TaskFunction) -> None:
    """Let Hydra know of `hydra/launcher=slots`, whose jobs have to pass `check` first."""
    SlotsLauncher.check = staticmethod(check)
    Plugins.instance().register(SlotsLauncher)  # has imported hydra_plugins if there is one
    sys.modules.setdefault(_PACKAGE, ModuleType(_PACKAGE))
    sys.modules[_MODULE] = sys.modules[__name__]
    store = ConfigStore.instance()
    store.store(group="hydra/launcher", name=LAUNCHER, node=writable(_Node), provider="accel")


def tell_apart(job_overrides: Sequence[Sequence[str]]) -> list[str]:
    """What each job has that not all of them have: ["seed=0", "seed=1"]."""
    common = set(job_overrides[0]).intersection(*job_overrides)
    labels = [" ".join(word for word in words if word not in common) for words in job_overrides]
    return [label.replace("\\", "") for label in labels]  # Hydra escapes a colon in a value


def _command(composed: DictConfig, overrides: Sequence[str], config: Config) -> list[str]:
    """The same program with one job's overrides.

    The folder is given as well: a run on its own does not know which keys the sweep varies.
    """
    sources = composed.hydra.runtime.config_sources
    folders = [source.path for source in sources if source.provider == "command-line"]
    flags = [word for folder in folders for word in ("--config-dir", folder)]
    others = [word for word in overrides if not word.startswith("run_dir=")]
    return [sys.executable, sys.argv[0], *flags, *others, f"run_dir={config.run_dir}"]


def _make_job(index: int, label: str, command: Sequence[str], config: Config) -> Job:
    from accel.launching.job import Job, State
    from accel.launching.progress import find_manifest, read_progress

    folder = Path(config.run_dir)
    manifest = find_manifest(folder)
    is_done = manifest is not None and manifest.is_finished and not config.overwrite
    return Job(
        index=index,
        label=label,
        command=command,
        folder=folder,
        total_agent_steps=config.total_agent_steps,
        exit_reason=manifest.data["exit_reason"] if is_done else "",
        state=State.SKIPPED if is_done else State.WAITING,
        progress=read_progress(folder),
    )


def _check_folders(configs: Sequence[Config], labels: Sequence[str]) -> Iterator[Problem]:
    """Two jobs in one folder would be one run fighting another."""
    owners: dict[Path, int] = {}
    for index, config in enumerate(configs):
        first = owners.setdefault(Path(config.run_dir).resolve(), index)
        if first != index:
            rule = "must differ from job to job"
            fix = "leave out run_dir, or give each value of a swept key once"
            names = " and ".join(f"job {i} ({labels[i]})" for i in (first, index))
            yield Problem("run_dir", config.run_dir, rule, fix, f"{names} share it")
