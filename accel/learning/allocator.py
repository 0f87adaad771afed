"""Keep freed memory in the process instead of handing it back to the system.

A pass over a minibatch allocates and frees tens of megabytes of activations. By default glibc
returns such large blocks to the kernel each time, and each new one costs a page fault per 4 kB:
some 7,000 faults per minibatch of 256 Atari samples, a quarter of the time of an update on a CPU.
"""

from __future__ import annotations

import ctypes
import sys

# From glibc's malloc.h.
M_TRIM_THRESHOLD = -1
M_MMAP_THRESHOLD = -3

ONE_GIB = 1 << 30
LARGEST_DOCUMENTED_MMAP_THRESHOLD = 1 << 25


def keep_freed_memory() -> bool:
    """Let malloc reuse blocks of up to 1 GiB, and return nothing of the heap below that.

    For the whole process, from now on; its memory then stays near its peak. Call it early, in a
    process that learns on a CPU. Returns whether the C library took it: true on Linux with glibc.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    if not mallopt(M_MMAP_THRESHOLD, ONE_GIB):
        mallopt(M_MMAP_THRESHOLD, LARGEST_DOCUMENTED_MMAP_THRESHOLD)
    return bool(mallopt(M_TRIM_THRESHOLD, ONE_GIB))
