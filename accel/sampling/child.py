"""A process started by another with a socket between them: what workers and actors have in common.

The socket carries a plan, requests and answers, and a traceback if the child fails; that one side
hangs up tells the other that it has died.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any

from accel.sampling.scheduling import run_as_batch_job

_GRACE_S = 1.0  # for a child that listens to end by itself


def run_child(fd: int, run: Callable[[Connection, Any], None]) -> None:
    """In the child: receive the plan, `run` it, and hand a failure's traceback to the parent."""
    # Stopping is the parent's to decide: Ctrl-C and a scheduler's SIGTERM may reach every process.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    run_as_batch_job()
    connection = Connection(fd)
    threading.Thread(target=_end_with_parent, args=(fd,), daemon=True).start()
    try:
        run(connection, connection.recv())
    except (EOFError, BrokenPipeError):
        pass
    except BaseException:
        with suppress(OSError):  # the parent has died
            connection.send(("failed", traceback.format_exc()))
        sys.exit(1)


def how_it_ended(process: subprocess.Popen[bytes]) -> str:
    """In the parent: what became of a child that has hung up, e.g. "died: killed by SIGKILL"."""
    try:
        code = process.wait(timeout=2.0)
    except subprocess.TimeoutExpired:
        return "closed its connection"
    how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
    return f"died: {how}"


def _end_with_parent(fd: int) -> None:
    """End this process when the parent has died, even where an environment hangs."""
    poll = select.poll()
    poll.register(fd, 0)  # a hang-up is reported all the same
    poll.poll()
    time.sleep(_GRACE_S)
    os._exit(1)
