"""A policy head and a value head on one shared torso, or on one torso each."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from accel.models.initialization import (
    HIDDEN_GAIN,
    POLICY_GAIN,
    VALUE_GAIN,
    check_initialization,
    orthogonal_,
)
from accel.models.torsos import TORSOS, Torso
from accel.types import ActorCriticOutput


class ActorCritic(nn.Module):
    """Map observations [N, K, *frame] to an `ActorCriticOutput`.

    The torso may hold bfloat16 weights (`low_precision_parameters`); the heads are always float32,
    because log-probabilities and values need more than bfloat16's eight bits.
    """

    def __init__(
        self,
        torso: Torso,
        critic_torso: Torso | None,
        num_actions: int,
    ) -> None:
        super().__init__()
        self.torso = torso
        self.critic_torso = critic_torso
        self.policy_head = nn.Linear(torso.num_features, num_actions)
        self.value_head = nn.Linear(torso.num_features, 1)

    def forward(self, observations: Tensor) -> ActorCriticOutput:
        features = self.torso(observations).float()
        logits = self.policy_head(features)
        if self.critic_torso is not None:
            features = self.critic_torso(observations).float()
        return ActorCriticOutput(logits, self.value_head(features).squeeze(1))

    def low_precision_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Yield the named parameters that may be held in bfloat16, in the order of the model."""
        for prefix, torso in (("torso", self.torso), ("critic_torso", self.critic_torso)):
            if torso is not None and torso.low_precision:
                yield from torso.named_parameters(prefix)


def build_model(
    name: str,
    frame_shape: tuple[int, ...],
    frame_stack: int,
    num_actions: int,
    hidden_size: int,
    separate_critic: bool = False,
    layer_norm: bool = False,
    initialization: str = "orthogonal",
) -> ActorCritic:
    """Build an actor-critic network by name: nature_cnn, impala_cnn, small_cnn or mlp.

    `initialization` is "orthogonal" (gain sqrt(2), policy head 0.01, value head 1, zero biases) or
    "default" (torch's own). Raises ValueError for an unknown name or a frame the torso cannot take.
    """
    if name not in TORSOS:
        raise ValueError(f"model.name={name!r}: choose one of {', '.join(TORSOS)}")
    check_initialization(initialization)
    torso_class = TORSOS[name]
    sizes = (frame_shape, frame_stack, hidden_size, layer_norm)
    torso = torso_class(*sizes)
    critic_torso = torso_class(*sizes) if separate_critic else None
    model = ActorCritic(torso, critic_torso, num_actions)
    if initialization == "orthogonal":
        orthogonal_(model, HIDDEN_GAIN)
        orthogonal_(model.policy_head, POLICY_GAIN)
        orthogonal_(model.value_head, VALUE_GAIN)
    # Convolutions run up to twice as fast with the channels innermost, forward and backward.
    return model.to(memory_format=torch.channels_last)
