"""Shared by the sampling tests: a policy that needs no network, and rollouts to compare."""

from __future__ import annotations

import gc
import os

import pytest

from tests.sampling.plays import Play
from tests.shared_names import nothing_new, shared_names


@pytest.fixture
def play():
    """The class, so that a test names its own game."""
    return Play


@pytest.fixture
def leaves_nothing():
    """No open descriptor more than before, nothing new in /dev/shm."""

    def num_open() -> int:
        return len(os.listdir("/proc/self/fd"))

    gc.collect()  # what earlier tests left to be closed must not count
    descriptors, shared = num_open(), shared_names()
    yield
    gc.collect()  # an exception's frames still hold the sampler, and so its memory
    assert num_open() == descriptors
    assert nothing_new(shared)
