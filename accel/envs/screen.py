"""The geometry of frames: which rows of a raw screen they are made of, and with which weights."""

from __future__ import annotations

import math

import numpy as np

# name -> (frame height, frame width, source rows kept; None keeps all)
SCREENS: dict[str, tuple[int, int, int | None]] = {
    "84x84": (84, 84, None),
    "104x80": (104, 80, 208),  # the accel paper's: two rows dropped, then a 2x2 mean
}
SCREEN_WIDTH = 160


def source_rows(screen_height: int, screen: str) -> int:
    """Rows of a raw screen, from the top, that the named frame is made of."""
    _, _, kept = SCREENS[screen]
    return kept if kept is not None and screen_height == kept + 2 else screen_height


def rounds_half_up(screen_height: int, screen: str) -> bool:
    """Whether the named frame is an exact 2x2 mean: OpenCV's integer path, which rounds so."""
    height, width, _ = SCREENS[screen]
    return (source_rows(screen_height, screen), SCREEN_WIDTH) == (2 * height, 2 * width)


def area_taps(source: int, target: int) -> tuple[np.ndarray, np.ndarray]:
    """Taps of an area resize along one axis (OpenCV's computeResizeAreaTab).

    Returns:
        index [target, N] int64 and weight [target, N] float32; unused taps have weight 0.
    """
    scale = source / target
    taps: list[list[tuple[int, float]]] = []
    for out in range(target):
        start, end = out * scale, min((out + 1) * scale, source)
        cell = min(scale, source - start)
        first, last = math.ceil(start - 1e-9), math.floor(end + 1e-9)
        row = []
        if first - start > 1e-3:
            row.append((first - 1, (first - start) / cell))
        row += [(i, 1.0 / cell) for i in range(first, last)]
        if end - last > 1e-3:
            row.append((last, min(end - last, 1.0) / cell))
        taps.append(row)
    width = max(len(row) for row in taps)
    index = np.zeros((target, width), np.int64)
    weight = np.zeros((target, width), np.float32)
    for out, row in enumerate(taps):
        for k in range(width):
            index[out, k], weight[out, k] = row[k] if k < len(row) else (row[-1][0], 0.0)
    return index, weight
