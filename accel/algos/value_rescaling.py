"""Squashed value targets, which let one network learn games of very different scores.

From Pohlen et al. 2018, "Observe and Look Further"; epsilon as in R2D2 (Kapturowski et al. 2019).
"""

from __future__ import annotations

from torch import Tensor

EPSILON = 1e-3


def rescale(values: Tensor, epsilon: float = EPSILON) -> Tensor:
    """Return h(x) = sign(x) (sqrt(|x| + 1) - 1) + epsilon x, elementwise."""
    return values.sign() * ((values.abs() + 1).sqrt() - 1) + epsilon * values


def unrescale(values: Tensor, epsilon: float = EPSILON) -> Tensor:
    """Return the inverse of `rescale`, elementwise.

    The papers' closed form divides the difference of nearly equal numbers by 2 epsilon: measured in
    float32 it is wrong by up to 9e-5 for values below 1. This is the same root written as a
    quotient without the difference, wrong by 3e-7.
    """
    shifted = values.abs() + 1 + epsilon
    root = 2 * shifted / (1 + (1 + 4 * epsilon * shifted).sqrt())  # sqrt(|x| + 1) of the original
    return values.sign() * (root - 1) * (root + 1)
