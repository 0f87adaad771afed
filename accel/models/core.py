"""What a network remembers between steps: a recurrent core between torso and heads, or none.

A core's memory is one flat tensor of S numbers per environment, so that whoever carries, stores or
cuts it need not know what it is made of. It is always float32.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class NoCore(nn.Module):
    """Hand the features on; S is 0."""

    state_size = 0

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.num_features = num_features

    def forward(self, features: Tensor, state: Tensor, starts: Tensor) -> tuple[Tensor, Tensor]:
        return features, state


class RecurrentCore(nn.Module):
    """Features over T steps to as many outputs, step after step.

    A loop over T rather than torch's own LSTM and GRU: those cannot forget in the midst of a
    sequence, and cutting it at the starts would wait for the GPU to tell where they are. The inputs
    of all steps are multiplied at once, which leaves one small product per step: on a CPU twice the
    duration of torch's LSTM, forward and backward (T=128, B=8, 512 features, 256 units).
    """

    num_gates: int
    num_parts: int  # tensors of the state; the first one is also the output

    def __init__(self, num_inputs: int, size: int) -> None:
        super().__init__()
        self.input = nn.Linear(num_inputs, self.num_gates * size)
        self.recurrent = nn.Linear(size, self.num_gates * size)
        self.num_features = size
        self.state_size = self.num_parts * size

    def forward(self, features: Tensor, state: Tensor, starts: Tensor) -> tuple[Tensor, Tensor]:
        """Return outputs [T * B, size] and the state [B, S] after the last step.

        `features` are [T * B, F], time-major, `state` is [B, S] before the first step. Where
        `starts` [T, B] is true the state is zero before that step.
        """
        # unbind, as the gradient of indexing would be as large as all steps together, at each step
        inputs = self.input(features).unflatten(0, starts.shape).unbind()
        keep = (~starts).to(state.dtype).unsqueeze(2).unbind()
        parts: Sequence[Tensor] = state.chunk(self.num_parts, 1)
        outputs = []
        for gates, kept in zip(inputs, keep):
            parts = self.advance(gates, [part * kept for part in parts])
            outputs.append(parts[0])
        return torch.cat(outputs), torch.cat(tuple(parts), 1)

    def advance(self, inputs: Tensor, parts: Sequence[Tensor]) -> Sequence[Tensor]:
        """Take one step of all B environments: gate inputs [B, gates * size], state parts."""
        raise NotImplementedError


class LSTM(RecurrentCore):
    """Long short-term memory (Hochreiter and Schmidhuber 1997) with forget gates, as torch's LSTM.

    The state is the output h, then the cell c.
    """

    num_gates = 4
    num_parts = 2

    def advance(self, inputs: Tensor, parts: Sequence[Tensor]) -> Sequence[Tensor]:
        hidden, cell = parts
        gates = inputs + self.recurrent(hidden)
        size = self.num_features
        enter, forget, leave = gates[:, : 3 * size].sigmoid().chunk(3, 1)
        cell = torch.addcmul(forget * cell, enter, gates[:, 3 * size :].tanh())
        return leave * cell.tanh(), cell


class GRU(RecurrentCore):
    """Gated recurrent unit (Cho et al. 2014); like torch's, it resets what the product gives."""

    num_gates = 3
    num_parts = 1

    def advance(self, inputs: Tensor, parts: Sequence[Tensor]) -> Sequence[Tensor]:
        (hidden,) = parts
        size = self.num_features
        gates = self.recurrent(hidden)
        both = (inputs[:, : 2 * size] + gates[:, : 2 * size]).sigmoid()
        reset, update = both.chunk(2, 1)
        candidate = torch.addcmul(inputs[:, 2 * size :], reset, gates[:, 2 * size :]).tanh()
        return (torch.lerp(candidate, hidden, update),)


Core = NoCore | RecurrentCore

CORES: dict[str, type[RecurrentCore]] = {"lstm": LSTM, "gru": GRU}


def build_core(name: str, num_inputs: int, size: int) -> Core:
    """Build the core `name` of `size` units: none, lstm or gru. Raises ValueError for others."""
    if name == "none":
        return NoCore(num_inputs)
    if name not in CORES:
        raise ValueError(f"model.core={name!r}: choose one of none, {', '.join(CORES)}")
    return CORES[name](num_inputs, size)
