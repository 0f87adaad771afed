import errno
import fcntl
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from accel.runs.checkpoint import load_checkpoint
from accel.runs.folder import RunFolder, RunFolderError

_FACTS: dict[str, Any] = {
    "config": {"algo": {"name": "ppo"}},
    "seeds": {"seed": 0},
    "command": ["train.py", "seed=0"],
    "code": {"available": False, "reason": "a test"},
}


def _run_until(path: Path, agent_steps: int, status: str | None = "finished") -> None:
    """Make a run that saved one checkpoint; status None ends it as a kill would."""
    run = RunFolder(path)
    run.begin(**_FACTS)
    run.tb_dir.mkdir(exist_ok=True)
    (run.tb_dir / "events").write_text("curve")
    run.csv_path.write_text("agent_steps\n")
    run.checkpoints.save({"weights": torch.ones(3)}, agent_steps)
    run.manifest.record_progress(agent_steps)
    if status is not None:
        run.end(status, "a test", agent_steps)  # type: ignore[arg-type]
    run.close()


def _manifest(path: Path) -> dict[str, Any]:
    return json.loads((path / "manifest.json").read_text())


def test_a_new_folder_starts_a_run_and_records_it(tmp_path: Path) -> None:
    with RunFolder(tmp_path / "deep" / "run") as run:
        assert run.checkpoint is None and run.resume_step is None
        run.begin(**_FACTS)
        manifest = _manifest(run.path)
        assert manifest["status"] == "running"
        assert manifest["config"] == {"algo": {"name": "ppo"}}
        assert manifest["versions"]["torch"] and manifest["machine"]["cores_usable"] >= 1
        run.end("finished", "reached total_agent_steps", 1000)
    manifest = _manifest(run.path)
    assert (manifest["status"], manifest["agent_steps"]) == ("finished", 1000)
    assert manifest["ended"].endswith("Z") and len(manifest["attempts"]) == 1


def test_a_finished_run_is_refused_with_three_ways_out(tmp_path: Path) -> None:
    _run_until(tmp_path, 5000)
    for resume in ("auto", "off", "must"):
        with pytest.raises(RunFolderError) as refusal:
            RunFolder(tmp_path, resume=resume)  # type: ignore[arg-type]
        text = str(refusal.value)
        assert str(tmp_path) in text and "finished (5,000 agent steps" in text
        assert "overwrite=true" in text and "another run_dir or seed" in text
        assert f"fork={tmp_path}@last" in text


@pytest.mark.parametrize("status", [None, "failed", "interrupted"])
@pytest.mark.parametrize("resume", ["auto", "must"])
def test_an_unfinished_run_goes_on(tmp_path: Path, status: str | None, resume: str) -> None:
    _run_until(tmp_path, 5000, status)
    with RunFolder(tmp_path, resume=resume) as run:  # type: ignore[arg-type]
        assert run.resume_step == 5000
        assert run.checkpoint is not None
        assert torch.equal(load_checkpoint(run.checkpoint)["weights"], torch.ones(3))
        assert (run.tb_dir / "events").exists() and run.csv_path.exists()
        run.begin(**_FACTS)
        run.end("finished", "done", 9000)
    attempts = _manifest(tmp_path)["attempts"]
    assert [attempt["status"] for attempt in attempts] == [status or "killed", "finished"]
    assert [attempt["from_agent_steps"] for attempt in attempts] == [0, 5000]


def test_resume_off_refuses_an_unfinished_run(tmp_path: Path) -> None:
    _run_until(tmp_path, 5000, None)
    with pytest.raises(RunFolderError, match=r"unfinished.*resume=off.*overwrite=true"):
        RunFolder(tmp_path, resume="off")


def test_resume_must_refuses_to_start(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match="holds no run to resume"):
        RunFolder(tmp_path, resume="must")
    run = RunFolder(tmp_path)
    run.begin(**_FACTS)
    run.close()
    with pytest.raises(RunFolderError, match="saved no checkpoint"):
        RunFolder(tmp_path, resume="must")
    with pytest.raises(RunFolderError, match="contradict"):
        RunFolder(tmp_path, resume="must", overwrite=True)


@pytest.mark.parametrize("status", [None, "finished"])
def test_overwrite_deletes_what_a_run_writes_and_nothing_else(
    tmp_path: Path, status: str | None
) -> None:
    _run_until(tmp_path, 5000, status)
    (tmp_path / "eval_000005000.json").write_text("{}")
    (tmp_path / "replay").mkdir()
    (tmp_path / "my_notes.txt").write_text("keep")
    with RunFolder(tmp_path, overwrite=True) as run:
        assert run.checkpoint is None
        assert sorted(entry.name for entry in tmp_path.iterdir()) == ["my_notes.txt", "run.lock"]
        run.begin(**_FACTS)
    assert len(_manifest(tmp_path)["attempts"]) == 1


