"""Numbers that are not finite: where they came from, and keeping them out of checkpoints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from accel.algos import Ranks
from accel.learning.device import wait_asleep
from accel.replay import FrameRing
from accel.types import Rollout

_MOST_NAMED = 4


class NonFiniteLoss(RuntimeError):
    """A loss term, the gradient or a weight became infinite or NaN; the weights are unusable."""


def check_weights(weights: Mapping[str, Tensor]) -> None:
    """Raise NonFiniteLoss, naming the tensors, unless every weight is a finite number."""
    bad = [name for name, tensor in weights.items() if not bool(tensor.isfinite().all())]
    if bad:
        more = f" and {len(bad) - _MOST_NAMED} more" if len(bad) > _MOST_NAMED else ""
        raise NonFiniteLoss(f"not finite in the weights: {', '.join(bad[:_MOST_NAMED])}{more}")


def finite_means(
    history: Sequence[Mapping[str, Tensor]], ranks: Ranks, update: str, data: Rollout | FrameRing
) -> dict[str, Tensor]:
    """Average the metrics of an update's minibatches, after one check that all are finite.

    This waits for the device: the one time in an update, when acting needs the new weights anyway.
    What it returns lies on the host.

    Raises NonFiniteLoss, naming `update`, the terms, and what is wrong with `data`, if not.
    """
    names = list(history[0])
    table = torch.stack([torch.stack(list(metrics.values())) for metrics in history])
    table = read_back(ranks.total(table))
    finite = table.isfinite()
    if not bool(finite.all()):
        first = int((~finite).any(1).nonzero()[0])
        terms = ", ".join(f"{name}={float(value)}" for name, value in zip(names, table[first]))
        bad = ", ".join(name for name, ok in zip(names, finite[first]) if not ok)
        raise NonFiniteLoss(
            f"{update}, minibatch {first + 1}: {bad} is not finite ({terms}); {trace(data)}"
        )
    return dict(zip(names, table.mean(0)))


def read_back(tensor: Tensor) -> Tensor:
    """A copy of `tensor` on the host, once all that the device had to do before is done."""
    if not tensor.is_cuda:
        return tensor
    host = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
    host.copy_(tensor, non_blocking=True)
    wait_asleep(tensor.device)  # not by accident, and so passes where that is made an error
    return host


def trace(data: Rollout | FrameRing) -> str:
    """Say which part of what was learned from is not finite, and where first."""
    source = "rollout" if isinstance(data, Rollout) else "replay"
    for name in ("rewards", "frames", "log_probs", "values"):
        tensor = getattr(data, name, None)
        if tensor is None or not tensor.is_floating_point():
            continue
        bad = ~tensor.isfinite()
        if name == "log_probs":  # an action that is never taken has -inf
            bad &= tensor != -torch.inf
        if bool(bad.any()):
            time, env = bad.nonzero()[0, :2].tolist()
            value = float(tensor[time, env].flatten()[bad[time, env].flatten()][0])
            return f"{name} hold {value} first at row {time}, environment {env} of the {source}"
    why = "the step before it went too far; the learning rate may be too high"
    return f"the {source} was finite, so {why}"
