import errno
import os
import pickle
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch

from accel.runs.checkpoint import (
    CheckpointError,
    Checkpoints,
    DamagedCheckpoint,
    load_checkpoint,
    save_checkpoint,
)


def _state(value: float) -> dict[str, Any]:
    return {"weights": torch.full((1000,), value), "agent_steps": int(value)}


def _warnings_of(checkpoints: Checkpoints) -> list[str]:
    said: list[str] = []
    checkpoints._warn = said.append
    return said


def test_plain_torch_and_zip_tools_read_it_too(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "a.pt", _state(7), {"agent_steps": 7})
    loaded = torch.load(tmp_path / "a.pt", weights_only=True)
    assert torch.equal(loaded["weights"], _state(7)["weights"])
    assert zipfile.ZipFile(tmp_path / "a.pt").testzip() is None


def test_any_altered_byte_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "a.pt"
    save_checkpoint(path, _state(7))
    good = path.read_bytes()
    for position in (0, 30, len(good) // 2, len(good) - 200, len(good) - 70, len(good) - 1):
        bad = bytearray(good)
        bad[position] ^= 1
        path.write_bytes(bad)
        with pytest.raises(DamagedCheckpoint, match=r"a\.pt is damaged"):
            load_checkpoint(path)
    path.write_bytes(good)
    assert load_checkpoint(path)["agent_steps"] == 7


@pytest.mark.parametrize("kept", [0, 1, 64, 1000, -1])
def test_a_cut_file_is_noticed(tmp_path: Path, kept: int) -> None:
    path = tmp_path / "a.pt"
    save_checkpoint(path, _state(7))
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(DamagedCheckpoint, match=r"a\.pt is damaged"):
        load_checkpoint(path)


def test_a_file_of_torch_alone_or_of_pickled_code_is_refused(tmp_path: Path) -> None:
    torch.save(_state(1), tmp_path / "torch.pt")
    (tmp_path / "code.pt").write_bytes(pickle.dumps(os.getcwd) + b"0" * 200)
    for name in ("torch.pt", "code.pt"):
        with pytest.raises(DamagedCheckpoint, match=name):
            load_checkpoint(tmp_path / name)


def test_keeps_the_newest(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path / "checkpoints", keep=2)
    for steps in (1000, 2000, 3000):
        checkpoints.save(_state(steps), steps)
    assert sorted(os.listdir(checkpoints.directory)) == [
        "step_000000002000.pt",
        "step_000000003000.pt",
    ]
    latest = checkpoints.latest()
    assert latest is not None and load_checkpoint(latest)["agent_steps"] == 3000


def test_a_directory_without_checkpoints_has_no_latest(tmp_path: Path) -> None:
    assert Checkpoints(tmp_path / "missing").latest() is None
    (tmp_path / "step_abc.pt").write_text("not ours")
    assert Checkpoints(tmp_path).latest() is None


def test_latest_skips_a_damaged_one_and_names_it(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path)
    said = _warnings_of(checkpoints)
    checkpoints.save(_state(1000), 1000)
    newest = checkpoints.save(_state(2000), 2000)
    newest.write_bytes(newest.read_bytes()[:-10])
    latest = checkpoints.latest()
    assert latest is not None and latest.name == "step_000000001000.pt"
    assert len(said) == 1 and "step_000000002000.pt" in said[0]


def test_an_abandoned_future_does_not_crowd_out_new_checkpoints(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, keep=2)
    checkpoints.save(_state(1000), 1000)
    checkpoints.save(_state(9000), 9000).write_bytes(b"damaged")
    checkpoints.save(_state(2000), 2000)
    assert checkpoints.steps() == [1000, 2000]


def test_best_is_remembered_across_restarts(tmp_path: Path) -> None:
    first = Checkpoints(tmp_path)
    assert first.best_score is None and first.is_best(-3.0) and not first.is_best(float("nan"))
    assert first.save_best(_state(1), 10.5, 100) is not None
    assert first.save_best(_state(2), 10.5, 200) is None
    second = Checkpoints(tmp_path)
    assert second.save_best(_state(3), 9, 300) is None
    assert second.save_best(_state(4), float("nan"), 400) is None
    assert second.best_score == 10.5
    assert load_checkpoint(second.best_path)["agent_steps"] == 1
    assert second.save_best(_state(5), 11, 500) == second.best_path
    assert load_checkpoint(second.best_path)["agent_steps"] == 5
    assert second.steps() == []


def test_a_damaged_best_is_reported_and_replaced(tmp_path: Path) -> None:
    Checkpoints(tmp_path).save_best(_state(1), 10, 100)
    (tmp_path / "best.pt").write_bytes(b"damaged")
    checkpoints = Checkpoints(tmp_path)
    said = _warnings_of(checkpoints)
    assert checkpoints.save_best(_state(2), 3, 200) is not None
    assert len(said) == 1 and "best.pt" in said[0]


def test_keeping_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="keep=0"):
        Checkpoints(tmp_path, keep=0)


