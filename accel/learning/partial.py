"""Which tensors of one network another can take over: those of equal name and shape."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class TensorMatch:
    """Saved tensors against a network's own; one of another shape is both new and dropped."""

    kept: list[str]  # names of the saved tensors that fit
    new: list[str]  # the network's own tensors that none fits, each with its shape
    dropped: list[str]  # saved tensors that fit nowhere, each with its shape

    @classmethod
    def of(cls, saved: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> TensorMatch:
        """Compare by name and shape, in the order of the network."""
        kept = [name for name in own if name in saved and saved[name].shape == own[name].shape]
        return cls(
            kept,
            [_with_shape(name, own[name]) for name in own if name not in kept],
            [_with_shape(name, saved[name]) for name in saved if name not in kept],
        )

    @property
    def is_whole(self) -> bool:
        """Whether every tensor of either side has its equal."""
        return not self.new and not self.dropped

    def merge(self, saved: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The network's tensors with the saved ones in the place of those they fit."""
        return {**own, **{name: saved[name] for name in self.kept}}


def _with_shape(name: str, tensor: Tensor) -> str:
    return f"{name} [{' x '.join(map(str, tensor.shape))}]"
