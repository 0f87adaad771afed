"""From two raw emulator screens to one frame: gray, max, resize, in one compiled kernel.

The emulator hands out palette indices (`getScreen`, under 1 us); its own grayscale conversion costs
10 us and OpenCV's area resize 42 us. Between two agent steps most of the screen stays the same, so
the screen is cut into tiles whose resize depends on no other tile (84x84 from 210x160: 5 rows by 40
columns make 2 by 21), and only tiles in which either screen changed are computed again.

The arithmetic follows `cv2.resize(..., interpolation=cv2.INTER_AREA)` step by step in float32 (a
source row's horizontal taps left to right, rows added with their weights top to bottom, round half
to even), so frames equal Gymnasium's `AtariPreprocessing` pixel for pixel.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numba import njit

from accel.envs.palette import gray_levels

SCREEN_WIDTH = 160
COLUMN_BLOCKS = 4  # 40 source columns each, making 21 (84 wide) or 20 (80 wide) outputs
ROW_WORDS = SCREEN_WIDTH // 8  # 64-bit words in a screen row
BLOCK_WORDS = ROW_WORDS // COLUMN_BLOCKS
HALF = np.float32(0.5)
ROUNDER = np.float32(12582912.0)

# name -> (frame height, frame width, source rows kept; None keeps all)
SCREENS: dict[str, tuple[int, int, int | None]] = {
    "84x84": (84, 84, None),
    "104x80": (104, 80, 208),  # the accel paper's: two rows dropped, then a 2x2 mean
}


@dataclass(frozen=True)
class ResizePlan:
    """Taps of an area resize, laid out for the kernel (OpenCV's computeResizeAreaTab)."""

    source_rows: int  # rows of the raw screen that are used
    rows_in: int  # source rows in a tile
    rows_out: int  # frame rows in a tile
    row_index: np.ndarray  # [rows_out, R] uint32: source row within the tile
    row_weight: np.ndarray  # [rows_out, R] float32
    column_index: np.ndarray  # [C, columns_out] uint32: source column within the tile
    column_weight: np.ndarray  # [C, columns_out] float32
    round_half_up: bool  # OpenCV's integer path, taken for an exact 2x2 mean


def area_taps(source: int, target: int) -> tuple[np.ndarray, np.ndarray]:
    """Taps of an area resize along one axis.

    Returns:
        index [target, N] uint32 and weight [target, N] float32; unused taps have weight 0.
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
    index = np.zeros((target, width), np.uint32)  # unsigned: no wraparound test in the kernel
    weight = np.zeros((target, width), np.float32)
    for out, row in enumerate(taps):
        for k in range(width):
            index[out, k], weight[out, k] = row[k] if k < len(row) else (row[-1][0], 0.0)
    return index, weight


def resize_plan(screen_height: int, screen: str) -> ResizePlan:
    """Plan the resize of a `screen_height` x 160 raw screen to the named frame."""
    height, width, kept = SCREENS[screen]
    rows = kept if kept is not None and screen_height == kept + 2 else screen_height
    groups = math.gcd(rows, height)
    rows_in, rows_out = rows // groups, height // groups
    row_index, row_weight = area_taps(rows_in, rows_out)
    column_index, column_weight = area_taps(SCREEN_WIDTH // COLUMN_BLOCKS, width // COLUMN_BLOCKS)
    return ResizePlan(
        source_rows=rows,
        rows_in=rows_in,
        rows_out=rows_out,
        row_index=row_index,
        row_weight=row_weight,
        column_index=np.ascontiguousarray(column_index.T),
        column_weight=np.ascontiguousarray(column_weight.T),
        round_half_up=(rows, SCREEN_WIDTH) == (2 * height, 2 * width),
    )


class Screen:
    """One environment's raw screens and the frame made of them.

    `earlier` and `later` are the buffers that the emulator's last two screens of a step are read
    into (uint8 palette indices, [height, 160]); `write_frame` turns their maximum into a frame.
    The two screens of the step before are kept, in turn, to find what changed.
    """

    def __init__(self, screen_height: int, screen: str, ntsc: bool = True) -> None:
        plan = resize_plan(screen_height, screen)
        height, width, _ = SCREENS[screen]
        self.shape = (height, width)
        self._buffers = np.zeros((2, 2, screen_height, SCREEN_WIDTH), np.uint8)
        words = self._buffers.reshape(2, 2, -1).view(np.uint64)
        self._frame = np.zeros(self.shape, np.uint8)
        line = np.zeros(SCREEN_WIDTH // COLUMN_BLOCKS, np.float32)
        rows = np.zeros((plan.rows_in, width // COLUMN_BLOCKS), np.float32)
        self._tables = (
            gray_levels(ntsc), plan.row_index, plan.row_weight, plan.column_index,
            plan.column_weight, line, rows, plan.round_half_up, self._frame,
        )  # fmt: skip
        self._turns = [
            (self._buffers[now], words[now], words[1 - now]) for now in (0, 1)
        ]  # precomputed views: no allocation per step
        self._now = 0
        self._fresh = True  # the kept screens say nothing about the frame yet
        self._use(0)

    def _use(self, now: int) -> None:
        self._now = now
        self.earlier, self.later = self._turns[now][0]

    def forget(self) -> None:
        """The next frame is computed whole (after a restored state, or a first frame)."""
        self._fresh = True

    def write_frame(self, frame_out: np.ndarray) -> None:
        """Write the frame of max(earlier, later) into `frame_out` [height, width] uint8."""
        screens, words, previous = self._turns[self._now]
        _update_frame(screens, words, previous, self._fresh, *self._tables, frame_out)
        self._fresh = False
        self._use(1 - self._now)


@njit(cache=True, nogil=True, error_model="numpy")
def _update_frame(
    screens, words, previous, everything, gray, row_index, row_weight, column_index, column_weight,
    line, rows, round_half_up, frame, frame_out,
):  # fmt: skip
    """Recompute the tiles of `frame` in which a screen changed, then copy it to `frame_out`."""
    rows_in, columns_out = rows.shape
    columns_in, rows_out = line.shape[0], row_index.shape[0]
    for group in range(frame.shape[0] // rows_out):
        top = group * rows_in
        first, last = top * ROW_WORDS, (top + rows_in) * ROW_WORDS
        if not (
            everything
            or _differs(words[0, first:last], previous[0, first:last])
            or _differs(words[1, first:last], previous[1, first:last])
        ):
            continue
        for block in range(COLUMN_BLOCKS):
            changed = everything
            for r in range(top, top + rows_in):
                left = r * ROW_WORDS + block * BLOCK_WORDS
                for w in range(left, left + BLOCK_WORDS):
                    changed |= words[0, w] != previous[0, w] or words[1, w] != previous[1, w]
            if changed:
                left = block * columns_in
                _resize_tile(
                    screens[0, top : top + rows_in, left : left + columns_in],
                    screens[1, top : top + rows_in, left : left + columns_in],
                    gray, row_index, row_weight, column_index, column_weight, line, rows,
                    round_half_up,
                    frame[group * rows_out : (group + 1) * rows_out,
                          block * columns_out : (block + 1) * columns_out],
                )  # fmt: skip
    for y in range(frame.shape[0]):  # a slice assignment costs 1.4 us more
        row, out_row = frame[y], frame_out[y]
        for x in range(frame.shape[1]):
            out_row[x] = row[x]


@njit(cache=True, nogil=True, error_model="numpy")
def _differs(words, previous):
    """Whether two stretches of a screen differ."""
    found = np.uint64(0)
    for w in range(words.shape[0]):
        found |= words[w] ^ previous[w]
    return found != 0


@njit(cache=True, nogil=True, error_model="numpy")
def _resize_tile(
    earlier, later, gray, row_index, row_weight, column_index, column_weight, line, rows,
    round_half_up, out,
):  # fmt: skip
    """`out` = area resize of max(gray[earlier], gray[later]). Plain loops that LLVM vectorizes."""
    rows_in, columns_out = rows.shape
    for r in range(rows_in):
        row, earlier_row, later_row = rows[r], earlier[r], later[r]
        for x in range(line.shape[0]):
            a, b = gray[earlier_row[x]], gray[later_row[x]]
            line[x] = a if a > b else b
        index, weight = column_index[0], column_weight[0]
        for x in range(columns_out):
            row[x] = line[index[x]] * weight[x]
        for k in range(1, column_index.shape[0]):
            index, weight = column_index[k], column_weight[k]
            for x in range(columns_out):
                row[x] += line[index[x]] * weight[x]
    total = line[:columns_out]  # the gray line is done with: reuse it
    for y in range(row_index.shape[0]):
        row, w = rows[row_index[y, 0]], row_weight[y, 0]
        for x in range(columns_out):
            total[x] = row[x] * w
        for k in range(1, row_index.shape[1]):
            row, w = rows[row_index[y, k]], row_weight[y, k]
            for x in range(columns_out):
                total[x] += row[x] * w
        _round(total, round_half_up, out[y])


@njit(cache=True, nogil=True, error_model="numpy")
def _round(total, round_half_up, out):
    """`total` to uint8 as OpenCV rounds: half up for an exact 2x2 mean, else half to even."""
    for x in range(out.shape[0]):
        if round_half_up:
            out[x] = np.uint8(np.int32(total[x] + HALF))
        else:  # adding 1.5 * 2**23 leaves no room for a fraction
            out[x] = np.uint8(np.int32((total[x] + ROUNDER) - ROUNDER))
