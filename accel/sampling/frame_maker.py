"""Frames of raw screens, made on the actor's device for a whole group of environments at a time.

The same arithmetic as in the workers (`accel.envs.frame_kernel`), so the frames are equal bit for
bit: float32 throughout, a source row's taps added left to right, then rows top to bottom, and each
product rounded before it is added. Hence one operation after the other: a matrix product or a
convolution would add in an order of its own, and a compiler would fuse multiply and add.
"""

from __future__ import annotations

import functools

import numpy as np
import torch
from torch import Tensor

from accel.envs.palette import gray_levels, is_ntsc
from accel.envs.screen import SCREEN_WIDTH, area_taps, rounds_half_up, source_rows


class FrameMaker:
    """Turns raw screens [n, 2, H, 160] uint8 into frames [n, height, width] uint8.

    Gray levels are looked up, the maximum of both screens is taken and resized by area, as OpenCV's
    INTER_AREA does.
    """

    def __init__(
        self,
        screen_height: int,
        frame_shape: tuple[int, ...],
        device: torch.device | str = "cpu",
    ) -> None:
        """Prepare for raw screens of that height, and frames of a shape named in `SCREENS`."""
        height, width = frame_shape
        screen = f"{height}x{width}"
        self._num_rows = source_rows(screen_height, screen)
        self._rounds_half_up = rounds_half_up(screen_height, screen)
        self._gray = torch.from_numpy(gray_levels(is_ntsc(screen_height))).to(device)
        self._columns = _taps(SCREEN_WIDTH, width, device)
        self._rows = _taps(self._num_rows, height, device)

    def __call__(self, screens: Tensor) -> Tensor:
        """The frames of `screens`, which must be on the maker's device. Waits for nothing there."""
        used = screens[:, :, : self._num_rows]
        gray = self._gray.index_select(0, used.flatten().int()).view(used.shape)
        brightest = torch.maximum(gray[:, 0], gray[:, 1])
        columns, column_weights = self._columns
        rows, row_weights = self._rows
        narrow = _add_in_order(brightest[:, :, columns] * column_weights, dim=2)
        small = _add_in_order(narrow[:, rows] * row_weights.unsqueeze(2), dim=1)
        rounded = (small + 0.5).floor() if self._rounds_half_up else small.round()  # half to even
        return rounded.to(torch.uint8)


def _taps(source: int, target: int, device: torch.device | str) -> tuple[Tensor, Tensor]:
    """Source index and weight [N, target] of each of the N taps of a pixel, in their order."""
    index, weight = (np.ascontiguousarray(taps.T) for taps in area_taps(source, target))
    return torch.from_numpy(index).to(device), torch.from_numpy(weight).to(device)


def _add_in_order(terms: Tensor, dim: int) -> Tensor:
    return functools.reduce(torch.add, terms.unbind(dim))
