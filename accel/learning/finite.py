"""Numbers that are not finite: where they came from, and keeping them out of checkpoints."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

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


def trace(rollout: Rollout) -> str:
    """Say which part of the rollout that was learned from is not finite, and where first."""
    for name in ("rewards", "frames", "log_probs", "values"):
        tensor = getattr(rollout, name)
        bad = ~tensor.isfinite()
        if bool(bad.any()):
            time, env = bad.nonzero()[0, :2].tolist()
            value = float(tensor[time, env].flatten()[bad[time, env].flatten()][0])
            return f"{name} hold {value} first at row {time}, environment {env} of the rollout"
    return "the rollout was finite, so the step before it went too far: a learning rate too high?"
