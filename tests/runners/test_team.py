"""Which GPU a learner's process works on."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from accel.config.derive import derive
from accel.config.machine import Machine
from accel.config.schema import Config
from accel.learning.sync import Alone
from accel.runners.build import team

MACHINE = Machine(cores=4, memory_bytes=64 * 10**9, cuda_devices=2)


@pytest.mark.parametrize(
    ("device", "chosen"), [("cpu", []), ("cuda:1", ["cuda:1"]), ("cuda", ["cuda:0"])]
)
def test_a_learner_alone_works_on_its_device(
    device: str, chosen: list[str], make_config: Callable[..., Config], monkeypatch
) -> None:
    """Also where no device is named: other runs may need all of the first GPU."""
    devices: list[str] = []
    monkeypatch.setattr(torch.cuda, "set_device", devices.append)
    config = make_config(f"device={device}", "hardware.learners=1")
    assert type(team(config, derive(config, MACHINE))) is Alone
    assert devices == chosen
