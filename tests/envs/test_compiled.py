"""Numba's cache: used wherever it can be, and no failure of it is more than a compilation."""

from __future__ import annotations

import errno
import os
import pwd
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
import pytest
from numba.core.caching import IndexDataCacheFile
from numba.core.codegen import JITCPUCodegen

from accel.envs.compiled import compiled

SOURCE = "def add(left, right):\n    return left + right\n"


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """load(source) returns its `add`, compiled, as a new process would have it."""
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path / "cache"))

    def load(source: str = SOURCE) -> Any:
        path = tmp_path / "adder.py"
        path.write_text(source)
        names: dict[str, Any] = {"__name__": "adder"}
        exec(compile(source, path, "exec"), names)
        return compiled(names["add"])

    return load


def compilations(add: Any) -> int:
    """How often calling it now compiles, having added right."""
    assert add(1, 2) == 3
    return sum(add.stats.cache_misses.values())


def files(folder: Path, ending: str) -> list[Path]:
    return sorted(folder.rglob(f"*{ending}"))


def test_what_one_process_compiles_the_next_loads(load) -> None:
    assert [compilations(load()) for _ in range(3)] == [1, 0, 0]


@pytest.mark.parametrize("ending", [".nbi", ".nbc"])
@pytest.mark.parametrize("harm", ["empty", "altered", "gone"])
def test_a_damaged_cache_is_mended(harm: str, ending: str, load, tmp_path: Path) -> None:
    compilations(load())
    (path,) = files(tmp_path, ending)
    if harm == "gone":
        path.unlink()
    else:
        path.write_bytes(b"" if harm == "empty" else b"\x80" + path.read_bytes()[::-1])
    assert [compilations(load()) for _ in range(2)] == [1, 0]


def test_a_full_disk_keeps_nothing(load, monkeypatch) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(IndexDataCacheFile, "_save_data", refuse)
    assert [compilations(load()) for _ in range(2)] == [1, 1]


def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files where numba would have folders: nobody can write there, not even root."""
    (tmp_path / "cache").touch()
    (tmp_path / "__pycache__").touch()
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", os.devnull)


def test_without_a_place_it_is_compiled_in_memory(load, tmp_path, monkeypatch) -> None:
    nowhere(tmp_path, monkeypatch)
    with pytest.raises(RuntimeError, match="no locator available"):
        numba.njit(cache=True)(load().py_func)
    assert [compilations(load()) for _ in range(2)] == [1, 1]


def test_a_user_without_a_home_gets_no_folder_named_so(load, tmp_path, monkeypatch) -> None:
    def unknown(number: int) -> None:
        raise KeyError(number)

    nowhere(tmp_path, monkeypatch)
    monkeypatch.delenv("HOME")
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    monkeypatch.chdir(tmp_path)
    assert os.path.expanduser("~") == "~"
    assert compilations(load()) == 1
    assert not Path("~").exists()


def test_no_two_sources_or_kinds_of_cpu_share_a_file(load, tmp_path, monkeypatch) -> None:
    """Numba writes its index first: what that names must never be the code of something else."""
    compilations(load())
    assert load(SOURCE.replace("left + right", "right + left"))(1, 2) == 3
    before = JITCPUCodegen.magic_tuple
    monkeypatch.setattr(JITCPUCodegen, "magic_tuple", lambda own: (*before(own), "another"))
    compilations(load())
    for ending in (".nbi", ".nbc"):
        assert len(files(tmp_path, ending)) == 3
