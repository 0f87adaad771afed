"""Little runs in this process, stopped after so many updates, and their last states compared."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from accel.config.derive import derive
from accel.config.machine import Machine
from accel.config.schema import Config
from accel.learning.sync import Alone
from accel.metrics.console import Console
from accel.runners.train import Training
from accel.runs.checkpoint import load_checkpoint
from accel.runs.folder import RunFolder
from accel.runs.reading import find_checkpoint
from tests.run_commands import words

PONG = words(
    "env.game=pong sampler.num_envs=4 algo.rollout_length=16 algo.num_epochs=2 "
    "algo.num_minibatches=2 model.hidden_size=32 env.max_frames_per_episode=160 "
    "total_agent_steps=384"
)


SAMPLERS = {
    "serial": ["sampler=serial"],
    "parallel": ["sampler=parallel", "sampler.num_workers=2", "sampler.num_groups=2"],
}


class StopAfter:
    """Asks a run to stop when it looks for the n-th time, which it does before every update."""

    def __init__(self, updates: int) -> None:
        self._left = updates

    @property
    def signal_name(self) -> str | None:
        self._left -= 1
        return "SIGINT" if self._left < 0 else None


def run(config: Config, stop_after: int) -> None:
    derived = derive(config, Machine.detect("cpu"))
    with RunFolder(config.run_dir) as folder:
        training = Training(config, derived, Alone(), folder, Console())
        try:
            training.run(StopAfter(stop_after))
        finally:
            training.close()


def final_state(folder: Path) -> dict[str, Any]:
    return load_checkpoint(find_checkpoint(folder, "last")[0])


def assert_equal(left: Any, right: Any, path: str = "state") -> None:
    if isinstance(left, torch.Tensor):
        assert torch.equal(left, right), path
    elif isinstance(left, dict):
        assert left.keys() == right.keys(), path
        for key in left:
            assert_equal(left[key], right[key], f"{path}[{key!r}]")
    elif isinstance(left, list | tuple):
        assert len(left) == len(right), path
        for i, pair in enumerate(zip(left, right)):
            assert_equal(*pair, f"{path}[{i}]")
    else:
        assert left == right, path


RECALL = words(
    "env=gym env.game=recall_game:Recall-v0 model=mlp model.separate_critic=false model.core=lstm "
    "model.hidden_size=8 model.core_size=8 sampler.num_envs=4 algo.rollout_length=7 "
    "algo.num_epochs=2 algo.num_minibatches=2 total_agent_steps=280"
)


BY_THE_CLOCK = "checkpoint_interval_s=0.05"
