"""Denormal numbers are zero while training, and themselves again after it."""

import pytest
import torch

from accel.learning import flushed_denormals

TINY = 1e-39  # below float32's least normal number, 1.2e-38


def halved() -> float:
    """The result of arithmetic on denormal numbers, long enough for vector instructions."""
    return float((torch.full((64,), TINY) * 0.5).max())


@pytest.mark.skipif(not torch.set_flush_denormal(False), reason="this CPU cannot flush denormals")
def test_denormals_are_flushed_meanwhile() -> None:
    assert halved() > 0
    with flushed_denormals():
        assert halved() == 0
    assert halved() > 0
    with pytest.raises(ValueError, match="stop"), flushed_denormals():
        raise ValueError("stop")
    assert halved() > 0
