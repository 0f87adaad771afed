"""Whether an error means that there is no room left to write."""

from __future__ import annotations

import errno

# Disk full, quota used up, file larger than allowed.
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def os_error_behind(error: BaseException) -> OSError | None:
    """The operating system's error that led to `error`; torch hides it behind one of its own."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, OSError):
        cause = cause.__cause__ or cause.__context__
    return cause


def is_full(error: BaseException) -> bool:
    """Whether `error` comes of a full disk, a used-up quota or a limit on file sizes."""
    cause = os_error_behind(error)
    return cause is not None and cause.errno in _NO_ROOM
