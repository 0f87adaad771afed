"""A Q-network: stacked frames to the value of every action, or to a distribution of it."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Generator, Tensor, nn

from accel.models.initialization import HIDDEN_GAIN, VALUE_GAIN, check_initialization, orthogonal_
from accel.models.noisy import NoisyLinear, draw_noise
from accel.models.q_heads import HEADS, Head, HeadLayers
from accel.models.torsos import TORSOS, Torso
from accel.types import QOutput


class QNetwork(nn.Module):
    """Map observations [n, K, *frame] to a `QOutput`.

    The torso may hold bfloat16 weights (`low_precision_parameters`); the head is always float32.
    """

    def __init__(self, torso: Torso, head: Head) -> None:
        super().__init__()
        self.torso = torso
        self.head = head
        self._noisy = [layer for layer in head.modules() if isinstance(layer, NoisyLinear)]

    def forward(self, observations: Tensor, taus: Tensor | None = None) -> QOutput:
        """Read an implicit head at fractions `taus` [n, M] float32, or at its midpoints.

        Other heads have fractions of their own, or none, and take no notice.
        """
        return self.head(self.torso(observations).float(), taus)

    def draw_noise(self, generator: Generator | None) -> None:
        """Draw the noise of noisy layers anew (None: no noise); nothing where there are none.

        The noise stays until drawn again. Who acts and who learns with the same network draw their
        own before each use, so that it never has to be saved.
        """
        draw_noise(self._noisy, generator)

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
    head: str = "expected",
    num_outputs: int = 1,
    dueling: bool = False,
    noisy: bool = False,
) -> QNetwork:
    """Build a Q-network with the torso `name`: nature_cnn, impala_cnn, small_cnn or mlp.

    `head` is "expected", "categorical" (C51), "quantile" (QR-DQN) or "implicit" (IQN), with
    `num_outputs` numbers per action: 1, the atoms, the quantiles, or the quantiles that are read in
    acting. Streams, noise and the products with embedded fractions come right after the
    convolutions, as in the papers: the last hidden layer is then the head's. Noisy layers have
    their paper's initialization in any case.

    Raises ValueError for an unknown name, a frame the torso cannot take, or outputs that do not fit
    the head.
    """
    if name not in TORSOS:
        raise ValueError(f"model.name={name!r}: choose one of {', '.join(TORSOS)}")
    if head not in HEADS:
        raise ValueError(f"head={head!r}: choose one of {', '.join(HEADS)}")
    if num_outputs < 1 or (head == "expected" and num_outputs != 1):
        raise ValueError(f"num_outputs={num_outputs}: an {head} head has 1; others at least 1")
    check_initialization(initialization)
    has_hidden = dueling or noisy or head == "implicit"
    torso = TORSOS[name](frame_shape, frame_stack, hidden_size, layer_norm, not has_hidden)
    layers = HeadLayers(hidden_size if has_hidden else None, dueling, noisy, layer_norm)
    model = QNetwork(torso, HEADS[head](torso.num_features, num_actions, num_outputs, layers))
    if initialization == "orthogonal":
        orthogonal_(model, HIDDEN_GAIN)
        for layer in model.head.output_layers():
            orthogonal_(layer, VALUE_GAIN)
    # Convolutions run up to twice as fast with the channels innermost, forward and backward.
    return model.to(memory_format=torch.channels_last)
