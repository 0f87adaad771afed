"""Schedules over global agent steps."""

import pytest

from accel.algos import build_schedule


def test_constant_stays():
    assert build_schedule("constant", 3e-4, 100)(77) == 3e-4


def test_linear_reaches_zero_and_stays_there():
    schedule = build_schedule("linear", 2.0, 100)
    assert [schedule(step) for step in (0, 25, 100, 200)] == [2.0, 1.5, 0.0, 0.0]


def test_unknown_name():
    with pytest.raises(ValueError, match="cosine"):
        build_schedule("cosine", 1.0, 100)
