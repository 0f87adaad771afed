"""The frame kernel alone: every pixel equals OpenCV's, whatever has changed since the last step."""

import numpy as np
import pytest
from ale_py import ALEInterface, LoggerMode

from accel.envs.frame_kernel import Screen
from accel.envs.palette import gray_levels, is_ntsc
from accel.envs.screen import SCREENS

cv2 = pytest.importorskip("cv2")  # the reference of the tests alone

HEIGHTS = (210, 214, 220, 230, 250)  # of all games
Pair = tuple[np.ndarray, np.ndarray]  # a step's last two raw screens


def random_screen(height: int, rng: np.random.Generator) -> np.ndarray:
    """Palette indices, which are even, or all 256 gray levels where the screen is read as gray."""
    raw = rng.integers(256, size=(height, 160), dtype=np.uint8)
    return raw & 0xFE if is_ntsc(height) else raw


def expected_frame(pair: Pair, screen: str) -> np.ndarray:
    height = len(pair[0])
    gray = gray_levels(is_ntsc(height)).astype(np.uint8)
    both = np.maximum(gray[pair[0]], gray[pair[1]])
    if screen == "104x80" and height == 210:
        rows = both[:208].astype(int)
        sums = rows[::2, ::2] + rows[::2, 1::2] + rows[1::2, ::2] + rows[1::2, 1::2]
        return (sums + 2) // 4
    return cv2.resize(both, SCREENS[screen][1::-1], interpolation=cv2.INTER_AREA)


def frame_of(kernel: Screen, pair: Pair, screen: str) -> np.ndarray:
    kernel.earlier[:], kernel.later[:] = pair
    frame = np.zeros(SCREENS[screen][:2], np.uint8)
    kernel.write_frame(frame)
    return frame


def steps(height: int, count: int, rng: np.random.Generator) -> list[Pair]:
    """Screens of a game that changes a little or not at all, moves on or flickers."""
    last, pairs = random_screen(height, rng), []
    for _ in range(count):
        first = changed(last, rng)
        second = last if rng.random() < 0.3 else changed(first, rng)
        pairs.append((first, second))
        last = second
    return pairs


