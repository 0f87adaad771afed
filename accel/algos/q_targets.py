"""What the value-learning algorithms share: choosing by action, errors, sums and priorities."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def of_actions(values: Tensor, actions: Tensor) -> Tensor:
    """Return from values [n, A, M] those of actions [n] int64: [n, M]."""
    index = actions.view(-1, 1, 1).expand(-1, 1, values.shape[2])
    return values.gather(1, index).squeeze(1)


def huber(errors: Tensor, delta: float | None) -> Tensor:
    """Return half the squared errors, linear with slope `delta` beyond it (Huber 1964).

    With delta 1 the gradient is the error clipped to [-1, 1], which is how Mnih et al. 2015 put it.
    None: half the squared error everywhere.
    """
    if delta is None:
        return 0.5 * errors.square()
    return F.huber_loss(errors, torch.zeros_like(errors), reduction="none", delta=delta)


def weighted_sums(
    losses: Tensor, taken: Tensor, errors: Tensor, weights: Tensor
) -> tuple[Tensor, dict[str, Tensor]]:
    """Return the weighted sum of losses [n] and the detached terms that describe an update.

    "loss" is that sum, "q_values" the mean value of the taken actions [n] and "td_error" the mean
    absolute error [n] of it.
    """
    loss = (weights * losses).sum()
    return loss, {
        "loss": loss.detach(),
        "q_values": (weights * taken.detach()).sum(),
        "td_error": (weights * errors.detach().abs()).sum(),
    }


def sequence_priorities(errors: Tensor, valid: Tensor, eta: float = 0.9) -> Tensor:
    """Return one priority per sequence, [n], from absolute errors [T, n] of its valid steps [T, n].

    eta * max + (1 - eta) * mean (Kapturowski et al. 2019, R2D2, section 2.3): a plain mean would
    hide the few steps there are to learn from. A sequence without valid steps gets 0.
    """
    counted = errors * valid
    mean = counted.sum(0) / valid.sum(0).clamp(min=1)
    return eta * counted.amax(0) + (1 - eta) * mean
