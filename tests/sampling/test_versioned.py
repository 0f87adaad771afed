"""Versioned weights: what is read is whole, the newest, and never waited for."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from accel.sampling.versioned import NUM_BUFFERS, VersionedWeights
from accel.shared import SharedBlock

SIZE = 100_000

WRITER = f"""
import sys
from accel.sampling.versioned import VersionedWeights
from accel.shared import SharedBlock
block = SharedBlock(VersionedWeights.fields({SIZE}), int(sys.argv[1]))
weights = VersionedWeights(block.arrays)
print("ready", flush=True)
version = 0
while True:
    version += 1
    weights.write(version, lambda array: array.fill(version))
"""


@pytest.fixture
def block() -> Iterator[SharedBlock]:
    block = SharedBlock(VersionedWeights.fields(SIZE))
    yield block
    block.close()


def fill_with(number: int) -> Callable[[np.ndarray], None]:
    return lambda array: array.fill(number)


def test_the_newest_version_is_read(block: SharedBlock) -> None:
    weights, mine = VersionedWeights(block.arrays), np.zeros(SIZE, np.float32)
    for version in range(2 * NUM_BUFFERS):
        weights.write(version, fill_with(10 * version))
        assert weights.read(lambda array: np.copyto(mine, array)) == version
        assert (mine == 10 * version).all()


@pytest.mark.parametrize("num_written", range(2 * NUM_BUFFERS + 1))
def test_what_is_overwritten_while_it_is_read_is_read_anew(
    block: SharedBlock, num_written: int
) -> None:
    """The writer strikes between the two halves of a copy, this many times."""
    weights, mine = VersionedWeights(block.arrays), np.zeros(SIZE, np.float32)
    weights.write(1, fill_with(1))
    calls = []

    def copy_in_halves(array: np.ndarray) -> None:
        mine[: SIZE // 2] = array[: SIZE // 2]
        for version in range(2, 2 + num_written if not calls else 2):
            weights.write(version, fill_with(version))
        mine[SIZE // 2 :] = array[SIZE // 2 :]
        calls.append(num_written)

    version = weights.read(copy_in_halves)
    assert (mine == version).all()
    overtaken = num_written >= NUM_BUFFERS
    assert len(calls) == 1 + overtaken
    assert version == (1 + num_written if overtaken else 1)


def test_a_reader_can_ask_for_weights_that_are_not_the_newest(block: SharedBlock) -> None:
    """As many as there are buffers."""
    weights, mine = VersionedWeights(block.arrays), np.zeros(SIZE, np.float32)
    for first in range(1, 8):
        versions = range(first, first + NUM_BUFFERS)
        buffers = [weights.write(version, fill_with(version)) for version in versions]
        for version, buffer in zip(versions, buffers):
            assert weights.read(lambda array: np.copyto(mine, array), buffer) == version
            assert (mine == version).all()


def test_a_reader_beside_a_busy_writer_never_sees_two_versions_mixed(block: SharedBlock) -> None:
    """The writer in a process of its own fills buffers with one number as fast as it can."""
    weights, mine = VersionedWeights(block.arrays), np.zeros(SIZE, np.float32)
    command = [sys.executable, "-c", WRITER, str(block.fd)]
    writer = subprocess.Popen(command, pass_fds=(block.fd,), stdout=subprocess.PIPE, text=True)
    try:
        assert writer.stdout.readline() == "ready\n"
        versions = [0]
        while len(set(versions)) < 20:
            versions.append(weights.read(lambda array: np.copyto(mine, array)))
            assert (mine == versions[-1]).all()
        assert versions == sorted(versions)
    finally:
        writer.kill()
        writer.wait()
        writer.stdout.close()
