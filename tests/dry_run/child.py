"""The process of the dry run: what it changes of torch is changed for good.

`python -m tests.dry_run.child LIBRARY FD` answers requests (training, fault to make) over a socket.
"""

from __future__ import annotations

import sys
import traceback
from multiprocessing.connection import Connection


def main(library: str, fd: int) -> None:
    from tests.dry_run import runtime

    runtime.load(library)  # before anything imports torch
    from tests.dry_run import broken, trainings

    connection = Connection(fd)
    while True:
        try:
            name, fault = connection.recv()
        except EOFError:
            return
        try:
            with broken.by(fault):
                answer = trainings.run(name)
        except Exception:
            answer = {"failed": traceback.format_exc()}
        connection.send(answer)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
