import math

from accel.metrics.reduce import MetricSums


def test_means_lasts_and_maxima() -> None:
    sums = MetricSums()
    sums.add_mean({"losses/value": 1.0, "losses/policy": -1.0})
    sums.add_mean({"losses/value": 3.0})
    sums.add_last({"charts/learning_rate": 0.1})
    sums.add_last({"charts/learning_rate": 0.05})
    sums.add_max({"stats/lag": 2})
    sums.add_max({"stats/lag": -1})
    assert sums.pop() == {
        "losses/value": 2.0,
        "losses/policy": -1.0,
        "charts/learning_rate": 0.05,
        "stats/lag": 2,
    }


def test_an_interval_starts_empty() -> None:
    sums = MetricSums()
    sums.add_mean({"a": 1.0})
    sums.pop()
    assert sums.pop() == {}
    sums.add_mean({"a": 3.0})
    assert sums.pop() == {"a": 3.0}


def test_not_a_number_is_not_hidden() -> None:
    sums = MetricSums()
    for value in (1.0, math.nan, 2.0):
        sums.add_mean({"mean": value})
        sums.add_max({"max": value})
        sums.add_min({"min": value})
    reduced = sums.pop()
    assert all(math.isnan(reduced[name]) for name in ("mean", "max", "min"))


def test_the_least_and_the_greatest_of_an_interval() -> None:
    sums = MetricSums()
    for value in (2.0, 1.0, 3.0):
        sums.add_min({"least": value})
        sums.add_max({"greatest": value})
    assert sums.pop() == {"least": 1.0, "greatest": 3.0}
    sums.add_min({"least": 5.0})
    assert sums.pop() == {"least": 5.0}
