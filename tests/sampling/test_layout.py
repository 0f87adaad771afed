"""How environments are dealt out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accel.sampling.layout import deal, enough_workers, split


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


@given(st.integers(1, 300), st.integers(1, 40))
def test_fewer_workers_would_be_slower_and_more_no_faster(num_envs: int, most: int) -> None:
    def busiest(num_workers: int) -> int:
        (parts,) = zip(*deal([slice(0, num_envs)], num_workers))
        return max(part.stop - part.start for part in parts)

    enough, most = enough_workers(num_envs, most), min(most, num_envs)
    assert 1 <= enough <= most and busiest(enough) == busiest(most)
    assert enough == 1 or busiest(enough - 1) > busiest(most)
