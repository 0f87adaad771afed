"""In place of launch/train.py: notes what a rank was given and which signals it got.

Its first word says what it does then:
  end     nothing
  wait    wait for a SIGTERM, unless SLURM has restarted the job
  lose    meet the other ranks, lose the last one the first time, then as `wait`
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import time
from pathlib import Path

PATIENCE_S = 30
NAMES = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "LOCAL_WORLD_SIZE")
SEEN = ("CUDA_VISIBLE_DEVICES", "SLURMD_NODENAME", "SLURM_RESTART_COUNT", "SLURM_CPUS_PER_TASK")
notes = Path(os.environ.get("NOTES", "notes"))
rank = int(os.environ.get("RANK", os.environ.get("SLURM_ARRAY_TASK_ID", "0")))
ranks = int(os.environ.get("WORLD_SIZE", "1"))
restarts = int(os.environ.get("SLURM_RESTART_COUNT", "0"))
signals: list[str] = []


def note() -> None:
    path = notes / f"start{restarts}-attempt{attempt}-rank{rank}.json"
    told = {name: os.environ.get(name) for name in (*NAMES, *SEEN)}
    told.update(argv=sys.argv[1:], signals=signals)
    path.with_suffix(".new").write_text(json.dumps(told))
    path.with_suffix(".new").rename(path)


def heard(number: int, frame: object) -> None:
    signals.append(signal.Signals(number).name)
    note()


def meet() -> list[socket.socket]:
    """Connections between rank 0 and all others, which break with either end."""
    address = (os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]))
    if rank == 0:
        server = socket.create_server(address)
        server.settimeout(PATIENCE_S)
        return [server.accept()[0] for _ in range(ranks - 1)]
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            return [socket.create_connection(address, timeout=PATIENCE_S)]
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


notes.mkdir(parents=True, exist_ok=True)
attempt = len(list(notes.glob(f"start{restarts}-attempt*-rank{rank}.json")))
signal.signal(signal.SIGTERM, heard)
what = next(word.partition("=")[2] for word in sys.argv if word.startswith("do="))
if what == "lose":
    peers = meet()
note()
if what == "lose" and restarts == 0 and attempt == 0:
    if rank == ranks - 1:
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(3600)  # as a rank that waits for the lost one: SLURM has to end it
if what in ("wait", "lose") and restarts == 0:
    while not signals:
        time.sleep(0.05)
    time.sleep(0.5)  # time for a second signal, which must not come
