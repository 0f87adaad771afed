"""A process that does dry runs, seen from outside."""

from __future__ import annotations

import os
import subprocess
import sys
from multiprocessing import Pipe
from pathlib import Path
from typing import Any

from tests.dry_run import runtime
from tests.run_commands import GAMES, ROOT, WITHOUT_GIT

TIMEOUT_S = 300.0


class DryRuns:
    """Runs trainings in one process after the other, until closed."""

    def __init__(self, folder: Path) -> None:
        """Compile the runtime into `folder` and start."""
        library = runtime.build(folder)
        self._connection, theirs = Pipe()
        path = [str(ROOT), str(GAMES), *filter(None, [os.environ.get("PYTHONPATH")])]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.dry_run.child", str(library), str(theirs.fileno())],
            cwd=folder,
            pass_fds=(theirs.fileno(),),
            env={**os.environ, **WITHOUT_GIT, "PYTHONPATH": os.pathsep.join(path),
                 "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"},
        )  # fmt: skip
        theirs.close()

    def run(self, name: str, fault: str | None = None) -> dict[str, Any]:
        """What `trainings.run` returns; of a run that raised, the traceback as "failed"."""
        self._connection.send((name, fault))
        if not self._connection.poll(TIMEOUT_S):
            self._process.kill()
            raise TimeoutError(f"the dry run of {name} took more than {TIMEOUT_S:g} s")
        return self._connection.recv()

    def close(self) -> None:
        self._connection.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
