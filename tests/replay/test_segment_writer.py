"""What a replay keeps is written beside training: nobody waits, nothing is torn or piles up."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from accel.replay.ring import FrameRing
from accel.runners import segment_writer
from accel.runners.replay_segments import Segment, Segments
from accel.runners.segment_writer import MOST_PIECES, SegmentWriter
from accel.runs.checkpoint_file import CheckpointError
from tests.replay.kept_replay import ENVS, LENGTH, ROWS, SEGMENT_ROWS, Run, assert_same
from tests.replay.plain_replay import RandomGames, make_spec, to_device

pytestmark = pytest.mark.usefixtures("tiny_segments")


class Disk:
    """A disk that writes a segment only when it is let to."""

    def __init__(self, write: Callable[..., None]) -> None:
        self.write, self.leave = write, threading.Semaphore(0)
        self.started: list[range] = []


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch, tiny_segments: None) -> Iterator[Disk]:
    disk = Disk(Segments.write)

    def write(segments: Segments, segment: Segment, fields: dict[str, Tensor]) -> None:
        disk.started.append(segment.rows)
        assert disk.leave.acquire(timeout=30)
        disk.write(segments, segment, fields)

    monkeypatch.setattr(Segments, "write", write)
    yield disk
    disk.leave.release(1000)


def play(run: Run, rollouts: int) -> None:
    """Without waiting for what is written."""
    for _ in range(rollouts):
        run.add_rollout()
        run.journal.follow()


def test_the_learner_never_waits_and_little_is_held_for_the_disk(disk: Disk, tmp_path) -> None:
    """Through three rings of steps while the disk does nothing; then it catches up."""
    run, kept = Run(tmp_path), Run(tmp_path / "never")
    began = time.monotonic()
    play(run, 3 * ROWS // LENGTH)
    assert time.monotonic() - began < 10 and run.rows() == []
    pieces = run.journal._writer._pieces
    assert [piece.rows for piece in pieces] == [range(8), range(8, 16)] and len(
        pieces
    ) == MOST_PIECES
    disk.leave.release(1000)
    state = run.checkpoint()
    assert disk.started == [range(8), range(8, 16), range(32, 40), range(40, 48)]
    for _ in range(3 * ROWS // LENGTH):
        kept.add_rollout()
    assert_same(kept.replay, run.resume(state).replay)


def test_what_waits_for_the_disk_is_a_copy(disk: Disk, tmp_path: Path) -> None:
    """Written whole after the ring has overwritten it, and then written by nobody else."""
    run, steps = Run(tmp_path), Run(tmp_path / "never")
    for run_ in (run, steps):
        play(run_, SEGMENT_ROWS // LENGTH)
    expected = steps.replay.ring.copy_rows(range(SEGMENT_ROWS))
    play(run, ROWS // LENGTH)
    disk.leave.release(1)
    while not run.rows():
        time.sleep(0.01)
    written = torch.load(next(tmp_path.glob("*.pt")), weights_only=True)
    for name, tensor in expected.items():
        assert torch.equal(written[name], tensor), name


def test_the_thread_goes_on_while_the_learner_learns(disk: Disk, tmp_path: Path) -> None:
    """The second piece needs no further rollout to be begun."""
    run = Run(tmp_path)
    play(run, 2 * SEGMENT_ROWS // LENGTH)
    disk.leave.release(2)
    deadline = time.monotonic() + 10
    while len(run.rows()) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert run.rows() == [(0, 8), (8, 16)]


def test_a_failure_is_raised_where_training_is(disk: Disk, tmp_path: Path) -> None:
    def fail(*_: Any) -> None:
        raise ZeroDivisionError("in the thread")

    run, disk.write = Run(tmp_path), fail
    play(run, SEGMENT_ROWS // LENGTH)
    disk.leave.release(1000)
    with pytest.raises(ZeroDivisionError, match="in the thread"):
        run.settle()
    play(run, SEGMENT_ROWS // LENGTH)
    with pytest.raises(ZeroDivisionError):
        run.journal.save()


def test_a_checkpoint_makes_up_for_what_the_thread_could_not_write(disk: Disk, tmp_path) -> None:
    """Also where a later piece was written: there must be no gap before it."""
    write, refuse = disk.write, iter([True])

    def write_but_once(*args: Any) -> None:
        if next(refuse, False):
            raise CheckpointError("for once")
        write(*args)

    run, disk.write = Run(tmp_path), write_but_once
    play(run, 2 * SEGMENT_ROWS // LENGTH)
    disk.leave.release(1000)
    assert_same(run.replay, run.resume(run.checkpoint()).replay)


def test_closing_ends_the_thread_and_leaves_what_was_not_begun(disk: Disk, tmp_path) -> None:
    run = Run(tmp_path)
    play(run, 2 * SEGMENT_ROWS // LENGTH)
    thread = run.journal._writer._thread
    while not disk.started:
        time.sleep(0.01)
    threading.Timer(0.2, disk.leave.release, [1000]).start()
    run.journal.close()
    run.journal.close()
    assert not thread.is_alive() and run.rows() == [(0, 8)]
    with pytest.raises(RuntimeError, match="has been closed"):
        run.journal.save()


def test_no_disk_holds_up_the_end(disk: Disk, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(segment_writer, "_CLOSE_TIMEOUT_S", 0.1)
    run = Run(tmp_path)
    play(run, SEGMENT_ROWS // LENGTH)
    began = time.monotonic()
    run.journal.close()
    assert time.monotonic() - began < 5


def test_an_interpreter_ends_while_its_disk_hangs() -> None:
    script = (
        "import time, torch\n"
        "from accel.replay.ring import FrameRing\n"
        "from accel.runners.segment_writer import SegmentWriter\n"
        "from accel.types import EnvSpec\n"
        "spec = EnvSpec((2,), 'int32', 1, 2, 1)\n"
        "ring = FrameRing(spec, num_rows=8, num_envs=2, rollout_length=4)\n"
        "SegmentWriter(ring, 4).give(range(4), lambda fields: time.sleep(60))\n"
        "print('given', flush=True)\n"
    )
    root = Path(__file__).resolve().parents[2]
    result = subprocess.run(
        [sys.executable, "-c", script], cwd=root, capture_output=True, text=True, timeout=30,
        check=True,
    )  # fmt: skip
    assert result.stdout == "given\n" and result.stderr == ""


class Arrival:
    """A copy from a device that is under way."""

    def __init__(self) -> None:
        self.is_there, self.was_waited_for = False, False

    def query(self) -> bool:
        return self.is_there

    def synchronize(self) -> None:
        self.is_there = self.was_waited_for = True


def test_rows_of_a_gpu_are_written_when_they_have_arrived(tmp_path, monkeypatch) -> None:
    """Nobody waits for them before a checkpoint."""
    arrivals: list[Arrival] = []
    bring = FrameRing.bring_rows

    def bring_later(ring: FrameRing, rows: range, memory: dict[str, Tensor]) -> Arrival:
        bring(ring, rows, memory)
        arrivals.append(Arrival())
        return arrivals[-1]

    monkeypatch.setattr(FrameRing, "bring_rows", bring_later)
    run = Run(tmp_path)
    play(run, 2 * SEGMENT_ROWS // LENGTH)
    assert len(arrivals) == 2 and run.journal._writer._thread is None
    arrivals[0].is_there = True
    run.journal.follow()
    while run.rows() != [(0, 8)]:
        time.sleep(0.01)
    assert not arrivals[1].was_waited_for
    state = run.checkpoint()
    assert arrivals[1].was_waited_for and not arrivals[0].was_waited_for
    assert run.rows() == [(0, 8), (8, 16)]
    assert_same(run.replay, run.resume(state).replay)


@pytest.mark.parametrize("first_row", [0, 8, 20, 28])
def test_rows_are_brought_as_they_are_copied(first_row: int, tmp_path: Path) -> None:
    """Also around the ring's end."""
    run = Run(tmp_path)
    while run.replay.ring.num_written < first_row + SEGMENT_ROWS:
        run.add_rollout()
    ring, rows = run.replay.ring, range(first_row, first_row + SEGMENT_ROWS)
    memory = ring.host_memory(len(rows))
    assert ring.bring_rows(rows, memory) is None
    for name, tensor in ring.copy_rows(rows).items():
        assert torch.equal(memory[name], tensor), name


@pytest.mark.gpu
def test_a_gpu_brings_its_rows_without_a_wait() -> None:
    games, spec = RandomGames(ENVS, LENGTH, 4, seed=0), make_spec(4)
    rollouts = [to_device(games.rollout(), "cuda") for _ in range(2 * ROWS // LENGTH)]
    ring = FrameRing(spec, num_rows=ROWS, num_envs=ENVS, rollout_length=LENGTH, device="cuda")
    writer = SegmentWriter(ring, SEGMENT_ROWS)
    for rollout in rollouts[: SEGMENT_ROWS // LENGTH]:
        ring.append(rollout)
    expected = ring.copy_rows(range(SEGMENT_ROWS))
    written: list[dict[str, Tensor]] = []
    torch.cuda.set_sync_debug_mode("error")
    try:
        writer.give(range(SEGMENT_ROWS), written.append)
        for rollout in rollouts[SEGMENT_ROWS // LENGTH :]:
            ring.append(rollout)  # over those rows too: they are copied in order with it
    finally:
        torch.cuda.set_sync_debug_mode("default")
    writer.wait()
    writer.close()
    for name, tensor in expected.items():
        assert written[0][name].is_pinned()
        assert torch.equal(written[0][name], tensor.cpu()), name
