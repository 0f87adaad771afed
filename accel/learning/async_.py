"""Asynchronous learners: one set of weights in shared memory, into which each pushes its gradients.

The asynchronous scheme of Stooke and Abbeel 2018 (arXiv 1803.02811): weights and optimizer state
lie in host memory in chunks, each with a lock. A learner goes through the chunks, steps each with
its own gradient and takes the new weights back, so that several learners stream through different
chunks at once and none waits for the whole. Between two of its visits others may have pushed: a
gradient is applied to weights that are `lag` pushes newer than those it was computed with.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from accel.learning.device import wait_asleep
from accel.learning.optimizers import Optimizer
from accel.learning.shared_parameters import SharedParameters

# Builds an optimizer of parameters [n], with its state in the tensors given by name.
BuildOptimizer = Callable[[Tensor, Mapping[str, Tensor]], Optimizer]


@dataclass
class PushStats:
    """What a learner has seen of the others since the last look."""

    pushes: int = 0  # gradients of this learner
    visits: int = 0  # chunks gone through
    lag_sum: int = 0  # over the visits: pushes of others since this learner's last visit
    lag_min: int = 0
    lag_max: int = 0
    wait_sum_s: float = 0.0
    wait_max_s: float = 0.0

    def add(self, lag: int, wait_s: float) -> None:
        """Count a visit to a chunk."""
        self.lag_min = lag if self.visits == 0 else min(self.lag_min, lag)
        self.lag_max = max(self.lag_max, lag)
        self.lag_sum += lag
        self.visits += 1
        self.wait_sum_s += wait_s
        self.wait_max_s = max(self.wait_max_s, wait_s)


class SharedOptimizer:
    """Steps the shared weights with this learner's gradients and brings them to its own.

    One learner alone does exactly what the optimizer does on its own weights.
    """

    def __init__(self, parameters: Tensor, shared: SharedParameters, build: BuildOptimizer) -> None:
        """`parameters` [P] float32 are this learner's own, on its device, and equal on all ranks.

        The first thing all learners do together is to wait for each other after this.
        """
        self._parameters, self._shared = parameters, shared
        self._optimizers = [
            build(shared.weights[part], _state(shared, part, index))
            for index, part in enumerate(shared.chunks)
        ]
        self._whole = build(shared.weights, _state(shared, slice(None), 0))
        # Learners start at different chunks, so as not to queue behind each other.
        count = len(shared.chunks)
        first = count * shared.ranks.rank // shared.ranks.size
        self._route = [*range(first, count), *range(first)]
        self._seen = shared.pushes.copy()  # [C]: pushes when we last took the weights
        on_gpu = parameters.device.type != "cpu"
        # Pinned: the copies from and to the device then run at the bus's full speed.
        self._gradient = torch.empty(parameters.shape, pin_memory=True) if on_gpu else None
        self._weights = torch.empty(parameters.shape, pin_memory=True) if on_gpu else parameters
        self._stats = PushStats()
        shared.weights.copy_(parameters)

    @torch.no_grad()
    def step(self, gradient: Tensor, learning_rate: float | Tensor) -> None:
        """Push `gradient` [P] float32 and take the weights as they then are."""
        if self._gradient is not None:
            gradient = self._gradient.copy_(gradient, non_blocking=True)
            wait_asleep(self._parameters.device)
        for index in self._route:
            self._push(index, gradient, float(learning_rate))
        self._stats.pushes += 1
        self._bring()

    def _push(self, index: int, gradient: Tensor, learning_rate: float) -> None:
        shared, part = self._shared, self._shared.chunks[index]
        with shared.chunk(index) as waited_s:
            self._optimizers[index].step(gradient[part], learning_rate)
            self._weights[part].copy_(shared.weights[part])
            before = int(shared.pushes[index])
            shared.pushes[index] = before + 1
        self._stats.add(before - int(self._seen[index]), waited_s)
        self._seen[index] = before + 1

    @torch.no_grad()
    def pull(self) -> None:
        """Take the weights as they are."""
        shared = self._shared
        if self._gradient is not None:
            wait_asleep(self._parameters.device)  # the last ones may be on their way
        for index in self._route:
            part = shared.chunks[index]
            with shared.chunk(index):
                self._weights[part].copy_(shared.weights[part])
                self._seen[index] = shared.pushes[index]
        self._bring()

    def _bring(self) -> None:
        if self._weights is not self._parameters:
            # The next push waits for the device before it writes here again.
            self._parameters.copy_(self._weights, non_blocking=True)

    def pop_stats(self) -> PushStats:
        """What was seen since the last call."""
        stats, self._stats = self._stats, PushStats()
        return stats

    def state_dict(self) -> dict[str, Any]:
        """Return a copy of all learners' state, as one learner's would be. Nobody may push."""
        return deepcopy(self._whole.state_dict())

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Load what `state_dict` returned, and share this learner's weights as they are now.

        All learners load the same; afterwards they wait for each other.
        """
        self._whole.load_state_dict(state)
        self._shared.steps.copy_(self._shared.steps[0].clone().expand_as(self._shared.steps))
        self._shared.weights.copy_(self._parameters)


def _state(shared: SharedParameters, part: slice, index: int) -> dict[str, Tensor]:
    """Where the optimizer of a chunk keeps its state."""
    moments = {name: tensor[part] for name, tensor in shared.state.items()}
    return {"step": shared.steps[index], **moments}
