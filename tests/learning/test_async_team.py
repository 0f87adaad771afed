"""Asynchronous ranks meet when one asks, all at the same point, and wait for nobody otherwise."""

from __future__ import annotations

import os

import torch

from accel.learning.async_team import _accept, _offer
from accel.shared import Field, SharedBlock
from tests.learning import async_program
from tests.learning.async_program import FIRST_STEP, NUM_STEPS

FIELDS = [Field("numbers", (4,), "float32"), Field("mark", (1,), "int64")]


def test_ranks_meet_when_any_asks_and_know_the_same(run_ranks, tmp_path) -> None:
    assert run_ranks(async_program.meet_now_and_then, 3) == [0, 0, 0]
    results = [torch.load(tmp_path / f"met_{rank}.pt") for rank in range(3)]
    meetings, rounds = results[0][0], [rounds for _, rounds in results]
    assert all(other == meetings for other, _ in results)
    assert len(meetings) > 10
    assert [agreed[1] for agreed, _ in meetings] == [False] * (len(meetings) - 1) + [True]
    for agreed, told in meetings:
        assert any(agreed)
        assert [rank for rank, _ in told] == [0, 1, 2]
        assert len({steps for _, steps in told}) == 1
    final = meetings[-1][1][0][1]
    assert final == FIRST_STEP + sum((rank + 1) * rounds[rank] for rank in range(3))
    assert final >= FIRST_STEP + NUM_STEPS
    assert rounds[0] > rounds[2]  # the slowest holds nobody up


def test_memory_that_cannot_be_shared_is_refused_by_all(run_ranks, tmp_path) -> None:
    assert run_ranks(async_program.share_with_stranger, 2) == [0, 0]
    told = [(tmp_path / f"refused_{rank}").read_text() for rank in range(2)]
    assert told[0] == told[1]
    assert "must run on one machine: rank 1 on " in told[0]


def test_only_the_memory_that_was_offered_is_accepted() -> None:
    before = len(os.listdir("/proc/self/fd"))
    block = SharedBlock(FIELDS)
    path, mark = _offer(block)
    block.arrays["numbers"][:] = 3
    same = _accept(FIELDS, path, mark)
    assert same is not None and same.arrays["numbers"].tolist() == [3, 3, 3, 3]
    assert _accept(FIELDS, path, mark + 1) is None
    assert _accept([Field("numbers", (1000,), "float32"), *FIELDS], path, mark) is None
    assert _accept(FIELDS, "/proc/self/fd/9999", mark) is None
    same.close()
    block.close()
    del same, block  # the maps hold descriptors of their own
    assert len(os.listdir("/proc/self/fd")) == before
