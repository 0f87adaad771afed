"""A thread that knows which of the other ranks are alive, and ends this one if one is lost.

Whoever waits for a rank on NCCL waits in CUDA, where neither an error nor a signal reaches the main
thread; on gloo it learns of a process that has ended, but not of one that is stopped. This thread
waits for nobody: it sees a connection break at once and notices silence. The main thread then has
`GRACE_S` to fail by itself, as it does on gloo; if it cannot, the process is ended for it.
"""

from __future__ import annotations

import math
import os
import select
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from accel.learning.peers import ALIVE, GIVES_UP, GOODBYE, Message, Peer

SILENCE_S = 8.0  # of a process that is there but does not run
GRACE_S = 6.0  # for the main thread to end the process after a loss
_LATE_GRACE_S = 1.0  # in a process that was stopped, when the others have gone already
_BEAT_S = 1.0
_LOOK_S = 0.2
_LONGEST_LOOK_S = 1.0  # one that was longer was spent stopped, like the other ranks perhaps
_KNOWN_WITHIN_S = 1.0


@dataclass(frozen=True)
class Loss:
    """Ranks without which the job cannot go on."""

    ranks: tuple[int, ...]  # empty where nobody can be named
    how: str

    @property
    def who(self) -> str:
        """`rank 1`, or `rank 1 and rank 3`."""
        return " and ".join(f"rank {rank}" for rank in self.ranks) or "a rank"


class RankWatch:
    """Watches over `peers` until it is closed."""

    def __init__(self, rank: int, peers: Sequence[Peer], timeout_s: float) -> None:
        """`timeout_s`: longest time in an update without any rank at its next exchange."""
        self.loss: Loss | None = None
        self.tell_loss: Callable[[str], None] = self._write
        self._rank, self._peers, self._timeout_s = rank, peers, timeout_s
        self._num_exchanges, self._is_in_update = 0, False
        self._stood_at, self._standstill_s = (0,), 0.0
        self._noticed, self._closed = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="rank watch", daemon=True)
        self._thread.start()

    def note_exchange(self, in_update: bool) -> None:
        """By the main thread: it has come to its next exchange with the other ranks."""
        self._num_exchanges += 1
        self._is_in_update = in_update

    def whom(self) -> str:
        """By the main thread, after a failed exchange: whom to name."""
        if self._noticed.wait(_KNOWN_WITHIN_S):
            return self.loss.who
        return Loss(self._behind(), "").who

    def close(self, is_failing: bool) -> None:
        """End the watch. A rank that fails by itself hangs up, and so is lost to the others.

        One that fails because another was lost has to be gone in time: there the watch goes on.
        """
        if is_failing and self.loss is not None:
            return
        self._closed.set()
        self._thread.join()
        if not is_failing:
            self._say(GOODBYE, 0)
        for peer in self._peers:
            peer.hang_up()

    def _run(self) -> None:
        looked_at, beat_at = time.monotonic(), -math.inf
        while self.loss is None and not self._closed.is_set():
            if looked_at - beat_at >= _BEAT_S:
                self._say(ALIVE, self._num_exchanges)
                beat_at = looked_at
            self._wait_for_words()
            before, looked_at = looked_at, time.monotonic()
            self.loss = self._look(min(looked_at - before, _LONGEST_LOOK_S))
        if self.loss is not None:
            self._end_in_time(self.loss)

    def _wait_for_words(self) -> None:
        poll = select.poll()
        for peer in self._peers:
            if peer.hung_up is None:
                poll.register(peer.connection, select.POLLIN)
        poll.poll(1000 * _LOOK_S)

    def _look(self, waited_s: float) -> Loss | None:
        """Take in what the others have said in `waited_s`; what can be concluded from it."""
        told: Loss | None = None
        for peer in self._peers:
            for word, number in peer.hear(waited_s):
                peer.is_missed = word == ALIVE
                if word == ALIVE:
                    peer.num_exchanges = number
                elif word == GIVES_UP:
                    told = Loss((number,), f"says rank {peer.rank}")
        stands_at = (self._num_exchanges, *(peer.num_exchanges for peer in self._peers))
        is_standing = self._is_in_update and stands_at == self._stood_at
        self._standstill_s = self._standstill_s + waited_s if is_standing else 0.0
        self._stood_at = stands_at
        return self._lost() or told or self._too_slow()

    def _lost(self) -> Loss | None:
        missed = [peer for peer in self._peers if peer.is_missed]
        gone = [peer for peer in missed if peer.hung_up is not None]
        silent = [peer for peer in missed if peer.silence_s >= SILENCE_S]
        if gone:
            return Loss(tuple(peer.rank for peer in gone), str(gone[0].hung_up))
        if silent:
            how = f"no sign of life for {SILENCE_S:g} s"
            return Loss(tuple(peer.rank for peer in silent), how)
        return None

    def _too_slow(self) -> Loss | None:
        if self._standstill_s < self._timeout_s:
            return None
        return Loss(self._behind(), f"no progress for {self._timeout_s:g} s")

    def _behind(self) -> tuple[int, ...]:
        """The ranks that have not come to the exchange at which this one is."""
        ours = self._num_exchanges
        return tuple(p.rank for p in self._peers if p.is_missed and p.num_exchanges < ours)

    def _end_in_time(self, loss: Loss) -> None:
        self._noticed.set()
        self._say(GIVES_UP, loss.ranks[0] if loss.ranks else self._rank)
        is_ours = self._rank in loss.ranks
        if self._closed.wait(_LATE_GRACE_S if is_ours else GRACE_S):  # it was not needed any more
            return
        waiting = "others" if is_ours else f"rank {self._rank}"
        try:
            self.tell_loss(f"{loss.who} was lost ({loss.how}) while {waiting} waited for it")
        finally:
            os._exit(1)

    def _say(self, word: int, number: int) -> None:
        for peer in self._peers:
            if peer.is_missed:
                peer.say(Message(word, number))

    def _write(self, text: str) -> None:
        sys.stderr.write(f"rank {self._rank}: {text}\n")
        sys.stderr.flush()
