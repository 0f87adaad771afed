"""Where the steps of a replay are kept: on the GPU if that leaves room there, else on the host."""

from __future__ import annotations

import pytest
import torch

from accel.config.derive import derive
from accel.config.machine import Machine
from accel.runners.build_q import ring_device
from accel.types import EnvSpec

SPEC = EnvSpec((84, 84), "uint8", frame_stack=4, num_actions=6, frame_skip=4)
MACHINE = Machine(cores=4, memory_bytes=64 * 10**9, cuda_devices=2)


@pytest.mark.parametrize(
    ("device", "learners", "needed"),
    [
        ("cuda", 1, 7.066e9),  # a million steps
        ("cuda", 2, 3.533e9),  # half of them on each GPU
        ("cuda:0", 2, 7.066e9),  # both halves on one
    ],
)
def test_a_quarter_of_the_gpu_stays_free(device, learners, needed, make_config, monkeypatch):
    config = make_config("algo=dqn", f"hardware.learners={learners}", f"device={device}")
    derived = derive(config, MACHINE)
    for free, expected in ((0.99 * needed / 0.75, "cpu"), (1.01 * needed / 0.75, "cuda:0")):
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device, free=free: (free, 80e9))
        assert ring_device(config, derived, SPEC, state_size=0) == torch.device(expected)


def test_without_a_gpu_there_is_no_choice(make_config) -> None:
    config = make_config("algo=dqn")
    assert ring_device(config, derive(config, Machine.detect("cpu")), SPEC, 0).type == "cpu"
