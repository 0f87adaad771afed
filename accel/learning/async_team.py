"""Learners that do not wait for each other, except where one of them asks all to meet."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence

from accel.algos import ALONE, Ranks
from accel.learning.sync import RankError, Together
from accel.shared import Field, SharedBlock


class NotOneMachine(RankError):
    """A rank cannot reach the memory of the first one."""


class Asynchronous(Together):
    """One rank of several that share memory on one machine (Linux).

    Meetings are numbered. A rank that wants one writes the number of its next to shared memory;
    each comes once it sees a number beyond the meetings it has been at, and nobody leaves before
    all have come. So two that ask at once ask for the same meeting, and who asks just after one,
    while others are still leaving it, asks for the one after.
    """

    def __init__(self, rank: int, size: int, *, timeout_s: float) -> None:
        """Meet the others and share memory with them.

        Raises:
            RankError: they did not all come within `timeout_s`.
            NotOneMachine: they cannot share memory.
        """
        super().__init__(rank, size, backend="gloo", timeout_s=timeout_s)
        self._blocks: list[SharedBlock] = []
        fields = [Field("called", (1,), "int64"), Field("steps", (size,), "int64")]
        arrays = self.share(fields).arrays
        self._called = arrays["called"]  # number of the last meeting that anybody wants
        self._steps = arrays["steps"]  # agent steps of each rank since `start`
        self._num_met = 0
        self._first_step = 0

    @property
    def update_ranks(self) -> Ranks:
        """Each learner makes its updates alone."""
        return ALONE

    def any(self, flags: Sequence[bool]) -> list[bool]:
        """For each flag, whether any rank raises it, if one has asked to meet; else all false.

        Any flag that is raised asks. Whoever was told of one must do something with all the others
        before it goes on, so that `agent_steps` and the shared weights stand still until then.
        """
        self.fail_with_the_lost()
        if any(flags):
            self._called[0] = self._num_met + 1
        if self._called[0] == self._num_met:
            return [False] * len(flags)
        raised = super().any(flags)
        self._num_met += 1
        return raised

    def start(self, agent_steps: int) -> None:
        self._first_step = agent_steps
        self._steps[self.ranks.rank] = 0
        self.gather(None)

    def advance(self, agent_steps: int, new: int) -> int:
        self._steps[self.ranks.rank] += new  # written by this rank alone
        return self._first_step + int(self._steps.sum())

    def share(self, fields: Sequence[Field]) -> SharedBlock:
        """The same memory on all ranks, zeros; each has opened its file by itself.

        All ranks call this. Raises NotOneMachine on all if one cannot.
        """
        fields = [*fields, Field("mark", (1,), "int64")]
        block = SharedBlock(fields) if self.ranks.rank == 0 else None
        told = (socket.gethostname(), *_offer(block)) if block else None
        host, path, mark = self.gather(told)[0]
        if block is None:
            block = _accept(fields, path, mark)
        for rank, lost in enumerate(self.gather(None if block else socket.gethostname())):
            if lost is not None:
                raise NotOneMachine(
                    "asynchronous learners share memory, so all must run on one machine: rank "
                    f"{rank} on {lost} cannot open that of rank 0 on {host} ({path})"
                )
        del block.arrays["mark"]
        self._blocks.append(block)
        return block

    def close(self, is_failing: bool = False) -> None:
        for block in self._blocks:
            block.close()
        super().close(is_failing)


def _offer(block: SharedBlock) -> tuple[str, int]:
    """Mark new memory; where other processes of this machine find it, and the mark."""
    block.arrays["mark"][0] = mark = int.from_bytes(os.urandom(7), "little")
    return f"/proc/{os.getpid()}/fd/{block.fd}", mark


def _accept(fields: Sequence[Field], path: str, mark: int) -> SharedBlock | None:
    """The memory at `path`; None if there is none, or that of an unrelated process."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        block = SharedBlock(list(fields), fd)
    except (OSError, ValueError):  # no memory, or of another size
        os.close(fd)
        return None
    if block.arrays["mark"][0] == mark:
        return block
    block.close()
    return None
