"""Freed memory is reused without asking the system for it again."""

import subprocess
import sys

import pytest

SCRIPT = """
import resource
from accel.learning.allocator import keep_freed_memory

def faults(num_blocks):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(num_blocks):
        b"x" * (48 << 20)  # more than glibc keeps by itself
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

before = faults(5)
kept = keep_freed_memory()
faults(1)
print(before, int(kept), faults(5))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="a setting of glibc")
def test_large_blocks_are_reused():
    # In a process of its own, because the setting cannot be taken back.
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True, timeout=120
    )
    before, kept, after = (int(number) for number in run.stdout.split())
    if not kept:
        pytest.skip("the C library has no mallopt")
    assert after < before / 10
