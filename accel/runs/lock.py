"""One process per run folder, by a lock that the kernel drops when its holder dies."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
from collections.abc import Callable
from pathlib import Path

# What file systems without flock answer (some Lustre and NFS mounts).
_UNSUPPORTED = {errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK}


class LockedError(Exception):
    """Another process holds the lock; the text says which, as far as known."""


class FolderLock:
    """An exclusive lock on `path`, held from construction to `release`.

    The file stays when the lock goes: removing it would let two processes lock two files of one
    name. A process forked while the lock is held shares it; spawned ones do not.
    """

    def __init__(self, path: Path, warn: Callable[[str], None]) -> None:
        self._file = path.open("a+", encoding="utf-8")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = _describe_holder(path)
            self._file.close()
            raise LockedError(holder) from None
        except OSError as error:
            if error.errno not in _UNSUPPORTED:
                self._file.close()
                raise
            warn(
                f"{path.parent} is on a file system without locks ({error.strerror}): "
                "nothing stops a second process from using the same run folder"
            )
        self._write_holder()

    def release(self) -> None:
        """Let the next process in; calling it twice is harmless."""
        self._file.close()

    def _write_holder(self) -> None:
        self._file.seek(0)
        self._file.truncate()
        self._file.write(json.dumps({"pid": os.getpid(), "host": socket.gethostname()}))
        self._file.flush()


def _describe_holder(path: Path) -> str:
    try:
        holder = json.loads(path.read_text(encoding="utf-8"))
        return f"process {holder['pid']} on {holder['host']}"
    except (OSError, ValueError, KeyError, TypeError):  # the holder may be between lock and write
        return "another process"