@pytest.mark.parametrize("failing_call", ["fsync", "replace"])
def test_a_failing_disk_leaves_the_old_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing_call: str
) -> None:
    checkpoints = Checkpoints(tmp_path)
    old = checkpoints.save(_state(1000), 1000)

    def full(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, failing_call, full)
    with pytest.raises(CheckpointError, match=r"2000\.pt was not written: No space left.*free"):
        checkpoints.save(_state(2000), 2000)
    monkeypatch.undo()
    assert os.listdir(tmp_path) == [old.name]
    assert load_checkpoint(old)["agent_steps"] == 1000


def test_a_really_full_disk_leaves_the_old_checkpoint(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("mounting a small disk needs root")
    try:
        checkpoints = Checkpoints(disk)
        old = checkpoints.save(_state(1000), 1000)
        with pytest.raises(CheckpointError, match="No space left"):
            checkpoints.save({"weights": torch.zeros(1_000_000)}, 2000)
        assert os.listdir(disk) == [old.name]
        assert checkpoints.latest() == old
        checkpoints.save(_state(3000), 3000)  # and it goes on once there is room
    finally:
        subprocess.run(["umount", str(disk)], check=True)


_DIE_WHILE_SAVING = """
import os, signal, sys, torch
from pathlib import Path
from accel.runs.checkpoint import Checkpoints

def die(*arguments):
    os.kill(os.getpid(), signal.SIGKILL)

def write_half(state, file):
    file.write(b"PK half of it")
    file.flush()
    die()

stage = {"write": (torch, "save", write_half), "fsync": (os, "fsync", die),
         "rename": (os, "replace", die)}[sys.argv[2]]
checkpoints = Checkpoints(Path(sys.argv[1]))
checkpoints.save({"agent_steps": 1000}, 1000)
setattr(*stage)
checkpoints.save({"agent_steps": 2000}, 2000)
"""


@pytest.mark.parametrize("stage", ["write", "fsync", "rename"])
def test_a_kill_at_each_stage_of_saving_leaves_the_last_one(tmp_path: Path, stage: str) -> None:
    command = [sys.executable, "-c", _DIE_WHILE_SAVING, str(tmp_path), stage]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    assert len(os.listdir(tmp_path)) == 2  # the half-written one is there, under another name
    checkpoints = Checkpoints(tmp_path)
    said = _warnings_of(checkpoints)
    latest = checkpoints.latest()
    assert latest is not None and load_checkpoint(latest)["agent_steps"] == 1000 and said == []
    checkpoints.save(_state(3000), 3000)
    assert sorted(os.listdir(tmp_path)) == ["step_000000001000.pt", "step_000000003000.pt"]


_SAVE_FOREVER = """
import sys, torch
from pathlib import Path
from accel.runs.checkpoint import Checkpoints
checkpoints = Checkpoints(Path(sys.argv[1]))
steps = 0
while True:
    steps += 1
    checkpoints.save({"weights": torch.full((200_000,), float(steps))}, steps)
    print(steps, flush=True)
"""


def test_a_kill_at_any_moment_leaves_a_loadable_latest(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _SAVE_FOREVER, str(tmp_path)]
    for delay in (0.0, 0.007):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        for _ in range(3):
            seen = int(process.stdout.readline())
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        seen = max([seen, *map(int, process.stdout.read().split())])
        process.wait()
        checkpoints = Checkpoints(tmp_path)
        said = _warnings_of(checkpoints)
        latest = checkpoints.latest()
        assert latest is not None and said == []
        weights = load_checkpoint(latest)["weights"]
        assert weights.min() == weights.max() == int(latest.stem.removeprefix("step_")) >= seen
        for entry in tmp_path.iterdir():
            entry.unlink()
