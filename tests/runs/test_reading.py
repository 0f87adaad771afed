"""Finding runs and their checkpoints without touching them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from accel.runs.checkpoint import Checkpoints
from accel.runs.folder import RunFolderError
from accel.runs.reading import find_checkpoint, find_runs, read_manifest


def make_run(path: Path) -> Path:
    path.mkdir(parents=True)
    (path / "manifest.json").write_text('{"format": 1, "status": "finished"}')
    return path


def test_runs_are_found_by_name_below_a_folder_and_by_pattern(tmp_path: Path) -> None:
    a0, a1 = make_run(tmp_path / "a" / "seed0"), make_run(tmp_path / "a" / "seed1")
    odd = make_run(tmp_path / "b[1]" / "lr=1,x" / "seed0")
    assert find_runs([str(a1), str(tmp_path / "a")]) == [a1, a0]
    assert find_runs([str(tmp_path / "a" / "seed?")]) == [a0, a1]
    assert find_runs([str(tmp_path / "b[1]")]) == [odd]
    (tmp_path / "empty").mkdir()
    for pattern in ("empty", "nowhere", "a/*9"):
        with pytest.raises(RunFolderError, match="leads to no run"):
            find_runs([str(tmp_path / "a"), str(tmp_path / pattern)])


def test_a_folder_that_is_no_run_names_those_below(tmp_path: Path) -> None:
    for seed in range(10):
        make_run(tmp_path / f"seed{seed}")
    with pytest.raises(RunFolderError, match="and 2 more") as caught:
        read_manifest(tmp_path)
    assert f"run={tmp_path}/seed0\n" in str(caught.value) and "seed9" not in str(caught.value)


def test_a_damaged_last_checkpoint_is_passed_over(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    checkpoints = Checkpoints(run / "checkpoints")
    for steps in (100, 200):
        checkpoints.save({"weights": torch.ones(3)}, steps)
    first, second = sorted((run / "checkpoints").iterdir())
    assert find_checkpoint(run, "last") == (second, 200)
    second.write_bytes(b"cut short")
    assert find_checkpoint(run, "last") == (first, 100)
    with pytest.raises(RunFolderError, match="damaged"):
        find_checkpoint(run, str(second))
    with pytest.raises(RunFolderError, match="no best checkpoint"):
        find_checkpoint(run, "best")
    assert sorted((run / "checkpoints").iterdir()) == [first, second]
