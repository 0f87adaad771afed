"""The ring's memory: how much it takes, and that it is shared."""

from __future__ import annotations

import os

import pytest
import torch

from accel.replay import bytes_needed, ring_fields, ring_rows
from accel.replay.ring import FrameRing
from accel.types import EnvSpec
from tests.replay.plain_replay import RandomGames, make_spec

ATARI = EnvSpec((84, 84), "uint8", 4, 18, 4)


def test_atari_takes_little_more_than_its_frames():
    """A million steps: 7,056 bytes of frame, and 10 of all else."""
    num_rows = ring_rows(1_000_000, 16, 64)
    assert num_rows == 62_464  # 976 rollouts
    assert bytes_needed(ring_fields(ATARI, num_rows, 16, 64)) == num_rows * 16 * 7066
    with_state = ring_fields(ATARI, num_rows, 16, 64, state_size=512)
    assert bytes_needed(with_state) == num_rows * 16 * (7066 + 512 * 4 // 64)


@pytest.mark.parametrize("state_size", [0, 3])
def test_the_memory_is_what_was_announced(state_size, device):
    sizes = {"num_rows": 8, "num_envs": 3, "rollout_length": 4, "state_size": state_size}
    ring = FrameRing(make_spec(4), **sizes, device=device)
    tensors = [tensor for tensor in vars(ring).values() if isinstance(tensor, torch.Tensor)]
    assert sum(tensor.nbytes for tensor in tensors) == bytes_needed(
        ring_fields(make_spec(4), **sizes)
    )


def test_ages_beyond_a_byte_do_not_wrap_around():
    """At age 256 a byte would be 0 again, the start of an episode."""
    ring = FrameRing(make_spec(4), num_rows=8, num_envs=2, rollout_length=4)
    rollout = RandomGames(2, 4, 4, seed=0).rollout()
    rollout.age[:] = torch.tensor([[254], [255], [256], [1000], [1001]])
    ring.append(rollout)
    assert ring.age[:4, 0].tolist() == [254, 255, 255, 255]
    rows = torch.tensor([3])
    stack = ring.observations(rows, torch.tensor([1]))
    assert torch.equal(stack[0], rollout.frames[3:7, 1])


def test_forked_processes_see_what_is_appended():
    ring = FrameRing(make_spec(4), num_rows=8, num_envs=2, rollout_length=4)
    rollout = RandomGames(2, 4, 4, seed=0).rollout()
    child = os.fork()
    if child == 0:
        ring.append(rollout)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert torch.equal(ring.frames[:4], rollout.frames[3:7])
