"""What processes share beside memory: who was the last."""

import os
import select
import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accel.shared import Countdown, Signal


@pytest.fixture(params=["eventfd", "pipe"])
def kind(request, monkeypatch):
    """The two that serve: Linux's own call, and what takes its place elsewhere."""
    if request.param == "pipe":
        monkeypatch.delattr(os, "eventfd", raising=False)
    elif not hasattr(os, "eventfd"):
        pytest.skip("Linux's own call")
    return request.param


def is_readable(fd: int, within_s: float) -> bool:
    return bool(select.select([fd], [], [], within_s)[0])


@pytest.mark.parametrize("count", [1, 2, 3, 8])
def test_only_the_last_to_arrive_is_told_so_round_after_round(kind, count: int) -> None:
    countdown = Countdown(count)
    assert (countdown.fds[0] == countdown.fds[1]) == (kind == "eventfd")
    for _ in range(5):
        assert [countdown.arrive() for _ in range(count)] == [False] * (count - 1) + [True]
    countdown.close()


@pytest.mark.parametrize("count", [1, 2, 3, 8])
def test_threads_in_any_order_wake_whoever_waits_once_a_round(kind, count: int) -> None:
    """Each round begins when the last one's signal is taken, as a step of workers does."""

    @settings(max_examples=8, deadline=None)
    @given(st.lists(st.permutations(range(count)), min_size=1, max_size=12))
    def check(orders: list[list[int]]) -> None:
        countdown, done = Countdown(count), Signal()
        go = [threading.Semaphore(0) for _ in range(count)]
        arrived = [0] * count
        early: list[int] = []

        def worker(index: int) -> None:
            joined = Countdown(count, countdown.fds)
            for number, order in enumerate(orders, 1):
                assert go[index].acquire(timeout=10)
                time.sleep(order.index(index) * 2e-4)
                arrived[index] = number
                if joined.arrive():
                    early.extend(other for other in arrived if other < number)
                    done.post()

        threads = [threading.Thread(target=worker, args=(i,)) for i in range(count)]
        for thread in threads:
            thread.start()
        posts = 0
        for number in range(1, len(orders) + 1):
            for index in orders[number - 1]:
                go[index].release()
            assert is_readable(done.fd, 10)
            posts += done.take()
            assert posts == number and arrived == [number] * count
        for thread in threads:
            thread.join(10)
        assert early == [] and not is_readable(done.fd, 0)
        countdown.close()
        done.close()

    check()
