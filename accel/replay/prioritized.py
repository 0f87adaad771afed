"""Proportional prioritized replay (Schaul et al. 2016, section 3 and algorithm 1)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Generator, Tensor

from accel.replay.items import Items

EPSILON = 1e-6  # added to a priority, so that every item is drawn again some day
ONE = 1 << 20  # the weight that stands for p^alpha = 1: weights are whole numbers, from 1 on
GREATEST = 1 << 36  # weights of 2^26 items still add up to less than 2^63


class Prioritized:
    """Draws item i with probability p_i^alpha / sum_k p_k^alpha.

    New items come in at the greatest p^alpha so far, 1 at first, so that each is soon seen.
    """

    def __init__(self, items: Items, alpha: float, device: torch.device | str = "cpu") -> None:
        self._items, self._alpha = items, alpha
        self._greatest = torch.tensor(ONE, device=device)  # weight of any item so far

    def append(self, marks: Tensor) -> None:
        """Follow the ring by one rollout; `marks` as for `Items.append`."""
        self._items.append(marks, self._greatest)

    def draw(self, num_items: int, generator: Generator, beta: float) -> tuple[Tensor, Tensor]:
        """Items [n] int64 and their importance weights [n] float32.

        One item is drawn from each n-th part of the priorities' running sum. The weights are
        (N P_i)^-beta over their maximum in this batch, in which N, the items in all, cancels out.
        """
        strata = torch.arange(num_items) + torch.rand(
            num_items, dtype=torch.float64, generator=generator
        )
        items = self._items.find(strata / num_items)
        weights = self._items.weights(items).double()
        return items, ((weights.amin() / weights) ** beta).float()

    def update(self, items: Tensor, priorities: Tensor) -> None:
        """Give `items` [n] int64, as drawn, their new priorities p [n] of any float dtype.

        Where an item comes several times the greatest counts. What is not a number counts as 0: a
        loss that went bad is the learner's to report, and must not break the sums before it does.
        """
        powers = (priorities.double().nan_to_num(nan=0.0) + EPSILON).clamp(min=0.0) ** self._alpha
        weights = (powers * ONE).clamp(1, GREATEST).long()
        self._greatest = torch.maximum(self._greatest, weights.amax())
        self._items.set_weights(items, weights)

    def state_dict(self) -> dict[str, Any]:
        """All priorities, the same on every rank; they change with the next call."""
        return {"greatest": self._greatest, **self._items.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on exactly where `state_dict` was taken."""
        self._greatest.copy_(state["greatest"])
        self._items.load_state_dict(state)
