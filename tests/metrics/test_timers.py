from collections.abc import Iterator

import pytest

from accel.metrics import timers as timers_module
from accel.metrics.timers import Timers


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    """A clock that stands still until a test moves `clock[0]`."""
    now = [100.0]
    monkeypatch.setattr(timers_module, "perf_counter", lambda: now[0])
    yield now


def test_sections_add_up_and_share_the_wall_time(clock: list[float]) -> None:
    timers = Timers()
    for _ in range(2):
        with timers.section("env"):
            clock[0] += 2
        with timers.section("learn"):
            clock[0] += 1
    clock[0] += 2
    timers.add("wait", 1)
    split = timers.pop()
    assert split.wall_s == 8
    assert split.seconds == {"env": 4, "learn": 2, "wait": 1}
    assert split.percent == {"env": 50, "learn": 25, "wait": 12.5}
    assert split.metrics()["stats/env_percent"] == 50


def test_an_interval_starts_at_zero_and_keeps_its_names(clock: list[float]) -> None:
    timers = Timers()
    with timers.section("env"):
        clock[0] += 2
    timers.pop()
    clock[0] += 4
    split = timers.pop()
    assert split.wall_s == 4 and split.percent == {"env": 0}


def test_an_interval_of_no_time_has_no_shares(clock: list[float]) -> None:
    timers = Timers()
    timers.add("env", 0)
    assert timers.pop().percent == {"env": 0}


def test_time_counts_when_a_section_raises(clock: list[float]) -> None:
    timers = Timers()
    with pytest.raises(KeyError), timers.section("env"):
        clock[0] += 3
        raise KeyError
    assert timers.pop().seconds == {"env": 3}
