"""A video file that grows picture by picture."""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path

import imageio_ffmpeg
import numpy as np

_LONGEST_SIDE = 640  # pixels: small pictures are enlarged by the whole number that keeps to this
_QUALITY = 8  # of 10: keeps the edges of single pixels sharp


class Film:
    """Encodes pictures as H.264; nothing stands under the film's final name before `finish`.

    Set `pictures_per_second` before the first picture is added.
    """

    def __init__(self, folder: Path, max_frames: int | None = None) -> None:
        """Film into a hidden file in `folder`; pictures beyond `max_frames` are dropped."""
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / f".filming-{os.getpid()}.mp4"
        self._writer: Generator[None, np.ndarray | None, None] | None = None
        self._max_frames = max_frames
        self._scale = 1
        self.pictures_per_second = 30.0
        self.num_frames = 0

    @property
    def is_full(self) -> bool:
        return self._max_frames is not None and self.num_frames >= self._max_frames

    def add(self, picture: np.ndarray) -> None:
        """Append a picture, [height, width, 3] uint8, the same size each time."""
        if self.is_full:
            return
        if self._writer is None:
            self._writer = self._open(picture)
        self._writer.send(np.ascontiguousarray(_enlarge(picture, self._scale)))
        self.num_frames += 1

    def finish(self, path: Path) -> None:
        """Close the file and give it its name, replacing what is there."""
        self._close()
        path.parent.mkdir(parents=True, exist_ok=True)
        os.replace(self._path, path)

    def discard(self) -> None:
        """Drop an unfinished film; after `finish`, do nothing."""
        self._close()
        self._path.unlink(missing_ok=True)

    def _open(self, picture: np.ndarray) -> Generator[None, np.ndarray | None, None]:
        self._scale = max(1, _LONGEST_SIDE // max(picture.shape[:2]))
        height, width = _enlarge(picture, self._scale).shape[:2]
        writer = imageio_ffmpeg.write_frames(
            self._path,
            (width, height),
            fps=self.pictures_per_second,
            quality=_QUALITY,
            macro_block_size=2,
        )
        writer.send(None)  # runs the generator up to its first frame
        return writer

    def _close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None


def _enlarge(picture: np.ndarray, scale: int) -> np.ndarray:
    """Repeat pixels `scale` times; sides become even, as the encoder's color planes need."""
    larger = picture.repeat(scale, axis=0).repeat(scale, axis=1)
    odd = [(0, side % 2) for side in larger.shape[:2]]
    return np.pad(larger, [*odd, (0, 0)], mode="edge")