def test_a_run_that_died_before_its_first_checkpoint_starts_again(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    run.begin(**_FACTS)
    run.csv_path.write_text("agent_steps\n")
    run.close()
    with RunFolder(tmp_path) as run:
        assert run.checkpoint is None and not run.csv_path.exists()
        run.begin(**_FACTS)
    assert [a["status"] for a in _manifest(tmp_path)["attempts"]] == ["killed", "interrupted"]


def test_damaged_checkpoints_fall_back_and_then_refuse(tmp_path: Path) -> None:
    _run_until(tmp_path, 5000, None)
    run = RunFolder(tmp_path)
    newer = run.checkpoints.save({"weights": torch.zeros(3)}, 6000)
    run.close()
    newer.write_bytes(b"damaged")
    said: list[str] = []
    run = RunFolder(tmp_path, warn=said.append)
    assert run.resume_step == 5000 and newer.name in said[0]
    assert run.checkpoint is not None
    run.close()
    run.checkpoint.write_bytes(b"damaged too")
    with pytest.raises(RunFolderError, match="every checkpoint of it is damaged"):
        RunFolder(tmp_path, warn=said.append)


def test_foreign_files_are_never_taken_for_a_run(tmp_path: Path) -> None:
    (tmp_path / "metrics.csv").write_text("precious")
    for overwrite in (False, True):
        with pytest.raises(RunFolderError, match=r"metrics\.csv but no manifest\.json"):
            RunFolder(tmp_path, overwrite=overwrite)
    assert (tmp_path / "metrics.csv").read_text() == "precious"


def test_files_that_no_run_writes_do_not_matter(tmp_path: Path) -> None:
    (tmp_path / "slurm-123.out").write_text("log")
    with RunFolder(tmp_path) as run:
        assert run.checkpoint is None


def test_an_unreadable_manifest_is_refused_by_name(tmp_path: Path) -> None:
    _run_until(tmp_path, 5000)
    (tmp_path / "manifest.json").write_text('{"format": 1, "sta')
    with pytest.raises(RunFolderError, match=r"manifest\.json cannot be read"):
        RunFolder(tmp_path)
    RunFolder(tmp_path, overwrite=True).close()


def test_a_file_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("")
    with pytest.raises(RunFolderError, match="is a file"):
        RunFolder(tmp_path / "run")


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        (ValueError("worker 3 died"), "failed", "ValueError: worker 3 died"),
        (KeyboardInterrupt(), "interrupted", "KeyboardInterrupt"),
        (None, "interrupted", "left before it was finished"),
    ],
)
def test_leaving_records_how(
    tmp_path: Path, error: BaseException | None, status: str, reason: str
) -> None:
    def use() -> None:
        with RunFolder(tmp_path) as run:
            run.begin(**_FACTS)
            if error is not None:
                raise error

    if error is None:
        use()
    else:
        with pytest.raises(type(error)):
            use()
    manifest = _manifest(tmp_path)
    assert (manifest["status"], manifest["exit_reason"]) == (status, reason)


def test_a_disk_too_full_for_the_manifest_does_not_hide_the_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(ValueError, match="worker 3 died"), RunFolder(tmp_path) as run:
        run.begin(**_FACTS)
        monkeypatch.setattr(os, "fsync", full)
        raise ValueError("worker 3 died")
    monkeypatch.undo()
    assert _manifest(tmp_path)["status"] == "running"  # so it counts as killed, and can be resumed
    RunFolder(tmp_path).close()


def test_a_refusal_before_begin_leaves_the_manifest_alone(tmp_path: Path) -> None:
    _run_until(tmp_path, 5000, None)
    before = (tmp_path / "manifest.json").read_bytes()
    with pytest.raises(ValueError, match="config"), RunFolder(tmp_path):
        raise ValueError("config does not fit the checkpoint")
    assert (tmp_path / "manifest.json").read_bytes() == before


_HOLD = """
import sys
from accel.runs.folder import RunFolder
run = RunFolder(sys.argv[1])
print("held", flush=True)
sys.stdin.read()
"""


def test_a_second_process_is_refused_until_the_first_one_dies(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _HOLD, str(tmp_path)]
    holder = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None and holder.stdout.readline() == "held\n"
    for overwrite in (False, True):
        with pytest.raises(RunFolderError, match=f"in use by process {holder.pid} on "):
            RunFolder(tmp_path, overwrite=overwrite)
    holder.kill()
    holder.communicate()
    RunFolder(tmp_path).close()


def test_one_process_cannot_open_a_folder_twice(tmp_path: Path) -> None:
    with RunFolder(tmp_path), pytest.raises(RunFolderError, match="in use"):
        RunFolder(tmp_path)
    RunFolder(tmp_path).close()
    with pytest.raises(RunFolderError):
        RunFolder(tmp_path, resume="must")
    RunFolder(tmp_path).close()  # a refusal lets go of the lock


def test_a_file_system_without_locks_gives_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unsupported(file: object, operation: int) -> None:
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", unsupported)
    said: list[str] = []
    RunFolder(tmp_path, warn=said.append).close()
    assert len(said) == 1 and "without locks" in said[0]


def test_the_room_needs_no_torch() -> None:
    code = (
        "import sys; import accel.runs.folder, accel.runs.checkpoint, accel.runs.code_state, "
        "accel.runs.machine, accel.runs.differences; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
