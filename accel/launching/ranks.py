"""Start the ranks of one job on this machine and watch them: one lost, all end.

What torchrun does with `--standalone`, but Ctrl-C reaches every rank exactly once, so that the run
is saved, and the exit code is the run's own.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from types import FrameType

_LAUNCHER = "ACCEL_LAUNCHER"  # process id of the launcher, for its ranks
_HYDRAS_OWN = "HYDRA_FULL_ERROR"  # set while a task runs; a rank would show users tracebacks
_USER_MISTAKE = 2
_POLL_S = 0.05
_GRACE_S = 15.0  # for ranks to end after one of them was lost, then they are killed
_PR_SET_PDEATHSIG = 1


def launch_ranks(command: Sequence[str], count: int) -> int:
    """Run `command` as `count` ranks, with torchrun's variables in the environment.

    Each gets cores of its own where there are enough. The first SIGINT or SIGTERM is handed to all
    ranks, the second likewise. Returns the exit code: the first that is not 0, else 0.
    """
    port = _free_port()
    ranks = [_start(command, rank, count, port) for rank in range(count)]

    def forward(number: int, frame: FrameType | None) -> None:
        _signal(ranks, number)

    before = {n: signal.signal(n, forward) for n in (signal.SIGINT, signal.SIGTERM)}
    try:
        return _watch(ranks)
    finally:
        _signal(ranks, signal.SIGKILL)
        for number, handler in before.items():
            signal.signal(number, handler)


def is_our_rank() -> bool:
    """Whether this process was started by `launch_ranks`, not by torchrun or srun."""
    return _LAUNCHER in os.environ


def end_with_launcher() -> None:
    """In a rank: be asked to stop when the launcher dies, however it dies (on Linux)."""
    launcher = os.environ.get(_LAUNCHER)
    if launcher is None or not sys.platform.startswith("linux"):
        return
    import ctypes

    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != int(launcher):  # it died before
        sys.exit(1)


def _start(command: Sequence[str], rank: int, count: int, port: int) -> subprocess.Popen:
    cores = _share_of_cores(rank, count)
    environment = {
        **{name: value for name, value in os.environ.items() if name != _HYDRAS_OWN},
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(count),
        "LOCAL_WORLD_SIZE": "1" if cores else str(count),  # how many share the usable cores
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        _LAUNCHER: str(os.getpid()),
    }
    # In a session of its own: a terminal's Ctrl-C reaches the launcher alone, which hands it on.
    process = subprocess.Popen(command, env=environment, start_new_session=True)
    if cores:
        with suppress(OSError):  # not allowed here, or it has ended: nothing depends on it
            os.sched_setaffinity(process.pid, cores)
    return process


def _share_of_cores(rank: int, count: int) -> set[int]:
    """The rank's part of the usable cores; empty where there are too few, or no way to tell."""
    if not hasattr(os, "sched_getaffinity"):  # macOS
        return set()
    cores = sorted(os.sched_getaffinity(0))
    each = len(cores) // count
    return set(cores[rank * each : (rank + 1) * each])


def _watch(ranks: list[subprocess.Popen]) -> int:
    """Wait for all; once one has failed, end the others."""
    while True:
        codes = [process.poll() for process in ranks]
        failed = next((rank for rank, code in enumerate(codes) if code), None)
        if failed is not None:
            return _end_all(ranks, failed)
        if None not in codes:
            return 0
        time.sleep(_POLL_S)


def _end_all(ranks: list[subprocess.Popen], failed: int) -> int:
    code = ranks[failed].returncode
    if code < 0:
        name = signal.Signals(-code).name
        sys.stderr.write(f"rank {failed} was killed by {name}; ending the other ranks\n")
    elif code == 1:
        sys.stderr.write(f"rank {failed} failed (see above); ending the other ranks\n")
    deadline = time.monotonic() + _GRACE_S
    # A mistake is found before any work: there is nothing to save.
    _signal(ranks, signal.SIGKILL if code == _USER_MISTAKE else signal.SIGTERM)
    _signal(ranks, signal.SIGCONT)  # one that is stopped can end as well
    while any(process.poll() is None for process in ranks) and time.monotonic() < deadline:
        time.sleep(_POLL_S)
    return code if code > 0 else 1


def _signal(ranks: list[subprocess.Popen], number: int) -> None:
    for process in ranks:
        if process.poll() is None:
            process.send_signal(number)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
