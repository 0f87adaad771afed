"""Frame stacks gathered by index equal a deque filled one frame at a time."""

from collections import deque

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from accel.models import stack_frames, view_stacks


def naive_stacks(steps, num_stacked):
    """Play (frame, is_first) pairs through a deque padded with the episode's first frame."""
    stack = deque(maxlen=num_stacked)
    observations = []
    for frame, is_first in steps:
        if is_first:
            stack.extend([frame] * num_stacked)
        else:
            stack.append(frame)
        observations.append(torch.stack(list(stack)))
    return observations


def play(num_stacked, num_envs, starts, frame_shape, num_steps):
    """Return frames, age and the naive stacks of a rollout with K - 1 rows of history."""
    history = num_stacked - 1
    num_rows = history + num_steps + 1
    frames = torch.randint(0, 256, (num_rows, num_envs, *frame_shape), dtype=torch.uint8)
    age = torch.zeros(num_steps + 1, num_envs, dtype=torch.int32)
    expected = []
    for env in range(num_envs):
        firsts = [row == 0 or row in starts[env] for row in range(num_rows)]
        expected.append(naive_stacks(list(zip(frames[:, env], firsts)), num_stacked))
        for t in range(num_steps + 1):
            row = t + history
            age[t, env] = row - max(r for r in range(row + 1) if firsts[r])
    return frames, age, expected


@settings(deadline=None, max_examples=50)
@given(data=st.data(), num_stacked=st.integers(1, 4), num_envs=st.integers(1, 3))
def test_equals_a_deque_with_first_frame_padding(data, num_stacked, num_envs):
    num_steps = 6
    rows = st.sets(st.integers(0, num_steps + num_stacked - 1))
    starts = [data.draw(rows) for _ in range(num_envs)]
    frames, age, expected = play(num_stacked, num_envs, starts, (2, 3), num_steps)
    time = torch.arange(num_steps + 1).repeat_interleave(num_envs)
    env = torch.arange(num_envs).repeat(num_steps + 1)
    stacks = stack_frames(frames, age, time, env)
    assert stacks.shape == (time.numel(), num_stacked, 2, 3)
    for stack, t, b in zip(stacks, time.tolist(), env.tolist()):
        assert torch.equal(stack, expected[b][t + num_stacked - 1])


@pytest.mark.parametrize("num_stacked", [1, 4])
def test_views_equal_the_gathered_stacks_of_old_games(num_stacked):
    frames, age, _ = play(num_stacked, 5, [set()] * 5, (2, 3), 8)
    for t in range(num_stacked - 1, 9):
        views = view_stacks(frames, num_stacked, t, slice(1, 4))
        assert views.untyped_storage().data_ptr() == frames.untyped_storage().data_ptr()
        gathered = stack_frames(frames, age, torch.full((3,), t), torch.arange(1, 4))
        assert torch.equal(views, gathered)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_keeps_dtype_and_vector_frames(dtype):
    frames = torch.arange(5 * 2 * 3).view(5, 2, 3).to(dtype)
    age = torch.full((2, 2), 9, dtype=torch.int32)  # T = 1, so K = 4
    stacks = stack_frames(frames, age, torch.tensor([1, 0]), torch.tensor([0, 1]))
    assert stacks.dtype == dtype
    assert torch.equal(stacks[0], frames[1:5, 0])
    assert torch.equal(stacks[1], frames[0:4, 1])
