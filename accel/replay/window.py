"""Which rows of a ring may be sampled: pure arithmetic, the same on every rank."""

from __future__ import annotations


class Window:
    """The rows open for sampling, as rollouts of T rows are written into a ring of R rows.

    Row r is open if everything that reading it may touch is in the ring: the `before` rows that
    complete its frame stack and the `reach` rows after it. Of these rows only each `stride`-th
    starts an item. Rows count from the start of the run; item i starts at row i * stride.
    """

    def __init__(
        self, num_rows: int, rollout_length: int, *, before: int, reach: int, stride: int = 1
    ) -> None:
        """`stride` divides `rollout_length`, which divides `num_rows`.

        Raises:
            ValueError: a full ring would not hold two open rows. Two, because of successive steps
                one is valid, so that there is always something to sample.
        """
        self.num_rows = num_rows
        self.rollout_length = rollout_length
        self.before, self.reach, self.stride = before, reach, stride
        self.num_written = 0
        num_open = len(self._open_after(num_rows))
        if num_open < 2:
            raise ValueError(
                f"a replay of {num_rows} rows is too short: an item reads {before + reach + 1} of "
                f"them, which leaves {num_open} to start from; raise the capacity"
            )

    @property
    def open(self) -> range:
        """Items that may be sampled now, if they are valid."""
        return self._open_after(self.num_written)

    def advance(self) -> tuple[range, range]:
        """Note that one more rollout is written; return the items (closed, opened) by that.

        The two may share places in the ring: close first, then open.
        """
        old = self.open
        self.num_written += self.rollout_length
        new = self.open
        closed = range(old.start, min(old.stop, new.start))
        opened = range(max(old.stop, new.start), new.stop)
        return closed, opened

    def _open_after(self, num_written: int) -> range:
        first = max(num_written - self.num_rows, 0) + self.before
        last = max(num_written - self.reach, first)
        return range(-(-first // self.stride), -(-last // self.stride))