def changed(screen: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    new, result = random_screen(len(screen), rng), screen.copy()
    where = np.zeros(screen.shape, bool)
    kind = rng.choice(["nothing", "pixels", "rows", "all"], p=[0.5, 0.25, 0.2, 0.05])
    if kind == "pixels":
        where.flat[rng.integers(where.size, size=rng.integers(1, 4))] = True
    elif kind == "rows":
        where[rng.integers(len(where), size=rng.integers(1, 4))] = True
    elif kind == "all":
        where[:] = True
    result[where] = new[where]
    return result


@pytest.mark.parametrize("screen", SCREENS)
@pytest.mark.parametrize("height", HEIGHTS)
def test_frames_equal_opencv(height: int, screen: str) -> None:
    rng, kernel = np.random.default_rng(height), Screen(height, screen, is_ntsc(height))
    pairs = [(random_screen(height, rng), random_screen(height, rng)) for _ in range(20)]
    black, brightest = np.zeros_like(pairs[0][0]), np.full_like(pairs[0][0], 14)
    if not is_ntsc(height):
        brightest[:] = 255
    pairs += [(black, black), (brightest, black), (black, brightest), (brightest, brightest)]
    for pair in pairs:
        np.testing.assert_array_equal(frame_of(kernel, pair, screen), expected_frame(pair, screen))


@pytest.mark.parametrize("screen", SCREENS)
@pytest.mark.parametrize("height", [210, 250])
def test_what_changed_is_enough_to_compute(height: int, screen: str) -> None:
    """A frame brought up to date equals the whole computed again, and OpenCV's."""
    rng, forgetful = np.random.default_rng(1), Screen(height, screen, is_ntsc(height))
    kernel = Screen(height, screen, is_ntsc(height))
    for pair in steps(height, 300, rng):
        frame = frame_of(kernel, pair, screen)
        forgetful.forget()
        np.testing.assert_array_equal(frame, frame_of(forgetful, pair, screen))
        np.testing.assert_array_equal(frame, expected_frame(pair, screen))


def test_forgetting_makes_no_use_of_the_last_frame() -> None:
    kernel = Screen(210, "84x84")
    pair = steps(210, 1, np.random.default_rng(2))[0]
    frame_of(kernel, pair, "84x84")
    kernel._memory["frame"] = 99  # what a restored state would not fit
    kernel.forget()
    np.testing.assert_array_equal(frame_of(kernel, pair, "84x84"), expected_frame(pair, "84x84"))


@pytest.mark.parametrize(
    "others", [(210, "84x84"), (210, "104x80"), (250, "84x84"), (214, "84x84")]
)
def test_screens_of_one_process_do_not_disturb_one_another(others: tuple[int, str]) -> None:
    """They take turns at random; those alike share their buffers."""
    rng, kinds = np.random.default_rng(3), [(210, "84x84"), others]
    kernels = [Screen(height, screen, is_ntsc(height)) for height, screen in kinds]
    games = [iter(steps(height, 400, rng)) for height, _ in kinds]
    assert np.shares_memory(kernels[0].later, kernels[1].later) == (kinds[0] == kinds[1])
    for turn in rng.integers(2, size=300).tolist():
        pair, screen = next(games[turn]), kinds[turn][1]
        np.testing.assert_array_equal(
            frame_of(kernels[turn], pair, screen), expected_frame(pair, screen)
        )


def cartridge(scanlines: int) -> bytes:
    """A 4 kB program that paints 128 scanlines of a picture in the 128 colors, one each."""
    rest = scanlines - 3 - 37 - 128
    code = bytes.fromhex(
        "78 D8 A2FF 9A"  # SEI, CLD, LDX #$FF, TXS
        "A902 8500 8502 8502 8502 A900 8500"  # picture: three scanlines of VSYNC
        "A225 8502 CA D0FB 8501 A000"  # 37 empty ones, then the beam on, LDY #0
        "8502 8409 C8 C8 D0F8"  # color: STA WSYNC, STY COLUBK, INY, INY, BNE color
        f"8502 A900 8509 A2{rest:02X} 8502 CA D0FB 4C05F0"  # the rest in black, JMP picture
    )
    return code.ljust(0xFFC, b"\0") + b"\x00\xf0\x00\xf0"  # both vectors to the start


@pytest.fixture
def colors(tmp_path):
    """colors(scanlines) runs the cartridge; palette indices, and the gray the emulator shows."""

    def run(scanlines: int) -> Pair:
        path = tmp_path / "seaquest.bin"  # ALE goes by the name
        path.write_bytes(cartridge(scanlines))
        ALEInterface.setLoggerMode(LoggerMode.Error)
        ale = ALEInterface()
        ale.loadROM(path)
        ale.act(0)
        return ale.getScreen(), ale.getScreenGrayscale()

    return run


def test_gray_of_every_ntsc_color_equals_the_emulators(colors) -> None:
    raw, gray = colors(262)
    assert np.unique(raw).tolist() == list(range(0, 256, 2)) and is_ntsc(len(raw))
    np.testing.assert_array_equal(gray_levels(True)[raw], gray)


def test_pal_screens_are_read_as_gray(colors) -> None:
    """Their height tells; the NTSC table would be wrong for most of their colors."""
    raw, gray = colors(312)
    assert np.unique(raw).size == 128 and not is_ntsc(len(raw))
    assert (gray_levels(True)[raw] != gray).mean() > 0.4
    np.testing.assert_array_equal(gray_levels(False)[gray], gray)
    frame = frame_of(Screen(250, "84x84", ntsc=False), (gray, gray), "84x84")
    np.testing.assert_array_equal(frame, cv2.resize(gray, (84, 84), interpolation=cv2.INTER_AREA))
