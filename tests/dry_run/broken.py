"""The package with a fault in it, one of each kind that the dry run is there to find."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any
from unittest import mock

import torch
from torch import Tensor

from accel.algos import A2C
from accel.algos.rollout_algorithm import RolloutAlgorithm
from accel.policies import CategoricalPolicy
from accel.sampling import build
from tests.dry_run.watch import GPU


def by(fault: str | None) -> AbstractContextManager[Any]:
    """Break the package for a while by the fault of that name; None: not at all."""
    return contextlib.nullcontext() if fault is None else FAULTS[fault]()


def _in_loss(also: Callable[[Tensor], Any]) -> Callable[[], AbstractContextManager[Any]]:
    """Have A2C's loss, which is recorded, do something more, whose result is added to it."""

    def loss(self: A2C, *args: Any) -> tuple[Tensor, dict[str, Tensor]]:
        value, terms = _LOSS(self, *args)
        return value + also(value), terms

    return lambda: mock.patch.object(A2C, "loss", loss)


def _before_rollouts(also: Callable[[Tensor], Any]) -> Callable[[], AbstractContextManager[Any]]:
    """Have the policy do something with its weights before each rollout."""

    def begin(self: CategoricalPolicy, agent_steps: int) -> None:
        also(next(self.model.parameters()).detach())

    return lambda: mock.patch.object(CategoricalPolicy, "begin", begin)


def _positive(values: Tensor) -> Tensor:
    return values[values > 0]


def _chain(value: Tensor) -> Tensor:
    for _ in range(60):
        value = value + 1
    return value


class Unlocked:
    """In place of `PinnedMemory`: registers nothing."""

    def __init__(self, *where: Any) -> None: ...

    def close(self) -> None: ...


def _chain_in_update() -> AbstractContextManager[Any]:
    def should_stop(self: RolloutAlgorithm, terms: dict[str, Tensor], ranks: Any) -> bool:
        _chain(next(iter(terms.values())))
        return False

    return mock.patch.object(A2C, "should_stop", should_stop)


_LOSS = A2C.loss
FAULTS = {
    "item in a recording": _in_loss(lambda value: value.item()),
    "upload in a recording": _in_loss(lambda value: torch.ones(1).to(GPU, non_blocking=True).sum()),
    "download in a recording": _in_loss(lambda value: value.detach().cpu()),
    "mask in a recording": _in_loss(lambda value: _positive(value.detach().expand(2)).sum()),
    "host's random numbers in a recording": _in_loss(
        lambda value: torch.rand((), generator=torch.Generator()).item()
    ),
    "tensor of the host": _in_loss(lambda value: (value.detach() + torch.ones(2)).sum()),
    "number of the host": _in_loss(lambda value: torch.ones(())),
    "index of the host": _before_rollouts(lambda weight: weight[torch.tensor([0, 1])]),
    "download": _before_rollouts(lambda weight: weight.cpu()),
    "download that does not wait": _before_rollouts(
        lambda weight: torch.empty(weight.shape).copy_(weight, non_blocking=True)
    ),
    "upload": _before_rollouts(lambda weight: torch.ones(3).to(GPU)),
    "upload that does not wait": _before_rollouts(
        lambda weight: torch.ones(3).to(GPU, non_blocking=True)
    ),
    "item": _before_rollouts(lambda weight: weight.sum().item()),
    "wait": _before_rollouts(lambda weight: torch.cuda.synchronize()),
    "memory not registered": lambda: mock.patch.object(build, "PinnedMemory", Unlocked),
    "launches": _chain_in_update,
    "launches in a recording": _in_loss(lambda value: _chain(value.detach())),
}
