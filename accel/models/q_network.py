"""A Q-network: stacked frames to the value of every action, or to a distribution of it."""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from accel.models.core import Core, build_core
from accel.models.initialization import (
    CORE_GAIN,
    HIDDEN_GAIN,
    VALUE_GAIN,
    check_initialization,
    orthogonal_,
)
from accel.models.network import Network
from accel.models.noisy import NoisyLinear, draw_noise
from accel.models.q_heads import HEADS, Head, HeadLayers
from accel.models.torsos import TORSOS, Torso
from accel.types import QOutput


class QNetwork(Network):
    """Map observations [n, K, *frame] to a `QOutput`."""

    def __init__(self, torso: Torso, core: Core, head: Head) -> None:
        super().__init__(torso, core)
        self.head = head
        self._noisy = [layer for layer in head.modules() if isinstance(layer, NoisyLinear)]

    def heads(self, features: Tensor, observations: Tensor, taus: Tensor | None = None) -> QOutput:
        """Read an implicit head at fractions `taus` [n, M] float32, or at its midpoints.

        Other heads have fractions of their own, or none, and take no notice.
        """
        return self.head(features, taus)

    def rectified(self, observations: Tensor) -> list[Tensor]:
        """As of any network; or the hidden layers of the head, where they come right after."""
        if self.state_size > 0 or not self.head.has_hidden:
            return super().rectified(observations)
        return self.head.hidden(self.torso(observations).float())

    @property
    def is_noisy(self) -> bool:
        """Whether there are layers that want noise drawn."""
        return bool(self._noisy)

    def draw_noise(self, generator: Generator | None) -> None:
        """Draw the noise of noisy layers anew (None: no noise); nothing where there are none.

        The noise stays until drawn again. Who acts and who learns with the same network draw their
        own before each use, so that it never has to be saved.
        """
        draw_noise(self._noisy, generator)


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
    core: str = "none",
    core_size: int = 256,
) -> QNetwork:
    """Build a Q-network with the torso `name`: nature_cnn, impala_cnn, small_cnn or mlp.

    `head` is "expected", "categorical" (C51), "quantile" (QR-DQN) or "implicit" (IQN), with
    `num_outputs` numbers per action: 1, the atoms, the quantiles, or the quantiles that are read in
    acting. Noisy layers have their paper's initialization in any case.

    Streams, noise and the products with embedded fractions come right after the convolutions, as in
    the papers: the last hidden layer is then the head's. With a `core`, none, lstm or gru of
    `core_size` units, they come after that, and the torso keeps its own last layer, as in R2D2
    (Kapturowski et al. 2019, section 2.3).

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
    last_layer = not has_hidden or core != "none"
    torso = TORSOS[name](frame_shape, frame_stack, hidden_size, layer_norm, last_layer)
    memory = build_core(core, torso.num_features, core_size)
    layers = HeadLayers(hidden_size if has_hidden else None, dueling, noisy, layer_norm)
    answers = HEADS[head](memory.num_features, num_actions, num_outputs, layers)
    model = QNetwork(torso, memory, answers)
    if initialization == "orthogonal":
        orthogonal_(model, HIDDEN_GAIN)
        orthogonal_(model.core, CORE_GAIN)
        for layer in model.head.output_layers():
            orthogonal_(layer, VALUE_GAIN)
    # Convolutions run up to twice as fast with the channels innermost, forward and backward.
    return model.to(memory_format=torch.channels_last)
