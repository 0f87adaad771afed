"""Heads of a Q-network: features to numbers for every action, what they mean and how they are made.

What a head says is its kind: the expected value, the logits of a fixed set of returns, quantiles at
fixed fractions or at any fractions. How it is made is the same for all kinds: in one stream or two
(dueling), with a hidden layer of its own or without, from plain or noisy layers.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from accel.models.noisy import NoisyLinear
from accel.types import QOutput

NUM_COSINES = 64  # of a fraction's embedding (Dabney et al. 2018b, below equation 4)


@dataclass(frozen=True)
class HeadLayers:
    """How the layers of a head are made."""

    hidden_size: int | None = None  # units of its own hidden layers; None: the torso has the last
    dueling: bool = False
    noisy: bool = False
    layer_norm: bool = False

    def stream(self, num_features: int, num_outputs: int) -> nn.Module:
        """Build the way from features to outputs: a linear layer, or two around a ReLU."""
        linear = NoisyLinear if self.noisy else nn.Linear
        if self.hidden_size is None:
            return linear(num_features, num_outputs)
        norm = nn.LayerNorm(self.hidden_size) if self.layer_norm else nn.Identity()
        layers = OrderedDict(
            hidden=linear(num_features, self.hidden_size),
            norm=norm,
            relu=nn.ReLU(),
            output=linear(self.hidden_size, num_outputs),
        )
        return nn.Sequential(layers)


class Head(nn.Module):
    """Features [n, F] float32 to M numbers of each action: expected values, or logits of atoms.

    Dueling (Wang et al. 2016, equation 9): values = V(s) + A(s, a) - mean of A(s, .), for each of
    the M numbers as Rainbow does it (Hessel et al. 2018, "The integrated agent").
    """

    def __init__(
        self, num_features: int, num_actions: int, num_outputs: int, layers: HeadLayers
    ) -> None:
        super().__init__()
        self.shape = num_actions, num_outputs
        self.has_hidden = layers.hidden_size is not None
        self.values = layers.stream(num_features, num_actions * num_outputs)
        self.baseline = layers.stream(num_features, num_outputs) if layers.dueling else None

    def forward(self, features: Tensor, taus: Tensor | None = None) -> QOutput:
        return QOutput(self.numbers(features))

    def numbers(self, features: Tensor) -> Tensor:
        """Return [n, A, M] for features [n, F]."""
        values = self.values(features).unflatten(1, self.shape)
        if self.baseline is None:
            return values
        return self.baseline(features).unsqueeze(1) + values - values.mean(1, keepdim=True)

    def hidden(self, features: Tensor) -> list[Tensor]:
        """What the hidden layer of each stream puts out for features [n, F]: [n, U] each."""
        streams = (self.values, self.baseline) if self.has_hidden else ()
        return [stream[:-1](features) for stream in streams if stream is not None]

    def output_layers(self) -> Iterator[nn.Module]:
        """Yield the last layer of each stream."""
        for stream in (self.values, self.baseline):
            if stream is not None:
                yield stream[-1] if isinstance(stream, nn.Sequential) else stream


class QuantileHead(Head):
    """The returns' quantiles at M fixed fractions, the midpoints of M equal parts of (0, 1).

    Those are the fractions of the best approximation (Dabney et al. 2018a, QR-DQN, lemma 2).
    """

    def __init__(
        self, num_features: int, num_actions: int, num_outputs: int, layers: HeadLayers
    ) -> None:
        super().__init__(num_features, num_actions, num_outputs, layers)
        self.register_buffer("midpoints", midpoints(num_outputs), persistent=False)

    def forward(self, features: Tensor, taus: Tensor | None = None) -> QOutput:
        return QOutput(self.numbers(features), self.midpoints.expand(len(features), -1))


class ImplicitQuantileHead(Head):
    """The returns' quantiles at any fractions (Dabney et al. 2018b, IQN, equation 4).

    A fraction's cosines become as many features as a state has; their product with the state's
    goes on as features do elsewhere. Learning passes random fractions. Without any, as in acting,
    they are the midpoints of `num_outputs` equal parts of (0, 1): an action then depends on its own
    observation alone, and the mean over them is as good an estimate as that over random ones.
    """

    def __init__(
        self, num_features: int, num_actions: int, num_outputs: int, layers: HeadLayers
    ) -> None:
        super().__init__(num_features, num_actions, 1, layers)
        self.embedding = nn.Linear(NUM_COSINES, num_features)
        self.register_buffer("midpoints", midpoints(num_outputs), persistent=False)
        frequencies = math.pi * torch.arange(NUM_COSINES)
        self.register_buffer("frequencies", frequencies, persistent=False)

    def forward(self, features: Tensor, taus: Tensor | None = None) -> QOutput:
        fractions = self.midpoints.unsqueeze(0) if taus is None else taus
        products = self.products(features, fractions)
        values = self.numbers(products.flatten(0, 1)).squeeze(2)  # [n * M, A], n may be 0
        values = values.unflatten(0, products.shape[:2]).transpose(1, 2)
        return QOutput(values, fractions.expand(len(features), -1))

    def products(self, features: Tensor, fractions: Tensor) -> Tensor:
        """Return [n, M, F]: features [n, F] times the embedded fractions [n, M] or [1, M]."""
        cosines = torch.cos(fractions.unsqueeze(2) * self.frequencies)
        return features.unsqueeze(1) * F.relu(self.embedding(cosines))

    def hidden(self, features: Tensor) -> list[Tensor]:
        """As of any head, each row at one of the midpoints, in turn."""
        turns = torch.arange(len(features), device=features.device) % len(self.midpoints)
        fractions = self.midpoints.index_select(0, turns).unsqueeze(1)
        return super().hidden(self.products(features, fractions).squeeze(1))


def midpoints(num_parts: int) -> Tensor:
    """Return the midpoints [num_parts] float32 of equal parts of (0, 1)."""
    return (torch.arange(num_parts) + 0.5) / num_parts


HEADS: dict[str, type[Head]] = {
    "expected": Head,
    "categorical": Head,
    "quantile": QuantileHead,
    "implicit": ImplicitQuantileHead,
}
