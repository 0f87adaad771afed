"""Action noise: one independent stream of uniform numbers per environment."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor


class ActionNoise:
    """Uniform numbers that decide the actions, by global environment index.

    Environment i draws from its own generator, seeded by the run's seed and i, so its actions do
    not depend on how environments are split over workers, groups or ranks.
    """

    def __init__(
        self,
        seed: int,
        first_index: int,
        num_envs: int,
        rollout_length: int,
        device: torch.device | str = "cpu",
    ) -> None:
        """Noise for rollouts of T steps of B environments, on `device`."""
        self._generators = [
            np.random.default_rng((seed, first_index + i, 2)) for i in range(num_envs)
        ]
        # One after the other on the way to [T, B]: page-locked, so that the CPU waits for no copy.
        on_gpu = torch.device(device).type == "cuda"
        self._drawn = torch.zeros(num_envs, rollout_length, pin_memory=on_gpu)
        self._columns = self._drawn.numpy()
        self._uploaded = torch.zeros_like(self._drawn, device=device) if on_gpu else self._drawn
        self._noise = torch.zeros(rollout_length, num_envs, device=device)

    def draw(self) -> Tensor:
        """Noise of the next rollout: [T, B] float32 in [0, 1), overwritten by the next draw.

        What the last draw sent to a GPU must have arrived; whoever has had actions of it knows.
        """
        for generator, column in zip(self._generators, self._columns):
            generator.random(out=column, dtype=np.float32)
        if self._uploaded is not self._drawn:
            self._uploaded.copy_(self._drawn, non_blocking=True)
        return self._noise.copy_(self._uploaded.t())

    def state_dict(self) -> list[dict[str, Any]]:
        return [generator.bit_generator.state for generator in self._generators]

    def load_state_dict(self, states: list[dict[str, Any]]) -> None:
        for generator, state in zip(self._generators, states):
            generator.bit_generator.state = state
