"""A Q-network: stacked frames to the value of every action, or to a distribution of it."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from accel.models.initialization import HIDDEN_GAIN, VALUE_GAIN, check_initialization, orthogonal_
from accel.models.torsos import TORSOS, Torso
from accel.types import QOutput


class LinearHead(nn.Module):
    """Features [n, F] float32 to the expected value of each action, [n, A, 1]."""

    def __init__(self, num_features: int, num_actions: int) -> None:
        super().__init__()
        self.values = nn.Linear(num_features, num_actions)

    def forward(self, features: Tensor) -> QOutput:
        return QOutput(self.values(features).unsqueeze(2))


class QNetwork(nn.Module):
    """Map observations [n, K, *frame] to a `QOutput`.

    The torso may hold bfloat16 weights (`low_precision_parameters`); the head is always float32.
    """

    def __init__(self, torso: Torso, head: LinearHead) -> None:
        super().__init__()
        self.torso = torso
        self.head = head

    def forward(self, observations: Tensor) -> QOutput:
        return self.head(self.torso(observations).float())

    def low_precision_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Yield the named parameters that may be held in bfloat16, in the order of the model."""
        if self.torso.low_precision:
            yield from self.torso.named_parameters("torso")


def build_q_network(
    name: str,
    frame_shape: tuple[int, ...],
    frame_stack: int,
    num_actions: int,
    hidden_size: int,
    layer_norm: bool = False,
    initialization: str = "orthogonal",
) -> QNetwork:
    """Build a Q-network with the torso `name`: nature_cnn, impala_cnn, small_cnn or mlp.

    Raises ValueError for an unknown name or a frame the torso cannot take.
    """
    if name not in TORSOS:
        raise ValueError(f"model.name={name!r}: choose one of {', '.join(TORSOS)}")
    check_initialization(initialization)
    torso = TORSOS[name](frame_shape, frame_stack, hidden_size, layer_norm)
    model = QNetwork(torso, LinearHead(torso.num_features, num_actions))
    if initialization == "orthogonal":
        orthogonal_(model, HIDDEN_GAIN)
        orthogonal_(model.head, VALUE_GAIN)
    # Convolutions run up to twice as fast with the channels innermost, forward and backward.
    return model.to(memory_format=torch.channels_last)
