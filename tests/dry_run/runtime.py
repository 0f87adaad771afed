"""Builds and loads `runtime.cpp`, which has to be there before torch is imported.

Python alone does not do: autograd asks C++ for the guard and the stream of a tensor's device, and a
build of torch without CUDA has neither to give and ends the process.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

SOURCE = Path(__file__).with_name("runtime.cpp")


def compiler() -> str | None:
    """The system's C++ compiler, if it has one."""
    return next(
        filter(None, map(shutil.which, (os.environ.get("CXX", "c++"), "g++", "clang++"))), None
    )


def build(folder: Path) -> Path:
    """Compile against torch's own headers, which takes some seconds; return the library."""
    torch, library = _torch(), folder / "runtime.so"
    command = [compiler(), "-std=c++20", "-O0", "-w", "-shared", "-fPIC"]
    command += [f"-I{torch / 'include'}", str(SOURCE), "-o", str(library)]
    command += [f"-L{torch / 'lib'}", "-lc10", "-ltorch_cpu", f"-Wl,-rpath,{torch / 'lib'}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr[-4000:]}")
    return library


def load(library: Path) -> None:
    """Give this process the runtime. Torch must not have been imported: it looks for one then."""
    ctypes.CDLL(str(library))


def _torch() -> Path:
    """Torch's folder, found without importing it."""
    return Path(next(iter(find_spec("torch").submodule_search_locations)))
