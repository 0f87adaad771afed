"""From two raw emulator screens to one frame: gray, maximum, resize, in one compiled kernel.

The emulator hands out palette indices (`getScreen`, 1 us); its own grayscale conversion costs 10 us
and OpenCV's area resize 42 us. Between two agent steps most of the screen stays the same. So a
screen row is seen as four blocks, whose resize depends on no other block, and of the frame only
those parts are computed again for which a block has changed: 3 us to find them, 0.1 us for each.

The arithmetic follows `cv2.resize(..., interpolation=cv2.INTER_AREA)` step by step in float32 (a
source row's horizontal taps left to right, rows added with their weights top to bottom, round half
to even), so frames equal Gymnasium's `AtariPreprocessing` pixel for pixel.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np

from accel.envs.compiled import compiled, inlined
from accel.envs.palette import gray_levels
from accel.envs.screen import SCREEN_WIDTH, SCREENS, area_taps, rounds_half_up, source_rows

MAX_SCREEN_HEIGHT = 250
MAX_FRAME_SHAPE = (104, 84)

BLOCKS = 4  # in a row; a set of blocks is a number, with bit b for block b
ALL_BLOCKS = 2**BLOCKS - 1
BLOCK_PAIRS = SCREEN_WIDTH // BLOCKS // 2  # 20 pairs of source columns, making 21 or 20 pixels
BLOCK_WORDS = SCREEN_WIDTH // BLOCKS // 8  # 64-bit words, in which screens are compared
ROW_WORDS = BLOCKS * BLOCK_WORDS
LANES = 24  # pixels a block makes, rounded up to whole vectors
MAX_TAPS = 4  # source rows that make a frame row: 250 / 84 take part of four
CACHE_LINE = 64  # bytes
CHUNK_ROWS = 5  # rows compared at a time
HALF = np.float32(0.5)
ROUNDER = np.float32(12582912.0)  # 1.5 * 2**23: adding it leaves no room for a fraction

# A compiled call costs 60 ns for each array it is given: what it needs is therefore in two records.
# The first is shared by all environments with the same screen, so that it stays in the cache.
RESIZER = np.dtype(
    [
        ("screens", np.uint64, (2, MAX_SCREEN_HEIGHT * ROW_WORDS)),  # the step's last two
        ("source_rows", np.int64),  # rows of the raw screen that are used
        ("height", np.int64),  # of the frame
        ("width", np.int64),
        ("num_taps", np.int64),
        ("rounds_half_up", np.bool_),
        ("gray", np.float32, 256),  # of a raw pixel
        ("row_index", np.int64, (MAX_FRAME_SHAPE[0], MAX_TAPS)),
        ("row_weight", np.float32, (MAX_FRAME_SHAPE[0], MAX_TAPS)),
        ("column_weight", np.float32, (4, LANES)),  # pixel x: of the columns 2x-2 to 2x+1
        # Within one call:
        ("changed", np.uint8, MAX_SCREEN_HEIGHT),  # blocks of each row
        ("differing", np.uint8, MAX_SCREEN_HEIGHT),  # blocks in which the two screens differ
        ("columns", np.float32, (MAX_TAPS, 2, 32)),  # gray of the even and of the odd columns
        ("pixels", np.float32, LANES),
    ],
    align=True,
)
# The second is an environment's own: what is left of its last step.
MEMORY = np.dtype(
    [
        ("screen", np.uint64, MAX_SCREEN_HEIGHT * ROW_WORDS),  # the later one
        ("is_empty", np.bool_),
        ("moved", np.uint8, MAX_SCREEN_HEIGHT),  # blocks in which the earlier one differed
        ("frame", np.uint8, MAX_FRAME_SHAPE),
    ],
    align=True,
)


def _cache_aligned(dtype: np.dtype) -> np.ndarray:
    """One zeroed record that starts a cache line: reading the screens is 0.3 us faster."""
    buffer = np.zeros(dtype.itemsize + CACHE_LINE, np.uint8)
    start = -buffer.ctypes.data % CACHE_LINE
    return buffer[start : start + dtype.itemsize].view(dtype)


@functools.cache
def _resizer(screen_height: int, screen: str, ntsc: bool) -> np.ndarray:
    """One RESIZER for `screen_height` x 160 raw screens and the named frame."""
    height, width, _ = SCREENS[screen]
    rows = source_rows(screen_height, screen)
    resizer = _cache_aligned(RESIZER)
    index, weight = area_taps(rows, height)
    num_taps = index.shape[1]
    resizer["row_index"][0, :height, :num_taps] = index
    resizer["row_weight"][0, :height, :num_taps] = weight
    block_width = width // BLOCKS
    for x, (columns, weights) in enumerate(zip(*area_taps(2 * BLOCK_PAIRS, block_width))):
        for column, column_weight in zip(columns[weights > 0], weights[weights > 0]):
            resizer["column_weight"][0, column - (2 * x - 2), x] = column_weight
    resizer["source_rows"], resizer["num_taps"] = rows, num_taps
    resizer["height"], resizer["width"] = height, width
    resizer["rounds_half_up"] = rounds_half_up(screen_height, screen)
    resizer["gray"] = gray_levels(ntsc)
    return resizer


class Screen:
    """One environment's frame, and the raw screens that it is made of.

    After `begin(frame_out)`, `earlier` and `later` (uint8 palette indices, [height, 160]) are where
    to read the emulator's last two screens of a step; then `write_frame(frame_out)` writes the
    frame of their maximum into `frame_out` [height, width] uint8. In between no other environment
    of the process may do so: all have the same two buffers.
    """

    write_frame: Callable[[np.ndarray], None]

    def __init__(self, screen_height: int, screen: str, ntsc: bool = True) -> None:
        """Prepare for raw screens of that height and the frame named in SCREENS."""
        resizer = _resizer(screen_height, screen, ntsc)
        buffers = resizer["screens"][0].view(np.uint8).reshape(2, MAX_SCREEN_HEIGHT, SCREEN_WIDTH)
        self.earlier, self.later = buffers[:, :screen_height]
        self._memory = _cache_aligned(MEMORY)
        self.write_frame = functools.partial(_write_frame, resizer, self._memory)
        self.forget()

    def begin(self, frame_out: np.ndarray) -> None:
        """Nothing: where to read the screens is the same for all frames."""

    def forget(self) -> None:
        """The next frame is computed whole (after a restored state, or a first frame)."""
        self._memory["is_empty"] = True


@functools.cache
def prepare() -> None:
    """Compile the kernel, or load it, for the one kind of arguments that all environments have."""
    (height, width, _), *_ = SCREENS.values()
    Screen(MAX_SCREEN_HEIGHT, f"{height}x{width}").write_frame(np.zeros((height, width), np.uint8))


@compiled
def _write_frame(one_resizer, one_memory, frame_out):
    """Bring the memory's frame up to date and copy it to `frame_out`."""
    resizer, memory = one_resizer[0], one_memory[0]
    changed, row_index, frame = resizer.changed, resizer.row_index, memory.frame
    _find_changes(resizer, memory, changed[: resizer.source_rows])
    for y in range(resizer.height):
        blocks = np.uint8(0)
        for k in range(resizer.num_taps):
            blocks |= changed[row_index[y, k]]
        if blocks:
            for block in range(BLOCKS):
                if (blocks >> block) & 1:
                    _resize_block(resizer, y, block, frame[y])
    for y in range(resizer.height):  # a slice assignment costs 1.4 us more
        row, row_out = frame[y], frame_out[y]
        for x in range(resizer.width):
            row_out[x] = row[x]


