"""The raw screens of a step: the emulator's own last two, and never an older one."""

from __future__ import annotations

import numpy as np
import pytest
from ale_py import ALEInterface, LoggerMode, roms

from accel.envs.atari import AtariEnv


def emulator(game: str) -> ALEInterface:
    ALEInterface.setLoggerMode(LoggerMode.Error)
    ale = ALEInterface()
    ale.setFloat("repeat_action_probability", 0.0)
    ale.loadROM(roms.get_rom_path(game))
    return ale


def make(game: str, **options: object) -> tuple[AtariEnv, np.ndarray]:
    """The environment, and room for its screens."""
    env = AtariEnv(game, seed=0, repeat_action_probability=0.0, raw_screens=True, **options)
    return env, np.full(env.spec.screen_shape, 255, np.uint8)


@pytest.mark.parametrize("game", ["breakout", "seaquest", "pacman"])  # pacman is PAL: gray
def test_they_are_the_emulators_last_two(game: str) -> None:
    ale, (env, screens) = emulator(game), make(game)
    read = ale.getScreenGrayscale if game == "pacman" else ale.getScreen
    assert env.spec.screen_shape == (2, *read().shape) and env.spec.frame_shape == (84, 84)
    env.reset(screens)
    np.testing.assert_array_equal(screens, [read(), read()])
    actions, differ = ale.getMinimalActionSet(), 0
    for index in np.random.default_rng(0).integers(len(actions), size=60).tolist():
        env.step(index, screens)
        expected = []
        for _ in range(4):
            ale.act(actions[index])
            expected.append(read())
        np.testing.assert_array_equal(screens, expected[2:])
        differ += (screens[0] != screens[1]).any()
    assert differ > 5


@pytest.mark.parametrize("skip, last_step", [(1, 41), (4, 11)])
def test_a_step_of_one_frame_has_one_screen(skip: int, last_step: int) -> None:
    """Of no skip, and of a game that ends at the skip's first frame."""
    env, screens = make("seaquest", frame_skip=skip, max_frames_per_episode=41)
    env.reset(screens)
    for t in range(1, last_step + 1):
        screens[:] = 255  # what no screen shows
        env.step(t % env.spec.num_actions, screens)
        assert env.truncated == (t == last_step)
        assert screens.max() < 255
        if skip == 1 or t == last_step:
            np.testing.assert_array_equal(screens[0], screens[1])
