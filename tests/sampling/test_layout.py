"""How environments are dealt out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accel.sampling.layout import deal, split


@given(st.integers(1, 20), st.integers(1, 5), st.integers(0, 60))
def test_every_environment_has_one_worker_and_none_has_much_more(
    num_workers: int, num_groups: int, more: int
) -> None:
    groups = split((num_workers + more) * num_groups, num_groups)
    dealt = deal(groups, num_workers)
    for group, parts in zip(groups, zip(*dealt)):
        columns = [column for part in parts for column in range(part.start, part.stop)]
        assert columns == list(range(group.start, group.stop))
        sizes = [part.stop - part.start for part in parts]
        assert 0 <= max(sizes) - min(sizes) <= 1
    totals = [sum(part.stop - part.start for part in parts) for parts in dealt]
    assert max(totals) - min(totals) <= 1  # and so for all groups together


def test_fourteen_workers_of_two_groups_of_128() -> None:
    dealt = deal(split(256, 2), 14)
    sizes = [[part.stop - part.start for part in parts] for parts in dealt]
    assert sizes == [[10, 9]] * 2 + [[9, 10]] * 2 + [[9, 9]] * 10


def test_a_worker_without_environments_is_refused() -> None:
    with pytest.raises(ValueError, match="2 environments do not go round 3 workers"):
        deal(split(4, 2), 3)
