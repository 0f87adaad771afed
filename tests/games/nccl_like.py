"""Gradients added up as by NCCL: the call returns at once, and who waits for it waits in C.

There no signal reaches Python, and of a rank that is lost nobody tells. Importing this module, as
`env.game=nccl_like:Game-none-v0` does in every rank, makes it so. Rank 1 stops being of use at its
fifth update: it touches the file `stuck` and does nothing more.
"""

from __future__ import annotations

import ctypes
import os
import threading
import time
from pathlib import Path
from typing import Any

import faulty_games  # noqa: F401  (registers the game)
import torch
import torch.distributed as dist

_LIBC = ctypes.CDLL(None)  # calls without the interpreter's lock
_all_reduce = dist.all_reduce
_UPDATES_BEFORE = 5
_calls = 0


class Event:
    """What CUDA's event is to a stream: waited for in C, until set."""

    def __init__(self) -> None:
        self._mutex = ctypes.create_string_buffer(64)  # a pthread_mutex_t, of zeros
        _LIBC.pthread_mutex_lock(self._mutex)

    def set(self) -> None:
        _LIBC.pthread_mutex_unlock(self._mutex)

    def wait(self) -> None:
        """Unlike a read or a semaphore, not cut short by a signal."""
        _LIBC.pthread_mutex_lock(self._mutex)


def all_reduce(tensor: torch.Tensor, *arguments: Any, group: Any = None, **named: Any) -> None:
    """Of the update's own group as NCCL does it, of any other as ever."""
    global _calls
    if group is not None:
        _all_reduce(tensor, *arguments, group=group, **named)
        return
    _calls += 1
    if _calls > _UPDATES_BEFORE and os.environ["RANK"] == "1":
        Path("stuck").touch()
        while True:
            time.sleep(1)
    done = Event()

    def work() -> None:
        _all_reduce(tensor)  # fails where NCCL would wait for ever
        done.set()

    threading.Thread(target=work, daemon=True).start()
    done.wait()


dist.all_reduce = all_reduce
threading.excepthook = lambda arguments: None
