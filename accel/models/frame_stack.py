"""Observations from single frames: the only place that builds frame stacks.

Every frame is stored once; acting, learning and replay gather the K frames of an observation by
index, so that all of them see the same stack.
"""

from __future__ import annotations

import torch
from torch import Tensor


def view_stacks(frames: Tensor, num_stacked: int, t: int, columns: slice) -> Tensor:
    """The observations [n, K, *frame] of step `t` of `columns` as a view: nothing is copied.

    What `stack_frames` returns where every episode is at least K - 1 steps old; wrong elsewhere.
    """
    return frames[t : t + num_stacked, columns].transpose(0, 1)


def stack_frames(frames: Tensor, age: Tensor, time: Tensor, env: Tensor) -> Tensor:
    """Gather the observations of `n` steps.

    `frames` is [T + K, B, *frame], `age` [T + 1, B] the steps since the episode's first frame,
    `time` and `env` [n] int64 the steps to gather, with `time` in 0..T. K follows from the two row
    counts. Returns [n, K, *frame] in the frames' dtype, oldest frame first. Frames from before the
    episode's start are replaced by its first frame, as Gymnasium's FrameStackObservation does.
    """
    num_stacked = frames.shape[0] - age.shape[0] + 1
    num_envs = frames.shape[1]
    newest = time + (num_stacked - 1)
    if num_stacked == 1:
        rows = newest.unsqueeze(1)
    else:
        steps_back = torch.arange(num_stacked - 1, -1, -1, device=frames.device)
        known = age.flatten().index_select(0, time * num_envs + env).unsqueeze(1)
        rows = newest.unsqueeze(1) - torch.minimum(steps_back, known)
    index = (rows * num_envs + env.unsqueeze(1)).flatten()
    # Whole frames are copied as flat rows: one memcpy each on a CPU.
    stacked = frames.flatten(0, 1).flatten(1).index_select(0, index)
    return stacked.view(time.shape[0], num_stacked, *frames.shape[2:])
