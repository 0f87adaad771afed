"""Whole trainings of every algorithm on the pretended GPU, as `launch/train.py` would run them.

Command lines become real `Training` objects, which run to their end. Only the processes are taken
away: environments are stepped, and actors act, in this one (see `processes.py`).
"""

from __future__ import annotations

import io
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from hydra import compose, initialize_config_dir
from torch._subclasses.fake_tensor import FakeTensorMode

from accel.config.compose import register_schema, to_config
from accel.config.derive import derive
from accel.config.machine import Machine
from accel.config.schema import Config
from accel.learning.sync import Alone
from accel.metrics.console import Console
from accel.runners.cli import CONFIGS
from accel.runners.train import Training
from tests.dry_run import pretended_cuda, processes
from tests.dry_run.host_memory import HostMemory
from tests.dry_run.names import CATCH, COMMON, PONG, TRAININGS
from tests.dry_run.watch import Watch

# Until everything is recorded, which takes four calls of each shape; then what is looked at.
WARM_UPS, STEADY = 4, 1
MACHINE = Machine(cores=4, memory_bytes=1 << 36, cuda_devices=1)


def run(name: str) -> dict[str, Any]:
    """Run a training; return its counts by phase, the launches of each, and its faults.

    Phases are "act", a step of one group in which no game is at its start, where frame stacks take
    more; "rollout", a whole one, with what comes at its ends; "learn", an optimizer step with its
    share of the update; "take", where another process acts: what the learner does for a rollout.
    """
    warnings.filterwarnings("ignore", category=UserWarning)
    host = HostMemory()
    pretended_cuda.install(host)
    with tempfile.TemporaryDirectory() as folder, processes.in_this_one(host) as watches:
        config = _compose(TRAININGS[name], Path(folder))
        derived = derive(config, MACHINE)
        with FakeTensorMode(allow_non_fake_inputs=True), Watch(host) as watch:
            watches.append(watch)
            training = Training(config, derived, Alone(), None, Console(io.StringIO()))
            try:
                phases = _Phases(training, watches)
                training.run(SimpleNamespace(signal_name=None))
            finally:
                training.close()
    faults = Counter((fault.kind, fault.place, fault.what) for w in watches for fault in w.faults)
    return {
        "counts": phases.counts(config),
        "kernels": {name: kernels.most_common(12) for name, kernels in phases.kernels.items()},
        "faults": [[*fault, count] for fault, count in faults.items()],
        "left_registered": not host.all_given_up(),
    }


def _compose(line: str, folder: Path) -> Config:
    """The config of a command line that runs as many rollouts as are looked at."""
    settings = dict(word.split("=", 1) for word in (*COMMON, *_game(line), *line.split()))
    num_steps = int(settings["algo.rollout_length"]) * int(settings["sampler.num_envs"])
    settings |= {"total_agent_steps": num_steps * (WARM_UPS + STEADY), "run_dir": f"'{folder}/run'"}
    register_schema()
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        return to_config(compose("train", [f"{key}={value}" for key, value in settings.items()]))


def _game(line: str) -> tuple[str, ...]:
    """Only a real emulator has raw screens."""
    return PONG if "env.frames=device" in line else CATCH


class _Phases:
    """Follows a training's rollouts and updates, and notes what the last of them took."""

    def __init__(self, training: Training, watches: list[Watch]) -> None:
        self._training, self._watches = training, watches
        self._num_rollouts = self._num_steps = 0
        self._last: dict[str, Counter[str]] = {}
        self._marks: list[tuple[int, Counter[str]]] = []
        self.kernels: dict[str, Counter[str]] = {}
        sampler, learner = training.sampler, training.learner
        sampler.collect = self._followed("rollout", sampler.collect)
        learner.update = self._followed("update", learner.update)

    def _followed(self, phase: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any) -> Any:
            if phase == "rollout":
                self._num_rollouts += 1
                for each in self._watches:
                    each.is_steady = self._num_rollouts > WARM_UPS
            watch, before = self._watches[0], self._training.learner.num_updates
            counts, kernels, marks = Counter(watch.counts), Counter(watch.kernels), len(watch.marks)
            result = function(*args)
            if phase == "update":
                self._num_steps = self._training.learner.num_updates - before
                # What comes last is a checkpoint, which may wait; an actor plays on meanwhile.
                watch.is_steady = self._num_rollouts < WARM_UPS + STEADY
            else:
                self._marks = watch.marks[marks:]
            self._last[phase] = watch.counts - counts
            self.kernels[phase] = watch.kernels - kernels
            return result

        return call

    def counts(self, config: Config) -> dict[str, dict[str, float]]:
        """What each phase took, by what was counted."""
        rollout, update = self._last["rollout"], self._last["update"]
        marks, algo = self._marks, config.algo
        phases = {}
        if len(self._watches) > 1:  # the actor's
            phases["take"] = dict(rollout)
            marks, rollout = _last_rollout(self._watches[1].marks)
        # The first row came with the rollout before.
        steps = [later - sooner for (_, sooner), (t, later) in pairwise(marks) if t > 0]
        phases["act"] = dict(min(steps, key=Counter.total))
        phases["rollout"] = dict(rollout)
        if not hasattr(algo, "replay_ratio"):
            self._num_steps = getattr(algo, "num_epochs", 1) * getattr(algo, "num_minibatches", 1)
        phases["learn"] = {key: round(n / self._num_steps, 2) for key, n in update.items()}
        return phases


def _last_rollout(
    marks: list[tuple[int, Counter[str]]],
) -> tuple[list[tuple[int, Counter[str]]], Counter[str]]:
    """The marks of the last whole rollout among `marks`, and its counts, up to the next one's."""
    starts = [i for i, (t, _) in enumerate(marks) if t == 0 and marks[i - 1][0] != 0]
    first, end = starts[-2], starts[-1]
    return marks[first:end], marks[end][1] - marks[first][1]
