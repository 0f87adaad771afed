"""What may be drawn where an item is complete only once its episode has ended."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from accel.replay.episodes import END
from accel.replay.items import Items
from accel.replay.window import Window


class EpisodeItems(Items):
    """Opens an episode's items, those still in the window, when its end and the row after are in.

    Which episodes end, all ranks tell each other; where those began, each knows for all.
    """

    def __init__(self, window: Window, num_envs: int, device: torch.device | str = "cpu") -> None:
        """`num_envs` are all ranks'."""
        super().__init__(window, num_envs, device)
        self._begins = [0] * num_envs  # first row of the episode that each column is in
        self._ended = torch.zeros(1, num_envs, dtype=torch.bool, device=device)  # in the last row

    @property
    def can_find(self) -> bool:
        """Whether the last step of any episode is open: the one that ended last closes last."""
        return max(self._begins) - 1 >= self.window.open.start

    def state_dict(self) -> dict[str, Any]:
        """The table, the same on every rank; it changes with the next call."""
        return {**super().state_dict(), "begins": list(self._begins), "ended": self._ended}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on exactly where `state_dict` was taken."""
        super().load_state_dict(state)
        self._begins = list(state["begins"])
        self._ended.copy_(state["ended"])

    def _open(self, rows: range, marks: Tensor, weight: Tensor) -> None:
        """Of the `rows` that have one after them now some end an episode: open these.

        Waits for the device, once a rollout: how long the episodes were sets the shapes.
        """
        ended = torch.cat([self._ended, marks == END])
        self._ended = ended[-1:]
        first, oldest = self.window.num_written - len(ended), self.window.open.start
        opened = []
        for row, column in ended[:-1].nonzero().tolist():
            begin, self._begins[column] = self._begins[column], first + row + 1
            places = torch.arange(max(begin, oldest), max(first + row + 1, oldest))
            opened.append(places % self._num_rows * self.num_envs + column)
        if opened:
            self._set(torch.cat(opened).to(weight.device, non_blocking=True), weight)
