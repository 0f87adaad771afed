"""A replay on disk: written once, piece by piece, as much as is needed, never with a gap."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from accel.config.errors import ConfigError
from accel.runners import replay_journal
from accel.runners.replay_journal import Journal
from accel.runners.replay_segments import Segments
from accel.runs.checkpoint_file import CheckpointError, DamagedCheckpoint
from accel.runs.disk import is_full
from tests.replay.kept_replay import Run, assert_same
from tests.replay.team import Member, Team

pytestmark = pytest.mark.usefixtures("tiny_segments")


def test_rows_are_written_once_as_they_come(tmp_path: Path) -> None:
    run, files = Run(tmp_path), []
    for _ in range(5):
        run.play()
        files.append(run.rows())
    assert files == [[], [(0, 8)], [(0, 8)], [(0, 8), (8, 16)], [(0, 8), (8, 16)]]
    run.journal.save()
    assert run.rows() == [(0, 8), (8, 16), (16, 20)]
    run.journal.save()  # nothing new
    assert run.rows() == [(0, 8), (8, 16), (16, 20)]
    run.play(2)
    assert run.rows()[-1] == (20, 28)


def test_a_replay_smaller_than_a_segment_is_written_at_checkpoints(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(replay_journal, "SEGMENT_BYTES", 1 << 20)
    run = Run(tmp_path)
    run.play(7)
    assert run.rows() == []
    state = run.checkpoint()
    assert run.rows() == [(12, 28)]
    assert_same(run.replay, run.resume(state).replay)


def test_what_no_checkpoint_needs_is_removed(tmp_path: Path) -> None:
    run = Run(tmp_path)
    states = []
    for rollouts in (3, 4, 3):
        run.play(rollouts)
        states.append(run.checkpoint())
    assert run.rows()[0] == (12, 20)  # of the checkpoints at 12, 28 and 40 rows the first is gone
    run.play(20)
    kept, newest = [(12, 20), (20, 28), (28, 36), (36, 40)], [(104, 112), (112, 120)]
    assert run.rows() == kept + newest  # of the checkpoints at 28 and 40, and of the next one
    other = Run(tmp_path / "other")
    other.play(7)
    assert_same(other.replay, run.resume(states[1]).replay)
    run.journal.clear()
    assert not tmp_path.exists()


def test_a_resume_abandons_the_future_and_goes_on_exactly(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.play(5)
    state = run.checkpoint()
    run.play(6)  # two more segments; then it is killed in the middle of another
    (tmp_path / ".rows_36.pt.tmp-1").write_text("cut off")
    resumed = run.resume(state)
    assert max(stop for _, stop in resumed.rows()) == 20
    resumed.play(6)
    assert_same(run.replay, resumed.replay)


def test_a_future_of_other_checkpoints_is_abandoned_too(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.play(5)
    state = run.checkpoint()
    run.play(1)
    run.checkpoint()  # damaged, let us say
    resumed = run.resume(state)
    resumed.play(3)
    assert_same(resumed.replay, resumed.resume(resumed.checkpoint()).replay)


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def alter(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("harm", [Path.unlink, cut_short, alter], ids=lambda harm: harm.__name__)
def test_a_segment_that_is_gone_or_damaged_is_named_on_all_ranks(harm, tmp_path: Path) -> None:
    def save(member: Member) -> dict[str, Any]:
        run = Run(tmp_path, member)
        run.play(7)
        return run.journal.save()

    state = Team(2).run(save)[0]
    path = tmp_path / "rows_000000000012-000000000028_envs_00002-00004.pt"
    harm(path)

    def load(member: Member) -> str:
        with pytest.raises(DamagedCheckpoint) as error:
            Run(tmp_path, member).journal.load(state)
        return str(error.value)

    for message in Team(2).run(load):
        assert str(path) in message and "algo.save_replay=false" in message


@contextmanager
def little_room(limit: int) -> Iterator[None]:
    """What a full disk is to a process: writes beyond `limit` bytes of a file fail."""
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, old[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, old)


def test_a_full_disk_is_tried_again_after_as_many_steps(tmp_path: Path) -> None:
    run = Run(tmp_path)
    with little_room(500):
        for _ in range(2):
            run.play()
            with pytest.raises(CheckpointError, match="rows_000000000000-000000000008") as error:
                run.play()
            assert is_full(error.value)
        with pytest.raises(CheckpointError):
            run.journal.save()
    assert run.rows() == []
    run.play(2)
    assert run.rows() == [(8, 16), (16, 24)]
    assert_same(run.replay, run.resume(run.checkpoint()).replay)


def test_a_rank_that_cannot_write_stops_all(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    def save(member: Member) -> None:
        run = Run(tmp_path / ("file" if member.ranks.rank else "folder"), member)
        run.play(1)
        with pytest.raises(OSError, match="File exists"):
            run.journal.save()

    Team(2).run(save)


def test_other_sizes_are_refused(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.play(5)
    with pytest.raises(ConfigError) as error:
        run.resume(run.checkpoint(), num_rows=32)
    assert "num_rows 16 -> 32" in str(error.value)
    assert "algo.save_replay=false" in str(error.value)


def test_an_empty_start_says_so_and_forgets_what_was(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.play(5)
    run.checkpoint()
    anew = Run(tmp_path)
    anew.journal.load(None)
    assert anew.rows() == [] and "starts empty" in anew.warnings[0]
    assert run.warnings == []


def test_without_a_replay_to_keep_what_was_kept_goes(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.play(5)
    state = run.checkpoint()
    journal = Journal(Segments(tmp_path))
    journal.load(state)
    assert len(run.rows()) == 3  # until there is a checkpoint that does without
    assert journal.save() is None
    journal.note_checkpoint()
    assert not tmp_path.exists()
