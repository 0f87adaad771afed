"""On a GPU nothing of collecting and learning waits for the device but where it says so."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator

import pytest
import torch

from accel.config.derive import derive
from accel.config.machine import Machine
from accel.config.schema import Config
from accel.learning.sync import Alone
from accel.metrics.console import Console
from accel.runners.train import Training
from tests.run_commands import CATCH, words

REPLAY = "algo.replay_capacity=1000 algo.learning_starts=128 algo.batch_size=32 "
WORDS = {
    "ppo": "",
    "a2c": "algo=a2c",
    "impala": "algo=impala",
    "pqn": "algo=pqn algo.num_minibatches=4",
    "dqn": f"algo=dqn {REPLAY}",
    "rainbow": f"algo=rainbow {REPLAY}",
    "iqn": f"algo=iqn {REPLAY}",
}
WARM_UPS = 6  # rollouts until everything is recorded, which does wait


@pytest.fixture
def own_settings() -> Iterator[None]:
    """Training prepares the process for its GPU; the tests after this one expect it as it was."""
    precision, benchmark = torch.get_float32_matmul_precision(), torch.backends.cudnn.benchmark
    yield
    torch.set_float32_matmul_precision(precision)
    torch.backends.cudnn.benchmark = benchmark


def learn(training: Training, num_rollouts: int) -> None:
    for _ in range(num_rollouts):
        rollout, _ = training.sampler.collect(training.learner.num_updates, training.agent_steps)
        training.learner.update(rollout, training.agent_steps)
        training.agent_steps += training.derived.batch_size


@pytest.mark.gpu
@pytest.mark.usefixtures("own_settings")
@pytest.mark.parametrize("graphs", ["true", "false"])
@pytest.mark.parametrize("algorithm", WORDS)
def test_nothing_waits_by_accident(
    algorithm: str, graphs: str, make_config: Callable[..., Config]
) -> None:
    # In this process: the learner waits for an actor's, and for uploads, which have to be complete.
    here = ("device=cuda", "runner.policy_lag=0", f"hardware.cuda_graphs={graphs}")
    config = make_config(*CATCH, *words(WORDS[algorithm]), *here)
    derived = derive(config, Machine.detect("cuda"))
    training = Training(config, derived, Alone(), None, Console(io.StringIO()))
    try:
        training.sampler.start()
        learn(training, WARM_UPS)
        torch.cuda.set_sync_debug_mode("error")
        learn(training, 3)
    finally:
        torch.cuda.set_sync_debug_mode("default")
        training.close()
