"""Replacing a file so that readers, and a start after a crash, see it whole or see the old one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_TEMPORARY = ".tmp-"


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success flush it to disk and rename it over `path`.

    When the block raises, `path` stays as it was and the temporary file is removed.
    """
    temporary = path.with_name(f".{path.name}{_TEMPORARY}{os.getpid()}")
    try:
        yield temporary
        _flush_to_disk(temporary)
        os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise
    _flush_to_disk(path.parent)  # the rename itself is lost in a power cut until this


def write_atomically(path: Path, text: str) -> None:
    """Replace `path` by a UTF-8 file holding `text`."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="")


def remove_leftovers(directory: Path) -> None:
    """Delete temporary files that killed processes left in `directory`.

    Only for a directory that no other process is writing to (see the run folder's lock).
    """
    for leftover in directory.glob(f".*{_TEMPORARY}*"):
        leftover.unlink(missing_ok=True)


def _flush_to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
