"""Gray levels of the emulator's palette.

`getScreen` gives palette indices in under 1 us where `getScreenGrayscale` takes 10 us, so the frame
kernel looks the gray up itself. The even indices are the NTSC colors (weights 0.2989, 0.5870,
0.1140, rounded), each checked against the emulator's own gray in tests/envs/test_frame_kernel.py.
"""

from __future__ import annotations

import numpy as np

# fmt: off
_NTSC_GRAY = (
    0, 74, 111, 142, 170, 192, 214, 236, 64, 95, 122, 148, 172, 193, 214, 233,
    63, 87, 110, 131, 150, 167, 184, 199, 59, 85, 107, 129, 148, 167, 183, 199,
    44, 68, 90, 110, 128, 146, 161, 176, 51, 74, 95, 115, 132, 149, 164, 178,
    39, 63, 85, 107, 125, 143, 159, 174, 22, 49, 73, 96, 116, 136, 153, 169,
    17, 41, 64, 85, 104, 121, 137, 153, 32, 60, 85, 109, 130, 150, 168, 186,
    40, 69, 95, 120, 141, 162, 182, 200, 43, 74, 101, 127, 151, 173, 193, 212,
    40, 71, 98, 124, 147, 169, 189, 207, 41, 74, 104, 132, 157, 181, 203, 223,
    47, 79, 107, 133, 157, 179, 200, 220, 47, 79, 107, 133, 157, 179, 200, 220,
)
# fmt: on

_PAL_HEIGHT = 250  # the games with this screen height are PAL: their palette is not tabled here


def is_ntsc(screen_height: int) -> bool:
    """Whether a game's raw screen may be read as palette indices and looked up."""
    return screen_height != _PAL_HEIGHT


def gray_levels(ntsc: bool) -> np.ndarray:
    """[256] float32: gray of each raw pixel; the identity where the screen is read as gray."""
    if not ntsc:
        return np.arange(256, dtype=np.float32)
    levels = np.zeros(256, np.float32)
    levels[::2] = _NTSC_GRAY
    return levels
