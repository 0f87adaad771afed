"""A step's last two raw screens, handed out as they are: who takes them makes the frame.

The other way, `frame_kernel.Screen`, makes frames where the emulator runs. Results are equal.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


class RawScreens:
    """Has the emulator's screens read straight into the output; the interface of `Screen`."""

    earlier: np.ndarray  # [height, 160] uint8: where to read the step's last screen but one
    later: np.ndarray  # [height, 160] uint8: where to read its last

    def begin(self, screens_out: Sequence[np.ndarray]) -> None:
        """Aim `earlier` and `later` at `screens_out`: two of [height, 160] uint8, C-contiguous."""
        self.earlier, self.later = screens_out

    def write_frame(self, screens_out: Sequence[np.ndarray]) -> None:
        """Nothing: both screens have been read into `screens_out`."""

    def forget(self) -> None:
        """Nothing: no step depends on the last."""
