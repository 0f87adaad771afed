"""Small random rollouts and models for the learner's tests, and processes that learn together."""

import multiprocessing
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from accel.models import build_model
from accel.types import Rollout

NUM_ACTIONS = 4


@pytest.fixture
def make_rollout():
    """Build random rollouts with episode ends, reset steps and lost lives."""

    def make(
        num_steps=8,
        num_envs=4,
        frame_shape=(36, 36),
        frame_stack=2,
        seed=0,
        device="cpu",
        state_size=0,
    ):
        generator = torch.Generator().manual_seed(seed)
        shape = (num_steps, num_envs)

        def chance(probability):
            return torch.rand(shape, generator=generator) < probability

        def normal(*size):
            return torch.randn(*size, generator=generator)

        frames = (num_steps + frame_stack, num_envs, *frame_shape)
        rollout = dict(
            frames=torch.randint(0, 256, frames, dtype=torch.uint8, generator=generator),
            age=torch.randint(0, 4, (num_steps + 1, num_envs), generator=generator).int(),
            actions=torch.randint(0, NUM_ACTIONS, shape, generator=generator),
            rewards=normal(*shape),
            terminated=chance(0.1),
            truncated=chance(0.1),
            life_lost=chance(0.1),
            valid=~chance(0.15),
            log_probs=(0.1 * normal(*shape, NUM_ACTIONS)).log_softmax(2),
            values=normal(num_steps + 1, num_envs),
            policy_version=torch.zeros(num_steps, dtype=torch.int64),
        )
        if state_size:
            rollout["state"] = normal(num_envs, state_size)
        return Rollout(**{name: tensor.to(device) for name, tensor in rollout.items()})

    return make


@pytest.fixture
def make_model():
    """Build the same small network every time."""

    def make(name="nature_cnn", separate_critic=False, core="none"):
        torch.manual_seed(0)
        sizes = (name, (36, 36), 2, NUM_ACTIONS, 16)
        return build_model(
            *sizes, separate_critic, initialization="default", core=core, core_size=8
        )

    return make


@pytest.fixture
def full_float32(monkeypatch):
    """No product in TF32: the coarse rounding of inputs makes a last bit's difference a large one.

    Nor does a convolution add in an order of chance.
    """
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", False)
    monkeypatch.setattr(torch.backends.cudnn, "deterministic", True)
    precision = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    yield
    torch.set_float32_matmul_precision(precision)


@pytest.fixture
def run_ranks(tmp_path: Path):
    """run_ranks(program, size) runs program(rank, size, folder) in processes; their exit codes."""

    def run(program: Callable[[int, int, Path], None], size: int) -> list[int]:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            (tmp_path / "port").write_text(str(probe.getsockname()[1]))
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["accel.learning"])  # torch is imported once
        ranks = [context.Process(target=program, args=(r, size, tmp_path)) for r in range(size)]
        for rank in ranks:
            rank.start()
        for rank in ranks:
            rank.join(90)
        codes = [rank.exitcode for rank in ranks]
        for rank in ranks:
            rank.kill()
        return codes

    return run
