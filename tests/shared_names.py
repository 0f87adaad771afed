"""What lies in /dev/shm, while other tests, in other processes, may use it for moments too."""

import os
import time

FOLDER = "/dev/shm"


def shared_names() -> set[str]:
    """The names that memory and semaphores have there."""
    return set(os.listdir(FOLDER))


def nothing_new(before: set[str], within_s: float = 1.0) -> bool:
    """Whether all that was not there `before` is gone within `within_s` seconds.

    A semaphore of multiprocessing has a name for microseconds, between opened and unlinked.
    """
    deadline = time.monotonic() + within_s
    while new := shared_names() - before:
        if time.monotonic() > deadline:
            print(f"left in {FOLDER}: {sorted(new)}")
            return False
        time.sleep(0.05)
    return True
