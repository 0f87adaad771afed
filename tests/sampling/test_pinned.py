"""Shared memory is registered with CUDA while it is used, or a warning says that it is not."""

import os
from contextlib import nullcontext
from types import SimpleNamespace

import pytest
import torch

from accel.sampling.actor_messages import ActorPlan, inbox_fields
from accel.sampling.actor_process import _inbox
from accel.sampling.pinned import PinnedMemory, copy_whole
from accel.sampling.remote import RemoteSampler
from accel.shared import Field, SharedBlock

FIELDS = [Field("frames", (3, 5000), "uint8"), Field("age", (7,), "int32")]


class Cudart:
    """Takes the CUDA runtime's place and notes what it is asked."""

    def __init__(self, error: int) -> None:
        self.error = error
        self.calls: list[tuple] = []

    def cudaHostRegister(self, address: int, size: int, flags: int) -> int:
        self.calls.append(("register", address, size))
        return self.error

    def cudaHostUnregister(self, address: int) -> int:
        self.calls.append(("unregister", address))
        return 0


@pytest.fixture
def cudart(monkeypatch):
    """cudart(error) answers in place of the CUDA runtime."""

    def answer(error: int) -> Cudart:
        runtime = Cudart(error)
        monkeypatch.setattr(torch.cuda, "cudart", lambda: runtime)
        monkeypatch.setattr(torch.cuda, "device", nullcontext)
        return runtime

    return answer


def test_the_whole_block_is_registered_until_closed(cudart) -> None:
    runtime, block = cudart(0), SharedBlock(FIELDS)
    pinned = PinnedMemory(block.memory, torch.device("cpu"))
    address = block.arrays["frames"].ctypes.data  # the first field starts the block
    assert block.memory.nbytes >= sum(array.nbytes for array in block.arrays.values())
    assert runtime.calls == [("register", address, block.memory.nbytes)]
    pinned.close()
    pinned.close()
    assert runtime.calls[1:] == [("unregister", address)]
    block.close()


def test_what_cannot_be_registered_is_used_as_it_is(cudart) -> None:
    runtime, block = cudart(2), SharedBlock(FIELDS)
    with pytest.warns(UserWarning, match=r"cudaError 2.*ulimit -l"):
        pinned = PinnedMemory(block.memory, torch.device("cpu"))
    pinned.close()
    assert len(runtime.calls) == 1
    block.close()


def test_a_sampler_gives_its_memory_up_once_all_copies_are_complete(play) -> None:
    """Not after what the learner does: a lost rank would be waited for."""
    order = []
    sampler = play("CartPole-v1", kind="gym").sampler()
    sampler._slots[0]._sent = SimpleNamespace(synchronize=lambda: order.append("wait"))
    sampler._pinned = SimpleNamespace(close=lambda: order.append("unregister"))
    sampler.close()
    assert order == ["wait", "unregister"]


def test_weights_are_locked_on_both_sides(cudart) -> None:
    """By the learner, which writes them, and by the actor, which reads them."""
    runtime, block = cudart(0), SharedBlock(inbox_fields(1000))
    learner = SimpleNamespace(_device=torch.device("cuda"), _pinned=[])
    RemoteSampler._pin(learner, block)
    plan = ActorPlan(None, {"device": "cuda"}, block.fields, os.dup(block.fd))
    with _inbox(plan) as inbox:
        registered = [address for name, address, *_ in runtime.calls if name == "register"]
        assert registered == [block.memory.ctypes.data, inbox.memory.ctypes.data]
    assert runtime.calls[2:] == [("unregister", registered[1])]
    block.close()


@pytest.mark.gpu
def test_a_copy_is_whole_when_it_returns() -> None:
    block = SharedBlock(inbox_fields(1 << 22))
    pinned = PinnedMemory(block.memory, torch.device("cuda"))
    weights = torch.from_numpy(block.arrays["weights"][1])
    for number in range(1, 20):
        copy_whole(weights, torch.full((1 << 22,), float(number), device="cuda"))
        assert bool((weights == number).all())
        on_gpu = torch.empty(1 << 22, device="cuda")
        copy_whole(on_gpu, weights)
        weights.zero_()
        assert bool((on_gpu == number).all())
    pinned.close()
    block.close()


@pytest.mark.gpu
def test_torch_sees_that_it_is_pinned() -> None:
    block = SharedBlock(FIELDS)
    frames = torch.from_numpy(block.arrays["frames"])
    pinned = PinnedMemory(block.memory, torch.device("cuda"))
    assert frames.is_pinned()
    pinned.close()
    assert not frames.is_pinned()
    block.close()
