"""Runs in this process what a training leaves to others: workers, and an actor in a thread."""

from __future__ import annotations

import contextlib
import os
import threading
import traceback
from collections.abc import Iterator
from multiprocessing.connection import Connection
from typing import Any
from unittest import mock

from torch._subclasses.fake_tensor import FakeTensorMode

from accel.envs.batch import EnvRecipe
from accel.sampling import build, remote
from accel.sampling.actor_process import run_actor
from accel.sampling.stepping import SerialStepper
from accel.shared import Field, SharedBlock
from tests.dry_run import watch
from tests.dry_run.host_memory import HostMemory
from tests.dry_run.watch import Watch


class WorkersHere(SerialStepper):
    """The interface of `Workers`, with the same memory shared with nobody."""

    def __init__(
        self,
        recipe: EnvRecipe,
        fields: list[Field],
        groups: list[slice],
        *,
        num_workers: int,
        timeout_s: float,
        **common: Any,
    ) -> None:
        self.block = SharedBlock(fields)
        self.arrays = self.block.arrays
        super().__init__(recipe, self.arrays, groups, **common)

    def release(self, group: int, slot: int, t: int) -> None:
        watch.current().mark(t)
        super().release(group, slot, t)


@contextlib.contextmanager
def in_this_one(host: HostMemory) -> Iterator[list[Watch]]:
    """Take the processes away; the list that is given grows by the watch over each actor."""
    watches: list[Watch] = []

    class ActorHere:
        """The interface of `Popen` to an actor in a thread, watched like a process of its own."""

        def __init__(self, command: list[str], *, pass_fds: tuple[int, ...], **more: Any) -> None:
            # The learner closes its own copies, as it may once another process has them.
            self._fds = {fd: os.dup(fd) for fd in pass_fds}
            self._connection = Connection(self._fds[int(command[-1])])
            self._watch = Watch(host)
            watches.append(self._watch)
            self._thread = threading.Thread(target=self._run, daemon=True)
            self._thread.start()

        def wait(self, timeout: float | None = None) -> int:
            self._thread.join(60)
            assert not self._thread.is_alive(), "the actor did not end when asked to"
            return 0

        def kill(self) -> None: ...

        def _run(self) -> None:
            try:
                plan = self._connection.recv()
                # An actor's plan has no secrets from a thread but its memory's descriptor.
                plan = type(plan)(**{**vars(plan), "block_fd": self._fds[plan.block_fd]})
                with FakeTensorMode(allow_non_fake_inputs=True), self._watch:
                    run_actor(self._connection, plan)
            except EOFError:
                pass
            except BaseException:
                with contextlib.suppress(OSError):
                    self._connection.send(("failed", traceback.format_exc()))
            finally:
                self._connection.close()

    with (
        mock.patch.object(build, "Workers", WorkersHere),
        mock.patch.object(remote.subprocess, "Popen", ActorHere),
    ):
        yield watches