@inlined
def _find_changes(resizer, memory, changed):
    """Note in `changed` the blocks of each row that may look otherwise than at the last step.

    That is, all but those that both screens show as the last step's screens both did. Notes in
    `differing` the blocks in which the two screens differ: elsewhere one of them is enough.
    """
    earlier, later, differing = resizer.screens[0], resizer.screens[1], resizer.differing
    last, moved = memory.screen, memory.moved
    for top in range(0, changed.shape[0], CHUNK_ROWS):
        bottom = min(top + CHUNK_ROWS, changed.shape[0])
        difference, blocks = np.uint64(0), np.uint8(0)
        for w in range(np.uint64(top * ROW_WORDS), np.uint64(bottom * ROW_WORDS)):
            difference |= (earlier[w] ^ later[w]) | (later[w] ^ last[w])
        for r in range(top, bottom):
            blocks |= moved[r]
            changed[r] = differing[r] = 0
        if difference or blocks:
            for r in range(top, bottom):
                changed[r] = moved[r]
                moved[r] = _differing_blocks(earlier, later, r)
                differing[r] = moved[r]
                changed[r] |= moved[r] | _differing_blocks(later, last, r)
            for w in range(np.uint64(top * ROW_WORDS), np.uint64(bottom * ROW_WORDS)):
                last[w] = later[w]
    if memory.is_empty:
        memory.is_empty = False
        changed[:] = ALL_BLOCKS


