"""A full disk in the middle of a run: training goes on and saves again later."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from accel.runs.checkpoint_file import CheckpointError
from accel.runs.disk import is_full


@contextmanager
def outliving_full_disk(warn: Callable[[str], None], next_try: str) -> Iterator[None]:
    """Turn the want of room in the block into a warning; other errors pass."""
    try:
        yield
    except (CheckpointError, OSError) as error:
        if not is_full(error):
            raise
        warn(f"{error}. Training goes on; the next try is {next_try}")
