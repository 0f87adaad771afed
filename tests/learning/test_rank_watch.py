"""What a rank concludes from what the others say, and from what they do not."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from accel.learning import peers, rank_watch
from accel.learning.peers import ALIVE, GIVES_UP, GOODBYE, Message, Peer, meet_peers
from accel.learning.rank_watch import Loss, RankWatch

TIMEOUT_S = 100.0


class Others:
    """The far ends of the connections that a watch of rank 0 has to ranks 1 and 2."""

    def __init__(self) -> None:
        pairs = [socket.socketpair() for _ in range(2)]
        self.near = [Peer(rank, pair[0]) for rank, pair in enumerate(pairs, 1)]
        self.far = [Peer(0, pair[1]) for pair in pairs]

    def say(self, rank: int, word: int, number: int = 0) -> None:
        self.far[rank - 1].say(Message(word, number))

    def hang_up(self, rank: int) -> None:
        self.far[rank - 1].connection.close()

    def close(self) -> None:
        for peer in (*self.near, *self.far):
            peer.connection.close()


@pytest.fixture
def others() -> Iterator[Others]:
    others = Others()
    yield others
    others.close()


@pytest.fixture
def watch(others: Others, monkeypatch) -> RankWatch:
    """Without its thread: a test makes it look."""
    monkeypatch.setattr(threading.Thread, "start", lambda self: None)
    return RankWatch(0, others.near, TIMEOUT_S)


def test_who_hangs_up_without_a_word_is_lost(watch, others) -> None:
    others.say(2, ALIVE)
    assert watch._look(1.0) is None
    others.say(1, ALIVE)
    others.hang_up(1)
    assert watch._look(1.0) == Loss((1,), "its process ended")


def test_who_is_done_is_not_missed(watch, others) -> None:
    others.say(1, GOODBYE)
    others.hang_up(1)
    for _ in range(20):
        others.say(2, ALIVE)
        assert watch._look(1.0) is None


def test_who_gives_up_is_not_named_but_whom_it_lost(watch, others) -> None:
    others.say(1, GIVES_UP, 2)
    others.hang_up(1)
    assert watch._look(1.0) == Loss((2,), "says rank 1")
    others.hang_up(2)  # seen with our own eyes it is told better
    assert watch._look(1.0) == Loss((2,), "its process ended")


def test_silence_is_a_loss_after_a_while(watch, others) -> None:
    for _ in range(7):
        others.say(2, ALIVE)
        assert watch._look(1.0) is None
    assert watch._look(1.0) == Loss((1,), "no sign of life for 8 s")
    others.say(1, ALIVE)
    assert watch._look(1.0) is None


@pytest.mark.parametrize("in_update", [True, False])
def test_an_update_without_progress_names_who_is_behind(in_update, watch, others) -> None:
    """Elsewhere, as in an evaluation, a rank may take its time."""
    for _ in range(3):
        watch.note_exchange(in_update)
    others.say(1, ALIVE, 3)
    others.say(2, ALIVE, 2)
    for _ in range(int(TIMEOUT_S)):
        assert watch._look(1.0) is None
        others.say(1, ALIVE, 3)
        others.say(2, ALIVE, 2)
    loss = watch._look(1.0)
    assert loss == (Loss((2,), "no progress for 100 s") if in_update else None)
    watch.note_exchange(in_update)
    assert watch._look(0.0) is None


def test_messages_may_come_in_pieces(watch, others) -> None:
    whole = peers._MESSAGE.pack(ALIVE, 7) + peers._MESSAGE.pack(ALIVE, 8)
    for part in (whole[:5], whole[5:10], whole[10:]):
        others.far[0].connection.send(part)
        watch._look(0.1)
    assert others.near[0].num_exchanges == 8


@pytest.fixture
def ended(monkeypatch) -> list[Any]:
    """Exit codes of `os._exit`, which does not happen; a loss gives the main thread 0.2 s."""
    codes: list[Any] = []
    monkeypatch.setattr(rank_watch.os, "_exit", codes.append)
    monkeypatch.setattr(rank_watch, "GRACE_S", 0.2)
    return codes


def test_a_main_thread_that_stays_is_ended_and_the_loss_told(others, ended) -> None:
    watch, told = RankWatch(0, others.near, TIMEOUT_S), []
    watch.tell_loss = told.append
    others.hang_up(2)
    assert watch.whom() == "rank 2"
    watch.close(is_failing=True)  # it is on its way, and stays there
    watch._thread.join(5)
    assert ended == [1]
    assert told == ["rank 2 was lost (its process ended) while rank 0 waited for it"]
    said = [message.word for message in others.far[0].hear(0.0)]
    assert said[0] == ALIVE and said[-1] == GIVES_UP


def test_who_was_given_up_leaves_too(others, ended) -> None:
    """It was stopped, and finds when it goes on that the others have not waited."""
    watch, told = RankWatch(0, others.near, TIMEOUT_S), []
    watch.tell_loss = told.append
    others.say(1, GIVES_UP, 0)
    watch._thread.join(5)
    assert ended == [1]
    assert told == ["rank 0 was lost (says rank 1) while others waited for it"]


def test_a_run_that_ends_well_is_left_alone(others, ended) -> None:
    watch = RankWatch(0, others.near, TIMEOUT_S)
    watch.close(is_failing=False)
    assert [message.word for message in others.far[0].hear(0.0)][-1] == GOODBYE
    assert ended == [] and not watch._thread.is_alive()


def test_who_fails_by_itself_hangs_up_without_a_word(others, ended) -> None:
    RankWatch(0, others.near, TIMEOUT_S).close(is_failing=True)
    assert {message.word for message in others.far[0].hear(0.0)} == {ALIVE}
    assert others.far[0].hung_up == "its process ended"
    assert ended == []


@pytest.mark.parametrize("addresses", [set(), {"127.0.0.2", "127.0.0.1"}])
def test_all_ranks_meet_and_strangers_stay_outside(addresses) -> None:
    size = 3
    gather = gathering(size, before_the_last=knock)
    with ThreadPoolExecutor(size) as pool:
        meetings = [
            pool.submit(meet_peers, rank, size, addresses, gather(rank)) for rank in range(size)
        ]
        met = [{peer.rank: peer for peer in meeting.result(20)} for meeting in meetings]
    for rank in range(size):
        assert set(met[rank]) == set(range(size)) - {rank}
        for other, peer in met[rank].items():
            peer.say(Message(ALIVE, 10 * rank + other))
    for rank in range(size):
        for other, peer in met[rank].items():
            peer.connection.settimeout(5)
            message = peers._MESSAGE.unpack(peer.connection.recv(peers._MESSAGE.size))
            assert message == (ALIVE, 10 * other + rank)
            peer.connection.close()


def knock(told: list[Any]) -> None:
    """Somebody connects to each rank, one with the wrong words, before the others do."""
    for _, port, _ in told:
        with socket.create_connection(("127.0.0.1", port)) as stranger:
            stranger.sendall(bytes(24))


def gathering(size: int, before_the_last: Callable) -> Callable[[int], Callable[[Any], list[Any]]]:
    """gathering(...)(rank) is that rank's `gather` among threads."""
    values: list[Any] = [None] * size
    barrier = threading.Barrier(size, lambda: before_the_last(values), timeout=10)

    def of(rank: int) -> Callable[[Any], list[Any]]:
        def gather(value: Any) -> list[Any]:
            values[rank] = value
            barrier.wait()
            return list(values)

        return gather

    return of
