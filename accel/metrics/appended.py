"""A file that grows by whole pieces: one that does not fit on the disk leaves no part behind."""

from __future__ import annotations

import os
from pathlib import Path


class AppendedFile:
    """Appends bytes that other programs can read at once."""

    def __init__(self, path: Path) -> None:
        """Open `path` at its end, or create it."""
        self._descriptor: int | None = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)

    def append(self, data: bytes) -> None:
        """Hand all of `data` to the operating system, or raise OSError with the file as before."""
        assert self._descriptor is not None, "closed"
        size = os.fstat(self._descriptor).st_size
        left = memoryview(data)
        try:
            while left:
                left = left[os.write(self._descriptor, left) :]
        except OSError:
            os.ftruncate(self._descriptor, size)
            raise

    def close(self) -> None:
        """Close the file; calling it twice is harmless."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
