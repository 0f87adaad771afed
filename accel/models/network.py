"""What acting and learning need of any network, whatever it answers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from accel.models.core import Core
from accel.models.torsos import Torso


class Network(nn.Module):
    """A torso, a recurrent core or none, and heads.

    The torso may hold bfloat16 weights (`low_precision_parameters`); core and heads are always
    float32.
    """

    def __init__(self, torso: Torso, core: Core) -> None:
        super().__init__()
        self.torso = torso
        self.core = core
        self.state_size = core.state_size  # S: 0 without a recurrent core

    def heads(self, features: Tensor, observations: Tensor, *inputs: Any) -> Any:
        """Answer for features [n, F] float32 of observations [n, K, *frame]."""
        raise NotImplementedError

    def forward(self, observations: Tensor, *inputs: Any) -> Any:
        """Answer for observations [n, K, *frame]. Raises TypeError with a recurrent core."""
        if self.state_size > 0:
            raise TypeError("a recurrent network needs its state: call step or unroll")
        return self.heads(self.torso(observations).float(), observations, *inputs)

    def unroll(
        self, observations: Tensor, state: Tensor, starts: Tensor, *inputs: Any
    ) -> tuple[Any, Tensor]:
        """Answer for T steps of B environments, in order: [T, B, K, *frame].

        `state` [B, S] float32 is that before the first step; it is zeroed before every step where
        `starts` [T, B] bool says that an episode starts. Returns the answer for T * B observations,
        time-major, and the state [B, S] after the last step.
        """
        observations = observations.flatten(0, 1)
        features, state = self.core(self.torso(observations).float(), state, starts)
        return self.heads(features, observations, *inputs), state

    def step(self, observations: Tensor, state: Tensor, *inputs: Any) -> tuple[Any, Tensor]:
        """Answer for one step of B environments, [B, K, *frame], and return the next state.

        The `state` [B, S] of an environment that starts an episode has to be zero.
        """
        starts = torch.zeros(1, len(state), dtype=torch.bool, device=state.device)
        return self.unroll(observations.unsqueeze(0), state, starts, *inputs)

    def rectified(self, observations: Tensor) -> list[Tensor]:
        """What the last layers of ReLUs put out for observations [n, K, *frame]: [n, U] each.

        They are the torsos', in front of a recurrent core if there is one. Without ReLUs: none.
        """
        return [torso(observations) for torso in self.torsos() if torso.is_rectified]

    def torsos(self) -> list[Torso]:
        """The torso, and others beside it."""
        return [self.torso]

    def low_precision_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Yield the named parameters that may be held in bfloat16, in the order of the model."""
        if self.torso.low_precision:
            yield from self.torso.named_parameters("torso")
