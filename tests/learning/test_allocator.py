"""Freed memory is reused without asking the system for it again."""

import subprocess
import sys

import pytest

SCRIPT = """
import resource
import torch
from accel.learning.allocator import keep_freed_memory

assert keep_freed_memory()
num_bytes = 48 << 20  # more than glibc keeps by itself
for _ in range(3):
    torch.ones(num_bytes, dtype=torch.uint8)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    torch.ones(num_bytes, dtype=torch.uint8)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="a setting of glibc")
def test_large_blocks_are_reused():
    # In a process of its own, because the setting cannot be taken back.
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True, timeout=120
    )
    assert int(run.stdout) < 1000  # 61,440 pages of 4 kB otherwise
