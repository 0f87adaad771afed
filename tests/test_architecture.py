"""Imports between rooms go one way only, and files stay small enough to hold one idea."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "accel"
MAX_LINES = 300

# room -> rooms it may import (besides itself); see the README's map.
ALLOWED: dict[str, set[str]] = {
    "types": set(),
    "shared": set(),
    "envs": {"types"},
    "models": {"types"},
    "algos": {"types"},
    "policies": {"types", "models"},
    "sampling": {"types", "shared", "envs", "models", "policies"},
    "replay": {"types", "shared", "models", "algos"},
    "learning": {"types", "shared", "models", "algos", "replay"},
    "metrics": {"types"},
    "runs": {"types"},
    "config": {"types", "envs", "models", "algos", "runs"},
    "launching": {"config", "metrics", "runs"},
}
ALLOWED["runners"] = set(ALLOWED) | {"runners"}
# Rooms whose modules must not pull in torch when imported: workers start fast, and runs can be
# listed where torch is not installed.
WITHOUT_TORCH = {"types", "shared", "envs", "runs", "config", "launching"}
# accel.envs.make_vector belongs to users, its worker processes to sampling: imported when called.
EXCEPTIONS = {("accel/envs/__init__.py", "sampling")}


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def room_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return "" if parts == ("__init__",) else parts[0]


def imported_names(tree: ast.AST) -> list[str]:
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "absolute imports only"
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    return names


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_go_one_way(path: Path) -> None:
    room = room_of(path)
    if not room:
        return
    for name in imported_names(ast.parse(path.read_text())):
        parts = name.split(".")
        if parts[0] != "accel" or len(parts) == 1:
            continue
        target = parts[1]
        if (str(path.relative_to(ROOT)), target) in EXCEPTIONS:
            continue
        assert target == room or target in ALLOWED[room], f"{room} must not import {name}"


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(ROOT)))
def test_files_hold_one_idea(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= MAX_LINES


@pytest.mark.parametrize(
    "path",
    [p for p in modules() if room_of(p) in WITHOUT_TORCH],
    ids=lambda p: str(p.relative_to(ROOT)),
)
def test_torch_is_imported_only_where_it_is_used(path: Path) -> None:
    tree = ast.parse(path.read_text())
    for node in tree.body:  # module level only; inside functions or TYPE_CHECKING it may
        for name in imported_names(node) if isinstance(node, ast.Import | ast.ImportFrom) else []:
            assert name.split(".")[0] != "torch"


def test_launch_files_hold_no_logic_of_their_own() -> None:
    for path in (ROOT / "launch").glob("*.py"):
        assert len(path.read_text().splitlines()) <= 150, f"{path.name}: move logic into accel"
