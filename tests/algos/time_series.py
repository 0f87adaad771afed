"""Columns of rewards and flags over time, written by hand or drawn at random."""

import torch
from hypothesis import strategies as st


def column(*numbers):
    return torch.tensor(numbers, dtype=torch.float32).unsqueeze(1)


def flags(*numbers):
    return torch.tensor(numbers, dtype=torch.bool).unsqueeze(1)


@st.composite
def episodes(draw):
    """Rollouts of one environment under NEXT_STEP: an end is always followed by a reset step."""
    num_steps = draw(st.integers(1, 9))
    number = st.floats(-3, 3, width=32)
    rewards = [draw(number) for _ in range(num_steps)]
    values = [draw(number) for _ in range(num_steps + 1)]
    terminated, truncated, valid = [], [], []
    is_reset = draw(st.booleans())
    for _ in range(num_steps):
        end = "" if is_reset else draw(st.sampled_from(["", "", "terminated", "truncated", "both"]))
        valid.append(not is_reset)
        terminated.append(end in ("terminated", "both"))
        truncated.append(end in ("truncated", "both"))
        is_reset = end != ""
    return rewards, values, terminated, truncated, valid
