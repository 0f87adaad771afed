"""Frames made of raw screens on the actor's device: equal to the workers', pixel for pixel."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from accel.envs.frame_kernel import Screen
from accel.envs.palette import gray_levels, is_ntsc
from accel.envs.screen import SCREENS
from accel.sampling.frame_maker import FrameMaker

cv2 = pytest.importorskip("cv2")  # the reference of the tests alone

HEIGHTS = (210, 214, 220, 230, 250)  # of all games
DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]


def random_screens(height: int, count: int) -> np.ndarray:
    """Noise, which meets every rounding, and the four extremes; [count + 4, 2, height, 160]."""
    rng = np.random.default_rng(height)
    screens = rng.integers(256, size=(count + 4, 2, height, 160), dtype=np.uint8)
    if is_ntsc(height):
        screens &= 0xFE  # palette indices are even
    black, brightest = 0, 14 if is_ntsc(height) else 255
    for pair, levels in zip(screens[count:], np.ndindex(2, 2)):
        pair[0], pair[1] = np.where(levels, brightest, black)
    return screens


def frames_on(device: str, screens: np.ndarray, screen: str) -> np.ndarray:
    maker = FrameMaker(screens.shape[2], SCREENS[screen][:2], device)
    return maker(torch.from_numpy(screens).to(device)).cpu().numpy()


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("screen", SCREENS)
@pytest.mark.parametrize("height", HEIGHTS)
def test_frames_equal_the_workers(height: int, screen: str, device: str) -> None:
    screens = random_screens(height, count=20)
    frames = frames_on(device, screens, screen)
    assert frames.dtype == np.uint8
    for pair, frame in zip(screens, frames, strict=True):
        kernel = Screen(height, screen, is_ntsc(height))
        kernel.earlier[:], kernel.later[:] = pair
        expected = np.zeros(SCREENS[screen][:2], np.uint8)
        kernel.write_frame(expected)
        np.testing.assert_array_equal(frame, expected)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("height", HEIGHTS)
def test_frames_equal_opencv(height: int, device: str) -> None:
    screens = random_screens(height, count=20)
    gray = gray_levels(is_ntsc(height)).astype(np.uint8)[screens].max(axis=1)
    for both, frame in zip(gray, frames_on(device, screens, "84x84"), strict=True):
        expected = cv2.resize(both, (84, 84), interpolation=cv2.INTER_AREA)
        np.testing.assert_array_equal(frame, expected)


def test_the_mean_of_four_pixels_rounds_up() -> None:
    """By hand: gray 74 (palette index 2) beside black ones, and two rows that are dropped."""
    screens = np.zeros((1, 2, 210, 160), np.uint8)
    screens[0, 0, 0, 0] = screens[0, 1, 1, 1] = screens[0, 0, 208:] = 2
    frame = frames_on("cpu", screens, "104x80")[0]
    assert frame[0, 0] == 37 and frame.sum() == 37
    screens[0, 1, 0, 1] = 2
    assert frames_on("cpu", screens, "104x80")[0, 0, 0] == 56  # 55.5
