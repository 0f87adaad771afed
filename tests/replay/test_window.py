"""Which rows are open, by hand."""

import pytest

from accel.replay.window import Window


def test_opens_and_closes_rows_by_hand():
    """8 rows, rollouts of 4; a row needs the 1 before it and the 2 after it."""
    window = Window(8, 4, before=1, reach=2)
    assert window.open == range(0)
    assert window.advance() == (range(0), range(1, 2))  # rows 0..3 written: 1 has 0 and 2, 3
    assert window.advance() == (range(0), range(2, 6))  # 0..7
    assert window.advance() == (range(1, 5), range(6, 10))  # 4..11: 5 is the first with one before
    assert window.open == range(5, 10)


def test_a_rollout_as_long_as_the_ring_takes_the_place_of_everything():
    window = Window(8, 8, before=1, reach=2)
    assert window.advance() == (range(0), range(1, 6))
    assert window.advance() == (range(1, 6), range(9, 14))


def test_only_first_rows_of_rollouts_start_sequences():
    """Items are numbered by rollout: the one at row 4 * i is i."""
    window = Window(16, 4, before=3, reach=5, stride=4)
    assert window.advance() == (range(0), range(0))
    assert window.advance() == (range(0), range(0))  # rows 0..7: row 4 reaches to 9
    assert window.advance() == (range(0), range(1, 2))
    assert window.advance() == (range(0), range(2, 3))
    assert window.advance() == (range(1, 2), range(3, 4))  # rows 4..19: row 4 has none before it
    assert window.open == range(2, 4)


def test_refuses_a_ring_with_fewer_than_two_rows_open():
    with pytest.raises(ValueError, match=r"8 rows is too short: .* reads 8 of them.* leaves 1"):
        Window(8, 4, before=3, reach=4)
    Window(8, 4, before=3, reach=3)
    with pytest.raises(ValueError, match="leaves 1"):
        Window(32, 8, before=3, reach=16, stride=8)
    Window(32, 8, before=3, reach=15, stride=8)
