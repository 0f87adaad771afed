"""Schedules over global agent steps."""

import pytest
import torch

from accel.algos import Constant, Linear, WarmedUp, build_schedule


def test_constant_stays():
    assert build_schedule("constant", 3e-4, 100)(77) == 3e-4


def test_linear_reaches_zero_and_stays_there():
    schedule = build_schedule("linear", 2.0, 100)
    assert [schedule(step) for step in (0, 25, 100, 200)] == [2.0, 1.5, 0.0, 0.0]


def test_unknown_name():
    with pytest.raises(ValueError, match="cosine"):
        build_schedule("cosine", 1.0, 100)


def test_a_warm_up_of_n_updates_starts_at_an_nth():
    schedule = WarmedUp(Constant(8.0), 400, steps_per_update=100)
    assert [schedule(update * 100) for update in range(6)] == [2.0, 4.0, 6.0, 8.0, 8.0, 8.0]


def test_a_warm_up_multiplies_and_leaves_no_trace():
    linear = Linear(1e-3, 0.0, 1000)
    schedule = WarmedUp(linear, 200, steps_per_update=100)
    assert schedule(0) == 0.5 * linear(0)
    assert [schedule(steps) for steps in (100, 500, 1100)] == [linear(100), linear(500), 0.0]


def test_a_warm_up_counts_from_where_learning_starts():
    schedule = WarmedUp(Constant(1.0), 40, steps_per_update=10, start=1000)
    assert [schedule(steps) for steps in (0, 1000, 1010, 1030)] == [0.0, 0.25, 0.5, 1.0]


def test_a_warm_up_of_tensors_is_the_same():
    schedule = WarmedUp(Linear(1e-3, 0.0, 1000), 200, steps_per_update=50)
    for steps in (0, 100, 900):
        tensor = torch.tensor(float(steps), dtype=torch.float64)
        assert float(schedule(tensor)) == schedule(steps)
