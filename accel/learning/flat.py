"""All parameters of a model in one flat tensor, all gradients in another.

One all-reduce, one clip and one optimizer step then serve the whole model. With bfloat16 the
parameters that allow it are views of a flat bfloat16 copy of the float32 master; their gradients
come back to float32, the optimizer steps the master, and `refresh` copies it back. This is faster
than autocast, which converts the weights again in every pass.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from accel.models import Network

ALIGNMENT = 64  # elements; keeps every view on a cache line and on a vector load's boundary


class FlatParameters:
    """Owns the weights of `model`, whose parameters become views into it.

    `master` and `gradient` are [P] float32 on `device`. Views keep their parameter's strides (a
    channels-last convolution stays channels-last). Gaps between views are zero and stay zero.
    """

    def __init__(self, model: Network, device: torch.device, precision: str) -> None:
        model.to(device)  # for its buffers
        low_precision = dict(model.low_precision_parameters()) if precision == "bf16" else {}
        others = {name: p for name, p in model.named_parameters() if name not in low_precision}
        # Low-precision parameters come first, so that one copy of a prefix refreshes them all.
        named = {**low_precision, **others}
        offsets, total = _layout(list(named.values()))
        num_low = offsets[len(low_precision)] if others else total
        self.names = list(named)
        self.parameters = list(named.values())
        self.master = torch.zeros(total, device=device)
        self.gradient = torch.zeros(total, device=device)
        self._low = torch.zeros(num_low, device=device, dtype=torch.bfloat16)
        self._master_views = _views(self.master, offsets, self.parameters)
        self._gradient_views = _views(self.gradient, offsets, self.parameters)
        for view, parameter in zip(self._master_views, self.parameters):
            view.copy_(parameter.detach())
        low_views = _views(self._low, offsets, list(low_precision.values()))
        weights = low_views + self._master_views[len(low_views) :]
        for parameter, view in zip(self.parameters, weights):
            parameter.data = view
        self.refresh()

    def backward(self, loss: Tensor, accumulate: bool) -> None:
        """Write the gradient of `loss` to `gradient`, or add it with `accumulate`, in float32."""
        gradients = torch.autograd.grad(loss, self.parameters)
        for view, gradient in zip(self._gradient_views, gradients):
            if accumulate:
                view.add_(gradient)
            else:
                view.copy_(gradient)

    def refresh(self) -> None:
        """Bring the bfloat16 copies up to date with the master."""
        if len(self._low) > 0:
            self._low.copy_(self.master[: len(self._low)])

    def state_dict(self) -> dict[str, Tensor]:
        """Return float32 copies by parameter name, independent of precision and layout."""
        views = zip(self.names, self._master_views)
        return {name: view.contiguous().clone() for name, view in views}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Load what `state_dict` returned. Raises ValueError if the names do not match."""
        if set(state) != set(self.names):
            different = ", ".join(sorted(set(state) ^ set(self.names)))
            raise ValueError(f"the saved weights are of another model; not in both: {different}")
        for name, view in zip(self.names, self._master_views):
            view.copy_(state[name])
        self.refresh()


def _layout(parameters: Sequence[nn.Parameter]) -> tuple[list[int], int]:
    """Return the offset of each parameter, aligned, and the total number of elements."""
    offsets, total = [], 0
    for parameter in parameters:
        offsets.append(total)
        total += -(-parameter.numel() // ALIGNMENT) * ALIGNMENT
    return offsets, total


def _views(
    flat: Tensor, offsets: Sequence[int], parameters: Sequence[nn.Parameter]
) -> list[Tensor]:
    return [
        flat.as_strided(parameter.shape, parameter.stride(), offset)
        for parameter, offset in zip(parameters, offsets)
    ]
