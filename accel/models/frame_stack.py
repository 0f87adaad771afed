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
    """Gather the observations of `n` steps of a rollout.

    `frames` is [T + K, B, *frame], `age` [T + 1, B] the steps since the episode's first frame,
    `time` and `env` [n] int64 the steps to gather, with `time` in 0..T. K follows from the two row
    counts. Returns [n, K, *frame] in the frames' dtype, oldest frame first. Frames from before the
    episode's start are replaced by its first frame, as Gymnasium's FrameStackObservation does.
    """
    num_stacked = frames.shape[0] - age.shape[0] + 1
    known = age.flatten().index_select(0, time * age.shape[1] + env)
    return gather_frames(frames, stacked_rows(time + (num_stacked - 1), known, num_stacked), env)


def stacked_rows(newest: Tensor, age: Tensor, num_stacked: int) -> Tensor:
    """Rows [..., K] int64 of the frames in each observation, oldest first.

    `newest` [...] int64 is the row of its newest frame, `age` [...] (any integer dtype) the steps
    since the episode's first frame, which also stands for the frames before it.
    """
    steps_back = torch.arange(num_stacked - 1, -1, -1, device=newest.device)
    return newest.unsqueeze(-1) - torch.minimum(steps_back, age.unsqueeze(-1))


def gather_frames(frames: Tensor, rows: Tensor, env: Tensor) -> Tensor:
    """Copy out the frames [..., K, *frame] of `rows` [..., K] and columns `env` [...], both int64.

    `frames` is [R, B, *frame] of any dtype; `env` may be broadcast.
    """
    index = (rows * frames.shape[1] + env.unsqueeze(-1)).flatten()
    # Whole frames are copied as flat rows: one memcpy each on a CPU.
    stacked = frames.flatten(0, 1).flatten(1).index_select(0, index)
    return stacked.view(*rows.shape, *frames.shape[2:])