@inlined
def _differing_blocks(screen, other, r):
    """The blocks of row `r` in which two screens differ."""
    blocks = 0
    for block in range(BLOCKS):
        start = np.uint64(r * ROW_WORDS + block * BLOCK_WORDS)
        difference = np.uint64(0)
        for w in range(start, start + np.uint64(BLOCK_WORDS)):
            difference |= screen[w] ^ other[w]
        blocks |= (difference != 0) << block
    return np.uint8(blocks)


@inlined
def _resize_block(resizer, y, block, frame_row):
    """Compute the pixels of `frame_row`, number `y`, that a block makes. All loops vectorize."""
    columns, pixels = resizer.columns, resizer.pixels
    for k in range(resizer.num_taps):
        _read_columns(resizer, resizer.row_index[y, k], block, columns[k])
    pixels[:] = 0
    weight = resizer.column_weight
    for k in range(resizer.num_taps):
        even, odd, row_weight = columns[k, 0], columns[k, 1], resizer.row_weight[y, k]
        for x in range(LANES):  # adding an unused tap's 0 changes nothing
            tap_sum = even[x] * weight[0, x] + odd[x] * weight[1, x]
            tap_sum = (tap_sum + even[x + 1] * weight[2, x]) + odd[x + 1] * weight[3, x]
            pixels[x] += tap_sum * row_weight
    block_width = resizer.width // BLOCKS
    left = block * block_width
    if resizer.rounds_half_up:
        for x in range(block_width):
            frame_row[left + x] = np.uint8(np.int32(pixels[x] + HALF))
    else:
        for x in range(block_width):
            frame_row[left + x] = np.uint8(np.int32((pixels[x] + ROUNDER) - ROUNDER))


@inlined
def _read_columns(resizer, r, block, columns):
    """Gray maximum of both screens in a block of row `r`; column 0 is left of the block, and 0."""
    gray, screens = resizer.gray, resizer.screens.view(np.uint8)
    earlier, later = screens[0], screens[1]
    start = np.uint64(r * SCREEN_WIDTH + block * 2 * BLOCK_PAIRS)
    even, odd = columns[0, 1:], columns[1, 1:]
    for x in range(BLOCK_PAIRS):
        i = start + np.uint64(2 * x)
        even[x], odd[x] = gray[later[i]], gray[later[i + np.uint64(1)]]
    if not (resizer.differing[r] >> block) & 1:
        return
    for x in range(BLOCK_PAIRS):
        i = start + np.uint64(2 * x)
        even[x] = max(even[x], gray[earlier[i]])
        odd[x] = max(odd[x], gray[earlier[i + np.uint64(1)]])
