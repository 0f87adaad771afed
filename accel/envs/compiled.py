"""Functions compiled by numba, kept in its cache wherever there is a place for one.

Numba compiles at a function's first call, for seconds, or loads what another process has kept. But
its cache may fail: no folder can be written (read-only code and no home), the disk is full, a power
cut has emptied a file, or it is another user's. Numba raises then, at import or in that first call;
here it costs a compilation in memory and no more.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from numba import njit
from numba.core.caching import (
    CompileResultCacheImpl,
    FunctionCache,
    InTreeCacheLocator,
    UserProvidedCacheLocator,
    UserWideCacheLocator,
)
from numba.core.registry import cpu_target

_OPTIONS = {"nogil": True, "error_model": "numpy"}


def inlined(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile what only compiled functions call: it is kept as a part of each of them."""
    return njit(**_OPTIONS)(function)


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile `function` at its first call, or load what an earlier process has compiled."""
    dispatcher = njit(**_OPTIONS)(function)
    with suppress(RuntimeError, OSError):  # there is nowhere to keep it
        dispatcher._cache = _Cache(function)
    return dispatcher


class _HomeLocator(UserWideCacheLocator):
    """A folder in the user's home, if there is one."""

    @classmethod
    def from_function(cls, py_func: Callable[..., Any], py_file: str) -> _HomeLocator | None:
        # For a user who is in no list, as in containers, "~" would be a folder in the present one.
        is_there = os.path.isabs(os.environ.get("XDG_CACHE_HOME", os.path.expanduser("~")))
        return super().from_function(py_func, py_file) if is_there else None


class _Files(CompileResultCacheImpl):
    """Files of their own for each version of the source and each kind of CPU.

    Numba numbers them, and notes a number in its index before that file is written. So two kinds of
    CPU that fill an empty cache at once (nodes that share a home) may take each other's code, and a
    start during another one, after the source was changed, that of the old source.
    """

    _locator_classes = [UserProvidedCacheLocator, InTreeCacheLocator, _HomeLocator]  # noqa: RUF012

    def get_filename_base(self, fullname: str, abiflags: str) -> str:
        target = cpu_target.target_context.codegen().magic_tuple()
        identity = repr((self.locator.get_source_stamp(), target)).encode()
        base = super().get_filename_base(fullname, abiflags)
        return f"{base}-{hashlib.sha256(identity).hexdigest()[:16]}"


class _Cache(FunctionCache):
    """Numba's cache, of which any failure costs a compilation and nothing else."""

    _impl_class = _Files

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        try:
            return super().load_overload(sig, target_context)
        except Exception:  # whatever unpickling damaged bytes may raise
            with suppress(OSError):
                self.flush()  # or saving would meet the damaged file again
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        with suppress(OSError):
            super().save_overload(sig, data)
