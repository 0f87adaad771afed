"""One checkpoint as one file: a torch archive whose zip comment carries its header and digest.

The comment makes one rename publish weights, header and digest together, lets `runs` check a file
without torch, and leaves the file readable by plain `torch.load`.
"""

from __future__ import annotations

import hashlib
import json
import struct
from pathlib import Path
from typing import Any

_MAGIC = b"accel-checkpoint "
_DIGEST_CHARS = 64
_END_RECORD = b"PK\x05\x06"  # zip's last record; its last field is the length of the comment
_MAX_COMMENT = 0xFFFF


class CheckpointError(RuntimeError):
    """A checkpoint could not be written."""


class DamagedCheckpoint(CheckpointError):
    """A checkpoint's bytes are not those that were written."""


def seal(path: Path, header: dict[str, Any]) -> None:
    """Append `header` (JSON values) and a SHA-256 of everything before it to a torch archive."""
    comment = _MAGIC + json.dumps(header).encode() + b" "
    length = len(comment) + _DIGEST_CHARS
    if length > _MAX_COMMENT:
        raise ValueError(f"checkpoint header of {length} bytes does not fit {_MAX_COMMENT}")
    with path.open("r+b") as file:
        file.seek(-22, 2)
        if file.read(4) != _END_RECORD:
            raise CheckpointError(f"{path}: torch did not write the zip archive it was expected to")
        file.seek(-2, 2)
        file.write(struct.pack("<H", length) + comment)
        digest = _digest(file, file.seek(0, 2))
        file.seek(0, 2)
        file.write(digest)


def read_header(path: Path) -> dict[str, Any]:
    """Check the whole file against its digest and return its header.

    Raises DamagedCheckpoint, naming the file and what is wrong; OSError where it cannot be read.
    """
    with path.open("rb") as file:
        size = file.seek(0, 2)
        if size <= _DIGEST_CHARS:
            raise DamagedCheckpoint(f"checkpoint {path} is damaged: only {size} bytes long")
        recorded_at = size - _DIGEST_CHARS
        computed = _digest(file, recorded_at)
        file.seek(recorded_at)
        if file.read() != computed:
            raise DamagedCheckpoint(
                f"checkpoint {path} is damaged: its {size} bytes do not match the SHA-256 written "
                "with them (cut short, altered, or not a checkpoint of this program)"
            )
        tail_start = max(0, recorded_at - _MAX_COMMENT)
        file.seek(tail_start)
        tail = file.read(recorded_at - tail_start)
    return json.loads(tail[tail.rindex(_MAGIC) + len(_MAGIC) :])


def read_digest(path: Path) -> str:
    """The SHA-256 that a sealed file ends with, which names its contents; not checked."""
    with path.open("rb") as file:
        file.seek(-_DIGEST_CHARS, 2)
        return file.read().decode()


def _digest(file: Any, length: int) -> bytes:
    """SHA-256 of the first `length` bytes, as lower-case hexadecimal."""
    hasher = hashlib.sha256()
    file.seek(0)
    while length > 0:
        block = file.read(min(length, 1 << 20))
        if not block:
            break
        hasher.update(block)
        length -= len(block)
    return hasher.hexdigest().encode()
