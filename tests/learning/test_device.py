"""A learner waits for its GPU asleep, wherever it waits."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
import torch

import accel.learning
from accel.learning import async_, device
from accel.learning.optimizers import MOMENTS, build_optimizer
from accel.learning.shared_parameters import SharedParameters, shared_fields
from accel.shared import SharedBlock

FOLDER = Path(accel.learning.__file__).parent


class NotedEvent:
    """Stands for a CUDA event; notes what is done with it."""

    notes: list[object]

    def __init__(self, **options: bool) -> None:
        self.notes.append(options)

    def record(self, stream: str) -> None:
        self.notes.append(stream)

    def synchronize(self) -> None:
        self.notes.append("wait")


def test_the_wait_gives_the_core_up(monkeypatch: pytest.MonkeyPatch) -> None:
    NotedEvent.notes = []
    monkeypatch.setattr(torch.cuda, "Event", NotedEvent)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda place: f"stream of {place}")
    device.wait_asleep(torch.device("cuda:1"))
    assert NotedEvent.notes == [{"blocking": True}, "stream of cuda:1", "wait"]


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.py")), ids=lambda path: path.name)
def test_learning_waits_nowhere_else(path: Path) -> None:
    """A plain event, a stream or a device would be waited for by spinning."""
    called = {
        node.func.attr
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    }
    waits = called & {"synchronize"}
    assert waits == ({"synchronize"} if path.name == "device.py" else set())


def test_a_gradient_is_on_the_host_before_it_is_pushed(monkeypatch: pytest.MonkeyPatch) -> None:
    """With copies as on a GPU: they are done once the learner has waited, not before."""
    block = SharedBlock(shared_fields(64, MOMENTS["adam"]))
    shared = SharedParameters(block)

    def build(weights, state):
        return build_optimizer("adam", weights, epsilon=1e-5, state=state)

    weights = torch.zeros(64)
    optimizer = async_.SharedOptimizer(weights, shared, build)
    arrives = torch.ones(64)
    optimizer._gradient = torch.full((64,), float("nan"))
    waited: list[torch.device] = []

    def wait(place: torch.device) -> None:
        waited.append(place)
        optimizer._gradient.copy_(arrives)

    monkeypatch.setattr(async_, "wait_asleep", wait)
    optimizer.step(torch.full((64,), float("nan")), 0.1)
    assert waited == [weights.device]
    assert bool(weights.isfinite().all()) and bool((weights < 0).all())
    optimizer.pull()
    assert len(waited) == 2
    block.close()
