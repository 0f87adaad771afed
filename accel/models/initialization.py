"""Weight initialization by name."""

from __future__ import annotations

import math

from torch import nn

INITIALIZATIONS = ("orthogonal", "default")
HIDDEN_GAIN = math.sqrt(2)
CORE_GAIN = 1.0
POLICY_GAIN = 0.01  # a nearly uniform first policy
VALUE_GAIN = 1.0


def check_initialization(name: str) -> None:
    """Raise ValueError unless `name` is a known initialization."""
    if name not in INITIALIZATIONS:
        raise ValueError(f"initialization={name!r}: choose one of {', '.join(INITIALIZATIONS)}")


def orthogonal_(module: nn.Module, gain: float) -> None:
    """Give every layer in `module` orthogonal weights and zero biases.

    The scheme of OpenAI baselines' PPO2 and CleanRL's `layer_init`; "default" leaves torch's own.
    """
    for layer in module.modules():
        if isinstance(layer, (nn.Conv2d, nn.Linear)):
            nn.init.orthogonal_(layer.weight, gain)
            nn.init.zeros_(layer.bias)
