"""The loop over the slots, with little scripts for jobs."""

from __future__ import annotations

import io
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from accel.launching import signals
from accel.launching import sweep as sweep_module
from accel.launching.hardware import Core, Gpu
from accel.launching.job import Job, State
from accel.launching.slots import Slot
from accel.launching.sweep import Sweep
from accel.launching.table import SweepView
from accel.metrics.console import Console

CORES = sorted(os.sched_getaffinity(0))
DIVIDED = [Slot(i, (Gpu(f"GPU-{i}"),), (Core(CORES[i % len(CORES)]),)) for i in range(2)]
ANYWHERE = [Slot(0), Slot(1)]
DEAF = (
    "import signal, time; signal.signal(signal.SIGINT, signal.SIG_IGN); print('deaf', flush=True); "
    "time.sleep(60)"
)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, list, str]]:
    """run(scripts, slots): the exit code, the jobs and what the user saw."""
    monkeypatch.setattr(sweep_module, "_POLL_S", 0.01)

    def run(scripts: list[str], slots: list[Slot] = ANYWHERE) -> tuple[int, list[Job], str]:
        jobs = [
            Job(i, f"seed={i}", [sys.executable, "-c", script], tmp_path / str(i), 100)
            for i, script in enumerate(scripts)
        ]
        out = io.StringIO()
        code = Sweep(jobs, slots, SweepView(jobs, Console(out))).run()
        return code, jobs, out.getvalue()

    return run


def send_when(holds: Callable[[], bool], number: signal.Signals) -> None:
    """Signal this process as soon as something holds."""

    def wait() -> None:
        while not holds():
            time.sleep(0.01)
        os.kill(os.getpid(), number)

    threading.Thread(target=wait, daemon=True).start()


def printed(folder: Path, line: str) -> bool:
    log = folder / "train.log"
    return log.exists() and line in log.read_text().splitlines()


def test_each_job_has_its_slots_gpus_and_cores(run) -> None:
    script = (
        "import os, time; time.sleep(.3); "
        "print(os.environ['CUDA_VISIBLE_DEVICES'], *os.sched_getaffinity(0))"
    )
    code, jobs, _ = run([script] * 4, DIVIDED)
    assert code == 0
    assert {job.slot.index for job in jobs} == {0, 1}
    for job in jobs:
        assert job.state is State.FINISHED
        slot = DIVIDED[job.slot.index]
        assert job.last_lines(1) == [f"{slot.gpus[0].id} {slot.cores[0].number}"]


def test_the_next_begins_when_a_slot_is_free(run, tmp_path) -> None:
    until_the_last = f"while not os.path.exists({str(tmp_path / '3')!r}): time.sleep(.01)"
    timed = "import os, time; print(time.time())\n{}\nprint(time.time())"
    _, jobs, _ = run([timed.format(until_the_last), *[timed.format("")] * 3])
    assert [job.slot.index for job in jobs] == [0, 1, 1, 1]  # nobody waits for the first
    times = [list(map(float, job.last_lines(2))) for job in jobs]
    for before, after in ((1, 2), (2, 3)):
        assert times[before][1] <= times[after][0]


def test_a_failure_is_shown_and_stops_nobody(run) -> None:
    failing = "import sys; print('fine'); print('no such thing', file=sys.stderr); sys.exit(3)"
    code, jobs, out = run([failing, "print(1)", "import os; os.kill(os.getpid(), 9)", "print(1)"])
    assert code == 1
    states = [job.state.value for job in jobs]
    assert states == ["failed", "finished", "failed", "finished"]
    assert "failed: job 0 (seed=0) (exit code 3)" in out
    assert "    fine\n    no such thing\n" in out
    assert "killed by SIGKILL" in out
    assert out.endswith("2 finished, 2 failed\n")


def test_a_job_whose_folder_cannot_be_made_stops_nobody(run, tmp_path) -> None:
    (tmp_path / "0").write_text("a file in the way")
    code, jobs, out = run(["print(1)"] * 3)
    assert code == 1
    assert [job.state.value for job in jobs] == ["failed", "finished", "finished"]
    assert "job 0 (seed=0) could not start" in out and str(tmp_path / "0") in out


def test_the_log_holds_every_attempt(run, tmp_path) -> None:
    run(["print('first')"])
    _, jobs, _ = run(["print('second')"])
    lines = (tmp_path / "0" / "train.log").read_text().splitlines()
    assert lines[1::2] == ["first", "second"]
    assert "-c 'print('" in lines[0]  # the command, with its time
    assert jobs[0].last_lines(5) == ["second"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda n: n.name)
def test_asked_once_it_asks_each_job_once_and_starts_no_more(
    run, number, monkeypatch, tmp_path
) -> None:
    monkeypatch.setattr(signals, "monotonic", lambda: 100.0)  # what comes twice, comes at once
    polite = (
        "import signal, time; heard = []; "
        "signal.signal(signal.SIGINT, lambda *_: heard.append(1)); print('ready', flush=True); "
        "t = time.time()\nwhile not heard or time.time() - t < 1: time.sleep(.01)\n"
        "time.sleep(.2); print(len(heard))"
    )
    for _ in range(2):
        send_when(
            lambda: printed(tmp_path / "0", "ready") and printed(tmp_path / "1", "ready"), number
        )
    code, jobs, out = run([polite] * 3)
    assert code == 0
    assert [job.state for job in jobs] == [State.FINISHED, State.FINISHED, State.WAITING]
    assert [job.last_lines(1) for job in jobs[:2]] == [["1"], ["1"]]
    assert f"{number.name}: 2 jobs save and leave" in out
    assert "the same command goes on" in out


def test_asked_twice_it_ends_even_those_that_do_not_listen(run, monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(sweep_module, "_LEAVE_S", 0.3)
    for number in (signal.SIGINT, signal.SIGTERM):
        send_when(lambda: printed(tmp_path / "0", "deaf"), number)
    start = time.monotonic()
    code, jobs, _ = run([DEAF, "import time; time.sleep(60)"])
    assert code == 130 and time.monotonic() - start < 20
    assert jobs[0].state is State.STOPPED and jobs[1].state is not State.RUNNING
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_failure_of_ours_leaves_no_job(run, monkeypatch) -> None:
    def fail(self: SweepView) -> None:
        raise RuntimeError("the view broke")

    started: list[Job] = []
    monkeypatch.setattr(SweepView, "update", fail)
    monkeypatch.setattr(SweepView, "started", lambda self, job: started.append(job))
    with pytest.raises(RuntimeError, match="the view broke"):
        run(["import time; time.sleep(60)"] * 2)
    assert [job.exit_code for job in started] == [-signal.SIGKILL] * 2
