"""A policy head and a value head on one shared torso, or on one torso each."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from accel.models.core import Core, build_core
from accel.models.initialization import (
    CORE_GAIN,
    HIDDEN_GAIN,
    POLICY_GAIN,
    VALUE_GAIN,
    check_initialization,
    orthogonal_,
)
from accel.models.network import Network
from accel.models.torsos import TORSOS, Torso
from accel.types import ActorCriticOutput


class ActorCritic(Network):
    """Map observations [n, K, *frame] to an `ActorCriticOutput`.

    The heads are float32 because log-probabilities and values need more than bfloat16's eight bits.
    """

    def __init__(
        self,
        torso: Torso,
        core: Core,
        critic_torso: Torso | None,
        num_actions: int,
    ) -> None:
        super().__init__(torso, core)
        self.critic_torso = critic_torso
        self.policy_head = nn.Linear(core.num_features, num_actions)
        self.value_head = nn.Linear(core.num_features, 1)

    def heads(self, features: Tensor, observations: Tensor) -> ActorCriticOutput:
        logits = self.policy_head(features)
        if self.critic_torso is not None:
            features = self.critic_torso(observations).float()
        return ActorCriticOutput(logits, self.value_head(features).squeeze(1))

    def torsos(self) -> list[Torso]:
        return [self.torso] if self.critic_torso is None else [self.torso, self.critic_torso]

    def low_precision_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Yield the named parameters that may be held in bfloat16, in the order of the model."""
        yield from super().low_precision_parameters()
        if self.critic_torso is not None and self.critic_torso.low_precision:
            yield from self.critic_torso.named_parameters("critic_torso")


def build_model(
    name: str,
    frame_shape: tuple[int, ...],
    frame_stack: int,
    num_actions: int,
    hidden_size: int,
    separate_critic: bool = False,
    layer_norm: bool = False,
    initialization: str = "orthogonal",
    core: str = "none",
    core_size: int = 256,
) -> ActorCritic:
    """Build an actor-critic network by name: nature_cnn, impala_cnn, small_cnn or mlp.

    `initialization` is "orthogonal" (gain sqrt(2), core and value head 1, policy head 0.01, zero
    biases) or "default" (torch's own). A `core`, none, lstm or gru of `core_size` units, stands
    between the torso and both heads.

    Raises ValueError for an unknown name, a frame the torso cannot take, or a core beside a
    separate critic.
    """
    if name not in TORSOS:
        raise ValueError(f"model.name={name!r}: choose one of {', '.join(TORSOS)}")
    check_initialization(initialization)
    if separate_critic and core != "none":
        raise ValueError(f"model.core={core!r}: only one torso can have it; no separate_critic")
    torso_class = TORSOS[name]
    sizes = (frame_shape, frame_stack, hidden_size, layer_norm)
    torso = torso_class(*sizes)
    critic_torso = torso_class(*sizes) if separate_critic else None
    memory = build_core(core, torso.num_features, core_size)
    model = ActorCritic(torso, memory, critic_torso, num_actions)
    if initialization == "orthogonal":
        orthogonal_(model, HIDDEN_GAIN)
        orthogonal_(model.core, CORE_GAIN)
        orthogonal_(model.policy_head, POLICY_GAIN)
        orthogonal_(model.value_head, VALUE_GAIN)
    # Convolutions run up to twice as fast with the channels innermost, forward and backward.
    return model.to(memory_format=torch.channels_last)
