"""What may be drawn from a replay, with which weight: one table for all ranks' environments."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from accel.replay.sum_tree import SumTree
from accel.replay.window import Window


class Items:
    """A weight for each place where an item can start, 0 where none may be drawn.

    Items are numbered by (row / stride modulo the ring, column of the global batch). Every rank
    keeps the whole table, so that all draw the same.
    """

    def __init__(self, window: Window, num_envs: int, device: torch.device | str = "cpu") -> None:
        """`num_envs` are all ranks'."""
        self.window, self.num_envs = window, num_envs
        self._num_rows = window.num_rows // window.stride
        self._per_rollout = window.rollout_length // window.stride
        self._tree = SumTree(self._num_rows * num_envs, device)
        self._is_valid = torch.zeros(self._num_rows, num_envs, dtype=torch.bool, device=device)

    def append(self, marks: Tensor, weight: Tensor) -> None:
        """Follow the ring by one rollout.

        `marks` [T / stride, B] are not 0 where an item may ever be drawn; `weight` (int64 scalar)
        is that of the items that are complete from now on.
        """
        start = self.window.num_written // self.window.stride % self._num_rows
        self._is_valid[start : start + self._per_rollout] = marks
        closed, opened = self.window.advance()
        self._set_rows(closed, torch.zeros_like(weight))
        self._open(opened, marks, weight)

    @property
    def can_find(self) -> bool:
        """Whether two rows of items are open: of two that follow each other one is valid."""
        return len(self.window.open) >= 2

    def find(self, share: Tensor) -> Tensor:
        """The items [n] int64 at `share` of the running sum of weights.

        `share` is [n] float64 in 0..1 on the CPU, so that every device draws the same.

        Raises:
            ValueError: `can_find` is false.
        """
        if not self.can_find:
            raise ValueError(
                f"after {self.window.num_written} rows the replay has nothing to sample yet: "
                "append more rollouts first"
            )
        total = self._tree.total
        if total.is_cuda:  # from pinned memory the copy does not wait for the GPU
            share = share.pin_memory().to(total.device, non_blocking=True)
        return self._tree.find(torch.minimum((share * total).long(), total - 1))

    def weights(self, items: Tensor) -> Tensor:
        """The weights [n] int64 of `items` [n] int64; 0 for those that may not be drawn."""
        return self._tree.get(items)

    def set_weights(self, items: Tensor, weights: Tensor) -> None:
        """Set the weights [n] int64 (above 0) of `items`, except of those closed meanwhile."""
        is_open = self._tree.get(items) > 0
        self._tree.set(items, weights * is_open)

    def place(self, items: Tensor) -> tuple[Tensor, Tensor]:
        """(rows of the ring, columns of the global batch), [n] int64 each, of `items`."""
        return items // self.num_envs * self.window.stride, items % self.num_envs

    def state_dict(self) -> dict[str, Any]:
        """The table, the same on every rank; it changes with the next call."""
        return {
            "num_written": self.window.num_written,
            "is_valid": self._is_valid,
            **self._tree.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on exactly where `state_dict` was taken."""
        self.window.num_written = state["num_written"]
        self._is_valid.copy_(state["is_valid"])
        self._tree.load_state_dict(state)

    def _open(self, rows: range, marks: Tensor, weight: Tensor) -> None:
        """Let the items in `rows` be drawn, all that reading them touches being in the ring."""
        self._set_rows(rows, weight)

    def _set_rows(self, rows: range, weight: Tensor) -> None:
        if len(rows) == 0:
            return
        device = weight.device
        ring_rows = torch.arange(rows.start, rows.stop, device=device) % self._num_rows
        columns = torch.arange(self.num_envs, device=device)
        items = ring_rows.unsqueeze(1) * self.num_envs + columns
        self._set(items.flatten(), weight)

    def _set(self, items: Tensor, weight: Tensor) -> None:
        """Give `weight` to those of `items` [n] int64 that may be drawn."""
        self._tree.set(items, self._is_valid.flatten().index_select(0, items) * weight)
